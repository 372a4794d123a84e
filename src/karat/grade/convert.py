"""Test code with assertions to cases: inputs that the candidate gets, and what must hold of its answers, kept outside.

Three ways lead from an assertion to a case, by what its expressions need:
- literals only: the values are read off the syntax;
- anything else that does not depend on the candidate (loops, variables, imports, random inputs): the test code is run
  once, on the trusted side, with each assertion replaced by a note of its arguments and its expected value;
- what depends on an earlier answer of the candidate, or has no pattern, is left, with the reason: a dialogue runs it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from karat.grade.assertions import (
    NoPatternError,
    Pattern,
    Relation,
    call_target,
    literal,
    mentions,
    patterns_of,
    raised_name,
)
from karat.grade.code_of_tests import TestCode, bound_names, read_test_code
from karat.grade.types import Comparison, Test

MAX_CASES = 5000
PYTHON = Comparison(nan_equal=False)
NOT_EVALUATED = "its values are not literals, and nothing was given to evaluate them"
"""Why an assertion is left where `convert` runs without an evaluator."""

Evaluate = Callable[[str], Any]
"""Runs trusted source in a trusted sandbox and returns what its `karat_run()` returned, a plain value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One call and what must hold of its answer."""

    test: Test
    """Identity, input, and expected value as `output` (or `raises`)."""
    target: str
    relation: Relation = "equal"
    views: tuple[tuple[str, Any], ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    assertion: int = 0
    """Number of its assertion in the test code; a loop makes several cases of one."""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What became of the assertions of some test code."""

    cases: tuple[Case, ...]
    left: tuple[tuple[int, str], ...]
    """(line, reason) of assertions and other statements that need a dialogue."""
    assertions: int
    """Assertions that call the candidate."""
    converted: int
    constants: int = 0
    """Assertions that call nothing of the candidate's (`assert True`): they test nothing."""
    problem: str = ""
    """Why the test code cannot be used at all: it does not compile, or has no assertion."""


# ------------------------------------------------------------------------------------------------------------- convert
def convert(test_code: str, entry_point: str, *, helpers: str = "", evaluate: Evaluate | None = None) -> Conversion:
    """Assertions to cases.

    Args:
        test_code: `def check(candidate): ...` or plain assertions on `entry_point`.
        helpers: trusted source of names that the test code uses (`helpers_of` the prompt).
        evaluate: runs trusted source outside this process; without it, only assertions of literals are converted.
    Returns: the conversion; with `problem` set where the test code does not compile or asserts nothing.
    """
    try:
        code = read_test_code(test_code, entry_point, helpers)
    except (SyntaxError, ValueError, RecursionError) as error:
        return Conversion(
            cases=(), left=(), assertions=0, converted=0, problem=f"the test code does not compile: {error}"
        )
    walk = _walk(code, set())
    if walk.looks_back:  # what it looks at may be changed in place under another name: one conversation then
        walk = _walk(code, {name for name in code.bound - code.fixed if not code.called(name)})
    if not walk.patterns and not walk.left:
        return Conversion(
            cases=(),
            left=(),
            assertions=0,
            converted=0,
            constants=walk.constants,
            problem="the test code asserts nothing",
        )
    cases, left = _cases(code, walk, helpers, evaluate)
    if changeable := {name for case in left for name in case[2]}:  # again, with all that depends on them left too
        walk = _walk(code, changeable)
        cases, left = _cases(code, walk, helpers, evaluate)
    done = {case.assertion for case in cases}
    return Conversion(
        cases=tuple(cases),
        left=tuple(sorted((line, reason) for line, reason, _ in left)),
        assertions=walk.assertions,
        converted=len({walk.number_of[n] for n in done}),
        constants=walk.constants,
    )


def _walk(code: TestCode, changeable: set[str]) -> Walk:
    """The pass over the test code, with variables known that the candidate may change in place."""
    walk = Walk(code, tainted=set(changeable))
    if code.in_one_scope:
        walk.run()
    else:
        walk.leave_all(code.body, "check() returns early")
    return walk


