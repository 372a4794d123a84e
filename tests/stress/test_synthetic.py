"""`karat stress synthetic`: labels, heads, curves, contrasts, findings, and what is refused.

The planted pool: a response is ten numbers, which are its hidden state. Gold grows with their tanh and falls with their
squares, so that a linear head is right about most responses and wrong about the extreme ones.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit

import karat
from karat.errors import DataError, InputError
from karat.numerics.crossed import seed_and_prompt_draws
from karat.numerics.intervals import Interval
from karat.report.panels import by_labels_and_noise
from karat.report.text import format_number
from karat.rewards import Group
from karat.rewards.model import load_reward_for_training
from karat.stress.synthetic import SyntheticConfig, measure, proxies, setting
from karat.stress.synthetic.findings import EXPLANATIONS, findings_of
from karat.stress.synthetic.labels import CHECK_PAIRS, Pairs, check_pairs, draw_labels, every_pair
from karat.stress.synthetic.setting import Prompt, Setting
from karat.types import Result
from karat.worlds import words

DIRECTION = np.linspace(1.0, 0.1, 10)
FAST: dict[str, Any] = {"gold": "gold", "resamples": 200, "seeds": 4, "members": 4}


def planted_rows(n_prompts: int = 48, n_responses: int = 64, *, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    rows = []
    for prompt in range(n_prompts):
        state_GD = rng.standard_t(3, (n_responses, 10))
        gold_G = np.tanh(state_GD) @ DIRECTION - 0.06 * (state_GD**2).sum(axis=1)
        for place, (state, gold) in enumerate(zip(state_GD, gold_G, strict=True)):
            text = " ".join(f"{value:.6f}" for value in state)
            rows.append({"prompt_id": f"p{prompt}", "prompt": f"p{prompt}", "response": text, "gold": gold, "r": place})
    return rows


def spelt_states(prompts: list[Prompt], model: str, progress: Any = None) -> list[np.ndarray]:
    """The numbers that a response spells, in place of a backbone's hidden states."""
    return [np.array([[float(word) for word in str(text).split()] for text in p.responses]) for p in prompts]


@pytest.fixture
def spelt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies, "hidden_states", spelt_states)


@pytest.fixture(scope="module")
def planted() -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proxies, "hidden_states", spelt_states)
        return karat.stress.synthetic(planted_rows(), sizes="60,400", **FAST)


def by_code(result: Result) -> dict[str, Any]:
    return {finding.code: finding for finding in result.findings}


def a_prompt(gold: list[float], name: str = "p") -> Prompt:
    return Prompt(name, name, tuple(f"{name} {place}" for place in range(len(gold))), np.array(gold))


def a_setting(**changes: Any) -> Setting:
    gold = [[0.0, 1.0, 2.0, 3.0]] * 8
    curves = tuple(a_prompt(row, f"c{number}") for number, row in enumerate(gold))
    start = Setting("pool", "gold", "m", (a_prompt([0, 1]), a_prompt([0, 1], "q")), curves, 4, 36, 0, 0, 0, None)
    return replace(start, **changes)


# ------------------------------------------------------------------------------------------- the experiment
def test_the_proxy_rises_the_gold_falls_and_an_ensemble_holds_more(planted: Result) -> None:
    found = by_code(planted)
    assert set(found) == set(EXPLANATIONS)
    assert found["ST601"].verdict == "problem"
    assert found["ST601"].low > 0.1
    assert (found["ST602"].verdict, found["ST603"].verdict, found["ST605"].verdict) == ("ok", "ok", "ok")
    assert found["ST602"].effect > 0.1
    assert {finding.gold for finding in planted.findings} == {"gold"}
    assert {finding.n_used for finding in planted.findings} == {24 * 64}
    for condition in planted.values["conditions"]:
        single = condition["rules"]["single proxy"]
        assert single["proxy_gain"][-1] > 2
        assert np.all(np.diff(single["proxy_gain"]) > 0)
        assert single["gold_gain"][0] == 0
    assert "loses" in planted.lead
    assert 1 <= len(found["ST601"].witnesses) <= 3


