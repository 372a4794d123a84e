"""What a kind of multi-step problem is: facts, a plan of operations, what each gives, and how steps say so.

A problem prescribes its operations and their order. A step makes a claim: this operation, on what was there before,
gives this. Whether it is right depends on the prompt and on the steps before it, on nothing else.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

Facts = Mapping[str, Any]
Op = tuple[Any, ...]
"""An operation: its name and its operands."""

PLACES = "abcdefgh"
"""Names of the operations of a problem in the rendering in words."""
LARGEST_WORD = 40
"""Whole numbers from 0 to this are words."""


@dataclass(frozen=True, slots=True)
class Size:
    """How long a problem is and how large its numbers are."""

    least_steps: int
    most_steps: int
    largest: int


DIFFICULTIES: dict[str, Size] = {
    "simple": Size(2, 2, 9),
    "easy": Size(2, 3, 20),
    "medium": Size(3, 5, 60),
    "hard": Size(5, 8, 400),
    "words": Size(3, 5, 9),
}


@dataclass(frozen=True, slots=True)
class Claim:
    """What a step says."""

    op: Op | None
    """None: the step does not say which."""
    before: Any
    """What it says was there before; None: nothing said."""
    after: Any


class Kind(ABC):
    """One kind of problem. States and values are compared with ==; facts are plain JSON."""

    name: ClassVar[str]
    claims_by: ClassVar[str] = r"[\d=]"
    """A step without a claim that could be read, but with this in it, may hold one that could not."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, size: Size, words: bool) -> dict[str, Any]:
        """Facts of a problem."""

    @abstractmethod
    def prompt(self, facts: Facts) -> str: ...

    @abstractmethod
    def prompt_words(self, facts: Facts) -> str: ...

    @abstractmethod
    def plan(self, facts: Facts) -> list[Op]:
        """The operations that the problem prescribes, in order."""

    @abstractmethod
    def start(self, facts: Facts) -> Any:
        """The state before the first operation."""

    @abstractmethod
    def result(self, state: Any, op: Op) -> Any:
        """What the operation gives; None where it cannot be done."""

    def advance(self, state: Any, op: Op | None, value: Any) -> Any:
        """The state after a step has stated a value."""
        return value

    def before(self, state: Any, op: Op) -> Any:
        """What a step says was there before; None: such steps say nothing of it."""
        return None

    def holds(self, claim: Claim) -> bool | None:
        """Whether a claim is true by itself; None: that depends on what was there before."""
        return None

    @abstractmethod
    def answer(self, facts: Facts, state: Any) -> str:
        """The final answer that a last state gives."""

    def answer_words(self, answer: str) -> str:
        """The final answer in the closed vocabulary."""
        return answer.replace(",", "").lower()

    @abstractmethod
    def say(self, facts: Facts, claim: Claim, rng: np.random.Generator | None) -> str:
        """The claim in one of several wordings; in the first without `rng`."""

    @abstractmethod
    def words(self, facts: Facts, claim: Claim) -> str:
        """The claim in the closed vocabulary."""

    @abstractmethod
    def read(self, facts: Facts, text: str) -> list[Claim]:
        """The claims of a step, in either rendering or a model's own words; those that cannot be read are left out."""

    @abstractmethod
    def read_answer(self, text: str) -> str | None:
        """The final answer in a text that follows "the answer is"."""

    # ---------------------------------------------------------------------------------------------------------- faults
    @abstractmethod
    def other_operation(self, facts: Facts, op: Op, rng: np.random.Generator) -> Op | None:
        """A wrong operation on the right operands; None where there is none."""

    @abstractmethod
    def misread(self, facts: Facts, op: Op, rng: np.random.Generator) -> Op | None:
        """The right operation on an operand that the prompt does not give there."""

    @abstractmethod
    def slip(self, facts: Facts, value: Any, rng: np.random.Generator) -> Any:
        """A value that is a little off."""

    def swapped(self, facts: Facts, state: Any, op: Op, rng: np.random.Generator) -> Claim | None:
        """A claim in which two items have changed places; None where that cannot be."""
        return None


def pick(rng: np.random.Generator | None, options: Sequence[Any]) -> Any:
    """One of the options; the first where nothing is left to chance."""
    return options[0 if rng is None else int(rng.integers(len(options)))]


def whole(rng: np.random.Generator, low: int, high: int) -> int:
    """Whole number from low to high, both included."""
    return int(rng.integers(low, high + 1))


def off_by_a_digit(value: int, rng: np.random.Generator) -> int:
    """Another whole number that differs in one digit (of at least 0 if the value is)."""
    digits = list(str(abs(value)))
    at = whole(rng, 0, len(digits) - 1)
    shift = pick(rng, [-2, -1, 1, 2])
    digits[at] = str((int(digits[at]) + shift) % 10)
    changed = int("".join(digits)) * (-1 if value < 0 else 1)
    return changed if changed != value else value + 1


def reversed_digits(value: int) -> int | None:
    """The number with its last two digits changed over; None where that is the same number."""
    text = str(value)
    changed = text[:-2] + text[-1] + text[-2] if len(text) > 1 and value > 0 else text
    return int(changed) if changed != text and changed[0] != "0" else None


def whole_sums(pattern: re.Pattern[str], text: str) -> list[re.Match[str]] | None:
    """Matches of a sum, none of which is part of a longer one; None where one is: then nothing is known."""
    found = list(pattern.finditer(text))
    cut = any(_BEFORE.search(text[: match.start()]) or _AFTER.match(text[match.end() :]) for match in found)
    return None if cut else found


_BEFORE = re.compile(r"(?:[-+/^=]|(?:^|[\s\d)])x)\s*$|[\d.]$|\d:$")
_AFTER = re.compile(r"\s*(?:[-+/^=%]|x\b)|\.?\d|:\d")


def plain_numbers(text: str) -> str:
    """Signs of one kind, no thousands separators, no currency."""
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    return re.sub(r"[×*·]|\\times", " x ", text.translate(str.maketrans("−–", "--"))).replace("$", "")
