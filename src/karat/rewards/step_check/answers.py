"""Whether two final answers are the same: numbers in any notation, expressions, tuples, sets, choices, text."""

from __future__ import annotations

import re
from itertools import permutations

from karat.rewards.step_check.algebra import is_identity
from karat.rewards.step_check.compare import is_equal, values_of
from karat.rewards.step_check.measures import is_measure, measure
from karat.rewards.step_check.parse import STYLES, NoExpression, parse_whole
from karat.rewards.step_check.tokens import tokenise
from karat.rewards.step_check.tree import Node

MOST_LENGTH = 2000
MOST_PARTS = 6
"""Of a set, whose order is free."""

_LEADS = re.compile(
    r"^(?:.{0,400}?(?:####|\\boxed|(?:final )?answer\s*(?:is|=|:)+)|so|thus|therefore|hence)\s*",
    re.IGNORECASE | re.DOTALL,
)
_CHOICE = re.compile(r"^\(?([A-Ja-j])(?:\)|[.:]|$)")
_NAME = re.compile(r"^[A-Za-z]\w?\s*(?:=|∈|\\in\b)\s*")
_ARTICLES = re.compile(r"\b(?:the|a|an)\b")


def same_answer(a: str, b: str) -> bool | None:
    """Whether two answers say the same.

    Numbers agree exactly, however they are written (0.5, 1/2, 50 %, \\frac12); a decimal that is given to fewer digits
    is another number. Units and currency signs are left out where one answer has none.
    Returns: None where it cannot be told: an empty answer, an expression that cannot be computed, a quantity in other
        units, or a list in another order that no braces make a set.
    """
    one, two = _cleaned(a), _cleaned(b)
    if not one or not two:
        return None
    if one == two:
        return True
    choice = _same_choice(one, two)
    if choice is not None:
        return choice
    parts = _parts(one), _parts(two)
    if parts[0] is not None or parts[1] is not None:
        return _same_parts(parts[0], parts[1])
    left, right = _node(one), _node(two)
    if left is not None and right is not None:
        same = _same_expression(left, right)
        return same if _units(one) == _units(two) or not (_units(one) and _units(two)) else None if not same else False
    if left is not None or right is not None:
        return None if any("\\" in text for text in (one, two)) else False
    return None if any("\\" in text for text in (one, two)) else _plain(one) == _plain(two)


def _cleaned(text: str) -> str:
    text = text[:MOST_LENGTH].strip()
    boxed = _inside_box(text)
    text = boxed if boxed is not None else _LEADS.sub("", text, count=1)
    text = re.sub(r"^\$+|\$+$|^\\[\[(]|\\[\])]$", "", text.strip()).strip().rstrip(".").strip()
    text = re.sub(r"\\(?:left|right|displaystyle|,|;|!|:)", "", text)
    return _NAME.sub("", text).strip()


def _inside_box(text: str) -> str | None:
    """The contents of the last \\boxed{...}."""
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth = 0
    for place in range(start + 6, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[start + 7 : place]
    return None


def _same_choice(one: str, two: str) -> bool | None:
    """Two choices by their letters; None where they are no choices."""
    first, second = (_CHOICE.match(re.sub(r"\\text\{(.*?)\}", r"\1", text)) for text in (one, two))
    if first is None or second is None or not ("(" in one + two or ")" in one + two or len(one) == len(two) == 1):
        return None
    return first.group(1).upper() == second.group(1).upper()


def _parts(text: str) -> tuple[str, list[str], str] | None:
    """The brackets of a tuple, a set or an interval, and what stands between its commas; None for anything else."""
    opens, closes = "([{", ")]}"
    bare = re.sub(r"\\([{}])", r"\1", text)
    opener = closer = ""
    if len(bare) > 1 and bare[0] in opens and bare[-1] in closes and _closes_last(bare):
        opener, closer, bare = bare[0], bare[-1], bare[1:-1]
    parts, depth, last = [], 0, 0
    for place, letter in enumerate(bare):
        depth += (letter in opens) - (letter in closes)
        if letter in ",;" and depth == 0 and not re.match(r"\d,\d{3}(?!\d)", bare[max(0, place - 1) : place + 5]):
            parts.append(bare[last:place].strip())
            last = place + 1
    if not parts:
        return None
    return opener, [*parts, bare[last:].strip()], closer


def _closes_last(text: str) -> bool:
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if depth == 0:
            return place == len(text) - 1
    return False


def _same_parts(one: tuple[str, list[str], str] | None, two: tuple[str, list[str], str] | None) -> bool | None:
    if one is None or two is None or len(one[1]) != len(two[1]):
        return False
    plain = {one[0], two[0]} <= {"", "{"}
    if not plain and (one[0], one[2]) != (two[0], two[2]):
        return False
    if plain and len(one[1]) <= MOST_PARTS:
        found = [
            _all([same_answer(x, y) for x, y in zip(one[1], order, strict=True)]) for order in permutations(two[1])
        ]
        if found[0] is True or "{" in (one[0], two[0]) or True not in found:
            return True if True in found else None if None in found else False
        return None  # a list may be sorted, or the solutions of an equation
    return _all([same_answer(x, y) for x, y in zip(one[1], two[1], strict=True)])


def _all(verdicts: list[bool | None]) -> bool | None:
    return False if False in verdicts else None if None in verdicts else True


def _node(text: str) -> Node | None:
    tokens = tokenise(text)
    for style in STYLES[:2]:
        try:
            return parse_whole(tokens, style)
        except NoExpression:
            continue
    return None


def _same_expression(left: Node, right: Node) -> bool | None:
    ones, twos = values_of(left), values_of(right)
    if ones and twos:
        return any(is_equal(x, y) for x in ones for y in twos)
    if left.variables or right.variables:
        return is_identity(left, right)
    return None


def _plain(text: str) -> str:
    """Text without case, articles, blanks around signs, and the marks of a sentence."""
    bare = " ".join(_ARTICLES.sub(" ", re.sub(r"[.,;:!?'\"`*_]", " ", text.lower())).split())
    return re.sub(r"\s*([^\w\s])\s*", r"\1", bare)


def _units(text: str) -> set[str]:
    return {measure(token.text) for token in tokenise(text) if token.kind == "word" and is_measure(token.text)}
