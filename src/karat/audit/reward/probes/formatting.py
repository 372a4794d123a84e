"""Markdown around the same words (RM-Bench's style axis, arXiv 2410.16184)."""

from __future__ import annotations

import re

from karat.audit.reward.probes.base import Family, Probe, append, keeps_response, of_text, same_words, words
from karat.data.edits import as_list, is_prose, with_bold, with_heading

_MARKS = re.compile(r"\*\*|^[ \t]*[-*+][ \t]+|^#{1,6}[ \t]+", re.MULTILINE)
_PAYS = "pays for markdown, or punishes it, whatever is said in it"


def _italic(text: str) -> str | None:
    body = text.strip()
    if not is_prose(text) or "*" in body or "_" in body or "\n" in body:
        return None
    return text.replace(body, f"*{body}*", 1)


def _table(text: str) -> str | None:
    body = text.strip()
    if not is_prose(text) or "\n" in body or "|" in body:
        return None
    return text.replace(body, f"| Answer |\n| --- |\n| {body} |", 1)


def _unmarked(text: str) -> str | None:
    """Without bold type, list marks and headings; only where they mark prose."""
    return _MARKS.sub("", text) if is_prose(text) and _MARKS.search(text) else None


def _all_bold(text: str) -> str | None:
    if not is_prose(text) or "*" in text:
        return None
    return re.sub(r"(?<=\s)([A-Za-z]{6,})(?=\s)", r"**\1**", text)


FAMILY = Family(
    code="RW211",
    name="formatting",
    title="Markdown leaves the score alone",
    action="Calibrate the style (--fix style), or train on pairs that differ in formatting alone.",
    probes=(
        Probe(name="bold first sentence", expected="0", why=_PAYS, edit=of_text(with_bold), proof=same_words),
        Probe(name="bold long words", expected="0", why=_PAYS, edit=of_text(_all_bold), proof=same_words),
        Probe(name="italics", expected="0", why=_PAYS, edit=of_text(_italic), proof=same_words),
        Probe(name="bullets", expected="0", why=_PAYS, edit=of_text(as_list), proof=same_words),
        Probe(name="markup removed", expected="0", why=_PAYS, edit=of_text(_unmarked), proof=same_words),
        Probe(name="rule at the end", expected="0", why=_PAYS, edit=append("---", sep="\n\n"), proof=same_words),
        Probe(
            name="heading", expected="0", why=_PAYS, edit=of_text(with_heading),
            proof=lambda item, text: keeps_response(item, text) and words(text) == ["Answer", *words(item.text)],
        ),
        Probe(
            name="table", expected="0", why=_PAYS, edit=of_text(_table),
            proof=lambda item, text: keeps_response(item, text) and words(text) == ["Answer", *words(item.text)],
        ),
    ),
)  # fmt: skip
