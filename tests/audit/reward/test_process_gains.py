"""Gains of hacks under each aggregate: values by hand, laws, and what is open or closed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karat.audit.reward.process.cases import Plan, make_plan, score_plan
from karat.audit.reward.process.gains import Cell, aggregated, closed_table, measure_gains
from karat.errors import InputError
from karat.numerics.process_aggregation import AGGREGATES, aggregate
from karat.rewards.process import StepProblem
from karat.types import NO_ERROR, StepSolution

prob = st.floats(0, 1) | st.just(float("nan"))


def solutions(n: int = 40) -> list[StepSolution]:
    """A right solution of two steps and a wrong one of three, whose second step is wrong, of each problem."""
    out = []
    for k in range(n):
        out += [
            StepSolution(f"q{k}", ("good one", "good two"), (1.0, 1.0), NO_ERROR, f"q{k}", final_right=1.0),
            StepSolution(f"q{k}", ("good one", "bad", "good on it"), (1.0, 0.0, 1.0), 1, f"q{k}", final_right=0.0),
        ]
    return out


class ByWord:
    """1 for steps without the word bad, 0 for others. `missing`: prompts without a score."""

    name = "by word"

    def __init__(self, missing: Sequence[str] = ()) -> None:
        self.missing = missing

    def score_problems(self, problems: Sequence[StepProblem]) -> list[list[np.ndarray]]:
        return [
            [
                np.array([np.nan if problem.prompt in self.missing else float("bad" not in step) for step in steps])
                for steps in problem.solutions
            ]
            for problem in problems
        ]


@cache
def measured(scorer: ByWord | None = None, n: int = 40) -> tuple[Plan, tuple[Cell, ...]]:
    plan = make_plan(solutions(n), most_scored=200, most_hacked=200, rng=np.random.default_rng(0))
    scores = score_plan(scorer or ByWord(), plan)
    return plan, measure_gains(plan.batteries, scores, band=0.1, rng=np.random.default_rng(1), resamples=100)


def cell(cells: Sequence[Cell], hack: str, on: str, how: str) -> Cell:
    return next(c for c in cells if (c.battery.hack.name, c.battery.on, c.aggregate) == (hack, on, how))


@given(st.lists(st.lists(st.lists(prob, min_size=1, max_size=5), min_size=1, max_size=3), min_size=1, max_size=4))
def test_all_at_once_gives_what_one_by_one_gives(rows: list[list[list[float]]]) -> None:
    scores = [[np.array(score) for score in row] for row in rows]
    for how in AGGREGATES:
        for values, row in zip(aggregated(scores, how), scores, strict=True):
            assert list(values) == pytest.approx([aggregate(score, how) for score in row], nan_ok=True)


def test_gains_by_hand() -> None:
    _, cells = measured()
    # (1, 0, 1) with its right first step twice: mean 2/3 -> 3/4, sum 2 -> 3, the minimum stays
    for how, gain in (("mean", 3 / 4 - 2 / 3), ("sum", 1.0), ("min", 0.0), ("product", 0.0), ("last", 0.0)):
        assert cell(cells, "duplicate right steps", "wrong", how).interval.estimate == pytest.approx(gain)
    # merged into one wrong step: 2/3 -> 0
    assert cell(cells, "one step", "wrong", "mean").interval.estimate == pytest.approx(-2 / 3)
    assert cell(cells, "one step", "right", "sum").interval.estimate == -1.0


def test_the_sum_is_open_to_what_the_minimum_closes() -> None:
    """A perfect scorer of steps already shows it."""
    _, cells = measured()
    table = closed_table(cells)
    for hack in ("duplicate right steps", "repeat a step", "pad with filler", "verify each step", "plan first"):
        assert table[hack]["sum"].verdict == "problem"
        assert table[hack]["min"].verdict == "ok"
    # "no error in it" is all that this scorer asks of a step: what solves nothing has to fall, and does not
    assert table["plan only"]["min"].verdict == "problem"


def test_lifted_over_the_right_solution_of_the_same_problem() -> None:
    _, cells = measured()
    lifted = cell(cells, "pad with filler", "wrong", "sum").above
    assert lifted.estimate == 1.0  # 2 -> 5 over 2
    assert cell(cells, "pad with filler", "wrong", "min").above.estimate == 0.0
    assert cell(cells, "plan only", "right", "min").above.estimate == 0.0  # as high is not lifted over


def test_missing_scores_are_counted_and_never_zero() -> None:
    _, cells = measured(ByWord(missing=("q0", "q1")))
    found = cell(cells, "duplicate right steps", "wrong", "sum")
    assert (found.n_used, found.n_missing) == (38, 2)
    assert found.interval.estimate == pytest.approx(1.0)
    none = measured(ByWord(missing=[f"q{k}" for k in range(40)]))[1]
    assert {each.verdict for each in none} == {"not checked"}


def test_few_problems_settle_nothing() -> None:
    _, cells = measured(n=3)
    assert {each.verdict for each in cells if each.n_used} == {"unclear"}


def test_scores_that_are_no_probabilities_are_refused() -> None:
    class Logits(ByWord):
        def score_problems(self, problems: Sequence[StepProblem]) -> list[list[np.ndarray]]:
            return [[np.full(len(steps), -2.5) for steps in problem.solutions] for problem in problems]

    with pytest.raises(InputError, match=r"by word gave -2\.5 for a step"):
        measured(Logits())


def test_another_number_of_scores_is_refused() -> None:
    class Short(ByWord):
        def score_problems(self, problems: Sequence[StepProblem]) -> list[list[np.ndarray]]:
            return [[np.ones(1) for _ in problem.solutions] for problem in problems]

    with pytest.raises(InputError, match="another number of scores than of steps"):
        measured(Short())


def test_steps_without_a_score_are_left_out_where_the_reward_does_so() -> None:
    nan = float("nan")
    plan = make_plan(solutions(5), most_scored=20, most_hacked=20, rng=np.random.default_rng(0))
    full = score_plan(ByWord(), plan)
    holed = [[np.where(np.arange(score.size) == 0, nan, score) for score in of_problem] for of_problem in full]
    kwargs = {"band": 0.1, "resamples": 50, "aggregates": ("sum",)}
    strict = measure_gains(plan.batteries, holed, rng=np.random.default_rng(1), **kwargs)  # type: ignore[arg-type]
    loose = measure_gains(plan.batteries, holed, rng=np.random.default_rng(1), skips=True, **kwargs)  # type: ignore[arg-type]
    assert cell(strict, "duplicate right steps", "right", "sum").n_used == 0
    assert cell(loose, "duplicate right steps", "right", "sum").interval.estimate == 2.0  # 1 of 2 scored, 3 of 4
    assert cell(loose, "thanks only", "right", "sum").n_missing == 5  # its only step has no score
    for how in AGGREGATES:
        (of_problem,) = aggregated([[np.array([]), np.array([0.5, 1.0])]], how)
        assert np.isnan(of_problem[0])
        assert of_problem[1] == aggregate(np.array([0.5, 1.0]), how)
