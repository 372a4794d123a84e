"""The rows on the step world break when what they promise is broken."""

from __future__ import annotations

import numpy as np
import pytest

from karat.selftest import step_world
from karat.selftest.planted import PlantedRow
from karat.worlds.steps import SimulatedCompleter, StepFaults, annotate, check_steps


def rows() -> dict[str, PlantedRow]:
    return {row.code: row for row in step_world.step_world_rows(8, 5)}


def test_all_are_kept_and_named() -> None:
    found = rows()
    assert list(found) == sorted(step_world.TITLES)
    assert all(row.is_kept for row in found.values())


def test_faults_of_another_strength_break_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    def stronger(solutions: object, faults: StepFaults, rng: np.random.Generator) -> object:
        twice = {name: min(1.0, 3 * getattr(faults, name)) for name in step_world.FAULTS}
        return annotate(solutions, StepFaults(**twice), rng)  # type: ignore[arg-type]

    monkeypatch.setattr(step_world, "annotate", stronger)
    found = rows()
    assert not any(found[code].is_kept for code in step_world.CODES.values())
    assert found["SE651"].is_kept


def test_a_checker_that_errs_once_breaks_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_world, "check_steps", lambda problem, steps: (None, *check_steps(problem, steps)[1:]))
    assert not rows()["SE651"].is_kept


def test_wrong_exact_values_break_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimulatedCompleter, "value", lambda self, problem, steps: 0.5)
    monkeypatch.setattr(SimulatedCompleter, "__call__", lambda self, prompt, steps, n, seed: ["The answer is no."] * n)
    assert not rows()["SE659"].is_kept
