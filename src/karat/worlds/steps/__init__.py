"""A world of multi-step problems whose every step has a truth that a program tells."""

from __future__ import annotations

from karat.worlds.steps.checking import check_steps, first_error_of, stated_answer
from karat.worlds.steps.problems import KINDS, Problem, draw_problems, problem_of, vocabulary
from karat.worlds.steps.solutions import (
    FAULTS,
    WRONG_PROCESSES,
    Manner,
    right_solution,
    solutions_of,
    wrong_process_solution,
    wrong_solution,
)

__all__ = [
    "FAULTS",
    "KINDS",
    "WRONG_PROCESSES",
    "Manner",
    "Problem",
    "check_steps",
    "draw_problems",
    "first_error_of",
    "problem_of",
    "right_solution",
    "solutions_of",
    "stated_answer",
    "vocabulary",
    "wrong_process_solution",
    "wrong_solution",
]
