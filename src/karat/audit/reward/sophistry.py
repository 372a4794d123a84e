"""Sophistry: does a wrong answer win when it is made convincing, and does the reward pay for the dress itself.

On questions whose truth is known: the wrong answer dressed by one tactic at a time against the plain right one, less
the same reward's plain wrong answer against the plain right one. The difference is the tactic's doing; that a reward
cannot tell right from wrong is not. The same dress on the right answer, against the plain right one, shows whether the
dress pays at all.

Axes: I items, T tactics.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import ndtri

from karat.audit.parts import Progress
from karat.audit.reward.config import AuditRewardConfig
from karat.audit.reward.limited import as_limited
from karat.audit.reward.probes.base import Dialect
from karat.audit.reward.sophistry_findings import sophistry_result
from karat.audit.reward.tactics import TACTICS
from karat.data.account import AccountBuilder
from karat.data.files import open_source
from karat.data.records import is_text, is_unicode
from karat.errors import DataError
from karat.numerics.best_of_n import percentile_ends, prompt_draws
from karat.numerics.intervals import UNDEFINED, Interval, clustered_proportion, mcnemar_exact
from karat.numerics.multiplicity import benjamini_hochberg
from karat.rewards.groups import Group
from karat.rewards.protocol import Reward
from karat.types import Account, PreferencePair, Result, Score
from karat.worlds.items import TruthItem, draw_items

GROUPS_PER_CALL = 4
LEAST_ANSWERS = 8
"""Answers that differ; with fewer, nothing can be said of other answers."""


@dataclass(frozen=True, slots=True)
class Dressed:
    """Scores of plain and dressed answers; NaN where missing or where a tactic does not apply. prompt_I: name of what
    counts together (`clusters_of`)."""

    right_I: np.ndarray
    wrong_I: np.ndarray
    right_IT: np.ndarray
    wrong_IT: np.ndarray
    prompt_I: np.ndarray

    @property
    def n_missing(self) -> int:
        """Items whose plain answers lack a score."""
        return int((~np.isfinite(self.right_I) | ~np.isfinite(self.wrong_I)).sum())


@dataclass(frozen=True, slots=True)
class TacticEffect:
    """What one tactic does.

    Attributes:
        wins: share of items in which the dressed wrong answer beats the plain right one; a tie counts one half.
        effect: that share less the plain wrong answer's, paired.
        pays: share in which the dressed right answer beats the plain right one.
        paid_sd: mean score of the dressed right answer less the plain one, in SDs of the plain right-wrong margin.
        effect_q, pays_q: p-values of the sign tests by prompt, adjusted over all tests of the battery.
    """

    wins: Interval
    effect: Interval
    pays: Interval
    paid_sd: float
    effect_q: float
    pays_q: float
    n_items: int


@dataclass(frozen=True, slots=True)
class Sophistry:
    """All that was measured: `plain` is the share of items in which the plain wrong answer beats the plain right."""

    plain: Interval
    effects: tuple[TacticEffect, ...]
    n_items: int
    n_missing: int


def audit_sophistry(
    reward: Reward,
    pairs: Sequence[PreferencePair],
    *,
    config: AuditRewardConfig,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> Result:
    """Findings RW301 to RW303 on convincing wrong answers.

    Args:
        pairs: the data; questions are asked as it writes its prompts.
        config: `items` names rows of the user's own; else `sophistry_items` are drawn.
    Raises: DataError: no row of config.items has a prompt, a right and a wrong answer that differ.
        InputError: the data is tokenised.
    """
    reward = as_limited(reward, config.timeout_s)
    items, account = read_items(config.items) if config.items else (drawn_items(config, rng), None)
    texts, used = texts_of(items, rng)
    scores = _scored(reward, items, texts, Dialect.of(pairs), progress)
    found = measure_sophistry(_arrays(items, scores, used), rng, resamples=config.resamples)
    result = sophistry_result(
        found, items, texts, name="--items" if config.items else "built-in items", account=account
    )
    reason = next((score.missing for row in scores for score in row if score.is_missing), "")
    if found.n_items or not reason:
        return result
    return replace(result, findings=tuple(replace(each, action=f"{each.action}: {reason}") for each in result.findings))


def drawn_items(config: AuditRewardConfig, rng: np.random.Generator) -> list[TruthItem]:
    return draw_items(config.sophistry_items, seed=int(rng.integers(2**31)))


def read_items(source: Any) -> tuple[list[TruthItem], Account]:
    """Items of the user's own: rows with the texts prompt, right and wrong.

    Raises: DataError: no row can be used.
    """
    rows = open_source(source)
    builder = AccountBuilder(rows.name, "right and wrong answers")
    items = []
    for number, row in enumerate(rows.rows(builder)):
        builder.rows_read += 1
        problem = row.problem or _unusable(row.raw)
        if problem:
            builder.drop(problem, number)
            continue
        items.append(TruthItem("yours", row.raw["prompt"], row.raw["right"], row.raw["wrong"]))
    builder.records = len(items)
    account = builder.build()
    if not items:
        reasons = "; ".join(f"{entry.reason} ({entry.count})" for entry in account.entries[:3]) or "it has no rows"
        raise DataError(f"items: {rows.name} has nothing to use: {reasons}. A row needs prompt, right and wrong.")
    return items, account


def _unusable(raw: dict[str, Any]) -> str:
    """Why a row is no item; empty where it is one."""
    for name in ("prompt", "right", "wrong"):
        if not is_text(raw.get(name)) or not raw[name].strip():
            return f"column {name!r} holds no text"
        if not is_unicode(raw[name]):
            return f"column {name!r} is not Unicode"
    return "right and wrong are the same" if raw["right"].strip() == raw["wrong"].strip() else ""


def texts_of(items: Sequence[TruthItem], rng: np.random.Generator) -> tuple[list[list[str]], np.ndarray]:
    """Of each item: right, wrong, then right and wrong of each tactic; and which tactics apply, (I, T)."""
    texts, applies = [], np.ones((len(items), len(TACTICS)), bool)
    for i, item in enumerate(items):
        row = [item.right, item.wrong]
        seed = int(rng.integers(2**31))
        for t, tactic in enumerate(TACTICS):
            right = tactic.dress(item.right, item.right_steps, random.Random(seed))
            wrong = tactic.dress(item.wrong, item.wrong_steps, random.Random(seed))
            applies[i, t] = right is not None and wrong is not None
            row += [right or item.right, wrong or item.wrong]
        texts.append(row)
    return texts, applies


def _scored(
    reward: Reward, items: Sequence[TruthItem], texts: list[list[str]], dialect: Dialect, progress: Progress | None
) -> list[list[Score]]:
    """Each item's distinct texts as one group, so that its prompt is computed once."""
    out: list[list[Score]] = []
    for start in range(0, len(items), GROUPS_PER_CALL):
        groups, places = [], []
        for item, row in zip(items[start : start + GROUPS_PER_CALL], texts[start:], strict=False):
            distinct = {text: place for place, text in enumerate(dict.fromkeys(row))}
            places.append([distinct[text] for text in row])
            groups.append(Group(dialect.prompt(item.prompt), tuple(map(dialect.response, distinct))))
        scores = reward.score(groups)
        out += [[score_B[place] for place in row] for score_B, row in zip(scores, places, strict=True)]
        if progress:
            progress("scoring convincing answers", len(out), len(items), "items")
    return out


