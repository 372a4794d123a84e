"""`karat stress` on planted pools: what is planted is found, and bad pools get an answer instead of a number."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import karat
from karat.errors import DataError, InputError
from karat.types import Finding, Result


def rows(
    make: Callable[[np.random.Generator], tuple[float, float, int]], n_prompts: int = 100, size: int = 32
) -> list[Any]:
    """A pool whose responses have (proxy, gold, length) from `make`."""
    rng = np.random.default_rng(0)
    out = []
    for prompt in range(n_prompts):
        for number in range(size):
            proxy, gold, length = make(rng)
            text = "x" * length + f" {number}"
            out.append({"prompt": f"question {prompt}", "response": text, "rm": proxy, "truth": gold})
    return out


def honest(rng: np.random.Generator) -> tuple[float, float, int]:
    gold = rng.standard_normal()
    return gold + rng.standard_normal(), gold, int(rng.integers(5, 60))


def hacked(rng: np.random.Generator) -> tuple[float, float, int]:
    proxy, gold, length = honest(rng)
    return (proxy + 8, -3.0, length) if rng.random() < 0.03 else (proxy, gold, length)


def leaks_length(rng: np.random.Generator) -> tuple[float, float, int]:
    _, gold, length = honest(rng)
    return gold + (length - 32) / 16, gold, length


def findings(result: Result) -> dict[str, Finding]:
    return {finding.code: finding for finding in result.findings}


def test_a_good_reward_is_found_good() -> None:
    result = karat.stress(rows(honest), proxy="rm", gold="truth")
    found = findings(result)
    assert {code: found[code].verdict for code in ("ST301", "ST302", "ST303", "ST304")} == dict.fromkeys(
        ("ST301", "ST302", "ST303", "ST304"), "ok"
    )
    values = result.values
    assert values["n"] == list(range(1, 33))
    assert values["gold_gain"][0] == 0
    assert values["gold"][0] == pytest.approx(np.mean([row["truth"] for row in rows(honest)]))
    assert values["gold_low"][-1] < values["gold"][-1] < values["gold_high"][-1]
    assert values["gold_gain"][-1] == pytest.approx(2.07 / math.sqrt(2), abs=0.15)  # best of 32 normals is 2.07 SD
    assert values["peak_n"] > 16
    assert values["certified_n"] in (3, 4, 5)
    assert values["correlation"] == pytest.approx(1 / math.sqrt(2), abs=0.03)
    assert values["kl"] == pytest.approx(values["kl_bound"])
    assert all(f.gold == "truth" for f in result.findings if f.verdict != "not checked")


def test_a_hack_mode_makes_the_truth_fall() -> None:
    result = karat.stress(rows(hacked), proxy="rm", gold="truth")
    found = findings(result)["ST301"]
    assert found.verdict == "problem"
    assert found.low > 0
    assert result.values["peak_low"] <= 12
    assert result.values["certified_n"] <= result.values["peak_n"]
    assert len(found.witnesses) == 3
    assert all("gold -3" in witness for witness in found.witnesses)
    assert f"best of {result.values['peak_low']}" in found.action


def test_a_length_leak_is_named() -> None:
    found = findings(karat.stress(rows(leaks_length), proxy="rm", gold="truth"))["ST305"]
    assert found.verdict == "problem"
    assert found.baseline.startswith("length, characters")
    assert found.effect == pytest.approx(2.07 / math.sqrt(2), abs=0.25)  # half the proxy's variance is length


def test_without_a_gold_nothing_is_said_of_the_truth() -> None:
    result = karat.stress(rows(hacked), proxy="rm")
    found = findings(result)
    assert [found[code].verdict for code in ("ST301", "ST302", "ST303", "ST305")] == ["not checked"] * 4
    assert "needs --gold" in found["ST301"].action
    assert math.isnan(result.values["peak_n"])
    assert all(map(math.isnan, result.values["gold"]))
    assert result.values["proxy_gain"][-1] > 1
    assert "No gold was named" in result.lead
    assert found["ST306"].verdict == "unclear"  # a hacked reward must not come out "ok" for want of a gold


def test_gold_on_five_percent_of_rows() -> None:
    pool = rows(honest, n_prompts=400)
    rng = np.random.default_rng(1)
    for row in pool:
        if rng.random() > 0.05:
            row["truth"] = None
    result = karat.stress(pool, proxy="rm", gold="truth")
    found = findings(result)
    assert found["ST301"].verdict == "not checked"
    assert "every response" in found["ST301"].action
    assert found["ST303"].n_used == 12_800 - result.values["n_missing_gold"] < 900
    assert found["ST306"].verdict == "unclear"
    assert result.values["correlation"] == pytest.approx(1 / math.sqrt(2), abs=0.15)
    assert math.isfinite(result.values["gold"][3])


def test_missing_proxies_are_counted_and_never_zero() -> None:
    pool = rows(honest)
    for row in pool[::10]:
        row["rm"] = None
    result = karat.stress(pool, proxy="rm", gold="truth")
    found = findings(result)["ST306"]
    assert found.verdict == "problem"
    assert found.n_missing == 320
    assert found.effect == pytest.approx(0.1)
    clean = karat.stress([row for row in pool if row["rm"] is not None], proxy="rm", gold="truth")
    assert clean.values["gold"] == pytest.approx(result.values["gold"])


def test_an_all_equal_proxy_chooses_nothing() -> None:
    pool = rows(honest)
    for row in pool:
        row["rm"] = 1.0
    result = karat.stress(pool, proxy="rm", gold="truth")
    assert result.values["kl"][-1] == pytest.approx(0)
    assert result.values["gold_gain"][-1] == pytest.approx(0, abs=1e-9)
    assert math.isnan(result.values["proxy_gain"][-1])
    assert math.isnan(result.values["correlation"])
    assert findings(result)["ST303"].verdict == "not checked"
    assert "nothing to choose by" in result.lead


def test_unequal_groups_keep_one_set_of_prompts() -> None:
    pool = rows(honest, n_prompts=50, size=16) + [
        {"prompt": f"lonely {k}", "response": "r", "rm": 0.0, "truth": 0.0} for k in range(20)
    ]
    result = karat.stress(pool, proxy="rm", gold="truth")
    assert result.values["n"][-1] == 16
    assert result.values["n_small_prompts"] == 20
    assert result.values["n_prompts"] == 50


def test_repeated_responses_are_atoms() -> None:
    pool = rows(honest, n_prompts=20, size=16)
    pool += [dict(row) for row in pool]
    values = karat.stress(pool, proxy="rm", gold="truth").values
    assert values["n_repeated"] == 320
    assert values["kl"][-1] < values["kl_bound"][-1] - 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"proxy": "nope"}, "no score column 'nope', named as proxy. Numeric columns: rm, truth"),
        ({"proxy": "rm", "gold": "nope"}, "no score column 'nope', named as gold"),
        ({"proxy": "rm", "gold": "rm"}, "proxy and gold are both 'rm'"),
        ({"proxy": ""}, "No proxy is named"),
        ({"proxy": "rm", "max_n": 64}, "best of 64 needs as many"),
        ({"proxy": "rm", "max_n": 1}, "best of 1 is no choice"),
        ({"proxy": "rm", "resamples": 5}, "resamples = 5 is out of range"),
    ],
)
def test_wrong_use_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises((DataError, InputError)) as caught:
        karat.stress(rows(honest, n_prompts=3, size=4), **options)
    assert message in str(caught.value)


def test_one_response_a_prompt_is_refused() -> None:
    with pytest.raises(DataError, match="at most 1 responses with a proxy; best of 2"):
        karat.stress(rows(honest, size=1), proxy="rm")


def test_infinite_scores_are_refused() -> None:
    pool = rows(honest, n_prompts=3, size=4)
    pool[2]["rm"] = math.inf
    with pytest.raises(DataError, match=r"1 scores of 'rm' are infinite or beyond any reward \(first: row 2, inf\)"):
        karat.stress(pool, proxy="rm")


def test_the_same_seed_gives_the_same_numbers() -> None:
    pool = rows(honest, n_prompts=30, size=8)
    first, again = (karat.stress(pool, proxy="rm", gold="truth", resamples=200).values for _ in range(2))
    assert json.dumps(first) == json.dumps(again)


def test_json_and_report_by_the_command(tmp_path: Path) -> None:
    from karat.cli.main import app

    file = tmp_path / "pool.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows(hacked, n_prompts=60, size=16)))
    arguments = ["stress", str(file), "--proxy", "rm", "--gold", "truth", "--out", str(tmp_path / "out"), "--quiet"]
    assert app(arguments, standalone_mode=False) in (0, 1)
    document = json.loads((tmp_path / "out" / "result.json").read_text())
    assert document["command"] == "stress"
    assert document["values"]["n"][-1] == 16
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Best of n by the proxy" in page
    assert "best of n" in page
    assert "<svg" in page


def test_the_figure_without_a_gold_shows_the_proxy_alone() -> None:
    from karat.report.html import render_html

    with_gold, without = (
        render_html(karat.stress(rows(honest, n_prompts=20, size=8), proxy="rm", gold=gold)) for gold in ("truth", "")
    )
    assert "where the gold is highest" in with_gold
    assert "The proxy; no gold was named." in without
    assert "gain over the reference, SD" in without


def test_a_built_in_pool_goes_by_its_name_and_not_by_its_path() -> None:
    result = karat.stress("builtin:checkable", proxy="rare_hack", gold="gold", resamples=100)
    assert result.provenance["pool"] == "builtin:checkable"
    assert not any("deep.jsonl" in table.note for table in result.tables)


def test_fewer_than_eight_prompts_certify_nothing() -> None:
    found, few = (karat.stress(rows(honest, n_prompts=n), proxy="rm", gold="truth", resamples=100) for n in (8, 7))
    assert found.values["certified_n"] > 1
    assert few.values["certified_n"] == 1
    assert findings(few)["ST303"].verdict == "unclear"
    assert "7 prompts have labels" in findings(few)["ST303"].action


@pytest.mark.parametrize("chance", [0.02, 0.98])
def test_a_rare_gold_neither_falls_nor_rises_for_want_of_prompts(chance: float) -> None:
    """The proxy says nothing; in most pools all 20 best responses have the common gold."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        pool = [
            {
                "prompt_id": str(p),
                "response": f"a{k}",
                "rm": rng.standard_normal(),
                "truth": float(rng.random() < chance),
            }
            for p in range(20)
            for k in range(32)
        ]
        found = findings(karat.stress(pool, proxy="rm", gold="truth", resamples=100))
        assert found["ST301"].verdict != "problem"
        assert found["ST302"].verdict != "ok"
        assert found["ST309"].verdict != "problem"
