"""One tiny sample per step format, made by us, and what must come out of it:
(prompt, steps, labels with None for undefined, first_error, answer, final_right with None for unknown)."""

from __future__ import annotations

import math
from typing import Any

from karat.types import Message, StepSolution

ADD = ("2 + 3 = 5.", "5 * 4 = 20.", "The answer is 20.")
STEPS = tuple(f"Step {k}: {text}" for k, text in enumerate(ADD, 1))
PROBLEM, OTHER = "What is (2 + 3) * 4?", "What is 7 - 2?"


def told(rating: int | None, text: str, flagged: bool | None = None) -> dict[str, Any]:
    return {"text": text, "rating": rating, "flagged": flagged}


def step(chosen: int | None, *completions: dict[str, Any], human: Any = None) -> dict[str, Any]:
    return {"completions": list(completions), "human_completion": human, "chosen_completion": chosen}


def line(*steps: dict[str, Any], reason: str | None = "solution", **columns: Any) -> dict[str, Any]:
    question = {"problem": PROBLEM, "ground_truth_answer": "20", "ground_truth_solution": "20, of course"}
    return {
        "labeler": "w1",
        "is_quality_control_question": False,
        "is_initial_screening_question": False,
        "question": question,
        "label": {"steps": list(steps), "total_time": 9, "finish_reason": reason},
        **columns,
    }


def turns(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]


def marked(mark: str, *pieces: str) -> str:
    return "".join(f"{piece} {mark}\n" for piece in pieces).rstrip("\n")


FIRST = f"{PROBLEM} {STEPS[0]}"

ROWS: dict[str, list[dict[str, Any]]] = {
    "karat": [
        {
            "prompt": PROBLEM,
            "steps": list(ADD),
            "labels": [1.0, 0.25, None],
            "first_error": 1,
            "prompt_id": "p",
            "solution_id": "s",
            "answer": "20",
            "final_right": 1.0,
            "source": "ours",
            "extra": {"grade": "3"},
        },
        {"prompt": PROBLEM, "steps": list(ADD), "labels": [0.75, None, 0.5], "prompt_id": "p"},
    ],
    "prm800k": [
        line(
            step(0, told(1, ADD[0])),
            step(1, told(-1, "5 * 4 = 21."), told(0, ADD[1])),
            step(None, told(1, ADD[2]), told(None, "Hm.")),
        )
    ],
    "processbench": [
        {
            "id": "x-0",
            "generator": "m",
            "problem": PROBLEM,
            "steps": list(ADD),
            "final_answer_correct": False,
            "label": 1,
        },
        {
            "id": "x-1",
            "generator": "m",
            "problem": OTHER,
            "steps": ["5"],
            "final_answer_correct": True,
            "label": -1,
        },
    ],
    "bigbench-mistake": [
        {"input": PROBLEM, "steps": list(ADD), "target": "20", "answer": "20", "mistake_index": 0},
        {"input": OTHER, "steps": ["5"], "target": "5", "answer": "6", "mistake_index": None},
    ],
    "mr-gsm8k": [
        {
            "uuid": "u",
            "question": PROBLEM,
            "ground_truth_answer": 20,
            "model_output_steps": list(STEPS),
            "model_output_answer_correctness": "wrong",
            "model_output_solution_correctness": "wrong",
            "model_output_solution_first_error_step": 3,
        },
        {
            "uuid": "v",
            "question": OTHER,
            "ground_truth_answer": 5,
            "model_output_steps": ["Step 1: 5"],
            "model_output_answer_correctness": "correct",
            "model_output_solution_correctness": "correct",
            "model_output_solution_first_error_step": 0,
        },
    ],
    "math-shepherd": [
        {
            "input": marked("ки", FIRST, *STEPS[1:]),
            "label": f"{FIRST} +\n{STEPS[1]} +\n{STEPS[2]} -",
            "task": "GSM8K",
        }
    ],
    "openrlhf": [{"input": marked("ки", FIRST, *STEPS[1:]), "label": ["+", "-", "-"]}],
    "rlhflow": [{"conversations": turns(FIRST, "+", STEPS[1], "+", STEPS[2], "+")}],
    "paddlenlp": [{"src": [PROBLEM], "tgt": [], "responses": list(ADD), "labels": ["+", "+", "-"]}],
    "trl-stepwise": [
        {"prompt": PROBLEM, "completions": list(ADD), "labels": [True, True, False]},
        {"prompt": OTHER, "completions": ["5"], "labels": [True]},
    ],
    "gsm8k-samples": [
        {
            "question": PROBLEM,
            "ground_truth": "2 + 3 = 5\n5 * 4 = 20\nA: 20",
            "small": {"is_correct": True, "solution": "2 + 3 = 5\n\nA: 20"},
            "large": {"is_correct": False, "solution": "A: 24"},
        }
    ],
    "gsm8k": [{"question": PROBLEM, "answer": "2 + 3 = 5\n5 * 4 = 20\n#### 20"}],
}

