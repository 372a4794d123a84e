r"""Values of step prefixes from completions, the search for the first wrong step, and how often both are wrong.

Axes: S steps of one solution, V prefixes (prefix s holds the first s steps), P solutions, C categories.

Value of a prefix: the chance that a completion of it reaches the answer. Of n completions that count, h do: the soft
label is h / n, the hard label is 1 where h > 0 (Math-Shepherd). A hard label is wrong in two ways: a right prefix of
value v is called wrong with (1 - v)^n; a wrong prefix from which the completer recovers with r is called right with
1 - (1 - r)^n.

Search (OmegaPRM): a prefix is right where a completion of it reaches the answer, and everything before a right prefix
is right; so the first wrong step of M is found with about log2 M probes. Where completers recover from wrong steps the
assumption fails, and the search may end at a later step.

Sequential probe: two hypotheses of a prefix, right (its value is that of the last right prefix, known from h of n with
a uniform prior, so that the number of hits is beta-binomial) and wrong (each completion recovers with r). Their
likelihood ratio is looked at after each completion; deciding once it passes 1/error or error is wrong with at most
that chance, whenever one looks (Wald 1945; Ville's inequality for the mixture).

Sources: Wang et al. (arXiv 2312.08935), Math-Shepherd; Luo et al. (arXiv 2406.06592), OmegaPRM; Wald 1945; Cohen 1960.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaln

from karat.errors import InputError
from karat.numerics.intervals import Interval, cluster_bootstrap, wilson
from karat.numerics.validation import as_vector, cluster_codes, require, require_same_length, require_share
from karat.types import NO_ERROR

Decision = Literal["right", "wrong", ""]


# -------------------------------------------------------------------------------------------------------------- labels
def soft_values(hits_S: ArrayLike, counted_S: ArrayLike) -> np.ndarray:
    """Share of the completions of each prefix that reach the answer, shape (S,); NaN where none counts.

    Args:
        hits_S: completions that reach the answer, shape (S,).
        counted_S: completions that count: neither failed nor left unfinished, shape (S,).
    Raises: InputError: more hits than completions, a negative count, or lengths that differ.
    """
    hits, counted = _counts(hits_S, counted_S)
    return np.asarray(np.divide(hits, counted, out=np.full(hits.shape, math.nan), where=counted > 0))


def hard_values(hits_S: ArrayLike, counted_S: ArrayLike) -> np.ndarray:
    """1 where any completion reaches the answer, 0 where none does, NaN where none counts; as `soft_values`."""
    hits, counted = _counts(hits_S, counted_S)
    return np.where(counted > 0, (hits > 0).astype(np.float64), math.nan)


def value_intervals(hits_S: ArrayLike, counted_S: ArrayLike, *, level: float = 0.95) -> np.ndarray:
    """Wilson's interval of the value of each prefix, shape (S, 2); NaN where no completion counts."""
    hits, counted = _counts(hits_S, counted_S)
    ends = [wilson(h, n, level=level) for h, n in zip(hits, counted, strict=True)]
    return np.array(ends, dtype=np.float64).reshape(-1, 2)


def value_bounds(hits_S: ArrayLike, counted_S: ArrayLike, missing_S: ArrayLike) -> np.ndarray:
    """The soft labels if all missing completions had failed, and if all had reached the answer, shape (S, 2)."""
    hits, counted = _counts(hits_S, counted_S)
    missing = as_vector("missing_S", missing_S)
    asked = counted + missing
    ends = np.stack([hits, hits + missing], axis=1)
    shares = np.divide(ends, asked[:, None], out=np.full(ends.shape, math.nan), where=asked[:, None] > 0)
    return np.asarray(shares)


def first_wrong(hard_S: ArrayLike) -> int | None:
    """Index of the first step with a hard label of 0, NO_ERROR where all are 1, None where an earlier one is NaN."""
    for index, value in enumerate(np.asarray(hard_S, dtype=np.float64)):
        if math.isnan(value):
            return None
        if value < 0.5:
            return index
    return NO_ERROR


def labels_of_first_wrong(n_steps: int, first: int | None) -> np.ndarray:
    """Labels that a first wrong step implies, shape (S,): 1 before it, 0 at it, NaN after it; all NaN for None."""
    label_S = np.full(n_steps, math.nan)
    if first is not None:
        label_S[: n_steps if first == NO_ERROR else first] = 1.0
        label_S[slice(0, 0) if first == NO_ERROR else slice(first, first + 1)] = 0.0
    return label_S


# --------------------------------------------------------------------------------------------------- how often wrong
def no_hit_chance(value: float, rollouts: int) -> float:
    """(1 - value)^rollouts: how often a prefix of that value is called wrong by its hard label."""
    _require_value("value", value)
    return float((1.0 - value) ** rollouts)


def rollouts_for(value: float, error: float) -> float:
    """Fewest rollouts with which a right prefix of that value is called wrong at most with chance `error`.

    Returns: a whole number; infinite for a value of 0.
    """
    _require_value("value", value)
    require_share("error", error)
    if value == 0:
        return math.inf
    return 1.0 if value == 1 else float(max(1, math.ceil(math.log(error) / math.log1p(-value) - 1e-12)))


