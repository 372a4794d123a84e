"""What is to be labelled: solutions of a file or in memory, or problems whose solutions are sampled first."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from karat.data.records import plain
from karat.data.steps import read_steps, take_steps
from karat.errors import DataError
from karat.train.labelling.config import LabelConfig
from karat.train.labelling.problems import Problem, read_problems, with_answers
from karat.types import Account, StepSolution, TokenIds

NO_ANSWER = "no right answer is known"


@dataclass(frozen=True, slots=True)
class Group:
    """A problem and its solutions; none yet where they are to be sampled."""

    problem: Problem
    solutions: tuple[StepSolution, ...] = ()


@dataclass(frozen=True, slots=True)
class Inputs:
    """Problems in order of first appearance, and what happened to the rows."""

    groups: tuple[Group, ...]
    account: Account

    def fingerprint(self) -> str:
        facts = [
            (plain(group.problem.prompt), group.problem.answer, [solution.steps for solution in group.solutions])
            for group in self.groups
        ]
        return hashlib.sha256(repr(facts).encode(errors="surrogatepass")).hexdigest()[:16]


def gather(source: str | Path | Sequence[StepSolution], config: LabelConfig) -> Inputs:
    """Problems with what there is of their solutions.

    Args:
        source: solutions in steps, as a file, folder, hub name or records; with config.samples, rows of problems.
    Raises: DataError: nothing to label, or prompts that are token ids.
    """
    if config.samples:
        data = read_problems(source, split=config.split)
        chosen = data.problems[: config.max_solutions or None]
        return Inputs(tuple(Group(problem) for problem in chosen), data.account)
    if isinstance(source, str | Path):
        options = config.reading()
        options["separator"] = config.separator
        read = read_steps(source, **options)
    else:
        read = take_steps(source, separator=config.separator)
    solutions = read.solutions[: config.max_solutions or None]
    if config.answers:
        solutions = with_answers(solutions, read_problems(config.answers).problems)
    if not any(solution.answer for solution in solutions):
        raise DataError(
            f"{read.account.source}: no solution has the right answer of its problem, which completions are compared "
            "with. Give --answers ROWS, an `answer` column, or problems with answers and --samples N."
        )
    by_problem: dict[str, list[StepSolution]] = {}
    for solution in solutions:
        if isinstance(solution.prompt, TokenIds):
            raise DataError(f"{read.account.source}: row {solution.row} is tokenised; completing steps needs text.")
        by_problem.setdefault(solution.prompt_id, []).append(solution)
    groups = [Group(_problem(group), tuple(group)) for group in by_problem.values()]
    return Inputs(tuple(groups), read.account)


def _problem(solutions: Sequence[StepSolution]) -> Problem:
    """Of solutions with one prompt_id; the first answer that is given counts for all."""
    first: Any = solutions[0]
    answer = next((solution.answer for solution in solutions if solution.answer), "")
    return Problem(first.prompt_id, first.prompt, answer, first.row)
