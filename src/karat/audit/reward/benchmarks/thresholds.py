"""The threshold below which a step is called wrong, kept with where it was tuned: a file beside the report.

A threshold belongs to a reward and to the subset it was tuned on. The file says both, so that the same one can be used
on other data (`--step-threshold FILE`) without tuning on it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from karat.data.records import as_number
from karat.errors import DataError, InputError

FILE_NAME = "step_threshold.json"
_KIND = "karat step threshold"


@dataclass(frozen=True, slots=True)
class StoredThreshold:
    """A threshold and its origin: the reward, the benchmark and its subset, and how many solutions that had."""

    threshold: float
    benchmark: str
    split: str
    n_solutions: int
    reward: str

    @property
    def origin(self) -> str:
        return f"tuned on {self.n_solutions} solutions of {self.split} of {self.benchmark}, for {self.reward}"


@dataclass(frozen=True, slots=True)
class Asked:
    """What --step-threshold means for one benchmark.

    Attributes:
        text: the threshold as `step_outcomes` takes it.
        origin: where one from a file came from.
        subset: of this benchmark, that one from a file was tuned on; None: it was tuned elsewhere, or not at all.
    """

    text: str
    origin: str = ""
    subset: str | None = None


def write_thresholds(folder: Path, stored: Mapping[str, StoredThreshold]) -> Path:
    """Write the thresholds, by benchmark, to folder/step_threshold.json."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    content = {"kind": _KIND, "thresholds": {name: asdict(each) for name, each in stored.items()}}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def read_thresholds(path: str | Path) -> dict[str, StoredThreshold]:
    """What `write_thresholds` wrote. Raises: DataError: it is no such file."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        entries: Mapping[str, Any] = content["thresholds"]
        found = {name: StoredThreshold(**entry) for name, entry in entries.items()}
        is_good = content["kind"] == _KIND and found and all(math.isfinite(each.threshold) for each in found.values())
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            f"--step-threshold {path}: not readable as a stored threshold ({type(error).__name__}). Give the "
            f"{FILE_NAME} that karat audit reward --step-threshold SUBSET --out DIR wrote."
        ) from error
    if not is_good:
        raise DataError(f"--step-threshold {path}: it holds no finite threshold. Give the {FILE_NAME} of an audit.")
    return found


def is_file(text: str) -> bool:
    """Whether --step-threshold names a file: by its ending, or because it is there. A number never does."""
    if not text or math.isfinite(as_number(text)):
        return False
    return text.endswith(".json") or Path(text).is_file()


def asked_for(text: str, benchmark: str) -> Asked:
    """What --step-threshold means for a benchmark.

    Args:
        text: a number, a subset's name, a file, or empty (cross-fitted).
        benchmark: whose own threshold is taken from a file, where it holds several.
    Raises: DataError: the file cannot be read; InputError: it holds several thresholds and none of this benchmark.
    """
    if not is_file(text):
        return Asked(text)
    known = read_thresholds(text)
    stored = known.get(benchmark) or (next(iter(known.values())) if len(known) == 1 else None)
    if stored is None:
        raise InputError(
            f"--step-threshold {text}: it holds thresholds of {', '.join(known)}, and none of {benchmark}. Give a "
            "number, or the file of an audit on one benchmark."
        )
    return Asked(repr(stored.threshold), stored.origin, stored.split if stored.benchmark == benchmark else None)
