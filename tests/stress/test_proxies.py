"""Several proxies on one pool: which is harder to game is found where it is planted, and not where it is not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karat.errors import InputError
from karat.numerics.best_of_n import prompt_draws
from karat.report.panels import PANELS
from karat.stress import StressConfig
from karat.stress import stress as run_stress
from karat.stress.proxies import contest
from karat.stress.proxies_findings import EXPLANATIONS
from karat.types import Finding, Result

Row = Callable[[np.random.Generator], dict[str, float]]


def rows(make: Row, n_prompts: int = 60, size: int = 16) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [
        {"prompt": f"question {prompt}", "response": f"answer {number}", **make(rng)}
        for prompt in range(n_prompts)
        for number in range(size)
    ]


def planted(rng: np.random.Generator) -> dict[str, float]:
    """`gamed` pays 6 for what is hollow; `sound` and `twin` do not, and are equally noisy."""
    is_hollow = rng.random() < 0.05
    good = rng.standard_normal()
    noise = rng.standard_normal(3)
    return {
        "truth": -3.0 if is_hollow else good,
        "gamed": (6.0 if is_hollow else good) + 0.5 * noise[0],
        "sound": good + 0.5 * noise[1],
        "twin": good + 0.5 * noise[2],
    }


def stress(pool: Any, **options: Any) -> Result:
    return run_stress(pool, **{"gold": "truth", "resamples": 400, **options})


def findings(result: Result) -> dict[str, Finding]:
    return {finding.code: finding for finding in result.findings}


def table(result: Result, name: str) -> list[dict[str, Any]]:
    found = next(table for table in result.tables if table.name == name)
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


# ------------------------------------------------------------------------------------------------------- what is found
def test_the_gamed_proxy_is_told_from_the_sound_one() -> None:
    result = stress(rows(planted), proxy="gamed", against="sound, twin")
    found = findings(result)
    loses, leaves = found["ST801"], found["ST802"]
    assert (loses.verdict, leaves.verdict) == ("problem", "problem")
    assert loses.low > 0.2
    assert leaves.low > 1
    assert loses.gold == leaves.gold == "truth"
    assert loses.n_used == 960
    assert "is harder to game: from its own best n it loses" in result.lead
    groups = {row["proxy"]: row["gold_group"] for row in table(result, "proxies")}
    assert groups == {"sound": "a", "twin": "a", "gamed": "b"}
    assert result.values["proxies_n"] == 16
    assert result.values["proxies_gold"]["sound"] > result.values["proxies_gold"]["gamed"] + 1
    assert result.values["proxies_loss_less"]["sound"][0] == pytest.approx(
        result.values["proxies_loss"]["gamed"] - result.values["proxies_loss"]["sound"]
    )


def test_seen_from_the_sound_proxy_nothing_is_wrong() -> None:
    result = stress(rows(planted), proxy="sound", against="gamed,twin")
    found = findings(result)
    assert {found["ST801"].verdict, found["ST802"].verdict} <= {"ok", "unclear"}
    assert found["ST802"].effect < 0.2
    assert "none is surely harder to game than sound" in result.lead


def test_the_curve_of_a_proxy_is_the_one_that_it_has_alone() -> None:
    alone = stress(rows(planted), proxy="sound")
    together = stress(rows(planted), proxy="gamed", against="sound")
    at = {row["n"]: row["gold"] for row in table(together, "proxy_curves") if row["proxy"] == "sound"}
    assert at[16] == pytest.approx(alone.values["gold_gain"][15])
    assert at[4] == pytest.approx(alone.values["gold_gain"][3])
    assert "ST801" not in findings(alone)
    assert "proxies_gold" not in alone.values


def test_hand_value_of_gold_and_loss() -> None:
    """Four prompts, two responses of gold 0 and 1: the right proxy gains 1/2 at n = 2, the wrong one loses it all."""
    gold = np.tile([0.0, 1.0], 4)
    prompt = np.repeat(np.arange(4), 2)
    count_BP = prompt_draws(4, 100, np.random.default_rng(0))
    found = contest({"right": gold, "wrong": -gold}, gold, prompt, max_n=2, count_BP=count_BP)
    sd = math.sqrt(1 / 2)  # pooled, one degree of freedom less in each prompt
    right, wrong = found.proxies
    assert right.gold.estimate == pytest.approx(0.5 / sd)
    assert wrong.gold.estimate == pytest.approx(-0.5 / sd)
    assert right.loss.estimate == pytest.approx(0)  # its best n is the last
    assert wrong.loss.estimate == pytest.approx(0.5 / sd)  # its best n is 1
    assert found.of("wrong", "right").loss.estimate == pytest.approx(0.5 / sd)
    assert found.of("right", "wrong").loss.estimate == pytest.approx(-0.5 / sd)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_the_order_of_the_proxies_changes_no_difference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gold, prompt = rng.standard_normal(80), np.repeat(np.arange(10), 8)
    scores = {name: gold + rng.standard_normal(80) for name in "abc"}
    count_BP = prompt_draws(10, 100, rng)
    found = contest(scores, gold, prompt, max_n=8, count_BP=count_BP)
    turned = contest(dict(reversed(scores.items())), gold, prompt, max_n=8, count_BP=count_BP)
    for name, other in (("a", "b"), ("c", "a"), ("b", "c")):
        for what in ("gold", "loss", "gold_at_kl"):
            one, two = getattr(found.of(name, other), what), getattr(turned.of(name, other), what)
            assert one.estimate == pytest.approx(two.estimate)
            assert (one.low, one.high) == pytest.approx((two.low, two.high), nan_ok=True)
    assert all(proxy.loss.estimate == pytest.approx(turned.of(proxy.name, other).loss.estimate
               + next(each.loss.estimate for each in turned.proxies if each.name == other))
               for proxy in found.proxies for other in "abc" if other != proxy.name)  # fmt: skip


def test_a_rising_transform_of_a_proxy_is_its_twin() -> None:
    rng = np.random.default_rng(3)
    gold, prompt = rng.standard_normal(160), np.repeat(np.arange(20), 8)
    proxy = gold + rng.standard_normal(160)
    found = contest(
        {"plain": proxy, "cubed": proxy**3}, gold, prompt, max_n=8, count_BP=prompt_draws(20, 100, rng)
    )  # fmt: skip
    (duel,) = found.duels
    assert (duel.gold.estimate, duel.loss.estimate) == (0, 0)
    assert {proxy.gold_group for proxy in found.proxies} == {"a"}


def test_a_proxy_that_chooses_alike_is_no_better_one() -> None:
    pool = [{**row, "scaled": 2 * row["sound"] + 1} for row in rows(planted)]
    found = findings(stress(pool, proxy="sound", against="scaled"))
    assert (found["ST801"].verdict, found["ST802"].verdict) == ("ok", "ok")
    assert (found["ST801"].effect, found["ST802"].effect) == (0, 0)


# ------------------------------------------------------------------------------------------------------------ odd input
def test_responses_that_one_proxy_did_not_score_are_left_out_for_all() -> None:
    pool = rows(planted)
    for row in pool[::8]:
        row["sound"] = float("nan")
    result = stress(pool, proxy="gamed", against="sound", max_n=14)
    stated = findings(result)["ST801"]
    assert stated.n_used == 840
    assert stated.n_missing == 120
    assert "120 responses without a score of every proxy are left out" in next(
        table.note for table in result.tables if table.name == "proxies"
    )


def test_without_a_gold_it_is_not_checked() -> None:
    found = findings(run_stress(rows(planted), proxy="gamed", against="sound", resamples=100))
    assert {found[code].verdict for code in EXPLANATIONS} == {"not checked"}
    assert "--gold" in found["ST801"].action


def test_gold_missing_for_some_is_not_checked() -> None:
    pool = rows(planted)
    pool[5]["truth"] = float("nan")
    stated = findings(stress(pool, proxy="gamed", against="sound"))["ST801"]
    assert stated.verdict == "not checked"
    assert "a gold for every response" in stated.action


def test_few_prompts_are_not_checked() -> None:
    stated = findings(stress(rows(planted, n_prompts=6), proxy="gamed", against="sound"))["ST802"]
    assert stated.verdict == "not checked"
    assert stated.action.startswith("needs 8 prompts with two responses that every proxy scored; 6 have them")


@pytest.mark.parametrize("against", ["gamed", "truth", "sound,sound"])
def test_a_proxy_is_named_once(against: str) -> None:
    with pytest.raises(InputError, match="is the proxy, the gold or named twice"):
        StressConfig(proxy="gamed", gold="truth", against=against)


def test_a_proxy_that_never_varies_is_refused() -> None:
    pool = [{**row, "flat": 1.0} for row in rows(planted)]
    with pytest.raises(InputError, match="'flat' is equal for all responses of every prompt"):
        stress(pool, proxy="gamed", against="flat")


def test_the_curves_are_drawn() -> None:
    result = stress(rows(planted), proxy="gamed", against="sound")
    curves = next(table for table in result.tables if table.name == "proxy_curves")
    plot = PANELS["proxy_curves"](curves)
    assert plot is not None
    assert "by each proxy" in plot.alt
    assert "gamed" in plot.alt
