"""Which texts of a step are kept, and which leave when the store is full."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import numpy as np

from karat.run_records import RolloutBatch
from karat.store.schema import FREE, WAITS

_STREAM = 0x6B7261  # of the draw of texts, so that it shares no numbers with a run that is seeded by its step
_STEPS_AT_ONCE = 64


def choose(batch: RolloutBatch, *, limit: int, named: Sequence[int], rank: int) -> list[int]:
    """Places of the rollouts whose text is kept: the named ones, and up to `limit` in all.

    Of the rest a half at most are rollouts with a gold, then the highest and the lowest proxies, then some at random.
    """
    n = batch.n_rollouts
    chosen = dict.fromkeys(named)
    if n <= limit:
        return list(dict.fromkeys([*chosen, *range(n)]))
    rng = np.random.default_rng([_STREAM, abs(int(batch.step)), rank])
    mixed = [int(place) for place in rng.permutation(n)]
    proxy_R = np.asarray(batch.proxy_R, float)
    scored = [int(place) for place in np.argsort(proxy_R, kind="stable") if np.isfinite(proxy_R[place])]
    with_gold = [place for place in mixed if np.isfinite(batch.gold_R[place])]
    ends = [*scored[::-1][: limit // 4], *scored[: limit // 8]]
    for place in [*with_gold[: limit // 2], *ends, *mixed]:
        if len(chosen) >= limit:
            break
        chosen[place] = None
    return list(chosen)


def drop_oldest(connection: sqlite3.Connection) -> int:
    """Delete the texts of the oldest steps that have some: unlabelled ones first, then those that wait for a label.

    Returns: how many; 0 where only labelled ones are left, which never leave.
    """
    for state in (FREE, WAITS):
        query = f"SELECT DISTINCT step FROM rollouts WHERE state = {state} ORDER BY step LIMIT ?"
        steps = connection.execute(query, (_STEPS_AT_ONCE,)).fetchall()
        if steps:
            left = connection.execute(
                f"DELETE FROM rollouts WHERE state = {state} AND step BETWEEN ? AND ?", (steps[0][0], steps[-1][0])
            ).rowcount
            counted = (
                "INSERT INTO counters VALUES ('texts dropped', ?) ON CONFLICT (name) DO UPDATE SET value = value + ?"
            )
            connection.execute(counted, (left, left))
            return int(left)
    return 0
