"""Finding what a step sets equal: chains "a = b = c" in prose, LaTeX and calculator marks.

Words stand before, after and inside the expressions. The left side of a relation is the longest expression that ends at
it, the right side the longest that begins after it; where what was left out may belong to the calculation ("half of",
a dangling sign, a symbol not known), the side is `guarded`: it can be seen right, but not wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from karat.rewards.step_check.measures import is_measure
from karat.rewards.step_check.parse import STYLES, NoExpression, parse_prefix, parse_whole
from karat.rewards.step_check.tokens import Token, blank, tokenise
from karat.rewards.step_check.tree import Node

MOST_OPERAND = 120
"""Tokens of one side of a relation that are looked at."""
MOST_RELATIONS = 200
"""Of one step."""

CALCULATOR = re.compile(r"<<([^<>=]{1,200}(?:=[^<>=]{1,200}){1,8})>>")
_WEAK = frozenset(["is", "are", "was", "gives", "yields", "makes", "totals"])
_BEFORE = frozenset(
    [
        "half",
        "third",
        "quarter",
        "fourth",
        "fifth",
        "thirds",
        "quarters",
        "twice",
        "double",
        "triple",
        "times",
        "plus",
        "minus",
        "by",
        "from",
        "than",
        "per",
        "percent",
        "over",
        "subtract",
        "add",
        "multiply",
        "divide",
        "dividing",
        "adding",
        "subtracting",
        "multiplying",
        "power",
        "root",
        "square",
        "difference",
        "quotient",
        "product",
        "another",
        "additional",
        "and-a",
        "remaining",
        "modulo",
        "mod",
        "base",
        "log",
        "degree",
        "exactly",
    ]
)
"""Words before an expression that may make it a part of something longer."""
_SHARES = frozenset(
    [
        "half",
        "third",
        "quarter",
        "fourth",
        "fifth",
        "thirds",
        "quarters",
        "fourths",
        "fifths",
        "rest",
        "remainder",
        "multiple",
        "product",
        "difference",
        "root",
        "power",
        "log",
        "logarithm",
        "square",
        "cube",
        "percent",
        "percentage",
        "out",
        "factor",
        "double",
        "triple",
    ]
)
"""Words before "of" that make what follows a part of something longer."""
_AFTER = frozenset(
    ["times", "dozen", "hundred", "thousand", "million", "billion", "squared", "cubed", "percent", "th", "x", "and"]
)
"""Words after an expression that may make it a part of something longer."""
_HEDGES = re.compile(
    r"\b(?:if|suppose|assume|assuming|supposing|would|not|cannot|can't|isn't|doesn't|aren't|don't|no|never|contradict\w*|impossible|"
    r"false|untrue|incorrect\w*|wrong\w*|instead|mistake\w*|error\w*|whether|unless|pattern|correct(?:ed|ion)?|guess\w*|"
    r"invalid|neither|try|trial|should|must|want|need)\b|\?|n't\b",
    re.IGNORECASE,
)
"""Words in a sentence that may say that what it sets equal is not so."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a relation, in one style of reading.

    Attributes:
        guarded: what stands beside it may belong to it.
        words: units and remarks inside it, and after it.
    """

    node: Node
    guarded: bool
    words: tuple[str, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Pair:
    """Two neighbours of a chain.

    Attributes:
        sides: left and right, in each style in which both are expressions.
        relation: "=", "~", "<", ...; "is" where a word says it.
        position: 0 for the first pair of a chain.
        is_hedged: the sentence may say that it is not so.
        sentence: the text around.
    """

    sides: tuple[tuple[Side, Side], ...]
    relation: str
    position: int
    is_hedged: bool
    sentence: str
    start: int
    end: int


def find_pairs(text: str) -> list[Pair]:
    """Everything that a text sets equal or in order, in its order; calculator marks first."""
    pairs: list[Pair] = []
    for match in CALCULATOR.finditer(text):
        inside = _pairs_of(match.group(1), text_of=match.group(1))
        pairs += [
            replace(pair, start=pair.start + match.start(1), end=pair.end + match.start(1), is_hedged=False)
            for pair in inside
        ]
    rest = blank(CALCULATOR, text)
    return (pairs + _pairs_of(rest, text_of=text))[:MOST_RELATIONS]


def _pairs_of(text: str, *, text_of: str) -> list[Pair]:
    pairs: list[Pair] = []
    tokens = tokenise(text)
    begin = 0
    for place in range(len(tokens) + 1):
        if place == len(tokens) or tokens[place].kind in ("break", "arrow"):
            pairs += _chain(tokens, begin, place, text_of)
            begin = place + 1
    return pairs


def _chain(tokens: Sequence[Token], begin: int, end: int, text: str) -> list[Pair]:
    """The pairs of one clause, tokens[begin:end]."""
    at = [place for place in range(begin, end) if _relation(tokens[place])]
    if not at or len(at) > MOST_RELATIONS:
        return []
    edges = [begin - 1, *at, end]
    pairs = []
    for number, place in enumerate(at):
        left = tokens[edges[number] + 1 : place]
        right = tokens[place + 1 : edges[number + 2]]
        if not left or not right:
            continue
        before = tokens[edges[number]] if edges[number] >= 0 and number == 0 else None
        after = tokens[end] if end < len(tokens) and number == len(at) - 1 else None
        sides = _sides(left[-MOST_OPERAND:], right[:MOST_OPERAND], before, after)
        if sides:
            start, stop = sides[0][0].start, sides[0][1].end
            sentence = _sentence(text, start, stop)
            relation = _relation(tokens[place])
            hedged = _HEDGES.search(sentence) is not None
            pairs.append(Pair(sides, relation, number, hedged, sentence, start, stop))
    return pairs


def _relation(token: Token) -> str:
    if token.kind == "rel":
        return token.text
    return "is" if token.kind == "word" and token.text in _WEAK else ""


def _sentence(text: str, start: int, stop: int) -> str:
    """The sentence that holds text[start:stop], 300 characters each way at most."""
    before = re.split(r"[.?!]\s|\n", text[max(0, start - 300) : start])[-1]
    after = re.split(r"(?<=\?)|(?<=[.!])\s|\n", text[stop : stop + 300])[0]
    return before + text[start:stop] + after


def _sides(
    left: Sequence[Token], right: Sequence[Token], before: Token | None, after: Token | None
) -> tuple[tuple[Side, Side], ...]:
    found: list[tuple[Side, Side]] = []
    for style in STYLES:
        one = _left(left, style, before)
        two = _right(right, style, after)
        if one is not None and two is not None and (one, two) not in found:
            found.append((one, two))
    return tuple(found)


def _left(tokens: Sequence[Token], style: object, before: Token | None) -> Side | None:
    """The longest expression that ends at the relation."""
    for start, token in enumerate(tokens):
        if token.kind not in ("num", "var", "open", "command") and not (
            token.text == "-" or (token.kind == "word" and token.text in ("half", "twice"))
        ):
            continue
        try:
            node = parse_whole(tokens[start:], style)  # type: ignore[arg-type]
        except NoExpression:
            continue
        guarded = _is_cut_before(tokens, start, before) or (start > 0 and token.text == "-")
        return Side(node, guarded, _words(tokens[start:]), token.start, tokens[-1].end)
    return None


def _is_cut_before(tokens: Sequence[Token], start: int, before: Token | None) -> bool:
    if any(token.kind == "bad" and token.text != "..." for token in tokens[:start]):
        return True
    if start == 0:
        return before is not None and before.text in ("|", "...")
    previous = tokens[start - 1]
    if previous.kind == "word":
        if previous.text == "of" and start >= 2:
            two = tokens[start - 2]
            return two.kind != "word" or two.text in _SHARES
        return previous.text in _BEFORE
    if previous.kind == "open":
        return previous.joined and previous.text != "{" and start >= 2 and tokens[start - 2].kind != "word"
    return True


def _right(tokens: Sequence[Token], style: object, after: Token | None) -> Side | None:
    """The longest expression that begins after the relation."""
    skip = 0
    while skip < len(tokens) and tokens[skip].kind == "word" and tokens[skip].text in ("about", "approximately"):
        skip += 1
    try:
        node, length = parse_prefix(tokens[skip:], style)  # type: ignore[arg-type]
    except NoExpression:
        return None
    stop = skip + length
    guarded = bool(skip)
    if stop < len(tokens):
        following = tokens[stop]
        guarded = guarded or (
            following.text in _AFTER if following.kind == "word" else following.kind not in ("close", "rel")
        )
    elif after is not None and after.text in ("|", ":"):
        guarded = guarded or (after.text == "|" or after.joined)
    words = _words(tokens[skip : stop + 3])
    return Side(node, guarded, words, tokens[skip].start, tokens[stop - 1].end)


def _words(tokens: Sequence[Token]) -> tuple[str, ...]:
    return tuple(token.text for token in tokens if token.kind == "word" and is_measure(token.text))
