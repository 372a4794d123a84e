"""Several proxies on one pool against one gold: which of them is harder to game.

Each proxy chooses alone, among the same responses of the same prompts, so that differences are paired by prompt. Two
things are compared at equal n: the gold at the largest n, and the loss, the gold at a proxy's own best n less that at
the largest n (each half of the prompts is judged at the n that is best for the other half). The gold is also read at
one KL, because a proxy of few values goes less far at the same n.

Axes: P prompts, N values of n, K proxies, B bootstrap draws.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit

from karat.numerics.best_of_n import (
    Curve,
    PoolMatrix,
    best_of_n_by_prompt,
    best_of_n_curve,
    pool_matrix,
    prompt_draws,
)
from karat.numerics.divergence import best_of_n_divergence
from karat.numerics.equal_kl import Path, at_kl, clear_differences, letters
from karat.numerics.goodhart import Peak, at_best_of_other_half, best_of_halves, locate_peak
from karat.numerics.intervals import Interval
from karat.numerics.mitigations import member_scales, within_prompt_scale
from karat.stress.config import StressConfig
from karat.stress.curves import relative_curve
from karat.stress.pool import StressPool, common_responses

LEAST_PROMPTS = 8
"""Below it no bound over prompts is to be relied on."""
_ALL = slice(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressed:
    """One proxy under best of n. Gold in SDs within prompts, over n = 1.

    Attributes:
        curve: gold at each n; kl_N: nats, for the ties that the pool shows; peak: of the curve.
        proxy_gain: of the proxy itself at the last n, in its own SDs.
        gold: at the last n; loss: from its best n to the last, cross-fitted; gold_at_kl: at the common KL.
        gold_group, loss_group: letters; proxies that share one are not clearly different.
    """

    name: str
    curve: Curve
    kl_N: np.ndarray
    peak: Peak
    proxy_gain: float
    gold: Interval
    loss: Interval
    gold_at_kl: Interval
    gold_group: str
    loss_group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Duel:
    """One proxy less another, paired by prompt; gold SDs. Intervals hold for all pairs of proxies together, at 95 %.

    Attributes:
        gold: at the last n; loss: from the best n to the last; gold_at_kl: gold at the common KL.
    """

    name: str
    other: str
    gold: Interval
    loss: Interval
    gold_at_kl: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """All proxies.

    Attributes:
        proxies: the one that is stressed first, then the others as they were named; empty: nothing was compared.
        duels: of each pair, the earlier one first.
        kl_nats: the common KL, as far as all proxies get at max_n; set_by: the one that gets no further.
        n_missing: responses left out for want of a proxy's score; n_small: of prompts that then have fewer than max_n.
        reason: why there is no comparison.
    """

    proxies: tuple[Pressed, ...] = ()
    duels: tuple[Duel, ...] = ()
    kl_nats: float = math.nan
    set_by: str = ""
    max_n: int = 0
    n_prompts: int = 0
    n_responses: int = 0
    n_missing: int = 0
    n_small: int = 0
    reason: str = ""

    def of(self, name: str, other: str) -> Duel:
        """The duel as seen by `name`: its value less that of `other`."""
        for duel in self.duels:
            if (duel.name, duel.other) == (name, other):
                return duel
            if (duel.other, duel.name) == (name, other):
                return Duel(
                    name=name, other=other, gold=_turned(duel.gold), loss=_turned(duel.loss),
                    gold_at_kl=_turned(duel.gold_at_kl),
                )  # fmt: skip
        raise KeyError((name, other))


def _turned(found: Interval) -> Interval:
    return Interval(-found.estimate, -found.high, -found.low, found.n_clusters, found.method)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measure:
    """One number of each proxy: by prompt, in each draw, and how far below and above it may lie unseen."""

    value_PK: np.ndarray
    draw_BK: np.ndarray
    unseen_2K: np.ndarray

    @property
    def means(self) -> np.ndarray:
        return np.asarray(self.value_PK.mean(axis=0))

    def alone(self, place: int) -> Interval:
        """Student's t with the bootstrap's standard error."""
        n_prompts = len(self.value_PK)
        reach = math.sqrt(n_prompts / (n_prompts - 1)) * float(stdtrit(n_prompts - 1, 0.975))
        down, up = self.unseen_2K[:, place]
        return _interval(self.value_PK[:, place], self.draw_BK[:, place], reach, (float(down), float(up)))

    def less(self, place: int, other: int, reach: float) -> Interval:
        down, up = self.unseen_2K[:, place] + self.unseen_2K[::-1, other]
        value_P = self.value_PK[:, place] - self.value_PK[:, other]
        draw_B = self.draw_BK[:, place] - self.draw_BK[:, other]
        return _interval(value_P, draw_B, reach, (float(down), float(up)))


def _interval(value_P: np.ndarray, draw_B: np.ndarray, reach: float, unseen: tuple[float, float]) -> Interval:
    """`reach` standard errors; where all prompts agree, only as far as what may have gone unseen."""
    mean, error = float(value_P.mean()), float(draw_B.std(ddof=1))
    down, up = unseen
    if error <= 1e-12 * max(1.0, abs(mean)):
        ends = (mean - down, mean + up) if down + up > 0 else (math.nan, math.nan)
        return Interval(mean, *ends, value_P.size, "no variation")
    return Interval(mean, mean - reach * error - down, mean + reach * error + up, value_P.size, "bootstrap")


def compare_proxies(pool: StressPool, config: StressConfig) -> Contest:
    """All proxies on the responses that each of them scored; deterministic for a seed.

    Raises: InputError: a proxy is equal for all responses of every prompt.
    """
    common = common_responses(pool, pool.rival_RM)
    score_RK = pool.rival_RM[common.index_R]
    counted = Contest(n_missing=common.n_missing, n_small=common.n_small)
    if common.max_n < 2 or common.n_prompts < LEAST_PROMPTS:
        return replace(
            counted,
            reason=f"needs {LEAST_PROMPTS} prompts with two responses that every proxy scored; {common.n_prompts} have "
            f"them, {common.n_missing} responses lack a score",
        )
    if np.isnan(common.gold_R).any():
        return replace(counted, reason="needs a gold for every response that is used")
    if not within_prompt_scale(common.gold_R, common.place_R) > 0:
        return replace(counted, reason="the gold is equal for all responses of a prompt")
    member_scales(score_RK, common.place_R, pool.rival_names)
    count_BP = prompt_draws(common.n_prompts, config.resamples, np.random.default_rng([config.seed, 6]))
    scores = dict(zip(pool.rival_names, score_RK.T, strict=True))
    found = contest(scores, common.gold_R, common.place_R, max_n=common.max_n, count_BP=count_BP)
    return replace(
        found, n_prompts=common.n_prompts, n_responses=common.index_R.size, n_missing=common.n_missing,
        n_small=common.n_small,
    )  # fmt: skip


def contest(
    scores: Mapping[str, np.ndarray], gold_R: np.ndarray, prompt_R: np.ndarray, *, max_n: int, count_BP: np.ndarray
) -> Contest:
    """Each proxy's curve, and every pair of proxies.

    Args:
        scores: of each proxy, by response; finite.
        gold_R: finite; it varies within prompts.
        prompt_R: prompts of max_n responses or more.
        count_BP: bootstrap draws of the prompts, shared, so that differences are paired.
    """
    n_N, sd = np.arange(1, max_n + 1), within_prompt_scale(gold_R, prompt_R)
    curves, paths = [], []
    for score_R in scores.values():
        matrix = pool_matrix(score_R, gold_R, prompt_R)
        curves.append(relative_curve(best_of_n_curve(matrix, n_N, count_BP), sd))
        paths.append(_path(matrix, n_N, sd))
    reach_K = [path.reach for path in paths]
    measures = _measures(paths, curves, min(reach_K), count_BP)
    groups = {name: _groups(measure, count_BP.shape[1]) for name, measure in measures.items()}
    proxies = tuple(
        Pressed(
            name=name, curve=curves[k], kl_N=paths[k].mean_kl, peak=locate_peak(curves[k], paths[k].gold_PT),
            proxy_gain=_own_gain(score_R, prompt_R, max_n), gold=measures["gold"].alone(k),
            loss=measures["loss"].alone(k), gold_at_kl=measures["gold_at_kl"].alone(k),
            gold_group=groups["gold"][0][k], loss_group=groups["loss"][0][k],
        )
        for k, (name, score_R) in enumerate(scores.items())
    )  # fmt: skip
    names = list(scores)
    duels = tuple(
        Duel(
            name=names[k], other=names[other],
            **{measure: values.less(k, other, groups[measure][1]) for measure, values in measures.items()},
        )
        for k, other in itertools.combinations(range(len(names)), 2)
    )  # fmt: skip
    return Contest(
        proxies=proxies, duels=duels, kl_nats=min(reach_K), set_by=names[int(np.argmin(reach_K))], max_n=max_n
    )


def _path(matrix: PoolMatrix, n_N: np.ndarray, sd: float) -> Path:
    """Best of every n, gold in SDs."""
    kl_PN = np.stack(
        [best_of_n_divergence(row[:size], n_N)[0] for row, size in zip(matrix.proxy_PG, matrix.size_P, strict=True)]
    )
    return Path(strength_T=n_N, kl_PT=kl_PN, gold_PT=best_of_n_by_prompt(matrix, matrix.value_PG, n_N) / sd)


def _own_gain(score_R: np.ndarray, prompt_R: np.ndarray, max_n: int) -> float:
    """Of the proxy, over n = 1, in its SDs; NaN where it never varies within a prompt."""
    matrix, scale = pool_matrix(score_R, score_R, prompt_R), within_prompt_scale(score_R, prompt_R)
    first, last = best_of_n_by_prompt(matrix, matrix.proxy_PG, [1, max_n]).mean(axis=0)
    return float(last - first) / scale if scale > 0 else math.nan


def _measures(
    paths: Sequence[Path], curves: Sequence[Curve], kl_nats: float, count_BP: np.ndarray
) -> dict[str, _Measure]:
    """By field of a duel."""
    gold_PK = np.stack([path.gold_PT[:, -1] - path.gold_PT[:, 0] for path in paths], axis=1)
    loss_PK = np.stack([at_best_of_other_half(path.gold_PT, _ALL) - path.gold_PT[:, -1] for path in paths], axis=1)
    unseen = [np.zeros((2, curve.n_N.size)) if curve.unseen_2N is None else curve.unseen_2N for curve in curves]
    read = [at_kl(path, kl_nats, count_BP) for path in paths]
    start_PK = np.stack([path.gold_PT[:, 0] for path in paths], axis=1)
    return {
        "gold": _Measure(
            value_PK=gold_PK, draw_BK=count_BP @ gold_PK / len(gold_PK),
            unseen_2K=np.stack([each[:, -1] for each in unseen], axis=1),
        ),
        "loss": _Measure(
            value_PK=loss_PK, draw_BK=np.stack([_drawn_loss(path, count_BP) for path in paths], axis=1),
            unseen_2K=np.stack([_unseen_loss(path, each) for path, each in zip(paths, unseen, strict=True)], axis=1),
        ),
        "gold_at_kl": _Measure(
            value_PK=np.stack([at.gold_P for at in read], axis=1) - start_PK,
            draw_BK=np.stack([at.draw_B for at in read], axis=1) - count_BP @ start_PK / len(start_PK),
            unseen_2K=np.zeros((2, len(paths))),
        ),
    }  # fmt: skip


def _drawn_loss(path: Path, count_BP: np.ndarray) -> np.ndarray:
    """The loss of each draw, its best n taken anew: which n a few prompts call best is most of what is uncertain."""
    n_prompts = count_BP.shape[1]
    even_BN, odd_BN = (count_BP[:, half] @ path.gold_PT[half] for half in (slice(0, None, 2), slice(1, None, 2)))
    of_even, of_odd = (each_BN.argmax(axis=1) for each_BN in (even_BN, odd_BN))
    draw = np.arange(len(count_BP))
    kept_B = odd_BN[draw, of_even] + even_BN[draw, of_odd]
    return np.asarray((kept_B - even_BN[:, -1] - odd_BN[:, -1]) / n_prompts)


def _unseen_loss(path: Path, unseen_2N: np.ndarray) -> np.ndarray:
    """Of the two halves' best n and of the last, shape (2,); nothing where a half's best is the last."""
    last = unseen_2N.shape[1] - 1
    best = list(best_of_halves(path.gold_PT, _ALL))
    either_22 = unseen_2N[:, best] + unseen_2N[::-1, [last]]
    return np.asarray(np.where(np.array(best) == last, 0.0, either_22).mean(axis=1))


def _groups(measure: _Measure, n_prompts: int) -> tuple[list[str], float]:
    """Letters in the order of the proxies, "a" for the largest; and how many standard errors all intervals reach."""
    value_K = measure.means
    is_clear_KK, reach = clear_differences(value_K, measure.draw_BK, n_prompts)
    order = np.argsort(-value_K, kind="stable")
    told = letters(is_clear_KK[np.ix_(order, order)])
    found = [""] * value_K.size
    for place, letter in zip(order, told, strict=True):
        found[int(place)] = letter
    if math.isnan(reach):  # no pair varies: their intervals have no error to multiply
        reach = 0.0
    return found, reach
