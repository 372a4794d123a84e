"""`karat audit data --fix`: a cleaned copy, a log of each change, and whether a reward trained on it is better.

The source is read a second time and written as it passes, so memory does not grow with it beyond the table.

Axes: P pairs of the table.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from karat.audit.data.config import AuditDataConfig
from karat.audit.data.repair_findings import Repaired, changes_table, findings_of, values_of
from karat.audit.data.repair_measure import Worth, worth_of
from karat.audit.data.repair_rules import Changes, decide, held_out_groups
from karat.audit.data.table import PairTable
from karat.audit.parts import Progress
from karat.data import stream_pairs, write_pairs
from karat.data.part_files import number_or_null
from karat.data.records import plain
from karat.errors import DataError, InputError, ResourceError
from karat.rewards.groups import last_text
from karat.types import NAN, PreferencePair, Result

if TYPE_CHECKING:
    from karat.audit.data.label_noise import LabelNoise
    from karat.audit.data.structure import StructureFlags

COMMAND = "audit data"
CLEANED, TRAIN, TEST, LOG = "cleaned.jsonl", "train.jsonl", "test.jsonl", "changes.jsonl"


def repair(
    source: Any,
    table: PairTable,
    flags: StructureFlags | None,
    noise: LabelNoise | None,
    *,
    out: Path,
    config: AuditDataConfig,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> Result:
    """Write the cleaned copy and the log, and measure on held-out pairs what the repair is worth.

    Args:
        source: of the table, read once more.
        table: all pairs; flags: of their structure; noise: posteriors of the sampled ones, None where there are none.
        out: folder for cleaned.jsonl (with resplit: train.jsonl and test.jsonl) and changes.jsonl.
        config: steps of --fix, flip_above, fix_test, folds, model, seed.
        rng: source of folds and resamples.
        progress: called as progress(stage, done, total, note).
    Returns: findings DA601 and DA602, a table of the changes, values `repair_*`, the files.
    Raises: DataError: nothing would be left, or the source reads otherwise than before; InputError: it can be read
        only once; ResourceError: a file cannot be written.
    """
    if isinstance(source, Iterator):
        raise InputError("--fix reads the pairs twice, and this source gives them once: give a file or a list.")
    steps = config.fixes
    index_S, posterior_P = _posteriors(table, noise)
    changes = decide(table.label_P, posterior_P, flags, steps=steps, flip_above=config.flip_above)
    if not changes.is_kept.any():
        raise DataError(f"the steps {', '.join(steps)} would drop all {len(table)} pairs; nothing is written.")
    is_test_P, why_not_split = _split(table, flags, changes, config)
    files = _write(source, table, changes, is_test_P, out=out, config=config, progress=progress)
    worth: Worth | None = None
    why_not = "the steps change no pair: the copy is the data"
    if (changes.what_P != "").any() or steps == ("resplit",):
        worth, why_not = _measured(table, flags, noise, index_S, config=config, rng=rng, progress=progress)
    found = Repaired(
        steps=steps, changes=changes, worth=worth, why_not=why_not, n_test=int(is_test_P.sum()),
        is_split="resplit" in steps and not why_not_split, why_not_split=why_not_split,
    )  # fmt: skip
    return Result(
        COMMAND,
        findings=findings_of(found),
        tables=(changes_table(found, table),),
        values=values_of(found),
        files=files,
    )


def _posteriors(table: PairTable, noise: LabelNoise | None) -> tuple[np.ndarray, np.ndarray]:
    """Place in the table of each sampled pair, and P(flipped) of every pair of the table, NaN where not known."""
    posterior_P = np.full(len(table), np.nan)
    if noise is None:
        return np.zeros(0, np.int64), posterior_P
    index_S = places_of(table, noise.pairs)
    posterior_P[index_S] = noise.posterior_P
    return index_S, posterior_P


def places_of(table: PairTable, pairs: tuple[PreferencePair, ...]) -> np.ndarray:
    """Where in the table each sampled pair stands: its row, and in it the pair of the same texts.

    Raises: DataError: one is not there.
    """
    wanted = np.array([pair.row for pair in pairs], np.int64)
    of_key: dict[tuple[int, str, str], list[int]] = defaultdict(list)
    for place in np.flatnonzero(np.isin(table.row_P, wanted))[::-1]:
        key = (int(table.row_P[place]), table.chosen[int(place)].as_py(), table.rejected[int(place)].as_py())
        of_key[key].append(int(place))
    places = []
    for pair in pairs:
        held = of_key[pair.row, last_text(pair.chosen), last_text(pair.rejected)]
        if not held:
            raise DataError(f"row {pair.row}: a judged pair is not in the table. Audit and repair the same source.")
        places.append(held.pop())
    return np.array(places, np.int64)


def _split(
    table: PairTable, flags: StructureFlags | None, changes: Changes, config: AuditDataConfig
) -> tuple[np.ndarray, str]:
    """Which pairs go to the test file, and why there is none though it was asked for."""
    none = np.zeros(len(table), bool)
    if "resplit" not in config.fixes:
        return none, ""
    if flags is None:
        return none, "which prompts are near duplicates is not known"
    try:
        group_P = flags.prompt_group_P
        return held_out_groups(table, group_P, changes.is_kept, share=config.fix_test, seed=config.seed), ""
    except DataError as error:
        return none, str(error)


# -------------------------------------------------------------------------------------------------------------- writing
def _write(
    source: Any,
    table: PairTable,
    changes: Changes,
    is_test_P: np.ndarray,
    *,
    out: Path,
    config: AuditDataConfig,
    progress: Progress | None,
) -> tuple[str, ...]:
    """The files of the copy, and the log."""
    if progress:
        progress("writing the cleaned copy", 0, None, "")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(f"{out}: cannot be made: {error.strerror or error}. Name another folder.") from error
    parts = {TRAIN: ~is_test_P, TEST: is_test_P} if is_test_P.any() else {CLEANED: ~is_test_P}
    for name, is_in_P in parts.items():
        write_pairs(
            out / name,
            (
                changed_pair(pair, float(changes.label_P[place]))
                for place, pair in _again(source, table, config)
                if is_in_P[place] and changes.what_P[place] != "dropped"
            ),
        )
    log = out / LOG
    try:
        with log.open("w", encoding="utf-8") as file:
            for place, pair in _again(source, table, config):
                if changes.what_P[place]:
                    file.write(json.dumps(_log_row(place, pair, changes, table), default=str) + "\n")
    except OSError as error:
        raise ResourceError(f"{log}: cannot be written: {error.strerror or error}. Check the folder.") from error
    return (*(str(out / name) for name in parts), str(log))


def _again(source: Any, table: PairTable, config: AuditDataConfig) -> Iterator[tuple[int, PreferencePair]]:
    """Every pair with its place in the table. Raises DataError where the source has changed since it was read."""
    place = 0
    for row in stream_pairs(source, **config.reading()):
        for pair in row.pairs:
            if place >= len(table) or table.row_P[place] != pair.row or table.label_P[place] != pair.label:
                raise DataError(f"{table.sources[0]}: row {pair.row} reads otherwise than before: the source changed.")
            yield place, pair
            place += 1
    if place != len(table):
        raise DataError(f"{table.sources[0]}: has {place} pairs now and had {len(table)}: the source changed.")


def changed_pair(pair: PreferencePair, label: float) -> PreferencePair:
    """The pair with P(the side that was chosen is preferred) = label; the preferred side stands in `chosen`.

    A turned pair has no strength: the one it had spoke for the other side.
    """
    if label == pair.label:
        return pair
    if label >= 0.5:
        return replace(pair, label=label)
    return replace(
        pair, chosen=pair.rejected, rejected=pair.chosen, label=1 - label, strength=NAN,
        chosen_attributes=pair.rejected_attributes, rejected_attributes=pair.chosen_attributes,
    )  # fmt: skip


def _log_row(place: int, pair: PreferencePair, changes: Changes, table: PairTable) -> dict[str, Any]:
    """One change. A dropped or turned pair is kept whole, so that it can be put back."""
    what = str(changes.what_P[place])
    row: dict[str, Any] = {"row": pair.row, "what": what, "why": str(changes.why_P[place])}
    if changes.like_P[place] >= 0:
        row["like_row"] = int(table.row_P[changes.like_P[place]])
    if np.isfinite(changes.posterior_P[place]):
        row["posterior"] = float(changes.posterior_P[place])
    row["before"] = _state(pair, whole=what != "softened")
    after = changed_pair(pair, float(changes.label_P[place])) if what != "dropped" else None
    row["after"] = _state(after, whole=after.chosen != pair.chosen) if after else None
    return row


def _state(pair: PreferencePair, *, whole: bool) -> dict[str, Any]:
    state: dict[str, Any] = {"label": pair.label}
    if whole:
        state |= {"prompt": plain(pair.prompt), "chosen": plain(pair.chosen), "rejected": plain(pair.rejected)}
        state["strength"] = number_or_null(pair.strength)
    return state


# ------------------------------------------------------------------------------------------------------------ measuring
def _measured(
    table: PairTable,
    flags: StructureFlags | None,
    noise: LabelNoise | None,
    index_S: np.ndarray,
    *,
    config: AuditDataConfig,
    rng: np.random.Generator,
    progress: Progress | None,
) -> tuple[Worth | None, str]:
    """The repair's worth on the sampled pairs, or why it cannot be measured."""
    steps = tuple(step for step in config.fixes if step != "resplit")
    if not steps:
        return None, "resplit alone changes no pair"
    if noise is None:
        return None, "needs hidden states of the pairs: audit with the part noise, pip install 'karat[train]'"
    try:
        from karat.rewards.vectors import pair_vectors

        diff_SD = pair_vectors(noise.pairs, config.model, progress=progress).difference()
        known = np.flatnonzero(np.isfinite(diff_SD).all(axis=1))
        label = np.array([pair.label for pair in noise.pairs])[known]
        group = _groups(flags, noise, index_S)[known]

        def rule(inside: np.ndarray, posterior: np.ndarray) -> Changes:
            own = None if flags is None else _taken(flags, index_S[known[inside]])
            return decide(label[inside], posterior, own, steps=steps, flip_above=config.flip_above)

        margin = noise.strength_P[known] if config.reward else None
        return (
            worth_of(
                diff_SD[known], label, group, rule, steps=steps, margin_P=margin, folds=config.folds, rng=rng,
                progress=progress,
            ),
            "",
        )  # fmt: skip
    except ModuleNotFoundError as error:
        return None, f"needs the library {error.name}; pip install 'karat[train]' brings it"
    except InputError as error:
        return None, str(error)


def _groups(flags: StructureFlags | None, noise: LabelNoise, index_S: np.ndarray) -> np.ndarray:
    """Prompts that are nearly one stay on one side."""
    if flags is None:
        return np.array([pair.prompt_id for pair in noise.pairs], dtype=str)
    return np.asarray(flags.prompt_group_P[index_S])


def _taken(flags: StructureFlags, index: np.ndarray) -> StructureFlags:
    """The flags of some pairs. A pair repeats only what is among them: what it repeats elsewhere is no reason."""
    inside = set(index.tolist())
    rows = {name: getattr(flags, name)[index] for name in flags.__slots__}
    is_of_inside = np.array([int(other) in inside for other in rows["exact_of_P"]], bool)
    rows["exact_of_P"] = np.where(is_of_inside, rows["exact_of_P"], -1)
    rows["near_P"] = rows["near_P"] & np.array([int(other) in inside for other in rows["near_group_P"]], bool)
    return type(flags)(**rows)
