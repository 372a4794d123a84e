"""The rows on several proxies break when what they test is broken."""

from __future__ import annotations

import numpy as np
import pytest

import karat.stress.proxies as compared
from karat.numerics.equal_kl import Path
from karat.selftest import proxies
from karat.selftest.planted import PlantedRow


def rows(replications: int) -> dict[str, PlantedRow]:
    return {row.code: row for row in proxies.proxies_rows(replications, 3)}


def test_the_best_n_taken_once_for_all_draws_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def as_chosen(path: Path, count_BP: np.ndarray) -> np.ndarray:
        loss_P = compared.at_best_of_other_half(path.gold_PT, slice(None)) - path.gold_PT[:, -1]
        return np.asarray(count_BP @ loss_P / loss_P.size)

    monkeypatch.setattr(compared, "_drawn_loss", as_chosen)
    monkeypatch.setattr(proxies, "TRUE_RESPONSES", 256)  # the rows that are looked at need no truth
    monkeypatch.setattr(proxies, "RESAMPLES", 200)
    found = rows(48)
    assert not found["SE701"].is_kept
    assert found["SE702"].is_kept


def test_equal_n_in_place_of_equal_kl_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = compared._path
    rng = np.random.default_rng(0)
    truths = [proxies._truth(world, rng) for world in (proxies.gamed, proxies.coarse)]

    def without_ties(*args: object) -> Path:
        path = whole(*args)  # type: ignore[arg-type]
        n_N = path.strength_T
        return Path(strength_T=n_N, kl_PT=np.tile(np.log(n_N), (len(path.kl_PT), 1)), gold_PT=path.gold_PT)

    monkeypatch.setattr(proxies, "_truth", lambda world, rng: truths[world is proxies.coarse])
    monkeypatch.setattr(compared, "_path", without_ties)
    found = rows(12)
    assert not found["SE707"].is_kept
    assert found["SE703"].is_kept
