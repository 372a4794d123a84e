"""Planted truth of attacks, sophistry and prediction: all rows are there, and a broken estimator breaks its row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from karat.numerics.feature_pay import FeaturePay
from karat.numerics.intervals import Interval
from karat.selftest import audit_attack


def test_every_promise_has_its_row_and_few_replications_break_none() -> None:
    rows = audit_attack.attack_rows(4, 0)
    assert [row.code for row in rows] == list(audit_attack.TITLES)
    assert [row.code for row in rows if not row.is_kept] == []


def test_the_tilted_slope_is_the_correlation() -> None:
    slope_F, excess_F = audit_attack.truth(1.0)
    assert slope_F[0] == pytest.approx(1 / np.sqrt(1 + 1 + audit_attack.REWARD_NOISE**2), abs=0.01)
    assert excess_F[0] == pytest.approx(slope_F[0], abs=0.02)
    assert slope_F[3] == pytest.approx(0, abs=0.01)


def test_intervals_that_are_too_narrow_break_their_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = audit_attack.predict_once

    def narrowed(interval: Interval) -> Interval:
        low, high = ((interval.estimate + 2 * end) / 3 for end in (interval.low, interval.high))
        return replace(interval, low=low, high=high)

    def sabotaged(pay: float, rng: np.random.Generator) -> list[FeaturePay]:
        return [
            replace(each, first_order=narrowed(each.first_order), excess=narrowed(each.excess))
            for each in plain(pay, rng)
        ]

    monkeypatch.setattr(audit_attack, "predict_once", sabotaged)
    rng = np.random.default_rng(0)
    rows = audit_attack._prediction_rows(60, lambda number, world: rng)
    assert {row.code for row in rows if not row.is_kept} >= {"SE491", "SE492"}
