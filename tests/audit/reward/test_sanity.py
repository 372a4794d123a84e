"""Sanity: calls in other orders, plain transformers, tokens, cuts, ties; rewards that raise, hang or say nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from karat.audit.reward import AuditRewardConfig
from karat.audit.reward.limited import LimitedReward
from karat.audit.reward.sanity import _rounded, audit_sanity
from karat.errors import InputError
from karat.rewards import Group, RewardModel
from karat.rewards.kinds import FunctionReward, TextReward
from karat.rewards.model import load_reward_for_training, save_reward_model
from karat.types import Finding, Message, PreferencePair, Result, Score
from rewards.tiny import TEMPLATE, byte_tokenizer, save_tiny

PAIRS = tuple(
    PreferencePair(f"question {k}?", f" answer {'a' * k}", f" no {'b' * (2 * k + 20)}", prompt_id=str(k))
    for k in range(12)
)
CHATS = tuple(
    PreferencePair(
        (Message("user", f"q{k}"),), (Message("assistant", f"a{k}"),), (Message("assistant", "b"),), prompt_id=str(k)
    )
    for k in range(4)
)


def sanity(reward: Any, pairs: Sequence[PreferencePair] = PAIRS, **options: Any) -> Result:
    return audit_sanity(reward, pairs, config=AuditRewardConfig(**options), rng=np.random.default_rng(0))


def finding(result: Result, code: str) -> Finding:
    return next(finding for finding in result.findings if finding.code == code)


class Made:
    """A reward of a function of all groups."""

    name, head_names = "made", ("reward",)

    def __init__(self, function: Callable[[Sequence[Group]], list[list[Score]]]) -> None:
        self.score = function


def lengths(groups: Sequence[Group]) -> list[list[Score]]:
    return [[Score(float(len(str(text)))) for text in group.responses] for group in groups]


def saved(
    folder: Path, *, chat_template: str = TEMPLATE, pad_is_eos: bool = False, max_length: int = 256
) -> RewardModel:
    """A tiny random reward model, written and read."""
    path = save_tiny(folder / "lm", tokenizer=byte_tokenizer(chat_template=chat_template))
    made = load_reward_for_training(str(path), n_heads=1, max_length=max_length, dtype=torch.float32, seed=1)
    save_reward_model(made, folder / "rm", {})
    if pad_is_eos:
        config = json.loads((folder / "rm" / "config.json").read_text())
        (folder / "rm" / "config.json").write_text(json.dumps(config | {"pad_token_id": config["eos_token_id"]}))
    return RewardModel.load(str(folder / "rm"))


# ---------------------------------------------------------------------------------------------------------------- calls
def test_a_healthy_reward_is_sane() -> None:
    result = sanity(Made(lengths))
    verdicts = {finding.code: finding.verdict for finding in result.findings}
    assert verdicts == {
        "RW101": "ok", "RW102": "ok", "RW103": "not checked", "RW104": "not checked", "RW105": "not checked",
        "RW106": "ok", "RW107": "ok",
    }  # fmt: skip
    assert [row[1] for row in result.tables[0].rows] == [0.0] * 5


@pytest.mark.parametrize(
    ("fault", "call"),
    [
        (lambda groups, g, r: g, "prompts in another order"),
        (lambda groups, g, r: len(groups), "one prompt a call"),
        (lambda groups, g, r: r, "responses in another order"),
        (lambda groups, g, r: len(groups[g].responses), "each response alone"),
    ],
)
def test_each_way_of_depending_on_the_call_is_named(fault: Callable[..., int], call: str) -> None:
    def score(groups: Sequence[Group]) -> list[list[Score]]:
        return [
            [Score(len(str(text)) + 50.0 * fault(groups, g, r)) for r, text in enumerate(group.responses)]
            for g, group in enumerate(groups)
        ]

    result = sanity(Made(score))
    assert finding(result, "RW101").verdict == "ok"
    assert finding(result, "RW102").verdict == "problem"
    assert result.values["sanity_call_error"][call] > 0.1
    assert result.values["sanity_call_error"]["the same call again"] == 0


def test_the_error_is_in_standard_deviations_of_the_scores() -> None:
    calls = iter(range(100))

    def score(groups: Sequence[Group]) -> list[list[Score]]:
        shift = 3.0 if next(calls) == 13 else 0.0
        return [[Score(s.value + shift) for s in row] for row in lengths(groups)]

    result = sanity(Made(score))
    assert finding(result, "RW101").effect == pytest.approx(3.0 / result.values["sanity_score_sd"])
    assert finding(result, "RW102").verdict == "not checked"
    assert "RW101" in finding(result, "RW102").action


# ------------------------------------------------------------------------------------------------------- missing scores
def test_missing_scores_are_counted_with_their_reasons() -> None:
    reward = FunctionReward("f", lambda prompts, completions: [None if "aaaaa" in c else len(c) for c in completions])
    result = sanity(reward)
    found = finding(result, "RW107")
    assert (found.verdict, found.n_missing, found.n_used) == ("problem", 7, 17)
    assert found.effect == pytest.approx(7 / 24)
    assert "7 x f returned None" in found.baseline
    assert finding(result, "RW106").n_missing == 7


def test_one_prompt_that_raises_costs_its_own_scores_only() -> None:
    def score(groups: Sequence[Group]) -> list[list[Score]]:
        if any("question 3?" in str(group.prompt) for group in groups):
            raise KeyError("three")
        return lengths(groups)

    found = finding(sanity(Made(score)), "RW107")
    assert (found.verdict, found.n_used, found.n_missing, found.n_failed) == ("problem", 22, 2, 0)
    assert "calls that raised: 1" in found.baseline
    assert "KeyError" in found.baseline


def test_a_reward_that_hangs_is_given_up_in_time() -> None:
    def score(groups: Sequence[Group]) -> list[list[Score]]:
        time.sleep(30)
        return lengths(groups)

    start = time.monotonic()
    result = sanity(Made(score), timeout_s=0.05)
    assert time.monotonic() - start < 5
    found = finding(result, "RW107")
    assert (found.verdict, found.n_missing) == ("problem", 24)
    assert result.values["sanity_n_timeouts"] == 3
    assert finding(result, "RW101").verdict == finding(result, "RW106").verdict == "not checked"


def test_what_karat_raises_on_purpose_passes() -> None:
    def score(groups: Sequence[Group]) -> list[list[Score]]:
        raise InputError("f returned 1 scores for 2 responses; return one each.")

    with pytest.raises(InputError, match="return one each"):
        sanity(Made(score))


def test_a_score_that_is_not_finite_is_missing_also_without_a_reason() -> None:
    def score(groups: Sequence[Group]) -> list[list[Score]]:
        return [[Score(float("nan") if "a" in str(text) else float("inf")) for text in g.responses] for g in groups]

    found = finding(sanity(Made(score)), "RW107")
    assert (found.verdict, found.n_used, found.n_missing) == ("problem", 0, 24)
    assert "made returned nan" in found.baseline
    assert "made returned inf" in found.baseline


def test_a_pair_that_comes_a_thousand_times_is_one() -> None:
    found = finding(sanity(Made(lengths), PAIRS[3:4] * 1000), "RW106")
    assert (found.verdict, found.n_used) == ("unclear", 1)


def test_another_number_of_scores_is_a_failure() -> None:
    limited = LimitedReward(Made(lambda groups: [[Score(1.0)]]), 1.0)
    assert limited.score([Group("p", ("a", "b"))])[0][1].missing.endswith("another number of scores than of responses")
    assert limited.n_raised == 1


# ---------------------------------------------------------------------------------------------------------------- scale
def test_a_constant_reward_and_ties() -> None:
    constant = finding(sanity(TextReward("c", lambda prompt, text: 2.0)), "RW106")
    assert (constant.verdict, constant.effect) == ("problem", 1.0)
    near = sanity(TextReward("n", lambda prompt, text: 1000 + len(text) / 100))
    assert finding(near, "RW106").verdict == "unclear"
    assert "0, 0 in float16, 12 in bfloat16" not in finding(near, "RW106").baseline
    assert "12 in bfloat16" in finding(near, "RW106").baseline


@pytest.mark.parametrize(("bits", "dtype"), [(10, torch.float16), (7, torch.bfloat16)])
def test_rounding_is_that_of_the_types(bits: int, dtype: torch.dtype) -> None:
    value = np.random.default_rng(0).normal(0, 30, 500)
    assert _rounded(value, bits).tolist() == torch.tensor(value).to(dtype).double().tolist()


def test_one_pair_and_no_pair() -> None:
    result = sanity(Made(lengths), PAIRS[:1])
    assert finding(result, "RW106").n_used == 1
    assert finding(result, "RW106").verdict == "unclear"
    tied = sanity(TextReward("c", lambda prompt, text: 2.0), PAIRS[:4])
    assert finding(tied, "RW106").verdict == "unclear", "four ties are no proof of a constant reward"
    assert finding(sanity(TextReward("c", lambda prompt, text: 2.0), PAIRS[:5]), "RW106").verdict == "problem"
    with pytest.raises(InputError, match="there are no pairs"):
        sanity(Made(lengths), ())


def test_identical_prompts_are_one_group() -> None:
    pairs = [PreferencePair("q", f" a{k}", " b", prompt_id="q") for k in range(1000)]
    assert finding(sanity(Made(lengths), pairs), "RW107").n_used == 33


# ---------------------------------------------------------------------------------------------------------------- model
def test_a_reward_model_agrees_with_plain_transformers(tmp_path: Path) -> None:
    result = sanity(saved(tmp_path))
    assert {code: finding(result, code).verdict for code in ("RW101", "RW102", "RW103", "RW104", "RW105")} == {
        "RW101": "ok", "RW102": "ok", "RW103": "ok", "RW104": "ok", "RW105": "ok",
    }  # fmt: skip
    assert set(result.values["sanity_transformers_error"]) == {"left", "right"}
    assert finding(result, "RW104").effect == 0


def test_a_pad_token_that_ends_sequences_is_found(tmp_path: Path) -> None:
    found = finding(sanity(saved(tmp_path, pad_is_eos=True)), "RW103")
    assert found.verdict == "problem"
    assert "its pad token is EOS" in found.baseline


def test_a_second_bos_is_found(tmp_path: Path) -> None:
    result = sanity(saved(tmp_path, chat_template="<s><s>" + TEMPLATE), CHATS)
    assert finding(result, "RW104").verdict == "problem"
    assert "8 of 8 begin with BOS twice" in finding(result, "RW104").baseline


def test_cut_responses_are_counted(tmp_path: Path) -> None:
    result = sanity(saved(tmp_path, max_length=40))
    found = finding(result, "RW105")
    assert found.verdict == "problem"
    assert found.low < found.effect < found.high
    assert found.baseline == "limit 40 tokens"
