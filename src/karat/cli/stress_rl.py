"""`karat stress rl`: how far reinforcement learning can push a policy before the truth falls."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from karat.cli.output import finish, verb_at_work, with_command_line
from karat.cli.shared import SharedVerb
from karat.stress.rl.config import RlConfig


def stress_rl(
    ctx: typer.Context,
    policy: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="Causal language model to optimise, or default; none: a built-in world."),
    ] = "",
    prompts: Annotated[str, typer.Argument(metavar="PROMPTS", help="Rows with a prompt each.")] = "",
    *,
    config: Annotated[RlConfig, "Optimisation"],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the report, the policy and its rollouts.")
    ] = Path("karat-report"),
    shared: Annotated[SharedVerb, "Output"],
) -> None:
    """Optimise a policy against a reward, and watch how far the gold follows.

    Runs GRPO on a policy with any reward as the proxy and any other as the gold. Every few steps it samples responses
    to held-out prompts and records both rewards and the KL divergence from the start. The rollouts are a pool that
    `karat stress capability --axis step` reads. Without MODEL a small policy is trained in a built-in world.
    """
    with verb_at_work(shared) as progress:
        from karat.report.files import prepare_folder, write_report
        from karat.stress.rl import rl

        prepare_folder(out)
        result = rl(policy, prompts or None, out=out, config=config, progress=progress)
        result = write_report(with_command_line(result, ctx.obj), out)
    finish(result, shared)
