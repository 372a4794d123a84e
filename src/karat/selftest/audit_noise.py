"""Planted truth for label noise: the flip rate, suspects, annotators and circles of `karat audit data`.

Flips.  1,000 pairs, each of its own prompt; differences of vectors are standard normal in 6 dimensions, the true margin
is linear in them with standard deviation 4 (so 87 % of unflipped labels follow it), labels are drawn from it and then
flipped with probability 0, 0.05, 0.1 or 0.25. Margins come from heads that are cross-fitted to those labels.

Annotators.  500 units, three votes each of ten annotators. Careless: nine are right in 85 % of votes, the tenth in
50 %. Healthy: rates from 0.75 to 0.95.

Circles.  60 prompts with 6 responses, all compared, in an order that each label contradicts with probability f.

Axes: P pairs, A annotators.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from karat.audit.data.cycles import count_cycles, cyclic_share, noise_of_cycles
from karat.audit.data.noise_findings import CYCLE_LIMIT, rate_finding, suspects_finding
from karat.audit.data.votes import read_votes
from karat.numerics.agreement import annotator_reliability, krippendorff_alpha
from karat.numerics.label_noise import auroc, fit_noise, suspect_order
from karat.numerics.linear_preference import cross_fit
from karat.selftest.planted import PlantedRow, independent
from karat.types import PreferencePair

PAIRS, DIMENSIONS, MARGIN_SD = 1000, 6, 4.0
RATES = (0.0, 0.05, 0.1, 0.25)
TOP = PAIRS // 20
UNITS, ANNOTATORS, GOOD = 500, 10, 0.85
PROMPTS, RESPONSES = 60, 6
HEALTHY_CIRCLES, PLANTED_CIRCLES = 0.05, 0.2

TITLES = {
    "SE421": "95 % interval of the flip rate holds the truth",
    "SE422": "Ceiling of the flip rate is not below the truth",
    "SE423": "Flip rate is within 0.05 of the truth",
    "SE424": "AUROC of suspects is above 0.85, 5 % flipped",
    "SE425": "AUROC of suspects is above 0.85, 10 % flipped",
    "SE426": "AUROC of suspects is above 0.85, 25 % flipped",
    "SE427": "95 % interval of the suspects' precision holds the share that is flipped",
    "SE428": "More than 10 % of labels are flipped: found",
    "SE429": "Suspects are mostly wrong: found",
    "SE430": "No label is flipped: false finding",
    "SE431": "A careless annotator: found",
    "SE432": "A careless annotator: false alarm, ten annotators together",
    "SE433": "95 % interval of an annotator's reliability holds the truth",
    "SE434": "95 % interval of alpha holds the truth",
    "SE435": "95 % interval of the noise that circles show holds the truth",
    "SE436": "Preferences go in circles: found",
    "SE437": "Preferences go in circles: false alarm",
}
"""What each row promises."""


@dataclass(frozen=True, slots=True)
class Flips:
    """What one replication of a rate gave."""

    holds: bool
    under_ceiling: bool
    is_close: bool
    auroc: float
    precision_holds: bool
    is_problem: bool
    suspects_problem: bool


def replicate_flips(rate: float, rng: np.random.Generator) -> Flips:
    """Labels of one planted world, heads cross-fitted to them, and what is said of them."""
    x_PD = rng.normal(size=(PAIRS, DIMENSIONS))
    direction_D = rng.normal(size=DIMENSIONS)
    true_P = MARGIN_SD * x_PD @ (direction_D / np.linalg.norm(direction_D))
    flipped = rng.random(PAIRS) < rate
    won = (rng.random(PAIRS) < expit(true_P)) != flipped
    chosen_PD = np.where(won[:, None], x_PD, -x_PD)
    margin_P = cross_fit(chosen_PD, 1.0, np.arange(PAIRS), folds=3, repeats=1, rng=rng).strength()
    fit = fit_noise(margin_P, np.arange(PAIRS))
    posterior_P = fit.posterior(margin_P)
    top = suspect_order(posterior_P)[:TOP]
    expected, share = fit.expected_precision(margin_P[top]), float(flipped[top].mean())
    overall = rate_finding(fit, judge="heads", n_missing=0, witnesses=())
    suspects = suspects_finding(expected, k=TOP, n_likely=0, witnesses=())
    return Flips(
        holds=bool(fit.low <= rate <= fit.high),
        under_ceiling=bool(rate <= fit.ceiling),
        is_close=bool(abs(fit.rate - rate) <= 0.05),
        auroc=auroc(posterior_P, flipped),
        precision_holds=bool(expected.low <= share <= expected.high),
        is_problem=overall.verdict == "problem",
        suspects_problem=suspects.verdict == "problem",
    )


def replicate_annotators(rate_A: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Whether each annotator is flagged (q <= 0.05), and whether the interval holds the planted rate."""
    truth_U = rng.integers(0, 2, UNITS)
    who_UJ = np.argsort(rng.random((UNITS, ANNOTATORS)), axis=1)[:, :3]
    right_UJ = rng.random(who_UJ.shape) < rate_A[who_UJ]
    side_UJ = np.where(right_UJ, truth_U[:, None], 1 - truth_U[:, None])
    names = np.array([f"a{index}" for index in range(ANNOTATORS)])
    found = annotator_reliability(side_UJ.ravel(), np.repeat(np.arange(UNITS), 3), names[who_UJ.ravel()])
    return found.q_value_A <= 0.05, (found.low_A <= rate_A) & (rate_A <= found.high_A)


