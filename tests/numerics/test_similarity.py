"""Similarity of texts: hand values, self left out, and independence from what else is compared."""

from __future__ import annotations

import math

import numpy as np
import pytest

from karat.errors import InputError
from karat.numerics.similarity import mean_text_similarity, mean_vector_similarity


def test_hand_value() -> None:
    """Text "a" is the one n-gram " a "; references "a" and "b" share none, so each idf is log(3/2) + 1."""
    assert mean_text_similarity(["a", "b", "c"], ["a", "b"]).tolist() == [0.0, 0.0, 0.0]
    assert mean_text_similarity(["c"], ["c", "c", "b"]) == pytest.approx([0.5])  # one copy is itself, one is alike
    # "ab" has " ab" and "ab "; "abc" has " ab", "abc", "bc ": of K = 2 references both hold " ab", one each the others
    rare = math.log(3 / 2) + 1
    cosine = 1 / math.sqrt((1 + rare**2) * (1 + 2 * rare**2))
    assert mean_text_similarity(["ab"], ["ab", "abc"]) == pytest.approx([cosine])


def test_case_and_white_space_do_not_count() -> None:
    a, b = mean_text_similarity(["The  same\nWords", "the same words"], ["the same words too", "others here"])
    assert a == pytest.approx(b)


def test_a_text_is_measured_by_itself() -> None:
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abcd efg"), 40)) for _ in range(30)]
    together = mean_text_similarity(texts, texts[:8])
    alone = [mean_text_similarity([text], texts[:8])[0] for text in texts]
    assert together == pytest.approx(alone)
    assert np.all((together >= 0) & (together <= 1))


def test_an_empty_text_is_like_nothing() -> None:
    assert mean_text_similarity(["", "\ud800"], ["", "abc", "abd"])[0] == 0
    assert np.isfinite(mean_text_similarity(["", "x"], ["", ""])).all()


def test_vectors_give_the_mean_cosine_without_the_response_itself() -> None:
    vector = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    found = mean_vector_similarity(vector, vector[:2], ["a", "b", "c"], ["a", "b"])
    assert found == pytest.approx([0.0, 0.0, 0.7])


def test_one_reference_is_too_few() -> None:
    with pytest.raises(InputError, match="1 reference responses: similarity needs two or more"):
        mean_text_similarity(["a"], ["a"])
