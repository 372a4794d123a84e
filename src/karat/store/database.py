"""One connection to the file of a store: transactions, waiting for locks, faults in words.

WAL lets one process write while others read. A commit survives the death of the process at once (the pages are with
the operating system); it survives a loss of power where it was asked to be durable, at the price of one fsync.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from karat.errors import DataError, InputError, KaratError, ResourceError
from karat.store.schema import APPLICATION_ID, SCHEMA_VERSION, TABLES, is_on_network

WAIT_S = 5.0
"""Longest wait for another writer. A write holds the lock for milliseconds; who waits longer meets a fault."""
_LEFT_BY_FORK: list[sqlite3.Connection] = []
# Kept for ever: a connection that was opened before a fork must not be closed in the child (sqlite.org/howtocorrupt).


class Database:
    """A connection that threads share and that a forked child opens anew.

    Args:
        path: the file.
        read_only: nothing is written, not even beside it where its folder cannot be written.
        wait_s: longest wait for a lock, seconds.
    Raises: DataError: not a store, of a newer karat, damaged, or not there. ResourceError: it cannot be opened.
    """

    def __init__(self, path: Path, *, read_only: bool = False, wait_s: float = WAIT_S) -> None:
        self.path, self.read_only, self.wait_s = path, read_only, wait_s
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self.journal = ""
        with self.faults():
            self._connection = self._open()

    # -------------------------------------------------------------------------------------------------------- reading
    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows at once: an open cursor would keep the log of writes from being folded back into the file."""
        with self.faults(), self._lock:
            return self._live().execute(query, values).fetchall()

    def value(self, query: str, values: Sequence[Any] = ()) -> Any:
        rows = self.rows(query, values)
        return rows[0][0] if rows else None

    # -------------------------------------------------------------------------------------------------------- writing
    @contextlib.contextmanager
    def writing(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it or nothing, and the version of the store one higher.

        Args:
            durable: wait until the disk has it, so that a loss of power keeps it too.
        """
        if self.read_only:
            raise InputError(f"{self.path}: the store was opened for reading only. Open it without read_only to write.")
        with self.faults(), self._lock:
            live = self._live()
            self._refuse_lost()
            live.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            live.execute("BEGIN IMMEDIATE")
            try:
                yield live
                live.execute("UPDATE counters SET value = value + 1 WHERE name = 'version'")
                live.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # a full disk has rolled back already
                    live.execute("ROLLBACK")
                raise

    def used_bytes(self) -> int:
        """Bytes of the file that hold something."""
        with self.faults(), self._lock:
            live = self._live()
            pages, free, size = (
                int(live.execute(f"PRAGMA {name}").fetchone()[0])
                for name in ("page_count", "freelist_count", "page_size")
            )
        return (pages - free) * size

    def close(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None and self._pid == os.getpid():
                with contextlib.suppress(sqlite3.Error):
                    connection.close()

    # ------------------------------------------------------------------------------------------------------- internals
    def _live(self) -> sqlite3.Connection:
        if self._connection is None:
            raise InputError(f"{self.path}: the store is closed. Open it again with RunStore.open.")
        if self._pid != os.getpid():
            _LEFT_BY_FORK.append(self._connection)
            self._pid = os.getpid()
            self._connection = self._open()
        return self._connection

    def _refuse_lost(self) -> None:
        """A file that was removed or replaced takes writes as if nothing were, and they are gone with it."""
        try:
            is_lost = os.stat(self.path).st_ino != self._inode
        except FileNotFoundError:
            is_lost = True
        if is_lost:
            raise ResourceError(
                f"{self.path}: the store was moved, removed or replaced while it was open. Put it back and open it "
                "again, or begin another."
            )

    def _open(self) -> sqlite3.Connection:
        if self.read_only:
            return self._open_for_reading()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = self._connect(f"{self._uri()}?mode=rwc")
        try:
            if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                self._create(connection)
            self._check(connection)
            self.journal = self._set_journal(connection)
            self._inode = os.stat(self.path).st_ino
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_for_reading(self) -> sqlite3.Connection:
        if not self.path.exists():
            raise DataError(f"{self.path}: no store is there. Check the path; karat watch names the store it writes.")
        connection = self._connect(f"{self._uri()}?mode=ro")
        try:
            self._check(connection)
        except sqlite3.OperationalError:
            connection.close()
            if os.access(self.path.parent, os.W_OK) or Path(f"{self.path}-wal").exists():
                raise
            # A finished run on a medium that cannot be written: nothing can change it, so no lock is needed.
            connection = self._connect(f"{self._uri()}?mode=ro&immutable=1")
            self._check(connection)
        self.journal = str(connection.execute("PRAGMA journal_mode").fetchone()[0])
        return connection

    def _uri(self) -> str:
        return "file:" + quote(str(self.path.absolute()))

    def _connect(self, uri: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            uri, uri=True, timeout=self.wait_s, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        # Texts with lone surrogates are stored as bytes (records.py); bytes that are no UTF-8 are damage, not a crash.
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        return connection

    def _create(self, connection: sqlite3.Connection) -> None:
        """Make the tables, unless another rank was faster, or the file is somebody else's."""
        connection.execute("BEGIN IMMEDIATE")
        try:
            if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    raise DataError(self._no_store())
                for statement in TABLES.split(";"):
                    connection.execute(statement)
                connection.execute("INSERT INTO counters VALUES ('version', 0)")
                connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise

    def _check(self, connection: sqlite3.Connection) -> None:
        owner, version = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
        )
        if owner != APPLICATION_ID:
            raise DataError(self._no_store())
        if version > SCHEMA_VERSION:
            raise DataError(
                f"{self.path}: the store has schema {version}, and this karat reads up to {SCHEMA_VERSION}. "
                "Read it with the karat that wrote it, or a later one."
            )

    def _no_store(self) -> str:
        return f"{self.path}: not a store of karat watch. Give another path; nothing was written to this file."

    def _set_journal(self, connection: sqlite3.Connection) -> str:
        """WAL, but for file systems of a network, which give its processes no shared memory."""
        wanted = "TRUNCATE" if is_on_network(self.path) else "WAL"
        until = time.monotonic() + self.wait_s
        while True:  # changing the journal fails at once where another rank is at it: sqlite waits for locks only
            try:
                connection.execute("PRAGMA journal_size_limit=16777216")
                return str(connection.execute(f"PRAGMA journal_mode={wanted}").fetchone()[0])
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
                time.sleep(0.02)

    @contextlib.contextmanager
    def faults(self) -> Iterator[None]:
        """sqlite's faults, and the system's, as karat's."""
        try:
            yield
        except KaratError:
            raise
        except (sqlite3.Error, OSError) as error:
            raise _in_words(self.path, error, self.wait_s) from error


def _code(error: BaseException) -> int:
    """The primary code of an error of sqlite; 0 where it has none."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def _in_words(path: Path, error: BaseException, wait_s: float) -> KaratError:
    code = _code(error)
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR):
        how = "not a database" if code == sqlite3.SQLITE_NOTADB else "damaged"
        return DataError(
            f"{path}: the file is {how} ({error}). Move it away to start a new store; what is left of it can be read "
            f"with: sqlite3 {path.name} .recover"
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return ResourceError(
            f"{path}: another program has held the store locked for {wait_s:g} s. Close it (an open transaction of a "
            "sqlite3 shell, a backup), then try again."
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return ResourceError(
            f"{path}: cannot be opened for this ({error}). Check that its folder exists and may be written."
        )
    if code == sqlite3.SQLITE_FULL:
        return ResourceError(f"{path}: the disk is full; what was committed is kept. Free space, then try again.")
    return ResourceError(
        f"{path}: reading or writing failed ({error}); what was committed is kept. Check the disk: space, quota, mount."
    )
