"""A mitigation as a reward on disk: fitted on the whole pool, with the rewards behind its columns.

Axes: R responses, P prompts, M members.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from karat.errors import InputError
from karat.numerics.mitigation_rules import FittedRule, fit_rule, members_of
from karat.numerics.rule_names import OF_SEVERAL
from karat.rewards import Group, load_reward
from karat.rewards.mitigated import (
    MemberSpec,
    MitigatedReward,
    References,
    from_anywhere,
    prompt_key,
    save_mitigated,
)
from karat.stress.config import BEST, StressConfig
from karat.stress.mitigations import Comparison, Usable, usable_responses, with_similarity
from karat.stress.pool import StressPool

FOLDER = "reward"
CHECKED = 8
"""Responses, of different prompts, that the named rewards score again before anything is written."""
AGREES = 0.05
"""Largest difference from the pool's columns on these, in SDs within prompts: another dtype or machine is less."""
ROUNDING = 1e-6
"""The same as a share of the score: the last digits of float32, where a score is far from 0 for its SD."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: the rule, the folder that is its REWARD, and the files."""

    rule: str
    folder: str
    files: tuple[str, ...]


def export_mitigation(pool: StressPool, config: StressConfig, comparison: Comparison | None, out: Path) -> Exported:
    """Write the rule that config.export names to OUT/reward.

    Raises: InputError: nothing to choose from, too few members, no REWARD named for a column, a REWARD that does not
        give the column's scores, or too few responses with every member's score; ResourceError: it cannot be written.
    """
    rule = _chosen(config, comparison)
    usable = usable_responses(pool, config)
    members = _members(rule, config)
    if usable.max_n < 2:
        raise InputError(
            f"{pool.name}: no two responses to a prompt have every member's score ({usable.n_missing} lack one). Score "
            "the members for all responses."
        )
    inputs = with_similarity(pool, usable, config.similarity) if rule == "mbr" else usable.inputs
    fitted = fit_rule(rule, inputs, settings=config.rule_settings, names=pool.member_names)
    references = _references(pool, usable, fitted) if fitted.needs_references else {}
    rewards = {spec: load_reward(spec) for spec in dict.fromkeys(member.reward for member in members)}
    _check_rewards(pool, usable, MitigatedReward(fitted, members, rewards, name=rule))
    files = save_mitigated(
        out / FOLDER, fitted, members, references=references, similarity=config.similarity,
        facts={"fitted_on": _facts(pool, usable, config), "compared": _compared(rule, config, comparison)},
    )  # fmt: skip
    return Exported(rule, str(out / FOLDER), files)


def _chosen(config: StressConfig, comparison: Comparison | None) -> str:
    if config.export != BEST:
        members_of(config.export, 1 + len(config.member_names))
        return config.export
    if comparison is None or not comparison.best:
        reason = comparison.reason if comparison else "needs a gold for every response that is used"
        raise InputError(f"--export best: the rules cannot be compared ({reason}). Name a rule.")
    return comparison.best


def _members(rule: str, config: StressConfig) -> tuple[MemberSpec, ...]:
    """What the rule asks: all columns, or the proxy alone."""
    columns = (config.proxy, *config.member_names) if rule in OF_SEVERAL else (config.proxy,)
    named = config.reward_of
    found = []
    for column in columns:
        if column not in named:
            raise InputError(
                f"no REWARD is named for the column {column!r}, which rule {rule!r} uses: add {column}=REWARD to "
                "--rewards."
            )
        whole = named[column]
        reward, head = (whole, "") if Path(whole).exists() else (whole.partition("#")[0], whole.partition("#")[2])
        found.append(MemberSpec(column, from_anywhere(reward), head))
    return tuple(found)


def _references(pool: StressPool, usable: Usable, fitted: FittedRule) -> dict[str, References]:
    """The first responses of each prompt, with the scores of the members that the rule uses.

    Raises: InputError: two prompts have one text, or none: scoring, which knows the text alone, would mix them up.
    """
    used = len(fitted.scale_M)
    index_R, place_R = usable.index_R[usable.is_reference_R], usable.inputs.place_R[usable.is_reference_R]
    found = {}
    for prompt in range(usable.n_prompts):
        own = index_R[place_R == prompt]
        texts = tuple(pool.responses[i] for i in own) if fitted.rule == "mbr" else ()
        record = pool.records[own[0]]
        if (key := prompt_key(record.prompt)) in found:
            raise InputError(
                f"{pool.name}: prompt {record.prompt_id!r} has the text of another prompt, or none. Rule "
                f"{fitted.rule!r} finds reference responses by the prompt's text: give each prompt its own, or export "
                "another rule."
            )
        found[key] = References(pool.member_RM[own][:, :used].T, texts)
    return found


def _facts(pool: StressPool, usable: Usable, config: StressConfig) -> dict[str, Any]:
    """Where the rule's numbers come from."""
    return {
        "pool": pool.name,
        "fingerprint": pool.account.fingerprint,
        "prompts": usable.n_prompts,
        "responses": usable.index_R.size,
        "responses_without_a_member": usable.n_missing,
        "references": config.references,
        "clip_share": config.clip_share,
        "similarity_weight": config.similarity_weight,
    }


def _compared(rule: str, config: StressConfig, comparison: Comparison | None) -> dict[str, Any] | None:
    """What the comparison said of the rule; None where it was not compared."""
    entry = comparison.of(rule) if comparison else None
    if entry is None:
        return None
    return {
        "gold": config.gold,
        "kl_nats": entry.kl,
        "gold_gain": entry.gold.estimate,
        "less_proxy": entry.difference.estimate,
        "less_proxy_low": entry.difference.low,
        "less_proxy_high": entry.difference.high,
        "group": entry.group,
    }


def _check_rewards(pool: StressPool, usable: Usable, reward: MitigatedReward) -> None:
    """The named rewards must be what scored the columns."""
    first = np.flatnonzero(np.diff(usable.inputs.place_R, prepend=-1))
    picked = usable.index_R[first[np.linspace(0, first.size - 1, min(CHECKED, first.size)).astype(int)]]
    groups = [Group(pool.records[i].prompt, (pool.records[i].response,)) for i in picked]
    for number, member in enumerate(reward.members):
        alone = MitigatedReward(
            FittedRule(rule="proxy", centre="pool", centre_M=(0.0,), scale_M=(1.0,)), (member,),
            {member.reward: reward.rewards[member.reward]}, name=member.name,
        )  # fmt: skip
        scale = reward.fitted.scale_M[number]
        _agree(member, pool, picked, [scores[0] for scores in alone.score(groups)], scale)


def _agree(member: MemberSpec, pool: StressPool, picked: np.ndarray, scores: Sequence[Any], scale: float) -> None:
    column = pool.member_names.index(member.name)
    for index, score in zip(picked, scores, strict=True):
        stored = float(pool.member_RM[index, column])
        if score.is_missing:
            raise InputError(
                f"rewards: {member.reward} gives no score for row {pool.rows[index]} of the pool ({score.missing}), "
                f"where the column {member.name!r} has {stored:.4g}. Name what scored it."
            )
        if not math.isclose(score.value, stored, rel_tol=ROUNDING, abs_tol=AGREES * scale):
            raise InputError(
                f"rewards: {member.reward} scores row {pool.rows[index]} of the pool {score.value:.4g}, where the "
                f"column {member.name!r} has {stored:.4g}. Name the reward that scored this column."
            )
