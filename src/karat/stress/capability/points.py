"""Pools to points of a capability axis: which responses are at which point, and each prompt's proxy and gold there.

Axes: R responses, P prompts (of all points), K points of the axis, G responses of a prompt at a point.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from karat.data.pools import stream_pool
from karat.errors import DataError, InputError
from karat.numerics.best_of_n import PoolMatrix, best_of_n_by_prompt, largest_n, pool_matrix
from karat.numerics.capability import PointTotals, Scale, axis_position, axis_scale
from karat.numerics.goodhart import within_prompt_sd
from karat.rewards.groups import last_text
from karat.stress.capability.config import BUDGET, CapabilityConfig
from karat.stress.pool import named_scores
from karat.types import Account, PoolRow
from karat.worlds import pool_source

SHARED_ENOUGH = 0.5
"""Share of the smallest point's prompts that all points must share for the others to be left out."""

Pairing = Literal["paired", "partly shared", "different prompts"]


@dataclass(frozen=True, slots=True)
class AxisPoint:
    """What one point of the axis rests on. `names`: the values, and the pools of several, that make it."""

    value: float
    names: str
    n_responses: int
    n_prompts: int
    n_missing_proxy: int
    n_missing_gold: int
    n_left_out: int
    """Prompts with fewer than at_n responses, or that not all points share."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """Proxy and gold by prompt and point, in their own units.

    Attributes:
        position_K: the axis, or log2 of it.
        proxy, gold: over the same prompts; gold None where none was named.
        proxy_sd, gold_sd: reference standard deviations; NaN or 0 where a score never varies.
        unit: whose deviations they are, in words.
        pairing: whether the points are compared over the same prompts.
        n_missing_axis: responses without a value on the axis, left out.
    """

    points: tuple[AxisPoint, ...]
    position_K: np.ndarray
    scale: Scale
    proxy: PointTotals
    gold: PointTotals | None
    proxy_sd: float
    gold_sd: float
    unit: str
    pairing: Pairing
    n_used: int
    """Responses, each once; n_missing_proxy: those left out for want of a proxy."""
    n_missing_proxy: int
    n_missing_axis: int
    accounts: tuple[Account, ...]

    @property
    def axis(self) -> np.ndarray:
        return np.array([point.value for point in self.points])

    @property
    def largest_missing_share(self) -> float:
        """Of responses without a proxy or (where one is named) a gold, at the point where it is largest."""
        return max(
            (p.n_missing_proxy + p.n_missing_gold) / max(p.n_responses + p.n_missing_proxy, 1) for p in self.points
        )


@dataclass(frozen=True, slots=True)
class _Responses:
    """Scores in long form, with the point of each."""

    proxy_R: np.ndarray
    gold_R: np.ndarray
    prompt_R: np.ndarray
    axis_R: np.ndarray
    source_R: np.ndarray


def read_sweep(pools: Any, config: CapabilityConfig) -> Sweep:
    """Read one pool with an axis, or several with a value each.

    Raises: InputError: values that are missing, equal or no numbers; DataError: a pool that cannot be used.
    """
    given = [(pools, math.nan)] if config.axis else list(_valued(pools))
    if config.axis and _is_several(pools):
        raise InputError(
            f"--axis {config.axis} with {len(pools)} pools: an axis in a column, and n, need one pool. Join the files, "
            "or leave --axis out and give each pool its value: POOL=VALUE."
        )
    if config.axis and not _is_source(pools):
        given = [(pools[0], math.nan)]
    read = [_read(source, value, config) for source, value in given]
    accounts = tuple(account for _, account in read)
    _same_prompts([records for records, _ in read], accounts)
    parts = [_responses(records, account.source, value, config)
             for (records, account), (_, value) in zip(read, given, strict=True)]  # fmt: skip
    whole = _Responses(*(np.concatenate(column) for column in zip(*map(_columns, parts), strict=True)))
    is_placed = np.isfinite(whole.axis_R)
    kept = _Responses(*(column[is_placed] for column in _columns(whole)))
    if config.is_budget:
        return _budget_sweep(kept, accounts, config)
    groups = _groups(kept.axis_R, config)
    made = [_cells(kept, rows, len(accounts), config) for rows in groups]
    return _sweep(made, accounts, config, n_missing_axis=int((~is_placed).sum()))


def _columns(responses: _Responses) -> tuple[np.ndarray, ...]:
    return responses.proxy_R, responses.gold_R, responses.prompt_R, responses.axis_R, responses.source_R


# ------------------------------------------------------------------------------------------------------- what is given
def _is_source(pools: Any) -> bool:
    """One pool: a path, a hub name, or rows; not values to pools, nor a list of names or of (pool, value)."""
    if isinstance(pools, str | os.PathLike):
        return True
    if isinstance(pools, Mapping):
        return False
    if isinstance(pools, Sequence):
        return bool(pools) and isinstance(pools[0], Mapping)
    return True


def _is_several(pools: Any) -> bool:
    return not _is_source(pools) and len(pools) != 1


def _valued(pools: Any) -> Iterable[tuple[Any, float]]:
    """Pools with their values: {value: pool}, [(pool, value)], or ["POOL=VALUE"]."""
    if isinstance(pools, Mapping):
        pairs: list[tuple[Any, Any]] = [(source, value) for value, source in pools.items()]
    elif _is_source(pools) and not isinstance(pools, str):
        raise InputError("one pool and no axis: name the column with the capability (--axis COLUMN), or --axis n.")
    else:
        pairs = [_split(item) if isinstance(item, str | os.PathLike) else item
                 for item in ([pools] if isinstance(pools, str) else pools)]  # fmt: skip
    seen: dict[float, Any] = {}
    for source, value in pairs:
        number = _finite(value, source)
        if number in seen:
            raise InputError(
                f"{seen[number]} and {source} both have the value {number:g} on the axis, so nothing tells them apart. "
                "Join them in one file, or give each its own value."
            )
        seen[number] = source
        yield source, number
    if len(seen) < 2:
        raise InputError(
            f"{len(seen)} point on the axis, and a slope needs two. Give more pools, each as POOL=VALUE, or one pool "
            "with --axis COLUMN."
        )


def _split(text: str | os.PathLike[str]) -> tuple[str, str]:
    source, equals, value = os.fspath(text).rpartition("=")
    if not equals or not source:
        raise InputError(
            f"{os.fspath(text)}: no value on the axis. Write POOL=VALUE, as in small.jsonl=135 large.jsonl=360, or "
            "name a column of one pool with --axis COLUMN."
        )
    return source, value


def _finite(value: Any, source: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{source}: its value on the axis is {value!r}, and must be a finite number.")
    return number


# ------------------------------------------------------------------------------------------------------------- reading
def _read(source: Any, value: float, config: CapabilityConfig) -> tuple[list[PoolRow], Account]:
    stream = stream_pool(pool_source(source))
    records = [read.record for read in stream if read.record is not None]
    account = stream.account()
    if config.is_budget and any(BUDGET in record.scores for record in records):
        raise InputError(
            f"{account.source}: has a column 'n', and --axis n means best of n. Rename the column to use it as axis."
        )
    return records, account


def _responses(records: list[PoolRow], source: str, value: float, config: CapabilityConfig) -> _Responses:
    is_column = bool(config.axis) and not config.is_budget
    named = {config.proxy: "proxy", config.gold: "gold", **({config.axis: "axis"} if is_column else {})}
    score = named_scores(records, named, source)
    # best of n has no values yet: any finite number says that the response is there
    axis_R = score[config.axis] if is_column else np.full(len(records), 0.0 if config.is_budget else value)
    prompt_R = np.array([record.prompt_id for record in records], dtype=object)
    return _Responses(score[config.proxy], score[config.gold], prompt_R, axis_R, np.full(len(records), source, object))


def _same_prompts(pools: list[list[PoolRow]], accounts: tuple[Account, ...]) -> None:
    """Raises: DataError: one prompt_id means different prompts in different pools."""
    seen: dict[str, tuple[str, int]] = {}
    for number, records in enumerate(pools):
        for record in records:
            text = last_text(record.prompt)
            other, first = seen.setdefault(record.prompt_id, (text, number))
            if text and other and text != other and first != number:
                raise DataError(
                    f"prompt_id {record.prompt_id!r} is {other[:40]!r} in {accounts[first].source} and {text[:40]!r} "
                    f"in {accounts[number].source}: pools are paired by it. Give different prompts different ids; "
                    "where only the template differs, leave the prompt column out."
                )


def _groups(axis_R: np.ndarray, config: CapabilityConfig) -> list[np.ndarray]:
    """Rows of each point, ascending; neighbouring values joined, so many to a point, where there are too many."""
    value, code_R = np.unique(axis_R, return_inverse=True)
    if value.size < 2:
        raise InputError(
            f"axis {config.label!r}: all {axis_R.size} responses have the value {axis_R[0]:g}, and a slope needs two. "
            "Add responses at another value."
            if axis_R.size
            else f"axis {config.label!r}: no response has a value."
        )
    group_of_value = np.arange(value.size) * min(value.size, config.max_points) // value.size
    return [np.flatnonzero(group_of_value[code_R] == group) for group in range(int(group_of_value[-1]) + 1)]


# -------------------------------------------------------------------------------------------------------------- points
@dataclass(frozen=True, slots=True)
class _Cells:
    """One point: its prompts, and each one's weighted proxy and gold."""

    point: AxisPoint
    prompt_P: np.ndarray
    proxy_P2: np.ndarray
    """Total and weight."""
    gold_P2: np.ndarray
    matrix: PoolMatrix


