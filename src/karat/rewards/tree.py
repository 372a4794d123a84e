"""Token trees: a prompt once, then one branch per response; packs of trees; and who may attend to whom.

A tree is a root (the tokens that all its sequences share) and B branches. Position ids restart at the end of the root
in each branch, and a token sees its ancestors only: the root up to itself, and its own branch up to itself. The forward
pass over a tree therefore gives each branch the hidden states that a separate pass over root + branch would give, and
computes the root once and no padding at all.

Axes: N tokens of a pack, T trees of a pack, B branches of a tree, R read positions of a pack.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from karat.errors import DataError, InputError

WHOLE_TREE_TOKENS = 192
"""Up to this many tokens a tree is one attention call: fewer calls are worth the masked half that they compute."""
CHUNK_TOKENS = 128
"""Short branches of a larger tree share one attention call up to about this many query tokens."""


@dataclass(frozen=True, slots=True)
class TokenTree:
    """A root and its branches, as token ids; at least one branch, and at least one token in each."""

    root: tuple[int, ...]
    branches: tuple[tuple[int, ...], ...]
    read: tuple[tuple[int, ...], ...] = ()
    """Per branch, the offsets within the branch at which the reward is read, ascending; empty: its last token."""

    def __post_init__(self) -> None:
        if not self.branches:
            raise InputError("a token tree needs at least one branch: give at least one response.")
        for index, branch in enumerate(self.branches):
            if not branch:
                raise InputError(f"branch {index} of the token tree is empty: the reward is read at its last token.")
        if self.read and len(self.read) != len(self.branches):
            raise InputError(
                f"read has {len(self.read)} entries for {len(self.branches)} branches; give one per branch."
            )

    @property
    def n_tokens(self) -> int:
        return len(self.root) + sum(map(len, self.branches))

    @property
    def longest(self) -> int:
        """Tokens of the longest root + branch."""
        return len(self.root) + max(map(len, self.branches))

    def read_offsets(self, branch: int) -> tuple[int, ...]:
        return self.read[branch] if self.read else (len(self.branches[branch]) - 1,)

    def n_reads(self, branches: Sequence[int]) -> int:
        """Positions of some branches at which the reward is read."""
        return sum(len(self.read[branch]) for branch in branches) if self.read else len(branches)

    @classmethod
    def from_sequences(
        cls, sequences: Sequence[Sequence[int]], reads: Sequence[Sequence[int]] | None = None
    ) -> TokenTree:
        """The tree of whole sequences: their longest common prefix is the root, the rest are branches.

        The prefix stops before the first token that is read, so that every branch keeps what it reads.
        Exact by construction: root + branch is the sequence that was given.

        Args:
            sequences: token ids, at least one token each.
            reads: per sequence, the positions in it to read at, ascending, at least one; None: its last token.
        """
        if min((len(sequence) for sequence in sequences), default=0) == 0:
            raise DataError("a sequence without tokens cannot be scored: prompt and response are both empty.")
        limit = min(len(sequence) for sequence in sequences) - 1
        if reads is not None:
            limit = min(limit, *(positions[0] for positions in reads))
        first = np.asarray(sequences[0][:limit])
        for other in sequences[1:]:
            differs = np.flatnonzero(first[:limit] != np.asarray(other[:limit]))
            if differs.size:
                limit = int(differs[0])
        return cls(
            root=tuple(map(int, sequences[0][:limit])),
            branches=tuple(tuple(map(int, sequence[limit:])) for sequence in sequences),
            read=() if reads is None else tuple(tuple(at - limit for at in positions) for positions in reads),
        )

    def subset(self, branches: Sequence[int]) -> TokenTree:
        """The same root with some of the branches."""
        read = tuple(self.read[index] for index in branches) if self.read else ()
        return TokenTree(self.root, tuple(self.branches[index] for index in branches), read)


@dataclass(frozen=True, slots=True)
class Block:
    """One attention call: query tokens [start, stop) see the keys [root_start, root_stop) and themselves, masked."""

    start: int
    stop: int
    root_start: int
    root_stop: int

    @property
    def root_tokens(self) -> int:
        return self.root_stop - self.root_start


@dataclass(slots=True)
class TreePack:
    """Trees laid end to end as one row of N tokens, ready for a forward pass.

    `tree_N` and `branch_N` say to which tree and branch a token belongs (branch -1 is the root); with `position_N` they
    define the attention mask (`may_attend`). `read_R` are the read positions, in the order of trees, then branches.
    """

    tokens_N: Tensor
    position_N: Tensor
    tree_N: Tensor
    branch_N: Tensor
    read_R: Tensor
    blocks: tuple[Block, ...]
    hidden_ND: Tensor | None = None
    """Cached activations of the frozen layers, when they were computed before."""
    masks: dict[tuple[str, int], object] = field(default_factory=dict)
    """Attention masks by (backend, window), built once per pack and shared by all layers."""

    @property
    def n_tokens(self) -> int:
        return self.tokens_N.numel()

    def may_attend(self, query: Tensor, key: Tensor, window: int) -> Tensor:
        """Whether token `query` (index into the pack) sees token `key`; index tensors that broadcast. window 0: none.

        Key and query in one tree, the key in the root or in the query's own branch, not after it, and (with a sliding
        window) fewer than `window` positions back, as separate sequences would have it.
        """
        branch_key = self.branch_N[key]
        on_path = (branch_key == -1) | (branch_key == self.branch_N[query])
        allowed = (self.tree_N[query] == self.tree_N[key]) & on_path & (key <= query)
        if window:
            return allowed & (self.position_N[query] - self.position_N[key] < window)
        return allowed

    def to(self, device: torch.device) -> TreePack:
        """The pack on a device; itself when it is there already."""
        if self.tokens_N.device == device:
            return self
        names = ("tokens_N", "position_N", "tree_N", "branch_N", "read_R")
        moved = {name: getattr(self, name).to(device, non_blocking=True) for name in names}
        hidden = None if self.hidden_ND is None else self.hidden_ND.to(device, non_blocking=True)
        return TreePack(**moved, blocks=self.blocks, hidden_ND=hidden)


def pack_trees(trees: Sequence[TokenTree], hidden: Sequence[np.ndarray] | None = None) -> TreePack:
    """Lay trees end to end.

    Args:
        trees: T trees, at least one.
        hidden: for each tree its cached activations, (tokens of the tree, D), when the lower layers are frozen.
    """
    tokens: list[int] = []
    position: list[np.ndarray] = []
    tree_of: list[np.ndarray] = []
    branch_of: list[np.ndarray] = []
    read: list[int] = []
    blocks: list[Block] = []
    for index, tree in enumerate(trees):
        start, n_root = len(tokens), len(tree.root)
        blocks += _blocks_of(tree, start)
        tokens += tree.root
        position.append(np.arange(n_root))
        branch_of.append(np.full(n_root, -1))
        for number, branch in enumerate(tree.branches):
            read += [len(tokens) + offset for offset in tree.read_offsets(number)]
            tokens += branch
            position.append(np.arange(n_root, n_root + len(branch)))
            branch_of.append(np.full(len(branch), number))
        tree_of.append(np.full(len(tokens) - start, index))
    return TreePack(
        tokens_N=torch.tensor(tokens, dtype=torch.long),
        position_N=torch.from_numpy(np.concatenate(position)),
        tree_N=torch.from_numpy(np.concatenate(tree_of)),
        branch_N=torch.from_numpy(np.concatenate(branch_of)),
        read_R=torch.tensor(read, dtype=torch.long),
        blocks=tuple(blocks),
        hidden_ND=None if hidden is None else torch.from_numpy(np.concatenate(hidden)),
    )


def _blocks_of(tree: TokenTree, start: int) -> list[Block]:
    """The attention calls of one tree whose first token sits at `start` of the pack."""
    n_root = len(tree.root)
    if tree.n_tokens <= WHOLE_TREE_TOKENS or len(tree.branches) == 1:
        return [Block(start, start + tree.n_tokens, start, start)]
    root = (start, start + n_root)
    blocks = [Block(*root, start, start)] if n_root else []
    at = chunk_start = root[1]
    for branch in tree.branches:
        if at > chunk_start and at + len(branch) - chunk_start > CHUNK_TOKENS:
            blocks.append(Block(chunk_start, at, *root))
            chunk_start = at
        at += len(branch)
    blocks.append(Block(chunk_start, at, *root))
    return blocks


@dataclass(frozen=True, slots=True)
class Piece:
    """A tree, or some branches of a tree that is too large for one pack."""

    tree: int
    branches: tuple[int, ...]


def plan_packs(trees: Sequence[TokenTree], tokens_per_pack: int) -> list[list[Piece]]:
    """Divide trees into packs of at most `tokens_per_pack` tokens, in order; memory is bounded by the pack.

    A tree that is larger than a pack is split between branches and its root computed again in each piece; only a single
    branch longer than the budget exceeds it (the caller bounds sequence length when it encodes).
    """
    packs: list[list[Piece]] = []
    room = 0
    for index, tree in enumerate(trees):
        for piece, size in _pieces_of(tree, index, tokens_per_pack):
            if not packs or size > room:
                packs.append([])
                room = tokens_per_pack
            packs[-1].append(piece)
            room -= size
    return packs


def _pieces_of(tree: TokenTree, index: int, budget: int) -> Iterable[tuple[Piece, int]]:
    if tree.n_tokens <= budget:
        yield Piece(index, tuple(range(len(tree.branches)))), tree.n_tokens
        return
    held: list[int] = []
    size = len(tree.root)
    for number, branch in enumerate(tree.branches):
        if held and size + len(branch) > budget:
            yield Piece(index, tuple(held)), size
            held, size = [], len(tree.root)
        held.append(number)
        size += len(branch)
    yield Piece(index, tuple(held)), size
