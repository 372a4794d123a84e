"""Planted truth of labels without people: promises are kept, and a broken estimator would be seen."""

from __future__ import annotations

import numpy as np
import pytest

from karat.selftest import step_labels
from karat.selftest.step_labels import build_world, replicate_search, step_label_rows


def test_every_promise_has_its_row_and_is_kept() -> None:
    rows = step_label_rows(12, 3)
    assert [row.code for row in rows] == list(step_labels.TITLES)
    assert all(row.is_kept for row in rows), [row.code for row in rows if not row.is_kept]


def test_values_that_are_off_by_a_fifth_break_the_promise_of_coverage() -> None:
    world = build_world(np.random.default_rng(0))
    off = step_labels.World(world.solutions, {key: 0.8 * value for key, value in world.value_of.items()})
    holds = []
    for seed in range(10):
        made = off.label(world.solutions[:10], seed=seed, search=False)
        for solution, found in zip(world.solutions[:10], made, strict=True):
            ends = step_labels.value_intervals([hits or 0 for hits in found.hits_S], [n or 0 for n in found.counted_S])
            holds += [
                low <= value <= high
                for value, (low, high), hits in zip(world.values(solution), ends, found.hits_S, strict=True)
                if hits is not None and 0.5 < value < 1
            ]
    assert np.mean(holds) < 0.9


def test_a_search_is_cheap_and_right_and_too_few_completions_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    world = build_world(np.random.default_rng(1), recovery=0.0)
    share, found = replicate_search(world, 0, np.random.default_rng(2))
    assert share < 0.6
    assert found.mean() >= 0.9
    monkeypatch.setattr(step_labels, "RULE", step_labels.ProbeRule(rollouts=1, at_once=1))
    assert replicate_search(world, 0, np.random.default_rng(2))[1].mean() < 1.0  # one completion is too few
