"""The results file and its log, written as verdicts come; a run that was killed goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from karat import __version__
from karat.errors import DataError, InputError
from karat.grade.config import GradeConfig
from karat.grade.log import VerdictLog, append_behind, read_log
from karat.grade.rows import graded_of, row_of
from karat.grade.seal import Seal, canonical
from karat.grade.types import Candidate, Graded

NOT_IN_REQUEST = ("overwrite", "workers", "ray", "key_file")
"""Options that change no verdict: a resumed run may set them anew."""


def request_of(config: GradeConfig, seal: Seal, candidates: Sequence[Candidate]) -> dict[str, Any]:
    """What a run was asked: a resumed run must ask the same."""
    options = {name: value for name, value in asdict(config).items() if name not in NOT_IN_REQUEST}
    asked = {"options": options, **asdict(seal), "candidates": hash_candidates(candidates)}
    return {"kind": "start", "karat": __version__, **asked}


def hash_candidates(candidates: Sequence[Candidate]) -> str:
    """One hash over names and programs, in their order."""
    digest = hashlib.sha256()
    for candidate in candidates:
        code = candidate.code if isinstance(candidate.code, bytes) else candidate.code.encode("utf-8", "surrogatepass")
        name = f"{candidate.task_id}\0{candidate.candidate_id}\0{hashlib.sha256(code).hexdigest()}\n"
        digest.update(name.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def hash_row(row: dict[str, Any]) -> str:
    return hashlib.sha256(canonical(row)).hexdigest()


def log_path(out: Path) -> Path:
    """The log beside a results file."""
    return Path(f"{out}.log")


def sound_records(path: Path, key: bytes) -> list[dict[str, Any]]:
    """Records of a log up to where it was cut off or changed."""
    records: list[dict[str, Any]] = []
    try:
        for line in read_log(path, key):
            records.append(dict(line.record))
    except DataError:  # what follows is not to be trusted; what came before is
        pass
    return records


class ResultsWriter:
    """Writes OUT and OUT.log under names of their own (OUT.part) until the run is over.

    Attributes:
        done: results of an unfinished run of the same request, which need not be graded again.
    """

    def __init__(self, out: Path, request: dict[str, Any], key: bytes, *, overwrite: bool = False) -> None:
        """Raises: InputError: the results are there already, or an unfinished run asked something else."""
        if out.is_dir():
            raise InputError(f"{out} is a folder. --out names a file, as {out / 'graded.jsonl'}.")
        self.out, self.request, self.key = out, request, key
        self.part = out.with_name(out.name + ".part")
        if out.exists() and not overwrite:
            raise InputError(f"{out} is there already. Name another --out, or give --overwrite.")
        out.parent.mkdir(parents=True, exist_ok=True)
        self.done, kept_bytes = ([], 0) if overwrite else self._unfinished()
        self.stream = append_behind(self.part, kept_bytes)
        self.log = VerdictLog(log_path(self.part), key, after=len(self.done) + 1 if self.done else 0)
        if not self.done:
            self.log.append(request)

    def _unfinished(self) -> tuple[list[Graded], int]:
        """Results of an unfinished run, and the bytes that they take in its results file."""
        if self.part.exists() and not log_path(self.part).exists() and log_path(self.out).exists():
            os.replace(log_path(self.out), log_path(self.part))  # it was killed between the two moves of `finish`
        if not self.part.exists() or not log_path(self.part).exists():
            return [], 0
        records = sound_records(log_path(self.part), self.key)
        if not any(record.get("kind") == "verdict" for record in records):
            if self.part.stat().st_size:
                raise InputError(
                    f"{log_path(self.part)} is of an unfinished run with another key, or its first line was changed. "
                    "Give that run's --key-file to go on, or --overwrite to start again."
                )
            return [], 0  # it ended before its first verdict, as over an option: nothing is lost by starting again
        if records[0] != self.request:
            names = sorted(name for name in self.request if records[0].get(name) != self.request[name])
            raise InputError(
                f"{self.part} is of an unfinished run that was asked something else ({', '.join(names)}). "
                "Give the same inputs and options, or --overwrite."
            )
        done: list[Graded] = []
        kept_bytes = 0
        with self.part.open("rb") as stream:
            for record, text in zip(records[1:], stream, strict=False):
                try:
                    row = json.loads(text)
                    if hash_row(row) != record.get("row") or not text.endswith(b"\n"):
                        break
                    done.append(graded_of(row))
                except (ValueError, KeyError, TypeError, RecursionError):  # cut off, or changed by hand
                    break
                kept_bytes += len(text)
        return done, kept_bytes

    @property
    def paths(self) -> tuple[Path, Path]:
        return self.out, log_path(self.out)

    def add(self, graded: Graded) -> None:
        row = row_of(graded)
        self.stream.write(json.dumps(row, ensure_ascii=True) + "\n")
        self.stream.flush()
        self.log.append({"kind": "verdict", "task_id": graded.task_id, "verdict": graded.verdict, "row": hash_row(row)})

    def finish(self, changed: Sequence[str]) -> str:
        """Close both files, move them to their names, and return the hash that names this run."""
        head = self.log.append({"kind": "end", "changed": list(changed)})
        self.stream.close()
        self.log.close()
        os.replace(log_path(self.part), log_path(self.out))
        os.replace(self.part, self.out)
        return head
