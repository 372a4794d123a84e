"""Comparing sources: what is trained on and judged on, who is at home, verdicts, edges."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import karat
from audit.planted_pairs import planted_rows, spelled  # noqa: F401
from karat.audit.data import compare_findings
from karat.audit.data.compare import compare_data, part_material, prompt_key, prompt_names, short_names
from karat.audit.data.compare_findings import learned_verdict
from karat.audit.data.compare_measure import Comparison, Contrast, HeldOut, Standing, contrast_of, judged_at
from karat.audit.data.config import AuditDataConfig
from karat.audit.data.training_sets import PoolOrder, common_size, draw_mix, ladder, mixes_of
from karat.errors import InputError
from karat.numerics.intervals import Interval
from karat.types import Finding, PreferencePair, Result
from rewards.tiny import save_tiny

CONFIG = AuditDataConfig(draws=5, resamples=200)


def compare(*sources: Any, **options: Any) -> Result:
    config = AuditDataConfig(**({"draws": 5, "resamples": 200} | options))
    return compare_data(sources, out=None, config=config, rng=np.random.default_rng(0))


def finding(result: Result, code: str) -> Finding:
    return next(each for each in result.findings if each.code == code)


# -------------------------------------------------------------------------------------------------------- training sets
def test_a_draw_takes_whole_prompts_in_turn_and_at_most_half_of_them() -> None:
    prompt_P = np.repeat(np.arange(10), 6)
    index, share = PoolOrder(prompt_P, np.random.default_rng(0)).take(20)
    assert len(set(index.tolist())) == 20
    assert share == 0.5
    assert sorted(np.bincount(prompt_P[index], minlength=10).tolist()) == [0] * 5 + [4] * 5


def test_smaller_draws_are_parts_of_larger_ones() -> None:
    order = PoolOrder(np.arange(100), np.random.default_rng(1))
    small, large = (set(order.take(size)[0].tolist()) for size in (12, 50))
    assert small < large


def test_a_draw_takes_more_prompts_where_half_hold_too_few() -> None:
    index, share = PoolOrder(np.arange(10), np.random.default_rng(0)).take(8)
    assert (len(index), share) == (8, 0.8)


def test_mixtures_hold_equal_parts() -> None:
    assert [mix.parts for mix in mixes_of("abc")] == [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]
    assert [mix.name for mix in mixes_of("ab")] == ["a", "b", "a + b"]
    orders = [PoolOrder(np.arange(50), np.random.default_rng(k)) for k in range(3)]
    draw = draw_mix(mixes_of("abc")[-1], 20, orders)
    assert [len(rows) for rows in draw.index.values()] == [7, 7, 6]


def test_sizes() -> None:
    assert common_size([100, 61]) == 30
    assert ladder(640, ()) == (20, 40, 80, 160, 320)
    assert ladder(60, ()) == (30,)
    assert ladder(100, (64, 16, 64)) == (16, 64)
    with pytest.raises(InputError, match="81 pairs of 100"):
        ladder(100, (81,))


# ---------------------------------------------------------------------------------------------------- what is judged on
def pair(prompt: str, number: int = 0) -> PreferencePair:
    return PreferencePair(prompt, f"yes {number}", f"no {number}", prompt_id=prompt, row=number)


def test_prompts_that_a_source_trains_on_are_not_judged_on() -> None:
    sources = [tuple(pair(f"{name} {k}") for k in range(60)) for name in "ab"]
    trained = part_material("ab", sources, CONFIG, {}).pools[0][0].prompt
    files = {"test": (pair(str(trained).upper() + "  "), *(pair(f"new {k}") for k in range(5)))}
    material = part_material("ab", sources, CONFIG, files)
    named = {test.name: test for test in material.held_out}
    assert named["test"].n_removed == 1
    assert named["test"].counts
    assert not named["a (held out)"].counts
    assert (named["a (held out)"].home, named["b (held out)"].home, named["test"].home) == (0, 1, -1)
    known = {prompt_key(each) for pool in material.pools for each in pool}
    assert not known & {prompt_key(each) for _, pairs in material.tests for each in pairs}


def test_a_prompt_has_one_name_in_all_sources() -> None:
    first = (replace(pair("What?"), prompt_id="1"), replace(pair("What? Tell."), prompt_id="1"))
    second = (replace(pair("  WHAT?"), prompt_id="7"), replace(pair("Other"), prompt_id="1"))
    names = [prompt_names(each).tolist() for each in (first, second)]
    assert names[0][0] == names[0][1] == names[1][0] != names[1][1]


@pytest.mark.usefixtures("spelled")
def test_sources_with_the_same_prompts_are_judged_on_each_prompt_once() -> None:
    one, other = planted_rows("q", 300, 0.1, 1), planted_rows("q", 300, 0.1, 2)
    alike = compare(one, other, sizes="32")
    found = next(table for table in alike.tables if table.name == "compare_tests")
    assert found.rows[0][3] == found.rows[1][3] > 60
    material = part_material(
        "ab", [tuple(pair(str(row["prompt"])) for row in rows) for rows in (one, other)], CONFIG, {}
    )
    assert set(material.held_out[0].prompt_N) == set(material.held_out[1].prompt_N)


def test_names() -> None:
    assert short_names(["x/a.jsonl", "y/b.jsonl.gz"]) == ("a", "b")
    assert short_names(["x/a.jsonl", "y/a.jsonl"]) == ("x/a.jsonl", "y/a.jsonl")
    assert short_names(["rows", "rows"]) == ("rows #1", "rows #2")


# ------------------------------------------------------------------------------------------------------- the comparison
@pytest.mark.usefixtures("spelled")
def test_the_source_with_fewer_flips_wins_and_each_is_at_home_once() -> None:
    result = compare(planted_rows("good", 400, 0.0, 1), planted_rows("coin", 400, 0.5, 2))
    which = finding(result, "DA501")
    assert (which.verdict, which.gold) == ("ok", "preference labels")
    assert which.low > 0
    assert result.values["compare_best"].endswith("#1")
    assert "trains the better reward" in result.lead
    assert finding(result, "DA505").verdict in ("problem", "unclear")
    assert finding(result, "DA504").verdict == "not checked"
    cells = next(table for table in result.tables if table.name == "compare_cells")
    home = {(row[0], row[1].removesuffix(" (held out)")): row[2] for row in cells.rows}
    for (trained, tested), where in home.items():
        assert where == ("part" if "+" in trained else "yes" if trained == tested else "no")
    names = [table.name for table in result.tables]
    assert len(names) == len(set(names))


@pytest.mark.usefixtures("spelled")
def test_better_data_on_a_blind_backbone_loses_to_worse_data_on_one_that_sees() -> None:
    result = compare(
        planted_rows("good", 200, 0.0, 1), planted_rows("noisy", 200, 0.1, 2), backbones="blind,seeing", sizes="16,64"
    )
    size = finding(result, "DA504")
    assert (size.verdict, size.high < 0) == ("ok", True)
    assert size.action == "The larger backbone wins."


def test_two_decoders_are_a_grid_with_each_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hidden states of real networks, tiny ones, through the whole audit."""
    monkeypatch.setenv("KARAT_CACHE", str(tmp_path / "cache"))
    small, large = (str(save_tiny(tmp_path / name, name, seed=1)) for name in ("llama", "qwen2"))
    rows = [
        {"prompt": f"Say number {number}.", better: "yes " * (2 + number % 3), worse: f"no {number % 7}"}
        for number in range(400)
        for better, worse in [("rejected", "chosen") if number % 5 == 0 else ("chosen", "rejected")]
    ]
    result = karat.audit_data(
        rows[:200], rows[200:], parts="content", backbones=f"{small},{large}", sizes="16", draws=3, resamples=100
    )
    size = finding(result, "DA504")
    assert size.verdict in ("ok", "unclear")
    assert math.isfinite(size.effect)
    assert small in size.baseline
    assert large in size.baseline
    grid = next(table for table in result.tables if table.name == "compare_grid")
    assert [row[1] for row in grid.rows] == [small, small, large, large]
    assert all(0.6 < row[2] < 0.9 for row in grid.rows)  # four labels of five follow the text


