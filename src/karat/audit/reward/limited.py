"""Calls of a reward that may raise or hang: each within a time limit, each failure counted with its reason.

A user's reward runs in another thread, so that a call that does not end can be given up. One that only works in the
main thread (Python's signals do) is called there, without a limit.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from karat.errors import DataError, KaratError
from karat.rewards.groups import Group, last_text
from karat.rewards.protocol import Reward
from karat.types import NAN, Score, Text

TIMEOUTS_UNTIL_STOP = 3
SLACK = 20.0
"""A call may take so many times what its text took in calls that ended; a slow machine is no fault of the reward."""
_MAIN_THREAD = "main thread"


@dataclass(slots=True)
class Pace:
    """How fast a reward is: of calls that ended, the time, the characters and the responses."""

    seconds: float = 0.0
    characters: int = 0
    responses: int = 0

    def add(self, groups: Sequence[Group], seconds: float) -> None:
        self.seconds += seconds
        self.characters += characters_of(groups)
        self.responses += responses_of(groups)

    def expected_s(self, characters: float, responses: float) -> tuple[float, float]:
        """Seconds, the less and the more: by the text (a prompt counts once for all of its responses) and by the
        responses. NaN before the first call has ended."""
        if not self.responses:
            return NAN, NAN
        both = self.seconds * characters / max(self.characters, 1), self.seconds * responses / self.responses
        return min(both), max(both)


@dataclass(slots=True)
class LimitedReward:
    """A reward whose calls end in time. A call that does not is given up: its thread runs on until the process ends.

    Attributes:
        timeout_s: longest that one call may take, or 20 times what its text takes by the pace, if that is more.
        stops: whether every call after three that took too long raises DataError; else all their scores are missing.
        n_raised, n_timeouts: calls that raised, or were given up.
        in_main: whether the reward only works in the main thread.
    """

    reward: Reward
    timeout_s: float
    stops: bool = False
    pace: Pace = field(default_factory=Pace)
    n_raised: int = 0
    n_timeouts: int = 0
    in_main: bool = False

    @property
    def name(self) -> str:
        return self.reward.name

    @property
    def head_names(self) -> tuple[str, ...]:
        return self.reward.head_names

    @property
    def n_cut(self) -> int:
        """Responses that the limit of length cut so far; 0 where the reward does not say."""
        return int(getattr(self.reward, "n_cut", 0))

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        """One call; where it fails, every score is missing with the reason.

        Raises: DataError: three calls took too long and `stops`. What karat raises on purpose passes.
        """
        if self.n_timeouts >= TIMEOUTS_UNTIL_STOP:
            why = f"{self.n_timeouts} calls of {self.name} took longer than {self.timeout_s:g} s"
            if self.stops:
                raise DataError(f"{why}, and no more are made. Give a faster reward, or a longer --timeout-s.")
            return _missing(groups, f"not called: {why}")
        started, n_raised = time.monotonic(), self.n_raised
        scores = self._called(groups) if self.in_main else self._called_in_thread(groups)
        if not self.in_main and _wants_main_thread(scores):
            self.in_main, self.n_raised = True, n_raised
            return self.score(groups)
        if any(not score.is_missing for row in scores for score in row):
            self.pace.add(groups, time.monotonic() - started)
        return scores

    def score_one_by_one(self, groups: Sequence[Group]) -> list[list[Score]]:
        """One call for each prompt, so that one that fails costs its own scores only."""
        return [row for group in groups for row in self.score([group])]

    def _limit_s(self, groups: Sequence[Group]) -> float:
        expected_s = self.pace.expected_s(characters_of(groups), responses_of(groups))[1]
        return max(self.timeout_s, SLACK * expected_s) if expected_s == expected_s else self.timeout_s

    def _called_in_thread(self, groups: Sequence[Group]) -> list[list[Score]]:
        outcome: list[list[list[Score]]] = []
        raised: list[BaseException] = []

        def call() -> None:
            try:
                outcome.append(self._called(groups))
            except BaseException as error:  # whatever a user's reward raises has to reach the other thread
                raised.append(error)

        limit_s = self._limit_s(groups)
        worker = threading.Thread(target=call, daemon=True)
        worker.start()
        worker.join(limit_s)
        if worker.is_alive():
            self.n_timeouts += 1
            return _missing(groups, f"a call took longer than {limit_s:.3g} s")
        if raised:
            raise raised[0]
        return outcome[0]

    def _called(self, groups: Sequence[Group]) -> list[list[Score]]:
        try:
            scores = self.reward.score(groups)
            sizes = [len(row) for row in scores if all(isinstance(score, Score) for score in row)]
        except KaratError:
            raise
        except Exception as error:  # a user's reward may raise anything; the audit has to survive it
            self.n_raised += 1
            return _missing(groups, f"{self.name} raised {type(error).__name__}: {error}")
        if sizes != [len(group.responses) for group in groups]:
            self.n_raised += 1
            return _missing(groups, f"{self.name} returned another number of scores than of responses")
        return [[self._with_reason(score) for score in row] for row in scores]

    def _with_reason(self, score: Score) -> Score:
        """A value that is not finite is a missing score, also where the reward does not say so."""
        if score.is_missing or math.isfinite(score.value):
            return score
        return Score(NAN, missing=f"{self.name} returned {score.value}")


def as_limited(reward: Reward, timeout_s: float) -> LimitedReward:
    """The reward with its calls limited; stops after three that took too long."""
    return reward if isinstance(reward, LimitedReward) else LimitedReward(reward, timeout_s, stops=True)


def characters_of(groups: Sequence[Group]) -> int:
    """Of prompts, each once, and of responses."""
    return sum(_length(group.prompt) + sum(map(_length, group.responses)) for group in groups)


def responses_of(groups: Sequence[Group]) -> int:
    return sum(len(group.responses) for group in groups)


def _length(text: Text) -> int:
    if isinstance(text, tuple):
        return sum(len(message.content) for message in text)
    return len(last_text(text))


def _wants_main_thread(scores: Sequence[Sequence[Score]]) -> bool:
    return any(_MAIN_THREAD in score.missing for row in scores for score in row if score.is_missing)


def _missing(groups: Sequence[Group], reason: str) -> list[list[Score]]:
    return [[Score(NAN, missing=reason)] * len(group.responses) for group in groups]
