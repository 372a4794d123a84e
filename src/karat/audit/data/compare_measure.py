"""What rewards trained on each source and mixture score on common test sets, with the error of other draws and prompts.

Axes: S draws of the training set, N pairs of a test set, G prompts, M training sizes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from karat.audit.data.training_sets import Draw, Mix, PoolOrder, draw_mix, mixes_of
from karat.numerics.accuracy import pair_outcome
from karat.numerics.equal_kl import letters
from karat.numerics.intervals import Interval, clustered_proportion
from karat.numerics.learning_curve import LEAST_SIZES, NO_CURVE, LearningCurve, fit_learning_curve
from karat.numerics.multiplicity import holm
from karat.numerics.preference_likelihood import bradley_terry_loss
from karat.numerics.redrawn import RedrawnMean, by_prompt, joined, redrawn_mean

CLEAR = 0.05
"""Level of all comparisons of accuracy together (Holm)."""

Learner = Callable[[Mapping[int, np.ndarray], int], Sequence[np.ndarray]]
"""Training pairs of each source by index, and the number of the draw, to margins on each test set."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Held-out pairs with their labels.

    Attributes:
        home: number of the source that they were held out of; -1: of none, a file of its own.
        label_N: probability that `chosen` is preferred; ties (0.5) count in the loss only.
        prompt_N: prompt of each pair, under one name in all sets.
        counts: whether it is among those that sources are ranked on.
        n_removed: pairs left out because a training source has their prompt, or nearly the same pair.
    """

    name: str
    home: int
    label_N: np.ndarray
    prompt_N: np.ndarray
    counts: bool
    n_removed: int = 0


@dataclass(frozen=True, slots=True)
class Trained:
    """Outcomes of one training mix at one size.

    Attributes:
        outcome, loss: on each test set, (S, G), by `by_prompt`: 1 right, 0 wrong, 0.5 a tie; nats.
        share: of a source's prompts that a draw holds, the largest.
    """

    mix: Mix
    size: int
    outcome: tuple[np.ndarray, ...]
    loss: tuple[np.ndarray, ...]
    share: float


@dataclass(frozen=True, slots=True)
class Contrast:
    """Score of one mix less that of another; p_value adjusted for all contrasts of its family (Holm)."""

    left: str
    right: str
    difference: Interval
    p_value: float

    @property
    def is_clear(self) -> bool:
        return self.p_value <= CLEAR

    def turned(self) -> Contrast:
        """The other way round."""
        end = self.difference
        difference = Interval(-end.estimate, -end.high, -end.low, end.n_clusters, end.method)
        return Contrast(self.right, self.left, difference, self.p_value)


def contrast_of(contrasts: Sequence[Contrast], left: str, right: str) -> Contrast:
    """The difference of two, whichever way round it is kept. Raises KeyError where it is not."""
    for each in contrasts:
        if (each.left, each.right) == (left, right):
            return each
        if (each.left, each.right) == (right, left):
            return each.turned()
    raise KeyError((left, right))


@dataclass(frozen=True, slots=True)
class Standing:
    """One mix's place: its mean accuracy over the counting test sets, and its group of letters."""

    mix: Mix
    score: Interval
    loss: Interval
    group: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that was measured at one backbone.

    Attributes:
        trained: by mix name, at the common size.
        standings: best first; contrasts: of all mixes (letters rest on them); source_contrasts: of the sources, a
            family of their own; mix_contrasts: each mixture less each of its parts; loss_contrasts: of the sources,
            in nats.
        cells: accuracy and loss of each mix on each test set, (mix name, test name).
        curves, loss_curves: by source name; their means at each size in `ladders`.
    """

    size: int
    n_draws: int
    tests: tuple[HeldOut, ...]
    trained: Mapping[str, Trained]
    standings: tuple[Standing, ...]
    contrasts: tuple[Contrast, ...]
    source_contrasts: tuple[Contrast, ...]
    mix_contrasts: tuple[Contrast, ...]
    loss_contrasts: tuple[Contrast, ...]
    cells: Mapping[tuple[str, str], tuple[Interval, Interval]]
    ladders: Mapping[str, tuple[tuple[int, ...], RedrawnMean, RedrawnMean]]
    curves: Mapping[str, LearningCurve]
    loss_curves: Mapping[str, LearningCurve]

    @property
    def sources(self) -> tuple[Standing, ...]:
        """Of single sources, best first."""
        return tuple(standing for standing in self.standings if len(standing.mix.parts) == 1)

    @property
    def mixtures(self) -> tuple[Standing, ...]:
        """Of several sources, best first."""
        return tuple(standing for standing in self.standings if len(standing.mix.parts) > 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is trained: pools by prompt, sizes, draws; deterministic for a seed.

    Attributes:
        size: of the comparison; ladders: sizes of each source's learning curve, empty for none.
    """

    names: tuple[str, ...]
    prompts: tuple[np.ndarray, ...]
    size: int
    ladders: tuple[tuple[int, ...], ...]
    n_draws: int
    seed: int
    resamples: int

    def orders(self) -> list[list[PoolOrder]]:
        """Of each draw, the order of each source's pairs."""
        return [
            [
                PoolOrder(prompt_P, np.random.default_rng([self.seed, 41, draw, number]))
                for number, prompt_P in enumerate(self.prompts)
            ]
            for draw in range(self.n_draws)
        ]