def _cells(responses: _Responses, rows: np.ndarray, n_pools: int, config: CapabilityConfig) -> _Cells:
    proxy_R, gold_R, prompt_R = responses.proxy_R[rows], responses.gold_R[rows], responses.prompt_R[rows]
    axis_R = responses.axis_R[rows]
    matrix = pool_matrix(proxy_R, gold_R, prompt_R)
    prompt_P = np.unique(prompt_R[~np.isnan(proxy_R)])
    used = np.flatnonzero(matrix.size_P >= config.at_n)
    low, high = axis_R.min(), axis_R.max()
    told = f"{config.label} {low:g}" + (f" to {high:g}" if high > low else "")
    if not used.size:
        raise DataError(
            f"{told}: no prompt has {config.at_n} responses with {config.proxy!r}. "
            + ("Lower --at-n, or sample more responses." if config.at_n > 1 else "Score them, or leave the point out.")
        )
    left_out, matrix = matrix.n_prompts - used.size, matrix.take(used)
    n_N = np.array([config.at_n])
    return _Cells(
        AxisPoint(
            value=float(axis_R.mean()),
            names=f"{told} ({', '.join(dict.fromkeys(responses.source_R[rows]))})" if n_pools > 1 else told,
            n_responses=int(matrix.size_P.sum()),
            n_prompts=matrix.n_prompts,
            n_missing_proxy=int(np.isnan(proxy_R).sum()),
            n_missing_gold=_n_without_gold(matrix) if config.gold else 0,
            n_left_out=left_out,
        ),
        prompt_P[used],
        _total_and_weight(matrix, matrix.proxy_PG, n_N)[:, 0],
        _total_and_weight(matrix, matrix.value_PG, n_N)[:, 0],
        matrix,
    )


