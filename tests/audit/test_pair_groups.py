"""Near copies of a pair stay on its side of every fold, and are not judged on by what was trained on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from karat.audit.data.compare import part_material
from karat.audit.data.config import AuditDataConfig
from karat.audit.data.label_noise import judge_labels
from karat.audit.data.pair_groups import pair_groups
from karat.errors import DataError
from karat.rewards import vectors
from karat.rewards.vectors import PairVectors
from karat.types import PreferencePair

WORDS = np.array(["river", "stone", "light", "market", "window", "garden", "letter", "people", "answer", "reason"])


def copies(n: int, times: int) -> list[PreferencePair]:
    """Pairs of 60 random words a text, each `times` times under prompts of their own that differ in a word."""
    rng = np.random.default_rng(0)

    def text() -> str:
        return " ".join(rng.choice(WORDS, 60))

    pairs = []
    for number in range(n):
        prompt, chosen, rejected = text(), text(), text()
        for copy in range(times):
            name = f"{number:03d}.{copy}"
            pairs.append(PreferencePair(f"{prompt} {copy}", chosen, rejected, prompt_id=name, row=len(pairs)))
    return pairs


def test_near_copies_and_one_id_are_one_group() -> None:
    pairs = copies(5, 3)
    assert pair_groups(pairs, near=0.8).tolist() == [f"{number:03d}.0" for number in range(5) for _ in range(3)]
    turned = [replace(pairs[0], chosen=pairs[0].rejected, rejected=pairs[0].chosen), *pairs[1:2]]
    assert len(set(pair_groups(turned, near=0.8))) == 1
    linked = [replace(pairs[0], prompt_id="a"), replace(pairs[3], prompt_id="a"), pairs[4], pairs[6]]
    assert pair_groups(linked, near=0.8).tolist() == ["a", "a", "a", "002.0"]
    assert pair_groups([], near=0.8).size == 0


def test_texts_without_words_are_told_apart_by_id() -> None:
    pairs = [PreferencePair("", "", "!", prompt_id=str(number)) for number in range(3)]
    assert len(set(pair_groups(pairs, near=0.8))) == 3


def test_flips_in_near_copies_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads that have seen a copy agree with its flipped label: 25 % of flips looked like 4 % at most."""
    rng = np.random.default_rng(1)
    pairs = copies(300, 3)
    x_UD = rng.normal(size=(300, 200))
    won_U = (rng.random(300) < 1 / (1 + np.exp(-3 * x_UD[:, 0]))) != (rng.random(300) < 0.25)
    chosen_PD = np.repeat(np.where(won_U[:, None], x_UD, -x_UD), 3, axis=0).astype(np.float32)

    def fake(given: Any, model: str, **_: Any) -> PairVectors:
        at = chosen_PD[[pair.row for pair in given]]
        return PairVectors(at, np.zeros_like(at), np.zeros_like(at), {}, 26, 0)

    monkeypatch.setattr(vectors, "pair_vectors", fake)
    noise = judge_labels(pairs, config=AuditDataConfig(repeats=1), rng=rng)
    assert noise.fit.agreement.n_clusters == 300
    assert noise.fit.agreement.estimate < 0.7
    assert noise.fit.ceiling >= 0.25


def test_nothing_is_held_out_of_copies_of_one_pair() -> None:
    with pytest.raises(DataError, match="all 5 pairs are near copies of one another"):
        judge_labels(copies(1, 5), config=AuditDataConfig(), rng=np.random.default_rng(0))


def test_near_copies_of_training_pairs_are_not_judged_on() -> None:
    pairs = copies(80, 2)
    apart = tuple(PreferencePair(f"new {n}", f"yes {n}", f"no {n}", prompt_id=f"n{n}") for n in range(9))
    sources = [tuple(pairs), tuple(replace(pair, prompt_id=f"b{pair.row}") for pair in copies(80, 2))]
    material = part_material("ab", sources, AuditDataConfig(), {"test": (*pairs[:40], *apart)})
    (test, kept) = next(each for each in material.tests if each[0].name == "test")
    trained = {str(pair.chosen) for pool in material.pools for pair in pool}
    assert not trained & {str(pair.chosen) for pair in kept}
    assert len(kept) == 49 - test.n_removed
    assert len(kept) >= 9
    assert len({pair.prompt_id for pair in material.pools[0]}) == len({str(pair.chosen) for pair in material.pools[0]})
