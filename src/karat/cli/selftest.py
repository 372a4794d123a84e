"""`karat selftest`: planted truth, recovered."""

from __future__ import annotations

from typing import Annotated

import typer

from karat.cli.output import finish, verb_at_work, with_command_line
from karat.cli.shared import SharedVerb
from karat.selftest.config import SelftestConfig


def selftest(
    ctx: typer.Context,
    config: Annotated[SelftestConfig, "Replications"],
    *,
    shared: Annotated[SharedVerb, "Output"],
) -> None:
    """Plant known faults, recover them, and print the table.

    Coverage of intervals, power and false alarms of verdicts, each with its own interval, against what is promised.
    """
    with verb_at_work(shared) as progress:
        from karat.selftest import selftest as run_selftest

        result = with_command_line(run_selftest(config=config, progress=progress), ctx.obj)
    finish(result, shared)
