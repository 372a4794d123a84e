"""What streams of pairs and of pools share: a sample to settle the format on, one pass after it, honest counts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

from karat.data.account import AccountBuilder
from karat.data.files import RawRow, Source
from karat.data.recognise import SAMPLE_ROWS
from karat.errors import DataError
from karat.types import Account

MAX_UNREADABLE_SHARE = 0.5
"""A source of which more rows than this cannot be read is not of its kind, and is refused."""


class RowStream:
    """Rows of a source, in order, with an account.

    The sample is read on construction; the first pass goes on behind it. A source that can be read only once has one
    pass.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._account = AccountBuilder(source.name)
        self._rest: Iterator[RawRow] | None = source.rows(self._account)
        self._head = list(islice(self._rest, SAMPLE_ROWS))
        if not self._head:
            raise DataError(f"{source.name}: there are no rows in it. Check that it was written or copied to its end.")
        readable = sum(not item.problem for item in self._head)
        if len(self._head) < SAMPLE_ROWS or not readable:
            first = next((item.problem for item in self._head if item.problem), "")
            _check_readable(source.name, len(self._head) - readable, len(self._head), first)

    @property
    def sample(self) -> list[RawRow]:
        """The first rows, until the first pass begins."""
        return self._head

    def account(self) -> Account:
        """The account of the last pass, as far as it has come."""
        return self._account.build()

    def _numbered(self) -> Iterator[tuple[int, RawRow]]:
        """Every row with its number; raises DataError at the end when most rows could not be read."""
        problem = ""
        for number, item in enumerate(self._rows()):
            self._account.rows_read += 1
            if item.problem:
                self._account.rows_unreadable += 1
                problem = problem or item.problem
            yield number, item
        _check_readable(self._source.name, self._account.rows_unreadable, self._account.rows_read, problem)

    def _rows(self) -> Iterator[RawRow]:
        if self._rest is not None:
            rest, self._rest = self._rest, None
            head, self._head = self._head, []
            return chain(head, rest)
        if self._source.only_once:
            raise DataError(f"{self._source.name}: can be read only once, and was. Give a list, or open it again.")
        self._account = AccountBuilder(self._source.name, self._account.format)
        return self._source.rows(self._account)


def _check_readable(name: str, bad: int, total: int, reason: str) -> None:
    if bad > MAX_UNREADABLE_SHARE * total:
        raise DataError(f"{name}: {bad} of {total} rows cannot be read ({reason}). Check the file's kind and encoding.")
