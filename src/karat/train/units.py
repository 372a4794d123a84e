"""Preference pairs as training units: one token tree each, with the pairs, labels and ratings that it carries.

Axes: P pairs, R responses (branches), H heads, A attributes, U units of a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from karat.errors import DataError
from karat.rewards.encoding import Encoded, Encoder
from karat.rewards.groups import group_pairs
from karat.rewards.tree import TokenTree
from karat.train.losses import PairBatch
from karat.types import AccountEntry, PreferencePair

GROUPS_PER_CALL = 512


@dataclass(frozen=True, slots=True)
class Unit:
    """A tree and its pairs: one pair, or all pairs of a prompt."""

    tree: TokenTree
    chosen: tuple[int, ...]
    """Branch of the preferred response, per pair."""
    rejected: tuple[int, ...]
    label: tuple[float, ...]
    strength: tuple[float, ...]
    prompt_id: str
    ratings_RA: np.ndarray | None = None
    """Attribute ratings per branch, NaN where missing."""


@dataclass(frozen=True, slots=True)
class UnitSet:
    """Units and what encoding them dropped or cut."""

    units: tuple[Unit, ...]
    entries: tuple[AccountEntry, ...]

    @property
    def n_tokens(self) -> int:
        return sum(unit.tree.n_tokens for unit in self.units)

    @property
    def n_pairs(self) -> int:
        return sum(len(unit.chosen) for unit in self.units)

    @property
    def n_padded_tokens(self) -> int:
        """Tokens of all pairs as separate sequences, without padding (each pair computes its prompt twice)."""
        return sum(
            2 * len(unit.tree.root) + len(unit.tree.branches[c]) + len(unit.tree.branches[r])
            for unit in self.units
            for c, r in zip(unit.chosen, unit.rejected, strict=True)
        )


def build_units(
    pairs: Sequence[PreferencePair], encoder: Encoder, *, group: bool = False, attributes: Sequence[str] = ()
) -> UnitSet:
    """Encode pairs, one unit per pair or (group) per prompt.

    Raises: DataError: not one pair could be encoded.
    """
    grouped = [group_pairs(pairs)] if group else [group_pairs([pair]) for pair in pairs]
    items = [
        ([pairs[index] for index, _, _ in members] if group else [pairs[number]], which, members)
        for number, single in enumerate(grouped)
        for which, members in zip(single.groups, single.members, strict=True)
    ]
    units: list[Unit] = []
    failed: dict[str, list[int]] = {}
    cut: dict[str, list[int]] = {}
    for start in range(0, len(items), GROUPS_PER_CALL):
        part = items[start : start + GROUPS_PER_CALL]
        trees = encoder.encode_each([which for _, which, _ in part])
        for (members_pairs, which, members), encoded in zip(part, trees, strict=True):
            rows = [pair.row for pair in members_pairs]
            if isinstance(encoded, DataError):
                failed.setdefault(str(encoded), []).extend(rows)
                continue
            for reason in _cuts(encoded, encoder.policy.max_length):
                cut.setdefault(reason, []).extend(rows)
            units.append(
                Unit(
                    tree=encoded.tree,
                    chosen=tuple(chosen for _, chosen, _ in members),
                    rejected=tuple(rejected for _, _, rejected in members),
                    label=tuple(pair.label for pair in members_pairs),
                    strength=tuple(pair.strength for pair in members_pairs),
                    prompt_id=members_pairs[0].prompt_id,
                    ratings_RA=_ratings(members_pairs, members, len(which.responses), attributes),
                )
            )
    if not units:
        reason = next(iter(failed), "there are no pairs")
        raise DataError(f"none of {len(pairs)} pairs could be encoded: {reason}")
    entries = [_entry("dropped", reason, rows) for reason, rows in failed.items()]
    entries += [_entry("changed", reason, rows) for reason, rows in cut.items()]
    return UnitSet(tuple(units), tuple(entries))


def _cuts(encoded: Encoded, max_length: int) -> list[str]:
    reasons = []
    if encoded.turns_dropped:
        reasons.append(f"longer than {max_length} tokens: oldest turns dropped")
    if encoded.prompt_tokens_cut:
        reasons.append(f"longer than {max_length} tokens: oldest prompt tokens cut")
    if encoded.response_tokens_cut:
        reasons.append(f"longer than {max_length} tokens: end of a response cut")
    return reasons


def _entry(action: str, reason: str, rows: Sequence[int]) -> AccountEntry:
    return AccountEntry(action, reason, len(rows), tuple(rows[:5]))  # type: ignore[arg-type]


def _ratings(
    pairs: Sequence[PreferencePair], members: Sequence[tuple[int, int, int]], n_responses: int, names: Sequence[str]
) -> np.ndarray | None:
    """Ratings by response and attribute, (R, A); the first rating of a response that is there wins."""
    if not names:
        return None
    ratings_RA = np.full((n_responses, len(names)), np.nan)
    for pair, (_, chosen, rejected) in zip(pairs, members, strict=True):
        for branch, stated in ((chosen, pair.chosen_attributes), (rejected, pair.rejected_attributes)):
            row_A = np.array([stated.get(name, np.nan) for name in names], dtype=float)
            ratings_RA[branch] = np.where(np.isnan(ratings_RA[branch]), row_A, ratings_RA[branch])
    return ratings_RA


def bootstrap_weights(prompt_ids: Sequence[str], n_heads: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Per prompt, one weight per head, (H,): a Bayesian bootstrap over prompts (Rubin 1981), mean 1 in each head.

    One head gets weight 1 everywhere: a single head has nothing to differ from.
    """
    distinct = sorted(set(prompt_ids))
    if n_heads == 1:
        return {prompt: np.ones(1) for prompt in distinct}
    weight_UH = rng.exponential(size=(len(distinct), n_heads))
    weight_UH /= weight_UH.mean(axis=0)
    return dict(zip(distinct, weight_UH, strict=True))


def pair_batch(units: Sequence[Unit], n_units: int, head_weight: dict[str, np.ndarray]) -> PairBatch:
    """The pairs of some of a step's units; each of the step's `n_units` units weighs the same, whatever its pairs."""
    chosen: list[int] = []
    rejected: list[int] = []
    weight: list[float] = []
    heads: list[np.ndarray] = []
    offset = 0
    for unit in units:
        chosen += [offset + branch for branch in unit.chosen]
        rejected += [offset + branch for branch in unit.rejected]
        weight += [1.0 / (n_units * len(unit.chosen))] * len(unit.chosen)
        heads += [head_weight[unit.prompt_id]] * len(unit.chosen)
        offset += len(unit.tree.branches)
    ratings = [unit.ratings_RA for unit in units if unit.ratings_RA is not None]
    return PairBatch(
        chosen=torch.tensor(chosen),
        rejected=torch.tensor(rejected),
        label=torch.tensor([label for unit in units for label in unit.label], dtype=torch.float32),
        strength=torch.tensor([value for unit in units for value in unit.strength], dtype=torch.float32),
        weight=torch.tensor(weight, dtype=torch.float32),
        head_weight=torch.from_numpy(np.stack(heads)).float(),
        ratings=torch.from_numpy(np.concatenate(ratings)).float() if ratings else None,
    )
