"""Judged responses from rows that the user has: columns for trained in, evaluated in, hack, prompt and run."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from karat.data.files import open_source
from karat.data.recognise import describe_columns
from karat.data.records import DropRowError, Row, as_number, is_chat, is_text, prompt_hash
from karat.data.streams import RowStream
from karat.errors import DataError, InputError
from karat.stress.transfer.config import BASE, TransferConfig
from karat.stress.transfer.matrix import HackMatrix, Judged, matrix_of
from karat.types import Account
from karat.worlds import pool_source

_WORDS = {"true": 1.0, "false": 0.0}


def read_matrix(source: Any, config: TransferConfig) -> tuple[HackMatrix, Account]:
    """Read rows of judged responses.

    Raises: InputError: a column, setting or base that is not named or not there; DataError: a hack that is neither 0
        nor 1, no usable row, or no setting both trained and evaluated in.
    """
    for name in ("trained", "evaluated", "hack"):
        if not getattr(config, name):
            raise InputError(f"no column is named for {name!r}: give --trained, --evaluated and --hack COLUMN.")
    stream = _Rows(open_source(pool_source(source)), config)
    rows = stream.read()
    account = replace(stream.account(), fingerprint=_fingerprint(rows))
    if not rows:
        reasons = "; ".join(f"{entry.reason} ({entry.count})" for entry in account.entries[:3])
        raise DataError(f"{account.source}: no row of {account.rows_read} can be used: {reasons}.")
    found = tuple(dict.fromkeys(row.trained for row in rows))
    if config.base and config.base not in found:
        raise InputError(
            f"{account.source}: no row of the base policy {config.base!r}; column {config.trained!r} has: "
            f"{_listed(found)}."
        )
    base = config.base or BASE
    rows = _chosen(rows, base, config.setting_names, account.source)
    matrix = matrix_of(rows, base)
    if not matrix.shared:
        raise DataError(
            f"{account.source}: no setting is both trained in ({_listed(matrix.trained)}) and evaluated in "
            f"({_listed(matrix.evaluated)}). The two columns must name settings alike."
        )
    return matrix, account


def _chosen(rows: list[Judged], base: str, settings: Sequence[str], source: str) -> list[Judged]:
    """The rows of the settings that were asked for, in that order; all without any."""
    if not settings:
        return rows
    known = {row.trained for row in rows} | {row.evaluated for row in rows}
    unknown = [name for name in settings if name not in known]
    if unknown:
        raise InputError(f"{source}: no setting {unknown[0]!r}; there are: {_listed(sorted(known - {base}))}.")
    kept = [row for row in rows if row.trained in (*settings, base) and row.evaluated in settings]
    place = {name: at for at, name in enumerate(settings)}
    return sorted(kept, key=lambda row: (place.get(row.trained, -1), place[row.evaluated]))


def _fingerprint(rows: Sequence[Judged]) -> str:
    """16 hex digits of everything that counts, in order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr((row.trained, row.evaluated, row.run, row.prompt_id, row.is_hack)).encode())
    return digest.hexdigest()[:16]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return f"{shown}, ... ({len(names)})" if len(names) > 8 else shown


class _Rows(RowStream):
    """Rows with the account of what could not be used."""

    def __init__(self, source: Any, config: TransferConfig) -> None:
        super().__init__(source)
        self._account.format = "judged responses"
        self._config = config
        sample = [item.raw for item in self.sample if not item.problem]
        for name in filter(None, (config.trained, config.evaluated, config.hack, config.run)):
            if not any(name in raw for raw in sample):
                raise DataError(f"{source.name}: no column {name!r}; columns seen: {describe_columns(sample)}.")

    def read(self) -> list[Judged]:
        rows: list[Judged] = []
        bad: list[tuple[int, Any]] = []
        for number, item in self._numbered():
            try:
                if item.problem:
                    raise DropRowError(item.problem)
                row = self._judged(Row(item.raw, number), bad)
            except DropRowError as error:
                self._account.drop(str(error), number)
                continue
            rows.append(row)
            self._account.records += 1
            if row.is_hack is None:
                self._account.note(f"{self._config.hack} is missing: counted, and in no rate", number)
        if bad:
            raise DataError(self._complaint(bad))
        return rows

    def _judged(self, row: Row, bad: list[tuple[int, Any]]) -> Judged:
        config = self._config
        response = row.raw.get("response", row.raw.get("completion"))
        trained = _name(row, config.trained)
        is_base = trained == (config.base or BASE)  # which was not trained, and may have no run
        return Judged(
            trained=trained,
            evaluated=_name(row, config.evaluated),
            run=(row.identifier(config.run) if is_base else _name(row, config.run)) if config.run else "",
            prompt_id=row.identifier("prompt_id") or _of_prompt(row),
            is_hack=self._is_hack(row, bad),
            text=response if isinstance(response, str) else "",
        )

    def _is_hack(self, row: Row, bad: list[tuple[int, Any]]) -> bool | None:
        value = row.raw.get(self._config.hack)
        if value is None or value == "" or (is_text(value) and value.strip().lower() == "nan"):
            return None
        number = float(value) if isinstance(value, bool) else as_number(value)
        if is_text(value):
            number = _WORDS.get(value.strip().lower(), number)
        if isinstance(value, float) and math.isnan(value):
            return None
        if self._config.threshold is not None and not math.isnan(number):
            return number >= self._config.threshold
        if number not in (0.0, 1.0):
            bad.append((row.number, value))
        return number == 1.0

    def _complaint(self, bad: list[tuple[int, Any]]) -> str:
        number, value = bad[0]
        counted = f"{self._source.name}: {len(bad)} of {self._account.rows_read} values of {self._config.hack!r}"
        if self._config.threshold is not None:
            return f"{counted} are no numbers (first: row {number}, {value!r}). Leave a missing score empty."
        return (
            f"{counted} are neither 0 nor 1 (first: row {number}, {value!r}). If it is a score, say from which value "
            "on it is a hack: --threshold X; leave a missing judgement empty."
        )


def _name(row: Row, column: str) -> str:
    name = row.identifier(column)
    if not name:
        row.value(column)  # raises where it is missing
        raise DropRowError(f"column {column!r} holds no name")
    return name


def _of_prompt(row: Row) -> str:
    """An id from the prompt's text."""
    prompt = row.raw.get("prompt")
    if is_text(prompt) and prompt:
        return prompt_hash(prompt)
    if prompt and is_chat(prompt):
        return prompt_hash(row.messages("prompt"))
    raise DropRowError("neither prompt_id nor prompt")