def replicate_alpha(rng: np.random.Generator) -> bool:
    """Two votes a unit, right in GOOD of them: two agree with p^2 + (1-p)^2, and alpha is twice that less 1."""
    truth_U = rng.integers(0, 2, UNITS)
    right_UJ = rng.random((UNITS, 2)) < GOOD
    side_UJ = np.where(right_UJ, truth_U[:, None], 1 - truth_U[:, None])
    found = krippendorff_alpha(side_UJ.ravel(), np.repeat(np.arange(UNITS), 2), metric="nominal", rng=rng)
    return bool(found.low <= 2 * (GOOD**2 + (1 - GOOD) ** 2) - 1 <= found.high)


def replicate_circles(rate: float, rng: np.random.Generator) -> tuple[bool, bool]:
    """Whether the interval of the implied noise holds the planted rate, and whether circles are a problem."""
    pairs = []
    for prompt in range(PROMPTS):
        for better in range(RESPONSES):
            for worse in range(better + 1, RESPONSES):
                sides = (f"r{better}", f"r{worse}") if rng.random() >= rate else (f"r{worse}", f"r{better}")
                pairs.append(PreferencePair("", *sides, prompt_id=f"p{prompt}"))
    share = cyclic_share(count_cycles(read_votes(pairs)), rng=rng)
    holds = noise_of_cycles(share.low) <= rate <= noise_of_cycles(share.high)
    return holds, bool(share.low > CYCLE_LIMIT)


def noise_rows(replications: int, seed: int, progress: Callable[..., None] | None = None) -> list[PlantedRow]:
    """All promises of the label noise part, checked on `replications` of each world."""
    found: dict[float, list[Flips]] = {}
    for number, rate in enumerate(RATES):
        if progress:
            progress("planting label noise", number, len(RATES) + 1, f"{rate:.0%} flipped")
        rng = np.random.default_rng([seed, 420 + number])
        found[rate] = [replicate_flips(rate, rng) for _ in range(replications)]
    if progress:
        progress("planting label noise", len(RATES), len(RATES) + 1, "votes and circles")

    def row(code: str, promised: tuple[float, float], planted_in: str, hits: Sequence[bool]) -> PlantedRow:
        return PlantedRow(
            code=code, title=TITLES[code], planted=planted_in, hits=sum(hits), n=len(hits), least=promised[0],
            most=promised[1],
        )  # fmt: skip

    def each(rates: Sequence[float], of: Callable[[Flips], bool]) -> list[bool]:
        return [of(outcome) for rate in rates for outcome in found[rate]]

    every, flipped = "0, 5, 10, 25 % flipped", "5, 10, 25 % flipped"
    worst, healthy = "25 % flipped", "no label flipped"
    return [
        row("SE421", (0.92, 1.0), every, each(RATES, lambda o: o.holds)),
        row("SE422", (0.95, 1.0), every, each(RATES, lambda o: o.under_ceiling)),
        row("SE423", (0.8, 1.0), flipped, each(RATES[1:], lambda o: o.is_close)),
        row("SE424", (0.9, 1.0), "5 % flipped", each((0.05,), lambda o: o.auroc > 0.85)),
        row("SE425", (0.9, 1.0), "10 % flipped", each((0.1,), lambda o: o.auroc > 0.85)),
        row("SE426", (0.9, 1.0), worst, each((0.25,), lambda o: o.auroc > 0.85)),
        row("SE427", (0.9, 1.0), every, each(RATES, lambda o: o.precision_holds)),
        row("SE428", (0.8, 1.0), worst, each((0.25,), lambda o: o.is_problem)),
        row("SE429", (0.8, 1.0), worst, each((0.25,), lambda o: o.suspects_problem)),
        row("SE430", (0.0, 0.05), healthy, each((0.0,), lambda o: o.is_problem or o.suspects_problem)),
        *_vote_rows(replications, seed, row),
    ]


def _vote_rows(replications: int, seed: int, row: Callable[..., PlantedRow]) -> list[PlantedRow]:
    rng = np.random.default_rng([seed, 430])
    careless_A = np.array([GOOD] * (ANNOTATORS - 1) + [0.5])
    healthy_A = np.linspace(0.75, 0.95, ANNOTATORS)
    careless = [replicate_annotators(careless_A, rng) for _ in range(replications)]
    healthy = [replicate_annotators(healthy_A, rng) for _ in range(replications)]
    holds_RA = np.array([holds for _, holds in (*careless, *healthy)])
    alpha = [replicate_alpha(rng) for _ in range(replications)]
    low, high = (
        [replicate_circles(rate, rng) for _ in range(replications)] for rate in (HEALTHY_CIRCLES, PLANTED_CIRCLES)
    )
    held = PlantedRow(
        code="SE433", title=TITLES["SE433"], planted="careless, healthy; ten annotators", **independent(holds_RA),
        least=0.9, most=1.0,
    )  # fmt: skip
    return [
        row("SE431", (0.8, 1.0), "one of ten right in 50 %, the others in 85 %", [bool(f[-1]) for f, _ in careless]),
        row("SE432", (0.0, 0.05), "ten right in 75 to 95 %", [bool(f.any()) for f, _ in healthy]),
        held,
        row("SE434", (0.92, 1.0), "two votes, each right in 85 %", alpha),
        row("SE435", (0.92, 1.0), "5 and 20 % of labels against the order", [holds for holds, _ in (*low, *high)]),
        row("SE436", (0.8, 1.0), "20 % of labels against the order", [problem for _, problem in high]),
        row("SE437", (0.0, 0.05), "5 % of labels against the order", [problem for _, problem in low]),
    ]
