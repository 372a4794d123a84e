"""`karat score`: a reward over pairs or a pool; the same rows out, with score columns and reasons for missing ones.

Pairs gain NAME_chosen, NAME_rejected and NAME_margin; pools gain NAME. Both gain NAME_missing (the reason, or null),
and for rewards with several heads their spread and each head. A row with several pairs or responses gets lists, one
entry for each. A column that is there already is not replaced: that is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import Any

from karat import __version__
from karat.data import PairRow, PairStream, PoolRead, PoolStream, detect_kind, stream_pairs, stream_pool
from karat.data.part_files import PartFiles, number_or_null
from karat.data.pool_blocks import LOGGED_AGAIN
from karat.errors import DataError, InputError
from karat.rewards import Group, Reward, load_reward
from karat.rewards.groups import group_pairs
from karat.score.config import ScoreConfig
from karat.types import NAN, Account, AccountEntry, Finding, Result, Score, Table, Text, Verdict
from karat.worlds import pool_source

MISSING_LIMIT = 0.01

EXPLANATIONS: dict[str, tuple[str, str, str, str]] = {
    "SC101": (
        "Rows without a score",
        "The share of responses to be scored that got no score, by reason. A missing score is null with its reason in "
        "the column NAME_missing; it is never 0.",
        "ok: none is missing. problem: more than 1 % are. unclear: some, but at most 1 %.",
        "Read the reasons in the report or in NAME_missing; mend the rows or the reward, and score again.",
    ),
}


@dataclass(slots=True)
class _Tally:
    """Counts over the rows, rebuilt from the part files when a run is resumed."""

    responses: int = 0
    missing: int = 0
    reasons: dict[str, int] | None = None

    def add(self, reasons: Sequence[str | None]) -> None:
        self.reasons = self.reasons or {}
        for reason in reasons:
            if reason == LOGGED_AGAIN:  # no response to be scored: the step before has it
                continue
            self.responses += 1
            if reason:
                self.missing += 1
                self.reasons[reason] = self.reasons.get(reason, 0) + 1


def score_file(
    reward: str | Reward,
    source: str,
    *,
    out: str | Path,
    config: ScoreConfig | None = None,
    progress: Callable[..., None] | None = None,
    **options: Any,
) -> Result:
    """Score a file of pairs or a pool.

    Args:
        reward: a reward, or the text that names one (`karat.rewards.load_reward`).
        source: pairs or a pool, in any format that is read; `builtin:checkable`: the built-in pool.
        out: .jsonl(.gz/.zst) or .parquet; must not exist, unless config.overwrite.
        config: options; `options` override single fields by name.
        progress: called as progress(stage, done, total, note).
    Returns: a finding on missing scores; values: rows, responses, missing.
    Raises: InputError and its kin for input that cannot be used, or that has such columns already; ResourceError for a
        full disk. A run that stops early leaves OUT.parts, from which the same call resumes.
    """
    config = replace(config or ScoreConfig(), **options)
    name = reward if isinstance(reward, str) else reward.name
    file = pool_source(source)
    kind = "pairs" if config.names_pairs else detect_kind(file, split=config.split)
    stream: PairStream | PoolStream
    if kind == "pairs":
        stream = stream_pairs(file, **config.reading())
    else:
        stream = stream_pool(file, split=config.split)
    request = {**asdict(replace(config, overwrite=False)), "reward": name, "source": source, "karat": __version__}
    parts = PartFiles(Path(out), request, overwrite=config.overwrite)
    scorer = (
        load_reward(reward, max_length=config.max_length, tokens_per_pack=config.tokens_per_pack)
        if isinstance(reward, str)
        else reward
    )
    rows, tally = _score_all(scorer, stream, parts, config, progress)
    if not rows:
        raise DataError(f"{source} has no rows to score.")
    parts.finish()
    cut = getattr(scorer, "n_cut", 0)  # reward models count; other rewards cut nothing
    return _result(name, source, kind, Path(out), config, rows, tally, _with_cuts(stream.account(), cut))


def _with_cuts(account: Account, cut: int) -> Account:
    """The account with the responses that the limit of length cut in this call (not in one that it resumes)."""
    if not cut:
        return account
    entry = AccountEntry("changed", "longer than the reward's --max-length: scored on what was left", cut, ())
    return replace(account, entries=(*account.entries, entry))


def _score_all(
    scorer: Reward,
    stream: PairStream | PoolStream,
    parts: PartFiles,
    config: ScoreConfig,
    progress: Callable[..., None] | None,
) -> tuple[int, _Tally]:
    tally, rows = _Tally(), 0
    done = parts.finished()
    items = iter(stream) if isinstance(stream, PairStream) else _by_row(stream)
    for number, chunk in enumerate(_chunks(items, config.rows_per_chunk)):
        if number < done:
            written = parts.read(number)
        else:
            written = _score_chunk(scorer, chunk, config)
            parts.write(number, written)
        tally.add([reason for row in written for reason in _reasons(row[f"{config.name}_missing"])])
        rows += len(written)
        if progress:
            progress("scoring", rows, None, f"rows, {tally.missing} scores missing")
    return rows, tally


def _chunks(rows: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while chunk := list(islice(rows, size)):
        yield chunk


def _by_row(stream: PoolStream) -> Iterator[list[PoolRead]]:
    """The responses of each row of the source, together."""
    return (list(reads) for _, reads in groupby(stream, key=attrgetter("row")))


def _reasons(value: Any) -> list[str | None]:
    return value if isinstance(value, list) else [value]


def _score_chunk(
    scorer: Reward, chunk: Sequence[PairRow | list[PoolRead]], config: ScoreConfig
) -> list[dict[str, Any]]:
    if isinstance(chunk[0], PairRow):
        return _score_pairs(scorer, [row for row in chunk if isinstance(row, PairRow)], config)
    return _score_pool(scorer, [reads for reads in chunk if isinstance(reads, list)], config)


def _extended(raw: Mapping[str, Any], columns: Mapping[str, Any], row: int) -> dict[str, Any]:
    """Raises InputError: a column is there already."""
    taken = sorted(columns.keys() & raw.keys())
    if taken:
        raise InputError(
            f"row {row}: there is a column {taken[0]!r} already, which the scores would replace. Give their columns "
            "another stem (--name)."
        )
    return {**raw, **columns}


def _score_pairs(scorer: Reward, chunk: Sequence[PairRow], config: ScoreConfig) -> list[dict[str, Any]]:
    pairs = [pair for row in chunk for pair in row.pairs]
    both: list[tuple[Score, Score]] = [(_NONE, _NONE)] * len(pairs)
    grouped = group_pairs(pairs)
    for members, score_B in zip(grouped.members, scorer.score(grouped.groups), strict=True):
        for index, chosen, rejected in members:
            both[index] = (score_B[chosen], score_B[rejected])
    out, at = [], 0
    for row in chunk:
        columns = [_pair_columns(scorer, *scores, config) for scores in both[at : at + len(row.pairs)]]
        at += len(row.pairs)
        if not columns:
            columns = [_pair_columns(scorer, *(Score(NAN, missing=row.dropped),) * 2, config)]
        merged = columns[0] if len(columns) == 1 else _as_lists(columns)
        out.append(_extended(row.raw, merged, row.row))
    return out


def _as_lists(columns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {key: [item[key] for item in columns] for key in columns[0]}


def _score_pool(scorer: Reward, rows: Sequence[list[PoolRead]], config: ScoreConfig) -> list[dict[str, Any]]:
    chunk = [read for reads in rows for read in reads]
    at: dict[Text, list[int]] = {}
    for index, read in enumerate(chunk):
        if read.record is not None:
            at.setdefault(read.record.prompt, []).append(index)
    groups = [
        Group(prompt, tuple(record.response for i in index if (record := chunk[i].record) is not None))
        for prompt, index in at.items()
    ]
    found: dict[int, Score] = {}
    for members, score_B in zip(at.values(), scorer.score(groups), strict=True):
        found.update(zip(members, score_B, strict=True))
    columns = [
        _columns(scorer, found.get(index, Score(NAN, missing=read.dropped)), config.name, config)
        for index, read in enumerate(chunk)
    ]
    out, start = [], 0
    for reads in rows:
        own = columns[start : start + len(reads)]
        start += len(reads)
        merged = own[0] if reads[0].place is None else _as_lists(own)
        out.append(_extended(reads[0].raw, merged, reads[0].row))
    return out


_NONE = Score(NAN, missing="not scored")


def _columns(scorer: Reward, score: Score, stem: str, config: ScoreConfig) -> dict[str, Any]:
    columns: dict[str, Any] = {stem: number_or_null(score.value)}
    if len(scorer.head_names) > 1:
        columns[f"{stem}_spread"] = number_or_null(score.spread)
        if config.per_head:
            heads = score.heads or (NAN,) * len(scorer.head_names)
            columns |= {
                f"{stem}_{name}": number_or_null(value) for name, value in zip(scorer.head_names, heads, strict=True)
            }
    columns[f"{stem}_missing"] = score.missing or None
    return columns


def _pair_columns(scorer: Reward, chosen: Score, rejected: Score, config: ScoreConfig) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for side, score in (("chosen", chosen), ("rejected", rejected)):
        columns |= _columns(scorer, score, f"{config.name}_{side}", config)
        del columns[f"{config.name}_{side}_missing"]
    columns[f"{config.name}_margin"] = number_or_null(chosen.value - rejected.value)
    columns[f"{config.name}_missing"] = chosen.missing or rejected.missing or None
    return columns


def _result(
    name: str, source: str, kind: str, out: Path, config: ScoreConfig, rows: int, tally: _Tally, account: Account
) -> Result:
    share = tally.missing / tally.responses if tally.responses else NAN
    verdict: Verdict = "ok" if not tally.missing else "problem" if share > MISSING_LIMIT else "unclear"
    reasons = sorted((tally.reasons or {}).items(), key=lambda item: -item[1])
    finding = Finding(
        code="SC101",
        title="Rows without a score",
        verdict=verdict,
        effect=share,
        unit="share of rows",
        n_used=tally.responses - tally.missing,
        n_missing=tally.missing,
        witnesses=tuple(f"{count} times: {reason}" for reason, count in reasons[:3]),
        action="" if verdict == "ok" else EXPLANATIONS["SC101"][3],
    )
    entries = tuple((entry.action, entry.reason, entry.count) for entry in account)
    return Result(
        command="score",
        findings=(finding,),
        tables=(
            Table("missing", "Missing scores by reason", ("reason", "count"), tuple(reasons)),
            Table("account", "What reading the rows noted", ("action", "reason", "count"), entries),
        ),
        values={"rows": rows, "responses": tally.responses, "missing": tally.missing, "kind": kind},
        files=(str(out),),
        provenance={"reward": name, "source": source, "format": account.format, "config": asdict(config)},
        lead=f"{rows} rows scored by {name}, {tally.missing} without a score.",
    )
