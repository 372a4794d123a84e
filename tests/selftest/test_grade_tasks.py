"""The planted truth of tasks and comparison: a few replications of each world keep their promises."""

from __future__ import annotations

import numpy as np

from karat.selftest.grade_tasks import TITLES, changed, noise_seen, order_told, rows_counted, task_rows


def test_a_few_replications_keep_every_promise() -> None:
    rows = task_rows(4, seed=3)
    assert [row.code for row in rows] == list(TITLES)
    assert [row.code for row in rows if not row.is_kept] == []


def test_what_is_planted_is_a_change() -> None:
    rng = np.random.default_rng(0)
    for value in (True, 3, 2.5, "a", [1, [2]], {"k": [3]}, None, []):
        assert changed(value, rng) != value


def test_noise_order_and_rows_over_many_draws() -> None:
    rng = np.random.default_rng(5)
    assert all(noise_seen(rng, 2e-3) and not noise_seen(rng, 5e-4) for _ in range(50))
    assert all(order_told(rng) and rows_counted(rng) for _ in range(50))
