"""The rows on curves, optima, laws and plans notice when what they test is broken."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from karat.numerics.intervals import Interval
from karat.selftest import curves


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
