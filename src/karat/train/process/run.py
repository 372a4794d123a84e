"""`karat train --process`: step labels to a process reward, from reading the file to the evaluated folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import set_seed

from karat.rewards.default_model import default_model_provenance
from karat.rewards.model import resolve_model, versions
from karat.rewards.process import ProcessReward, StepPolicy, load_process_for_training, save_process_reward
from karat.rewards.process.model import COMBINE_OF, ProcessFacts
from karat.train.checkpoints import close_run, is_finished, open_run
from karat.train.fitting import FitRun, Progress, RunPace, check_names, finite_metrics, fit_units, loss_table
from karat.train.process.config import ProcessConfig
from karat.train.process.evaluation import StepEvaluation, evaluate_steps, score_solutions
from karat.train.process.evaluation_findings import EXPLANATIONS
from karat.train.process.losses import StepLoss
from karat.train.process.measures import Thresholds, tune_thresholds
from karat.train.process.objective import ProcessObjective
from karat.train.process.sources import TrainingSteps, gather_steps
from karat.train.process.units import StepUnitSet, build_step_units
from karat.types import NAN, AccountEntry, Finding, Result, StepSolution

OUTCOME_FOLDER = "outcome"


@dataclass(frozen=True, slots=True)
class Fitted:
    """A reward that was fitted, on what, and how it went."""

    reward: ProcessReward
    units: StepUnitSet
    losses: list[float]
    pace: RunPace


def train_process(
    source: str | Path | Sequence[StepSolution],
    *,
    out: str | Path,
    config: ProcessConfig | None = None,
    progress: Progress | None = None,
    test_solutions: Sequence[StepSolution] | None = None,
    **options: Any,
) -> Result:
    """Train a process reward on solutions in steps, evaluate it on held-out problems, and save it.

    Args:
        source: a file, folder or hub name in any step format (`karat.data.steps.list_step_formats`), or the solutions.
        out: folder for the model; an unfinished run of the same request in it is resumed.
        config: options; `options` override single fields by name.
        progress: called as progress(stage, done, total, note).
        test_solutions: solutions to evaluate on; otherwise config.test_data, or a share of the problems.
    Returns: findings on the held-out problems; values: those of `StepEvaluation.values` (accuracy, step_f1, auroc,
        process_f1, ... each with _low and _high), steps_per_s (labelled steps), unique_tokens_per_s, losses.
    Raises: InputError and its kin for input that cannot be used; ResourceError for a full disk.
    """
    config = replace(config or ProcessConfig(), **options)
    check_names(config)
    out = Path(out)
    data = gather_steps(source, config, test_solutions=test_solutions)
    resume = open_run(out, _request(config, data), overwrite=config.overwrite)
    outcome_PS = _outcome_scores(data, config, out / OUTCOME_FOLDER, progress) if config.outcome else None
    fitted = _fit(data.fit, config, out, resume, progress)
    reward = fitted.reward
    thresholds = _tuned(reward, data.tune)
    evaluation = _evaluated(reward, data, thresholds, outcome_PS, config, progress)
    values = _values(evaluation, fitted)
    provenance = _provenance(reward, config, data) | {"thresholds": thresholds.facts()}
    if thresholds.n_solutions and "first_error" not in thresholds.untuned:
        reward.facts = replace(reward.facts, threshold=thresholds.first_error, threshold_split=thresholds.part)
    save_process_reward(reward, out, {**provenance, "metrics": finite_metrics(values)})
    close_run(out)
    return Result(
        command="train",
        findings=evaluation.findings() if evaluation else (_not_evaluated(data, config),),
        tables=(
            *(evaluation.tables() if evaluation else ()),
            *data.tables((*fitted.units.entries, *_scoring_cuts(reward))),
            loss_table(fitted.losses, config.log_steps),
        ),
        values=values,
        files=(str(out), *((str(out / OUTCOME_FOLDER),) if config.outcome else ())),
        provenance=provenance,
        lead=_lead(fitted, data, evaluation),
    )


def _request(config: ProcessConfig, data: TrainingSteps) -> dict[str, Any]:
    return {**asdict(config), "data": data.fingerprint(), "kind": "process", "out_format": 1}


# ----------------------------------------------------------------------------------------------------------- training
def _fit(
    solutions: Sequence[StepSolution], config: ProcessConfig, out: Path, resume: Path | None, progress: Progress | None
) -> Fitted:
    """The backbone with its head, trained on solutions."""
    set_seed(config.seed)
    policy = StepPolicy(
        separator=config.separator_text, chat=config.chat, max_length=config.max_length, too_long=config.too_long
    )
    is_outcome = config.likelihood == "outcome"
    reward = load_process_for_training(
        resolve_model(config.model),
        policy=policy,
        head=config.head,
        facts=ProcessFacts(
            labels="" if is_outcome else config.label_source,
            aggregate=config.aggregate or ("last" if is_outcome else ""),
            likelihood=config.likelihood,
        ),
        dtype=getattr(torch, config.dtype),
        seed=config.seed,
    )
    units = build_step_units(solutions, reward.encoder, config.likelihood)
    objective = ProcessObjective(StepLoss(COMBINE_OF[config.head]))
    run = FitRun(out, resume, progress, "steps", units.n_labels)
    losses, pace = fit_units(reward, units.units, config, objective, run)
    reward.tokens_per_pack = config.tokens_per_pack
    return Fitted(reward, units, losses, pace)


def _outcome_scores(
    data: TrainingSteps, config: ProcessConfig, out: Path, progress: Progress | None
) -> list[np.ndarray]:
    """Scores of the held-out solutions' steps by an outcome reward of the same solutions, trained here and saved.

    It comes first: a run that is killed afterwards finds it finished.
    """
    config = replace(config, likelihood="outcome", aggregate="last", outcome=False)
    request = _request(config, data)
    if not config.overwrite and is_finished(out, request):
        reward = ProcessReward.load(str(out), tokens_per_pack=config.tokens_per_pack)
    else:
        resume = open_run(out, request, overwrite=config.overwrite)
        fitted = _fit(data.fit, config, out, resume, progress)
        reward = fitted.reward
        save_process_reward(reward, out, _provenance(reward, config, data))
        close_run(out)
    return score_solutions(reward, data.held_out)


def _tuned(reward: ProcessReward, solutions: Sequence[StepSolution]) -> Thresholds:
    if not solutions:
        return Thresholds()
    split = "problems that were neither fitted nor held out"
    return tune_thresholds(solutions, score_solutions(reward, solutions), split=split)


def _evaluated(
    reward: ProcessReward,
    data: TrainingSteps,
    thresholds: Thresholds,
    outcome_PS: list[np.ndarray] | None,
    config: ProcessConfig,
    progress: Progress | None,
) -> StepEvaluation | None:
    if not data.held_out:
        return None
    n_solutions = len(data.held_out)
    if progress:
        progress("evaluating", 0, n_solutions, "solutions")
    score_PS = score_solutions(reward, data.held_out)
    if progress:
        progress("evaluating", n_solutions, n_solutions, "solutions")
    return evaluate_steps(
        data.held_out,
        score_PS,
        rng=np.random.default_rng([config.seed, 2]),
        aggregate=reward.aggregate,
        thresholds=thresholds,
        outcome_PS=outcome_PS,
    )


# ----------------------------------------------------------------------------------------------------- what is recorded
def _values(evaluation: StepEvaluation | None, fitted: Fitted) -> dict[str, Any]:
    names = ("accuracy", "step_f1", "auroc", "process_f1")
    unknown = {f"{name}{end}": NAN for name in names for end in ("", "_low", "_high")}
    units = fitted.units
    return {
        **(evaluation.values() if evaluation else unknown),
        "steps_per_s": fitted.pace.items_per_s,
        "unique_tokens_per_s": fitted.pace.unique_tokens_per_s,
        "steps": fitted.pace.steps,
        "losses": fitted.losses,
        "train_steps": units.n_labels,
        "train_solutions": units.n_solutions,
        "train_problems": len(units.units),
        "train_tokens": units.n_tokens,
        "tokens_without_sharing": units.n_unshared_tokens,
    }


def _scoring_cuts(reward: ProcessReward) -> list[AccountEntry]:
    """What the limit of length took from solutions that were scored; only tuning and evaluation have so far."""
    if not reward.n_cut:
        return []
    limit = reward.encoder.policy.max_length
    reason = f"tuned on or held out, longer than {limit} tokens: oldest steps without a score"
    return [AccountEntry("changed", reason, reward.n_cut, ())]


def _not_evaluated(data: TrainingSteps, config: ProcessConfig) -> Finding:
    """Says that nothing was held out, and why: none asked for, or too few problems for the share."""
    n_problems = len({solution.prompt_id for solution in data.fit})
    why = f"--test-fraction {config.test_fraction:g} of {n_problems} problems held out none"
    return Finding(
        code="RM301",
        title=EXPLANATIONS["RM301"][0],
        verdict="not checked",
        action=f"{why}; give --test-data or a larger --test-fraction",
    )


def _provenance(reward: ProcessReward, config: ProcessConfig, data: TrainingSteps) -> dict[str, Any]:
    return {
        "model": config.model,
        "backbone": default_model_provenance(Path(reward.name)),
        "config": asdict(config),
        "seed": config.seed,
        "data": data.facts(),
        "template_hash": reward.encoder.hash(),
        "versions": versions(),
    }


def _lead(fitted: Fitted, data: TrainingSteps, evaluation: StepEvaluation | None) -> str:
    """What was trained on what, and how well it judges steps of problems that it has not seen."""
    units = fitted.units
    trained = f"Trained on {units.n_labels:,} labelled steps of {units.n_solutions:,} solutions ({data.account.source})"
    if evaluation is None:
        return f"{trained}; none was held out, so nothing is known of what it learned."
    auroc, first = evaluation.steps.auroc, evaluation.first_errors
    if math.isnan(auroc.estimate):
        return f"{trained}; the held-out solutions lack scored steps that are right and wrong, so it cannot be judged."
    told = (
        f"{trained}; of problems not seen it puts a right step above a wrong one in {auroc.estimate:.1%} "
        f"[{auroc.low:.1%}, {auroc.high:.1%}] of the cases (reading nothing: "
        f"{evaluation.steps.rule_auroc[evaluation.steps.best_rule]:.1%})"
    )
    if math.isnan(first.f1.estimate):
        return f"{told}."
    return (
        f"{told}, and finds the first wrong step with a ProcessBench F1 of {first.f1.estimate:.2f} "
        f"[{first.f1.low:.2f}, {first.f1.high:.2f}] (reading nothing: {first.rule_f1[first.best_rule]:.2f})."
    )
