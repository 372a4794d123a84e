"""LiveCodeBench and APPS: contest problems, judged by standard input and output or by calls."""

from __future__ import annotations

import base64
import binascii
import io
import json
import pickle
import re
import zlib
from collections.abc import Mapping
from typing import Any

from karat.data.records import DropRowError, Row, kind_of
from karat.grade.readers.contract import task_id_of
from karat.grade.types import Comparison, Task, Test

Notes = list[tuple[str, str]]
MAX_PRIVATE_BYTES = 1 << 30
"""Unpacked size of one task's private tests."""

STAR_MODULES = "string re datetime collections heapq bisect copy math random statistics itertools functools operator io"
PRELUDE = "\n".join(
    [
        *(f"from {name} import *" for name in STAR_MODULES.split()),
        "from typing import *",
        "from builtins import *",
        "import bisect, collections, copy, datetime, functools, heapq, io, itertools, json, math, operator, random, re",
        "import statistics, string, sys",
        "sys.setrecursionlimit(50000)",
    ]
)
"""Names that solutions of contest problems are written to find."""


# ------------------------------------------------------------------------------------------------------- LiveCodeBench
def is_livecodebench(row: Mapping[str, Any]) -> bool:
    return "public_test_cases" in row or "private_test_cases" in row


def read_livecodebench(raw: Mapping[str, Any], number: int, notes: Notes) -> Task:
    row = Row(raw, number)
    public = _cases(raw.get("public_test_cases"), "public_test_cases")
    private = _cases(raw.get("private_test_cases"), "private_test_cases")
    functional = any(case.get("testtype") == "functional" for case in (*public, *private))
    metadata = _json(raw.get("metadata") or "{}", "metadata")
    starter = row.text_or("starter_code")
    entry_point = str(metadata.get("func_name", "")) if isinstance(metadata, Mapping) else ""
    if functional and not entry_point:
        found = re.search(r"def\s+(\w+)\s*\(\s*self", starter)
        entry_point = found[1] if found else ""
    if functional and not entry_point:
        raise DropRowError("neither metadata nor starter_code names the function of a functional task")
    of_class = functional and ("class Solution" in starter or not starter)
    tests = tuple(
        _livecodebench_test(case, at, functional, hidden=at > len(public))
        for at, case in enumerate([*public, *private], start=1)
    )
    return Task(
        task_id=task_id_of(raw, "question_id" if "question_id" in raw else "task_id"),
        kind="function" if functional else "stdio",
        entry_point=f"Solution.{entry_point}" if of_class else entry_point if functional else "",
        prompt=row.text_or("question_content"),
        prelude=PRELUDE,
        tests=tests,
        comparison=Comparison(sequences="alike") if functional else Comparison(text="tokens"),
        source_format="livecodebench",
        row=number,
        extra={key: raw[key] for key in ("difficulty", "platform", "contest_date", "starter_code") if key in raw},
    )


def _livecodebench_test(case: Mapping[str, Any], at: int, functional: bool, *, hidden: bool) -> Test:
    given, output = case.get("input", ""), case.get("output", "")
    if not isinstance(given, str) or not isinstance(output, str):
        raise DropRowError(f"test {at}: input and output are texts")
    name = f"{'private' if hidden else 'public'} {at}"
    if not functional:
        return Test(test_id=name, stdin=given, stdout=output, hidden=hidden)
    arguments = tuple(_json(line, f"test {at}") for line in given.split("\n") if line.strip())
    return Test(test_id=name, input=arguments, output=_json(output, f"test {at}"), hidden=hidden)


def _cases(value: Any, name: str) -> list[Mapping[str, Any]]:
    """Test cases as a list, as JSON text, or as base64 of zlib of a pickled JSON text."""
    if value is None or value == "":
        return []
    if isinstance(value, str):
        value = _json(value, name) if value.lstrip().startswith("[") else _json(_unpack(value, name), name)
    if not isinstance(value, list) or not all(isinstance(case, Mapping) for case in value):
        raise DropRowError(f"{name} holds {kind_of(value)}, not a list of test cases")
    return value


