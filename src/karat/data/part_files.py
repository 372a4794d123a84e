"""Rows written so that a run which is killed loses nothing: part files that add up to the output.

Each chunk of rows becomes one part file, written whole or not at all. A run that was killed finds its finished
parts and goes on after them; the output itself appears only when all parts are there.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from karat.errors import InputError, ResourceError

REQUEST = "request.json"
SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")


class PartFiles:
    """The parts of one output, in a folder beside it (OUT.parts), and which request they answer.

    Args:
        out: the final file; its suffix is one of SUFFIXES.
        request: what decides the content; parts of another request are refused.
        overwrite: start again.
    Raises: InputError: another suffix; the output exists; the parts belong to another request.
    """

    def __init__(self, out: Path, request: Mapping[str, Any], *, overwrite: bool) -> None:
        if not out.name.endswith(SUFFIXES):
            raise InputError(f"{out}: rows are written as {', '.join(SUFFIXES)}. Name such a file.")
        self.out = out
        self.folder = out.with_name(out.name + ".parts")
        if overwrite:
            shutil.rmtree(self.folder, ignore_errors=True)
            out.unlink(missing_ok=True)
        if out.exists():
            raise InputError(f"{out} exists. Name another --out, or replace it with --overwrite.")
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / REQUEST
        stated = json.loads(json.dumps(dict(request)))
        if file.exists():
            held = json.loads(file.read_text(encoding="utf-8"))
            differs = sorted(name for name in held.keys() | stated.keys() if held.get(name) != stated.get(name))
            if differs:
                raise InputError(
                    f"{self.folder} holds an unfinished run that differs in {', '.join(differs)}. "
                    "Repeat the same command to resume it, or start again with --overwrite."
                )
        else:
            file.write_text(json.dumps(stated), encoding="utf-8")

    def finished(self) -> int:
        """How many parts are there, counted from the first without a gap."""
        count = 0
        while self._part(count).exists():
            count += 1
        return count

    def write(self, number: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """One part, whole or not at all. Raises ResourceError when the disk is full."""
        staged = self.folder / "staged"
        with _full_disk_named(self.folder):
            with staged.open("w", encoding="utf-8") as file:
                for row in rows:
                    file.write(json.dumps(_plain(row), ensure_ascii=False, default=str, allow_nan=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(staged, self._part(number))

    def read(self, number: int) -> list[dict[str, Any]]:
        with self._part(number).open(encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def finish(self) -> None:
        """Join the parts into the output and remove them."""
        staged = self.out.with_name(f".{self.out.name}.staged")
        join = _join_parquet if self.out.suffix == ".parquet" else _join_jsonl
        with _full_disk_named(self.out.parent):
            try:
                join([self._part(number) for number in range(self.finished())], staged, self.out.name)
                os.replace(staged, self.out)
            finally:
                staged.unlink(missing_ok=True)
        shutil.rmtree(self.folder)

    def _part(self, number: int) -> Path:
        return self.folder / f"part-{number:06d}.jsonl"


def _join_jsonl(parts: Sequence[Path], staged: Path, name: str) -> None:
    with _open_for(name, staged) as target:
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, target)


def _open_for(name: str, staged: Path) -> contextlib.AbstractContextManager[IO[bytes]]:
    if name.endswith(".gz"):
        return gzip.open(staged, "wb")  # type: ignore[return-value]
    if name.endswith(".zst"):
        import zstandard

        return zstandard.open(staged, "wb")  # type: ignore[no-any-return]
    return staged.open("wb")


def _join_parquet(parts: Sequence[Path], staged: Path, name: str) -> None:
    """Two passes, so that memory stays one part: the common schema first (a column may be all null in one part)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def tables() -> Iterator[pa.Table]:
        for part in parts:
            with part.open(encoding="utf-8") as file:
                yield pa.Table.from_pylist([json.loads(line) for line in file])

    try:
        schema = pa.unify_schemas([table.schema for table in tables()], promote_options="permissive")
    except pa.ArrowException as error:
        raise InputError(
            f"{name}: a parquet column holds values of one kind, and these rows differ: {error}. Write .jsonl instead."
        ) from error
    with pq.ParquetWriter(staged, schema) as writer:
        for table in tables():
            columns = [
                table[field.name].cast(field.type)
                if field.name in table.column_names
                else pa.nulls(len(table), field.type)
                for field in schema
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


@contextlib.contextmanager
def _full_disk_named(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ResourceError(
            f"cannot write to {folder}: {error.strerror or error}. Finished parts are kept; make room and run the same "
            "command again: it resumes after them."
        ) from error


def _plain(value: Any) -> Any:
    """A row without NaN and infinities, which JSON cannot hold: null, as for any number that is not there."""
    if isinstance(value, float):
        return number_or_null(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def number_or_null(value: float) -> float | None:
    """JSON has no NaN: a missing score is null (its reason stands beside it)."""
    return value if math.isfinite(value) else None
