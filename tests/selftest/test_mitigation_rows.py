"""The rows on mitigations break when what they test is broken."""

from __future__ import annotations

import numpy as np
import pytest

import karat.stress.mitigations as compared
from karat.numerics.best_of_n import PoolMatrix
from karat.numerics.divergence import best_of_n_kl_bound
from karat.numerics.equal_kl import Path
from karat.selftest import mitigations
from karat.selftest.planted import PlantedRow


def rows(replications: int = 8) -> dict[str, PlantedRow]:
    return {row.code: row for row in mitigations.mitigation_rows(replications, 2)}


def test_pairs_judged_one_by_one_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_by_one(value_R: np.ndarray, draw_BR: np.ndarray, n_units: int) -> tuple[np.ndarray, float]:
        difference = value_R[:, None] - value_R
        error = (draw_BR[:, :, None] - draw_BR[:, None]).std(axis=0)
        return np.abs(difference) > 1.6 * error + 1e-12, 1.6

    monkeypatch.setattr(compared, "clear_differences", one_by_one)
    found = rows(24)
    assert not found["SE332"].is_kept
    assert found["SE331"].is_kept
    assert found["SE338"].is_kept


def test_equal_n_in_place_of_equal_kl_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_ties(pool: PoolMatrix, max_n: int) -> Path:
        path = whole(pool, max_n)
        kl = best_of_n_kl_bound(path.strength_T)
        return Path(strength_T=path.strength_T, kl_PT=np.tile(kl, (len(path.kl_PT), 1)), gold_PT=path.gold_PT)

    whole = mitigations.best_of_n_path
    truth = mitigations.clipped_truth(np.random.default_rng(0))
    assert truth == pytest.approx(-0.104, abs=0.01)
    monkeypatch.setattr(mitigations, "clipped_truth", lambda rng: truth)
    monkeypatch.setattr(mitigations, "best_of_n_path", without_ties)
    assert not rows()["SE334"].is_kept