@dataclass(slots=True)
class Walk:
    """One pass over the test code: finds patterns, follows what depends on the candidate, writes the recorder."""

    code: TestCode
    patterns: list[Pattern] = field(default_factory=list)
    number_of: list[int] = field(default_factory=list)
    """Pattern -> number of its assertion (`assert a and b` has two)."""
    straight: list[bool] = field(default_factory=list)
    left: list[tuple[int, str]] = field(default_factory=list)
    assertions: int = 0
    constants: int = 0
    tainted: set[str] = field(default_factory=set)
    """Names whose values depend on an answer of the candidate, or may have been changed by it."""
    recorder: list[ast.stmt] = field(default_factory=list)
    loops: list[ast.stmt] = field(default_factory=list)
    branches: int = 0
    """Depth of `if`s around a statement."""
    passed: set[str] = field(default_factory=set)
    """Variables of the test code that were passed to the candidate so far."""
    ever_passed: bool = False
    """Whether any was in the pass before this one: in a loop what comes later came earlier, too."""
    looks_back: bool = False
    """An assertion that does not call the candidate looks at another variable after that."""

    def run(self) -> None:
        """Two passes: what a loop taints at its end is tainted at its beginning."""
        self._block(self.code.body)
        tainted = self.tainted
        for items in (self.patterns, self.number_of, self.straight, self.left):
            items.clear()
        self.assertions = self.constants = 0
        self.looks_back, self.passed, self.ever_passed = False, set(), bool(self.passed)
        self.tainted = tainted
        self.recorder = self._block(self.code.body)

    def leave_all(self, body: Sequence[ast.stmt], reason: str) -> None:
        for node in (part for statement in body for part in ast.walk(statement)):
            if isinstance(node, ast.Assert):
                self.assertions += 1
                self.left.append((node.lineno, reason))

    def _depends(self, node: ast.AST) -> bool:
        return mentions(node, self.code.called) or any(
            isinstance(part, ast.Name) and part.id in self.tainted for part in ast.walk(node)
        )

    def _block(self, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        found = [kept for statement in body for kept in self._statement(statement)]
        return found or [ast.Pass()]

    def _statement(self, node: ast.stmt) -> list[ast.stmt]:
        if isinstance(node, ast.Assert):
            return self._assertion(node)
        raising = raised_name(node)
        if raising is not None and self._depends(node):
            return self._raising(node, *raising)
        binds = isinstance(node, ast.Assign) and all(isinstance(target, ast.Name) for target in node.targets)
        if not self._depends(node.value if binds and isinstance(node, ast.Assign) else node):
            return [node]
        if isinstance(node, (ast.For, ast.While, ast.If)):
            return self._compound(node)
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            self.tainted.add(node.name)
        return self._leave(node, "the candidate is called outside an assertion")

    def _compound(self, node: ast.For | ast.While | ast.If) -> list[ast.stmt]:
        head = node.iter if isinstance(node, ast.For) else node.test
        if self._depends(head) or any(isinstance(part, (ast.Break, ast.Continue)) for part in ast.walk(node)):
            return self._leave(node, "its loop or condition depends on the candidate")
        if isinstance(node, ast.If):
            self.branches += 1
        else:
            self.loops.append(node)
        body, orelse = self._block(node.body), self._block(node.orelse) if node.orelse else []
        if isinstance(node, ast.For):
            self.loops.pop()
            return [ast.For(target=node.target, iter=node.iter, body=body, orelse=orelse)]
        if isinstance(node, ast.While):
            self.loops.pop()
            return [ast.While(test=node.test, body=body, orelse=orelse)]
        self.branches -= 1
        return [ast.If(test=node.test, body=body, orelse=orelse)]

    def _leave(self, node: ast.stmt, reason: str) -> list[ast.stmt]:
        """Left for the dialogue; what it binds, and what it hands to the candidate, is not known here."""
        asserted = [part for part in ast.walk(node) if isinstance(part, ast.Assert)]
        self.assertions += len(asserted)
        self.left += [(part.lineno, reason) for part in asserted] or [(node.lineno, reason)]
        self.tainted |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and self._is_own(part.id)}
        return []

    def _is_own(self, name: str) -> bool:
        """Whether it is a variable of the test code, whose value the candidate may have a part in."""
        return name in self.code.bound and name not in self.code.fixed and not self.code.called(name)

    def _assertion(self, node: ast.Assert) -> list[ast.stmt]:
        if not self._depends(node.test):
            self.constants += 1
            if self.passed or (self.ever_passed and self.loops):
                names = {part.id for part in ast.walk(node.test) if isinstance(part, ast.Name)}
                self.looks_back |= any(map(self._is_own, names - self.passed))  # those passed: see `_used_again`
            return []
        self.assertions += 1
        try:
            found = patterns_of(node.test, self.code.called)
            depends = [e for p in found for e in p.expressions() if p.relation != "instance" and self._depends(e)]
            if depends:
                raise NoPatternError("it depends on an earlier answer, or on what the candidate may change in place")
        except NoPatternError as error:
            self.assertions -= 1
            return self._leave(node, str(error))
        return [self._record(pattern) for pattern in found]

    def _raising(self, node: ast.stmt, call: ast.Call, exception: str) -> list[ast.stmt]:
        target = call_target(call, self.code.called)
        try:
            if not target or any(self._depends(arg) for arg in call.args) or call.keywords:
                raise NoPatternError("what must raise is more than one call of the candidate")
            found = patterns_of(call, self.code.called)
        except NoPatternError as error:
            return self._leave(node, str(error))
        self.assertions += 1
        pattern = Pattern(
            line=node.lineno,
            target=target,
            args=found[0].args,
            relation="raises",
            expected=ast.Constant(exception),
        )
        return [self._record(pattern)]

    def _record(self, pattern: Pattern) -> ast.stmt:
        """The note that stands for the assertion when the test code is run once to learn its values."""
        self.patterns.append(pattern)
        self.number_of.append(self.assertions - 1)
        self.straight.append(not self.loops and not self.branches)
        parts = [part for arg in (*pattern.args, *pattern.kwargs.values()) for part in ast.walk(arg)]
        self.passed |= {part.id for part in parts if isinstance(part, ast.Name) and self._is_own(part.id)}
        shared = [name for arg in (*pattern.args, *pattern.kwargs.values()) for name in self._used_again(arg)]
        values: list[ast.expr] = [
            ast.Constant(len(self.patterns) - 1),
            ast.Tuple(elts=list(pattern.args), ctx=ast.Load()),
            ast.Dict(keys=[ast.Constant(name) for name in pattern.kwargs], values=list(pattern.kwargs.values())),
            _expected_node(pattern),
            ast.Dict(keys=[ast.Constant(name) for name in pattern.settings], values=list(pattern.settings.values())),
            ast.Tuple(elts=[digits or ast.Constant(None) for _, digits in pattern.views], ctx=ast.Load()),
            ast.Dict(
                keys=[ast.Constant(name) for name in sorted(set(shared))],
                values=[ast.Name(id=name, ctx=ast.Load()) for name in sorted(set(shared))],
            ),
        ]
        number = len(self.patterns) - 1
        guarded = ast.parse(
            f"try:\n    pass\nexcept Exception as karat_error:\n    karat_failed({number}, karat_error)"
        )
        note = ast.Call(func=ast.Name(id="karat_note", ctx=ast.Load()), args=values, keywords=[])
        attempt = guarded.body[0]
        assert isinstance(attempt, ast.Try)
        attempt.body = [ast.Expr(note)]
        return attempt

    def _used_again(self, arg: ast.expr) -> list[str]:
        """Variables in an argument that the test looks at afterwards: a change in place would be seen there."""
        found = []
        copied = {
            id(part)
            for call in ast.walk(arg)
            if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("deepcopy")
            for part in ast.walk(call)
        }
        for node in ast.walk(arg):
            if isinstance(node, ast.Name) and id(node) not in copied and node.id in self.code.bound:
                here = (node.lineno, node.col_offset)
                later = any(
                    isinstance(other, ast.Name) and other.id == node.id and (other.lineno, other.col_offset) > here
                    for statement in self.code.body
                    for other in ast.walk(statement)
                )
                if later or any(node.id not in bound_names([loop]) for loop in self.loops):
                    found.append(node.id)
        return found


