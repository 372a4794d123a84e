"""`karat train`: preference pairs to a reward model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from karat.cli.output import finish, verb_at_work, with_command_line
from karat.cli.shared import SharedVerb
from karat.train.config import TrainConfig


def train(
    ctx: typer.Context,
    pairs: Annotated[str, typer.Argument(metavar="PAIRS", help="Preference pairs: a file, folder or hub name.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the reward model and its evaluation.")],
    *,
    config: Annotated[TrainConfig, "Training"],
    shared: Annotated[SharedVerb, "Output"],
) -> None:
    """Train a reward model on preference pairs.

    Bradley-Terry with a scalar head on a decoder language model; evaluated on pairs that were held out. A run that was
    killed goes on from its last checkpoint when the same command is given again.
    """
    with verb_at_work(shared) as progress:
        from karat.train import train as run_train

        result = with_command_line(run_train(pairs, out=out, config=config, progress=progress), ctx.obj)
    finish(result, shared)
