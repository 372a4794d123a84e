"""`karat audit data`: one set of preferences looked at from all sides, or several compared."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from karat.audit.data.config import PARTS, AuditDataConfig
from karat.audit.data.table import PairTable, read_table
from karat.audit.leads import data_lead
from karat.audit.parts import Progress, attempt, chosen_parts, merge
from karat.data.account import account_table
from karat.errors import InputError
from karat.types import PreferencePair, Result

COMMAND = "audit data"


def audit_data(
    *sources: Any,
    out: str | Path | None = None,
    config: AuditDataConfig | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Result:
    """Say what is wrong with a set of preferences; with several sets, which one trains the better reward.

    Args:
        sources: each anything that `read_pairs` takes.
        out: folder for the lists that parts write (suspects, prompts to label next, the cleaned copy); None: none.
        config: what to look at; `options` override single fields by name.
        progress: called as progress(stage, done, total, note).
    Returns: findings DA101 onwards; what an input would enable and is not there, is "not checked".
    Raises: InputError, DataError and their kin for input that cannot be used.
    """
    config = replace(config or AuditDataConfig(), **options)
    if not sources:
        raise InputError("there are no pairs to audit: name a file, folder or hub name.")
    if config.fixes and out is None:
        raise InputError("--fix writes a cleaned copy, so it needs a folder: --out DIR (out=).")
    folder = Path(out) if out is not None else None
    if len(sources) > 1:
        return _compare(sources, folder, config, progress)
    return _audit_one(sources[0], folder, config, progress)


def _audit_one(source: Any, out: Path | None, config: AuditDataConfig, progress: Progress | None) -> Result:
    """Each part in turn; a part whose input is missing says so and the others go on."""
    parts = chosen_parts(config.parts, PARTS)
    reward = _named(config, parts)
    wanted = config.embed_pairs if {"noise", "coverage"} & set(parts) or config.fixes else 0
    table, sample = read_table((source,), config.reading(), sample_pairs=wanted, seed=config.seed, progress=progress)
    results, flags, noise = [], None, None
    if "structure" in parts or config.fixes:
        from karat.audit.data.structure import audit_structure

        result, flags = audit_structure(table, config=config, progress=progress)
        results.append(result)
    if "content" in parts:
        results.append(_content(table, flags, config, progress))
    if "noise" in parts or config.fixes:
        from karat.audit.data.label_noise import audit_labels

        found: list[Any] = []

        def label_part() -> Result:
            result, noise = audit_labels(
                sample, out=out, config=config, rng=_rng(config, 2), reward=reward, progress=progress
            )
            found.append(noise)
            return result

        results.append(attempt(COMMAND, "DA301", "Labels that are probably wrong", label_part))
        noise = found[0] if found else None
    if "coverage" in parts:
        results.append(_coverage(sample, noise, out, config, progress))
    if config.fixes and out is not None:
        from karat.audit.data.repair import repair

        folder = out

        def repair_part() -> Result:
            rng = _rng(config, 4)
            return repair(source, table, flags, noise, out=folder, config=config, rng=rng, progress=progress)

        results.append(attempt(COMMAND, "DA601", "The repair trains a better reward", repair_part))
    account = Result(COMMAND, tables=tuple(map(account_table, table.accounts)))
    counts = Result(COMMAND, values={"n_pairs": len(table), "n_sampled": len(sample)})
    name = table.sources[0]
    merged = merge(COMMAND, [*results, account, counts], provenance={"inputs": asdict(config), "data_name": name})
    return replace(merged, lead=data_lead(name, merged.values))


def _named(config: AuditDataConfig, parts: tuple[str, ...]) -> Any:
    """The reward that is to judge labels, or None. What an option names and is not there is an error before the work,
    not a part that is left out.
    """
    if config.targets and "coverage" in parts:
        from karat.data.prompts import read_prompts

        read_prompts(config.targets)
    if config.model != "default" and ({"noise", "coverage"} & set(parts) or config.fixes):
        try:
            from karat.rewards.backbone import load_config
        except ModuleNotFoundError:  # the parts themselves say which extra they need
            return None
        load_config(config.model)
    if config.reward and ("noise" in parts or config.fixes):
        from karat.rewards import load_reward

        return load_reward(config.reward)
    return None


def _content(table: PairTable, flags: Any, config: AuditDataConfig, progress: Progress | None) -> Result:
    from karat.audit.data.content_blind import audit_content_blind

    def part() -> Result:
        near_P = None if flags is None else flags.near_group_P
        return audit_content_blind(table, config=config, rng=_rng(config, 1), near_P=near_P, progress=progress)

    return attempt(COMMAND, "DA201", "What can be told without reading", part)


def _coverage(
    sample: tuple[PreferencePair, ...],
    noise: Any,
    out: Path | None,
    config: AuditDataConfig,
    progress: Progress | None,
) -> Result:
    from karat.audit.data.coverage import audit_coverage, spread_by_prompt

    def part() -> Result:
        return audit_coverage(
            sample, out=out, config=config, rng=_rng(config, 3), spread=spread_by_prompt(noise), progress=progress
        )

    return attempt(COMMAND, "DA401", "Topics of the prompts", part)


def _compare(sources: tuple[Any, ...], out: Path | None, config: AuditDataConfig, progress: Progress | None) -> Result:
    from karat.audit.data.compare import compare_data

    if config.fixes:
        raise InputError("--fix cleans one set of pairs; several were given. Name one.")
    result = compare_data(sources, out=out, config=config, rng=_rng(config, 5), progress=progress)
    results = [result]
    if "structure" in chosen_parts(config.parts, PARTS):
        results.append(_structure_of_all(sources, config, progress))
    return merge(COMMAND, results, provenance={"inputs": asdict(config)}, lead=result.lead)


def _structure_of_all(sources: tuple[Any, ...], config: AuditDataConfig, progress: Progress | None) -> Result:
    """Of the sources together: what they share counts as a repetition too."""
    from karat.audit.data.structure import audit_structure

    def part() -> Result:
        table, _ = read_table(sources, config.reading(), sample_pairs=0, progress=progress)
        return audit_structure(table, config=config, progress=progress)[0]

    return attempt(COMMAND, "DA101", "Exact duplicates", part)


def _rng(config: AuditDataConfig, part: int) -> np.random.Generator:
    """A stream for each part, so that leaving one out changes no other."""
    return np.random.default_rng([config.seed, 40, part])
