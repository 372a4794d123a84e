"""One assertion of test code to a pattern: which call is made, and what must hold of what it returns.

Only syntax is looked at. A pattern holds the expressions of arguments and expected values; who evaluates them, and
where, is `convert`'s business. An assertion that has no pattern is not lost: it runs as a dialogue.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Relation = Literal[
    "equal",
    "different",
    "true",
    "false",
    "identical",
    "not identical",
    "near",
    "close",
    "less",
    "at most",
    "greater",
    "at least",
    "one of",
    "none of",
    "contains",
    "lacks",
    "instance",
    "raises",
]
"""What must hold between the result (after its views) and the expected value. near: |result - expected| below a bound,
close: as math.isclose; one of: the result is in the expected container; contains: the expected value is in the result.
"""

VIEWS = ("set", "sorted", "list", "tuple", "len", "abs", "round", "str", "sum", "max", "min")
"""Functions that a test applies to a result, and that are applied to the plain value outside."""

COMPARES: dict[type[ast.cmpop], tuple[Relation, Relation]] = {
    ast.Eq: ("equal", "equal"),
    ast.NotEq: ("different", "different"),
    ast.Is: ("identical", "identical"),
    ast.IsNot: ("not identical", "not identical"),
    ast.Lt: ("less", "greater"),
    ast.LtE: ("at most", "at least"),
    ast.Gt: ("greater", "less"),
    ast.GtE: ("at least", "at most"),
    ast.In: ("one of", "contains"),
    ast.NotIn: ("none of", "lacks"),
}
"""Operator -> relation when the result stands on its left, and on its right."""

CLOSE_DEFAULTS = {
    "isclose": (("rel_tol", 1e-9), ("abs_tol", 0.0)),
    "allclose": (("rtol", 1e-5), ("atol", 1e-8)),
    "approx": (("rel", 1e-6), ("abs", 1e-12)),
}


class NoPatternError(Exception):
    """The assertion has no pattern; the message is the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One call of the candidate in one assertion. Expressions are those of the test code."""

    line: int
    target: str
    args: tuple[ast.expr, ...]
    kwargs: Mapping[str, ast.expr] = field(default_factory=dict)
    relation: Relation = "true"
    views: tuple[tuple[str, ast.expr | None], ...] = ()
    """Innermost first; the second item is round's number of digits."""
    expected: ast.expr | None = None
    settings: Mapping[str, ast.expr] = field(default_factory=dict)
    """Bounds: `within` and `inclusive` of near, `relative` and `absolute` of close."""

    def expressions(self) -> Iterator[ast.expr]:
        yield from self.args
        yield from self.kwargs.values()
        yield from self.settings.values()
        if self.expected is not None:
            yield self.expected
        yield from (digits for _, digits in self.views if digits is not None)


Names = Callable[[str], str]
"""Name in the test code -> what it is called in the candidate; empty when it is none of the candidate's."""


def patterns_of(test: ast.expr, called: Names) -> list[Pattern]:
    """The patterns that together say what an asserted expression says.

    Raises: NoPatternError: with the reason.
    """
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return [pattern for part in test.values for pattern in patterns_of(part, called)]
    return [_pattern(test, called)]


def _pattern(test: ast.expr, called: Names) -> Pattern:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return _negated(_pattern(test.operand, called))
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        return _comparison(test.left, test.ops[0], test.comparators[0], called)
    if isinstance(test, ast.Call):
        name = _last_name(test.func)
        if name in ("isclose", "allclose") and len(test.args) >= 2:
            return _close(test, name, called)
        if name == "isinstance" and len(test.args) == 2 and _are_builtin(test.args[1]):
            return replace(_subject(test.args[0], called), relation="instance", expected=test.args[1])
    if isinstance(test, ast.Compare):
        raise NoPatternError("a chain of comparisons")
    return _subject(test, called)


NEGATIONS: dict[Relation, Relation] = {
    "true": "false",
    "equal": "different",
    "different": "equal",
    "identical": "not identical",
    "one of": "none of",
    "contains": "lacks",
}


def _negated(pattern: Pattern) -> Pattern:
    relation = NEGATIONS.get(pattern.relation)
    if relation is None:
        raise NoPatternError(f"not, before a test of kind {pattern.relation!r}")
    return replace(pattern, relation=relation)


