"""Whole solutions: how the aggregates of the steps' scores go with the final answer, and what best of n chooses.

Axes: P solutions, S steps of one solution, Q problems.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from karat.numerics.clustered_auroc import auroc_difference, clustered_auroc
from karat.numerics.intervals import UNDEFINED, Interval, clustered_proportion, paired_difference
from karat.numerics.process_aggregation import AGGREGATES
from karat.numerics.process_aggregation import aggregate as aggregated
from karat.train.process.step_level import with_both_kinds
from karat.types import StepSolution

OUTCOME, MAJORITY, RANDOM, ANY = "outcome reward", "majority of answers", "random", "any right"


@dataclass(frozen=True, slots=True, kw_only=True)
class SolutionLevel:
    """Solutions whose final answer is known to be right or wrong and all of whose steps have a score.

    Attributes:
        aggregate: the reward's own.
        n_solutions, n_right: of them, and with the right answer; n_missing: others that lack a step's score.
        auroc: of each aggregate (and of the outcome reward at the last step, where there is one) against the answer.
        outcome_gain: AUROC of the reward's own aggregate less the outcome reward's.
        n_choices: problems with at least two of these solutions.
        best_of_n: chance that the answer chosen is right, by what chooses: an aggregate, the outcome reward, the
            majority of the stated answers, random; and whether any is. Equal scores share the choice.
        choice_gain: of the reward's own aggregate less random; outcome_choice_gain: less the outcome reward.
        mean_n: mean number of solutions to choose among.
    """

    aggregate: str
    n_solutions: int
    n_right: int
    n_missing: int
    auroc: Mapping[str, Interval]
    outcome_gain: Interval
    n_choices: int
    mean_n: float
    best_of_n: Mapping[str, Interval]
    choice_gain: Interval
    outcome_choice_gain: Interval

    def intervals(self) -> dict[str, Interval]:
        """By names for the JSON output."""
        return {
            "solution_auroc": self.auroc[self.aggregate],
            "solution_auroc_outcome": self.auroc.get(OUTCOME, UNDEFINED),
            "solution_auroc_outcome_gain": self.outcome_gain,
            "best_of_n": self.best_of_n.get(self.aggregate, UNDEFINED),
            "best_of_n_random": self.best_of_n.get(RANDOM, UNDEFINED),
            "best_of_n_majority": self.best_of_n.get(MAJORITY, UNDEFINED),
            "best_of_n_outcome": self.best_of_n.get(OUTCOME, UNDEFINED),
            "best_of_n_gain": self.choice_gain,
            "best_of_n_outcome_gain": self.outcome_choice_gain,
        }


def assess_solutions(
    solutions: Sequence[StepSolution],
    score_PS: Sequence[np.ndarray],
    *,
    rng: np.random.Generator,
    aggregate: str,
    outcome_PS: Sequence[np.ndarray] | None = None,
) -> SolutionLevel:
    """Arguments and errors as `evaluate_steps`."""
    known = [index for index, solution in enumerate(solutions) if not np.isnan(solution.final_right)]
    others = outcome_PS if outcome_PS is not None else score_PS
    used = [i for i in known if not np.isnan(score_PS[i]).any() and not np.isnan(others[i][-1])]
    right_P = np.array([solutions[i].final_right for i in used], dtype=np.float64)
    prompt_P = np.array([solutions[i].prompt_id for i in used], dtype=str)
    score = {how: np.array([aggregated(score_PS[i], how) for i in used], dtype=np.float64) for how in AGGREGATES}
    if outcome_PS is not None:
        score[OUTCOME] = np.array([outcome_PS[i][-1] for i in used], dtype=np.float64)
    is_right_P = right_P >= 0.5
    chosen = _choices([solutions[i] for i in used], score, right_P, prompt_P)
    problem_Q = np.unique(prompt_P)[np.unique(prompt_P, return_counts=True)[1] > 1]

    def less(other: str) -> Interval:
        if other not in chosen or not problem_Q.size:
            return UNDEFINED
        return paired_difference(chosen[aggregate], chosen[other], problem_Q, rng=rng)

    return SolutionLevel(
        aggregate=aggregate,
        n_solutions=len(used),
        n_right=int(is_right_P.sum()),
        n_missing=len(known) - len(used),
        auroc={
            name: with_both_kinds(clustered_auroc(value_P, is_right_P, prompt_P), is_right_P, prompt_P)
            for name, value_P in score.items()
        },
        outcome_gain=with_both_kinds(
            auroc_difference(score[aggregate], score[OUTCOME], is_right_P, prompt_P), is_right_P, prompt_P
        )
        if OUTCOME in score
        else UNDEFINED,
        n_choices=problem_Q.size,
        mean_n=float(np.isin(prompt_P, problem_Q).sum() / problem_Q.size) if problem_Q.size else float("nan"),
        best_of_n={name: clustered_proportion(value_Q, problem_Q) for name, value_Q in chosen.items()},
        choice_gain=less(RANDOM),
        outcome_choice_gain=less(OUTCOME),
    )


def _choices(
    solutions: Sequence[StepSolution], score: Mapping[str, np.ndarray], right_P: np.ndarray, prompt_P: np.ndarray
) -> dict[str, np.ndarray]:
    """Chance that the chosen answer is right, (Q,) each, for every problem with at least two solutions."""
    found: dict[str, list[float]] = {name: [] for name in (*score, MAJORITY, RANDOM, ANY)}
    for problem, count in zip(*np.unique(prompt_P, return_counts=True), strict=True):
        if count < 2:
            continue
        at = np.flatnonzero(prompt_P == problem)
        for name, value_P in score.items():
            best = at[value_P[at] == value_P[at].max()]
            found[name].append(float(right_P[best].mean()))
        found[MAJORITY].append(_majority([solutions[int(i)] for i in at], right_P[at]))
        found[RANDOM].append(float(right_P[at].mean()))
        found[ANY].append(float(right_P[at].max()))
    return {name: np.array(values) for name, values in found.items() if values}


def _majority(solutions: Sequence[StepSolution], right_P: np.ndarray) -> float:
    """Chance of a right answer where the largest set of solutions that state the same answer is followed.

    Answers are the last that a text states, compared as values; a text that states none is a set of its own. Equally
    large sets share the choice.
    """
    from karat.rewards.step_check import same_answer
    from karat.train.labelling.answers import final_answer

    stated = [final_answer("\n".join(solution.steps)) for solution in solutions]
    sets: list[list[int]] = []
    for index, answer in enumerate(stated):
        alike = (members for members in sets if answer and same_answer(stated[members[0]], answer))
        found = next(alike, None)
        if found is None:
            sets.append([index])
        else:
            found.append(index)
    largest = max(map(len, sets))
    return float(np.mean([right_P[members].mean() for members in sets if len(members) == largest]))
