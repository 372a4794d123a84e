"""Solutions in steps from any source, with an account of every row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypedDict, Unpack

from karat.data.account import AccountBuilder
from karat.data.files import RawRow, Source, open_source
from karat.data.recognise import FormatInfo, by_name, describe, describe_columns, first_fit, nearest
from karat.data.records import DropRowError, Row, prompt_hash
from karat.data.steps.formats import FORMATS, StepFormat, StepOptions
from karat.data.steps.rules import note_repeats, require_sound, settled
from karat.data.streams import RowStream
from karat.errors import DataError
from karat.types import Account, StepSolution

_USUAL = ("karat", "trl-stepwise", "processbench")


@dataclass(frozen=True, slots=True)
class StepRow:
    """One row of the source and what became of it; `dropped` is the reason when it gives no solution."""

    row: int
    raw: dict[str, Any]
    solutions: tuple[StepSolution, ...]
    dropped: str = ""


@dataclass(frozen=True, slots=True)
class StepData:
    """Solutions in the order of their rows, and the account of the reading."""

    solutions: tuple[StepSolution, ...]
    account: Account


class StepStream(RowStream):
    """Iterates a `StepRow` for every row in order; memory does not grow with the number of rows.

    The format is settled on construction, from a sample. A source that can be read only once is iterated only once.
    """

    def __init__(self, source: Source, format_name: str, options: StepOptions) -> None:
        super().__init__(source)
        self._options = options
        self._format = self._settle(format_name)
        self._account.format = self._format.name

    @property
    def format(self) -> str:
        """Name of the format."""
        return self._format.name

    def __iter__(self) -> Iterator[StepRow]:
        for number, item in self._numbered():
            done = self._outcome(Row(item.raw, number), item)
            if done.dropped:
                self._account.drop(done.dropped, number)
            for solution in done.solutions:
                self._account.add_record(solution)
            yield done

    def _settle(self, format_name: str) -> StepFormat:
        if format_name:
            return by_name(FORMATS, format_name)
        sample = [item.raw for item in self._head if not item.problem]
        found = first_fit(FORMATS, sample)
        if found:
            return found
        raise DataError(
            f"{self._source.name}: no format of step labels fits at least half of {len(sample)} rows. Columns seen: "
            f"{describe_columns(sample)}. {nearest(FORMATS, sample, usual=_USUAL)} Name the format with --format."
        )

    def _outcome(self, row: Row, item: RawRow) -> StepRow:
        if item.problem:
            return StepRow(row.number, item.raw, (), item.problem)
        try:
            return StepRow(row.number, item.raw, self._keep(row, self._format.read(row, self._options)))
        except DropRowError as error:
            return StepRow(row.number, item.raw, (), str(error))

    def _keep(self, row: Row, solutions: list[StepSolution]) -> tuple[StepSolution, ...]:
        """The solutions that can be used, with the columns left over. Raises DropRowError when there is none."""
        kept, reasons = [], []
        for solution in solutions:
            try:
                usable = settled(solution, self._options, row)
            except DropRowError as error:
                reasons.append(str(error))
                continue
            extra = {**row.extra(), **usable.extra}
            kept.append(replace(usable, extra=extra) if extra else usable)
        if not kept:
            raise DropRowError(reasons[0])
        for reason in reasons:
            row.change(f"a solution of several in the row left out: {reason}")
        for action, reason in row.notes:
            (self._account.change if action == "changed" else self._account.note)(reason, row.number)
        return tuple(kept)


def list_step_formats() -> tuple[FormatInfo, ...]:
    """Every format of step labels, in the order in which they are tried."""
    return describe(FORMATS)


class StepReading(TypedDict, total=False):
    """The options of `stream_steps`, for those who pass them on."""

    format: str
    split: str
    neutral: Literal["undefined", "right", "wrong", "half"]
    after_error: Literal["undefined", "keep"]
    empty_steps: Literal["drop-row", "drop-step"]
    placeholder: str
    separator: str


def stream_steps(source: Any, **options: Unpack[StepReading]) -> StepStream:
    """Every row of a source with its solutions, one at a time; arguments as for `read_steps`."""
    known = {field.name: options[field.name] for field in fields(StepOptions) if field.name in options}  # type: ignore[literal-required]
    return StepStream(
        open_source(source, split=options.get("split", "")), options.get("format", ""), StepOptions(**known)
    )


def read_steps(source: Any, **options: Unpack[StepReading]) -> StepData:
    """All solutions of a source with the account of the reading. Repeated solutions are kept and noted.

    Args:
        source: path of a file or folder, hub name, iterable of dicts, or a data set of `datasets`.
        format: name of a format (`list_step_formats`); recognised from a sample when empty.
        split: of a folder or a hub data set; otherwise its only one, or "train".
        neutral: what a neutral rating means (PRM800K's 0): "undefined" (NaN), "right", "wrong", or "half" (0.5).
        after_error: labels of steps after the first wrong one: "undefined" (NaN), or "keep" as they came.
        empty_steps: a solution with an empty step: "drop-row", or without that step ("drop-step").
        placeholder: the token after each step in OpenRLHF's rows.
        separator: the text that will end each step where a model reads them; steps that hold it are noted.
    Raises: DataError: nothing to read, no format fits, or not one solution can be used; ResourceError: the hub or the
        disk does not answer. InputError: a format or an option that is not known.
    """
    stream = stream_steps(source, **options)
    solutions = tuple(solution for row in stream for solution in row.solutions)
    account = stream.account()
    if not solutions:
        reasons = "; ".join(f"{entry.reason} ({entry.count})" for entry in account if entry.action == "dropped")
        raise DataError(
            f"{account.source}: none of {account.rows_read} rows gives a usable solution (read as {account.format}): "
            f"{reasons}. Mend the rows, or name another format with --format."
        )
    return StepData(solutions, _with_repeats(solutions, account))


def take_steps(
    solutions: Iterable[StepSolution],
    *,
    after_error: Literal["undefined", "keep"] = "undefined",
    empty_steps: Literal["drop-row", "drop-step"] = "drop-row",
    separator: str = "\n\n",
) -> StepData:
    """Solutions from memory, held to what a reader promises, with an account as of a reading.

    Solutions that no reader would give (no steps, an empty step, text that is not Unicode) are dropped and counted;
    labels left out are filled in from first_error, first_error from labels, prompt_id from the prompt. `row` is left as
    it is; the account counts places. Options as for `read_steps`.
    Raises: DataError: no solution is left, or labels of one mean nothing (another number than steps, outside [0, 1]).
    """
    options = StepOptions(after_error=after_error, empty_steps=empty_steps, separator=separator)
    account = AccountBuilder("solutions in memory", "StepSolution")
    taken: list[StepSolution] = []
    for index, solution in enumerate(solutions):
        account.rows_read += 1
        require_sound(solution, index)
        row = Row({}, index)
        try:
            usable = settled(solution, options, row)
        except DropRowError as error:
            account.drop(str(error), index)
            continue
        if not usable.prompt_id:
            row.change("no prompt_id: made from the prompt")
            usable = replace(usable, prompt_id=prompt_hash(usable.prompt))
        for action, reason in row.notes:
            (account.change if action == "changed" else account.note)(reason, index)
        account.add_record(usable)
        taken.append(usable)
    if not taken:
        lost = "; ".join(f"{reason} ({count})" for reason, count in account.reasons("dropped")) or "there are none"
        raise DataError(f"there are no solutions in memory that can be used: {lost}.")
    return StepData(tuple(taken), _with_repeats(taken, account.build()))


def _with_repeats(solutions: Sequence[StepSolution], account: Account) -> Account:
    notes = AccountBuilder(account.source)
    note_repeats(solutions, notes)
    return replace(account, entries=account.entries + notes.build().entries)
