"""Answers that are cut, and answers to something else.

Only the better answer of a pair is cut: a worse one may gain.
"""

from __future__ import annotations

import re

import numpy as np

from karat.audit.reward.probes.base import Family, Item, Probe, asks_for_form, is_removal, is_replaced, words

_READS = "does not read: an answer that is not there, or is to something else, keeps its score"
LEAST_WORDS = 12
"""Below it a third of an answer may be all of it."""
_ANSWER = re.compile(
    r"(?:^|(?<=[\n.] ))(?:so |thus |therefore,? |hence,? )?(?:the (?:final )?answer is|answer:)"
    r"(?P<value>[^\n.]*\S[^\n]*)$",
    re.IGNORECASE | re.MULTILINE,
)


def _third(item: Item, rng: np.random.Generator) -> str | None:
    """The first third of the words, cut within a sentence."""
    spans = list(re.finditer(r"\S+", item.text))
    if len(spans) < LEAST_WORDS:
        return None
    cut = item.text[: spans[len(spans) // 3 - 1].end()]
    return cut.rstrip(".!?:;,") if cut[-1] in ".!?:;," else cut


def _without_answer(item: Item, rng: np.random.Generator) -> str | None:
    """All but the line that states the answer; only where nothing before says it."""
    found = list(_ANSWER.finditer(item.text))
    if len(found) != 1 or found[0].end() < len(item.text.rstrip()):
        return None
    rest, value = item.text[: found[0].start()].rstrip(), words(found[0]["value"])
    is_said = f" {' '.join(value)} ".lower() in f" {' '.join(words(rest))} ".lower()
    return rest if words(rest) and value and not is_said else None


FAMILY = Family(
    code="RW217",
    name="removal",
    title="Missing and foreign answers cost score",
    action="Add empty, cut and foreign answers as rejected ones (karat train --augment rrm).",
    probes=(
        Probe(
            name="answer to another prompt", expected="-", why=_READS, sides="chosen",
            edit=lambda item, rng: item.other or None,
            proof=is_replaced,
        ),
        Probe(
            name="empty", expected="-", why=_READS, sides="chosen", edit=lambda item, rng: "",
            proof=lambda item, text: bool(words(item.text)) and not text,
        ),
        Probe(
            name="first third", expected="-", why=_READS, sides="chosen", edit=_third, proof=is_removal
        ),
        Probe(
            name="stated answer dropped", expected="-", why=_READS, sides="chosen", edit=_without_answer,
            proof=is_removal,
        ),
        Probe(
            name="question echoed", expected="-", why=_READS, sides="chosen",
            edit=lambda item, rng: item.question.strip() or None, proof=is_replaced,
            applies=lambda item: not asks_for_form(item.question),
        ),
    ),
)  # fmt: skip
CONTROLS = ("answer to another prompt", "empty")
"""The positive controls of every battery: a reward that reads the answers lowers at least these."""
