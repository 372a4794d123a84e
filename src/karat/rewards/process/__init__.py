"""Process rewards: the probability that each step of a solution is right, and what is made of it.

What needs torch is imported on first use, so that a user's function scores steps without it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from karat.rewards.process.problem import StepProblem, problems_of, split_steps_of
from karat.rewards.process.protocol import StepScorer, as_step_scorer

if TYPE_CHECKING:
    from karat.rewards.process.encoding import EncodedSteps, StepEncoder, StepPolicy
    from karat.rewards.process.model import ProcessReward, load_process_for_training, save_process_reward

_LAZY = {
    "EncodedSteps": "encoding",
    "StepEncoder": "encoding",
    "StepPolicy": "encoding",
    "ProcessReward": "model",
    "load_process_for_training": "model",
    "save_process_reward": "model",
}

__all__ = [
    "EncodedSteps",
    "ProcessReward",
    "StepEncoder",
    "StepPolicy",
    "StepProblem",
    "StepScorer",
    "as_step_scorer",
    "load_process_for_training",
    "problems_of",
    "save_process_reward",
    "split_steps_of",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"karat.rewards.process.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'karat.rewards.process' has no attribute {name!r}")
