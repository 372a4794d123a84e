"""The record of a run: what a step was, what was read off it, alarms, actions, labels.

Numbers of a step are kept for all its rollouts and for ever; texts are kept for some, and leave, oldest first, when the
store is full.  Axes: R rollouts of a step.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from karat.errors import InputError
from karat.run_records import Action, Alarm, EvidencePoint, Label, Reading, RolloutBatch
from karat.store import rotation, tables
from karat.store import rows as r
from karat.store.database import WAIT_S, Database
from karat.store.records import StepSummary, StoredRollout
from karat.store.schema import RANK_STRIDE, WAITS, store_file

_MIB = 1 << 20


class RunStore:
    """A store that is open; a context manager. Threads may share it; each process opens its own.

    Attributes:
        path: the file.
        rank: of this writer; ranks number steps alike, and each hands over its own rollouts of a step.
    """

    def __init__(self, database: Database, *, rank: int, size_cap_mb: float, keep_rollouts_per_step: int) -> None:
        self._database = database
        self.path, self.rank = database.path, rank
        self._cap_bytes = size_cap_mb * _MIB
        self._keep = keep_rollouts_per_step

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        read_only: bool = False,
        rank: int = 0,
        size_cap_mb: float = 1024,
        keep_rollouts_per_step: int = 16,
        wait_s: float = WAIT_S,
    ) -> Self:
        """Open a store, or make one.

        Args:
            path: the file, or the folder that holds it under its default name.
            read_only: it must be there, and nothing is written.
            rank: of this writer, from 0 on.
            size_cap_mb: MiB from which on the oldest texts leave; numbers of steps never do.
            keep_rollouts_per_step: most rollouts of a step whose text is kept, unless the caller names them.
            wait_s: longest wait for another writer, seconds.
        Raises: DataError: not a store, of a newer karat, or damaged. ResourceError: it cannot be opened or written.
            InputError: an argument is out of range.
        """
        if size_cap_mb <= 0 or keep_rollouts_per_step < 0 or rank < 0 or wait_s < 0:
            raise InputError(
                f"size_cap_mb = {size_cap_mb}, keep_rollouts_per_step = {keep_rollouts_per_step}, rank = {rank}, "
                f"wait_s = {wait_s}: the cap must be above 0, the others at least 0."
            )
        database = Database(store_file(path), read_only=read_only, wait_s=wait_s)
        return cls(database, rank=rank, size_cap_mb=size_cap_mb, keep_rollouts_per_step=keep_rollouts_per_step)

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # -------------------------------------------------------------------------------------------------------- writing
    def add_batch(
        self, batch: RolloutBatch, *, keep: Sequence[int] | None = None, ask: Sequence[int] | None = None
    ) -> int:
        """Write a step of this rank, all of it or nothing.

        A step that is there already with other rollouts is replaced: a restart went back behind it. Labels of the
        replaced rollouts stay with their texts, under the earlier attempt. The same step handed over twice changes
        nothing.

        Args:
            keep: places in the batch whose text is kept besides (witnesses); None: none is named.
            ask: places whose gold a person shall give; their texts wait in the queue.
        Returns: the attempt that the step belongs to, from 1 on.
        Raises: InputError: columns of several lengths, more rollouts than RANK_STRIDE, or a place that is not there.
            ResourceError: the disk is full, or another program holds the store.
        """
        r.check_batch(batch)
        if batch.n_rollouts >= RANK_STRIDE:
            raise InputError(f"step {batch.step}: {batch.n_rollouts} rollouts; a step of a rank holds < {RANK_STRIDE}.")
        asked, named = _places(batch, "ask", ask), _places(batch, "keep", keep)
        kept = rotation.choose(batch, limit=self._keep, named=[*asked, *named], rank=self.rank)
        with self._database.writing() as connection:
            attempt = tables.write_batch(connection, batch, rank=self.rank, kept=kept, asked=asked, path=self.path)
        if self._database.used_bytes() > self._cap_bytes:
            self._make_room()
        return attempt

    def add_readings(self, readings: Iterable[Reading]) -> None:
        """Later ones replace those of the same step and signal, as all below do with their own keys."""
        rows = [
            (r.step_in(x.step), r.text_in(x.signal), r.number_in(x.value), int(x.n_used), int(x.n_missing))
            for x in readings
        ]
        self._insert("readings", rows, 5)

    def add_evidence(self, points: Iterable[EvidencePoint]) -> None:
        rows = [
            (r.step_in(x.step), r.text_in(x.detector), r.number_in(x.evidence), r.number_in(x.threshold))
            for x in points
        ]
        self._insert("evidence", rows, 4)

    def add_alarm(self, alarm: Alarm) -> None:
        """Durable: it survives a loss of power."""
        key = (r.step_in(alarm.step), alarm.level, r.text_in(alarm.detector), r.text_in(alarm.signal))
        self._insert("alarms", [(*key, r.alarm_in(alarm))], 5, durable=True)

    def add_action(self, action: Action) -> None:
        """Durable, and added even where an equal one is there: it is a log."""
        row = (None, r.step_in(action.step), r.text_in(action.kind), int(action.done), r.action_in(action), time.time())
        self._insert("actions", [row], 6, durable=True)

    def add_labels(self, labels: Iterable[Label]) -> int:
        """Golds of rollouts of the current attempt of their step; NaN: asked for, and not given. Durable.

        Returns: how many were stored. Raises: InputError: the store has no such rollout, or a chance is outside (0, 1];
            none of them is stored then.
        """
        labels = list(labels)
        with self._database.writing(durable=True) as connection:
            for label in labels:
                tables.write_label(connection, label, time_s=time.time())
            for step in sorted({(int(label.step), int(label.index) // RANK_STRIDE) for label in labels}):
                tables.write_summary(connection, *step, path=self.path)
        return len(labels)

    def ask_for_labels(self, step: int, indices: Sequence[int]) -> int:
        """Put rollouts of a stored step into the queue. Returns: how many: not those without text or with a label."""
        with self._database.writing() as connection:
            found = [
                connection.execute(
                    f"UPDATE rollouts SET state = {WAITS} WHERE step = ? AND idx = ? AND state = 0 AND attempt = "
                    "(SELECT attempt FROM steps WHERE step = rollouts.step AND rank = rollouts.rank)",
                    (r.step_in(step), int(index)),
                ).rowcount
                for index in indices
            ]
        return sum(found)

    def save_state(self, state: Mapping[str, Any]) -> None:
        """Plain JSON that the monitor goes on from after a restart."""
        self._set_info({"monitor state": state})

    def set_info(self, info: Mapping[str, Any]) -> None:
        """Add to what is said of the run; plain JSON."""
        reserved = sorted({"monitor state", *tables.COUNTED} & set(info))
        if reserved:
            raise InputError(f"info {reserved}: the store keeps these itself. Use other names.")
        self._set_info(info)

    # -------------------------------------------------------------------------------------------------------- reading
    def load_state(self) -> dict[str, Any] | None:
        """What `save_state` was given last; None where it never was."""
        found = self._database.value("SELECT value FROM info WHERE key = 'monitor state'")
        return None if found is None else r.json_out(found, self.path)

    def info(self) -> dict[str, Any]:
        """What was said of the run, and the store's own counts (`tables.COUNTED`)."""
        rows = self._database.rows("SELECT key, value FROM info WHERE key <> 'monitor state'")
        told = {key: r.json_out(value, self.path) for key, value in rows}
        return {**told, **tables.counts(self._database)}

    def version(self) -> int:
        """Rises with each write, of any process; one look-up, so that a page may ask often."""
        return int(self._database.value("SELECT value FROM counters WHERE name = 'version'") or 0)

    def steps(self) -> list[StepSummary]:
        """One for each step, in order, over all ranks."""
        return tables.steps(self._database)

    def readings(self, signal: str | None = None) -> list[Reading]:
        where, values = ("", ()) if signal is None else ("WHERE signal = ?", (r.text_in(signal),))
        query = f"SELECT step, signal, value, n_used, n_missing FROM readings {where} ORDER BY step, signal"
        return [
            Reading(step, r.text_out(name), r.number_out(value), used, missing)
            for step, name, value, used, missing in self._database.rows(query, values)
        ]

    def evidence(self) -> list[EvidencePoint]:
        query = "SELECT step, detector, evidence, threshold FROM evidence ORDER BY step, detector"
        return [
            EvidencePoint(step, r.text_out(name), r.number_out(value), r.number_out(threshold))
            for step, name, value, threshold in self._database.rows(query)
        ]

    def alarms(self) -> list[Alarm]:
        rows = self._database.rows("SELECT record FROM alarms ORDER BY step, level, detector, signal")
        return [r.alarm_out(r.json_out(record, self.path), self.path) for (record,) in rows]

    def actions(self) -> list[Action]:
        """In the order in which they were logged."""
        rows = self._database.rows("SELECT record FROM actions ORDER BY id")
        return [r.action_out(r.json_out(record, self.path), self.path) for (record,) in rows]

    def rollouts(self, step: int) -> list[StoredRollout]:
        """Those of a step whose text is kept, of the current attempt."""
        return tables.rollouts(self._database, "r.step = ?", (r.step_in(step),))

    def labels(self, *, all_attempts: bool = False) -> list[Label]:
        """In order of step; gold NaN where a label was asked for and not given. Earlier attempts only when asked."""
        return tables.labels(self._database, all_attempts=all_attempts)

    def queue(self, *, limit: int = 1000) -> list[StoredRollout]:
        """What waits for a label: the newest step first, because it is the one that can still be acted on."""
        return tables.rollouts(self._database, f"r.state = {WAITS}", (int(limit),), order="r.step DESC, r.idx LIMIT ?")

    def iter_batches(self) -> Iterator[RolloutBatch]:
        """Each step with the numbers of all its rollouts, labels among the golds; "" where no text is kept."""
        for (step,) in self._database.rows("SELECT DISTINCT step FROM steps ORDER BY step"):
            yield tables.batch_of(self._database, step)

    # ------------------------------------------------------------------------------------------------------- internals
    def _insert(self, table: str, rows: Sequence[tuple[Any, ...]], width: int, *, durable: bool = False) -> None:
        if rows:
            with self._database.writing(durable=durable) as connection:
                connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({','.join('?' * width)})", rows)

    def _set_info(self, info: Mapping[str, Any]) -> None:
        self._insert("info", [(str(key), r.json_in(value)) for key, value in info.items()], 2)

    def _make_room(self) -> None:
        """Let the oldest texts leave until the store is a tenth below its cap, so that it is not done at every step."""
        while self._database.used_bytes() > 0.9 * self._cap_bytes:
            with self._database.writing() as connection:
                left = rotation.drop_oldest(connection)
            if not left:
                return


def _places(batch: RolloutBatch, name: str, places: Sequence[int] | None) -> list[int]:
    found = [int(place) for place in (() if places is None else places)]
    bad = [place for place in found if not 0 <= place < batch.n_rollouts]
    if bad:
        raise InputError(f"step {batch.step}: {name} names rollout {bad[0]} of {batch.n_rollouts}; count from 0.")
    return list(dict.fromkeys(found))
