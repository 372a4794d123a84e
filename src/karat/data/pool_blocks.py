"""TRL's completions, step by step: batches that were logged twice, groups that are not in one block or of one size."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, groupby, islice
from typing import Any

from karat.data.account import AccountBuilder
from karat.data.files import RawRow
from karat.types import PoolRow

LOGGED_AGAIN = "the step's completions are those of the step before, logged again: left out"
MAX_HELD_ROWS = 10_000
"""Rows of a step that are held to compare them; no generation batch is as large. Those behind follow the first ones."""


def without_repeats(rows: Iterable[tuple[int, RawRow]]) -> Iterator[tuple[int, RawRow]]:
    """Turn rows that were logged again into unreadable ones, with the reason.

    TRL logs its last generation batch whenever it logs. Where several optimisation steps use one batch (num_iterations,
    steps_per_generation), their files hold the same completions under another step: as samples they are not new.
    """
    last = ""
    for step, group in groupby(rows, key=lambda numbered: numbered[1].raw.get("step")):
        held = list(islice(group, MAX_HELD_ROWS))
        digest = _digest(item for _, item in held) if _is_step(step) and len(held) > 1 else ""
        is_again = bool(digest) and digest == last
        last = digest
        for number, item in chain(held, group):
            yield number, RawRow(item.raw, LOGGED_AGAIN) if is_again and not item.problem else item


def _is_step(value: Any) -> bool:
    return isinstance(value, int | float | str) and value == value  # not NaN


def _digest(rows: Iterable[RawRow]) -> str:
    found = hashlib.sha256()
    for row in rows:
        facts = [row.raw.get(name) for name in ("prompt", "completion", "advantage")]
        found.update(repr(facts).encode(errors="surrogatepass") + b"\n")
    return found.hexdigest()


class BlockCheck:
    """Follows the responses of a run step by step; memory is that of one step's prompts.

    A group is a prompt at a step, so its rows need not stand together to be found. TRL writes them together, all groups
    of one size (num_generations); where they are not, someone filtered, joined or sorted the rows, and that is noted.
    """

    def __init__(self, account: AccountBuilder) -> None:
        self._account = account
        self._step: Any = None
        self._last = ""
        self._size_of: dict[str, int] = {}
        self._groups_of_size: Counter[int] = Counter()

    def add(self, record: PoolRow, step: Any) -> None:
        if step != self._step:
            self._end_step()
            self._step = step
        if record.prompt_id != self._last and record.prompt_id in self._size_of:
            self._account.note("the prompt comes again in its step after another one: counted to its group", record.row)
        self._last = record.prompt_id
        self._size_of[record.prompt_id] = self._size_of.get(record.prompt_id, 0) + 1

    def finish(self) -> None:
        """Note groups of another size than most. Call once, behind the last response."""
        self._end_step()
        usual = max(self._groups_of_size, key=lambda size: (self._groups_of_size[size], size), default=0)
        others = self._groups_of_size.total() - self._groups_of_size[usual]
        if others:
            self._account.note(f"{others} groups (a prompt at a step) have not {usual} responses, as most have")

    def _end_step(self) -> None:
        self._groups_of_size.update(self._size_of.values())
        self._size_of.clear()
        self._last = ""