def _n_without_gold(matrix: PoolMatrix) -> int:
    return int(np.isnan(matrix.value_PG[matrix.order_PG >= 0]).sum())


def _total_and_weight(matrix: PoolMatrix, value_PG: np.ndarray, n_N: np.ndarray) -> np.ndarray:
    """Weighted value of each prompt at best of n, and its weight: the chance that the choice has a value. (P, N, 2)."""
    is_known_PG = ~np.isnan(value_PG)
    total_PN = best_of_n_by_prompt(matrix, np.where(is_known_PG, value_PG, 0.0), n_N)
    return np.stack([total_PN, best_of_n_by_prompt(matrix, is_known_PG.astype(np.float64), n_N)], axis=2)


def _sweep(
    made: list[_Cells], accounts: tuple[Account, ...], config: CapabilityConfig, *, n_missing_axis: int
) -> Sweep:
    prompts, place_R = np.unique(np.concatenate([cells.prompt_P for cells in made]), return_inverse=True)
    place = np.split(place_R, np.cumsum([cells.prompt_P.size for cells in made])[:-1])
    proxy_PK2, gold_PK2 = (np.zeros((prompts.size, len(made), 2)) for _ in range(2))
    for at, (cells, rows) in enumerate(zip(made, place, strict=True)):
        proxy_PK2[rows, at], gold_PK2[rows, at] = cells.proxy_P2, cells.gold_P2
    n_points_P = (proxy_PK2[..., 1] > 0).sum(axis=1)
    smallest = min(cells.prompt_P.size for cells in made)
    shared = np.flatnonzero(n_points_P == len(made))
    pairing: Pairing = "different prompts" if (n_points_P == 1).all() else "partly shared"
    points = [cells.point for cells in made]
    if shared.size >= max(2, SHARED_ENOUGH * smallest):
        pairing = "paired"
        proxy_PK2, gold_PK2 = proxy_PK2[shared], gold_PK2[shared]
        points = [_only(cells, rows, shared, config) for cells, rows in zip(made, place, strict=True)]
    matrices = [cells.matrix for cells in made]
    return _assembled(points, (proxy_PK2, gold_PK2), matrices, accounts, config, pairing, n_missing_axis)


