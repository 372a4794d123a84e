"""Checking a step, and a solution step by step, by computation.

Nothing a step says is run as code: it is read into expressions of a few kinds (`tree`), bounded in size, and those are
computed. Undefined means that nothing in the step could be checked: that is no verdict on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from karat.errors import InputError
from karat.rewards.step_check.chains import read_statements
from karat.rewards.step_check.claims import MOST_CLAIMS, Claim, arithmetic_claims
from karat.rewards.step_check.compare import Verdict
from karat.rewards.step_check.unknowns import Known, claims_with_names, learn
from karat.rewards.step_check.words import claims_in_words, congruence_claims


@dataclass(frozen=True, slots=True)
class StepCheck:
    """What could be checked in one step.

    Attributes:
        claims: in the order of the text.
        verdict: "wrong" if a claim is wrong; "right" if at least one was checked and none is wrong; else "undefined".
    """

    claims: tuple[Claim, ...]
    verdict: Verdict

    @property
    def wrong(self) -> tuple[Claim, ...]:
        return tuple(claim for claim in self.claims if claim.verdict == "wrong")


def check_step(step: str, context: Sequence[str] = ()) -> StepCheck:
    """Check one step.

    Args:
        step: its text.
        context: the problem, and the steps before.
    Raises: InputError: not text.
    """
    if not isinstance(step, str):
        raise InputError(f"step: a {type(step).__name__}; give the step's text.")
    return _check(step, learn([read_statements(text) for text in context]))


def _check(step: str, known: Known) -> StepCheck:
    """The check of a step; what the step says is added to what is known."""
    statements = read_statements(step)
    found = [
        *arithmetic_claims(step, statements.pairs),
        *claims_with_names(step, statements, known),
        *claims_in_words(step),
        *congruence_claims(step, statements.pairs),
    ]
    claims = sorted(found, key=lambda claim: claim.start)[:MOST_CLAIMS]
    return StepCheck(tuple(claims), verdict_of(claims))


def verdict_of(claims: Sequence[Claim]) -> Verdict:
    """The verdict on a step with these claims."""
    verdicts = {claim.verdict for claim in claims}
    return "wrong" if "wrong" in verdicts else "right" if "right" in verdicts else "undefined"


def check_solution(prompt: str, steps: Sequence[str]) -> tuple[StepCheck, ...]:
    """Check each step of a solution, with the problem and the steps before it as context.

    Returns: one check a step.
    Raises: InputError: a step is no text.
    """
    for index, step in enumerate(steps):
        if not isinstance(step, str):
            raise InputError(f"steps: step {index} is a {type(step).__name__}; give the text of each step.")
    known = learn([read_statements(prompt)])
    return tuple(_check(step, known) for step in steps)
