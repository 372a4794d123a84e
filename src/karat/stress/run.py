"""`karat stress POOL`: best-of-n over-optimisation of a proxy, measured against a gold, on samples that exist."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from karat.data.account import account_table
from karat.errors import InputError
from karat.stress.config import StressConfig
from karat.stress.curves import Stressed, measure
from karat.stress.evidence import evidence_findings
from karat.stress.export import Exported, export_mitigation
from karat.stress.findings import findings_of
from karat.stress.mitigation_findings import mitigation_finding, mitigation_table, mitigation_values
from karat.stress.mitigations import Comparison, compare_mitigations
from karat.stress.pool import StressPool, read_stress_pool
from karat.stress.proxies import compare_proxies
from karat.stress.proxies_findings import (
    proxies_findings,
    proxies_lead,
    proxies_tables,
    proxies_values,
)
from karat.stress.tables import tables_of, values_of
from karat.types import Result

Progress = Callable[..., None]


def stress(
    pool: Any,
    *,
    out: str | Path | None = None,
    config: StressConfig | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Result:
    """How far best of n can push a proxy before the gold falls.

    Args:
        pool: a pool with score columns, in any form that is read: a path, a hub name, or rows.
        out: folder that `export` writes a reward to; only that needs one.
        config: columns and settings; `options` override single fields by name (`proxy` is required).
        progress: called as progress(stage, done, total, note).
    Returns: findings ST301 to ST310, and ST801 and ST802 where `against` names other proxies; tables of the curves,
        mitigations, fits, labels and inflation; values with stable names.
    Raises: InputError, DataError and their kin for input that cannot be used.
    """
    config = replace(config, **options) if config else StressConfig(**options)
    if config.export and out is None:
        raise InputError("--export needs a folder to write to (out=).")
    if progress:
        progress("reading the pool", 0, 1, "pool")
    read = read_stress_pool(pool, config)
    if progress:
        progress("best of n", 0, read.max_n, f"{read.matrix.n_prompts} prompts")
    found = measure(read, config)
    comparison, exported = _mitigations(read, config, out, progress)
    contest = compare_proxies(read, config) if config.against and config.gold else None
    curves, *others = tables_of(read, found, (config.proxy, config.gold))
    mitigations = mitigation_table(comparison, f"{exported.rule} in {exported.folder}" if exported else "")
    stated = (
        *findings_of(read, found, config.gold),
        mitigation_finding(comparison, config),
        *evidence_findings(read, found),
        *proxies_findings(contest, config),
    )
    return Result(
        command="stress",
        findings=tuple(
            finding if finding.verdict == "not checked" else replace(finding, gold=config.gold) for finding in stated
        ),
        tables=(
            curves,
            *proxies_tables(contest),
            *([mitigations] if mitigations.rows else []),
            *others,
            account_table(read.account),
        ),
        values={
            **values_of(read, found),
            **mitigation_values(comparison),
            **(proxies_values(contest) if config.against else {}),
            "exported": exported.rule if exported else "",
        },
        files=exported.files if exported else (),
        provenance={**asdict(config), "pool": read.name, "fingerprint": read.account.fingerprint},
        lead=_lead(config, found) + proxies_lead(contest),
    )


def _mitigations(
    pool: StressPool, config: StressConfig, out: str | Path | None, progress: Progress | None
) -> tuple[Comparison | None, Exported | None]:
    """The comparison, where there is a gold; and the reward that was written, where one was asked for."""
    if progress:
        progress("mitigations", 0, 1, "side by side")
    comparison = compare_mitigations(pool, config) if config.gold else None
    exported = export_mitigation(pool, config, comparison, Path(out)) if config.export and out is not None else None
    return comparison, exported


def _lead(config: StressConfig, found: Stressed) -> str:
    gold, last = found.gold, int(found.n_N[-1])
    gain = float(found.proxy.mean_N[-1])
    if not math.isfinite(gain):
        return f"{config.proxy} is equal for all responses of a prompt: best of n has nothing to choose by."
    if gold is None:
        return (
            f"Best of {last} raises {config.proxy} by {gain:.2f} SD. No gold was named, so whether anything true rises "
            "with it is not known."
        )
    if gold.peak is None:
        raised = f"Best of {last} raises {config.proxy} by {gain:.2f} SD"
        if math.isnan(gold.correlation.low):
            return f"{raised}; what it does to {config.gold} cannot be told from these prompts and labels."
        return f"{raised}; the labels of {config.gold} certify best of {gold.certified_n}."
    peak = gold.peak
    where = f"the last n, {last}" if peak.is_last else f"n = {peak.n} [{peak.low_n}, {peak.high_n}]"
    return (
        f"Best of {last} raises {config.proxy} by {gain:.2f} SD and {config.gold} by {gold.curve.mean_N[-1]:.2f} SD; "
        f"{config.gold} peaks at {where} with {gold.curve.mean_N[peak.n - 1]:.2f} SD; certified: best of "
        f"{gold.certified_n}."
    )
