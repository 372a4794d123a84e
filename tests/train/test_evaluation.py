"""The evaluation of a reward on held-out pairs: planted faults are found, healthy rewards pass, gaps are counted."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from karat.errors import InputError
from karat.train.evaluation import Evaluation, evaluate
from karat.train.evaluation_findings import EXPLANATIONS
from karat.train.evaluation_tables import WITNESS_CHARS
from karat.types import Finding, Message, PreferencePair, TokenIds


def make_pairs(n: int, **fields: Any) -> list[PreferencePair]:
    return [PreferencePair(f"prompt {i}", "yes", "no", prompt_id=f"p{i}", row=i, **fields) for i in range(n)]


def judge(pairs: list[PreferencePair], chosen: Any, rejected: Any = None, **options: Any) -> Evaluation:
    n = len(pairs)
    given = {"length_chosen": np.ones(n), "length_rejected": np.ones(n), "rng": np.random.default_rng(0)}
    rejected = np.zeros(n) if rejected is None else np.asarray(rejected, dtype=float)
    return evaluate(pairs, np.asarray(chosen, dtype=float), rejected, **{**given, **options})


def simulated(
    n: int, *, scale: float = 1.0, length: float = 0.0, skill: float = 1.0, flip: float = 0.0, seed: int = 0
) -> Evaluation:
    """A reward on pairs of known preference; `length` plants a taste for the longer response."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, 2, n)
    wins = rng.random(n) < (1 - 2 * flip) * expit(truth) + flip
    gap = rng.normal(0, 100, n)
    margin = np.where(wins, 1, -1) * scale * (skill * truth + length * gap / 50)
    gap = np.where(wins, gap, -gap)
    pairs = [replace(pair, prompt_id=f"p{i // 2}", source="ab"[i % 2]) for i, pair in enumerate(make_pairs(n))]
    longer, shorter = 300 + np.maximum(gap, 0), 300 + np.maximum(-gap, 0)
    return judge(pairs, margin, length_chosen=longer, length_rejected=shorter, rng=rng)


def finding(result: Evaluation, code: str) -> Finding:
    return next(found for found in result.findings() if found.code == code)


# -------------------------------------------------------------------------------------------------------------- numbers
def test_by_hand() -> None:
    # 2 right, 1 tied score, 1 wrong, 1 missing, 1 labelled as a tie
    pairs = make_pairs(6)
    pairs[5] = replace(pairs[5], label=0.5)
    found = judge(
        pairs, [2, 1, 0, -1, math.nan, 3], length_chosen=np.array([9, 1, 5, 9, 9, 9]), length_rejected=[5] * 6
    )
    values = found.values()
    assert values["accuracy"] == 0.625
    assert (values["accuracy_worst"], values["accuracy_best"]) == (2.5 / 5, 3.5 / 5)
    assert (values["n_pairs"], values["n_used"], values["n_prompts"]) == (6, 4, 4)
    assert (values["n_missing"], values["n_ties"], values["n_label_ties"]) == (1, 1, 1)
    assert (values["longer_accuracy"], values["shorter_accuracy"], values["random_accuracy"]) == (0.625, 0.375, 0.5)
    assert values["best_baseline"] == "longer"
    assert values["gain_over_baseline"] == 0.0
    d, label = np.array([2.0, 1, 0, -1, 3]), np.array([1, 1, 1, 1, 0.5])
    assert values["nll"] == pytest.approx(float(np.mean(np.logaddexp(0, -d) + (1 - label) * d)))
    assert values["brier"] == pytest.approx(float(np.mean((expit(d) - label) ** 2)))


def test_values_are_plain_and_named_stably() -> None:
    values = simulated(200).values()
    json.dumps(values)
    wanted = "accuracy accuracy_low accuracy_high n_pairs n_prompts n_ties n_missing nll brier ece temperature"
    assert {*wanted.split(), "longer_accuracy", "shorter_accuracy", "random_accuracy"} <= values.keys()
    assert values["accuracy_low"] < values["accuracy"] < values["accuracy_high"]


def test_the_order_of_pairs_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    pairs, margin = make_pairs(60), rng.normal(1, 1, 60)
    order = rng.permutation(60)
    one = judge(pairs, margin, length_chosen=np.arange(60), length_rejected=np.full(60, 30)).values()
    other = judge(
        [pairs[i] for i in order], margin[order], length_chosen=np.arange(60)[order], length_rejected=np.full(60, 30)
    ).values()
    for name in ("accuracy", "accuracy_low", "nll", "ece", "temperature", "temperature_low"):
        assert one[name] == pytest.approx(other[name])


