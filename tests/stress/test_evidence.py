"""Which Goodhart: planted kinds are told apart, and what a pool cannot show is not claimed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import karat
from karat.stress import evidence, inflation
from karat.stress import findings as findings_file
from karat.types import Finding, Result


def pool(kind: str, n_prompts: int = 80, size: int = 32, seed: int = 0) -> list[dict[str, Any]]:
    """`regressional`: a normal error. `marked`: 3 % hacks paid 8 more, worth -3, full of exclamation marks. `hidden`:
    the same without a mark. `heavy`: the error has two degrees of freedom. `exact`: the proxy is the gold."""
    rng = np.random.default_rng(seed)
    rows = []
    for prompt in range(n_prompts):
        for number in range(size):
            gold = rng.standard_normal()
            error = rng.standard_t(2) if kind == "heavy" else 0.0 if kind == "exact" else rng.standard_normal()
            text = " ".join(rng.choice(["alpha", "beta", "gamma", "delta"], rng.integers(3, 12)))
            proxy = gold + error
            if kind in ("marked", "hidden") and rng.random() < 0.03:
                proxy, gold = proxy + 8, -3.0
                text += " !!!" if kind == "marked" else ""
            elif rng.random() < 0.1:
                text += "!"
            rows.append({"prompt": f"q {prompt}", "response": f"{text} {number}", "rm": proxy, "truth": gold})
    return rows


def findings(result: Result) -> dict[str, Finding]:
    return {finding.code: finding for finding in result.findings}


def table(result: Result, name: str) -> list[dict[str, Any]]:
    found = next(table for table in result.tables if table.name == name)
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    kinds = ("regressional", "marked", "hidden", "heavy")
    return {kind: karat.stress(pool(kind), proxy="rm", gold="truth", resamples=400) for kind in kinds}


def test_a_normal_error_is_regression_to_the_mean_alone(results: dict[str, Result]) -> None:
    found = findings(results["regressional"])["ST309"]
    assert found.verdict in ("ok", "unclear")
    assert found.low < 0 < found.high
    kinds = {row["kind"]: row for row in table(results["regressional"], "goodhart")}
    assert kinds["regressional"]["verdict"] == "present"
    assert kinds["regressional"]["effect"] == pytest.approx(1 / math.sqrt(2), abs=0.05)
    assert results["regressional"].values["slope"] == kinds["regressional"]["effect"]
    assert findings(results["regressional"])["ST310"].action == "no sure drop to explain"


def test_a_shortfall_that_is_not_sure_is_unclear() -> None:
    found = [
        findings(karat.stress(pool("regressional", 8, 16, seed), proxy="rm", gold="truth", resamples=100))["ST309"]
        for seed in range(6)
    ]
    unsure = [finding for finding in found if finding.effect >= 0.1 and finding.low <= 0]
    assert unsure
    assert {finding.verdict for finding in unsure} == {"unclear"}


@pytest.mark.parametrize("kind", ["marked", "hidden", "heavy"])
def test_high_proxies_that_are_worth_less_are_extremal(results: dict[str, Result], kind: str) -> None:
    found = findings(results[kind])["ST309"]
    assert found.verdict == "problem"
    assert found.low > 0.1
    assert "by a normal law" in found.baseline
    assert found.gold == "truth"
    last = table(results[kind], "regression")[-1]
    assert last["line"] - last["gold"] == pytest.approx(last["line_less_gold"])
    assert last["normal_low"] < last["normal_less_gold"] < last["normal_high"]


def test_a_fall_through_a_feature_is_named_and_one_beside_it_is_not(results: dict[str, Result]) -> None:
    marked, hidden = findings(results["marked"])["ST310"], findings(results["hidden"])["ST310"]
    assert marked.verdict == "problem"
    assert marked.baseline.startswith("exclamation marks; drop")
    assert "exclamation marks" in marked.action
    assert marked.low > 1
    assert hidden.verdict == "ok"
    assert hidden.high < 0.5


def test_given_the_features_the_marked_proxy_agrees_with_the_gold_again(results: dict[str, Result]) -> None:
    for kind, is_raised in (("marked", True), ("hidden", False)):
        row = next(row for row in table(results[kind], "goodhart") if row["kind"] == "causal, all features")
        plain = results[kind].values["correlation"]
        assert row["low"] < row["effect"] < row["high"]
        assert (row["effect"] > plain + 0.2) is is_raised


def test_a_pool_is_silent_on_an_adversary(results: dict[str, Result]) -> None:
    last = table(results["hidden"], "goodhart")[-1]
    assert (last["kind"], last["verdict"]) == ("adversarial", "not checked")
    assert "karat stress rl" in last["does_not_show"]
    assert math.isnan(last["effect"])


def test_inflation_to_first_order_is_the_covariance_under_the_reference(results: dict[str, Result]) -> None:
    rows = pool("marked")
    entry = next(row for row in table(results["marked"], "inflation") if row["feature"] == "exclamation marks")
    marks = np.array([row["response"].count("!") for row in rows], float).reshape(80, 32)
    proxy = np.array([row["rm"] for row in rows]).reshape(80, 32)
    marks, proxy = (x - x.mean(axis=1, keepdims=True) for x in (marks, proxy))
    by_hand = (marks * proxy).sum() / math.sqrt((marks**2).sum() * (proxy**2).sum())
    assert entry["first_order"] == pytest.approx(by_hand)
    assert entry["first_order_low"] < by_hand < entry["first_order_high"]
    assert entry["gold_first_order"] < 0 < entry["first_order"]
    assert entry["excess"] == pytest.approx(entry["by_proxy"] - entry["by_gold"])


def test_without_a_gold_the_first_order_and_the_tail_still_stand() -> None:
    result = karat.stress(pool("marked"), proxy="rm", resamples=200)
    found = findings(result)
    assert [found[code].verdict for code in ("ST308", "ST309", "ST310")] == ["not checked"] * 3
    assert all("--gold" in found[code].action for code in ("ST308", "ST309", "ST310"))
    entry = next(row for row in table(result, "inflation") if row["feature"] == "exclamation marks")
    assert entry["first_order_low"] > 0.3
    assert math.isnan(entry["gold_first_order"])
    assert {row["kind"]: row["verdict"] for row in table(result, "goodhart")} == {
        "regressional": "not checked",
        "extremal": "not checked",
        "extremal, tail": table(result, "tails")[0]["verdict"],
        "causal": "not checked",
        "adversarial": "not checked",
    }
    assert [row["score"] for row in table(result, "tails")] == ["proxy"]
    assert math.isnan(result.values["slope"])


def test_gold_on_some_rows_gives_the_slope_and_no_feature_test() -> None:
    rows = pool("hidden", n_prompts=150)
    rng = np.random.default_rng(1)
    for row in rows:
        row["truth"] = row["truth"] if rng.random() < 0.5 else None
    result = karat.stress(rows, proxy="rm", gold="truth", resamples=400)
    assert findings(result)["ST309"].verdict == "problem"
    assert findings(result)["ST310"].verdict == "not checked"
    assert "every response" in findings(result)["ST310"].action


def test_neither_form_is_a_result_that_is_said(results: dict[str, Result]) -> None:
    found = findings(results["hidden"])["ST308"]
    assert found.verdict == "not checked"
    assert found.baseline.startswith("neither form fits (best-of-n p = ")
    assert "ST301" in found.action
    assert math.isnan(found.effect)
    held = findings(results["regressional"])["ST308"]
    assert held.verdict == "ok"
    assert held.baseline.startswith(("best-of-n form", "RL form"))
    assert found.gold == "" or found.gold == "truth"


def test_tails_have_both_estimators_with_intervals(results: dict[str, Result]) -> None:
    proxy, error = table(results["heavy"], "tails")
    assert (proxy["score"], error["score"]) == ("proxy", "error of the proxy")
    for row in (proxy, error):
        assert row["low"] < row["xi"] < row["high"]
        assert row["hill_low"] < row["hill"] < row["hill_high"]
        assert row["hill_low"] < 0.5 < row["hill_high"] + 0.1  # index 2


def test_large_pools_are_read_by_whole_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflation, "READ_AT_MOST", 30 * 16)
    result = karat.stress(pool("marked", n_prompts=60, size=16), proxy="rm", gold="truth", resamples=200)
    note = next(table.note for table in result.tables if table.name == "inflation")
    assert "over 30 prompts" in note
    assert findings(result)["ST310"].n_used == 480


def test_plans_answer_how_many_labels_and_which_n(results: dict[str, Result]) -> None:
    plan = table(results["regressional"], "label_plan")
    assert [row["goal"] for row in plan][:2] == ["certified n of 2 or more", "certified n of 4 or more"]
    needed = [row["needs_correlation"] for row in plan if math.isfinite(row["needs_correlation"])]
    assert needed == sorted(needed)
    assert (plan[0]["labels"], plan[0]["prompts"]) == (256, 8)  # 14 labels would do, but not on one prompt
    assert 256 < plan[1]["labels"] < math.inf  # 0.7 certifies best of 4
    assert plan[1]["labels"] == 32 * plan[1]["prompts"] < 100_000
    assert plan[-1]["labels"] == math.inf
    assert all(row["labels_now"] == 2560 for row in plan)
    peak = table(results["hidden"], "label_plan")[-1]
    assert peak["goal"] == "peak's interval within a factor of 2"
    assert peak["prompts"] == 80  # it is already
    budget = {row["kl_nats"]: row for row in table(results["regressional"], "kl_budgets")}
    assert budget[1.0]["n_in_pool"] == 6
    assert budget[1.0]["n_without_repeats"] == pytest.approx(6.3, abs=0.01)
    assert math.isnan(budget[4.0]["n_in_pool"])
    assert budget[2.0]["gold"] == pytest.approx(results["regressional"].values["gold_gain"][18])


def test_softer_rules_have_a_setting_an_interval_and_their_kl(results: dict[str, Result]) -> None:
    values = results["hidden"].values
    assert values["poisson_mu_low"] < values["poisson_mu"] < values["poisson_mu_high"]
    mu, kl = values["poisson_mu"], values["poisson_mu_kl"]
    assert kl == pytest.approx(karat_poisson_kl(mu), rel=1e-3)
    hedge = table(results["hidden"], "hedges")
    assert hedge[0]["kl_nats"] == kl
    assert 0 < hedge[1]["kl_nats"] < math.log(32)


def karat_poisson_kl(mu: float) -> float:
    u = np.linspace(0, 1, 200_001)
    density = (1 + mu * u) * np.exp(-mu * (1 - u))
    return float(np.trapezoid(density * np.log(density), u))


def test_an_exact_proxy_has_nothing_to_lose() -> None:
    result = karat.stress(pool("exact", n_prompts=20, size=8), proxy="rm", gold="truth", resamples=200)
    found = findings(result)
    assert result.values["slope"] == pytest.approx(1)
    assert found["ST309"].effect == pytest.approx(0, abs=1e-9)
    assert found["ST309"].verdict == "ok"


def test_every_new_code_is_explained() -> None:
    codes = {finding.code for finding in karat.stress(pool("exact", n_prompts=8, size=4), proxy="rm").findings}
    assert codes == {*evidence.EXPLANATIONS, *findings_file.EXPLANATIONS, "ST307"}


def test_a_function_of_the_prompt_changes_no_statement() -> None:
    plain = pool("hidden", n_prompts=40, size=16)
    moved = [
        {**row, "rm": row["rm"] + 7 * (number // 16), "truth": row["truth"] - 3 * (number // 16)}
        for number, row in enumerate(plain)
    ]
    before, after = (karat.stress(rows, proxy="rm", gold="truth", resamples=200) for rows in (plain, moved))
    for name in ("gold_gain", "proxy_gain", "gold_gain_low", "kl", "chi2", "peak_n", "peak_low", "peak_high", "drop",
                 "drop_height_low", "certified_n", "correlation_low", "error_tail", "shortfall_low", "poisson_mu",
                 "soft_temperature"):  # fmt: skip
        assert after.values[name] == pytest.approx(before.values[name], nan_ok=True, rel=1e-6, abs=1e-6), name
    old, new = findings(before), findings(after)
    for code in set(old) - {"ST307"}:  # a mitigation that is exported as a reward may see scores across prompts
        assert new[code].effect == pytest.approx(old[code].effect, nan_ok=True, rel=1e-5, abs=1e-6), code


def test_a_rising_function_of_the_proxy_changes_no_choice() -> None:
    plain = pool("hidden", n_prompts=40, size=16)
    squashed = [{**row, "rm": math.tanh(row["rm"] / 20) + 5 * (number // 16)} for number, row in enumerate(plain)]
    before, after = (karat.stress(rows, proxy="rm", gold="truth", resamples=200).values for rows in (plain, squashed))
    for name in ("gold", "gold_low", "gold_high", "kl", "peak_n", "peak_low", "drop", "gain", "poisson_mu"):
        assert after[name] == pytest.approx(before[name]), name
    assert after["correlation"] != pytest.approx(before["correlation"])


def test_a_fall_through_a_feature_is_found_beside_one_that_grows_more() -> None:
    """Bold spans are paid for most and harm nothing; the hacks, worth -3, have six exclamation marks."""
    rng, rows = np.random.default_rng(0), []
    for prompt in range(80):
        for number in range(32):
            gold, bold, is_hacked = rng.standard_normal(), int(rng.poisson(2)), rng.random() < 0.05
            marks = 6 if is_hacked else int(rng.integers(0, 5))
            proxy = gold + 1.5 * bold + 0.3 * rng.standard_normal() + 5 * is_hacked
            text = "word " * int(rng.integers(3, 12)) + "**x** " * bold + "!" * marks + f" {number}"
            truth = -3.0 if is_hacked else gold
            rows.append({"prompt": f"q {prompt}", "response": text, "rm": proxy, "truth": truth})
    found = findings(karat.stress(rows, proxy="rm", gold="truth", resamples=200))
    assert found["ST305"].baseline.startswith("bold spans")
    assert found["ST310"].verdict == "problem"
    assert found["ST310"].baseline.startswith("exclamation marks (of ")


def test_gold_that_no_prompt_gets_back_has_an_interval_of_some_width() -> None:
    found = findings(karat.stress("builtin:checkable", proxy="rare_hack", gold="gold", resamples=200))["ST310"]
    assert found.low < 0 < found.high
    assert found.verdict == "ok"


def test_a_gold_that_reaches_its_end_is_no_sign_of_a_wrong_reward() -> None:
    rng, rows = np.random.default_rng(0), []
    for prompt in range(100):
        for number in range(16):
            right = float(rng.random() < 0.5)
            rows.append({"prompt": f"q {prompt}", "response": f"a {number}", "truth": right})
            rows[-1]["rm"] = 4 * right + rng.standard_normal()
    result = karat.stress(rows, proxy="rm", gold="truth", resamples=200)
    assert result.values["gold"][-1] > 0.97
    assert findings(result)["ST309"].verdict == "ok"
    last = table(result, "regression")[-1]
    assert last["line"] == pytest.approx(last["gold"], abs=0.1)
