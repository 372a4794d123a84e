"""Proxy and gold along a capability axis: slopes, and a test for a change of course.

Axes: P prompts, K points of the axis (pools, checkpoints, budgets), B bootstrap draws or sign flips, V candidate
changes, C = K - 2 contrasts that a straight line leaves at 0.

Each point is a mean over prompts. The points share prompts, so their errors are correlated; everything here resamples,
or flips, whole prompts, and so carries that correlation. The points themselves are taken as given: nothing here knows
how another model of the same size, or another run, would have come out.

Sources: Pan, Bhatia, Steinhardt 2022 (arXiv 2201.03544) for the question; the largest likelihood ratio over places of
a change is Quandt's (1958); sign flips of whole clusters as its null after Canay, Romano, Shaikh 2017 (Econometrica).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtrit

from karat.errors import InputError
from karat.numerics.best_of_n import percentile_ends
from karat.numerics.intervals import Interval
from karat.numerics.validation import finite_vector

MIN_POINTS = 4
"""Points below which a change of course is not tested: a line and a change fit three points exactly."""
MIN_PROMPTS = 10
"""Prompts (and two for each point) below which it is not tested: the points' covariance would not be known."""
LOG_RANGE = 10.0
"""Ratio of the last to the first value from which on a positive axis is taken in its logarithm, unless told."""
_SAME = 1e-12

Scale = Literal["linear", "log"]
Form = Literal["jump", "kink"]


@dataclass(frozen=True, slots=True)
class PointTotals:
    """One score by prompt and point; the mean of point k is sum_P total / sum_P weight.

    Attributes:
        total_PK: weight times the prompt's mean at the point; 0 where it has none.
        weight_PK: 1 for a prompt whose responses all have the score, less where some have none, 0 where it has none.
    """

    total_PK: np.ndarray
    weight_PK: np.ndarray

    @property
    def means(self) -> np.ndarray:
        """NaN where no prompt has the score."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.total_PK.sum(axis=0) / self.weight_PK.sum(axis=0))

    @property
    def prompt_counts(self) -> np.ndarray:
        return np.asarray((self.weight_PK > 0).sum(axis=0))

    @property
    def n_units(self) -> int:
        """Prompts of the point that has fewest: what an interval over all points rests on."""
        return int(self.prompt_counts.min(initial=len(self.total_PK)))

    @property
    def pulls(self) -> np.ndarray:
        """What each prompt adds to the error of each mean; their outer products sum to the bootstrap's covariance."""
        return np.asarray((self.total_PK - self.means * self.weight_PK) / self.weight_PK.sum(axis=0))

    @property
    def covariance(self) -> np.ndarray:
        """Of the means: that of infinitely many bootstrap draws of prompts, with the factor U / (U - 1)."""
        units = max(self.n_units, 2)
        return np.asarray(self.pulls.T @ self.pulls * (units / (units - 1)))

    def draws(self, count_BP: np.ndarray) -> np.ndarray:
        """Means of bootstrap draws of prompts, shape (B, K); draws that miss a point altogether are left out."""
        with np.errstate(invalid="ignore", divide="ignore"):
            draw_BK = (count_BP @ self.total_PK) / (count_BP @ self.weight_PK)
        return np.asarray(draw_BK[np.isfinite(draw_BK).all(axis=1)])

    def scaled(self, sd: float) -> PointTotals:
        """In units of `sd`; NaN where it is not above 0."""
        return PointTotals(self.total_PK / (sd if sd > 0 else math.nan), self.weight_PK)


# ----------------------------------------------------------------------------------------------------------- the axis
def axis_scale(axis_K: ArrayLike) -> Scale:
    """Logarithm for a positive axis whose last value is LOG_RANGE times the first or more, else linear."""
    axis = np.asarray(axis_K, np.float64)
    return "log" if axis.min() > 0 and axis.max() >= LOG_RANGE * axis.min() else "linear"


