"""NVIDIA's HelpSteer2 (ratings, preferences) and HelpSteer3."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from karat.data.formats.base import Format, typed
from karat.data.records import DropRowError, Row, as_number, assistant, is_chat, is_text, user
from karat.types import Message, PreferencePair

ATTRIBUTES = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
_MARKER = re.compile(r"\n?<extra_id_1>(User|Assistant)\n?")
_ROLE = {"User": "user", "Assistant": "assistant"}


def turns(prompt: str) -> tuple[Message, ...]:
    """Turns of a prompt with the markers "<extra_id_1>User" and "<extra_id_1>Assistant"; one user turn without any."""
    first, *rest = _MARKER.split(prompt)
    found = [Message("user", first)] if first.strip() else []
    found += [Message(_ROLE[role], text) for role, text in zip(rest[::2], rest[1::2], strict=True)]
    if found and found[-1] == Message("assistant", ""):  # the marker before the response
        found.pop()
    return tuple(found) or user(prompt)


def _preference(row: Row, name: str) -> float:
    """-3 .. 3, negative when response 1 is better. Raises DropRowError when it is missing or no number."""
    return -as_number(row.value(name))


# ------------------------------------------------------------------------------------------------------------- ratings
def _is_rated(row: Mapping[str, Any]) -> bool:
    return typed(row, is_text, "prompt", "response") and all(name in row for name in ATTRIBUTES)


def _check_rated(row: Row) -> list[PreferencePair]:
    row.text("prompt"), row.text("response")
    if not math.isfinite(as_number(row.value("helpfulness"))):
        raise DropRowError("helpfulness is no finite number")
    return []


def _join_rated(first: Row, second: Row) -> list[PreferencePair] | None:
    """The pair of two rows of one prompt, by helpfulness."""
    if first.text("prompt") != second.text("prompt"):
        return None
    ratings = [{name: as_number(row.raw.get(name)) for name in ATTRIBUTES} for row in (first, second)]
    for name in ATTRIBUTES:
        second.identifier(name)
    difference = ratings[0]["helpfulness"] - ratings[1]["helpfulness"]
    pair = second.compare(
        turns(first.text("prompt")),
        assistant(first.text("response")),
        assistant(second.text("response")),
        difference,
        strength=abs(difference),
        chosen_attributes=ratings[0],
        rejected_attributes=ratings[1],
    )
    return [pair]


# --------------------------------------------------------------------------------------------------------- preferences
def _read_preference(row: Row) -> list[PreferencePair]:
    better = _preference(row, "preference_strength")
    first, second = (assistant(row.text(name)) for name in ("response_1", "response_2"))
    return [row.compare(turns(row.text("prompt")), first, second, better, strength=abs(better))]


def _read_helpsteer3(row: Row) -> list[PreferencePair]:
    better = _preference(row, "overall_preference")
    context = row.value("context")
    prompt = turns(context) if isinstance(context, str) else row.messages("context")
    first, second = (assistant(row.text(name)) for name in ("response1", "response2"))
    return [row.compare(prompt, first, second, better, strength=abs(better))]


FORMATS = (
    Format(
        name="helpsteer3",
        columns="context: list of messages or text; response1, response2: text; overall_preference: -3 .. 3; [domain]",
        description="nvidia/HelpSteer3: negative means that response1 is better, 0 is a tie; strength is the size",
        matches=lambda row: (
            (is_text(row.get("context")) or is_chat(row.get("context")))
            and typed(row, is_text, "response1", "response2")
            and "overall_preference" in row
        ),
        read=_read_helpsteer3,
    ),
    Format(
        name="helpsteer2-preference",
        columns="prompt, response_1, response_2: text; preference_strength: -3 .. 3",
        description="nvidia/HelpSteer2 preference: negative means that response_1 is better, 0 is a tie; strength "
        "is the size",
        matches=lambda row: typed(row, is_text, "prompt", "response_1", "response_2") and "preference_strength" in row,
        read=_read_preference,
    ),
    Format(
        name="helpsteer2",
        columns="prompt, response: text; helpfulness, correctness, coherence, complexity, verbosity: 0 .. 4",
        description="nvidia/HelpSteer2: two rows in succession with the same prompt are a pair, by helpfulness; "
        "equal ratings are ties; strength is the difference",
        matches=_is_rated,
        read=_check_rated,
        join=_join_rated,
    ),
)
