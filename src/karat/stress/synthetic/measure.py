"""Over-optimisation curves of single proxies and ensembles, by number of labels and noise, and what sets them apart.

Gains are over n = 1 in standard deviations within prompts, of the gold or of the score that chooses. Intervals hold for
new prompts to measure on and new draws of the labels; the prompts that pairs come from, and the backbone, stay.

Axes: S seeds, P prompts, G responses, N values of n, M members, Q pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from karat.numerics import mitigations as rules
from karat.numerics.accuracy import pair_outcome
from karat.numerics.best_of_n import Curve, PoolMatrix, best_of_n_by_prompt, percentile_ends, pool_matrix
from karat.numerics.crossed import cross_fitted_best, crossed_curve, crossed_interval, seed_and_prompt_draws
from karat.numerics.divergence import best_of_n_divergence, best_of_n_kl_bound
from karat.numerics.goodhart import CurveFit, fit_curve, peak_interval, within_prompt_sd
from karat.numerics.intervals import Interval, wilson
from karat.rewards.groups import last_text
from karat.stress.synthetic.config import SyntheticConfig
from karat.stress.synthetic.labels import Draw, Pairs, check_pairs, draw_labels, every_pair
from karat.stress.synthetic.proxies import Proxies
from karat.stress.synthetic.setting import Setting

Progress = Callable[..., None]

SINGLE = "single proxy"
ENSEMBLES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean of members": rules.mean_of_members,
    "worst member": rules.worst_member,
    "mean less variance / 2": rules.uncertainty_weighted,
}
"""Rules over members that are on one scale: (responses, M) to (responses,)."""
MAIN_ENSEMBLE = "worst member"
"""The one that findings speak of, chosen beforehand: it is what Coste et al. claim most for."""
POINTS_PER_DOUBLING = 4
WITNESS_CHARS = 120


@dataclass(frozen=True, slots=True)
class RuleCurve:
    """What best of n by one rule does, over seeds and prompts.

    Attributes:
        proxy, gold: gains over n = 1, in SDs; gold_SPN: the gold's by seed and prompt.
        kl_N: KL of best of n, nats, mean over seeds and prompts.
        peak: index of the highest gold; peak_low, peak_high: ends of its interval, as n.
        drop_SP: gold at the best n of the first half of the range less gold at the last, cross-fitted.
        best_SP: gold at the best n of 2 or more, cross-fitted.
        fit: R(d) = d (a - b d), Gao's form for best of n; None with too few points or prompts.
    """

    rule: str
    proxy: Curve
    gold: Curve
    gold_SPN: np.ndarray
    kl_N: np.ndarray
    peak: int
    peak_low: int
    peak_high: int
    drop_SP: np.ndarray
    best_SP: np.ndarray
    fit: CurveFit | None

    @property
    def drop(self) -> Interval:
        return crossed_interval(self.drop_SP)

    @property
    def best(self) -> Interval:
        return crossed_interval(self.best_SP)


@dataclass(frozen=True, slots=True)
class Contrast:
    """One set of curves less another, paired by seed and prompt, averaged over the conditions.

    Attributes:
        what: in words; conditions: which.
        last: gold at the largest n; equal_kl: at the largest KL that both reach; best: at each one's own best n.
        later: n of the one's peak over n of the other's, geometric mean over the conditions.
    """

    what: str
    conditions: str
    last: Interval
    equal_kl: Interval
    best: Interval
    later: Interval


@dataclass(frozen=True, slots=True)
class Condition:
    """A number of labels with a share of flips."""

    size: int
    noise: float
    accuracy: Mapping[str, Interval]
    """Of each rule's score on held-out pairs, by the gold's own labels."""
    curves: Mapping[str, RuleCurve]

    @property
    def label(self) -> str:
        return f"{self.size} labels, {self.noise:.0%} flipped"


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that an experiment shows.

    Attributes:
        falls: drop of the single proxies, averaged over the conditions.
        ensembles: each rule less the single proxy, over all conditions, by rule; by_condition: for each.
        labels: most labels less fewest, noise: most noise less least, of single proxies; None with one of them.
        overpaid: responses that a single proxy likes best and that have little gold.
    """

    n_N: np.ndarray
    gold_sd: float
    start_gold: float
    n_pairs: int
    conditions: tuple[Condition, ...]
    falls: Interval
    ensembles: Mapping[str, Contrast]
    by_condition: tuple[Contrast, ...]
    labels: Contrast | None
    noise: Contrast | None
    overpaid: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """How often each seed and each prompt occurs in each bootstrap draw; shared, so that curves are paired."""

    seed_BS: np.ndarray
    prompt_BP: np.ndarray


