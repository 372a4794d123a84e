from __future__ import annotations

import math
import os
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karat.errors import InputError
from karat.run_records import Action, Alarm, EvidencePoint, Label, Reading, RolloutBatch, Witness
from karat.store import RunStore
from karat.store.schema import RANK_STRIDE
from made_batches import batch

ALARM = Alarm(
    step=7, level="alarm", detector="harm", signal="discordance", evidence=math.inf, threshold=6.9, onset=4,
    onset_low=2, onset_high=6, reason="the proxy prefers what the gold does not", gold="checked",
    witnesses=(Witness(7, "p", "r", 1.0), Witness(7, "p", "s", 0.5, gold=0.0, note="lower gold")),
)  # fmt: skip


def same(left: RolloutBatch, right: RolloutBatch) -> None:
    assert (left.step, list(left.prompts), list(left.responses)) == (
        right.step,
        list(right.prompts),
        list(right.responses),
    )
    for name in ("group_R", "proxy_R", "gold_R", "chance_R"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
    for ours, theirs in ((left.scores, right.scores), (left.numbers, right.numbers)):
        assert list(ours) == list(theirs)
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name])
    assert {name: list(column) for name, column in left.notes.items()} == {
        name: list(column) for name, column in right.notes.items()
    }
    np.testing.assert_equal(dict(left.metrics), dict(right.metrics))


def test_a_step_comes_back_as_it_was(tmp_path: Path) -> None:
    before = batch(3, gold_R=np.array([0.5, np.nan, 1, 0, np.nan, 0.25, 1, -2.0]), scores={"a": np.full(8, np.inf)})
    with RunStore.open(tmp_path / "run") as store:
        store.add_batch(before)
    with RunStore.open(tmp_path / "run", read_only=True) as store:
        (after,) = store.iter_batches()
        same(after, before)
        assert after.time_s == 1003.0


HOSTILE = ["\x1b]0;title\x07", "a\x00b", "\ud800 alone \udfff", "<script>", "\u202egnp", "🙂 e\u0301", ""]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(), max_size=40)), min_size=1, max_size=5))
def test_text_of_any_kind_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    n = len(texts)
    before = batch(
        1, n=n, groups=1, prompts=texts, responses=texts[::-1], notes={t: [t] * n for t in texts}, scores={}, numbers={}
    )
    with RunStore.open(tmp_path_factory.mktemp("any")) as store:
        store.add_batch(before)
        (after,) = store.iter_batches()
        same(after, before)
        store.add_readings([Reading(1, text, 1.0) for text in texts])
        assert {reading.signal for reading in store.readings()} == set(texts)
        assert store.readings(texts[0]) == [Reading(1, texts[0], 1.0)]


def test_records_come_back_and_later_ones_replace_their_like(tmp_path: Path) -> None:
    with RunStore.open(tmp_path) as store:
        store.add_readings([Reading(2, "length", math.nan, 0, 8), Reading(1, "length", 5.0, 8, 0)])
        store.add_readings([Reading(2, "length", 6.0, 7, 1), Reading(1, "kl", -math.inf)])
        assert store.readings("length") == [Reading(1, "length", 5.0, 8, 0), Reading(2, "length", 6.0, 7, 1)]
        store.add_evidence([EvidencePoint(1, "harm", -math.inf, 6.9), EvidencePoint(1, "harm", 0.5, 6.9)])
        assert store.evidence() == [EvidencePoint(1, "harm", 0.5, 6.9)]
        store.add_alarm(ALARM)
        store.add_alarm(replace(ALARM, reason="again"))
        (alarm,) = store.alarms()
        assert alarm.reason == "again"
        assert alarm.evidence == math.inf
        assert math.isnan(alarm.witnesses[0].gold)
        assert alarm.witnesses[1] == ALARM.witnesses[1]
        stop = Action(7, "stop", "alarm at step 7", False, "asked twice")
        store.add_action(stop)
        store.add_action(stop)
        assert store.actions() == [stop, stop]
        assert store.load_state() is None
        store.save_state({"log_evidence": [0.1, float("nan")], "step": np.int64(7)})
        assert store.load_state() == {"log_evidence": [0.1, None], "step": 7}
        store.set_info({"gold": "checked"})
        assert store.info()["gold"] == "checked"
        assert "monitor state" not in store.info()