@pytest.mark.usefixtures("spelled")
def test_the_same_source_twice_is_no_better_than_itself() -> None:
    rows = planted_rows("same", 150, 0.1, 3)
    result = compare(rows, rows, sizes="32")
    assert finding(result, "DA501").verdict != "problem"
    assert result.values["compare_lead_p"] > 0.05
    assert finding(result, "DA503").verdict == "not checked"


@pytest.mark.usefixtures("spelled")
def test_pairs_without_hidden_states_are_left_out_and_counted() -> None:
    rows = [*planted_rows("a", 120, 0.1, 4), {"prompt": "odd", "chosen": "", "rejected": "words"}]
    result = compare(rows, planted_rows("b", 120, 0.1, 5), sizes="16,32")
    assert finding(result, "DA501").n_missing == 1


@pytest.mark.parametrize("n_pairs", [1, 20])
@pytest.mark.usefixtures("spelled")
def test_too_few_pairs_are_not_compared(n_pairs: int) -> None:
    result = compare(planted_rows("a", n_pairs, 0.0, 1), planted_rows("b", 200, 0.0, 2))
    (only,) = result.findings
    assert (only.code, only.verdict) == ("DA501", "not checked")
    assert "needs 32 pairs of 4 prompts" in only.action


@pytest.mark.usefixtures("spelled")
def test_a_thousand_pairs_of_one_prompt_are_not_compared() -> None:
    result = compare(planted_rows("a", 1000, 0.0, 1, per_prompt=1000), planted_rows("b", 200, 0.0, 2))
    assert result.verdict == "not checked"


