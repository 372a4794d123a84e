"""Tests that must fail: canaries beside a suite, and copies of its tests with another expectation.

Used where a suite runs in one process with the candidate, so that nothing which his process says can be believed. What
makes every test pass also makes these pass, and then it has given itself away: a forged outcome, an object that equals
everything, an answer that was read from the test file. A copy differs from its test in what it expects and in nothing
that a candidate could know: which tests are changed is drawn anew in each grading process.
"""

from __future__ import annotations

import ast
import random
from dataclasses import dataclass
from typing import Any

Edit = tuple[int, int, bytes]
"""Replace source[start:end] by text; offsets in bytes."""

OPPOSITE = {
    "assertTrue": "assertFalse",
    "assertFalse": "assertTrue",
    "assertEqual": "assertNotEqual",
    "assertEquals": "assertNotEqual",
    "assertNotEqual": "assertEqual",
    "assertIn": "assertNotIn",
    "assertNotIn": "assertIn",
    "assertIs": "assertIsNot",
    "assertIsNot": "assertIs",
    "assertIsNone": "assertIsNotNone",
    "assertIsNotNone": "assertIsNone",
    "assertIsInstance": "assertNotIsInstance",
    "assertNotIsInstance": "assertIsInstance",
    "assertAlmostEqual": "assertNotAlmostEqual",
    "assertGreater": "assertLessEqual",
    "assertLessEqual": "assertGreater",
    "assertLess": "assertGreaterEqual",
    "assertGreaterEqual": "assertLess",
    "assertCountEqual": "assertIs",
    "assertListEqual": "assertIs",
    "assertDictEqual": "assertIs",
    "assertTupleEqual": "assertIs",
    "assertSetEqual": "assertIs",
    "assertMultiLineEqual": "assertIs",
}
RAISING = ("assertRaises", "assertRaisesRegex", "raises", "warns", "assertWarns", "deprecated_call")
NEVER_RAISED = b"type('Rare', (Exception,), {})"
NEVER_WARNED = b"type('Rare', (Warning,), {})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Altered:
    """A test file in which some tests expect something else."""

    source: bytes
    flipped: frozenset[str]
    """Names (`test_x`, `TestY::test_x`) of the tests that must fail now if they passed before."""
    tests: frozenset[str]
    """All tests of the file, changed or not."""


def alter(source: bytes, rng: random.Random, *, share: float = 0.5) -> Altered:
    """Change what about `share` of the tests expect, and all of them in ways that make no difference.

    Only assertions that surely run are changed: those that stand directly in the test or in its `with` blocks.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return Altered(source=source, flipped=frozenset(), tests=frozenset())
    lines = Lines(source)
    tables = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = {name: flips_of(test, lines, rng, tables) for name, test in tests_of(tree)}
    able = sorted(name for name, edits in found.items() if edits)
    chosen = frozenset(rng.sample(able, max(1, round(share * len(able))))) if able else frozenset()
    edits = [edit for name in chosen for edit in found[name]]
    edits += [edit for _, test in tests_of(tree) if (edit := neutral(test, lines, rng))]
    return Altered(source=lines.edited(edits), flipped=chosen, tests=frozenset(found))


class Lines:
    """A source and the offsets of its lines, to change it in place: the rest keeps every byte."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self.starts = [0]
        for line in source.split(b"\n"):
            self.starts.append(self.starts[-1] + len(line) + 1)

    def span(self, node: Any) -> tuple[int, int]:
        start = self.starts[node.lineno - 1] + node.col_offset
        return start, self.starts[node.end_lineno - 1] + node.end_col_offset

    def text(self, node: Any) -> bytes:
        start, end = self.span(node)
        return self.source[start:end]

    def edited(self, edits: list[Edit]) -> bytes:
        source, after = self.source, len(self.source) + 1
        for start, end, text in sorted(edits, reverse=True):
            if end <= after:  # edits inside another edit are dropped
                source, after = source[:start] + text + source[end:], start
        return source


