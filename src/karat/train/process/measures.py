"""Steps of solutions as arrays, rules that read nothing, and thresholds tuned on a part that is named.

A step is judged wrong where its score is below a threshold. The threshold decides the score, so it is tuned on other
problems than those it is judged by, and kept with its name.

Axes: P solutions, S steps of one solution, N labelled steps of all solutions, T thresholds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from karat.errors import InputError
from karat.numerics.process_accuracy import (
    NO_ERROR,
    best_threshold,
    candidate_thresholds,
    first_below,
    first_error_totals,
    negative_f1,
    process_f1,
    step_totals,
)
from karat.types import StepSolution

UNTUNED = 0.5
NOT_TUNED = "not tuned"


@dataclass(frozen=True, slots=True)
class LabelledSteps:
    """Steps that have a label and a score, of all solutions one after another.

    Attributes:
        score_N: probability that the step is right; label_N: what it is said to be.
        owner_N: index of the solution; index_N: of the step in it.
        n_missing: steps with a label and no score.
    """

    score_N: np.ndarray
    label_N: np.ndarray
    owner_N: np.ndarray
    index_N: np.ndarray
    n_missing: int

    @property
    def is_decided(self) -> np.ndarray:
        """Whether the label is no tie of right and wrong, shape (N,)."""
        return np.asarray(self.label_N != 0.5)

    def pick(self, value_PS: Sequence[np.ndarray]) -> np.ndarray:
        """Other values of the same steps, (N,), from values of every solution's steps, (S,) each."""
        found = [value_PS[owner][at] for owner, at in zip(self.owner_N, self.index_N, strict=True)]
        return np.asarray(found, dtype=np.float64)


def labelled_steps(solutions: Sequence[StepSolution], score_PS: Sequence[np.ndarray]) -> LabelledSteps:
    """Raises InputError: not one score a step, or one that is no probability."""
    require_scores(solutions, score_PS)
    score = np.concatenate([np.asarray(score_S, dtype=np.float64) for score_S in score_PS] or [np.zeros(0)])
    label = np.array([value for solution in solutions for value in solution.labels], dtype=np.float64)
    owner = np.repeat(np.arange(len(solutions)), [len(solution.steps) for solution in solutions])
    index = np.array([at for solution in solutions for at in range(len(solution.steps))], dtype=np.int64)
    is_labelled, is_scored = ~np.isnan(label), ~np.isnan(score)
    used = is_labelled & is_scored
    return LabelledSteps(score[used], label[used], owner[used], index[used], int((is_labelled & ~is_scored).sum()))


def require_scores(solutions: Sequence[StepSolution], score_PS: Sequence[np.ndarray]) -> None:
    """Raises InputError: not one score a step, or one that is no probability."""
    if len(solutions) != len(score_PS):
        raise InputError(f"{len(score_PS)} solutions have scores, and there are {len(solutions)}; give each its own.")
    for number, (solution, score_S) in enumerate(zip(solutions, score_PS, strict=True)):
        score = np.asarray(score_S, dtype=np.float64)
        if score.shape != (len(solution.steps),):
            raise InputError(
                f"solution {number} (row {solution.row}) has {len(solution.steps)} steps and scores of shape "
                f"{score.shape}; give one score a step, NaN where it is missing."
            )
        if bool(((score < 0) | (score > 1)).any()):
            raise InputError(
                f"solution {number} (row {solution.row}) has a score outside [0, 1]; give the probability that the "
                "step is right."
            )


def judged_solutions(solutions: Sequence[StepSolution], score_PS: Sequence[np.ndarray]) -> np.ndarray:
    """Indices of the solutions whose first wrong step is known and all of whose steps have a score."""
    return np.array(
        [
            index
            for index, (solution, score_S) in enumerate(zip(solutions, score_PS, strict=True))
            if solution.first_error is not None and not np.isnan(score_S).any()
        ],
        dtype=np.int64,
    )


# ----------------------------------------------------------------------------------------------------------- rules
def _position(solution: StepSolution) -> np.ndarray:
    return -np.arange(len(solution.steps), dtype=np.float64)


def _remaining(solution: StepSolution) -> np.ndarray:
    return np.arange(len(solution.steps) - 1, -1, -1, dtype=np.float64)


def _length(solution: StepSolution) -> np.ndarray:
    return np.array([len(step) for step in solution.steps], dtype=np.float64)


def rule_scores(solution: StepSolution) -> dict[str, np.ndarray]:
    """Scores of a solution's steps, (S,) each, by rules that do not read them; higher: more likely right."""
    length_S = _length(solution)
    return {
        "late steps wrong": _position(solution),
        "last steps wrong": _remaining(solution),
        "short steps wrong": length_S,
        "long steps wrong": -length_S,
    }


RULES = ("late steps wrong", "last steps wrong", "short steps wrong", "long steps wrong")


