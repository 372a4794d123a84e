"""Attack a reward within a budget of scored responses: search on half of the prompts, judge on the other half.

What is reported was found on the search prompts and measured on held-out ones, beside random strings of as many words:
the search's luck is not in the numbers. The worse response of a pair is the one that its label rejects.

Axes: P held-out prompts, A attacks.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from karat.audit.parts import Progress
from karat.audit.reward.attack_findings import Attacked, Judged, attack_result
from karat.audit.reward.attack_search import (
    TARGETS,
    Attack,
    Case,
    Judge,
    Search,
    joined,
    pieces_of,
    seeds_of,
)
from karat.audit.reward.config import AuditRewardConfig
from karat.audit.reward.limited import as_limited
from karat.errors import DataError, InputError
from karat.numerics.accuracy import pair_outcome
from karat.numerics.intervals import UNDEFINED, clustered_mean, clustered_proportion, paired_difference
from karat.rewards.groups import last_text, score_pairs
from karat.rewards.protocol import Reward
from karat.types import PreferencePair, Result, TokenIds

GROUPS_PER_CALL = 16
FINALISTS = 2
"""Strings of a place that are judged on held-out prompts."""
EVALUATION_SHARE = 0.4
MOST_SEARCH_PROMPTS, QUERIES_A_SEARCH_PROMPT = 32, 120
"""More search prompts tell strings apart more surely, and leave fewer queries for strings."""
LEAST_PROMPTS = 8
"""Held-out prompts, and search prompts, below which nothing is searched for."""
SEARCH_SHARE = {"alone": 0.35, "suffix": 0.4, "template": 0.25}
GRADIENT_SHARE = 0.4
"""Of a place's search, through the weights where they are at hand. Templates are searched by scores alone."""


@dataclass(frozen=True, slots=True)
class _Plan:
    n_search: int
    n_held: int
    search_queries: int


