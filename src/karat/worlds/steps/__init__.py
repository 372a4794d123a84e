"""A world of multi-step problems whose every step has a truth that a program tells."""

from __future__ import annotations

from karat.worlds.steps.annotators import StepFaults, annotate, rigour
from karat.worlds.steps.checking import check_steps, first_error_of, stated_answer
from karat.worlds.steps.completer import SimulatedCompleter, exact_values
from karat.worlds.steps.hacks import HACKS, Hack
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
from karat.worlds.steps.world import StepWorld, load_step_world

__all__ = [
    "FAULTS",
    "HACKS",
    "KINDS",
    "WRONG_PROCESSES",
    "Hack",
    "Manner",
    "Problem",
    "SimulatedCompleter",
    "StepFaults",
    "StepWorld",
    "annotate",
    "check_steps",
    "draw_problems",
    "exact_values",
    "first_error_of",
    "load_step_world",
    "problem_of",
    "right_solution",
    "rigour",
    "solutions_of",
    "stated_answer",
    "vocabulary",
    "wrong_process_solution",
    "wrong_solution",
]
