"""What the pages show of a store, read in one go: bounded in size, so that a page of a long run stays one.

Nothing is estimated here: means and intervals of a step come from the store, evidence from the detectors.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from karat.errors import DataError, KaratError
from karat.run_records import NAN, Action, Alarm
from karat.store import RunStore, StepSummary, StoredRollout, store_file
from karat.types import Table

TROUBLES = (KaratError, sqlite3.Error, OSError)
"""What reading a store that is written, moved or lost at the same time may raise."""
Version = tuple[int, int]
"""File and counter: a store that is replaced by another is told from one that goes on."""


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A run as its store told it at one moment."""

    version: Version
    info: Mapping[str, Any]
    steps: Sequence[StepSummary]
    alarms: Sequence[Alarm]
    actions: Sequence[Action]
    n_labels: int
    n_waiting: int
    curve: Table
    evidence: Table
    signals: Table

    @property
    def n_rollouts(self) -> int:
        return sum(step.n_rollouts for step in self.steps)

    @property
    def n_gold(self) -> int:
        return sum(step.n_gold for step in self.steps)


@contextmanager
def reading(path: Path) -> Iterator[RunStore]:
    """The store, opened for this one request: a lock, a rotation or a replacement then costs one page and no more.

    Raises: DataError: there is none yet. Others of TROUBLES: it cannot be read now.
    """
    place = store_file(path)
    if not place.exists():
        raise DataError(f"{place}: no store is there yet. The page will show the run once its first step is written.")
    with RunStore.open(place, read_only=True) as store:
        yield store


def version_of(store: RunStore, path: Path) -> Version:
    return os.stat(store_file(path)).st_ino, store.version()


def snapshot(store: RunStore, path: Path) -> Snapshot:
    """Read a run. The version is read first: what is written meanwhile makes the page look old, never new."""
    version = version_of(store, path)
    info, steps, alarms = store.info(), list(store.steps()), list(store.alarms())
    return Snapshot(
        version=version,
        info=info,
        steps=steps,
        alarms=alarms,
        actions=list(store.actions()),
        n_labels=sum(label.gold == label.gold for label in store.labels()),
        n_waiting=len(store.queue()),
        curve=curve_table(steps, alarms),
        evidence=Table(
            "watch_evidence",
            "Evidence against the alarm line",
            ("step", "detector", "evidence", "threshold"),
            tuple((point.step, point.detector, point.evidence, point.threshold) for point in store.evidence()),
        ),
        signals=_signals_table(store, info),
    )


def curve_table(steps: Sequence[StepSummary], alarms: Sequence[Alarm]) -> Table:
    """Proxy and gold of each step, with the level of the gravest alarm raised there and the interval of onset."""
    columns = (
        "step", "proxy", "proxy_low", "proxy_high", "gold", "gold_low", "gold_high", "alarm", "onset",
    )  # fmt: skip
    level = {alarm.step: alarm.level for alarm in sorted(alarms, key=lambda alarm: alarm.level, reverse=True)}
    first = next((alarm for alarm in alarms if alarm.level == "alarm"), None)
    rows = []
    for step in steps:
        proxy = (step.proxy_mean, step.proxy_low, step.proxy_high)
        gold = (step.gold_mean, step.gold_low, step.gold_high)
        is_onset = first is not None and first.onset_low <= step.step <= first.onset_high
        rows.append((step.step, *proxy, *gold, level.get(step.step, ""), is_onset))
    return Table("watch_curve", "Proxy and gold", columns, tuple(rows))


def _signals_table(store: RunStore, info: Mapping[str, Any]) -> Table:
    ranges = info.get("ranges")
    ranges = ranges if isinstance(ranges, Mapping) else {}
    rows = []
    for reading_ in store.readings():
        low, high = ranges.get(reading_.signal) or (NAN, NAN)
        rows.append((reading_.step, reading_.signal, reading_.value, low, high))
    return Table("watch_signals", "Signals", ("step", "signal", "value", "low", "high"), tuple(rows))


# --------------------------------------------------------------------------------------------------------- data health
def health_rows(seen: Snapshot) -> list[tuple[str, str]]:
    """Counts that say how whole the record is."""
    if not seen.steps:
        return [("steps", "none yet")]
    numbers = [step.step for step in seen.steps]
    missing = sum(after - before - 1 for before, after in pairwise(numbers))
    gaps = [(before + 1, after - 1) for before, after in pairwise(numbers) if after - before > 1]
    repeated = [step.step for step in seen.steps if step.attempt > 1]
    unscored = sum(step.n_missing for step in seen.steps)
    rows = [
        ("steps", f"{len(numbers):,}, from {numbers[0]:,} to {numbers[-1]:,}"),
        ("missing steps", f"{missing:,}{_first_spans(gaps)}"),
        ("steps run again after a restart", f"{len(repeated):,}{_first_spans([(step, step) for step in repeated])}"),
        ("rollouts", f"{seen.n_rollouts:,}; {sum(step.n_kept for step in seen.steps):,} with their text"),
        ("rollouts without a score", f"{unscored:,}"),
        ("golds", f"{seen.n_gold:,}; {seen.n_labels:,} labels given, {seen.n_waiting:,} waiting"),
    ]
    account = seen.info.get("account")
    for entry in account if isinstance(account, Sequence) and not isinstance(account, str) else ():
        if isinstance(entry, Mapping):
            rows.append((str(entry.get("reason", "")), f"{entry.get('count', '')} {entry.get('action', '')}"))
    return rows


def _first_spans(spans: Sequence[tuple[int, int]]) -> str:
    shown = ", ".join(f"{low:,}" if low == high else f"{low:,} to {high:,}" for low, high in spans[:5])
    return f" ({shown}{', ...' if len(spans) > 5 else ''})" if spans else ""


# ------------------------------------------------------------------------------------------------------------ rollouts
ORDERS = ("proxy", "gold", "disagreement", "index")


def in_order(rollouts: Sequence[StoredRollout], order: str) -> list[StoredRollout]:
    """Highest proxy first, lowest gold first, or those first that the proxy ranks furthest above the gold."""
    if order == "proxy":
        return sorted(rollouts, key=lambda rollout: _last_if_missing(-rollout.proxy))
    if order == "gold":
        return sorted(rollouts, key=lambda rollout: _last_if_missing(rollout.gold))
    if order == "disagreement":
        both = [rollout for rollout in rollouts if rollout.proxy == rollout.proxy and rollout.gold == rollout.gold]
        proxy, gold = (_ranks([getattr(rollout, name) for rollout in both]) for name in ("proxy", "gold"))
        gap = {id(rollout): proxy[rollout.proxy] - gold[rollout.gold] for rollout in both}
        return sorted(rollouts, key=lambda rollout: _last_if_missing(-gap.get(id(rollout), NAN)))
    return sorted(rollouts, key=lambda rollout: rollout.index)


def _ranks(values: Sequence[float]) -> dict[float, float]:
    """Mean rank of each value."""
    ordered = sorted(values)
    return {value: ordered.index(value) + (ordered.count(value) - 1) / 2 for value in set(values)}


def _last_if_missing(value: float) -> tuple[bool, float]:
    return (value != value, value if value == value else 0.0)