# -------------------------------------------------------------------------------------------------------- thresholds
@dataclass(frozen=True, slots=True)
class Thresholds:
    """Scores below which a step counts as wrong, and where they come from.

    Attributes:
        step: for F1 of the wrong steps; first_error: for ProcessBench's F1.
        split: name of the part that they were tuned on; NOT_TUNED: they are one half.
        untuned: which of the two stayed at one half all the same, since that part does not define them.
        n_solutions, n_problems: of that part.
        rules: (step, first_error) of each rule that reads nothing, tuned on the same part; empty: to be tuned on the
            solutions that are judged, which favours the rules.
    """

    step: float = UNTUNED
    first_error: float = UNTUNED
    split: str = NOT_TUNED
    untuned: tuple[str, ...] = ()
    n_solutions: int = 0
    n_problems: int = 0
    rules: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def part(self) -> str:
        """Name and size of the part; which threshold it leaves untuned."""
        if self.split == NOT_TUNED:
            return f"{NOT_TUNED}, one half"
        part = f"{self.split}: {self.n_solutions} solutions of {self.n_problems} problems"
        return f"{part}; that of {' and '.join(self.untuned)} not, one half" if self.untuned else part

    @property
    def where(self) -> str:
        """The part in words."""
        return self.part if self.split == NOT_TUNED else f"tuned on {self.part}"

    def facts(self) -> dict[str, object]:
        """For the manifest."""
        return {
            "step": self.step,
            "first_error": self.first_error,
            "split": self.split,
            "untuned": list(self.untuned),
            "solutions": self.n_solutions,
            "problems": self.n_problems,
        }


def tune_thresholds(solutions: Sequence[StepSolution], score_PS: Sequence[np.ndarray], *, split: str) -> Thresholds:
    """Thresholds that are best on these solutions; one half where these do not hold what a threshold parts: right and
    wrong steps, or solutions with a wrong step and without.

    Args:
        score_PS: of each solution's steps, (S,) each.
        split: what these solutions are called.
    """
    require_scores(solutions, score_PS)
    best = dict(zip(("step", "first_error"), _best(solutions, score_PS), strict=True))
    untuned = tuple(name for name, value in best.items() if math.isnan(value))
    if len(untuned) == len(best):
        return Thresholds()
    return Thresholds(
        **{name: UNTUNED if name in untuned else value for name, value in best.items()},
        split=split,
        untuned=untuned,
        n_solutions=len(solutions),
        n_problems=len({solution.prompt_id for solution in solutions}),
        rules=tune_rules(solutions),
    )


def tune_rules(solutions: Sequence[StepSolution]) -> dict[str, tuple[float, float]]:
    """The thresholds of each rule that are best on these solutions; NaN where undefined."""
    scored = [rule_scores(solution) for solution in solutions]
    return {rule: _best(solutions, [each[rule] for each in scored]) for rule in RULES}


def _best(solutions: Sequence[StepSolution], score_PS: Sequence[np.ndarray]) -> tuple[float, float]:
    """Thresholds with the largest F1 of the wrong steps, and the largest F1 of ProcessBench; NaN where undefined."""
    used = [index for index, score_S in enumerate(score_PS) if not np.isnan(score_S).all()]
    if not used:
        return math.nan, math.nan
    known = [score_PS[index][~np.isnan(score_PS[index])] for index in used]
    threshold_T = candidate_thresholds(known)
    counts = [wrong_counts(solutions[index], score_PS[index], threshold_T) for index in used]
    step = best_threshold(np.stack(counts, axis=1), threshold_T, _f1_of_both_kinds)
    judged = judged_solutions(solutions, score_PS)
    if not judged.size:
        return step, math.nan
    predicted_PT = np.stack([first_below(score_PS[index], threshold_T) for index in judged])
    label_P = np.array([solutions[index].first_error for index in judged])
    total_TPC = np.stack([first_error_totals(predicted_P, label_P) for predicted_P in predicted_PT.T])
    return step, best_threshold(total_TPC, threshold_T, process_f1)


def _f1_of_both_kinds(total_C: np.ndarray) -> np.ndarray:
    """`negative_f1`; NaN without right steps too, where the best threshold is the one that flags whatever comes."""
    return np.where(total_C[..., 0] + total_C[..., 3] == 0, np.nan, negative_f1(total_C))


def wrong_counts(solution: StepSolution, score_S: np.ndarray, threshold_T: np.ndarray) -> np.ndarray:
    """Confusion counts of a solution's decided and scored steps at each threshold, shape (T, 4), see `step_totals`."""
    label_S = np.asarray(solution.labels, dtype=np.float64)
    used = ~np.isnan(label_S) & (label_S != 0.5) & ~np.isnan(score_S)
    return step_totals(score_S[used], label_S[used] < 0.5, threshold_T)


def predicted_first_errors(score_PS: Sequence[np.ndarray], threshold: float) -> np.ndarray:
    """Index of the first step below the threshold, or NO_ERROR, shape (P,)."""
    found = [int(first_below(score_S, np.array([threshold]))[0]) for score_S in score_PS]
    return np.array(found, dtype=np.int64) if found else np.full(0, NO_ERROR)
