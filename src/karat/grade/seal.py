"""The integrity seal: hashes of the grader, the tasks with their tests, and the interpreter, before and after a run.

What changed between the two was changed while untrusted code ran, so the verdicts between them are not to be trusted.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from karat.grade.types import Task

PACKAGE = Path(__file__).resolve().parents[1]
GRADER_FOLDERS = ("grade", "sandbox", "data")


@dataclass(frozen=True, slots=True)
class Seal:
    """SHA-256, hexadecimal, of what a verdict rests on."""

    grader: str
    """Every source file of karat's grade, sandbox and data folders."""
    tasks: str
    """All tasks with tests, references and files, as they are held in memory."""
    interpreter: str
    """The Python executable."""


def take_seal(tasks: Sequence[Task]) -> Seal:
    """The seal of this moment."""
    return Seal(grader=hash_grader(), tasks=hash_tasks(tasks), interpreter=hash_file(Path(sys.executable)))


def changes(before: Seal, after: Seal) -> tuple[str, ...]:
    """Names of what is not as it was."""
    return tuple(name for name, value in asdict(before).items() if value != getattr(after, name))


def hash_grader() -> str:
    """One hash over the grader's sources, by path."""
    digest = hashlib.sha256()
    for folder in GRADER_FOLDERS:
        for path in sorted((PACKAGE / folder).rglob("*.py")):
            digest.update(f"{path.relative_to(PACKAGE)}\0".encode())
            digest.update(hash_file(path).encode())
    return digest.hexdigest()


def hash_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_tasks(tasks: Sequence[Task]) -> str:
    digest = hashlib.sha256()
    for task in tasks:
        digest.update(canonical(asdict(task)))
    return digest.hexdigest()


def canonical(value: Any) -> bytes:
    """Equal bytes for equal values: JSON with sorted keys, and `repr` for what JSON does not know."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | str) or (isinstance(value, int) and value.bit_length() < 10_000):
        return value
    if isinstance(value, int):  # more digits than Python writes in tens
        return ["int", hex(value)]
    if isinstance(value, Mapping):
        return {f"{type(key).__name__}:{key!r}": _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [type(value).__name__, *map(_plain, value)]
    if isinstance(value, set | frozenset):
        return [type(value).__name__, *sorted(json.dumps(_plain(item), sort_keys=True) for item in value)]
    return [type(value).__name__, repr(value)]  # marked: 1.0 is not the text "1.0"
