"""What a benchmark is to the rest: questions with right and wrong responses, or solutions whose steps are labelled.

A *cell* is the smallest part of a benchmark whose mean is reported or weighed: a subset, or a style pair in a domain.
Every number of a benchmark is a mean over the comparisons of some cells (micro), or a weighted mean of cells' means
(macro): an `Aggregate`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from karat.types import Text

Rule = Literal["top", "grid", "ties"]
"""How an item is scored. "top": a right response must beat all others; k equal at the top count the share of right ones
among them. "grid": every right one against every wrong one. "ties": RewardBench 2's Ties, two items of one key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question of a benchmark.

    Attributes:
        name: for messages and witnesses.
        cluster: equal for items that are not independent (one prompt, one task in several languages).
        subset: part of the benchmark that it belongs to.
        prompt, responses: texts; `responses` is empty where the file holds scores only.
        n_right: the first so many responses are right, the others wrong.
        columns: scores that the file holds, one for each response; NaN where missing.
        rule: how it is scored.
        key: for "ties": "ref" or "tied", and the number that joins the two.
        tools: offered to the model, for the chat template.
        n_responses: how many there are, where `responses` is empty.
    """

    name: str
    cluster: str
    subset: str = ""
    prompt: Text = ""
    responses: tuple[Text, ...] = ()
    n_right: int = 1
    columns: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    rule: Rule = "top"
    key: tuple[str, str] = ("", "")
    tools: str = ""
    n_responses: int = 0

    @property
    def size(self) -> int:
        return len(self.responses) or self.n_responses


@dataclass(frozen=True, slots=True, kw_only=True)
class StepItem:
    """One solution whose steps are labelled.

    Attributes:
        cluster: equal for solutions of one problem.
        wrong: whether each step is wrong. For benchmarks that label the first wrong step only, that one alone is True.
        columns: step scores that the file holds.
    """

    name: str
    cluster: str
    subset: str
    prompt: str
    steps: tuple[str, ...]
    wrong: tuple[bool, ...]
    columns: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """A number of a benchmark.

    Attributes:
        name, level: "overall", "section", "subset" or "style".
        weights: cell to weight; the number is the sum of weight times the cell's mean (see `weighted`).
        pooled: the mean over all comparisons of the cells (micro) instead.
    """

    name: str
    level: str
    weights: Mapping[str, float]
    pooled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A benchmark of responses.

    Attributes:
        kind: of the reader; name: what to call it, with the file.
        aggregates: the first is the benchmark's own score.
        formula: how the parts become the score.
        notes: what was met on reading.
    """

    kind: str
    name: str
    items: tuple[Item, ...]
    aggregates: tuple[Aggregate, ...]
    formula: str
    notes: tuple[str, ...] = ()

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the score columns, in order of appearance; those with ":" are other aggregations of one of them."""
        return tuple(dict.fromkeys(name for item in self.items for name in item.columns))


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBenchmark:
    """A benchmark of solutions with labelled steps.

    Attributes:
        labels: "first": the first wrong step of each solution (ProcessBench). "all": every step (PRMBench).
        groups: named groups of subsets, whose numbers are means of the subsets' numbers.
    """

    kind: str
    name: str
    items: tuple[StepItem, ...]
    labels: Literal["first", "all"]
    formula: str
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for item in self.items for name in item.columns))


def subsets_of(items: tuple[Item, ...] | tuple[StepItem, ...]) -> tuple[str, ...]:
    """Subsets in order of appearance."""
    return tuple(dict.fromkeys(item.subset for item in items))


def weighted(name: str, level: str, weights: Mapping[str, float]) -> Aggregate:
    """A weighted mean of cells: the weights are brought to the sum 1."""
    total = sum(weights.values())
    return Aggregate(name=name, level=level, weights={cell: weight / total for cell, weight in weights.items()})


def pooled(name: str, level: str, cells: Iterable[str]) -> Aggregate:
    """The mean over all comparisons of some cells."""
    return Aggregate(name=name, level=level, weights=dict.fromkeys(cells, 1.0), pooled=True)


def plain_aggregates(subsets: tuple[str, ...], *, macro_first: bool = False) -> tuple[Aggregate, ...]:
    """The mean over all comparisons, the mean of the subsets' means, and each subset."""
    micro = pooled("overall (micro)", "overall", subsets)
    if len(subsets) < 2:
        return (micro,)
    macro = weighted("overall (macro)", "overall", dict.fromkeys(subsets, 1.0))
    each = tuple(pooled(name or "(none)", "subset", [name]) for name in subsets)
    return (*((macro, micro) if macro_first else (micro, macro)), *each)
