"""The rows of the step check."""

from __future__ import annotations

from typing import Any

import pytest

from karat.rewards.step_check import StepCheck
from karat.selftest import step_check
from karat.selftest.step_check import TITLES, step_check_rows


def test_every_promise_is_kept() -> None:
    rows = step_check_rows(40, 0)
    assert [row.code for row in rows] == list(TITLES)
    assert all(row.is_kept for row in rows)


def test_a_check_that_sees_nothing_breaks_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(step: str, context: Any = ()) -> StepCheck:
        return StepCheck((), "undefined")

    monkeypatch.setattr(step_check, "check_step", blind)
    assert [row.code for row in step_check_rows(40, 0) if not row.is_kept] == ["SE642", "SE643"]
