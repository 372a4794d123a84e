"""Whether the steps' scores agree with computation, where a step makes a claim that can be computed.

Axes: N steps that a computation settles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from karat.audit.reward.process.cases import Honest, Scores
from karat.numerics.clustered_auroc import clustered_auroc
from karat.numerics.intervals import UNDEFINED, Interval
from karat.rewards.kinds import plain_text

WITNESSES = 3


@dataclass(frozen=True, slots=True)
class Agreement:
    """Scores against what `karat.rewards.step_check` finds.

    Attributes:
        auroc: that a step whose claims hold scores above one with a claim that does not.
        n_right, n_wrong: steps that computation settles so; n_undefined: steps without a claim that it can check.
        contradicted: wrong steps with the highest scores: score and text.
        why_not: why nothing was compared, where that was a choice.
    """

    auroc: Interval
    n_right: int
    n_wrong: int
    n_undefined: int
    n_missing: int
    contradicted: tuple[tuple[float, str], ...]
    why_not: str = ""


UNCHECKED = Agreement(UNDEFINED, 0, 0, 0, 0, (), "the reward is this computation itself")


def agree(honest: Sequence[Honest], scores: Scores) -> Agreement:
    """Check every step of the solutions, and compare."""
    from karat.rewards.step_check import check_solution

    settled: list[tuple[float, bool, str, str]] = []
    n_undefined = n_missing = 0
    for each in honest:
        score_S = scores[each.place.problem][each.place.solution]
        checks = check_solution(plain_text(each.solution.prompt), each.solution.steps)
        for step, check, score in zip(each.solution.steps, checks, score_S, strict=True):
            if check.verdict == "undefined":
                n_undefined += 1
            elif score != score:
                n_missing += 1
            else:
                settled.append((float(score), check.verdict == "right", each.solution.prompt_id, step))
    right_N = np.array([row[1] for row in settled], dtype=bool)
    wrong = sorted(((score, step) for score, is_right, _, step in settled if not is_right), reverse=True)
    auroc = (
        clustered_auroc([row[0] for row in settled], right_N, np.array([row[2] for row in settled]))
        if settled
        else UNDEFINED
    )
    n_right = int(right_N.sum())
    return Agreement(auroc, n_right, len(settled) - n_right, n_undefined, n_missing, tuple(wrong[:WITNESSES]))
