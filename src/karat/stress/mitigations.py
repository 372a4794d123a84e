"""Rules that make a score from the proxy and its fellow rewards, side by side at one KL on the same pool.

What a rule fits on the pool (scales, a length trend, a level) comes from the other half of the prompts than those it is
judged on. PAR's sigmoid orders the responses of a prompt as the proxy does, with any references, so it chooses alike
and has no row: it acts in reinforcement learning only.

Axes: R responses, P prompts, M members, T strengths of a rule, B bootstrap draws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit

from karat.errors import InputError
from karat.numerics.best_of_n import PoolMatrix, pool_matrix, prompt_draws
from karat.numerics.equal_kl import (
    AtKl,
    Path,
    at_kl,
    best_of_n_path,
    clear_differences,
    cross_chosen,
    letters,
    reweighting_path,
)
from karat.numerics.intervals import UNDEFINED, Interval
from karat.numerics.mitigation_rules import RuleInputs, fit_rule, rule_scores
from karat.numerics.mitigations import member_scales, within_prompt_scale
from karat.numerics.rule_names import OF_SEVERAL, RULES, RuleSettings
from karat.rewards.mitigated import reference_similarity
from karat.stress.config import StressConfig
from karat.stress.pool import StressPool, common_responses

LEAST_PROMPTS = 4
"""Two halves, each with two prompts to see what varies within them."""
FAR_ENOUGH = 0.8
"""Share of the plain proxy's KL that a rule must reach to be ranked with the others."""
WITH_A_DIAL: dict[str, str] = {
    "chi-square": "choice with weights relu(proxy - lambda): pessimism at inference time",
    "softmax": "choice with weights exp(proxy / temperature)",
}
"""Rules that weigh the samples, over a temperature; they choose, and are no score."""
TEMPERATURES = np.geomspace(8, 0.01, 40)
"""Of those, proxy SDs."""
ONLY_IN_RL = ("par",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mitigation:
    """One rule's outcome.

    Attributes:
        gold: gained over the reference policy at `kl`, in gold SDs; difference: less the plain proxy's at that KL,
            paired by prompt.
        kl: nats, where it is judged: the common one, or as far as the rule gets if that is less.
        strength: n of best of n there, or the temperature in proxy SDs; reach: its largest KL.
        best_strength, best_kl, best_gold: the rule's own peak, too high by selection, for every rule alike.
        group: letters; rules that share one are not clearly different. Empty: not ranked, its reach is too short.
        is_among_best: shares a letter with the rule of the most gold.
    """

    rule: str
    gold: Interval
    difference: Interval
    kl: float
    strength: float
    reach: float
    best_strength: float
    best_kl: float
    best_gold: float
    group: str
    is_among_best: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All rules at one KL.

    Attributes:
        entries: ranked, best first, then those whose reach is too short; empty where nothing can be compared.
        kl_nats: the common KL; set_by: the rule that reaches no further.
        max_n, n_prompts, n_responses: of the comparison; n_missing: responses left out for want of a member; n_small:
            of prompts that are then left with fewer than max_n.
        best: the best rule that is a score, "" without any.
        gain: of the best rule that is a score over the plain proxy, chosen on the other half of the prompts.
        reason: why there is no comparison.
    """

    entries: tuple[Mitigation, ...] = ()
    kl_nats: float = float("nan")
    set_by: str = ""
    max_n: int = 0
    n_prompts: int = 0
    n_responses: int = 0
    n_missing: int = 0
    n_small: int = 0
    best: str = ""
    gain: Interval = UNDEFINED
    reason: str = ""

    def of(self, rule: str) -> Mitigation | None:
        return next((entry for entry in self.entries if entry.rule == rule), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usable:
    """Responses with every member's score, by prompt.

    Attributes:
        inputs: what rules see of them; index_R: each response's place in the pool as it was read.
        is_reference_R: the first `references` of each prompt.
        n_missing, n_small: responses left out, as in Comparison.
    """

    inputs: RuleInputs
    gold_R: np.ndarray
    index_R: np.ndarray
    is_reference_R: np.ndarray
    max_n: int
    n_missing: int
    n_small: int

    @property
    def n_prompts(self) -> int:
        return len(np.unique(self.inputs.place_R))


def usable_responses(pool: StressPool, config: StressConfig) -> Usable:
    """The pool's responses whose members are all known, of prompts that keep enough of them.

    Similarity to the references is left out; `with_similarity` adds it.
    """
    found = common_responses(pool, pool.member_RM)
    size_P = np.bincount(found.place_R)
    count = min(config.references, int(size_P.min(initial=config.references)))
    rank_R = np.arange(found.place_R.size) - np.repeat(np.cumsum(size_P) - size_P, size_P)
    is_reference_R = rank_R < count
    member_RM = pool.member_RM[found.index_R]
    return Usable(
        inputs=RuleInputs(
            member_RM=member_RM,
            length_R=np.array([float(len(pool.responses[i])) for i in found.index_R]),
            place_R=found.place_R,
            reference_PMK=member_RM[is_reference_R].reshape(size_P.size, count, member_RM.shape[1]).swapaxes(1, 2),
        ),
        gold_R=found.gold_R,
        index_R=found.index_R,
        is_reference_R=is_reference_R,
        max_n=found.max_n,
        n_missing=found.n_missing,
        n_small=found.n_small,
    )


def with_similarity(pool: StressPool, usable: Usable, kind: str) -> RuleInputs:
    """The inputs with each response's mean similarity to the references of its prompt."""
    place_R = usable.inputs.place_R
    similarity_R = np.empty(place_R.size)
    starts = np.flatnonzero(np.diff(place_R, prepend=-1))
    for own in np.split(np.arange(place_R.size), starts[1:]):
        texts = [pool.responses[i] for i in usable.index_R[own]]
        references = [text for text, is_one in zip(texts, usable.is_reference_R[own], strict=True) if is_one]
        similarity_R[own] = reference_similarity(texts, references, kind)
    return RuleInputs(
        member_RM=usable.inputs.member_RM, length_R=usable.inputs.length_R, place_R=place_R,
        reference_PMK=usable.inputs.reference_PMK, similarity_R=similarity_R,
    )  # fmt: skip


def cross_fitted_scores(
    inputs: RuleInputs, *, settings: RuleSettings, names: tuple[str, ...] = ()
) -> dict[str, np.ndarray]:
    """Score of each rule that can be told from the proxy by best of n, each half of the prompts by numbers that were
    fitted on the other half (even and odd prompts).

    Raises: InputError: a member never varies within a prompt of one half.
    """
    rules = [rule for rule in RULES if rule not in ONLY_IN_RL and _has_inputs(rule, inputs)]
    is_even = inputs.place_R % 2 == 0
    halves = (np.flatnonzero(is_even), np.flatnonzero(~is_even))
    score = {rule: np.full(inputs.place_R.size, np.nan) for rule in rules}
    for here, other in (halves, halves[::-1]):
        learnt, judged = inputs.take(other), inputs.take(here)
        for rule in rules:
            score[rule][here] = rule_scores(fit_rule(rule, learnt, settings=settings, names=names), judged)
    return score


def _has_inputs(rule: str, inputs: RuleInputs) -> bool:
    if rule == "mbr":
        return inputs.similarity_R is not None
    return rule not in OF_SEVERAL or inputs.member_RM.shape[1] > 1


def compare_mitigations(pool: StressPool, config: StressConfig) -> Comparison:
    """All rules on the responses of a pool that have gold and every member's score; deterministic for a seed.

    Raises: InputError: a member is equal for all responses of every prompt.
    """
    usable = usable_responses(pool, config)
    inputs = usable.inputs
    if usable.index_R.size and within_prompt_scale(inputs.member_RM[:, 0], inputs.place_R) > 0:
        member_scales(inputs.member_RM, inputs.place_R, pool.member_names)
    reason = _why_not(usable)
    if reason:
        return Comparison(reason=reason, n_missing=usable.n_missing)
    if config.similarity:
        inputs = with_similarity(pool, usable, config.similarity)
    try:
        score = cross_fitted_scores(inputs, settings=config.rule_settings, names=pool.member_names)
    except InputError as error:
        return Comparison(reason=f"in one half of the prompts, {error}", n_missing=usable.n_missing)
    paths = paths_of(score, usable.gold_R, inputs.place_R, max_n=usable.max_n)
    count_BP = prompt_draws(usable.n_prompts, config.resamples, np.random.default_rng([config.seed, 5]))
    found = compare_paths(paths, within_prompt_scale(usable.gold_R, inputs.place_R), count_BP)
    return Comparison(
        entries=found.entries, kl_nats=found.kl_nats, set_by=found.set_by, best=found.best, gain=found.gain,
        max_n=usable.max_n, n_prompts=usable.n_prompts, n_responses=usable.index_R.size, n_missing=usable.n_missing,
        n_small=usable.n_small,
    )  # fmt: skip


def _why_not(usable: Usable) -> str:
    if usable.max_n < 2 or usable.n_prompts < LEAST_PROMPTS:
        return (
            f"needs {LEAST_PROMPTS} prompts with two responses that every member scored; {usable.n_prompts} have them, "
            f"{usable.n_missing} responses lack a member's score"
        )
    place_R = usable.inputs.place_R
    if not within_prompt_scale(usable.inputs.member_RM[:, 0], place_R) > 0:
        return "the proxy is equal for all responses of a prompt"
    if np.isnan(usable.gold_R).any():
        return "needs a gold for every response that is used"
    if not within_prompt_scale(usable.gold_R, place_R) > 0:
        return "the gold is equal for all responses of a prompt"
    return ""


def paths_of(
    score: Mapping[str, np.ndarray], gold_R: np.ndarray, prompt_R: np.ndarray, *, max_n: int
) -> dict[str, Path]:
    """Best of n by each score; and the rules with a dial, on the score called "proxy"."""
    paths = {rule: best_of_n_path(pool_matrix(score_R, gold_R, prompt_R), max_n) for rule, score_R in score.items()}
    proxy = pool_matrix(score["proxy"], gold_R, prompt_R)
    unit = within_prompt_scale(score["proxy"], prompt_R)
    return paths | _dialled(proxy, unit)


def _dialled(proxy: PoolMatrix, unit: float) -> dict[str, Path]:
    """With the strength in proxy SDs."""
    found = {}
    for kind in WITH_A_DIAL:
        path = reweighting_path(proxy, TEMPERATURES * unit, "chi-square" if kind == "chi-square" else "softmax")
        found[kind] = Path(strength_T=path.strength_T / unit, kl_PT=path.kl_PT, gold_PT=path.gold_PT)
    return found


def compare_paths(
    paths: Mapping[str, Path], gold_sd: float, count_BP: np.ndarray, *, kl_nats: float | None = None
) -> Comparison:
    """Every rule at one KL, best first.

    Args:
        paths: by rule, "proxy" among them, on the same prompts.
        gold_sd: the unit of the results.
        count_BP: bootstrap draws of the prompts, shared, so that differences are paired.
        kl_nats: where to compare; None: as far as all rules get that reach FAR_ENOUGH of the proxy's KL. Rules that
            reach less are set beside the proxy where they end.
    """
    wanted = FAR_ENOUGH * paths["proxy"].reach if kl_nats is None else kl_nats
    far = [rule for rule, path in paths.items() if path.reach >= wanted or rule == "proxy"]
    set_by = min(far, key=lambda rule: paths[rule].reach)
    common = paths[set_by].reach if kl_nats is None else kl_nats
    read = {rule: at_kl(paths[rule], common, count_BP) for rule in far}
    ranked = sorted(far, key=lambda rule: -float(read[rule].gold_P.mean()))
    value_R = np.array([read[rule].gold_P.mean() for rule in ranked]) / gold_sd
    draw_BR = np.stack([read[rule].draw_B for rule in ranked], axis=1) / gold_sd
    is_clear_RR, _ = clear_differences(value_R, draw_BR, count_BP.shape[1])
    group_of = dict(zip(ranked, letters(is_clear_RR), strict=True))
    entries = [
        replace(
            _entry(paths[rule], rule, (read[rule], read["proxy"]), min(common, paths[rule].reach), gold_sd, count_BP),
            group=group_of[rule], is_among_best=not is_clear_RR[0, number],
        )
        for number, rule in enumerate(ranked)
    ]  # fmt: skip
    for rule in sorted(paths.keys() - set(far), key=lambda rule: -paths[rule].reach):
        reach = paths[rule].reach
        own, plain = (at_kl(paths[each], reach, count_BP) for each in (rule, "proxy"))
        entries.append(_entry(paths[rule], rule, (own, plain), reach, gold_sd, count_BP))
    scores = [number for number, rule in enumerate(ranked) if rule in RULES]
    gold_PR = np.stack([read[rule].gold_P for rule in ranked], axis=1) / gold_sd
    return Comparison(
        entries=tuple(entries), kl_nats=common, set_by=set_by,
        best=ranked[scores[0]] if scores else "",
        gain=_cross_chosen_gain(gold_PR, scores, ranked.index("proxy")) if scores else UNDEFINED,
    )  # fmt: skip


def _entry(
    path: Path, rule: str, own_and_plain: tuple[AtKl, AtKl], kl: float, sd: float, count_BP: np.ndarray
) -> Mitigation:
    """Of one rule, not ranked."""
    own, plain = own_and_plain
    gain_T = (path.gold_PT.mean(axis=0) - path.gold_PT[:, 0].mean()) / sd
    start_P = path.gold_PT[:, 0]
    start_B = count_BP @ start_P / start_P.size
    best = int(np.argmax(gain_T))
    return Mitigation(
        rule=rule,
        gold=_interval(own.gold_P - start_P, own.draw_B - start_B, sd),
        difference=_interval(own.gold_P - plain.gold_P, own.draw_B - plain.draw_B, sd),
        kl=kl,
        strength=own.strength,
        reach=path.reach,
        best_strength=float(path.strength_T[best]),
        best_kl=float(path.mean_kl[best]),
        best_gold=float(gain_T[best]),
        group="",
        is_among_best=False,
    )


def _interval(value_P: np.ndarray, draw_B: np.ndarray, sd: float) -> Interval:
    """Student's t with the bootstrap's standard error: where rules differ on few prompts percentiles are too narrow
    (91 % for a length trend that takes next to nothing away, this 96 %)."""
    mean = float(value_P.mean()) / sd
    half = math.sqrt(value_P.size / (value_P.size - 1)) * float(stdtrit(value_P.size - 1, 0.975) * draw_B.std(ddof=1))
    return Interval(mean, mean - half / sd, mean + half / sd, value_P.size, "bootstrap")


def _cross_chosen_gain(gold_PR: np.ndarray, candidates: list[int], proxy: int) -> Interval:
    """Student's t over prompts; "no variation", without ends, where both halves choose the proxy."""
    gain_P = cross_chosen(gold_PR, candidates) - gold_PR[:, proxy]
    mean, error = float(gain_P.mean()), float(gain_P.std(ddof=1)) / math.sqrt(gain_P.size)
    if error <= 1e-12 * max(1.0, abs(mean)):
        return Interval(mean, math.nan, math.nan, gain_P.size, "no variation")
    half = float(stdtrit(gain_P.size - 1, 0.975)) * error
    return Interval(mean, mean - half, mean + half, gain_P.size, "jackknife t")