def _unpack(text: str, name: str) -> str:
    try:
        packed = base64.b64decode(text, validate=True)
        stream = zlib.decompressobj()
        data = stream.decompress(packed, MAX_PRIVATE_BYTES)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise DropRowError(f"{name} is neither JSON nor base64 of zlib: {error}") from None
    if stream.unconsumed_tail:
        raise DropRowError(f"{name} unpacks to more than {MAX_PRIVATE_BYTES:,} bytes")
    if data[:1] in (b"[", b" ", b"\n"):
        return data.decode("utf-8", "replace")
    try:
        found = _TextOnly(io.BytesIO(data)).load()
    except Exception as error:  # pickle raises whatever its opcodes make it raise
        raise DropRowError(f"{name} holds a pickle of more than a text: {error}") from None
    if not isinstance(found, str):
        raise DropRowError(f"{name} holds a pickle of {kind_of(found)}, not of a text")
    return found


class _TextOnly(pickle.Unpickler):
    """Reads a pickle of plain values. Whatever names a class or a function is refused, so that nothing is called."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to an object outside")


def _json(text: Any, name: str) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DropRowError(f"{name}: not JSON: {str(error)[:80]}") from None


# ---------------------------------------------------------------------------------------------------------------- APPS
def is_apps(row: Mapping[str, Any]) -> bool:
    return "input_output" in row


def read_apps(raw: Mapping[str, Any], number: int, notes: Notes) -> Task:
    row = Row(raw, number)
    given = _json(raw["input_output"] or "{}", "input_output")
    if not isinstance(given, Mapping):
        raise DropRowError(f"input_output holds {kind_of(given)}, not an object")
    inputs, outputs = given.get("inputs") or [], given.get("outputs") or []
    if len(inputs) != len(outputs):
        raise DropRowError(f"input_output has {len(inputs)} inputs and {len(outputs)} outputs")
    solutions = _json(raw.get("solutions") or "[]", "solutions")
    reference = solutions[0] if isinstance(solutions, list) and solutions and isinstance(solutions[0], str) else ""
    name = given.get("fn_name")
    starter = row.text_or("starter_code")
    id_name = next((key for key in ("task_id", "problem_id", "id") if key in raw), "task_id")
    if name:
        tests = _call_tests(inputs, outputs, notes)
        of_class = "class Solution" in (starter or reference)
        entry_point = f"Solution.{name}" if of_class else str(name)
    else:
        entry_point = ""
        tests = tuple(
            Test(test_id=f"t{at}", stdin=_lines(stdin), stdout=_lines(stdout))
            for at, (stdin, stdout) in enumerate(zip(inputs, outputs, strict=True), start=1)
        )
    return Task(
        task_id=task_id_of(raw, id_name),
        kind="function" if name else "stdio",
        entry_point=entry_point,
        prompt=row.text_or("question"),
        prelude=PRELUDE,
        tests=tests,
        reference=reference,
        comparison=Comparison(sequences="alike") if name else Comparison(text="tokens"),
        source_format="apps",
        row=number,
        extra={key: raw[key] for key in ("difficulty", "url", "starter_code") if key in raw},
    )


def _call_tests(inputs: list[Any], outputs: list[Any], notes: Notes) -> tuple[Test, ...]:
    """Call-based tests. APPS wraps most outputs in a list of one, and JSON made texts of the keys of dicts."""
    if not all(isinstance(item, list) for item in inputs):
        raise DropRowError("an input of a call-based task is no list of arguments")
    if outputs and all(isinstance(item, list) and len(item) == 1 for item in outputs):
        notes.append(("changed", "outputs taken out of their lists of one"))
        outputs = [item[0] for item in outputs]
    return tuple(
        Test(test_id=f"t{at}", input=tuple(map(_with_int_keys, arguments)), output=_with_int_keys(output))
        for at, (arguments, output) in enumerate(zip(inputs, outputs, strict=True), start=1)
    )


def _with_int_keys(value: Any) -> Any:
    if isinstance(value, dict) and value and all(re.fullmatch(r"-?\d{1,18}", str(key)) for key in value):
        return {int(key): item for key, item in value.items()}
    return value


def _lines(value: Any) -> str:
    """Standard input or output: a text, or its lines."""
    if isinstance(value, list):
        return "\n".join(_lines(item) for item in value)
    return value if isinstance(value, str) else str(value)
