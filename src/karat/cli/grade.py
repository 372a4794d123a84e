"""`karat grade`: candidate code against tests, in a sandbox; also --doctor, --rollout and --verify."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from karat.cli.output import finish, verb_at_work, with_command_line, write_out
from karat.cli.shared import SharedVerb
from karat.errors import InputError
from karat.grade.config import GradeConfig
from karat.grade.rollout.config import RolloutConfig
from karat.types import Result


def grade(
    ctx: typer.Context,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TASKS CANDIDATES]",
            help="Tasks and candidates; with --rollout transcripts or patches; with --verify a results file, then "
            "optionally the tasks and candidates that it came from.",
            show_default=False,
        ),
    ] = None,
    *,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Results, one JSON line a candidate; FILE.log: the sealed log.")
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for an HTML page of the result.")] = None,
    doctor: Annotated[bool, typer.Option("--doctor", help="Tell which walls stand on this machine.")] = False,
    rollout: Annotated[bool, typer.Option("--rollout", help="Read what agents did to tests and graders.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Check a results file against its log.")] = False,
    config: Annotated[GradeConfig, "Grading"],
    rollouts: Annotated[RolloutConfig, "Rollouts"],
    shared: Annotated[SharedVerb, "Output"],
) -> None:
    """Grade code that cannot reach its grader, and say when it tried.

    Candidates get inputs only; expected answers, comparison and verdict stay in karat's process. Each candidate gets
    a verdict (pass, fail, error, timeout, tampered, invalid task) with the reason for each test, and what it did that
    looks like tampering, by technique and line.
    """
    if doctor + rollout + verify > 1:
        raise InputError("--doctor, --rollout and --verify exclude each other. Give one.")
    given = files or []
    with verb_at_work(shared) as progress:
        from karat.report.files import prepare_folder, write_report

        if report is not None:
            prepare_folder(report, option="--report")
        if doctor:
            result = _doctor(given)
        elif rollout:
            result = _rollout(given, out, rollouts, progress)
        elif verify:
            result = _verify(given, config)
        else:
            result = _grade(given, out, config, progress)
        result = with_command_line(result, ctx.obj)
        if report is not None:
            result = write_report(result, report)
    if doctor and not (shared.json or shared.md):
        write_out(_walls(result))
    finish(result, shared)


def _doctor(given: list[str]) -> Result:
    from karat.sandbox.doctor import doctor_result

    if given:
        raise InputError(f"--doctor takes no files; {given[0]!r} was given.")
    return doctor_result()


def _walls(result: Result) -> str:
    """The table of walls, which the text of a result leaves out."""
    from karat.sandbox.doctor import wall_lines

    return "\n".join([*wall_lines(result), "", ""])


def _rollout(given: list[str], out: Path | None, config: RolloutConfig, progress: Callable[..., Any] | None) -> Result:
    from karat.grade.rollout import grade_rollouts

    if not given:
        raise InputError("--rollout needs transcripts or patches: karat grade --rollout FILE ...")
    if out is not None:
        raise InputError("--rollout writes no results file: --report DIR writes a page with result.json beside it.")
    return grade_rollouts(given, config=config, progress=progress)


def _verify(given: list[str], config: GradeConfig) -> Result:
    from karat.grade import verify

    if not 1 <= len(given) <= 3:
        raise InputError("--verify needs a results file: karat grade --verify RESULTS [TASKS [CANDIDATES]]")
    return verify(
        *given[:1],
        tasks=given[1] if len(given) > 1 else None,
        candidates=given[2] if len(given) > 2 else None,
        key_file=config.key_file,
        tasks_format=config.tasks_format,
    )


def _grade(given: list[str], out: Path | None, config: GradeConfig, progress: Callable[..., Any] | None) -> Result:
    from karat.grade import grade

    if len(given) != 2:
        told = "1 was" if len(given) == 1 else f"{len(given)} were"
        raise InputError(f"grading needs two files, and {told} given: karat grade TASKS CANDIDATES --out FILE")
    if out is None:
        raise InputError("--out FILE is missing: karat grade TASKS CANDIDATES --out FILE")
    return grade(given[0], given[1], out=out, config=config, progress=progress)
