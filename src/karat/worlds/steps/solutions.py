"""Solutions made by program: right, wrong at a chosen step, and right answers by a wrong process.

A wrong step has one of five faults, and all that follows carries on from it:

    operation  the wrong operation is done, rightly
    misread    a number or a name is misread, and used rightly
    slip       the right operation is given a result that is a little off
    swapped    two items have changed places: digits, prices, brackets, balls; or an earlier value is taken
    skipped    an operation is left out
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from karat.errors import InputError
from karat.types import NO_ERROR, StepSolution
from karat.worlds.steps.checking import Follower, StepReading, first_error_of, stated_answer
from karat.worlds.steps.kind import PLACES, Claim, pick
from karat.worlds.steps.problems import REDO_WORDS, RIGOUR_WORDS, Problem, in_vocabulary, neutral_step

FAULTS: tuple[str, ...] = ("operation", "misread", "slip", "swapped", "skipped")
WRONG_PROCESSES: tuple[str, ...] = ("compensated", "corrected")
MOST_TRIES = 200

RIGOUR_OPENINGS = ("Therefore, ", "Hence, ", "It follows rigorously that ", "Clearly, ")
PLAIN_OPENINGS = ("", "", "So ", "Next, ", "Now ")
REDO_OPENINGS = ("Wait, that is not right; again, ", "That was a mistake. Redo it, ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How solutions are worded; chances a step, none of which depends on whether the step is right."""

    rigour: float = 0.3
    """That a step opens with a word of rigour."""
    neutral: float = 0.1
    """That a step which claims nothing comes before it."""
    varied: bool = True
    """Several wordings; otherwise each claim in the same one."""


MANNER = Manner()


class _Writer:
    """Steps of one solution as they are made."""

    def __init__(self, problem: Problem, rng: np.random.Generator, manner: Manner) -> None:
        self.problem, self.rng, self.manner = problem, rng, manner
        self.follower = Follower(problem)
        self.steps: list[str] = []
        self.truth: list[bool | None] = []

    @property
    def left(self) -> int:
        return len(self.follower.plan) - self.follower.done

    def right_claim(self) -> Claim | None:
        follower, rules = self.follower, self.problem.rules
        op = follower.plan[follower.done]
        value = rules.result(follower.state, op)
        return None if value is None else Claim(op, rules.before(follower.state, op), value)

    def claim(self, claim: Claim | None, *, is_redo: bool = False) -> bool:
        """Write a step; False where the claim cannot be made or said."""
        if claim is None or claim.after is None:
            return False
        self._maybe_neutral()
        follower, rules, words = self.follower, self.problem.rules, self.problem.words
        op_at = follower.done - is_redo
        if claim.op in follower.plan[op_at:]:
            op_at = follower.plan.index(claim.op, op_at)
        if words:
            text = f"{PLACES[op_at]} {rules.words(self.problem.facts, claim)}"
        else:
            text = rules.say(self.problem.facts, claim, self.rng if self.manner.varied else None)
        return self._write(self._opened(text, is_redo), StepReading((claim,), is_redo=is_redo))

    def conclude(self, answer: str | None = None) -> bool:
        rules = self.problem.rules
        answer = rules.answer(self.problem.facts, self.follower.state) if answer is None else answer
        if not answer:
            return False
        text = f"answer {rules.answer_words(answer)}" if self.problem.words else f"The answer is {answer}."
        return self._write(text, StepReading(answer=answer))

    def _maybe_neutral(self) -> None:
        if self.rng.random() < self.manner.neutral:
            self._write(neutral_step(self.rng, self.problem.words), StepReading())

    def _write(self, text: str, reading: StepReading) -> bool:
        self.steps.append(text)
        self.truth.append(self.follower.take(reading))
        return not self.problem.words or in_vocabulary(text)

    def _opened(self, text: str, is_redo: bool) -> str:
        rigorous = self.rng.random() < self.manner.rigour
        if self.problem.words:
            opening = f"{pick(self.rng, RIGOUR_WORDS)} " if rigorous else ""
            return f"{REDO_WORDS} {opening}{text}" if is_redo else f"{opening}{text}"
        if is_redo:
            opening = str(pick(self.rng, REDO_OPENINGS))
        else:
            plain = PLAIN_OPENINGS if self.manner.varied else ("",)
            opening = str(pick(self.rng, RIGOUR_OPENINGS if rigorous else plain))
        return opening + text if opening else text[0].upper() + text[1:]

    def finish(self) -> bool:
        """Carry on rightly from where it is, to the answer."""
        while self.left:
            if not self.claim(self.right_claim()):
                return False
        return self.conclude()


