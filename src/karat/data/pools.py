"""Pools: many responses to a prompt, one a row or a list a row, with any number of named scores."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from karat.data.files import Source, open_source
from karat.data.formats import FORMATS
from karat.data.pool_blocks import BlockCheck, without_repeats
from karat.data.pool_layouts import (
    LIST_COLUMNS,
    MIN_SHARE,
    RESPONSE_COLUMNS,
    Unfolded,
    columns_per_response,
    find_layout,
    looks_like_steps,
)
from karat.data.recognise import describe_columns, recognise
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
    """One response of a pool; without a record, `dropped` is the reason.

    Attributes:
        row: the source row's number; raw: the source row as it came.
        place: where the response stands in the row's list, 0 for a row that gives none; None in pools whose rows hold
            one response each.
    """

    row: int
    raw: dict[str, Any]
    record: PoolRow | None
    dropped: str = ""
    place: int | None = None


class PoolStream(RowStream):
    """Iterates a `PoolRead` for every response in order; memory does not grow with the number of rows.

    Responses of one row come one after the other. A row that gives none comes once, with the reason.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        sample = [item.raw for item in self._head if not item.problem]
        layout = find_layout(sample)
        if layout is None:
            raise DataError(f"{source.name}: not a pool. {_what_a_pool_is(sample)}")
        self._layout = layout
        self._account.format = layout.name
        self._per_response = columns_per_response(layout, sample)
        self._score_columns = _score_columns(self._unfolded(sample), source.text_only)

    def __iter__(self) -> Iterator[PoolRead]:
        check = BlockCheck(self._account) if self._layout.in_blocks else None
        for number, item in without_repeats(self._numbered()) if check else self._numbered():
            if item.problem:
                self._account.drop(item.problem, number)
                yield self._dropped(number, item.raw, item.problem)
                continue
            for read in self._read(number, item.raw):
                if check and read.record:
                    check.add(read.record, read.raw.get("step"))
                yield read
        if check:
            check.finish()

    def _unfolded(self, sample: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """The responses of the sample in the columns of the long form."""
        for raw in sample:
            try:
                yield from (item.raw for item in self._layout.unfold(Row(raw), self._per_response).samples)
            except DropRowError:
                continue

    def _read(self, number: int, raw: dict[str, Any]) -> list[PoolRead]:
        """The responses of one row, counted: a row without any is dropped, a response without its like is left out."""
        row = Row(raw, number)
        try:
            unfolded = self._layout.unfold(row, self._per_response)
        except DropRowError as error:
            self._account.drop(str(error), number)
            return [self._dropped(number, raw, str(error))]
        reads = [self._one(row, raw, unfolded, place) for place in range(len(unfolded.samples))]
        records = [read.record for read in reads if read.record is not None]
        if not records:
            self._account.drop(reads[0].dropped, number)
            return [self._dropped(number, raw, reads[0].dropped)]
        for read in reads:
            if read.record is None:
                self._account.change(read.dropped, number)
        for record in records:
            self._account.add_record(record)
        for action, reason in row.notes:
            (self._account.change if action == "changed" else self._account.note)(reason, number)
        return reads

    def _dropped(self, number: int, raw: dict[str, Any], reason: str) -> PoolRead:
        return PoolRead(number, raw, None, reason, 0 if self._layout.is_list else None)

    def _one(self, source_row: Row, raw: dict[str, Any], unfolded: Unfolded, place: int) -> PoolRead:
        """One response; what there is to say about it goes to the notes of its row."""
        number = source_row.number
        at = place if self._layout.is_list else None
        item = unfolded.samples[place]
        if item.problem:
            return PoolRead(number, raw, None, item.problem, at)
        row = Row(item.raw, number)
        try:
            record = _record(row, self._score_columns, unfolded.shared, by_step=self._layout.by_step)
        except DropRowError as error:
            return PoolRead(number, raw, None, str(error), at)
        if is_empty(record.response):
            row.note("response is empty: row kept")
        for action, reason in row.notes:
            (source_row.change if action == "changed" else source_row.note)(reason)
        return PoolRead(number, raw, record, place=at)


def stream_pool(source: Any, *, split: str = "") -> PoolStream:
    """Every response of a pool, one at a time.

    Args:
        source: as for `stream_pairs`. Columns: response (or completion), prompt or prompt_id, optional response_id;
            or a list of responses a row (responses, samples, completions, outputs, generations) with lists of numbers;
            or dumps and results of TRL, verl and RewardBench as they are. Numbers are scores by their column's name,
            the others become `extra`; so do the numbers of a row with several responses, which are the prompt's.
        split: of a folder or a hub data set.
    Raises: DataError: nothing to read, or no pool; ResourceError: the hub or the disk does not answer.
    """
    return PoolStream(open_source(source, split=split))


def detect_kind(source: Any, *, split: str = "") -> Literal["pairs", "pool"]:
    """Whether rows hold two responses, of which one is preferred, or are a pool.

    Ratings of single responses (HelpSteer2) count as a pool here, although `read_pairs` can join them to pairs.
    Raises: DataError: neither, or the source can be read only once and a look would use it up.
    """
    opened = open_source(source, split=split)
    if opened.only_once:
        raise DataError(
            f"{opened.name}: can be read only once, so it cannot be looked at first. Give a list or a path."
        )
    sample = [item.raw for item in RowStream(opened).sample if not item.problem]
    layout = find_layout(sample)
    if layout and layout.holds_results:  # of pairs, which the columns chosen and rejected may be there to name
        return "pool"
    two = [item for item in FORMATS if item.join is None]
    if any(sum(map(item.matches, sample)) >= MIN_SHARE * len(sample) for item in two):
        return "pairs"
    if layout is None:
        recognise(sample, opened.name)  # raises, with what was seen
    return "pool"


def _what_a_pool_is(sample: Sequence[Mapping[str, Any]]) -> str:
    if any(map(looks_like_steps, sample)):
        return (
            "Rows with completions and labels (true or false) are step labels, as TRL has them: their completions are "
            "the steps of one response. If they are responses, call the column 'responses'."
        )
    return (
        f"A row of a pool has a response (columns {' or '.join(RESPONSE_COLUMNS)}) or a list of them "
        f"({', '.join(LIST_COLUMNS)}), a prompt or prompt_id, and scores as numbers; columns seen: "
        f"{describe_columns(sample)}."
    )


def _record(row: Row, score_columns: frozenset[str], shared: Mapping[str, Any], *, by_step: bool) -> PoolRow:
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
        step = row.identifier("step") if by_step else ""
        row.note("no prompt_id: made from the prompt" + (" and its step" if step else ""))
        prompt_id = prompt_hash(prompt) + (f"@{step}" if step else "")
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
    others = {**shared, **row.extra()}
    extra = {key: value for key, value in others.items() if key not in scores and key not in _NAMES}
    return PoolRow(
        prompt_id=prompt_id,
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


def _score_columns(sample: Iterable[Mapping[str, Any]], text_only: bool) -> frozenset[str]:
    """Columns whose values in the sample are scores, so that a null in one is a missing score.

    A column of mixed kinds is none: only its numbers are scores.
    """
    numbers: set[str] = set()
    others: set[str] = set()
    for row in sample:
        for name, value in row.items():
            if value is not None and not (is_text(value) and value == ""):
                is_number = _is_score(value) or (text_only and _spells_number(value))
                (numbers if is_number else others).add(name)
    return frozenset(numbers - others - set(_NAMES))


def _spells_number(text: str) -> bool:
    return text.strip().lower() == "nan" or not math.isnan(as_number(text))
