"""Preference pairs from any source, with an account of every row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

from karat.data.account import AccountBuilder
from karat.data.files import RawRow, Source, open_source
from karat.data.formats import Format, Options
from karat.data.formats.own import to_row
from karat.data.recognise import describe_columns, find_format, recognise
from karat.data.records import NOT_UNICODE, DropRowError, Row, is_empty, is_unicode, plain, prompt_hash
from karat.data.streams import RowStream
from karat.data.text_files import write_jsonl
from karat.errors import DataError
from karat.types import Account, PreferencePair

SAME = "chosen equals rejected"
BOTH_EMPTY = "both responses are empty"
TIE = "tie: kept with label 0.5"
NO_PARTNER = "no second response to the same prompt beside it"


@dataclass(frozen=True, slots=True)
class PairRow:
    """One row of the source and what became of it.

    `dropped` is the reason when the row gives no pair. In formats with one response a row, the pair of two rows stands
    at the second of them; the first then has neither pairs nor a reason.
    """

    row: int
    raw: dict[str, Any]
    pairs: tuple[PreferencePair, ...]
    dropped: str = ""


@dataclass(frozen=True, slots=True)
class PairData:
    """Pairs in the order of their rows, and the account of the reading."""

    pairs: tuple[PreferencePair, ...]
    account: Account


class PairStream(RowStream):
    """Iterates a `PairRow` for every row in order; memory does not grow with the number of rows.

    The format is settled on construction, from a sample. A source that can be read only once is iterated only once.
    """

    def __init__(self, source: Source, format_name: str, rename: Mapping[str, str], options: Options) -> None:
        super().__init__(source)
        self._rename = rename
        self._format = self._settle(format_name, options)
        self._account.format = self._format.name

    @property
    def format(self) -> str:
        """Name of the format."""
        return self._format.name

    def __iter__(self) -> Iterator[PairRow]:
        for row in self._joined() if self._format.join else self._single():
            if row.dropped:
                self._account.drop(row.dropped, row.row)
            for pair in row.pairs:
                self._account.add_record(pair)
            yield row

    def _single(self) -> Iterator[PairRow]:
        for number, item in self._numbered():
            row = Row(self._renamed(item.raw), number)
            yield self._outcome(row, item, self._read)

    def _joined(self) -> Iterator[PairRow]:
        """Rows of formats with one response a row: two in succession that belong together are a pair."""
        held: tuple[PairRow, Row] | None = None
        for number, item in self._numbered():
            row = Row(self._renamed(item.raw), number)
            done = self._outcome(row, item, self._check)
            pairs = None if held is None or done.dropped else self._join(held[1], row)
            if pairs is not None:
                done = self._outcome(row, item, partial(self._keep, pairs=pairs))
            if held is not None:  # its pair stands at the second row; where that is of no use, neither is this one
                yield replace(held[0], dropped=NO_PARTNER if pairs is None else done.dropped)
                held = None
            if pairs is not None or done.dropped:
                yield done
            else:
                held = (done, row)
        if held is not None:
            yield replace(held[0], dropped=NO_PARTNER)

    def _read(self, row: Row) -> tuple[PreferencePair, ...]:
        return self._keep(row, self._format.read(row))

    def _check(self, row: Row) -> tuple[PreferencePair, ...]:
        return tuple(self._format.read(row))

    def _join(self, first: Row, second: Row) -> list[PreferencePair] | None:
        assert self._format.join is not None
        return self._format.join(first, second)

    def _outcome(self, row: Row, item: RawRow, read: Callable[[Row], tuple[PreferencePair, ...]]) -> PairRow:
        if item.problem:
            return PairRow(row.number, item.raw, (), item.problem)
        try:
            return PairRow(row.number, item.raw, read(row))
        except DropRowError as error:
            return PairRow(row.number, item.raw, (), str(error))

    def _settle(self, format_name: str, options: Options) -> Format:
        name = self._source.name
        for column in self._rename:
            if not any(column in item.raw for item in self._head):
                sample = [item.raw for item in self._head]
                raise DataError(f"{name}: no column {column!r}, named as a key. Columns: {describe_columns(sample)}.")
        if format_name:
            return find_format(format_name, options=options)
        return recognise([self._renamed(item.raw) for item in self._head if not item.problem], name, options=options)

    def _renamed(self, raw: dict[str, Any]) -> dict[str, Any]:
        if not self._rename:
            return raw
        hidden = set(self._rename.values()) - set(self._rename)  # a column of the standard name gives way to the key
        return {self._rename.get(name, name): value for name, value in raw.items() if name not in hidden}

    def _keep(self, row: Row, pairs: list[PreferencePair]) -> tuple[PreferencePair, ...]:
        """The pairs that can be used, with the columns left over. Raises DropRowError when there is none."""
        kept, reasons = [], []
        for pair in pairs:
            reason = _why_unusable(pair)
            if reason:
                reasons.append(reason)
                continue
            if pair.is_tie:
                row.note(TIE)
            if is_empty(pair.chosen) or is_empty(pair.rejected):
                row.note(f"{'chosen' if is_empty(pair.chosen) else 'rejected'} is empty: pair kept")
            extra = {**row.extra(), **pair.extra}
            kept.append(replace(pair, extra=extra) if extra else pair)
        if not kept:
            lost = [why for action, why in row.notes if action == "changed"]
            if lost and reasons[:1] == [SAME]:  # they may have differed in what was left out
                raise DropRowError(f"{SAME} ({'; '.join(lost)})")
            raise DropRowError(reasons[0] if reasons else "the row holds fewer than two responses")
        for reason in reasons:
            row.change(f"a pair of several in the row left out: {reason}")
        for action, reason in row.notes:
            (self._account.change if action == "changed" else self._account.note)(reason, row.number)
        return tuple(kept)


def stream_pairs(
    source: Any,
    *,
    format: str = "",
    split: str = "",
    prompt_key: str = "",
    chosen_key: str = "",
    rejected_key: str = "",
    hh_as: Literal["text", "messages"] = "text",
    attribute_weights: Mapping[str, float] | None = None,
) -> PairStream:
    """Every row of a source with its pairs, one at a time.

    Args:
        source: path of a file or folder, hub name, iterable of dicts, or a data set of `datasets`.
        format: name of a format (`list_formats`); recognised from a sample when empty.
        split: of a folder or a hub data set; otherwise its only one, or "train".
        prompt_key: column to read as "prompt"; chosen_key and rejected_key likewise.
        hh_as: hh-rlhf as plain text, or as turns.
        attribute_weights: prefer by the weighted sum of these ratings (helpsteer2, ultrafeedback) instead of by
            helpfulness or overall_score; strength is then the difference of the sums.
    Raises: DataError: nothing to read, or no format fits; ResourceError: the hub or the disk does not answer.
        InputError: a format, an option or an attribute that is not known.
    """
    keys = (("prompt", prompt_key), ("chosen", chosen_key), ("rejected", rejected_key))
    rename = {key: name for name, key in keys if key and key != name}
    options = Options(hh_as, attribute_weights or {})
    return PairStream(open_source(source, split=split), format, rename, options)


class PairOptions(TypedDict, total=False):
    """The options of `stream_pairs`, for those who pass them on."""

    format: str
    split: str
    prompt_key: str
    chosen_key: str
    rejected_key: str
    hh_as: Literal["text", "messages"]
    attribute_weights: Mapping[str, float] | None


def read_pairs(source: Any, **options: Unpack[PairOptions]) -> PairData:
    """All pairs of a source with the account of the reading; arguments as for `stream_pairs`.

    Exact and contradictory duplicates are kept and noted. Raises, besides: DataError: not one pair can be used.
    """
    stream = stream_pairs(source, **options)
    pairs = tuple(pair for row in stream for pair in row.pairs)
    account = stream.account()
    if not pairs:
        reasons = "; ".join(f"{entry.reason} ({entry.count})" for entry in account if entry.action == "dropped")
        raise DataError(
            f"{account.source}: none of {account.rows_read} rows gives a usable pair (read as {account.format}): "
            f"{reasons}. Mend the rows, or name another format with --format."
        )
    notes = AccountBuilder(account.source)
    note_duplicates(pairs, notes)
    return PairData(pairs, replace(account, entries=account.entries + notes.build().entries))


def take_pairs(pairs: Iterable[PreferencePair]) -> PairData:
    """Pairs from memory, held to what a reader promises, with an account as of a reading.

    Pairs that no reader would give (equal or empty responses, text that is not Unicode) are dropped and counted; a
    missing prompt_id is made from the prompt, as readers make it. `row` is left as it is; the account counts places.
    Raises: DataError: no pair is left, or a label is outside [0.5, 1].
    """
    account = AccountBuilder("pairs in memory", "PreferencePair")
    taken: list[PreferencePair] = []
    for index, pair in enumerate(pairs):
        account.rows_read += 1
        if not 0.5 <= pair.label <= 1.0:
            raise DataError(
                f"pairs in memory: pair {index} has the label {pair.label}; it must lie in [0.5, 1]. Put the preferred "
                "response in chosen."
            )
        reason = _why_unusable(pair)
        if reason:
            account.drop(reason, index)
            continue
        if not pair.prompt_id:
            account.change("no prompt_id: made from the prompt", index)
            pair = replace(pair, prompt_id=prompt_hash(pair.prompt, pair.chosen, pair.rejected))
        account.add_record(pair)
        taken.append(pair)
    if not taken:
        lost = "; ".join(f"{reason} ({count})" for reason, count in account.reasons("dropped")) or "there are none"
        raise DataError(f"there are no preference pairs in memory that can be used: {lost}.")
    return PairData(tuple(taken), account.build())


def note_duplicates(pairs: Iterable[PreferencePair], account: AccountBuilder) -> None:
    """Note pairs that repeat an earlier one, or that prefer the other side of an earlier one."""
    seen: dict[int, float] = {}
    for pair in pairs:
        key, other = hash((pair.prompt, pair.chosen, pair.rejected)), hash((pair.prompt, pair.rejected, pair.chosen))
        if other in seen and not pair.is_tie and seen[other] != 0.5:
            account.note("contradicts an earlier pair (same responses, the other preferred)", pair.row)
        elif key in seen or other in seen:
            account.note("repeats an earlier pair (same prompt, same responses)", pair.row)
        seen.setdefault(key, pair.label)


def write_pairs(path: str | Path, pairs: Iterable[PreferencePair]) -> None:
    """Write pairs as JSON lines in karat's own format, which `read_pairs` gives back equal but for row numbers.

    The file is there whole or not at all. Values of `extra` that JSON does not know (dates) become text.
    Raises: DataError: the file is not named .jsonl, .jsonl.gz or .jsonl.zst; ResourceError: it cannot be written.
    """
    write_jsonl(path, map(to_row, pairs), what="pairs")


def _why_unusable(pair: PreferencePair) -> str:
    if is_empty(pair.chosen) and is_empty(pair.rejected):
        return BOTH_EMPTY
    if plain(pair.chosen) == plain(pair.rejected) and not pair.is_tie:
        return SAME
    if not all(map(is_unicode, (pair.prompt, pair.chosen, pair.rejected))):
        return NOT_UNICODE
    return ""
