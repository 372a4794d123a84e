"""`karat explain`: what a finding's code means."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

import typer

from karat.cli.output import render, verb_at_work, write_out
from karat.cli.shared import Shared
from karat.cli.streams import terminal_width
from karat.report.explain import Explanation, explain_markdown, explain_result, list_codes
from karat.report.explain import explain as explain_code
from karat.types import Result

CHECKS = (
    "audit.data.compare_findings",
    "audit.data.content_findings",
    "audit.data.coverage_findings",
    "audit.data.noise_findings",
    "audit.data.repair_findings",
    "audit.data.structure_findings",
    "audit.reward.attack_findings",
    "audit.reward.benchmarks.findings",
    "audit.reward.calibrate_findings",
    "audit.reward.predict_findings",
    "audit.reward.probe_findings",
    "audit.reward.process.explanations",
    "audit.reward.sanity_findings",
    "audit.reward.sophistry_findings",
    "check.gold",
    "grade.findings",
    "grade.hardcoding.gap",
    "grade.known",
    "grade.rollout.findings",
    "grade.verification",
    "pool.run",
    "sandbox.doctor",
    "score.run",
    "selftest.run",
    "stress.capability.findings",
    "stress.evidence",
    "stress.findings",
    "stress.mitigation_findings",
    "stress.proxies_findings",
    "stress.rl.findings",
    "stress.synthetic.findings",
    "stress.transfer.findings",
    "train.evaluation_findings",
    "train.labelling.findings",
    "train.process.evaluation_findings",
)
"""Modules of karat that state findings; each has its EXPLANATIONS."""


def every_explanation() -> dict[str, Explanation]:
    """What each code means, gathered from the checks that use it."""
    modules = (import_module(f"karat.{name}") for name in CHECKS)
    return {code: entry for module in modules for code, entry in module.EXPLANATIONS.items()}


def explain(
    code: Annotated[str, typer.Argument(metavar="CODE", help="Code of a finding; without it, all are listed.")] = "",
    *,
    shared: Annotated[Shared, "Output"],
) -> None:
    """Explain the code of a finding.

    What it measures, how its verdict is decided, and what to do about it.
    """
    with verb_at_work(shared):
        explanations = every_explanation()

    if not code:
        titles = {known: entry[0] for known, entry in sorted(explanations.items())}
        text = list_codes(explanations)
        if shared.md:
            text = "".join(f"- `{known}` {title}\n" for known, title in titles.items())
        write_out(render(Result("explain", values={"codes": titles}), shared) if shared.json else text)
    elif shared.json:
        write_out(render(explain_result(code, explanations), shared))
    elif shared.md:
        write_out(explain_markdown(code, explanations))
    else:
        write_out(explain_code(code, explanations, width=terminal_width()))
