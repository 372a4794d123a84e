"""NVIDIA's HelpSteer2 (ratings, preferences) and HelpSteer3."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from karat.data.formats.base import Format, Options, typed, weighted_sum
from karat.data.records import DropRowError, Row, as_number, assistant, is_chat, is_list, is_text, user
from karat.types import Message, PreferencePair

ATTRIBUTES = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
BY_HELPFULNESS = {"helpfulness": 1.0}
"""The overall judgement of the five: the other four describe the response (https://arxiv.org/abs/2406.08673)."""
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


def _ratings(row: Row) -> dict[str, float]:
    return {name: row.rating(name) for name in ATTRIBUTES}


def _check_rated(weights: Mapping[str, float], row: Row) -> list[PreferencePair]:
    row.text("prompt"), row.text("response")
    ratings = _ratings(row)
    for name in weights:
        if not math.isfinite(ratings[name]):
            raise DropRowError(f"{name} is no finite number")
    return []


def _join_rated(weights: Mapping[str, float], first: Row, second: Row) -> list[PreferencePair] | None:
    """The pair of two rows of one prompt, by the weighted sum of their ratings."""
    if first.text("prompt") != second.text("prompt"):
        return None
    ratings = [_ratings(first), _ratings(second)]
    difference = weighted_sum(ratings[0], weights) - weighted_sum(ratings[1], weights)
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
    return [row.compare(prompt, first, second, better, strength=abs(better), extra=_spread(row))]


def _spread(row: Row) -> dict[str, float]:
    """How far apart the annotators of `individual_preference` are; nothing when fewer than two gave a score."""
    found: Any = row.raw.get("individual_preference")
    items = [item for item in found if isinstance(item, Mapping)] if is_list(found) else []
    votes = [vote for vote in (as_number(item.get("score")) for item in items) if math.isfinite(vote)]
    return {"annotator_spread": statistics.stdev(votes)} if len(votes) > 1 else {}


def _configure_rated(options: Options) -> Format:
    weights = dict(options.attribute_weights) or BY_HELPFULNESS
    return replace(RATED, read=partial(_check_rated, weights), join=partial(_join_rated, weights))


RATED = Format(
    name="helpsteer2",
    columns="prompt, response: text; helpfulness, correctness, coherence, complexity, verbosity: 0 .. 4",
    description="nvidia/HelpSteer2: two rows in succession with the same prompt are a pair, by helpfulness (or by "
    "`attribute_weights`); equal ratings are ties; strength is the difference",
    matches=_is_rated,
    read=partial(_check_rated, BY_HELPFULNESS),
    join=partial(_join_rated, BY_HELPFULNESS),
    configure=_configure_rated,
    attributes=ATTRIBUTES,
)
FORMATS = (
    Format(
        name="helpsteer3",
        columns="context: list of messages or text; response1, response2: text; overall_preference: -3 .. 3; [domain]",
        description="nvidia/HelpSteer3: negative means that response1 is better, 0 is a tie; strength is the size; "
        '`extra["annotator_spread"]` is the standard deviation over the annotators of `individual_preference`',
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
    RATED,
)
