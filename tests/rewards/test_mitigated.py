"""A mitigation as a reward: the same score alone and in company, on disk and back, in TRL, and what has no score."""

from __future__ import annotations

import gzip
import json
import math
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from karat.errors import InputError, ModelError
from karat.numerics.length_trend import LengthTrend
from karat.numerics.mitigation_rules import FittedRule
from karat.rewards import Group, Reward, load_reward
from karat.rewards.groups import last_text
from karat.rewards.mitigated import (
    MemberSpec,
    MitigatedReward,
    References,
    is_mitigated,
    prompt_key,
    save_mitigated,
)
from karat.rewards.trl import trl_reward
from karat.types import Message, Text, TokenIds

LONGER, SHORTER = MemberSpec("a", "builtin:longer"), MemberSpec("b", "builtin:shorter")
GROUPS = [Group("p", ("ab", "abcd", "abcdefgh")), Group("q", ("c",))]


def fitted(rule: str, **fields: Any) -> FittedRule:
    members = 2 if rule in ("mean", "worst", "variance", "kl-dro") else 1
    return FittedRule(
        **{"rule": rule, "centre": "pool", "centre_M": (4.0, -4.0)[:members], "scale_M": (2.0, 1.0)[:members], **fields}
    )


def saved(folder: Path, rule: FittedRule, members: tuple[MemberSpec, ...], **rest: Any) -> Reward:
    save_mitigated(folder, rule, members, **rest)
    return load_reward(str(folder))


def values(reward: Reward, groups: list[Group] = GROUPS) -> list[list[float]]:
    return [[score.value for score in row] for row in reward.score(groups)]


def test_hand_values_of_an_ensemble(tmp_path: Path) -> None:
    """(length - 4) / 2 and 4 - length, of lengths 2, 4, 8 and 1."""
    worst = saved(tmp_path / "worst", fitted("worst"), (LONGER, SHORTER))
    assert values(worst) == [[-1.0, 0.0, -4.0], [-1.5]]
    score = worst.score(GROUPS)[0][2]
    assert score.heads == (2.0, -4.0)
    assert score.spread == pytest.approx(np.std([2, -4], ddof=1))
    assert worst.head_names == ("a", "b")
    assert isinstance(worst, Reward)
    mean = saved(tmp_path / "mean", fitted("mean"), (LONGER, SHORTER))
    assert values(mean) == [[0.5, 0.0, -1.0], [0.75]]


def test_hand_values_of_the_proxy_alone(tmp_path: Path) -> None:
    clip = saved(tmp_path / "clip", fitted("clip", cap=0.25), (LONGER,))
    assert values(clip) == [[-1.0, 0.0, 0.25], [-1.5]]
    assert clip.head_names == ("reward",)
    trend = LengthTrend((2.0, 4.0), (-0.5, 0.5))
    flat = saved(tmp_path / "flat", fitted("length-lowess", trend=trend), (LONGER,))
    assert values(flat) == [[-0.5, -0.5, 1.5], [-1.0]]
    plain = saved(tmp_path / "plain", fitted("proxy"), (LONGER,))
    assert values(plain) == [[2, 4, 8], [1]]


def test_the_shaped_reward_needs_references(tmp_path: Path) -> None:
    references = {prompt_key("p"): References(np.array([[2.0, 6.0]]))}
    shaped = saved(tmp_path / "par", fitted("par"), (LONGER,), references=references)
    found = shaped.score(GROUPS)
    assert found[0][1].value == pytest.approx((1 / (1 + np.exp(-1)) + 1 / (1 + np.exp(1))) / 2)
    assert found[1][0].is_missing
    assert "none are stored for this prompt (1 prompts have them)" in found[1][0].missing


def test_centred_by_references_only_prompts_that_have_them_are_scored(tmp_path: Path) -> None:
    references = {prompt_key("p"): References(np.array([[2.0, 6.0], [-2.0, -6.0]]))}
    worst = saved(tmp_path / "w", fitted("worst", centre="prompt"), (LONGER, SHORTER), references=references)
    found = worst.score(GROUPS)
    assert [score.value for score in found[0]] == [-1.0, 0.0, -4.0]  # the references' mean is the pool's here
    assert found[1][0].is_missing


