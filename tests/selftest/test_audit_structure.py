"""Planted structure is found, and a finder that is broken breaks its promise."""

from __future__ import annotations

import numpy as np
import pytest

from karat.audit.data import near
from karat.audit.data.near import Plan
from karat.selftest.audit_structure import TITLES, structure_rows


def test_every_promise_is_kept() -> None:
    rows = structure_rows(3, seed=0)
    assert [row.code for row in rows] == list(TITLES)
    assert [row.code for row in rows if not row.is_kept] == []


def test_too_few_bands_break_the_promise_of_recall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "_PLANS_OF_TWO", ((4, 16, 16),))
    monkeypatch.setattr(near, "_PLANS_OF_ONE", ((2, 32),))
    assert Plan(4, (16, 16)).recall(0.81, 0.81) < 0.01
    broken = [row.code for row in structure_rows(3, seed=0) if not row.is_kept]
    assert {"SE402", "SE406"} <= set(broken)
    assert "SE401" not in broken


def test_unchecked_candidates_break_the_promise_of_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "_PLANS_OF_TWO", ((64, 1, 1),))
    monkeypatch.setattr("karat.audit.data.duplicates.jaccard", lambda *texts: np.ones(len(texts[1])))
    assert "SE403" in [row.code for row in structure_rows(2, seed=0) if not row.is_kept]
