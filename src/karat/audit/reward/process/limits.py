"""Calls of a user's step function that may hang: each within a time limit, in a thread that can be given up."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from karat.audit.reward.limited import TIMEOUTS_UNTIL_STOP
from karat.errors import DataError
from karat.rewards.process import StepScorer
from karat.rewards.process.protocol import FunctionStepScorer, StepFunction


@dataclass(slots=True)
class LimitedSteps:
    """A function of prompt and steps whose calls end in time.

    Attributes:
        timeout_s: longest that one call may take; it is then given up, and its thread runs on until the process ends.
        n_timeouts: calls that were given up; after three no more are made.
        in_main: whether the function only works in the main thread (Python's signals do): no limit there.
    """

    function: StepFunction
    timeout_s: float
    n_timeouts: int = 0
    in_main: bool = False

    def __call__(self, prompt: str, steps: list[str]) -> Sequence[float | None]:
        """Raises: what the function raises; TimeoutError: it took too long, or three calls have."""
        if self.n_timeouts >= TIMEOUTS_UNTIL_STOP:
            raise TimeoutError("not called: three calls took too long")
        if self.in_main:
            return self._called(prompt, steps)
        given: list[Sequence[float | None]] = []
        raised: list[BaseException] = []

        def call() -> None:
            try:
                given.append(self._called(prompt, steps))
            except BaseException as error:  # whatever a user's function raises has to reach the other thread
                raised.append(error)

        worker = threading.Thread(target=call, daemon=True)
        worker.start()
        worker.join(self.timeout_s)
        if worker.is_alive():
            self.n_timeouts += 1
            raise TimeoutError(f"longer than {self.timeout_s:g} s")
        if raised and "main thread" in str(raised[0]):
            self.in_main = True
            return self._called(prompt, steps)
        if raised:
            raise raised[0]
        return given[0]

    def _called(self, prompt: str, steps: list[str]) -> Sequence[float | None]:
        function: Any = self.function
        return list(function(prompt=prompt, steps=steps))  # a generator is run here, not where nothing limits it


def limited_steps(scorer: StepScorer, timeout_s: float) -> tuple[StepScorer, LimitedSteps | None]:
    """The scorer with its calls limited, where it is a user's function; any other as it is."""
    if not isinstance(scorer, FunctionStepScorer):
        return scorer, None
    limited = LimitedSteps(scorer.function, timeout_s)
    return FunctionStepScorer(scorer.name, limited), limited


def require_scored(scorer: StepScorer, limited: LimitedSteps | None, n_scored: int) -> None:
    """Raises: DataError: three calls took too long, or no solution has a score and the scorer says why."""
    if limited is not None and limited.n_timeouts >= TIMEOUTS_UNTIL_STOP:
        raise DataError(
            f"{limited.n_timeouts} calls of {scorer.name} took longer than {limited.timeout_s:g} s, and no more are "
            "made. Give a faster reward, or a longer --timeout-s."
        )
    reasons: dict[str, int] = getattr(scorer, "reasons", {})
    if not n_scored and reasons:
        reason = max(reasons, key=lambda text: reasons[text])
        raise DataError(f"{reason} ({reasons[reason]} of {sum(reasons.values())} solutions); none has a score.")
