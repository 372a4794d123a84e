"""The deep pool of the default world: gold and proxies recomputed, each fault with the effect it was planted for."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import karat
from karat.errors import InputError
from karat.numerics.goodhart import within_prompt_sd
from karat.types import Result
from karat.worlds import planted, pool_source
from karat.worlds.pool import POOLS, read_pool, read_rows
from karat.worlds.tasks import Task
from scripts_loaded import load_script

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return read_rows("deep.jsonl.gz")


def test_every_prompt_has_its_64_responses_repeats_kept(rows: list[dict[str, Any]]) -> None:
    assert len({row["prompt_id"] for row in rows}) == len(rows) == 160
    assert {len(row["responses"]) for row in rows} == {64}
    assert any(len(set(row["responses"])) < 64 for row in rows)


def test_it_is_what_the_script_makes_of_the_responses(
    rows: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gold by today's checkers, proxies by today's formulas; another libm may round the last digit otherwise."""
    script = load_script("make_default_world")
    monkeypatch.setattr(script, "DEFAULT", tmp_path)
    script.write_deep([{"prompt_id": row["prompt_id"], "responses": row["responses"]} for row in rows])
    with gzip.open(tmp_path / "deep.jsonl.gz", "rt", encoding="utf-8") as file:
        made = [json.loads(line) for line in file]
    for new, old in zip(made, rows, strict=True):
        for name in planted.PLANTED:
            assert new.pop(name) == pytest.approx(old[name], abs=2e-4)
        assert new == {name: value for name, value in old.items() if name not in planted.PLANTED}


def test_the_constants_are_those_of_the_pool(rows: list[dict[str, Any]]) -> None:
    length = np.log([max(len(text), 1) for row in rows for text in row["responses"]])
    assert (length.mean(), length.std()) == pytest.approx((planted.LENGTH_CENTRE, planted.LENGTH_SCALE), abs=5e-3)
    gold = np.array([row["gold"] for row in rows])
    assert within_prompt_sd(gold) == pytest.approx(planted.GOLD_SD, abs=5e-3)


def test_equal_responses_have_equal_scores() -> None:
    for score in planted.PLANTED.values():
        assert score("p", "text", 1.0) == score("p", "text", 1.0) != score("q", "text", 1.0)


def test_planted_noise_is_of_its_own_law() -> None:
    """5,000 hashes: standard normal, and 1.5 % of wrong responses paid."""
    noise = np.array([planted.regressional("p", str(i), 0.0) for i in range(5000)]) / 1.5
    assert (noise.mean(), noise.std()) == pytest.approx((0, 1), abs=0.05)
    paid = np.array([planted.rare_hack("p", str(i), 0.0) for i in range(5000)]) > 3.5
    assert paid.mean() == pytest.approx(planted.HACK_SHARE, abs=0.005)
    assert max(planted.rare_hack("p", str(i), 1.0) for i in range(5000)) < 1 / planted.GOLD_SD + 0.5 * 4.5


@pytest.fixture(scope="module")
def stressed() -> dict[str, Result]:
    return {
        proxy: karat.stress("builtin:checkable", proxy=proxy, gold="gold", resamples=400) for proxy in planted.PLANTED
    }


@pytest.mark.parametrize(
    ("proxy", "code", "verdict"),
    [
        ("regressional", "ST301", "ok"),
        ("regressional", "ST304", "ok"),
        ("length_leak", "ST305", "problem"),
        ("length_leak", "ST304", "ok"),
        ("rare_hack", "ST301", "problem"),
        ("heavy_tail", "ST301", "problem"),
        ("heavy_tail", "ST304", "problem"),
    ],
)
def test_each_planted_fault_is_found_and_only_where_it_is(
    stressed: dict[str, Result], proxy: str, code: str, verdict: str
) -> None:
    found = {finding.code: finding.verdict for finding in stressed[proxy].findings}
    assert found[code] == verdict


def test_the_certificate_never_goes_beyond_the_peak(stressed: dict[str, Result]) -> None:
    for proxy, result in stressed.items():
        assert result.values["certified_n"] <= result.values["peak_high"], proxy


def test_names_of_pools() -> None:
    assert pool_source("pool.jsonl") == "pool.jsonl"
    assert pool_source("builtin:checkable") == str(POOLS["builtin:checkable"])
    with pytest.raises(InputError, match="no built-in pool 'builtin:nothing'; there are: builtin:checkable"):
        pool_source("builtin:nothing")
    with pytest.raises(InputError, match="no built-in pool"):
        karat.stress("builtin:nothing", proxy="x")


def test_prompts_of_both_pools_are_the_same() -> None:
    broad = {prompt.prompt_id: prompt.prompt for prompt in read_pool()}
    for row in read_rows("deep.jsonl.gz"):
        assert row["prompt"] == [{"role": "user", "content": broad[row["prompt_id"]]}]


def test_families_are_those_of_the_tasks(rows: list[dict[str, Any]]) -> None:
    of = {prompt.prompt_id: prompt for prompt in read_pool()}
    prompt = of[rows[0]["prompt_id"]]
    task = Task(prompt.family, prompt.prompt, dict(prompt.facts))
    assert [task.gold(text) for text in rows[0]["responses"]] == rows[0]["gold"]