EXPECTED: dict[str, list[tuple[Any, ...]]] = {
    "karat": [
        (PROBLEM, ADD, (1.0, 0.25, None), 1, "20", 1.0),
        (PROBLEM, ADD, (0.75, None, 0.5), None, "", None),
    ],
    "prm800k": [  # the wrong alternative to the second step, then the rated end of the path with a neutral step in it
        (PROBLEM, (ADD[0], "5 * 4 = 21."), (1.0, 0.0), 1, "20", None),
        (PROBLEM, ADD, (1.0, None, 1.0), None, "20", None),
    ],
    "processbench": [(PROBLEM, ADD, (1.0, 0.0, None), 1, "", 0.0), (OTHER, ("5",), (1.0,), -1, "", 1.0)],
    "bigbench-mistake": [(PROBLEM, ADD, (0.0, None, None), 0, "20", 1.0), (OTHER, ("5",), (1.0,), -1, "5", 0.0)],
    "mr-gsm8k": [
        (PROBLEM, STEPS, (1.0, 1.0, 0.0), 2, "20", 0.0),
        (OTHER, ("Step 1: 5",), (1.0,), -1, "5", 1.0),
    ],
    "math-shepherd": [(PROBLEM, STEPS, (1.0, 1.0, 0.0), 2, "", None)],
    "openrlhf": [(PROBLEM, STEPS, (1.0, 0.0, None), 1, "", None)],  # of what follows the first error nothing is known
    "rlhflow": [(PROBLEM, STEPS, (1.0, 1.0, 1.0), -1, "", None)],
    "paddlenlp": [(PROBLEM, ADD, (1.0, 1.0, 0.0), 2, "", None)],
    "trl-stepwise": [(PROBLEM, ADD, (1.0, 1.0, 0.0), 2, "", None), (OTHER, ("5",), (1.0,), -1, "", None)],
    "gsm8k-samples": [
        (PROBLEM, ("2 + 3 = 5", "A: 20"), (None, None), None, "20", 1.0),
        (PROBLEM, ("A: 24",), (None,), None, "20", 0.0),
    ],
    "gsm8k": [(PROBLEM, ("2 + 3 = 5", "5 * 4 = 20", "#### 20"), (None, None, None), None, "20", 1.0)],
}


def essence(item: StepSolution) -> tuple[Any, ...]:
    right = None if math.isnan(item.final_right) else item.final_right
    return (item.prompt, item.steps, shown(item.labels), item.first_error, item.answer, right)


def shown(labels: tuple[float, ...]) -> tuple[float | None, ...]:
    return tuple(None if math.isnan(label) else label for label in labels)


def trl(labels: list[Any], steps: list[Any] | None = None, **columns: Any) -> dict[str, Any]:
    return {
        "prompt": PROBLEM,
        "completions": [f"s{k}" for k in range(len(labels))] if steps is None else steps,
        "labels": labels,
        **columns,
    }


USER = (Message("user", PROBLEM),)
