"""Solutions to files of every format that can hold them. What was written is read back before it counts as held."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from karat.data.account import AccountBuilder
from karat.data.recognise import by_name
from karat.data.records import DropRowError, Row
from karat.data.steps.formats import FORMATS, StepFormat, StepOptions
from karat.data.steps.rules import require_sound, settled
from karat.data.text_files import write_jsonl
from karat.errors import DataError, InputError
from karat.types import NO_ERROR, Account, StepSolution

_COLUMNS = ("prompt_id", "solution_id", "source")
"""Facts that every format reads from a column of their name: added where they would come back as something else."""


def write_steps(
    solutions: Iterable[StepSolution],
    path: str | Path,
    *,
    format: str = "karat",
    undefined: Literal["cut", "refuse"] = "cut",
    placeholder: str = "ки",
) -> Account:
    """Write solutions as JSON lines in a format that `read_steps` gives back equal, but for row numbers.

    A problem, its steps and their labels are held exactly or refused; facts that a format has no place for are left out
    and counted. Each row is read back before the file is written. Labels after the first wrong step are written as they
    are; to read them so takes after_error="keep".

    Args:
        solutions: to what `take_steps` holds them; those that it would drop are dropped and counted. Held in memory.
        path: a .jsonl, .jsonl.gz or .jsonl.zst file, which is there whole or not at all.
        format: name of a format (`list_step_formats`).
        undefined: where the format has no word for an undefined label: "cut" that step and those after it off, counted,
            or "refuse".
        placeholder: the token after each step in OpenRLHF's rows.
    Returns: the account of the writing, by places in `solutions`.
    Raises: InputError: an unknown or read-only format or option; DataError: a solution that the format cannot hold, or
        none is left. ResourceError: the file cannot be written.
    """
    if undefined not in ("cut", "refuse"):
        raise InputError(f"undefined is {undefined!r}; it is one of cut, refuse.")
    form = by_name(FORMATS, format)
    if form.write is None:
        writable = ", ".join(item.name for item in FORMATS if item.write)
        raise InputError(f"--format {format!r} is only read. These are written too: {writable}.")
    options = StepOptions(after_error="keep", placeholder=placeholder, separator="")
    account = AccountBuilder(str(path), format)
    rows: list[dict[str, Any]] = []
    for index, solution in enumerate(solutions):
        account.rows_read += 1
        require_sound(solution, index)
        try:
            whole = settled(solution, options, Row({}, index))
            held = _without_undefined(whole, form, undefined, index)
        except DropRowError as error:
            account.drop(str(error), index)
            continue
        if len(held.steps) < len(whole.steps):
            account.change("steps from the first undefined label on cut off", index)
        rows.append(_row(held, form, options, account, (index, len(rows))))
    if not rows:
        lost = "; ".join(f"{reason} ({count})" for reason, count in account.reasons("dropped")) or "there are none"
        raise DataError(f"{path}: no solution is left to be written as {format}: {lost}.")
    write_jsonl(path, _as_tool_has_them(rows, form), what="solutions")
    return account.build()


def _without_undefined(solution: StepSolution, form: StepFormat, undefined: str, index: int) -> StepSolution:
    """The solution as far as the format can say its labels. Raises DropRowError when that is not even one step."""
    _require_labels(solution, form, index)
    if form.holds in ("any", "ratings") or (form.holds == "first error" and solution.first_error is not None):
        return solution
    n_known = next((at for at, label in enumerate(solution.labels) if math.isnan(label)), len(solution.steps))
    if n_known == len(solution.steps):
        return solution
    if undefined == "refuse":
        raise DataError(
            f"solution {index}: the label of step {n_known} is undefined, and {form.name} has no word for that. Write "
            "another format, or allow that such steps be cut off (undefined='cut')."
        )
    if not n_known:
        raise DropRowError("the label of the first step is undefined: nothing is left")
    first = solution.first_error if solution.first_error is not None and solution.first_error < n_known else NO_ERROR
    return replace(solution, steps=solution.steps[:n_known], labels=solution.labels[:n_known], first_error=first)


def _require_labels(solution: StepSolution, form: StepFormat, index: int) -> None:
    """Raises DataError for probabilities where the format has only right and wrong."""
    if form.holds in ("any", "shares"):
        return
    soft = next((at for at, label in enumerate(solution.labels) if 0.0 < label < 1.0), None)
    if soft is not None:
        able = ", ".join(item.name for item in FORMATS if item.write and item.holds in ("any", "shares"))
        raise DataError(
            f"solution {index}: the label of step {soft} is {solution.labels[soft]:g}; {form.name} holds only right"
            f" and wrong. Round the labels, or write one of {able}."
        )


def _row(
    solution: StepSolution, form: StepFormat, options: StepOptions, account: AccountBuilder, places: tuple[int, int]
) -> dict[str, Any]:
    """The row, with the columns that it needs to come back equal; what it cannot hold is refused or counted."""
    index, at = places
    try:
        if not isinstance(solution.prompt, form.prompts):
            raise DropRowError("its prompt is no plain text")
        assert form.write is not None
        row = form.write(solution, options)
        back = _read_back(row, form, options, at)
        wanted = {name: getattr(solution, name) for name in _COLUMNS}
        row |= {name: value for name, value in wanted.items() if value and getattr(back, name) != value}
        back = _read_back(row, form, options, at)
        _require_same(solution, back)
    except DropRowError as error:
        raise DataError(f"solution {index}: {form.name} cannot hold it: {error}. Write another format.") from error
    if (back.prompt, back.steps) != (solution.prompt, solution.steps):
        account.change("white space around the problem or a step left out", index)
    for name in _lost(solution, back):
        account.change(f"no place for {name}: left out", index)
    account.add_record(back)
    return row


def _read_back(row: dict[str, Any], form: StepFormat, options: StepOptions, at: int) -> StepSolution:
    raw = Row(row, at)
    (found,) = form.read(raw, options)
    back = settled(found, options, raw)
    return replace(back, extra={**raw.extra(), **back.extra})


def _require_same(solution: StepSolution, back: StepSolution) -> None:
    """Raises DropRowError for what must come back and does not; white space around texts may stay behind."""
    prompt = solution.prompt.strip() if isinstance(solution.prompt, str) else solution.prompt
    if back.prompt not in (solution.prompt, prompt):
        raise DropRowError("the problem would be read as another text")
    if len(back.steps) != len(solution.steps):
        raise DropRowError("the steps would be read in another number")
    for index, (step, other) in enumerate(zip(solution.steps, back.steps, strict=True)):
        if other not in (step, step.strip()):
            raise DropRowError(f"step {index} would be read as another text")
    if back.labels != solution.labels:
        raise DropRowError("its labels would be read as others")


def _lost(solution: StepSolution, back: StepSolution) -> list[str]:
    """Names of the fields that have a value which does not come back."""
    names = [name for name in (*_COLUMNS, "answer") if getattr(solution, name) not in ("", getattr(back, name))]
    if solution.first_error is not None and back.first_error != solution.first_error:
        names.append("first_error")
    if not math.isnan(solution.final_right) and back.final_right != solution.final_right:
        names.append("final_right")
    if any(key not in back.extra or back.extra[key] != value for key, value in solution.extra.items()):
        names.append("extra")
    return names


def _as_tool_has_them(rows: list[dict[str, Any]], form: StepFormat) -> list[dict[str, Any]]:
    """Labels in the type that the tool itself writes where all are 0 or 1; one type through the whole file."""
    if form.words is None or any(label not in (0.0, 1.0) for row in rows for label in row[form.words[0]]):
        return rows
    name, wrong, right = form.words
    return [{**row, name: [right if label else wrong for label in row[name]]} for row in rows]
