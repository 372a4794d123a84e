"""Rating scales and the rating loss with gaps."""

from __future__ import annotations

import math

import numpy as np
import pytest

from karat.errors import InputError
from karat.numerics.attributes import fit_rating_scale, rating_loss

RATINGS = np.array([[1.0, 10.0], [3.0, math.nan], [math.nan, 30.0]])


def test_scale_by_hand() -> None:
    scale = fit_rating_scale(RATINGS, ("a", "b"))
    assert scale.mean_A == pytest.approx([2, 20])
    assert scale.spread_A == pytest.approx([math.sqrt(2), math.sqrt(200)])
    assert np.array_equal(np.isnan(scale.standardise(RATINGS)), np.isnan(RATINGS))
    assert scale.standardise(RATINGS)[0] == pytest.approx([-1 / math.sqrt(2), -1 / math.sqrt(2)])


def test_rating_loss_by_hand() -> None:
    # 1/A sum of the squared errors given: (4 + 1)/2, 9/2, nothing given
    head = np.array([[2.0, 0.0], [3.0, 5.0], [1.0, 1.0]])
    rating = np.array([[0.0, 1.0], [0.0, math.nan], [math.nan, math.nan]])
    assert rating_loss(head, rating) == pytest.approx([2.5, 4.5, 0.0])


def test_messages() -> None:
    with pytest.raises(InputError, match="attribute 'b': 2 of 3 responses are rated, all alike"):
        fit_rating_scale(np.array([[1.0, 2.0], [2.0, 2.0], [3.0, math.nan]]), ("a", "b"))
    with pytest.raises(InputError, match="attribute 'a': 0 of 1"):
        fit_rating_scale(np.array([[math.nan]]), ("a",))
    with pytest.raises(InputError, match="ratings of 'a': response 1 has inf"):
        fit_rating_scale(np.array([[1.0], [math.inf]]), ("a",))
    with pytest.raises(InputError, match=r"shape \(3, 2\), must be \(responses, 1\)"):
        fit_rating_scale(RATINGS, ("a",))
    with pytest.raises(InputError, match=r"both must be \(R, A\)"):
        rating_loss(RATINGS, RATINGS[:, :1])
    with pytest.raises(InputError, match="head_RA: response 1, attribute 1 is nan"):
        rating_loss(RATINGS, RATINGS)
