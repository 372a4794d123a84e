"""A reward with a planted bias, calibrated: what is taken, what is exported, what is said; and what cannot be done."""

from __future__ import annotations

import json
import math
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from karat.audit.reward.calibrate import FOLDER, calibrate_reward, kinds_of
from karat.audit.reward.calibrate_findings import EXPLANATIONS
from karat.audit.reward.calibration import KINDS
from karat.audit.reward.config import FIXES, AuditRewardConfig
from karat.errors import DataError, InputError
from karat.numerics.length_trend import LengthTrend
from karat.numerics.mitigation_rules import FittedRule
from karat.numerics.style_trend import StyleTrend
from karat.rewards import Group, Reward, load_reward
from karat.rewards.kinds import TextReward
from karat.rewards.mitigated import MemberSpec, MitigatedReward, save_mitigated
from karat.rewards.trl import trl_reward
from karat.types import Message, PreferencePair, Result, Score, TokenIds

WORD = "word "


def quality_of(text: str) -> float:
    """Written at the start of every response, so that a reward can know it."""
    return float(text.split("|", 1)[0])


def make_pairs(n: int, *, want: float = 0.0, want_list: float = 0.0, seed: int = 0) -> list[PreferencePair]:
    """Labels by quality, plus `want` for an e-fold of length, plus `want_list` for each log(1 + list items)."""
    rng = np.random.default_rng(seed)
    pairs = []
    for number in range(n):
        sides = []
        for _ in range(2):
            items, length = int(rng.poisson(1.0)), int(np.exp(3 + 0.7 * rng.standard_normal()))
            text = f"{1.5 * rng.standard_normal():+.4f}|" + "\n- x" * items + "\n" + WORD * length
            sides.append((text, quality_of(text) + want * math.log(len(text)) + want_list * math.log1p(items)))
        first = int(rng.random() >= expit(sides[0][1] - sides[1][1]))
        pairs.append(
            PreferencePair(f"prompt {number}", sides[first][0], sides[1 - first][0], prompt_id=str(number), row=number)
        )
    return pairs


def by_length(prompt: str, text: str) -> float:
    return quality_of(text) + 1.5 * math.log(len(text))


def by_list(prompt: str, text: str) -> float:
    return quality_of(text) + 1.5 * math.log1p(text.count("- x"))


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Reward]:
    """A function of prompt and response as a reward that has a name."""

    def make(function: Callable[[str, str], float | None]) -> Reward:
        module = types.ModuleType("planted_rewards")
        module.score = lambda prompts, completions: [  # type: ignore[attr-defined]
            function(*both) for both in zip(prompts, completions, strict=True)
        ]
        monkeypatch.setitem(sys.modules, "planted_rewards", module)
        return load_reward("planted_rewards:score")

    return make


def calibrate(reward: Reward, pairs: list[PreferencePair], out: Path, **options: Any) -> Result:
    config = AuditRewardConfig(**{"fix": "length", **options})
    return calibrate_reward(reward, pairs, config=config, out=out, rng=np.random.default_rng(0))


def verdicts(result: Result) -> dict[str, str]:
    return {finding.code: finding.verdict for finding in result.findings}


# --------------------------------------------------------------------------------------------------------- what it does
def test_a_planted_length_bias_is_taken_away(named: Callable[..., Reward], tmp_path: Path) -> None:
    pairs = make_pairs(800)
    result = calibrate(named(by_length), pairs, tmp_path)
    values = result.values
    assert verdicts(result) == {"RW701": "ok", "RW702": "ok"}
    assert values["calibration_length_share"] == pytest.approx(1.0, abs=0.15)
    assert values["calibration_length_excess_before"] > 0.05
    assert abs(values["calibration_length_excess_after"]) < 0.04
    assert values["calibration_accuracy_gain_low"] > 0
    assert values["calibration_shorter_right_after"] > values["calibration_shorter_right_before"] + 0.1
    assert values["calibration_filler_before"] > 0.2
    assert abs(values["calibration_filler_after"]) < 0.1
    assert abs(values["calibration_length_correlation_after"]) < values["calibration_length_correlation_before"] - 0.2
    assert result.findings[1].witnesses[0].startswith("row ")


