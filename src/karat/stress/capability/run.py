"""`karat stress capability POOL=VALUE...`: proxy and gold along an axis on which the policy gets better."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from karat.data.account import account_table
from karat.stress.capability.config import CapabilityConfig
from karat.stress.capability.findings import findings_of, tables_of, values_of
from karat.stress.capability.measure import Measured, Side, measure
from karat.stress.capability.points import Sweep, read_sweep
from karat.types import Account, Result, Table

Progress = Callable[..., None]


def capability(
    pools: Any, *, config: CapabilityConfig | None = None, progress: Progress | None = None, **options: Any
) -> Result:
    """Whether a better optimiser buys more gold, or more proxy at the gold's expense.

    Args:
        pools: several pools with a value each, as {135: "small.jsonl", 360: "large.jsonl"}, [("small.jsonl", 135), ...]
            or ["small.jsonl=135", ...]; or one pool, with `axis` the column that has the values, or "n" for best of n.
        config: columns and settings; `options` override single fields by name (`proxy` is required).
        progress: called as progress(stage, done, total, note).
    Returns: findings ST401 to ST403; tables of points, slopes, changes of course and pairs; values with stable names.
    Raises: InputError, DataError and their kin for input that cannot be used.
    """
    config = replace(config, **options) if config else CapabilityConfig(**options)
    if progress:
        progress("reading the pools", 0, 2, "pools")
    sweep = read_sweep(pools, config)
    if progress:
        progress("slopes and changes", 1, 2, f"{len(sweep.points)} points")
    found = measure(sweep, config)
    return Result(
        command="stress capability",
        findings=tuple(
            finding if finding.verdict == "not checked" else replace(finding, gold=config.gold)
            for finding in findings_of(sweep, found)
        ),
        tables=(*tables_of(sweep, found, config), _account_table(sweep.accounts)),
        values=values_of(sweep, found, config),
        provenance={
            **asdict(config),
            "pool": ", ".join(account.source for account in sweep.accounts),
            "fingerprint": ", ".join(account.fingerprint for account in sweep.accounts),
            "pairing": sweep.pairing,
        },
        lead=_lead(config, sweep, found),
    )


def _account_table(accounts: tuple[Account, ...]) -> Table:
    """What reading dropped, changed or noted, of all pools in one table."""
    tables = [account_table(account) for account in accounts]
    rows = tuple((account.source, *row) for account, table in zip(accounts, tables, strict=True) for row in table.rows)
    return replace(
        tables[0], columns=("source", *tables[0].columns), rows=rows, note=" ".join(table.note for table in tables)
    )


def _lead(config: CapabilityConfig, sweep: Sweep, found: Measured) -> str:
    axis_K = sweep.axis
    along = f"From {config.label} {axis_K[0]:g} to {axis_K[-1]:g}"
    if not math.isfinite(found.proxy.rise.estimate):
        return f"{along}, {config.proxy} never varies: there is nothing that could rise."
    proxy = f"{along}, {config.proxy} {_moves(found.proxy)}"
    if found.gold is None:
        return f"{proxy}. No gold was named, so whether anything true rises with it is not known."
    if not math.isfinite(found.gold.rise.estimate):
        return f"{proxy}; {config.gold} never varies, so it says nothing."
    assert found.index is not None
    n_told, n_opposite = found.index.n_told, found.index.n_told_opposite
    pairs = (
        f"{n_opposite} of {n_told} distinguishable pairs are ordered oppositely" if n_told else "no pair can be told"
    )
    return f"{proxy} and {config.gold} {_moves(found.gold)}; {pairs}."


def _moves(side: Side) -> str:
    rise = side.rise
    word = {"rises": "rises by", "falls": "falls by", "not told": "moves by"}[side.sign]
    shown = rise.estimate if side.sign == "not told" else abs(rise.estimate)
    return f"{word} {shown:.2f} SD [{rise.low:.2f}, {rise.high:.2f}]"
