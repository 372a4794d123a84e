"""`karat selftest`: each detector and estimator against worlds whose truth is planted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from karat.selftest import (
    audit_attack,
    audit_benchmarks,
    audit_calibration,
    audit_compare,
    audit_content,
    audit_coverage,
    audit_noise,
    audit_probes,
    audit_process,
    audit_sanity,
    audit_structure,
    capability,
    curves,
    grade_cheats,
    grade_hardcoding,
    grade_rollouts,
    grade_tasks,
    mitigations,
    process_faults,
    process_intervals,
    proxies,
    rl,
    step_check,
    step_labels,
    step_world,
    stress,
    synthetic,
    transfer,
)
from karat.selftest.config import SelftestConfig
from karat.selftest.planted import PlantedRow
from karat.types import Finding, Result, Table

_EXPLANATION = (
    "The share of replications of a planted world in which it happened, with Wilson's 95 % interval; a world is "
    "described in the baseline.",
    "ok: the interval meets the promised range. problem: it lies outside. Of many promises kept exactly, one now "
    "and then lies outside by chance: look again with --full and another seed.",
    "problem: run karat selftest --full; if it stays, the numbers of this installation are not to be trusted: report "
    "it with the versions that the result names.",
)
TITLES = {
    **stress.TITLES,
    **step_world.TITLES,
    **curves.TITLES,
    **mitigations.TITLES,
    **proxies.TITLES,
    **process_faults.TITLES,
    **process_intervals.TITLES,
    **capability.TITLES,
    **synthetic.TITLES,
    **rl.TITLES,
    **transfer.TITLES,
    **audit_structure.TITLES,
    **audit_content.TITLES,
    **audit_coverage.TITLES,
    **audit_noise.TITLES,
    **audit_compare.TITLES,
    **audit_benchmarks.TITLES,
    **audit_attack.TITLES,
    **audit_calibration.TITLES,
    **audit_probes.TITLES,
    **audit_sanity.TITLES,
    **audit_process.TITLES,
    **step_check.TITLES,
    **step_labels.TITLES,
    **grade_cheats.TITLES,
    **grade_hardcoding.TITLES,
    **grade_rollouts.TITLES,
    **grade_tasks.TITLES,
}
EXPLANATIONS: dict[str, tuple[str, str, str, str]] = {code: (title, *_EXPLANATION) for code, title in TITLES.items()}


def selftest(
    *, config: SelftestConfig | None = None, progress: Callable[..., None] | None = None, **options: Any
) -> Result:
    """Plant known faults and count how often they are found, and how often something is found where nothing is.

    Args:
        config: how long; `options` override single fields by name.
        progress: called as progress(stage, done, total, note).
    Returns: one finding for each promise, and a table of all.
    """
    config = replace(config or SelftestConfig(), **options)
    replications = 200 if config.full else 40
    rows = [
        *stress.stress_rows(replications, config.seed, progress),
        *curves.curve_rows(replications, config.seed, progress),
        *mitigations.mitigation_rows(replications, config.seed, progress),
        *proxies.proxies_rows(replications, config.seed, progress),
        *process_faults.fault_rows(replications, config.seed, progress),
        *process_intervals.process_interval_rows(replications, config.seed, progress),
        *capability.capability_rows(replications, config.seed, progress),
        *synthetic.synthetic_rows(replications, config.seed, progress),
        *rl.rl_rows(replications, config.seed, progress),
        *transfer.transfer_rows(replications, config.seed, progress),
        *audit_structure.structure_rows(replications, config.seed, progress),
        *audit_content.content_rows(replications, config.seed, progress),
        *audit_coverage.coverage_rows(replications, config.seed, progress),
        *audit_noise.noise_rows(replications, config.seed, progress),
        *audit_compare.compare_rows(replications, config.seed, progress),
        *audit_benchmarks.benchmark_rows(replications, config.seed, progress),
        *audit_attack.attack_rows(replications, config.seed, progress),
        *audit_calibration.calibration_rows(replications, config.seed, progress),
        *audit_probes.probes_rows(replications, config.seed, progress),
        *audit_sanity.sanity_rows(replications, config.seed, progress),
        *audit_process.process_rows(replications, config.seed, progress),
        *step_world.step_world_rows(replications, config.seed, progress),
        *step_check.step_check_rows(replications, config.seed, progress),
        *step_labels.step_label_rows(replications, config.seed, progress),
        *grade_tasks.task_rows(replications, config.seed, progress),
        *grade_hardcoding.hardcoding_rows(replications, config.seed, progress),
        *grade_rollouts.rollout_rows(replications, config.seed, progress),
        *grade_cheats.cheat_rows(replications, config.seed, progress),
    ]
    broken = [row for row in rows if not row.is_kept]
    return Result(
        command="selftest",
        findings=tuple(map(_finding, rows)),
        tables=(_table(rows),),
        values={row.code: row.share for row in rows},
        provenance=asdict(config),
        lead=f"{len(rows) - len(broken)} of {len(rows)} promises are kept on planted truth"
        + (f"; broken: {', '.join(row.code for row in broken)}." if broken else "."),
    )


def _finding(row: PlantedRow) -> Finding:
    low, high = row.interval
    return Finding(
        code=row.code,
        title=row.title,
        verdict="ok" if row.is_kept else "problem",
        effect=row.share,
        low=low,
        high=high,
        unit="share",
        n_used=row.n,
        gold="planted truth",
        baseline=f"{row.planted}; promised {row.least:g} to {row.most:g}",
        action="" if row.is_kept else _EXPLANATION[2],
    )


def _table(rows: list[PlantedRow]) -> Table:
    columns = ("code", "promise", "planted", "share", "low", "high", "n", "promised_least", "promised_most", "kept")
    cells = tuple(
        (row.code, row.title, row.planted, row.share, *row.interval, row.n, row.least, row.most, row.is_kept)
        for row in rows
    )
    return Table("planted_truth", "Planted truth", columns, cells, "n: replications, or intervals of them.")