def right_solution(problem: Problem, rng: np.random.Generator, *, manner: Manner = MANNER) -> StepSolution:
    """Every step right."""
    writer = _Writer(problem, rng, manner)
    if not writer.finish():
        raise AssertionError(f"a right solution of {problem.prompt!r} cannot be written")
    return _solution(writer, "right", "")


def wrong_solution(
    problem: Problem, rng: np.random.Generator, *, at: int | None = None, fault: str = "", manner: Manner = MANNER
) -> StepSolution:
    """The first error at an operation, and a wrong answer.

    Args:
        at: 0-based number of the operation whose step is wrong; drawn by default. Neutral steps are not counted.
        fault: one of FAULTS; drawn by default.
    Raises: InputError: no such operation or fault, or the problem cannot have that fault there.
    """
    n_ops = len(problem.rules.plan(problem.facts))
    if at is not None and not 0 <= at < n_ops:
        raise InputError(f"at = {at}: the problem has {n_ops} operations; give 0 to {n_ops - 1}.")
    if fault and fault not in FAULTS:
        raise InputError(f"fault: there is no {fault!r}; there are: {', '.join(FAULTS)}.")

    def attempt() -> StepSolution | None:
        writer = _Writer(problem, rng, manner)
        name = fault or str(pick(rng, FAULTS))
        where = int(rng.integers(n_ops)) if at is None else at
        if not _go_to(writer, where) or not _err(writer, name) or not writer.finish():
            return None
        made = _solution(writer, "wrong", name)
        return made if made.final_right == 0 and made.extra["truth"].count(False) == 1 else None

    return _tried(attempt, problem, f"a fault {fault!r} at {at}" if fault or at is not None else "a fault")


def wrong_process_solution(
    problem: Problem, rng: np.random.Generator, *, how: str = "", manner: Manner = MANNER
) -> StepSolution:
    """The right answer by a wrong process.

    Args:
        how: "compensated": a second error undoes the first; "corrected": the wrong step is taken back and done again.
    Raises: InputError: no such process, or the problem has too few operations for it.
    """
    if how and how not in WRONG_PROCESSES:
        raise InputError(f"how: there is no {how!r}; there are: {', '.join(WRONG_PROCESSES)}.")
    n_ops = len(problem.rules.plan(problem.facts))

    def attempt() -> StepSolution | None:
        writer = _Writer(problem, rng, manner)
        process = how or str(pick(rng, WRONG_PROCESSES))
        where = int(rng.integers(n_ops - (process == "compensated")))
        before = _go_to(writer, where)
        state = writer.follower.state
        fault = str(pick(rng, [name for name in FAULTS if name != "skipped"]))
        if not before or not _err(writer, fault):
            return None
        second = _correct(writer, state) if process == "corrected" else _compensate(writer)
        if not second or not writer.finish():
            return None
        made = _solution(writer, process, fault)
        n_wrong = 1 if process == "corrected" else 2
        return made if made.final_right == 1 and made.extra["truth"].count(False) == n_wrong else None

    return _tried(attempt, problem, f"a right answer by a wrong process ({how or 'any'})")


def solutions_of(
    problem: Problem,
    rng: np.random.Generator,
    *,
    right: int = 2,
    wrong: int = 3,
    wrong_process: int = 1,
    manner: Manner = MANNER,
) -> tuple[StepSolution, ...]:
    """Some solutions of each sort, numbered in this order; wordings and faults differ."""
    made = [right_solution(problem, rng, manner=manner) for _ in range(right)]
    made += [wrong_solution(problem, rng, manner=manner) for _ in range(wrong)]
    made += [wrong_process_solution(problem, rng, manner=manner) for _ in range(wrong_process)]
    return numbered(made)