def measure(
    plan: Plan, tests: Sequence[HeldOut], learner: Learner, progress: Callable[..., None] | None = None
) -> Comparison:
    """Train all mixes at all sizes on all draws, and judge them on all test sets."""
    orders = plan.orders()
    jobs = [(mix, plan.size) for mix in mixes_of(plan.names)]
    for number, sizes in enumerate(plan.ladders):
        jobs += [(Mix(plan.names[number], (number,)), size) for size in sizes if size != plan.size]
    done = {}
    for place, (mix, size) in enumerate(jobs):
        if progress:
            progress("training rewards", place, len(jobs), f"{size} pairs of {mix.name}")
        draws = [draw_mix(mix, size, order) for order in orders]
        done[mix.name, size] = _outcomes(mix, size, draws, tests, learner)
    at_size = {name: trained for (name, size), trained in done.items() if size == plan.size}
    curves, loss_curves, ladders = _curves(plan, tests, done)
    standings, contrasts = _ranked(at_size, tests)
    sources = [at_size[name] for name in plan.names]
    couples = list(combinations(sources, 2))
    with_parts = [
        (mixture, at_size[plan.names[part]])
        for mixture in at_size.values()
        for part in mixture.mix.parts
        if len(mixture.mix.parts) > 1
    ]
    return Comparison(
        size=plan.size,
        n_draws=plan.n_draws,
        tests=tuple(tests),
        trained=at_size,
        standings=standings,
        contrasts=contrasts,
        source_contrasts=contrasts_of(couples, tests),
        mix_contrasts=contrasts_of(with_parts, tests),
        loss_contrasts=contrasts_of(couples, tests, of_loss=True),
        cells={
            (name, test.name): _cell(trained, number, test)
            for name, trained in at_size.items()
            for number, test in enumerate(tests)
        },
        ladders=ladders,
        curves=curves,
        loss_curves=loss_curves,
    )


def _outcomes(mix: Mix, size: int, draws: Sequence[Draw], tests: Sequence[HeldOut], learner: Learner) -> Trained:
    outcome: list[list[np.ndarray]] = [[] for _ in tests]
    loss: list[list[np.ndarray]] = [[] for _ in tests]
    for number, draw in enumerate(draws):
        for place, (test, margin_N) in enumerate(zip(tests, learner(draw.index, number), strict=True)):
            is_decided = test.label_N != 0.5
            outcome[place].append(pair_outcome(margin_N[is_decided]))
            loss[place].append(bradley_terry_loss(margin_N, test.label_N))
    return Trained(
        mix=mix,
        size=size,
        outcome=tuple(
            by_prompt(np.array(rows), test.prompt_N[test.label_N != 0.5])
            for rows, test in zip(outcome, tests, strict=True)
        ),
        loss=tuple(by_prompt(np.array(rows), test.prompt_N) for rows, test in zip(loss, tests, strict=True)),
        share=max(draw.share for draw in draws),
    )


def score_of(trained: Trained, tests: Sequence[HeldOut], *, of_loss: bool = False) -> tuple[np.ndarray, int]:
    """Mean over the counting test sets by draw and prompt, (S, G), and the prompts of the smallest of them."""
    values = trained.loss if of_loss else trained.outcome
    counted = [(value, test) for value, test in zip(values, tests, strict=True) if test.counts]
    prompts = [np.unique(test.prompt_N if of_loss else test.prompt_N[test.label_N != 0.5]) for _, test in counted]
    return joined([value for value, _ in counted], prompts), min(value.shape[1] for value, _ in counted)


def _mean(value_SG: np.ndarray, share: float, fewest: int) -> RedrawnMean:
    return redrawn_mean(value_SG[:, :, None], share, fewest_prompts=fewest)


