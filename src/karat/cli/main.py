"""The entry point of the `karat` command."""

from __future__ import annotations

from typing import Annotated

import typer

from karat import __version__
from karat.cli.app import add_command, new_app
from karat.cli.audit_data import audit_data
from karat.cli.audit_reward import audit_reward
from karat.cli.check import check
from karat.cli.explain import explain
from karat.cli.failures import WRONG_USE
from karat.cli.grade import grade
from karat.cli.output import write_out
from karat.cli.pool import pool
from karat.cli.score import score
from karat.cli.selftest import selftest
from karat.cli.stress import stress
from karat.cli.stress_capability import stress_capability
from karat.cli.stress_rl import stress_rl
from karat.cli.stress_synthetic import stress_synthetic
from karat.cli.stress_transfer import stress_transfer
from karat.cli.train import train

app = new_app()


def _print_version(wanted: bool) -> None:
    if wanted:
        write_out(f"karat {__version__}\n")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def karat(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """karat tells you how much of your reward is gold: train, measure and guard the rewards that language models
    are optimised against."""
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help(), err=True)
        raise typer.Exit(WRONG_USE)


for command in (
    check,
    train,
    pool,
    score,
    audit_data,
    audit_reward,
    stress,
    stress_capability,
    stress_rl,
    stress_synthetic,
    stress_transfer,
    grade,
    selftest,
    explain,
):
    add_command(app, command)


def run() -> None:
    """Run the command line of this process and exit with its status."""
    app()