def n_grid(max_n: int) -> np.ndarray:
    """1 to max_n, four to a doubling, every n where that is finer than one."""
    steps = POINTS_PER_DOUBLING * math.log2(max_n)
    return np.unique(np.r_[np.round(2 ** (np.arange(math.floor(steps) + 1) / POINTS_PER_DOUBLING)), max_n]).astype(int)


def measure(setting: Setting, config: SyntheticConfig, proxies: Proxies, progress: Progress | None = None) -> Measured:
    """Run the experiment; deterministic for a seed, but for what a GPU rounds.

    Raises: DataError: fewer pairs than the largest size.
    """
    pairs = every_pair(setting.pairs)
    n_draws = config.members if config.member_labels == "own" else 1
    draws = [
        [
            draw_labels(pairs, max(config.size_list), np.random.default_rng([config.seed, 4, seed, member]))
            for member in range(n_draws)
        ]
        for seed in range(config.seeds)
    ]
    n_N = n_grid(setting.max_n)
    rng = np.random.default_rng([config.seed, 5])
    counts = Counts(*seed_and_prompt_draws(config.seeds, len(setting.curves), config.resamples, rng))
    held_out = check_pairs(setting.curves, np.random.default_rng([config.seed, 6]))
    conditions, overpaid = [], tuple[str, ...]()
    asked = [(size, noise) for size in config.size_list for noise in config.noise_list]
    for number, (size, noise) in enumerate(asked):
        scores = []
        for seed in range(config.seeds):
            if progress:
                done = number * config.seeds + seed
                progress("training proxies", done, len(asked) * config.seeds, f"{size} labels, {noise:.0%} flipped")
            scores.append(_learned(proxies, draws[seed], (size, noise), seed, config))
        conditions.append(_condition((size, noise), scores, setting, n_N, counts, held_out))
        overpaid = _overpaid(setting, scores[0][0])
    return _measured(setting, config, tuple(conditions), n_N, len(pairs), overpaid)


Scores = tuple[np.ndarray, np.ndarray]
"""Of a seed: the single proxy's, (P, G), and the members', (M, P, G)."""


def _learned(
    proxies: Proxies, draws: Sequence[Draw], condition: tuple[int, float], seed: int, config: SyntheticConfig
) -> Scores:
    labels = [draw.labelled(*condition) for draw in draws]
    is_shared = len(labels) == 1
    rng = np.random.default_rng([config.seed, 7, seed, condition[0]])  # the same members at every noise
    return proxies.learn(labels * config.members if is_shared else labels, rng, is_shared=is_shared)


def _condition(
    asked: tuple[int, float],
    scores: Sequence[Scores],
    setting: Setting,
    n_N: np.ndarray,
    counts: Counts,
    held_out: Pairs,
) -> Condition:
    by_rule = {SINGLE: [single_PG for single_PG, _ in scores]}
    standard = [on_one_scale(member_MPG) for _, member_MPG in scores]
    for rule, combine in ENSEMBLES.items():
        by_rule[rule] = [combine(member_RM).reshape(scores[0][0].shape) for member_RM in standard]
    accuracy = {
        rule: accuracy_interval(np.stack([accuracy_by_prompt(score_PG, held_out) for score_PG in rows]))
        for rule, rows in by_rule.items()
    }
    return Condition(
        size=asked[0],
        noise=asked[1],
        accuracy=accuracy,
        curves={
            rule: rule_curve(rule, np.stack(rows), setting.gold_of_curves, n_N, counts)
            for rule, rows in by_rule.items()
        },
    )


def on_one_scale(member_MPG: np.ndarray) -> np.ndarray:
    """Members less their prompts' means, over their deviations within prompts, as (responses, M).

    Preferences leave a function of the prompt free, so the worst of several is a statement only once that is gone.
    """
    centred_MPG = member_MPG - member_MPG.mean(axis=2, keepdims=True)
    scale_M = np.array([within_prompt_sd(own_PG) for own_PG in member_MPG])
    return np.asarray((centred_MPG / np.where(scale_M > 0, scale_M, 1.0)[:, None, None]).reshape(len(member_MPG), -1).T)


