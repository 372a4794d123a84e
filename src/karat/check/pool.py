"""A reward on a pool: its scores as the proxy, then the best-of-n checks of `karat stress`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from karat.check.config import CheckConfig
from karat.score import score_file
from karat.stress import stress
from karat.types import Result, Table
from karat.worlds import World
from karat.worlds.pool import read_rows

PROXY = "reward_under_check"
"""Column of the scores; long, so that no pool has it already."""
WORLD_PROMPTS, WORLD_RESPONSES = 48, 32
WORLD_POOL = "builtin:checkable, held-out prompts"


def world_pool_result(reward: str, world: World, config: CheckConfig, progress: Callable[..., None] | None) -> Result:
    """The same on responses to held-out prompts of the built-in world, fewer than it has so that it stays quick."""
    held_out = {pair.prompt_id for pair in world.test_pairs}
    rows = [row for row in read_rows("deep.jsonl.gz") if row["prompt_id"] in held_out][:WORLD_PROMPTS]
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "pool.jsonl"
        file.write_text("".join(json.dumps(_first_responses(row)) + "\n" for row in rows), encoding="utf-8")
        found = pool_result(reward, replace(config, pool=str(file), gold="gold"), progress)
    return replace(
        found,
        findings=tuple(replace(item, gold=world.gold_name if item.gold else "") for item in found.findings),
        tables=_said_of(found.tables, str(file), WORLD_POOL),
        provenance={**found.provenance, "pool": WORLD_POOL},
    )


def _first_responses(row: Mapping[str, Any]) -> dict[str, Any]:
    short = {name: row[name][:WORLD_RESPONSES] for name in ("responses", "gold")}
    return {"prompt_id": row["prompt_id"], "prompt": row["prompt"], **short}


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
        tables=_said_of(stressed.tables, str(scored), config.pool),
        provenance={**stressed.provenance, "pool": config.pool, "proxy": reward},
        lead=stressed.lead.replace(PROXY, "the reward"),
    )


def _said_of(tables: Sequence[Table], file: str, name: str) -> tuple[Table, ...]:
    """The tables, their notes naming the pool and not the scratch file that held it."""
    return tuple(replace(table, note=table.note.replace(file, name)) for table in tables)