def test_similarity_to_stored_references(tmp_path: Path) -> None:
    references = {prompt_key("p"): References(np.zeros((1, 3)), ("abcd", "abcd too", "xyz"))}
    mbr = saved(tmp_path / "m", fitted("mbr", similarity_weight=10.0), (LONGER,), references=references)
    same, unlike = values(mbr, [Group("p", ("abce", "mnop"))])[0]
    assert same > unlike == 0.0
    assert values(mbr, [Group("p", ("mnop", "abce", "q"))])[0][1] == same


@pytest.mark.parametrize("rule", ["worst", "mean", "variance", "kl-dro", "clip", "length-lowess", "proxy"])
def test_company_does_not_change_a_score(rule: str, tmp_path: Path) -> None:
    trend = LengthTrend((2.0, 5.0), (-0.3, 0.3))
    members = (LONGER, SHORTER)[: len(fitted(rule).scale_M)]
    reward = saved(tmp_path / rule, fitted(rule, trend=trend, cap=0.7), members)
    together = values(reward)
    alone = [[values(reward, [Group(g.prompt, (text,))])[0][0] for text in g.responses] for g in GROUPS]
    assert together == alone


def test_numbers_survive_the_disk(tmp_path: Path) -> None:
    rule = fitted("length-isotonic", trend=LengthTrend((1.0, 2.5), (-1 / 3, 1 / 3)), scale_M=(1 / 7,))
    again = saved(tmp_path / "r", rule, (LONGER,))
    assert isinstance(again, MitigatedReward)
    assert again.fitted == rule
    assert again.manifest["rule"] == "length-isotonic"
    assert json.loads((tmp_path / "r" / "karat.json").read_text())["kind"] == "mitigated reward"


def test_in_trl_the_same_scores_and_none_for_missing(tmp_path: Path) -> None:
    references = {prompt_key("p"): References(np.array([[2.0, 6.0]]))}
    save_mitigated(tmp_path / "par", fitted("par"), (LONGER,), references=references)
    function = trl_reward(str(tmp_path / "par"))
    assert function.__name__ == "par"
    found = function(prompts=["p", "p", "q"], completions=["abcd", "abcdefgh", "abcd"])
    assert found[:2] == values(load_reward(str(tmp_path / "par")), [Group("p", ("abcd", "abcdefgh"))])[0]
    assert found[2] is None


def test_in_trl_what_is_no_text_has_no_score(tmp_path: Path) -> None:
    save_mitigated(tmp_path / "clip", fitted("clip", cap=0.25), (LONGER,))
    function = trl_reward(str(tmp_path / "clip"))
    turn = {"role": "assistant", "content": "abcdefgh"}
    found = function(prompts=["p"] * 5, completions=[None, ["abcd"], [{**turn, "content": None}], 3, [turn]])
    assert found == [None, None, None, None, 0.25]


def test_a_missing_member_is_missing_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("some_rewards")
    module.judge = lambda prompts, completions, **_: [None if len(c) > 3 else 1.0 for c in completions]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "some_rewards", module)
    reward = saved(tmp_path / "w", fitted("worst"), (LONGER, MemberSpec("judge", "some_rewards:judge")))
    first, second, _ = reward.score(GROUPS)[0]
    assert not first.is_missing
    assert second.missing == "judge (some_rewards:judge): some_rewards:judge returned None (not applicable)"


def test_a_head_of_a_reward_is_a_member(tmp_path: Path) -> None:
    both = "ensemble:builtin:longer,builtin:shorter"
    heads = MemberSpec("a", both, "member_0"), MemberSpec("b", both, "member_1")
    reward = saved(tmp_path / "w", fitted("worst"), heads)
    assert values(reward) == [[-1.0, 0.0, -4.0], [-1.5]]
    assert isinstance(reward, MitigatedReward)
    assert len(reward.rewards) == 1  # scored once for both heads
    with pytest.raises(ModelError, match="has no head 'member_7'; it has: member_0, member_1"):
        saved(tmp_path / "x", fitted("clip"), (MemberSpec("a", both, "member_7"),))


def test_an_exported_reward_is_a_member_like_any_other(tmp_path: Path) -> None:
    save_mitigated(tmp_path / "inner", fitted("clip", cap=0.25), (LONGER,))
    outer = load_reward(f"ensemble:{tmp_path / 'inner'},builtin:longer")
    assert outer.score(GROUPS)[0][2].value == pytest.approx((0.25 + 8) / 2)


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("words", "words"),
        ((Message("user", "a"), Message("assistant", "b")), "b"),
        (TokenIds((3, 14)), "3 14"),
        ((Message("x", ""),), ""),
        ((), ""),
    ],
)
def test_a_response_is_its_last_text(text: Text, last: str) -> None:
    assert last_text(text) == last


