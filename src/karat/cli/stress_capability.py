"""`karat stress capability`: does a better optimiser hack more?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from karat.cli.output import finish, verb_at_work, with_command_line
from karat.cli.shared import SharedVerb
from karat.stress.capability.config import CapabilityConfig


def stress_capability(
    ctx: typer.Context,
    pools: Annotated[
        list[str],
        typer.Argument(metavar="POOL=VALUE...", help="Pools, each with its value on the axis; or one POOL and --axis."),
    ],
    config: Annotated[CapabilityConfig, "Columns and axis"],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for report.html and result.json.")] = Path(
        "karat-report"
    ),
    *,
    shared: Annotated[SharedVerb, "Output"],
) -> None:
    """Measure whether a better optimiser buys more gold, or more proxy at the gold's expense.

    Takes pools of the same prompts along a capability axis (model size, training steps, sampling budget, temperature).
    Gives the slopes of proxy and gold, whether and where the gold changes course, and the share of pairs of points that
    proxy and gold order oppositely. The signs are measured, not assumed.
    """
    with verb_at_work(shared) as progress:
        from karat.report.files import prepare_folder, write_report
        from karat.stress.capability import capability as run_capability

        prepare_folder(out)
        result = with_command_line(run_capability(pools, config=config, progress=progress), ctx.obj)
        result = write_report(result, out)
    finish(result, shared)
