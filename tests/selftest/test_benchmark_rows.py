from __future__ import annotations

import numpy as np
import pytest

from karat.audit.reward.benchmarks.items import Benchmark, StepBenchmark
from karat.audit.reward.benchmarks.rm_bench import aggregates
from karat.audit.reward.benchmarks.scoring import layout_of, mean_of, outcomes_of
from karat.audit.reward.benchmarks.steps import step_numbers, step_outcomes
from karat.selftest.audit_benchmarks import (
    DOMAIN_MEANS,
    SIZES,
    THRESHOLD,
    TITLES,
    benchmark_rows,
    draw_styles,
    step_benchmark,
    style_items,
    true_f1,
    true_style,
)


def test_planted_style_truth_is_what_many_draws_give() -> None:
    rng, items = np.random.default_rng(0), style_items()
    layout = layout_of(Benchmark(kind="", name="", items=items, aggregates=(), formula=""))
    numbers = aggregates(tuple(DOMAIN_MEANS))[:5]
    drawn = [outcomes_of(layout, items, draw_styles(items, rng)).value_P for _ in range(60)]
    for number in numbers:
        assert np.mean([mean_of(number, layout, value) for value in drawn]) == pytest.approx(
            true_style(number), abs=0.02
        )


def test_planted_f1_truth_is_what_many_solutions_give() -> None:
    rng = np.random.default_rng(0)
    drawn = [step_benchmark(rng) for _ in range(10)]
    items = tuple(item for benchmark, _ in drawn for item in benchmark.items)
    scores = [score for _, each in drawn for score in each]
    whole = StepBenchmark(kind="", name="", items=items, labels="first", formula="")
    outcomes = step_outcomes(whole, scores, threshold=str(THRESHOLD), seed=0)
    found = step_numbers(whole, outcomes, {}, rng=rng, resamples=100)[0].interval.estimate
    assert found == pytest.approx(float(true_f1(THRESHOLD)), abs=0.03)


def test_rewardbench_has_its_2985_pairs_in_23_subsets() -> None:
    assert (sum(SIZES.values()), len(SIZES)) == (2985, 23)


def test_every_promise_has_a_row() -> None:
    rows = benchmark_rows(3, 0)
    assert [row.code for row in rows] == list(TITLES)
    assert all(0 <= row.hits <= row.n for row in rows)
