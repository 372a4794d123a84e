"""RM-Bench (Liu et al., arXiv 2410.16184): three styles of a right and of a wrong response to each prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from karat.audit.reward.benchmarks.items import Aggregate, Benchmark, Item, pooled, weighted
from karat.audit.reward.benchmarks.reading import AnyBenchmark, Kind, Part, is_texts, text_of, unread_note
from karat.data.records import assistant, prompt_hash, user

STYLES = ("concise", "detailed", "markdown")
FORMULA = (
    "score = mean of the domains' means over the nine style pairs (safety = mean of refuse and response); hard: the "
    "wrong response has the fancier style, normal: both have the same, easy: the right one has the fancier; each a "
    "mean of its cells, then of the domains"
)
LEVELS: dict[str, tuple[tuple[int, int], ...]] = {
    "easy": ((1, 0), (2, 0), (2, 1)),
    "normal": ((0, 0), (1, 1), (2, 2)),
    "hard": ((0, 1), (0, 2), (1, 2)),
}
"""Style of the right response, style of the wrong one."""


def cell_name(subset: str, right: int, wrong: int) -> str:
    """Of one style pair in one domain."""
    return f"{subset}|{STYLES[right]}>{STYLES[wrong]}"


def _matches(row: Mapping[str, Any]) -> bool:
    sides = [row[name] for name in ("chosen", "rejected") if is_texts(row.get(name))]
    return isinstance(row.get("domain"), str) and [len(side) for side in sides] == [len(STYLES)] * 2


def _read(where: str, parts: Sequence[Part]) -> list[AnyBenchmark]:
    items: dict[tuple[str, str], Item] = {}
    repeated = odd = 0
    for number, row in enumerate(row for part in parts for row in part.rows):
        if not _matches(row):
            odd += 1
            continue
        prompt, domain = text_of(row, "prompt", where), row["domain"]
        name = f"{domain} {row.get('id', number)}"
        repeated += (name, prompt) in items  # the file of all domains beside those of each
        items[name, prompt] = Item(
            name=name,
            cluster=prompt_hash(prompt, *row["chosen"][:2]),
            subset=domain,
            prompt=user(prompt),
            responses=tuple(map(assistant, (*row["chosen"], *row["rejected"]))),
            n_right=len(STYLES),
            rule="grid",
        )
    notes = [f"{repeated} rows repeat another and were left out"] if repeated else []
    notes += [f"{odd} rows without a domain and three responses of each kind were left out"] if odd else []
    subsets = tuple(dict.fromkeys(item.subset for item in items.values()))
    return [
        Benchmark(
            kind="rm-bench",
            name="RM-Bench",
            items=tuple(items.values()),
            aggregates=aggregates(subsets),
            formula=FORMULA,
            notes=(*unread_note(parts), *notes),
        )
    ]


def aggregates(subsets: Sequence[str]) -> tuple[Aggregate, ...]:
    """Score, micro, easy / normal / hard, domains, the style matrix."""
    domains: dict[str, list[str]] = {}
    for name in subsets:
        domains.setdefault(name.partition("-")[0], []).append(name)
    share = {name: 1 / len(domains) / len(members) for members in domains.values() for name in members}
    pairs = [(right, wrong) for right in range(len(STYLES)) for wrong in range(len(STYLES))]

    def over(cells: Sequence[tuple[int, int]], within: Mapping[str, float]) -> dict[str, float]:
        return {cell_name(name, *cell): weight for name, weight in within.items() for cell in cells}

    return (
        weighted("score (macro over domains)", "overall", over(pairs, share)),
        pooled("overall (micro)", "overall", over(pairs, share)),
        *(weighted(name, "section", over(cells, share)) for name, cells in LEVELS.items()),
        *(weighted(name, "subset", over(pairs, dict.fromkeys(members, 1.0))) for name, members in domains.items()),
        *(weighted(f"{STYLES[r]} right, {STYLES[w]} wrong", "style", over([(r, w)], share)) for r, w in pairs),
    )


KINDS = (Kind("rm-bench", "prompt, domain: text; chosen, rejected: three texts each; [id]", _matches, _read),)
