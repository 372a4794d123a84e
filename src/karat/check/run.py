"""`karat check`: run every check that the inputs allow, and say which it could not run and what would enable it.

nothing given    the built-in world: train the default reward on its pairs, evaluate, compare with the world's gold,
                 and see how far it can be optimised on samples for held-out prompts
--data           train the default reward on most of the pairs, evaluate on held-out prompts
--data --reward  evaluate the reward on all of the pairs
--reward         the same of this reward
--pool           besides, or with --reward alone: score the pool with the reward, and how far it can be optimised there
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from karat.check.audit import audit_of_reward, audit_pairs
from karat.check.config import CheckConfig
from karat.check.gold import gold_findings, has_gold
from karat.check.pool import pool_result, world_pool_result
from karat.data import read_pairs, split_pairs
from karat.data.account import account_table
from karat.errors import InputError
from karat.rewards import load_reward
from karat.train import TrainConfig, evaluate_reward, train
from karat.types import Account, Finding, PreferencePair, Result, Table
from karat.worlds import World, load_default_world

Progress = Callable[..., None]
WORLD_GOLD = "gold"
# Chosen on the world's training prompts alone, see docs/default-world.md: layers, rate and passes within three minutes.
DEMO_TRAINING = TrainConfig(freeze_below=20, epochs=2.0, group=True, pairs_per_step=4, heads=4, test_fraction=0.0)
HELD_OUT = 0.2
"""Share of a user's prompts that a reward trained here is judged on."""
TRIAL_PAIRS = 12
"""Pairs whose scoring is timed before a training, to plan its length."""


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What there is to check."""

    name: str
    train_pairs: tuple[PreferencePair, ...]
    test_pairs: tuple[PreferencePair, ...]
    """Empty: a share of the training pairs is held out."""
    account: Account | None
    world: World | None
    gold: str
    gold_name: str
    pool_gold: bool
    """The gold is a column of the pool, which the pairs need not have."""


def check(
    *,
    out: str | Path | None = None,
    config: CheckConfig | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Result:
    """Measure how far a reward can be trusted, with the inputs that are given.

    Args:
        out: folder in which a trained reward is kept (as OUT/reward); None: it is thrown away.
        config: inputs; `options` override single fields by name.
        progress: called as progress(stage, done, total, note).
    Returns: findings RM101 to RM105 on held-out pairs; RM201 and RM202 where there is a gold; of the audits of the
        pairs (DA) and of the reward (RW); "not checked" findings for inputs that are missing. Values as of `karat
        train`, the audits' under `audit_data` and `audit_reward`, and the world's summary under `world`.
    Raises: InputError and its kin for input that cannot be used.
    """
    config = replace(config or CheckConfig(), **options)
    if config.pool and config.reward and not config.data:
        return replace(pool_result(config.reward, config, progress), command="check")
    inputs = _inputs(config)
    result = (
        _check_reward(inputs, config, progress) if config.reward else _train_and_check(inputs, config, out, progress)
    )
    world = inputs.world
    tables = (*result.tables, _planted_table(world)) if world else result.tables
    values = {**result.values, "world": world.summary()} if world else dict(result.values)
    return replace(
        result,
        command="check",
        findings=(*result.findings, *_not_checked(result)),
        tables=tables,
        values=values,
        provenance={**result.provenance, "inputs": asdict(config), "data_name": inputs.name},
        lead=_lead(inputs, config, result),
    )


def _inputs(config: CheckConfig) -> _Inputs:
    if config.pool and not (config.data or config.reward):
        raise InputError(
            "--pool alone: there is no reward to put to test. Give --reward or --data; for a column of scores that the "
            "pool has already, run `karat stress POOL --proxy COLUMN`."
        )
    if config.data:
        data = read_pairs(config.data, **config.reading())
        held = data.pairs if config.reward else ()
        return _Inputs(config.data, data.pairs, held, data.account, None, config.gold, config.gold, bool(config.pool))
    world = load_default_world()
    if config.gold and config.gold != WORLD_GOLD:
        raise InputError(f"--gold {config.gold}: the built-in world's gold is named {WORLD_GOLD!r}. Drop the option.")
    return _Inputs(
        f"built-in world {world.name}",
        world.train_pairs,
        world.test_pairs,
        None,
        world,
        WORLD_GOLD,
        world.gold_name,
        False,
    )


# ------------------------------------------------------------------------------------------------------ the two routes
def _check_reward(inputs: _Inputs, config: CheckConfig, progress: Progress | None) -> Result:
    reward = load_reward(config.reward)
    evaluation = evaluate_reward(reward, inputs.test_pairs, seed=config.seed, progress=progress)
    scores = (evaluation.reward_chosen_P, evaluation.reward_rejected_P)
    findings, tables = _with_gold(inputs, inputs.test_pairs, *scores, config.seed)
    account = (account_table(inputs.account),) if inputs.account else ()
    further = _further(config.reward, inputs, config, progress)
    return Result(
        command="check",
        findings=(*evaluation.findings(), *findings, *further.findings),
        tables=(*evaluation.tables(), *tables, *account, *further.tables),
        values={**evaluation.values(), **further.values},
        provenance={"reward": reward.name, "seed": config.seed},
    )


def _train_and_check(inputs: _Inputs, config: CheckConfig, out: str | Path | None, progress: Progress | None) -> Result:
    training = replace(
        DEMO_TRAINING, model=config.model, freeze_below=_layers_to_freeze(config.model), seed=config.seed
    )
    if inputs.world is None:
        # Prompts of a user's data rarely repeat, so a step is pairs; and how many there are is not known beforehand.
        training = replace(training, test_fraction=HELD_OUT, group=False, pairs_per_step=8)
        training = replace(training, max_steps=_affordable_steps(inputs.train_pairs, config, training))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(out) / "reward" if out else Path(scratch) / "reward"
        # check trains anew each time, over its own earlier reward; train() refuses a folder that karat did not make
        training = replace(training, overwrite=any((folder / name).exists() for name in ("karat.json", "run.json")))
        trained = train(
            inputs.train_pairs, out=folder, config=training, progress=progress, test_pairs=inputs.test_pairs or None
        )
        findings, tables = _gold_of_trained(inputs, folder, config.seed, progress)
        further = _further(str(folder), inputs, config, progress)
        account = (account_table(inputs.account),) if inputs.account else ()
        return replace(
            trained,
            findings=(*trained.findings, *findings, *further.findings),
            tables=(*trained.tables, *tables, *account, *further.tables),
            values={**trained.values, **further.values},
            files=trained.files if out else (),
        )


def _further(reward: str, inputs: _Inputs, config: CheckConfig, progress: Progress | None) -> Result:
    """What does not rest on the labels of held-out pairs: both audits, and how far the reward can be optimised."""
    held_out = inputs.test_pairs
    if not held_out:  # as the training has split them
        held_out = split_pairs(inputs.train_pairs, test_fraction=HELD_OUT, seed=config.seed)[1] or inputs.train_pairs
    every = inputs.train_pairs if inputs.world is None else (*inputs.train_pairs, *inputs.test_pairs)
    parts = [
        audit_pairs(every, config.seed, progress),
        audit_of_reward(reward, held_out, config.seed, progress),
    ]
    pool = None
    if config.pool:
        pool = pool_result(reward, config, progress)
    elif inputs.world is not None:
        pool = world_pool_result(reward, inputs.world, config, progress)
    if pool is not None:  # its values under one name, since pairs and pool both count prompts
        parts.append(replace(pool, values={"stress": dict(pool.values)}))
    return Result(
        command="check",
        findings=tuple(finding for part in parts for finding in part.findings),
        tables=tuple(table for part in parts for table in part.tables),
        values={name: value for part in parts for name, value in part.values.items()},
    )


def _layers_to_freeze(model: str) -> int:
    """Two thirds of the layers: what the default model's settings freeze."""
    from karat.rewards.backbone import load_config
    from karat.rewards.model import resolve_model

    return round(2 / 3 * int(load_config(resolve_model(model)).get_text_config().num_hidden_layers))


