"""HumanEval, MBPP (original, sanitized, CodeT's form) and EvalPlus (HumanEval+, MBPP+)."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Mapping, Sequence
from typing import Any

from karat.data.records import DropRowError, Row
from karat.grade.assertions import literal
from karat.grade.readers.contract import task_id_of
from karat.grade.types import Comparison, Task, Test

Notes = list[tuple[str, str]]


# ----------------------------------------------------------------------------------------------------------- HumanEval
def is_humaneval(row: Mapping[str, Any]) -> bool:
    return {"prompt", "entry_point", "test"} <= set(row)


def read_humaneval(raw: Mapping[str, Any], number: int, notes: Notes) -> Task:
    row = Row(raw, number)
    prompt, entry_point = row.text("prompt"), row.text("entry_point").strip()
    reference = ""
    if row.has("canonical_solution"):
        reference, changed = whole_program(prompt, row.text("canonical_solution"), entry_point)
        if changed:
            notes.append(("changed", f"reference put together {changed}: prompt and canonical solution do not compile"))
    known = ("task_id", "prompt", "entry_point", "test", "canonical_solution")
    return Task(
        task_id=task_id_of(raw),
        kind="asserts",
        entry_point=entry_point,
        prompt=prompt,
        test_code=row.text("test"),
        reference=reference,
        source_format="humaneval",
        row=number,
        extra={key: value for key, value in raw.items() if key not in known},
    )


def whole_program(prompt: str, body: str, entry_point: str) -> tuple[str, str]:
    """Prompt and solution as one program, and how it was mended where the two do not simply follow each other.

    CodeT's MBPP has prompts indented by four blanks and solutions indented otherwise: there the docstring goes.
    """
    plain = prompt + body
    if _defines(plain, entry_point):
        return plain, ""
    if _defines(body, entry_point):
        return body, "without the prompt"
    try:
        tree = ast.parse(prompt)
    except (SyntaxError, ValueError):
        return plain, ""
    stub = next((s for s in tree.body if isinstance(s, ast.FunctionDef) and s.name == entry_point), None)
    if stub is not None and stub.body:
        head = "\n".join(prompt.splitlines()[: stub.body[0].lineno - 1])
        without = f"{head}\n{body.lstrip(chr(10))}"
        if _defines(without, entry_point):
            return without, "without the docstring"
    return plain, ""


def _defines(source: str, name: str) -> bool:
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(getattr(statement, "name", "") == name for statement in body)


# ---------------------------------------------------------------------------------------------------------------- MBPP
def is_mbpp(row: Mapping[str, Any]) -> bool:
    return "test_list" in row and "task_id" in row


def read_mbpp(raw: Mapping[str, Any], number: int, notes: Notes) -> Task:
    row = Row(raw, number)
    visible = [str(item) for item in row.items("test_list")]
    challenge = [str(item) for item in row.items("challenge_test_list")] if row.has("challenge_test_list") else []
    setup = row.text_or("test_setup_code").splitlines()
    if row.has("test_imports"):
        setup += [str(item) for item in row.items("test_imports")]
    reference = row.text_or("code")
    lines = [*setup, *visible]
    first_hidden = sum(part.count("\n") + 1 for part in lines) + 1
    entry_point = entry_point_of("\n".join(visible), reference)
    if not entry_point:
        raise DropRowError("no assertion of test_list calls a function")
    known = ("task_id", "text", "prompt", "code", "test_list", "test_setup_code", "test_imports", "challenge_test_list")
    extra = {key: value for key, value in raw.items() if key not in known}
    if challenge:
        extra["hidden_from_line"] = first_hidden
    return Task(
        task_id=task_id_of(raw),
        kind="asserts",
        entry_point=entry_point,
        prompt=row.text_or("text") or row.text_or("prompt"),
        test_code="\n".join([*lines, *challenge]),
        reference=reference,
        source_format="mbpp",
        row=number,
        extra=extra,
    )


def entry_point_of(assertions: str, reference: str) -> str:
    """The function that assertions call: the first name that the reference defines, else that is no builtin."""
    try:
        tree = ast.parse(assertions)
    except (SyntaxError, ValueError):
        return ""
    called = [
        node.func.id
        for statement in tree.body
        if isinstance(statement, ast.Assert)
        for node in ast.walk(statement)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    try:
        functions = {s.name for s in ast.parse(reference).body if isinstance(s, ast.FunctionDef)}
    except (SyntaxError, ValueError):
        functions = set()
    ours = [name for name in called if name in functions]
    return next(iter([*ours, *(name for name in called if not hasattr(builtins, name))]), "")


# ------------------------------------------------------------------------------------------------------------ EvalPlus
SET_TASKS = frozenset(
    (
        "similar_elements",
        "find_char_long",
        "common_in_nested_lists",
        "extract_singly",
        "larg_nnum",
        "intersection_array",
        "find_dissimilar",
        "Diff",
    )
)
"""MBPP+ functions whose results its authors compare as sets."""
PRESENCE_TASKS = frozenset(["check_str", "text_match_three", "text_starta_endb"])
"""Those of which only counts whether they give something."""
OWN_ORACLE = frozenset({"find_zero"})
"""HumanEval+ functions with many right answers: their assertions judge, not equality with the canonical answer."""


def is_evalplus(row: Mapping[str, Any]) -> bool:
    return {"base_input", "plus_input", "entry_point"} <= set(row)


def read_evalplus(raw: Mapping[str, Any], number: int, notes: Notes) -> Task:
    """Base inputs are the visible tests, plus inputs the hidden ones; the canonical solution says the outputs."""
    row = Row(raw, number)
    prompt, entry_point = row.text("prompt"), row.text("entry_point").strip()
    if entry_point in OWN_ORACLE and row.has("test"):
        notes.append(("changed", "inputs of a task with many right answers left out: its assertions judge"))
        return read_humaneval(raw, number, notes)
    reference, _ = whole_program(prompt, row.text("canonical_solution"), entry_point)
    example = _example(row.text_or("assertion"), entry_point)
    base, plus = _argument_lists(row.items("base_input")), _argument_lists(_list_of(raw["plus_input"]))
    tests = [
        Test(test_id=f"{name} {at}", input=_typed(arguments, example), hidden=name == "plus")
        for name, group in (("base", base), ("plus", plus))
        for at, arguments in enumerate(group, start=1)
    ]
    tolerance = raw.get("atol") or 1e-6
    extra: dict[str, Any] = {"outputs": "reference", "contract": row.text_or("contract")}
    if entry_point in SET_TASKS:
        extra["compare_as"] = "set"
    if entry_point in PRESENCE_TASKS:
        extra["compare_as"] = "presence"
    return Task(
        task_id=task_id_of(raw),
        kind="function",
        entry_point=entry_point,
        prompt=prompt,
        tests=tuple(tests),
        reference=reference,
        comparison=Comparison(absolute=float(tolerance), relative=1e-7),
        source_format="evalplus",
        row=number,
        extra=extra,
    )


def _list_of(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []  # MBPP+ writes {} for none


def _argument_lists(value: Sequence[Any]) -> list[tuple[Any, ...]]:
    if not all(isinstance(item, list | tuple) for item in value):
        raise DropRowError("an input is no list of arguments")
    return [tuple(item) for item in value]


def _example(assertion: str, entry_point: str) -> tuple[Any, ...]:
    """Arguments of the first assertion, as Python values: they show where JSON's lists are tuples or sets."""
    try:
        tree = ast.parse(assertion)
    except (SyntaxError, ValueError):
        return ()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == entry_point:
            try:
                return tuple(literal(arg, frozenset()) for arg in node.args)
            except ValueError:
                return ()
    return ()


def _typed(arguments: tuple[Any, ...], example: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(arguments) != len(example):
        return arguments
    return tuple(_like(value, shown) for value, shown in zip(arguments, example, strict=True))


def _like(value: Any, example: Any) -> Any:
    """A JSON value with the container types of an example; a list takes after the example's first item."""
    if isinstance(value, list) and isinstance(example, list | tuple | set | frozenset):
        shown = list(example)
        paired = isinstance(example, tuple) and len(shown) == len(value)
        items = [_like(item, shown[at if paired else 0]) if shown else item for at, item in enumerate(value)]
        try:
            return type(example)(items)
        except TypeError:  # unhashable items of a set
            return items
    return value
