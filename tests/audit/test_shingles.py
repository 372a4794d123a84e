"""Words, keys, shingles and signatures of texts, against plain Python."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karat.audit.data.near import Plan, band_hashes, jaccard, near_groups, near_matches, plan_for
from karat.audit.data.shingles import TURN_LABELS, joined, keys_of, shingles_of, signatures, words_of

TEXT = st.text(alphabet="aAbB ße\n\t\u00a0\u3000é😀.", max_size=30)


def column(*texts: str) -> pa.Array:
    return pa.array(texts, pa.large_string())


def plain_words(text: str) -> list[str]:
    return [word for word in text.lower().split() if word not in TURN_LABELS]


@settings(max_examples=100)
@given(st.lists(TEXT, min_size=1, max_size=6))
def test_texts_have_equal_keys_when_their_words_are_equal(texts: list[str]) -> None:
    keys = keys_of(words_of(column(*texts)))
    words = [plain_words(text) for text in texts]
    assert words_of(column(*texts)).counts.tolist() == [len(each) for each in words]
    assert [[a == b for b in keys] for a in keys] == [[a == b for b in words] for a in words]


def test_case_white_space_and_turn_labels_do_not_count() -> None:
    keys = keys_of(
        words_of(column("\n\nHuman: What is  it?\n\nAssistant:", "what IS it?", "user: what is\u00a0it?", "what is it"))
    )
    assert keys[0] == keys[1] == keys[2] != keys[3]
    assert keys_of(words_of(column("", " \n", "Assistant:"))).tolist() == [0, 0, 0]


def test_characters_of_scripts_without_spaces_are_words() -> None:
    assert words_of(column("你好 世界abc", "日本語だ", "สวัสดี", "한국어 말")).counts.tolist() == [5, 4, 6, 2]


def test_a_slice_of_a_column_has_the_words_of_its_rows() -> None:
    texts = column("one two", "three", "", "four five six")
    whole, part = words_of(texts), words_of(texts.slice(1, 3))
    assert part.counts.tolist() == [1, 0, 3]
    assert (part.hash_T == whole.hash_T[2:]).all()


def test_shingles_are_successive_words_and_a_short_text_is_one() -> None:
    found = shingles_of(words_of(column("a b c", "a", "", "b c", "c b")))
    hashes = [set(found.hash_S[low:high].tolist()) for low, high in zip(found.start_R, found.start_R[1:], strict=False)]
    assert [len(each) for each in hashes] == [2, 1, 0, 1, 1]
    assert hashes[3] < hashes[0]
    assert not hashes[4] & hashes[0]
    longer = shingles_of(words_of(column("a b c d", "b c d", "b c")), 3)
    assert np.diff(longer.start_R).tolist() == [2, 1, 1]
    assert longer.hash_S[1] == longer.hash_S[2]


def test_two_lists_of_shingles_join_row_by_row() -> None:
    first, second = (shingles_of(words_of(column(*texts))) for texts in (("a b c", ""), ("d e", "f g h")))
    both = joined(first, second)
    assert both.start_R.tolist() == [0, 3, 5]
    assert both.hash_S.tolist() == [*first.hash_S, *second.hash_S]


def test_the_jaccard_index_of_pairs_of_texts() -> None:
    left = pa.chunked_array([column("a b c d", "x"), column("", "a b a b a b")])
    right = pa.chunked_array([column("b c d e", ""), column("", "a b a")])
    found = jaccard(left, np.array([0, 1, 2, 3, 0]), right, np.array([0, 1, 2, 3, 2]))
    # {ab bc cd} and {bc cd de}: 2 of 4; one text empty; both empty; {ab ba} twice; one empty
    assert found.tolist() == [0.5, 0.0, 1.0, 1.0, 0.0]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcde"), max_size=9).map(" ".join), min_size=2, max_size=8))
def test_the_jaccard_index_is_that_of_sets_of_word_pairs(texts: list[str]) -> None:
    def shingles(text: str) -> set[tuple[str, ...]]:
        words = text.split()
        return set(pairwise(words)) or {tuple(words)} - {()}

    texts_R = pa.chunked_array([column(*texts)])
    left, right = (index.ravel() for index in np.indices((len(texts), len(texts))))
    for found, i, j in zip(jaccard(texts_R, left, texts_R, right), left, right, strict=True):
        one, other = shingles(texts[i]), shingles(texts[j])
        assert found == pytest.approx(len(one & other) / len(one | other) if one | other else 1.0)


def edited(words: np.ndarray, n: int, rng: np.random.Generator) -> str:
    changed = words.copy()
    changed[rng.choice(words.size, n, replace=False)] = [f"new{number}" for number in rng.integers(0, 10**6, n)]
    return " ".join(changed)


def test_signatures_agree_as_often_as_the_jaccard_index_says() -> None:
    rng = np.random.default_rng(0)
    words = rng.choice([f"w{number}" for number in range(3000)], (1500, 40))
    left = pa.chunked_array([column(*map(" ".join, words))])
    right = pa.chunked_array([column(*(edited(row, 3, rng) for row in words))])
    index = jaccard(left, np.arange(1500), right, np.arange(1500))
    sign = [signatures(shingles_of(words_of(side.chunk(0))), 64, seed=1) for side in (left, right)]
    assert (sign[0] == sign[1]).mean() == pytest.approx(index.mean(), abs=0.006)  # 5 standard errors of 96,000 slots
    for plan in (Plan(8, (8,)), Plan(4, (16,))):
        found = (band_hashes([sign[0]], plan) == band_hashes([sign[1]], plan)).any(axis=1).mean()
        assert found == pytest.approx(np.mean([plan.recall(float(each)) for each in index]), abs=0.05)


def test_the_plan_has_the_recall_that_is_asked_for() -> None:
    assert plan_for(0.8, 1).recall(0.8) > 0.99
    assert plan_for(0.8, 2).recall(0.8, 0.8) == pytest.approx(1 - (1 - 0.8**6) ** 16)
    assert plan_for(0.5, 2).recall(0.5, 0.5) > 0.99
    assert plan_for(0.95, 1).bands < plan_for(0.8, 1).bands


def test_groups_join_what_checks_connect_and_nothing_else() -> None:
    band_DB = np.array([[1, 9], [1, 5], [2, 5], [3, 7], [1, 8]], np.uint64)
    asked = []

    def check(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        asked.extend(zip(left.tolist(), right.tolist(), strict=True))
        return (left + right) != 4  # 0 and 4 are candidates, but not near

    groups = near_groups(band_DB, check)
    assert groups.first_D.tolist() == [0, 0, 0, 3, 0]  # 4 hangs on 1
    assert groups.is_complete
    assert all(3 not in pair for pair in asked)


def test_matches_are_checked_ones_of_the_same_bucket() -> None:
    left, right = np.array([[1], [2], [4]], np.uint64), np.array([[2], [1], [1]], np.uint64)
    assert near_matches(left, right, lambda i, j: j != 1).tolist() == [2, 0, -1]
    assert near_matches(left, right[:0], lambda i, j: j >= 0).tolist() == [-1, -1, -1]


def test_a_search_with_too_many_candidates_is_cut_short_and_says_so() -> None:
    band_DB = np.zeros((300, 16), np.uint64)  # everything is a candidate of everything, and nothing is near
    groups = near_groups(band_DB, lambda left, right: np.zeros(left.size, np.bool_))
    assert not groups.is_complete
