"""karat's own task rows.

    {"task_id", "entry_point", "tests": [{"input": [...], "output": ...}], "hidden_tests": [...], "reference": "..."}

and for other kinds `kind`, `test_code`, tests with `stdin` and `stdout` or `steps`, `command`, `source_name`, `files`,
`test_files`; for every kind `prompt`, `prelude`, `comparison`, `limits`, `fresh`, `generator`, `relations`, `values`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

from karat.data.records import DropRowError, Row, kind_of
from karat.errors import InputError
from karat.grade.kinds.sequence import sequence_from_leetcode
from karat.grade.readers.values import Reader, read_comparison, read_files, read_limits, texts, value_reader
from karat.grade.types import Comparison, Step, Task, TaskKind, Test

KINDS = get_args(TaskKind)
OWN_KEYS = ("tests", "hidden_tests", "test_code", "test_files", "steps")
READ = set(Task.__dataclass_fields__) - {"row", "extra", "source_format"} | {"hidden_tests", "values"}
"""Columns that are read; the others become `extra`."""


def recognises(row: Mapping[str, Any]) -> bool:
    return "task_id" in row and any(key in row for key in OWN_KEYS)


def read_task(raw: Mapping[str, Any], number: int, notes: list[tuple[str, str]]) -> Task:
    """Raises: DropRowError: the row gives no task."""
    row = Row(raw, number)
    form = row.text_or("values", "json")
    read = value_reader(form)
    kind = row.text_or("kind") or _kind_of(raw)
    if kind not in KINDS:
        raise DropRowError(f"kind {kind!r} is unknown; it is one of {', '.join(KINDS)}")
    default = {"text": "tokens"} if kind == "stdio" else {"sequences": "alike" if form == "json" else "distinct"}
    comparison = read_comparison(raw.get("comparison"), **default)
    entry_point = row.text_or("entry_point").strip()
    hidden = row.items("hidden_tests") if row.has("hidden_tests") else []
    visible = row.items("tests") if row.has("tests") else []
    tests = [
        _test(item, at, read, comparison, entry_point, hidden=at > len(visible))
        for at, item in enumerate([*visible, *hidden], start=1)
    ]
    names = [test.test_id for test in tests]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DropRowError(f"test_id {twice!r} is given twice")
    fresh = raw.get("fresh", False)
    if not isinstance(fresh, bool):
        raise DropRowError("fresh is neither true nor false")
    extra = {key: value for key, value in raw.items() if key not in READ}
    if any(isinstance(item, Mapping) and _lacks_output(item) for item in [*visible, *hidden]) and kind == "function":
        if not row.has("reference"):
            raise DropRowError("a test has no output, and there is no reference to say it")
        extra["outputs"] = "reference"
    return Task(
        task_id=task_id_of(raw),
        kind=kind,  # type: ignore[arg-type]
        entry_point=entry_point,
        prompt=row.text_or("prompt"),
        prelude=row.text_or("prelude"),
        tests=tuple(tests),
        test_code=row.text_or("test_code"),
        reference=row.text_or("reference"),
        comparison=comparison,
        limits=read_limits(raw.get("limits")),
        command=texts(raw.get("command"), "command"),
        source_name=row.text_or("source_name") or "solution.py",
        files=read_files(raw["files"]) if row.has("files") else {},
        test_files=texts(raw.get("test_files"), "test_files"),
        fresh=fresh,
        generator=row.text_or("generator"),
        relations=texts(raw.get("relations"), "relations"),
        row=number,
        extra=extra,
    )


def task_id_of(raw: Mapping[str, Any], name: str = "task_id") -> str:
    value = raw.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value:
        raise DropRowError(f"column {name!r} is {'missing' if value is None else 'no text'}")
    return value


def _kind_of(raw: Mapping[str, Any]) -> str:
    """The kind of a row that does not name it."""
    if raw.get("files") and raw.get("test_files"):
        return "repository"
    if raw.get("test_code"):
        return "asserts"
    tests = [*(raw.get("tests") or ()), *(raw.get("hidden_tests") or ())]
    first = tests[0] if tests and isinstance(tests[0], Mapping) else {}
    if "steps" in first:
        return "sequence"
    return "stdio" if "stdout" in first or "stdin" in first else "function"


def _lacks_output(item: Mapping[str, Any]) -> bool:
    return "output" not in item and "raises" not in item


def _test(item: Any, at: int, read: Reader, comparison: Comparison, entry_point: str, *, hidden: bool) -> Test:
    if not isinstance(item, Mapping):
        raise DropRowError(f"test {at} is {kind_of(item)}, not an object")
    given = item.get("input", [])
    if not isinstance(given, list | tuple):
        raise DropRowError(f"test {at}: input holds {kind_of(given)}; it is the list of arguments")
    kwargs = item.get("kwargs") or {}
    if not isinstance(kwargs, Mapping):
        raise DropRowError(f"test {at}: kwargs holds {kind_of(kwargs)}, not an object")
    for name in ("stdin", "stdout", "raises"):
        if not isinstance(item.get(name, ""), str):
            raise DropRowError(f"test {at}: {name} holds {kind_of(item[name])}, not text")
    own = item.get("comparison")
    kept = {name: getattr(comparison, name) for name in Comparison.__dataclass_fields__}
    return Test(
        test_id=str(item.get("test_id", f"t{at}")),
        input=tuple(read(value) for value in given),
        kwargs={str(name): read(value) for name, value in kwargs.items()},
        output=read(item.get("output")),
        raises=item.get("raises", ""),
        stdin=item.get("stdin", ""),
        stdout=item.get("stdout", ""),
        steps=_steps(item.get("steps") or (), at, read, entry_point),
        hidden=hidden,
        comparison=None if own is None else read_comparison(own, **kept),
    )


def _steps(given: Any, at: int, read: Reader, entry_point: str) -> tuple[Step, ...]:
    """Steps as objects, or as LeetCode writes them: method names, lists of arguments, outputs."""
    if not isinstance(given, list | tuple):
        raise DropRowError(f"test {at}: steps holds {kind_of(given)}, not a list")
    if len(given) != 3 or not all(isinstance(part, list | tuple) for part in given):
        return tuple(_step(step, at, read, entry_point) for step in given)
    try:
        steps = sequence_from_leetcode(*given, where=f"test {at}")
    except InputError as error:
        raise DropRowError(str(error)) from None
    return tuple(
        replace(step, args=tuple(read(value) for value in step.args), output=read(step.output)) for step in steps
    )


def _step(step: Any, at: int, read: Reader, entry_point: str) -> Step:
    if not isinstance(step, Mapping) or not isinstance(step.get("method"), str):
        raise DropRowError(f"test {at}: a step is no object with a method")
    args = step.get("args", [])
    if not isinstance(args, list | tuple):
        raise DropRowError(f"test {at}: args of {step['method']!r} holds {kind_of(args)}, not a list")
    makes = step["method"] in (entry_point, "__init__")
    check = step.get("check", "output" in step and not makes)
    return Step(
        method=step["method"],
        args=tuple(read(value) for value in args),
        output=read(step.get("output")),
        check=bool(check),
    )
