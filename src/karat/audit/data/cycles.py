"""Preferences that go in circles: a over b, b over c, c over a. DA305.

One graph for each prompt: a response is a node, a comparison an arrow from the preferred one (of several votes, the
side with more; ties give none). Scores cannot fit a circle, so each holds at least one label that is wrong by any
order. With three responses ranked and each label wrong with probability f, independently, a triad that is compared in
full is a circle with probability f (1 - f): one flip makes one of the two circles, two flips the other. So the share c
of circles says f = (1 - sqrt(1 - 4 c)) / 2, a rate of wrong labels that no judge had to find; labels drawn by lot give
c = 1/4. Close responses count as noise here too.

Axes: E arrows, N responses, G prompts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from karat.audit.data.noise_findings import CYCLE_LIMIT, EXPLANATIONS
from karat.audit.data.votes import Votes
from karat.errors import DataError
from karat.numerics.intervals import Interval, cluster_bootstrap, ratio_of_totals, wilson
from karat.rewards.groups import last_text
from karat.types import Finding, Result, Table, Verdict

COMMAND = "audit data"
SHOWN_CHARS = 60


@dataclass(frozen=True, slots=True)
class CycleCounts:
    """Circles by prompt.

    Attributes:
        cyclic_G, complete_G: triads that are circles, and that are compared in full.
        n_arrows: comparisons that are decided; n_split: units whose votes are split evenly.
        in_cycle: responses in a circle of any length; n_responses: responses with an arrow.
        connected_G: whether the comparisons link all responses of a prompt; strong_G: along the arrows too, without
            which a maximum-likelihood score does not exist (Ford's condition).
        size_G: responses of the prompt.
        witnesses: up to three circles, as numbers of responses.
    """

    cyclic_G: np.ndarray
    complete_G: np.ndarray
    n_arrows: int
    n_split: int
    in_cycle: int
    n_responses: int
    connected_G: np.ndarray
    strong_G: np.ndarray
    size_G: np.ndarray
    witnesses: tuple[tuple[int, int, int], ...]


def count_cycles(votes: Votes) -> CycleCounts:
    """Triads, components and circles of the comparisons of each prompt."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    net_U = np.bincount(votes.unit_V, weights=votes.value_V, minlength=votes.n_units)
    decided = net_U != 0
    better = np.where(net_U > 0, votes.first_U, votes.second_U)[decided]
    worse = np.where(net_U > 0, votes.second_U, votes.first_U)[decided]
    n, n_prompts = votes.prompt_N.size, len(votes.prompts)
    arrow_NN = coo_matrix((np.ones(better.size), (better, worse)), shape=(n, n)).tocsr()
    either_NN = (arrow_NN + arrow_NN.T).tocsr()
    around_NN = (arrow_NN @ arrow_NN).multiply(arrow_NN.T).tocsr()
    complete_NN = (either_NN @ either_NN).multiply(either_NN)
    prompt_N = votes.prompt_N

    def by_prompt(value_N: Any, share: float) -> np.ndarray:
        total = np.bincount(prompt_N, weights=np.asarray(value_N.sum(axis=1)).ravel(), minlength=n_prompts)
        return np.rint(total / share)

    _, strong_N = connected_components(arrow_NN, connection="strong")
    _, weak_N = connected_components(either_NN, directed=False)
    touched_N = np.bincount(np.concatenate([better, worse]), minlength=n) > 0
    size_G = np.bincount(prompt_N, minlength=n_prompts)
    return CycleCounts(
        cyclic_G=by_prompt(around_NN, 3),
        complete_G=by_prompt(complete_NN, 6),
        n_arrows=int(better.size),
        n_split=int(np.sum(~decided)),
        in_cycle=int(np.sum(np.bincount(strong_N)[strong_N] > 1)) if n else 0,
        n_responses=int(touched_N.sum()),
        connected_G=_n_labels(weak_N, prompt_N, n_prompts) == 1,
        strong_G=_n_labels(strong_N, prompt_N, n_prompts) == 1,
        size_G=size_G,
        witnesses=_witnesses(arrow_NN, around_NN, prompt_N),
    )


def _n_labels(label_N: np.ndarray, prompt_N: np.ndarray, n_prompts: int) -> np.ndarray:
    """Number of different labels among the responses of each prompt."""
    unique = np.unique(np.stack([prompt_N, label_N], axis=1), axis=0)
    return np.bincount(unique[:, 0].astype(np.int64), minlength=n_prompts)


def _witnesses(arrow_NN: Any, around_NN: Any, prompt_N: np.ndarray) -> tuple[tuple[int, int, int], ...]:
    """One circle of each of the first three prompts that have one."""
    start_E, end_E = around_NN.nonzero()
    found: dict[int, tuple[int, int, int]] = {}
    for start, end in zip(start_E.tolist(), end_E.tolist(), strict=True):
        prompt = int(prompt_N[start])
        if prompt not in found:
            after = set(arrow_NN.indices[arrow_NN.indptr[start] : arrow_NN.indptr[start + 1]].tolist())
            before = set(arrow_NN.getcol(end).nonzero()[0].tolist())
            found[prompt] = (start, min(after & before), end)
        if len(found) == 3:
            break
    return tuple(found.values())


def cyclic_share(counts: CycleCounts, *, rng: np.random.Generator) -> Interval:
    """Circles among complete triads, with an interval over prompts.

    Where every prompt gives the same share (none, mostly), Wilson's at a third of the arrows: triads that share no
    arrow are independent if labels are.
    """
    used = counts.complete_G > 0
    total_GK = np.stack([counts.cyclic_G[used], counts.complete_G[used]], axis=1)
    found = cluster_bootstrap(total_GK, ratio_of_totals, rng=rng, resamples=1000)
    if found.method == "no variation":
        n = max(1.0, min(counts.n_arrows / 3, float(counts.complete_G.sum())))
        low, high = wilson(found.estimate * n, n)
        return Interval(found.estimate, low, high, found.n_clusters, found.method)
    low, high = np.clip((found.low, found.high), 0.0, 1.0)
    return Interval(found.estimate, float(low), float(high), found.n_clusters, found.method)


def noise_of_cycles(share: float) -> float:
    """f with f (1 - f) = share: the rate of wrong labels that gives so many circles; 0.5 from a share of 1/4 on."""
    return math.nan if math.isnan(share) else (1 - math.sqrt(max(0.0, 1 - 4 * share))) / 2


def audit_cycles(votes: Votes, *, rate: tuple[float, float] = (math.nan, math.nan), rng: np.random.Generator) -> Result:
    """Circles among the comparisons of each prompt, and whether comparisons link its responses.

    Args:
        rate: interval of the flip rate that was estimated otherwise, for comparison; NaN: none.
    Raises: DataError: no prompt has three responses that are all compared with each other.
    """
    counts = count_cycles(votes)
    if not counts.complete_G.sum():
        raise DataError("no three responses to a prompt are all compared with each other: needs repeated responses")
    share = cyclic_share(counts, rng=rng)
    noise = [noise_of_cycles(each) for each in (share.estimate, share.low, share.high)]
    several = counts.size_G >= 3
    values = {
        "cycles_triads": int(counts.complete_G.sum()),
        "cycles_share": share.estimate,
        "cycles_low": share.low,
        "cycles_high": share.high,
        "cycles_noise": noise[0],
        "cycles_noise_low": noise[1],
        "cycles_noise_high": noise[2],
        "cycles_responses": counts.in_cycle,
        "cycles_linked_prompts": float(np.mean(counts.connected_G[several])),
        "cycles_rankable_prompts": float(np.mean(counts.strong_G[several])),
    }
    return Result(COMMAND, (_finding(votes, counts, share, rate),), (_table(votes, counts),), values)


def _finding(votes: Votes, counts: CycleCounts, share: Interval, rate: tuple[float, float]) -> Finding:
    verdict: Verdict = "unclear"
    if share.low > CYCLE_LIMIT:
        verdict = "problem"
    elif share.high < CYCLE_LIMIT:
        verdict = "ok"
    low, high = noise_of_cycles(share.low), noise_of_cycles(share.high)
    baseline = f"as many as {noise_of_cycles(share.estimate):.1%} [{low:.1%}, {high:.1%}] of labels wrong at random"
    baseline += " give; 25 % if drawn by lot"
    if math.isfinite(rate[0]):
        baseline += f"; the flip rate estimated from margins would give {_circles(rate[0]):.1%} to "
        baseline += f"{_circles(rate[1]):.1%}"
    if not counts.cyclic_G.any():
        baseline += "; labels that were made from one score for each response cannot be circles, however wrong they are"
    baseline += f"; {counts.in_cycle} of {counts.n_responses} responses are in a circle"
    return Finding(
        code="DA305",
        title=EXPLANATIONS["DA305"][0],
        verdict=verdict,
        effect=share.estimate,
        low=share.low,
        high=share.high,
        unit="share of triads",
        n_used=int(counts.complete_G.sum()),
        gold="preference labels",
        baseline=baseline,
        witnesses=tuple(_told(votes, circle) for circle in counts.witnesses),
        action="" if verdict == "ok" else EXPLANATIONS["DA305"][3],
    )


def _circles(rate: float) -> float:
    return rate * (1 - rate)


def _told(votes: Votes, circle: tuple[int, int, int]) -> str:
    texts = [" ".join(last_text(votes.text_N[index]).split())[:SHOWN_CHARS] for index in (*circle, circle[0])]
    return " > ".join(f"“{text}”" for text in texts)


def _table(votes: Votes, counts: CycleCounts) -> Table:
    order = np.argsort(-counts.cyclic_G, kind="stable")
    rows = tuple(
        (votes.prompts[g], int(counts.size_G[g]), int(counts.complete_G[g]), int(counts.cyclic_G[g]),
         bool(counts.connected_G[g]), bool(counts.strong_G[g]))
        for g in order[:20] if counts.complete_G[g] > 0
    )  # fmt: skip
    columns = ("prompt", "responses", "triads", "circles", "linked", "rankable")
    note = (
        "Prompts with the most circles. triads: compared in full. linked: comparisons join all responses. rankable: "
        "also along the arrows, without which a finite maximum-likelihood score does not exist."
    )
    return Table("cycles", "Circles by prompt", columns, rows, note)