def axis_position(axis_K: ArrayLike, scale: Scale) -> np.ndarray:
    """Where each point stands: the value itself, or log2 of it, so that a slope is for each doubling.

    Raises: InputError: fewer than two values, equal or unsorted values, one that is not finite, or a logarithm of one
        that is not above 0.
    """
    axis = finite_vector("axis", axis_K, "Give each point a number.")
    if axis.size < 2:
        raise InputError(f"axis: {axis.size} point, and a slope needs two. Add a pool at another value.")
    if not (np.diff(axis) > 0).all():
        raise InputError("axis: values must ascend, each different from the others. Join the points that are equal.")
    if scale == "log" and axis[0] <= 0:
        raise InputError(f"axis: {axis[0]:g} has no logarithm. Use the linear scale, or leave that point out.")
    return np.log2(axis) if scale == "log" else axis


# ----------------------------------------------------------------------------------------------------------- the slope
def slope_weight(position_K: np.ndarray) -> np.ndarray:
    """Weights whose product with the means is the slope of the least-squares line."""
    centred = position_K - position_K.mean()
    return np.asarray(centred / (centred @ centred))


def slope(points: PointTotals, position_K: np.ndarray, draw_BK: np.ndarray, *, level: float = 0.95) -> Interval:
    """Slope of the least-squares line through the means, with the prompts' bootstrap interval.

    A fixed combination of the means, whatever the curve's form: where it is no line, the slope of the line nearest to
    it at these points. Points weigh alike, so that it does not depend on how many responses each has.

    Args:
        position_K: from `axis_position`.
        draw_BK: from `points.draws`; share the counts between scores to pair them.
    Returns: per unit of position; ends NaN with fewer than two prompts, or where no draw differs.
    """
    weight_K = slope_weight(position_K)
    estimate, units = float(weight_K @ points.means), points.n_units
    if units < 2 or not math.isfinite(estimate) or not draw_BK.size:
        return Interval(estimate, math.nan, math.nan, units, "undefined")
    drawn_B = draw_BK @ weight_K
    if np.ptp(drawn_B) <= _SAME * max(1.0, abs(estimate)):
        return Interval(estimate, math.nan, math.nan, units, "no variation")
    low, high = percentile_ends(drawn_B, units, level=level)
    return Interval(estimate, float(low), float(high), units, "bootstrap")


# ---------------------------------------------------------------------------------------------------------- the change
@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The best single departure from a straight line, and whether it is more than noise.

    Attributes:
        p_value: of the straight line, against a jump or a kink at any place; exact for prompts whose departures from
            the line are symmetric around 0, and close for others.
        form: "jump": the line goes on at another level; "kink": it goes on with another slope. The first and the last
            point alone cannot tell the two apart and are called a kink.
        at: position of the change, the middle of a gap for a jump; low, high: ends of its interval.
        movement: from the change to the last point, by the fitted curve: below 0 where the score falls. Where the first
            point alone departs: across the first step or after it, whichever is lower.
        before, after: slopes on the two sides, per unit of position; the same for a jump.
        jump: step at the change; 0 for a kink.
        bend_ratio: likelihood-ratio statistic of a parabola over that of this change; near or above 1, a smooth bend
            describes the points as well.
        detectable: least jump that the test would have seen four times in five, at the place where it sees least.
    """

    p_value: float
    form: Form
    at: float
    low: float
    high: float
    movement: Interval
    before: float
    after: float
    jump: float
    bend_ratio: float
    detectable: float


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Shapes that one change adds to a line, where each lies, and what it says of the movement after it."""

    shape_VK: np.ndarray
    forms: tuple[Form, ...]
    at_V: np.ndarray
    low_V: np.ndarray
    high_V: np.ndarray
    start_V: np.ndarray
    """Index of the point that the movement starts from."""


