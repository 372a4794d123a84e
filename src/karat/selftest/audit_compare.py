"""Planted truth for comparing data sets and for repair: differences, learning curves, false alarms, what cleaning buys.

Pairs are differences of 40 normal features; the better response follows a Bradley-Terry model with |w| = 3 on them.
Labels are flipped at a source's rate, and at 5 % in the test sets (two, 300 prompts each). Sources hold 600 training
pairs. The reward that is compared is the mean of the labelled differences, so that its expected accuracy at any size
can be computed.

    unlike     5 % and 35 % of flips
    alike      30 % and 30 %
    coin       both are tosses of a coin

Repair: 400 pairs, |w| = 4, two folds of three trained on; posteriors come from an independent judge (the
true margin and half as much noise), or from the data itself, with 8 features.

Axes: P pairs, D features, N test pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.special import expit

from karat.audit.data.compare_findings import learned_verdict
from karat.audit.data.compare_measure import Comparison, HeldOut, Plan, contrast_of, measure
from karat.audit.data.repair_measure import posteriors_of, worth_of
from karat.audit.data.repair_rules import Changes, decide
from karat.audit.data.training_sets import ladder
from karat.selftest.planted import PlantedRow, costly

FEATURES, SIZE_OF_W, POOL, TEST, TEST_FLIPS, DRAWS = 40, 3.0, 600, 300, 0.05, 8
FLIPS = {"unlike": (0.05, 0.35), "alike": (0.3, 0.3), "coin": (0.5, 0.5)}
REPAIR_PAIRS, REPAIR_SIZE, REPAIR_FLIPS, FOLDS = 400, 4.0, 0.25, 3
FEW_FEATURES = 8
REPAIR_STEPS = ("drop", "flip")

TITLES = {
    "SE451": "95 % interval of the difference of two sources holds the truth",
    "SE452": "A source with 30 points more flips is called clearly worse",
    "SE453": "Sources that are alike: one is called clearly better",
    "SE454": "95 % interval of what doubling the pairs brings holds the truth",
    "SE455": "Labels that are coin tosses: more pairs are said to help",
    "SE456": "Labels that are coin tosses: the source is said to teach nothing, or unclear",
    "SE457": "Repair by an independent judge: accuracy against true labels rises",
    "SE458": "Repair of clean data: called a harm",
    "SE459": "Repair from the data itself takes away a tenth of the flips or more",
}
"""What each row promises."""


def labelled(
    n_pairs: int, flips: float, rng: np.random.Generator, *, features: int = FEATURES, size: float = SIZE_OF_W
) -> tuple[np.ndarray, np.ndarray]:
    """Differences of the labelled side less the other, (P, D), and whether the label is flipped; w lies on axis 0."""
    diff_PD = rng.standard_normal((n_pairs, features))
    is_better = rng.random(n_pairs) < expit(size * diff_PD[:, 0])
    is_flipped = rng.random(n_pairs) < flips
    diff_PD[is_better == is_flipped] *= -1
    return diff_PD, is_flipped


class Truth:
    """Expected accuracy of the mean difference of n pairs, against test labels."""

    def __init__(self) -> None:
        rng = np.random.default_rng(451)
        along, across = rng.standard_normal((2, 40_000))
        self._cosine = np.linspace(-1, 1, 81)
        chance = expit(SIZE_OF_W * along)
        right = []
        for cosine in self._cosine:
            is_up = cosine * along + np.sqrt(1 - cosine**2) * across > 0
            right.append(float(np.mean(np.where(is_up, chance, 1 - chance))))
        self._right = np.array(right)
        self._mean = float(np.mean((2 * chance - 1) * along))
        self._normal = rng.standard_normal((4000, FEATURES))

    def accuracy(self, n_pairs: int, flips: float) -> float:
        mean = (1 - 2 * flips) * self._mean
        spread_D = np.sqrt(np.r_[1 - mean**2, np.ones(FEATURES - 1)] / n_pairs)
        head_D = self._normal * spread_D
        head_D[:, 0] += mean
        cosine = head_D[:, 0] / np.linalg.norm(head_D, axis=1)
        clean = float(np.interp(cosine, self._cosine, self._right).mean())
        return clean * (1 - TEST_FLIPS) + (1 - clean) * TEST_FLIPS


def compared(world: str, seed: int, rng: np.random.Generator) -> Comparison:
    """One replication of a world, measured as `karat audit data A B` measures."""
    pools = [labelled(POOL, flips, rng)[0] for flips in FLIPS[world]]
    tests = [labelled(TEST, TEST_FLIPS, rng)[0] for _ in pools]

    def learner(index: Mapping[int, np.ndarray], draw: int) -> Sequence[np.ndarray]:
        del draw
        head_D = np.concatenate([pools[number][rows] for number, rows in index.items()]).mean(axis=0)
        return [test_ND @ head_D for test_ND in tests]

    plan = Plan(
        names=("a", "b"), prompts=(np.arange(POOL), np.arange(POOL)), size=POOL // 2,
        ladders=(ladder(POOL, ()),) * 2, n_draws=DRAWS, seed=seed, resamples=500,
    )  # fmt: skip
    held = [HeldOut(f"t{k}", k, np.ones(TEST), np.arange(TEST) + k * TEST, counts=True) for k in range(2)]
    return measure(plan, held, learner)


def repaired(flips: float, rng: np.random.Generator) -> tuple[bool, bool]:
    """Whether a repair by an independent judge raises the accuracy against true labels; whether it is called a harm."""
    diff_PD, is_flipped = labelled(REPAIR_PAIRS, flips, rng, size=REPAIR_SIZE)
    judge_P = REPAIR_SIZE * (diff_PD[:, 0] + rng.standard_normal(REPAIR_PAIRS) / 2)
    label_P = np.ones(REPAIR_PAIRS)
    worth = worth_of(
        diff_PD, label_P, np.arange(REPAIR_PAIRS), _rule(label_P), steps=REPAIR_STEPS, margin_P=judge_P, folds=FOLDS,
        rng=rng,
    )  # fmt: skip
    before, after = (np.mean((margin_P > 0) != is_flipped) for margin_P in (worth.before_P, worth.after_P))
    return bool(after > before), worth.gain.high < 0


def _rule(label_P: np.ndarray) -> Callable[[np.ndarray, np.ndarray], Changes]:
    return lambda inside, posterior: decide(label_P[inside], posterior, None, steps=REPAIR_STEPS, flip_above=0.9)


def flips_left(rng: np.random.Generator) -> float:
    """Share of wrong labels in the copy, over that of the data, where suspects come from the data itself."""
    diff_PD, is_flipped = labelled(REPAIR_PAIRS, REPAIR_FLIPS, rng, features=FEW_FEATURES)
    label_P = np.ones(REPAIR_PAIRS)
    every = np.arange(REPAIR_PAIRS)
    posterior_P = posteriors_of(diff_PD, label_P, every, None, every, rng)
    found = _rule(label_P)(every, posterior_P)
    is_wrong = np.where(found.what_P == "flipped", ~is_flipped, is_flipped)[found.is_kept]
    return float(is_wrong.mean() / is_flipped.mean())


def compare_rows(replications: int, seed: int, progress: Callable[..., None] | None = None) -> list[PlantedRow]:
    """All promises about comparisons and repair, checked on `replications` of each world."""
    rng = np.random.default_rng([seed, 450])
    truth = Truth()
    size = POOL // 2
    gap = {world: truth.accuracy(size, one) - truth.accuracy(size, two) for world, (one, two) in FLIPS.items()}
    doubling = {flips: truth.accuracy(2 * POOL, flips) - truth.accuracy(POOL, flips) for flips in (0.05, 0.3)}
    hits: dict[str, list[bool]] = {code: [] for code in TITLES}
    for number in range(replications):
        if progress:
            progress("planting for audit data A B", number, replications, "five worlds")
        twin_world = "coin" if number % 2 else "alike"
        unlike, twin = compared("unlike", number, rng), compared(twin_world, number, rng)
        for world, found in (("unlike", unlike), (twin_world, twin)):
            end = contrast_of(found.source_contrasts, "a", "b").difference
            hits["SE451"].append(end.low <= gap[world] <= end.high)
        hits["SE452"].append(_is_better(unlike, "a"))
        hits["SE453"].append(_is_better(twin, "a") or _is_better(twin, "b"))
        curves = [(unlike.curves["a"], 0.05)]
        if twin_world == "alike":
            curves += [(curve, 0.3) for curve in twin.curves.values()]
        hits["SE454"] += [curve.gain.low <= doubling[flips] <= curve.gain.high for curve, flips in curves]
        if twin_world == "coin":
            hits["SE455"] += [twin.curves[name].gain.low > 0 for name in ("a", "b")]
            hits["SE456"] += [learned_verdict(twin.cells[key][0]) != "ok" for key in (("a", "t0"), ("b", "t1"))]
        if number < costly(replications):  # fitting heads takes the time
            hits["SE457"].append(repaired(REPAIR_FLIPS, rng)[0])
            hits["SE458"].append(repaired(0.0, rng)[1])
            hits["SE459"].append(flips_left(rng) <= 0.9)
    promises = {
        "SE451": (f"unlike {gap['unlike']:+.3f}, alike and coin 0; {size} pairs", 0.92, 1.0),
        "SE452": ("unlike: 5 % against 35 % of flips", 0.8, 1.0),
        "SE453": ("alike, coin", 0.0, 0.05),
        "SE454": (f"5 %, 30 % of flips: {doubling[0.05]:+.4f}, {doubling[0.3]:+.4f} from {POOL} pairs", 0.92, 1.0),
        "SE455": ("coin", 0.0, 0.05),
        "SE456": ("coin", 0.92, 1.0),
        "SE457": ("25 % of flips, judge = true margin + half as much noise", 0.8, 1.0),
        "SE458": ("no flips, the same judge", 0.0, 0.05),
        "SE459": ("25 % of flips, heads out of fold", 0.8, 1.0),
    }
    return [
        PlantedRow(
            code=code, title=TITLES[code], planted=planted, hits=sum(hits[code]), n=len(hits[code]), least=least,
            most=most,
        )
        for code, (planted, least, most) in promises.items()
    ]  # fmt: skip


def _is_better(found: Comparison, name: str) -> bool:
    """Whether it is called clearly better than the other."""
    each = contrast_of(found.source_contrasts, name, "b" if name == "a" else "a")
    return each.is_clear and each.difference.low > 0
