"""Golds that come one by one: from a person, at a terminal or a page, or from a verifier or a judge that is called.

What is answered is stored at once; what fails or is skipped stays missing, and is counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from karat.errors import InputError
from karat.run_records import NAN, Label
from karat.store import RunStore, StoredRollout

Answer = float | None
"""A gold; None: this one is skipped, and not asked again."""
Labeller = Callable[[str, str], Any]
"""Called with prompt and response; returns a number, or None where it has no opinion."""


class Quit(Exception):  # noqa: N818  # an answer, not an error
    """Raised by `ask`: no more for now; the rest goes on waiting."""


@dataclass(slots=True)
class LabelCount:
    """What came of a round of labelling."""

    given: int = 0
    skipped: int = 0
    failed: int = 0
    waiting: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    """Why calls failed, with how often; at most 20 different ones."""


def next_to_label(store: RunStore) -> StoredRollout | None:
    """The rollout to label next: of the newest step that has one waiting."""
    waiting = store.queue(limit=1)
    return waiting[0] if waiting else None


def give_label(
    store: RunStore,
    step: int,
    index: int,
    gold: Answer,
    *,
    by: str,
    least: float = -math.inf,
    most: float = math.inf,
) -> None:
    """Store the gold of one rollout, under the chance with which it was asked for.

    Args:
        gold: None: the rollout was looked at and skipped.
        by: who gave it.
        least, most: range that the gold was declared to have.
    Raises: InputError: the gold is not a number of that range, or the store has no text of this rollout.
    """
    if gold is not None:
        _check(gold, least, most)
    # None in the store, or taken back by a restart while somebody was reading it.
    chance = next((rollout.chance for rollout in store.rollouts(step) if rollout.index == index), None)
    if chance is None:
        raise InputError(f"step {step}, rollout {index}: its text is not in the store any more. Take the next one.")
    # A chance of 0 or none was not set by a budget: the caller asked for this very rollout.
    known = chance if 0 < chance <= 1 else 1.0
    store.add_labels([Label(int(step), int(index), NAN if gold is None else float(gold), known, by)])


def label_queue(
    store: RunStore,
    ask: Callable[[StoredRollout, int], Answer],
    *,
    by: str,
    least: float = -math.inf,
    most: float = math.inf,
    limit: int | None = None,
) -> LabelCount:
    """Ask for one gold after the other until the queue is empty, `ask` raises Quit, or `limit` were asked.

    Args:
        ask: called with the rollout and how many wait; returns its gold, or None to skip. Texts are untrusted: what
            shows them escapes them.
        by, least, most: see `give_label`; an answer outside the range raises, and what was given before is stored.
    """
    count = LabelCount()
    while limit is None or count.given + count.skipped < limit:
        waiting = store.queue()
        if not waiting:
            break
        rollout = waiting[0]
        try:
            gold = ask(rollout, len(waiting))
        except Quit:
            break
        give_label(store, rollout.step, rollout.index, gold, by=by, least=least, most=most)
        count.given += gold is not None
        count.skipped += gold is None
    count.waiting = store.info()["n_waiting"]
    return count


def label_by_calling(
    labeller: Labeller,
    prompts: Sequence[str],
    responses: Sequence[str],
    *,
    least: float = -math.inf,
    most: float = math.inf,
) -> tuple[list[float], LabelCount]:
    """Golds of a verifier or a judge. A call that raises, or gives no number of the range, leaves NaN.

    Returns: a gold for each response, and the count of calls with the reasons of those that failed.
    """
    golds, count = [], LabelCount()
    for prompt, response in zip(prompts, responses, strict=True):
        gold = NAN
        try:
            answer = labeller(prompt, response)
            if answer is not None:
                _check(answer, least, most)
                gold = float(answer)
        except Exception as error:  # whatever a user's function raises; the run must go on
            count.failed += 1
            reason = f"{type(error).__name__}: {str(error)[:200]}"
            if reason in count.reasons or len(count.reasons) < 20:
                count.reasons[reason] = count.reasons.get(reason, 0) + 1
        else:
            count.given += answer is not None
            count.skipped += answer is None
        golds.append(gold)
    return golds, count


def _check(gold: Any, least: float, most: float) -> None:
    try:
        number = float(gold)
    except (TypeError, ValueError):
        number = NAN
    if not math.isfinite(number) or not least <= number <= most:
        wanted = "" if least == -math.inf and most == math.inf else f" from {least:g} to {most:g}"
        raise InputError(f"gold {str(gold)[:40]!r}: give a finite number{wanted}, or skip the rollout.")
