"""Rewards: the protocol, reward models over token trees, and the other kinds that a name can stand for.

What needs torch is imported on first use, so that built-in rewards and functions work without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from karat.rewards.groups import Group, PairScores, group_pairs, score_pairs
from karat.rewards.kinds import load_reward
from karat.rewards.protocol import Reward

if TYPE_CHECKING:
    from karat.rewards.model import RewardModel

__all__ = ["Group", "PairScores", "Reward", "RewardModel", "group_pairs", "load_reward", "score_pairs"]


def __getattr__(name: str) -> Any:
    if name == "RewardModel":
        from karat.rewards.model import RewardModel

        return RewardModel
    raise AttributeError(f"module 'karat.rewards' has no attribute {name!r}")
