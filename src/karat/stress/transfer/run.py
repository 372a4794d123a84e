"""`karat stress transfer`: a matrix of hack rates, from rows that there are or from policies trained for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from karat.data.account import account_table
from karat.errors import InputError
from karat.stress.transfer.config import TransferConfig
from karat.stress.transfer.findings import findings_of, lead_of, tables_of, values_of
from karat.stress.transfer.matrix import HackMatrix
from karat.stress.transfer.measure import measure
from karat.stress.transfer.rows import read_matrix
from karat.types import Account, Result

Progress = Callable[..., None]
_OF_POOL = ("trained", "evaluated", "hack", "base", "run")


def transfer(
    pool: Any = None,
    *,
    out: str | Path | None = None,
    config: TransferConfig | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Result:
    """Whether policies that learned to hack in one setting hack in others.

    Args:
        pool: rows of judged responses, with the columns that the configuration names; None: policies are trained with
            each judge of the built-in words world and evaluated in all its settings.
        out: folder for `rollouts.jsonl` of the built-in world, which this function reads; None: not kept.
        config: settings; `options` override single fields by name.
        progress: called as progress(stage, done, total, note).
    Returns: findings ST701 to ST704; the matrix with intervals; values with stable names.
    Raises: InputError, DataError and their kin for input that cannot be used.
    """
    config = replace(config or TransferConfig(), **options)
    if pool is not None:
        matrix, account = read_matrix(pool, config)
        return _result(matrix, config, account=account)
    given = [name for name in _OF_POOL if getattr(config, name)]
    given += ["threshold"] if config.threshold is not None else []
    if given:
        raise InputError(f"{given[0]} is named without a pool: give the rows that have it, or none for the built-in.")
    from karat.stress.transfer.world import built_in_matrix  # torch and TRL: only what trains needs them

    matrix, files = built_in_matrix(config, out=Path(out) if out else None, progress=progress)
    return _result(matrix, config, files=files)


def _result(
    matrix: HackMatrix, config: TransferConfig, *, account: Account | None = None, files: tuple[str, ...] = ()
) -> Result:
    found = measure(matrix)
    provenance: dict[str, Any] = asdict(config)
    if account:
        provenance |= {"pool": account.source, "fingerprint": account.fingerprint}
    return Result(
        command="stress transfer",
        findings=findings_of(matrix, found, config),
        tables=(*tables_of(matrix, found), *([account_table(account)] if account else [])),
        values=values_of(matrix, found),
        files=files,
        provenance=provenance,
        lead=lead_of(matrix, found),
    )
