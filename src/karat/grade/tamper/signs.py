"""One sign of tampering as an observer saw it, before the signs of all observers become attempts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from karat.grade.tamper.techniques import CONFIDENCES, TECHNIQUES, rank
from karat.grade.types import Attempt, Confidence

EVIDENCE_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Sign:
    """What one layer saw of one technique."""

    technique: str
    confidence: Confidence
    layer: str
    evidence: str
    line: int | None = None


def lower(confidence: Confidence, steps: int = 1) -> Confidence:
    """A confidence that is less by so many steps, and weak at least."""
    return CONFIDENCES[max(0, rank(confidence) - steps)]


def at_most(sign: Sign, confidence: Confidence) -> Sign:
    return sign if rank(sign.confidence) <= rank(confidence) else replace(sign, confidence=confidence)


def attempts(signs: Iterable[Sign]) -> tuple[Attempt, ...]:
    """One attempt of each technique, from its surest sign; among equals the first that knows its line.

    A technique of the source that another layer confirms takes that layer's confidence and the source's line.
    """
    best: dict[str, Sign] = {}
    lines: dict[str, int] = {}
    for sign in signs:
        known = best.get(sign.technique)
        if sign.line is not None:
            lines.setdefault(sign.technique, sign.line)
        if known is None or _order(sign) > _order(known):
            best[sign.technique] = sign
    found = [_attempt(sign, lines.get(sign.technique)) for sign in best.values()]
    return tuple(sorted(found, key=lambda attempt: (-rank(attempt.confidence), attempt.line or 0, attempt.technique)))


def _order(sign: Sign) -> tuple[int, bool]:
    return rank(sign.confidence), sign.line is not None


def _attempt(sign: Sign, line: int | None) -> Attempt:
    technique = TECHNIQUES[sign.technique]
    return Attempt(
        technique=sign.technique,
        family=technique.family,
        line=sign.line if sign.line is not None else line,
        confidence=sign.confidence,
        layer=sign.layer,
        evidence=sign.evidence[:EVIDENCE_LENGTH],
        benign=technique.benign,
    )
