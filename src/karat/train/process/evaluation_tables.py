"""What of an evaluation is shown: the reward beside the rules, solution scores, best of n, reliability, witnesses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from karat.numerics.process_accuracy import NO_ERROR
from karat.rewards.groups import last_text
from karat.train.evaluation_tables import WITNESS_CHARS, reliability_table
from karat.train.process.measures import Thresholds, judged_solutions, labelled_steps, predicted_first_errors
from karat.types import NAN, StepSolution, Table, TokenIds

if TYPE_CHECKING:
    from karat.train.process.evaluation import StepEvaluation

MOST_WITNESSES = 3


def step_tables(result: StepEvaluation) -> tuple[Table, ...]:
    """The reward beside rules that read nothing; solution scores and best of n where answers are known; reliability."""
    tables = [_rule_table(result)]
    if result.solutions.n_solutions:
        tables.append(_solution_table(result))
    reliability = reliability_table(result.steps.calibration)
    note = "Each step is read from the side that the reward takes (right or wrong); bins of equal mass."
    return (
        *tables,
        Table(reliability.name, reliability.title, (*reliability.columns[:-1], "steps"), reliability.rows, note),
    )


def _rule_table(result: StepEvaluation) -> Table:
    steps, first = result.steps, result.first_errors
    rows = [
        ("this reward", steps.auroc.estimate, steps.f1.estimate, steps.accuracy.estimate, first.f1.estimate),
        *(
            (name, value, steps.rule_f1.get(name, NAN), NAN, first.rule_f1.get(name, NAN))
            for name, value in steps.rule_auroc.items()
        ),
        ("always right", 0.5, 0.0, steps.right_share, 0.0),
        ("chance", 0.5, NAN, NAN, first.rule_f1["chance"]),
    ]
    if result.has_outcome:
        rows.insert(1, ("outcome reward, read at each step", steps.outcome_auroc, NAN, NAN, NAN))
    note = (
        f"Thresholds: {result.thresholds.where}. F1 of the wrong steps; ProcessBench's F1 of the first wrong step. The "
        "rules do not read the steps."
    )
    columns = ("judged by", "auroc", "step F1", "step accuracy", "ProcessBench F1")
    return Table("step_rules", "Steps of held-out problems, beside rules that read nothing", columns, tuple(rows), note)


def _solution_table(result: StepEvaluation) -> Table:
    found = result.solutions
    rows = []
    for name in dict.fromkeys((*found.auroc, *found.best_of_n)):
        auroc, best = found.auroc.get(name), found.best_of_n.get(name)
        rows.append(
            (
                name,
                *((auroc.estimate, auroc.low, auroc.high) if auroc else (NAN,) * 3),
                *((best.estimate, best.low, best.high) if best else (NAN,) * 3),
            )
        )
    n = f"{found.mean_n:.1f} solutions a problem" if found.n_choices else "no problem has two solutions"
    return Table(
        "solution_scores",
        "Solution scores against final answers, and best of n",
        ("score", "auroc", "low", "high", "best of n", "best low", "best high"),
        tuple(rows),
        f"{found.n_solutions} solutions with known answers; best of n over {found.n_choices} problems, {n}.",
    )


# ---------------------------------------------------------------------------------------------------------- witnesses
def step_witnesses(
    solutions: Sequence[StepSolution], score_PS: Sequence[np.ndarray], thresholds: Thresholds
) -> dict[str, tuple[str, ...]]:
    """At most three of each kind: the worst-judged steps, solutions whose first error is missed, lucky answers."""
    steps = labelled_steps(solutions, score_PS)
    worst = np.argsort(-np.abs(steps.score_N - steps.label_N), kind="stable")[:MOST_WITNESSES]
    at = judged_solutions(solutions, score_PS)
    predicted_P = predicted_first_errors([score_PS[index] for index in at], thresholds.first_error)
    missed, lucky = [], []
    for index, predicted in zip(at, predicted_P, strict=True):
        solution = solutions[index]
        if predicted == solution.first_error:
            continue
        told = f"named {_step(predicted)}, labelled {_step(solution.first_error)}"
        missed.append(f"row {solution.row}, {told} | prompt: {_prompt(solution)}")
        if solution.final_right == 1 and solution.first_error != NO_ERROR and predicted == NO_ERROR:
            lucky.append(f"row {solution.row}, right answer, {told} | prompt: {_prompt(solution)}")
    return {
        "steps": tuple(
            f"row {solutions[steps.owner_N[n]].row}, step {steps.index_N[n]}, score {steps.score_N[n]:.2f}, label "
            f"{steps.label_N[n]:g} | {_head(solutions[steps.owner_N[n]].steps[steps.index_N[n]])}"
            for n in worst
        ),
        "first_errors": tuple(missed[:MOST_WITNESSES]),
        "lucky": tuple(lucky[:MOST_WITNESSES]),
    }


def _step(index: int | None) -> str:
    return "no step" if index == NO_ERROR else f"step {index}"


def _prompt(solution: StepSolution) -> str:
    if isinstance(solution.prompt, TokenIds):
        return f"({len(solution.prompt.ids)} token ids)"
    return _head(last_text(solution.prompt) if solution.prompt else "")


def _head(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= WITNESS_CHARS else flat[: WITNESS_CHARS - 3] + "..."
