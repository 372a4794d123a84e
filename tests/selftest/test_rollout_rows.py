"""Planted rollouts are found, and rules that are broken break their promise."""

from __future__ import annotations

import pytest

from karat.selftest import grade_rollouts
from karat.selftest.grade_rollouts import TITLES, rollout_rows
from karat.worlds.rollouts import all_rollouts, held_out, written_first


def test_every_promise_is_kept() -> None:
    rows = rollout_rows(40, seed=0)
    assert [row.code for row in rows] == list(TITLES)
    assert [row.code for row in rows if not row.is_kept] == []


def test_the_sets_are_large_and_distinct() -> None:
    first, later = written_first(), held_out()
    names = [rollout.name for rollout in all_rollouts()]
    assert len(names) == len(set(names))
    assert sum(rollout.tampers for rollout in first) >= 60
    assert sum(not rollout.tampers for rollout in first) >= 60
    assert min(sum(rollout.tampers is kind for rollout in later) for kind in (True, False)) >= 30
    assert all(rollout.held_out for rollout in later)
    assert not any(rollout.held_out for rollout in first)


def test_rules_that_say_nothing_or_everything_break_their_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grade_rollouts, "is_flagged", lambda rollout: False)
    assert {"SE621", "SE623"} <= {row.code for row in rollout_rows(2, seed=0) if not row.is_kept}
    monkeypatch.setattr(grade_rollouts, "is_flagged", lambda rollout: True)
    assert {"SE622", "SE623"} <= {row.code for row in rollout_rows(2, seed=0) if not row.is_kept}
