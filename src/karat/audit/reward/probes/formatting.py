"""Markdown around the same words (RM-Bench's style axis, arXiv 2410.16184)."""

from __future__ import annotations

import re

from karat.audit.reward.probes.base import Family, Probe, keeps_response, of_prose, same_words, words
from karat.data.edits import as_list, with_bold, with_heading

_MARKS = re.compile(
    r"\*\*(?P<bold>[^\s*](?:[^*\n]*[^\s*])?)\*\*|^(?:(?P<lead>[ \t]*)[-*+]|#{1,6})[ \t]+(?=[^\W\d]|\*)",
    re.MULTILINE,
)
_BULLET = re.compile(r"^[ \t]*([-*+])[ \t]", re.MULTILINE)
_PAYS = "pays for markdown, or punishes it, whatever is said in it"


def _italic(text: str) -> str | None:
    body = text.strip()
    if "*" in body or "_" in body or "\n" in body:
        return None
    return text.replace(body, f"*{body}*", 1)


def _table(text: str) -> str | None:
    body = text.strip()
    if "\n" in body or "|" in body:
        return None
    return text.replace(body, f"| Answer |\n| --- |\n| {body} |", 1)


def _unmarked(text: str) -> str | None:
    """Without bold type, list marks and headings; not where several marks tell speakers or kinds of item apart."""
    if len(set(_BULLET.findall(text))) > 1:
        return None
    while (bare := _MARKS.sub(lambda found: found["bold"] or found["lead"] or "", text)) != text:
        text = bare
    return text


def _ruled(text: str) -> str | None:
    return text.rstrip() + "\n\n---"


def _all_bold(text: str) -> str | None:
    if "*" in text:
        return None
    return re.sub(r"(?<=\s)([A-Za-z]{6,})(?=\s)", r"**\1**", text)


FAMILY = Family(
    code="RW211",
    name="formatting",
    title="Markdown leaves the score alone",
    action="Calibrate the style (--fix style), or train on pairs that differ in formatting alone.",
    probes=(
        Probe(name="bold first sentence", expected="0", why=_PAYS, edit=of_prose(with_bold), proof=same_words),
        Probe(name="bold long words", expected="<=0", why=_PAYS, edit=of_prose(_all_bold), proof=same_words),
        Probe(name="italics", expected="0", why=_PAYS, edit=of_prose(_italic), proof=same_words),
        Probe(name="bullets", expected="0", why=_PAYS, edit=of_prose(as_list), proof=same_words),
        Probe(name="markup removed", expected="0", why=_PAYS, edit=of_prose(_unmarked), proof=same_words),
        Probe(name="rule at the end", expected="0", why=_PAYS, edit=of_prose(_ruled), proof=same_words),
        Probe(
            name="heading", expected="0", why=_PAYS, edit=of_prose(with_heading),
            proof=lambda item, text: keeps_response(item, text) and words(text) == ["Answer", *words(item.text)],
        ),
        Probe(
            name="table", expected="<=0", why=_PAYS, edit=of_prose(_table),
            proof=lambda item, text: keeps_response(item, text) and words(text) == ["Answer", *words(item.text)],
        ),
    ),
)  # fmt: skip
