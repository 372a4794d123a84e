"""Planted truth for the evaluation of process rewards: do its intervals hold, and does it see through positions?

A problem has two solutions of two to six steps. Half of them go wrong at a random step, and nothing is known behind it;
of those, three in ten reach the right answer all the same. The logit of a step is 1 where it is right and -1 where it
is wrong, plus a difficulty of the problem (sd 0.7), which makes the steps of a problem alike, plus noise (sd 1). The
truth is what 4,000 other problems show. The false verdicts are of a reward that scores where a step stands, and nothing
else, in solutions that go wrong at their last step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import expit

from karat.numerics.intervals import Interval
from karat.selftest.planted import PlantedRow, rows_of
from karat.train.process.first_errors import FirstErrors, assess_first_errors
from karat.train.process.measures import Thresholds
from karat.train.process.step_level import StepLevel, assess_step_level
from karat.types import NO_ERROR, StepSolution

PROBLEMS, TRUTH_PROBLEMS = 40, 4000
THRESHOLDS = Thresholds(step=0.4, first_error=0.4, split="none: planted")
TITLES = {
    "SE721": "Process rewards: 95 % interval of ProcessBench's F1 holds the truth",
    "SE722": "Process rewards: 95 % interval of the F1 of wrong steps holds the truth",
    "SE723": "Process rewards: 95 % interval of the steps' AUROC holds the truth",
    "SE724": "Process rewards: 95 % interval of lucky answers flagged, less false alarms, holds the truth",
    "SE725": "Process rewards: a reward that scores positions passes for one that reads the steps",
    "SE726": "Process rewards: a reward that reads the steps is told from rules that do not",
}
"""What each row promises."""


def process_interval_rows(
    replications: int, seed: int, progress: Callable[..., None] | None = None
) -> list[PlantedRow]:
    """The rows SE721 to SE726."""
    truth = _intervals(*_judged(*_solved(_rng(seed, 0), TRUTH_PROBLEMS), rng=_rng(seed, 0)))
    kept: dict[str, list[bool]] = {code: [] for code in TITLES}
    for replication in range(1, replications + 1):
        rng = _rng(seed, replication)
        steps, first = _judged(*_solved(rng, PROBLEMS), rng=rng)
        for code, found in _intervals(steps, first).items():
            kept[code].append(found.low <= truth[code].estimate <= found.high)
        blind = assess_step_level(*_positions(rng), THRESHOLDS, rng=rng)
        kept["SE725"].append(blind.auroc_gain.low > 0)  # what RM301 calls ok
        kept["SE726"].append(steps.auroc_gain.low > 0)
        if progress:
            progress("selftest: process intervals", replication, replications, "replications")
    promised = dict.fromkeys(TITLES, (0.92, 0.98)) | {"SE725": (0.0, 0.05), "SE726": (0.95, 1.0)}
    planted = dict.fromkeys(TITLES, f"{PROBLEMS} problems, two solutions each")
    planted["SE725"] = "errors at the last step, scores of positions"
    planted["SE726"] = f"{PROBLEMS} problems, logits 2 apart"
    return rows_of(kept, TITLES, planted, promised)


def _rng(seed: int, replication: int) -> np.random.Generator:
    return np.random.default_rng([seed, replication])


Scored = tuple[list[StepSolution], list[np.ndarray]]


def _solved(rng: np.random.Generator, n_problems: int) -> Scored:
    solutions, scores = [], []
    for problem in range(n_problems):
        ease = rng.normal(0, 0.7)
        for _ in range(2):
            n_steps = int(rng.integers(2, 7))
            first = int(rng.integers(n_steps)) if rng.random() < 0.5 else NO_ERROR
            is_right = first == NO_ERROR or rng.random() < 0.3
            solution = _solution(f"q{problem}", n_steps, first, float(is_right))
            side_S = np.where(np.array(solution.labels) == 0, -1.0, 1.0)
            solutions.append(solution)
            scores.append(expit(side_S + ease + rng.normal(0, 1, n_steps)))
    return solutions, scores


def _positions(rng: np.random.Generator) -> Scored:
    """Solutions that go wrong at their last step, where the score is lowest because it is the last."""
    solutions, scores = [], []
    for problem in range(PROBLEMS):
        for _ in range(2):
            n_steps = int(rng.integers(2, 7))
            first = n_steps - 1 if rng.random() < 0.5 else NO_ERROR
            solutions.append(_solution(f"q{problem}", n_steps, first, float(first == NO_ERROR)))
            remaining_S = np.arange(n_steps - 1, -1, -1)
            scores.append(expit(0.5 * remaining_S + rng.normal(0, 0.1, n_steps)))
    return solutions, scores


def _solution(problem: str, n_steps: int, first: int, final_right: float) -> StepSolution:
    label_S = np.ones(n_steps)
    if first != NO_ERROR:
        label_S[first], label_S[first + 1 :] = 0.0, np.nan
    steps = ("a step",) * n_steps
    return StepSolution(problem, steps, tuple(label_S), first, problem, final_right=final_right)


def _judged(
    solutions: Sequence[StepSolution], scores: Sequence[np.ndarray], *, rng: np.random.Generator
) -> tuple[StepLevel, FirstErrors]:
    return (
        assess_step_level(solutions, scores, THRESHOLDS, rng=rng),
        assess_first_errors(solutions, scores, THRESHOLDS, rng=rng),
    )


def _intervals(steps: StepLevel, first: FirstErrors) -> dict[str, Interval]:
    return {"SE721": first.f1, "SE722": steps.f1, "SE723": steps.auroc, "SE724": first.lucky.gain}
