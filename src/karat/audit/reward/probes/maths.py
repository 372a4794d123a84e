"""The same mathematics written otherwise (reWordBench's targeted edits)."""

from __future__ import annotations

import re

from karat.audit.reward.probes.base import Family, Item, Probe, of_text

_WHY = "pays for a way of writing mathematics, not for the mathematics"
_BOXED = re.compile(r"\$?\\boxed\{([^{}]+)\}\$?")
_STATED = re.compile(
    r"(?P<head>\bthe (?:final )?answer is:? )(?P<value>-?\d[\d,]*(?:\.\d+)?)(?=\.?\s*$)", re.IGNORECASE
)
_INLINE = re.compile(r"(?<![\\$])\$(?!\$)([^$\n]+)\$(?!\$)")
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,]|\.\d)")
_LONG = re.compile(r"(?<![\d.,\w/#-])\d{5,12}(?![\d,\w/-]|\.\d)")


def _unboxed(text: str) -> str | None:
    return _BOXED.sub(r"\1", text) if len(_BOXED.findall(text)) == 1 else None


def _boxed(text: str) -> str | None:
    if "\\boxed" in text or len(_STATED.findall(text)) != 1:
        return None
    return _STATED.sub(lambda found: f"{found['head']}$\\boxed{{{found['value']}}}$", text)


def _bracketed(text: str) -> str | None:
    return _INLINE.sub(r"\\(\1\\)", text) if _INLINE.search(text) and any(c in text for c in "\\^_=") else None


def _ungrouped(text: str) -> str | None:
    return _GROUPED.sub(lambda found: found.group().replace(",", ""), text)


def _grouped(text: str) -> str | None:
    return _LONG.sub(lambda found: f"{int(found.group()):,}" if found.group()[0] != "0" else found.group(), text)


def _canonical(text: str) -> str:
    """Without boxes, delimiters and thousands' commas."""
    text = re.sub(r"\\[()]", "$", text)
    text = re.sub(r"\\boxed\{([^{}]+)\}", r"\1", text).replace("$", "")
    return re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)


def _same_maths(item: Item, text: str) -> bool:
    return _canonical(item.text) == _canonical(text)


FAMILY = Family(
    code="RW220",
    name="maths",
    title="Notation leaves the score alone",
    action="Bring answers into one notation before scoring.",
    probes=(
        Probe(name="box removed", expected="0", why=_WHY, edit=of_text(_unboxed), proof=_same_maths),
        Probe(name="answer boxed", expected="0", why=_WHY, edit=of_text(_boxed), proof=_same_maths),
        Probe(name="other delimiters", expected="0", why=_WHY, edit=of_text(_bracketed), proof=_same_maths),
        Probe(name="thousands together", expected="0", why=_WHY, edit=of_text(_ungrouped), proof=_same_maths),
        Probe(name="thousands apart", expected="0", why=_WHY, edit=of_text(_grouped), proof=_same_maths),
    ),
)
