"""Pools: many responses to a prompt, one a row, with any number of named scores."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from karat.data.files import Source, open_source
from karat.data.formats import FORMATS
from karat.data.recognise import MIN_SHARE, RESPONSE_COLUMNS, describe_columns, is_pool, pool_columns, recognise
from karat.data.records import (
    NOT_UNICODE,
    DropRowError,
    Row,
    as_number,
    is_empty,
    is_text,
    is_unicode,
    prompt_hash,
    user,
)
from karat.data.streams import RowStream
from karat.errors import DataError
from karat.types import PoolRow, Text

_NAMES = ("prompt", "prompt_id", "response_id", *RESPONSE_COLUMNS)


@dataclass(frozen=True, slots=True)
class PoolRead:
    """One row of a pool; without a record, `dropped` is the reason."""

    row: int
    raw: dict[str, Any]
    record: PoolRow | None
    dropped: str = ""


class PoolStream(RowStream):
    """Iterates a `PoolRead` for every row in order; memory does not grow with the number of rows."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        sample = [item.raw for item in self._head if not item.problem]
        if not is_pool(sample):
            raise DataError(
                f"{source.name}: not a pool. A row of a pool has a response (columns {' or '.join(RESPONSE_COLUMNS)}), "
                f"a prompt or prompt_id, and scores as numbers; columns seen: {describe_columns(sample)}."
            )
        self._account.format = "pool"
        self._score_columns = _score_columns([pool_columns(raw) for raw in sample], source.text_only)

    def __iter__(self) -> Iterator[PoolRead]:
        for number, item in self._numbered():
            if item.problem:
                done = PoolRead(number, item.raw, None, item.problem)
            else:
                done = self._read(number, item.raw)
            if done.record is None:
                self._account.drop(done.dropped, number)
            else:
                self._account.add_record(done.record)
            yield done

    def _read(self, number: int, raw: dict[str, Any]) -> PoolRead:
        row = Row(pool_columns(raw), number)
        try:
            record = _record(row, self._score_columns)
        except DropRowError as error:
            return PoolRead(number, raw, None, str(error))
        if is_empty(record.response):
            row.note("response is empty: row kept")
        for action, reason in row.notes:
            (self._account.change if action == "changed" else self._account.note)(reason, number)
        return PoolRead(number, raw, record)


def stream_pool(source: Any, *, split: str = "") -> PoolStream:
    """Every row of a pool in long form, one at a time.

    Args:
        source: as for `stream_pairs`. Columns: response (or completion), prompt or prompt_id, optional response_id;
            verl's rollout dumps say output and input. Numbers are scores by their column's name; the others become
            `extra`.
        split: of a folder or a hub data set.
    Raises: DataError: nothing to read, or no pool; ResourceError: the hub or the disk does not answer.
    """
    return PoolStream(open_source(source, split=split))


def detect_kind(source: Any, *, split: str = "") -> Literal["pairs", "pool"]:
    """Whether rows hold two responses or one.

    Ratings of single responses (HelpSteer2) count as a pool here, although `read_pairs` can join them to pairs.
    Raises: DataError: neither, or the source can be read only once and a look would use it up.
    """
    opened = open_source(source, split=split)
    if opened.only_once:
        raise DataError(
            f"{opened.name}: can be read only once, so it cannot be looked at first. Give a list or a path."
        )
    sample = [item.raw for item in RowStream(opened).sample if not item.problem]
    two = [item for item in FORMATS if item.join is None]
    if any(sum(map(item.matches, sample)) >= MIN_SHARE * len(sample) for item in two):
        return "pairs"
    if not is_pool(sample):
        recognise(sample, opened.name)  # raises, with what was seen
    return "pool"


def _record(row: Row, score_columns: frozenset[str]) -> PoolRow:
    name = next((name for name in RESPONSE_COLUMNS if row.has(name)), RESPONSE_COLUMNS[0])
    response: Text = row.text(name) if is_text(row.value(name)) else row.messages(name)
    prompt: Text = "" if isinstance(response, str) else ()
    if row.has("prompt"):
        prompt = row.text("prompt") if is_text(row.raw["prompt"]) else row.messages("prompt")
    prompt_id, response_id = row.identifier("prompt_id"), row.identifier("response_id")
    if not prompt_id and not row.has("prompt"):
        raise DropRowError("neither prompt nor prompt_id")
    if isinstance(response, str) and not isinstance(prompt, str):
        response = row.messages(name)
    elif isinstance(prompt, str) and not isinstance(response, str):
        prompt = user(prompt)
    if not prompt_id:
        row.note("no prompt_id: made from the prompt")
    if not response_id:
        row.note("no response_id: the row's number was taken")
    if not is_unicode(prompt) or not is_unicode(response):
        raise DropRowError(NOT_UNICODE)
    scores = {}
    for key, value in row.raw.items():
        if key not in _NAMES and (_is_score(value) or key in score_columns):
            scores[key] = float(value) if isinstance(value, bool) else as_number(value)
            if value is not None and value != "" and math.isnan(scores[key]) and not isinstance(value, float):
                row.change(f"{key} is no number: score set to NaN")
    extra = {key: value for key, value in row.extra().items() if key not in scores and key not in _NAMES}
    return PoolRow(
        prompt_id=prompt_id or prompt_hash(prompt),
        response_id=response_id or str(row.number),
        prompt=prompt,
        response=response,
        scores=scores,
        row=row.number,
        extra=extra,
    )


def _is_score(value: Any) -> bool:
    """A number, or true or false, as verifiers give them."""
    return isinstance(value, int | float)


def _score_columns(sample: Sequence[Mapping[str, Any]], text_only: bool) -> frozenset[str]:
    """Columns whose values in the sample are scores, so that a null in one is a missing score.

    A column of mixed kinds is none: only its numbers are scores.
    """
    found = []
    for name in {name for row in sample for name in row} - set(_NAMES):
        values = [row[name] for row in sample if row.get(name) not in (None, "")]
        if text_only:
            values = [float(value) if _spells_number(value) else value for value in values]
        if values and all(map(_is_score, values)):
            found.append(name)
    return frozenset(found)


def _spells_number(text: str) -> bool:
    return text.strip().lower() == "nan" or not math.isnan(as_number(text))
