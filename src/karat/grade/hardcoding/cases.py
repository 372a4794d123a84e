"""What the author of a candidate can have seen: the visible inputs of a task, with their outputs where they are known.

Visible are the tests that are not hidden, literal calls in visible test code, and examples in the prompt.
"""

from __future__ import annotations

import ast
import doctest
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

from karat.grade.kinds.asserts import plan_of
from karat.grade.types import Task
from karat.sandbox.types import Plain, Sandbox

Place = Literal["test", "test code", "prompt"]
TASKS_KEPT = 256
MOST_CASES = 2000
"""Cases looked at; further ones say nothing new of a task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One visible input. For stdio the input is the text; for a sequence, the arguments of one step."""

    args: tuple[Plain, ...]
    kwargs: Mapping[str, Plain] = field(default_factory=dict)
    output: Plain = None
    known: bool = False
    """Whether `output` is what the task expects; False where the task does not say it as a value."""
    place: Place = "test"


def visible_cases(task: Task, trusted: Sandbox | None = None) -> tuple[Case, ...]:
    """Distinct visible cases, those of tests first.

    Args:
        trusted: where test code is run to learn inputs that it computes; None: only those that it writes as literals.
    """
    kept = _kept.get(id(task)) if trusted is None else None
    if kept is not None and kept[0] is task:
        return kept[1]
    found: dict[str, Case] = {}
    for case in _all_cases(task, trusted):
        key = exact_key((case.args, dict(case.kwargs)))
        if key not in found or (case.known and not found[key].known):
            found[key] = case
        if len(found) >= MOST_CASES:
            break
    cases = tuple(found.values())
    if trusted is None:
        _kept[id(task)] = (task, cases)
        forget(_kept, TASKS_KEPT)
    return cases


def forget(kept: dict[Any, Any], most: int) -> None:
    """Drop the oldest entries beyond `most`; other threads may add to it meanwhile."""
    if len(kept) > most:
        for key in list(kept)[:-most]:
            kept.pop(key, None)


_kept: dict[int, tuple[Task, tuple[Case, ...]]] = {}
"""What is visible of the last tasks: each is asked about for every candidate."""


def exact_key(value: Plain) -> str:
    """Equal for plain values of the same types and content, whatever the order of sets; NaN equals NaN."""
    if isinstance(value, (set, frozenset)):
        return f"{type(value).__name__}({','.join(sorted(map(exact_key, value)))})"
    if isinstance(value, dict):
        pairs = sorted(f"{exact_key(key)}:{exact_key(item)}" for key, item in value.items())
        return f"dict({','.join(pairs)})"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}({','.join(map(exact_key, value))})"
    if type(value) is int and value.bit_length() > 10_000:  # beyond the digits that Python prints
        return hex(value)
    if isinstance(value, deque):
        return f"deque({','.join(map(exact_key, value))})"
    if isinstance(value, Fraction):
        return f"Fraction({exact_key(value.numerator)},{exact_key(value.denominator)})"
    if isinstance(value, range):
        return f"range({exact_key(value.start)},{exact_key(value.stop)},{exact_key(value.step)})"
    return repr(value)


def loose_key(value: Plain) -> str:
    """As `exact_key`, but lists and tuples are alike, and so are numbers and truth values that are equal."""
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(loose_key, value))}]"
    if isinstance(value, (set, frozenset)):
        return f"set({','.join(sorted(map(loose_key, value)))})"
    if isinstance(value, dict):
        return f"dict({','.join(sorted(f'{loose_key(key)}:{loose_key(item)}' for key, item in value.items()))})"
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        return exact_key(int(value))
    return exact_key(value)


def _all_cases(task: Task, trusted: Sandbox | None) -> Iterator[Case]:
    for test in task.tests:
        if test.hidden:
            continue
        if task.kind == "stdio":
            yield Case(args=(test.stdin,), output=test.stdout, known=True)
        elif task.kind == "sequence":
            for step in test.steps:
                if step.args:
                    yield Case(args=step.args, output=step.output, known=step.check)
        elif test.input or test.kwargs:
            known = not test.raises and task.kind == "function"
            yield Case(args=test.input, kwargs=test.kwargs, output=test.output, known=known)
    if task.entry_point:
        name = task.entry_point.rsplit(".", 1)[-1]
        if task.kind == "asserts":
            yield from _of_assertions(task, trusted)
        yield from cases_of_prompt(task.prompt, name)


def target_of(task: Task) -> str:
    """The function that the tests call: the entry point, unless test code calls another (wrong rows of data sets)."""
    targets = [case.target for case in plan_of(task, None).conversion.cases] if task.kind == "asserts" else []
    if not targets or task.entry_point in targets:
        return task.entry_point
    return max(sorted(set(targets)), key=targets.count)


