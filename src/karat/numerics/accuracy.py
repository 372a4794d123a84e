"""How well scores order preference pairs, and what length alone would score.

Axes: P pairs.  Margins are reward(chosen) - reward(rejected). A tie counts one half, here and everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from karat.errors import InputError
from karat.numerics.intervals import Interval, clustered_proportion, paired_difference
from karat.numerics.validation import finite_vector, require, require_same_length

RESCORE = "Re-score those pairs in float32, or drop them and report the count."


RANDOM_ACCURACY = 0.5
Rule = Literal["longer", "shorter", "random"]


@dataclass(frozen=True, slots=True)
class Slice:
    """Accuracy on some of the pairs, beside what content-blind rules score on the same pairs.

    Attributes:
        accuracy: with the interval of `clustered_proportion`.
        longer, shorter: accuracy of "the longer wins" and "the shorter wins"; NaN for no pairs.
        rule: the content-blind rule to compare with: "longer", "shorter" or "random" (one half).
        baseline: accuracy of that rule here; NaN for no pairs.
        gain: accuracy less the baseline, paired, with the interval of `paired_difference`.
    """

    name: str
    n_pairs: int
    accuracy: Interval
    longer: float
    shorter: float
    rule: Rule
    baseline: float
    gain: Interval


def pair_outcome(margin_P: ArrayLike, *, tie_tol: float = 0.0) -> np.ndarray:
    """1 where `chosen` scores higher, 0 where lower, 0.5 for a tie.

    Args:
        margin_P: reward(chosen) - reward(rejected), reward units, shape (P,).
        tie_tol: |margin| <= tie_tol is a tie; reward units.
    Returns: shape (P,).
    Raises: InputError: a margin is not finite, or the tolerance is negative.
    """
    margin = finite_vector("margin_P", margin_P, RESCORE)
    if not tie_tol >= 0:
        raise InputError(f"tie_tol = {tie_tol}: must be 0 or more, in reward units.")
    return np.where(np.abs(margin) <= tie_tol, 0.5, (margin > 0).astype(np.float64))


def pair_accuracy(margin_P: ArrayLike, *, tie_tol: float = 0.0) -> float:
    """Fraction of pairs ordered as labelled; a tie counts one half. NaN for no pairs.

    Args and Raises: as `pair_outcome`.
    """
    outcome_P = pair_outcome(margin_P, tie_tol=tie_tol)
    return float(outcome_P.mean()) if outcome_P.size else float("nan")


def tie_rate(margin_P: ArrayLike, *, tie_tol: float = 0.0) -> float:
    """Fraction of pairs whose two scores are equal within the tolerance; NaN for no pairs.

    Args and Raises: as `pair_outcome`.
    """
    outcome_P = pair_outcome(margin_P, tie_tol=tie_tol)
    return float(np.mean(outcome_P == 0.5)) if outcome_P.size else float("nan")


def longer_outcome(length_chosen_P: ArrayLike, length_rejected_P: ArrayLike) -> np.ndarray:
    """What "the longer is better" scores on each pair, 1, 0 or 0.5 for equal lengths; the shorter scores the rest.

    Args:
        length_chosen_P, length_rejected_P: lengths in any one unit, >= 0, shape (P,).
    Returns: shape (P,); its mean is the longer-wins baseline, one minus it the shorter-wins baseline.
    Raises: InputError: a length is not finite or negative, or the numbers of lengths differ.
    """
    return pair_outcome(length_gap(length_chosen_P, length_rejected_P))


def length_gap(length_chosen_P: ArrayLike, length_rejected_P: ArrayLike) -> np.ndarray:
    """length(chosen) - length(rejected), shape (P,), in the unit of the lengths.

    Raises: InputError: a length is not finite or negative, or the numbers of lengths differ.
    """
    lengths = []
    for name, value in (("length_chosen_P", length_chosen_P), ("length_rejected_P", length_rejected_P)):
        length = finite_vector(name, value, "Count the tokens or characters of every response.")
        require(name, length, length >= 0, "are negative. Count the tokens or characters of every response.")
        lengths.append(length)
    require_same_length(length_chosen_P=lengths[0], length_rejected_P=lengths[1])
    return np.asarray(lengths[0] - lengths[1])


def tercile(value_P: ArrayLike) -> tuple[np.ndarray, tuple[float, float]]:
    """Thirds of the values: 0 lowest, 1 middle, 2 highest, and the two cut points.

    A value equal to a cut point goes to the lower side, so that equal values stay together; thirds are then unequal.

    Returns: codes, shape (P,), int; the values at one third and two thirds (NaN for no values).
    Raises: InputError: a value is not finite.
    """
    value = finite_vector("value_P", value_P, "Drop those items.")
    if value.size == 0:
        return np.zeros(0, dtype=np.int64), (float("nan"), float("nan"))
    low, high = np.quantile(value, (1 / 3, 2 / 3), method="inverted_cdf")
    return (value > low).astype(np.int64) + (value > high), (float(low), float(high))


def best_rule(longer_P: ArrayLike) -> Rule:
    """The content-blind rule that is right most often; random where neither length beats one half.

    To be chosen on all pairs and then held in every slice: within pairs chosen by length, a length rule is right
    always or never. Picking the best after the fact favours the baseline, if anything.

    Args:
        longer_P: what "the longer wins" scores (see `longer_outcome`), shape (P,).
    """
    longer = finite_vector("longer_P", longer_P, "Count the tokens or characters of every response.")
    mean = float(longer.mean()) if longer.size else RANDOM_ACCURACY
    if mean == RANDOM_ACCURACY:
        return "random"
    return "longer" if mean > RANDOM_ACCURACY else "shorter"


def compare_with_rule(
    name: str,
    outcome_P: ArrayLike,
    longer_P: ArrayLike,
    cluster_P: ArrayLike,
    *,
    rule: Rule,
    rng: np.random.Generator,
) -> Slice:
    """Accuracy on these pairs beside the content-blind rules, and its paired difference to one of them.

    Args:
        name: of the slice.
        outcome_P: 1 right, 0 wrong, 0.5 a tie (see `pair_outcome`), shape (P,).
        longer_P: what "the longer wins" scores (see `longer_outcome`), shape (P,).
        cluster_P: prompt of each pair, shape (P,).
        rule: the rule to compare with (see `best_rule`).
        rng: source of the bootstrap over prompts.
    Raises: InputError: a value outside [0, 1], or the lengths differ.
    """
    outcome = finite_vector("outcome_P", outcome_P, "Leave unscored pairs out and count them.")
    longer = finite_vector("longer_P", longer_P, "Count the tokens or characters of every response.")
    require_same_length(outcome_P=outcome, longer_P=longer)
    blind = {"random": np.full_like(outcome, RANDOM_ACCURACY), "longer": longer, "shorter": 1 - longer}
    mean = {name: float(value.mean()) if value.size else float("nan") for name, value in blind.items()}
    return Slice(
        name=name,
        n_pairs=outcome.size,
        accuracy=clustered_proportion(outcome, cluster_P),
        longer=mean["longer"],
        shorter=mean["shorter"],
        rule=rule,
        baseline=mean[rule],
        gain=paired_difference(outcome, blind[rule], cluster_P, rng=rng),
    )
