"""One part of a right answer made wrong. The score has to fall.

On built-in items, whose truth is known by construction; in the user's own answers only where a sum that is written out,
and right, can be made wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from karat.audit.reward.probes.base import Family, Item, Probe, is_wrong
from karat.audit.reward.probes.facts import (
    Fact,
    codes,
    differences,
    items_of,
    negations,
    nested,
    references,
    sums,
    units,
    verdicts,
    world_facts,
    wrong_text,
)

_WHY = "does not see that a right answer was made wrong"
_SUM = re.compile(
    r"(?<![\d.,+*/=^x-] )(?<![\d.,$^_(<-])(\d{1,6}) ?([+*x\u00d7-]) ?(\d{1,6}) ?= ?(-?\d{1,12})"
    r"(?![\d,%]|\.\d| ?[+*/x-])"
)


def _value(found: re.Match[str]) -> int:
    a, b = int(found[1]), int(found[3])
    return a + b if found[2] == "+" else a - b if found[2] == "-" else a * b


def _sum_changed(item: Item, rng: np.random.Generator) -> str | None:
    """The result of the last right sum off by a little; only where no number follows, so that it is what is stated."""
    right = [found for found in _SUM.finditer(item.text) if _value(found) == int(found[4])]
    if not right:
        return None
    last = right[-1]
    if re.search(r"\d", item.text[last.end() :]):
        return None
    wrong = str(int(last[4]) + int(rng.choice([-2, -1, 1, 2])))
    return item.text[: last.start(4)] + wrong + item.text[last.end(4) :]


def _one_more_wrong(item: Item, text: str) -> bool:
    """Of the sums that are written out, one that was right is wrong now."""
    before, after = ([_value(found) == int(found[4]) for found in _SUM.finditer(each)] for each in (item.text, text))
    return len(before) == len(after) and sum(before) == sum(after) + 1


def _built_in(name: str, facts: Callable[[np.random.Generator], Sequence[Fact]]) -> Probe:
    return Probe(
        name=name, expected="-", why=_WHY, items=items_of(facts), edit=lambda item, rng: wrong_text(item),
        proof=is_wrong,
    )  # fmt: skip


FAMILY = Family(
    code="RW222",
    name="truth",
    title="A right answer made wrong costs score",
    action="Add pairs whose answers differ in one fact; where a program can check the answer, let it.",
    probes=(
        Probe(
            name="own sum made wrong", expected="-", why=_WHY, sides="chosen", edit=_sum_changed, proof=_one_more_wrong
        ),
        _built_in("fact swapped", world_facts),
        _built_in("fact denied", negations),
        _built_in("yes for no", verdicts),
        _built_in("sum made wrong", sums),
        _built_in("sign lost", differences),
        _built_in("wrong unit", units),
        _built_in("off by one in code", codes),
        _built_in("missing attachment made up", references),
        _built_in("quoted question answered", nested),
    ),
)