def test_one_source_is_no_comparison() -> None:
    with pytest.raises(InputError, match="needs two or more"):
        compare(planted_rows("a", 10, 0.0, 1))


@pytest.mark.usefixtures("spelled")
def test_sizes_that_are_no_numbers() -> None:
    with pytest.raises(InputError, match="'many' is no number"):
        compare(planted_rows("a", 100, 0.0, 1), planted_rows("b", 100, 0.0, 2), sizes="many")


def at(low: float, high: float) -> Interval:
    return Interval((low + high) / 2, low, high, 9, "crossed t")


def test_verdict_of_a_source_at_home() -> None:
    assert learned_verdict(at(0.51, 0.7)) == "ok"
    assert learned_verdict(at(0.47, 0.54)) == "problem"
    assert learned_verdict(at(0.47, 0.6)) == "unclear"


def test_a_difference_can_be_read_both_ways() -> None:
    kept = (Contrast("a", "b", Interval(0.1, 0.0, 0.3, 9, "crossed t"), 0.04),)
    turned = contrast_of(kept, "b", "a").difference
    assert (turned.estimate, turned.low, turned.high) == (-0.1, -0.3, 0.0)


def test_a_mixture_that_may_be_better_is_not_ruled_out_by_another() -> None:
    """The mixture that leads surely gains little; another one's interval is wide."""
    names = mixes_of("abc")[:5]
    ends = {"a": 0.70, "b": 0.69, "c": 0.60, "a + b": 0.70, "a + c": 0.69}
    standings = tuple(Standing(mix, at(ends[mix.name], ends[mix.name]), at(0, 0), "a") for mix in names)
    standings = tuple(sorted(standings, key=lambda each: -each.score.estimate))

    def verdict(high: float) -> str:
        kept = [("a + b", "a", 0.005), ("a + b", "b", 0.02), ("a + c", "a", high), ("a + c", "c", 0.2)]
        contrasts = tuple(Contrast(left, right, at(-0.03, top), 0.5) for left, right, top in kept)
        stated = compare_findings._mixing(Drawn(standings, contrasts))
        return str(stated[1]["verdict"])

    assert [verdict(0.006), verdict(0.09)] == ["ok", "unclear"]


@dataclass
class Drawn:
    """As much of `Comparison` as the statement on mixtures reads."""

    standings: tuple[Standing, ...]
    mix_contrasts: tuple[Contrast, ...]
    sources = Comparison.sources
    mixtures = Comparison.mixtures


def test_a_learning_curve_is_judged_at_home_unless_files_are_named() -> None:
    def held(name: str, home: int) -> HeldOut:
        return HeldOut(name, home, np.ones(2), np.arange(2), counts=home < 0)

    home = [held("a", 0), held("b", 1)]
    assert [test.counts for test in judged_at(1, home)] == [False, True]
    assert [test.counts for test in judged_at(1, [*home, held("file", -1)])] == [False, False, True]
