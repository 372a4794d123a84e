"""RewardMATH (Kim et al., arXiv 2410.01729): one right and several wrong solutions to each problem; scores or texts.

A process reward's scores of the steps become one score by their minimum; `NAME:mean`, `NAME:product` and `NAME:last`
are the same column by their mean, product and last step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from karat.audit.reward.benchmarks.items import Benchmark, Item, plain_aggregates
from karat.audit.reward.benchmarks.reading import AnyBenchmark, Kind, Part, unread_note
from karat.data.records import as_number, assistant, prompt_hash, user

FORMULA = (
    "score = share of problems whose right solution scores above all wrong ones (k equal at the top: 1/k); a process "
    "reward's solution score is its lowest step"
)
STEPS_TO_ONE = {"": min, ":mean": lambda s: math.fsum(s) / len(s), ":product": math.prod, ":last": lambda s: s[-1]}


def _is_compact(row: Mapping[str, Any]) -> bool:
    """One right solution and at least one wrong one have scores."""
    scores = row.get("scores")
    if not isinstance(row.get("problem"), str) or not isinstance(scores, Mapping):
        return False
    return all(map(_is_list, scores.values())) and max(map(len, scores.values()), default=0) > 1


def _is_direct(row: Mapping[str, Any]) -> bool:
    return (
        "problem" in row and _is_list(row.get("eval_solution")) and row.get("solution_type") in ("chosen", "rejected")
    )


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0


def _columns(scores: Mapping[str, Sequence[Any]], size: int) -> dict[str, tuple[float, ...]]:
    columns: dict[str, tuple[float, ...]] = {}
    for name, values in scores.items():
        if len(values) != size:
            continue
        if any(_is_list(value) for value in values):
            for ending, join in STEPS_TO_ONE.items():
                columns[name + ending] = tuple(_joined(value, join) for value in values)
        else:
            columns[name] = tuple(map(as_number, values))
    return columns


def _joined(value: Any, join: Any) -> float:
    steps = [as_number(each) for each in value] if _is_list(value) else []
    return float(join(steps)) if steps and all(map(math.isfinite, steps)) else math.nan


def _read_compact(where: str, parts: Sequence[Part]) -> list[AnyBenchmark]:
    items, rows = [], [row for part in parts for row in part.rows]
    for row in filter(_is_compact, rows):
        size = max(len(values) for values in row["scores"].values())
        items.append(
            Item(
                name=row["problem"][:60],
                cluster=prompt_hash(row["problem"]),
                prompt=user(row["problem"]),
                n_responses=size,
                columns=_columns(row["scores"], size),
            )
        )
    odd = len(rows) - len(items)
    notes = (f"{odd} rows without a problem and scores of several solutions were left out",) if odd else ()
    return [_benchmark(items, parts, "RewardMATH (scores)", notes)]


def _read_direct(where: str, parts: Sequence[Part]) -> list[AnyBenchmark]:
    """Rows of one solution each, by problem; a problem needs one right and at least one wrong solution."""
    groups: dict[str, tuple[list[str], list[str]]] = {}
    rows = [row for part in parts for row in part.rows]
    for row in filter(_is_direct, rows):
        right, wrong = groups.setdefault(str(row["problem"]), ([], []))
        (right if row["solution_type"] == "chosen" else wrong).append("\n".join(map(str, row["eval_solution"])))
    items = [
        Item(
            name=problem[:60],
            cluster=prompt_hash(problem),
            prompt=user(problem),
            responses=tuple(map(assistant, (right[0], *wrong))),
        )
        for problem, (right, wrong) in groups.items()
        if right and wrong
    ]
    odd, alone = sum(not _is_direct(row) for row in rows), len(groups) - len(items)
    notes = [f"{odd} rows without a problem, steps and a solution_type were left out"] if odd else []
    notes += [f"{alone} problems without a right and a wrong solution were left out"] if alone else []
    return [_benchmark(items, parts, "RewardMATH", notes)]


def _benchmark(items: list[Item], parts: Sequence[Part], name: str, notes: Sequence[str]) -> Benchmark:
    return Benchmark(
        kind="rewardmath",
        name=name,
        items=tuple(items),
        aggregates=plain_aggregates(("",)),
        formula=FORMULA,
        notes=(*unread_note(parts), *notes),
    )


KINDS = (
    Kind(
        "rewardmath-scores",
        "problem: text; scores: {name: one score or step list a solution}",
        _is_compact,
        _read_compact,
    ),
    Kind("rewardmath", "problem: text; eval_solution: list of texts; solution_type", _is_direct, _read_direct),
)
