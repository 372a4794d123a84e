"""From the scores of a solution's steps to one score of the solution, and to what each step is paid.

Axes: S steps of one solution, T tokens.

Which aggregate fits which labels (Zhang et al. 2025, arXiv 2501.07301, section 4): scores learned from labels of
correctness (people, judges, computation) say whether a step is right, so that a solution is as good as its weakest step
(`min`) or as its steps together (`product`). Scores learned from Monte-Carlo rollouts are values, the chance of a right
end from here: the last one says all (`last`), and a minimum throws later evidence away.

`sum` and `mean` are here because they are in use. A sum pays for each further step, so that steps are multiplied
(Cheng et al. 2025, arXiv 2504.15275, which take the minimum instead).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from karat.errors import InputError

Aggregate = Literal["min", "product", "last", "mean", "sum"]
AGGREGATES: tuple[str, ...] = get_args(Aggregate)
LABELS = ("correctness", "monte-carlo")
"""What labels say of a step: that it is right (people, judges, computation); how often rollouts from it end right."""

_AGGREGATE: dict[str, Callable[[np.ndarray], np.floating]] = {
    "min": np.min,
    "product": np.prod,
    "last": lambda prob_S: prob_S[-1],
    "mean": np.mean,
    "sum": np.sum,
}


@dataclass(frozen=True, slots=True)
class Advice:
    """An aggregate and why."""

    aggregate: str
    reason: str


def advice(labels: str) -> Advice:
    """Which aggregate fits scores that were learned from such labels (the module's docstring has the source).

    Args:
        labels: one of LABELS; empty: not known, taken as correctness.
    Raises: InputError: no such labels.
    """
    if labels == "monte-carlo":
        return Advice("last", "the score of a step is a value, the chance of a right end; the last one says all")
    if labels in ("correctness", ""):
        unknown = "" if labels else "what the labels say is not known; taken as correctness: "
        return Advice(
            "min", f"{unknown}the score of a step says whether it is right; a chain is as good as its weakest"
        )
    raise InputError(f"labels: there are none called {labels!r}; there are: {', '.join(LABELS)}.")


def aggregate(prob_S: ArrayLike, how: str) -> float:
    """Score of a solution.

    Args:
        prob_S: probability that each step is right, in [0, 1], shape (S,).
        how: one of AGGREGATES.
    Returns: in [0, 1], or [0, S] for `sum`; NaN where a step's probability is NaN: a missing step is no right one.
    Raises: InputError: no steps, a probability out of range, no such aggregate.
    """
    if how not in _AGGREGATE:
        raise InputError(f"aggregate: there is no {how!r}; there are: {', '.join(AGGREGATES)}.")
    prob = _checked(prob_S)
    return float(_AGGREGATE[how](prob))


def _checked(prob_S: ArrayLike) -> np.ndarray:
    prob = np.asarray(prob_S, dtype=np.float64)
    if prob.ndim != 1 or prob.size == 0:
        raise InputError(f"prob_S: shape {prob.shape}; give the scores of one solution, at least one step.")
    bad = np.flatnonzero((prob < 0) | (prob > 1))
    if bad.size:
        raise InputError(
            f"prob_S: {bad.size} of {prob.size} are no probabilities (first: step {bad[0]}, {prob[bad[0]]:g}). Give "
            "probabilities, as score_steps returns them, not logits."
        )
    return prob
