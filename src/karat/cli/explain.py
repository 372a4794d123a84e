"""`karat explain`: what a finding's code means."""

from __future__ import annotations

from typing import Annotated

import typer

from karat.cli.output import render, verb_at_work, write_out
from karat.cli.shared import Shared
from karat.cli.streams import terminal_width
from karat.report.explain import explain as explain_code
from karat.report.explain import explain_markdown, explain_result, list_codes
from karat.types import Result


def every_explanation() -> dict[str, tuple[str, str, str, str]]:
    """What each code means, gathered from the checks that use it."""
    from karat.audit.data import compare_findings as comparison
    from karat.audit.data import content_findings as content
    from karat.audit.data import coverage_findings as coverage
    from karat.audit.data import noise_findings as noise
    from karat.audit.data import repair_findings as repair
    from karat.audit.data import structure_findings as structure
    from karat.audit.reward import attack_findings as attack
    from karat.audit.reward import calibrate_findings as calibration
    from karat.audit.reward import predict_findings as predict
    from karat.audit.reward import probe_findings as probes
    from karat.audit.reward import sanity_findings as sanity
    from karat.audit.reward import sophistry_findings as sophistry
    from karat.audit.reward.benchmarks import findings as benchmarks
    from karat.check import gold
    from karat.grade import findings as grade
    from karat.grade import known as known_programs
    from karat.grade import verification
    from karat.grade.hardcoding import gap as hardcoding
    from karat.grade.rollout import findings as rollouts
    from karat.pool import run as pool
    from karat.sandbox import doctor
    from karat.score import run as score
    from karat.selftest import run as selftest
    from karat.stress import evidence
    from karat.stress import findings as stress
    from karat.stress import mitigation_findings as mitigations
    from karat.stress.capability import findings as capability
    from karat.stress.rl import findings as rl
    from karat.stress.synthetic import findings as synthetic
    from karat.stress.transfer import findings as transfer
    from karat.train import evaluation_findings as train

    return {
        **train.EXPLANATIONS,
        **gold.EXPLANATIONS,
        **pool.EXPLANATIONS,
        **score.EXPLANATIONS,
        **stress.EXPLANATIONS,
        **mitigations.EXPLANATIONS,
        **evidence.EXPLANATIONS,
        **capability.EXPLANATIONS,
        **rl.EXPLANATIONS,
        **synthetic.EXPLANATIONS,
        **transfer.EXPLANATIONS,
        **sanity.EXPLANATIONS,
        **probes.EXPLANATIONS,
        **sophistry.EXPLANATIONS,
        **attack.EXPLANATIONS,
        **calibration.EXPLANATIONS,
        **predict.EXPLANATIONS,
        **benchmarks.EXPLANATIONS,
        **grade.EXPLANATIONS,
        **known_programs.EXPLANATIONS,
        **hardcoding.EXPLANATIONS,
        **rollouts.EXPLANATIONS,
        **verification.EXPLANATIONS,
        **doctor.EXPLANATIONS,
        **selftest.EXPLANATIONS,
        **structure.EXPLANATIONS,
        **content.EXPLANATIONS,
        **coverage.EXPLANATIONS,
        **noise.EXPLANATIONS,
        **comparison.EXPLANATIONS,
        **repair.EXPLANATIONS,
    }


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
