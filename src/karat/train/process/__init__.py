"""`karat train --process`: step labels to a process reward. Imported light; torch is loaded when training starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from karat.train.process.config import ProcessConfig

if TYPE_CHECKING:
    from karat.train.process.evaluation import StepEvaluation, evaluate_steps
    from karat.train.process.run import train_process

__all__ = ["ProcessConfig", "StepEvaluation", "evaluate_steps", "train_process"]

_HOME = {"StepEvaluation": "evaluation", "evaluate_steps": "evaluation", "train_process": "run"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
