"""A benchmark's name on the command line to its items: FILE, FOLDER or hub name, or KIND:one of these.

The kind is recognised by the columns of the rows. A folder is read file by file, because some benchmarks name their
subsets by files only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from karat.audit.reward.benchmarks.items import Benchmark, StepBenchmark
from karat.data.account import AccountBuilder
from karat.data.files import kind_suffix, looks_like_hub_name, open_source
from karat.data.recognise import describe_columns
from karat.errors import DataError, InputError

AnyBenchmark = Benchmark | StepBenchmark
SAMPLE, SHOWN = 50, 5
HUB_SPLITS: dict[str, tuple[str, ...]] = {
    "allenai/reward-bench": ("filtered",),
    "allenai/reward-bench-2": ("test",),
    "Qwen/ProcessBench": ("gsm8k", "math", "olympiadbench", "omnimath"),
    "ScalerLab/JudgeBench": ("gpt", "claude"),
}
"""Splits to read of hub data sets that have no split "train"; each is a part, as a file is."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one file or split."""

    name: str
    """Of the file without its endings, or of the split."""
    folder: str
    rows: tuple[dict[str, Any], ...]
    problems: int = 0
    """Rows that could not be read."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A benchmark format: `matches` looks at columns and their types, `read` makes benchmarks of the parts."""

    name: str
    columns: str
    matches: Callable[[Mapping[str, Any]], bool]
    read: Callable[[str, Sequence[Part]], list[AnyBenchmark]]


def read_benchmarks(spec: str, *, split: str = "") -> list[AnyBenchmark]:
    """The benchmarks that one entry of --benchmarks names; a folder may hold several.

    Args:
        spec: a path, a hub name, or KIND: before one.
        split: of a hub data set; empty: those of HUB_SPLITS, or its only one.
    Raises: DataError: nothing there, or no kind fits; InputError: the kind is not known.
    """
    kinds = known_kinds()
    kind, location = _split_kind(spec, kinds)
    parts = _parts(location, split)
    if kind is not None:
        return _named(kinds[kind].read(location, parts), kind, location)
    groups: dict[str, list[Part]] = {}
    unknown: list[Part] = []
    for part in parts:
        found = next((item.name for item in kinds.values() if _fits(item, part)), "")
        (groups.setdefault(found, []) if found else unknown).append(part)
    if "judgebench" in groups and "judgebench-scores" in groups:  # scores of the same pairs, without their texts
        groups["judgebench"] += groups.pop("judgebench-scores")
    if not groups:
        sample = list(islice((row for part in unknown for row in part.rows), SAMPLE))
        raise DataError(
            f"{location}: no benchmark format fits. Columns seen: {describe_columns(sample)}. Name the kind before the "
            f"file, as KIND:FILE; kinds: {', '.join(kinds)}."
        )
    found_all = [
        benchmark
        for name, members in groups.items()
        for benchmark in _named(kinds[name].read(location, members), name, location)
    ]
    left = f"files of other formats were not read: {', '.join(part.name for part in unknown[:SHOWN])}"
    return [replace(each, notes=(*each.notes, left)) for each in found_all] if unknown else found_all


def known_kinds() -> dict[str, Kind]:
    """Every kind by name, in the order in which they are tried."""
    from karat.audit.reward.benchmarks import (
        judgebench,
        llmbar,
        plain,
        prmbench,
        processbench,
        rewardbench,
        rewardmath,
        rm_bench,
    )

    modules = (rm_bench, rewardbench, processbench, prmbench, llmbar, judgebench, rewardmath, plain)
    return {kind.name: kind for module in modules for kind in module.KINDS}


def text_of(row: Mapping[str, Any], name: str, where: str) -> str:
    """A column's text. Raises: DataError: it holds none."""
    value = row.get(name)
    if not isinstance(value, str):
        raise DataError(f"{where}: a row has no text in column {name!r} but {type(value).__name__}. Mend or drop it.")
    return value


def is_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(isinstance(each, str) for each in value)


def _named(found: list[AnyBenchmark], kind: str, location: str) -> list[AnyBenchmark]:
    if not any(benchmark.items for benchmark in found):
        raise DataError(f"{location}: read as {kind}, it gives no item. Check the rows, or name another kind.")
    return [benchmark for benchmark in found if benchmark.items]


def _split_kind(spec: str, kinds: Mapping[str, Kind]) -> tuple[str | None, str]:
    head, colon, rest = spec.partition(":")
    if colon and head in kinds:
        return head, rest
    if colon and not Path(spec).exists() and not looks_like_hub_name(spec):
        raise InputError(f"benchmarks: there is no kind {head!r}; there are: {', '.join(kinds)}.")
    return None, spec


def _fits(kind: Kind, part: Part) -> bool:
    sample = part.rows[:SAMPLE]
    return bool(sample) and sum(map(kind.matches, sample)) * 2 >= len(sample)


def _parts(location: str, split: str) -> list[Part]:
    path = Path(location).expanduser()
    if path.is_dir() and not any((path / name).exists() for name in ("dataset_dict.json", "state.json")):
        files = sorted(file for file in path.rglob("*") if file.is_file() and kind_suffix(file))
        if not files:
            raise DataError(f"{location}: no file of a kind that is read. Name a file, or another folder.")
        return [_part(str(file), file, "") for file in files]
    if path.exists():
        return [_part(location, path, split)]
    splits = (split,) if split else HUB_SPLITS.get(location.partition(":")[0], ("",))
    return [_part(location, Path(name or location), name) for name in splits]


def _part(location: str, path: Path, split: str) -> Part:
    rows, problems = [], 0
    for row in open_source(location, split=split).rows(AccountBuilder(location)):
        if row.problem:
            problems += 1
        else:
            rows.append(row.raw)
    name = path.name
    for ending in (".zst", ".gz", ".jsonl", ".ndjson", ".json", ".csv", ".parquet"):
        name = name.removesuffix(ending)
    return Part(name, path.parent.name, tuple(rows), problems)


def unread_note(parts: Sequence[Part]) -> tuple[str, ...]:
    """How many rows could not be read, if any."""
    lost = sum(part.problems for part in parts)
    return (f"{lost} rows could not be read",) if lost else ()