def test_a_constant_for_each_prompt_changes_nothing() -> None:
    rng = np.random.default_rng(2)
    pairs, chosen, rejected, shift = make_pairs(50), rng.normal(1, 1, 50), rng.normal(0, 1, 50), rng.normal(0, 9, 50)
    one, other = judge(pairs, chosen, rejected).values(), judge(pairs, chosen + shift, rejected + shift).values()
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert other[name] == (value if isinstance(value, str) else pytest.approx(value, abs=1e-9, nan_ok=True))


def test_all_right_has_an_interval() -> None:
    values = judge(make_pairs(30), np.ones(30)).values()
    assert values["accuracy"] == 1
    assert 0.8 < values["accuracy_low"] < 0.95
    assert values["accuracy_high"] == 1
    assert math.isnan(values["temperature"])


# ------------------------------------------------------------------------------------------------------------- verdicts
def test_a_healthy_reward_passes() -> None:
    verdicts = {found.code: found.verdict for found in simulated(1500).findings()}
    assert verdicts == dict.fromkeys(EXPLANATIONS, "ok")


@pytest.mark.parametrize(
    ("code", "planted"),
    [
        ("RM101", {"skill": 0.0, "length": 0.0, "scale": 1.0, "n": 1500}),
        ("RM101", {"skill": 0.0, "length": 1.0, "n": 1500}),
        ("RM102", {"scale": 3.0, "n": 600}),
        ("RM102", {"scale": 0.3, "n": 600}),
        ("RM104", {"length": 5.0, "n": 600}),
    ],
)
def test_planted_faults_are_found(code: str, planted: dict[str, Any]) -> None:
    found = finding(simulated(**planted), code)
    assert found.verdict == "problem"
    assert found.action


def test_a_reward_beyond_the_label_noise_is_found() -> None:
    rng = np.random.default_rng(3)
    truth = rng.normal(0, 2, 3000)
    wins = rng.random(3000) < 0.6 * expit(truth) + 0.2
    margin = np.where(wins, 1, -1) * np.sign(truth) * np.abs(truth) ** 3 / 4
    noisy = judge(make_pairs(3000), margin, flip_rate=0.2)
    assert finding(noisy, "RM103").verdict == "problem"
    assert "flip rate 0.200, margin cap 1.39 nats" in finding(noisy, "RM103").baseline
    assert finding(judge(make_pairs(3000), margin), "RM103").verdict == "problem"  # with the rate estimated


def test_false_alarms_are_rare() -> None:
    alarms = 0
    for seed in range(25):
        alarms += sum(found.verdict == "problem" for found in simulated(150, seed=seed).findings())
    assert alarms <= 3  # of 125 statements


def test_too_few_pairs_are_unclear_and_say_how_many() -> None:
    found = finding(simulated(30, skill=0.4, seed=4), "RM101")
    assert found.verdict == "unclear"
    assert "pairs would be needed" in found.action


def test_one_prompt_is_unclear() -> None:
    pairs = [replace(pair, prompt_id="same") for pair in make_pairs(10)]
    found = finding(judge(pairs, np.ones(10)), "RM101")
    assert found.verdict == "unclear"
    assert "at least two prompts" in found.action


def test_missing_and_tied_scores_are_problems_and_bounded() -> None:
    chosen = np.ones(100)
    chosen[:5] = math.nan
    found = finding(judge(make_pairs(100), chosen), "RM105")
    assert (found.verdict, found.effect, found.n_missing) == ("problem", 0.05, 5)
    assert "between 0.950 and 1.000" in found.baseline
    assert "score missing" in found.witnesses[0]
    tied = finding(judge(make_pairs(100), np.r_[np.zeros(10), np.ones(90)]), "RM105")
    assert tied.verdict == "problem"
    assert "10 of 100 scored pairs tie" in tied.baseline