def test_what_labels_want_is_left(named: Callable[..., Reward], tmp_path: Path) -> None:
    """The same reward, and people who like length as much as it pays."""
    calibrate(named(by_length), make_pairs(200), tmp_path)
    assert (tmp_path / FOLDER / "karat.json").exists()  # of another run, on other pairs
    result = calibrate(named(by_length), make_pairs(800, want=1.5), tmp_path)
    assert verdicts(result) == {"RW701": "ok", "RW702": "ok"}
    assert result.values["calibration_length_share"] == 0.0
    assert result.files == ()
    assert not (tmp_path / FOLDER / "karat.json").exists()
    assert "No reward was written" in result.findings[0].action


def test_half_wanted_is_half_left(named: Callable[..., Reward], tmp_path: Path) -> None:
    result = calibrate(named(by_length), make_pairs(2000, want=0.75), tmp_path)
    assert result.values["calibration_length_share"] == pytest.approx(0.5, abs=0.2)
    # labels go with length, and so does what is left of the reward
    assert result.values["calibration_length_excess_before"] > 0.03
    assert result.values["calibration_length_excess_after"] == pytest.approx(0.0, abs=0.04)


def test_a_planted_list_bias_is_found_among_the_features(named: Callable[..., Reward], tmp_path: Path) -> None:
    result = calibrate(named(by_list), make_pairs(800), tmp_path, fix="length,style")
    shares = result.values["calibration_style_shares"]
    # a list item is a line as well, so the two share the bias
    assert max(shares, key=shares.__getitem__) in ("list items", "lines")
    assert verdicts(result)["RW703"] == "ok"
    assert result.values["calibration_style_excess_after"] < result.values["calibration_style_excess_before"] / 2
    taken = {row[0]: row[3] for row in result.tables[0].rows}
    assert taken["list items"] + taken["lines"] > 0.3


# ----------------------------------------------------------------------------------------------------------- the export
@pytest.mark.parametrize("fix", ["length", "style", "length,style"])
def test_the_folder_is_the_reward_that_was_judged(fix: str, named: Callable[..., Reward], tmp_path: Path) -> None:
    reward = named(lambda prompt, text: by_length(prompt, text) + by_list(prompt, text))
    pairs = make_pairs(600)
    result = calibrate(reward, pairs, tmp_path, fix=fix)
    assert result.files == (str(tmp_path / FOLDER),)
    again = load_reward(str(tmp_path / FOLDER))
    assert isinstance(again, MitigatedReward)
    manifest = json.loads((tmp_path / FOLDER / "karat.json").read_text())
    assert manifest["rule"] == "calibrated"
    assert manifest["members"] == [{"name": "reward", "reward": "planted_rewards:score", "head": ""}]
    assert manifest["compared"]["accuracy_after"]["estimate"] == result.values["calibration_accuracy_after"]
    groups = [Group(pair.prompt, (pair.chosen, pair.rejected)) for pair in pairs[:20]]
    together = [[score.value for score in row] for row in again.score(groups)]
    alone = [[again.score([Group(g.prompt, (text,))])[0][0].value for text in g.responses] for g in groups]
    assert together == alone
    assert np.ptp(np.array(together) - [[s.value for s in row] for row in reward.score(groups)]) > 0.1
    in_trl = trl_reward(str(tmp_path / FOLDER))
    assert in_trl(prompts=[pairs[0].prompt], completions=[pairs[0].chosen]) == [together[0][0]]


def test_hand_values_of_the_rule(tmp_path: Path) -> None:
    """length 9 less (0.5 of the trend at 9) less 2 log(1 + 1) for one exclamation mark, plus the centre."""
    fitted = FittedRule(
        rule="calibrated", centre="pool", centre_M=(0.0,), scale_M=(1.0,), trend=LengthTrend((0.0, 9.0), (-1.0, 0.5)),
        style=StyleTrend(("exclamation marks",), (2.0,), 0.25),
    )  # fmt: skip
    save_mitigated(tmp_path / "r", fitted, (MemberSpec("reward", "builtin:longer"),))
    reward = load_reward(str(tmp_path / "r"))
    assert isinstance(reward, MitigatedReward)
    assert reward.fitted == fitted
    found = reward.score([Group("p", ("abcdefgh!", "abcdefghi"))])[0]
    assert [score.value for score in found] == pytest.approx([9 - 0.5 - 2 * math.log(2) + 0.25, 9 - 0.5 + 0.25])
    talk = reward.score([Group((Message("user", "p"),), ((Message("assistant", "abcdefgh!"),),))])[0][0]
    assert talk.value == pytest.approx(found[0].value)
    tokens = MitigatedReward(fitted, reward.members, {"builtin:longer": Silent()}, name="r")
    assert "token ids have neither length nor style" in tokens.score([Group("", (TokenIds((1, 2)),))])[0][0].missing