def no_hit_if_right(hits: int, counted: int, rollouts: int) -> float:
    """Chance that no completion reaches the answer though the step is right, so that the value is what it was before.

    The value before is known from `hits` of `counted` with a uniform prior: E[(1 - v)^n] of the beta distribution.
    """
    _counts([hits], [counted])
    a, b = hits + 1, counted - hits + 1
    return float(math.exp(betaln(a, b + rollouts) - betaln(a, b)))


# -------------------------------------------------------------------------------------------------------------- probes
@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRule:
    """When a prefix has had enough completions, and what they say.

    Attributes:
        rollouts: completions of a prefix; the first that reaches the answer ends a probe.
        error: 0: any completion that reaches the answer makes the prefix right, none of `rollouts` wrong. Above 0: the
            sequential test, each of whose decisions is wrong with at most this chance.
        recovery: chance that a completion of a wrong prefix reaches the answer all the same.
        most: completions at which the sequential test stops undecided; the likelier hypothesis is then taken.
        at_once: completions asked for together.
    """

    rollouts: int = 8
    error: float = 0.0
    recovery: float = 0.0
    most: int = 32
    at_once: int = 2

    def __post_init__(self) -> None:
        checks = (
            ("rollouts", self.rollouts >= 1, "at least 1"),
            ("error", 0 <= self.error < 0.5, "in [0, 0.5)"),
            ("recovery", 0 <= self.recovery < 1, "in [0, 1)"),
            ("most", self.most >= 1, "at least 1"),
            ("at_once", self.at_once >= 1, "at least 1"),
        )
        for name, is_good, wanted in checks:
            if not is_good:
                raise InputError(f"{name} = {getattr(self, name)} is out of range: it must be {wanted}.")

    @property
    def limit(self) -> int:
        """Most completions of one prefix."""
        return self.most if self.error else self.rollouts

    def decide(self, hits: int, counted: int, before: tuple[int, int] = (0, 0)) -> Decision:
        """What the completions so far say; empty: more are needed.

        Args:
            hits, counted: of this prefix.
            before: hits and counted completions of the last right prefix, for the sequential test.
        """
        if not self.error:
            return "right" if hits else "wrong" if counted >= self.rollouts else ""
        ratio, line = self.log_ratio(hits, counted, before), -math.log(self.error)
        return "right" if ratio >= line else "wrong" if ratio <= -line else ""

    def settle(self, hits: int, counted: int, before: tuple[int, int] = (0, 0)) -> Decision:
        """The likelier side once there will be no more completions; empty where none counts."""
        if not counted:
            return ""
        if not self.error:
            return "right" if hits else "wrong"
        return "right" if self.log_ratio(hits, counted, before) > 0 else "wrong"

    def log_ratio(self, hits: int, counted: int, before: tuple[int, int] = (0, 0)) -> float:
        """Log likelihood of the completions if the prefix is right, less that if it is wrong; nats."""
        a, b = before[0] + 1, before[1] - before[0] + 1
        right = float(betaln(a + hits, b + counted - hits) - betaln(a, b))
        if self.recovery == 0:
            return math.inf if hits else right
        return right - hits * math.log(self.recovery) - (counted - hits) * math.log1p(-self.recovery)


@dataclass(frozen=True, slots=True)
class ProbeOdds:
    """What a rule does at a prefix of known value.

    Attributes:
        right: chance that it is called right; wrong: that it is called wrong.
        undecided: chance that `most` completions did not decide; either side was then taken.
        rollouts: completions expected.
    """

    right: float
    wrong: float
    undecided: float
    rollouts: float


def probe_odds(value: float, rule: ProbeRule, before: tuple[int, int] = (0, 0)) -> ProbeOdds:
    """Exact by recursion over (hits, completions); all completions count.

    Args:
        value: chance that a completion reaches the answer.
        before: as in `ProbeRule.decide`.
    """
    _require_value("value", value)
    mass, right, wrong, undecided, spent = {0: 1.0}, 0.0, 0.0, 0.0, 0.0
    done = 0
    while mass:
        step = min(rule.at_once, rule.limit - done)
        done += step
        spent += step * sum(mass.values())
        nxt: dict[int, float] = {}
        for hits, chance in mass.items():
            for more in range(step + 1):
                nxt[hits + more] = nxt.get(hits + more, 0.0) + chance * _binomial(more, step, value)
        mass = {}
        for hits, chance in nxt.items():
            decision = rule.decide(hits, done, before)
            if not decision and done < rule.limit:
                mass[hits] = chance
                continue
            undecided += 0.0 if decision else chance
            if (decision or rule.settle(hits, done, before)) == "right":
                right += chance
            else:
                wrong += chance
    return ProbeOdds(right, wrong, undecided, spent)