def why_no_change_test(points: PointTotals) -> str:
    """What the test lacks; empty where it can be made."""
    n_points = points.total_PK.shape[1]
    if n_points < MIN_POINTS:
        return f"needs {MIN_POINTS} points of the axis or more; {n_points} are given"
    if points.n_units < max(MIN_PROMPTS, 2 * n_points):
        return f"needs {max(MIN_PROMPTS, 2 * n_points)} prompts at every point; the fewest are {points.n_units}"
    if not np.isfinite(points.means).all() or not points.covariance.any():
        return "needs a score that differs between prompts"
    return ""


def find_change(
    points: PointTotals,
    position_K: np.ndarray,
    draw_BK: np.ndarray,
    *,
    rng: np.random.Generator,
    flips: int = 1999,
    level: float = 0.95,
) -> Change | None:
    """Test a straight line against one jump or kink at an unknown place, and locate the change.

    The statistic is the largest likelihood ratio over all places, with the points' covariance from the prompts. Under
    the line each prompt's contrasts have mean 0, so the signs of whole prompts are flipped for the null; this keeps
    the correlation between points and holds for few points. The interval of the place spans all places whose ratio is
    within the square of Student's quantile of the largest; the movement's spans their bootstrap intervals. (Draws that
    choose their own place were tried: they add the noise again, and were twice as wide.)

    Returns: None where `why_no_change_test` gives a reason.
    """
    if why_no_change_test(points):
        return None
    start, width = float(position_K[0]), float(position_K[-1] - position_K[0])
    unit_K = (position_K - start) / width  # 0 to 1, whatever the axis counts
    found = _candidates(unit_K)
    line_KX = np.stack([np.ones_like(unit_K), unit_K], axis=1)
    test = _line_test(points, line_KX, np.vstack([found.shape_VK, unit_K**2]), rng, flips)
    best = int(np.argmax(test.seen_V[:-1]))
    covariance_KK, units = points.covariance, points.n_units
    fits = [_fit(line_KX, shape_K, covariance_KK) for shape_K in found.shape_VK]
    white_KC = test.contrast_KC @ _inverse_root(test.contrast_KC.T @ covariance_KK @ test.contrast_KC)
    shape_CV = white_KC.T @ found.shape_VK.T
    size_V = np.linalg.norm(shape_CV, axis=0)
    ratio_V = (points.means @ white_KC @ shape_CV / size_V) ** 2
    reach = math.sqrt(units / (units - 1)) * float(stdtrit(units - 1, 0.5 + level / 2))
    plausible = np.flatnonzero(ratio_V >= ratio_V[best] - reach**2)
    moved_BV = np.stack([_movement(fits[v], draw_BK, found, int(v), line_KX) for v in plausible], axis=1)
    low_V, high_V = percentile_ends(moved_BV, units, level=level)
    moved = float(_movement(fits[best], points.means[None], found, best, line_KX)[0])
    _, before, added = fits[best] @ points.means
    is_jump_V = np.array(found.forms) == "jump"
    seen_at = math.sqrt(float(np.quantile(test.null_B, level))) + float(ndtri(0.8))
    return Change(
        p_value=float((1 + (test.null_B >= test.seen_V[best] * (1 - 1e-9)).sum()) / (flips + 1)),
        form=found.forms[best],
        at=start + width * float(found.at_V[best]),
        low=start + width * float(found.low_V[plausible].min()),
        high=start + width * float(found.high_V[plausible].max()),
        movement=Interval(moved, float(low_V.min()), float(high_V.max()), units, "bootstrap"),
        before=float(before / width),
        after=float((before if is_jump_V[best] else before + added) / width),
        jump=float(added) if is_jump_V[best] else 0.0,
        bend_ratio=float(test.seen_V[-1] / test.seen_V[best]) if test.seen_V[best] > 0 else math.nan,
        detectable=float(seen_at / size_V[is_jump_V].min()),
    )


@dataclass(frozen=True, slots=True)
class _LineTest:
    """Likelihood-ratio statistic of each shape added to a line, and the null of the largest of all but the last.

    Attributes:
        contrast_KC: an orthonormal basis of what a line leaves.
    """

    contrast_KC: np.ndarray
    seen_V: np.ndarray
    null_B: np.ndarray


