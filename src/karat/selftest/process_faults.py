"""Planted truth for training on step labels: what each fault of an annotator costs a reward that learns from them.

The learner is a linear read-out of five features of a step: whether it checks (known to it rightly for 95 % of the
steps), words of rigour, that it claims nothing, its place and its length. So it could be as good as its sight, and what
it loses it loses by its labels. It is fitted on annotated solutions of 30 problems of the step world, its threshold is
tuned on annotated ones of 15 more, and it is judged by ProcessBench's F1 on the true labels of 30 others. The small
decoder that reads the words themselves is in benchmarks/prm_world.py: it takes minutes.

Axes: S steps of one solution, P solutions, N labelled steps, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import expit

from karat.numerics.linear_preference import fit_head
from karat.numerics.process_accuracy import (
    best_threshold,
    candidate_thresholds,
    first_below,
    first_error_totals,
    process_f1,
)
from karat.selftest.planted import PlantedRow
from karat.types import StepSolution
from karat.worlds.steps import StepFaults, annotate, draw_problems, rigour, solutions_of

DRAWN, FITTED, TUNED, JUDGED = 100, 30, 15, 30
"""Problems in all, and those of one replication."""
SIGHT, L2 = 0.95, 0.1

FAULTS: dict[str, tuple[str, float]] = {
    "SE711": ("false_positive", 0.3),
    "SE712": ("false_negative", 0.2),
    "SE713": ("style", 0.6),
    "SE714": ("after_error", 0.6),
    "SE715": ("granularity", 0.3),
    "SE716": ("neutral", 0.3),
    "SE717": ("blind_spot", 0.8),
}
"""Row -> the annotator's fault and its strength."""
HARMLESS = 0.1
HURTS = {"SE713": 0.1, "SE716": 0.1, "SE717": 0.03}
"""F1 lost: less than the one; so much or more by these faults, which no threshold undoes."""

TITLES = {
    "SE710": "Clean step labels: the first error is found as far as sight goes",
    **{
        code: f"Step labels with {name.replace('_', ' ')}: F1 falls"
        + (f" by {HURTS[code]:g} or more" if code in HURTS else f" by less than {HARMLESS:g}")
        for code, (name, _) in FAULTS.items()
    },
}
"""What each row promises."""
LEAST_CLEAN = 0.75


def features(solution: StepSolution, rng: np.random.Generator) -> np.ndarray:
    """Of each step, with a column of ones, shape (S, D)."""
    truth, steps = solution.extra["truth"], solution.steps
    checks_S = np.array([0.0 if right is None else 1.0 if right else -1.0 for right in truth])
    seen_S = np.where(rng.random(len(steps)) < SIGHT, checks_S, -checks_S)
    return np.column_stack([
        np.ones(len(steps)), seen_S, [rigour(step) for step in steps], [right is None for right in truth],
        np.arange(len(steps)) / len(steps), [np.log(len(step)) - 3 for step in steps],
    ])  # fmt: skip


class Learner:
    """A linear read-out with its threshold."""

    def __init__(self, seen: Sequence[np.ndarray], labelled: Sequence[StepSolution], n_fit: int) -> None:
        x_ND = np.concatenate(seen[:n_fit])
        label_N = np.array([label for solution in labelled[:n_fit] for label in solution.labels])
        is_known = ~np.isnan(label_N)
        self.weight_D = fit_head(x_ND[is_known], label_N[is_known], l2=L2)
        scores = [self(each) for each in seen[n_fit:]]
        threshold_T = candidate_thresholds(scores)
        predicted_PT = np.stack([first_below(score_S, threshold_T) for score_S in scores])
        label_P = np.array([solution.first_error for solution in labelled[n_fit:]])
        totals = np.stack([first_error_totals(predicted_P, label_P) for predicted_P in predicted_PT.T])
        self.threshold = best_threshold(totals, threshold_T, process_f1)

    def __call__(self, seen_SD: np.ndarray) -> np.ndarray:
        return np.asarray(expit(seen_SD @ self.weight_D))

    def f1(self, seen: Sequence[np.ndarray], truth: Sequence[StepSolution]) -> float:
        """ProcessBench's, against the true first errors."""
        predicted = [int(first_below(self(each), np.array([self.threshold]))[0]) for each in seen]
        label = [solution.first_error for solution in truth]
        return float(process_f1(first_error_totals(np.array(predicted), np.array(label)).sum(axis=0)))


def replicate(groups: Sequence[Sequence[StepSolution]], rng: np.random.Generator) -> dict[str, float]:
    """F1 by row, "SE710" with clean labels."""
    order = rng.permutation(len(groups))[: FITTED + TUNED + JUDGED]
    parts = np.split(order, [FITTED, FITTED + TUNED])
    fit, tune, judged = ([solution for index in part for solution in groups[index]] for part in parts)
    seen = [features(solution, rng) for solution in (*fit, *tune)]
    seen_judged = [features(solution, rng) for solution in judged]
    seed = int(rng.integers(2**31))
    found = {}
    for code, faults in (
        ("SE710", StepFaults()),
        *((code, StepFaults(**{name: at})) for code, (name, at) in FAULTS.items()),
    ):
        labelled = annotate((*fit, *tune), faults, np.random.default_rng(seed))
        found[code] = Learner(seen, labelled, len(fit)).f1(seen_judged, judged)
    return found


def fault_rows(replications: int, seed: int, progress: Callable[..., None] | None = None) -> list[PlantedRow]:
    """All promises about annotators' faults, checked on `replications` draws of problems, sight and annotator."""
    rng = np.random.default_rng([seed, 71])
    groups = [solutions_of(problem, rng) for problem in draw_problems(rng, DRAWN)]
    measured = []
    for number in range(replications):
        if progress:
            progress("planting faults of annotators", number, replications, "step world")
        measured.append(replicate(groups, rng))
    f1 = {code: np.array([found[code] for found in measured]) for code in TITLES}
    rows = []
    for code in TITLES:
        lost = f1["SE710"] - f1[code]
        _, strength = FAULTS.get(code, ("", 0.0))
        planted = f"strength {strength:g}: F1 falls by {lost.mean():.2f} from {f1['SE710'].mean():.2f}"
        kept = lost >= HURTS[code] if code in HURTS else lost < HARMLESS
        if code == "SE710":
            planted, kept = (
                f"sight {SIGHT:.0%}: F1 {f1[code].mean():.2f}, at least {LEAST_CLEAN:g}",
                f1[code] >= LEAST_CLEAN,
            )
        rows.append(
            PlantedRow(
                code=code,
                title=TITLES[code],
                planted=planted,
                hits=int(kept.sum()),
                n=replications,
                least=0.8,
                most=1.0,
            )
        )
    return rows
