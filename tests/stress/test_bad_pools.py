"""Odd pools: each has an outcome that is said, and none becomes a zero or a traceback."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import karat
from karat.errors import DataError
from karat.types import Finding, Result

Rows = list[dict[str, Any]]


def rows(n_prompts: int = 30, size: int = 8) -> Rows:
    rng = np.random.default_rng(0)
    out = []
    for prompt in range(n_prompts):
        for number in range(size):
            gold = float(rng.standard_normal())
            text = "word " * int(rng.integers(1, 9)) + str(number)
            out.append({"prompt_id": f"p{prompt}", "response": text, "rm": gold + rng.standard_normal(), "truth": gold})
    return out


def with_rm(change: Callable[[int, float], Any]) -> Rows:
    return [{**row, "rm": change(number, row["rm"])} for number, row in enumerate(rows())]


def stress(pool: Rows, **options: Any) -> tuple[Result, dict[str, Finding]]:
    result = karat.stress(pool, proxy="rm", **{"gold": "truth", "resamples": 200, **options})
    return result, {finding.code: finding for finding in result.findings}


def not_checked(found: dict[str, Finding]) -> set[str]:
    return {code for code, finding in found.items() if finding.verdict == "not checked"}


def test_no_gold_leaves_what_needs_none() -> None:
    result, found = stress(rows(), gold="")
    assert not_checked(found) == {"ST301", "ST302", "ST303", "ST305", "ST307", "ST308", "ST309", "ST310"}
    assert all(finding.action for code, finding in found.items() if code in not_checked(found))
    assert result.verdict == "unclear"
    names = {table.name for table in result.tables}
    assert {"best_of_n", "inflation", "goodhart", "tails", "kl_budgets"} <= names
    assert not names & {"hedges", "curve_fits", "labels", "label_plan", "regression"}
    assert math.isnan(result.values["certified_n"])


def test_gold_on_five_percent_says_what_little_it_can() -> None:
    pool = [{**row, "truth": row["truth"] if number % 20 == 0 else None} for number, row in enumerate(rows(60, 16))]
    result, found = stress(pool)
    assert result.values["n_missing_gold"] == 912
    assert {"ST301", "ST302", "ST305", "ST310"} <= not_checked(found)
    assert "every response" in found["ST302"].action
    assert math.isnan(result.values["peak_n"])
    assert found["ST306"].verdict == "unclear"
    assert "912 of 960 used without a gold" in found["ST306"].baseline


def test_an_all_equal_proxy_is_a_problem_and_no_ok() -> None:
    result, found = stress(with_rm(lambda *_: 1.0))
    assert result.verdict == "problem"
    assert found["ST302"].effect == 0
    assert math.isnan(found["ST302"].low)
    assert "equal for all responses" in found["ST302"].action
    assert math.isnan(result.values["proxy_gain"][-1])
    assert {"ST301", "ST303", "ST304", "ST308", "ST309", "ST310"} <= not_checked(found)


def test_a_proxy_that_only_differs_between_prompts_is_the_same() -> None:
    pool = with_rm(lambda number, _: float(number // 8))
    assert stress(pool)[1]["ST302"].verdict == "problem"


def test_an_all_equal_gold_cannot_say_ok() -> None:
    result, found = stress([{**row, "truth": 1.0} for row in rows()])
    assert found["ST302"].verdict == "unclear"
    assert "differ between responses" in found["ST302"].action
    assert result.verdict == "unclear"
    assert math.isnan(result.values["gold_gain"][-1])
    assert result.values["gold"][-1] == 1


@pytest.mark.parametrize("n_prompts", [1, 3])
def test_too_few_prompts_are_unclear(n_prompts: int) -> None:
    result, found = stress(rows(n_prompts, 20))
    assert found["ST302"].verdict == "unclear"
    assert "four prompts" in found["ST302"].action
    assert found["ST301"].verdict == "not checked"
    assert result.verdict == "unclear"


@pytest.mark.parametrize("missing", [None, math.nan])
def test_missing_proxies_are_counted_in_either_spelling(missing: Any) -> None:
    result, found = stress(with_rm(lambda number, score: missing if number % 9 == 0 else score))
    assert found["ST306"].n_missing == 27 == result.values["n_missing_proxy"]
    assert found["ST306"].verdict == "problem"
    assert result.values["n"][-1] == 7  # as many as most prompts keep


def test_a_proxy_without_one_number_is_refused() -> None:
    with pytest.raises(DataError, match="column 'rm' has no number in any of 240 responses"):
        stress(with_rm(lambda *_: math.nan))


def test_unequal_groups_and_groups_of_one() -> None:
    ragged = [row for number, row in enumerate(rows()) if (number * 7) % 10 > 1]
    lonely = [{"prompt_id": f"lonely {k}", "response": "x", "rm": 1.0, "truth": 0.0} for k in range(9)]
    result, _ = stress(ragged + lonely)
    assert result.values["n_small_prompts"] >= 9
    assert result.values["n_prompts"] + result.values["n_small_prompts"] == 39
    assert all(map(math.isfinite, result.values["gold"]))
    with pytest.raises(DataError, match="9 prompts have at most 1 responses"):
        stress(lonely)


def test_duplicate_responses_bring_the_policy_less_far() -> None:
    twice = [row for row in rows(20, 8) for _ in range(2)]
    result, found = stress(twice)
    assert result.values["n_repeated"] == 160
    assert "160 repeated responses" in found["ST306"].baseline
    assert result.values["kl"][-1] < result.values["kl_bound"][-1]
    assert result.values["chi2"][-1] < (15**2) / 31
    split = [{**row, "rm": row["rm"] + 0.1 * (number % 2)} for number, row in enumerate(twice)]
    assert "160 scored unlike their first" in stress(split)[1]["ST306"].baseline


def test_more_than_the_pool_holds_is_refused_and_less_is_done() -> None:
    with pytest.raises(DataError, match="30 prompts have at most 8 responses with a proxy; best of 9 needs as many"):
        stress(rows(), max_n=9)
    assert stress(rows(), max_n=3)[0].values["n"] == [1, 2, 3]


def test_scores_that_hardly_differ_are_refused_and_a_scale_or_an_offset_is_not() -> None:
    with pytest.raises(DataError, match=r"scores of 'rm' differ by .*e-1\d\d at most"):
        stress(with_rm(lambda _, score: 1e-150 * score))
    plain, moved = (stress(with_rm(change))[0].values for change in (lambda _, s: s, lambda _, s: 1e-20 * s))
    assert moved["gold_gain"] == pytest.approx(plain["gold_gain"])
    assert moved["proxy_gain"] == pytest.approx(plain["proxy_gain"])
    assert moved["correlation_low"] == pytest.approx(plain["correlation_low"])
    far = stress(with_rm(lambda _, s: 1e6 + s))[0].values
    assert far["proxy_gain"] == pytest.approx(plain["proxy_gain"], abs=1e-6)


def two_columns(path: Path) -> None:
    columns = {"prompt_id": [f"p{k // 4}" for k in range(16)], "response": [f"a{k}" for k in range(16)]}
    score = [float(k) for k in range(16)]
    if path.suffix == ".parquet":
        arrays = [pa.array(column) for column in (*columns.values(), score, score, score)]
        pq.write_table(pa.Table.from_arrays(arrays, names=[*columns, "rm", "rm", "truth"]), path)
    elif path.suffix == ".csv":
        lines = [f"p{k // 4},a{k},{k},{k},{k}" for k in range(16)]
        path.write_text("\n".join(["prompt_id,response,rm,rm,truth", *lines]))
    else:
        lines = [
            f'{{"prompt_id": "p{k // 4}", "response": "a{k}", "rm": {k}, "rm": {k}, "truth": 1}}' for k in range(16)
        ]
        path.write_text("\n".join(lines))


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_two_columns_of_one_name_are_refused(kind: str, tmp_path: Path) -> None:
    file = tmp_path / f"pool.{kind}"
    two_columns(file)
    with pytest.raises(DataError, match=r"'?rm'?"):
        karat.stress(str(file), proxy="rm", gold="truth")


def test_numbers_as_text_are_no_scores() -> None:
    with pytest.raises(DataError, match=r"no score column 'rm', named as proxy\. Numeric columns: truth"):
        stress(with_rm(lambda _, score: str(score)))


def test_true_and_false_are_a_gold() -> None:
    result, found = stress([{**row, "truth": row["truth"] > 0} for row in rows(60, 8)])
    assert found["ST302"].verdict == "ok"
    assert 0 <= min(result.values["gold"]) <= max(result.values["gold"]) <= 1


def test_every_odd_pool_makes_a_whole_json_document() -> None:
    from karat.report.json import render_json

    for pool in (with_rm(lambda *_: 1.0), rows(1, 20), rows(40, 2), [{**row, "response": ""} for row in rows()]):
        document = json.loads(render_json(stress(pool)[0]))
        assert {finding["code"] for finding in document["findings"]} >= {f"ST30{k}" for k in range(1, 10)}


def test_a_proxy_that_is_the_gold_is_not_said_to_want_labels() -> None:
    same = [{**row, "rm": float(row["truth"] > -0.5), "truth": float(row["truth"] > -0.5)} for row in rows(40, 16)]
    result, found = stress(same)
    assert "same degree in every prompt" in found["ST303"].action
    top = max(result.values["gold"])
    first = next(n for n, gold in zip(result.values["n"], result.values["gold"], strict=True) if gold > top - 1e-9)
    assert result.values["peak_n"] == first