def _affordable_steps(pairs: Sequence[PreferencePair], config: CheckConfig, training: TrainConfig) -> int:
    """Optimiser steps that fit into config.minutes, from the forward rate of a few of these pairs on this machine.

    A training step costs three forward passes of the layers that are trained; the frozen ones run once.
    """
    import torch

    from karat.rewards.backbone import decoder_layers
    from karat.rewards.model import load_reward_for_training, resolve_model, score_trees
    from karat.train.units import build_units

    reward = load_reward_for_training(
        resolve_model(config.model), n_heads=1, max_length=training.max_length, dtype=torch.float32, seed=config.seed
    )
    spread = range(0, len(pairs), max(1, len(pairs) // TRIAL_PAIRS))
    units = build_units([pairs[index] for index in spread], reward.encoder)
    trees = [unit.tree for unit in units.units]
    score_trees(reward.net, trees[:2], tokens_per_pack=training.tokens_per_pack)
    began = time.perf_counter()
    score_trees(reward.net, trees, tokens_per_pack=training.tokens_per_pack)
    seconds_per_pair = (time.perf_counter() - began) / len(trees)
    frozen = training.freeze_below / len(decoder_layers(reward.net))
    whole = training.epochs * len(pairs)
    budget = 60 * config.minutes - seconds_per_pair * frozen * len(pairs)
    affordable = budget / (seconds_per_pair * 3 * (1 - frozen))
    return max(1, int(min(whole, affordable) / training.pairs_per_step))


def _gold_of_trained(
    inputs: _Inputs, folder: Path, seed: int, progress: Progress | None
) -> tuple[tuple[Finding, ...], tuple[Table, ...]]:
    """Gold findings of a reward just trained, on the built-in world's test pairs (or nothing, without a gold)."""
    if not inputs.gold or not inputs.test_pairs:
        return (), ()
    from karat.rewards import score_pairs

    if progress:
        progress("comparing with the gold", 0, len(inputs.test_pairs), "pairs")
    scores = score_pairs(load_reward(str(folder)), inputs.test_pairs)
    return _with_gold(inputs, inputs.test_pairs, scores.chosen_P, scores.rejected_P, seed)


def _with_gold(
    inputs: _Inputs, pairs: Sequence[PreferencePair], reward_chosen_P: Any, reward_rejected_P: Any, seed: int
) -> tuple[tuple[Finding, ...], tuple[Table, ...]]:
    if not inputs.gold or (inputs.pool_gold and not has_gold(pairs, inputs.gold)):
        return (), ()
    findings, table = gold_findings(
        pairs,
        reward_chosen_P,
        reward_rejected_P,
        gold=inputs.gold,
        gold_name=inputs.gold_name,
        rng=np.random.default_rng([seed, 3]),
    )
    return findings, (table,)


# ---------------------------------------------------------------------------------------------------- what was not done
def _not_checked(result: Result) -> tuple[Finding, ...]:
    if any(finding.code == "RM201" for finding in result.findings):
        return ()
    return (
        Finding(
            code="RM201",
            title="Agreement with the gold",
            verdict="not checked",
            action="needs --gold NAME, with numbers in the data's columns NAME_chosen and NAME_rejected",
        ),
    )


def _planted_table(world: World) -> Table:
    rows = tuple((fault.name, fault.where, fault.strength, fault.unit, fault.found_by) for fault in world.planted)
    note = "What was put into the built-in world's preferences on purpose; a check that works finds it."
    return Table(
        "planted",
        "Faults planted in the built-in world",
        ("fault", "where", "strength", "unit", "found by"),
        rows,
        note,
    )


def _lead(inputs: _Inputs, config: CheckConfig, result: Result) -> str:
    values = result.values
    what = f"The reward {config.reward}" if config.reward else "The reward trained here"
    accuracy, low, high = (values.get(name, math.nan) for name in ("accuracy", "accuracy_low", "accuracy_high"))
    if math.isnan(accuracy):
        return f"{what} could not be judged: no held-out pair of {inputs.name} has both scores and a decided label."
    best = max(values.get("longer_accuracy", math.nan), values.get("shorter_accuracy", math.nan), 0.5)
    return (
        f"{what} orders {accuracy:.1%} [{low:.1%}, {high:.1%}] of the held-out pairs of {inputs.name} as labelled; "
        f"the best content-blind rule {best:.1%}."
    )
