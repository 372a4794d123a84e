"""What the style of a response predicts of its score, within prompts: a sum over counted features.

Axes: R responses, F features.

score = effect of the prompt + sum_f weight_f log(1 + count_f) + rest, by ridge regression. The logarithm, because the
tenth list item says less than the first. Like the length's (`length_trend`), the trend is a function of one response,
and what goes with style deservedly is in it too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from karat.errors import InputError
from karat.numerics.validation import cluster_codes, finite_vector

RIDGE = 10.0
"""Weight of the penalty, in responses: each feature is held at 0 as if by that many responses one deviation apart."""


@dataclass(frozen=True, slots=True)
class StyleTrend:
    """A sum over features.

    Attributes:
        names: of the features; weight_F: score units for one unit of log(1 + count).
        centre: taken away, so that the mean over the responses that it was fitted to is 0.
    """

    names: tuple[str, ...]
    weight_F: tuple[float, ...]
    centre: float = 0.0

    def __call__(self, count_RF: np.ndarray) -> np.ndarray:
        """The trend of responses with these counts, columns as `names`, shape (R,)."""
        return np.asarray(np.log1p(count_RF) @ np.array(self.weight_F) - self.centre)

    def parts(self, count_RF: np.ndarray) -> np.ndarray:
        """The features' shares in it, shape (R, F), without the centre."""
        return np.asarray(np.log1p(count_RF) * np.array(self.weight_F))

    def scaled(self, share_F: np.ndarray, count_RF: np.ndarray) -> StyleTrend:
        """The same with a share of each weight, centred over these responses."""
        weight_F = np.array(self.weight_F) * share_F
        centre = float((np.log1p(count_RF) @ weight_F).mean()) if len(count_RF) else 0.0
        return StyleTrend(self.names, tuple(weight_F.tolist()), centre)


def fit_style_trend(
    score_R: ArrayLike, count_RF: np.ndarray, prompt_R: ArrayLike, names: tuple[str, ...]
) -> StyleTrend:
    """The trend of a score over counts, within prompts; a feature that never varies there has weight 0.

    Args:
        score_R: finite, shape (R,); count_RF: 0 or more.
    Raises: InputError: a score is missing, a count is negative or missing, or the shapes do not fit.
    """
    y = finite_vector("score_R", score_R, "Leave out responses without a score.")
    count = np.asarray(count_RF, np.float64)
    if count.shape != (y.size, len(names)):
        raise InputError(f"count_RF: shape {count.shape}, must be ({y.size}, {len(names)}): a column a feature.")
    if not (np.isfinite(count).all() and (count >= 0).all()):
        raise InputError("count_RF: a count is negative or missing. Give counts, 0 or more.")
    code_R, n_prompts = cluster_codes(prompt_R, y.size)
    x_RF = np.log1p(count)
    apart_RF = np.stack([_within(column, code_R, n_prompts) for column in x_RF.T], axis=1) if names else x_RF
    scale_F = np.sqrt((apart_RF**2).mean(axis=0)) if y.size else np.zeros(len(names))
    varies_F = scale_F > 1e-9
    weight_F = np.zeros(len(names))
    if varies_F.any():
        z_RF = apart_RF[:, varies_F] / scale_F[varies_F]
        gram = z_RF.T @ z_RF + RIDGE * np.eye(z_RF.shape[1])
        weight_F[varies_F] = np.linalg.solve(gram, z_RF.T @ _within(y, code_R, n_prompts)) / scale_F[varies_F]
    centre = float((x_RF @ weight_F).mean()) if y.size else 0.0
    return StyleTrend(names, tuple(weight_F.tolist()), centre)


def _within(value_R: np.ndarray, code_R: np.ndarray, n_prompts: int) -> np.ndarray:
    """Less the mean of the prompt."""
    total_P, size_P = np.bincount(code_R, weights=value_R, minlength=n_prompts), np.bincount(code_R)
    return np.asarray(value_R - (total_P / size_P)[code_R])
