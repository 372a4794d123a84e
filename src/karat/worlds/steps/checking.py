"""The truth of steps, by program: what a step claims, and whether that follows from the prompt and the steps before.

A step is right where it does the next operation that the problem prescribes, on what the steps before it have stated,
and gives what that gives; or where it states the answer that the last state gives. A step that carries on rightly from
a wrong state is right by itself; the first error is what it carries on from.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from karat.types import NO_ERROR
from karat.worlds.steps.kind import Claim
from karat.worlds.steps.problems import Problem

MOST_CHARS = 1000
"""Of a step that is read; a longer one is not a step of these problems, and is undefined."""

_REDO = re.compile(r"\bwait\b|\bnot right\b|\bcorrect(?:ion|ing)\b|\bmistake\b|\bredo\b", re.IGNORECASE)
_ANSWER = re.compile(r"\banswer\b(?:\s+is\b)?\s*:?\s*(.*)|\\boxed\{([^{}]*)\}|####\s*(.*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class StepReading:
    """What a step says."""

    claims: tuple[Claim, ...] = ()
    answer: str | None = None
    is_redo: bool = False
    """It takes back the step before."""
    is_unread: bool = False
    """It may claim something, but nothing that could be read."""


def read_step(problem: Problem, text: str) -> StepReading:
    """Claims and answer of a step, in either rendering or in a model's own words."""
    if len(text) > MOST_CHARS:
        return StepReading(is_unread=True)
    rules = problem.rules
    found = _ANSWER.search(text)
    stated = next((group for group in found.groups() if group is not None), "") if found else ""
    body = re.sub(r"^\s*[-*•]\s+", "", text[: found.start()] if found else text)
    answer = rules.read_answer(stated) if found else None
    claims = tuple(rules.read(problem.facts, body))
    unread = not claims and re.search(rules.claims_by, body, re.IGNORECASE) is not None
    return StepReading(claims, answer, _REDO.search(body) is not None, unread or (found is not None and answer is None))


class Follower:
    """Goes along a solution, step by step.

    Attributes:
        state: what the steps so far have stated.
        done: operations of the plan that are behind.
        answer: the last one stated.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.rules = problem.rules
        self.plan = self.rules.plan(problem.facts)
        self.state: Any = self.rules.start(problem.facts)
        self.done = 0
        self.answer: str | None = None
        self._is_lost = False
        self._past: list[tuple[Any, int]] = []

    @property
    def is_on_track(self) -> bool:
        """The state is what it would be without any error."""
        return not self._is_lost and self.state == self.problem.states[self.done]

    def take(self, reading: StepReading) -> bool | None:
        """Whether the step is right, None where that is undefined; then it is behind."""
        if reading.is_redo and reading.claims and self._past:
            self.state, self.done = self._past.pop()
        verdicts = [self._take_claim(claim) for claim in reading.claims]
        if reading.is_unread:
            self._is_lost = True
        if reading.answer is not None:
            verdicts.append(self._judge_answer(reading.answer))
            self.answer = reading.answer
        if False in verdicts:
            return False
        return None if None in verdicts or not verdicts or reading.is_unread else True

    def _take_claim(self, claim: Claim) -> bool | None:
        expected = self.plan[self.done] if self.done < len(self.plan) else None
        verdict = self._judge_claim(claim, expected)
        op = claim.op if claim.op is not None else expected
        self._past.append((self.state, self.done))
        self.state = self.rules.advance(self.state, op, claim.after)
        if op in self.plan[self.done :]:
            self.done = self.plan.index(op, self.done) + 1
        else:
            self.done = min(self.done + 1, len(self.plan))
        if verdict:
            self._is_lost = False
        return verdict

    def _judge_claim(self, claim: Claim, expected: Any) -> bool | None:
        is_next = expected is not None and claim.op in (None, expected)
        if is_next and claim.after == self.rules.result(self.state, expected):
            before = self.rules.before(self.state, expected)
            if claim.before is None or claim.before == before:
                return True
        if claim.op is not None and self.rules.holds(claim) is False:
            return False
        return None if self._is_lost else False

    def _judge_answer(self, answer: str) -> bool | None:
        """An answer before all operations are done is wrong where it is wrong; a right one was perhaps done unseen."""
        if self.done == len(self.plan) and not self._is_lost:
            return answer == self.rules.answer(self.problem.facts, self.state)
        if self._is_lost or answer == self.problem.answer:
            return None
        return False


def check_steps(problem: Problem, steps: Sequence[str]) -> tuple[bool | None, ...]:
    """Whether each step is right, by itself, given the prompt and the steps before it; None: undefined.

    Undefined is a step without a claim, one whose claim cannot be read, and what depends on such a one; never wrong.
    """
    follower = Follower(problem)
    return tuple(follower.take(read_step(problem, step)) for step in steps)


def stated_answer(problem: Problem, steps: Sequence[str]) -> str | None:
    """The last answer that the steps state, in the problem's own form; None where they state none."""
    answers = [read_step(problem, step).answer for step in steps]
    return next((answer for answer in reversed(answers) if answer is not None), None)


def first_error_of(truth: Sequence[bool | None]) -> int:
    """Index of the first wrong step, or NO_ERROR."""
    return next((index for index, right in enumerate(truth) if right is False), NO_ERROR)
