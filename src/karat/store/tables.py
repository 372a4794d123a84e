"""Steps, rollouts and labels in their tables: what is written in one transaction, and how they are read together.

Axes: R rollouts of a step and rank.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from karat.errors import InputError
from karat.run_records import NAN, Label, RolloutBatch
from karat.store import rows as r
from karat.store.database import Database
from karat.store.records import StepSummary, StoredRollout
from karat.store.schema import FREE, LABELLED, RANK_STRIDE, WAITS

COUNTED = (
    "n_steps", "n_rollouts", "n_texts", "n_labels", "n_waiting", "n_superseded_labels", "n_replaced_steps",
    "n_dropped_texts", "used_mb", "journal",
)  # fmt: skip
_SUMMARY = ("n_missing", "proxy_mean", "proxy_low", "proxy_high", "n_gold", "gold_mean", "gold_low", "gold_high")


# ------------------------------------------------------------------------------------------------------------- writing
def write_batch(
    connection: sqlite3.Connection,
    batch: RolloutBatch,
    *,
    rank: int,
    kept: Sequence[int],
    asked: Sequence[int],
    path: Path,
) -> int:
    """Write a step of a rank with its texts. Returns: its attempt."""
    step = r.step_in(batch.step)
    names, packed = r.pack(batch)
    digest = r.digest(batch)
    attempt = _attempt(connection, step, rank, digest)
    n_missing, proxy, n_gold, gold = r.summary(
        np.asarray(batch.proxy_R, float),
        np.asarray(batch.gold_R, float),
        np.asarray(batch.chance_R, float),
        np.asarray(batch.group_R),
    )
    connection.execute(
        f"INSERT OR REPLACE INTO steps VALUES ({','.join('?' * 17)})",
        (
            step, rank, attempt, r.number_in(batch.time_s), batch.n_rollouts, n_missing, *proxy, n_gold, *gold,
            r.json_in(batch.metrics), names, packed, digest,
        ),
    )  # fmt: skip
    waits = set(asked)
    rows = [_rollout_row(batch, place, step, rank, attempt, WAITS if place in waits else FREE) for place in kept]
    # The same step handed over twice: what is labelled stays as it is, what waits goes on waiting.
    connection.executemany(
        f"INSERT INTO rollouts VALUES ({','.join('?' * 14)}) ON CONFLICT (step, idx, attempt) "
        "DO UPDATE SET gold = excluded.gold, chance = excluded.chance, state = max(state, excluded.state)",
        rows,
    )
    if connection.execute("SELECT 1 FROM labels WHERE step = ? AND attempt = ? LIMIT 1", (step, attempt)).fetchone():
        write_summary(connection, step, rank, path=path)
    return attempt


def _attempt(connection: sqlite3.Connection, step: int, rank: int, digest: bytes) -> int:
    """The attempt of a step that is written now; makes room where it replaces an earlier one.

    The first step of a rank that is there already with other rollouts begins a new attempt, which all later steps of
    the rank belong to: those of the earlier attempt are replaced one by one as the run reaches them again.
    """
    latest = connection.execute("SELECT max(attempt) FROM steps WHERE rank = ?", (rank,)).fetchone()[0] or 1
    query = "SELECT attempt, digest FROM steps WHERE step = ? AND rank = ?"
    found = connection.execute(query, (step, rank)).fetchone()
    if found is None:
        return int(latest)
    if found[1] == digest:
        return int(found[0])
    attempt = latest + 1 if found[0] == latest else latest
    connection.execute(
        f"DELETE FROM rollouts WHERE step = ? AND rank = ? AND state <> {LABELLED}", (step, rank)
    )  # a text that waits for a label waits for a rollout that the run has taken back
    add_to_counter(connection, "steps replaced", 1)
    return int(attempt)


def add_to_counter(connection: sqlite3.Connection, name: str, n: int) -> None:
    connection.execute(
        "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value", (name, n)
    )


def _rollout_row(batch: RolloutBatch, place: int, step: int, rank: int, attempt: int, state: int) -> tuple[Any, ...]:
    prompt, response = str(batch.prompts[place]), str(batch.responses[place])
    return (
        step, rank * RANK_STRIDE + place, attempt, rank,
        r.text_in(r.bounded(prompt)), r.text_in(r.bounded(response)), len(prompt), len(response),
        r.number_in(batch.proxy_R[place]), r.number_in(batch.gold_R[place]), r.number_in(batch.chance_R[place]),
        int(batch.group_R[place]), r.extra_in(batch, place), state,
    )  # fmt: skip


def write_label(connection: sqlite3.Connection, label: Label, *, time_s: float) -> None:
    """Raises InputError: no such rollout, or a chance or a gold that cannot be."""
    step, index = r.step_in(label.step), int(label.index)
    gold, chance = float(label.gold), float(label.chance)
    if not 0 < chance <= 1 or math.isinf(gold):
        raise InputError(
            f"step {step}, rollout {index}: gold {gold:g} with chance {chance:g}; gold must be finite, or NaN where "
            "none was given, and the chance in (0, 1]."
        )
    rank, place = divmod(index, RANK_STRIDE)
    found = connection.execute("SELECT attempt, n_rollouts FROM steps WHERE step = ? AND rank = ?", (step, rank))
    attempt, n = found.fetchone() or (0, 0)
    if not 0 <= place < n or index < 0:
        raise InputError(f"step {step}, rollout {index}: the store has no such rollout. Take both from its queue.")
    connection.execute(
        f"INSERT OR REPLACE INTO labels VALUES ({','.join('?' * 7)})",
        (step, index, attempt, r.number_in(gold), chance, r.text_in(r.bounded(label.by, 200)), time_s),
    )
    connection.execute(
        f"UPDATE rollouts SET state = {LABELLED} WHERE step = ? AND idx = ? AND attempt = ?", (step, index, attempt)
    )


def write_summary(connection: sqlite3.Connection, step: int, rank: int, *, path: Path) -> None:
    """Sum up a step anew, its labels among its golds."""
    query = f"SELECT {_PACKED} FROM steps WHERE step = ? AND rank = ?"
    row = connection.execute(query, (step, rank)).fetchone()
    columns = _columns(connection.execute(_LABELS_OF, (step, rank)).fetchall(), row, path)
    n_missing, proxy, n_gold, gold = r.summary(columns["proxy"], columns["gold"], columns["chance"], columns["group"])
    connection.execute(
        f"UPDATE steps SET {', '.join(f'{name} = ?' for name in _SUMMARY)} WHERE step = ? AND rank = ?",
        (n_missing, *proxy, n_gold, *gold, step, rank),
    )


# ------------------------------------------------------------------------------------------------------------- reading
_PACKED = "column_names, columns, n_rollouts"
_LABELS_OF = (
    "SELECT l.idx, l.gold, l.chance FROM labels l JOIN steps s ON s.step = l.step AND s.attempt = l.attempt "
    f"AND s.rank = l.idx / {RANK_STRIDE} WHERE s.step = ? AND s.rank = ?"
)


def _columns(labels: Sequence[tuple[Any, ...]], row: tuple[Any, ...], path: Path) -> dict[str, np.ndarray]:
    """The columns of a step and rank with its labels over its golds."""
    names, packed, n_rollouts = row
    columns = r.unpack(names, packed, n_rollouts, path)
    for index, gold, chance in labels:
        place = index % RANK_STRIDE
        columns["gold"][place], columns["chance"][place] = r.number_out(gold), chance
    return columns


def steps(database: Database) -> list[StepSummary]:
    rows = database.rows(
        f"SELECT step, attempt, n_rollouts, {', '.join(_SUMMARY)}, time_s, metrics, "
        "(SELECT count(*) FROM rollouts r WHERE r.step = s.step AND r.rank = s.rank AND r.attempt = s.attempt) "
        "FROM steps s ORDER BY step, rank"
    )
    return [_joined(list(ranks), database.path) for _, ranks in groupby(rows, key=lambda row: row[0])]


def _joined(ranks: list[tuple[Any, ...]], path: Path) -> StepSummary:
    """One step over its ranks: means weighted by counts; half-widths of independent ranks add up in squares."""
    numbers = [[r.number_out(value) for value in row[3 : 3 + len(_SUMMARY)]] for row in ranks]
    n_scored = [row[2] - row[3] for row in ranks]
    metrics: dict[str, float] = {}
    for row in reversed(ranks):  # the first rank's win: trainers log on it
        metrics |= {key: r.number_of_json(value) for key, value in r.json_out(row[12], path).items()}
    proxy = _mean_of([values[1:4] for values in numbers], n_scored)
    gold = _mean_of([values[5:8] for values in numbers], [row[2] if row[7] else 0 for row in ranks])
    times = [row[11] for row in ranks if row[11] is not None]
    return StepSummary(
        step=ranks[0][0],
        attempt=max(row[1] for row in ranks),
        n_ranks=len(ranks),
        n_rollouts=sum(row[2] for row in ranks),
        n_kept=sum(row[13] for row in ranks),
        n_missing=sum(row[3] for row in ranks),
        proxy_mean=proxy[0],
        proxy_low=proxy[1],
        proxy_high=proxy[2],
        n_gold=sum(row[7] for row in ranks),
        gold_mean=gold[0],
        gold_low=gold[1],
        gold_high=gold[2],
        time_s=max(times, default=NAN),
        metrics=metrics,
    )


def _mean_of(ends: Sequence[Sequence[float]], weights: Sequence[int]) -> tuple[float, float, float]:
    used = [(end, weight) for end, weight in zip(ends, weights, strict=True) if weight and end[0] == end[0]]
    if len(used) == 1:
        return tuple(used[0][0])  # type: ignore[return-value]
    total = sum(weight for _, weight in used)
    if not total:
        return NAN, NAN, NAN
    mean = sum(weight * end[0] for end, weight in used) / total
    below = math.sqrt(sum((weight * (end[0] - end[1]) / total) ** 2 for end, weight in used))
    above = math.sqrt(sum((weight * (end[2] - end[0]) / total) ** 2 for end, weight in used))
    return mean, mean - below, mean + above


def rollouts(database: Database, where: str, values: Sequence[Any], *, order: str = "r.idx") -> list[StoredRollout]:
    """Kept rollouts of the current attempts, with their labels, scores and numbers."""
    rows = database.rows(
        "SELECT r.step, r.idx, r.attempt, r.grp, r.prompt, r.response, r.prompt_chars, r.response_chars, r.proxy, "
        "r.gold, r.chance, r.extra, r.state, l.giver, l.gold, l.chance "
        "FROM rollouts r JOIN steps s ON s.step = r.step AND s.rank = r.rank AND s.attempt = r.attempt "
        "LEFT JOIN labels l ON l.step = r.step AND l.idx = r.idx AND l.attempt = r.attempt "
        f"WHERE {where} ORDER BY {order}",
        values,
    )
    packed = {key: _columns_at(database, *key) for key in {(row[0], row[1] // RANK_STRIDE) for row in rows}}
    return [_rollout(row, packed[row[0], row[1] // RANK_STRIDE], database.path) for row in rows]


def _rollout(row: tuple[Any, ...], columns: dict[str, np.ndarray], path: Path) -> StoredRollout:
    place, has_label = row[1] % RANK_STRIDE, row[13] is not None
    return StoredRollout(
        step=row[0],
        index=row[1],
        attempt=row[2],
        group=row[3],
        prompt=r.text_out(row[4]),
        response=r.text_out(row[5]),
        prompt_chars=row[6],
        response_chars=row[7],
        proxy=r.number_out(row[8]),
        gold=r.number_out(row[14] if has_label else row[9]),
        chance=r.number_out(row[15] if has_label else row[10]),
        labelled_by=r.text_out(row[13]),
        waits=row[12] == WAITS,
        scores=_named("score:", columns, place),
        numbers=_named("number:", columns, place),
        notes=r.json_out(row[11], path),
    )


def _named(prefix: str, columns: Mapping[str, np.ndarray], place: int) -> dict[str, float]:
    return {name.removeprefix(prefix): float(c[place]) for name, c in columns.items() if name.startswith(prefix)}


def _columns_at(database: Database, step: int, rank: int) -> dict[str, np.ndarray]:
    rows = database.rows(f"SELECT {_PACKED} FROM steps WHERE step = ? AND rank = ?", (step, rank))
    return _columns(database.rows(_LABELS_OF, (step, rank)), rows[0], database.path) if rows else {}


def labels(database: Database, *, all_attempts: bool) -> list[Label]:
    current = (
        "" if all_attempts
        else f"JOIN steps s ON s.step = l.step AND s.rank = l.idx / {RANK_STRIDE} AND s.attempt = l.attempt "
    )  # fmt: skip
    query = f"SELECT l.step, l.idx, l.gold, l.chance, l.giver FROM labels l {current}ORDER BY l.step, l.idx, l.attempt"
    return [
        Label(step, index, r.number_out(gold), chance, r.text_out(giver))
        for step, index, gold, chance, giver in database.rows(query)
    ]


def batch_of(database: Database, step: int) -> RolloutBatch:
    """A step over its ranks, texts where they are kept."""
    rows = database.rows(f"SELECT rank, metrics, time_s, {_PACKED} FROM steps WHERE step = ? ORDER BY rank", (step,))
    kept = {rollout.index: rollout for rollout in rollouts(database, "r.step = ?", (step,))}
    parts, prompts, responses = [], [], []
    metrics: dict[str, float] = {}
    notes: dict[str, list[str]] = {name: [] for rollout in kept.values() for name in rollout.notes}
    next_group = 0
    for rank, told, _, names, packed, n in rows:
        columns = _columns(database.rows(_LABELS_OF, (step, rank)), (names, packed, n), database.path)
        # Ranks number their prompts alike, and share none of them.
        _, group_R = np.unique(columns["group"], return_inverse=True)
        columns["group"] = group_R + next_group if len(rows) > 1 else columns["group"]
        next_group += int(group_R.max(initial=-1)) + 1
        parts.append((columns, n))
        metrics = {key: r.number_of_json(value) for key, value in r.json_out(told, database.path).items()} | metrics
        for place in range(n):
            rollout = kept.get(rank * RANK_STRIDE + place)
            prompts.append(rollout.prompt if rollout else "")
            responses.append(rollout.response if rollout else "")
            for name, column in notes.items():
                column.append(rollout.notes.get(name, "") if rollout else "")
    joined = {
        name: np.concatenate([columns.get(name, np.full(n, NAN)) for columns, n in parts]) for name in
        dict.fromkeys(name for columns, _ in parts for name in columns)
    }  # fmt: skip
    return RolloutBatch(
        step=step,
        prompts=prompts,
        responses=responses,
        group_R=joined["group"].astype(int),
        proxy_R=joined["proxy"],
        gold_R=joined["gold"],
        chance_R=joined["chance"],
        scores={name.removeprefix("score:"): c for name, c in joined.items() if name.startswith("score:")},
        numbers={name.removeprefix("number:"): c for name, c in joined.items() if name.startswith("number:")},
        notes=notes,
        metrics=metrics,
        time_s=max((row[2] for row in rows if row[2] is not None), default=NAN),
    )


def counts(database: Database) -> dict[str, Any]:
    """What the store says of itself, under the names of COUNTED."""
    one = database.value
    n_current = (
        "SELECT count(*) FROM labels l JOIN steps s ON s.step = l.step "
        f"AND s.rank = l.idx / {RANK_STRIDE} AND s.attempt = l.attempt"
    )
    n_labels = one(n_current)
    counter = dict(database.rows("SELECT name, value FROM counters"))
    values = (
        one("SELECT count(DISTINCT step) FROM steps"),
        one("SELECT coalesce(sum(n_rollouts), 0) FROM steps"),
        one("SELECT count(*) FROM rollouts"),
        n_labels,
        one(f"SELECT count(*) FROM rollouts WHERE state = {WAITS}"),
        one("SELECT count(*) FROM labels") - n_labels,
        counter.get("steps replaced", 0),
        counter.get("texts dropped", 0),
        round(database.used_bytes() / (1 << 20), 3),
        database.journal,
    )
    return dict(zip(COUNTED, values, strict=True))
