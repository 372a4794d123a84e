"""What scores steps, whatever it is: a process reward, a verifier, a user's function.

Axes: S steps of one solution.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np

from karat.errors import InputError
from karat.rewards.kinds import FunctionReward, import_function, load_reward, plain_text
from karat.rewards.process.problem import StepProblem

StepFunction = Callable[[str, list[str]], Sequence[float | None]]


@runtime_checkable
class StepScorer(Protocol):
    """Anything that scores the steps of solutions.

    `score_problems` returns, per problem and solution in the order given, the probability in [0, 1] that each step is
    right, (S,) float64; NaN where a step has no score, never 0.
    """

    @property
    def name(self) -> str: ...

    def score_problems(self, problems: Sequence[StepProblem]) -> list[list[np.ndarray]]: ...


def as_step_scorer(reward: Any, *, name: str = "") -> StepScorer:
    """A step scorer of whatever scores steps.

    Args:
        reward: a step scorer; an object with `score_steps(prompt, steps)`; a function of prompt and steps; or the text
            that names one of these (`karat.rewards.load_reward`, or a `module:function` with a parameter `steps`).
        name: what the scorer is called; made from the reward when empty.
    Raises: InputError: it gives a response one score and its steps none.
    """
    if isinstance(reward, str):
        return as_step_scorer(_named(reward), name=name or reward)
    if isinstance(reward, StepScorer) and not name:
        return reward
    called = name or str(getattr(reward, "name", "") or getattr(reward, "__name__", "") or type(reward).__name__)
    if isinstance(reward, StepScorer):
        return _Renamed(reward, called)
    method = getattr(reward, "score_steps", None)
    if callable(method):
        return FunctionStepScorer(called, method)
    function = reward.function if isinstance(reward, FunctionReward) else reward
    if callable(function) and takes_steps(function):
        return FunctionStepScorer(called, function)
    raise InputError(
        f"{called} gives a response one score, and none to its steps. Name a process reward, or a module:function with "
        "the parameters prompt and steps."
    )


def takes_steps(function: Callable[..., Any]) -> bool:
    """Whether a function has a parameter called steps."""
    try:
        return "steps" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # a built-in without a signature
        return False


def _named(spec: str) -> Any:
    reward = load_reward(spec)
    return import_function(spec) if isinstance(reward, FunctionReward) else reward


class _Renamed:
    def __init__(self, scorer: StepScorer, name: str) -> None:
        self.name = name
        self.score_problems = scorer.score_problems


class FunctionStepScorer:
    """A function called as function(prompt=..., steps=...), solution by solution.

    Attributes:
        reasons: why solutions are missing, and how many, since the scorer was made.
    """

    def __init__(self, name: str, function: StepFunction) -> None:
        self.name = name
        self.function = function
        self.reasons: dict[str, int] = {}

    def score_problems(self, problems: Sequence[StepProblem]) -> list[list[np.ndarray]]:
        return [
            [self._scores(plain_text(problem.prompt), steps) for steps in problem.solutions] for problem in problems
        ]

    def _scores(self, prompt: str, steps: Sequence[str]) -> np.ndarray:
        """A step for which the function returns None is missing; all are where it raises.

        Raises: InputError: another number of scores than steps, or one that is no probability.
        """
        function = cast(Callable[..., Sequence[float | None]], self.function)
        try:
            given = [
                math.nan if value is None else float(value) for value in function(prompt=prompt, steps=list(steps))
            ]
        except Exception as error:  # the user's code may raise anything; the other solutions must survive it
            reason = f"{self.name} raised {type(error).__name__}: {error}"
            self.reasons[reason] = self.reasons.get(reason, 0) + 1
            return np.full(len(steps), math.nan)
        if len(given) != len(steps):
            raise InputError(f"{self.name} returned {len(given)} scores for {len(steps)} steps; return one each.")
        bad = [value for value in given if not (math.isnan(value) or 0 <= value <= 1)]
        if bad:
            raise InputError(
                f"{self.name} returned {bad[0]:g} for a step; return the probability in [0, 1] that it is right, or "
                "None where it has no score."
            )
        return np.array(given, dtype=np.float64)
