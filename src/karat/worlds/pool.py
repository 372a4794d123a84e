"""The stored samples of the default world: prompts, checker facts, responses and their gold."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULT = Path(__file__).with_name("default")


@dataclass(frozen=True, slots=True)
class PoolPrompt:
    """A prompt with its distinct sampled responses; gold is 1 for right, 0 for wrong, by the family's checker."""

    prompt_id: str
    family: str
    prompt: str
    facts: Mapping[str, Any]
    responses: tuple[str, ...]
    gold: tuple[float, ...]


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
