"""Claims with names in them: values given twice, equations that follow from others, identities."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from karat.rewards.step_check.algebra import Poly, is_identity, polynomial, share_a_root
from karat.rewards.step_check.chains import Named, Pair, Side, Statements
from karat.rewards.step_check.claims import Claim, unknowns, written
from karat.rewards.step_check.compare import Verdict, compare, is_equal, values_of
from karat.rewards.step_check.tree import FUNCTIONS, Node, Undefined, Value, evaluate

MOST_EQUATIONS = 20
"""That one equation is held against; the latest ones."""
MOST_SHARED = 150
"""Pairs of equations of one step that are held against each other."""

_OPENED = re.compile(
    r"\b(?:let|when|cases?|at|substitut\w*|plug\w*|set|setting|choose|take|taking|consider|for|or|test\w*|roots?|"
    r"another|other|second|similarly|likewise|either|new|different|maximum|minimum|range|between|option|possib\w*|"
    r"denote|define\w*|where)\b",
    re.IGNORECASE,
)
"""Words with which an equation may begin something new, rather than follow."""
_FOLLOWS = re.compile(
    r"\b(?:simplif\w*|expand\w*|combin\w*|rearrang\w*|subtract\w*|add\w*|divid\w*|multipl\w*|solv\w*|isolat\w*|distribut\w*)\b",
    re.IGNORECASE,
)
"""Words with which an equation at the beginning of a step follows from the one before."""


@dataclass(frozen=True, slots=True)
class Equation:
    """An equation in one name: left = right, whose solutions are roots of `poly`."""

    poly: Poly
    left: Node
    right: Node

    @property
    def is_solved(self) -> bool:
        """x = 3."""
        return self.left.op == "var" and not self.right.variables


@dataclass
class Known:
    """What the problem and the steps so far have said.

    Attributes:
        equations: by name, the equations in that name alone.
        values: by name, the plain numbers it was set equal to.
        open_names: by name, the expression that it was last set equal to, not yet computed.
        n_shared: pairs of equations that the step at hand has had compared.
        last_equation: the name in the statement just before, if that was an equation in one name; "" at a step's start.
    """

    equations: dict[str, list[Equation]] = field(default_factory=dict)
    values: dict[str, list[Value]] = field(default_factory=dict)
    open_names: dict[str, Side] = field(default_factory=dict)
    last_equation: str | None = ""
    n_shared: int = 0

    def env(self) -> dict[str, Value]:
        """The names that have had one value only."""
        return {name: found[0] for name, found in self.values.items() if all(is_equal(found[0], v) for v in found)}


def claims_with_names(step: str, statements: Statements, known: Known) -> Iterator[Claim]:
    """The claims of a step that hold names; what it says is added to what is known, in the order of the text."""
    events: list[tuple[int, int, Pair | Named]] = [(pair.start, 0, pair) for pair in statements.pairs]
    events += [(named.start, 1, named) for named in statements.named]
    known.last_equation, known.n_shared = "", 0
    for _, _, event in sorted(events, key=lambda entry: entry[:2]):
        if isinstance(event, Named):
            yield from _value_claims(step, event, known)
        elif event.relation == "=":
            yield from _pair_claims(step, event, known)


# --------------------------------------------------------------------------------------------------------------- values
def _value_claims(step: str, named: Named, known: Known) -> Iterator[Claim]:
    """A name that was set equal to an expression, and now to what comes of it: Total = 3 + 4. Total = 7."""
    before = known.open_names.pop(named.name, None)
    sides = [side for side in named.sides if not unknowns(side.node)]
    if before is not None and sides and before.node != sides[0].node:
        verdict = compare(before.node, sides[0].node, "=", (before.words, sides[0].words))
        if verdict == "wrong" and (named.is_hedged or not sides[0].node.is_number):
            verdict = "undefined"  # cost = 3 * 4, then cost = 5 * 4 = 20: another cost
        expected = ""
        if verdict == "wrong":
            expected = f"{written(values_of(before.node)[0])} and not {written(values_of(sides[0].node)[0])}"
        yield Claim(step[named.start : named.end], named.start, named.end, "value", verdict, expected)
    if not sides or sides[-1] != named.sides[-1]:
        return
    last = sides[-1].node
    if last.is_number and not named.is_hedged:
        known.values.setdefault(named.name, []).extend(values_of(last)[:1])
    elif _is_unfinished(last):
        known.open_names[named.name] = sides[-1]


def _is_unfinished(node: Node) -> bool:
    """Whether an expression waits to be computed; fractions, roots and multiples of pi are left as they are."""
    ops = {part.op for part in node.walk()}
    return not node.is_number and not node.is_fraction and not ops & {"sqrt", "var", "mixed", *FUNCTIONS}


# ------------------------------------------------------------------------------------------- identities and equations
def _pair_claims(step: str, pair: Pair, known: Known) -> Iterator[Claim]:
    left, right = pair.sides[0]
    names = (left.node.variables | right.node.variables) - {"pi"}
    if not names:
        return
    previous, known.last_equation = known.last_equation, None
    if (
        "i" in names
        or left.node == right.node
        or any(part.op == "call" for part in (*left.node.walk(), *right.node.walk()))
    ):
        return
    guarded = pair.is_hedged or any(side.guarded for sides in pair.sides for side in sides)
    identical = is_identity(left.node, right.node)
    kind, expected = "identity", ""
    verdict: Verdict = "right" if identical else "undefined"
    if identical is False and left.node.variables == right.node.variables and _is_rewriting(pair):
        verdict, expected = "wrong", "the same on both sides for all values"
    elif not identical and len(names) == 1:
        kind, name = "equation", next(iter(names))
        verdict = "undefined" if guarded else _equation(pair, name, previous, known)
        if verdict == "wrong":
            expected = f"an equation in {name} with a solution in common with one before it"
    elif not identical:
        kind, verdict = "value", _substituted(left.node, right.node, known.env())
    if verdict == "wrong" and guarded:
        verdict, expected = "undefined", ""
    yield Claim(step[pair.start : pair.end], pair.start, pair.end, kind, verdict, expected)


def _is_rewriting(pair: Pair) -> bool:
    """Whether a pair says that one expression is another, and is no equation to solve: a = b = c."""
    if pair.position == 0:
        return False
    nodes = [side.node for sides in pair.sides for side in sides]
    return not any(node.op == "var" for node in nodes) and not any(
        part.op in FUNCTIONS or part.op == "sqrt" for node in nodes for part in node.walk()
    )


def _equation(pair: Pair, name: str, previous: str | None, known: Known) -> Verdict:
    """Whether an equation has a solution in common with one before it; only one that is said to follow can be wrong."""
    left, right = pair.sides[0][0].node, pair.sides[0][1].node
    poly = polynomial(left, right, name)
    if poly is None or len(poly) < 2:
        return "undefined"
    equation = Equation(poly, left, right)
    known.last_equation = name
    before = known.equations.setdefault(name, [])
    earlier = before[-MOST_EQUATIONS:]
    before.append(equation)
    known.n_shared += len(earlier)
    if not earlier or equation in earlier or known.n_shared > MOST_SHARED:
        return "undefined"
    if any(share_a_root(poly, entry.poly) for entry in earlier):
        return "right"
    follows = previous == name or (previous == "" and _FOLLOWS.search(pair.sentence) is not None)
    if not follows or earlier[-1].is_solved or _is_rounded(equation) or _OPENED.search(pair.sentence):
        return "undefined"
    return "wrong"


def _is_rounded(equation: Equation) -> bool:
    """Whether the solution that an equation states may have been rounded, so that it solves no other exactly."""
    return equation.is_solved and any(part.decimals for part in equation.right.walk())


def _substituted(left: Node, right: Node, env: Mapping[str, Value]) -> Verdict:
    """An expression in names that all have values, set equal to another: A - B = 7 - 2.

    Wrong only where the right side is the left one with numbers in place of its names.
    """
    try:
        if is_equal(evaluate(left, None, env), evaluate(right, None, env)):
            return "right"
    except Undefined:
        return "undefined"
    return "wrong" if _is_filled_in(left, right) else "undefined"


def _is_filled_in(left: Node, right: Node) -> bool:
    if left.op == "var":
        return right.is_number
    if left.op == "num":
        return right.op == "num" and left.value == right.value
    same = left.op == right.op and len(left.args) == len(right.args)
    return same and all(_is_filled_in(a, b) for a, b in zip(left.args, right.args, strict=True))


def learn(texts: Sequence[Statements]) -> Known:
    """What texts say, themselves not judged."""
    known = Known()
    for statements in texts:
        for _ in claims_with_names("", statements, known):
            pass
    return known
