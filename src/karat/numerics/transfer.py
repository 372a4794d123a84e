"""Hack rates of policies trained in one setting and evaluated in another, and how much of what is learned carries over.

Axes: S training runs of one setting, P prompts (of all settings), C cells of the matrix.

A rate is a mean over the training runs, each counted once; its error has two sources, the prompts, which all runs
share, and the runs. Each gets Student's quantile of its own units, and the squares are added (what is left over is
counted twice: it errs to the wide side): few runs that differ make a wide interval. With one run the interval is of
that run alone.

Sources: Wilson 1927 at the effective sample size of Korn & Graubard 1998; differences from the two intervals' own
halves after Newcombe 1998 and Zou & Donner 2008.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtrit

from karat.errors import InputError
from karat.numerics.intervals import UNDEFINED, Interval, wilson
from karat.numerics.validation import require_share

_LEAST_P = 1e-12


@dataclass(frozen=True, slots=True)
class HackRate:
    """One cell: how often the policies of one setting hack on the prompts of one.

    Attributes:
        rate: mean over runs of the run's share of hacks.
        run_rate_S: each run's; NaN for one that was not evaluated here.
        pull_P: what each prompt adds to the rate's error; 0 where the cell does not have it.
        prompt_variance, run_variance: of the rate; the second is 0 with one run.
        n_prompts, n_runs, n_responses: what it rests on.
    """

    rate: float
    run_rate_S: np.ndarray
    pull_P: np.ndarray
    prompt_variance: float
    run_variance: float
    n_prompts: int
    n_runs: int
    n_responses: int

    @property
    def variance(self) -> float:
        return self.prompt_variance + self.run_variance

    @property
    def parts(self) -> list[tuple[float, float]]:
        """The two variances, each with its degrees of freedom."""
        parts = [(self.prompt_variance, self.n_prompts - 1.0)]
        return [*parts, (self.run_variance, self.n_runs - 1.0)] if self.n_runs > 1 else parts

    def few(self, level: float) -> float:
        """What few units of the scarcer source cost: the squared ratio of the normal's quantile to Student's."""
        return (_normal(level) / _student(level, min(freedom for _, freedom in self.parts))) ** 2

    def n_effective(self, level: float) -> float:
        """Independent responses that would give as wide an interval.

        At a rate of 0 or 1 nothing varies, and each prompt counts once, as in `intervals.clustered_proportion`. Runs
        that all do the same thing do not say how far another may depart: that is in no interval.
        """
        if not 0 < self.rate < 1:
            return self.n_prompts * (_normal(level) / _student(level, self.n_prompts - 1)) ** 2
        half = half_width(self.parts, level=level)
        most = self.n_responses * self.few(level)
        return min(most, self.rate * (1 - self.rate) * (_normal(level) / half) ** 2) if half > 0 else most

    def interval(self, *, level: float = 0.95) -> Interval:
        """Wilson's at the effective number; never of zero width; NaN ends with fewer than two prompts."""
        require_share("level", level)
        if self.n_prompts < 2:
            return Interval(self.rate, math.nan, math.nan, self.n_prompts, "undefined")
        told = self.n_effective(level)
        return Interval(self.rate, *wilson(self.rate * told, told, level=level), self.n_prompts, "wilson")


NO_RATE = HackRate(math.nan, np.empty(0), np.empty(0), math.nan, math.nan, 0, 0, 0)
"""A cell without a response."""


def hack_rate(hack_SP: ArrayLike, total_SP: ArrayLike) -> HackRate:
    """The rate of one cell.

    Args:
        hack_SP: hacks of each run on each prompt; total_SP: responses that were judged, 0 where there are none.
    Raises: InputError: the shapes differ, or there are more hacks than responses.
    """
    hack, total = np.asarray(hack_SP, np.float64), np.asarray(total_SP, np.float64)
    if hack.ndim != 2 or hack.shape != total.shape:
        raise InputError(f"hack_SP, total_SP: shapes {hack.shape}, {total.shape}; must be (runs, prompts), both alike.")
    bad = np.argwhere(~((hack >= 0) & (hack <= total)))
    if bad.size:
        run, prompt = bad[0]
        raise InputError(
            f"hack_SP: {hack[run, prompt]:g} hacks of {total[run, prompt]:g} responses (run {run}, prompt {prompt}): "
            "must be between 0 and the number of responses."
        )
    total_S = total.sum(axis=1)
    is_there_S = total_S > 0
    n_runs, n_prompts = int(is_there_S.sum()), int((total.sum(axis=0) > 0).sum())
    if not n_runs:
        return NO_RATE
    with np.errstate(invalid="ignore", divide="ignore"):
        rate_S = hack.sum(axis=1) / total_S
    there, rate = rate_S[is_there_S], float(rate_S[is_there_S].mean())
    # the linearised error of a ratio, as in karat.numerics.intervals.design_effect, averaged over the runs
    pull_P = ((hack[is_there_S] - there[:, None] * total[is_there_S]) / total_S[is_there_S, None]).mean(axis=0)
    return HackRate(
        rate=rate,
        run_rate_S=rate_S,
        pull_P=pull_P,
        prompt_variance=_of_prompts(pull_P, n_prompts),
        run_variance=float(there.var(ddof=1)) / n_runs if n_runs > 1 else 0.0,
        n_prompts=n_prompts,
        n_runs=n_runs,
        n_responses=int(total_S.sum()),
    )


