"""`karat train`: preference pairs to a reward model, or step labels to a process reward."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from karat.cli.output import finish, verb_at_work, with_command_line
from karat.cli.shared import SharedVerb
from karat.errors import InputError
from karat.train.config import TrainConfig
from karat.train.labelling.config import LabelOptions
from karat.train.process.config import ProcessConfig


def train(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="PAIRS|STEPS", help="Preference pairs, or solutions in steps: a file, folder or hub name."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the reward model and its evaluation.")],
    *,
    process: Annotated[
        bool,
        typer.Option(
            "--process", help="Train a process reward: STEPS, read at the end of each step.", show_default=False
        ),
    ] = False,
    config: Annotated[TrainConfig, "Training"],
    steps: Annotated[ProcessConfig, "Process rewards (with --process)"],
    labels: Annotated[LabelOptions, "Labels without people (with --process --label)"],
    shared: Annotated[SharedVerb, "Output"],
) -> None:
    """Train a reward model on preference pairs, or (--process) on step labels.

    Bradley-Terry with a scalar head on a decoder language model, or the probability that each step is right; evaluated
    on prompts that were held out. A run that was killed goes on from its last checkpoint when the same command is given
    again.
    """
    refuse_options_of_the_other_kind(ctx, process=process)
    refuse_options_of_labelling(ctx, is_asked=process and bool(labels.label))
    with verb_at_work(shared) as progress:
        if process and labels.label:
            from karat.train.labelling.train import train_labelled

            result = train_labelled(source, out=out, labels=labels, config=steps, progress=progress)
        elif process:
            from karat.train.process import train_process

            result = train_process(source, out=out, config=steps, progress=progress)
        else:
            from karat.train import train as run_train

            result = run_train(source, out=out, config=config, progress=progress)
        result = with_command_line(result, ctx.obj)
    finish(result, shared)


def refuse_options_of_the_other_kind(ctx: Any, *, process: bool) -> None:
    """Raises InputError: an option was given that only the other kind of training has; it would be ignored."""
    names = {kind: {field.name for field in dataclasses.fields(kind)} for kind in (TrainConfig, ProcessConfig)}
    own, other = (ProcessConfig, TrainConfig) if process else (TrainConfig, ProcessConfig)
    for parameter in ctx.command.params:
        is_foreign = parameter.name in names[other] - names[own]
        if is_foreign and ctx.get_parameter_source(parameter.name).name == "COMMANDLINE":
            flag = parameter.opts[0]
            why = "is for preference pairs; drop it, or --process" if process else "is for steps; add --process"
            raise InputError(f"{flag} {why}.")


def refuse_options_of_labelling(ctx: Any, *, is_asked: bool) -> None:
    """Raises InputError: an option of labelling was given, but no method; it would be ignored."""
    names = {field.name for field in dataclasses.fields(LabelOptions)}
    for parameter in ctx.command.params:
        is_given = parameter.name in names and ctx.get_parameter_source(parameter.name).name == "COMMANDLINE"
        if is_given and not is_asked:
            raise InputError(f"{parameter.opts[0]} is for labelling steps; add --process and --label mc or binary.")