def test_values_and_tables_say_the_same(planted: Result) -> None:
    values = planted.values
    assert values["n"][0] == 1
    assert values["n"][-1] == values["max_n"] == 64
    conditions = next(table for table in planted.tables if table.name == "synthetic_conditions")
    at = conditions.columns.index
    assert [(row[at("labels")], row[at("noise")]) for row in conditions.rows][::4] == [
        (60, 0.0), (60, 0.25), (400, 0.0), (400, 0.25),
    ]  # fmt: skip
    first = values["conditions"][0]["rules"]["single proxy"]
    assert conditions.rows[0][at("peak_n")] == first["peak_n"] == values["n"][int(np.argmax(first["gold_gain"]))]
    assert conditions.rows[0][at("last")] == first["gold_gain"][-1]
    assert first["kl"][-1] == pytest.approx(math.log(64) - 63 / 64)
    contrast = {(one["what"], one["conditions"]): one for one in values["contrasts"]}
    worst = contrast["worst member less single proxy", "all"]
    each = [
        condition["rules"]["worst member"]["gold_gain"][-1] - condition["rules"]["single proxy"]["gold_gain"][-1]
        for condition in values["conditions"]
    ]
    assert worst["last"] == pytest.approx(np.mean(each))
    assert worst["last"] == worst["equal_kl"] == by_code(planted)["ST602"].effect
    json.dumps(values)


def test_it_is_the_same_twice_and_differs_by_seed(spelt: None) -> None:
    rows = planted_rows(20, 8)
    runs = [karat.stress.synthetic(rows, sizes="10", noise="0", seed=seed, **FAST) for seed in (0, 0, 1)]
    golds = [run.values["conditions"][0]["rules"]["single proxy"]["gold_gain"] for run in runs]
    assert golds[0] == golds[1] != golds[2]


