"""The token tree: what it holds, how it is packed, and that no token sees what it must not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from karat.errors import InputError
from karat.rewards.tree import TokenTree, pack_trees, plan_packs

tokens = st.lists(st.integers(0, 9), max_size=8).map(tuple)
branches = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=8).map(tuple), min_size=1, max_size=5).map(tuple)
trees = st.builds(TokenTree, tokens, branches)


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=9), min_size=1, max_size=5))
def test_root_plus_branch_is_the_sequence(sequences: list[list[int]]) -> None:
    tree = TokenTree.from_sequences(sequences)
    assert [list(tree.root + branch) for branch in tree.branches] == sequences


def test_prefix_leaves_every_branch_a_token() -> None:
    tree = TokenTree.from_sequences([[5, 6, 7], [5, 6, 7], [5, 6, 7, 8]])
    assert tree.root == (5, 6)
    assert tree.branches == ((7,), (7,), (7, 8))


def test_shared_start_of_responses_is_computed_once() -> None:
    assert TokenTree.from_sequences([[1, 2, 3, 4], [1, 2, 3, 5]]).n_tokens == 5


@given(st.lists(trees, min_size=1, max_size=4))
def test_mask_is_the_mask_of_separate_sequences(items: list[TokenTree]) -> None:
    """Each token sees exactly its ancestors: the root up to itself and its own branch up to itself."""
    pack = pack_trees(items)
    index = torch.arange(pack.n_tokens)
    allowed = pack.may_attend(index[:, None], index[None, :], 0).numpy()
    expected = np.zeros_like(allowed)
    start = 0
    for tree in items:
        n_root = len(tree.root)
        root = list(range(start, start + n_root))
        at = start + n_root
        for i, token in enumerate(root):
            expected[token, root[: i + 1]] = True
        for branch in tree.branches:
            path = root + list(range(at, at + len(branch)))
            for i in range(n_root, len(path)):
                expected[path[i], path[: i + 1]] = True
            at += len(branch)
        start = at
    np.testing.assert_array_equal(allowed, expected)


@given(st.lists(trees, min_size=1, max_size=4))
def test_positions_restart_at_the_end_of_the_root(items: list[TokenTree]) -> None:
    pack = pack_trees(items)
    expected: list[int] = []
    for tree in items:
        expected += range(len(tree.root))
        for branch in tree.branches:
            expected += range(len(tree.root), len(tree.root) + len(branch))
    assert pack.position_N.tolist() == expected


@given(st.lists(trees, min_size=1, max_size=4))
def test_reads_are_the_last_tokens_of_branches(items: list[TokenTree]) -> None:
    pack = pack_trees(items)
    assert pack.tokens_N[pack.read_R].tolist() == [branch[-1] for tree in items for branch in tree.branches]


@given(st.lists(trees, min_size=1, max_size=4))
def test_blocks_cover_every_token_once_and_in_order(items: list[TokenTree]) -> None:
    pack = pack_trees(items)
    covered = [token for block in pack.blocks for token in range(block.start, block.stop)]
    assert covered == list(range(pack.n_tokens))


def test_several_reads_on_one_branch() -> None:
    pack = pack_trees([TokenTree((1, 2), ((3, 4, 5), (6,)), read=((0, 2), (0,)))])
    assert pack.tokens_N[pack.read_R].tolist() == [3, 5, 6]


@settings(max_examples=50)
@given(st.lists(trees, min_size=1, max_size=6), st.integers(1, 30))
def test_packs_hold_every_branch_once_within_the_budget(items: list[TokenTree], budget: int) -> None:
    packs = plan_packs(items, budget)
    seen = [(piece.tree, branch) for pack in packs for piece in pack for branch in piece.branches]
    assert seen == [(index, branch) for index, tree in enumerate(items) for branch in range(len(tree.branches))]
    for pack in packs:
        size = sum(items[piece.tree].subset(piece.branches).n_tokens for piece in pack)
        alone = len(pack) == 1 and len(pack[0].branches) == 1  # a single branch over the budget has nowhere to go
        assert size <= budget or alone


def test_empty_branch_is_refused() -> None:
    with pytest.raises(InputError, match="branch 1 of the token tree is empty"):
        TokenTree((1,), ((2,), ()))


def test_no_branch_is_refused() -> None:
    with pytest.raises(InputError, match="at least one branch"):
        TokenTree((1,), ())


def test_no_tokens_at_all_is_refused() -> None:
    with pytest.raises(InputError, match="prompt and response are both empty"):
        TokenTree.from_sequences([[], [1]])
