"""`karat audit data`: what is wrong with these preferences."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from karat.audit.data.config import AuditDataConfig
from karat.cli.output import finish, verb_at_work, with_command_line
from karat.cli.shared import SharedVerb


def audit_data(
    ctx: typer.Context,
    pairs: Annotated[
        list[str],
        typer.Argument(metavar="PAIRS...", help="Preference pairs: a file, folder or hub name; several are compared."),
    ],
    *,
    config: Annotated[AuditDataConfig, "Audit"],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the report, the lists and the cleaned copy.")] = (
        Path("karat-report")
    ),
    shared: Annotated[SharedVerb, "Output"],
) -> None:
    """Say what is wrong with a set of preferences.

    Duplicates, contradictions, leaks and contamination; how much of the preference can be told without reading; labels
    that are probably wrong; what the prompts cover. With several PAIRS: which one trains the better reward. With --fix
    a cleaned copy is written, and its effect measured.
    """
    with verb_at_work(shared) as progress:
        from karat.audit.data import audit_data as run_audit
        from karat.report.files import prepare_folder, write_report

        prepare_folder(out)
        result = with_command_line(run_audit(*pairs, out=out, config=config, progress=progress), ctx.obj)
        result = write_report(result, out)
    finish(result, shared)
