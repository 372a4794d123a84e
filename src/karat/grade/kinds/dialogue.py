"""Test code that asks: it runs on the trusted side, and each call of the candidate is relayed as plain data.

The program built here holds the test code with every assertion noted instead of raised, so that each has a result of
its own. The same program can run in the candidate's process (isolated mode), where nothing that it says is safe from
the candidate: its results are then marked.
"""

from __future__ import annotations

import ast
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from karat.grade.code_of_tests import TestCode, read_test_code
from karat.grade.convert import Conversion
from karat.grade.kinds.calls import NOT_REACHED, no_value
from karat.grade.types import TestResult, TestVerdict
from karat.sandbox.types import Call, Handle, Reply

LEAVING = ("SystemExit", "KeyboardInterrupt", "GeneratorExit")
"""Exceptions that no test code may take for an ordinary one."""

RUNNER = """
from karat.sandbox.inside import wire

marks, uncrossed, asked = [], [], [0]


class Ask:
    def __init__(self, ask, name):
        self.ask, self.__name__ = ask, name

    def __call__(self, *args, **kwargs):
        asked[0] += 1
        try:
            return self.ask(*args, **kwargs)
        except wire.NotPlainError as error:
            uncrossed.append(str(error)[:120])
            raise


def mark(line, holds, error=None):
    told = "" if error is None else type(error).__name__ + ": " + str(error)[:120]
    marks.append([line, bool(holds), told, asked[0]])


def karat_run():
    import random
    random.seed(0)
    scope = {"__builtins__": __builtins__, "__name__": "test", "karat_mark": mark}
    for name in NAMES:
        scope[name] = Ask(globals()[NAMES[name]], name)
    ended = []
    try:
        exec(compile(TEXT, "<test>", "exec"), scope)
    except BaseException as error:
        trace, line = error.__traceback__, 0
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == "<test>":
                line = trace.tb_lineno
            trace = trace.tb_next
        ended = [line, type(error).__name__, str(error)[:120], asked[0]]
    return [marks, ended, uncrossed]
"""

SHARED_RUNNER = """
def karat_shared():
    import random, sys
    random.seed(0)
    marks = []

    def mark(line, holds, error=None):
        told = "" if error is None else type(error).__name__ + ": " + str(error)[:120]
        marks.append([line, bool(holds), told, 1])

    scope = dict(sys.modules["solution"].__dict__)
    scope["karat_mark"] = mark
    for name, own in NAMES.items():
        if own in scope:
            scope[name] = scope[own]
    ended = []
    try:
        exec(compile(TEXT, "<test>", "exec"), scope)
    except BaseException as error:
        ended = [0, type(error).__name__, str(error)[:120], 1]
    return [NONCE, marks, ended, []]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialogue:
    """What is left of some test code, ready to run."""

    text: str
    names: dict[str, str]
    """Name in the test code -> name in the candidate's module."""
    lines: tuple[int, ...]
    """Lines of the assertions that it decides. Without any, it must only run to its end."""
    isolated: str = ""
    """Why it cannot run outside the candidate's process; empty when it can."""

    def source(self) -> str:
        """The program of the trusted side; its `karat_run()` returns [marks, end, what could not cross]."""
        return f"{RUNNER}\nNAMES = {self.names!r}\nTEXT = {self.text!r}\n"

    def shared_source(self) -> tuple[str, str]:
        """An expression to be evaluated in the candidate's process, and the nonce that its result begins with."""
        nonce = secrets.token_hex(16)
        program = f"{SHARED_RUNNER}\nNAMES = {self.names!r}\nTEXT = {self.text!r}\nNONCE = {nonce!r}\n"
        made = f"exec(compile({program!r}, '<test>', 'exec'), scope)"
        return f"(lambda scope: ({made}, scope['karat_shared']())[1])({{'__builtins__': __builtins__}})", nonce


