"""The verdict log: one JSON line for each verdict, chained by hashes, so that a line changed, dropped, moved or added
later is seen. With a key the chain is signed (HMAC-SHA-256): then nobody without the key can write another whole log.

Line: {"number", "previous", "record", "hash"}; hash = H(previous + canonical JSON of record), where H is SHA-256, or
HMAC-SHA-256 with the key. The first record holds the seal of the start and the options, the last the seal of the end.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

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
        kept = []
        for line in islice(read_log(path, key), after) if after else ():
            kept.append(line.text)
            self.number, self.head = line.number + 1, line.hash
        self._stream = path.open("w", encoding="utf-8")
        self._stream.writelines(kept)

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


@dataclass(frozen=True, slots=True)
class LogLine:
    """One checked line."""

    number: int
    record: Mapping[str, Any]
    hash: str
    text: str


def read_log(path: Path, key: bytes = b"") -> Iterator[LogLine]:
    """The lines of a log as far as they are sound.

    Raises: DataError: a line that is not what was written (which, and how that shows).
    """
    previous = ORIGIN
    try:
        stream = path.open(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}. Name the log that karat grade wrote beside its results.") from None
    with stream:
        for number, text in enumerate(stream):
            where = f"{path}, line {number + 1}"
            try:
                row = json.loads(text)
                stated = (row["number"], row["previous"], row["hash"])
                record = row["record"]
            except (ValueError, KeyError, TypeError):
                raise DataError(f"{where}: not a line of a verdict log (cut off, or changed by hand).") from None
            if stated[0] != number or stated[1] != previous:
                raise DataError(f"{where}: the chain is broken: a line before it was removed, added or moved.")
            if not hmac.compare_digest(str(stated[2]), link(previous, record, key)):
                told = "" if key else " (a signed log needs --key-file)"
                raise DataError(
                    f"{where}: its hash does not fit its record: it was changed after it was written{told}."
                )
            previous = str(stated[2])
            yield LogLine(number, record, previous, text)
