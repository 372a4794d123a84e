"""What a step format is: how a row is known to be of it, how it becomes solutions, and how a solution becomes a row."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from karat.data.records import DropRowError, Row, as_number, kind_of, prompt_hash
from karat.errors import InputError
from karat.types import NAN, NO_ERROR, StepSolution, Text

NEUTRAL: Mapping[str, float] = {"undefined": NAN, "right": 1.0, "wrong": 0.0, "half": 0.5}
"""What a neutral rating may mean, as a label."""
AFTER_ERROR = ("undefined", "keep")
EMPTY_STEPS = ("drop-row", "drop-step")
WRONG_BELOW = 0.5
"""A step whose label lies below this is wrong."""
_ID_COLUMNS = ("solution_id", "id", "uuid")
_SIGNS = {"+": 1.0, "-": 0.0, "true": 1.0, "false": 0.0}


@dataclass(frozen=True, slots=True)
class StepOptions:
    """What a caller may choose about the reading of steps."""

    neutral: str = "undefined"
    """Meaning of a neutral rating: a key of NEUTRAL."""
    after_error: str = "undefined"
    """Labels of steps after the first wrong one: "undefined" (NaN), or "keep" as they came."""
    empty_steps: str = "drop-row"
    """A solution with an empty step: dropped, or without that step ("drop-step")."""
    placeholder: str = "ки"
    """Token after each step in OpenRLHF's rows."""
    separator: str = "\n\n"
    """Text that will end each step where a model reads them: steps that hold it are noted. Empty: not looked for."""

    def __post_init__(self) -> None:
        for name, known in (("neutral", NEUTRAL), ("after_error", AFTER_ERROR), ("empty_steps", EMPTY_STEPS)):
            if getattr(self, name) not in known:
                raise InputError(f"{name} is {getattr(self, name)!r}; it is one of {', '.join(known)}.")
        if not self.placeholder.strip():
            raise InputError("placeholder is empty; name the token that stands after each step.")


Holds = Literal["any", "ratings", "shares", "signs", "first error"]
"""What a format can say: any label of a step, or none; right, wrong or none; a probability of every step; right or
wrong of every step; the index of the first wrong one."""


@dataclass(frozen=True, slots=True)
class StepFormat:
    """One format of step labels; `matches` and `read` promise what those of `formats.base.Format` promise."""

    name: str
    columns: str
    description: str
    matches: Callable[[Mapping[str, Any]], bool]
    read: Callable[[Row, StepOptions], list[StepSolution]]
    """Solutions of a row, not yet held to the options but for `neutral` and `placeholder`; raises DropRowError."""
    write: Callable[[StepSolution, StepOptions], dict[str, Any]] | None = None
    """A solution as a row; None for formats that are only read."""
    holds: Holds = "signs"
    prompts: tuple[type, ...] = (str,)
    """Types of the prompts that it can hold."""
    words: tuple[str, Any, Any] | None = None
    """Where labels may be numbers: the column, and what the tool itself has for wrong and for right."""


# ------------------------------------------------------------------------------------------------------------- reading
def solution(row: Row, prompt: Text, steps: Iterable[str], *, place: int = -1, **fields: Any) -> StepSolution:
    """A solution with the columns that many formats share (prompt_id, an id of its own, source).

    `place` numbers the solutions of a row that holds several.
    """
    own = next(filter(None, map(row.identifier, _ID_COLUMNS)), str(row.number))
    fields.setdefault("prompt_id", row.identifier("prompt_id") or prompt_hash(prompt))
    fields.setdefault("solution_id", f"{own}.{place}" if place >= 0 else own)
    fields.setdefault("source", row.source())
    return StepSolution(prompt, tuple(steps), row=row.number, **fields)


def texts(row: Row, name: str) -> tuple[str, ...]:
    """The texts of a list. Raises DropRowError when there is no list, or anything else in it."""
    values = row.items(name)
    for value in values:
        if not isinstance(value, str):
            raise DropRowError(f"column {name!r} has {kind_of(value)} in place of a step's text")
    return tuple(values)


def labels(row: Row, name: str) -> tuple[float, ...]:
    """The labels of a list, each by `label_of`."""
    return tuple(label_of(value) for value in row.items(name))


def label_of(value: Any) -> float:
    """Probability that a step is right, from true or false, a number, "+" or "-"; NaN from null.

    Whether a number is a probability is judged later, with the rest of the solution. Raises DropRowError for others.
    """
    if value is None:
        return NAN
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and value.strip().lower() in _SIGNS:
        return _SIGNS[value.strip().lower()]
    number = as_number(value)
    if math.isnan(number) and not isinstance(value, float):
        raise DropRowError(f"a label is {kind_of(value)} that is neither right, wrong nor a number")
    return number


def index_of(row: Row, name: str) -> int | None:
    """A whole number, None where the column is null or not there. Raises DropRowError for anything else."""
    if not row.has(name):
        return None
    number = as_number(row.value(name))
    if not number.is_integer():  # of infinity and NaN too
        raise DropRowError(f"column {name!r} holds {kind_of(row.raw[name])} that is no whole number")
    return int(number)


def truth(row: Row, name: str) -> float:
    """1 for true, 0 for false; NaN where there is neither, said so where there is something else."""
    if not row.has(name):
        return NAN
    value = row.value(name)
    number = float(value) if isinstance(value, bool) else as_number(value)
    if number in (0.0, 1.0):
        return number
    row.change(f"{name} is neither true nor false: final_right set to NaN")
    return NAN


def plain_text(row: Row, name: str) -> str:
    """A text, or a whole number written as one (answers come as either); empty where there is none."""
    value = row.raw.get(name)
    return row.text(name) if isinstance(value, str) else row.identifier(name)


# ------------------------------------------------------------------------------------------------------------- writing
def sign(label: float) -> str:
    return "+" if label == 1.0 else "-"


def verdict(solution: StepSolution) -> bool | None:
    """Whether the final answer is right; None where that is not known."""
    return None if math.isnan(solution.final_right) else bool(solution.final_right)


def labels_of_first_error(n_steps: int, first_error: int) -> tuple[float, ...]:
    """1 for each step before the first wrong one, 0 for that one, NaN for what follows it."""
    if first_error == NO_ERROR:
        return (1.0,) * n_steps
    return ((1.0,) * first_error + (0.0,) + (NAN,) * n_steps)[:n_steps]


def first_wrong(label_S: Sequence[float]) -> int | None:
    """Index of the first label that says wrong, NO_ERROR when all say right; None when one that is undefined stands
    before the first wrong one, or among labels that all say right."""
    for index, label in enumerate(label_S):
        if math.isnan(label):
            return None
        if label < WRONG_BELOW:
            return index
    return NO_ERROR
