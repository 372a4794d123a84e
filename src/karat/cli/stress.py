"""`karat stress`: how hard a reward can be optimised before the truth falls."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from karat.cli.output import finish, verb_at_work, with_command_line
from karat.cli.shared import SharedVerb
from karat.stress.config import StressConfig


def stress(
    ctx: typer.Context,
    pool: Annotated[str, typer.Argument(metavar="POOL", help="Responses, one a row, with score columns.")],
    config: Annotated[StressConfig, "Columns"],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the report and --export.")] = Path(
        "karat-report"
    ),
    *,
    shared: Annotated[SharedVerb, "Output"],
) -> None:
    """Measure how hard a reward can be optimised before the truth falls.

    Takes samples of the policy with a proxy column and, where there is one, a gold column. Gives the proxy and the gold
    at best of n for every n at once, where the gold peaks, how far is certified without a curve, whether the error's
    tail is heavy, what the choice inflates, and which mitigations cost less gold at equal KL. With --export one of them
    is written as a reward.
    """
    with verb_at_work(shared) as progress:
        from karat.report.files import prepare_folder, write_report
        from karat.stress import stress as run_stress

        prepare_folder(out)
        result = with_command_line(run_stress(pool, out=out, config=config, progress=progress), ctx.obj)
        result = write_report(result, out)
    finish(result, shared)
