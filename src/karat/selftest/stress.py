"""Planted truth for `karat stress`: coverage of its intervals, false alarms and power of its verdicts.

Four worlds of 100 prompts x 64 responses; gold is standard normal within prompts, the proxy is the gold plus

    noise      standard normal: regressional only, the truth rises to the last n
    heavy      0.7 Student t with 2 degrees of freedom: the truth peaks and falls
    hack       half a normal; one response in a hundred is paid 6 more and has gold -2
    unrelated  nothing: the proxy says nothing of the gold

The truth of each n comes from 400 prompts x 4,096 responses of the same world.  Axes: P prompts, G responses, N n's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from karat.numerics.best_of_n import (
    PoolMatrix,
    best_of_n_by_prompt,
    best_of_n_curve,
    percentile_ends,
    pool_matrix,
    prompt_draws,
)
from karat.numerics.divergence import best_of_n_chi2_bound
from karat.numerics.goodhart import certified_gain, locate_peak, reference_correlation, within_prompt_sd
from karat.numerics.tails import fit_tail
from karat.selftest.planted import PlantedRow, independent

PROMPTS, RESPONSES, RESAMPLES = 100, 64, 400
CHECKED_N = np.array([2, 4, 8, 16, 32, 64])
N = np.arange(1, RESPONSES + 1)

TITLES = {
    "SE301": "95 % interval of the gold curve holds the truth",
    "SE302": "95 % interval of the peak holds the true peak",
    "SE303": "95 % interval of the peak holds the true peak",
    "SE304": "Certified n beyond the true peak",
    "SE305": "Certified n beyond the true peak",
    "SE311": "The truth falls: alarm",
    "SE312": "The truth falls: false alarm",
    "SE313": "The gain is real: found",
    "SE314": "The gain is real: false finding",
    "SE321": "Heavy tail: alarm",
    "SE322": "Heavy tail: false alarm",
}
"""What each row promises."""

Scores = tuple[np.ndarray, np.ndarray]


def noise(rng: np.random.Generator, shape: tuple[int, int]) -> Scores:
    gold = rng.standard_normal(shape)
    return gold + rng.standard_normal(shape), gold


def heavy(rng: np.random.Generator, shape: tuple[int, int]) -> Scores:
    gold = rng.standard_normal(shape)
    return gold + 0.7 * rng.standard_t(2, shape), gold


def hack(rng: np.random.Generator, shape: tuple[int, int]) -> Scores:
    gold = rng.standard_normal(shape)
    is_hacked = rng.random(shape) < 0.01
    return gold + 0.5 * rng.standard_normal(shape) + 6 * is_hacked, np.where(is_hacked, -2.0, gold)


def unrelated(rng: np.random.Generator, shape: tuple[int, int]) -> Scores:
    return rng.standard_normal(shape), rng.standard_normal(shape)


WORLDS: dict[str, Callable[[np.random.Generator, tuple[int, int]], Scores]] = {
    "noise": noise,
    "heavy": heavy,
    "hack": hack,
    "unrelated": unrelated,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one replication gave."""

    covered: np.ndarray
    """Whether the interval of the gold curve holds the truth, at each of CHECKED_N."""
    has_peak: bool
    """Whether the peak's interval holds the true peak."""
    says_fall: bool
    says_gain: bool
    is_beyond: bool
    """Whether the certified n lies beyond the true peak."""
    tail: str


def matrix_of(scores: Scores) -> PoolMatrix:
    proxy_PG, gold_PG = scores
    prompt = np.repeat(np.arange(len(proxy_PG)), proxy_PG.shape[1])
    return pool_matrix(proxy_PG.ravel(), gold_PG.ravel(), prompt)


def true_curve(world: str, rng: np.random.Generator) -> np.ndarray:
    """Gold at best of each n, over n = 1."""
    total_N = np.zeros(N.size)
    for _ in range(8):
        pool = matrix_of(WORLDS[world](rng, (50, 4096)))
        total_N += best_of_n_by_prompt(pool, pool.value_PG, N).mean(axis=0) / 8
    return np.asarray(total_N - total_N[0])


