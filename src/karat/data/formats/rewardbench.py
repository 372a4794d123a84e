"""RewardBench 1 and 2."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from karat.data.formats.base import Format, typed
from karat.data.records import DropRowError, Row, assistant, is_list, is_text, user
from karat.types import PreferencePair


def _read_one(row: Row) -> list[PreferencePair]:
    sides = [assistant(row.text(name)) for name in ("chosen", "rejected")]
    return [row.pair(user(row.text("prompt")), *sides)]


def _is_texts(value: Any) -> bool:
    return is_list(value) and len(value) > 0 and all(map(is_text, value))


def _matches_two(row: Mapping[str, Any]) -> bool:
    return is_text(row.get("prompt")) and typed(row, _is_texts, "chosen", "rejected")


def _read_two(row: Row) -> list[PreferencePair]:
    prompt, sides = user(row.text("prompt")), []
    for name in ("chosen", "rejected"):
        texts = row.items(name)
        if not all(map(is_text, texts)):
            raise DropRowError(f"column {name!r} holds a response that is not text")
        sides.append([assistant(text) for text in texts])
    pairs = [row.pair(prompt, chosen, rejected) for chosen in sides[0] for rejected in sides[1]]
    if str(row.raw.get("subset", "")).lower() == "ties":  # its chosen responses are all right, and equally so
        pairs += [row.compare(prompt, first, second, 0.0) for first, second in combinations(sides[0], 2)]
    return pairs


FORMATS = (
    Format(
        name="rewardbench",
        columns="prompt, chosen, rejected, chosen_model, rejected_model: text; [subset, id]",
        description="RewardBench 1",
        matches=lambda row: typed(row, is_text, "prompt", "chosen", "rejected", "chosen_model", "rejected_model"),
        read=_read_one,
    ),
    Format(
        name="rewardbench2",
        columns="prompt: text; chosen, rejected: list of texts; [subset, id, num_correct, models]",
        description="RewardBench 2: every chosen with every rejected response of a prompt; in the subset Ties, also "
        "every two chosen ones as a tie",
        matches=_matches_two,
        read=_read_two,
    ),
)
