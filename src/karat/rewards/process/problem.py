"""Problems with solutions in steps: the unit that process rewards score, so that a problem is computed once.

Loads nothing but the standard library.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from karat.errors import InputError
from karat.types import StepSolution, Text


@dataclass(frozen=True, slots=True)
class StepProblem:
    """A prompt and solutions to it, each in steps."""

    prompt: Text
    solutions: tuple[tuple[str, ...], ...]
    tools: str = ""
    """JSON text of the tools offered to the model, given to the chat template; empty when none."""


def problems_of(solutions: Iterable[StepSolution]) -> tuple[tuple[StepProblem, ...], tuple[tuple[int, ...], ...]]:
    """Solutions by problem, and for each problem the indices of its solutions; in order of first appearance."""
    at: dict[Text, list[int]] = {}
    found = list(solutions)
    for index, solution in enumerate(found):
        at.setdefault(solution.prompt, []).append(index)
    problems = tuple(StepProblem(prompt, tuple(found[i].steps for i in members)) for prompt, members in at.items())
    return problems, tuple(map(tuple, at.values()))


def split_steps_of(text: str, separator: str) -> tuple[str, ...]:
    """The steps of a response: what stands between separators, without white space around it.

    Pieces of white space alone are no steps: a policy that writes blank lines has not written steps. A text without any
    piece is one empty step, so that it is scored for what it is instead of not at all.

    Raises: InputError: the separator is empty.
    """
    return tuple(step for step, _ in step_ends_of(text, separator))


def step_ends_of(text: str, separator: str) -> tuple[tuple[str, int], ...]:
    """As `split_steps_of`, each step with the position in the text where it ends, its separator included."""
    if not separator:
        raise InputError("the separator of steps is empty; name the text that ends a step, such as a newline.")
    found, at = [], 0
    for piece in text.split(separator):
        at += len(piece) + len(separator)
        if piece.strip():
            found.append((piece.strip(), min(at, len(text))))
    return tuple(found) or (("", len(text)),)