def _comparison(left: ast.expr, operator: ast.cmpop, right: ast.expr, called: Names) -> Pattern:
    on_left, on_right = mentions(left, called), mentions(right, called)
    if on_left and on_right:
        raise NoPatternError("the candidate is called on both sides")
    subject, expected, side = (left, right, 0) if on_left else (right, left, 1)
    relation = COMPARES[type(operator)][side]
    if relation in ("less", "at most") and (near := _difference(subject, called)) is not None:
        minuend, subtrahend = near
        inner, other = (minuend, subtrahend) if mentions(minuend, called) else (subtrahend, minuend)
        settings = {"within": expected, "inclusive": ast.Constant(relation == "at most")}
        return replace(_subject(inner, called), relation="near", expected=other, settings=settings)
    if relation == "equal" and isinstance(expected, ast.Call) and _last_name(expected.func) == "approx":
        settings = _tolerances(expected, "approx", expected.args[1:])
        return replace(_subject(subject, called), relation="equal", expected=expected.args[0], settings=settings)
    return replace(_subject(subject, called), relation=relation, expected=expected)


def _difference(subject: ast.expr, called: Names) -> tuple[ast.expr, ast.expr] | None:
    """The two sides of `abs(f(x) - y)`."""
    if not (isinstance(subject, ast.Call) and _last_name(subject.func) in ("abs", "fabs") and len(subject.args) == 1):
        return None
    inner = subject.args[0]
    if not (isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Sub)):
        return None
    if mentions(inner.left, called) == mentions(inner.right, called):
        return None
    return inner.left, inner.right


def _close(test: ast.Call, name: str, called: Names) -> Pattern:
    left, right, *rest = test.args
    if mentions(left, called) == mentions(right, called):
        raise NoPatternError("the candidate is called on both sides")
    is_numpy = isinstance(test.func, ast.Attribute) and _last_name(test.func.value) in ("np", "numpy")
    settings = _tolerances(test, "allclose" if is_numpy or name == "allclose" else "isclose", rest)
    if mentions(left, called):
        subject, expected = left, right
    else:
        subject, expected = right, left
    relation: Relation = "equal" if is_numpy or name == "allclose" else "close"
    return replace(_subject(subject, called), relation=relation, expected=expected, settings=settings)


def _tolerances(call: ast.Call, kind: str, positional: list[ast.expr]) -> dict[str, ast.expr]:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    names = [name for name, _ in CLOSE_DEFAULTS[kind]]
    given |= dict(zip(names, positional, strict=False))
    if set(given) - set(names):
        raise NoPatternError(f"an option of {kind} that is not read")
    values = [given.get(name, ast.Constant(default)) for name, default in CLOSE_DEFAULTS[kind]]
    return dict(zip(("relative", "absolute"), values, strict=True))


def _subject(node: ast.expr, called: Names) -> Pattern:
    """A call of the candidate inside views."""
    views: list[tuple[str, ast.expr | None]] = []
    while isinstance(node, ast.Call):
        target = call_target(node, called)
        if target:
            return _call(node, target, tuple(reversed(views)))
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        digits = node.args[1] if name == "round" and len(node.args) == 2 else None
        if name not in VIEWS or node.keywords or len(node.args) != (2 if digits else 1):
            raise NoPatternError(f"the result goes through {ast.unparse(node.func)[:40]}()")
        views.append((name, digits))
        node = node.args[0]
    raise NoPatternError(f"the result is used in {type(node).__name__}")


def _call(node: ast.Call, target: str, views: tuple[tuple[str, ast.expr | None], ...]) -> Pattern:
    inner = [*node.args, *(keyword.value for keyword in node.keywords)]
    if any(isinstance(item, ast.Starred) for item in node.args) or any(k.arg is None for k in node.keywords):
        raise NoPatternError("unpacked arguments")
    if any(
        isinstance(part, (ast.Lambda, ast.GeneratorExp, ast.NamedExpr)) for item in inner for part in ast.walk(item)
    ):
        raise NoPatternError("a function or generator is passed to the candidate")
    kwargs = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg is not None}
    return Pattern(line=node.lineno, target=target, args=tuple(node.args), kwargs=kwargs, views=views)


def call_target(node: ast.Call, called: Names) -> str:
    """The candidate's name for what a call calls: `f` or `Solution().f`; empty when it is another's."""
    if isinstance(node.func, ast.Name):
        return called(node.func.id)
    made = node.func.value if isinstance(node.func, ast.Attribute) else None
    if not (isinstance(made, ast.Call) and isinstance(made.func, ast.Name)) or made.args or made.keywords:
        return ""
    owner = called(made.func.id)
    if owner[:1].islower():  # `f().lower()` asks a value that a function gave; classes are spelt with a capital
        return ""
    return f"{owner}.{node.func.attr}" if owner and isinstance(node.func, ast.Attribute) else ""


