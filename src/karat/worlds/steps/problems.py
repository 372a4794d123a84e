"""Problems drawn from the kinds, in text or in a closed vocabulary of words."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from karat.errors import InputError
from karat.types import StepSolution
from karat.worlds.steps.kind import DIFFICULTIES, LARGEST_WORD, PLACES, Facts, Kind, pick
from karat.worlds.steps.numbers import Account, Equation, Shopping
from karat.worlds.steps.orders import COLOURS, PAIRS, PEOPLE, Brackets, Sorting, Swaps
from karat.worlds.steps.turns import DAYS, Calendar, Clock

_ALL: tuple[Kind, ...] = (
    Account(), Shopping(), Equation(), Clock(), Calendar(), Swaps(), Brackets(), Sorting(),
)  # fmt: skip
BY_NAME: dict[str, Kind] = {kind.name: kind for kind in _ALL}
KINDS: tuple[str, ...] = tuple(BY_NAME)
MOST_TRIES = 200

RIGOUR_WORDS, NEUTRAL_WORDS, REDO_WORDS = ("thus", "surely"), ("let us see", "now think"), "wait"
_MARKS = ("+", "-", "x", "=", ":", ",", "/", "none", "answer", "ask", "add", "subtract", "divide", "expand")


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem with its truth."""

    kind: str
    difficulty: str
    facts: Facts
    """Plain JSON: all else follows from it."""
    words: bool = False
    """Rendered in the closed vocabulary."""

    @property
    def rules(self) -> Kind:
        return BY_NAME[self.kind]

    @property
    def prompt(self) -> str:
        return self.rules.prompt_words(self.facts) if self.words else self.rules.prompt(self.facts)

    @property
    def answer(self) -> str:
        return self.answers_by_step[-1]

    @property
    def states(self) -> tuple[Any, ...]:
        """The right state before the first operation and after each."""
        rules = self.rules
        states = [rules.start(self.facts)]
        for op in rules.plan(self.facts):
            states.append(rules.advance(states[-1], op, rules.result(states[-1], op)))
        return tuple(states)

    @property
    def answers_by_step(self) -> tuple[str, ...]:
        """The answer that each of `states` would give."""
        return tuple(self.rules.answer(self.facts, state) for state in self.states[1:])

    @property
    def problem_id(self) -> str:
        return f"{self.kind}-{hashlib.sha256(self.prompt.encode()).hexdigest()[:10]}"


def vocabulary() -> tuple[str, ...]:
    """Every word of the rendering in words, with ";", which is free to part the steps."""
    numbers = map(str, range(LARGEST_WORD + 1))
    named = (*KINDS, *(name.lower() for name in (*PEOPLE[:4], *COLOURS[:4], *DAYS)))
    spoken = (*RIGOUR_WORDS, *(word for text in NEUTRAL_WORDS for word in text.split()), REDO_WORDS)
    brackets = (*PAIRS, *PAIRS.values())
    words = (*numbers, *PLACES, *_MARKS, *brackets, *named, *spoken, ";")
    return tuple(dict.fromkeys(words))


_VOCABULARY = frozenset(vocabulary())


def in_vocabulary(text: str) -> bool:
    return all(word in _VOCABULARY for word in text.split())


def draw_problems(
    rng: np.random.Generator, n: int, *, kinds: Sequence[str] = (), difficulty: str = "easy", words: bool = False
) -> tuple[Problem, ...]:
    """Distinct problems, the kinds in turn.

    Args:
        n: how many.
        kinds: names from KINDS; all of them by default.
        difficulty: simple (2 operations, small numbers), easy (2-3), medium (3-5), hard (5-8) or words (3-5, numbers up
            to 9 to reckon with).
        words: render in the closed vocabulary; the difficulty is then "words".
    Raises: InputError: no such kind or difficulty; so many distinct problems are not to be had.
    """
    kinds = tuple(kinds) or KINDS
    difficulty = "words" if words else difficulty
    for kind in kinds:
        if kind not in BY_NAME:
            raise InputError(f"there is no kind of problem {kind!r}; there are: {', '.join(KINDS)}.")
    if difficulty not in DIFFICULTIES:
        raise InputError(f"difficulty: there is no {difficulty!r}; there are: {', '.join(DIFFICULTIES)}.")
    found: dict[str, Problem] = {}
    for number in range(n):
        for _ in range(MOST_TRIES):
            problem = _draw(rng, kinds[number % len(kinds)], difficulty, words)
            if problem.prompt not in found:
                break
        else:
            raise InputError(
                f"{n} distinct problems of {', '.join(kinds)} ({difficulty}) are not to be had: "
                f"{len(found)} were; ask for fewer, or for more kinds."
            )
        found[problem.prompt] = problem
    return tuple(found.values())


def _draw(rng: np.random.Generator, kind: str, difficulty: str, words: bool) -> Problem:
    while True:
        facts = BY_NAME[kind].draw(rng, DIFFICULTIES[difficulty], words)
        problem = Problem(kind, difficulty, facts, words)
        if not words or in_vocabulary(problem.prompt):
            return problem


def problem_of(solution: StepSolution) -> Problem:
    """The problem that a solution of this world solves.

    Raises: InputError: it is not of this world.
    """
    extra = solution.extra
    if not {"kind", "difficulty", "facts"} <= extra.keys() or extra["kind"] not in BY_NAME:
        raise InputError(
            f"solution {solution.solution_id!r} names no problem of the step world in its extra columns "
            "(kind, difficulty, facts)."
        )
    return Problem(str(extra["kind"]), str(extra["difficulty"]), extra["facts"], bool(extra.get("words", False)))


def neutral_step(rng: np.random.Generator, words: bool) -> str:
    """A step that claims nothing."""
    return str(pick(rng, NEUTRAL_WORDS if words else NEUTRAL_TEXTS))


NEUTRAL_TEXTS = (
    "Let us go through this in the order given.",
    "We keep what was found so far and go on.",
    "This is a matter of doing one thing after another.",
    "Next comes the following part of the question.",
)
