"""Finding what a step sets equal: chains "a = b = c" in prose, LaTeX and calculator marks.

Words stand before, after and inside the expressions. The left side of a relation is the longest expression that ends at
it, the right side the longest that begins after it; where what was left out may belong to the calculation ("half of",
a dangling sign, a symbol not known), the side is `guarded`: it can be seen right, but not wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

from karat.rewards.step_check.measures import is_measure
from karat.rewards.step_check.parse import STYLES, NoExpression, Style, parse_prefix, parse_whole, styles_for
from karat.rewards.step_check.tokens import Token, blank, tokenise
from karat.rewards.step_check.tree import Node

MOST_OPERAND = 120
"""Tokens of one side of a relation that are looked at."""
MOST_RELATIONS = 100
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
    ["times", "dozen", "hundred", "thousand", "million", "billion", "squared", "cubed", "percent", "th", "x"]
)
"""Words after an expression that may make it a part of something longer."""
_HEDGES = re.compile(
    r"\b(?:if|suppose|assume|assuming|supposing|would|not|cannot|can't|isn't|doesn't|aren't|don't|no|never|contradict\w*|impossible|"
    r"false|untrue|incorrect\w*|wrong\w*|instead|mistake\w*|error\w*|whether|unless|pattern|correct(?:ed|ion)?|guess\w*|"
    r"invalid|neither|try|trial|should|must|want|need|binary|octal|hexadecimal|base \d+|clock)\b|\?|n't\b",
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
        position: 0 for the first pair of a chain; words inside a chain begin a new one.
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


@dataclass(frozen=True, slots=True)
class Named:
    """A name, and the expressions that one chain sets it equal to.

    Attributes:
        name: one letter, or the words before the relation.
        sides: in order; those that are no expressions are left out.
    """

    name: str
    sides: tuple[Side, ...]
    is_hedged: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Statements:
    """What a text says with relations.

    Attributes:
        pairs: everything set equal or in order, in the order of the text; calculator marks first.
        named: everything that has a name.
    """

    pairs: tuple[Pair, ...]
    named: tuple[Named, ...]


@lru_cache(maxsize=1024)  # a solution's steps are read again as the context of the steps after them
def read_statements(text: str) -> Statements:
    """All that a text says with relations, MOST_RELATIONS at most."""
    pairs: list[Pair] = []
    for match in CALCULATOR.finditer(text):
        inside = _pairs_of(match.group(1))
        pairs += [
            replace(pair, start=pair.start + match.start(1), end=pair.end + match.start(1), is_hedged=False)
            for pair in inside
        ]
    tokens = tokenise(blank(CALCULATOR, text))
    named: list[Named] = []
    for begin, end in _clauses(tokens):
        if len(pairs) + len(named) > MOST_RELATIONS:
            break
        pairs += _chain(tokens, begin, end, text)
        named += _named(tokens, begin, end, text)
    return Statements(tuple(pairs[:MOST_RELATIONS]), tuple(named[:MOST_RELATIONS]))


def _pairs_of(text: str) -> list[Pair]:
    tokens = tokenise(text)
    return [pair for begin, end in _clauses(tokens) for pair in _chain(tokens, begin, end, text)]


def _clauses(tokens: Sequence[Token]) -> list[tuple[int, int]]:
    """Begin and end of the runs of tokens between commas, full stops, arrows, line ends."""
    breaks = [place for place, token in enumerate(tokens) if token.kind in ("break", "arrow")]
    edges = [-1, *breaks, len(tokens)]
    return [(a + 1, b) for a, b in pairwise(edges) if b > a + 1]


def _named(tokens: Sequence[Token], begin: int, end: int, text: str) -> list[Named]:
    """The name that a clause begins with, and what it is set equal to."""
    at = [place for place in range(begin, end) if tokens[place].kind == "rel" and tokens[place].text in "=~"]
    name = _name(tokens[begin : at[0]]) if at else ""
    if not name or any(token.text == "==" for token in tokens[begin:end]):
        return []
    sides: list[Side] = []
    for place, stop in zip(at, [*at[1:], end], strict=True):
        after = tokens[end] if stop == end and end < len(tokens) else None
        operand = tokens[place + 1 : stop][:MOST_OPERAND]
        side = _right(operand, STYLES[0], after)
        if side is not None and side.guarded:
            return []
        if side is not None:
            sides.append(side)
        if stop < end and (side is None or side.end < operand[-1].end) and any(t.kind == "num" for t in operand):
            break  # words between: the next relation has another left side
    start, stop = tokens[begin].start, tokens[end - 1].end
    hedged = is_hedged(sentence_of(text, start, stop))
    return [Named(name, tuple(sides), hedged, start, stop)] if sides else []


def _name(tokens: Sequence[Token]) -> str:
    """One letter at the end of the tokens, or all their words; empty where numbers or signs are among them."""
    if not tokens:
        return ""
    if tokens[-1].kind == "var" and all(token.kind == "word" for token in tokens[:-1]):
        return tokens[-1].text
    if len(tokens) > 16 or any(token.kind not in ("word", "var") for token in tokens):
        return ""
    return " ".join(token.text for token in tokens)


def _chain(tokens: Sequence[Token], begin: int, end: int, text: str) -> list[Pair]:
    """The pairs of one clause, tokens[begin:end]."""
    at = [place for place in range(begin, end) if _relation(tokens[place])]
    if not at or len(at) > MOST_RELATIONS:
        return []
    edges = [begin - 1, *at, end]
    pairs: list[Pair] = []
    position = -1
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
            sentence = sentence_of(text, start, stop)
            relation = _relation(tokens[place])
            hedged = is_hedged(sentence)
            position = position + 1 if start == left[0].start else 0
            pairs.append(Pair(sides, relation, position, hedged, sentence, start, stop))
        else:
            # "this gives 4x + 3 = x + 9": an equation begins; "Area = (x + 1)^2 = ...": the second of a chain
            begins = tokens[place].kind == "word" and any(token.kind == "var" for token in right)
            position = -1 if begins else 0
    return pairs


def _relation(token: Token) -> str:
    if token.kind == "rel":
        return token.text
    return "is" if token.kind == "word" and token.text in _WEAK else ""


def is_hedged(sentence: str) -> bool:
    """Whether a sentence may say that what it sets equal is not so."""
    return _HEDGES.search(sentence) is not None


def sentence_of(text: str, start: int, stop: int) -> str:
    """The sentence that holds text[start:stop], 300 characters each way at most."""
    before = re.split(r"[.?!]\s|\n", text[max(0, start - 300) : start])[-1]
    after = re.split(r"(?<=\?)|(?<=[.!])\s|\n", text[stop : stop + 300])[0]
    return before + text[start:stop] + after


def _sides(
    left: Sequence[Token], right: Sequence[Token], before: Token | None, after: Token | None
) -> tuple[tuple[Side, Side], ...]:
    found: list[tuple[Side, Side]] = []
    for style in styles_for([*left, *right]):
        one = _left(left, style, before)
        two = _right(right, style, after)
        if one is not None and two is not None and (one, two) not in found:
            found.append((one, two))
    return tuple(found)


def _left(tokens: Sequence[Token], style: Style, before: Token | None) -> Side | None:
    """The longest expression that ends at the relation."""
    for start, token in enumerate(tokens):
        if token.kind not in ("num", "var", "open", "command") and not (
            token.text == "-" or (token.kind == "word" and token.text in ("half", "twice"))
        ):
            continue
        try:
            node = parse_whole(tokens[start:], style)
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
    if previous.text == "°":
        return True
    if previous.kind == "word":
        if previous.text == "of" and start >= 2:
            two = tokens[start - 2]
            return two.kind != "word" or two.text in _SHARES
        if previous.text == "and" and start >= 2 and tokens[start - 2].kind == "num":
            return any(token.text in _SHARES or token.text in ("sum", "between") for token in tokens[:start])
        return previous.text in _BEFORE
    if previous.kind == "open":
        return previous.joined and previous.text != "{" and start >= 2 and tokens[start - 2].kind != "word"
    return True


def _right(tokens: Sequence[Token], style: Style, after: Token | None) -> Side | None:
    """The longest expression that begins after the relation."""
    skip = 0
    while skip < len(tokens) and tokens[skip].kind == "word" and tokens[skip].text in ("about", "approximately"):
        skip += 1
    try:
        node, length = parse_prefix(tokens[skip:], style)
    except NoExpression:
        return None
    stop = skip + length
    guarded = bool(skip)
    if stop < len(tokens):
        following = tokens[stop]
        guarded = guarded or (
            _goes_on(tokens, stop) if following.kind == "word" else following.kind not in ("close", "rel")
        )
    elif after is not None and after.text in ("|", ":"):
        guarded = guarded or (after.text == "|" or after.joined)
    words = _words(tokens[skip : stop + 3])
    return Side(node, guarded, words, tokens[skip].start, tokens[stop - 1].end)


def _goes_on(tokens: Sequence[Token], at: int) -> bool:
    """Whether a word after an expression may make it a part of something longer: 3 dozen, 1 hour and 20 minutes."""
    word = tokens[at].text
    if word == "and":
        return at + 1 < len(tokens) and tokens[at + 1].kind == "num"
    return word in _AFTER


def _words(tokens: Sequence[Token]) -> tuple[str, ...]:
    return tuple(token.text for token in tokens if token.kind == "word" and is_measure(token.text))