def _only(cells: _Cells, rows: np.ndarray, shared: np.ndarray, config: CapabilityConfig) -> AxisPoint:
    """The account of a point over the shared prompts alone."""
    kept = np.flatnonzero(np.isin(rows, shared))
    matrix, point = cells.matrix.take(kept), cells.point
    return AxisPoint(
        point.value, point.names, int(matrix.size_P.sum()), matrix.n_prompts, point.n_missing_proxy,
        _n_without_gold(matrix) if config.gold else 0, point.n_left_out + cells.prompt_P.size - kept.size,
    )  # fmt: skip


def _budget_sweep(responses: _Responses, accounts: tuple[Account, ...], config: CapabilityConfig) -> Sweep:
    """Best of n of one pool, at powers of two and the largest n that most of the pool reaches."""
    whole = pool_matrix(responses.proxy_R, responses.gold_R, responses.prompt_R)
    max_n = largest_n(whole.size_P)
    if max_n < 2:
        raise DataError(f"{accounts[0].source}: no prompt has two responses with a proxy: there is no n to choose by.")
    used = np.flatnonzero(whole.size_P >= max_n)
    matrix = whole.take(used)
    n_N = np.unique([*(2 ** np.arange(int(math.log2(max_n)) + 1)), max_n])
    counts = (
        int(matrix.size_P.sum()), matrix.n_prompts, int(np.isnan(responses.proxy_R).sum()),
        _n_without_gold(matrix) if config.gold else 0, whole.n_prompts - used.size,
    )  # fmt: skip
    points = [AxisPoint(float(n), f"best of {n}", *counts) for n in n_N]
    totals = (_total_and_weight(matrix, matrix.proxy_PG, n_N), _total_and_weight(matrix, matrix.value_PG, n_N))
    return _assembled(points, totals, [matrix], accounts, config, "paired", 0)


def _assembled(
    points: Sequence[AxisPoint],
    totals: tuple[np.ndarray, np.ndarray],
    matrices: list[PoolMatrix],
    accounts: tuple[Account, ...],
    config: CapabilityConfig,
    pairing: Pairing,
    n_missing_axis: int,
) -> Sweep:
    axis_K = np.array([point.value for point in points])
    scale: Scale = axis_scale(axis_K) if config.scale == "auto" else config.scale
    position_K = axis_position(axis_K, scale)
    proxy, gold = (PointTotals(total[..., 0], total[..., 1]) for total in totals)
    if config.gold:
        few = np.flatnonzero(gold.prompt_counts < 2)
        if few.size:
            raise DataError(
                f"{points[few[0]].names}: {config.gold!r} is there for {gold.prompt_counts[few[0]]} prompts, and every "
                "point needs two. Score the gold there, or leave the point out."
            )
    proxy_sd, proxy_unit = _unit([matrix.proxy_PG for matrix in matrices])
    gold_sd, gold_unit = _unit([matrix.value_PG for matrix in matrices])
    is_alike = gold_unit in ("", proxy_unit)
    counted = points[:1] if config.is_budget else points  # every n chooses from the same responses
    return Sweep(
        points=tuple(points),
        position_K=position_K,
        scale=scale,
        proxy=proxy,
        gold=gold if config.gold else None,
        proxy_sd=proxy_sd,
        gold_sd=gold_sd,
        unit=proxy_unit if is_alike else f"proxy {proxy_unit}, gold {gold_unit}",
        pairing=pairing,
        n_used=sum(point.n_responses for point in counted),
        n_missing_proxy=sum(point.n_missing_proxy for point in counted),
        n_missing_axis=n_missing_axis,
        accounts=accounts,
    )


def _unit(score_K: list[np.ndarray]) -> tuple[float, str]:
    """The standard deviation that a score is told in, and whose it is; NaN for a score that never varies."""
    within_K = np.array([within_prompt_sd(score_PG) for score_PG in score_K])
    known_R = np.concatenate([score_PG[~np.isnan(score_PG)] for score_PG in score_K])
    least = 1e-12 * float(np.abs(known_R).max(initial=0.0))  # what rounding makes of equal scores
    finite = within_K[np.isfinite(within_K)]
    tried = (
        (float(within_K[0]), "within prompts at the lowest point"),
        (math.sqrt(float(np.mean(finite**2))) if finite.size else math.nan, "within prompts, over all points"),
        (float(known_R.std()) if known_R.size else math.nan, "over all responses"),
    )
    return next(((sd, said) for sd, said in tried if sd > least), (math.nan, ""))
