"""Options of labelling: those that the command line shows beside the training's, and all that `label_steps` takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from karat.data.steps import StepReadingConfig
from karat.errors import InputError
from karat.options import option, require_ranges

if TYPE_CHECKING:
    from karat.numerics.step_values import ProbeRule

LABELS, REQUEST, STEPS = "labels.jsonl", "labels.json", "steps.jsonl"
FILES = frozenset({LABELS, REQUEST, STEPS, f"{LABELS}.parts"})
"""Names in a run's folder that are labelling's."""

Method = Literal["", "mc", "binary"]
Unfinished = Literal["missing", "wrong", "read"]


@dataclass(frozen=True, kw_only=True)
class LabelOptions:
    """How steps are labelled from completions. Without slots: Python joins no two classes that both have some."""

    label: Method = option(
        "", "Label steps from completions first: mc (from every step) or binary (search for the first wrong step)."
    )
    completer: str = option(
        "", "What completes solutions: a model (hub name, folder, 'default') or module:function; empty: --model."
    )
    completer_chat: bool = option(
        True, "Make a prompt that is plain text a user's turn, where the completer has a chat template."
    )
    rollouts: int = option(8, "Completions of a step's prefix (binary: the most, the first that is right ends them).")
    label_as: Literal["soft", "hard"] = option(
        "soft", "mc: label a step by the share of its completions that are right, or by whether any is."
    )
    samples: int = option(0, "The rows are problems with answers: sample this many solutions of each and label those.")
    answers: str = option("", "Rows with the right answers of the problems, where the solutions have none.")
    checker: str = option(
        "", "module:function(prompt, response, answer) -> bool or None (undecided); empty: compare final answers."
    )
    judge: str = option(
        "", "module:function(prompt, steps) -> first wrong step, -1 or None: keep solutions on which it agrees."
    )
    unfinished: Unfinished = option(
        "missing",
        "A completion cut by --max-new-tokens: missing (does not count), wrong, or read (if it states an answer).",
    )
    max_new_tokens: int = option(256, "Longest completion, tokens.")
    temperature: float = option(0.7, "Of the softmax that completions are drawn from.")
    top_p: float = option(1.0, "Draw completions from the likeliest tokens that add up to this probability.")
    stop: str = option("", "Text at which a completion ends, where the model goes on to a next problem.")
    probe_error: float = option(
        0.0,
        "binary: probe sequentially, each decision wrong with at most this chance; 0: any right completion decides.",
    )
    recovery: float = option(
        0.0, "binary, with --probe-error: chance that a completion of a wrong step is right all the same."
    )
    most_rollouts: int = option(32, "binary, with --probe-error: completions at which an undecided probe ends.")
    rollouts_at_once: int = option(2, "binary: completions asked for together before looking at them.")
    check_share: float = option(
        0.1,
        "binary: share of solutions of which one more step is probed, to see whether the search's assumption holds.",
    )
    max_solutions: int = option(0, "Label only the first so many solutions (with --samples: problems); 0: all.")
    problems_per_part: int = option(8, "Problems finished before their labels are written; a resume restarts there.")
    rows_per_batch: int = option(64, "Completions generated at once; bounds the memory.")

    def __post_init__(self) -> None:
        checks = (
            ("label", self.label in ("", "mc", "binary"), "mc or binary"),
            ("label_as", self.label_as in ("soft", "hard"), "soft or hard"),
            ("unfinished", self.unfinished in ("missing", "wrong", "read"), "missing, wrong or read"),
            ("rollouts", self.rollouts >= 1, "at least 1"),
            ("probe_error", 0 <= self.probe_error < 0.5, "in [0, 0.5)"),
            ("recovery", 0 <= self.recovery < 1, "in [0, 1)"),
            ("most_rollouts", self.most_rollouts >= 1, "at least 1"),
            ("rollouts_at_once", self.rollouts_at_once >= 1, "at least 1"),
            ("samples", self.samples >= 0, "0 or more"),
            ("max_new_tokens", self.max_new_tokens >= 1, "at least 1"),
            ("temperature", self.temperature > 0, "more than 0: equal completions are one completion"),
            ("top_p", 0 < self.top_p <= 1, "in (0, 1]"),
            ("check_share", 0 <= self.check_share <= 1, "in [0, 1]"),
            ("max_solutions", self.max_solutions >= 0, "0 or more"),
            ("problems_per_part", self.problems_per_part >= 1, "at least 1"),
            ("rows_per_batch", self.rows_per_batch >= 1, "at least 1"),
        )
        require_ranges(self, checks)
        if self.recovery and not self.probe_error:
            raise InputError(f"recovery = {self.recovery} is for the sequential probe: give probe_error too.")
        if self.probe_error and self.label == "mc":
            raise InputError(
                f"probe_error = {self.probe_error} is for label = binary; mc asks for rollouts of each step."
            )

    def rule(self) -> ProbeRule:
        """When a prefix has had enough completions."""
        from karat.numerics.step_values import ProbeRule  # loads scipy, which options do without

        return ProbeRule(
            rollouts=self.rollouts,
            error=self.probe_error,
            recovery=self.recovery,
            most=self.most_rollouts,
            at_once=self.rollouts if self.label == "mc" else self.rollouts_at_once,
        )


@dataclass(frozen=True, kw_only=True)
class LabelConfig(LabelOptions, StepReadingConfig):
    """All that decides the labels: the options above, how rows are read, and how a prefix becomes text."""

    separator: str = option("\n\n", "Text between two steps.")
    seed: int = option(0, "Seed of the completions.")
    dtype: Literal["float32", "bfloat16", "float16"] = option("float32", "Of the completer's weights.")
    overwrite: bool = option(False, "Start again instead of resuming, or of using the labels that are there.")

    def __post_init__(self) -> None:
        LabelOptions.__post_init__(self)
        StepReadingConfig.__post_init__(self)
        if not self.separator:
            raise InputError("separator is empty: steps could not be told apart. Give the text between two steps.")
        if self.seed < 0:
            raise InputError(f"seed = {self.seed}: must be 0 or more.")
