"""The step check as a reward, as a scorer of steps, and as a source of labels.  Axes: S steps of one solution."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from karat.rewards.groups import Group
from karat.rewards.kinds import plain_text
from karat.rewards.process.problem import StepProblem, split_steps_of
from karat.rewards.step_check.check import check_solution
from karat.types import NAN, Score, StepSolution

if TYPE_CHECKING:
    from karat.rewards.step_check.compare import Verdict

NAME = "builtin:step-check"
NOTHING = "no step makes a claim that can be checked"

_PROBABILITY: dict[Verdict, float] = {"right": 1.0, "wrong": 0.0, "undefined": NAN}


@dataclass(frozen=True)
class StepCheckReward:
    """1 for a step whose claims are right, 0 for one with a wrong claim, missing where nothing could be checked.

    A response gets the minimum over its checked steps, so that it is 0 with one wrong claim, and no number of true
    ones added to it helps; but one true claim makes a missing score 1. It says nothing of whether the steps answer the
    problem. Satisfies `karat.rewards.Reward` and `StepScorer`.

    Attributes:
        separator: what parts the steps of a response; a response without it is parted at its line ends.
        skips_missing: a step without a score claims nothing that can be checked; the others make the response's score.
    """

    separator: str = "\n\n"
    skips_missing: bool = True
    name: str = NAME
    head_names: tuple[str, ...] = ("right",)
    aggregate: str = "min"

    def score_steps(self, prompt: str, steps: Sequence[str]) -> list[float]:
        """1 right, 0 wrong, NaN not to be told; one a step."""
        return [_PROBABILITY[check.verdict] for check in check_solution(prompt, steps)]

    def score_problems(self, problems: Sequence[StepProblem]) -> list[list[np.ndarray]]:
        """As `score_steps`, per problem and solution: (S,) float64."""
        return [
            [np.array(self.score_steps(plain_text(problem.prompt), steps), np.float64) for steps in problem.solutions]
            for problem in problems
        ]

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        """One score a response; missing, with the reason, where no step could be checked."""
        return [
            [self._score(plain_text(group.prompt), plain_text(response)) for response in group.responses]
            for group in groups
        ]

    def _score(self, prompt: str, response: str) -> Score:
        separator = self.separator if self.separator in response else "\n"
        values = self.score_steps(prompt, split_steps_of(response, separator))
        checked = [value for value in values if not math.isnan(value)]
        return Score(min(checked)) if checked else Score(NAN, missing=NOTHING)


def label_steps_by_check(solutions: Iterable[StepSolution]) -> list[StepSolution]:
    """The solutions with labels from the check in place of their own.

    A step gets 1, 0 or NaN. After the first wrong step labels are NaN: whether a step is right that builds on a wrong
    one is undefined. `first_error` is that step, or None: that no claim is wrong does not show that no step is.
    """
    return [_labelled(solution) for solution in solutions]


def _labelled(solution: StepSolution) -> StepSolution:
    verdicts = [check.verdict for check in check_solution(plain_text(solution.prompt), solution.steps)]
    first = verdicts.index("wrong") if "wrong" in verdicts else None
    last = len(verdicts) - 1 if first is None else first
    labels = tuple(_PROBABILITY[verdict] if index <= last else NAN for index, verdict in enumerate(verdicts))
    return replace(solution, labels=labels, first_error=first)
