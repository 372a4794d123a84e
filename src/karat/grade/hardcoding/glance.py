"""A look that costs little at the literals of a source: whether they may be parts of visible tests.

Most honest programs hold no such literal. Their text shows it, so that they are never parsed for it.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from karat.grade.hardcoding.known import Visible
from karat.grade.tamper.scan_fold import flat

DIGEST = re.compile(r"[0-9a-f]{4,128}")
ENOUGH = 2
"""Weight at which literals tell something: two parts of visible tests, or one digest or encoded text."""
LARGE = 100_000
"""Whole numbers beyond it may be digests."""

_PIECES = re.compile(r'"""([^"\\]*)"""|"([^"\\\r\n]*)"|\'([^\'\\\r\n]*)\'|#[^\r\n]*')
"""Plain strings and comments, from the left as Python's tokenizer takes them; what is not plain leaves a quote over."""
_NOT_PLAIN = re.compile(r"[\"']|\w\x00|\x00[\s\\]*\x00")
"""A quote left over, a prefix (r, b, f, or a name), or strings in a row, which are one literal."""
_NUMBER = re.compile(r"(?<![\w.])\.?[0-9][\w.]*")
_PLAIN_NUMBER = re.compile(r"[0-9]{1,6}|[0-9]{1,6}\.[0-9]{1,6}")


def tells_something(tree: ast.Module, known: Visible) -> bool:
    """Whether literals of a source are parts of visible tests, digests or encoded."""
    found = 0
    for node in flat(tree):
        if type(node) is ast.Constant:
            found += weight(node.value, known)
            if found >= ENOUGH:
                return True
    return False


def may_tell(text: str, known: Visible) -> bool:
    """Whether `tells_something` may hold of the source's tree, to judge by its text; False is certain."""
    found = 0
    strings: list[str] = []

    def hole(match: re.Match[str]) -> str:
        if match.lastindex is None:
            return " "
        strings.append(match[match.lastindex])
        return "\0"

    rest = _PIECES.sub(hole, text)
    if _NOT_PLAIN.search(rest) is not None:
        return True
    for number in _NUMBER.findall(rest):
        if _PLAIN_NUMBER.fullmatch(number) is None:
            return True
        found += weight(float(number) if "." in number else int(number), known)
    return found + sum(weight(string, known) for string in strings) >= ENOUGH


def weight(value: Any, known: Visible) -> int:
    """How much one literal tells; ENOUGH tells something."""
    if isinstance(value, str):
        return 1 if value in known.texts else 0 if is_prose(value) else ENOUGH
    if isinstance(value, bytes) or (type(value) is int and abs(value) > LARGE):
        return ENOUGH
    return 1 if type(value) in (int, float) and value in known.numbers else 0


def is_prose(text: str) -> bool:
    """Whether a text is neither data written out nor a digest nor encoded."""
    if len(text) < 6:
        return True
    return text.strip()[:1] not in ("{", "[", "(") and (" " in text or len(text) < 12) and not looks_like_digest(text)


def looks_like_digest(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) >= 6 and DIGEST.fullmatch(value.lower()) is not None and not value.isalpha()
    return type(value) is int and abs(value) > LARGE
