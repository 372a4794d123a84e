"""Vectors kept on disk under a key, in one SQLite file for each way of making them.  Axes: D dimensions."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from karat.errors import ResourceError

KEEP_BYTES = 2 << 30
"""Files used longest ago are removed when all together exceed this; one that exceeds it alone loses its older half."""
KEYS_AT_ONCE = 500
LOCK_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Stored:
    """One vector, float32; empty where there is none, with the reason in `missing`."""

    vector_D: np.ndarray
    is_cut: bool
    missing: str

    @classmethod
    def without(cls, reason: str) -> Stored:
        return cls(np.empty(0, dtype=np.float32), False, reason)


class VectorStore:
    """A file of vectors by key; several processes may read and write it at once.

    Args:
        file: made with its folder on the first write.
        is_used: False: reads nothing and keeps nothing.
    """

    def __init__(self, file: Path, is_used: bool = True) -> None:
        self.file = file
        self.is_used = is_used

    def read(self, keys: Iterable[bytes]) -> dict[bytes, Stored]:
        """What is kept under these keys. A file that cannot be read as a store counts as empty."""
        if not self.is_used or not self.file.is_file():
            return {}
        wanted, found = list(keys), {}
        try:
            self.file.touch()  # the least recently used go first
            with self._open() as database:
                for start in range(0, len(wanted), KEYS_AT_ONCE):
                    part = wanted[start : start + KEYS_AT_ONCE]
                    marks = ",".join("?" * len(part))
                    rows = database.execute(f"SELECT key, vector, cut, missing FROM kept WHERE key IN ({marks})", part)
                    for key, vector, cut, missing in rows:
                        found[key] = Stored(np.frombuffer(vector, dtype=np.float32), bool(cut), missing)
        except (sqlite3.DatabaseError, OSError):
            return {}
        return found

    def write(self, stored: Mapping[bytes, Stored]) -> None:
        """Keep vectors; those that are there already stay.

        Raises: ResourceError: the disk is full or not writable.
        """
        if not self.is_used or not stored:
            return
        rows = [(key, each.vector_D.tobytes(), each.is_cut, each.missing) for key, each in stored.items()]
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self._open() as database:
                database.execute(
                    "CREATE TABLE IF NOT EXISTS kept (key BLOB PRIMARY KEY, vector BLOB, cut INTEGER, missing TEXT)"
                )
                if self.file.stat().st_size > KEEP_BYTES:
                    database.execute("DELETE FROM kept WHERE rowid <= (SELECT max(rowid) + min(rowid) FROM kept) / 2")
                database.executemany("INSERT OR IGNORE INTO kept VALUES (?, ?, ?, ?)", rows)
            self._prune()
        except (sqlite3.Error, OSError) as error:
            raise ResourceError(
                f"cannot keep hidden states in {self.file}: {error}. Make room there, or remove that file."
            ) from error

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self.file, timeout=LOCK_TIMEOUT_S)
        try:
            with database:  # commits, or rolls back
                yield database
        finally:
            database.close()

    def _prune(self) -> None:
        files = [file for file in self.file.parent.glob("*.sqlite") if file != self.file]
        files.sort(key=lambda file: file.stat().st_mtime)
        total = sum(file.stat().st_size for file in files) + self.file.stat().st_size
        for file in files:
            if total <= KEEP_BYTES:
                return
            total -= file.stat().st_size
            file.unlink(missing_ok=True)
