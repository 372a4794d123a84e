"""`karat stress`: how hard a reward can be optimised before the truth falls. Imported light."""

from __future__ import annotations

from typing import TYPE_CHECKING

from karat.stress import capability, rl, synthetic, transfer
from karat.stress.config import StressConfig
from karat.verbs import make_verb

if TYPE_CHECKING:
    from karat.stress.run import stress

__all__ = ["StressConfig", "capability", "rl", "stress", "synthetic", "transfer"]

make_verb(__name__, "stress", {"stress": "run"})