def tests_of(tree: ast.Module) -> list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Tests by the part of their id behind the file."""
    found = []
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test"):
            found.append((node.name, node))
        elif isinstance(node, ast.ClassDef):
            found += [
                (f"{node.name}::{inner.name}", inner)
                for inner in node.body
                if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)) and inner.name.startswith("test")
            ]
    return found


def tests_of_source(source: bytes) -> list[str]:
    """Names of the tests that a file defines; none where it does not parse."""
    try:
        return [name for name, _ in tests_of(ast.parse(source))]
    except (SyntaxError, ValueError, RecursionError):
        return []


# --------------------------------------------------------------------------------------------------------- one test
def flips_of(test: Any, lines: Lines, rng: random.Random, tables: dict[str, ast.expr]) -> list[Edit]:
    edits: list[Edit] = []
    for statement in sure_statements(test.body):
        if isinstance(statement, ast.Assert):
            cases = altered_cases(test, statement.test, lines, rng, tables)
            edits += cases or [flip_expression(statement.test, lines, rng)]
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            edits += flip_call(statement.value, lines, rng)
        elif isinstance(statement, (ast.With, ast.AsyncWith)):
            edits += [e for item in statement.items if isinstance(item.context_expr, ast.Call)
                      for e in flip_raises(item.context_expr, lines)]  # fmt: skip
    return edits


def sure_statements(body: list[ast.stmt]) -> list[ast.stmt]:
    """Statements that run whenever the test runs to its end; not those of a block that awaits an exception."""
    found = []
    for statement in body:
        found.append(statement)
        if isinstance(statement, (ast.Return, ast.Raise)):
            break
        if isinstance(statement, (ast.With, ast.AsyncWith)) and not any(awaits_exception(i) for i in statement.items):
            found += sure_statements(statement.body)
    return found


def awaits_exception(item: ast.withitem) -> bool:
    call = item.context_expr
    name = getattr(call.func, "attr", getattr(call.func, "id", "")) if isinstance(call, ast.Call) else ""
    return name in (*RAISING, "suppress", "subTest") or not isinstance(call, ast.Call)


def altered_cases(
    test: Any, node: ast.expr, lines: Lines, rng: random.Random, tables: dict[str, ast.expr]
) -> list[Edit]:
    """Other values for a parameter that is what `==` expects, where the test's cases are written out."""
    if not (isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], ast.Eq)):
        return []
    names = [side.id for side in (node.comparators[0], node.left) if isinstance(side, ast.Name)]
    for decorator in test.decorator_list:
        if not (isinstance(decorator, ast.Call) and getattr(decorator.func, "attr", "") == "parametrize"):
            continue
        parameters = parameter_names(decorator.args[0]) if len(decorator.args) >= 2 else []
        wanted = [name for name in names if name in parameters]
        if not wanted:
            continue
        table = decorator.args[1]
        table = tables.get(table.id, table) if isinstance(table, ast.Name) else table
        cells = [cell_of(row, parameters.index(wanted[0]), len(parameters)) for row in getattr(table, "elts", [])]
        others = [None if cell is None else altered_literal(cell, rng) for cell in cells]
        if cells and None not in others:
            return [(*lines.span(cell), other or b"") for cell, other in zip(cells, others, strict=True)]
    return []


def parameter_names(node: ast.expr) -> list[str]:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return []
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else [str(name) for name in value]


def cell_of(row: ast.expr, at: int, size: int) -> ast.expr | None:
    """The value of one parameter in a case: `(a, b)`, `[a, b]`, `pytest.param(a, b)`, or the case itself."""
    if isinstance(row, ast.Call) and getattr(row.func, "attr", "") == "param":
        return row.args[at] if at < len(row.args) else None
    if size == 1:
        return row
    parts = getattr(row, "elts", [])
    return parts[at] if at < len(parts) else None


def flip_expression(node: ast.expr, lines: Lines, rng: random.Random) -> Edit:
    """An edit after which an assertion that held does not hold."""
    start, end = lines.span(node)
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        return flip_expression(node.values[0], lines, rng)
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], (ast.Eq, ast.Is)):
        sides = (node.comparators[0], node.left)
        for side in sides:
            if (other := altered_literal(side, rng)) is not None:
                return (*lines.span(side), other)
        expected = next((side for side in sides if not has_call(side)), sides[0])
        return (*lines.span(expected), b"object()")
    return start, end, b"(not (" + lines.text(node) + b"))"


def flip_call(call: ast.Call, lines: Lines, rng: random.Random) -> list[Edit]:
    """Assertions of unittest, and `pytest.raises` as a call."""
    name = getattr(call.func, "attr", "")
    if name in RAISING:
        return flip_raises(call, lines)
    if (
        name not in OPPOSITE
        or not isinstance(call.func, ast.Attribute)
        or any(isinstance(a, ast.Starred) for a in call.args)
    ):
        return []
    if "Equal" in name and "Not" not in name and len(call.args) >= 2:
        for side in (call.args[1], call.args[0]):
            if (other := altered_literal(side, rng)) is not None:
                return [(*lines.span(side), other)]
        if name in ("assertEqual", "assertEquals"):
            return [(*lines.span(call.args[1] if not has_call(call.args[1]) else call.args[0]), b"object()")]
    end = lines.span(call.func)[1]
    return [(end - len(name), end, OPPOSITE[name].encode())]


