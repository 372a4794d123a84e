"""Looking at a policy while it is optimised: its responses to held-out prompts, both rewards, and how far it has moved.

Axes: P prompts, G responses of a prompt, K checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from karat.policies import Policy, SamplingConfig
from karat.policies.divergence import response_kl
from karat.rewards import Group, Reward
from karat.types import Message, Text


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A policy at one step, on the evaluation prompts.

    Attributes:
        step: optimiser steps taken.
        responses: P lists of G texts.
        proxy_PG, gold_PG: scores, NaN where missing; gold_PG all NaN where there is no gold.
        kl_PG: nats of each response.
        length_PG: tokens; is_cut_PG: the limit of tokens ended it.
    """

    step: int
    responses: tuple[tuple[str, ...], ...]
    proxy_PG: np.ndarray
    gold_PG: np.ndarray
    kl_PG: np.ndarray
    length_PG: np.ndarray
    is_cut_PG: np.ndarray


class Evaluator:
    """Evaluates one policy at its checkpoints, always on the same prompts with the same random numbers."""

    def __init__(
        self,
        reference: Any,
        prompts: Sequence[Text],
        *,
        proxy: Reward,
        gold: Reward | None,
        sampling: SamplingConfig,
        samples: int,
        seed: int,
    ) -> None:
        self.reference = reference
        self.prompts = tuple(prompts)
        self.proxy = proxy
        self.gold = gold
        self.sampling = sampling
        self.samples = samples
        self.seed = seed

    def look(self, policy: Policy, step: int) -> Checkpoint:
        """Sample, score, and measure the distance from the reference."""
        was_training = policy.model.training
        policy.model.train(False)
        ids = [policy.prompt_ids(prompt) for prompt in self.prompts]
        sampled = policy.sample(ids, self.samples, config=self.sampling, seed=[self.seed, 1])
        kl_R = response_kl(
            policy.model,
            self.reference,
            [own for own in ids for _ in range(self.samples)],
            [response.token_ids for row in sampled for response in row],
            temperature=self.sampling.temperature,
        )
        policy.model.train(was_training)
        responses = tuple(tuple(response.text for response in row) for row in sampled)
        shape = (len(ids), self.samples)
        proxy_PG = score_responses(self.proxy, self.prompts, responses)
        return Checkpoint(
            step=step,
            responses=responses,
            proxy_PG=proxy_PG,
            gold_PG=score_responses(self.gold, self.prompts, responses) if self.gold else np.full(shape, np.nan),
            kl_PG=kl_R.reshape(shape),
            length_PG=np.array([[len(response.token_ids) for response in row] for row in sampled], float),
            is_cut_PG=np.array([[not response.is_finished for response in row] for row in sampled]),
        )


def score_responses(reward: Reward, prompts: Sequence[Text], responses: Sequence[Sequence[str]]) -> np.ndarray:
    """Scores of responses to prompts, (P, G), NaN where missing; a response to a conversation is a turn of it."""
    groups = [
        Group(prompt, tuple(text if isinstance(prompt, str) else (Message("assistant", text),) for text in row))
        for prompt, row in zip(prompts, responses, strict=True)
    ]
    return np.array([[score.value for score in row] for row in reward.score(groups)], float)


def with_known(checkpoints: Sequence[Checkpoint], name: str) -> np.ndarray:
    """Mean score of each prompt at each checkpoint over its responses with a score, (P, K); NaN where none has one.

    name: proxy_PG, gold_PG, kl_PG, ...
    """
    stacked_KPG = np.array([getattr(point, name) for point in checkpoints], float)
    known = ~np.isnan(stacked_KPG)
    count = known.sum(axis=2)
    with np.errstate(invalid="ignore"):
        return np.asarray((np.where(known, stacked_KPG, 0).sum(axis=2) / np.where(count, count, np.nan)).T)
