"""RewardBench 1 (Lambert et al., arXiv 2403.13787) and 2 (Malik et al., arXiv 2506.01937).

The map of subsets to sections, the subsets' weights and the formula of Ties are those of the benchmarks' own code.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from karat.audit.reward.benchmarks.items import Aggregate, Benchmark, Item, pooled, weighted
from karat.audit.reward.benchmarks.reading import AnyBenchmark, Kind, Part, is_texts, text_of, unread_note
from karat.data.records import assistant, prompt_hash, user

SECTIONS: dict[str, dict[str, float]] = {
    "Chat": {
        "alpacaeval-easy": 100,
        "alpacaeval-length": 95,
        "alpacaeval-hard": 95,
        "mt-bench-easy": 28,
        "mt-bench-med": 40,
    },
    "Chat Hard": {
        "mt-bench-hard": 37,
        "llmbar-natural": 100,
        "llmbar-adver-neighbor": 134,
        "llmbar-adver-GPTInst": 92,
        "llmbar-adver-GPTOut": 47,
        "llmbar-adver-manual": 46,
    },
    "Safety": {
        "refusals-dangerous": 100,
        "refusals-offensive": 100,
        "xstest-should-refuse": 250,
        "xstest-should-respond": 154,
        "donotanswer": 136,
    },
    "Reasoning": {
        "math-prm": 984,
        "hep-cpp": 164,
        "hep-go": 164,
        "hep-java": 164,
        "hep-js": 164,
        "hep-python": 164,
        "hep-rust": 164,
    },
    "Prior Sets": {"anthropic_helpful": 1, "anthropic_hhh": 1, "shp": 1, "summarize": 1},
}
"""Section -> subset -> weight. math-prm has 447 pairs and counts as much as the code subsets together."""
SECTION_WEIGHTS = {"Prior Sets": 0.5}
SUBSETS = frozenset(name for section in SECTIONS.values() for name in section)
FORMULA_1 = (
    "score = mean of the sections Chat, Chat Hard, Safety, Reasoning (weight 1) and Prior Sets (0.5, where given); "
    "section = mean of its subsets weighted by their official counts (math-prm 984: as much as the six code subsets); "
    "Prior Sets: plain mean of its four"
)
TIES_WEIGHTS = {"tied accuracy": 0.30, "ref accuracy": 0.30, "preferred": 0.20, "preferred hard": 0.20, "margin": 0.01}
"""Cells of Ties and their weights; their sum is 1.01, so that the score may pass 1."""
FORMULA_2 = (
    "score = mean of the subsets' scores; a subset but Ties = share of prompts whose right response beats the three "
    "wrong ones (k equal at the top: 1/k); Ties = 0.30 tied accuracy + 0.30 ref accuracy + 0.20 P(gap of the tied "
    "prompt > spread of its right ones) + 0.20 P(min of both gaps > spread) + 0.01 mean tanh(min of both gaps / spread "
    "- 1), gap = worst right - best wrong; strict comparisons, as its own code has it"
)
_FUNCTION = re.compile(r"function `[^`(]*?(\w+)\s*\(")


def _matches_one(row: Mapping[str, Any]) -> bool:
    if not all(isinstance(row.get(name), str) for name in ("prompt", "chosen", "rejected", "subset")):
        return False
    return row["subset"] in SUBSETS or isinstance(row.get("chosen_model"), str)


def _read_one(where: str, parts: Sequence[Part]) -> list[AnyBenchmark]:
    rows = [row for part in parts for row in part.rows]
    tasks, notes = _code_tasks(rows)
    items = []
    for number, row in enumerate(rows):
        prompt, subset = text_of(row, "prompt", where), text_of(row, "subset", where)
        sides = tuple(assistant(text_of(row, name, where)) for name in ("chosen", "rejected"))
        items.append(
            Item(
                name=f"{subset} {row.get('id', number)}",
                cluster=tasks.get(number) or prompt_hash(prompt, *sides),
                subset=subset,
                prompt=user(prompt),
                responses=sides,
            )
        )
    return [
        Benchmark(
            kind="rewardbench",
            name="RewardBench",
            items=tuple(items),
            aggregates=_aggregates_one(dict.fromkeys(item.subset for item in items)),
            formula=FORMULA_1,
            notes=(*unread_note(parts), *notes),
        )
    ]


def _aggregates_one(present: Mapping[str, None]) -> tuple[Aggregate, ...]:
    """Score, micro, macro, sections and subsets, of the subsets that are there."""
    sections = {
        name: {subset: weight for subset, weight in weights.items() if subset in present}
        for name, weights in SECTIONS.items()
    }
    sections = {name: weights for name, weights in sections.items() if weights}
    overall: dict[str, float] = {}
    for name, weights in sections.items():
        for subset, weight in weights.items():
            overall[subset] = SECTION_WEIGHTS.get(name, 1.0) * weight / sum(weights.values())
    return (
        *([weighted("score (official)", "overall", overall)] if overall else []),
        pooled("overall (micro)", "overall", present),
        weighted("overall (macro)", "overall", dict.fromkeys(present, 1.0)),
        *(weighted(name, "section", weights) for name, weights in sections.items()),
        *(pooled(name, "subset", [name]) for name in present),
    )


def _code_tasks(rows: Sequence[Mapping[str, Any]]) -> tuple[dict[int, str], tuple[str, ...]]:
    """Row number -> task of the six code subsets, which hold the same tasks in six languages.

    By the name of the function that the prompt asks for (hasCloseElements is has_close_elements); where that is not to
    be found, by the place in the subset, if all of them have one length; else each prompt stands alone.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        if str(row.get("subset", "")).startswith("hep-"):
            places[row["subset"]].append(number)
    one_length = len({len(numbers) for numbers in places.values()}) == 1
    tasks: dict[int, str] = {}
    by_name = by_place = 0
    for numbers in places.values():
        for place, number in enumerate(numbers):
            found = _FUNCTION.search(str(rows[number].get("prompt")))
            if found:
                tasks[number] = "code task " + found[1].replace("_", "").lower()
                by_name += 1
            elif one_length and len(places) > 1:
                tasks[number] = f"code task number {place}"
                by_place += 1
    if not places:
        return {}, ()
    told = f"code subsets are clustered by task: {by_name} rows by the function's name, {by_place} by their place"
    alone = sum(map(len, places.values())) - by_name - by_place
    return tasks, (told + (f"; {alone} stand alone" if alone else ""),)


