"""A reward's evaluation on held-out pairs: score each response once, then measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from karat.rewards.groups import score_pairs
from karat.rewards.protocol import Reward
from karat.train.evaluation import Evaluation, evaluate
from karat.types import PreferencePair, Text, TokenIds


def evaluate_reward(
    reward: Reward,
    pairs: Sequence[PreferencePair],
    *,
    seed: int = 0,
    gold_name: str = "preference labels",
    progress: Callable[..., None] | None = None,
) -> Evaluation:
    """Score pairs with a reward and evaluate the scores.

    Args:
        reward: anything that scores.
        pairs: held-out pairs.
        seed: of the bootstrap.
        gold_name: what the pairs' labels are.
        progress: called as progress(stage, done, total, note).
    """
    if progress:
        progress("evaluating", 0, len(pairs), "pairs")
    scores = score_pairs(reward, pairs)
    if progress:
        progress("evaluating", len(pairs), len(pairs), "pairs")
    tokenised = any(isinstance(pair.chosen, TokenIds) for pair in pairs)
    return evaluate(
        pairs,
        scores.chosen_P,
        scores.rejected_P,
        length_chosen=np.array([response_length(pair.chosen) for pair in pairs]),
        length_rejected=np.array([response_length(pair.rejected) for pair in pairs]),
        length_unit="tokens" if tokenised else "characters",
        gold_name=gold_name,
        rng=np.random.default_rng([seed, 2]),
    )


def response_length(text: Text) -> int:
    """Length of a response as a content-blind rule sees it: characters of its contents, or tokens of token ids."""
    if isinstance(text, TokenIds):
        return len(text.ids)
    if isinstance(text, str):
        return len(text)
    return sum(len(message.content) for message in text)
