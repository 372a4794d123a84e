"""The promises of the label noise part break where what they test is broken."""

from __future__ import annotations

import numpy as np
import pytest

import karat.numerics.label_noise as numerics
import karat.selftest.audit_noise as planted


def test_narrow_intervals_and_suspects_by_lot_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_lot(posterior_P: np.ndarray) -> np.ndarray:
        return np.random.default_rng(0).permutation(posterior_P.size)

    monkeypatch.setattr(planted, "PAIRS", 300)
    monkeypatch.setattr(planted, "TOP", 15)
    monkeypatch.setattr(numerics, "stdtrit", lambda *_: 0.4)
    monkeypatch.setattr(planted, "suspect_order", by_lot)
    monkeypatch.setattr(planted, "noise_of_cycles", lambda share: share)
    rows = {row.code: row for row in planted.noise_rows(6, 0)}
    assert rows.keys() == planted.TITLES.keys()
    for code in ("SE421", "SE429", "SE435"):
        assert not rows[code].is_kept, code
    assert rows["SE422"].is_kept


def test_the_planted_annotators_are_as_good_as_they_are_said_to_be() -> None:
    rng = np.random.default_rng(0)
    flagged = [planted.replicate_annotators(np.full(planted.ANNOTATORS, planted.GOOD), rng)[0] for _ in range(10)]
    assert np.sum(flagged) == 0
