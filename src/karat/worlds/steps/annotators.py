"""Annotators of steps whose faults are planted, each with a strength that can be set.

An annotator judges steps one by one, by the truth of each step by itself, up to the first that it calls wrong; behind
that its labels are undefined. Its faults (strength 0: none):

    false_positive   chance that a wrong step is called right, as rollouts that get there by luck would have it
    false_negative   chance that a right step is called wrong, as rollouts of a weak completer would have it
    style            weight of looks: P(called right) = (1 - style) truth + style rigour, where rigour is 1 for a step
                     with a word of rigour ("therefore", "clearly", ...), else 0
    after_error      chance that a step behind the first one called wrong has a label, which is then a coin's
    granularity      chance that the labels of a solution were given to other steps: two neighbours were one to the
                     annotator (their label the smaller one), or one was two, so that the labels behind are off by one
    neutral          chance that a step that claims nothing is called wrong
    blind_spot       share of wrong steps that every annotator with this fault calls right: the same steps, whatever the
                     random numbers of each

Sources: the failure modes listed by Zhang et al. (arXiv 2501.07301) and Wang et al. (arXiv 2312.08935), and what
reading `rating == 1` as right makes of neutral ratings.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace

import numpy as np

from karat.errors import InputError
from karat.types import NO_ERROR, StepSolution

_RIGOUR = re.compile(
    r"\b(?:therefore|thus|hence|rigorous(?:ly)?|clearly|surely|precisely|verif(?:y|ied)|it follows)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFaults:
    """Strengths in [0, 1]; see the file's head."""

    false_positive: float = 0.0
    false_negative: float = 0.0
    style: float = 0.0
    after_error: float = 0.0
    granularity: float = 0.0
    neutral: float = 0.0
    blind_spot: float = 0.0

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if not 0 <= value <= 1:
                raise InputError(f"{each.name} = {value:g} is out of range: it must lie in [0, 1].")


LETTERS: dict[str, str] = {
    "a": "false_positive",
    "b": "false_negative",
    "c": "style",
    "d": "after_error",
    "e": "granularity",
    "f": "neutral",
    "g": "blind_spot",
}
"""The usual names of the faults, to fields of StepFaults."""


def rigour(step: str) -> float:
    """1 for a step with a word of rigour, else 0: what `style` pays for."""
    return float(_RIGOUR.search(step) is not None)


def annotate(
    solutions: Sequence[StepSolution], faults: StepFaults, rng: np.random.Generator
) -> tuple[StepSolution, ...]:
    """The solutions with an annotator's labels.

    Args:
        solutions: of this world, with `extra["truth"]`; a step whose truth is None claims nothing (or cannot be read).
        faults: what the annotator does wrong.
        rng: of one annotator: two annotators have one each.
    Returns: labels 1, 0 or NaN and the first error that they tell; the truth in extra: `truth` (every step by itself),
        `true_first_error`, `true_labels`.
    Raises: InputError: a solution without truth.
    """
    planted = {name: value for name, value in asdict(faults).items() if value}
    return tuple(_annotated(solution, faults, planted, rng) for solution in solutions)


def _annotated(
    solution: StepSolution, faults: StepFaults, planted: dict[str, float], rng: np.random.Generator
) -> StepSolution:
    truth = solution.extra.get("truth")
    if truth is None or len(truth) != len(solution.steps):
        raise InputError(
            f"solution {solution.solution_id!r} has no truth of each step in extra['truth']: annotate those of the "
            "step world."
        )
    called = [_call(solution, index, truth[index], faults, rng) for index in range(len(truth))]
    labels = _up_to_first(called, faults.after_error, rng)
    if rng.random() < faults.granularity:
        labels = _shifted(labels, rng)
    first = next((index for index, label in enumerate(labels) if label == 0), NO_ERROR)
    extra = {
        **solution.extra,
        "true_labels": solution.labels,
        "true_first_error": solution.first_error,
        "annotator_faults": planted,
    }
    return replace(solution, labels=tuple(labels), first_error=first, extra=extra)


def _call(
    solution: StepSolution, index: int, right: bool | None, faults: StepFaults, rng: np.random.Generator
) -> float:
    """What the annotator calls a step. Always draws the same count of random numbers, whatever the strengths."""
    style, flip = rng.random(2)
    if right is None:
        return 0.0 if flip < faults.neutral else math.nan
    looks = rigour(solution.steps[index])
    value = looks if style < faults.style else float(right)
    if not right and _share(solution, index) < faults.blind_spot:
        value = 1.0
    if value == 0 and not right and flip < faults.false_positive:
        return 1.0
    return 0.0 if value == 1 and right and flip < faults.false_negative else value


def _up_to_first(called: Sequence[float], after_error: float, rng: np.random.Generator) -> list[float]:
    has_label, coin = rng.random((2, len(called)))
    first = next((index for index, value in enumerate(called) if value == 0), len(called))
    return [
        value if index <= first else float(coin[index] < 0.5) if has_label[index] < after_error else math.nan
        for index, value in enumerate(called)
    ]


def _shifted(labels: Sequence[float], rng: np.random.Generator) -> list[float]:
    """Labels of another splitting into steps, laid on these steps from the first on."""
    if len(labels) < 2:
        return list(labels)
    at = int(rng.integers(len(labels) - 1))
    if rng.random() < 0.5:  # two were one: one label too few
        both = [label for label in labels[at : at + 2] if not math.isnan(label)]
        return [*labels[:at], min(both, default=math.nan), *labels[at + 2 :], math.nan]
    return [*labels[: at + 1], *labels[at:-1]]


def _share(solution: StepSolution, index: int) -> float:
    """Uniform in [0, 1), fixed by the step: what makes blind spots shared."""
    key = f"{solution.prompt_id}\0{index}\0{solution.steps[index]}"
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest()) / 2**64
