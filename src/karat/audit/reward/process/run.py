"""The process part of `karat audit reward`: score labelled solutions and their hacks, judge, state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from karat.audit.parts import Progress
from karat.audit.reward.benchmarks.thresholds import Asked, asked_for
from karat.audit.reward.config import AuditRewardConfig
from karat.audit.reward.process.agreement import UNCHECKED, agree
from karat.audit.reward.process.cases import Plan, Scores, make_plan, score_plan
from karat.audit.reward.process.findings import ProcessAudit, result_of
from karat.audit.reward.process.gains import measure_gains
from karat.audit.reward.process.limits import limited_steps, require_scored
from karat.audit.reward.process.steps import (
    as_benchmark,
    detect,
    false_alarms,
    first_error_number,
    lowest_places,
    tell_apart,
    thresholds_of,
)
from karat.data.account import account_table
from karat.data.records import as_number
from karat.numerics.process_aggregation import AGGREGATES
from karat.rewards.process import StepScorer, as_step_scorer
from karat.types import Result, StepSolution, Table

DEFAULT_AGGREGATE = "min"
STEP_CHECK = "builtin:step-check"
PROBLEM_SEED, PROBLEMS_EACH, DIFFICULTIES = 8801, 36, ("easy", "medium")
"""Of the built-in problems: enough that a hack which never moves a score is settled."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a step scorer.

    Attributes:
        aggregate: how it joins its steps; empty: it does not say.
        threshold: that it came with, used where --step-threshold gives none.
        check: whether its steps are compared with computation.
        skips: it makes a solution's score of the steps that have one (`skips_missing`): a step without a score is left
            out of every aggregate, and counts as not called wrong.
    """

    aggregate: str = ""
    threshold: Asked | None = None
    check: bool = True
    skips: bool = False


def audit_process(
    reward: Any,
    solutions: Sequence[StepSolution] | None = None,
    *,
    config: AuditRewardConfig,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> Result:
    """RW801 to RW820 of a reward that scores steps.

    Args:
        reward: what `as_step_scorer` takes.
        solutions: with step labels; None: those of config.steps, or of the built-in world of steps.
    Raises: InputError: the reward scores no steps, or gives no probabilities; DataError: no solution is labelled.
    """
    scorer, limited = limited_steps(as_step_scorer(reward), config.timeout_s)
    tables: tuple[Table, ...] = ()
    if solutions is None:
        solutions, tables = _solutions(config)
    own = str(getattr(reward, "aggregate", ""))
    known = Known(
        own if own in AGGREGATES else "", _stored_threshold(reward), check=scorer.name != STEP_CHECK,
        skips=bool(getattr(reward, "skips_missing", False)),
    )  # fmt: skip
    found = measure_process(scorer, solutions, config=config, rng=rng, known=known, progress=progress)
    require_scored(scorer, limited, found.told.n_right + found.told.n_wrong)
    result = result_of(found)
    return Result(result.command, result.findings, (*result.tables, *tables), result.values)


def measure_process(
    scorer: StepScorer,
    solutions: Sequence[StepSolution],
    *,
    config: AuditRewardConfig,
    rng: np.random.Generator,
    known: Known | None = None,
    progress: Progress | None = None,
) -> ProcessAudit:
    """Everything that the findings rest on. Raises as `audit_process`."""
    known = known or Known()
    plan_rng, gain_rng, step_rng = rng.spawn(3)
    plan = make_plan(solutions, most_scored=config.step_solutions, most_hacked=config.hacked_solutions, rng=plan_rng)
    scores = score_plan(scorer, plan, progress=progress)
    cells = measure_gains(plan.batteries, scores, band=config.band, rng=gain_rng, resamples=config.resamples,
                          skips=known.skips)  # fmt: skip
    return ProcessAudit(
        aggregate=known.aggregate or DEFAULT_AGGREGATE,
        is_assumed=not known.aggregate,
        band=config.band,
        n_problems=len({each.place.problem for each in plan.honest}),
        n_solutions=len(plan.honest),
        cells=cells,
        agreement=agree(plan.honest, scores) if known.check else UNCHECKED,
        told=tell_apart(plan.honest, scores),
        **_of_steps(plan, scores, known, config, step_rng),
    )  # fmt: skip


def _stored_threshold(reward: Any) -> Asked | None:
    """The threshold in a process reward's own folder, and where it was tuned."""
    facts: Any = getattr(reward, "facts", None)
    if getattr(facts, "threshold", None) is None:
        return None
    return Asked(repr(facts.threshold), f"of the reward, tuned on {facts.threshold_split}")


def _of_steps(
    plan: Plan, scores: Scores, known: Known, config: AuditRewardConfig, rng: np.random.Generator
) -> dict[str, Any]:
    """What the scores of the solutions as they came tell, and of right answers by wrong steps."""
    honest, stored = plan.honest, known.threshold
    if known.skips:
        scores = [[np.where(np.isnan(score), 1.0, score) for score in of_problem] for of_problem in scores]
    benchmark = as_benchmark(honest, "these solutions")
    of_honest = [scores[each.place.problem][each.place.solution] for each in honest]
    asked = asked_for(config.step_threshold, benchmark.name)
    if stored is not None and not asked.text:
        asked = stored
    given = as_number(asked.text) if asked.text else math.nan  # a subset's name is of a benchmark, not of these
    thresholds = thresholds_of(benchmark, of_honest, given=given, origin=asked.origin, seed=config.seed)
    if known.skips:
        thresholds = replace(thresholds, tuning=f"{thresholds.tuning}; a step without a score counts as right")
    return {
        "first_error": first_error_number(
            benchmark, of_honest, threshold=asked.text if given == given else "", seed=config.seed, rng=rng,
            resamples=config.resamples,
        ),
        "thresholds": thresholds,
        "detected": detect(plan.flips, scores, thresholds),
        "alarms": false_alarms(honest, scores, thresholds),
        "lowest": lowest_places(honest, scores, rng=rng, resamples=config.resamples),
    }  # fmt: skip


def _solutions(config: AuditRewardConfig) -> tuple[Sequence[StepSolution], tuple[Table, ...]]:
    if not config.steps:
        return _built_in(), ()
    from karat.data.steps import read_steps

    taken = read_steps(config.steps)
    return taken.solutions, (account_table(taken.account),)


def _built_in() -> list[StepSolution]:
    """Solutions of problems of the step world that are drawn for audits alone, and real samples of its test problems:
    no process reward is trained on them."""
    from karat.worlds.steps import draw_problems, load_step_world, solutions_of

    world, rng = load_step_world(), np.random.default_rng(PROBLEM_SEED)
    known = {solution.prompt for solution in (*world.solutions, *world.samples)}
    made = [
        solution
        for difficulty in DIFFICULTIES
        for problem in draw_problems(rng, PROBLEMS_EACH, difficulty=difficulty)
        if problem.prompt not in known
        for solution in solutions_of(problem, rng, right=1, wrong=2, wrong_process=1)
    ]
    return [*made, *(sample for sample in world.samples if sample.extra["split"] == "test")]
