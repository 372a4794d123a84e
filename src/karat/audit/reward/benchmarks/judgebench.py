"""JudgeBench (Tan et al., arXiv 2410.12784): objectively right and wrong answers, and published scores of rewards."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from karat.audit.reward.benchmarks.items import Benchmark, Item, pooled, weighted
from karat.audit.reward.benchmarks.reading import AnyBenchmark, Kind, Part, text_of, unread_note
from karat.data.records import as_number, assistant, prompt_hash, user
from karat.errors import DataError

CATEGORIES = {
    "mmlu-pro": "knowledge",
    "livebench-reasoning": "reasoning",
    "livebench-math": "math",
    "livecodebench": "coding",
}
"""Beginning of the source to category."""
_DATE = re.compile(r"-\d{4}-?\d{2}-?\d{2}$")
FORMULA = "score = accuracy over all pairs (micro, official); macro = mean of the categories' accuracies"


def _is_pair(row: Mapping[str, Any]) -> bool:
    return all(isinstance(row.get(name), str) for name in ("pair_id", "question", "response_A", "response_B"))


def _is_scores(row: Mapping[str, Any]) -> bool:
    return isinstance(row.get("pair_id"), str) and isinstance(row.get("judgments"), list) and "question" not in row


def _read(where: str, parts: Sequence[Part]) -> list[AnyBenchmark]:
    """One benchmark for each file of pairs; files of scores are joined to the pairs that they score."""
    scores: dict[str, dict[str, tuple[float, float]]] = {}
    for part in parts:
        name = part.name.rpartition("judge_model=")[2].removeprefix("scores__")
        for row in part.rows:
            found = _scores_of(row)
            if found is not None:
                scores.setdefault(str(row["pair_id"]), {})[name] = found
    pair_parts = [part for part in parts if any(map(_is_pair, part.rows))]
    if not pair_parts:
        raise DataError(
            f"{where}: holds scores of JudgeBench pairs, but not the pairs: name the folder that has both, or put the "
            "file of pairs beside it."
        )
    seen: set[frozenset[str]] = set()
    found_all: list[AnyBenchmark] = []
    for part in pair_parts:
        ids = frozenset(str(row.get("pair_id")) for row in part.rows)
        if ids not in seen:  # a file of scores that repeats the pairs is no second benchmark
            found_all.append(_benchmark(part, scores, where))
        seen.add(ids)
    return found_all


def _scores_of(row: Mapping[str, Any]) -> tuple[float, float] | None:
    """Scores of answers A and B: of the first judgement, which has them in this order."""
    judgements = row.get("judgments")
    if not isinstance(judgements, list) or not judgements or not isinstance(judgements[0], Mapping):
        return None
    given = judgements[0].get("scores")
    if not isinstance(given, list) or len(given) != 2:
        return None
    return as_number(given[0]), as_number(given[1])


def _benchmark(part: Part, scores: Mapping[str, Mapping[str, tuple[float, float]]], where: str) -> Benchmark:
    items, odd = [], 0
    for row in part.rows:
        label = row.get("label")
        if not _is_pair(row) or label not in ("A>B", "B>A"):
            odd += 1
            continue
        question = text_of(row, "question", where)
        order = (0, 1) if label == "A>B" else (1, 0)
        texts = [assistant(text_of(row, name, where)) for name in ("response_A", "response_B")]
        source = str(row.get("source", ""))
        columns = {name: tuple(given[at] for at in order) for name, given in scores.get(row["pair_id"], {}).items()}
        items.append(
            Item(
                name=str(row["pair_id"]),
                cluster=prompt_hash(question, *texts),
                subset=next((name for start, name in CATEGORIES.items() if source.startswith(start)), source),
                prompt=user(question),
                responses=tuple(texts[at] for at in order),
                columns={name: value for name, value in columns.items() if not all(map(math.isnan, value))},
            )
        )
    subsets = tuple(dict.fromkeys(item.subset for item in items))
    notes = (f"{odd} rows without two responses and a label A>B or B>A were left out",) if odd else ()
    return Benchmark(
        kind="judgebench",
        name=f"JudgeBench {_DATE.sub('', part.name.rpartition('response_model=')[2])}",
        items=tuple(items),
        aggregates=(
            pooled("score (micro, official)", "overall", subsets),
            weighted("overall (macro)", "overall", dict.fromkeys(subsets, 1.0)),
            *(pooled(name, "subset", [name]) for name in subsets),
        ),
        formula=FORMULA,
        notes=(*unread_note([part]), *notes),
    )


KINDS = (
    Kind("judgebench", "pair_id, question, response_A, response_B, source: text; label: A>B or B>A", _is_pair, _read),
    Kind("judgebench-scores", "pair_id: text; judgments: list of {scores: [A, B]}", _is_scores, _read),
)
