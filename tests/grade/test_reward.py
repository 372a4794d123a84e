"""Grading as a reward: karat's protocol, TRL's and verl's calls, the policies for tampering."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from karat.errors import InputError
from karat.grade.reward import GradeReward, OnTamper, RewardConfig, score_of
from karat.grade.types import Graded, TestResult, Verdict
from karat.rewards.groups import Group
from karat.rewards.protocol import Reward

ADD = {
    "task_id": "add",
    "entry_point": "add",
    "prompt": "Write add(a, b).",
    "tests": [{"input": [1, 2], "output": 3}, {"input": [5, 7], "output": 12}, {"input": [2, 2], "output": 4}],
    "hidden_tests": [{"input": [10, -3], "output": 7}],
}
RIGHT = "Sure:\n```python\ndef add(a, b):\n    return a + b\n```"
WRONG = "```python\ndef add(a, b):\n    return a * b\n```"
TAMPERS = "```python\nimport os\ndef add(a, b):\n    os._exit(0)\n```"


@pytest.fixture(scope="module")
def reward() -> Iterator[GradeReward]:
    one = GradeReward([ADD], wall_s=3.0, workers=2, reruns=0)
    yield one
    one.close()


def test_it_is_a_reward(reward: GradeReward) -> None:
    assert isinstance(reward, Reward)
    scores = reward.score([Group("Write add(a, b).", (RIGHT, WRONG, TAMPERS)), Group("Write sub(a, b).", (RIGHT,))])
    assert [score.value for score in scores[0]] == [1.0, 0.0, 0.0]
    assert scores[1][0].is_missing
    assert "there is no task" in scores[1][0].missing


def test_as_trl_calls_it(reward: GradeReward) -> None:
    extra: dict[str, list[Any]] = {}
    metrics: dict[str, float] = {}
    scores = reward(
        prompts=["p"] * 4,
        completions=[[{"role": "assistant", "content": text}] for text in (RIGHT, WRONG, TAMPERS, RIGHT)],
        completion_ids=[[1]] * 4,
        task_id=["add", "add", "add", "other"],
        trainer_state=SimpleNamespace(global_step=7),
        log_extra=extra.__setitem__,
        log_metric=metrics.__setitem__,
    )
    assert scores == [1.0, 0.0, 0.0, None]
    assert extra["verdict"] == ["pass", "fail", "tampered", "error"]
    assert extra["tamper"][2] == "os_exit"
    assert metrics == {"grade/passed": 0.25, "grade/tampered": 0.25, "grade/missing": 0.25}


def test_without_a_task_it_says_so(reward: GradeReward) -> None:
    with pytest.raises(InputError, match="neither prompts nor task_id"):
        reward(completions=[RIGHT])


def test_as_verl_calls_it(reward: GradeReward) -> None:
    assert reward.compute_score("code", RIGHT, "add") == {
        "score": 1.0,
        "missing": 0.0,
        "tampered": 0.0,
        "verdict": "pass",
    }
    lost = reward.compute_score("code", RIGHT, None, {"task_id": "other"})
    assert (lost["score"], lost["missing"], lost["verdict"]) == (0.0, 1.0, "error")


def test_verl_by_path_and_keyword(tmp_path: Path) -> None:
    from karat.integrations.verl import compute_score, compute_scores

    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text(json.dumps(ADD) + "\n")
    options: dict[str, Any] = {"tasks": str(tasks), "on_tamper": "penalty", "wall_s": 3.0, "workers": 1}
    assert compute_score("code", TAMPERS, "add", None, **options)["score"] == -1.0
    batch = compute_scores(["code"] * 2, [RIGHT, WRONG], ["add"] * 2, [None] * 2, **options)
    assert [row["score"] for row in batch] == [1.0, 0.0]


def test_verl_asks_from_many_threads_and_one_grader_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from karat.integrations import verl

    made = []

    def slow(tasks: str, **options: Any) -> GradeReward:
        made.append(tasks)
        time.sleep(0.2)
        return GradeReward(tasks, **options)

    monkeypatch.setattr(verl, "GradeReward", slow)
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text(json.dumps(ADD) + "\n")

    def ask(answer: str) -> float:
        return float(verl.compute_score("code", answer, "add", None, tasks=str(tasks), wall_s=3.0, workers=1)["score"])

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(ask, [RIGHT, WRONG, RIGHT, WRONG])) == [1.0, 0.0, 1.0, 0.0]
    assert len(made) == 1


def test_the_task_of_a_prompt_inside_a_template_is_the_one_that_holds_the_others() -> None:
    tasks = [
        {**ADD, "task_id": "short", "prompt": "Write f."},
        {**ADD, "task_id": "long", "prompt": "Write f. It adds."},
        {**ADD, "task_id": "twin 1", "prompt": "Write g."},
        {**ADD, "task_id": "twin 2", "prompt": "Write g."},
    ]
    with GradeReward(tasks, wall_s=3.0, workers=1) as one:
        asked = ("user: Write f. It adds. assistant:", "user: Write f. assistant:", "Write g.", "user: Write g.", "")
        assert [one.task_id_of(prompt) for prompt in asked] == ["long", "short", "", "", ""]


def test_a_number_names_a_task_and_a_message_without_text_answers_nothing() -> None:
    with GradeReward([{**ADD, "task_id": 7}], wall_s=3.0, workers=1) as one:
        calls = [{"role": "assistant", "tool_calls": []}], [{"role": "assistant", "content": None}]
        parts = [{"role": "assistant", "content": [{"type": "text", "text": RIGHT}, {"type": "image", "text": None}]}]
        assert one(completions=[*calls, parts, RIGHT], task_id=[7, 7, 7, 7]) == [0.0, 0.0, 1.0, 1.0]


def test_side_by_side_in_an_event_loop(reward: GradeReward) -> None:
    async def both() -> list[list[float]]:
        calls = [reward.score_async([("add", RIGHT), ("add", WRONG)]) for _ in range(3)]
        return [[score.value for score in scores] for scores in await asyncio.gather(*calls)]

    assert asyncio.run(both()) == [[1.0, 0.0]] * 3


def test_events_for_a_watch(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with GradeReward([ADD], wall_s=3.0, workers=1, events=str(path)) as one:
        one.score_answers([("add", TAMPERS), ("add", RIGHT)], step=12)
    (event, *_) = [json.loads(line) for line in path.read_text().splitlines()]
    assert (event["step"], event["technique"], event["confidence"]) == (12, "os_exit", "strong")


# ------------------------------------------------------------------------------------------------------------- policies
def graded(
    verdict: Verdict, *, passed: int = 3, total: int = 4, special_cased: bool | None = None, shared: int = -1
) -> Graded:
    """Of whose tests the first `passed` pass, and the one with the number `shared` ran beside the candidate."""
    tests = tuple(
        TestResult(
            test_id=str(i), verdict="pass" if i < passed else "fail", trust="shared" if i == shared else "outside"
        )
        for i in range(total)
    )
    return Graded(
        task_id="t",
        candidate_id="c",
        verdict=verdict,
        passed=verdict == "pass",
        reason="why",
        tests=tests,
        special_cased=special_cased,
    )


@pytest.mark.parametrize(
    ("policy", "passed", "expected"),
    [("zero", 4, 0.0), ("penalty", 4, -0.5), ("drop", 4, math.nan), ("flag", 4, 1.0), ("flag", 3, 0.0)],
)
def test_policies_for_tampering(policy: OnTamper, passed: int, expected: float) -> None:
    score = score_of(graded("tampered", passed=passed), RewardConfig(on_tamper=policy, penalty=0.5))
    assert score.value == pytest.approx(expected, nan_ok=True)
    assert score.is_missing == math.isnan(expected)


def test_special_casing_has_its_own_policy() -> None:
    result = graded("pass", passed=4, special_cased=True)
    assert score_of(result, RewardConfig()).value == 0.0
    assert score_of(result, RewardConfig(on_special_case="flag")).value == 1.0


def test_a_pass_that_can_be_forged_is_not_paid_silently() -> None:
    forgeable = graded("pass", passed=4, shared=2)
    assert score_of(forgeable, RewardConfig()).is_missing
    assert score_of(forgeable, RewardConfig(on_shared="pay")).value == 1.0
    flagged = graded("tampered", passed=4, shared=2)
    assert score_of(flagged, RewardConfig(on_tamper="flag")).is_missing


def test_a_fail_counts_wherever_its_test_ran() -> None:
    """Nobody forges a fail; of a share of tests the passes count."""
    assert score_of(graded("fail", shared=2), RewardConfig()).value == 0.0
    assert score_of(graded("fail", shared=2), RewardConfig(partial=True)).is_missing
    assert score_of(graded("fail", shared=3), RewardConfig(partial=True)).value == 0.75


@pytest.mark.parametrize("verdict", ["error", "invalid task"])
def test_what_cannot_be_judged_is_missing(verdict: Verdict) -> None:
    assert score_of(graded(verdict), RewardConfig()).is_missing


def test_a_share_of_tests() -> None:
    assert score_of(graded("fail"), RewardConfig(partial=True)).value == 0.75


def test_generated_tests_do_not_count_for_the_share() -> None:
    result = graded("pass", passed=4)
    more = TestResult(test_id="g", verdict="fail", hidden=True, generated=True)
    object.__setattr__(result, "tests", (*result.tests, more))
    assert score_of(result, RewardConfig(partial=True)).value == 1.0


def test_a_penalty_below_zero_is_refused() -> None:
    with pytest.raises(InputError, match="penalty = -1"):
        RewardConfig(penalty=-1)


def test_a_policy_that_is_none_is_refused() -> None:
    """verl's options are texts of a file: a slip of the pen is no policy of zero."""
    with pytest.raises(InputError, match="on_tamper = 'penalise' is out of range: it must be zero or penalty or drop"):
        GradeReward([ADD], on_tamper="penalise")
