"""GSM8K: solutions whose lines are their steps and whose final answers are known; no step has a label."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from karat.data.records import DropRowError, Row, is_text
from karat.data.steps.formats.base import StepFormat, StepOptions, solution
from karat.types import StepSolution

_ANSWER = re.compile(r"^(?:####|A:)\s*(.+)$", re.MULTILINE)


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _answer(text: str) -> str:
    """What stands after the last "####" (or "A:") that begins a line; empty where there is none."""
    found = _ANSWER.findall(text)
    return found[-1].strip() if found else ""


def _read_reference(row: Row, _: StepOptions) -> list[StepSolution]:
    text = row.text("answer")
    return [solution(row, row.text("question"), _lines(text), answer=_answer(text), final_right=1.0)]


def _is_sample(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("is_correct"), bool) and is_text(value.get("solution"))


def _read_samples(row: Row, _: StepOptions) -> list[StepSolution]:
    question, answer = row.text("question"), _answer(row.text("ground_truth"))
    names = [name for name, value in row.raw.items() if _is_sample(value)]
    if not names:
        raise DropRowError("no column holds a solution")
    return [
        solution(
            row, question, _lines(row.value(name)["solution"]), place=place, answer=answer,
            final_right=float(row.value(name)["is_correct"]), extra={"generator": name},
        )
        for place, name in enumerate(names)
    ]  # fmt: skip


FORMATS = (
    StepFormat(
        name="gsm8k-samples",
        columns="question, ground_truth: text; a column per model: {solution, is_correct}",
        description="GSM8K's model solutions: a line is a step, without a label; is_correct is of the final answer",
        matches=lambda row: (
            is_text(row.get("question")) and is_text(row.get("ground_truth")) and any(map(_is_sample, row.values()))
        ),
        read=_read_samples,
    ),
    StepFormat(
        name="gsm8k",
        columns="question: text; answer: text that ends in #### and the answer",
        description="GSM8K's own solutions: a line is a step, without a label; the final answer is right",
        matches=lambda row: is_text(row.get("question")) and is_text(row.get("answer")) and "####" in row["answer"],
        read=_read_reference,
    ),
)
