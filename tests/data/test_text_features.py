"""Surface features of a response: each one counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from karat.data.text_features import FEATURES, count_features, features_of


def of(text: str) -> dict[str, float]:
    return dict(zip(FEATURES, count_features(text), strict=True))


def test_every_feature_of_one_response() -> None:
    text = (
        "Great question! I'm sorry, as an AI I **may** not: see http://x.y or [a](b).\n"
        "# Head\n- one\n2. two\n```py\n12\n```\nCertainly, thank you?"
    )
    found = of(text)
    assert found == {
        "length, characters": len(text),
        "length, words": 26,
        "lines": 8,
        "list items": 2,
        "headers": 1,
        "bold spans": 1,
        "code fences": 1,
        "links": 2,
        "digits": 3,
        "exclamation marks": 1,
        "question marks": 1,
        "non-ASCII, share": 0,
        "distinct words, share": 1,
        "repeated triples, share": 0,
        "praise at the start": 1,
        '"as an AI"': 1,
        "first person words": 2,
        "apology words": 1,
        "hedging words": 1,
        "confidence words": 1,
        "politeness words": 1,
        "refusal phrases": 0,
    }


@pytest.mark.parametrize(
    ("text", "feature", "value"),
    [
        ("That's a really good point.", "praise at the start", 1),
        ("You are absolutely right!", "praise at the start", 1),
        ("What is it?", "praise at the start", 0),
        ("The great war", "praise at the start", 0),
        ("one two one two one two", "repeated triples, share", 0.5),  # of 4 triples, 2 differ
        ("é\u4e00ab", "non-ASCII, share", 0.5),
        ("PERHAPS, (maybe) it's probably.", "hedging words", 3),
        ("#hashtag", "headers", 0),
        ("a - b", "list items", 0),
        ("a_mayor", "hedging words", 0),
        ("I can't help with that. I'm not able to provide it.", "refusal phrases", 2),
        ("I’m sorry, but I cannot assist.", "refusal phrases", 1),
        ("I am not comfortable with this. I can't really help.", "refusal phrases", 2),
        ("I can't believe it, and you cannot help it", "refusal phrases", 0),
        ("I will not stop; able to help", "refusal phrases", 0),
    ],
)
def test_what_counts_and_what_only_looks_like_it(text: str, feature: str, value: float) -> None:
    assert of(text)[feature] == value


def test_a_share_of_nothing_is_the_mean_of_the_others() -> None:
    assert math.isnan(of("")["distinct words, share"])
    found = features_of(["", "a a", "a b"])
    assert found[:, FEATURES.index("distinct words, share")].tolist() == [0.75, 0.5, 1.0]
    assert found[:, FEATURES.index("repeated triples, share")].tolist() == [0.0, 0.0, 0.0]
    assert features_of([]).shape == (0, len(FEATURES))
    assert np.isfinite(features_of([""])).all()
