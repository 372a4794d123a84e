"""`karat check`: run every check that the inputs allow, and write the report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from karat.check.config import CheckConfig
from karat.cli.output import finish, verb_at_work, with_command_line
from karat.cli.shared import SharedVerb


def check(
    ctx: typer.Context,
    config: Annotated[CheckConfig, "Inputs"],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for report.html and result.json.")] = Path(
        "karat-report"
    ),
    *,
    shared: Annotated[SharedVerb, "Output"],
) -> None:
    """Measure how far a reward can be trusted.

    Takes preference data, a reward and a pool, or any of them; runs every check that the inputs allow, says which it
    could not run and why, and writes one HTML page. Without inputs it runs on a built-in world whose faults are known.
    """
    with verb_at_work(shared) as progress:
        from karat.check import check as run_check
        from karat.report.files import prepare_folder, write_report

        prepare_folder(out)
        result = with_command_line(run_check(out=out, config=config, progress=progress), ctx.obj)
        result = write_report(result, out)
    finish(result, shared)
