"""Counts of everything that happened to the rows of a source between the file and the records."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from karat.data.records import canonical_bytes
from karat.types import Account, AccountEntry, PoolRow, PreferencePair, StepSolution, Table

FIRST_ROWS = 5
"""How many row numbers an entry keeps: enough to look some up, few enough to print."""

MAX_REASONS = 100
"""Reasons may quote values, so a hostile file could make one a row; further ones are counted together."""
OTHER_REASON = "other reasons, too many to list"

_ACTIONS = ("dropped", "changed", "noted")


@dataclass(slots=True)
class _Count:
    count: int = 0
    first_rows: list[int] = field(default_factory=list)


class AccountBuilder:
    """Collects an `Account` while rows pass by; memory does not grow with their number.

    The law it keeps: rows_read == rows used in a record + rows dropped. A row is dropped at most once.
    """

    def __init__(self, source: str, format_name: str = "") -> None:
        self.source = source
        self.format = format_name
        self.rows_read = 0
        self.rows_unreadable = 0
        self.records = 0
        self._counts: dict[tuple[str, str], _Count] = {}
        self._hash = hashlib.sha256()

    def drop(self, reason: str, row: int) -> None:
        """One row gives no record."""
        self._add("dropped", reason, row)

    def change(self, reason: str, row: int) -> None:
        """One row gives records that differ from what the source said."""
        self._add("changed", reason, row)

    def note(self, reason: str, row: int | None = None) -> None:
        """Something the user should know; nothing was lost."""
        self._add("noted", reason, row)

    def add_record(self, record: PreferencePair | PoolRow | StepSolution) -> None:
        self.records += 1
        self._hash.update(canonical_bytes(record))

    def reasons(self, action: str) -> list[tuple[str, int]]:
        """Reasons with counts, the most frequent first."""
        found = [(reason, item.count) for (kind, reason), item in self._counts.items() if kind == action]
        return sorted(found, key=lambda item: (-item[1], item[0]))

    def build(self) -> Account:
        """The account so far; entries in the order dropped, changed, noted, the most frequent first."""
        entries = [
            AccountEntry(action, reason, count, tuple(self._counts[action, reason].first_rows))  # type: ignore[arg-type]
            for action in _ACTIONS
            for reason, count in self.reasons(action)
        ]
        digest = self._hash.hexdigest()[:16]
        return Account(self.source, self.format, self.rows_read, self.records, tuple(entries), digest)

    def _add(self, action: str, reason: str, row: int | None) -> None:
        if (action, reason) not in self._counts and len(self._counts) >= MAX_REASONS:
            reason = OTHER_REASON
        item = self._counts.setdefault((action, reason), _Count())
        item.count += 1
        if row is not None and len(item.first_rows) < FIRST_ROWS and row not in item.first_rows:
            item.first_rows.append(row)


def account_table(account: Account) -> Table:
    """What reading and encoding dropped, changed or noted."""
    rows = tuple(
        (entry.action, entry.reason, entry.count, ", ".join(map(str, entry.first_rows))) for entry in account.entries
    )
    note = f"{account.rows_read} rows read from {account.source} as {account.format}; {account.records} records."
    return Table("account", "What happened to the rows", ("action", "reason", "count", "first rows"), rows, note)
