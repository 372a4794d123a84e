"""Labelling one solution: completions of every step, or a binary search for the first wrong one.

Axes: S steps of the solution. Prefix s holds its first s steps; the empty prefix is the prompt alone.

Both label a step by whether the answer can still be reached after it: values of a completer, not the step's own
correctness. A wrong step that the completer repairs counts as right, a right step after which it fails as wrong.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np

from karat.numerics.step_values import ProbeRule, first_wrong, hard_values, labels_of_first_wrong, soft_values
from karat.numerics.step_values import no_hit_if_right as no_hit
from karat.train.labelling.problems import Problem
from karat.train.labelling.rollouts import Labeller, Probe
from karat.train.labelling.types import Counts, Found
from karat.types import NAN, NO_ERROR

UNSOLVED = "no completion of the problem itself reaches the answer"
NOTHING_COUNTS = "no completion of a step counts"


@dataclass(frozen=True, slots=True)
class Task:
    """A solution to be labelled: its problem, its steps, and whether its own final answer is right (NaN: not known)."""

    problem: Problem
    steps: tuple[str, ...]
    final: float


@dataclass(slots=True)
class _Ledger:
    """What was asked for on behalf of one solution."""

    task: Task
    counts: dict[int, Counts] = field(default_factory=dict)
    """By number of steps in the prefix; the latest, which holds the earlier ones."""
    made: int = 0
    tokens: int = 0

    def ask(self, wanted: dict[int, int]) -> Generator[tuple[Probe, ...], tuple[Counts, ...], list[Counts]]:
        """Counts of the first n completions of each prefix, given as {steps in it: n}."""
        task = self.task
        answers = yield tuple(Probe(task.problem, task.steps[:length], n) for length, n in wanted.items())
        for length, counts in zip(wanted, answers, strict=True):
            self.counts[length] = counts
            self.made += counts.made
            self.tokens += counts.tokens
        return list(answers)

    def found(self, label_S: np.ndarray, first: int | None, *, full: int, why: str = "") -> Found:
        """The record, with the counts of every prefix that was looked at."""
        n_steps = len(self.task.steps)
        per_step = [self.counts.get(length) for length in range(1, n_steps + 1)]
        reasons: Counter[str] = Counter()
        for counts in self.counts.values():
            reasons.update(dict(counts.reasons))
        return Found(
            label_S=tuple(map(float, label_S)),
            first_error=first,
            hits_S=tuple(None if counts is None else counts.hits for counts in per_step),
            counted_S=tuple(None if counts is None else counts.counted for counts in per_step),
            missing_S=tuple(None if counts is None else counts.missing for counts in per_step),
            why=why,
            final=self.task.final,
            rollouts=self.made,
            tokens=self.tokens,
            missing=sum(counts.missing for counts in self.counts.values()),
            counted=sum(counts.counted for counts in self.counts.values()),
            full_rollouts=full,
            reasons=dict(reasons),
        )

    def undefined(self, why: str, *, full: int) -> Found:
        return self.found(np.full(len(self.task.steps), math.nan), None, full=full, why=why)

    def doubt(self, first: int) -> float:
        """Chance of no right completion after step `first` if it were right, from what is known of the prefix before.

        NaN where no completions called it wrong (the final answer did), or none of the prefix before counts.
        """
        here, before = self.counts.get(first + 1), self.counts.get(first)
        if here is None or before is None or not before.counted:
            return NAN
        return no_hit(before.hits, before.counted, here.counted)


def full_rollouts(task: Task, rollouts: int) -> int:
    """Completions that labelling every step takes: none of the last, where its answer can be read."""
    return rollouts * (len(task.steps) - (not math.isnan(task.final)))


def label_every_step(task: Task, rule: ProbeRule, *, soft: bool) -> Labeller[Found]:
    """Monte-Carlo labels (Math-Shepherd): `rule.rollouts` completions of every prefix.

    The last step's label is whether the final answer is right, where that is known. Where not even the first step
    has a right completion, the prompt is asked for too: if it has none either, nothing is known of the steps.
    """
    ledger, n_steps = _Ledger(task), len(task.steps)
    full = full_rollouts(task, rule.rollouts)
    lengths = range(1, n_steps + math.isnan(task.final))
    yield from ledger.ask(dict.fromkeys(lengths, rule.rollouts))
    hits = np.array([ledger.counts[length].hits for length in lengths], dtype=np.float64)
    counted = np.array([ledger.counts[length].counted for length in lengths], dtype=np.float64)
    final = [] if math.isnan(task.final) else [task.final]
    hard_S = np.array([*hard_values(hits, counted), *final])
    if np.isnan(hard_S).all():
        return ledger.undefined(NOTHING_COUNTS, full=full)
    first = first_wrong(hard_S)
    if first == 0:
        (prompt,) = yield from ledger.ask({0: rule.rollouts})
        if not prompt.hits:
            return ledger.undefined(UNSOLVED, full=full)
    found = ledger.found(np.array([*soft_values(hits, counted), *final]) if soft else hard_S, first, full=full)
    if first is not None and first != NO_ERROR:
        found.doubt = ledger.doubt(first)
        later_S = hard_S[first + 1 :]
        found.checked, found.broken = int(np.isfinite(later_S).sum()), int((later_S == 1).sum())
    return found


def label_by_search(task: Task, rule: ProbeRule, *, rng: np.random.Generator, check_share: float) -> Labeller[Found]:
    """Binary search for the first wrong step (OmegaPRM): 1 before it, 0 at it, nothing after it.

    A right final answer has no wrong step before it, by the search's own assumption: whatever leads to the answer is
    right. In a share of solutions one more prefix is asked for, behind the wrong step, and whether it agrees is kept.

    Args:
        rng: chooses those solutions and prefixes.
    """
    ledger, n_steps = _Ledger(task), len(task.steps)
    full = full_rollouts(task, rule.rollouts)
    low, high, undecided = 0, n_steps - (task.final == 0), 0
    if task.final == 1:
        low = high = n_steps
    elif rule.error and not (yield from _is_solved(ledger, rule)):
        return ledger.undefined(UNSOLVED, full=full)
    while low < high:
        middle = (low + high) // 2
        decision, is_certain = yield from _probe(ledger, middle + 1, rule, before=low)
        if not decision:
            return ledger.undefined(NOTHING_COUNTS, full=full)
        undecided += not is_certain
        low, high = (middle + 1, high) if decision == "right" else (low, middle)
    first = NO_ERROR if low == n_steps else low
    if first == 0 and 0 not in ledger.counts and not (yield from _is_solved(ledger, rule)):
        return ledger.undefined(UNSOLVED, full=full)
    broken = yield from _check(ledger, first, rule, rng=rng, share=check_share)
    found = ledger.found(labels_of_first_wrong(n_steps, first), first, full=full)
    found.undecided, found.checked, found.broken = undecided, int(broken is not None), int(broken or 0)
    if first != NO_ERROR:
        found.doubt = ledger.doubt(first)
    return found


def _is_solved(ledger: _Ledger, rule: ProbeRule) -> Generator[tuple[Probe, ...], tuple[Counts, ...], bool]:
    """Whether any of `rule.rollouts` completions of the prompt reaches the answer, asked for in portions."""
    asked = 0
    while asked < rule.rollouts:
        asked = min(asked + rule.at_once, rule.rollouts)
        (counts,) = yield from ledger.ask({0: asked})
        if counts.hits:
            return True
    return False


def _probe(
    ledger: _Ledger, length: int, rule: ProbeRule, *, before: int
) -> Generator[tuple[Probe, ...], tuple[Counts, ...], tuple[str, bool]]:
    """What the completions of a prefix say, asked for in portions until they decide; and whether they did."""
    known = ledger.counts.get(before)
    prior = (known.hits, known.counted) if known else (0, 0)
    asked = 0
    while True:
        asked = min(asked + rule.at_once, rule.limit)
        (counts,) = yield from ledger.ask({length: asked})
        decision = rule.decide(counts.hits, counts.counted, prior)
        if decision or asked >= rule.limit:
            # with some missing, fewer than `rollouts` may count: the likelier side, and for none of them no side
            is_certain = bool(decision) or not rule.error
            return decision or rule.settle(counts.hits, counts.counted, prior), is_certain


def _check(
    ledger: _Ledger, first: int, rule: ProbeRule, *, rng: np.random.Generator, share: float
) -> Generator[tuple[Probe, ...], tuple[Counts, ...], bool | None]:
    """Whether a prefix behind the first wrong step has a right completion after all.

    None where none was looked at: the solution was not chosen, has no such prefix, or nothing of it counts. Of prefixes
    before it nothing could be said: that no completion is right may be chance.
    """
    is_chosen, place = rng.random() < share, rng.random()
    last = len(ledger.task.steps) - (not math.isnan(ledger.task.final))
    behind = [length for length in range(first + 2, last + 1) if length not in ledger.counts]
    if first == NO_ERROR or not is_chosen or not behind:
        return None
    (counts,) = yield from ledger.ask({behind[int(place * len(behind))]: rule.rollouts})
    return counts.hits > 0 if counts.counted else None
