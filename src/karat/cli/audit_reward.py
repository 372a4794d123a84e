"""`karat audit reward`: what does this reward wrongly pay for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from karat.audit.reward.config import AuditRewardConfig
from karat.cli.output import finish, verb_at_work, with_command_line
from karat.cli.shared import SharedVerb


def audit_reward(
    ctx: typer.Context,
    reward: Annotated[
        str, typer.Argument(metavar="REWARD", help="Folder, hub name, module:function, builtin:NAME or ensemble:A,B.")
    ],
    *,
    config: Annotated[AuditRewardConfig, "Audit"],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the report and a calibrated reward.")] = Path(
        "karat-report"
    ),
    shared: Annotated[SharedVerb, "Output"],
) -> None:
    """Find what a reward wrongly pays for.

    Sanity of its scores first; then edits that cannot change what is right, wrong answers made convincing, a search
    for strings that it overpays, a prediction of what optimisation will inflate, and benchmarks scored with intervals.
    A reward that scores steps is also tried with the known hacks of process rewards, under every aggregate. With --fix
    a calibrated reward is written.
    """
    with verb_at_work(shared) as progress:
        from karat.audit.reward import audit_reward as run_audit
        from karat.report.files import prepare_folder, write_report

        prepare_folder(out)
        result = with_command_line(run_audit(reward, out=out, config=config, progress=progress), ctx.obj)
        result = write_report(result, out)
    finish(result, shared)