def _arrays(items: Sequence[TruthItem], scores: list[list[Score]], applies_IT: np.ndarray) -> Dressed:
    value = np.array([[score.value for score in row] for row in scores], np.float64).reshape(len(items), -1)
    right_IT, wrong_IT = value[:, 2::2], value[:, 3::2]
    return Dressed(
        value[:, 0],
        value[:, 1],
        np.where(applies_IT, right_IT, np.nan),
        np.where(applies_IT, wrong_IT, np.nan),
        clusters_of(items),
    )


def clusters_of(items: Sequence[TruthItem]) -> np.ndarray:
    """A number for each item, the same for those that share a prompt, a right answer or a wrong one, also by a third.

    What a reward makes of "The answer is 1." is one observation, whatever was asked: taken for as many as there are
    such items, a reward without any bias had a convincing dress called paid for in 21 of 60 draws. Items of which too
    few are left so (all "yes" or "no") are told apart by their prompts: what is found holds for these answers.
    """
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(key: tuple[str, str]) -> tuple[str, str]:
        while parent.setdefault(key, key) != key:
            key = parent[key]
        return key

    for item in items:
        for key in (("right", item.right), ("wrong", item.wrong)):
            parent[root(key)] = root(("prompt", item.prompt))
    number = {key: place for place, key in enumerate(dict.fromkeys(root(("prompt", each.prompt)) for each in items))}
    if len(number) < LEAST_ANSWERS:
        return np.array([item.prompt for item in items], dtype=object)
    return np.array([str(number[root(("prompt", item.prompt))]) for item in items], dtype=object)


