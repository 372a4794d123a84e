"""Planted truth for the built-in world of multi-step problems: its checker, its annotators, its completer.

In each replication eight problems are drawn (one of each kind, three to five operations) with six solutions each: two
right, three wrong, one right answer by a wrong process. An annotator with one fault of strength 0.3 labels them; the
share of labels that show the fault has Wilson's 95 % interval, and the row counts the intervals that hold the strength.
The intervals take steps as independent; that is how the faults are drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from karat.numerics.intervals import wilson
from karat.selftest.planted import PlantedRow, rows_of
from karat.types import NO_ERROR, StepSolution
from karat.worlds.steps import (
    SimulatedCompleter,
    StepFaults,
    annotate,
    check_steps,
    draw_problems,
    problem_of,
    rigour,
    solutions_of,
)

PROBLEMS, STRENGTH, ROLLOUTS = 8, 0.3, 60
FAULTS: dict[str, str] = {
    "false_positive": "wrong steps called right",
    "false_negative": "right steps called wrong",
    "style": "plain right steps called wrong",
    "after_error": "labels behind the first error",
    "granularity": "whole right solutions with a label gone, of twice as many",
    "neutral": "steps that claim nothing called wrong",
    "blind_spot": "wrong steps that two annotators both call right",
}
CODES = {name: f"SE{652 + index}" for index, name in enumerate(FAULTS)}
TITLES = {
    "SE651": "Step world: its checker reads from their text the truth that steps were made with",
    **{
        CODES[name]: f"Step world: an annotator's fault happens as often as set: {what}"
        for name, what in FAULTS.items()
    },
    "SE659": "Step world: 95 % interval of a simulated completer's rollouts holds the exact value",
}
"""What each row promises."""

_PLANTED = {"SE651": "truth of program-made steps", "SE659": "values in closed form"}

Counts = tuple[int, int]
"""Steps that show a fault, and steps that could."""


def step_world_rows(replications: int, seed: int, progress: Callable[..., None] | None = None) -> list[PlantedRow]:
    """The rows SE651 to SE659."""
    kept: dict[str, list[bool]] = {code: [] for code in TITLES}
    for replication in range(replications):
        rng = np.random.default_rng([seed, 651, replication])
        problems = draw_problems(rng, PROBLEMS, difficulty="medium")
        solutions = [solution for problem in problems for solution in solutions_of(problem, rng)]
        kept["SE651"].append(
            all(check_steps(problem_of(each), each.steps) == each.extra["truth"] for each in solutions)
        )
        for name, code in CODES.items():
            hits, n = _counts(name, solutions, rng)
            low, high = wilson(hits, n)
            share = STRENGTH / 2 if name == "granularity" else STRENGTH
            kept[code].append(low <= share <= high)
        kept["SE659"].append(_holds_value(solutions, rng))
        if progress is not None:
            progress("step world", replication + 1, replications, "")
    planted = dict.fromkeys(kept, f"strength {STRENGTH:g}") | _PLANTED
    promised = dict.fromkeys(kept, (0.92, 0.98)) | {"SE651": (1.0, 1.0)}
    return rows_of(kept, TITLES, planted, promised)


def _counts(name: str, solutions: Sequence[StepSolution], rng: np.random.Generator) -> Counts:
    made = annotate(solutions, StepFaults(**{name: STRENGTH}), rng)
    if name == "after_error":
        behind = [label for each in made for label in each.labels[len(_reached(each)) :]]
        return sum(not math.isnan(label) for label in behind), len(behind)
    if name == "granularity":
        whole = [(a, b) for a, b in zip(made, solutions, strict=True) if b.labels == (1.0,) * len(b.steps)]
        return sum(a.labels != b.labels for a, b in whole), len(whole)
    if name == "blind_spot":
        other = annotate(solutions, StepFaults(blind_spot=STRENGTH), rng)
        return _sum(_both(a, b) for a, b in zip(made, other, strict=True))
    return _sum(_shown(name, each) for each in made)


def _shown(name: str, solution: StepSolution) -> Counts:
    """Of the steps that the annotator came to."""
    could = {"false_positive": False, "false_negative": True, "style": True, "neutral": None}[name]
    wanted = 1.0 if name == "false_positive" else 0.0
    labels = [
        label
        for index, label in enumerate(_reached(solution))
        if solution.extra["truth"][index] is could and not (name == "style" and rigour(solution.steps[index]))
    ]
    return sum(label == wanted for label in labels), len(labels)


def _both(first: StepSolution, second: StepSolution) -> Counts:
    pairs = zip(_reached(first), _reached(second), first.extra["truth"], strict=False)
    wrong = [(a, b) for a, b, truth in pairs if truth is False]
    return sum(a == b == 1 for a, b in wrong), len(wrong)


def _reached(solution: StepSolution) -> tuple[float, ...]:
    first = solution.first_error
    return solution.labels if first is None or first == NO_ERROR else solution.labels[: first + 1]


def _sum(counts: Iterable[Counts]) -> Counts:
    pairs = list(counts)
    return sum(hits for hits, _ in pairs), sum(n for _, n in pairs)


def _holds_value(solutions: Sequence[StepSolution], rng: np.random.Generator) -> bool:
    """Of one solution, at a step that states no answer."""
    solution = solutions[int(rng.integers(len(solutions)))]
    problem = problem_of(solution)
    completer = SimulatedCompleter.of([problem], success=0.8, recovery=0.1)
    steps = solution.steps[: int(rng.integers(len(solution.steps) - 1))]
    texts = completer(problem.prompt, steps, ROLLOUTS, int(rng.integers(2**31)))
    right = f"The answer is {problem.answer}."
    low, high = wilson(sum(text == right for text in texts), ROLLOUTS)
    return low <= completer.value(problem, steps) <= high
