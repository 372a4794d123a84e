"""The options of every verb that reads step labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from karat.data.steps.formats import StepOptions
from karat.data.steps.read import StepReading
from karat.options import option


@dataclass(frozen=True, kw_only=True)
class StepReadingConfig:
    """How the rows of a source become solutions in steps; the configurations of verbs inherit it.

    Without slots: Python joins no two classes that both have some.
    """

    format: str = option("", "Format of the rows; recognised from them when empty.")
    split: str = option("", "Split of a folder or hub data set; otherwise its only one, or train.")
    neutral: Literal["undefined", "right", "wrong", "half"] = option(
        "undefined", "What a neutral rating of a step (PRM800K's 0) means; half: 0.5."
    )
    after_error: Literal["undefined", "keep"] = option(
        "undefined", "Labels of the steps after the first wrong one: undefined, and masked; or as they came."
    )
    empty_steps: Literal["drop-row", "drop-step"] = option(
        "drop-row", "A solution with an empty step: drop it, or that step alone."
    )
    placeholder: str = option("ки", "Token after each step in OpenRLHF's rows.")

    def __post_init__(self) -> None:
        StepOptions(self.neutral, self.after_error, self.empty_steps, self.placeholder)

    def reading(self) -> StepReading:
        """The options as `read_steps` and `stream_steps` take them."""
        return StepReading(
            format=self.format,
            split=self.split,
            neutral=self.neutral,
            after_error=self.after_error,
            empty_steps=self.empty_steps,
            placeholder=self.placeholder,
        )
