"""Options of `karat train --process`: those of every training, and what steps need besides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from karat.data.steps import StepReading, StepReadingConfig
from karat.errors import InputError
from karat.options import option, require_ranges
from karat.train.config import FitConfig

Likelihood = Literal["hard", "soft", "first-error", "outcome"]
LIKELIHOODS: tuple[str, ...] = ("hard", "soft", "first-error", "outcome")
HEADS: tuple[str, ...] = ("scalar", "two-class")
# Those of numerics.process_aggregation, whose import would load numpy for --help; a test holds them equal.
AGGREGATES: tuple[str, ...] = ("min", "product", "last", "mean", "sum")
LABEL_SOURCES: tuple[str, ...] = ("correctness", "monte-carlo")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessConfig(StepReadingConfig, FitConfig):
    """How a process reward is trained from step labels. Probabilities and shares in [0, 1], lengths in tokens."""

    likelihood: Likelihood = option(
        "soft",
        "soft: each labelled step, its label a probability; hard: the label rounded; first-error: the index of the "
        "first wrong step; outcome: the final answer, read at the last step.",
    )
    head: Literal["scalar", "two-class"] = option(
        "scalar", "One logit a step, or two (right, wrong), whose softmax is the probability."
    )
    separator: str = option(
        r"\n\n", r"Text that ends each step, where it is read; \n stands for a new line, \t for a tab."
    )
    chat: bool = option(False, "Render the prompt by the model's chat template, the steps as the assistant's turn.")
    too_long: Literal["keep-last", "refuse"] = option(
        "keep-last", "Solutions beyond --max-length: keep the prompt and the last steps, or leave the solution out."
    )
    label_source: Literal["correctness", "monte-carlo"] = option(
        "correctness",
        "What the labels say: that a step is right, or the chance of a right end from there: a value, which is kept "
        "behind a wrong step too, whatever --after-error says.",
    )
    aggregate: str = option(
        "", "How a solution's score follows from its steps: min, product, last, mean, sum; empty: by --label-source."
    )
    tune_fraction: float = option(
        0.1, "Share of the problems that are not fitted and on which thresholds are tuned; 0: they stay at 0.5."
    )
    outcome: bool = option(
        False, "Train an outcome reward from the same solutions as well, to DIR/outcome, and compare the two."
    )

    def __post_init__(self) -> None:
        StepReadingConfig.__post_init__(self)
        FitConfig.__post_init__(self)
        checks = (
            ("likelihood", self.likelihood in LIKELIHOODS, f"one of {', '.join(LIKELIHOODS)}"),
            ("head", self.head in HEADS, "scalar or two-class"),
            ("separator", bool(self.separator), "the text that ends a step, not empty"),
            ("too_long", self.too_long in ("keep-last", "refuse"), "keep-last or refuse"),
            ("label_source", self.label_source in LABEL_SOURCES, "correctness or monte-carlo"),
            ("aggregate", self.aggregate in ("", *AGGREGATES), f"empty or one of {', '.join(AGGREGATES)}"),
            ("tune_fraction", 0 <= self.tune_fraction < 1, "in [0, 1)"),
        )
        require_ranges(self, checks)
        if self.outcome and self.likelihood == "outcome":
            raise InputError("likelihood = outcome trains an outcome reward; --outcome would train it twice. Drop one.")

    def reading(self) -> StepReading:
        """The options as `read_steps` takes them; steps that hold the separator are noted there.

        A value (label_source "monte-carlo") is defined behind a wrong step too, and the last step's is the solution's
        score: such labels are never masked.
        """
        asked: StepReading = {**StepReadingConfig.reading(self), "separator": self.separator_text}
        if self.label_source == "monte-carlo":
            asked["after_error"] = "keep"
        return asked

    @property
    def separator_text(self) -> str:
        r"""The separator with \n and \t as the characters that they stand for."""
        return self.separator.replace(r"\n", "\n").replace(r"\t", "\t")