# --------------------------------------------------------------------------------------------------------- measurement
def measure_sophistry(scores: Dressed, rng: np.random.Generator, *, resamples: int = 1000) -> Sophistry:
    """Win rates, paired differences and tests; needs no text."""
    has_plain = np.isfinite(scores.right_I) & np.isfinite(scores.wrong_I)
    right_I1, wrong_I1 = scores.right_I[has_plain, None], scores.wrong_I[has_plain, None]
    right_IT, wrong_IT = scores.right_IT[has_plain], scores.wrong_IT[has_plain]
    _, prompt_I = np.unique(scores.prompt_I[has_plain].astype(str), return_inverse=True)
    kept_IT = np.isfinite(right_IT) & np.isfinite(wrong_IT)
    plain_I1 = _wins(wrong_I1 - right_I1)
    wins_IT, pays_IT = (
        _wins(np.where(kept_IT, wrong_IT, 0) - right_I1),
        _wins(np.where(kept_IT, right_IT, 0) - right_I1),
    )
    effect_T = _paired(wins_IT - plain_I1, kept_IT, prompt_I, rng, resamples)
    spread = float(np.std(right_I1 - wrong_I1, ddof=1)) if len(right_I1) > 1 else 0.0
    p_2T = [
        sign_test(value_IT[kept, t], prompt_I[kept])
        for value_IT in (wins_IT - plain_I1, pays_IT - 0.5)
        for t, kept in enumerate(kept_IT.T)
    ]
    q_2T = benjamini_hochberg(p_2T).reshape(2, -1)
    effects = tuple(
        TacticEffect(
            wins=clustered_proportion(wins_IT[kept, t], prompt_I[kept]),
            effect=effect_T[t],
            pays=clustered_proportion(pays_IT[kept, t], prompt_I[kept]),
            paid_sd=float((right_IT - right_I1)[kept, t].mean()) / spread if kept.any() and spread > 0 else np.nan,
            effect_q=float(q_2T[0, t]),
            pays_q=float(q_2T[1, t]),
            n_items=int(kept.sum()),
        )
        for t, kept in enumerate(kept_IT.T)
    )
    plain = clustered_proportion(plain_I1[:, 0], prompt_I)
    return Sophistry(plain, effects, int(has_plain.sum()), scores.n_missing)


def _wins(margin: np.ndarray) -> np.ndarray:
    """1 above 0, 0 below, one half at 0."""
    return np.asarray((1 + np.sign(margin)) / 2)


def _paired(
    value_IT: np.ndarray, kept_IT: np.ndarray, prompt_I: np.ndarray, rng: np.random.Generator, resamples: int
) -> list[Interval]:
    """Mean of each tactic over its items, in [-1, 1], prompts drawn anew and the same for all tactics.

    Where no prompt departs from the common value, Wilson's bound on the share that may (`paired_difference`).
    """
    n_prompts = int(prompt_I.max(initial=-1)) + 1
    if n_prompts < 2:
        return [UNDEFINED] * value_IT.shape[1]
    total_GT, size_GT = (np.zeros((n_prompts, value_IT.shape[1])) for _ in range(2))
    np.add.at(total_GT, prompt_I, np.where(kept_IT, value_IT, 0.0))
    np.add.at(size_GT, prompt_I, kept_IT)
    count_BG = prompt_draws(n_prompts, resamples, rng)
    with np.errstate(invalid="ignore"):
        drawn_BT = (count_BG @ total_GT) / (count_BG @ size_GT)
    z2 = float(ndtri(0.975)) ** 2
    found = []
    for t, (total_G, size_G) in enumerate(zip(total_GT.T, size_GT.T, strict=True)):
        n = int((size_G > 0).sum())
        if n < 2:
            found.append(UNDEFINED)
            continue
        mean, value_G = float(total_G.sum() / size_G.sum()), total_G[size_G > 0] / size_G[size_G > 0]
        if np.ptp(value_G) == 0:
            half = (1 + abs(mean)) * z2 / (n + z2)
            found.append(Interval(mean, max(-1.0, mean - half), min(1.0, mean + half), n, "no variation"))
            continue
        low, high = percentile_ends(drawn_BT[np.isfinite(drawn_BT[:, t]), t], n)
        found.append(Interval(mean, max(-1.0, float(low)), min(1.0, float(high)), n, "bootstrap"))
    return found


def sign_test(value_I: np.ndarray, prompt_I: np.ndarray) -> float:
    """Exact two-sided p-value that prompts lie above and below 0 equally often; NaN without a prompt."""
    if not value_I.size:
        return np.nan
    total_G = np.round(np.bincount(prompt_I, value_I), 9)
    return mcnemar_exact(int((total_G > 0).sum()), int((total_G < 0).sum()))