@pytest.mark.parametrize("chosen", [np.full(5, math.nan), np.zeros(0)])
def test_nothing_scored_is_not_checked(chosen: np.ndarray) -> None:
    result = judge(make_pairs(chosen.size), chosen)
    verdicts = {found.code: found.verdict for found in result.findings()}
    assert {verdicts[code] for code in ("RM101", "RM102", "RM103", "RM104")} == {"not checked"}
    assert verdicts["RM105"] == ("problem" if chosen.size else "not checked")
    assert math.isnan(result.values()["accuracy"])
    assert all(found.action for found in result.findings())


# ------------------------------------------------------------------------------------------------- tables and witnesses
def test_tables_add_up() -> None:
    result = simulated(300)
    tables = {table.name: table for table in result.tables()}
    assert list(tables) == ["accuracy_by_source", "accuracy_by_length_gap", "reliability"]
    for table in tables.values():
        pairs = table.columns.index("pairs")
        assert sum(row[pairs] for row in table.rows) == 300
        assert all(len(row) == len(table.columns) for row in table.rows)
    by_source = tables["accuracy_by_source"].rows
    assert [row[0] for row in by_source] == ["a", "b"]
    assert sum(row[1] * row[3] for row in by_source) / 300 == pytest.approx(result.values()["accuracy"])


def test_pairs_without_a_source_or_of_one_length_give_no_such_rows() -> None:
    names = [table.name for table in judge(make_pairs(9), np.arange(9.0)).tables()]
    assert names == ["accuracy_by_length_gap", "reliability"]
    assert len(judge(make_pairs(9), np.arange(9.0)).tables()[0].rows) == 1


def test_witnesses_are_the_worst_pairs_shortened() -> None:
    pairs = make_pairs(5)
    pairs[2] = replace(pairs[2], prompt="start " + "x" * 500 + " end", chosen="c" * 500, rejected="no\n\nmore")
    found = finding(judge(pairs, [1, -1, -9, 2, -3]), "RM101")
    assert [text.split(",")[0] for text in found.witnesses] == ["row 2", "row 4", "row 1"]
    _, prompt, chosen, rejected = found.witnesses[0].split(" | ")
    assert prompt.startswith("prompt: ...x")
    assert prompt.endswith(" end")
    assert len(prompt) == WITNESS_CHARS + len("prompt: ")
    assert len(chosen) == WITNESS_CHARS + len("chosen: ")
    assert chosen.endswith("c...")
    assert rejected == "rejected: no more"


def test_witnesses_of_length_are_pairs_whose_shorter_response_is_right() -> None:
    result = judge(make_pairs(3), [-1, -2, -3], length_chosen=[1, 5, 2], length_rejected=[3, 3, 3])
    assert [text.split(",")[0] for text in finding(result, "RM104").witnesses] == ["row 2", "row 0"]


def test_text_of_every_kind() -> None:
    talk = (Message("user", "hello"), Message("assistant", "ok"))
    pairs = [PreferencePair(talk, talk[1:], TokenIds((1, 2)), prompt_id="a")]
    assert "prompt: ok | chosen: ok | rejected: (2 token ids)" in finding(judge(pairs, [-1]), "RM101").witnesses[0]


def test_every_finding_is_explained() -> None:
    assert [found.code for found in simulated(50).findings()] == sorted(EXPLANATIONS)
    assert all(len(entry) == 4 and all(entry) for entry in EXPLANATIONS.values())


# ------------------------------------------------------------------------------------------------------------- messages
def test_messages() -> None:
    pairs = make_pairs(2)
    with pytest.raises(InputError, match=r"reward_chosen: 1 of 2 values \(first: index 1, inf\) are infinite"):
        judge(pairs, [1, math.inf])
    with pytest.raises(InputError, match="reward_chosen 1, reward_rejected 2"):
        judge(pairs, [1])
    with pytest.raises(InputError, match="pairs 2, rewards 3"):
        judge(pairs, [1, 2, 3], [0, 0, 0])
    with pytest.raises(InputError, match="pair 1 has no prompt_id"):
        judge([pairs[0], replace(pairs[1], prompt_id="")], [1, 1])
    with pytest.raises(InputError, match=r"label: 1 of 2 values \(first: index 0, 0.2\) are outside \[0.5, 1\]"):
        judge([replace(pairs[0], label=0.2), pairs[1]], [1, 1])
    with pytest.raises(InputError, match=r"length_chosen_P: 1 of 2 values \(first: index 0, -1.0\) are negative"):
        judge(pairs, [1, 1], length_chosen=[-1, 1])