def numbered(solutions: Sequence[StepSolution]) -> tuple[StepSolution, ...]:
    """With solution_id counted by problem and row counted through."""
    counts: dict[str, int] = {}
    made = []
    for row, solution in enumerate(solutions):
        number = counts.get(solution.prompt_id, 0)
        counts[solution.prompt_id] = number + 1
        made.append(replace(solution, solution_id=f"{solution.prompt_id}/{number}", row=row))
    return tuple(made)


# --------------------------------------------------------------------------------------------------------------- faults
def _go_to(writer: _Writer, at: int) -> bool:
    while writer.follower.done < at:
        if not writer.claim(writer.right_claim()):
            return False
    return True


def _err(writer: _Writer, fault: str) -> bool:
    """Write a wrong step; False where there is no such fault here, or it would be right after all."""
    follower, rng = writer.follower, writer.rng
    done = follower.done
    claim = _wrong_claim(writer, fault, rng)
    if claim is None or not writer.claim(claim):
        return False
    expected = done + (2 if fault == "skipped" else 1)
    return writer.truth[-1] is False and follower.done == expected


def _wrong_claim(writer: _Writer, fault: str, rng: np.random.Generator) -> Claim | None:
    follower, rules, facts = writer.follower, writer.problem.rules, writer.problem.facts
    state, op = follower.state, follower.plan[follower.done]
    if fault == "skipped":
        if writer.left < 2:
            return None
        op = follower.plan[follower.done + 1]
        return Claim(op, rules.before(state, op), rules.result(state, op))
    if fault == "swapped":
        return rules.swapped(facts, state, op, rng)
    if fault == "slip":
        value = rules.result(state, op)
        return None if value is None else Claim(op, rules.before(state, op), rules.slip(facts, value, rng))
    changed = rules.other_operation(facts, op, rng) if fault == "operation" else rules.misread(facts, op, rng)
    if changed is None:
        return None
    return Claim(changed, rules.before(state, changed), rules.result(state, changed))


def _correct(writer: _Writer, state_before: object) -> bool:
    follower, rules = writer.follower, writer.problem.rules
    op = follower.plan[follower.done - 1]
    value = rules.result(state_before, op)
    return writer.claim(Claim(op, rules.before(state_before, op), value), is_redo=True)


def _compensate(writer: _Writer) -> bool:
    """After some right steps on the wrong state, one that gives what would be there without the first error."""
    follower, rules = writer.follower, writer.problem.rules
    for _ in range(int(writer.rng.integers(writer.left))):
        if not writer.claim(writer.right_claim()):
            return False
    if not writer.left:
        return False
    op = follower.plan[follower.done]
    true_state = writer.problem.states[follower.done]
    claim = Claim(op, rules.before(follower.state, op), rules.result(true_state, op))
    return writer.claim(claim) and writer.truth[-1] is False


def _tried(attempt: Callable[[], StepSolution | None], problem: Problem, what: str) -> StepSolution:
    for _ in range(MOST_TRIES):
        made = attempt()
        if made is not None:
            return made
    raise InputError(f"the {problem.kind} problem {problem.prompt[:80]!r} cannot have {what}; choose another.")


def _solution(writer: _Writer, process: str, fault: str) -> StepSolution:
    problem = writer.problem
    return as_solution(problem, writer.steps, writer.truth, process=process, fault=fault)


def as_solution(
    problem: Problem, steps: Sequence[str], truth: Sequence[bool | None], *, process: str, fault: str = ""
) -> StepSolution:
    """The record of a solution whose truth, step by step, is known.

    `labels` are 1 and 0 up to the first error and NaN behind it; NaN too where the truth is undefined. `extra["truth"]`
    has that of every step by itself.
    """
    first = first_error_of(truth)
    masked = [right if first == NO_ERROR or index <= first else None for index, right in enumerate(truth)]
    answer = stated_answer(problem, steps)
    return StepSolution(
        prompt=problem.prompt,
        steps=tuple(steps),
        labels=tuple(math.nan if right is None else float(right) for right in masked),
        first_error=first,
        prompt_id=problem.problem_id,
        answer=problem.answer,
        final_right=math.nan if answer is None else float(answer == problem.answer),
        source=problem.kind,
        extra={
            "kind": problem.kind,
            "difficulty": problem.difficulty,
            "facts": problem.facts,
            "words": problem.words,
            "process": process,
            "fault": fault,
            "truth": tuple(truth),
        },
    )
