"""`karat grade`: tasks and candidates in, one verdict each out, with a sealed log beside the results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

from karat import __version__
from karat.data.account import account_table
from karat.grade.config import GradeConfig
from karat.grade.findings import Tally, lead_of, run_findings, run_tables, run_values, seal_finding
from karat.grade.hardcoding import gap_findings
from karat.grade.known import NAME as KNOWN
from karat.grade.known import OF_CANDIDATES, known_findings
from karat.grade.known import lead_of as known_lead
from karat.grade.log import read_key
from karat.grade.ray_grader import grader_of
from karat.grade.readers import load_candidates, load_tasks
from karat.grade.results_file import ResultsWriter, request_of
from karat.grade.seal import changes, take_seal
from karat.grade.types import Candidate, Graded, Task
from karat.types import Result

Progress = Callable[..., None]


def grade(
    tasks: Any,
    candidates: Any,
    *,
    out: str | Path | None = None,
    config: GradeConfig | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Result:
    """Grade candidates on tasks.

    Args:
        tasks: a file or rows in any format that is read (`karat.grade.readers.read_tasks`), or Task records.
        candidates: a file or rows, or Candidate records.
        out: results file, one JSON line a candidate; beside it OUT.log, the sealed log. None: no files.
        config: options; `options` override single fields by name.
        progress: called as progress(stage, done, total, note).
    Returns: findings GR111 onwards; tables of verdicts, attempts, attempts over steps; values n_pass, pass_rate, ...
    Raises: InputError and its kin for input that cannot be used; a run that was killed is resumed by the same call.
    """
    config = replace(config or GradeConfig(), **options)
    key = read_key(config.key_file)
    known = isinstance(tasks, str) and tasks == candidates == KNOWN
    task_records, task_account = load_tasks(tasks, config.tasks_format)
    candidate_records, account = load_candidates(candidates, task_records)
    tables = [account_table(each) for each in (task_account, account) if each is not None]
    before = take_seal(task_records)
    request = request_of(config, before, candidate_records)
    writer = ResultsWriter(Path(out), request, key, overwrite=config.overwrite) if out is not None else None
    tally, results, backend = _grade_all(task_records, candidate_records, config, writer, progress)
    changed = changes(before, take_seal(task_records))
    head = writer.finish(changed) if writer else ""
    checked = [task.task_id for task in task_records if task.reference and config.check_tasks]
    gap, gap_tables, gap_values = gap_findings(results)
    findings = [*run_findings(tally, tasks=len(task_records), checked=checked, watched=config.watch), *gap]
    lead = lead_of(tally)
    if known:
        intended, families = known_findings(results)
        findings = [*intended, *(finding for finding in findings if finding.code not in OF_CANDIDATES)]
        tables, lead = [*families, *tables], known_lead(intended)
    return Result(
        "grade",
        findings=(*findings, seal_finding(changed)),
        tables=(*run_tables(tally), *gap_tables, *tables),
        values={**run_values(tally), **gap_values, "backend": backend, "log_head": head},
        files=tuple(str(path) for path in writer.paths) if writer else (),
        provenance={"inputs": asdict(config), "seal": asdict(before), "karat": __version__},
        lead=lead,
    )


def _grade_all(
    tasks: Sequence[Task],
    candidates: Sequence[Candidate],
    config: GradeConfig,
    writer: ResultsWriter | None,
    progress: Progress | None,
) -> tuple[Tally, list[Graded], str]:
    """Counts, results (without the reasons of their tests, which the file holds), and the back end's name."""
    done = writer.done if writer else []
    tally, results = Tally(), []
    with grader_of(tasks, config) as grader:
        graded = chain(done, grader.grade(candidates[len(done) :]))
        for number, result in enumerate(graded, start=1):
            tally.add(result)
            results.append(replace(result, tests=tuple(replace(test, reason="") for test in result.tests)))
            if writer and number > len(done):
                writer.add(result)
            if progress:
                progress("grading", number, len(candidates), f"{sum(tally.condemned)} tampered")
        problems = {task.task_id: grader.task_problem(task) for task in tasks} if config.check_tasks else {}
        tally.invalid |= {task_id: reason for task_id, reason in problems.items() if reason}
        return tally, results, grader.backend