def contrasts_of(
    couples: Sequence[tuple[Trained, Trained]], tests: Sequence[HeldOut], *, of_loss: bool = False
) -> tuple[Contrast, ...]:
    """Differences of scores, paired by draw and prompt, with p-values after Holm over these couples."""
    found = []
    for left, right in couples:
        (one, fewest), (two, _) = (score_of(each, tests, of_loss=of_loss) for each in (left, right))
        found.append(_mean(one - two, max(left.share, right.share), fewest))
    adjusted = holm([each.p_value() for each in found])
    bound = math.inf if of_loss else 1.0
    return tuple(
        Contrast(left.mix.name, right.mix.name, each.interval(bound=bound), float(p_value))
        for (left, right), each, p_value in zip(couples, found, adjusted, strict=True)
    )


def _ranked(
    trained: Mapping[str, Trained], tests: Sequence[HeldOut]
) -> tuple[tuple[Standing, ...], tuple[Contrast, ...]]:
    """Mixes by their score, best first, with letters: those that share one are not clearly different."""
    scores = {name: score_of(each, tests) for name, each in trained.items()}
    names = sorted(trained, key=lambda name: -float(scores[name][0].mean()))
    contrasts = contrasts_of([(trained[one], trained[two]) for one, two in combinations(names, 2)], tests)
    is_clear = np.zeros((len(names), len(names)), bool)
    for (one, two), contrast in zip(combinations(range(len(names)), 2), contrasts, strict=True):
        is_clear[one, two] = is_clear[two, one] = contrast.is_clear
    standings = []
    for name, group in zip(names, letters(is_clear), strict=True):
        each, (score_SG, fewest) = trained[name], scores[name]
        loss_SG, _ = score_of(each, tests, of_loss=True)
        score = _mean(score_SG, each.share, fewest).interval()
        loss = _mean(loss_SG, each.share, fewest).interval()
        standings.append(Standing(each.mix, _inside(score), loss, group))
    return tuple(standings), contrasts


def _inside(interval: Interval) -> Interval:
    """An accuracy's ends lie in [0, 1]."""
    low, high = np.clip((interval.low, interval.high), 0.0, 1.0)
    return Interval(interval.estimate, float(low), float(high), interval.n_clusters, interval.method)


def _cell(trained: Trained, number: int, test: HeldOut) -> tuple[Interval, Interval]:
    """Accuracy and loss on one test set. Where all draws and prompts agree, Wilson's bound on prompts that may not."""
    outcome_SG = trained.outcome[number]
    fewest = outcome_SG.shape[1]
    accuracy = _inside(_mean(outcome_SG, trained.share, fewest).interval())
    if math.isnan(accuracy.low) and accuracy.estimate in (0.0, 1.0):
        accuracy = clustered_proportion(np.full(fewest, accuracy.estimate), np.arange(fewest))
    return accuracy, _mean(trained.loss[number], trained.share, trained.loss[number].shape[1]).interval()


def judged_at(source: int, tests: Sequence[HeldOut]) -> list[HeldOut]:
    """The tests with those that count for a source's learning curve: named files, else its own held-out share.

    Away from home more pairs can lead further astray; what they bring there is not what they hold.
    """
    if any(test.home < 0 for test in tests) or all(test.home != source for test in tests):
        return list(tests)
    return [replace(test, counts=test.home == source) for test in tests]


def _curves(
    plan: Plan, tests: Sequence[HeldOut], done: Mapping[tuple[str, int], Trained]
) -> tuple[
    dict[str, LearningCurve], dict[str, LearningCurve], dict[str, tuple[tuple[int, ...], RedrawnMean, RedrawnMean]]
]:
    """Accuracy and loss against the size, for each source, over the tests of `judged_at`."""
    curves: dict[str, LearningCurve] = {}
    loss_curves: dict[str, LearningCurve] = {}
    ladders = {}
    for number, (name, sizes) in enumerate(zip(plan.names, plan.ladders, strict=True)):
        if not sizes:
            continue
        means = []
        judged = judged_at(number, tests)
        for of_loss in (False, True):
            scores = [score_of(done[name, size], judged, of_loss=of_loss) for size in sizes]
            value_SGM = np.stack([score_SG for score_SG, _ in scores], axis=2)
            share_M = [done[name, size].share for size in sizes]
            means.append(redrawn_mean(value_SGM, share_M, fewest_prompts=scores[0][1]))
        ladders[name] = (sizes, means[0], means[1])
        for kept, mean, stream in ((curves, means[0], 0), (loss_curves, means[1], 1)):
            rng = np.random.default_rng([plan.seed, 42, number, stream])
            kept[name] = (
                fit_learning_curve(mean, sizes, at=float(len(plan.prompts[number])), rng=rng, resamples=plan.resamples)
                if len(sizes) >= LEAST_SIZES
                else NO_CURVE
            )
    return curves, loss_curves, ladders
