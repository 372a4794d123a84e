"""Records of labelling: what is asked of a completer, what came back, and what was found of a solution."""

from __future__ import annotations

from dataclasses import dataclass, field

from karat.types import NAN, Text

MISSING = NAN


@dataclass(frozen=True, slots=True)
class Ask:
    """n completions of a prompt and the first steps of a solution."""

    prompt: Text
    steps: tuple[str, ...]
    n: int
    seed: int
    """Non-negative, below 2**63; fixes the completions."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What a completer wrote after the steps that it was given."""

    text: str | None
    """None: it wrote nothing usable."""
    n_tokens: int = 0
    is_finished: bool = True
    """It ended by itself; otherwise the limit of tokens cut it."""
    why: str = ""
    """Why there is no text."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A judged completion: 1 it reaches the answer, 0 it does not, NaN not known."""

    value: float
    n_tokens: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """Completions of one prefix.

    Attributes:
        hits: those that reach the answer; counted: those of which it is known whether; missing: the others.
        made: completions made for this question, and `tokens` their tokens: 0 where they were there already.
        reasons: why some are missing, by count.
    """

    hits: int
    counted: int
    missing: int
    made: int = 0
    tokens: int = 0
    reasons: tuple[tuple[str, int], ...] = ()


@dataclass(slots=True)
class Found:
    """What labelling found of one solution.

    Attributes:
        label_S: P(right) of each step, or NaN; first_error: index, NO_ERROR, or None where it is not known.
        hits_S, counted_S, missing_S: completions of the prefix that ends with each step; None where none was asked for.
        why: why there are no labels; empty where there are.
        doubt: chance of finding no right completion after the first wrong step if it were right; NaN where there is
            none, or where the final answer says so.
        undecided: probes that ended without a decision.
        checked, broken: prefixes at which the search's assumption was looked at, and at which it failed.
        rollouts, tokens: what was made for this solution; counted, missing: of the completions that it rests on.
        full_rollouts: what completions of every step would take.
    """

    label_S: tuple[float, ...]
    first_error: int | None = None
    hits_S: tuple[int | None, ...] = ()
    counted_S: tuple[int | None, ...] = ()
    missing_S: tuple[int | None, ...] = ()
    why: str = ""
    doubt: float = NAN
    final: float = NAN
    undecided: int = 0
    checked: int = 0
    broken: int = 0
    rollouts: int = 0
    tokens: int = 0
    missing: int = 0
    counted: int = 0
    full_rollouts: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
