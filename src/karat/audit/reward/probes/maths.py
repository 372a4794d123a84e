"""The same mathematics written otherwise (reWordBench's targeted edits)."""

from __future__ import annotations

import re

from karat.audit.reward.probes.base import Family, Item, Probe, has_code, of_text

_WHY = "pays for a way of writing mathematics, not for the mathematics"
_BOXED = re.compile(r"\\boxed\{([^{}]+)\}")
_STATED = re.compile(
    r"(?P<head>\bthe (?:final )?answer is:? )(?P<value>-?\d[\d,]*(?:\.\d+)?)(?=\.?\s*$)", re.IGNORECASE
)
_INLINE = re.compile(r"(?<![\\$\w])\$(?=[^\s$])([^$\n]*[^\s$\\=])\$(?![\d$])")
_MONEY = re.compile(r"\d.*\s[A-Za-z]{2}.*")
"""Between two dollar signs, an amount and words instead of a formula."""
_GROUPED = re.compile(r"(?<![\d.,(\[{'\"])\d{1,3}(?:,\d{3})+(?![\d)\]}'\"]|,\d|\.\d)")
"""A number with commas; within brackets they may be several numbers."""
_LONG = re.compile(r"(?<![\d.,\w/#'\"-])(?=[01]*[2-9])[1-9]\d{4,11}(?![\d\w/'\"-]|,\d|\.\d)")
"""A long number that is neither binary nor a code with a leading 0."""


def _unboxed(text: str) -> str | None:
    return _plain_numbers(_BOXED.sub(r"\1", text)) if len(_BOXED.findall(text)) == 1 else None


def _boxed(text: str) -> str | None:
    if "\\boxed" in text or len(_STATED.findall(text)) != 1:
        return None
    return _STATED.sub(lambda found: f"{found['head']}$\\boxed{{{found['value']}}}$", text)


def _bracketed(text: str) -> str | None:
    """Only where every dollar sign is one of a formula's: none is an amount of money."""
    formulas = _INLINE.findall(text)
    if not formulas or "$" in _INLINE.sub("", text) or any(map(_MONEY.fullmatch, formulas)):
        return None
    return _INLINE.sub(r"\\(\1\\)", text)


def _ungrouped(text: str) -> str | None:
    return None if has_code(text) else _GROUPED.sub(lambda found: found.group().replace(",", ""), text)


def _grouped(text: str) -> str | None:
    """Only in calculations: elsewhere a long number may be a name, of a place or a product."""
    return None if has_code(text) or "=" not in text else _LONG.sub(lambda found: f"{int(found.group()):,}", text)


def _plain_numbers(text: str) -> str:
    """Numbers alone between dollar signs without these."""
    return re.sub(r"\$(-?\d[\d.,]*)\$", r"\1", text)


def _canonical(text: str) -> str:
    """Without boxes and thousands' commas, in one kind of delimiters."""
    text = _plain_numbers(_BOXED.sub(r"\1", re.sub(r"\\[()]", "$", text)))
    return _GROUPED.sub(lambda found: found.group().replace(",", ""), text)


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
