"""A completer whose value of every prefix is known: right steps are "ok ...", wrong ones "no ..."."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from karat.types import NO_ERROR, StepSolution

ANSWER = "42"


@dataclass
class ToyCompleter:
    """Reaches the answer with `value` from a right prefix, with `recovery` from a wrong one; notes what it is asked."""

    value: float = 0.7
    recovery: float = 0.0
    unsolved: tuple[str, ...] = ()
    """Prompts that it never solves."""
    calls: list[tuple[str, tuple[str, ...], int]] = field(default_factory=list)

    def __call__(self, prompt: Any, steps: Sequence[str], n: int, seed: int) -> list[str]:
        self.calls.append((str(prompt), tuple(steps), n))
        is_right = all(step.startswith("ok") for step in steps)
        chance = 0.0 if prompt in self.unsolved else self.value if is_right else self.recovery
        hit = np.random.default_rng(seed).random(n) < chance
        return [f"ok so.\n\nThe answer is {ANSWER if each else 13}." for each in hit]

    @property
    def rollouts(self) -> int:
        return sum(n for _, _, n in self.calls)


def toy_solution(prompt: str, n_steps: int, first: int, *, number: int = 0, **fields: Any) -> StepSolution:
    """A solution whose step `first` is wrong (NO_ERROR: none), and all after it; it ends in its answer."""
    is_right = [first == NO_ERROR or index < first for index in range(n_steps)]
    steps = [f"{'ok' if right else 'no'} {prompt} {number} {index}" for index, right in enumerate(is_right)]
    steps[-1] += f". The answer is {ANSWER if first == NO_ERROR else 13}."
    return StepSolution(
        prompt,
        tuple(steps),
        labels=fields.pop("labels", (float("nan"),) * n_steps),
        first_error=fields.pop("first_error", None),
        prompt_id=f"id {prompt}",
        solution_id=f"{prompt}/{number}",
        answer=fields.pop("answer", ANSWER),
        **fields,
    )


def toy_solutions(n_problems: int, n_steps: int, *, seed: int = 0) -> list[tuple[StepSolution, int]]:
    """One solution a problem with its first wrong step, any or none."""
    rng = np.random.default_rng(seed)
    firsts = rng.integers(-1, n_steps, n_problems).tolist()
    return [(toy_solution(f"p{index}", n_steps, first), first) for index, first in enumerate(firsts)]


complete = ToyCompleter()
"""For those who name a completer by module:function."""
