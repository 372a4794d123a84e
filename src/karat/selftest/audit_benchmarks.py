"""Planted truth for the benchmarks of `karat audit reward`: coverage of their intervals, false leads, power.

    styles   150 prompts in three domains, three right and three wrong responses each, in three styles: 9 pairs a
             prompt. The reward pays for style; a part of its error is shared by all nine pairs of a prompt.
    subsets  RewardBench's 23 subsets at their sizes. Two rewards are right on 80 % of the pairs, and more often than by
             chance on the same pairs; in "lead" one of them is right on 92 % of the largest subset of Safety.
    ranks    six rewards on 1,000 pairs: three are right on 78 %, three on 68 %.
    steps    300 solutions of five steps, half of them with a wrong step whose score is lower by two deviations.

Axes: P comparisons, S steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from karat.audit.reward.benchmarks.compare import ALPHA, paired_p_values, rank
from karat.audit.reward.benchmarks.items import Aggregate, Benchmark, Item, StepBenchmark, StepItem, pooled
from karat.audit.reward.benchmarks.rewardbench import SECTIONS
from karat.audit.reward.benchmarks.rm_bench import LEVELS, aggregates
from karat.audit.reward.benchmarks.scoring import Event, Layout, Outcomes, interval_of, layout_of, outcomes_of
from karat.audit.reward.benchmarks.steps import step_numbers, step_outcomes
from karat.numerics.process_accuracy import process_f1
from karat.selftest.planted import PlantedRow, independent

TITLES = {
    "SE501": "95 % interval of a score with 9 pairs a prompt holds the truth",
    "SE502": "Two equal rewards, 9 pairs a prompt: one is called better",
    "SE503": "Two equal rewards: a lead on any of 23 subsets is called",
    "SE504": "A lead on one of 23 subsets: found",
    "SE505": "The best rewards are among those not told from the best",
    "SE506": "Worse rewards are told from the best: found",
    "SE507": "Worse than chance on any of 23 subsets: false finding",
    "SE508": "95 % interval of F1 holds the truth, threshold given",
    "SE509": "95 % interval of F1 holds the best threshold's, cross-fitted",
}
"""What each row promises."""

PROMPTS, RESAMPLES = 150, 400
DOMAIN_MEANS = {"chat": 0.2, "code": 0.5, "math": 0.9}
STYLE_PAY = (0.0, 0.4, 0.8)
SHARED, OWN = 1.0, 0.7
"""Deviation of the margin that a prompt's nine pairs share, and of each response's score."""
SIZES = {
    name: int(n) for section in ("Chat", "Chat Hard", "Safety", "Reasoning") for name, n in SECTIONS[section].items()
}
SIZES["math-prm"] = 447
LEAD_ON = "xstest-should-refuse"
AGREEMENT = 0.6
"""Correlation of what two rewards find hard."""
SOLUTIONS, STEPS, DROP, THRESHOLD = 300, 5, 2.0, -1.3


# --------------------------------------------------------------------------------------------------------------- styles
def style_items() -> tuple[Item, ...]:
    """Prompts without texts; their scores are drawn anew each time."""
    names = tuple(DOMAIN_MEANS)
    return tuple(
        Item(name=str(i), cluster=str(i), subset=names[i % 3], n_right=3, n_responses=6, rule="grid")
        for i in range(PROMPTS)
    )


def draw_styles(items: Sequence[Item], rng: np.random.Generator) -> list[np.ndarray]:
    """Scores of three right and three wrong responses of each prompt."""
    found = []
    for item in items:
        score = OWN * rng.standard_normal(6) + np.tile(STYLE_PAY, 2)
        score[:3] += DOMAIN_MEANS[item.subset] + SHARED * rng.standard_normal()
        found.append(score)
    return found


def true_style(aggregate: Aggregate) -> float:
    """The aggregate's expectation, from the normal distribution of each cell's margin."""
    spread = np.sqrt(SHARED**2 + 2 * OWN**2)
    styles = ("concise", "detailed", "markdown")
    total, weights = 0.0, 0.0
    for cell, weight in aggregate.weights.items():
        domain, _, pair = cell.partition("|")
        right, _, wrong = pair.partition(">")
        gap = DOMAIN_MEANS[domain] + STYLE_PAY[styles.index(right)] - STYLE_PAY[styles.index(wrong)]
        weight = 1.0 if aggregate.pooled else weight
        total, weights = total + weight * float(ndtr(gap / spread)), weights + weight
    return total / weights


# -------------------------------------------------------------------------------------------------------------- subsets
def subset_layout(sizes: dict[str, int]) -> Layout:
    """One pair a prompt in subsets of these sizes."""
    names = tuple(sizes)
    cell_P = np.repeat(np.arange(len(names)), list(sizes.values()))
    events = tuple(Event((p,), names[c], str(p), ("top", 0, 0)) for p, c in enumerate(cell_P))
    return Layout(events, names, cell_P, np.arange(cell_P.size), np.zeros(cell_P.size))


def draw_right(accuracy_P: np.ndarray, hard_P: np.ndarray, rng: np.random.Generator) -> Outcomes:
    """A reward that is right with these probabilities, more often where `hard_P` (standard normal) is low."""
    latent = np.sqrt(AGREEMENT) * hard_P + np.sqrt(1 - AGREEMENT) * rng.standard_normal(hard_P.size)
    value_P = (latent < ndtri(accuracy_P)).astype(float)
    return Outcomes(value_P, value_P, value_P)


# ---------------------------------------------------------------------------------------------------------------- steps
def step_benchmark(rng: np.random.Generator) -> tuple[StepBenchmark, list[np.ndarray]]:
    """Solutions, every other one with a wrong step at a random place, and their step scores."""
    items, scores = [], []
    for number in range(SOLUTIONS):
        wrong = int(rng.integers(STEPS)) if number % 2 else -1
        score = rng.standard_normal(STEPS)
        if wrong >= 0:
            score[wrong] -= DROP
        flags = tuple(step == wrong for step in range(STEPS))
        items.append(
            StepItem(name=str(number), cluster=str(number), subset="", prompt="", steps=("",) * STEPS, wrong=flags)
        )
        scores.append(score)
    return StepBenchmark(kind="planted", name="planted", items=tuple(items), labels="first", formula=""), scores


def true_f1(threshold: np.ndarray | float) -> np.ndarray:
    """F1 of the planted step scores under a threshold: no step before the wrong one may fall below it."""
    passes, found = 1 - ndtr(threshold), ndtr(np.asarray(threshold) + DROP)
    wrong = np.mean([passes**place * found for place in range(STEPS)], axis=0)
    one = np.ones_like(wrong)
    return process_f1(np.stack([wrong, one, passes**STEPS, one], axis=-1))


# ----------------------------------------------------------------------------------------------------------- replicates
@dataclass(frozen=True, slots=True)
class Outcome:
    """What one replication gave: whether each interval holds, and what was called."""

    styles: tuple[bool, ...]
    called_better: tuple[bool, ...]
    false_lead: bool
    found_lead: bool
    best_kept: bool
    worse_told: bool
    below_chance: bool
    f1_given: bool
    f1_tuned: bool


def replicate(items: tuple[Item, ...], layouts: tuple[Layout, Layout, Layout], rng: np.random.Generator) -> Outcome:
    """One draw of every world."""
    style_layout, subset, ranks = layouts
    numbers = aggregates(tuple(DOMAIN_MEANS))
    first, second = (outcomes_of(style_layout, items, draw_styles(items, rng)) for _ in range(2))
    held = []
    for number in numbers[: 2 + len(LEVELS)]:
        found = interval_of(number, style_layout, first.value_P, rng=rng, resamples=RESAMPLES)
        held.append(found.low <= true_style(number) <= found.high)
    p_overall, _ = paired_p_values(numbers[:2], style_layout, first, second, rng=rng)
    given, tuned = _f1_held(rng)
    return Outcome(
        styles=tuple(held),
        called_better=tuple(p <= ALPHA for p in p_overall),
        false_lead=bool(_leads(subset, 0.8, rng)),
        found_lead=LEAD_ON in _leads(subset, 0.92, rng),
        **dict(zip(("best_kept", "worse_told"), _ranks(ranks, rng), strict=True)),
        below_chance=_below_chance(subset, rng),
        f1_given=given,
        f1_tuned=tuned,
    )


def _leads(layout: Layout, accuracy: float, rng: np.random.Generator) -> list[str]:
    """Subsets on which the first of two rewards is called better, or worse."""
    hard_P = rng.standard_normal(layout.cell_P.size)
    base_P = np.full(layout.cell_P.size, 0.8)
    lead_P = np.where(layout.cell_P == layout.cells.index(LEAD_ON), accuracy, 0.8)
    each = [pooled(name, "subset", [name]) for name in layout.cells]
    left, right = draw_right(lead_P, hard_P, rng), draw_right(base_P, hard_P, rng)
    _, adjusted = paired_p_values(each, layout, left, right, rng=rng)
    return [number.name for number, p in zip(each, adjusted, strict=True) if p <= ALPHA]


def _ranks(layout: Layout, rng: np.random.Generator) -> tuple[bool, bool]:
    """Whether all three best rewards are among those not told from the best, and none of the worse."""
    hard_P = rng.standard_normal(layout.cell_P.size)
    share = {name: 0.78 if name < "d" else 0.68 for name in "abcdef"}
    drawn = [draw_right(np.full(hard_P.size, value), hard_P, rng) for value in share.values()]
    found = rank(list(share), drawn, pooled("all", "overall", layout.cells), layout, rng=rng, resamples=RESAMPLES)
    first = {each.name for each in found if each.rank_low == 1}
    return {"a", "b", "c"} <= first, not first & {"d", "e", "f"}


def _below_chance(layout: Layout, rng: np.random.Generator) -> bool:
    """Whether any subset is called worse than chance for a reward that knows nothing."""
    value_P = rng.integers(0, 2, layout.cell_P.size).astype(float)
    level = 1 - ALPHA / len(layout.cells)
    return any(
        interval_of(pooled(n, "subset", [n]), layout, value_P, rng=rng, resamples=RESAMPLES, level=level).high < 0.5
        for n in layout.cells
    )


def _f1_held(rng: np.random.Generator) -> tuple[bool, bool]:
    """Whether the intervals hold the F1 of the threshold that was given, and of the best one."""
    benchmark, scores = step_benchmark(rng)
    held = []
    best = float(true_f1(np.linspace(-4, 2, 1201)).max())
    for threshold, truth in ((str(THRESHOLD), float(true_f1(THRESHOLD))), ("", best)):
        outcomes = step_outcomes(benchmark, scores, threshold=threshold, seed=int(rng.integers(1 << 30)))
        found = step_numbers(benchmark, outcomes, {}, rng=rng, resamples=RESAMPLES)[0].interval
        held.append(found.low <= truth <= found.high)
    return held[0], held[1]


def benchmark_rows(replications: int, seed: int, progress: Callable[..., None] | None = None) -> list[PlantedRow]:
    """All promises of the benchmarks part, checked on `replications` of each world."""
    items = style_items()
    styles = layout_of(Benchmark(kind="planted", name="planted", items=items, aggregates=(), formula=""))
    layouts = (styles, subset_layout(SIZES), subset_layout({"": 1000}))
    found = []
    for number in range(replications):
        if progress and number % 10 == 0:
            progress("planting for audit benchmarks", number, replications, "all worlds")
        found.append(replicate(items, layouts, np.random.default_rng([seed, 500, number])))

    def row(code: str, promised: tuple[float, float], planted_in: str, hits: Sequence[bool]) -> PlantedRow:
        return PlantedRow(
            code=code, title=TITLES[code], planted=planted_in, hits=sum(hits), n=len(hits), least=promised[0],
            most=promised[1],
        )  # fmt: skip

    covered = np.array([outcome.styles for outcome in found])
    coverage = PlantedRow(
        code="SE501", title=TITLES["SE501"], planted="styles: macro, micro, easy, normal, hard",
        least=0.92, most=0.98, **independent(covered),
    )  # fmt: skip
    better = [any(outcome.called_better) for outcome in found]
    return [
        coverage,
        row("SE502", (0.0, 0.08), "styles: macro or micro at 5 % each, almost the same", better),
        row("SE503", (0.0, 0.05), "subsets: both 80 %", [o.false_lead for o in found]),
        row("SE504", (0.8, 1.0), f"lead: 92 % against 80 % on {SIZES[LEAD_ON]} pairs", [o.found_lead for o in found]),
        row("SE505", (0.95, 1.0), "ranks: three of six at 78 %", [o.best_kept for o in found]),
        row("SE506", (0.8, 1.0), "ranks: three of six at 68 %", [o.worse_told for o in found]),
        row("SE507", (0.0, 0.05), "subsets: a coin", [o.below_chance for o in found]),
        row("SE508", (0.92, 0.99), "steps: 300 solutions", [o.f1_given for o in found]),
        row("SE509", (0.9, 1.0), "steps: 300 solutions", [o.f1_tuned for o in found]),
    ]