def _line_test(
    points: PointTotals, line_KX: np.ndarray, shape_VK: np.ndarray, rng: np.random.Generator, flips: int
) -> _LineTest:
    contrast_KC = np.linalg.svd(line_KX)[0][:, 2:]
    fitted_K = line_KX @ np.linalg.lstsq(line_KX, points.means, rcond=None)[0]
    share_PK = (points.total_PK - fitted_K * points.weight_PK) / points.weight_PK.sum(axis=0)
    part_PC = share_PK @ contrast_KC  # the prompts' parts sum to the contrasts of the means: to 0 under a line
    # Uncentred, the second moment is the same for every flip. The statistic is monotone in that of the covariance.
    whiten_CC = _inverse_root(part_PC.T @ part_PC)
    white_PC, shape_CV = part_PC @ whiten_CC, whiten_CC @ contrast_KC.T @ shape_VK.T
    score_PV = white_PC @ (shape_CV / np.linalg.norm(shape_CV, axis=0))
    sign_BP = rng.choice((-1.0, 1.0), (flips, len(score_PV)))
    null_B = np.max((sign_BP @ score_PV[:, :-1]) ** 2, axis=1)
    return _LineTest(contrast_KC, score_PV.sum(axis=0) ** 2, null_B)


def _candidates(position_K: np.ndarray) -> _Candidates:
    """Jumps in the gaps that have two points on either side, and kinks at all inner points.

    A jump in the first or the last gap is the same curve, at the points, as a kink at the point inside of it.
    """
    n = position_K.size
    middle = (position_K[1:] + position_K[:-1]) / 2
    rows: list[tuple[np.ndarray, Form, float, float, float, int]] = []
    for gap in range(1, n - 2):
        after = (np.arange(n) > gap).astype(np.float64)
        rows.append((after, "jump", middle[gap], position_K[gap], position_K[gap + 1], gap))
    for knot in range(1, n - 1):
        low = position_K[0] if knot == 1 else middle[knot - 1]
        high = position_K[-1] if knot == n - 2 else middle[knot]
        after = np.maximum(position_K - position_K[knot], 0.0)
        rows.append((after, "kink", position_K[knot], low, high, knot))
    shape, forms, at, low_V, high_V, start = zip(*rows, strict=True)
    return _Candidates(np.stack(shape), tuple(forms), np.array(at), np.array(low_V), np.array(high_V), np.array(start))


def _inverse_root(matrix_CC: np.ndarray) -> np.ndarray:
    """The symmetric inverse square root; directions without variance are held at a millionth of the mean variance."""
    values, vectors = np.linalg.eigh(matrix_CC)
    return np.asarray(vectors / np.sqrt(np.maximum(values, 1e-6 * values.mean())) @ vectors.T)


def _fit(line_KX: np.ndarray, shape_K: np.ndarray, covariance_KK: np.ndarray) -> np.ndarray:
    """Generalised least squares: from means (K,) to level, slope and what the change adds, shape (3, K)."""
    root_KK = _inverse_root(covariance_KK)
    return np.asarray(np.linalg.pinv(root_KK @ np.column_stack([line_KX, shape_K])) @ root_KK)


def _movement(fit_3K: np.ndarray, mean_BK: np.ndarray, found: _Candidates, at: int, line_KX: np.ndarray) -> np.ndarray:
    """See `Change.movement`; shape (B,)."""
    curve_BK = mean_BK @ (np.column_stack([line_KX, found.shape_VK[at]]) @ fit_3K).T
    start = int(found.start_V[at])
    moved_B = np.asarray(curve_BK[:, -1] - curve_BK[:, start])
    if found.forms[at] == "kink" and start == 1:
        moved_B = np.asarray(np.minimum(moved_B, curve_BK[:, 1] - curve_BK[:, 0]))
    return moved_B
