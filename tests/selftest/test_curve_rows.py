"""The rows on curves, optima, laws and plans notice when what they test is broken."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from karat.numerics.intervals import Interval
from karat.selftest import curves
from karat.selftest.planted import independent


def test_broken_estimators_break_their_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    def half_as_wide(draw_BN: np.ndarray, n_units: int) -> tuple[np.ndarray, np.ndarray]:
        low, high = np.quantile(draw_BN, [0.25, 0.75], axis=0)
        return low, high

    def twice(setting_T: np.ndarray, gold_T: np.ndarray, draw_BT: np.ndarray, n_units: int) -> Any:
        found = best(setting_T, gold_T, draw_BT, n_units)
        if len(draw_BT) == 1:  # the truth
            return found
        setting = Interval(
            *(2 * x for x in (found.setting.estimate, found.setting.low, found.setting.high)), 1, "wilson"
        )
        return dataclasses.replace(found, setting=setting)

    best, labels, height = curves.best_setting, curves.labels_needed, curves.drop_height
    monkeypatch.setattr(curves, "percentile_ends", half_as_wide)
    monkeypatch.setattr(curves, "best_setting", twice)
    monkeypatch.setattr(curves, "labels_needed", lambda *args, **options: 0.2 * labels(*args, **options))
    monkeypatch.setattr(curves, "drop_height", lambda gold_PN, half: height(gold_PN - 9, slice(0, 1)))
    monkeypatch.setattr(curves, "equalised", lambda score_R, feature_R, prompt_R: score_R)
    monkeypatch.setattr(curves, "peak_interval", lambda curve: (0, 1))
    rows = {row.code: row for row in curves.curve_rows(15, 0)}
    broken = {code for code, row in rows.items() if not row.is_kept}
    assert broken >= {"SE306", "SE307", "SE308", "SE309", "SE310", "SE315", "SE316", "SE317", "SE327", "SE329"}
    assert not broken & {"SE318", "SE319", "SE320", "SE323", "SE324", "SE325", "SE328"}


def test_every_row_says_its_world_and_promise() -> None:
    assert set(curves.TITLES) == set(curves.PLANTED)
    assert all(0 <= least < most <= 1 for _, least, most in curves.PLANTED.values())


def test_a_chi_square_as_the_pool_has_it_certifies_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    world, rng = curves.hostile_world(curves.HOSTILE_CORRELATION), np.random.default_rng(0)
    assert np.mean([curves.certifies_too_much(world, rng) for _ in range(100)]) <= 0.03
    monkeypatch.setattr(curves, "cautious_chi2", lambda chi2_PN, n_N, size_P: np.mean(chi2_PN, axis=0))
    assert np.mean([curves.certifies_too_much(world, rng) for _ in range(100)]) > 0.03


def test_intervals_of_one_replication_count_as_far_as_they_differ() -> None:
    rng = np.random.default_rng(0)
    each, apart = rng.random((200, 1)) < 0.9, rng.random((200, 5)) < 0.9
    together = independent(np.repeat(each, 5, axis=1))
    assert together["n"] == pytest.approx(200, abs=2)
    assert together["hits"] / together["n"] == pytest.approx(each.mean(), abs=0.01)
    assert independent(apart)["n"] > 900
    assert independent(np.ones((50, 5), bool)) == {"hits": 50, "n": 50}
