"""The rows on the evaluation of process rewards break when its intervals do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from karat.selftest import process_intervals
from karat.selftest.planted import PlantedRow
from karat.selftest.process_intervals import TITLES, process_interval_rows
from karat.train.process import step_level
from karat.train.process.measures import RULES


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_intervals, "TRUTH_PROBLEMS", 800)


def rows() -> dict[str, PlantedRow]:
    return {row.code: row for row in process_interval_rows(12, 3)}


def test_all_are_kept_and_named() -> None:
    found = rows()
    assert list(found) == sorted(TITLES)
    assert all(row.is_kept for row in found.values())


def test_intervals_of_a_tenth_of_the_width_break_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    def narrow(found: Any) -> Any:
        low, high = (found.estimate + (end - found.estimate) / 10 for end in (found.low, found.high))
        return replace(found, low=low, high=high)

    measured = process_intervals._intervals
    monkeypatch.setattr(
        process_intervals, "_intervals", lambda *of: {code: narrow(one) for code, one in measured(*of).items()}
    )
    found = rows()
    assert not any(found[code].is_kept for code in ("SE721", "SE722", "SE723", "SE724"))


def test_without_the_rules_a_reward_of_positions_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_level, "rule_scores", lambda one: dict.fromkeys(RULES, np.zeros(len(one.steps))))
    assert not rows()["SE725"].is_kept