def test_step_summary_by_hand(tmp_path: Path) -> None:
    # Prompts of means 2 and 4: mean 3, se of two clusters (4-2)/2 = 1, t(1 df) 12.706.
    scored = batch(0, n=4, proxy_R=np.array([1.0, 3.0, 4.0, 4.0]), gold_R=np.array([1, np.nan, 0, 1.0]))
    with RunStore.open(tmp_path) as store:
        store.add_batch(scored)
        store.add_batch(batch(1, n=4, proxy_R=np.array([1.0, np.nan, np.inf, 2.0])))
        first, second = store.steps()
    assert (first.proxy_mean, first.n_missing, first.n_gold) == (3.0, 0, 3)
    assert first.proxy_low == pytest.approx(3 - 12.7062, abs=1e-3)
    assert first.gold_mean == pytest.approx(2 / 3)
    assert (second.n_missing, second.n_gold) == (2, 0)
    assert math.isnan(second.gold_mean)


def test_labels_join_their_rollouts_and_weigh_by_their_chance(tmp_path: Path) -> None:
    # Two golds of 1 asked for surely; 0 and 1 drawn of the other six: (2 * 1 + 6 * 1/2) / 8.
    chance_R = np.array([1, 1, 1 / 3, 1 / 3, 1 / 3, 1 / 3, 1 / 3, 1 / 3])
    with RunStore.open(tmp_path) as store:
        store.add_batch(batch(5, chance_R=chance_R), ask=[0, 1, 2, 3])
        assert [rollout.index for rollout in store.queue()] == [0, 1, 2, 3]
        store.add_labels(
            [Label(5, 0, 1.0), Label(5, 1, 1.0, by="ann"), Label(5, 2, 0.0, 1 / 3), Label(5, 3, 1.0, 1 / 3)]
        )
        assert store.queue() == []
        assert store.steps()[0].gold_mean == pytest.approx(5 / 8)
        assert [rollout.labelled_by for rollout in store.rollouts(5)][:3] == ["", "ann", ""]
        (after,) = store.iter_batches()
        np.testing.assert_array_equal(after.gold_R[:4], [1, 1, 0, 1])
        store.add_labels([Label(5, 3, math.nan, 1 / 3)])  # taken back: missing, and not 0
        assert store.steps()[0].n_gold == 3
        assert math.isnan(store.labels()[3].gold)


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (Label(5, 8, 1.0), "no such rollout"),
        (Label(5, -1, 1.0), "no such rollout"),
        (Label(6, 0, 1.0), "no such rollout"),
        (Label(5, 0, math.inf), "must be finite"),
        (Label(5, 0, 1.0, 0.0), r"in \(0, 1\]"),
    ],
)
def test_a_label_that_cannot_be_stores_none_of_its_like(tmp_path: Path, label: Label, words: str) -> None:
    with RunStore.open(tmp_path) as store:
        store.add_batch(batch(5))
        with pytest.raises(InputError, match=words):
            store.add_labels([Label(5, 1, 1.0), label])
        assert store.labels() == []


def test_a_restart_that_overlaps_replaces_step_by_step_and_keeps_what_was_labelled(tmp_path: Path) -> None:
    with RunStore.open(tmp_path) as store:
        for step in range(6):
            store.add_batch(batch(step), ask=[0, 1])
        store.add_labels([Label(3, 0, 1.0, by="ann")])
    with RunStore.open(tmp_path) as store:  # from the checkpoint at step 3 on
        assert store.add_batch(batch(3, seed=1)) == 2
        assert [step.attempt for step in store.steps()] == [1, 1, 1, 2, 1, 1]
        assert store.add_batch(batch(4, seed=1)) == 2
        info = store.info()
        assert (info["n_steps"], info["n_replaced_steps"], info["n_superseded_labels"]) == (6, 2, 1)
        assert store.labels() == []
        assert [label.gold for label in store.labels(all_attempts=True)] == [1.0]
        assert list(store.iter_batches())[3].responses == batch(3, seed=1).responses
        assert {rollout.step for rollout in store.queue()} == {0, 1, 2, 5}
        assert store.add_batch(batch(6)) == 2
        assert store.add_batch(batch(4, seed=2)) == 3  # and back again


def test_the_same_step_twice_changes_nothing(tmp_path: Path) -> None:
    with RunStore.open(tmp_path) as store:
        store.add_batch(batch(3), ask=[0, 1])
        store.add_labels([Label(3, 0, 1.0)])
        before = (store.rollouts(3), store.steps(), store.labels(), store.queue())
        assert store.add_batch(batch(3)) == 1
        np.testing.assert_equal((store.rollouts(3), store.steps(), store.labels(), store.queue()), before)
        assert store.info()["n_replaced_steps"] == 0


