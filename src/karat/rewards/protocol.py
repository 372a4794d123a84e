"""What a reward is to the rest of karat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from karat.rewards.groups import Group
from karat.types import Score


@runtime_checkable
class Reward(Protocol):
    """Anything that scores the responses to a prompt.

    `score` returns one list per group and one Score per response, in the order given. A response that cannot be scored
    gets a missing Score with the reason; it raises only when nothing can be scored at all.
    """

    @property
    def name(self) -> str: ...

    @property
    def head_names(self) -> tuple[str, ...]: ...

    def score(self, groups: Sequence[Group]) -> list[list[Score]]: ...
