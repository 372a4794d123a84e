"""`karat train`: preference pairs to a reward model. Imported light; torch is loaded when training starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from karat.train.config import TrainConfig
from karat.verbs import make_verb

if TYPE_CHECKING:
    from karat.train.evaluation import Evaluation, evaluate
    from karat.train.held_out import evaluate_reward
    from karat.train.run import train

__all__ = ["Evaluation", "TrainConfig", "evaluate", "evaluate_reward", "train"]

make_verb(
    __name__,
    "train",
    {"Evaluation": "evaluation", "evaluate": "evaluation", "evaluate_reward": "held_out", "train": "run"},
)
