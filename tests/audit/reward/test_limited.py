"""Limits and estimates: a call that hangs costs its scores, three end a part; how long the parts will take."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from karat.audit.reward import AuditRewardConfig, audit_reward
from karat.audit.reward.estimate import Work, told, works
from karat.audit.reward.limited import LimitedReward, Pace, characters_of, responses_of
from karat.errors import DataError, InputError
from karat.rewards import Group
from karat.rewards.kinds import FunctionReward
from karat.types import Finding, PreferencePair, Result, Score
from karat.worlds import load_default_world

PAIRS = tuple(
    PreferencePair(
        f"question {k}?", f"An answer of {'many ' * (k % 5)}words {k}.", f"No {'good ' * (k % 3)}one {k}.",
        prompt_id=str(k),
    )
    for k in range(40)
)  # fmt: skip
FAST = {"timeout_s": 0.2, "probes": "length", "sophistry_items": 8, "attack_queries": 600}


class Made:
    """A reward of a function of all groups."""

    name, head_names = "made", ("reward",)

    def __init__(self, function: Callable[[Sequence[Group]], list[list[Score]]]) -> None:
        self.score = function


def lengths(groups: Sequence[Group]) -> list[list[Score]]:
    return [[Score(float(len(str(text)))) for text in group.responses] for group in groups]


def hanging(when: Callable[[Sequence[Group], int], bool]) -> Made:
    """Lengths, but a call for which `when(groups, number of the call)` is true never ends."""
    calls = iter(range(10**6))

    def score(groups: Sequence[Group]) -> list[list[Score]]:
        if when(groups, next(calls)):
            threading.Event().wait()
        return lengths(groups)

    return Made(score)


def findings(result: Result) -> dict[str, Finding]:
    return {finding.code: finding for finding in result.findings}


# --------------------------------------------------------------------------------------------------------------- limits
def test_one_hung_call_of_the_probes_is_missing_scores_with_the_reason() -> None:
    hung: list[int] = []

    def once(groups: Sequence[Group], number: int) -> bool:
        if number == 4:  # after those that are timed
            hung.append(responses_of(groups))
        return number == 4

    result = audit_reward(hanging(once), PAIRS, parts="probes", **FAST)
    probes = next(table for table in result.tables if table.name == "probes")
    missing = probes.columns.index("missing")
    assert sum(row[missing] for row in probes.rows) > 0
    assert hung[0] <= 128
    assert findings(result)["RW215"].verdict == "problem"
    assert findings(result)["RW215"].n_missing > 0


@pytest.mark.parametrize("part", ["probes", "sophistry", "attack", "predict"])
def test_several_hung_calls_end_a_part(part: str) -> None:
    result = audit_reward(hanging(lambda groups, number: True), PAIRS, parts=part, **(FAST | {"timeout_s": 0.05}))
    (found,) = result.findings
    assert found.verdict == "not checked"
    assert "0.05 s" in found.action


def test_after_three_hung_calls_no_part_calls_again() -> None:
    made = hanging(lambda groups, number: number > 1)
    limited = LimitedReward(made, 0.05, stops=True)
    groups = [Group("p", ("a", "b"))]
    assert [limited.score(groups)[0][0].missing == "" for _ in range(5)] == [True, True, False, False, False]
    with pytest.raises(DataError, match="no more are made"):
        limited.score(groups)
    assert limited.n_timeouts == 3


@pytest.mark.parametrize("part", ["probes", "sophistry", "attack", "predict"])
@pytest.mark.parametrize("scores", [None, [[1.0]], [[None, None]]])
def test_a_reward_that_raises_or_returns_nonsense_ends_no_part_with_a_traceback(part: str, scores: Any) -> None:
    def score(groups: Sequence[Group]) -> Any:
        if scores is None:
            raise KeyError("boom")
        return scores

    result = audit_reward(Made(score), PAIRS, parts=part, **FAST)
    assert {finding.verdict for finding in result.findings} == {"not checked"}


def test_a_reward_that_needs_the_main_thread_gets_it() -> None:
    def alarmed(prompts: list[str], completions: list[str]) -> list[float]:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        return [float(len(text)) for text in completions]

    result = audit_reward(FunctionReward("alarmed", alarmed), PAIRS, parts="sanity,probes", **FAST)
    assert findings(result)["RW107"].verdict == "ok"
    assert findings(result)["RW215"].n_missing == 0


def test_a_call_of_more_text_may_take_longer() -> None:
    pace = Pace(seconds=10.0, characters=100, responses=5)
    assert pace.expected_s(50, 2) == (4.0, 5.0)
    groups = [Group("x" * 30, ("y" * 10, "z" * 10))]
    assert (characters_of(groups), responses_of(groups)) == (50, 2)
    limited = LimitedReward(Made(lengths), 60.0, pace=pace)
    assert limited._limit_s(groups) == 20 * 5.0
    assert LimitedReward(Made(lengths), 60.0)._limit_s(groups) == 60.0


def test_a_probe_that_is_not_known_is_wrong_use() -> None:
    with pytest.raises(InputError, match="no probe or family 'nope'"):
        audit_reward(Made(lengths), PAIRS, parts="probes", **(FAST | {"probes": "nope"}))


# ------------------------------------------------------------------------------------------------------------ estimates
def test_the_time_is_between_text_and_responses() -> None:
    pace = Pace(seconds=10.0, characters=1000, responses=20)  # 0.01 s a character, 0.5 s a response
    assert told({"probes": Work(6000.0, 600.0)}, pace) == (600, "about 60 s to 5 min")
    count, note = told({"probes": Work(6000.0, 120.0), "attack": Work(18000.0, 360.0)}, pace)
    assert (count, note) == (480, "about 4 min (probes 60 s, attack 3 min)")


def test_what_will_be_scored_is_counted_well() -> None:
    pairs = load_default_world().test_pairs
    config = AuditRewardConfig(probe_pairs=40, predict_responses=200)
    expected = works(("sanity", "probes", "sophistry", "predict"), pairs, config, np.random.default_rng(0))
    assert set(expected) == {"probes", "sophistry", "predict"}
    for part, work in expected.items():
        seen: list[Group] = []

        def score(groups: Sequence[Group], seen: list[Group] = seen) -> list[list[Score]]:
            seen += groups
            return lengths(groups)

        def progress(stage: str, *rest: object, seen: list[Group] = seen) -> None:
            if stage == "responses to score":  # what was scored before was to take the time
                seen.clear()

        audit_reward(Made(score), pairs, config=config, parts=part, progress=progress)
        assert work.responses == pytest.approx(responses_of(seen), rel=0.25)
        assert work.characters == pytest.approx(characters_of(seen), rel=0.35)


def test_the_estimate_comes_before_the_parts() -> None:
    told_: list[tuple[str, int, str]] = []

    def progress(stage: str, done: int, total: int | None, note: str = "") -> None:
        told_.append((stage, done, note))

    audit_reward(Made(lengths), PAIRS, parts="probes,sophistry", progress=progress, **FAST)
    assert told_[0][0] == "responses to score"
    assert told_[0][1] > 100
    assert told_[0][2].startswith("about 1 s (probes 1 s, sophistry 1 s)")
