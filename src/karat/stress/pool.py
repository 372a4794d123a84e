"""A pool of responses as arrays, ready for best of n, with an account of what could not be used.

Axes: R responses, P prompts, G responses of a prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from karat.data.pools import stream_pool
from karat.errors import DataError
from karat.numerics.best_of_n import PoolMatrix, largest_n, pool_matrix
from karat.rewards.groups import last_text
from karat.stress.config import StressConfig
from karat.types import Account, PoolRow
from karat.worlds import pool_source
from karat.worlds.pool import POOLS

LARGEST_SCORE = 1e100
"""Beyond it a square overflows; no reward gives it, a failed one may."""
LEAST_SPREAD = 1e-100
"""Below it a square vanishes, and different scores would pass for equal ones."""


@dataclass(frozen=True, slots=True)
class StressPool:
    """The responses that have a proxy, by prompt.

    Attributes:
        matrix: prompts with at least `max_n` responses.
        max_n: largest n.
        prompts, responses: text by response, for features and witnesses; index them with `matrix.order_PG`.
        rows: row of each response in the source.
        n_missing_proxy: responses left out for want of a proxy; n_missing_gold: those used without a gold.
        n_small_prompts, n_small_responses: prompts with fewer than max_n responses, left out, and their responses.
        n_repeated: responses whose text occurred before under the same prompt.
    """

    name: str
    account: Account
    matrix: PoolMatrix
    max_n: int
    prompts: tuple[str, ...]
    responses: tuple[str, ...]
    rows: tuple[int, ...]
    records: tuple[PoolRow, ...]
    """As they were read."""
    member_RM: np.ndarray
    """Scores of the proxy and of its fellow members, by response as it was read; NaN where missing."""
    member_names: tuple[str, ...]
    rival_RM: np.ndarray
    """The same of the proxy and of those that it is set beside."""
    rival_names: tuple[str, ...]
    n_missing_proxy: int
    n_missing_gold: int
    n_small_prompts: int
    n_small_responses: int
    n_repeated: int
    n_split_ties: int
    """Repeated responses whose proxy differs from that of the first: the reward is not a function of the text."""

    @property
    def n_used(self) -> int:
        return int(self.matrix.size_P.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """The responses that have every one of some scores, of prompts that keep enough of them.

    Attributes:
        index_R: place of each in the pool as it was read; place_R: its prompt, from 0; gold_R: NaN where missing.
        max_n: responses that each prompt has at least.
        n_missing: responses left out for want of a score; n_small: of prompts that are then left with too few.
    """

    index_R: np.ndarray
    place_R: np.ndarray
    gold_R: np.ndarray
    max_n: int
    n_missing: int
    n_small: int

    @property
    def n_prompts(self) -> int:
        return len(np.unique(self.place_R))


def common_responses(pool: StressPool, score_RM: np.ndarray) -> Common:
    """Those of the pool whose scores are all known, in the order they were read within each prompt.

    Args:
        score_RM: by response as it was read, the proxy first.
    """
    order_PG = pool.matrix.order_PG
    is_known = (order_PG >= 0) & ~np.isnan(score_RM[order_PG]).any(axis=2)
    size_P = is_known.sum(axis=1)
    max_n = min(pool.max_n, largest_n(size_P))
    kept = np.flatnonzero(size_P >= max(max_n, 1))
    own = [np.sort(order_PG[prompt][is_known[prompt]]) for prompt in kept]
    index_R = np.concatenate(own) if own else np.zeros(0, int)
    gold_of = np.full(len(pool.responses), np.nan)
    gold_of[order_PG[order_PG >= 0]] = pool.matrix.value_PG[order_PG >= 0]
    return Common(
        index_R=index_R, place_R=np.repeat(np.arange(kept.size), size_P[kept]), gold_R=gold_of[index_R], max_n=max_n,
        n_missing=int((order_PG >= 0).sum() - is_known.sum()), n_small=int(size_P.sum()) - index_R.size,
    )  # fmt: skip


def read_stress_pool(source: Any, config: StressConfig) -> StressPool:
    """Read a pool and put the named columns into prompt order.

    Raises: DataError: no such column, no proxy at all, a gold column without one number, or no prompt with two
        responses (or with max_n).
    """
    stream = stream_pool(pool_source(source))
    records = [read.record for read in stream if read.record is not None]
    account = stream.account()
    if isinstance(source, str) and source in POOLS:
        account = replace(account, source=source)  # its name is the same on every machine, its path is not
    members, rivals = config.member_names, config.against_names
    others = {**dict.fromkeys(members, "member"), **dict.fromkeys(rivals, "against")}
    named = {config.proxy: "proxy", config.gold: "gold", **others}
    score = named_scores(records, named, account.source)
    proxy_R, gold_R = score[config.proxy], score[config.gold]
    member_RM = np.stack([score[name] for name in (config.proxy, *members)], axis=1)
    rival_RM = np.stack([score[name] for name in (config.proxy, *rivals)], axis=1)
    whole = pool_matrix(proxy_R, gold_R, [record.prompt_id for record in records])
    max_n = config.max_n or largest_n(whole.size_P)
    used = np.flatnonzero(whole.size_P >= max_n)
    if max_n < 2 or not used.size:
        raise DataError(
            f"{account.source}: {whole.n_prompts} prompts have at most {whole.size_P.max(initial=0)} responses with a "
            f"proxy; best of {max(max_n, 2)} needs as many to one prompt. Lower --max-n, or sample more responses."
        )
    left_out = np.delete(whole.size_P, used)
    matrix = whole.take(used)
    texts = tuple(last_text(record.response) for record in records)
    n_repeated, n_split = _repeats(matrix, texts)
    return StressPool(
        name=account.source,
        account=account,
        matrix=matrix,
        max_n=max_n,
        prompts=tuple(last_text(record.prompt) or record.prompt_id for record in records),
        responses=texts,
        rows=tuple(record.row for record in records),
        records=tuple(records),
        member_RM=member_RM,
        member_names=(config.proxy, *members),
        rival_RM=rival_RM,
        rival_names=(config.proxy, *rivals),
        n_missing_proxy=int(np.isnan(proxy_R).sum()),
        n_missing_gold=int(np.isnan(matrix.value_PG[matrix.order_PG >= 0]).sum()) if config.gold else 0,
        n_small_prompts=len(left_out),
        n_small_responses=int(left_out.sum()),
        n_repeated=n_repeated,
        n_split_ties=n_split,
    )


def named_scores(records: Sequence[PoolRow], named: Mapping[str, str], source: str) -> dict[str, np.ndarray]:
    """The columns of the given names, NaN where a response has none; all NaN for the empty name.

    Args:
        named: name of a column to its role, which messages say.
    Raises: DataError: no such column, not one number in it, a number beyond any reward, or hardly any spread.
    """
    columns = sorted({name for record in records for name in record.scores})
    for name, role in named.items():
        if name and name not in columns:
            raise DataError(
                f"{source}: no score column {name!r}, named as {role}. Numeric columns: "
                f"{', '.join(columns) or 'none'}. Add it with `karat score`, or name another."
            )
    found = {name: np.array([record.scores.get(name, np.nan) for record in records]) for name in named}
    for name, score_R in found.items():
        if name and not np.isfinite(score_R).any():
            raise DataError(f"{source}: column {name!r} has no number in any of {len(records)} responses.")
        bad = np.flatnonzero(np.abs(score_R) > LARGEST_SCORE)
        if bad.size:
            raise DataError(
                f"{source}: {bad.size} scores of {name!r} are infinite or beyond any reward (first: row "
                f"{records[bad[0]].row}, {score_R[bad[0]]:g}). Leave failed scores empty, and score in float32."
            )
        spread = float(np.nanmax(score_R) - np.nanmin(score_R)) if name else 0.0
        if 0 < spread < LEAST_SPREAD:
            raise DataError(
                f"{source}: the scores of {name!r} differ by {spread:g} at most, too little to be reckoned with. Scale "
                "them up."
            )
    return found


def _repeats(matrix: PoolMatrix, texts: tuple[str, ...]) -> tuple[int, int]:
    repeated = split = 0
    for order_G, proxy_G in zip(matrix.order_PG, matrix.proxy_PG, strict=True):
        first: dict[str, float] = {}
        for index, proxy in zip(order_G, proxy_G, strict=True):
            if index < 0:
                continue
            text = texts[index]
            if text in first:
                repeated += 1
                split += first[text] != proxy
            else:
                first[text] = float(proxy)
    return repeated, split