class Silent:
    """Takes anything, token ids too."""

    name, head_names = "silent", ("reward",)

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        return [[Score(0.0) for _ in group.responses] for group in groups]


@pytest.mark.parametrize("broken", [{"names": ["smell"], "weight_F": [1.0]}, {"names": [], "weight_F": [1.0]}, {}])
def test_a_broken_style_is_refused(broken: dict[str, Any], tmp_path: Path) -> None:
    fitted = FittedRule(rule="calibrated", centre="pool", centre_M=(0.0,), scale_M=(1.0,), style=StyleTrend((), ()))
    save_mitigated(tmp_path / "r", fitted, (MemberSpec("reward", "builtin:longer"),))
    file = tmp_path / "r" / "karat.json"
    manifest = json.loads(file.read_text())
    manifest["fitted"]["style"] = {**broken, "centre": 0.0} if broken else None
    file.write_text(json.dumps(manifest))
    with pytest.raises(Exception, match="is no complete mitigated reward"):
        load_reward(str(tmp_path / "r"))


# ------------------------------------------------------------------------------------------------------------ bad input
def test_missing_scores_are_counted_and_left_out(named: Callable[..., Reward], tmp_path: Path) -> None:
    pairs = make_pairs(300)
    some = {pair.chosen for pair in pairs[:30]}
    result = calibrate(named(lambda p, t: None if t in some else by_length(p, t)), pairs, tmp_path)
    assert result.values["calibration_n_missing"] == 30
    assert all(finding.n_missing == 30 for finding in result.findings)


def test_what_cannot_be_calibrated_is_told(named: Callable[..., Reward], tmp_path: Path) -> None:
    reward, pairs = named(by_length), make_pairs(80)
    for some in (pairs[:1], [replace(pair, prompt="p", prompt_id="p") for pair in pairs], pairs[:30]):
        with pytest.raises(DataError, match="needs 20 on either side"):
            calibrate(reward, some, tmp_path)
    ids = [PreferencePair("", TokenIds((1,)), TokenIds((2,)), prompt_id=str(i)) for i in range(60)]
    with pytest.raises(DataError, match="tokenised"):
        calibrate(reward, ids, tmp_path)
    with pytest.raises(DataError, match="do not point towards the labels"):
        calibrate(named(lambda p, t: -quality_of(t)), pairs, tmp_path)
    with pytest.raises(DataError, match="do not point towards the labels"):
        calibrate(named(lambda p, t: 1.0), pairs, tmp_path)
    with pytest.raises(InputError, match="the reward is called 'mine', which `load_reward` does not take"):
        calibrate(TextReward("mine", by_length), pairs, tmp_path)
    with pytest.raises(InputError, match="there is no 'smell'; there are: length, style"):
        AuditRewardConfig(fix="length,smell")
    with pytest.raises(InputError, match="nothing is named"):
        kinds_of(" ")
    assert kinds_of("style, length") == KINDS == FIXES


def test_empty_responses_and_ties_are_no_trouble(named: Callable[..., Reward], tmp_path: Path) -> None:
    pairs = make_pairs(200)
    pairs = [replace(pair, rejected="") if number % 10 == 0 else pair for number, pair in enumerate(pairs)]
    pairs = [replace(pair, label=0.5) if number % 7 == 0 else pair for number, pair in enumerate(pairs)]
    reward = named(lambda p, t: by_length(p, t) if t else -3.0)
    result = calibrate(reward, pairs, tmp_path, fix="length,style")
    assert 0 < result.values["calibration_n_pairs"] < 120
    assert all(finding.verdict in ("ok", "unclear", "problem") for finding in result.findings)


def test_every_finding_is_explained(named: Callable[..., Reward], tmp_path: Path) -> None:
    result = calibrate(named(by_list), make_pairs(120), tmp_path, fix="length,style")
    assert [finding.code for finding in result.findings] == list(EXPLANATIONS)
    assert all(finding.title == EXPLANATIONS[finding.code][0] for finding in result.findings)
    assert all(len(entry) == 4 for entry in EXPLANATIONS.values())
