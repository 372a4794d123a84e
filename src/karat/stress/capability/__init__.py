"""`karat stress capability`: does a better optimiser hack more? Imported light."""

from __future__ import annotations

from typing import TYPE_CHECKING

from karat.stress.capability.config import CapabilityConfig
from karat.verbs import make_verb

if TYPE_CHECKING:
    from karat.stress.capability.run import capability

__all__ = ["CapabilityConfig", "capability"]

make_verb(__name__, "capability", {"capability": "run"})