def _expected_node(pattern: Pattern) -> ast.expr:
    if pattern.expected is None:
        return ast.Constant(None)
    if pattern.relation != "instance":
        return pattern.expected
    names = pattern.expected.elts if isinstance(pattern.expected, ast.Tuple) else [pattern.expected]
    return ast.List(elts=[ast.Constant(ast.unparse(name)) for name in names], ctx=ast.Load())


# --------------------------------------------------------------------------------------------------------------- cases
def _cases(code: TestCode, walk: Walk, helpers: str, evaluate: Evaluate | None) -> tuple[list[Case], list[Left]]:
    left: list[Left] = [(line, reason, ()) for line, reason in walk.left]
    static = {n: _static_case(walk, n, code.bound) for n in range(len(walk.patterns))}
    if all(static.values()):
        return [case for case in static.values() if case], left
    if evaluate is None:
        left += [(walk.patterns[n].line, NOT_EVALUATED, ()) for n, case in static.items() if case is None]
        return [case for case in static.values() if case], left
    try:
        notes = evaluate(recorder_source(walk.recorder, f"{code.imports()}\n{helpers}"))
    except EvaluationError as error:
        left += [(walk.patterns[n].line, f"its values: {error}", ()) for n, case in static.items() if case is None]
        return [case for case in static.values() if case], left
    return _recorded_cases(walk, notes, left)


Left = tuple[int, str, tuple[str, ...]]
"""Line, reason, and variables that the candidate may have changed in place."""


class EvaluationError(Exception):
    """Trusted source gave no value; the message is the reason."""


