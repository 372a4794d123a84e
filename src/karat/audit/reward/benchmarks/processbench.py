"""ProcessBench (Zheng et al., arXiv 2412.06559): the first wrong step of a solution, or that there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from karat.audit.reward.benchmarks.items import StepBenchmark, StepItem
from karat.audit.reward.benchmarks.reading import AnyBenchmark, Kind, Part, is_texts, unread_note
from karat.data.records import prompt_hash
from karat.errors import DataError
from karat.numerics.process_accuracy import NO_ERROR

FORMULA = (
    "F1 = harmonic mean of the accuracy on solutions with a wrong step (its first one found exactly) and on those "
    "without (none found), in each subset; score = mean of the subsets' F1; the first step below the threshold is the "
    "prediction"
)


def step_columns(row: Mapping[str, Any], n_steps: int) -> dict[str, tuple[float, ...]]:
    """Columns of a row that hold one number for each step."""
    found = {}
    for name, value in row.items():
        is_one_each = isinstance(value, list | tuple) and len(value) == n_steps and n_steps > 0
        if is_one_each and all(isinstance(each, int | float) and not isinstance(each, bool) for each in value):
            found[name] = tuple(map(float, value))
    return found


def _matches(row: Mapping[str, Any]) -> bool:
    label = row.get("label")
    is_label = isinstance(label, int) and not isinstance(label, bool)
    return isinstance(row.get("problem"), str) and is_texts(row.get("steps")) and is_label


def _read(where: str, parts: Sequence[Part]) -> list[AnyBenchmark]:
    items = []
    for part in parts:
        subset = part.name.removeprefix("dataset__")
        for number, row in enumerate(part.rows):
            if not _matches(row) or not NO_ERROR <= row["label"] < len(row["steps"]):
                n_steps = len(row["steps"]) if is_texts(row.get("steps")) else 0
                raise DataError(
                    f"{where}: row {number} of {part.name}: label {row.get('label')!r} is no step of its {n_steps} "
                    f"steps and not {NO_ERROR}. Mend or drop it."
                )
            name = str(row.get("id", f"{subset}-{number}"))
            items.append(
                StepItem(
                    name=name,
                    cluster=prompt_hash(row["problem"]),
                    subset=subset if len(parts) > 1 else name.rpartition("-")[0] or subset,
                    prompt=row["problem"],
                    steps=tuple(row["steps"]),
                    wrong=tuple(index == row["label"] for index in range(len(row["steps"]))),
                    columns=step_columns(row, len(row["steps"])),
                )
            )
    return [
        StepBenchmark(
            kind="processbench",
            name="ProcessBench",
            items=tuple(items),
            labels="first",
            formula=FORMULA,
            notes=unread_note(parts),
        )
    ]


KINDS = (
    Kind("processbench", "problem: text; steps: list of texts; label: first wrong step or -1; [id]", _matches, _read),
)
