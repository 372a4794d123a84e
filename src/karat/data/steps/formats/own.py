"""karat's own format: a solution as it is, one JSON object each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from karat.data.records import Row, is_chat, is_list, is_text, plain
from karat.data.steps.formats.base import StepFormat, StepOptions, index_of, labels, plain_text, solution, texts, truth
from karat.types import StepSolution


def to_row(item: StepSolution, _: StepOptions) -> dict[str, Any]:
    """A solution as a JSON object; fields without a value are left out, and a label that is NaN is null."""
    row: dict[str, Any] = {"prompt": plain(item.prompt), "steps": list(item.steps)}
    row["labels"] = [None if math.isnan(label) else label for label in item.labels]
    if item.first_error is not None:
        row["first_error"] = item.first_error
    if not math.isnan(item.final_right):
        row["final_right"] = item.final_right
    for name in ("prompt_id", "solution_id", "answer", "source"):
        if getattr(item, name):
            row[name] = getattr(item, name)
    if item.extra:
        row["extra"] = dict(item.extra)
    return row


def _matches(row: Mapping[str, Any]) -> bool:
    return (is_text(row.get("prompt")) or is_chat(row.get("prompt"))) and is_list(row.get("steps"))


def _read(row: Row, _: StepOptions) -> list[StepSolution]:
    prompt = row.text("prompt") if is_text(row.raw.get("prompt")) else row.messages("prompt")
    item = solution(
        row,
        prompt,
        texts(row, "steps"),
        labels=labels(row, "labels") if row.has("labels") else (),
        first_error=index_of(row, "first_error"),
        answer=plain_text(row, "answer"),
        final_right=truth(row, "final_right"),
        extra=dict(row.value("extra")) if isinstance(row.raw.get("extra"), Mapping) else {},
    )
    return [item]


KARAT = StepFormat(
    name="karat",
    columns="prompt: text or list of messages; steps: list of texts; [labels: list of numbers or null, first_error, "
    "prompt_id, solution_id, answer, final_right, source, extra]",
    description="karat's own (`write_steps`): a label is the probability that the step is right, null where that is "
    "undefined; first_error counts from 0, -1 for none",
    matches=_matches,
    read=_read,
    write=to_row,
    holds="any",
    prompts=(str, tuple),
)