def _of_assertions(task: Task, trusted: Sandbox | None) -> Iterator[Case]:
    """Calls of test code, as grading asks them; those after the line from which on tests are hidden are left out."""
    first_hidden = task.extra.get("hidden_from_line", 1 << 31)
    target = target_of(task)
    asked = [
        case for case in plan_of(task, trusted).conversion.cases if case.line < first_hidden and case.target == target
    ]
    for case in asked:
        test = case.test
        known = case.relation == "equal" and not case.views and not test.raises
        yield Case(
            args=test.input, kwargs=test.kwargs, output=test.output if known else None, known=known, place="test code"
        )
    if not asked and first_hidden == 1 << 31:
        names = (task.entry_point.rsplit(".", 1)[-1], "candidate")
        yield from cases_of_code(task.test_code, names=names)


def cases_of_code(source: str, *, names: tuple[str, ...]) -> Iterator[Case]:
    """Calls of the tested function whose arguments are literals; with the output where a comparison names it."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    compared: dict[int, Plain] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], (ast.Eq, ast.Is)):
            for call, other in ((node.left, node.comparators[0]), (node.comparators[0], node.left)):
                if isinstance(call, ast.Call):
                    value = literal(other)
                    if value is not NO_LITERAL:
                        compared[id(call)] = value
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called_name(node) in names:
            args = [literal(arg) for arg in node.args]
            kwargs = {str(keyword.arg): literal(keyword.value) for keyword in node.keywords}
            if (args or kwargs) and NO_LITERAL not in (*args, *kwargs.values()):
                known = id(node) in compared
                yield Case(
                    args=tuple(args), kwargs=kwargs, output=compared.get(id(node)), known=known, place="test code"
                )


def cases_of_prompt(prompt: str, name: str) -> Iterator[Case]:
    """Examples `>>> f(1, 2)` with the line under them; also `f(1, 2) == 3` and `f(1, 2) -> 3` within a line."""
    try:
        examples = doctest.DocTestParser().get_examples(prompt)
    except ValueError:
        examples = []
    for example in examples:
        for case in cases_of_code(example.source, names=(name,)):
            lines = example.want.strip().splitlines()  # without a blank line, the text after it is taken in
            whole = _literal_text(example.want.strip())
            value = _literal_text(lines[0]) if whole is NO_LITERAL and lines else whole
            known = case.known or value is not NO_LITERAL
            output = case.output if case.known else value
            yield Case(
                args=case.args, kwargs=case.kwargs, output=output if known else None, known=known, place="prompt"
            )
    for line in prompt.splitlines():
        start = line.find(f"{name}(")
        if start < 0 or ">>>" in line or line.lstrip().startswith("def "):
            continue
        for sign in ("==", "➞", "->", "=>", "=", "#"):
            left, _, right = line[start:].partition(sign)
            if right:
                value = _literal_text(right.strip().rstrip(".`"))
                for case in cases_of_code(left.strip(), names=(name,)):
                    known = value is not NO_LITERAL
                    yield Case(
                        args=case.args, kwargs=case.kwargs, output=value if known else None, known=known, place="prompt"
                    )
                break


class _NoLiteral:
    """Stands for an expression that is no literal."""


NO_LITERAL: Any = _NoLiteral()


BUILDERS = {"tuple": tuple, "list": list, "set": set, "frozenset": frozenset, "dict": dict}


def literal(node: ast.expr, depth: int = 0) -> Plain:
    """The value of a literal expression, also with builtin containers made of one; NO_LITERAL for any other."""
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        pass
    if depth > 3:
        return NO_LITERAL
    if isinstance(node, (ast.List, ast.Tuple)):
        items = [literal(item, depth + 1) for item in node.elts]
        return NO_LITERAL if NO_LITERAL in items else (items if isinstance(node, ast.List) else tuple(items))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BUILDERS:
        inner = literal(node.args[0], depth + 1) if len(node.args) == 1 and not node.keywords else NO_LITERAL
        if isinstance(inner, (list, tuple, set, dict)):
            try:
                return BUILDERS[node.func.id](inner)
            except (TypeError, ValueError):
                return NO_LITERAL
    return NO_LITERAL


def _literal_text(text: str) -> Plain:
    try:
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return NO_LITERAL


def _called_name(node: ast.Call) -> str:
    if isinstance(node.func, ast.Name):
        return node.func.id
    return node.func.attr if isinstance(node.func, ast.Attribute) else ""
