"""OpenAI's PRM800K: a line is a walk through rated steps, and the other steps that were rated on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from karat.data.records import DropRowError, Row, as_number, is_list, kind_of
from karat.data.steps.formats.base import NEUTRAL, StepFormat, StepOptions, solution
from karat.types import NAN, NO_ERROR, StepSolution

_FLAGS = {
    "is_quality_control_question": "a question of quality control",
    "is_initial_screening_question": "a question of the initial screening",
}


@dataclass(slots=True)
class _Walk:
    """The steps chosen so far with their labels, and the solutions that left the path."""

    steps: list[str] = field(default_factory=list)
    labels: list[float] = field(default_factory=list)
    left: list[tuple[list[str], list[float]]] = field(default_factory=list)
    is_covered: bool = False
    """Whether the whole path is the beginning of a solution that left it."""

    def leave(self, step: str, label: float) -> None:
        self.left.append(([*self.steps, step], [*self.labels, label]))
        self.is_covered = True

    def go_on(self, step: str, label: float) -> None:
        self.steps.append(step)
        self.labels.append(label)
        self.is_covered = False


def _matches(row: Mapping[str, Any]) -> bool:
    label: Any = row.get("label")
    return isinstance(row.get("question"), Mapping) and isinstance(label, Mapping) and is_list(label.get("steps"))


def _part(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise DropRowError(f"{name} is {kind_of(value)}, not an object")
    return value


def _text(completion: Mapping[str, Any]) -> str:
    text = completion.get("text")
    if not isinstance(text, str):
        raise DropRowError(f"a completion's text is {kind_of(text)}")
    return text


def _label(completion: Mapping[str, Any], row: Row, neutral: str) -> float:
    """The rating as a label; a rating of 0 is neutral, and means what the user says."""
    rating = completion.get("rating")
    if completion.get("flagged") is True:
        row.note("a step is flagged by the labeller: kept")
    if rating is None:
        return NAN
    number = as_number(rating)
    if number not in (-1.0, 0.0, 1.0):
        raise DropRowError("a rating is none of -1, 0, 1 and null")
    if number == 0.0:
        row.change(f"a neutral rating (0) read as {neutral}")
        return NEUTRAL[neutral]
    return float(number == 1.0)


def _advance(walk: _Walk, item: Mapping[str, Any], row: Row, neutral: str) -> bool:
    """One step of the walk; False where the labeller chose none, so that the path ends."""
    found: Any = item.get("completions")
    completions = [_part(each, "a completion") for each in found] if is_list(found) else []
    chosen = as_number(item.get("chosen_completion"))
    if not math.isnan(chosen) and not (chosen.is_integer() and 0 <= chosen < len(completions)):
        raise DropRowError("chosen_completion names none of the completions")
    for index, completion in enumerate(completions):
        if index == chosen:
            continue
        if completion.get("rating") is None:
            row.change("an alternative without a rating left out")
            continue
        walk.leave(_text(completion), _label(completion, row, neutral))
    if not math.isnan(chosen):
        taken = completions[int(chosen)]
        walk.go_on(_text(taken), _label(taken, row, neutral))
        return True
    written = item.get("human_completion")
    if written is None:
        return False
    row.note("a step written by the labeller: right")
    walk.go_on(written if isinstance(written, str) else _text(_part(written, "human_completion")), 1.0)
    return True


def _read(row: Row, options: StepOptions) -> list[StepSolution]:
    """The path that was chosen, and for each rated step beside it the solution that ends there.

    A path at whose end nothing was chosen is the beginning of the alternatives there, and no solution of its own.
    """
    question, label = _part(row.value("question"), "question"), _part(row.value("label"), "label")
    problem, answer, walk = question.get("problem"), question.get("ground_truth_answer"), _Walk()
    if not isinstance(problem, str):
        raise DropRowError(f"the problem is {kind_of(problem)}, not text")
    steps = label.get("steps")
    if not isinstance(steps, Sequence) or isinstance(steps, str):
        raise DropRowError(f"label.steps is {kind_of(steps)}, not a list")
    for item in steps:
        if not _advance(walk, _part(item, "a step"), row, options.neutral):
            break
    paths = walk.left if walk.is_covered or not walk.steps else [*walk.left, (walk.steps, walk.labels)]
    if not paths:
        raise DropRowError("no step is rated or chosen")
    extra = _circumstances(row, label)
    return [
        solution(
            row, problem, texts, place=place if len(paths) > 1 else -1, labels=tuple(label_S),
            answer=str(answer) if isinstance(answer, str | int | float) else "", extra=extra,
        )
        for place, (texts, label_S) in enumerate(paths)
    ]  # fmt: skip


def _circumstances(row: Row, label: Mapping[str, Any]) -> dict[str, Any]:
    """How the labelling ended, noted and kept; quality control and screening are noted (their columns stay)."""
    for name, what in _FLAGS.items():
        if row.raw.get(name) is True:
            row.note(f"{what}: kept")
    reason = label.get("finish_reason")
    if not isinstance(reason, str):
        return {}
    row.note(f"finish_reason is {reason:.20}")
    return {"finish_reason": reason}


def _write(item: StepSolution, _: StepOptions) -> dict[str, Any]:
    """Every solution as a path of its own; a label that is undefined is a rating of null."""
    steps = [
        {
            "completions": [{"text": step, "rating": _rating(label), "flagged": None}],
            "human_completion": None,
            "chosen_completion": 0,
        }
        for step, label in zip(item.steps, item.labels, strict=True)
    ]
    reason = item.extra.get("finish_reason", {NO_ERROR: "solution", None: None}.get(item.first_error, "found_error"))
    return {
        "question": {"problem": item.prompt, "ground_truth_answer": item.answer or None},
        "label": {"steps": steps, "finish_reason": reason},
    }


def _rating(label: float) -> int | None:
    return None if math.isnan(label) else 1 if label == 1.0 else -1


PRM800K = StepFormat(
    name="prm800k",
    columns="question: {problem, ground_truth_answer}; label: {steps: list of {completions: list of {text, rating: -1, "
    "0, 1 or null}, chosen_completion, human_completion}, finish_reason}",
    description="OpenAI PRM800K: the path that was chosen, and for each rated step beside it a solution that ends "
    "there; what a rating of 0 means is the option `neutral`",
    matches=_matches,
    read=_read,
    write=_write,
    holds="ratings",
)