@dataclass(frozen=True, slots=True)
class SearchOdds:
    """What a binary search does on a solution of known values.

    Attributes:
        chance: by result: index of the step named as first wrong, or NO_ERROR.
        rollouts: completions expected, over all probes; probes: probes expected.
    """

    chance: dict[int, float]
    rollouts: float
    probes: float


def search_odds(value_V: Sequence[float], rule: ProbeRule, *, is_final_wrong: bool = True) -> SearchOdds:
    """Chance of each result of the search and its expected cost, exact.

    Args:
        value_V: value of the prefix of the first 1, ..., S steps, shape (S,).
        rule: without the sequential test, whose decisions depend on the completions of other prefixes.
        is_final_wrong: the final answer is known to be wrong, so that the last prefix needs no probe.
    Raises: InputError: no steps, a value outside [0, 1], or a sequential rule.
    """
    if rule.error:
        raise InputError(f"error = {rule.error}: the exact odds are those of a fixed number of rollouts. Give error=0.")
    values = tuple(float(value) for value in value_V)
    if not values:
        raise InputError("value_V: there are no steps. Give the value of every prefix.")
    odds = [probe_odds(value, rule) for value in values]

    @cache
    def walk(low: int, high: int) -> tuple[tuple[tuple[int, float], ...], float, float]:
        if low == high:
            return ((low, 1.0),), 0.0, 0.0
        middle = (low + high) // 2
        here = odds[middle]
        later, earlier = walk(middle + 1, high), walk(low, middle)
        chance: dict[int, float] = {}
        for weight, branch in ((here.right, later), (here.wrong, earlier)):
            for result, share in branch[0]:
                chance[result] = chance.get(result, 0.0) + weight * share
        return (
            tuple(chance.items()),
            here.rollouts + here.right * later[1] + here.wrong * earlier[1],
            1.0 + here.right * later[2] + here.wrong * earlier[2],
        )

    n_steps = len(values)
    chance, rollouts, probes = walk(0, n_steps - 1 if is_final_wrong else n_steps)
    named = {NO_ERROR if result == n_steps else result: share for result, share in chance}
    return SearchOdds(named, rollouts, probes)


# ----------------------------------------------------------------------------------------------------------- agreement
def cohen_kappa(left_P: ArrayLike, right_P: ArrayLike, cluster_P: ArrayLike, *, rng: np.random.Generator) -> Interval:
    """Cohen's kappa of two labellers over named categories, with a bootstrap interval over clusters.

    kappa = (o - e) / (1 - e): o the share they agree on, e what they would by their margins alone.

    Args:
        left_P, right_P: category of each item, numbers, shape (P,).
        cluster_P: cluster of each item (the problem), shape (P,).
        rng: source of the resamples.
    Returns: NaN where both use one and the same category only: nothing could have differed. Full agreement has no
        variation: its low end is that of one more disagreeing share, as far as Wilson allows.
    Raises: InputError: lengths differ.
    """
    left, right = as_vector("left_P", left_P), as_vector("right_P", right_P)
    require_same_length(left_P=left, right_P=right)
    code_P, n_clusters = cluster_codes(cluster_P, left.size)
    _, code = np.unique(np.concatenate([left, right]), return_inverse=True)
    n_categories = int(code.max(initial=-1)) + 1
    total_GK = np.zeros((n_clusters, n_categories**2))
    np.add.at(total_GK, (code_P, code[: left.size] * n_categories + code[left.size :]), 1.0)
    found = cluster_bootstrap(total_GK, lambda total: _kappa(total, n_categories), rng=rng, resamples=1000)
    if found.method == "no variation" and found.estimate == 1:
        margin_C = total_GK.sum(axis=0).reshape(n_categories, -1).sum(axis=1) / left.size
        unseen = wilson(0, n_clusters)[1]
        low = 1 - unseen / (1 - float(margin_C @ margin_C))
        return Interval(1.0, low, 1.0, found.n_clusters, found.method)
    return found


def _kappa(total_K: np.ndarray, n_categories: int) -> np.ndarray:
    table = total_K.reshape(*total_K.shape[:-1], n_categories, n_categories)
    n = table.sum(axis=(-2, -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = np.trace(table, axis1=-2, axis2=-1) / n
        expected = (table.sum(axis=-1) * table.sum(axis=-2)).sum(axis=-1) / n**2
        return np.asarray(np.where(expected < 1, (observed - expected) / (1 - expected), math.nan))


def _counts(hits_S: ArrayLike, counted_S: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    hits, counted = as_vector("hits_S", hits_S), as_vector("counted_S", counted_S)
    require_same_length(hits_S=hits, counted_S=counted)
    is_good = (hits >= 0) & (hits <= counted)
    require("hits_S", hits, is_good, "are negative, or more than the completions of their prefix.")
    return hits, counted


def _require_value(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise InputError(f"{name} = {value}: a chance lies in [0, 1].")


def _binomial(hits: int, n: int, value: float) -> float:
    return math.comb(n, hits) * value**hits * (1.0 - value) ** (n - hits)