def test_a_prompt_is_known_by_its_text_alone() -> None:
    keys = [prompt_key(prompt) for prompt in ("p", "q", (Message("user", "p"),), TokenIds((1, 2)), TokenIds((12,)))]
    assert len(set(keys)) == 5
    assert prompt_key((Message("user", "p"),)) == keys[2]


def test_broken_folders_are_named(tmp_path: Path) -> None:
    save_mitigated(tmp_path / "r", fitted("clip", cap=1.0), (LONGER,))
    file = tmp_path / "r" / "karat.json"
    whole = json.loads(file.read_text())
    for change, message in (
        ({"fitted": None}, "no complete mitigated reward"),
        ({"rule": "clip", "fitted": {**whole["fitted"], "rule": "median"}}, "no rule 'median'"),
        ({"members": whole["members"] * 2}, "with 2 rewards and 1 scales"),
        ({"members": [{"name": "a"}]}, "no complete mitigated reward"),
        ({"members": [{"name": "a", "reward": 3, "head": ""}]}, "3 in place of text"),
        ({"members": [3]}, "no complete mitigated reward"),
        ({"fitted": {**whole["fitted"], "centre_M": [None]}}, "None in place of a number"),
        ({"fitted": {**whole["fitted"], "centre_M": "4"}}, "'4' in place of a list of numbers"),
        ({"fitted": {**whole["fitted"], "centre_M": []}}, "one of each to a reward"),
        ({"fitted": {**whole["fitted"], "scale_M": [-2.0]}}, "scales above 0"),
        ({"fitted": {**whole["fitted"], "cap": math.nan}}, "nan in place of a number"),
        ({"fitted": {**whole["fitted"], "centre": "row"}}, "centre 'row'"),
        ({"fitted": {**whole["fitted"], "rule": "length-lowess"}}, "without its trend"),
        ({"references": 3}, "no complete mitigated reward"),
        ({"references": {"similarity": 3}}, "3 in place of text"),
        ({"members": [{"name": "a", "reward": str(tmp_path / "r"), "head": ""}]}, "names itself among its rewards"),
    ):
        file.write_text(json.dumps({**whole, **change}))
        with pytest.raises(ModelError, match=message):
            load_reward(str(tmp_path / "r"))
    file.write_text(json.dumps({**whole, "references": {"prompts": 2, "similarity": "text"}}))
    with pytest.raises(ModelError, match=r"references.jsonl.gz cannot be read \(FileNotFoundError"):
        load_reward(str(tmp_path / "r"))
    file.write_text(json.dumps({**whole, "members": [{"name": "a", "reward": "builtin:nope", "head": ""}]}))
    with pytest.raises(InputError, match="no built-in reward 'nope'"):
        load_reward(str(tmp_path / "r"))


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "p", "scores": [1.0, 2.0], "texts": []},
        {"prompt": "p", "scores": [[1.0], [2.0]], "texts": []},
        {"prompt": "p", "scores": [[math.nan, 2.0]], "texts": []},
        {"prompt": "p", "scores": [[1.0, 2.0]], "texts": [3]},
        {"prompt": 3, "scores": [[1.0, 2.0]], "texts": []},
        ["p"],
    ],
)
def test_broken_references_are_named(row: Any, tmp_path: Path) -> None:
    references = {prompt_key("p"): References(np.array([[2.0, 6.0]]))}
    save_mitigated(tmp_path / "par", fitted("par"), (LONGER,), references=references)
    file = tmp_path / "par" / "references.jsonl.gz"
    file.write_bytes(gzip.compress(json.dumps(row).encode()))
    with pytest.raises(ModelError, match=r"references.jsonl.gz cannot be read"):
        load_reward(str(tmp_path / "par"))


def test_another_reward_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "karat.json").write_text('{"kind": "reward model"}')
    assert not is_mitigated(str(tmp_path))
    with pytest.raises(ModelError, match="holds another reward already"):
        save_mitigated(tmp_path, fitted("proxy"), (LONGER,))