def test_ranks_share_a_step(tmp_path: Path) -> None:
    with RunStore.open(tmp_path) as zero, RunStore.open(tmp_path, rank=2) as two:
        two.add_batch(batch(1, n=4, seed=2, metrics={"kl": 9.0, "loss": 1.0}, time_s=math.nan))
        zero.add_batch(batch(1, n=8, metrics={"kl": 1.0}))
        (step,) = zero.steps()
        assert (step.n_ranks, step.n_rollouts, step.metrics) == (2, 12, {"kl": 1.0, "loss": 1.0})
        expected = np.concatenate([batch(1).proxy_R, batch(1, n=4, seed=2).proxy_R])
        assert step.proxy_mean == pytest.approx(expected.mean())
        (joined,) = two.iter_batches()
        np.testing.assert_array_equal(joined.proxy_R, expected)
        assert len(set(joined.group_R)) == 4  # no prompt of one rank is one of the other
        zero.add_labels([Label(1, 2 * RANK_STRIDE + 3, 0.5)])
        assert next(iter(zero.iter_batches())).gold_R[11] == 0.5
        assert two.add_batch(batch(1, n=4, seed=3)) == 2
        assert zero.add_batch(batch(2)) == 1  # a rank's restart is its own


def test_version_rises_with_the_writes_of_others_and_not_by_reading(tmp_path: Path) -> None:
    with RunStore.open(tmp_path) as writer, RunStore.open(tmp_path, read_only=True) as reader:
        before = reader.version()
        reader.steps()
        assert reader.version() == before
        writer.add_batch(batch(1))
        writer.add_readings([Reading(1, "kl", 1.0)])
        writer.add_readings([])
        assert reader.version() == before + 2


def test_a_reader_may_not_write(tmp_path: Path) -> None:
    RunStore.open(tmp_path).close()
    with RunStore.open(tmp_path, read_only=True) as store, pytest.raises(InputError, match="reading only"):
        store.add_batch(batch())


def test_order_is_by_step_and_never_by_the_clock(tmp_path: Path) -> None:
    with RunStore.open(tmp_path) as store:
        for step, time_s in ((2, 50.0), (1, 900.0), (3, -1.0), (10, math.nan)):
            store.add_batch(batch(step, time_s=time_s))
        assert [step.step for step in store.steps()] == [1, 2, 3, 10]
        assert [step.time_s for step in store.steps()][:3] == [900.0, 50.0, -1.0]
        assert math.isnan(store.steps()[3].time_s)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"proxy_R": np.zeros(7)}, "proxy_R has 7 values for 8 responses"),
        ({"notes": {"finish": ["stop"]}}, "finish has 1 values"),
    ],
)
def test_columns_of_other_lengths_are_refused(tmp_path: Path, bad: dict[str, object], words: str) -> None:
    with RunStore.open(tmp_path) as store:
        with pytest.raises(InputError, match=words):
            store.add_batch(batch(**bad))
        assert store.steps() == []


@pytest.mark.parametrize("step", [1.5, math.nan, "three", 1 << 63])
def test_steps_that_are_no_whole_numbers_are_refused(tmp_path: Path, step: object) -> None:
    with RunStore.open(tmp_path) as store, pytest.raises(InputError, match="not a whole number"):
        store.add_batch(batch(step=0) if step is None else replace(batch(), step=step))  # type: ignore[arg-type]


def test_places_that_are_not_there_and_reserved_names_are_refused(tmp_path: Path) -> None:
    with RunStore.open(tmp_path) as store:
        with pytest.raises(InputError, match="ask names rollout 8 of 8"):
            store.add_batch(batch(), ask=[8])
        with pytest.raises(InputError, match="keeps these itself"):
            store.set_info({"n_steps": 3})
    with pytest.raises(InputError, match="the store is closed"):
        store.steps()


def test_a_step_known_by_its_means_only(tmp_path: Path) -> None:
    with RunStore.open(tmp_path) as store:
        store.add_batch(batch(4, n=0, metrics={"reward": 0.5}))
        store.add_batch(batch(4, n=0, metrics={"reward": 0.7}))
        (step,) = store.steps()
        assert (step.n_rollouts, step.metrics, step.attempt) == (0, {"reward": 0.7}, 2)
        assert math.isnan(step.proxy_mean)
        (after,) = store.iter_batches()
        assert after.n_rollouts == 0


def test_threads_share_a_store_and_a_forked_child_opens_its_own(tmp_path: Path) -> None:
    with RunStore.open(tmp_path) as store:
        threads = [threading.Thread(target=lambda s=s: store.add_batch(batch(s))) for s in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        child = os.fork()
        if child == 0:  # pragma: no cover
            try:
                store.add_batch(batch(100))
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        store.add_batch(batch(101))
        assert [step.step for step in store.steps()] == [*range(8), 100, 101]
    with sqlite3.connect(store.path) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)