def test_a_function_of_the_prompt_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Preferences do not identify it, so neither choice nor ensemble may depend on it."""

    def moved(prompts: list[Prompt], model: str, progress: Any = None) -> list[np.ndarray]:
        rng = np.random.default_rng(5)
        return [state + 3 * rng.standard_normal(10) for state in spelt_states(prompts, model)]

    rows = planted_rows(20, 16)
    runs = []
    for states in (spelt_states, moved):
        monkeypatch.setattr(proxies, "hidden_states", states)
        # hidden states are standardised over all responses, which the shift widens: next to no ridge, so that it does
        # not matter; but enough pairs for a head to be determined
        runs.append(karat.stress.synthetic(rows, sizes="400", noise="0.25", ridge=1e-6, **FAST))
    rules = [run.values["conditions"][0]["rules"] for run in runs]
    for rule in rules[0]:
        assert rules[0][rule]["gold_gain"] == pytest.approx(rules[1][rule]["gold_gain"], abs=0.02)


def test_members_with_labels_of_their_own(spelt: None) -> None:
    """An ensemble then has several times the labels, and the single proxy stays what it was."""
    rows = planted_rows(24, 32)
    same, own = (
        karat.stress.synthetic(rows, sizes="60", noise="0", member_labels=labels, **FAST).values["conditions"][0]
        for labels in ("same", "own")
    )
    assert same["rules"]["single proxy"] == own["rules"]["single proxy"]
    assert own["rules"]["mean of members"]["accuracy"] > same["rules"]["mean of members"]["accuracy"]


def test_one_size_and_one_noise_are_not_compared(spelt: None) -> None:
    found = by_code(karat.stress.synthetic(planted_rows(20, 8), sizes="20", noise="0", **FAST))
    assert (found["ST603"].verdict, found["ST604"].verdict) == ("not checked", "not checked")
    assert "--sizes" in found["ST603"].action
    assert found["ST604"].n_used == 0


# ------------------------------------------------------------------------------------------- labels
def test_every_pair_of_different_gold() -> None:
    pairs = every_pair([a_prompt([1.0, 1.0, 0.0]), a_prompt([2.0, 2.0]), a_prompt([0.0, 5.0])])
    assert list(zip(pairs.prompt_Q, pairs.better_Q, pairs.worse_Q, strict=True)) == [(0, 0, 2), (0, 1, 2), (2, 1, 0)]


def test_sizes_are_nested_and_noise_rates_paired() -> None:
    pairs = every_pair([a_prompt(list(range(60)))])
    draw = draw_labels(pairs, 1000, np.random.default_rng(0))
    small, large, noisy = draw.labelled(100, 0), draw.labelled(1000, 0), draw.labelled(1000, 0.25)
    assert np.array_equal(small.better_Q, large.better_Q[:100])
    is_flipped = noisy.better_Q != large.better_Q
    assert is_flipped.mean() == pytest.approx(0.25, abs=0.04)
    assert np.array_equal(noisy.worse_Q[is_flipped], large.better_Q[is_flipped])
    assert np.all(
        np.isin(np.flatnonzero(draw.labelled(1000, 0.1).better_Q != large.better_Q), np.flatnonzero(is_flipped))
    )
    assert len(set(zip(large.better_Q, large.worse_Q, strict=True))) == 1000


def test_more_labels_than_pairs() -> None:
    with pytest.raises(DataError, match="4 labelled pairs are asked for, and the responses give 3 pairs"):
        draw_labels(every_pair([a_prompt([0, 1, 2])]), 4, np.random.default_rng(0))


def test_held_out_pairs_weigh_prompts_equally() -> None:
    pairs = check_pairs([a_prompt([0, 1]), a_prompt([1, 1]), a_prompt(list(range(30)))], np.random.default_rng(0))
    assert np.bincount(pairs.prompt_Q).tolist() == [CHECK_PAIRS, 0, CHECK_PAIRS]
    score_PG = np.array([[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
    some = Pairs(np.array([0, 0, 2, 2]), np.array([1, 1, 1, 0]), np.array([0, 0, 0, 1]))
    assert measure.accuracy_by_prompt(score_PG, some).tolist() == [1.0, 0.5]


def test_held_out_pairs_of_fewer_than_two_prompts_are_refused() -> None:
    level = [a_prompt([0.0] * 64 + [1.0]), a_prompt([1.0, 1.0])]  # differs behind the responses that pairs come from
    with pytest.raises(DataError, match="first 64 responses of 0 of 2 prompts"):
        check_pairs(level, np.random.default_rng(0))
    with pytest.raises(DataError, match="of 1 of 3 prompts"):
        check_pairs([*level, a_prompt([0, 1])], np.random.default_rng(0))


def test_accuracy_stays_a_share_and_has_an_interval_where_nothing_varies() -> None:
    found = measure.accuracy_interval(np.array([[1.0, 0.9, 1.0], [1.0, 1.0, 0.8]]))
    assert 0.5 < found.low < found.estimate < found.high == 1.0
    right = measure.accuracy_interval(np.ones((3, 20)))
    assert (right.estimate, right.high) == (1.0, 1.0)
    assert right.low == pytest.approx(20 / (20 + 1.959964**2))  # Wilson's at 20 of 20


# ------------------------------------------------------------------------------------------- proxies
def test_head_solves_its_equation() -> None:
    """20 differences of 1: ridge w = 20 sigma(-w)."""
    weight = proxies.fit_head(np.ones((20, 1)), ridge=2.0)[0]
    assert 2.0 * weight == pytest.approx(20 * expit(-weight), rel=1e-4)
    assert proxies.fit_head(-np.ones((20, 1)), ridge=2.0)[0] == pytest.approx(-weight, rel=1e-4)


def test_hidden_states_are_what_a_head_reads() -> None:
    """Times the head of the same model they are its rewards; equal responses have equal states."""
    prompt = Prompt("p", words.prompts()[0], ("plum apple", "so very plum", "plum apple"), np.zeros(3))
    state_BD = proxies.hidden_states([prompt], str(words.POLICY))[0]
    assert state_BD.shape == (3, 48)
    assert np.array_equal(state_BD[0], state_BD[2])
    reward = load_reward_for_training(str(words.POLICY), n_heads=1, max_length=64, dtype=torch.float32, seed=0)
    group = Group(prompt.text, prompt.responses)
    value_B = reward.score_encoded(reward.encoder.encode_many([group]))[0][:, 0]
    weight_D = reward.net.head.weight.detach().double().numpy()[0]
    assert state_BD @ weight_D == pytest.approx(value_B, abs=1e-5)


def test_trained_models_differ_by_seed_alone() -> None:
    asked = words.prompts()
    rng = np.random.default_rng(0)
    sides = []
    for start, count in ((0, 6), (200, 2)):
        side = []
        for prompt in asked[start : start + count]:
            texts = tuple(words.careless_response(prompt, rng) for _ in range(6))
            side.append(Prompt(prompt, prompt, texts, np.array(words.gold([prompt] * 6, texts))))
        sides.append(tuple(side))
    given = a_setting(pairs=sides[0], curves=sides[1], max_n=6, model=str(words.POLICY))
    labels = every_pair(given.pairs).take(np.arange(12))
    models = proxies.TrainedModels(given, SyntheticConfig(train=True, lr=1e-3))
    single_PG, member_MPG = models.learn([labels, labels], np.random.default_rng(1), is_shared=True)
    assert member_MPG.shape == (2, 2, 6)
    assert np.array_equal(single_PG, member_MPG[0])
    assert not np.allclose(member_MPG[0], member_MPG[1])


# ------------------------------------------------------------------------------------------- curves, contrasts
def test_members_are_brought_to_one_scale() -> None:
    rng = np.random.default_rng(0)
    member_MPG = rng.standard_normal((3, 5, 20))
    moved = member_MPG * np.array([1.0, 4.0, 0.1])[:, None, None] + rng.standard_normal((3, 5, 1))
    assert measure.on_one_scale(moved) == pytest.approx(measure.on_one_scale(member_MPG))
    assert measure.on_one_scale(np.zeros((2, 3, 4))).tolist() == [[0, 0]] * 12  # a member that says nothing


def a_curve(score_SPG: np.ndarray, gold_PG: np.ndarray) -> measure.RuleCurve:
    counts = measure.Counts(
        *seed_and_prompt_draws(score_SPG.shape[0], score_SPG.shape[1], 200, np.random.default_rng(0))
    )
    return measure.rule_curve("rule", score_SPG, gold_PG, measure.n_grid(score_SPG.shape[2]), counts)


def test_a_curve_of_the_gold_itself() -> None:
    """Best of n by the gold: of 1, 2, 3, 4 with n = 4 the best is 4, 1.5 over the mean, SD sqrt(5/3)."""
    gold_PG = np.tile(np.arange(1.0, 5.0), (6, 1)) + np.arange(6.0)[:, None]
    curve = a_curve(np.stack([gold_PG, 2 * gold_PG]), gold_PG)
    assert curve.gold.n_N.tolist() == [1, 2, 3, 4]
    assert curve.gold.mean_N[-1] == pytest.approx(1.5 / math.sqrt(5 / 3))
    assert curve.proxy.mean_N == pytest.approx(curve.gold.mean_N)
    assert curve.kl_N[-1] == pytest.approx(math.log(4) - 3 / 4)
    assert curve.peak == 3


def test_ties_shorten_the_distance() -> None:
    """Half of the responses tie at the top: best of many is one of them, KL log 2 and no more."""
    score_PG = np.tile(np.r_[np.arange(32.0), np.full(32, 99.0)], (6, 1))
    curve = a_curve(np.stack([score_PG] * 2), np.random.default_rng(0).standard_normal((6, 64)))
    assert curve.kl_N[-1] == pytest.approx(math.log(2), abs=1e-6)


def test_contrast_of_a_curve_with_itself_is_nothing() -> None:
    rng = np.random.default_rng(1)
    gold_PG = rng.standard_normal((6, 16))
    one = a_curve(gold_PG + rng.standard_normal((3, 6, 16)), gold_PG)
    found = measure.contrast("one less one", "all", [one], [one])
    assert (found.last.estimate, found.best.estimate, found.equal_kl.estimate) == (0, 0, 0)
    assert (found.later.estimate, found.later.low, found.later.high) == (1, 1, 1)


def test_equal_kl_reads_both_curves_where_the_shorter_one_ends() -> None:
    rng = np.random.default_rng(2)
    gold_PG = rng.standard_normal((6, 16))
    one = a_curve(gold_PG + rng.standard_normal((3, 6, 16)), gold_PG)
    at = 4
    short = replace(one, kl_N=one.kl_N * one.kl_N[at] / one.kl_N[-1])
    found = measure.contrast("short less one", "all", [short], [one])
    assert found.last.estimate == pytest.approx(0)
    assert found.equal_kl.estimate == pytest.approx(one.gold.mean_N[-1] - one.gold.mean_N[at])


@pytest.mark.parametrize("max_n", [4, 64, 100, 1000])
def test_grid_of_n(max_n: int) -> None:
    grid = measure.n_grid(max_n)
    assert grid[0] == 1
    assert grid[-1] == max_n
    assert set(2 ** np.arange(int(math.log2(max_n)) + 1)) <= set(grid)
    assert np.all(np.diff(grid) > 0)


# ------------------------------------------------------------------------------------------- findings
def measured(planted_drop: Interval, last: Interval) -> measure.Measured:
    rng = np.random.default_rng(3)
    gold_PG = rng.standard_normal((6, 16))
    curve = a_curve(gold_PG + rng.standard_normal((3, 6, 16)), gold_PG)
    accuracy = Interval(0.7, 0.6, 0.8, 6, "crossed t")
    rules = (measure.SINGLE, *measure.ENSEMBLES)
    condition = measure.Condition(50, 0.0, dict.fromkeys(rules, accuracy), dict.fromkeys(rules, curve))
    contrast = measure.Contrast("a less b", "all", last, last, last, Interval(2.0, 1.5, 3.0, 6, "bootstrap"))
    return measure.Measured(
        np.array(curve.gold.n_N), 1.0, 0.0, 10, (condition,), planted_drop,
        dict.fromkeys(measure.ENSEMBLES, contrast), (), contrast, contrast, (),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("ends", "drop", "gain", "cost"),
    [
        ((0.05, 0.2), "problem", "ok", "ok"),
        ((-0.05, 0.05), "ok", "problem", "ok"),
        ((-0.5, 0.5), "unclear", "unclear", "unclear"),
        ((-0.5, -0.2), "ok", "problem", "problem"),
    ],
)
def test_verdicts(ends: tuple[float, float], drop: str, gain: str, cost: str) -> None:
    interval = Interval(sum(ends) / 2, *ends, 6, "crossed t")
    found = {f.code: f.verdict for f in findings_of(a_setting(), measured(interval, interval))}
    assert found == {"ST601": drop, "ST602": gain, "ST603": gain, "ST604": cost, "ST605": "ok"}


def test_nothing_is_ok_where_gold_is_missing() -> None:
    interval = Interval(0.2, 0.1, 0.3, 6, "crossed t")
    some = a_setting(n_missing_gold=2, n_read=38)
    found = {f.code: f for f in findings_of(some, measured(interval, interval))}
    assert (found["ST602"].verdict, found["ST601"].verdict) == ("unclear", "problem")
    assert "missing for 5%" in found["ST602"].action
    assert found["ST602"].n_missing == 2


# ------------------------------------------------------------------------------------------- settings
def test_no_prompt_is_on_both_sides_and_missing_gold_is_counted(spelt: None) -> None:
    rows = planted_rows(20, 8)
    for row in rows[:3]:
        row["gold"] = None
    made = setting.make_setting(rows, SyntheticConfig(gold="gold", curve_share=0.6, max_n=8))
    sides = [{prompt.prompt_id for prompt in side} for side in (made.pairs, made.curves)]
    assert not sides[0] & sides[1]
    assert len(sides[0]) + len(sides[1]) + made.n_small == 20
    assert made.n_missing_gold == 3
    assert made.max_n == 8


def test_prompts_of_one_text_are_on_the_same_side(spelt: None) -> None:
    """Without a prompt_id, a column of steps makes prompts of its own of one text, as in GRPO's completions."""
    rows = [{**row, "prompt": f"text {int(row['prompt_id'][1:]) // 2}"} for row in planted_rows(40, 8)]
    made = setting.make_setting(rows, SyntheticConfig(gold="gold"))
    sides = [{prompt.text for prompt in side} for side in (made.pairs, made.curves)]
    assert not sides[0] & sides[1]
    assert [len(made.pairs), len(made.curves)] == [20, 20]
    same = [{**row, "prompt": "the same"} for row in rows]
    with pytest.raises(DataError, match="40 prompts for pairs and 0 with 0 responses"):
        setting.make_setting(same, SyntheticConfig(gold="gold"))