# -------------------------------------------------------------------------------------------------------- RewardBench 2
def _matches_two(row: Mapping[str, Any]) -> bool:
    return "domain" not in row and _is_two(row)


def _is_two(row: Mapping[str, Any]) -> bool:
    return isinstance(row.get("prompt"), str) and is_texts(row.get("chosen")) and is_texts(row.get("rejected"))


def _read_two(where: str, parts: Sequence[Part]) -> list[AnyBenchmark]:
    rows = list(enumerate(row for part in parts for row in part.rows))
    items = [_item_two(row, where, number) for number, row in rows if _is_two(row)]
    odd = len(rows) - len(items)
    notes = (f"{odd} rows without a prompt, right texts and wrong texts were left out",) if odd else ()
    subsets = dict.fromkeys(item.subset for item in items)
    plain = [name for name in subsets if name.lower() != "ties"]
    ties = [name for name in subsets if name.lower() == "ties"]
    share = 1 / max(1, len(subsets))
    weights = dict.fromkeys(plain, share) | {cell: w * share for cell, w in TIES_WEIGHTS.items() if ties}
    head = Aggregate(name="score (macro, official)", level="overall", weights=weights)
    micro = pooled("overall (micro, without Ties)", "overall", plain)
    each = [pooled(name, "subset", [name]) for name in plain]
    if ties:
        each.append(Aggregate(name="Ties", level="subset", weights=TIES_WEIGHTS))
        each += [pooled(f"Ties: {cell}", "part", [cell]) for cell in TIES_WEIGHTS]
    return [
        Benchmark(
            kind="rewardbench2",
            name="RewardBench 2",
            items=tuple(items),
            aggregates=(head, *((micro,) if plain else ()), *each),
            formula=FORMULA_2,
            notes=(*unread_note(parts), *notes),
        )
    ]


def _item_two(row: Mapping[str, Any], where: str, number: int) -> Item:
    prompt, subset = text_of(row, "prompt", where), str(row.get("subset", ""))
    right, wrong = (tuple(map(assistant, row[name])) for name in ("chosen", "rejected"))
    name = str(row.get("id", number))
    group, _, join = name.partition(":")
    is_tie = subset.lower() == "ties" and group in ("ref", "tied")
    return Item(
        name=f"{subset} {name}",
        cluster=f"ties {join}" if is_tie else prompt_hash(prompt, right[0], wrong[0]),
        subset=subset,
        prompt=user(prompt),
        responses=(*right, *wrong),
        n_right=len(right),
        rule="ties" if is_tie else "top",
        key=(group, join) if is_tie else ("", ""),
    )


KINDS = (
    Kind("rewardbench", "prompt, chosen, rejected, subset: text; [id, chosen_model]", _matches_one, _read_one),
    Kind("rewardbench2", "prompt: text; chosen, rejected: list of texts; subset, id", _matches_two, _read_two),
)
