"""The responses of an experiment: those that labelled pairs are drawn from, and those that curves are measured on.

No prompt is on both sides. Responses without a gold are left out and counted.

Axes: P prompts of the curves, G responses to each of them, R responses as they were read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from karat.data.pools import stream_pool
from karat.errors import DataError, InputError
from karat.numerics.best_of_n import largest_n
from karat.numerics.goodhart import within_prompt_sd
from karat.rewards import Group, load_reward
from karat.stress.pool import named_scores
from karat.stress.synthetic.config import SyntheticConfig
from karat.types import Account, PoolRow, Text
from karat.worlds import pool_source, words

Progress = Callable[..., None]

PAIR_RESPONSES = 64
"""Responses of a prompt that pairs are drawn from: 2,016 pairs of each prompt at most."""
MIN_CURVE_PROMPTS, MIN_PAIR_PROMPTS = 8, 2
MIN_RESPONSES = 4
WORLD_PAIR_PROMPTS, WORLD_CURVE_PROMPTS = 96, 64
"""Of the built-in world."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt with its responses and the gold of each."""

    prompt_id: str
    text: Text
    responses: tuple[Text, ...]
    gold_G: np.ndarray


@dataclass(frozen=True, slots=True)
class Setting:
    """Both sides of the experiment.

    Attributes:
        name: of the source; gold: of what labels; model: the backbone's folder or hub name.
        pairs: prompts that labelled pairs are drawn from.
        curves: prompts of the curves, `max_n` responses each.
        n_missing_gold: responses left out for want of a gold.
        n_small: prompts left out of the curves, with fewer than max_n responses; n_cut: responses beyond max_n.
        account: of the reading; None for the built-in world.
    """

    name: str
    gold: str
    model: str
    pairs: tuple[Prompt, ...]
    curves: tuple[Prompt, ...]
    max_n: int
    n_read: int
    n_missing_gold: int
    n_small: int
    n_cut: int
    account: Account | None

    @property
    def gold_of_curves(self) -> np.ndarray:
        """Shape (P, G)."""
        return np.stack([prompt.gold_G for prompt in self.curves])

    @property
    def n_used(self) -> int:
        return len(self.curves) * self.max_n

    @property
    def missing_share(self) -> float:
        return self.n_missing_gold / self.n_read if self.n_read else 0.0


def make_setting(pool: Any, config: SyntheticConfig, progress: Progress | None = None) -> Setting:
    """Read or sample the responses, score the gold, and part the prompts.

    Args:
        pool: a pool in any form that is read; None: the built-in words world, sampled anew.
    Raises: InputError, DataError: no gold, too few prompts or responses, or a gold that never differs.
    """
    if pool is None:
        return _built_in(config, progress)
    if not config.gold:
        raise InputError(
            "no gold is named: give the column, or the reward, that labels the pairs and counts as true (--gold)."
        )
    if progress:
        progress("reading the pool", 0, 1, "pool")
    stream = stream_pool(pool_source(pool))
    records = [read.record for read in stream if read.record is not None]
    account = stream.account()
    prompts = _by_prompt(records, _gold_of(records, config, account.source, progress))
    n_missing = len(records) - sum(len(prompt.responses) for prompt in prompts)
    model = config.model or "default"
    name = pool if isinstance(pool, str) and pool.startswith("builtin:") else account.source
    start = Setting(name, config.gold, model, (), (), 0, len(records), n_missing, 0, 0, account)
    return _parted(prompts, config, start)


def _gold_of(records: Sequence[PoolRow], config: SyntheticConfig, source: str, progress: Progress | None) -> np.ndarray:
    """Gold of each response: the column of that name, or else what the reward of that name gives."""
    columns = {name for record in records for name in record.scores}
    is_reward = ":" in config.gold or "/" in config.gold or Path(config.gold).exists()
    if config.gold in columns or not is_reward:
        return named_scores(records, {config.gold: "gold"}, source)[config.gold]
    if progress:
        progress("scoring the gold", 0, len(records), "responses")
    at: dict[tuple[str, Text], list[int]] = {}
    for index, record in enumerate(records):
        at.setdefault((record.prompt_id, record.prompt), []).append(index)
    groups = [Group(prompt, tuple(records[i].response for i in rows)) for (_, prompt), rows in at.items()]
    gold_R = np.full(len(records), np.nan)
    for rows, scores in zip(at.values(), load_reward(config.gold).score(groups), strict=True):
        gold_R[rows] = [score.value for score in scores]
    if not np.isfinite(gold_R).any():
        raise DataError(f"{source}: {config.gold} gave none of {len(records)} responses a score. See karat score.")
    return gold_R


