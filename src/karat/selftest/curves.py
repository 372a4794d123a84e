"""Planted truth for the curves, optima, laws and plans of `karat stress`, on pools that are not as one would wish.

Prompts x 64 responses, gold standard normal within prompts unless said otherwise:

    noise      proxy = gold + standard normal: regressional only
    hack       proxy = gold + half a normal; one response in a hundred is paid 6 more and has gold -2
    verifier   gold is 0 or 1 (1 for three in ten), the proxy counts in halves and ties; the hack mode has gold 0
    overdone   proxy = quality + half a normal, gold = -(quality - 1)^2: too much of a good thing
    marked     the hack mode, and what it is paid for is a feature that others have by chance
    hostile    the proxy counts in halves; of all golds that correlate so with it, the one that best of 8 hurts most
    ragged     hack with 40 to 64 responses a prompt and gold on half of them, by chance

Axes: P prompts, G responses, N values of n, T settings of a rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from karat.numerics.attenuation import attenuation, equalised
from karat.numerics.best_of_n import (
    Curve,
    PoolMatrix,
    best_of_n_by_prompt,
    best_of_n_curve,
    best_of_poisson_weight,
    percentile_ends,
    pool_matrix,
    prompt_draws,
    soft_best_of_n_by_prompt,
)
from karat.numerics.divergence import (
    best_of_n_chi2_bound,
    best_of_n_divergence,
    best_of_n_kl_bound,
    cautious_chi2,
)
from karat.numerics.goodhart import (
    best_setting,
    certified_gain,
    cross_fitted_difference,
    drop_height,
    fit_curve,
    peak_interval,
    reference_correlation,
    within_prompt_sd,
)
from karat.numerics.planning import correlation_needed, labels_needed
from karat.numerics.tails import fit_tail
from karat.selftest.planted import PlantedRow, independent
from karat.stress.inflation import feature_growth

PROMPTS, RESPONSES, RESAMPLES = 100, 64, 400
LEAST_RESPONSES = 40
N = np.arange(1, RESPONSES + 1)
CHECKED_N = np.array([2, 4, 8, 16, 32])
MU = np.r_[0.0, np.geomspace(0.5, 40, 50)]
TEMPERATURES = np.geomspace(0.05, 5, 25)
TAIL_INDEX = 4.0
PLANNED_N, PLANNED_CORRELATION = 3, 0.7
FITTED_N = 2 ** np.arange(11)
HALVES = np.array([0.05, 0.1, 0.2, 0.3, 0.2, 0.1, 0.04, 0.01])
"""Chances of the hostile world's proxies 0, 1/2, ..., 7/2, of which a prompt's few responses show a part."""
FEW_PROMPTS, FEW_RESPONSES, HOSTILE_CORRELATION = 30, 8, 0.8

TITLES = {
    "SE306": "95 % interval of the gold curve holds the truth: ties, gold 0 or 1",
    "SE307": "95 % interval of the gold curve holds the truth: unequal groups, gold on half",
    "SE308": "95 % interval of the gold curve holds the truth: 20 prompts",
    "SE309": "95 % interval of the peak holds the true peak: ties, gold 0 or 1",
    "SE310": "95 % interval of the peak holds the true peak: 20 prompts",
    "SE315": "95 % interval of the drop height holds the truth",
    "SE316": "95 % interval of best of Poisson's best mean holds the truth",
    "SE317": "95 % interval of soft best of n's best temperature holds the truth",
    "SE318": "95 % interval of a fitted optimum holds the truth",
    "SE319": "A form that holds is rejected",
    "SE323": "95 % interval of the tail's shape holds the truth",
    "SE324": "95 % interval of Hill's estimate holds the truth",
    "SE325": "Less gold than regression leaves: alarm",
    "SE326": "Less gold than regression leaves: false alarm",
    "SE327": "The fall runs through a feature: found",
    "SE328": "The fall runs through a feature: false finding",
    "SE320": "Inflates what the gold does not ask for: false alarm",
    "SE330": "Certified n beyond the true peak",
    "SE340": "Certified gain beyond the true gain",
    "SE329": "Planned labels certify the n they were planned for",
}
"""What each row promises."""

Scores = tuple[np.ndarray, np.ndarray]
Shape = tuple[int, int]


def noise(rng: np.random.Generator, shape: Shape) -> Scores:
    gold = rng.standard_normal(shape)
    return gold + rng.standard_normal(shape), gold


def hack(rng: np.random.Generator, shape: Shape) -> Scores:
    gold = rng.standard_normal(shape)
    is_hacked = rng.random(shape) < 0.01
    return gold + 0.5 * rng.standard_normal(shape) + 6 * is_hacked, np.where(is_hacked, -2.0, gold)


def verifier(rng: np.random.Generator, shape: Shape) -> Scores:
    gold = (rng.random(shape) < 0.3).astype(float)
    is_hacked = rng.random(shape) < 0.01
    proxy = np.round(2 * (gold + 0.7 * rng.standard_normal(shape))) / 2 + 6 * is_hacked
    return proxy, np.where(is_hacked, 0.0, gold)


def overdone(rng: np.random.Generator, shape: Shape) -> Scores:
    quality = rng.standard_normal(shape)
    return quality + 0.5 * rng.standard_normal(shape), -((quality - 1) ** 2)


def ragged(rng: np.random.Generator, shape: Shape) -> Scores:
    proxy, gold = hack(rng, shape)
    size = rng.integers(LEAST_RESPONSES, shape[1] + 1, shape[0])
    is_there = np.arange(shape[1]) < size[:, None]
    return np.where(is_there, proxy, np.nan), np.where(rng.random(shape) < 0.5, gold, np.nan)


def matrix_of(scores: Scores) -> PoolMatrix:
    proxy_PG, gold_PG = scores
    prompt = np.repeat(np.arange(len(proxy_PG)), proxy_PG.shape[1])
    return pool_matrix(proxy_PG.ravel(), gold_PG.ravel(), prompt)


def true_curve(world: Callable[[np.random.Generator, Shape], Scores], rng: np.random.Generator) -> np.ndarray:
    """Gold at best of each n, over n = 1, from 400 prompts x 4,096 responses."""
    total_N = np.zeros(N.size)
    for _ in range(8):
        pool = matrix_of(world(rng, (50, 4096)))
        total_N += best_of_n_by_prompt(pool, pool.value_PG, N).mean(axis=0) / 8
    return np.asarray(total_N - total_N[0])


def covered_points(curve: Curve, truth_N: np.ndarray) -> np.ndarray:
    """Whether the interval of the gain over n = 1 holds the truth, at each of CHECKED_N."""
    low_N, high_N = percentile_ends(curve.draw_BN - curve.draw_BN[:, [0]], curve.n_prompts)
    at = CHECKED_N - 1
    return np.asarray((low_N[at] <= truth_N[at]) & (truth_N[at] <= high_N[at]))


def has_true_peak(curve: Curve, truth_N: np.ndarray) -> bool:
    low, high = peak_interval(curve)
    return bool(low <= int(np.argmax(truth_N)) <= high)


def curve_of(pool: PoolMatrix, count_BP: np.ndarray, **options: bool) -> Curve:
    return best_of_n_curve(pool, N[: int(pool.size_P.min())], count_BP, **options)


# ----------------------------------------------------------------------------------------------------- one replication
def hack_outcome(truth_N: np.ndarray, true_mu: float, rng: np.random.Generator) -> dict[str, bool]:
    """Drop height and best of Poisson, in the hack world."""
    pool = matrix_of(hack(rng, (PROMPTS, RESPONSES)))
    count_BP = prompt_draws(PROMPTS, RESAMPLES, rng)
    curve = curve_of(pool, count_BP)
    half = slice(0, RESPONSES // 2)
    height = drop_height(best_of_n_by_prompt(pool, pool.value_PG, N), half)
    truth = (truth_N[half].max() - truth_N[-1]) / truth_N[half].max()
    weight_TN = best_of_poisson_weight(MU, RESPONSES)
    usable = np.isfinite(weight_TN).all(axis=1)
    best = best_setting(MU[usable], weight_TN[usable] @ curve.mean_N, curve.draw_BN @ weight_TN[usable].T, PROMPTS)
    law = law_low(pool, curve, count_BP)
    return {
        "height": height.low <= truth <= height.high,
        "mu": best.setting.low <= true_mu <= best.setting.high,
        "shortfall": law > 0,
    }


def law_low(pool: PoolMatrix, gold: Curve, count_BP: np.ndarray) -> float:
    """Low end of the shortfall on the straight line at the last n."""
    scale = within_prompt_sd(pool.proxy_PG), within_prompt_sd(pool.value_PG)
    law = attenuation(pool, curve_of(pool, count_BP, of_proxy=True), gold, count_BP, scale=scale)
    return float(law.shortfall_low_N[-1])


def soft_gain(pool: PoolMatrix, rng: np.random.Generator) -> np.ndarray:
    """Gold of soft best of 64 over n = 1 at each temperature, shape (P, T)."""
    start_P1 = best_of_n_by_prompt(pool, pool.value_PG, 1)
    rule = [
        soft_best_of_n_by_prompt(pool, pool.value_PG, RESPONSES, temperature=t, rng=rng) - start_P1
        for t in TEMPERATURES
    ]
    return np.hstack(rule)


def has_temperature(true_temperature: float, rng: np.random.Generator) -> bool:
    gain_PT = soft_gain(matrix_of(overdone(rng, (PROMPTS, RESPONSES))), rng)
    draw_BT = prompt_draws(PROMPTS, RESAMPLES, rng) @ gain_PT / PROMPTS
    best = best_setting(TEMPERATURES, gain_PT.mean(axis=0), draw_BT, PROMPTS).setting
    return best.low <= true_temperature <= best.high


def fit_outcome(rng: np.random.Generator) -> tuple[bool, bool]:
    """R(d) = d (1.2 - 0.35 d) with noise that grows along the curve: optimum covered; form rejected at 5 %."""
    kl_N = best_of_n_kl_bound(FITTED_N)
    d = np.sqrt(kl_N)
    step_PN = 0.25 * rng.standard_normal((PROMPTS, d.size))
    gold_PN = d * (1.2 - 0.35 * d) + np.where(d > 0, step_PN.cumsum(axis=1), 0.0)
    count_BP = prompt_draws(PROMPTS, RESAMPLES, rng)
    nothing = np.zeros(d.size)
    curve = Curve(
        n_N=FITTED_N, mean_N=gold_PN.mean(axis=0), low_N=nothing, high_N=nothing,
        draw_BN=count_BP @ gold_PN / PROMPTS, effective_N=nothing, n_prompts=PROMPTS,
    )  # fmt: skip
    fit = fit_curve(curve, kl_N, "best-of-n")
    assert fit is not None
    return fit.best_d.low <= 1.2 / 0.7 <= fit.best_d.high, fit.p_value < 0.05


def tail_outcome(rng: np.random.Generator) -> tuple[bool, bool]:
    """A Pareto law of index 4: the interval of the shape and Hill's hold 1/4."""
    value = rng.pareto(TAIL_INDEX, PROMPTS * RESPONSES) + 1
    tail = fit_tail(value, np.repeat(np.arange(PROMPTS), RESPONSES), rng=rng, resamples=RESAMPLES)
    truth = 1 / TAIL_INDEX
    return tail.low <= truth <= tail.high, tail.hill_low <= truth <= tail.hill_high