def mentions(node: ast.AST, called: Names) -> bool:
    """Whether a name of the candidate occurs."""
    return any(isinstance(part, ast.Name) and bool(called(part.id)) for part in ast.walk(node))


def raised_name(statement: ast.stmt) -> tuple[ast.Call, str] | None:
    """The call and the exception of `with raises(E): f(x)` and of `try: f(x); assert False; except E: pass`."""
    if isinstance(statement, ast.With) and len(statement.items) == 1 and len(statement.body) == 1:
        context = statement.items[0].context_expr
        if not (isinstance(context, ast.Call) and _last_name(context.func) in ("raises", "assertRaises")):
            return None
        name = _last_name(context.args[0]) if len(context.args) == 1 and not context.keywords else ""
        call = _only_call(statement.body[0])
        return (call, name) if call is not None and name else None
    if not isinstance(statement, ast.Try) or len(statement.handlers) != 1 or statement.finalbody:
        return None
    handler = statement.handlers[0]
    call, name = _only_call(statement.body[0]), _last_name(handler.type) if handler.type is not None else ""
    if call is None or not all(_does_nothing(step) for step in handler.body):
        return None
    if len(statement.body) == 1 and len(statement.orelse) == 1 and _fails(statement.orelse[0]):
        return call, name or "BaseException"
    swallows_failure = name in ("", "AssertionError", "Exception", "BaseException")
    if len(statement.body) == 2 and not statement.orelse and _fails(statement.body[1]) and not swallows_failure:
        return call, name
    return None


def _only_call(statement: ast.stmt) -> ast.Call | None:
    if isinstance(statement, (ast.Expr, ast.Assign)) and isinstance(statement.value, ast.Call):
        return statement.value
    return None


def _does_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assert):
        return isinstance(statement.test, ast.Constant) and bool(statement.test.value)
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def _fails(statement: ast.stmt) -> bool:
    """`assert False` or `raise AssertionError`."""
    if isinstance(statement, ast.Assert):
        return isinstance(statement.test, ast.Constant) and not statement.test.value
    if isinstance(statement, ast.Raise) and statement.exc is not None:
        raised = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
        return _last_name(raised) == "AssertionError"
    return False


def _last_name(node: ast.AST) -> str:
    """`isclose` of `math.isclose`, of `isclose`."""
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def _are_builtin(node: ast.expr) -> bool:
    names = node.elts if isinstance(node, ast.Tuple) else [node]
    return all(isinstance(item, ast.Name) and isinstance(getattr(builtins, item.id, None), type) for item in names)


# ------------------------------------------------------------------------------------------------------------ literals
SAFE_SIZE = 1e12
MAKERS: dict[str, Callable[..., Any]] = {
    "set": set,
    "tuple": tuple,
    "list": list,
    "frozenset": frozenset,
    "float": float,
    "complex": complex,
}


def literal(node: ast.expr, stored: frozenset[str]) -> Any:
    """The value of an expression of constants.

    Args:
        stored: names that the test code binds; a `set` that it redefines is not taken for the builtin.
    Raises: ValueError: it is more than that.
    """
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        pass
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        maker = MAKERS.get(node.func.id)
        if maker is not None and node.func.id not in stored:
            try:
                return maker(*(literal(arg, stored) for arg in node.args))
            except (TypeError, OverflowError) as error:
                raise ValueError(str(error)) from None
    if isinstance(node, (ast.Tuple, ast.List)):
        items = [literal(item, stored) for item in node.elts]
        return tuple(items) if isinstance(node, ast.Tuple) else items
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_number(literal(node.operand, stored))
    if isinstance(node, ast.BinOp):
        left, right = _number(literal(node.left, stored)), _number(literal(node.right, stored))
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
        if isinstance(node.op, ast.Mult):
            return left * right
        if isinstance(node.op, ast.Div) and right:
            return left / right
    raise ValueError("not a literal")


def _number(value: Any) -> Any:
    """Sums and products of numbers of ordinary size are worked out here; anything larger is not."""
    if type(value) not in (int, float) or not abs(value) < SAFE_SIZE:
        raise ValueError("not a number of ordinary size")
    return value
