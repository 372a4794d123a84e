"""`karat audit reward`: sanity first, then what the reward pays for, and what it can be made to pay for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from karat.audit.leads import reward_lead
from karat.audit.parts import Progress, attempt, chosen_parts, merge, names_of
from karat.audit.reward.benchmarks.columns import is_column, load_any
from karat.audit.reward.benchmarks.thresholds import is_file, read_thresholds
from karat.audit.reward.config import PARTS, AuditRewardConfig
from karat.audit.reward.limited import LimitedReward
from karat.data import read_pairs, stream_pool, take_pairs
from karat.data.account import account_table
from karat.errors import InputError, KaratError
from karat.rewards.groups import group_pairs
from karat.rewards.kinds import FunctionReward, import_function
from karat.rewards.process.protocol import takes_steps
from karat.rewards.protocol import Reward
from karat.types import PreferencePair, Result, Table
from karat.worlds import load_default_world

COMMAND = "audit reward"
STEP_PARTS = ("benchmarks", "process")
"""Parts that need no score of a whole response."""
LONG_PARTS = {"probes", "sophistry", "attack", "predict"}


def audit_reward(
    reward: str | Reward,
    data: Any = None,
    *,
    out: str | Path | None = None,
    config: AuditRewardConfig | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Result:
    """Find what a reward wrongly pays for.

    Args:
        reward: what `load_reward` takes, or a Reward.
        data: pairs that the reward should order: what `read_pairs` takes, or a sequence of PreferencePair; None:
            config.data, or the built-in world's held-out pairs.
        out: folder for a calibrated reward and lists; None: none.
        config: what is tried; `options` override single fields by name.
        progress: called as progress(stage, done, total, note).
    Returns: findings RW101 onwards.
    Raises: InputError, DataError and their kin for input that cannot be used.
    """
    config = replace(config or AuditRewardConfig(), **options)
    if config.fix and out is None:
        raise InputError("--fix writes a calibrated reward, so it needs a folder: --out DIR (out=).")
    parts = chosen_parts(config.parts, PARTS)
    if config.probes:
        from karat.audit.reward.measure import chosen_families

        chosen_families(config.probes)  # a name that is not known is wrong use, not something unchecked
    if isinstance(reward, str) and is_column(reward) and not config.parts:
        parts = ("benchmarks",)  # scores of a benchmark's file: there is no reward to try anything on
    _require_named(config, parts)
    loaded = load_any(reward, max_length=config.max_length) if isinstance(reward, str) else reward
    if isinstance(loaded, FunctionReward) and takes_steps(loaded.function) and not config.parts:
        parts = STEP_PARTS  # it scores steps and no responses
    name, pairs, tables = _pairs(data, config)
    folder = Path(out) if out is not None else None
    limited = LimitedReward(loaded, config.timeout_s, stops=True)
    if {*parts} - {*STEP_PARTS}:
        # What cannot score one pair of this data fails here, not in each part; a limit of its own counts for no part.
        LimitedReward(loaded, config.timeout_s).score(group_pairs(pairs[:1]).groups)
    if LONG_PARTS & {*parts} or config.fix:
        _estimate(limited, parts, pairs, config, progress)
    runs = _parts(limited, pairs, folder, config, progress)
    results = [attempt(COMMAND, *runs[part]) for part in parts]
    if config.fix and folder is not None:
        results.append(_calibrate(limited, pairs, folder, config, progress))
    results.append(Result(COMMAND, tables=tables, values={"n_pairs": len(pairs)}))
    provenance = {"inputs": asdict(config), "reward": loaded.name, "data_name": name}
    merged = merge(COMMAND, results, provenance=provenance)
    return replace(merged, lead=reward_lead(loaded.name, merged.findings))


def _pairs(data: Any, config: AuditRewardConfig) -> tuple[str, tuple[PreferencePair, ...], tuple[Table, ...]]:
    """The pairs, what to call them, and the account of their reading."""
    if data is None and not config.data:
        world = load_default_world()
        return f"built-in world {world.name}", world.test_pairs, ()
    source = data if data is not None else config.data
    if isinstance(source, list | tuple) and source and all(isinstance(item, PreferencePair) for item in source):
        taken = take_pairs(source)
    else:
        taken = read_pairs(source, **config.reading())
    return taken.account.source, taken.pairs, (account_table(taken.account),)


def _require_named(config: AuditRewardConfig, parts: tuple[str, ...]) -> None:
    """What an option names and is not there is an error before the work, not a part that is left out."""
    if "probes" in parts:
        from karat.audit.reward.measure import chosen_families

        chosen_families(config.probes)
        if config.rewriter:
            import_function(config.rewriter)
    if config.items and "sophistry" in parts:
        from karat.audit.reward.sophistry import read_items

        read_items(config.items)
    if config.pool and "predict" in parts:
        stream_pool(config.pool)
    if config.benchmarks and "benchmarks" in parts:
        from karat.audit.reward.benchmarks.reading import read_benchmarks

        for spec in names_of(config.benchmarks):
            read_benchmarks(spec)
        for spec in names_of(config.against):
            if not is_column(spec):
                load_any(spec)
    if is_file(config.step_threshold):
        read_thresholds(config.step_threshold)
    if config.steps and "process" in parts:
        from karat.data.steps import read_steps

        read_steps(config.steps)


def _estimate(
    reward: LimitedReward,
    parts: tuple[str, ...],
    pairs: tuple[PreferencePair, ...],
    config: AuditRewardConfig,
    progress: Progress | None,
) -> None:
    """Time a few calls, which also sets how long others may take, and say how long the parts will take."""
    from karat.audit.reward.estimate import time_pace, told, works

    try:
        time_pace(reward, pairs, _rng(config, 8))
    except KaratError:  # the parts themselves will say why
        return
    if progress and reward.pace.responses:
        responses, note = told(works(parts, pairs, config, _rng(config, 9)), reward.pace)
        progress("responses to score", responses, None, note)


def _parts(
    reward: LimitedReward,
    pairs: tuple[PreferencePair, ...],
    out: Path | None,
    config: AuditRewardConfig,
    progress: Progress | None,
) -> dict[str, tuple[str, str, Callable[[], Result]]]:
    """Part -> the code and title that say it was not checked, and the call that checks it."""

    def sanity() -> Result:
        from karat.audit.reward.sanity import audit_sanity

        return audit_sanity(reward.reward, pairs, config=config, rng=_rng(config, 1), progress=progress)

    def probes() -> Result:
        from karat.audit.reward.measure import audit_probes

        return audit_probes(reward, pairs, config=config, rng=_rng(config, 2), progress=progress)

    def sophistry() -> Result:
        from karat.audit.reward.sophistry import audit_sophistry

        return audit_sophistry(reward, pairs, config=config, rng=_rng(config, 3), progress=progress)

    def attack() -> Result:
        from karat.audit.reward.attack import audit_attack

        if not config.attack_queries:
            raise InputError("switched off by --attack-queries 0")
        return audit_attack(reward, pairs, config=config, rng=_rng(config, 4), progress=progress)

    def predict() -> Result:
        from karat.audit.reward.predict import predict_inflation

        return predict_inflation(reward, pairs, config=config, rng=_rng(config, 5), progress=progress)

    def benchmarks() -> Result:
        from karat.audit.reward.benchmarks import audit_benchmarks

        if not config.benchmarks:
            raise InputError("needs --benchmarks FILE,..., files that the benchmark readers know")
        return audit_benchmarks(reward.reward, config=config, rng=_rng(config, 6), progress=progress, out=out)

    def process() -> Result:
        from karat.audit.reward.process.run import audit_process

        return audit_process(reward.reward, config=config, rng=_rng(config, 10), progress=progress)

    return {
        "sanity": ("RW101", "Scores are reproducible", sanity),
        "probes": ("RW201", "What edits change the score", probes),
        "sophistry": ("RW301", "Wrong but convincing answers", sophistry),
        "attack": ("RW401", "Strings that the reward overpays", attack),
        "predict": ("RW501", "What optimisation will inflate first", predict),
        "benchmarks": ("RW601", "Benchmarks", benchmarks),
        "process": ("RW801", "Step scores tell right steps from wrong", process),
    }


def _calibrate(
    reward: LimitedReward,
    pairs: tuple[PreferencePair, ...],
    out: Path,
    config: AuditRewardConfig,
    progress: Progress | None,
) -> Result:
    from karat.audit.reward.calibrate import calibrate_reward

    def part() -> Result:
        return calibrate_reward(reward, pairs, out=out, config=config, rng=_rng(config, 7), progress=progress)

    return attempt(COMMAND, "RW701", "A calibrated reward", part)


def _rng(config: AuditRewardConfig, part: int) -> np.random.Generator:
    """A stream for each part, so that leaving one out changes no other."""
    return np.random.default_rng([config.seed, 41, part])
