"""Pools: many responses to a prompt, one a row, with any number of named scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from karat.data.files import Source, open_source
from karat.data.formats import FORMATS
from karat.data.recognise import MIN_SHARE, RESPONSE_COLUMNS, describe_columns, is_pool, recognise
from karat.data.records import DropRowError, Row, as_number, is_empty, is_text, prompt_hash, user
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
        row = Row(raw, number)
        try:
            record = _record(row)
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
            numbers are scores by their column's name; the others become `extra`.
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


def _record(row: Row) -> PoolRow:
    name = next((name for name in RESPONSE_COLUMNS if row.has(name)), RESPONSE_COLUMNS[0])
    response: Text = row.text(name) if is_text(row.value(name)) else row.messages(name)
    prompt: Text = "" if isinstance(response, str) else ()
    if row.has("prompt"):
        prompt = row.text("prompt") if is_text(row.raw["prompt"]) else row.messages("prompt")
    prompt_id = row.identifier("prompt_id")
    if not prompt_id and not row.has("prompt"):
        raise DropRowError("neither prompt nor prompt_id")
    if isinstance(response, str) and not isinstance(prompt, str):
        response = row.messages(name)
    elif isinstance(prompt, str) and not isinstance(response, str):
        prompt = user(prompt)
    scores = {key: as_number(value) for key, value in row.raw.items() if key not in _NAMES and _is_score(value)}
    extra = {key: value for key, value in row.extra().items() if key not in scores and key not in _NAMES}
    return PoolRow(
        prompt_id=prompt_id or prompt_hash(prompt),
        response_id=row.identifier("response_id") or str(row.number),
        prompt=prompt,
        response=response,
        scores=scores,
        row=row.number,
        extra=extra,
    )


def _is_score(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
