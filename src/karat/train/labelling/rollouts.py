"""Completions of prefixes, each made once: solutions of a problem that begin alike share those of what they share.

The completions of a prefix are fixed by the seed, the prompt and its steps, not by who asks for them or when.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from karat.data.records import plain
from karat.errors import InputError
from karat.train.labelling.answers import AnswerCheck
from karat.train.labelling.completers import Completer, text_before
from karat.train.labelling.problems import Problem
from karat.train.labelling.types import Ask, Completion, Counts, Outcome

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Probe:
    """Wanted: the first `n` completions of a problem's prefix."""

    problem: Problem
    steps: tuple[str, ...]
    n: int


Labeller = Generator[tuple[Probe, ...], tuple[Counts, ...], T]
"""Asks for probes, is sent their counts, and returns what it found."""


class Rollouts:
    """Makes, judges and keeps completions.

    Args:
        check: judges a completion.
        seed: of all completions.
        separator: text between two steps.
        at_once: completions of one prefix that are asked for together.
    """

    def __init__(self, completer: Completer, check: AnswerCheck, *, seed: int, separator: str, at_once: int) -> None:
        self.completer = completer
        self.check = check
        self._seed = seed
        self._separator = separator
        self._at_once = at_once
        self._kept: dict[tuple[str, tuple[str, ...]], list[Outcome]] = {}

    def forget(self) -> None:
        """Drop what is kept: the problems that it belongs to are finished."""
        self._kept.clear()

    def sample(self, problems: Sequence[Problem], n: int) -> list[list[Completion]]:
        """n solutions of each problem; they are completions of its prompt, and are kept as such."""
        asks = [Ask(problem.prompt, (), n, self._seed_of(problem, (), 0)) for problem in problems]
        found = self._complete(asks)
        for problem, completions in zip(problems, found, strict=True):
            self._kept[problem.prompt_id, ()] = [self._judge(problem, (), completion) for completion in completions]
        return found

    def make(self, probes: Sequence[Probe]) -> list[Counts]:
        """Counts of the first n completions of each prefix; those that are missing are made, in one batch."""
        asks: list[Ask] = []
        keys: list[tuple[Problem, tuple[str, ...]]] = []
        wanted: dict[tuple[str, tuple[str, ...]], int] = {}
        first: dict[tuple[str, tuple[str, ...]], int] = {}
        for number, probe in enumerate(probes):
            key = (probe.problem.prompt_id, probe.steps)
            have = wanted.get(key, len(self._kept.get(key, ())))
            for at in range(have, probe.n, self._at_once):
                n = min(self._at_once, probe.n - at)
                asks.append(Ask(probe.problem.prompt, probe.steps, n, self._seed_of(probe.problem, probe.steps, at)))
                keys.append((probe.problem, probe.steps))
                first.setdefault(key, number)
            wanted[key] = max(have, probe.n)
        made: Counter[int] = Counter()
        tokens: Counter[int] = Counter()
        for (problem, steps), completions in zip(keys, self._complete(asks) if asks else [], strict=True):
            outcomes = [self._judge(problem, steps, completion) for completion in completions]
            key = (problem.prompt_id, steps)
            self._kept.setdefault(key, []).extend(outcomes)
            made[first[key]] += len(outcomes)
            tokens[first[key]] += sum(outcome.n_tokens for outcome in outcomes)
        return [self._counts(probe, made[number], tokens[number]) for number, probe in enumerate(probes)]

    def run(self, labellers: Sequence[Labeller[T]]) -> list[T]:
        """What each found; the questions of all that wait are answered together, so that batches are large."""
        found: dict[int, T] = {}
        waiting: dict[int, tuple[Probe, ...]] = {}

        def advance(index: int, counts: tuple[Counts, ...] | None) -> None:
            try:
                waiting[index] = next(labellers[index]) if counts is None else labellers[index].send(counts)
            except StopIteration as stop:
                waiting.pop(index, None)
                found[index] = stop.value

        for index in range(len(labellers)):
            advance(index, None)
        while waiting:
            asked = list(waiting.items())
            counts = iter(self.make([probe for _, probes in asked for probe in probes]))
            for index, probes in asked:
                advance(index, tuple(next(counts) for _ in probes))
        return [found[index] for index in range(len(labellers))]

    def _complete(self, asks: Sequence[Ask]) -> list[list[Completion]]:
        """Raises InputError: not as many completions as were asked for."""
        found = self.completer.complete(asks)
        made, wanted = [len(completions) for completions in found], [ask.n for ask in asks]
        if made != wanted:
            raise InputError(
                f"{self.completer.name} made {made[:4]} completions where {wanted[:4]} were asked for. It must make as "
                "many of each as are asked for; one that failed is Completion(None, why=...)."
            )
        return found

    def _judge(self, problem: Problem, steps: tuple[str, ...], completion: Completion) -> Outcome:
        return self.check.outcome(problem.prompt, text_before(steps, self._separator), completion, problem.answer)

    def _counts(self, probe: Probe, made: int, tokens: int) -> Counts:
        kept = self._kept.get((probe.problem.prompt_id, probe.steps), [])[: probe.n]
        known = [outcome.value for outcome in kept if outcome.value == outcome.value]
        reasons = Counter(outcome.why for outcome in kept if outcome.value != outcome.value)
        return Counts(
            hits=int(sum(known)),
            counted=len(known),
            missing=len(kept) - len(known),
            made=made,
            tokens=tokens,
            reasons=tuple(sorted(reasons.items())),
        )

    def _seed_of(self, problem: Problem, steps: tuple[str, ...], at: int) -> int:
        facts = json.dumps([self._seed, plain(problem.prompt), steps, at], ensure_ascii=False)
        return int.from_bytes(hashlib.sha256(facts.encode(errors="surrogatepass")).digest()[:8], "big") >> 1