def half_width(parts: Sequence[tuple[float, float]], *, level: float = 0.95) -> float:
    """Half of the interval of a mean whose error has several independent sources.

    sqrt(sum of t_f^2 v): exact where one source is all there is, and wider than Student's t at Satterthwaite's degrees
    of freedom, which trusts a small variance estimated from two or three runs too much (it covered in 84 to 90 % of
    replications with two runs that differ).

    Args:
        parts: variance v of each source, with its degrees of freedom f.
    """
    return math.sqrt(sum(variance * _student(level, freedom) ** 2 for variance, freedom in parts))


def excess(cell: HackRate, base: HackRate, *, level: float = 0.95) -> Interval:
    """Rate of a trained policy less that of the base policy, paired by prompt.

    Each end is put together from the two rates' own intervals, square and add, with the correlation of the two over
    prompts: so a rate of 0 or 1 keeps its uncertainty, and runs that differ theirs. Where no prompt's difference
    departs from the others though both rates vary (the same responses), the ends are those of
    `karat.numerics.intervals.paired_difference`.

    Args:
        cell, base: over the same prompts, in one order.
        level: in (0, 1).
    """
    difference = cell.rate - base.rate
    units = min(cell.n_prompts, base.n_prompts)
    if units < 2:
        return Interval(difference, math.nan, math.nan, units, "undefined")
    product = _of_prompts(cell.pull_P, units, base.pull_P)
    left = cell.variance + base.variance - 2 * product
    if product > 0 and left <= 1e-12 * product:
        few = units * min(cell.few(level), base.few(level))
        half = (1 + abs(difference)) * _normal(level) ** 2 / (few + _normal(level) ** 2)
        low, high = max(-1.0, difference - half), min(1.0, difference + half)
        return Interval(difference, low, high, units, "no variation")
    spread = math.sqrt(cell.variance * base.variance)
    correlation = min(1.0, max(-1.0, product / spread)) if spread > 0 else 0.0
    own, other = cell.interval(level=level), base.interval(level=level)

    def reach(mine: float, its: float) -> float:
        return math.sqrt(max(0.0, mine**2 + its**2 - 2 * correlation * mine * its))

    low = difference - reach(own.estimate - own.low, other.high - other.estimate)
    high = difference + reach(own.high - own.estimate, other.estimate - other.low)
    return Interval(difference, max(-1.0, low), min(1.0, high), units, "wilson")


def excess_p_value(cell: HackRate, base: HackRate) -> float:
    """Two-sided p-value of no difference: one less the largest level at which `excess` leaves 0 out.

    NaN where the interval is undefined; not below 1e-12.
    """
    difference = cell.rate - base.rate
    if not math.isfinite(excess(cell, base).low):
        return math.nan
    if difference == 0:
        return 1.0

    def leaves_out_0(alpha: float) -> bool:
        found = excess(cell, base, level=1 - alpha)
        return found.low > 0 or found.high < 0

    low, high = math.log(_LEAST_P), 0.0
    if leaves_out_0(_LEAST_P):
        return _LEAST_P
    for _ in range(24):  # to a millionth of the p-value
        middle = (low + high) / 2
        low, high = (low, middle) if leaves_out_0(math.exp(middle)) else (middle, high)
    return math.exp(high)


@dataclass(frozen=True, slots=True)
class Transfer:
    """Excess over the base in other settings, relative to the excess in the own one.

    Attributes:
        share: mean off-diagonal excess over mean diagonal excess, with its interval.
        elsewhere, own: the two means.
    """

    share: Interval
    elsewhere: float
    own: float