def accuracy_by_prompt(score_PG: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Share of held-out pairs in order, for each prompt that has pairs."""
    margin_Q = score_PG[pairs.prompt_Q, pairs.better_Q] - score_PG[pairs.prompt_Q, pairs.worse_Q]
    total_P = np.bincount(pairs.prompt_Q, weights=pair_outcome(margin_Q), minlength=len(score_PG))
    count_P = np.bincount(pairs.prompt_Q, minlength=len(score_PG))
    return np.asarray(total_P[count_P > 0] / count_P[count_P > 0])


def accuracy_interval(share_SP: np.ndarray) -> Interval:
    """Mean accuracy, with an interval inside [0, 1]; Wilson's with each prompt counted once where nothing varies."""
    found = crossed_interval(share_SP)
    if found.method == "no variation":
        low, high = wilson(found.estimate * found.n_clusters, found.n_clusters)
    else:
        low, high = max(0.0, found.low), min(1.0, found.high)
    return replace(found, low=low, high=high)


def rule_curve(rule: str, score_SPG: np.ndarray, gold_PG: np.ndarray, n_N: np.ndarray, counts: Counts) -> RuleCurve:
    """Best of n by a score of each seed, with everything that is read off the curve."""
    gold_sd, prompt_R = within_prompt_sd(gold_PG), np.repeat(np.arange(len(gold_PG)), gold_PG.shape[1])
    gold, proxy, kl = [], [], []
    for score_PG in score_SPG:
        pool = pool_matrix(score_PG.ravel(), gold_PG.ravel(), prompt_R)
        sd = within_prompt_sd(score_PG)
        gold_PN = best_of_n_by_prompt(pool, pool.value_PG, n_N)
        proxy_PN = best_of_n_by_prompt(pool, pool.proxy_PG, n_N)
        gold.append((gold_PN - gold_PN[:, [0]]) / gold_sd)
        proxy.append((proxy_PN - proxy_PN[:, [0]]) / (sd if sd > 0 else 1.0))
        kl.append(_kl(pool, n_N))
    gold_SPN, kl_N = np.stack(gold), np.mean(kl, axis=0)
    curve = crossed_curve(gold_SPN, n_N, counts.seed_BS, counts.prompt_BP)
    low, high = peak_interval(curve)
    early, later = np.flatnonzero(2 * n_N <= n_N[-1]), np.flatnonzero(n_N > 1)
    return RuleCurve(
        rule=rule,
        proxy=crossed_curve(np.stack(proxy), n_N, counts.seed_BS, counts.prompt_BP),
        gold=curve,
        gold_SPN=gold_SPN,
        kl_N=kl_N,
        peak=int(np.argmax(curve.mean_N)),
        peak_low=int(n_N[low]),
        peak_high=int(n_N[high]),
        drop_SP=cross_fitted_best(gold_SPN, early) - gold_SPN[:, :, -1],
        best_SP=cross_fitted_best(gold_SPN, later),
        fit=fit_curve(curve, kl_N, "best-of-n"),
    )


def _kl(pool: PoolMatrix, n_N: np.ndarray) -> np.ndarray:
    """KL of best of n, nats, mean over prompts; only prompts with repeated scores depart from the bound."""
    has_ties_P = (np.diff(pool.proxy_PG, axis=1) == 0).any(axis=1)
    tied = [best_of_n_divergence(row, n_N)[0] for row in pool.proxy_PG[has_ties_P]]
    total_N = np.sum(tied, axis=0) + (~has_ties_P).sum() * best_of_n_kl_bound(n_N)
    return np.asarray(total_N / pool.n_prompts)


# ---------------------------------------------------------------------------------------------------------- contrasts
def contrast(what: str, conditions: str, one: Sequence[RuleCurve], other: Sequence[RuleCurve]) -> Contrast:
    """`one` less `other`, curve by curve, averaged."""
    last_SP = np.mean([a.gold_SPN[:, :, -1] - b.gold_SPN[:, :, -1] for a, b in zip(one, other, strict=True)], axis=0)
    best_SP = np.mean([a.best_SP - b.best_SP for a, b in zip(one, other, strict=True)], axis=0)
    equal_SP = np.mean([_at_equal_kl(a, b) for a, b in zip(one, other, strict=True)], axis=0)
    return Contrast(
        what, conditions, crossed_interval(last_SP), crossed_interval(equal_SP), crossed_interval(best_SP),
        _later(one, other),
    )  # fmt: skip


def _at_equal_kl(one: RuleCurve, other: RuleCurve) -> np.ndarray:
    """Difference of the golds, (S, P), each interpolated at the largest KL that both reach."""
    target = min(one.kl_N[-1], other.kl_N[-1])
    gold_SP = []
    for curve in (one, other):
        weight_N = np.array([np.interp(target, curve.kl_N, unit_N) for unit_N in np.eye(curve.kl_N.size)])
        gold_SP.append(curve.gold_SPN @ weight_N)
    return np.asarray(gold_SP[0] - gold_SP[1])


def _later(one: Sequence[RuleCurve], other: Sequence[RuleCurve]) -> Interval:
    """How many times larger the n of the peak is."""
    n_N, n_prompts = one[0].gold.n_N, one[0].gold.n_prompts
    log_ratio = np.mean([np.log(n_N[a.peak] / n_N[b.peak]) for a, b in zip(one, other, strict=True)])
    draws = [
        np.log(n_N[np.argmax(a.gold.draw_BN, axis=1)] / n_N[np.argmax(b.gold.draw_BN, axis=1)])
        for a, b in zip(one, other, strict=True)
    ]
    low, high = percentile_ends(np.mean(draws, axis=0), n_prompts)
    return Interval(float(np.exp(log_ratio)), float(np.exp(low)), float(np.exp(high)), n_prompts, "bootstrap")


def _measured(
    setting: Setting,
    config: SyntheticConfig,
    conditions: tuple[Condition, ...],
    n_N: np.ndarray,
    n_pairs: int,
    overpaid: tuple[str, ...],
) -> Measured:
    single = [condition.curves[SINGLE] for condition in conditions]
    sizes, rates = config.size_list, config.noise_list
    most, fewest = ([c.curves[SINGLE] for c in conditions if c.size == size] for size in (sizes[-1], sizes[0]))
    noisy, clean = ([c.curves[SINGLE] for c in conditions if c.noise == rate] for rate in (rates[-1], rates[0]))
    return Measured(
        n_N=n_N,
        gold_sd=within_prompt_sd(setting.gold_of_curves),
        start_gold=float(setting.gold_of_curves.mean()),
        n_pairs=n_pairs,
        conditions=conditions,
        falls=crossed_interval(np.mean([curve.drop_SP for curve in single], axis=0)),
        ensembles={
            rule: contrast(f"{rule} less {SINGLE}", "all", [c.curves[rule] for c in conditions], single)
            for rule in ENSEMBLES
        },
        by_condition=tuple(
            contrast(f"{rule} less {SINGLE}", c.label, [c.curves[rule]], [c.curves[SINGLE]])
            for c in conditions
            for rule in ENSEMBLES
        ),
        labels=contrast(f"{sizes[-1]} labels less {sizes[0]}", "all noise", most, fewest) if len(sizes) > 1 else None,
        noise=contrast(f"{rates[-1]:.0%} flipped less {rates[0]:.0%}", "all sizes", noisy, clean)
        if len(rates) > 1
        else None,
        overpaid=overpaid,
    )


def _overpaid(setting: Setting, score_PG: np.ndarray) -> tuple[str, ...]:
    """Of the responses that the proxy likes best, the three furthest below their prompt's mean gold."""
    gold_PG, rows = setting.gold_of_curves, np.arange(len(score_PG))
    top_P = np.argmax(score_PG, axis=1)
    below_P = gold_PG[rows, top_P] - gold_PG.mean(axis=1)
    found = []
    for row in np.argsort(below_P, kind="stable")[:3]:
        if below_P[row] < 0:
            text = " ".join(last_text(setting.curves[row].responses[top_P[row]]).split())
            found.append(
                f"gold {gold_PG[row, top_P[row]]:.3g} against {gold_PG[row].mean():.3g} on average: "
                f"{text[:WITNESS_CHARS]}"
            )
    return tuple(found)
