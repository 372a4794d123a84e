"""The self-test keeps its promises here, and breaks them when what it tests is broken."""

from __future__ import annotations

import numpy as np
import pytest

import karat
import karat.selftest.stress as stress
from karat.selftest.planted import PlantedRow
from karat.selftest.run import TITLES


def test_every_promise_is_kept_and_has_its_finding() -> None:
    result = karat.selftest(seed=1)
    assert result.verdict == "ok", result.lead
    assert sorted(finding.code for finding in result.findings) == sorted(TITLES)  # no code twice
    assert set(TITLES) == set(result.values)
    assert all(finding.n_used >= 40 for finding in result.findings)


def test_an_interval_that_is_too_narrow_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def half_as_wide(draw_BN: np.ndarray, n_units: int) -> tuple[np.ndarray, np.ndarray]:
        low, high = np.quantile(draw_BN, [0.25, 0.75], axis=0)
        return low, high

    monkeypatch.setattr(stress, "percentile_ends", half_as_wide)
    rows = {row.code: row for row in stress.stress_rows(20, 0)}
    assert not rows["SE301"].is_kept
    assert rows["SE311"].is_kept


def test_a_promise_is_broken_only_beyond_chance() -> None:
    row = PlantedRow(code="x", title="", planted="", hits=4, n=40, least=0.0, most=0.05)
    assert row.share == 0.1
    assert row.is_kept
    assert not PlantedRow(code="x", title="", planted="", hits=40, n=400, least=0.0, most=0.05).is_kept
