"""A simulated completer whose chance to reach the answer is known exactly, from every prefix of a solution.

From a prefix with k operations left it goes on one operation at a time. From a right state it stays right with chance
`success`, from a wrong one it gets right with chance `recovery` (two errors that cancel, or one that is seen). With
v_0 = 1 for a right state and 0 for a wrong one,

    v_k = pi + (v_0 - pi) (success - recovery)^k,   pi = recovery / (1 - success + recovery)

which is the chance of being right after k operations of this two-state Markov chain. A prefix that states an answer has
the value 1 or 0.

Axes: S steps of a solution.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from karat.errors import InputError
from karat.types import StepSolution
from karat.worlds.steps.checking import Follower, read_step
from karat.worlds.steps.problems import Problem, problem_of

SUCCESS: dict[str, float] = {"simple": 0.97, "easy": 0.95, "words": 0.92, "medium": 0.9, "hard": 0.8}
"""Chance of one operation to be done right, by difficulty."""
RECOVERY = 0.03
UNFINISHED = "and so on"


@dataclass(frozen=True)
class SimulatedCompleter:
    """Completes solutions of known problems.

    Attributes:
        problems: by prompt.
        success: by difficulty; recovery: see the file's head.
        unfinished: chance that a completion breaks off without an answer, whatever the state.
    """

    problems: Mapping[str, Problem]
    success: Mapping[str, float]
    recovery: float = RECOVERY
    unfinished: float = 0.0

    @classmethod
    def of(
        cls,
        problems: Sequence[Problem],
        *,
        success: Mapping[str, float] | float | None = None,
        recovery: float = RECOVERY,
        unfinished: float = 0.0,
    ) -> SimulatedCompleter:
        """For some problems.

        Args:
            success: one chance for all difficulties, or by difficulty; SUCCESS by default.
        Raises: InputError: a chance is not in [0, 1].
        """
        by_difficulty = dict.fromkeys(SUCCESS, float(success)) if isinstance(success, int | float) else success
        made = cls({each.prompt: each for each in problems}, by_difficulty or SUCCESS, recovery, unfinished)
        for name, value in {**made.success, "recovery": recovery, "unfinished": unfinished}.items():
            if not 0 <= value <= 1:
                raise InputError(f"{name} = {value:g} is out of range: it must lie in [0, 1].")
        return made

    def value(self, problem: Problem, steps: Sequence[str]) -> float:
        """Chance that a finished completion of a prefix has the right answer."""
        follower = Follower(problem)
        for step in steps:
            follower.take(read_step(problem, step))
        if follower.answer is not None:
            return float(follower.answer == problem.answer)
        left, start = len(follower.plan) - follower.done, float(follower.is_on_track)
        success = self.success[problem.difficulty]
        leave = 1 - success + self.recovery
        if leave == 0:
            return start
        rest = self.recovery / leave
        return rest + (start - rest) * (success - self.recovery) ** left

    def exact_values(self, solution: StepSolution) -> np.ndarray:
        """Chance of the right answer after each step, shape (S,)."""
        problem = problem_of(solution)
        return np.array([self.value(problem, solution.steps[: index + 1]) for index in range(len(solution.steps))])

    def __call__(self, prompt: object, steps: Sequence[str], n: int, seed: int) -> list[str]:
        """`n` completions, the same for the same arguments.

        A completion states its answer at once: what comes before it would change nothing.
        Raises: InputError: a prompt that none of the problems has.
        """
        problem = self.problems.get(prompt) if isinstance(prompt, str) else None
        if problem is None:
            raise InputError(f"the simulated completer knows no problem with the prompt {str(prompt)[:80]!r}.")
        key = "\0".join([problem.prompt, *steps])
        digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
        rng = np.random.default_rng([seed, int.from_bytes(digest)])
        value = self.value(problem, steps)
        said = [_said(problem, answer) for answer in (_wrong_answer(problem), problem.answer)]
        is_right, is_unfinished = rng.random(n) < value, rng.random(n) < self.unfinished
        return [UNFINISHED if cut else said[int(right)] for right, cut in zip(is_right, is_unfinished, strict=True)]


def exact_values(solution: StepSolution, completer: SimulatedCompleter | None = None) -> np.ndarray:
    """Chance that a simulated completer (the default one) gets right after each step, shape (S,).

    Raises: InputError: the solution is not of this world.
    """
    completer = completer or SimulatedCompleter.of([problem_of(solution)])
    return completer.exact_values(solution)


def _said(problem: Problem, answer: str) -> str:
    return f"answer {problem.rules.answer_words(answer)}" if problem.words else f"The answer is {answer}."


def _wrong_answer(problem: Problem) -> str:
    """The answer that leaving out everything, or the last operation, gives; else one that no problem has."""
    others = [answer for answer in problem.answers_by_step[-2::-1] if answer and answer != problem.answer]
    return others[0] if others else ("40" if problem.words else "1234567")