def flip_raises(call: ast.Call, lines: Lines) -> list[Edit]:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name not in RAISING or not call.args:
        return []
    return [(*lines.span(call.args[0]), NEVER_WARNED if "arn" in name else NEVER_RAISED)]


def has_call(node: ast.expr) -> bool:
    return any(isinstance(inner, (ast.Call, ast.Await, ast.Subscript)) for inner in ast.walk(node))


def altered_literal(node: ast.expr, rng: random.Random) -> bytes | None:
    """Another literal of the same type; None where the expression is no literal."""
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return repr(another(value, rng)).encode()


def another(value: Any, rng: random.Random) -> Any:
    """A value of the same type that is clearly not equal, for any usual tolerance."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + rng.choice([-1, 1]) * rng.randint(1, 9)
    if isinstance(value, float):
        return 2 * value + rng.randint(1, 9)
    if isinstance(value, complex):
        return value + rng.randint(1, 9)
    if isinstance(value, str):
        return value + rng.choice("aeionrst") if value else rng.choice("aeionrst")
    if isinstance(value, bytes):
        return value + bytes([rng.randint(97, 122)])
    if value is None:
        return rng.randint(1, 9)
    if isinstance(value, dict):
        keys = list(value)
        return {**value, keys[-1]: another(value[keys[-1]], rng)} if keys else {rng.randint(1, 9): 0}
    if isinstance(value, (set, frozenset)):
        return {*value, rng.randint(1_000, 9_999)}
    if isinstance(value, (list, tuple)):
        items = list(value)
        at = rng.randrange(len(items)) if items else 0
        items[at : at + 1] = [another(items[at], rng)] if items else [rng.randint(1, 9)]
        return type(value)(items)
    return rng.randint(1, 9)


def neutral(test: Any, lines: Lines, rng: random.Random) -> Edit | None:
    """A line in the test that makes no difference, so that a changed text says nothing."""
    first = test.body[0]
    if first.lineno == test.lineno or lines.source[lines.starts[first.lineno - 1] :][: first.col_offset].strip():
        return None
    at = lines.starts[first.lineno - 1]
    number = rng.randint(2, 99)
    return at, at, b" " * first.col_offset + f"assert {number} == {number}\n".encode()


# ----------------------------------------------------------------------------------------------------------- canaries
FORMS = (
    "def {name}():\n    value = {a}\n    assert value == {b}\n",
    "def {name}():\n    with pytest.raises({error}):\n        sorted([{b}, {a}])\n",
    "def {name}():\n    assert sum([{a}, 1]) > {a} + {b}\n",
    "class Test{title}(unittest.TestCase):\n    def {name}(self):\n        self.assertEqual({a}, {b})\n",
    "class Test{title}(unittest.TestCase):\n    def {name}(self):\n        with self.assertRaises({error}):\n"
    "            len([{a}])\n",
    "def {name}(tmp_path):\n    assert (tmp_path / 'out{a}').exists()\n",
    "@pytest.mark.parametrize('given', [{a}, {b}])\ndef {name}(given):\n    assert given == {a} + {b}\n",
    "def {name}():\n    pytest.fail('value {a}')\n",
    "def {name}():\n    raise {error}('value {a}')\n",
)
"""Every test of these fails wherever tests are run and judged."""


def canary_file(names: list[str], rng: random.Random) -> bytes:
    """A test file of its own whose tests all fail, with names as the suite has them."""
    words = sorted({word for name in names for word in name.lower().replace("::", "_").split("_") if word.isalpha()})
    words = [word for word in words if word != "test" and len(word) > 2] or ["value", "result", "case"]
    parts = ["import unittest\n\nimport pytest\n"]
    forms = [*FORMS]
    rng.shuffle(forms)
    for number, form in enumerate(forms):
        chosen = rng.sample(words, min(2, len(words)))
        a = rng.randint(1_000, 9_000)
        name = "_".join(["test", *chosen, str(rng.randint(2, 99)) if rng.random() < 0.5 else "again", str(number)])
        title = "".join(word.title() for word in chosen) + str(number)
        error = rng.choice(["ValueError", "TypeError", "KeyError", "IndexError"])
        parts.append(form.format(name=name, title=title, a=a, b=a + rng.randint(1, 99), error=error))
    return "\n\n".join(parts).encode()