def audit_attack(
    reward: Reward,
    pairs: Sequence[PreferencePair],
    *,
    config: AuditRewardConfig,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> Result:
    """Findings RW401 to RW403: strings without content that the reward overpays.

    Args:
        pairs: one of each prompt is taken, ties left out.
        config: `attack_queries` bounds the responses that are scored, for everything together.
    Raises: InputError: too few prompts or queries, tokenised data, or a reward without spread. DataError: no scores.
    """
    limited = as_limited(reward, config.timeout_s)
    distinct = _one_a_prompt(pairs, rng)
    plan = _plan(len(distinct), config.attack_queries)

    def note(used: int) -> None:
        if progress:
            progress("attacking the reward", used, config.attack_queries, "scored responses")

    judge = Judge(limited, note)
    cases, n_missing = _cases(limited, distinct[: plan.n_search + plan.n_held])
    judge.spend(2 * (plan.n_search + plan.n_held))
    sd = _margin_sd(cases)
    search = Search(judge, cases[: plan.n_search], sd)
    held = cases[plan.n_search :]
    if len(held) < LEAST_PROMPTS:
        raise DataError(f"{limited.name} gives scores to {len(cases)} of {len(cases) + n_missing} prompts: too few.")
    _search(limited.reward, search, plan.search_queries, rng)
    found = [attack for target in TARGETS for attack in search.best(target, FINALISTS)]
    baseline = [_random_like(attack, search.cases, rng) for attack in found]
    level = 1 - 0.05 / max(len(found), 1)
    score_AP = _score_held(judge, (*found, *baseline), held)
    judged = [
        _judged(attack, score_P, held, sd=sd, level=level, rng=rng)
        for attack, score_P in zip((*found, *baseline), score_AP, strict=True)
    ]
    attacked = Attacked(
        found=tuple(judged[: len(found)]),
        baseline=tuple(judged[len(found) :]),
        searched=tuple(search.found[attack] for attack in found),
        n_tried=len(search.tried),
        queries=judge.used,
        n_held=len(held),
        n_missing=n_missing,
        level=level,
    )
    return attack_result(attacked)


def _one_a_prompt(pairs: Sequence[PreferencePair], rng: np.random.Generator) -> list[PreferencePair]:
    """A random pair of each prompt, prompts in random order, without ties."""
    if any(isinstance(pair.chosen, TokenIds) for pair in pairs):
        raise InputError("the data is tokenised; an attack appends text. Give the pairs as text.")
    taken: dict[str, PreferencePair] = {}
    for index in rng.permutation(len(pairs)):
        pair = pairs[int(index)]
        if not pair.is_tie and pair.chosen != pair.rejected:
            taken.setdefault(pair.prompt_id, pair)
    return list(taken.values())


def _plan(n_prompts: int, queries: int) -> _Plan:
    """Prompts to search and to judge on, and what is left for the search."""
    a_prompt = 2 * FINALISTS * len(TARGETS)  # evaluations of a held-out prompt, random strings included
    n_search = min(n_prompts // 2, max(LEAST_PROMPTS, min(queries // QUERIES_A_SEARCH_PROMPT, MOST_SEARCH_PROMPTS)))
    n_held = min(n_prompts - n_search, int(EVALUATION_SHARE * queries) // a_prompt)
    left = queries - 2 * (n_search + n_held) - a_prompt * n_held
    if n_search < LEAST_PROMPTS:
        raise InputError(
            f"{n_prompts} prompts with a preferred response: half are searched, half are judged, and each half needs "
            f"{LEAST_PROMPTS}. Give pairs of more prompts."
        )
    if n_held < LEAST_PROMPTS or left < 20 * len(TARGETS):
        raise InputError(f"attack_queries = {queries} are too few for a search and its proof; give 500 or more.")
    return _Plan(n_search, n_held, left)


def _cases(reward: Reward, pairs: Sequence[PreferencePair]) -> tuple[list[Case], int]:
    """Pairs that have both scores, and how many have not. Raises DataError: none has."""
    scores = score_pairs(reward, pairs, groups_per_call=GROUPS_PER_CALL)
    known = np.isfinite(scores.chosen_P) & np.isfinite(scores.rejected_P)
    if not known.any():
        reason = next(iter(scores.missing.values()), "no reason given")
        raise DataError(f"{reward.name} gives no score to any pair ({reason}).")
    cases = [
        Case(pair.prompt_id, pair.prompt, pair.chosen, pair.rejected, pair.tools, float(chosen), float(rejected))
        for pair, chosen, rejected, is_known in zip(pairs, scores.chosen_P, scores.rejected_P, known, strict=True)
        if is_known
    ]
    return cases, int((~known).sum())


def _margin_sd(cases: Sequence[Case]) -> float:
    """SD of the chosen-rejected margin, the unit of all effects. Raises InputError: it is 0."""
    margin_P = np.array([case.chosen_score - case.rejected_score for case in cases])
    sd = float(margin_P.std(ddof=1)) if margin_P.size > 1 else 0.0
    if not sd > 0:
        raise InputError("the reward's margins between chosen and rejected do not differ, so effects have no unit.")
    return sd


def _search(reward: Reward, search: Search, queries: int, rng: np.random.Generator) -> None:
    """All places in turn; strings that pay in one are among the first tried in the next."""
    draw = random.Random(int(rng.integers(2**31)))
    pieces = pieces_of(search.cases)
    carried: list[str] = []
    for target in TARGETS:
        budget = round(SEARCH_SHARE[target] * queries)
        by_gradient = round(GRADIENT_SHARE * budget) if _has_weights(reward) and target != "template" else 0
        seeds = seeds_of(target, pieces, draw)
        if target == "suffix":
            seeds = [Attack("suffix", joined(text)) for text in carried] + seeds
        elif target == "template":
            seeds = [Attack("template", joined(text), text.strip() + " ") for text in carried] + seeds
        search.evolve(seeds, [*pieces, *carried] or ["the"], budget - by_gradient, draw)
        if by_gradient:
            _by_gradient(reward, search, target, by_gradient, rng)
        carried = list(dict.fromkeys([*carried, *(attack.after.strip() or "." for attack in search.best(target, 4))]))


def _has_weights(reward: Reward) -> bool:
    """Whether it is a reward model; torch is loaded already where it is one."""
    module = sys.modules.get("karat.rewards.model")
    return module is not None and isinstance(reward, module.RewardModel)


def _by_gradient(reward: Reward, search: Search, target: str, queries: int, rng: np.random.Generator) -> None:
    """From the best strings of the place so far, the first whose tokens survive."""
    from karat.audit.reward.gradient_search import gradient_search
    from karat.rewards.model import RewardModel

    assert isinstance(reward, RewardModel)
    stop = search.judge.used + queries
    for start in search.best("alone" if target == "alone" else "suffix", 8):
        before = search.judge.used
        gradient_search(reward, start, search, stop - before, rng)
        if search.judge.used > before:
            return


def _random_like(attack: Attack, cases: Sequence[Case], rng: np.random.Generator) -> Attack:
    """A random string of as many words, from the words of the search prompts' responses."""
    words = sorted(
        {word for case in cases for side in (case.chosen, case.rejected) for word in last_text(side).split()}
    )
    words = words or ["the"]

    def drawn(text: str) -> str:
        return " ".join(words[int(at)] for at in rng.integers(len(words), size=max(1, len(text.split()))))

    before = drawn(attack.before) + " " if attack.before else ""
    after = drawn(attack.after) if attack.target == "alone" else " " + drawn(attack.after)
    return replace(attack, after=after, before=before, origin="random")


def _score_held(judge: Judge, attacks: Sequence[Attack], held: Sequence[Case]) -> np.ndarray:
    """Scores, (A, P); attacks of one place go together, so that what they share is computed once."""
    score_AP = np.full((len(attacks), len(held)), np.nan)
    for target in TARGETS:
        mine = [a for a, attack in enumerate(attacks) if attack.target == target]
        if mine:
            score_AP[mine] = judge.score([attacks[a] for a in mine], held)
    return score_AP


def _judged(
    attack: Attack, score_P: np.ndarray, held: Sequence[Case], *, sd: float, level: float, rng: np.random.Generator
) -> Judged:
    """What an attack does on prompts that it was not chosen on."""
    kept = np.isfinite(score_P)
    chosen_P, rejected_P = (
        np.array([case.chosen_score if side else case.rejected_score for case in held])[kept] for side in (1, 0)
    )
    score_P, prompt_P = score_P[kept], np.flatnonzero(kept)
    if not kept.any():
        return Judged(attack, UNDEFINED, UNDEFINED, UNDEFINED, np.nan, 0, len(held))
    after_P, before_P = pair_outcome(score_P - chosen_P), pair_outcome(rejected_P - chosen_P)
    start_P = chosen_P if attack.target == "alone" else rejected_P
    return Judged(
        attack=attack,
        beats=clustered_proportion(after_P, prompt_P, level=level),
        rise=paired_difference(after_P, before_P, prompt_P, rng=rng, level=level),
        gain=clustered_mean((score_P - start_P) / sd, prompt_P, rng=rng, level=level),
        before=float(before_P.mean()),
        n_used=int(kept.sum()),
        n_missing=int((~kept).sum()),
    )
