"""Pairs whose hidden states are known: texts that name their vector, and what stands in for `pair_vectors`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from karat.types import PreferencePair

FEATURES = 6


@dataclass
class Vectors:
    """As much of `PairVectors` as the audit reads."""

    diff_PD: np.ndarray
    missing: dict[int, str]
    layer: int = 1

    def difference(self) -> np.ndarray:
        return self.diff_PD


def planted_rows(name: str, n_pairs: int, flips: float, seed: int, *, per_prompt: int = 1) -> list[dict[str, Any]]:
    """Rows whose better response follows the first of FEATURES numbers that its text spells; some labels flipped."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(n_pairs):
        vector_D = rng.standard_normal(FEATURES)
        one, other = (" ".join(f"{sign * each:.3f}" for each in vector_D) for sign in (0.5, -0.5))
        if (rng.random() < expit(4 * vector_D[0])) == (rng.random() < flips):
            one, other = other, one
        rows.append({"prompt": f"{name} {number // per_prompt}", "chosen": one, "rejected": other})
    return rows


def spelled_vectors(pairs: Sequence[PreferencePair], model: str = "default", **_: Any) -> Vectors:
    """The vector that the texts spell; a model called "blind" sees one that says nothing. A text without: missing."""
    diff_PD = np.full((len(pairs), FEATURES), np.nan)
    missing = {}
    for index, pair in enumerate(pairs):
        try:
            sides = [np.array(str(text).split(), float) for text in (pair.chosen, pair.rejected)]
            diff_PD[index] = sides[0] - sides[1]
        except ValueError:
            missing[index] = "it has no tokens"
    if model == "blind":
        diff_PD[:, 0] = 0.0
    return Vectors(diff_PD, missing)


@pytest.fixture
def spelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("karat.rewards.vectors.pair_vectors", spelled_vectors)
