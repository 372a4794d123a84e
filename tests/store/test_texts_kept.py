from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from karat.errors import InputError
from karat.run_records import Alarm, Label, Witness
from karat.store import RunStore
from karat.store.rows import TEXT_CHARS, bounded
from made_batches import batch


def test_at_most_sixteen_with_the_extremes_and_some_with_gold(tmp_path: Path) -> None:
    gold_R = np.where(np.arange(64) == 40, 1.0, np.nan)
    big = batch(1, n=64, groups=8, gold_R=gold_R)
    with RunStore.open(tmp_path) as store:
        store.add_batch(big)
        kept = [rollout.index for rollout in store.rollouts(1)]
        assert len(kept) == 16
        assert {40, int(np.argmax(big.proxy_R)), int(np.argmin(big.proxy_R))} <= set(kept)
        store.add_batch(batch(2, n=64, groups=8), keep=range(20), ask=[63])
        assert [rollout.index for rollout in store.rollouts(2)] == [*range(20), 63]
        np.testing.assert_array_equal(next(iter(store.iter_batches())).proxy_R, big.proxy_R)


def test_missing_proxies_are_no_extremes_and_all_equal_ones_are_fine(tmp_path: Path) -> None:
    with RunStore.open(tmp_path, keep_rollouts_per_step=4) as store:
        store.add_batch(batch(1, n=32, proxy_R=np.full(32, np.nan)))
        store.add_batch(batch(2, n=32, proxy_R=np.zeros(32)))
        assert [step.n_kept for step in store.steps()] == [4, 4]


def test_the_oldest_unlabelled_texts_leave_first_and_numbers_stay(tmp_path: Path) -> None:
    text = {"responses": [f"{place}" + "x" * 4000 for place in range(8)]}
    with RunStore.open(tmp_path, size_cap_mb=2) as store:
        store.add_batch(batch(0, **text), ask=[0, 1])
        store.add_labels([Label(0, 1, 0.5)])
        for step in range(1, 200):
            store.add_batch(batch(step, **text))
        info, steps = store.info(), store.steps()
        assert info["used_mb"] <= 2.2
        assert info["n_dropped_texts"] == 1600 - info["n_texts"] > 0
        assert [step.n_kept for step in steps[:2]] == [2, 0]  # labelled, and waiting for its label
        assert steps[-1].n_kept == 8
        assert [rollout.index for rollout in store.queue()] == [0]
        assert len(list(store.iter_batches())) == 200
        assert all(b.n_rollouts == 8 and np.isfinite(b.proxy_R).all() for b in store.iter_batches())


def test_what_waits_for_a_label_leaves_last_and_labelled_texts_never(tmp_path: Path) -> None:
    text = {"responses": ["x" * 8000] * 8}
    with RunStore.open(tmp_path, size_cap_mb=0.5) as store:
        for step in range(30):
            store.add_batch(batch(step, **text), ask=range(8))
            if step == 2:
                store.add_labels([Label(2, place, 1.0) for place in range(8)])
        assert len(store.queue()) < 22 * 8
        assert len(store.rollouts(2)) == 8


def test_long_texts_keep_both_ends_and_their_length(tmp_path: Path) -> None:
    long = "START" + "x" * (3 * TEXT_CHARS) + "MAGIC"
    with RunStore.open(tmp_path) as store:
        store.add_batch(batch(1, responses=[long] * 8))
        rollout = store.rollouts(1)[0]
        witness = Witness(1, long, long, 1.0)
        store.add_alarm(Alarm(1, "alarm", "d", "s", 7.0, 6.9, 1, 1, 1, "why", witnesses=(witness,)))
        shown = store.alarms()[0].witnesses[0].response
    for text in (rollout.response, shown):
        assert len(text) <= TEXT_CHARS
        assert text.startswith("STARTx")
        assert text.endswith("xMAGIC")
        assert f"cut by karat: {len(long):,} characters" in text
    assert rollout.response_chars == len(long)
    assert bounded("short") == "short"


@pytest.mark.parametrize("bad", [{"size_cap_mb": 0}, {"rank": -1}, {"keep_rollouts_per_step": -1}])
def test_settings_out_of_range_are_refused(tmp_path: Path, bad: dict[str, int]) -> None:
    with pytest.raises(InputError, match="the cap must be above 0"):
        RunStore.open(tmp_path, **bad)
