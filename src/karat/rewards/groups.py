"""Prompts with their responses: the unit that rewards score, so that a prompt is computed once.

Axes: P pairs, H heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from karat.types import NAN, PreferencePair, Text, TokenIds

if TYPE_CHECKING:
    from karat.rewards.protocol import Reward


@dataclass(frozen=True, slots=True)
class Group:
    """A prompt and the responses to it, all of one kind of text."""

    prompt: Text
    responses: tuple[Text, ...]
    tools: str = ""


def last_text(text: Text) -> str:
    """A text as one string; of a conversation, its last message; of token ids, their numbers."""
    if isinstance(text, TokenIds):
        return " ".join(map(str, text.ids))
    if isinstance(text, str):
        return text
    return text[-1].content if text else ""


@dataclass(frozen=True, slots=True)
class GroupedPairs:
    """Pairs by prompt. `members[g]`: (pair, chosen, rejected), a pair's index and its responses' indices in group g."""

    groups: tuple[Group, ...]
    members: tuple[tuple[tuple[int, int, int], ...], ...]


def group_pairs(pairs: Sequence[PreferencePair]) -> GroupedPairs:
    """Pairs of the same prompt become one group with each distinct response once, in order of first appearance."""
    at: dict[tuple[Text, str], int] = {}
    responses: list[dict[Text, int]] = []
    members: list[list[tuple[int, int, int]]] = []
    for index, pair in enumerate(pairs):
        group = at.setdefault((pair.prompt, pair.tools), len(at))
        if group == len(responses):
            responses.append({})
            members.append([])
        seen = responses[group]
        chosen = seen.setdefault(pair.chosen, len(seen))
        rejected = seen.setdefault(pair.rejected, len(seen))
        members[group].append((index, chosen, rejected))
    groups = tuple(Group(prompt, tuple(seen), tools) for (prompt, tools), seen in zip(at, responses, strict=True))
    return GroupedPairs(groups, tuple(map(tuple, members)))


@dataclass(frozen=True, slots=True)
class PairScores:
    """Scores of both sides of P pairs; NaN where missing, with the reason in `missing` (by pair index)."""

    chosen_P: np.ndarray
    rejected_P: np.ndarray
    missing: dict[int, str]


def score_pairs(reward: Reward, pairs: Sequence[PreferencePair], *, groups_per_call: int = 256) -> PairScores:
    """Scores of pairs by any reward; each distinct response to a prompt is scored once."""
    grouped = group_pairs(pairs)
    chosen_P, rejected_P = np.full(len(pairs), NAN), np.full(len(pairs), NAN)
    missing: dict[int, str] = {}
    for start in range(0, len(grouped.groups), groups_per_call):
        scores = reward.score(grouped.groups[start : start + groups_per_call])
        for members, score_B in zip(grouped.members[start : start + groups_per_call], scores, strict=True):
            for pair, chosen, rejected in members:
                chosen_P[pair], rejected_P[pair] = score_B[chosen].value, score_B[rejected].value
                reason = score_B[chosen].missing or score_B[rejected].missing
                if reason:
                    missing[pair] = reason
    return PairScores(chosen_P, rejected_P, missing)
