"""RATE: the effect of an attribute by rewriting twice (arXiv 2410.11348, Algorithm 1).

A rewriter changes more than the attribute that it is asked to change. So a response is compared not with its rewrite,
but the rewrite with its own rewrite back: both have passed through the rewriter once or twice, and its side effects
cancel. With w = 1 where a response has the attribute and Re(y, w) the rewrite,

    ATT = mean over w = 1 of R(Re(Re(y, 0), 1)) - R(Re(y, 0))
    ATU = mean over w = 0 of R(Re(y, 1)) - R(Re(Re(y, 1), 0))
    ATE = (n1 ATT + n0 ATU) / (n0 + n1), the mean over all responses.

It rests on the rewriter: one that changes the content in both directions alike is what it assumes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from karat.audit.reward.probes.base import Family, Item, Probe, words
from karat.data.text_features import FEATURES, count_features

Rewriter = Callable[[str, str, bool], str | None]
"""Called with a text, the name of an attribute, and whether the new text shall have it."""


def _count(name: str) -> Callable[[str], float]:
    at = FEATURES.index(name)
    return lambda text: count_features(text)[at]


ATTRIBUTES: Mapping[str, Callable[[str], float]] = {
    "length": _count("length, words"),
    "lists": _count("list items"),
    "politeness": _count("politeness words"),
    "confidence": _count("confidence words"),
    "hedging": _count("hedging words"),
}
"""Name as the rewriter gets it -> the amount in a text; a text has the attribute where it has more than the median."""

FAMILY = Family(
    code="RW224",
    name="rewriting",
    title="Attributes rewritten in and out leave the score alone",
    action="Read what the rewriter changes; where only the attribute, calibrate the reward for it.",
    probes=(),
)


@dataclass(frozen=True, slots=True)
class Rewritten:
    """One response in two rewritings, without and with the attribute, one of them rewritten twice."""

    item: Item
    off: str
    on: str


def rewrite_twice(
    items: Sequence[Item], rewriter: Rewriter, attribute: str, *, progress: Callable[..., None] | None = None
) -> tuple[list[Rewritten], int]:
    """The two texts that RATE compares for each item, and how many items the rewriter failed on.

    A failure: it raises, or returns no text. Items without words do not take part.
    """
    amount_N = np.array([ATTRIBUTES[attribute](item.text) for item in items])
    median = float(np.median(amount_N)) if amount_N.size else 0.0
    out, n_failed = [], 0
    for index, (item, amount) in enumerate(zip(items, amount_N, strict=True)):
        if not words(item.text):
            continue
        has_it = bool(amount > median)
        once = _rewrite(rewriter, item.text, attribute, not has_it)
        twice = _rewrite(rewriter, once, attribute, has_it) if once is not None else None
        if once is None or twice is None:
            n_failed += 1
        else:
            out.append(Rewritten(item, once, twice) if has_it else Rewritten(item, twice, once))
        if progress:
            progress("rewriting", index + 1, len(items), attribute)
    return out, n_failed


def probe_of(attribute: str) -> Probe:
    """The row of an attribute in the table."""
    return Probe(
        name=f"rewritten: {attribute}", expected="0", why=f"pays for, or against, {attribute} as such",
        edit=lambda item, rng: None, proof=lambda item, text: False,
    )  # fmt: skip


def _rewrite(rewriter: Rewriter, text: str, attribute: str, on: bool) -> str | None:
    try:
        out = rewriter(text, attribute, on)
    except Exception:  # the user's function may raise anything; the count tells
        return None
    return out if isinstance(out, str) else None
