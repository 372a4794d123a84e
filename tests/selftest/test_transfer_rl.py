"""The promises of `karat stress transfer` and `karat stress rl` break where what they test is broken."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

import karat.numerics.transfer as numerics
import karat.selftest.rl as rl
import karat.selftest.transfer as transfer


def test_the_planted_matrix_has_its_rates() -> None:
    rng = np.random.default_rng(0)
    rates = [
        {key: cell.hack_SP.mean() / transfer.RESPONSES for key, cell in transfer.planted("half", rng)[0].cells.items()}
        for _ in range(40)
    ]
    for key in (("a", "a"), ("a", "b"), ("base", "c")):
        assert np.mean([rate[key] for rate in rates]) == pytest.approx(transfer.true_rate("half", *key), abs=0.02)


def test_intervals_that_forget_the_prompts_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def narrow(parts: Sequence[tuple[float, float]], *, level: float = 0.95) -> float:
        return 0.4 * float(np.sqrt(sum(variance for variance, _ in parts)))

    monkeypatch.setattr(numerics, "half_width", narrow)
    rows = {row.code: row for row in transfer.transfer_rows(40, 0)}
    for code in ("SE381", "SE382", "SE383", "SE386"):
        assert not rows[code].is_kept, code


def test_a_run_stopped_at_the_first_fall_that_chance_gives_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rl, "has_fallen_twice", lambda gold_PK: gold_PK.shape[1] > 2 and fell_at_all(gold_PK))
    rows = {row.code: row for row in rl.rl_rows(20, 0)}
    assert not rows["SE396"].is_kept
    assert rows["SE391"].is_kept


def fell_at_all(gold_PK: np.ndarray) -> bool:
    mean_K = gold_PK.mean(axis=0)
    return bool(mean_K[-1] < mean_K.max())