NO_TRANSFER = Transfer(UNDEFINED, math.nan, math.nan)


def mean_transfer(
    cells: Mapping[tuple[str, str], HackRate], base: Mapping[str, HackRate], *, level: float = 0.95
) -> Transfer:
    """How much of what is learned carries over, on average.

    The ratio's error is linearised, by prompt over all cells together (a prompt may be in several settings), and by run
    over all cells of the setting it was trained in; Student's t at Satterthwaite's degrees of freedom.

    Args:
        cells: rates by setting trained in and setting evaluated in, over the same prompts; only rows that have both
            their own cell and another count.
        base: rates of the base policy by setting evaluated in.
    Returns: all NaN without such a row, without an excess on the diagonal, or with fewer than two prompts.
    """
    usable = {key: cell for key, cell in cells.items() if cell.n_runs and base.get(key[1], NO_RATE).n_runs}
    rows = [row for row, column in usable if row == column and any(r == row and c != row for r, c in usable)]
    away = [key for key in usable if key[0] in rows and key[0] != key[1]]
    if not away:
        return NO_TRANSFER
    gain = {key: cell.rate - base[key[1]].rate for key, cell in usable.items()}
    elsewhere = float(np.mean([gain[key] for key in away]))
    own = float(np.mean([gain[row, row] for row in rows]))
    if not own > 0:
        return Transfer(UNDEFINED, elsewhere, own)
    share = elsewhere / own
    weight = {key: 1 / (len(away) * own) for key in away}
    weight |= {(row, row): -share / (len(rows) * own) for row in rows}
    parts = _error_parts({key: (value, usable[key]) for key, value in weight.items()}, base)
    units = min(usable[key].n_prompts for key in weight)
    half = half_width(parts, level=level) if units > 1 else math.nan
    if not half > 0:
        return Transfer(Interval(share, math.nan, math.nan, units, "undefined"), elsewhere, own)
    return Transfer(Interval(share, share - half, share + half, units, "jackknife t"), elsewhere, own)


def _error_parts(
    weighted: Mapping[tuple[str, str], tuple[float, HackRate]], base: Mapping[str, HackRate]
) -> list[tuple[float, float]]:
    """Variance of a weighted sum of excesses by source, each with its degrees of freedom: prompts, each row's runs."""
    pull_P = np.zeros(len(next(iter(weighted.values()))[1].pull_P))
    of_row: dict[str, list[tuple[float, HackRate]]] = {}
    hidden, prompts = 0.0, 0
    of_base: dict[str, float] = {}
    for (row, column), (weight, cell) in weighted.items():
        of_row.setdefault(row, []).append((weight, cell))
        of_base[column] = of_base.get(column, 0.0) - weight
    base_row = [(weight, base[column]) for column, weight in of_base.items()]
    for weight, cell in [*(item for row in of_row.values() for item in row), *base_row]:
        pull_P += weight * cell.pull_P
        hidden += weight**2 * _hidden_variance(cell)
        prompts = max(prompts, cell.n_prompts)
    parts = [(_of_prompts(pull_P, prompts) + hidden, prompts - 1.0)]
    for items in [*of_row.values(), base_row]:
        run_S = np.sum([weight * cell.run_rate_S for weight, cell in items], axis=0)
        known = run_S[np.isfinite(run_S)]
        if known.size > 1:
            parts.append((float(known.var(ddof=1)) / known.size, known.size - 1.0))
    return parts


def _hidden_variance(cell: HackRate) -> float:
    """What a rate at which nothing varies may hide: Wilson's variance with each prompt counted once; else 0."""
    if cell.variance > 0 or cell.n_prompts < 2:
        return 0.0
    z2 = _normal(0.95) ** 2
    middle = (cell.rate * cell.n_prompts + z2 / 2) / (cell.n_prompts + z2)
    return middle * (1 - middle) / (cell.n_prompts + z2)


def _of_prompts(pull_P: np.ndarray, n_prompts: int, other_P: np.ndarray | None = None) -> float:
    """Variance from the prompts' pulls, or the covariance with another's."""
    if n_prompts < 2:
        return 0.0
    return float(pull_P @ (pull_P if other_P is None else other_P)) * n_prompts / (n_prompts - 1)


def _normal(level: float) -> float:
    return float(ndtri(0.5 + level / 2))


def _student(level: float, freedom: float) -> float:
    return float(stdtrit(freedom, 0.5 + level / 2))
