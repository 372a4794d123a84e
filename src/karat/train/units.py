"""Preference pairs as training units: one token tree each, with the pairs, labels and ratings that it carries.

Axes: P pairs, R responses (branches), T twins, H heads, A attributes, U units of a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from karat.errors import DataError
from karat.rewards.encoding import Encoded, Encoder
from karat.rewards.groups import Group, group_pairs
from karat.rewards.tree import TokenTree
from karat.train.augment import NO_EXTRAS, Extras
from karat.train.losses import PairBatch
from karat.types import AccountEntry, PreferencePair

GROUPS_PER_CALL = 512


class HasTree(Protocol):
    """A training unit, to the trainer: the tree that is run through the network."""

    @property
    def tree(self) -> TokenTree: ...


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
    twins: tuple[tuple[int, int], ...] = ()
    """Branches of which the second is a rewording of the first."""


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
        """Tokens of all pairs, and of all rewordings, as separate sequences, without padding (each pair computes its
        prompt twice)."""
        return sum(
            2 * len(unit.tree.root) + len(unit.tree.branches[c]) + len(unit.tree.branches[r])
            for unit in self.units
            for c, r in zip(unit.chosen, unit.rejected, strict=True)
        ) + sum(len(unit.tree.root) + len(unit.tree.branches[other]) for unit in self.units for _, other in unit.twins)


@dataclass(frozen=True, slots=True)
class _Item:
    """A group of responses that becomes a unit; `rows` of the pairs that were read, not of those added."""

    group: Group
    pairs: tuple[PreferencePair, ...]
    members: tuple[tuple[int, int, int], ...]
    twins: tuple[tuple[int, int], ...]
    rows: tuple[int, ...]


def build_units(
    pairs: Sequence[PreferencePair],
    encoder: Encoder,
    *,
    group: bool = False,
    attributes: Sequence[str] = (),
    extras: Extras = NO_EXTRAS,
) -> UnitSet:
    """Encode pairs, one unit per pair or (group) per prompt; what is added to a pair, and rewordings, are in its unit.

    Raises: DataError: not one pair could be encoded.
    """
    items = _items(pairs, extras, group=group)
    units: list[Unit] = []
    failed: dict[str, list[int]] = {}
    cut: dict[str, list[int]] = {}
    for start in range(0, len(items), GROUPS_PER_CALL):
        part = items[start : start + GROUPS_PER_CALL]
        trees = encoder.encode_each([item.group for item in part])
        for item, encoded in zip(part, trees, strict=True):
            if isinstance(encoded, DataError):
                failed.setdefault(str(encoded), []).extend(item.rows)
                continue
            for reason in _cuts(encoded, encoder.policy.max_length):
                cut.setdefault(reason, []).extend(item.rows)
            units.append(
                Unit(
                    tree=encoded.tree,
                    chosen=tuple(chosen for _, chosen, _ in item.members),
                    rejected=tuple(rejected for _, _, rejected in item.members),
                    label=tuple(pair.label for pair in item.pairs),
                    strength=tuple(pair.strength for pair in item.pairs),
                    prompt_id=item.pairs[0].prompt_id,
                    ratings_RA=_ratings(item.pairs, item.members, len(item.group.responses), attributes),
                    twins=item.twins,
                )
            )
    if not units:
        reason = next(iter(failed), "there are no pairs")
        raise DataError(f"none of {len(pairs)} pairs could be encoded: {reason}")
    entries = [_entry("dropped", reason, rows) for reason, rows in failed.items()]
    entries += [_entry("changed", reason, rows) for reason, rows in cut.items()]
    return UnitSet(tuple(units), tuple(entries))


def _items(pairs: Sequence[PreferencePair], extras: Extras, *, group: bool) -> list[_Item]:
    added = extras.added or ((),) * len(pairs)
    together = [[*pairs, *(pair for own in added for pair in own)]]
    batches = together if group else [[pair, *own] for pair, own in zip(pairs, added, strict=True)]
    items = []
    for batch in batches:
        n_read = len(pairs) if group else 1
        grouped = group_pairs(batch)
        for which, members in zip(grouped.groups, grouped.members, strict=True):
            with_twins, twins = _with_rewordings(which, extras)
            rows = tuple(batch[index].row for index, _, _ in members if index < n_read)
            items.append(_Item(with_twins, tuple(batch[index] for index, _, _ in members), members, twins, rows))
    return items


def _with_rewordings(group: Group, extras: Extras) -> tuple[Group, tuple[tuple[int, int], ...]]:
    """The group with the rewordings of its responses as further ones, and which belong together."""
    responses = dict(zip(group.responses, range(len(group.responses)), strict=True))
    twins = []
    for at, response in enumerate(group.responses):
        other = extras.rewordings.get((group.prompt, response))
        if other is not None:
            twins.append((at, responses.setdefault(other, len(responses))))
    return Group(group.prompt, tuple(responses), group.tools), tuple(twins)


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
    twins: list[tuple[int, int]] = []
    twin_weight: list[np.ndarray] = []
    offset = 0
    for unit in units:
        chosen += [offset + branch for branch in unit.chosen]
        rejected += [offset + branch for branch in unit.rejected]
        weight += [1.0 / (n_units * len(unit.chosen))] * len(unit.chosen)
        heads += [head_weight[unit.prompt_id]] * len(unit.chosen)
        for one, other in unit.twins:
            twins.append((offset + one, offset + other))
            twin_weight.append(head_weight[unit.prompt_id] / (n_units * len(unit.twins)))
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
        twins=torch.tensor(twins) if twins else None,
        twin_weight=torch.from_numpy(np.stack(twin_weight)).float() if twins else None,
    )
