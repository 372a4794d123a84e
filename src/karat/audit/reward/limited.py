"""Calls of a reward that may raise or hang: each within a time limit, each failure counted with its reason."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from karat.errors import KaratError
from karat.rewards.groups import Group
from karat.rewards.protocol import Reward
from karat.types import NAN, Score

TIMEOUTS_UNTIL_STOP = 3


@dataclass(slots=True)
class LimitedReward:
    """A reward whose calls end in time. A call that does not is given up: its thread runs on until the process ends.

    Attributes:
        timeout_s: longest that one call may take.
        n_raised, n_timeouts: calls that raised, or were given up. After three of the latter nothing is called any more.
    """

    reward: Reward
    timeout_s: float
    n_raised: int = 0
    n_timeouts: int = 0
    reasons: list[str] = field(default_factory=list)

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        """One call; where it fails, every score is missing with the reason."""
        if self.n_timeouts >= TIMEOUTS_UNTIL_STOP:
            return _missing(groups, f"not called: {self.n_timeouts} calls took longer than {self.timeout_s:g} s")
        outcome: dict[str, list[list[Score]]] = {}
        raised: list[BaseException] = []

        def call() -> None:
            try:
                outcome["scores"] = self.reward.score(groups)
            except BaseException as error:  # whatever a user's reward raises has to reach the other thread
                raised.append(error)

        worker = threading.Thread(target=call, daemon=True)
        worker.start()
        worker.join(self.timeout_s)
        if worker.is_alive():
            self.n_timeouts += 1
            return _missing(groups, f"a call took longer than {self.timeout_s:g} s")
        if raised:
            if isinstance(raised[0], KaratError | KeyboardInterrupt | SystemExit):
                raise raised[0]
            self.n_raised += 1
            return _missing(groups, f"{self.reward.name} raised {type(raised[0]).__name__}: {raised[0]}")
        scores = outcome["scores"]
        if [len(row) for row in scores] != [len(group.responses) for group in groups]:
            self.n_raised += 1
            return _missing(groups, f"{self.reward.name} returned another number of scores than of responses")
        return scores

    def score_one_by_one(self, groups: Sequence[Group]) -> list[list[Score]]:
        """One call for each prompt, so that one that fails costs its own scores only."""
        return [row for group in groups for row in self.score([group])]


def _missing(groups: Sequence[Group], reason: str) -> list[list[Score]]:
    return [[Score(NAN, missing=reason)] * len(group.responses) for group in groups]
