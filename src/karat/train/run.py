"""`karat train`: preference pairs to a Bradley-Terry reward model, from reading the file to the evaluated folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import set_seed

from karat.data import fingerprint
from karat.rewards.default_model import default_model_provenance
from karat.rewards.model import RewardModel, load_reward_for_training, resolve_model, save_reward_model, versions
from karat.train.attributes import AttributeHeads, choose_attributes, standardise_ratings
from karat.train.augment import make_extras
from karat.train.checkpoints import close_run, open_run
from karat.train.config import TrainConfig
from karat.train.evaluation import Evaluation
from karat.train.fitting import FitRun, Progress, RunPace, check_names, finite_metrics, fit_units, loss_table
from karat.train.held_out import evaluate_reward
from karat.train.losses import count_missing_strength, make_loss
from karat.train.objective import PairObjective
from karat.train.sources import TrainingPairs, gather_pairs, not_evaluated
from karat.train.units import UnitSet, bootstrap_weights, build_units
from karat.types import NAN, AccountEntry, PreferencePair, Result


def train(
    source: str | Path | Sequence[PreferencePair],
    *,
    out: str | Path,
    config: TrainConfig | None = None,
    progress: Progress | None = None,
    test_pairs: Sequence[PreferencePair] | None = None,
    **options: Any,
) -> Result:
    """Train a reward model on preference pairs, evaluate it on held-out prompts, and save it.

    Args:
        source: a file, folder or hub name in any pair format (`karat.data.list_formats`), or the pairs themselves.
        out: folder for the model; an unfinished run of the same request in it is resumed.
        config: options; `options` override single fields by name.
        progress: called as progress(stage, done, total, note).
        test_pairs: pairs to evaluate on; otherwise config.test_data, or a share of the prompts.
    Returns: findings on the held-out pairs; values: accuracy, accuracy_low, accuracy_high, pairs_per_s,
        unique_tokens_per_s, losses (means over `log_steps` optimiser steps), and those of `Evaluation.values`.
    Raises: InputError and its kin for input that cannot be used; ResourceError for a full disk.
    """
    config = replace(config or TrainConfig(), **options)
    check_names(config)
    out = Path(out)
    data = gather_pairs(source, config, test_pairs=test_pairs)
    attributes = choose_attributes(config.attributes, data.fit)
    extras = make_extras(data.fit, config)
    request = {**asdict(config), "data": fingerprint(data.fit), "extras": extras.fingerprint(), "out_format": 1}
    resume = open_run(out, request, overwrite=config.overwrite)
    reward = _load_network(config, attributes)
    needs_strength = config.loss in ("margin", "strength")
    n_without_strength = count_missing_strength(data.fit) if needs_strength else 0
    units = build_units(data.fit, reward.encoder, group=config.group, attributes=attributes.names, extras=extras)
    units, scale = standardise_ratings(units, attributes.names)
    run = FitRun(out, resume, progress, "pairs", units.n_pairs)
    losses, pace = _fit(reward, units, config, attributes, run)
    reward.tokens_per_pack = config.tokens_per_pack
    evaluation = evaluate_reward(reward, data.held_out, seed=config.seed, progress=progress) if data.held_out else None
    values = _values(evaluation, units, losses, pace) | extras.counts() | {"missing_strengths": n_without_strength}
    provenance = _provenance(reward, config, data)
    stated = {"metrics": finite_metrics(values), "normaliser": _normaliser(evaluation), "ratings": scale}
    save_reward_model(reward, out, {**provenance, **stated})
    close_run(out)
    return Result(
        command="train",
        findings=evaluation.findings() if evaluation else (not_evaluated(data.fit, config),),
        tables=(
            *(evaluation.tables() if evaluation else ()),
            *data.tables((*extras.entries, *units.entries, *_held_out_cuts(reward))),
            loss_table(losses, config.log_steps),
        ),
        values=values,
        files=(str(out),),
        provenance=provenance,
        lead=_lead(units.n_pairs, extras.n_added, data, evaluation),
    )


def _values(evaluation: Evaluation | None, units: UnitSet, losses: list[float], pace: RunPace) -> dict[str, Any]:
    measured = evaluation.values() if evaluation else dict.fromkeys(("accuracy", "accuracy_low", "accuracy_high"), NAN)
    return {
        **measured,
        "pairs_per_s": pace.items_per_s,
        "unique_tokens_per_s": pace.unique_tokens_per_s,
        "steps": pace.steps,
        "losses": losses,
        "train_pairs": units.n_pairs,
        "train_tokens": units.n_tokens,
        "tokens_without_sharing": units.n_padded_tokens,
    }


def _held_out_cuts(reward: RewardModel) -> list[AccountEntry]:
    """What the limit of length took from held-out pairs; only the evaluation has scored with this reward so far."""
    if not reward.n_cut:
        return []
    reason = f"held out, longer than {reward.encoder.policy.max_length} tokens: responses scored on what was left"
    return [AccountEntry("changed", reason, reward.n_cut, ())]


def _lead(n_trained: int, n_added: int, data: TrainingPairs, evaluation: Evaluation | None) -> str:
    """What was trained on what, and how well it orders pairs that it has not seen."""
    trained = f"Trained on {n_trained:,} pairs of {data.account.source}"
    trained += f" ({n_added:,} of them added)" if n_added else ""
    if evaluation is None:
        return f"{trained}; none was held out, so nothing is known of what it learned."
    found = evaluation.overall.accuracy
    if math.isnan(found.estimate):
        return f"{trained}; no held-out pair has both scores and a decided label, so it could not be judged."
    return (
        f"{trained}; it orders {found.estimate:.1%} [{found.low:.1%}, {found.high:.1%}] of "
        f"{evaluation.overall.n_pairs:,} held-out pairs as labelled, the best content-blind rule "
        f"{evaluation.overall.baseline:.1%}."
    )


def _load_network(config: TrainConfig, attributes: AttributeHeads) -> RewardModel:
    """The backbone with its heads, seeded, named and combined as asked for."""
    set_seed(config.seed)
    reward = load_reward_for_training(
        resolve_model(config.model),
        n_heads=len(attributes.names) or config.heads,
        max_length=config.max_length,
        dtype=getattr(torch, config.dtype),
        seed=config.seed,
    )
    if attributes.names:
        reward.head_names = attributes.names
        reward.net.combine_H = torch.tensor(attributes.weights, dtype=torch.float32)
    elif config.heads > 1:
        reward.head_names = tuple(f"head_{index}" for index in range(config.heads))
    return reward


# ------------------------------------------------------------------------------------------------------------ training
def _fit(
    reward: RewardModel, units: UnitSet, config: TrainConfig, attributes: AttributeHeads, run: FitRun
) -> tuple[list[float], RunPace]:
    """Train in place; returns the loss of each optimiser step and the pace."""
    n_heads = reward.net.head.out_features
    rng = np.random.default_rng([config.seed, 1])
    head_weight = bootstrap_weights([unit.prompt_id for unit in units.units], 1 if attributes.names else n_heads, rng)
    if attributes.names:
        head_weight = {prompt: np.ones(n_heads) for prompt in head_weight}
    objective = PairObjective(make_loss(config, attributes.names, attributes.weights), head_weight)
    return fit_units(reward, units.units, config, objective, run)


# ----------------------------------------------------------------------------------------------------- what is recorded
def _normaliser(evaluation: Evaluation | None) -> dict[str, float] | None:
    """Mean and standard deviation of the rewards of held-out responses; None when nothing was held out."""
    if evaluation is None:
        return None
    rewards = np.concatenate((evaluation.reward_chosen_P, evaluation.reward_rejected_P))
    rewards = rewards[np.isfinite(rewards)]
    if rewards.size < 2:
        return None
    return {"mean": float(rewards.mean()), "std": float(rewards.std(ddof=1)), "n": int(rewards.size)}


def _provenance(reward: RewardModel, config: TrainConfig, data: TrainingPairs) -> dict[str, Any]:
    return {
        "model": config.model,
        "backbone": default_model_provenance(Path(reward.name)),
        "config": asdict(config),
        "seed": config.seed,
        "data": {**data.facts(), "split_by": config.split_by},
        "template_hash": reward.encoder.hash(),
        "versions": versions(),
    }