def test_a_reward_can_be_the_gold(spelt: None) -> None:
    made = setting.make_setting(planted_rows(20, 8), SyntheticConfig(gold="builtin:longer"))
    assert made.gold == "builtin:longer"
    assert made.curves[0].gold_G.tolist() == [float(len(str(text))) for text in made.curves[0].responses]


def bad_pool(kind: str) -> list[dict[str, Any]]:
    if kind == "constant":
        return [{**row, "gold": 1.0} for row in planted_rows(20, 8)]
    return planted_rows(6, 8) if kind == "prompts" else planted_rows(20, 3)


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ("few", {"gold": ""}, "no gold is named"),
        ("few", {"gold": "truth"}, "no score column 'truth', named as gold"),
        ("constant", {}, "is equal for all responses of every prompt"),
        ("prompts", {}, "3 prompts for pairs and 3 with 8 responses for curves; 2 and 8 are the least"),
        ("few", {}, "most prompts have 3 responses; 4 are the least"),
    ],
)
def test_pools_that_cannot_be_used(rows: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        karat.stress.synthetic(bad_pool(rows), **{**FAST, **options})


def test_too_few_pairs_for_a_size(spelt: None) -> None:
    with pytest.raises(DataError, match="99999 labelled pairs are asked for"):
        karat.stress.synthetic(planted_rows(20, 8), sizes="99999", **FAST)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"members": 1}, "members = 1 is out of range: it must be at least 2"),
        ({"seeds": 1}, "seeds = 1"),
        ({"noise": "0,0.5"}, r"noise = 0.5 is out of range: it must lie in \[0, 0.5\)"),
        ({"noise": "-0.1"}, "noise = -0.1"),
        ({"sizes": "10,ten"}, "sizes = '10,ten': give numbers by comma"),
        ({"sizes": "10,10"}, "names a value twice"),
        ({"sizes": "1"}, "learns from 2 pairs"),
        ({"ridge": 0.0}, "ridge = 0"),
        ({"ridge": math.inf}, "ridge = inf"),
        ({"lr": math.inf}, "lr = inf"),
        ({"curve_share": 1.0}, "curve_share = 1"),
        ({"max_n": 1}, "best of 1 is no choice"),
        ({"lr": math.nan}, "lr = nan"),
        ({"member_labels": "other"}, "there are same and own"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SyntheticConfig(**options)


# ------------------------------------------------------------------------------------------- built-in world and report
def test_the_built_in_world_on_the_command_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from karat.cli.main import app

    monkeypatch.setattr(setting, "WORLD_PAIR_PROMPTS", 10)
    monkeypatch.setattr(setting, "WORLD_CURVE_PROMPTS", 8)
    options = ["--samples", "16", "--seeds", "2", "--members", "2", "--sizes", "20,60", "--resamples", "100"]
    with pytest.raises(SystemExit) as end:
        app(["stress", "synthetic", *options, "--out", str(tmp_path), "--json", "--quiet"])
    document = json.loads(capsys.readouterr().out)
    assert end.value.code in (0, 1)
    assert document["command"] == "stress synthetic"
    assert document["values"]["max_n"] == 16
    assert {finding["gold"] for finding in document["findings"]} == {"karat.worlds.words:gold"}
    assert document["values"]["report"]["provenance"]["gold"] == "karat.worlds.words:gold"
    page = (tmp_path / "report.html").read_text()
    assert "60 labels, 25% flipped" in page
    assert page.count("gold, worst member") == 1


def test_the_built_in_world_has_its_own_gold() -> None:
    with pytest.raises(InputError, match="the built-in world has its own"):
        karat.stress.synthetic(gold="human")
    with pytest.raises(InputError, match="max_n = 99 is more than the 16 samples"):
        karat.stress.synthetic(samples=16, max_n=99)


def test_the_figure_has_a_panel_for_each_condition(planted: Result) -> None:
    table = next(table for table in planted.tables if table.name == "synthetic_curves")
    plot = by_labels_and_noise(table)
    assert plot is not None
    for size in (60, 400):
        for rate in ("0%", "25%"):
            assert plot.svg.count(f"{size} labels, {rate} flipped") == 3  # its title, and twice the text for readers
    single = planted.values["conditions"][0]["rules"]["single proxy"]["gold_gain"][-1]
    assert f"60 labels, 0% flipped: single proxy {format_number(single)}" in plot.alt
    assert by_labels_and_noise(replace(table, rows=())) is None
    assert by_labels_and_noise(replace(table, columns=tuple(f"x{name}" for name in table.columns))) is None
