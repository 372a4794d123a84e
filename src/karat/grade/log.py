"""The verdict log: one JSON line for each verdict, chained by hashes, so that a line changed, dropped, moved or added
later is seen. With a key the chain is signed (HMAC-SHA-256): then nobody without the key can write another whole log.

Line: {"number", "previous", "record", "hash"}; hash = H(previous + canonical JSON of record), where H is SHA-256, or
HMAC-SHA-256 with the key. The first record holds the seal of the start and the options, the last the seal of the end.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from karat.errors import DataError, InputError
from karat.grade.seal import canonical

ORIGIN = "0" * 64


def read_key(path: str) -> bytes:
    """The key of a file; empty when no file is named.

    Raises: InputError: it cannot be read, or holds less than 16 bytes.
    """
    if not path:
        return b""
    try:
        key = Path(path).read_bytes().strip()
    except OSError as error:
        raise InputError(f"key file {path}: {error.strerror}. Name a file with at least 16 random bytes.") from None
    if len(key) < 16:
        raise InputError(f"key file {path} holds {len(key)} bytes; a key needs at least 16.")
    return key


def link(previous: str, record: Mapping[str, Any], key: bytes) -> str:
    """The hash that chains a record to the one before it."""
    message = previous.encode() + canonical(record)
    if key:
        return hmac.new(key, message, hashlib.sha256).hexdigest()
    return hashlib.sha256(message).hexdigest()


class VerdictLog:
    """Appends records to a log file; each is flushed, so that a killed run leaves whole lines but for the last."""

    def __init__(self, path: Path, key: bytes = b"", *, after: int = 0) -> None:
        """Start a new log, or go on behind the first `after` records of the one that is there."""
        self.path, self.key = path, key
        self.number, self.head = 0, ORIGIN
        kept_bytes = 0
        for line in islice(read_log(path, key), after) if after else ():
            kept_bytes += line.size_bytes
            self.number, self.head = line.number + 1, line.hash
        self._stream = append_behind(path, kept_bytes)

    def append(self, record: Mapping[str, Any]) -> str:
        """Write one record; returns its hash."""
        digest = link(self.head, record, self.key)
        row = {"number": self.number, "previous": self.head, "record": record, "hash": digest}
        self._stream.write(json.dumps(row, ensure_ascii=True) + "\n")
        self._stream.flush()
        self.number, self.head = self.number + 1, digest
        return digest

    def close(self) -> None:
        self._stream.close()


def append_behind(path: Path, kept_bytes: int) -> TextIO:
    """A file to append to, cut to its first `kept_bytes`: those are never written anew, so no moment loses them.

    Raises: InputError: another run is writing it.
    """
    stream = path.open("a", encoding="utf-8", newline="\n")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        raise InputError(f"{path}: another run is writing it. Wait for its end, or name another --out.") from None
    except OSError:  # a file system without locks: two runs at once are not told apart there
        pass
    stream.truncate(kept_bytes)
    return stream


@dataclass(frozen=True, slots=True)
class LogLine:
    """One checked line."""

    number: int
    record: Mapping[str, Any]
    hash: str
    size_bytes: int


def read_log(path: Path, key: bytes = b"") -> Iterator[LogLine]:
    """The lines of a log as far as they are sound.

    Raises: DataError: a line that is not what was written (which, and how that shows).
    """
    previous = ORIGIN
    try:
        stream = path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}. Name the log that karat grade wrote beside its results.") from None
    with stream:
        for number, text in enumerate(stream):
            where = f"{path}, line {number + 1}"
            try:
                row = json.loads(text)
                stated = (row["number"], row["previous"], str(row["hash"]))
                record = row["record"]
                digest = link(previous, record, key)
            except (ValueError, KeyError, TypeError, RecursionError):
                record = None
            if not isinstance(record, dict) or not text.endswith(b"\n"):
                raise DataError(f"{where}: not a line of a verdict log (cut off, or changed by hand).")
            if stated[0] != number or stated[1] != previous:
                raise DataError(f"{where}: the chain is broken: a line before it was removed, added or moved.")
            if not hmac.compare_digest(stated[2].encode("ascii", "replace"), digest.encode()):
                told = "" if key else " (a signed log needs --key-file)"
                raise DataError(
                    f"{where}: its hash does not fit its record: it was changed after it was written{told}."
                )
            previous = digest
            yield LogLine(number, record, previous, len(text))
