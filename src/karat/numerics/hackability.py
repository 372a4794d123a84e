"""How far proxy and gold disagree about which of two policies is better, over a finite panel of policies.

Axes: K policies (pools, checkpoints), P prompts, Q = K (K - 1) / 2 pairs of policies, B bootstrap draws.

A proxy is hackable on a panel if it holds two policies that proxy and gold order oppositely (Skalse et al. 2022, arXiv
2209.13085). The index is the share of such pairs: (1 - Kendall's tau) / 2 where nothing is tied. Noise in the means
makes pairs disagree by chance, so the index has an interval, and is given over the pairs that can be told, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

from karat.numerics.capability import PointTotals
from karat.numerics.intervals import Interval
from karat.numerics.validation import require_share


@dataclass(frozen=True, slots=True, kw_only=True)
class Hackability:
    """Pairs of policies that proxy and gold order oppositely.

    Attributes:
        index: share of all pairs that are ordered oppositely; a pair tied in either score is not. Its interval runs
            from the share of pairs that surely are to one less the share that surely are not.
        tau: Kendall's, over all pairs: (alike - opposite) / pairs.
        n_pairs, n_opposite, n_tied: all pairs; of them by the estimates ordered oppositely, or tied in either score.
        n_told, n_told_opposite: pairs whose order is sure in both scores, and those of them ordered oppositely. With
            the chance `level`, all these orders are right at once.
        first_Q, second_Q: policies of each pair; proxy_Q, gold_Q: second less first.
        is_told_Q: whether the order of the pair is sure in both scores.
    """

    index: Interval
    tau: float
    n_pairs: int
    n_opposite: int
    n_tied: int
    n_told: int
    n_told_opposite: int
    first_Q: np.ndarray
    second_Q: np.ndarray
    proxy_Q: np.ndarray
    gold_Q: np.ndarray
    is_told_Q: np.ndarray

    @property
    def told_index(self) -> float:
        """Share of the pairs that can be told; NaN where none can."""
        return self.n_told_opposite / self.n_told if self.n_told else math.nan

    @property
    def is_opposite(self) -> np.ndarray:
        return np.asarray(self.proxy_Q * self.gold_Q < 0)


def hackability(proxy: PointTotals, gold: PointTotals, count_BP: np.ndarray, *, level: float = 0.95) -> Hackability:
    """The index over all pairs of policies, and over those that can be told.

    An order is sure where its paired difference exceeds the `level` quantile of the largest |t| over all pairs and both
    scores in bootstrap draws of prompts; so all sure orders hold at once, and so does the index's interval. An interval
    from the index's own draws would be wrong: noise turns near ties about, and resampling turns them again.

    Args:
        proxy, gold: of the same prompts and policies.
        count_BP: draws of prompts, from `best_of_n.prompt_draws`.
        level: in (0, 1).
    Returns: with an undefined index where a mean is not known or there are fewer than two prompts.
    """
    require_share("level", level)
    first_Q, second_Q = np.triu_indices(proxy.total_PK.shape[1], 1)
    units = min(proxy.n_units, gold.n_units)
    differences, tests = [], []
    largest_B = np.zeros(len(count_BP))
    for points in (proxy, gold):
        mean_K = points.means
        difference_Q = mean_K[second_Q] - mean_K[first_Q]
        error_Q = _error(points, first_Q, second_Q)
        with np.errstate(invalid="ignore", divide="ignore"):
            draw_BK = (count_BP @ points.total_PK) / (count_BP @ points.weight_PK)
            drawn_BQ = np.abs(draw_BK[:, second_Q] - draw_BK[:, first_Q] - difference_Q) / error_Q
            largest_B = np.fmax(largest_B, np.nanmax(drawn_BQ, axis=1, initial=0.0))
            tests.append(difference_Q / error_Q)
        differences.append(difference_Q)
    proxy_Q, gold_Q = differences
    product_Q = proxy_Q * gold_Q
    n_pairs, n_opposite = len(first_Q), int((product_Q < 0).sum())
    # draws of prompts that all agree never differ: at least the quantile of a single difference
    critical = max(float(np.quantile(largest_B, level)), float(ndtri(0.5 + level / 2))) * _few_units(units, level)
    is_told_Q = np.asarray((np.abs(np.stack(tests)) > critical).all(axis=0) & (units >= 2))
    n_told, n_told_opposite = int(is_told_Q.sum()), int((is_told_Q & (product_Q < 0)).sum())
    is_known = bool(np.isfinite(product_Q).all()) and units >= 2
    return Hackability(
        index=Interval(
            n_opposite / n_pairs if is_known else math.nan,
            n_told_opposite / n_pairs if is_known else math.nan,
            1 - (n_told - n_told_opposite) / n_pairs if is_known else math.nan,
            units,
            "bootstrap" if is_known else "undefined",
        ),
        tau=float(np.sign(product_Q).mean()),
        n_pairs=n_pairs,
        n_opposite=n_opposite,
        n_tied=int((product_Q == 0).sum()),
        n_told=n_told,
        n_told_opposite=n_told_opposite,
        first_Q=first_Q,
        second_Q=second_Q,
        proxy_Q=proxy_Q,
        gold_Q=gold_Q,
        is_told_Q=is_told_Q,
    )


def _error(points: PointTotals, first_Q: np.ndarray, second_Q: np.ndarray) -> np.ndarray:
    """Standard error of each paired difference; at least what one more prompt, a standard deviation away, would add.

    Where all prompts agree the error would be 0, and two prompts would make an order certain.
    """
    pull_PQ = points.pulls[:, second_Q] - points.pulls[:, first_Q]
    is_there_PK = points.weight_PK > 0
    value = points.total_PK[is_there_PK] / points.weight_PK[is_there_PK]
    least = float(value.std()) / max(points.n_units, 1) if value.size else math.nan
    return np.asarray(np.maximum(np.sqrt((pull_PQ**2).sum(axis=0)), least))


def _few_units(units: int, level: float) -> float:
    """What widens a bootstrap quantile for few units, as `percentile_ends` does."""
    if units < 2:
        return math.nan
    return math.sqrt(units / (units - 1)) * float(stdtrit(units - 1, 0.5 + level / 2) / ndtri(0.5 + level / 2))
