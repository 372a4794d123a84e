"""`karat score`: a reward over pairs or a pool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from karat.cli.output import finish, verb_at_work, with_command_line
from karat.cli.shared import SharedVerb
from karat.score.config import ScoreConfig


def score(
    ctx: typer.Context,
    reward: Annotated[
        str,
        typer.Argument(
            metavar="REWARD",
            help="A folder or hub name of a reward model, module:function, http(s)://..., or builtin:NAME.",
        ),
    ],
    file: Annotated[str, typer.Argument(metavar="FILE", help="Preference pairs or a pool.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="File for the rows with the score columns added.")],
    *,
    config: Annotated[ScoreConfig, "Scoring"],
    shared: Annotated[SharedVerb, "Output"],
) -> None:
    """Score every response of a file with a reward.

    The rows are written again with the score columns added. A score that is missing stays missing, with its reason; a
    run that was killed goes on where it stopped when the same command is given again.
    """
    with verb_at_work(shared) as progress:
        from karat.score import score_file

        result = with_command_line(score_file(reward, file, out=out, config=config, progress=progress), ctx.obj)
    finish(result, shared)
