"""The length trend: planted ones come back, prompts do not matter, and beyond what was seen it is constant."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from karat.errors import InputError
from karat.numerics.length_trend import Kind, LengthTrend, fit_length_trend

PROMPT = np.repeat(np.arange(60), 30)
KINDS: tuple[Kind, ...] = ("lowess", "isotonic")


def draw(trend: Callable[[np.ndarray], np.ndarray], seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Score, length and rest; a prompt's length and its effect go together, which must not count."""
    rng = np.random.default_rng(seed)
    usual = rng.normal(0, 0.8, 60)[PROMPT]
    length = np.round(np.exp(4 + usual + 0.5 * rng.standard_normal(PROMPT.size)))
    rest = 0.5 * rng.standard_normal(PROMPT.size)
    return trend(length) - 5 * usual + rest, length, rest


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_planted_trend_comes_back(kind: Kind, sign: float) -> None:
    def planted(length: np.ndarray) -> np.ndarray:
        return sign * 2 * np.tanh(np.log(length) - 4)

    score, length, _ = draw(planted)
    departure = fit_length_trend(score, length, PROMPT, kind)(length) - planted(length)
    assert np.std(departure) < 0.15
    inner = np.quantile(length, [0.05, 0.95])
    assert np.std(departure[(length > inner[0]) & (length < inner[1])]) < 0.1


def test_a_trend_that_rises_and_falls_needs_lowess() -> None:
    def planted(length: np.ndarray) -> np.ndarray:
        return -2 * (np.log(length) - 4) ** 2

    score, length, _ = draw(planted)
    error = {kind: np.std(fit_length_trend(score, length, PROMPT, kind)(length) - planted(length)) for kind in KINDS}
    assert error["lowess"] < 0.5 * error["isotonic"]
    trend = fit_length_trend(score, length, PROMPT, "isotonic")
    step = np.diff(trend.value_K)
    assert (step >= -1e-12).all() or (step <= 1e-12).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_function_of_the_prompt_changes_nothing(kind: Kind) -> None:
    score, length, _ = draw(np.sqrt)
    first = fit_length_trend(score, length, PROMPT, kind)
    again = fit_length_trend(score + 100 * np.sin(PROMPT), length, PROMPT, kind)
    assert again(length) == pytest.approx(first(length), abs=0.02 * np.std(score))


def test_outliers_do_not_bend_the_smooth_trend() -> None:
    score, length, _ = draw(np.log)
    clean = fit_length_trend(score, length, PROMPT, "lowess")(length)
    spoilt = score + 40 * (np.random.default_rng(3).random(score.size) < 0.02) * (length > np.median(length))
    assert np.std(fit_length_trend(spoilt, length, PROMPT, "lowess")(length) - clean) < 0.1


def test_between_knots_straight_beyond_them_constant() -> None:
    trend = LengthTrend((9.0, 99.0), (0.0, 1.0))  # straight over log(1 + length): 10 to 100
    assert trend([9, np.sqrt(1000) - 1, 99]) == pytest.approx([0.0, 0.5, 1.0])
    assert trend([0, 1e6]).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("kind", KINDS)
def test_few_lengths_are_enough_for_what_they_say(kind: Kind) -> None:
    one = fit_length_trend([1.0, 2.0, 3.0], [5.0, 5.0, 5.0], ["a"] * 3, kind)
    assert one([5, 7]).tolist() == [0.0, 0.0]
    two = fit_length_trend([0.0, 1.0, 0.0, 1.0], [5.0, 9.0, 5.0, 9.0], ["a", "a", "b", "b"], kind)
    assert two([9.0])[0] - two([5.0])[0] == pytest.approx(1.0, abs=1e-3)
    assert two([5.0, 9.0]).mean() == pytest.approx(0, abs=1e-9)


def test_wrong_input_is_named() -> None:
    with pytest.raises(InputError, match=r"score_R: 1 of 2 values \(first: index 1, nan\)"):
        fit_length_trend([1.0, np.nan], [1.0, 2.0], ["a", "a"], "lowess")
    with pytest.raises(InputError, match=r"1 lengths are negative \(least: -2\)"):
        fit_length_trend([1.0, 2.0], [1.0, -2.0], ["a", "a"], "lowess")
    with pytest.raises(InputError, match="kind = 'spline'"):
        fit_length_trend([1.0, 2.0], [1.0, 2.0], ["a", "a"], "spline")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="different lengths"):
        fit_length_trend([1.0, 2.0], [1.0], ["a", "a"], "lowess")
