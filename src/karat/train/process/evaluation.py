"""How well a process reward judges steps of held-out problems, beside rules that read nothing.

Every number follows from the scores of all steps, never from means of batch means; intervals are 95 % and clustered by
problem. What is missing is counted and left out.

Axes: P solutions, S steps of one solution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from karat.rewards.process import StepScorer, problems_of
from karat.train.process.evaluation_findings import step_findings
from karat.train.process.evaluation_tables import step_tables, step_witnesses
from karat.train.process.first_errors import FirstErrors, assess_first_errors
from karat.train.process.measures import Thresholds, require_scores, tune_rules
from karat.train.process.solution_level import SolutionLevel, assess_solutions
from karat.train.process.step_level import StepLevel, assess_step_level
from karat.types import Finding, StepSolution, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEvaluation:
    """Everything that `evaluate_steps` measured, by what is judged; NaN where undefined."""

    gold_name: str
    thresholds: Thresholds
    n_solutions: int
    n_problems: int
    steps: StepLevel
    first_errors: FirstErrors
    solutions: SolutionLevel
    has_outcome: bool
    """Whether an outcome reward was compared with."""
    witnesses: Mapping[str, tuple[str, ...]]

    def findings(self) -> tuple[Finding, ...]:
        """RM301 to RM308, see `karat.train.process.evaluation_findings`."""
        return step_findings(self)

    def tables(self) -> tuple[Table, ...]:
        """The reward beside the rules, solution scores, best of n, and the reliability table."""
        return step_tables(self)

    def values(self) -> dict[str, Any]:
        """The numbers by stable names, for the JSON output; NaN where undefined."""
        steps, first = self.steps, self.first_errors
        intervals = {
            "accuracy": steps.accuracy,
            "step_f1": steps.f1,
            "auroc": steps.auroc,
            "auroc_gain": steps.auroc_gain,
            "outcome_auroc_gain": steps.outcome_gain,
            "process_f1": first.f1,
            "process_f1_gain": first.f1_gain,
            "first_error_found": first.found,
            "right_kept": first.kept,
            "lucky_caught": first.lucky.caught,
            "lucky_false_alarm": first.lucky.false_alarm,
            "ece": steps.calibration.ece,
            "nll": steps.calibration.nll,
            "brier": steps.calibration.brier,
            **self.solutions.intervals(),
        }
        values: dict[str, Any] = {}
        for name, interval in intervals.items():
            values |= {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}
        temperature = steps.calibration.temperature
        return values | {
            "temperature": temperature.value,
            "temperature_low": temperature.low,
            "temperature_high": temperature.high,
            "ece_noise": steps.calibration.ece_noise,
            "step_f1_half": steps.f1_half,
            "right_share": steps.right_share,
            "step_threshold": self.thresholds.step,
            "first_error_threshold": self.thresholds.first_error,
            "threshold_split": self.thresholds.part,
            "best_rule": steps.best_rule,
            "best_rule_auroc": steps.rule_auroc.get(steps.best_rule, float("nan")),
            "best_process_rule": first.best_rule,
            "best_process_rule_f1": first.rule_f1[first.best_rule],
            "n_solutions": self.n_solutions,
            "n_problems": self.n_problems,
            "n_steps": steps.n_steps,
            "n_wrong_steps": steps.n_wrong,
            "n_label_ties": steps.n_ties,
            "n_missing": steps.n_missing,
            "n_judged": first.n_judged,
            "n_judged_wrong": first.n_wrong,
            "n_unjudged": first.n_missing,
            "n_choices": self.solutions.n_choices,
        }


def score_solutions(scorer: StepScorer, solutions: Sequence[StepSolution]) -> list[np.ndarray]:
    """Scores of each solution's steps, (S,) each, in the order of the solutions; a problem is scored once."""
    problems, members = problems_of(solutions)
    found: list[np.ndarray] = [np.zeros(0)] * len(solutions)
    for indices, scored in zip(members, scorer.score_problems(problems), strict=True):
        for index, score_S in zip(indices, scored, strict=True):
            found[index] = score_S
    return found


def evaluate_steps(
    solutions: Sequence[StepSolution],
    score_PS: Sequence[np.ndarray],
    *,
    rng: np.random.Generator,
    aggregate: str = "min",
    thresholds: Thresholds | None = None,
    outcome_PS: Sequence[np.ndarray] | None = None,
    gold_name: str = "step labels",
) -> StepEvaluation:
    """Judge the scores of held-out solutions' steps against their labels and against rules that read nothing.

    Args:
        solutions: with their `prompt_id`, which clusters them; length P.
        score_PS: probability that each step is right, (S,) each; NaN: missing.
        rng: source of the bootstrap.
        aggregate: how the reward makes a score of a solution; the others are reported beside it.
        thresholds: tuned on other problems (`tune_thresholds`); None: one half.
        outcome_PS: scores of an outcome reward read at each step, to compare with.
        gold_name: what the labels are.
    Raises: InputError: not one score a step, or one that is no probability.
    """
    thresholds = thresholds or Thresholds()
    if not thresholds.rules:
        thresholds = replace(thresholds, rules=tune_rules(solutions))
    for scores in (score_PS, outcome_PS):
        if scores is not None:
            require_scores(solutions, scores)
    return StepEvaluation(
        gold_name=gold_name,
        thresholds=thresholds,
        n_solutions=len(solutions),
        n_problems=len({solution.prompt_id for solution in solutions}),
        steps=assess_step_level(solutions, score_PS, thresholds, rng=rng, outcome_PS=outcome_PS),
        first_errors=assess_first_errors(solutions, score_PS, thresholds, rng=rng),
        solutions=assess_solutions(solutions, score_PS, rng=rng, aggregate=aggregate, outcome_PS=outcome_PS),
        has_outcome=outcome_PS is not None,
        witnesses=step_witnesses(solutions, score_PS, thresholds),
    )
