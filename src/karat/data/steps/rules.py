"""What every solution is held to, wherever it came from: a label a step, none where nothing is known, no empty step."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from karat.data.account import AccountBuilder
from karat.data.records import NOT_UNICODE, DropRowError, Row, is_empty, is_unicode
from karat.data.steps.formats.base import WRONG_BELOW, StepOptions, first_wrong, labels_of_first_error
from karat.errors import DataError
from karat.types import NAN, NO_ERROR, StepSolution

NO_STEPS = "there are no steps"
NO_PROBLEM = "the problem is empty"
EMPTY_STEP = "a step is empty"


def label_fault(solution: StepSolution) -> str:
    """Why the labels of a solution mean nothing; empty when they do. Labels may be left out as a whole."""
    n_steps = len(solution.steps)
    if solution.labels and len(solution.labels) != n_steps:
        return "steps and labels differ in number"
    if any(not (math.isnan(label) or 0.0 <= label <= 1.0) for label in solution.labels):
        return "a label is outside [0, 1]"
    if solution.first_error is not None and not NO_ERROR <= solution.first_error < n_steps:
        return "the index of the first wrong step names no step"
    return ""


def settled(solution: StepSolution, options: StepOptions, row: Row) -> StepSolution:
    """The solution as it is used: labels filled in and masked, empty steps dealt with, `first_error` derived.

    `row` takes what is to be said of it. Raises: DropRowError: it cannot be used.
    """
    if not solution.steps:
        raise DropRowError(NO_STEPS)
    if is_empty(solution.prompt):
        raise DropRowError(NO_PROBLEM)
    if not (is_unicode(solution.prompt) and all(map(is_unicode, solution.steps))):
        raise DropRowError(NOT_UNICODE)
    fault = label_fault(solution)
    if fault:
        raise DropRowError(fault)
    solution = _without_empty_steps(_with_labels(solution), options, row)
    solution = _with_first_error(_masked(solution, options, row), row)
    if options.separator and any(options.separator in step for step in solution.steps):
        row.note(f"a step holds the separator {options.separator!r}: read as one step")
    if solution.first_error is None and all(map(math.isnan, solution.labels)):
        row.note("no step is labelled")
    return solution


def _with_labels(solution: StepSolution) -> StepSolution:
    """A label for every step, the NaN of karat.types where there is none, so that equal records compare equal."""
    n_steps = len(solution.steps)
    label_S: Iterable[float] = solution.labels
    if not solution.labels:
        known = solution.first_error is not None
        label_S = labels_of_first_error(n_steps, solution.first_error) if known else (NAN,) * n_steps  # type: ignore[arg-type]
    right = NAN if math.isnan(solution.final_right) else float(solution.final_right)
    return replace(
        solution, labels=tuple(NAN if math.isnan(label) else float(label) for label in label_S), final_right=right
    )


def _without_empty_steps(solution: StepSolution, options: StepOptions, row: Row) -> StepSolution:
    empty = [index for index, step in enumerate(solution.steps) if not step.strip()]
    if not empty:
        return solution
    if options.empty_steps == "drop-row":
        raise DropRowError(EMPTY_STEP)
    if solution.first_error in empty or any(solution.labels[index] < WRONG_BELOW for index in empty):
        raise DropRowError("an empty step is labelled wrong")  # without it the others would be called right
    kept = [index for index in range(len(solution.steps)) if index not in empty]
    if not kept:
        raise DropRowError(NO_STEPS)
    row.change("empty steps left out, with their labels")
    first = solution.first_error
    return replace(
        solution,
        steps=tuple(solution.steps[index] for index in kept),
        labels=tuple(solution.labels[index] for index in kept),
        first_error=first if first is None or first == NO_ERROR else kept.index(first),
    )


def _masked(solution: StepSolution, options: StepOptions, row: Row) -> StepSolution:
    """What comes after the first wrong step builds on it: whether such a step is right has no answer."""
    if options.after_error == "keep":
        return solution
    first = solution.first_error
    if first is None:
        wrong = (index for index, label in enumerate(solution.labels) if label < WRONG_BELOW)
        first = next(wrong, NO_ERROR)
    if first == NO_ERROR or all(map(math.isnan, solution.labels[first + 1 :])):
        return solution
    row.change("labels after the first wrong step: undefined")
    after = len(solution.steps) - first - 1
    return replace(solution, labels=solution.labels[: first + 1] + (NAN,) * after)


def _with_first_error(solution: StepSolution, row: Row) -> StepSolution:
    by_labels = first_wrong(solution.labels)
    if solution.first_error is None:
        return solution if by_labels is None else replace(solution, first_error=by_labels)
    if by_labels is not None and by_labels != solution.first_error:
        row.note(f"the first wrong step is not the first label below {WRONG_BELOW}: both kept")
    return solution


def note_repeats(solutions: Iterable[StepSolution], account: AccountBuilder) -> None:
    """Note solutions that repeat an earlier one, with its labels or with others, and problems under several ids."""
    seen: dict[int, tuple[float, ...]] = {}
    id_of: dict[int, str] = {}
    for solution in solutions:
        problem = hash(solution.prompt)
        if id_of.setdefault(problem, solution.prompt_id) != solution.prompt_id:
            account.note("the problem of an earlier solution under another prompt_id", solution.row)
        key = hash((solution.prompt, solution.steps))
        if key in seen:
            same = "the same" if seen[key] == solution.labels else "other"
            account.note(f"repeats an earlier solution, with {same} labels", solution.row)
        seen.setdefault(key, solution.labels)


def require_sound(solution: StepSolution, index: int) -> None:
    """Raises DataError for labels that mean nothing; for solutions from memory, where a program made them."""
    fault = label_fault(solution)
    if fault:
        raise DataError(
            f"solutions in memory: solution {index}: {fault} ({len(solution.steps)} steps, labels "
            f"{_shown(solution.labels)}, first_error {solution.first_error}). Mend it, or leave its labels out."
        )


def _shown(labels: tuple[float, ...]) -> str:
    return f"({', '.join(f'{label:g}' for label in labels[:6])}{', ...' if len(labels) > 6 else ''})"
