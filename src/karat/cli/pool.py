"""`karat pool`: sample responses of a policy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from karat.cli.output import finish, verb_at_work, with_command_line
from karat.cli.shared import SharedVerb
from karat.pool.config import PoolConfig


def pool(
    ctx: typer.Context,
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A folder or hub name of a causal language model, or default.")
    ],
    prompts: Annotated[str, typer.Argument(metavar="PROMPTS", help="Rows with a prompt each; pairs and pools too.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="File for the responses, one a row.")],
    *,
    config: Annotated[PoolConfig, "Sampling"],
    shared: Annotated[SharedVerb, "Output"],
) -> None:
    """Sample responses of a language model to prompts, for `karat score` and `karat stress`.

    The same seed gives the same responses, and a run that was killed goes on where it stopped when the same command is
    given again. Each prompt is computed once for all of its responses.
    """
    with verb_at_work(shared) as progress:
        from karat.pool import pool as run_pool

        result = with_command_line(run_pool(model, prompts, out=out, config=config, progress=progress), ctx.obj)
    finish(result, shared)