# --------------------------------------------------------------------------------------------------------------- build
def build(test_code: str, entry_point: str, conversion: Conversion, helpers: str) -> Dialogue:
    """The dialogue over what conversion left."""
    code = read_test_code(test_code, entry_point, helpers)
    left = {line for line, _ in conversion.left}
    asserted = {n.lineno for s in code.body for n in ast.walk(s) if isinstance(n, ast.Assert)}
    lines = tuple(sorted(left & asserted))
    skip = {case.line for case in conversion.cases} - left
    alias = {code.alias: entry_point} if code.alias else {}
    names = {name: name for name in code.candidate_names()} | alias
    if code.in_one_scope:
        body = code.body
    else:
        call = ast.parse(f"check({entry_point})").body[0]
        ast.copy_location(call, ast.Pass(lineno=1, col_offset=0))
        body = [*ast.parse(test_code).body, call]
    isolated = _uncrossable(code)
    module = ast.Module(body=[Marker(skip).visit(statement) for statement in body], type_ignores=[])
    text = f"{code.imports()}\n{helpers}\n{ast.unparse(ast.fix_missing_locations(module))}"
    return Dialogue(text=text, names=names, lines=lines, isolated=isolated)


class Marker(ast.NodeTransformer):
    """Assertions that are noted; those that are cases already, and those that test nothing, do nothing here."""

    def __init__(self, skip: set[int]) -> None:
        self.skip = skip

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, (ast.With, ast.Try)) and node.lineno in self.skip:
            return ast.Pass()
        return super().visit(node)

    def visit_Assert(self, node: ast.Assert) -> Any:  # the name is ast's
        if node.lineno in self.skip:
            return ast.Pass()
        marked = ast.parse(
            f"try:\n    karat_mark({node.lineno}, 0)\nexcept BaseException as karat_error:\n"
            f"    karat_mark({node.lineno}, False, karat_error)"
        ).body[0]
        assert isinstance(marked, ast.Try)
        noted = marked.body[0]
        assert isinstance(noted, ast.Expr)
        assert isinstance(noted.value, ast.Call)
        noted.value.args[1] = node.test
        return marked


CODE_READERS = ("eval", "exec", "compile", "__import__")
CAPTURES = ("redirect_stdout", "redirect_stderr", "patch", "monkeypatch", "capsys")
"""What replaces a part of the process that the test runs in: the candidate runs in another."""
STREAMS = ("stdin", "stdout", "stderr")