def runs_through(is_marked: bool, rng: np.random.Generator) -> bool:
    """Whether the fall is found to run through the feature: that of the hacks, or one that is unrelated."""
    proxy, gold = hack(rng, (PROMPTS, RESPONSES))
    is_hacked = gold == -2
    feature = rng.standard_normal(gold.shape) + (8.0 * is_hacked if is_marked else 0.0)
    prompt = np.repeat(np.arange(PROMPTS), RESPONSES)
    plain, equal = (
        pool_matrix(score, gold.ravel(), prompt)
        for score in (proxy.ravel(), equalised(proxy.ravel(), feature.ravel(), prompt))
    )
    plain_PN, equal_PN = (best_of_n_by_prompt(pool, pool.value_PG, N) for pool in (plain, equal))
    drop = cross_fitted_difference(plain_PN, RESPONSES - 1, slice(0, RESPONSES // 2))
    back_P = equal_PN[:, -1] - plain_PN[:, -1]
    low, _ = percentile_ends(prompt_draws(PROMPTS, RESAMPLES, rng) @ back_P / PROMPTS, PROMPTS)
    return bool(drop.low > 0 and low > 0 and back_P.mean() >= 0.5 * drop.estimate)


def is_beyond_peak(pool: PoolMatrix, truth_N: np.ndarray, rng: np.random.Generator) -> bool:
    """Whether the certified n, from the exact chi-square of each prompt, lies beyond the true peak."""
    proxy = curve_of(pool, prompt_draws(pool.n_prompts, 2, rng), of_proxy=True)
    gain_N = (proxy.mean_N - proxy.mean_N[0]) / within_prompt_sd(pool.proxy_PG)
    certified_N = certified_gain(gain_N, chi2_of(pool), reference_correlation(pool, rng=rng, level=0.9).low)
    return bool(certified_N.max() > 0 and np.argmax(certified_N) > np.argmax(truth_N))


def chi2_of(pool: PoolMatrix) -> np.ndarray:
    """The chi-square of a certificate, for each n up to the pool's size; groups of one size."""
    n_N = N[: pool.proxy_PG.shape[1]]
    return cautious_chi2([best_of_n_divergence(row, n_N)[1] for row in pool.proxy_PG], n_N, pool.size_P)


def hostile_world(correlation: float) -> tuple[np.ndarray, np.ndarray]:
    """Gold of each of HALVES, in SDs, and its true gain for each n to FEW_RESPONSES.

    Of all golds with this correlation it is the one that loses most at the last n: what the proxy does not see falls
    along the density ratio of best of n, less that part of the ratio that goes with the proxy.
    """
    n_N, value = N[:FEW_RESPONSES], np.arange(HALVES.size) / 2
    edge = np.r_[0.0, np.cumsum(HALVES)[:-1], 1.0]
    ratio_VN = (edge[1:, None] ** n_N - edge[:-1, None] ** n_N) / HALVES[:, None]
    proxy = value - HALVES @ value
    proxy /= math.sqrt(HALVES @ proxy**2)
    away = ratio_VN[:, -1] - 1
    away -= (HALVES @ (away * proxy)) * proxy
    gold = correlation * proxy - math.sqrt(1 - correlation**2) * away / math.sqrt(HALVES @ away**2)
    return gold, (HALVES * gold) @ ratio_VN


def certifies_too_much(world: tuple[np.ndarray, np.ndarray], rng: np.random.Generator) -> bool:
    """Whether the certified gain is more than the true one, at the n that is certified."""
    gold_V, truth_N = world
    drawn_PG = rng.choice(HALVES.size, (FEW_PROMPTS, FEW_RESPONSES), p=HALVES)
    pool = matrix_of((drawn_PG / 2, gold_V[drawn_PG]))
    proxy = curve_of(pool, prompt_draws(FEW_PROMPTS, 2, rng), of_proxy=True)
    gain_N = (proxy.mean_N - proxy.mean_N[0]) / within_prompt_sd(pool.proxy_PG)
    certified_N = certified_gain(gain_N, chi2_of(pool), reference_correlation(pool, rng=rng, level=0.9).low)
    at = int(np.argmax(certified_N))
    return bool(certified_N[at] > max(truth_N[at], 0.0))


def some_feature_departs(pool: PoolMatrix, count_BP: np.ndarray, rng: np.random.Generator) -> bool:
    """Whether any of 20 unrelated features is said to grow, or shrink, beyond what the gold would choose."""
    feature_RF = rng.standard_normal((int(pool.size_P.sum()), 20))
    names = [str(number) for number in range(20)]
    found = feature_growth(pool, feature_RF, names, max_n=RESPONSES, count_BP=count_BP[:100])
    return any(not entry.excess.low <= 0 <= entry.excess.high for entry in found)


def plan_is_met(rng: np.random.Generator) -> bool:
    """Labels on two responses to each prompt, as many as were planned for best of 3 at a correlation of 0.7."""
    pool = matrix_of(noise(rng, (PROMPTS, RESPONSES)))
    curve = curve_of(pool, prompt_draws(PROMPTS, 2, rng), of_proxy=True)
    gain_N = (curve.mean_N - curve.mean_N[0]) / within_prompt_sd(pool.proxy_PG)
    chi2_N = best_of_n_chi2_bound(N)
    needed = correlation_needed(gain_N, chi2_N, N, PLANNED_N)
    n_prompts = math.ceil(labels_needed(PLANNED_CORRELATION, needed, design=2.0) / 2)
    gold = rng.standard_normal((n_prompts, 2))
    rest = math.sqrt(1 - PLANNED_CORRELATION**2) * rng.standard_normal(gold.shape)
    low = reference_correlation(matrix_of((PLANNED_CORRELATION * gold + rest, gold)), rng=rng, level=0.9).low
    certified_N = certified_gain(gain_N, chi2_N, low)
    return bool(certified_N.max() > 0 and N[np.argmax(certified_N)] >= PLANNED_N)


# ---------------------------------------------------------------------------------------------------------------- rows
def curve_rows(replications: int, seed: int, progress: Callable[..., None] | None = None) -> list[PlantedRow]:
    """All of them, on `replications` of each world."""
    if progress:
        progress("planting curves", 0, 1, "ties, unequal groups, few prompts, optima, laws")
    rng = np.random.default_rng([seed, 100])
    truth = {world: true_curve(world, rng) for world in (hack, verifier)}
    covered: dict[str, list[np.ndarray]] = {code: [] for code in ("SE306", "SE307", "SE308")}
    hits: dict[str, list[bool]] = {}

    def count(code: str, happened: bool) -> None:
        hits.setdefault(code, []).append(bool(happened))

    weight_TN = best_of_poisson_weight(MU, RESPONSES)
    usable = np.isfinite(weight_TN).all(axis=1)
    value_T = weight_TN[usable] @ truth[hack]
    true_mu = best_setting(MU[usable], value_T, value_T[None], PROMPTS).setting.estimate
    soft_T = soft_gain(matrix_of(overdone(rng, (20_000, RESPONSES))), rng).mean(axis=0)
    true_temperature = best_setting(TEMPERATURES, soft_T, soft_T[None], PROMPTS).setting.estimate
    for _ in range(replications):
        for code, peak_code, world, prompts in (
            ("SE306", "SE309", verifier, PROMPTS), ("SE307", "", ragged, PROMPTS), ("SE308", "SE310", hack, 20),
        ):  # fmt: skip
            pool = matrix_of(world(rng, (prompts, RESPONSES)))
            curve = curve_of(pool, prompt_draws(prompts, RESAMPLES, rng))
            true_N = truth[verifier if world is verifier else hack]
            covered[code].append(covered_points(curve, true_N))
            if peak_code:
                count(peak_code, has_true_peak(curve, true_N))
        outcome = hack_outcome(truth[hack], true_mu, rng)
        count("SE315", outcome["height"])
        count("SE316", outcome["mu"])
        count("SE325", outcome["shortfall"])
        count("SE317", has_temperature(true_temperature, rng))
        for code, happened in zip(("SE318", "SE319"), fit_outcome(rng), strict=True):
            count(code, happened)
        for code, happened in zip(("SE323", "SE324"), tail_outcome(rng), strict=True):
            count(code, happened)
        pool, count_BP = matrix_of(noise(rng, (PROMPTS, RESPONSES))), prompt_draws(PROMPTS, RESAMPLES, rng)
        count("SE326", law_low(pool, curve_of(pool, count_BP), count_BP) > 0)
        count("SE320", some_feature_departs(pool, count_BP, rng))
        count("SE327", runs_through(True, rng))
        count("SE328", runs_through(False, rng))
        count("SE329", plan_is_met(rng))
    own_rng, hostile = np.random.default_rng([seed, 101]), hostile_world(HOSTILE_CORRELATION)
    for _ in range(replications):
        for world, prompts in ((verifier, PROMPTS), (hack, 20)):
            pool = matrix_of(world(own_rng, (prompts, RESPONSES)))
            count("SE330", is_beyond_peak(pool, truth[world], own_rng))
        count("SE340", certifies_too_much(hostile, own_rng))
    shares = {code: np.stack(found) for code, found in covered.items()}
    shares |= {code: np.array(found)[:, None] for code, found in hits.items()}
    return [_row(code, shares[code]) for code in TITLES]


PLANTED: dict[str, tuple[str, float, float]] = {
    "SE306": ("verifier; five n", 0.92, 0.98),
    "SE307": ("ragged; five n", 0.92, 0.98),
    "SE308": ("hack, 20 prompts; five n", 0.92, 0.98),
    "SE309": ("verifier", 0.92, 0.98),
    "SE310": ("hack, 20 prompts", 0.92, 0.98),
    "SE315": ("hack", 0.92, 0.98),
    "SE316": ("hack", 0.92, 0.98),
    "SE317": ("overdone", 0.92, 0.98),
    "SE318": ("R(d) = d (1.2 - 0.35 d), with noise", 0.92, 0.98),
    "SE319": ("R(d) = d (1.2 - 0.35 d), with noise", 0.0, 0.05),
    "SE323": ("Pareto, index 4", 0.92, 0.98),
    "SE324": ("Pareto, index 4", 0.92, 0.98),
    "SE325": ("hack", 0.8, 1.0),
    "SE326": ("noise", 0.0, 0.05),
    "SE327": ("marked: the hacks have the feature", 0.8, 1.0),
    "SE328": ("marked: the feature is unrelated", 0.0, 0.05),
    "SE320": ("noise; 20 unrelated features", 0.0, 0.05),
    "SE330": ("verifier, with ties; hack, 20 prompts", 0.0, 0.05),
    "SE340": ("hostile, 30 prompts x 8 responses", 0.0, 0.05),
    "SE329": ("correlation 0.7, best of 3, 80 % planned", 0.7, 0.9),
}
"""World, and the share that is promised."""


def _row(code: str, happened_RN: np.ndarray) -> PlantedRow:
    planted, least, most = PLANTED[code]
    if happened_RN.shape[1] == 1:
        counts = {"hits": int(happened_RN.sum()), "n": happened_RN.size}
    else:
        counts = independent(happened_RN)
    return PlantedRow(code=code, title=TITLES[code], planted=planted, least=least, most=most, **counts)
