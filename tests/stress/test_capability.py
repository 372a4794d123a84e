"""`karat stress capability` on planted pools: signs are measured, and bad input gets an answer instead of a number."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import karat
from karat.errors import DataError, InputError
from karat.stress.capability import CapabilityConfig
from karat.types import Finding, Result

Rows = list[dict[str, Any]]


def pool(
    proxy: float,
    gold: float,
    *,
    seed: int = 0,
    n_prompts: int = 80,
    size: int = 4,
    prompt: str = "question",
    **more: Any,
) -> Rows:
    """Responses around the given means; each prompt has its own level, the same in every pool."""
    rng = np.random.default_rng(seed)
    own_P = np.random.default_rng(99).standard_normal(n_prompts)
    return [
        {
            "prompt": f"{prompt} {p}", "response": f"answer {seed} {p} {g}",
            "rm": proxy + own_P[p] + rng.standard_normal(), "truth": gold + own_P[p] + rng.standard_normal(), **more,
        }
        for p in range(n_prompts)
        for g in range(size)
    ]  # fmt: skip


def sweep(means: list[tuple[float, float]], **options: Any) -> dict[float, Rows]:
    """Pools at 1, 2, 3, ..."""
    return {k + 1: pool(proxy, gold, seed=k, **options) for k, (proxy, gold) in enumerate(means)}


def stacked(pools: dict[float, Rows], name: str = "step") -> Rows:
    return [{**row, name: value} for value, rows in pools.items() for row in rows]


def capability(pools: Any, **options: Any) -> Result:
    return karat.stress.capability(pools, **{"proxy": "rm", "gold": "truth", "resamples": 500, **options})


def findings(result: Result) -> dict[str, Finding]:
    return {finding.code: finding for finding in result.findings}


WORSE = [(0.0, 0.0), (0.3, -0.2), (0.6, -0.4), (0.9, -0.6)]
BETTER = [(0.0, 0.0), (0.4, 0.4), (0.8, 0.8), (1.2, 1.2)]
BREAKS = [(0.0, 0.0), (0.2, 0.2), (0.4, 0.4), (0.6, -0.6), (0.8, -0.5), (1.0, -0.4)]


# ------------------------------------------------------------------------------------------------------- what is found
def test_a_proxy_that_rises_at_the_golds_expense() -> None:
    result = capability(sweep(WORSE))
    found = findings(result)
    assert found["ST401"].verdict == found["ST403"].verdict == "problem"
    assert found["ST401"].effect == pytest.approx(-0.6, abs=0.2)
    assert found["ST401"].high < 0
    assert found["ST401"].n_used == 4 * 320
    assert (result.values["proxy_sign"], result.values["gold_sign"]) == ("rises", "falls")
    assert result.values["proxy_rise"] == pytest.approx(0.9, abs=0.2)
    assert result.values["gold_slope"] * 3 == pytest.approx(result.values["gold_rise"])
    assert len(found["ST403"].witnesses) == 3
    assert found["ST403"].witnesses[0].startswith("from axis 1")
    assert all(finding.gold == "truth" for finding in result.findings)
    assert "the gold is highest at 1" in found["ST401"].action


def test_the_same_reward_with_a_gold_that_rises() -> None:
    result = capability(sweep(BETTER))
    assert {code: f.verdict for code, f in findings(result).items()} == dict.fromkeys(("ST401", "ST402", "ST403"), "ok")
    assert (result.values["hackability"], result.values["hackability_high"]) == (0.0, 0.0)
    assert result.values["kendall_tau"] == 1.0


def test_the_sign_is_measured_when_the_axis_is_turned() -> None:
    """Turning the axis round turns both signs; what falls with the proxy is not paid for."""
    forth = capability(stacked(sweep(WORSE)), axis="step")
    back = capability([{**row, "step": -row["step"]} for row in stacked(sweep(WORSE))], axis="step")
    assert back.values["gold_slope"] * back.values["gold_sd"] == pytest.approx(
        -forth.values["gold_slope"] * forth.values["gold_sd"]
    )
    assert (back.values["proxy_sign"], back.values["gold_sign"]) == ("falls", "rises")
    assert findings(back)["ST401"].verdict == "ok"
    assert back.values["hackability"] == forth.values["hackability"] > 0.5


def test_a_gold_that_falls_is_a_problem_only_where_the_proxy_rises() -> None:
    falls = [0.0, -0.2, -0.4, -0.6]
    level, fallen = (capability(sweep([(s * gold, gold) for gold in falls])) for s in (0, 1))
    assert (level.values["proxy_sign"], findings(level)["ST401"].verdict) == ("not told", "unclear")
    assert (fallen.values["proxy_sign"], findings(fallen)["ST401"].verdict) == ("falls", "ok")
    assert level.values["gold_sign"] == fallen.values["gold_sign"] == "falls"


def test_a_break_is_located() -> None:
    result = capability(sweep(BREAKS))
    found = findings(result)["ST402"]
    assert found.verdict == "problem"
    assert (result.values["change_form"], result.values["change_at"]) == ("jump", 3.5)
    assert result.values["change_at_low"] <= 3.5 <= result.values["change_at_high"]
    assert result.values["change_p"] < 0.01
    assert found.high < 0
    assert result.values["proxy_change_p"] > 0.05


def test_means_by_hand_and_paired_intervals() -> None:
    pools = sweep(WORSE)
    values = capability(pools).values
    for at, rows in enumerate(pools.values()):
        assert values["gold"][at] == pytest.approx(np.mean([row["truth"] for row in rows]))
    assert values["proxy_gain"][0] == 0
    assert values["proxy_gain"][3] * values["proxy_sd"] == pytest.approx(values["proxy"][3] - values["proxy"][0])
    assert values["gold_high"][3] - values["gold_low"][3] > values["gold_gain_high"][3] - values["gold_gain_low"][3]
    assert values["n_prompts"] == [80] * 4
    assert values["n_responses"] == [320] * 4
    assert values["pairing"] == "paired"


# -------------------------------------------------------------------------------------------------- forms of the input
def test_all_forms_of_the_input_agree(tmp_path: Path) -> None:
    pools = sweep(WORSE)
    texts = []
    for value, rows in pools.items():
        file = tmp_path / f"x={value}.jsonl"  # only the last equals sign parts the value
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        texts.append(f"{file}={value}")
    forms: list[tuple[Any, str]] = [
        (pools, ""), ([(rows, value) for value, rows in pools.items()], ""), (texts, ""), (stacked(pools), "step"),
    ]  # fmt: skip
    first, *others = [capability(form, axis=axis, axis_name="size").values for form, axis in forms]
    assert all(json.dumps(other) == json.dumps(first) for other in others)


def test_pools_in_any_order_stand_along_the_axis() -> None:
    pools = sweep(WORSE)
    turned = capability(dict(reversed(pools.items())))
    assert turned.values["axis"] == [1, 2, 3, 4]
    assert json.dumps(turned.values) == json.dumps(capability(pools).values)


def test_a_wide_axis_goes_by_doublings() -> None:
    pools = {10 ** (k + 1): rows for k, rows in enumerate(sweep(WORSE).values())}
    wide, line = capability(pools).values, capability(pools, scale="linear").values
    assert (wide["scale"], line["scale"]) == ("log", "linear")
    even = capability(sweep(WORSE)).values
    assert wide["gold_rise"] == pytest.approx(even["gold_rise"])
    assert wide["gold_slope"] * math.log2(10) == pytest.approx(even["gold_slope"])
    assert wide["change_at"] == pytest.approx(10 ** even["change_at"])


def test_best_of_n_as_axis_is_the_curve_of_karat_stress() -> None:
    rows = pool(0.0, 0.0, size=16)
    result, curve = capability(rows, axis="n"), karat.stress(rows, proxy="rm", gold="truth", resamples=500)
    assert result.values["axis"] == [1, 2, 4, 8, 16]
    at = [n - 1 for n in (1, 2, 4, 8, 16)]
    assert result.values["gold"] == pytest.approx([curve.values["gold"][n] for n in at])
    assert result.values["proxy_gain"] == pytest.approx([curve.values["proxy_gain"][n] for n in at])
    assert findings(result)["ST401"].n_used == len(rows)


def test_points_at_best_of_n() -> None:
    pools = sweep(WORSE, size=8)
    values = capability(pools, at_n=8).values
    for at, rows in enumerate(pools.values()):
        best = [max(rows[start : start + 8], key=lambda row: row["rm"])["truth"] for start in range(0, len(rows), 8)]
        assert values["gold"][at] == pytest.approx(np.mean(best))


def test_many_values_are_joined_with_their_neighbours() -> None:
    rows = [{**row, "step": number % 100} for number, row in enumerate(pool(0.0, 0.0, n_prompts=200, size=8))]
    values = capability(rows, axis="step", max_points=5).values
    assert values["axis"] == pytest.approx([9.5, 29.5, 49.5, 69.5, 89.5])
    assert sum(values["n_responses"]) == 1600


# -------------------------------------------------------------------------------------------------- limits that it says
def test_prompts_that_differ_are_compared_unpaired_and_said_so() -> None:
    pools = {k: pool(0.3 * k, 0.0, seed=k, prompt=f"question of {k}") for k in (1, 2, 3, 4)}
    result = capability(pools)
    assert result.values["pairing"] == "different prompts"
    assert "different prompts" in findings(result)["ST401"].baseline
    paired = capability({k: pool(0.3 * k, 0.0, seed=k) for k in (1, 2, 3, 4)})
    width = [r.values["gold_rise_high"] - r.values["gold_rise_low"] for r in (result, paired)]
    assert width[0] > 1.5 * width[1]


def test_only_shared_prompts_are_used_where_most_are_shared() -> None:
    pools = sweep(WORSE)
    pools[2] = [row for row in pools[2] if row["prompt"] not in ("question 0", "question 1")]
    pools[3] += pool(5.0, 5.0, prompt="only here", n_prompts=10)
    values = capability(pools).values
    assert values["n_prompts"] == [78] * 4
    table = next(table for table in capability(pools).tables if table.name == "capability")
    assert [row[table.columns.index("left_out")] for row in table.rows] == [2, 0, 12, 2]


def test_without_a_gold_nothing_is_checked() -> None:
    result = capability(sweep(WORSE), gold="")
    assert {finding.verdict for finding in result.findings} == {"not checked"}
    assert all("needs --gold" in finding.action for finding in result.findings)
    assert result.values["proxy_sign"] == "rises"
    assert all(map(math.isnan, result.values["gold"]))
    assert "No gold was named" in result.lead


@pytest.mark.parametrize("column", ["rm", "truth"])
def test_a_score_that_never_varies_is_not_checked(column: str) -> None:
    pools = {k: [{**row, column: 0.1} for row in rows] for k, rows in sweep(WORSE).items()}
    result = capability(pools)
    assert findings(result)["ST401"].verdict == findings(result)["ST403"].verdict == "not checked"
    assert "never varies" in result.lead
    assert math.isnan(result.values["hackability"])


def test_three_points_have_a_slope_but_no_change() -> None:
    found = findings(capability(sweep(WORSE[:3])))
    assert found["ST401"].verdict == "problem"
    assert found["ST402"].verdict == "not checked"
    assert "needs 4 points of the axis or more; 3 are given" in found["ST402"].action


def test_missing_scores_are_counted_and_forbid_ok() -> None:
    pools = sweep(BETTER)
    for row in pools[4][::10]:
        row["truth"] = None
    for row in pools[1][::40]:
        row["rm"] = None
    result = capability(pools)
    assert result.values["n_missing_gold"] == [0, 0, 0, 32]
    assert result.values["n_missing_proxy"] == [8, 0, 0, 0]
    assert {finding.verdict for finding in result.findings} == {"unclear"}
    assert "Scores are missing for up to 10%" in findings(result)["ST401"].action
    kept = [row["truth"] for row in pools[2]]
    assert result.values["gold"][1] == pytest.approx(np.mean(kept))


def test_rows_without_a_value_on_the_axis_are_counted() -> None:
    rows = stacked(sweep(WORSE))
    for row in rows[:7]:
        row["step"] = math.nan
    result = capability(rows, axis="step")
    assert result.values["n_missing_axis"] == 7
    assert "7 responses without a value on the axis" in result.tables[0].note


# ------------------------------------------------------------------------------------------------------------ wrong use
TWO = {1: pool(0.0, 0.0, n_prompts=3), 2: pool(0.0, 0.0, n_prompts=3, seed=1)}


@pytest.mark.parametrize(
    ("pools", "options", "message"),
    [
        ({1: TWO[1]}, {}, "1 point on the axis, and a slope needs two"),
        ([(TWO[1], 1), (TWO[2], 1.0)], {}, "both have the value 1 on the axis"),
        ([(TWO[1], 1), (TWO[2], math.nan)], {}, "its value on the axis is nan, and must be a finite number"),
        (["a.jsonl=small", "b.jsonl=2"], {}, "a.jsonl: its value on the axis is 'small'"),
        (["a.jsonl", "b.jsonl"], {}, "a.jsonl: no value on the axis. Write POOL=VALUE"),
        ("a.jsonl", {}, "a.jsonl: no value on the axis. Write POOL=VALUE"),
        (TWO[1], {}, "one pool and no axis"),
        (TWO, {"axis": "step"}, "with 2 pools"),
        (TWO[1], {"axis": "step"}, "no score column 'step', named as axis"),
        ([{**row, "step": 3} for row in TWO[1]], {"axis": "step"}, "all 12 responses have the value 3"),
        ([{**row, "n": 3} for row in TWO[1]], {"axis": "n"}, "has a column 'n'"),
        ([{**row, "rm": None} for row in TWO[1]] + [{"prompt": "p", "response": "r", "rm": 1.0}], {"axis": "n"},
         "no prompt has two responses with a proxy"),
        (TWO, {"gold": "nope"}, "no score column 'nope', named as gold"),
        ({1: TWO[1], 0: TWO[2]}, {"scale": "log"}, "0 has no logarithm"),
        (TWO, {"at_n": 9}, "axis 1: no prompt has 9 responses with 'rm'"),
        (TWO, {"gold": "rm"}, "proxy and gold are both 'rm'"),
        (TWO, {"proxy": ""}, "No proxy is named"),
        (TWO[1], {"axis": "rm"}, "is the proxy or the gold"),
        (TWO[1], {"axis": "n", "at_n": 2}, "there n is the axis itself"),
        (TWO, {"at_n": 0}, "at_n = 0 is out of range"),
        (TWO, {"scale": "sqrt"}, "give auto, linear or log"),
    ],
)  # fmt: skip
def test_wrong_use_is_named(pools: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        capability(pools, **options)
    assert message in str(caught.value)


def test_one_id_for_two_prompts_is_refused() -> None:
    pools = {k: [{**row, "prompt_id": number // 4} for number, row in enumerate(rows)] for k, rows in TWO.items()}
    for row in pools[2]:
        row["prompt"] = "other " + row["prompt"]
    with pytest.raises(DataError, match=r"prompt_id '0' is 'question 0' in .* and 'other question 0'"):
        capability(pools)


def test_a_point_without_gold_is_refused() -> None:
    pools = {**TWO, 3: [{**row, "truth": None} for row in TWO[1][1:]] + TWO[1][:1]}
    with pytest.raises(DataError, match=r"axis 3 .*: 'truth' is there for 1 prompts, and every point needs two"):
        capability(pools)


# ---------------------------------------------------------------------------------------------------- the whole command
def test_config_is_frozen_and_checked() -> None:
    assert CapabilityConfig(proxy="rm", axis="n").label == "best of n"
    assert CapabilityConfig(proxy="rm", axis="step").label == "step"
    assert CapabilityConfig(proxy="rm", axis="step", axis_name="training steps").label == "training steps"


def test_the_same_seed_gives_the_same_numbers_and_the_page_has_a_figure() -> None:
    from karat.report.html import render_html
    from karat.report.json import render_json

    first, again = (capability(sweep(BREAKS), axis_name="<size>") for _ in range(2))
    assert render_json(first) == render_json(again)
    page = render_html(first)
    assert "gain over the first point, SD" in page
    assert "&lt;size&gt;" in page
    assert "<size>" not in page
    assert "no gold was named" in render_html(capability(sweep(BREAKS), gold=""))


def test_the_command_writes_report_and_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from karat.cli.main import app

    file = tmp_path / "pool.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in stacked(sweep(WORSE))))
    arguments = ["stress", "capability", str(file), "--axis", "step", "--proxy", "rm", "--gold", "truth", "--quiet"]
    assert app([*arguments, "--out", str(tmp_path / "out")], standalone_mode=False) == 1
    document = json.loads((tmp_path / "out" / "result.json").read_text())
    assert document["command"] == "stress capability"
    assert [finding["code"] for finding in document["findings"]] == ["ST401", "ST402", "ST403"]
    assert "<svg" in (tmp_path / "out" / "report.html").read_text()


def test_every_code_is_explained() -> None:
    from karat.cli.explain import every_explanation

    known = every_explanation()
    assert all(known[finding.code][0] == finding.title for finding in capability(sweep(WORSE)).findings)