def _uncrossable(code: TestCode) -> str:
    """Why the test code cannot work with a function that asks, as far as its syntax shows."""
    called = code.called
    for node in (part for statement in code.body for part in ast.walk(statement)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and called(node.value.id):
            return f"line {node.lineno}: it reads {node.value.id}.{node.attr}"
        if isinstance(node, (ast.Name, ast.Attribute)) and _is_imported(node, CAPTURES, code):
            return f"line {node.lineno}: it replaces a part of the process ({ast.unparse(node)})"
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr in STREAMS:
            return f"line {node.lineno}: it replaces {node.attr} of the candidate's process"
        if isinstance(node, ast.Compare) and _is_same_object(node, called):
            return f"line {node.lineno}: it asks whether a result is an object of the test's own"
        if isinstance(node, ast.ExceptHandler) and node.type is not None and _names(node.type, called):
            return f"line {node.lineno}: it catches an exception class of the candidate"
        if isinstance(node, ast.ClassDef) and any(_names(base, called) for base in node.bases):
            return f"line {node.lineno}: it derives from a class of the candidate"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in ("isinstance", "issubclass") and any(_names(arg, called) for arg in node.args[1:]):
                return f"line {node.lineno}: it looks for a class of the candidate"
            if node.func.id in CODE_READERS:
                return f"line {node.lineno}: it runs text as code ({node.func.id})"
    return ""


def _is_imported(node: ast.Name | ast.Attribute, names: Sequence[str], code: TestCode) -> bool:
    """`patch` or `mock.patch`, where that is imported."""
    base = node if isinstance(node, ast.Name) else node.value
    is_known = isinstance(base, ast.Name) and base.id in code.fixed | code.modules
    return is_known and (node.id if isinstance(node, ast.Name) else node.attr) in names


def _is_same_object(node: ast.Compare, called: Callable[[str], str]) -> bool:
    """`f(x) is x`: across processes no object is another. Constants are told by value and type."""
    sides = [node.left, *node.comparators]
    asked = any(isinstance(operator, (ast.Is, ast.IsNot)) for operator in node.ops)
    return asked and any(_names(side, called) for side in sides) and not any(isinstance(s, ast.Constant) for s in sides)


def _names(node: ast.AST, called: Callable[[str], str]) -> bool:
    return any(isinstance(part, ast.Name) and called(part.id) for part in ast.walk(node))


# --------------------------------------------------------------------------------------------------------------- relay
USE_LENGTH = 400
READING = ("__iter__", "__len__", "__str__", "__repr__", "__getitem__")
"""What may be asked of an object that stands where the reference gives a value: nothing takes an expected value."""


@dataclass(slots=True)
class Relay:
    """Answers the test code's asks from the candidate, and notices what test code might overlook.

    An object of the candidate decides what its methods say: `f(2).startswith("4")` hands it the expected text. So it
    has methods only where the reference gives an object too, which is known by the use that the test makes (`f()`).
    """

    names: dict[str, str]
    ask: Callable[[Call], Reply]
    known: frozenset[str] | None = None
    """Uses that give an object with the reference; None where that is not known."""
    seen: set[str] = field(default_factory=set)
    """Uses that gave an object."""
    uses: dict[int, str] = field(default_factory=dict)
    """Handle -> the use that gave it first."""
    closed: set[int] = field(default_factory=set)
    """Handles that stand where the reference gives a value."""
    asked: int = 0
    broken_at: int = 0
    """Number of the first ask that was not answered as a function answers; 0: none."""
    broken: str = ""

    def __call__(self, call: Call) -> Reply:
        self.asked += 1
        if self.broken:
            return Reply(status="missing", message=self.broken)
        if call.handle in self.closed and call.target not in READING:
            why = "an object of the candidate, where the reference gives a value"
            return Reply(status="raised", type_name="AttributeError", message=f"{call.target} of {why}")
        reply = self.ask(call)
        if isinstance(reply.value, Handle):
            self._admit(self._use(call), reply.value.number)
        leaves = reply.status == "raised" and reply.type_name in LEAVING
        if reply.status == "missing" or leaves:
            self.broken_at, self.broken = self.asked, reply.message if not leaves else no_value(reply)
        return reply

    def _use(self, call: Call) -> str:
        """How the test came to what it asks for: `Stack().pop()`."""
        if call.handle is None:
            return f"{call.target}()"
        owner = self.uses.get(call.handle, "?")
        if call.target == "__getattribute__":
            return f"{owner}.{call.args[0] if call.args else ''}"[:USE_LENGTH]
        return f"{owner}()" if call.target == "__call__" else f"{owner}.{call.target}()"[:USE_LENGTH]

    def _admit(self, use: str, number: int) -> None:
        self.seen.add(use)
        self.uses.setdefault(number, use)
        if self.known is not None and use not in self.known:
            self.closed.add(number)

    @property
    def unsure(self) -> bool:
        """Whether an object of the candidate may have taken a value's place, and no reference tells."""
        results = [use for use in self.seen if use.endswith("()")]
        return self.known is None and any(not use.rpartition(".")[2][:1].isupper() for use in results)


@dataclass(slots=True)
class Marks:
    """Notes of one run of test code, by line."""

    marks: Sequence[Any]
    ended: Sequence[Any]
    broken_at: int = 0
    broken: tuple[TestVerdict, str] = ("fail", "")

    def tests(self, lines: Sequence[int], trust: Any = "outside") -> tuple[TestResult, ...]:
        """A result for each line; where the run stopped, the first line that was not reached says why."""
        stopped = self.broken if self.broken_at else ("fail", self._stop()) if self.ended else None
        results = []
        blamed = False
        for line in lines:
            verdict, reason = self._line(line)
            if verdict == "not run":
                if stopped is None:
                    continue  # its loop or branch did not come to it in this run, as in plain execution
                verdict, reason = ("not run", NOT_REACHED) if blamed else stopped
            blamed = blamed or verdict in ("fail", "timeout", "error")
            results.append(TestResult(test_id=f"line {line}", verdict=verdict, reason=reason, trust=trust))
        if not lines or (stopped is not None and not blamed):
            verdict, reason = stopped or ("pass", "")
            results.append(TestResult(test_id="to the end", verdict=verdict, reason=reason, trust=trust))
        return tuple(results)

    def _line(self, line: int) -> tuple[TestVerdict, str]:
        """A line's own notes, without those made after the candidate had gone."""
        noted = [mark for mark in self.marks if mark[0] == line]
        before = [mark for mark in noted if not self.broken_at or mark[3] < self.broken_at]
        for _, holds, error, _ in before:
            if not holds:
                return "fail", error or "the assertion does not hold"
        if noted and len(before) < len(noted):
            return self.broken
        return ("pass", "") if noted else ("not run", "")

    def _stop(self) -> str:
        line, name, message, _ = self.ended
        return f"the test code stopped at line {line} with {name}: {message}"
