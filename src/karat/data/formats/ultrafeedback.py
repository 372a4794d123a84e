"""UltraFeedback as published by OpenBMB, and argilla's binarised form."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import Any

from karat.data.formats.base import Format, Options, typed, weighted_sum
from karat.data.formats.trl import strength
from karat.data.records import DropRowError, Row, as_number, assistant, is_list, is_text, user
from karat.types import PreferencePair

ASPECTS = ("helpfulness", "honesty", "truthfulness", "instruction_following")


def _is_raw(row: Mapping[str, Any]) -> bool:
    completions: Any = row.get("completions")
    if not is_text(row.get("instruction")) or not is_list(completions):
        return False
    return all(isinstance(item, Mapping) and "response" in item for item in completions)


def _ratings(completion: Mapping[str, Any]) -> dict[str, float]:
    """Ratings of the four aspects; "N/A" and missing ones are NaN. The file spells the last with "_" or "-"."""
    annotations = completion.get("annotations")
    annotations = annotations if isinstance(annotations, Mapping) else {}
    found = {}
    for name in ASPECTS:
        entry = annotations.get(name) or annotations.get(name.replace("_", "-")) or {}
        found[name] = as_number(entry.get("Rating") if isinstance(entry, Mapping) else entry)
    return found


def _score(completion: Mapping[str, Any], ratings: Mapping[str, float], weights: Mapping[str, float]) -> float:
    return weighted_sum(ratings, weights) if weights else as_number(completion.get("overall_score"))


def _read_raw(weights: Mapping[str, float], row: Row) -> list[PreferencePair]:
    """All pairs of a row's completions. The best one against each other one would throw away half of the judgements,
    and would prefer the same response in every pair of a prompt."""
    measure = "rating" if weights else "overall_score"
    prompt = user(row.text("instruction"))
    scored = []
    for item in row.items("completions"):
        ratings = _ratings(item) if isinstance(item, Mapping) else {}
        score = _score(item, ratings, weights) if ratings else math.nan
        if not math.isfinite(score) or not is_text(item.get("response")):
            row.change(f"a completion without a response or {measure} left out")
            continue
        if not weights and score == 10 and as_number(item.get("fine-grained_score")) <= 2:
            row.note("overall_score 10 beside a fine-grained_score of at most 2 (a known mistake before December 2023)")
        scored.append((score, assistant(item["response"]), ratings))
    if len(scored) < 2:
        raise DropRowError(f"fewer than two completions with a response and {measure}")
    return [
        row.compare(
            prompt,
            first,
            second,
            score - other,
            strength=abs(score - other),
            chosen_attributes=ratings,
            rejected_attributes=other_ratings,
        )
        for (score, first, ratings), (other, second, other_ratings) in combinations(scored, 2)
    ]


def _read_argilla(row: Row) -> list[PreferencePair]:
    sides = [assistant(row.text(name)) for name in ("chosen_response", "rejected_response")]
    return [row.pair(user(row.text("instruction")), *sides, strength=strength(row))]


def _configure(options: Options) -> Format:
    return replace(RAW, read=partial(_read_raw, dict(options.attribute_weights)))


RAW = Format(
    name="ultrafeedback",
    columns="instruction: text; completions: list of {response, overall_score, annotations}; [source, models]",
    description="openbmb/UltraFeedback: all pairs of a prompt's completions by overall_score (or by "
    "`attribute_weights`); equal scores are ties; strength is the difference; attributes are the four aspects",
    matches=_is_raw,
    read=partial(_read_raw, {}),
    configure=_configure,
    attributes=ASPECTS,
)
FORMATS = (
    RAW,
    Format(
        name="argilla",
        columns="instruction, chosen_response, rejected_response: text; [chosen_avg_rating, rejected_avg_rating]",
        description="argilla/ultrafeedback-binarized-preferences; strength is the difference of the ratings",
        matches=lambda row: typed(row, is_text, "instruction", "chosen_response", "rejected_response"),
        read=_read_argilla,
    ),
)