def _static_case(walk: Walk, number: int, bound: frozenset[str]) -> Case | None:
    """The case of a pattern whose expressions are literals and that stands outside of every block."""
    pattern = walk.patterns[number]
    if not walk.straight[number]:
        return None
    try:
        args = tuple(literal(arg, bound) for arg in pattern.args)
        kwargs = {name: literal(value, bound) for name, value in pattern.kwargs.items()}
        expected = literal(_expected_node(pattern), bound)
        settings = {name: literal(value, bound) for name, value in pattern.settings.items()}
        digits = [None if item is None else literal(item, bound) for _, item in pattern.views]
    except ValueError:
        return None
    return _case(walk, number, 0, args=args, kwargs=kwargs, expected=expected, settings=settings, digits=digits)


def _case(walk: Walk, number: int, occurrence: int, **values: Any) -> Case:
    pattern = walk.patterns[number]
    same = [n for n, other in enumerate(walk.patterns) if other.line == pattern.line]
    part = f".{same.index(number) + 1}" if len(same) > 1 else ""
    name = f"line {pattern.line}{part}" + (f" #{occurrence + 1}" if occurrence else "")
    settings, expected = values["settings"], values["expected"]
    how = PYTHON
    if pattern.relation == "equal" and settings:
        how = Comparison(nan_equal=False, relative=settings["relative"], absolute=settings["absolute"])
    test = Test(
        test_id=name,
        input=values["args"],
        kwargs=values["kwargs"],
        output=None if pattern.relation == "raises" else expected,
        raises=expected if pattern.relation == "raises" else "",
        comparison=how,
    )
    views = tuple((view, digits) for (view, _), digits in zip(pattern.views, values["digits"], strict=True))
    return Case(
        test=test,
        target=pattern.target,
        relation=pattern.relation,
        views=views,
        settings=settings,
        assertion=number,
        line=pattern.line,
    )


def _recorded_cases(walk: Walk, notes: Any, left: list[Left]) -> tuple[list[Case], list[Left]]:
    """Cases of all assertions from the notes of one run; an assertion of which one note is of no use is left whole."""
    seen = [note[0] for note in notes]
    failed = {note[0]: (note[1], tuple(note[2])) for note in notes if note[1]}
    if len(notes) > MAX_CASES:
        failed = dict.fromkeys(seen, (f"more than {MAX_CASES} cases", ()))
    broken = {walk.number_of[number] for number in failed}
    left += [
        (walk.patterns[n].line, *failed.get(n, ("a part of it cannot be converted", ())))
        for n in range(len(walk.patterns))
        if walk.number_of[n] in broken
    ]
    cases = []
    count: dict[int, int] = {}
    for note in notes:
        number = note[0]
        if walk.number_of[number] in broken:
            continue
        at = count.get(number, 0)
        count[number] = at + 1
        names = ("args", "kwargs", "expected", "settings", "digits")
        cases.append(_case(walk, number, at, **dict(zip(names, note[2:], strict=True))))
    return cases, left


RECORDER = """
import copy, random
from karat.sandbox.inside import wire
notes = []
FIXED = (int, float, complex, str, bytes, bool, type(None))


def fixed(value):
    if type(value) in (tuple, frozenset):
        return all(fixed(item) for item in value)
    return type(value) in FIXED


def note(number, args, kwargs, expected, settings, digits, shared):
    loose = [name for name in shared if not fixed(shared[name])]
    if loose:
        notes.append([number, "a variable that it passes is looked at again, and may be changed in place", loose])
        return
    made = [number, "", args, kwargs, expected, settings, digits]
    try:
        encoder = wire.Encoder()
        encoder.encode(made)
        if encoder.notes:
            raise wire.NotPlainError(encoder.notes[0])
        notes.append(copy.deepcopy(made))
    except (wire.NotPlainError, RecursionError) as error:
        notes.append([number, "a value in it is not plain: " + str(error)[:80], []])


def failed(number, error):
    notes.append([number, "its values: " + type(error).__name__ + ": " + str(error)[:80], []])


def karat_run():
    random.seed(0)
    scope = {"__builtins__": __builtins__, "__name__": "test", "karat_note": note, "karat_failed": failed}
    exec(compile(TEXT, "<test>", "exec"), scope)
    return notes
"""


def recorder_source(body: list[ast.stmt], helpers: str) -> str:
    """A program whose `karat_run()` gives the notes of the test code."""
    module = ast.fix_missing_locations(ast.Module(body=body, type_ignores=[]))
    text = f"{helpers}\n{ast.unparse(module)}"
    return f"{RECORDER}\nTEXT = {text!r}\n"
