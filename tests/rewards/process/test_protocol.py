"""Whatever scores steps as one thing: functions, objects, names; and what they may not return."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from karat.errors import InputError
from karat.rewards.process import StepProblem, StepScorer, as_step_scorer, problems_of
from karat.types import Message, StepSolution

PROBLEMS = [StepProblem("2+2?", (("2+2=4", "so 4"), ("5",))), StepProblem((Message("user", "hi"),), (("hello",),))]


def shortness(prompt: str, steps: list[str]) -> list[float | None]:
    assert isinstance(prompt, str)
    return [None if step == "5" else 1 / len(step) for step in steps]


class Scorer:
    name = "mine"

    def score_steps(self, prompt: str, steps: list[str]) -> list[float | None]:
        return shortness(prompt, steps)


def check(scorer: StepScorer, name: str) -> None:
    assert isinstance(scorer, StepScorer)
    assert scorer.name == name
    found = scorer.score_problems(PROBLEMS)
    assert [[prob.shape for prob in row] for row in found] == [[(2,), (1,)], [(1,)]]
    assert found[0][0].tolist() == [1 / 5, 1 / 4]
    assert np.isnan(found[0][1][0])


def test_functions_objects_and_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(as_step_scorer(shortness), "shortness")
    check(as_step_scorer(Scorer()), "mine")
    check(as_step_scorer(as_step_scorer(Scorer()), name="other"), "other")
    (tmp_path / "my_steps.py").write_text(
        "def score(prompt, steps):\n    return [None if step == '5' else 1 / len(step) for step in steps]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    check(as_step_scorer("my_steps:score"), "my_steps:score")


def test_what_scores_no_steps_is_refused() -> None:
    for reward in ("builtin:longer", lambda prompts, completions: [], object()):
        with pytest.raises(InputError, match="none to its steps"):
            as_step_scorer(reward)


def test_a_function_that_raises_is_missing_and_counted() -> None:
    def fails(prompt: str, steps: list[str]) -> list[float]:
        if prompt == "hi":
            raise RuntimeError("no")
        return [0.5] * len(steps)

    scorer = as_step_scorer(fails)
    found = scorer.score_problems(PROBLEMS)
    assert found[0][0].tolist() == [0.5, 0.5]
    assert np.isnan(found[1][0]).all()
    assert scorer.reasons == {"fails raised RuntimeError: no": 1}  # type: ignore[attr-defined]


def test_scores_that_are_none_are_refused() -> None:
    with pytest.raises(InputError, match=r"returned -2 for a step; return the probability in \[0, 1\]"):
        as_step_scorer(lambda prompt, steps: [-2.0] * len(steps)).score_problems(PROBLEMS)
    with pytest.raises(InputError, match="returned 1 scores for 2 steps"):
        as_step_scorer(lambda prompt, steps: [0.5]).score_problems(PROBLEMS)


def test_solutions_of_one_prompt_are_one_problem() -> None:
    solutions = [StepSolution("p", ("a",)), StepSolution("q", ("b",)), StepSolution("p", ("c", "d"))]
    problems, members = problems_of(solutions)
    assert problems == (StepProblem("p", (("a",), ("c", "d"))), StepProblem("q", (("b",),)))
    assert members == ((0, 2), (1,))
