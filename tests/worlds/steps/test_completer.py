"""The simulated completer reaches the answer as often as its exact value says."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karat.errors import InputError
from karat.types import StepSolution
from karat.worlds.steps import (
    KINDS,
    Manner,
    SimulatedCompleter,
    check_steps,
    draw_problems,
    exact_values,
    right_solution,
    solutions_of,
    stated_answer,
    wrong_process_solution,
    wrong_solution,
)

PLAIN = Manner(rigour=0.0, neutral=0.0)


def test_values_by_hand() -> None:
    rng = np.random.default_rng(0)
    (problem,) = draw_problems(rng, 1, kinds=("account",), difficulty="hard")
    n_ops = len(problem.rules.plan(problem.facts))
    completer = SimulatedCompleter.of([problem], success=0.8, recovery=0.0)
    right = right_solution(problem, rng, manner=PLAIN)
    assert completer.value(problem, ()) == pytest.approx(0.8**n_ops)
    by_step = [0.8 ** (n_ops - 1 - index) for index in range(n_ops)]
    assert completer.exact_values(right) == pytest.approx([*by_step, 1.0])
    wrong = wrong_solution(problem, rng, at=n_ops - 2, manner=PLAIN, fault="slip")
    assert completer.exact_values(wrong)[-3:] == pytest.approx([0.0, 0.0, 0.0])
    recovering = SimulatedCompleter.of([problem], success=0.8, recovery=0.1)
    assert recovering.exact_values(wrong)[-3:] == pytest.approx([0.1, 0.0, 0.0])


def test_a_corrected_step_has_its_value_back() -> None:
    rng = np.random.default_rng(1)
    (problem,) = draw_problems(rng, 1, kinds=("clock",), difficulty="medium")
    made = wrong_process_solution(problem, rng, how="corrected", manner=PLAIN)
    values = exact_values(made, SimulatedCompleter.of([problem], recovery=0.0))
    assert values[made.first_error] == 0
    assert values[made.first_error + 1] > 0.5
    assert values[-1] == 1


@settings(max_examples=30, deadline=None)
@given(success=st.floats(0, 1), recovery=st.floats(0, 1), seed=st.integers(0, 1000))
def test_values_are_those_of_the_chain_run_step_by_step(success: float, recovery: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    (problem,) = draw_problems(rng, 1, kinds=(KINDS[seed % len(KINDS)],), difficulty="medium")
    completer = SimulatedCompleter.of([problem], success=success, recovery=recovery)
    n_ops = len(problem.rules.plan(problem.facts))
    right = 1.0
    for _ in range(n_ops):
        right = right * success + (1 - right) * recovery
    assert completer.value(problem, ()) == pytest.approx(right, abs=1e-9)


@pytest.mark.parametrize("words", [False, True])
def test_completions_reach_the_answer_at_the_exact_rate(words: bool) -> None:
    rng = np.random.default_rng(5)
    problems = draw_problems(rng, len(KINDS), difficulty="medium", words=words)
    completer = SimulatedCompleter.of(problems, success=0.8, recovery=0.05)
    for problem in problems:
        for solution in solutions_of(problem, rng, right=1, wrong=1, wrong_process=0):
            for index, value in enumerate(completer.exact_values(solution)):
                texts = Counter(completer(problem.prompt, solution.steps[: index + 1], 800, 3))
                right = sum(n for text, n in texts.items() if stated_answer(problem, [text]) == problem.answer)
                reached = right / 800
                assert reached == pytest.approx(value, abs=4.5 * np.sqrt(value * (1 - value) / 800) + 1e-9)


def test_completions_depend_on_seed_and_prefix_alone() -> None:
    rng = np.random.default_rng(5)
    (problem,) = draw_problems(rng, 1, kinds=("account",), difficulty="hard")
    completer = SimulatedCompleter.of([problem])
    steps = right_solution(problem, rng).steps[:1]
    assert completer(problem.prompt, steps, 50, 1) == completer(problem.prompt, list(steps), 50, 1)
    assert completer(problem.prompt, steps, 50, 1) != completer(problem.prompt, steps, 50, 2)


def test_unfinished_completions_state_no_answer() -> None:
    rng = np.random.default_rng(5)
    (problem,) = draw_problems(rng, 1)
    completer = SimulatedCompleter.of([problem], unfinished=0.5)
    texts = completer(problem.prompt, (), 1000, 0)
    assert np.mean([stated_answer(problem, [text]) is None for text in texts]) == pytest.approx(0.5, abs=0.07)
    assert check_steps(problem, texts[:1]) in {(True,), (None,), (False,)}


def test_what_it_does_not_know_is_told() -> None:
    with pytest.raises(InputError, match="recovery = 2 is out of range"):
        SimulatedCompleter.of([], recovery=2)
    with pytest.raises(InputError, match="knows no problem with the prompt 'What'"):
        SimulatedCompleter.of([])("What", (), 1, 0)
    with pytest.raises(InputError, match="names no problem of the step world"):
        exact_values(StepSolution("p", ("a",)))
