"""Any reward as a reward function of TRL's GRPOTrainer and RLOOTrainer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Protocol

from karat.errors import InputError
from karat.rewards.groups import Group
from karat.rewards.kinds import load_reward
from karat.rewards.protocol import Reward
from karat.types import Message, Text


class RewardFunction(Protocol):
    """TRL's reward function, called by keyword; its __name__ is the metric's."""

    __name__: str

    def __call__(self, *, prompts: Sequence[Any], completions: Sequence[Any], **kwargs: Any) -> list[float | None]: ...


def trl_reward(reward: str | Reward, *, name: str = "") -> RewardFunction:
    """A function with TRL's signature: f(prompts=..., completions=..., **columns) -> list of float or None.

    Neighbouring rows with one prompt, as TRL lays out the generations of a prompt, are scored as one group: a reward
    model computes the prompt once. A missing score is None, which TRL leaves out; where TRL gives `log_metric`, the
    share of None is logged as NAME/missing.

    Args:
        reward: a reward, or the text that names one (`karat.rewards.load_reward`).
        name: of the function, hence of TRL's metric `rewards/NAME/mean`; made from the reward's name when empty. TRL
            merges functions of one name without a word, so name two rewards apart.
    Raises: InputError: the text names no reward; when called, a number of completions other than that of prompts.
    """
    scorer = load_reward(reward) if isinstance(reward, str) else reward
    chosen = name or _metric_name(scorer.name)

    def score(*, prompts: Sequence[Any], completions: Sequence[Any], **kwargs: Any) -> list[float | None]:
        if len(prompts) != len(completions):
            raise InputError(f"{len(prompts)} prompts and {len(completions)} completions: give one of each per row.")
        values = _score_rows(scorer, prompts, completions)
        log_metric: Callable[[str, float], None] | None = kwargs.get("log_metric")
        if log_metric and values:
            log_metric(f"{chosen}/missing", sum(value is None for value in values) / len(values))
        return values

    score.__name__ = score.__qualname__ = chosen
    return score


def _score_rows(scorer: Reward, prompts: Sequence[Any], completions: Sequence[Any]) -> list[float | None]:
    rows = [
        (index, prompt, response)
        for index, pair in enumerate(zip(prompts, completions, strict=True))
        for prompt, response in [(as_text(pair[0]), as_text(pair[1]))]
        if prompt is not None and response is not None
    ]
    runs = [list(run) for _, run in groupby(rows, key=itemgetter(1))]
    groups = [Group(run[0][1], tuple(response for _, _, response in run)) for run in runs]
    values: list[float | None] = [None] * len(prompts)
    for run, scores in zip(runs, scorer.score(groups) if groups else [], strict=True):
        for (index, _, _), found in zip(run, scores, strict=True):
            values[index] = None if found.is_missing else found.value
    return values


def as_text(value: Any) -> Text | None:
    """TRL's text or conversation; None for what is not text alone (images, a tool call without words, nothing)."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list | tuple) or not all(isinstance(turn, Mapping) for turn in value):
        return None
    turns = [(turn.get("role"), turn.get("content")) for turn in value]
    if not all(isinstance(role, str) and isinstance(content, str) for role, content in turns):
        return None
    return tuple(Message(role, content) for role, content in turns)


def _metric_name(name: str) -> str:
    stem = Path(name).name if Path(name).exists() else name
    return re.sub(r"\W+", "_", stem).strip("_") or "karat"
