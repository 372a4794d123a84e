"""Simulated annotators of the default world: what they want, what they wrongly like, and how often they slip.

An annotator compares two responses by utility

    u = gold_weight * gold + length_weight * z(length) + opening_weight * opening

where z standardises log length within the prompt's pool and `opening` is 1 for a response that begins with a phrase
("The answer is", "To find", ...) instead of the bare answer. P(first preferred) = sigma(u1 - u2), so the labels carry
Bradley-Terry noise; then a label is flipped with probability `flip_rate`, and called a tie when the two utilities
differ by less than `tie_below`. Every number is planted on purpose and recorded.
"""

from __future__ import annotations

import itertools
import math
import random
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from karat.types import Message, PreferencePair
from karat.worlds.pool import PoolPrompt

TEST_SHARE = 0.36
TRAIN_PAIRS_PER_PROMPT, TEST_PAIRS_PER_PROMPT = 12, 10
EQUAL_GOLD_SHARE = 0.4
"""About this share of pairs has equal gold on both sides: there a bias shows, but the gold teaches nothing."""


@dataclass(frozen=True, slots=True)
class Annotator:
    """One simulated annotator; weights in nats of utility, rates as probabilities."""

    name: str
    gold_weight: float
    length_weight: float
    opening_weight: float
    flip_rate: float
    tie_below: float


ANNOTATORS: tuple[Annotator, ...] = (
    Annotator("careful", 3.0, 0.2, 0.0, 0.00, 0.05),
    Annotator("plain", 2.2, 0.5, 0.0, 0.00, 0.05),
    Annotator("longer", 1.8, 1.2, 0.2, 0.00, 0.05),
    Annotator("polite", 1.8, 0.4, 1.2, 0.00, 0.05),
    Annotator("hasty", 2.0, 0.5, 0.3, 0.20, 0.05),
)

_OPENING = re.compile(r"^(the |to |here|sure|certainly|first|in )", re.IGNORECASE)


def opening(text: str) -> float:
    """1 where a response opens with a phrase instead of the bare answer."""
    return float(_OPENING.match(text.strip()) is not None)


def standardised_lengths(texts: Sequence[str]) -> list[float]:
    """Log length of each response, standardised within its prompt; all 0 where lengths do not differ."""
    logs = [math.log(1 + len(text)) for text in texts]
    spread = statistics.pstdev(logs)
    mean = statistics.fmean(logs)
    return [(value - mean) / spread if spread else 0.0 for value in logs]


def compare_pool(pool: Sequence[PoolPrompt], *, rng: random.Random) -> list[PreferencePair]:
    """Preferences over a pool, with the split of its prompts; the same pool and seed give the same pairs.

    Of each prompt about EQUAL_GOLD_SHARE of the pairs have equal gold; a prompt that is always right or always wrong
    gives fewer pairs, all of them such.
    """
    prompts = [prompt for prompt in pool if len(prompt.responses) >= 2]
    rng.shuffle(prompts)
    n_test = round(TEST_SHARE * len(prompts))
    pairs: list[PreferencePair] = []
    for number, prompt in enumerate(prompts):
        is_test = number < n_test
        per_prompt = TEST_PAIRS_PER_PROMPT if is_test else TRAIN_PAIRS_PER_PROMPT
        for first, second in _choose(prompt, per_prompt, rng):
            annotator = rng.choice(ANNOTATORS)
            split = "test" if is_test else "train"
            pairs.append(_compare(prompt, first, second, annotator, split, len(pairs), rng))
    return pairs


def _choose(prompt: PoolPrompt, count: int, rng: random.Random) -> list[tuple[int, int]]:
    """Some pairs of a prompt's responses, mostly of different gold."""
    every = list(itertools.combinations(range(len(prompt.responses)), 2))
    rng.shuffle(every)
    differ = [pair for pair in every if prompt.gold[pair[0]] != prompt.gold[pair[1]]]
    equal = [pair for pair in every if prompt.gold[pair[0]] == prompt.gold[pair[1]]]
    n_equal = max(1, round(EQUAL_GOLD_SHARE * count)) if differ else max(1, count // 3)
    chosen = differ[: count - n_equal] + equal[:n_equal]
    return [pair if rng.random() < 0.5 else (pair[1], pair[0]) for pair in chosen]


def _compare(
    prompt: PoolPrompt, first: int, second: int, annotator: Annotator, split: str, row: int, rng: random.Random
) -> PreferencePair:
    lengths = standardised_lengths(prompt.responses)

    def utility(index: int) -> float:
        return (
            annotator.gold_weight * prompt.gold[index]
            + annotator.length_weight * lengths[index]
            + annotator.opening_weight * opening(prompt.responses[index])
        )

    difference = utility(first) - utility(second)
    is_tie = abs(difference) < annotator.tie_below
    prefers_first = rng.random() < 1.0 / (1.0 + math.exp(-difference))
    flipped = rng.random() < annotator.flip_rate
    chosen, rejected = (first, second) if prefers_first != flipped else (second, first)
    return PreferencePair(
        (Message("user", prompt.prompt),),
        (Message("assistant", prompt.responses[chosen]),),
        (Message("assistant", prompt.responses[rejected]),),
        label=0.5 if is_tie else 1.0,
        prompt_id=prompt.prompt_id,
        row=row,
        source=prompt.family,
        annotator=annotator.name,
        extra={
            "gold_chosen": prompt.gold[chosen],
            "gold_rejected": prompt.gold[rejected],
            "flipped": flipped and not is_tie,
            "split": split,
        },
    )
