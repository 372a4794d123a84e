"""`karat stress rl`: how far reinforcement learning can push a policy on a proxy. Imported light."""

from __future__ import annotations

from typing import TYPE_CHECKING

from karat.stress.rl.config import RlConfig
from karat.verbs import make_verb

if TYPE_CHECKING:
    from karat.stress.rl.run import rl

__all__ = ["RlConfig", "rl"]

make_verb(__name__, "rl", {"rl": "run"})
