"""Attribute heads: ratings with gaps beside preferences.

Axes: R responses, A attributes, P pairs.  A model has one head for each attribute, read at the same position; the
reward of response i is s_i = sum_a w_a r_ia with weights w that the user states. It learns from both kinds of data:

    loss of a pair (c, j) = Bradley-Terry(s_c - s_j) + 1/(2A) sum over i in {c, j}, a, z_ia given, of (r_ia - z_ia)^2

where z are the ratings in units of their own spread. A missing rating adds nothing, so where there are no ratings the
heads still learn, through their weighted sum, from the preference. Each rating given has the same weight, whichever
others are missing. A response in several pairs counts in each, with that pair's weight.

Squared error on ratings is the regression form of SteerLM and HelpSteer2 reward models (arXiv 2310.05344, 2406.08673);
their combination with a preference loss follows HelpSteer2-Preference (2410.01257).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from karat.errors import InputError


@dataclass(frozen=True, slots=True)
class RatingScale:
    """Mean and spread of each attribute in the training data; heads predict z = (rating - mean) / spread.

    So no attribute outweighs another by its unit, a head that starts at 0 starts at the mean rating, and one unit of
    an attribute's weight is one nat of reward per standard deviation of its rating.
    """

    mean_A: np.ndarray
    spread_A: np.ndarray

    def standardise(self, rating_RA: np.ndarray) -> np.ndarray:
        """Ratings (source units, shape (R, A), NaN where missing) in units of the heads; NaN stays NaN."""
        return np.asarray((rating_RA - self.mean_A) / self.spread_A)


def fit_rating_scale(rating_RA: np.ndarray, names: tuple[str, ...]) -> RatingScale:
    """Mean and standard deviation (ddof=1) of the ratings given, by attribute.

    Args:
        rating_RA: training ratings, source units, shape (R, A), NaN where missing.
        names: the attributes, for messages.
    Raises: InputError: a rating is infinite; an attribute has no two different ratings, so that it has no unit.
    """
    rating = np.asarray(rating_RA, dtype=np.float64)
    if rating.ndim != 2 or rating.shape[1] != len(names):
        raise InputError(f"rating_RA: shape {rating.shape}, must be (responses, {len(names)}): a column an attribute.")
    if np.isinf(rating).any():
        row, column = np.argwhere(np.isinf(rating))[0]
        raise InputError(
            f"ratings of {names[column]!r}: response {row} has {rating[row, column]}. Use NaN for missing."
        )
    mean_A, spread_A = np.zeros(len(names)), np.ones(len(names))
    for column, name in enumerate(names):
        given = rating[~np.isnan(rating[:, column]), column]
        if given.size == 0 or np.all(given == given[0]):
            raise InputError(
                f"attribute {name!r}: {given.size} of {len(rating)} responses are rated, all alike; "
                "nothing can be learned from it. Leave it out of --attributes."
            )
        mean_A[column], spread_A[column] = given.mean(), given.std(ddof=1)
    return RatingScale(mean_A=mean_A, spread_A=spread_A)


def rating_loss(head_RA: np.ndarray, rating_RA: np.ndarray) -> np.ndarray:
    """1/A times the squared errors of the heads against the ratings given, per response, shape (R,).

    Args:
        head_RA: what the heads say, shape (R, A).
        rating_RA: standardised ratings, shape (R, A), NaN where missing.
    Returns: 0 for a response without ratings.
    Raises: InputError: a head is not finite, or the shapes differ.
    """
    head, rating = np.asarray(head_RA, dtype=np.float64), np.asarray(rating_RA, dtype=np.float64)
    if head.shape != rating.shape or head.ndim != 2:
        raise InputError(f"head_RA has shape {head.shape}, rating_RA {rating.shape}; both must be (R, A).")
    if not np.isfinite(head).all():
        row, column = np.argwhere(~np.isfinite(head))[0]
        raise InputError(f"head_RA: response {row}, attribute {column} is {head[row, column]}. Re-score in float32.")
    return np.asarray(np.where(np.isnan(rating), 0.0, np.square(head - rating)).mean(axis=1))
