"""Candidates of a samples file: whole programs, completions of a prompt, answers of a model, one or many a row."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from karat.data.records import DropRowError, kind_of
from karat.grade.extract import code_of
from karat.grade.readers.contract import task_id_of
from karat.grade.types import Candidate, Task

WHOLE = ("code", "solution", "program", "patch")
COMPLETION = ("completion",)
ANSWER = ("response", "answer", "output", "generation")
MANY = ("samples", "completions", "candidates", "code_list", "solutions", "responses")
TASK_NAMES = ("task_id", "question_id", "problem_id", "id")


def read_rows(
    raw: Mapping[str, Any], number: int, tasks: Mapping[str, Task], by_prompt: Mapping[str, str], seen: dict[str, int]
) -> Iterator[Candidate]:
    """The candidates of one row.

    Args:
        by_prompt: prompt -> task_id, for rows that name their task by its prompt only.
        seen: task_id -> candidates so far; candidates without an id are numbered by it.
    Raises: DropRowError: the row gives no candidate.
    """
    task_id = _task_id(raw, by_prompt)
    task = tasks.get(task_id)
    step = step_of(raw)
    many = next((name for name in MANY if isinstance(raw.get(name), list | tuple)), None)
    items: Sequence[Any] = [raw] if many is None else raw[many]
    if not items:
        raise DropRowError(f"column {many!r} is an empty list")
    for item in items:
        given = item if isinstance(item, Mapping) else {_kind_of_many(str(many), task): item}
        code = _code(given, task)
        at = seen.get(task_id, 0)
        seen[task_id] = at + 1
        candidate_id = given.get("candidate_id", given.get("sample_id"))
        known = {*WHOLE, *COMPLETION, *ANSWER, *TASK_NAMES, "candidate_id", "step", "code_base64"}
        yield Candidate(
            task_id=task_id,
            candidate_id=str(at if candidate_id is None else candidate_id),
            code=code,
            step=step,
            row=number,
            extra={key: value for key, value in given.items() if key not in known},
        )


def step_of(raw: Mapping[str, Any]) -> int | None:
    """The training step that a row names, a number or its text (as .csv has it); None: none, or no whole number."""
    step = given_step(raw)
    if isinstance(step, str):
        return int(step) if step.isascii() and step.isdigit() and len(step) < 19 else None
    return step if type(step) is int else None


def given_step(raw: Mapping[str, Any]) -> Any:
    return raw.get("step", raw.get("global_step"))


def _task_id(raw: Mapping[str, Any], by_prompt: Mapping[str, str]) -> str:
    name = next((name for name in TASK_NAMES if raw.get(name) is not None), None)
    if name is not None:
        return task_id_of(raw, name)
    prompt = raw.get("prompt")
    if isinstance(prompt, str):
        if by_prompt.get(prompt):
            return by_prompt[prompt]
        if prompt in by_prompt:
            raise DropRowError("several tasks have the row's prompt, and it names no task_id")
        raise DropRowError("no task has the row's prompt, and it names no task_id")
    raise DropRowError("column 'task_id' is missing")


def _kind_of_many(name: str, task: Task | None) -> str:
    """What the texts of a list are: completions where the prompt is code to go on from, else whole programs."""
    if name == "responses":
        return "response"
    return "completion" if name in ("samples", "completions") and task is not None and _is_code(task) else "code"


def _is_code(task: Task) -> bool:
    return bool(task.entry_point) and f"def {task.entry_point}" in task.prompt


def _code(given: Mapping[str, Any], task: Task | None) -> str | bytes:
    packed = given.get("code_base64")
    if isinstance(packed, str):
        try:
            return base64.b64decode(packed, validate=True)
        except binascii.Error as error:
            raise DropRowError(f"code_base64 is not base64: {error}") from None
    for name in (*WHOLE, *COMPLETION, *ANSWER):
        value = given.get(name)
        if value is None:
            continue
        if isinstance(value, bytes) and name in WHOLE:
            return value
        if not isinstance(value, str):
            raise DropRowError(f"column {name!r} holds {kind_of(value)}, not text")
        if name in COMPLETION:
            if task is None:
                raise DropRowError("a completion needs its task's prompt, and there is no such task")
            return code_of(value, how="completion", prompt=task.prompt)
        return code_of(value) if name in ANSWER else value
    raise DropRowError(f"no column holds code ({', '.join((*WHOLE, *COMPLETION, *ANSWER))})")
