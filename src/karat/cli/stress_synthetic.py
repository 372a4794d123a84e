"""`karat stress synthetic`: a gold reward, proxies that learn from it, and what optimising them costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from karat.cli.output import finish, verb_at_work, with_command_line
from karat.cli.shared import SharedVerb
from karat.stress.synthetic.config import SyntheticConfig


def stress_synthetic(
    ctx: typer.Context,
    pool: Annotated[
        str, typer.Argument(metavar="POOL", help="Responses, several to a prompt; none: a built-in world.")
    ] = "",
    *,
    config: Annotated[SyntheticConfig, "Experiment"],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for report.html and result.json.")] = Path(
        "karat-report"
    ),
    shared: Annotated[SharedVerb, "Output"],
) -> None:
    """Let a gold reward label data, train proxies on it, and compare how far they can be optimised.

    Proxies learn from several numbers of labels and shares of flipped ones, several draws each. Best of n by a single
    proxy is set beside best of n by ensembles of them: where the gold peaks, how far it falls, and what more labels,
    less noise or an ensemble would hold. Without POOL it runs in a built-in world, in two minutes.
    """
    with verb_at_work(shared) as progress:
        from karat.report.files import prepare_folder, write_report
        from karat.stress.synthetic import synthetic

        prepare_folder(out)
        result = synthetic(pool or None, config=config, progress=progress)
        result = write_report(with_command_line(result, ctx.obj), out)
    finish(result, shared)
