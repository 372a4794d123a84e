"""Formats that name the first wrong step: ProcessBench, BIG-Bench-Mistake, MR-GSM8K.

Steps before it are right, it is wrong, and of those after it nothing is known.
"""

from __future__ import annotations

import math
from typing import Any

from karat.data.records import DropRowError, Row, is_list, is_text
from karat.data.steps.formats.base import StepFormat, StepOptions, index_of, plain_text, solution, texts, truth, verdict
from karat.types import NAN, NO_ERROR, StepSolution

MODEL_ANSWER = "model_answer"
"""Key of `extra`: the final answer that the solution gives, beside `answer`, the right one."""


# --------------------------------------------------------------------------------------------------------- ProcessBench
def _read_processbench(row: Row, _: StepOptions) -> list[StepSolution]:
    first_error = index_of(row, "label")
    if first_error is None:
        raise DropRowError("column 'label' is missing or null")
    right = truth(row, "final_answer_correct")
    if right == 0.0 and first_error == NO_ERROR:
        row.note("no step is wrong, yet the final answer is: kept")
    return [
        solution(row, row.text("problem"), texts(row, "steps"), first_error=first_error, final_right=right),
    ]


def _write_processbench(item: StepSolution, _: StepOptions) -> dict[str, Any]:
    return {
        "id": item.solution_id,
        **({"generator": item.extra["generator"]} if "generator" in item.extra else {}),
        "problem": item.prompt,
        "steps": list(item.steps),
        "final_answer_correct": verdict(item),
        "label": item.first_error,
    }


# ---------------------------------------------------------------------------------------------------- BIG-Bench-Mistake
def _read_mistake(row: Row, _: StepOptions) -> list[StepSolution]:
    if "mistake_index" not in row.raw:
        raise DropRowError("column 'mistake_index' is missing")
    first_error = index_of(row, "mistake_index")
    row.see("mistake_index")
    given, right = plain_text(row, "answer").strip(), plain_text(row, "target").strip()
    final_right = float(given == right) if given and right else NAN
    if first_error is None and final_right == 0.0:
        row.note("no step is wrong, yet the final answer is: kept")
    item = solution(
        row,
        row.text("input"),
        texts(row, "steps"),
        first_error=NO_ERROR if first_error is None else first_error,
        answer=right,
        final_right=final_right,
        extra={MODEL_ANSWER: given} if given else {},
    )
    return [item]


def _write_mistake(item: StepSolution, _: StepOptions) -> dict[str, Any]:
    given = item.answer if item.final_right == 1.0 else item.extra.get(MODEL_ANSWER)
    return {
        "input": item.prompt,
        "steps": list(item.steps),
        "target": item.answer,
        "answer": given,
        "mistake_index": None if item.first_error == NO_ERROR else item.first_error,
    }


# ------------------------------------------------------------------------------------------------------------ MR-GSM8K
_SOLUTION, _ANSWER = "model_output_solution_correctness", "model_output_answer_correctness"
_FIRST_ERROR = "model_output_solution_first_error_step"
_WORDS = {"correct": 1.0, "wrong": 0.0}


def _word(row: Row, name: str) -> float:
    """1 for "correct", 0 for "wrong", NaN for anything else."""
    return _WORDS.get(row.text_or(name).strip().lower(), NAN)


def _read_mr(row: Row, _: StepOptions) -> list[StepSolution]:
    """The first wrong step counts from 1; where the solution is correct, that column says nothing."""
    correct = _word(row, _SOLUTION)
    if math.isnan(correct):
        raise DropRowError(f"{_SOLUTION} is neither correct nor wrong")
    if correct:
        row.see(_FIRST_ERROR)
        first_error = NO_ERROR
    else:
        number = index_of(row, _FIRST_ERROR)
        if number is None or number < 1:
            raise DropRowError(f"the solution is wrong, and {_FIRST_ERROR} names no step (they count from 1)")
        first_error = number - 1
    item = solution(
        row,
        row.text("question"),
        texts(row, "model_output_steps"),
        first_error=first_error,
        answer=plain_text(row, "ground_truth_answer"),
        final_right=_word(row, _ANSWER),
    )
    return [item]


def _write_mr(item: StepSolution, _: StepOptions) -> dict[str, Any]:
    words = {True: "correct", False: "wrong", None: None}
    assert item.first_error is not None
    return {
        "uuid": item.solution_id,
        "question": item.prompt,
        "ground_truth_answer": item.answer or None,
        "model_output_steps": list(item.steps),
        _ANSWER: words[verdict(item)],
        _SOLUTION: words[item.first_error == NO_ERROR],
        _FIRST_ERROR: None if item.first_error == NO_ERROR else item.first_error + 1,
    }


FORMATS = (
    StepFormat(
        name="processbench",
        columns="problem: text; steps: list of texts; label: index of the first wrong step from 0, -1 for none; "
        "[id, generator, final_answer_correct]",
        description="ProcessBench",
        matches=lambda row: is_text(row.get("problem")) and is_list(row.get("steps")) and "label" in row,
        read=_read_processbench,
        write=_write_processbench,
        holds="first error",
    ),
    StepFormat(
        name="bigbench-mistake",
        columns="input: text; steps: list of texts; mistake_index: index of the first wrong step from 0, null for "
        "none; [target, answer: text]",
        description='BIG-Bench-Mistake: target is the right answer; the answer given stays in `extra["model_answer"]`',
        matches=lambda row: is_text(row.get("input")) and is_list(row.get("steps")) and "mistake_index" in row,
        read=_read_mistake,
        write=_write_mistake,
        holds="first error",
    ),
    StepFormat(
        name="mr-gsm8k",
        columns="question: text; model_output_steps: list of texts; model_output_solution_correctness: correct or "
        "wrong; model_output_solution_first_error_step: from 1; [uuid, ground_truth_answer, "
        "model_output_answer_correctness]",
        description="MR-GSM8K: steps keep their beginning `Step 1:`",
        matches=lambda row: is_text(row.get("question")) and is_list(row.get("model_output_steps")),
        read=_read_mr,
        write=_write_mr,
        holds="first error",
    ),
)
