"""Fitting a network to units, whatever the labels: what is trained, the run and its resumption, the pace.

`karat train` for pairs (`train.run`) and for steps (`train.process.run`) differ in their data, their loss and their
evaluation; everything between a loaded network and fitted weights is here.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import torch
from transformers import SchedulerType, TrainingArguments
from transformers.integrations.integration_utils import get_available_reporting_integrations

from karat.errors import InputError, ResourceError
from karat.rewards.backbone import RewardNet, decoder_layers, without_frozen_layers
from karat.rewards.model import is_full_disk
from karat.train.checkpoints import CHECKPOINTS, MarkComplete
from karat.train.config import FitConfig
from karat.train.objective import Objective
from karat.train.trainer import Pace, TreeTrainer
from karat.train.trunk_cache import trunk_cache
from karat.train.units import HasTree
from karat.types import Table

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Progress = Callable[..., None]
LR_FULL, LR_FROZEN, LR_LORA = 2e-5, 1e-4, 2e-4


class Fittable(Protocol):
    """A reward whose network can be fitted: the network, and the transformers model that owns its parts."""

    net: RewardNet
    model: Any


@dataclass(frozen=True, slots=True)
class FitRun:
    """One run over some units.

    Attributes:
        out: folder of the run; its checkpoints lie below.
        resume: checkpoint to go on from; None: from the start.
        progress: called as progress(stage, done, total, note).
        items: what the labels are of ("pairs", "steps"), for the pace; n_items: of them in all units.
    """

    out: Path
    resume: Path | None
    progress: Progress | None
    items: str
    n_items: int


@dataclass(frozen=True, slots=True)
class RunPace:
    """How fast a run went; NaN when nothing was left to do after a resume."""

    items_per_s: float
    unique_tokens_per_s: float
    steps: int


def fit_units(
    reward: Fittable, units: Sequence[HasTree], config: FitConfig, objective: Objective[Any], run: FitRun
) -> tuple[list[float], RunPace]:
    """Train a reward's network in place; adapters are merged.

    Args:
        units: `config.pairs_per_step` of them make one optimiser step.
        objective: the loss, and the counts for the log.
    Returns: the loss of each `log_steps` optimiser steps, and the pace.
    Raises: InputError: layers that the model does not have, several processes, a loss that diverges. ResourceError: a
        full disk.
    """
    net = reward.net
    _choose_trained(reward, config)
    steps = _total_steps(len(units), config)
    trees = [unit.tree for unit in units]
    with contextlib.ExitStack() as stack:
        arguments = _arguments(config, run.out, steps)
        net.to(arguments.device)
        cache = None
        if config.freeze_below:
            cache = trunk_cache(
                net, trees, layer=config.freeze_below, tokens_per_pack=config.tokens_per_pack, progress=run.progress
            )
            stack.enter_context(without_frozen_layers(net, config.freeze_below))
        per_step = len(units) / config.pairs_per_step
        n_tokens = sum(tree.n_tokens for tree in trees)
        pace = Pace(run.progress, run.n_items / per_step, n_tokens / per_step, items=run.items)
        trainer = TreeTrainer(
            net=net,
            args=arguments,
            units=units,
            objective=objective,
            tokens_per_pack=config.tokens_per_pack,
            lr_head=_learning_rates(config)[1],
            cache=cache,
            callbacks=[MarkComplete(), pace],
        )
        _run(trainer, run, steps)
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    _merge_lora(reward, config)
    for parameter in net.parameters():
        parameter.requires_grad_(True)
    net.eval()
    seconds = pace.seconds or math.nan
    return losses, RunPace(
        pace.steps * pace.items_per_step / seconds, pace.steps * pace.tokens_per_step / seconds, steps
    )


def _run(trainer: TreeTrainer, run: FitRun, steps: int) -> None:
    resume = run.resume
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
                f"the disk is full: a checkpoint could not be written to {run.out / CHECKPOINTS}. Earlier checkpoints "
                "are kept; make room and run the same command again to resume."
            ) from error
        raise


def _choose_trained(reward: Fittable, config: FitConfig) -> None:
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
        reward.model.gradient_checkpointing_enable({"use_reentrant": False})
        if config.lora or config.freeze_below:
            net.trunk.enable_input_require_grads()  # type: ignore[no-untyped-call]


def _merge_lora(reward: Fittable, config: FitConfig) -> None:
    if config.lora:
        merged = cast(Any, reward.net.trunk).merge_and_unload()
        reward.net.trunk = merged
        setattr(reward.model, reward.model.base_model_prefix, merged)


def check_names(config: FitConfig) -> None:
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


def _learning_rates(config: FitConfig) -> tuple[float, float]:
    lr = config.lr or (LR_LORA if config.lora else LR_FROZEN if config.freeze_below else LR_FULL)
    return lr, config.lr_head or 10 * lr


def _total_steps(n_units: int, config: FitConfig) -> int:
    if config.max_steps > 0:
        return config.max_steps
    return max(1, math.ceil(config.epochs * math.ceil(n_units / config.pairs_per_step)))


def _arguments(config: FitConfig, out: Path, steps: int) -> TrainingArguments:
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


def loss_table(losses: Sequence[float], log_steps: int = 1) -> Table:
    """The training loss, in at most 100 rows, each the mean over its span of steps; entries are log_steps apart."""
    spans = np.array_split(np.asarray(losses, dtype=float), min(100, len(losses))) if losses else []
    ends = (np.cumsum([len(span) for span in spans]) * log_steps).tolist()
    rows = tuple((int(end), float(span.mean())) for end, span in zip(ends, spans, strict=True))
    return Table("losses", "Training loss", ("step", "loss"), rows)


def finite_metrics(values: dict[str, Any]) -> dict[str, Any]:
    """What of a run's values the manifest keeps: all but the losses and what is undefined."""
    return {
        name: value
        for name, value in values.items()
        if name != "losses" and (not isinstance(value, float) or math.isfinite(value))
    }
