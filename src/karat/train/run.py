"""`karat train`: preference pairs to a Bradley-Terry reward model, from reading the file to the evaluated folder."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from transformers import SchedulerType, TrainingArguments, set_seed
from transformers.integrations.integration_utils import get_available_reporting_integrations

from karat.data import fingerprint
from karat.errors import InputError, ResourceError
from karat.rewards.backbone import decoder_layers, without_frozen_layers
from karat.rewards.default_model import default_model_provenance
from karat.rewards.model import (
    RewardModel,
    is_full_disk,
    load_reward_for_training,
    resolve_model,
    save_reward_model,
    versions,
)
from karat.train.attributes import AttributeHeads, choose_attributes, standardise_ratings
from karat.train.augment import make_extras
from karat.train.checkpoints import CHECKPOINTS, MarkComplete, close_run, open_run
from karat.train.config import TrainConfig
from karat.train.evaluation import Evaluation
from karat.train.held_out import evaluate_reward
from karat.train.losses import count_missing_strength, make_loss
from karat.train.objective import PairObjective
from karat.train.sources import TrainingPairs, gather_pairs, not_evaluated
from karat.train.trainer import Pace, TreeTrainer
from karat.train.trunk_cache import trunk_cache
from karat.train.units import UnitSet, bootstrap_weights, build_units
from karat.types import NAN, AccountEntry, PreferencePair, Result, Table

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Progress = Callable[..., None]
LR_FULL, LR_FROZEN, LR_LORA = 2e-5, 1e-4, 2e-4


@dataclass(frozen=True, slots=True)
class RunPace:
    """How fast a run went; NaN when nothing was left to do after a resume."""

    pairs_per_s: float
    unique_tokens_per_s: float
    steps: int


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
    _check_names(config)
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
    losses, pace = _fit(reward, units, config, attributes, out, resume, progress)
    reward.tokens_per_pack = config.tokens_per_pack
    evaluation = evaluate_reward(reward, data.held_out, seed=config.seed, progress=progress) if data.held_out else None
    values = _values(evaluation, units, losses, pace) | extras.counts() | {"missing_strengths": n_without_strength}
    provenance = _provenance(reward, config, data)
    metrics = {name: value for name, value in values.items() if name != "losses" and _is_finite(value)}
    save_reward_model(
        reward, out, {**provenance, "metrics": metrics, "normaliser": _normaliser(evaluation), "ratings": scale}
    )
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
        "pairs_per_s": pace.pairs_per_s,
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
    reward: RewardModel,
    units: UnitSet,
    config: TrainConfig,
    attributes: AttributeHeads,
    out: Path,
    resume: Path | None,
    progress: Progress | None,
) -> tuple[list[float], RunPace]:
    """Train in place; returns the loss of each optimiser step and the pace."""
    net = reward.net
    n_heads = net.head.out_features
    _choose_trained(reward, config)
    rng = np.random.default_rng([config.seed, 1])
    head_weight = bootstrap_weights([unit.prompt_id for unit in units.units], 1 if attributes.names else n_heads, rng)
    if attributes.names:
        head_weight = {prompt: np.ones(n_heads) for prompt in head_weight}
    steps = _total_steps(len(units.units), config)
    with contextlib.ExitStack() as stack:
        arguments = _arguments(config, out, steps)
        net.to(arguments.device)
        cache = None
        if config.freeze_below:
            trees = [unit.tree for unit in units.units]
            cache = trunk_cache(
                net, trees, layer=config.freeze_below, tokens_per_pack=config.tokens_per_pack, progress=progress
            )
            stack.enter_context(without_frozen_layers(net, config.freeze_below))
        per_step = len(units.units) / config.pairs_per_step
        pace = Pace(progress, units.n_pairs / per_step, units.n_tokens / per_step)
        trainer = TreeTrainer(
            net=net,
            args=arguments,
            units=units.units,
            objective=PairObjective(make_loss(config, attributes.names, attributes.weights), head_weight),
            tokens_per_pack=config.tokens_per_pack,
            lr_head=_learning_rates(config)[1],
            cache=cache,
            callbacks=[MarkComplete(), pace],
        )
        _run(trainer, out, resume, steps)
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    _merge_lora(reward, config)
    for parameter in net.parameters():
        parameter.requires_grad_(True)
    net.eval()
    seconds = pace.seconds or math.nan
    return losses, RunPace(
        pace.steps * pace.pairs_per_step / seconds, pace.steps * pace.tokens_per_step / seconds, steps
    )


def _run(trainer: TreeTrainer, out: Path, resume: Path | None, steps: int) -> None:
    if resume is not None and int(resume.name.split("-")[1]) >= steps:
        # All steps were taken before the run was killed; the Trainer would take one more.
        trainer._load_from_checkpoint(str(resume))
        trainer.state = trainer.state.load_from_json(str(resume / "trainer_state.json"))
        return
    try:
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    except Exception as error:  # safetensors' own error type derives from Exception alone
        if is_full_disk(error):
            raise ResourceError(
                f"the disk is full: a checkpoint could not be written to {out / CHECKPOINTS}. Earlier checkpoints are "
                "kept; make room and run the same command again to resume."
            ) from error
        raise


def _choose_trained(reward: RewardModel, config: TrainConfig) -> None:
    """Freeze layers, add adapters, or neither; set gradient checkpointing."""
    net = reward.net
    if config.freeze_below:
        layers = decoder_layers(net)
        if config.freeze_below > len(layers):
            raise InputError(f"freeze_below = {config.freeze_below}, but the model has {len(layers)} layers.")
        if config.freeze_below == len(layers):
            raise InputError(
                f"freeze_below = {config.freeze_below} leaves no layer to train; at most {len(layers) - 1}."
            )
        frozen = [net.trunk.get_input_embeddings(), *list(layers)[: config.freeze_below]]
        for module in frozen:
            module.requires_grad_(False)
    if config.lora:
        from peft import LoraConfig, get_peft_model

        adapter = LoraConfig(r=config.lora, lora_alpha=2 * config.lora, lora_dropout=0.0, target_modules="all-linear")
        net.trunk = cast("PreTrainedModel", get_peft_model(net.trunk, adapter))
    if config.gradient_checkpointing:
        reward.model.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[no-untyped-call]
        if config.lora or config.freeze_below:
            net.trunk.enable_input_require_grads()  # type: ignore[no-untyped-call]


def _merge_lora(reward: RewardModel, config: TrainConfig) -> None:
    if config.lora:
        merged = cast(Any, reward.net.trunk).merge_and_unload()
        reward.net.trunk = merged
        setattr(reward.model, reward.model.base_model_prefix, merged)


def _check_names(config: TrainConfig) -> None:
    """Names that transformers resolves, before hours of work. Raises InputError: no such schedule or tracker."""
    schedules = [kind.value for kind in SchedulerType]
    if config.schedule not in schedules:
        raise InputError(f"schedule = {config.schedule!r} is not known; there are: {', '.join(schedules)}.")
    there: list[str] = get_available_reporting_integrations()  # type: ignore[no-untyped-call]
    missing = sorted(set(config.report_to.split(",")) - {"", "none", "all", *there})
    if missing:
        raise InputError(
            f"report_to: the tracker {missing[0]!r} is not installed, or transformers does not know it. Install it, or "
            f"name one of those that are there: {', '.join(there) or 'none'}."
        )


def _learning_rates(config: TrainConfig) -> tuple[float, float]:
    lr = config.lr or (LR_LORA if config.lora else LR_FROZEN if config.freeze_below else LR_FULL)
    return lr, config.lr_head or 10 * lr


def _total_steps(n_units: int, config: TrainConfig) -> int:
    if config.max_steps > 0:
        return config.max_steps
    return max(1, math.ceil(config.epochs * math.ceil(n_units / config.pairs_per_step)))


def _arguments(config: TrainConfig, out: Path, steps: int) -> TrainingArguments:
    """Raises: InputError: several processes, in which the steps and the saving are not coordinated."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}: training in several processes is not supported. Run one "
            "process; it uses one GPU."
        )
    arguments = TrainingArguments(
        output_dir=str(out / CHECKPOINTS),
        per_device_train_batch_size=config.pairs_per_step,
        max_steps=steps,
        learning_rate=_learning_rates(config)[0],
        lr_scheduler_type=config.schedule,
        warmup_steps=config.warmup,
        weight_decay=config.weight_decay,
        max_grad_norm=1.0,
        seed=config.seed,
        data_seed=config.seed,
        save_steps=config.save_steps,
        save_total_limit=2,
        logging_steps=config.log_steps,
        logging_nan_inf_filter=False,
        report_to=config.report_to.split(",") if config.report_to else "none",
        remove_unused_columns=False,
        disable_tqdm=True,
        bf16=False,
        fp16=False,
        dataloader_pin_memory=False,
        use_cpu=not torch.cuda.is_available(),  # MPS has no float64, which scores are summed in
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # nn.DataParallel would give every GPU the whole pack
    return arguments


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


def loss_table(losses: Sequence[float], log_steps: int = 1) -> Table:
    """The training loss, in at most 100 rows, each the mean over its span of steps; entries are log_steps apart."""
    spans = np.array_split(np.asarray(losses, dtype=float), min(100, len(losses))) if losses else []
    ends = (np.cumsum([len(span) for span in spans]) * log_steps).tolist()
    rows = tuple((int(end), float(span.mean())) for end, span in zip(ends, spans, strict=True))
    return Table("losses", "Training loss", ("step", "loss"), rows)


def _is_finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)
