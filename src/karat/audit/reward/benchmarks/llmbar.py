"""LLMBar (Zeng et al., arXiv 2310.07641): which of two outputs follows the instruction; one file each subset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from karat.audit.reward.benchmarks.items import Benchmark, Item, plain_aggregates, weighted
from karat.audit.reward.benchmarks.reading import AnyBenchmark, Kind, Part, text_of, unread_note
from karat.data.records import assistant, prompt_hash, user

FORMULA = "score = mean of the subsets' accuracies (macro); adversarial = mean of all but Natural"


def _matches(row: Mapping[str, Any]) -> bool:
    return all(isinstance(row.get(name), str) for name in ("input", "output_1", "output_2")) and "label" in row


def _read(where: str, parts: Sequence[Part]) -> list[AnyBenchmark]:
    items, odd = [], 0
    data = [part for part in parts if part.name == "dataset"]  # evaluators' results lie beside the data
    for part in data or parts:
        # the data's own layout is LLMBar/Natural/dataset.json, LLMBar/Adversarial/Neighbor/dataset.json
        subset = part.folder if part.name == "dataset" else part.name
        for number, row in enumerate(part.rows):
            if str(row.get("label")) not in ("1", "2"):
                odd += 1
                continue
            prompt = text_of(row, "input", where)
            outputs = [assistant(text_of(row, name, where)) for name in ("output_1", "output_2")]
            right = int(row["label"]) - 1
            items.append(
                Item(
                    name=f"{subset} {number}",
                    cluster=prompt_hash(prompt, *outputs),
                    subset=subset,
                    prompt=user(prompt),
                    responses=(outputs[right], outputs[1 - right]),
                )
            )
    subsets = tuple(dict.fromkeys(item.subset for item in items))
    adversarial = {name: 1.0 for name in subsets if "natural" not in name.lower()}
    notes = (f"{odd} rows without a label 1 or 2 were left out",) if odd else ()
    return [
        Benchmark(
            kind="llmbar",
            name="LLMBar",
            items=tuple(items),
            aggregates=plain_aggregates(subsets, macro_first=True)
            + ((weighted("adversarial", "section", adversarial),) if 1 < len(adversarial) < len(subsets) else ()),
            formula=FORMULA,
            notes=(*unread_note(parts), *notes),
        )
    ]


KINDS = (Kind("llmbar", "input, output_1, output_2: text; label: 1 or 2", _matches, _read),)