def replicate(world: str, truth_N: np.ndarray, rng: np.random.Generator) -> Outcome:
    pool = matrix_of(WORLDS[world](rng, (PROMPTS, RESPONSES)))
    count_BP = prompt_draws(PROMPTS, RESAMPLES, rng)
    curve, proxy = best_of_n_curve(pool, N, count_BP), best_of_n_curve(pool, N, count_BP, of_proxy=True)
    low_N, high_N = percentile_ends(curve.draw_BN - curve.draw_BN[:, [0]], PROMPTS)
    true_peak = int(N[np.argmax(truth_N)])
    peak = locate_peak(curve, best_of_n_by_prompt(pool, pool.value_PG, N))
    correlation = reference_correlation(pool, rng=rng, level=0.9)
    gain_N = (proxy.mean_N - proxy.mean_N[0]) / within_prompt_sd(pool.proxy_PG)
    certified_N = certified_gain(gain_N, best_of_n_chi2_bound(N), correlation.low)
    certified_n = int(N[np.argmax(certified_N)]) if certified_N.max() > 0 else 1
    at = CHECKED_N - 1
    return Outcome(
        covered=(low_N[at] <= truth_N[at]) & (truth_N[at] <= high_N[at]),
        has_peak=peak.low_n <= true_peak <= peak.high_n,
        says_fall=peak.drop.low > 0,
        says_gain=peak.gain.low > 0,
        is_beyond=certified_n > true_peak,
        tail=fit_tail(_error(pool), np.repeat(np.arange(PROMPTS), RESPONSES), rng=rng, resamples=200).verdict,
    )


def _error(pool: PoolMatrix) -> np.ndarray:
    x = pool.value_PG - pool.value_PG.mean(axis=1, keepdims=True)
    y = pool.proxy_PG - pool.proxy_PG.mean(axis=1, keepdims=True)
    return np.asarray(y - (x * y).sum() / (x * x).sum() * x).ravel()


def stress_rows(replications: int, seed: int, progress: Callable[..., None] | None = None) -> list[PlantedRow]:
    """All promises of `karat stress`, checked on `replications` of each world."""
    found: dict[str, list[Outcome]] = {}
    for number, world in enumerate(WORLDS):
        if progress:
            progress("planting for stress", number, len(WORLDS), world)
        rng = np.random.default_rng([seed, number])
        truth_N = true_curve(world, rng)
        found[world] = [replicate(world, truth_N, rng) for _ in range(replications)]
    covered_RN = np.stack([o.covered for world in ("noise", "heavy", "hack") for o in found[world]])

    def count(world: str, happened: Callable[[Outcome], bool]) -> dict[str, int]:
        return {"hits": sum(map(happened, found[world])), "n": replications}

    row = PlantedRow
    return [
        row(
            code="SE301", title=TITLES["SE301"], planted="noise, heavy, hack; six n",
            **independent(covered_RN), least=0.92, most=0.98,
        ),
        row(
            code="SE302", title=TITLES["SE302"], planted="heavy: peak at n = 15",
            **count("heavy", lambda o: o.has_peak), least=0.92, most=0.98,
        ),
        row(
            code="SE303", title=TITLES["SE303"], planted="hack: peak at n = 12",
            **count("hack", lambda o: o.has_peak), least=0.92, most=0.98,
        ),
        row(
            code="SE304", title=TITLES["SE304"], planted="hack: peak at n = 12",
            **count("hack", lambda o: o.is_beyond), least=0.0, most=0.05,
        ),
        row(
            code="SE305", title=TITLES["SE305"], planted="unrelated: no gain at any n",
            **count("unrelated", lambda o: o.is_beyond), least=0.0, most=0.05,
        ),
        row(
            code="SE311", title=TITLES["SE311"], planted="hack: 0.9 SD lost by n = 64",
            **count("hack", lambda o: o.says_fall), least=0.8, most=1.0,
        ),
        row(
            code="SE312", title=TITLES["SE312"], planted="unrelated: a flat truth",
            **count("unrelated", lambda o: o.says_fall), least=0.0, most=0.05,
        ),
        row(
            code="SE313", title=TITLES["SE313"], planted="noise: 1.7 SD gained",
            **count("noise", lambda o: o.says_gain), least=0.8, most=1.0,
        ),
        row(
            code="SE314", title=TITLES["SE314"], planted="unrelated: nothing gained",
            **count("unrelated", lambda o: o.says_gain), least=0.0, most=0.05,
        ),
        row(
            code="SE321", title=TITLES["SE321"], planted="heavy: index 2",
            **count("heavy", lambda o: o.tail == "heavy"), least=0.8, most=1.0,
        ),
        row(
            code="SE322", title=TITLES["SE322"], planted="noise: normal error",
            **count("noise", lambda o: o.tail == "heavy"), least=0.0, most=0.05,
        ),
    ]  # fmt: skip
