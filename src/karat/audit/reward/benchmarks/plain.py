"""Pairs that need no scheme of their own: HHH alignment, EvalBiasBench, and any format of preference pairs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from karat.audit.reward.benchmarks.items import Benchmark, Item, plain_aggregates, subsets_of
from karat.audit.reward.benchmarks.reading import AnyBenchmark, Kind, Part, text_of, unread_note
from karat.data import read_pairs
from karat.data.recognise import recognise
from karat.data.records import as_number, assistant, prompt_hash, user
from karat.errors import DataError
from karat.types import PreferencePair

MICRO = "score = accuracy over all pairs (micro); macro = mean of the subsets' accuracies"
_PROMETHEUS = re.compile(
    r"###The instruction to evaluate:\n(?P<prompt>.*?)\n+###Response to evaluate:\n(?P<response>.*?)\n+###Score",
    re.DOTALL,
)


# ------------------------------------------------------------------------------------------------ HHH (prometheus_eval)
def _is_hhh(row: Mapping[str, Any]) -> bool:
    return all(isinstance(row.get(name), str) for name in ("source", "chosen_instruction", "rejected_instruction"))


def _read_hhh(where: str, parts: Sequence[Part]) -> list[AnyBenchmark]:
    """The dialogue and the response are cut out of the judge prompt that the file wraps them in."""
    items, odd = [], 0
    for number, row in enumerate(row for part in parts for row in part.rows):
        source = str(row.get("source", ""))
        sides = [_PROMETHEUS.search(str(row.get(f"{side}_instruction"))) for side in ("chosen", "rejected")]
        if sides[0] is None or sides[1] is None:
            odd += 1
            continue
        prompt = sides[0]["prompt"]
        texts = tuple(assistant(side["response"]) for side in sides if side is not None)
        items.append(
            Item(
                name=f"{source} {number}",
                cluster=prompt_hash(prompt, *texts),
                subset=source,
                prompt=user(prompt),
                responses=texts,
            )
        )
    notes = (f"{odd} rows without the frame of a judge prompt were left out",) if odd else ()
    return [_of("hhh", "HHH alignment", items, (*unread_note(parts), *notes))]


# ------------------------------------------------------------------------------------------------------- EvalBiasBench
_BIAS_COLUMNS = ("instruction", "response1", "response2")


def _is_bias(row: Mapping[str, Any]) -> bool:
    if row and all(isinstance(value, list) and value and isinstance(value[0], Mapping) for value in row.values()):
        return all(_is_bias(value[0]) for value in row.values())
    return all(isinstance(row.get(name), str) for name in _BIAS_COLUMNS) and "label" in row


def _read_bias(where: str, parts: Sequence[Part]) -> list[AnyBenchmark]:
    """Rows, or one object with a list of rows for each bias."""
    items: list[Item] = []
    odd = 0
    for row in (row for part in parts for whole in part.rows for row in _bias_rows(whole)):
        if str(row.get("label")) not in ("1", "2"):
            odd += 1
            continue
        prompt = text_of(row, "instruction", where)
        texts = [assistant(text_of(row, name, where)) for name in _BIAS_COLUMNS[1:]]
        right = int(row["label"]) - 1
        subset = str(row.get("bias", ""))
        items.append(
            Item(
                name=f"{subset} {len(items)}",
                cluster=prompt_hash(prompt, *texts),
                subset=subset,
                prompt=user(prompt),
                responses=(texts[right], texts[1 - right]),
            )
        )
    notes = (f"{odd} rows without a label 1 or 2 were left out",) if odd else ()
    return [_of("evalbiasbench", "EvalBiasBench", items, (*unread_note(parts), *notes))]


def _bias_rows(whole: Mapping[str, Any]) -> list[dict[str, Any]]:
    if isinstance(whole.get("instruction"), str):
        return [dict(whole)]
    lists = {bias: rows for bias, rows in whole.items() if isinstance(rows, list)}
    return [{"bias": bias, **row} for bias, rows in lists.items() for row in rows if isinstance(row, Mapping)]


# --------------------------------------------------------------------------------------------------------- plain pairs
def _is_pairs(row: Mapping[str, Any]) -> bool:
    try:
        recognise([row], "row")
    except DataError:
        return False
    return True


def _read_pairs(where: str, parts: Sequence[Part]) -> list[AnyBenchmark]:
    """Pairs with a preference; NAME_chosen and NAME_rejected are a reward's scores, as `karat score` writes them."""
    taken = read_pairs([row for part in parts for row in part.rows])
    used = [pair for pair in taken.pairs if not pair.is_tie]
    items = [
        Item(
            name=f"row {pair.row}",
            cluster=pair.prompt_id,
            subset=pair.source,
            prompt=pair.prompt,
            responses=(pair.chosen, pair.rejected),
            columns=_score_columns(pair),
            tools=pair.tools,
        )
        for pair in used
    ]
    notes = [f"{len(taken.pairs) - len(used)} ties are no items"] if len(used) < len(taken.pairs) else []
    notes += [
        f"{entry.count} rows {entry.action}: {entry.reason}" for entry in taken.account if entry.action == "dropped"
    ]
    return [_of("pairs", f"pairs ({parts[0].name})", items, (*unread_note(parts), *notes))]


def _score_columns(pair: PreferencePair) -> dict[str, tuple[float, ...]]:
    names = [name.removesuffix("_chosen") for name in pair.extra if name.endswith("_chosen")]
    columns = {name: tuple(as_number(pair.extra.get(f"{name}_{s}")) for s in ("chosen", "rejected")) for name in names}
    return {name: value for name, value in columns.items() if any(each == each for each in value)}


def _of(kind: str, name: str, items: list[Item], notes: tuple[str, ...]) -> Benchmark:
    aggregates = plain_aggregates(subsets_of(tuple(items)))
    return Benchmark(kind=kind, name=name, items=tuple(items), aggregates=aggregates, formula=MICRO, notes=notes)


KINDS = (
    Kind("hhh", "source, chosen_instruction, rejected_instruction: text (prometheus-eval)", _is_hhh, _read_hhh),
    Kind(
        "evalbiasbench",
        "bias, instruction, response1, response2: text; label; or lists of these by bias",
        _is_bias,
        _read_bias,
    ),
    Kind("pairs", "any format of preference pairs", _is_pairs, _read_pairs),
)
