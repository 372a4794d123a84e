"""Rules that make a score from the proxy and its fellow rewards, side by side at equal best of n on the same pool.

Without ties every score moves best of n equally far from the reference (KL log n - (n-1)/n), so equal n is equal
pressure. A monotone change of the proxy within a prompt (PAR's sigmoid, a scale, a shift) chooses the same response and
needs no row: it acts in reinforcement learning only.

Axes: R responses, P prompts, M members.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from karat.numerics import mitigations as rules
from karat.numerics.best_of_n import best_of_n_by_prompt, percentile_ends, pool_matrix
from karat.numerics.intervals import Interval
from karat.stress.pool import StressPool


@dataclass(frozen=True, slots=True)
class Mitigation:
    """One rule's outcome at best of max_n.

    Attributes:
        gold: gained over n = 1, in gold SDs; difference: less the plain proxy's, paired by prompt.
        best_n, best_gold: the rule's own peak, too high by selection, for every rule alike.
        is_among_best: no clear difference from the best rule (its interval at a level shared by all comparisons).
    """

    rule: str
    gold: Interval
    difference: Interval
    best_n: int
    best_gold: float
    is_among_best: bool


def scores_by_rule(
    member_RM: np.ndarray, names: tuple[str, ...], length_R: np.ndarray, prompt_R: np.ndarray
) -> dict[str, np.ndarray]:
    """Score of each rule for each response. `member_RM` holds the proxy first; with M = 1 there are no ensembles."""
    proxy_R = member_RM[:, 0]
    found = {
        "proxy": proxy_R,
        "proxy less its length trend": rules.length_calibrated(proxy_R, length_R, prompt_R),
        "proxy clipped at 95 %": rules.clipped(proxy_R, prompt_R),
    }
    if member_RM.shape[1] > 1:
        member = rules.standardised_members(member_RM, prompt_R, names)
        found |= {
            "mean of members": rules.mean_of_members(member),
            "worst member": rules.worst_member(member),
            "mean less variance / 2": rules.uncertainty_weighted(member),
            "KL-robust mean": rules.pessimistic_mean(member),
        }
    return found


def compare_rules(
    score: Mapping[str, np.ndarray], gold_R: np.ndarray, prompt_R: np.ndarray, *, max_n: int, count_BP: np.ndarray
) -> tuple[Mitigation, ...]:
    """Every rule at best of max_n, best first.

    Args:
        score: score of each response by rule, "proxy" among them; no NaN.
        gold_R: gold of each response, complete; every prompt has max_n responses or more.
        count_BP: bootstrap draws of the prompts, shared, so that differences are paired.
    """
    n_N = np.arange(1, max_n + 1)
    gain: dict[str, np.ndarray] = {}
    for rule, score_R in score.items():
        pool = pool_matrix(score_R, gold_R, prompt_R)
        gold_PN = best_of_n_by_prompt(pool, pool.value_PG, n_N)
        gain[rule] = gold_PN - gold_PN[:, [0]]
    scale = _sd(gold_R, prompt_R)
    curve = {rule: gain_PN.mean(axis=0) / scale for rule, gain_PN in gain.items()}
    last = {rule: gain_PN[:, -1] / scale for rule, gain_PN in gain.items()}
    best = max(curve, key=lambda rule: float(curve[rule][-1]))
    level = 1 - 0.05 / max(len(score) - 1, 1)
    found = [
        Mitigation(
            rule=rule,
            gold=_interval(last[rule], count_BP),
            difference=_interval(last[rule] - last["proxy"], count_BP),
            best_n=int(n_N[np.argmax(curve[rule])]),
            best_gold=float(curve[rule].max()),
            is_among_best=rule == best or _interval(last[best] - last[rule], count_BP, level).low <= 0,
        )
        for rule in score
    ]
    return tuple(sorted(found, key=lambda entry: -entry.gold.estimate))


def pool_mitigations(pool: StressPool, count_BP: np.ndarray) -> tuple[Mitigation, ...]:
    """The comparison on the responses that the curves use; empty where a gold or a member is missing there."""
    is_there = pool.matrix.order_PG >= 0
    index = pool.matrix.order_PG[is_there]
    prompt = np.broadcast_to(np.arange(pool.matrix.n_prompts)[:, None], is_there.shape)[is_there]
    member, gold = pool.member_RM[index], pool.matrix.value_PG[is_there]
    if np.isnan(member).any() or np.isnan(gold).any() or pool.matrix.n_prompts < 2 or not _sd(gold, prompt) > 0:
        return ()
    length = np.array([float(len(pool.responses[i])) for i in index])
    score = scores_by_rule(member, pool.member_names, length, prompt)
    return compare_rules(score, gold, prompt, max_n=pool.max_n, count_BP=count_BP)


def _sd(gold_R: np.ndarray, prompt_R: np.ndarray) -> float:
    centred = rules.centred_by_prompt(gold_R, prompt_R)
    freedom = gold_R.size - len(np.unique(prompt_R))
    return math.sqrt(float(centred @ centred) / freedom) if freedom > 0 else math.nan


def _interval(value_P: np.ndarray, count_BP: np.ndarray, level: float = 0.95) -> Interval:
    low, high = percentile_ends(count_BP @ value_P / value_P.size, value_P.size, level=level)
    return Interval(float(value_P.mean()), float(low), float(high), value_P.size, "bootstrap")
