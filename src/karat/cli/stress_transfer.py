"""`karat stress transfer`: do hacks that are learned in one setting show in others?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from karat.cli.output import finish, verb_at_work, with_command_line
from karat.cli.shared import SharedVerb
from karat.stress.transfer.config import TransferConfig


def stress_transfer(
    ctx: typer.Context,
    pool: Annotated[
        str, typer.Argument(metavar="POOL", help="Judged responses; none: policies of a built-in world are trained.")
    ] = "",
    *,
    config: Annotated[TransferConfig, "Matrix"],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the report and the built-in rollouts.")] = Path(
        "karat-report"
    ),
    shared: Annotated[SharedVerb, "Output"],
) -> None:
    """Measure whether policies that learned to hack in one setting hack in others.

    Takes responses of policies trained in several settings, evaluated in all of them, with the base policy's, and a
    column that says which responses hack. Gives the matrix of hack rates with intervals over prompts and training runs,
    tests against the base over all cells at once, and how much carries over. Without POOL small policies are trained
    with three judges that have a planted exploit each.
    """
    with verb_at_work(shared) as progress:
        from karat.report.files import prepare_folder, write_report
        from karat.stress.transfer import transfer

        prepare_folder(out)
        result = transfer(pool or None, out=out, config=config, progress=progress)
        result = write_report(with_command_line(result, ctx.obj), out)
    finish(result, shared)
