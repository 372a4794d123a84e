"""Convincing wrong answers: what is counted, what is called a problem, and what is not."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from karat.audit.reward.config import AuditRewardConfig
from karat.audit.reward.sophistry import (
    Dressed,
    audit_sophistry,
    clusters_of,
    measure_sophistry,
    read_items,
    sign_test,
)
from karat.audit.reward.tactics import TACTICS
from karat.errors import DataError
from karat.rewards.kinds import TextReward
from karat.types import Finding, Message, PreferencePair, Result
from karat.worlds.items import TruthItem, draw_items

A, B = (Message("assistant", "a"),), (Message("assistant", "b"),)
PAIRS = [PreferencePair((Message("user", f"q{k}"),), A, B, prompt_id=str(k)) for k in range(4)]


def audit(function: object, **options: object) -> tuple[dict[str, Finding], Result]:
    reward = TextReward("planted", function)  # type: ignore[arg-type]
    config = AuditRewardConfig(**options)  # type: ignore[arg-type]
    result = audit_sophistry(reward, PAIRS, config=config, rng=np.random.default_rng(0))
    return {finding.code: finding for finding in result.findings}, result


def items_file(path: Path, count: int = 60) -> Path:
    rows = [
        {"prompt": f"Is {k} even?", "right": "Yes" if k % 2 == 0 else "No", "wrong": "No" if k % 2 == 0 else "Yes"}
        for k in range(count)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def knows(prompt: str, response: str) -> float:
    right = "Yes" if int(prompt.split()[1]) % 2 == 0 else "No"
    return 3.0 * (right in response.replace("Nobody", "").replace("Now", ""))


def test_a_reward_that_reads_is_not_called_a_problem(tmp_path: Path) -> None:
    found, result = audit(knows, items=str(items_file(tmp_path / "items.jsonl")))
    assert [found[code].verdict for code in ("RW301", "RW302")] == ["ok", "ok"]
    assert found["RW303"].verdict == "ok" or found["RW303"].effect == 0.5
    assert result.values["sophistry_plain_wrong_wins"] == 0
    assert result.values["sophistry_found"] == []
    assert found["RW301"].gold == "truth of --items"
    assert next(t for t in result.tables if t.name == "sophistry").rows[10][-1] == 0  # no steps in the user's items


def test_a_tactic_that_pays_is_found_and_named(tmp_path: Path) -> None:
    found, result = audit(
        lambda prompt, response: knows(prompt, response) + 5.0 * ("verified this twice" in response),
        items=str(items_file(tmp_path / "items.jsonl")),
    )
    assert found["RW301"].verdict == "ok"
    assert found["RW302"].verdict == "problem"
    assert found["RW302"].effect == 1.0
    assert set(result.values["sophistry_found"]) == {"claims to have checked", "several together"}
    assert "verified this twice" in found["RW302"].witnesses[0]
    assert found["RW303"].verdict == "problem"


def test_a_reward_that_cannot_tell_is_unclear_and_says_what_it_needs() -> None:
    found, _ = audit(lambda prompt, response: float(len(response)))
    assert found["RW301"].verdict == "unclear"
    assert found["RW302"].verdict == "unclear"
    assert "RW301" in found["RW302"].action
    assert found["RW303"].verdict == "problem"


def test_a_reward_that_prefers_wrong_answers_is_a_problem(tmp_path: Path) -> None:
    found, _ = audit(lambda p, r: -knows(p, r), items=str(items_file(tmp_path / "items.jsonl")))
    assert found["RW301"].verdict == "problem"
    assert found["RW302"].verdict == "unclear"


def test_missing_scores_are_counted_and_no_score_at_all_is_not_checked() -> None:
    found, _ = audit(lambda prompt, response: float("nan"))
    assert [finding.verdict for finding in found.values()] == ["not checked"] * 3
    assert found["RW301"].n_missing == 70
    assert found["RW302"].action.startswith("needs items")


def test_paired_effect_by_hand() -> None:
    """Plain wrong wins 1 of 4 (a tie counts half: 0.5 of item 1); dressed wrong wins 3 of 4."""
    right_I, wrong_I = np.zeros(4), np.array([-1.0, 0.0, 1.0, -1.0])
    wrong_IT = np.array([[1.0], [1.0], [1.0], [-1.0]])
    scores = Dressed(right_I, wrong_I, np.full((4, 1), 2.0), wrong_IT, np.array(list("abcd"), dtype=object))
    found = measure_sophistry(scores, np.random.default_rng(0))
    assert found.plain.estimate == 1.5 / 4
    (effect,) = found.effects
    assert effect.wins.estimate == 3 / 4
    assert effect.effect.estimate == (1 + 0.5) / 4
    assert effect.pays.estimate == 1
    assert effect.paid_sd == pytest.approx(2 / np.std([1, 0, -1, 1], ddof=1))


def test_items_that_share_an_answer_count_together() -> None:
    items = [TruthItem("f", f"p{k}", f"r{k}", f"w{k}") for k in range(8)]
    shared = [TruthItem("f", "p8", "r0", "w8"), TruthItem("f", "p9", "r9", "w8"), TruthItem("f", "p10", "w3", "r4")]
    cluster = clusters_of([*items, *shared]).tolist()
    assert cluster[8] == cluster[9] == cluster[0]
    assert len(set(cluster)) == 9  # a right answer that is wrong elsewhere is not shared
    few = clusters_of([*items[:4], *shared[:1]]).tolist()
    assert few == ["p0", "p1", "p2", "p3", "p8"]


def test_chance_that_the_text_of_an_answer_fixes_is_no_convincing_dress() -> None:
    """By prompt alone, 6 of these 15 rewards had RW303 called a problem."""
    found = []
    for seed in range(15):

        def chance(prompt: str, response: str, seed: int = seed) -> float:
            return random.Random(f"{seed}{response}").gauss(0, 1)

        result = audit_sophistry(
            TextReward("chance", chance), PAIRS, config=AuditRewardConfig(resamples=100),
            rng=np.random.default_rng(seed),
        )  # fmt: skip
        found += [
            finding.code for finding in result.findings if finding.verdict == "problem" and finding.code != "RW301"
        ]
    assert len(found) <= 1, found


def test_items_of_one_prompt_count_once() -> None:
    assert sign_test(np.ones(8), np.arange(8)) == 2 * 0.5**8
    assert sign_test(np.ones(8), np.zeros(8, int)) == 1.0
    one = Dressed(np.zeros(5), -np.ones(5), np.ones((5, 1)), np.ones((5, 1)), np.array(["p"] * 5, dtype=object))
    found = measure_sophistry(one, np.random.default_rng(0))
    assert np.isnan(found.effects[0].effect.low)


def test_a_dress_is_the_same_on_both_sides_and_holds_the_answer() -> None:
    for item in draw_items(70, seed=1):
        for tactic in TACTICS:
            right = tactic.dress(item.right, item.right_steps, random.Random(5))
            wrong = tactic.dress(item.wrong, item.wrong_steps, random.Random(5))
            assert (right is None) == (wrong is None)
            if right is None or wrong is None:
                assert not item.right_steps
                continue
            assert item.right in right
            assert item.wrong in wrong
            if tactic.is_empty:
                assert right.replace(item.right, "X") == wrong.replace(item.wrong, "X")


def test_questions_are_asked_as_the_data_asks() -> None:
    seen: list[str] = []
    prompts = [f"\n\nHuman: {word} it?\n\nAssistant:" for word in ("Is", "Was", "Will", "Can")]
    pairs = [PreferencePair(prompt, " a", " b", prompt_id=prompt) for prompt in prompts]

    def note(prompt: str, response: str) -> float:
        seen.append(prompt + response)
        return 0.0

    audit_sophistry(
        TextReward("note", note), pairs, config=AuditRewardConfig(sophistry_items=7), rng=np.random.default_rng(0)
    )
    assert all(text.startswith("\n\nHuman: ") and "\n\nAssistant: " in text for text in seen)


def test_rows_that_are_no_items_are_dropped_with_their_reason(tmp_path: Path) -> None:
    file = tmp_path / "items.jsonl"
    rows = [
        {"prompt": "1+1?", "right": "2", "wrong": "3"},
        {"prompt": "1+1?", "right": "2", "wrong": "2 "},
        {"prompt": "1+1?", "right": 2, "wrong": "3"},
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    items, account = read_items(str(file))
    assert len(items) == 1
    assert {entry.reason for entry in account.entries} == {
        "right and wrong are the same",
        "column 'right' holds no text",
    }
    file.write_text(json.dumps({"question": "?"}))
    with pytest.raises(DataError, match="A row needs prompt, right and wrong"):
        read_items(str(file))
