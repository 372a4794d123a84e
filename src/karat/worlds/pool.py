"""The stored samples of the default world: prompts, checker facts, responses and their gold.

Two pools: a broad one with the few distinct responses that the annotators compared, and a deep one with 64 responses to
each of 160 prompts, repeats kept, for best of n.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from karat.errors import InputError

DEFAULT = Path(__file__).with_name("default")
POOLS = {
    "builtin:checkable": DEFAULT / "deep.jsonl.gz",
    "builtin:steps": Path(__file__).with_name("steps") / "pool.jsonl.gz",
}
"""Names that stand for a pool wherever a file may."""


@dataclass(frozen=True, slots=True)
class PoolPrompt:
    """A prompt with its distinct sampled responses; gold is 1 for right, 0 for wrong, by the family's checker."""

    prompt_id: str
    family: str
    prompt: str
    facts: Mapping[str, Any]
    responses: tuple[str, ...]
    gold: tuple[float, ...]


def pool_source(source: Any) -> Any:
    """The file behind a built-in pool's name; any other source as it is.

    Raises: InputError: a name `builtin:...` that no pool has.
    """
    if not isinstance(source, str) or not source.startswith("builtin:"):
        return source
    if source not in POOLS:
        raise InputError(f"there is no built-in pool {source!r}; there are: {', '.join(POOLS)}.")
    return str(POOLS[source])


def read_rows(name: str) -> list[dict[str, Any]]:
    """Rows of a file that ships with the world."""
    with gzip.open(DEFAULT / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def read_pool() -> list[PoolPrompt]:
    return [
        PoolPrompt(
            row["prompt_id"], row["family"], row["prompt"], row["facts"], tuple(row["responses"]), tuple(row["gold"])
        )
        for row in read_rows("pool.jsonl.gz")
    ]