def _by_prompt(records: Sequence[PoolRow], gold_R: np.ndarray) -> list[Prompt]:
    """Prompts in order of appearance, with the responses that have a gold."""
    rows: dict[str, list[int]] = {}
    for index in map(int, np.flatnonzero(np.isfinite(gold_R))):
        rows.setdefault(records[index].prompt_id, []).append(index)
    return [
        Prompt(prompt_id, records[own[0]].prompt, tuple(records[i].response for i in own), gold_R[own])
        for prompt_id, own in rows.items()
    ]


def _parted(prompts: Sequence[Prompt], config: SyntheticConfig, start: Setting) -> Setting:
    """The prompts at random on one side or the other; those of one text (as at several steps) on the same."""
    usable: dict[Text, list[Prompt]] = {}
    for prompt in prompts:
        if len(prompt.responses) >= 2:
            usable.setdefault(prompt.text or prompt.prompt_id, []).append(prompt)
    alike = list(usable.values())
    order = np.random.default_rng([config.seed, 1]).permutation(len(alike))
    n_curve = round(config.curve_share * len(alike))
    curve = [prompt for index in order[:n_curve] for prompt in alike[index]]
    size_P = np.array([len(prompt.responses) for prompt in curve], int)
    max_n = config.max_n or largest_n(size_P)
    kept = [prompt for prompt in curve if len(prompt.responses) >= max_n]
    setting = replace(
        start,
        pairs=tuple(prompt for index in order[n_curve:] for prompt in alike[index]),
        curves=tuple(replace(p, responses=p.responses[:max_n], gold_G=p.gold_G[:max_n]) for p in kept),
        max_n=max_n,
        n_small=len(curve) - len(kept),
        n_cut=int(sum(len(p.responses) - max_n for p in kept)),
    )
    check_setting(setting)
    return setting


def check_setting(setting: Setting) -> None:
    """Raises: DataError: too few prompts or responses, or nothing that could be labelled or gained."""
    if len(setting.pairs) < MIN_PAIR_PROMPTS or len(setting.curves) < MIN_CURVE_PROMPTS:
        raise DataError(
            f"{setting.name}: {len(setting.pairs)} prompts for pairs and {len(setting.curves)} with {setting.max_n} "
            f"responses for curves; {MIN_PAIR_PROMPTS} and {MIN_CURVE_PROMPTS} are the least. Give more prompts, or "
            "change --curve-share or --max-n."
        )
    if setting.max_n < MIN_RESPONSES:
        raise DataError(
            f"{setting.name}: most prompts have {setting.max_n} responses; {MIN_RESPONSES} are the least for a curve. "
            "Sample more with karat pool."
        )
    if not within_prompt_sd(setting.gold_of_curves) > 0:
        raise DataError(
            f"{setting.name}: {setting.gold} is equal for all responses of every prompt of the curves, so nothing can "
            "be gained or lost. Name another gold, or sample at a higher temperature."
        )


def _built_in(config: SyntheticConfig, progress: Progress | None) -> Setting:
    """The words world: its policy's own responses, and the gold that a program decides."""
    import torch

    from karat.policies import Policy, SamplingConfig

    if config.gold and config.gold != f"{words.__name__}:gold":
        raise InputError(f"gold = {config.gold!r}: the built-in world has its own. Give a POOL to name another.")
    policy = Policy.load(str(words.POLICY), name="the words world's policy", dtype=torch.float32)
    asked, held_out = words.prompts()[:WORLD_PAIR_PROMPTS], words.prompts()[words.TRAIN_PROMPTS :]
    sampling = SamplingConfig(max_new_tokens=words.MAX_WORDS)
    n_done = 0

    def sampled(prompts: Sequence[str], count: int, stream: int) -> tuple[Prompt, ...]:
        nonlocal n_done
        found = []
        for start in range(0, len(prompts), 8):
            some = prompts[start : start + 8]
            rows = policy.sample(
                [policy.prompt_ids(p) for p in some], count, config=sampling, seed=[config.seed, stream, start]
            )
            for prompt, row in zip(some, rows, strict=True):
                texts = tuple(response.text for response in row)
                gold_G = np.array(words.gold([prompt] * count, texts))
                found.append(Prompt(prompt, prompt, texts, gold_G))
            n_done += len(some) * count
            if progress:
                progress("sampling the policy", n_done, total, "responses")
        return tuple(found)

    max_n = config.max_n or config.samples
    if max_n > config.samples:
        raise InputError(f"max_n = {max_n} is more than the {config.samples} samples of a prompt. Raise --samples.")
    total = WORLD_PAIR_PROMPTS * PAIR_RESPONSES + WORLD_CURVE_PROMPTS * max_n
    pairs = sampled(asked, PAIR_RESPONSES, 2)
    curves = sampled(held_out[:WORLD_CURVE_PROMPTS], max_n, 3)
    setting = Setting(
        "built-in words world", f"{words.__name__}:gold", config.model or str(words.POLICY), pairs, curves, max_n,
        total, 0, 0, 0, None,
    )  # fmt: skip
    check_setting(setting)
    return setting
