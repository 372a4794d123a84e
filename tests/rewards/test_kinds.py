"""Rewards by name: functions, built-ins, ensembles, and every way a name can be wrong."""

from __future__ import annotations

import math
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from karat.errors import InputError
from karat.rewards import Group, Reward, load_reward, score_pairs
from karat.types import Message, PreferencePair

GROUPS = [Group("p", ("ab", "abcd")), Group("q", ("c",))]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    made = types.ModuleType("my_rewards")
    monkeypatch.setitem(sys.modules, "my_rewards", made)
    return made


def scores(reward: Reward) -> list[list[float]]:
    return [[score.value for score in row] for row in reward.score(GROUPS)]


def test_builtin_longer_and_shorter() -> None:
    assert scores(load_reward("builtin:longer")) == [[2, 4], [1]]
    assert scores(load_reward("builtin:shorter")) == [[-2, -4], [-1]]


def test_builtin_random_is_fixed_by_the_text() -> None:
    first, again = scores(load_reward("builtin:random")), scores(load_reward("builtin:random"))
    assert first == again
    assert len({value for row in first for value in row}) == 3


def test_function_is_called_as_trl_calls_it(module: types.ModuleType) -> None:
    def reward(prompts: list[str], completions: list[str], **_: Any) -> list[float]:
        return [len(p) + 10 * len(c) for p, c in zip(prompts, completions, strict=True)]

    module.reward = reward  # type: ignore[attr-defined]
    assert scores(load_reward("my_rewards:reward")) == [[21, 41], [11]]


def test_function_sees_conversations_as_message_lists(module: types.ModuleType) -> None:
    seen: list[Any] = []

    def reward(prompts: list[Any], completions: list[Any], **_: Any) -> list[float]:
        seen.extend([prompts[0], completions[0]])
        return [0.0]

    module.reward = reward  # type: ignore[attr-defined]
    load_reward("my_rewards:reward").score([Group((Message("user", "hi"),), ((Message("assistant", "yo"),),))])
    assert seen == [[{"role": "user", "content": "hi"}], [{"role": "assistant", "content": "yo"}]]


@pytest.mark.parametrize(
    ("value", "reason"),
    [(None, "not applicable"), (math.nan, "returned nan"), (math.inf, "returned inf"), ("x", "no number")],
)
def test_what_is_no_score_is_missing_with_a_reason(module: types.ModuleType, value: Any, reason: str) -> None:
    module.reward = lambda prompts, completions, **_: [value] * len(prompts)  # type: ignore[attr-defined]
    score = load_reward("my_rewards:reward").score(GROUPS)[0][0]
    assert math.isnan(score.value)
    assert reason in score.missing


def test_exception_makes_scores_missing_not_zero(module: types.ModuleType) -> None:
    def reward(**_: Any) -> list[float]:
        raise TimeoutError("judge is down")

    module.reward = reward  # type: ignore[attr-defined]
    score = load_reward("my_rewards:reward").score(GROUPS)[1][0]
    assert score.is_missing
    assert "TimeoutError: judge is down" in score.missing


def test_wrong_number_of_scores_is_refused(module: types.ModuleType) -> None:
    module.reward = lambda **_: [1.0]  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="returned 1 scores for 3 responses"):
        load_reward("my_rewards:reward").score(GROUPS)


def test_ensemble_is_the_mean_with_its_spread() -> None:
    score = load_reward("ensemble:builtin:longer,builtin:shorter").score(GROUPS)[0][1]
    assert score.value == 0
    assert score.heads == (4, -4)
    assert score.spread == pytest.approx(math.sqrt(32))


def test_ensemble_is_missing_where_a_member_is(module: types.ModuleType) -> None:
    module.reward = lambda prompts, **_: [None] * len(prompts)  # type: ignore[attr-defined]
    score = load_reward("ensemble:builtin:longer,my_rewards:reward").score(GROUPS)[0][0]
    assert score.missing.startswith("my_rewards:reward: ")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("builtin:gold", "no built-in reward 'gold'; there are: longer, random, shorter, step-check"),
        ("ensemble:builtin:longer", "at least 2"),
        ("no_such_module:f", "cannot import no_such_module"),
        ("json:no_such_function", "has no 'no_such_function'"),
        ("json:__name__", "is a str, not a function"),
        ("http://localhost:1/score", "over HTTP are not supported"),
    ],
)
def test_wrong_names_say_what_is_wrong(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_reward(spec)


def test_pairs_are_scored_once_per_response() -> None:
    calls: list[int] = []

    class Counting:
        name = "counting"
        head_names = ("reward",)

        def score(self, groups: Any) -> Any:
            calls.extend(len(group.responses) for group in groups)
            return load_reward("builtin:longer").score(groups)

    pairs = [PreferencePair("p", "aa", "b"), PreferencePair("p", "aa", "cccc"), PreferencePair("q", "d", "")]
    found = score_pairs(Counting(), pairs)
    assert sorted(calls) == [2, 3]
    assert found.chosen_P.tolist() == [2, 2, 1]
    assert found.rejected_P.tolist() == [1, 4, 0]
    assert found.missing == {}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (":score", "importing '' raised ValueError"),
        (".here:score", "importing '.here' raised TypeError"),
        ("unfinished_rewards:score", "importing 'unfinished_rewards' raised SyntaxError"),
        ("failing_rewards:score", "importing 'failing_rewards' raised ZeroDivisionError"),
    ],
)
def test_modules_that_cannot_be_run_are_named(
    spec: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unfinished_rewards.py").write_text("def score(")
    (tmp_path / "failing_rewards.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match=message):
        load_reward(spec)
