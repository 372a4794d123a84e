"""`karat train --process --label`: labels of steps without people. Imported light; torch is loaded with a model."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from karat.train.labelling.config import LabelConfig, LabelOptions

if TYPE_CHECKING:
    from karat.train.labelling.run import label_steps

__all__ = ["LabelConfig", "LabelOptions", "label_steps"]


def __getattr__(name: str) -> Any:
    if name == "label_steps":
        return import_module("karat.train.labelling.run").label_steps
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
