"""A reward on a pool: its scores as the proxy, then the best-of-n checks of `karat stress`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from karat.check.config import CheckConfig
from karat.score import score_file
from karat.stress import stress
from karat.types import Result

PROXY = "reward_under_check"
"""Column of the scores; long, so that no pool has it already."""


def pool_result(reward: str, config: CheckConfig, progress: Callable[..., None] | None) -> Result:
    """Score `config.pool` with a reward and put the scores to test against `config.gold`.

    Returns: the result of `karat stress`, with the share of responses that could not be scored among its findings.
    """
    with tempfile.TemporaryDirectory() as scratch:
        scored = Path(scratch) / "scored.jsonl"
        scores = score_file(reward, config.pool, out=scored, name=PROXY, progress=progress)
        stressed = stress(str(scored), proxy=PROXY, gold=config.gold, seed=config.seed, progress=progress)
    return replace(
        stressed,
        findings=(*stressed.findings, *scores.findings),
        provenance={**stressed.provenance, "pool": config.pool, "proxy": reward},
        lead=stressed.lead.replace(PROXY, "the reward"),
    )
