"""Planted truth for `karat stress synthetic`: intervals over prompts and seeds, the fall, and what an ensemble holds.

Six seeds of proxies over the same 60 prompts x 64 responses. Gold is standard normal within prompts; each proxy is the
gold and an error of its own, a seed's single proxy and its four members alike, with a scale that the seed draws
(exp(0.3 z)), so that seeds differ:

    heavy    0.8 Student t with 2 degrees of freedom: the truth peaks and falls, and the worst of four delays it
    noise    a normal error: the truth rises to the last n
    equal    the members' errors are normal with deviation 1, the single proxy's with 1/2: their mean is no better

The truth of each n comes from 400 seeds with 60 prompts of their own each.

Axes: S seeds, P prompts, G responses, M members, N values of n.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from karat.numerics.best_of_n import best_of_n_by_prompt, pool_matrix
from karat.numerics.crossed import crossed_interval, seed_and_prompt_draws
from karat.numerics.mitigations import mean_of_members, worst_member
from karat.selftest.planted import PlantedRow
from karat.stress.synthetic.measure import Counts, contrast, n_grid, rule_curve

SEEDS, PROMPTS, RESPONSES, MEMBERS, RESAMPLES = 6, 60, 64, 4, 300
TRUTH_SEEDS, TRUTH_PROMPTS = 400, 60
N = n_grid(RESPONSES)
CHECKED_N = np.array([2, 4, 8, 16, 32, 64])

TITLES = {
    "SE361": "95 % band over prompts and seeds holds the true gold",
    "SE362": "Interval of the peak over prompts and seeds holds the true peak",
    "SE363": "The truth falls for single proxies: alarm",
    "SE364": "The truth falls for single proxies: false alarm",
    "SE365": "An ensemble holds more gold: found",
    "SE366": "An ensemble holds more gold: false finding",
    "SE367": "95 % interval of ensemble less single holds the true difference",
}
"""What each row promises."""

Experiment = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Gold (P, G), scores of the single proxies (S, P, G), scores of the ensembles (S, P, G)."""


def planted(world: str, rng: np.random.Generator, *, n_seeds: int = SEEDS, n_prompts: int = PROMPTS) -> Experiment:
    """One experiment."""
    gold_PG = rng.standard_normal((n_prompts, RESPONSES))
    scale_S = np.exp(0.3 * rng.standard_normal(n_seeds))
    single, ensemble = [], []
    for scale in scale_S:
        shape = (1 + MEMBERS, *gold_PG.shape)
        if world == "heavy":
            error = 0.8 * rng.standard_t(2, shape)
        else:
            error = rng.standard_normal(shape)
        if world == "equal":
            error[0] /= np.sqrt(MEMBERS)
        score = gold_PG + scale * error
        single.append(score[0])
        member_RM = score[1:].reshape(MEMBERS, -1).T
        combine = mean_of_members if world == "equal" else worst_member
        ensemble.append(combine(member_RM).reshape(gold_PG.shape))
    return gold_PG, np.stack(single), np.stack(ensemble)


def true_curves(world: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Gold of the single proxies and of the ensembles at each n, over n = 1."""
    total = np.zeros((2, N.size))
    prompt_R = np.repeat(np.arange(TRUTH_PROMPTS), RESPONSES)
    for _ in range(TRUTH_SEEDS):
        gold_PG, *scores = planted(world, rng, n_seeds=1, n_prompts=TRUTH_PROMPTS)
        for side, score_SPG in enumerate(scores):
            pool = pool_matrix(score_SPG[0].ravel(), gold_PG.ravel(), prompt_R)
            total[side] += best_of_n_by_prompt(pool, pool.value_PG, N).mean(axis=0) / TRUTH_SEEDS
    return total[0] - total[0][0], total[1] - total[1][0]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one replication gave."""

    covered: np.ndarray
    """Whether the bands of the single proxies' gold hold the truth, at CHECKED_N."""
    has_peak: bool
    says_fall: bool
    says_holds: bool
    has_difference: bool


def replicate(world: str, truth: tuple[np.ndarray, np.ndarray], rng: np.random.Generator) -> Outcome:
    gold_PG, single_SPG, ensemble_SPG = planted(world, rng)
    counts = Counts(*seed_and_prompt_draws(SEEDS, PROMPTS, RESAMPLES, rng))
    single = rule_curve("single", single_SPG, gold_PG, N, counts)
    ensemble = rule_curve("ensemble", ensemble_SPG, gold_PG, N, counts)
    at = np.searchsorted(N, CHECKED_N)
    held = contrast("ensemble less single", world, [ensemble], [single]).last
    return Outcome(
        covered=(single.gold.low_N[at] <= truth[0][at]) & (truth[0][at] <= single.gold.high_N[at]),
        has_peak=single.peak_low <= N[np.argmax(truth[0])] <= single.peak_high,
        says_fall=crossed_interval(single.drop_SP).low > 0,
        says_holds=held.low > 0,
        has_difference=bool(held.low <= truth[1][-1] - truth[0][-1] <= held.high),
    )


def synthetic_rows(replications: int, seed: int, progress: Callable[..., None] | None = None) -> list[PlantedRow]:
    """All promises of `karat stress synthetic`, checked on `replications` of each world."""
    found: dict[str, list[Outcome]] = {}
    worlds = ("heavy", "noise", "equal")
    for number, world in enumerate(worlds):
        if progress:
            progress("planting for stress synthetic", number, len(worlds), world)
        rng = np.random.default_rng([seed, 360 + number])
        truth = true_curves(world, rng)
        found[world] = [replicate(world, truth, rng) for _ in range(replications)]
    covered = np.stack([outcome.covered for world in worlds for outcome in found[world]])

    def row(
        code: str, promise: tuple[float, float], world: str, told: str, of: Callable[[Outcome], bool]
    ) -> PlantedRow:
        return PlantedRow(
            code=code, title=TITLES[code], planted=f"{world}: {told}", hits=sum(map(of, found[world])),
            n=replications, least=promise[0], most=promise[1],
        )  # fmt: skip

    return [
        PlantedRow(
            code="SE361", title=TITLES["SE361"], planted="heavy, noise, equal; six n", hits=int(covered.sum()),
            n=covered.size, least=0.92, most=0.99,
        ),
        row("SE362", (0.92, 1.0), "heavy", "the gold peaks inside the range", lambda o: o.has_peak),
        row("SE363", (0.8, 1.0), "heavy", "the gold falls behind its peak", lambda o: o.says_fall),
        row("SE364", (0.0, 0.05), "noise", "the gold rises to the last n", lambda o: o.says_fall),
        row("SE365", (0.8, 1.0), "heavy", "the worst of four against one", lambda o: o.says_holds),
        row("SE366", (0.0, 0.05), "equal", "a mean of four no better than one", lambda o: o.says_holds),
        row("SE367", (0.92, 1.0), "heavy", "the worst of four against one", lambda o: o.has_difference),
    ]  # fmt: skip
