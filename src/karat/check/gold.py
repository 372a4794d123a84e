"""What a named gold says of a reward: does it order responses alike, and what does it pay for when gold is equal.

Gold is never guessed: it is a column that the user names, with one number per response (NaN where missing).

Axes: P pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from karat.errors import DataError
from karat.numerics.intervals import Interval, clustered_proportion
from karat.train.held_out import response_length
from karat.types import Finding, PreferencePair, Table, Verdict

CHANCE = 0.5

EXPLANATIONS: dict[str, tuple[str, str, str, str]] = {
    "RM201": (
        "Agreement with the gold",
        "Among held-out pairs whose two responses differ in the named gold: the share that the reward orders as the "
        "gold does (ties count one half), interval clustered by prompt. Beside it: how often the preference labels "
        "agree with the same gold, which is about what training on them can reach, and the longer response.",
        "ok: the interval lies above chance and above the longer response's share. problem: it ends at or below "
        "one of them, so that the reward carries nothing of the gold that length does not. unclear: neither.",
        "problem: the labels or the features do not carry the gold: audit the data, or train longer on more pairs. "
        "unclear: more held-out pairs.",
    ),
    "RM202": (
        "Pays for length when the gold is equal",
        "Among held-out pairs whose two responses have the same gold: the share in which the reward prefers the "
        "longer, interval clustered by prompt. A reward that follows the gold alone has no reason to lean either way.",
        "problem: the interval lies above 0.55. ok: it ends below 0.6 and does not lie above 0.55. unclear: neither. "
        "not checked: no pairs of equal gold.",
        "problem: an optimised policy will grow long without getting better. Balance length in the pairs, or correct "
        "the reward for length before it is optimised.",
    ),
}
LEANING, TOLERATED = 0.55, 0.6


@dataclass(frozen=True, slots=True)
class GoldSplit:
    """Pairs by what the gold says, as indices of the pairs that were given."""

    decided: tuple[int, ...]
    """Pairs whose responses differ in gold."""
    chosen_is_better: tuple[bool, ...]
    """For each decided pair, whether the gold agrees with the label."""
    equal: tuple[int, ...]
    n_missing: int


def split_by_gold(pairs: Sequence[PreferencePair], gold: str) -> GoldSplit:
    """Divide pairs by their gold, read from the columns GOLD_chosen and GOLD_rejected that the data carries.

    Raises: DataError: no pair carries them.
    """
    decided: list[int] = []
    agrees: list[bool] = []
    equal: list[int] = []
    n_missing = 0
    for index, pair in enumerate(pairs):
        chosen, rejected = _number(pair, f"{gold}_chosen"), _number(pair, f"{gold}_rejected")
        if math.isnan(chosen) or math.isnan(rejected):
            n_missing += 1
        elif chosen == rejected:
            equal.append(index)
        else:
            decided.append(index)
            agrees.append(chosen > rejected)
    if n_missing == len(pairs):
        columns = ", ".join(sorted({name for pair in pairs[:100] for name in pair.extra})) or "none"
        raise DataError(
            f"gold {gold!r}: no pair has numbers in the columns {gold}_chosen and {gold}_rejected. "
            f"Columns kept from the data: {columns}."
        )
    return GoldSplit(tuple(decided), tuple(agrees), tuple(equal), n_missing)


def _number(pair: PreferencePair, column: str) -> float:
    value = pair.extra.get(column)
    return float(value) if isinstance(value, int | float) else math.nan


def gold_findings(
    pairs: Sequence[PreferencePair],
    reward_chosen_P: np.ndarray,
    reward_rejected_P: np.ndarray,
    *,
    gold: str,
    gold_name: str,
) -> tuple[tuple[Finding, ...], Table]:
    """RM201 and RM202, and a table of accuracy against the gold by source.

    Args:
        pairs: held-out pairs with the gold in their `extra` columns.
        reward_chosen_P, reward_rejected_P: rewards, shape (P,); NaN where missing.
        gold: stem of the columns.
        gold_name: what the gold is, for the report.
    """
    split = split_by_gold(pairs, gold)
    margin_P = reward_chosen_P - reward_rejected_P
    longer_P = np.array([response_length(p.chosen) - response_length(p.rejected) for p in pairs], dtype=float)
    prompt_P = np.array([pair.prompt_id for pair in pairs], dtype=object)
    sign = np.where(split.chosen_is_better, 1.0, -1.0) if split.decided else np.empty(0)
    decided = np.array(split.decided, dtype=int)
    equal = np.array(split.equal, dtype=int)
    agreement = _agreement(pairs, decided, sign, margin_P, longer_P, prompt_P)
    findings = (
        _rm201(agreement["all"], pairs, split, gold_name),
        _rm202(margin_P[equal], longer_P[equal], prompt_P[equal], gold_name),
    )
    rows = tuple(
        (name, row.n, row.reward.estimate, row.reward.low, row.reward.high, row.labels, row.longer)
        for name, row in agreement.items()
    )
    table = Table(
        "gold_by_source",
        f"Agreement with the gold ({gold_name}) by source",
        ("source", "n", "reward", "low", "high", "labels", "longer"),
        rows,
        "Pairs whose responses differ in gold. labels: share of preference labels that agree with the gold.",
    )
    return findings, table


@dataclass(frozen=True, slots=True)
class _Agreement:
    n: int
    n_missing: int
    reward: Interval
    labels: float
    longer: float


def _agreement(
    pairs: Sequence[PreferencePair],
    decided: np.ndarray,
    sign: np.ndarray,
    margin_P: np.ndarray,
    longer_P: np.ndarray,
    prompt_P: np.ndarray,
) -> dict[str, _Agreement]:
    """Agreement with the gold over all decided pairs and by source."""
    source = np.array([pairs[index].source for index in decided], dtype=object)
    cuts = {"all": np.arange(len(decided))}
    cuts |= {name: np.flatnonzero(source == name) for name in sorted(set(source.tolist())) if name}
    out = {}
    for name, at in cuts.items():
        index = decided[at]
        margin = margin_P[index] * sign[at]
        scored = np.isfinite(margin)
        out[name] = _Agreement(
            n=int(scored.sum()),
            n_missing=int((~scored).sum()),
            reward=clustered_proportion(_wins(margin[scored]), prompt_P[index][scored]),
            labels=float(np.mean(sign[at] > 0)) if len(at) else math.nan,
            longer=float(np.mean(_wins(longer_P[index] * sign[at]))) if len(at) else math.nan,
        )
    return out


def _wins(margin: np.ndarray) -> np.ndarray:
    return np.where(margin > 0, 1.0, np.where(margin == 0, 0.5, 0.0))


def _rm201(row: _Agreement, pairs: Sequence[PreferencePair], split: GoldSplit, gold_name: str) -> Finding:
    bar = max(CHANCE, row.longer) if row.n else CHANCE
    verdict: Verdict = "unclear"
    if row.n == 0:
        verdict = "not checked"
    elif row.reward.low > bar:
        verdict = "ok"
    elif row.reward.high <= bar:
        verdict = "problem"
    return Finding(
        code="RM201",
        title="Agreement with the gold",
        verdict=verdict,
        effect=row.reward.estimate,
        low=row.reward.low,
        high=row.reward.high,
        unit="share of pairs",
        n_used=row.n,
        n_missing=row.n_missing + split.n_missing,
        gold=gold_name,
        baseline=f"labels {row.labels:.3f}, longer {row.longer:.3f}",
        action="" if verdict == "ok" else EXPLANATIONS["RM201"][3],
    )


def _rm202(margin: np.ndarray, longer: np.ndarray, prompt: np.ndarray, gold_name: str) -> Finding:
    used = np.isfinite(margin) & (longer != 0)
    lean = clustered_proportion(_wins(margin[used] * np.sign(longer[used])), prompt[used])
    verdict: Verdict = "unclear"
    if not used.any():
        verdict = "not checked"
    elif lean.low > LEANING:
        verdict = "problem"
    elif lean.high < TOLERATED:
        verdict = "ok"
    return Finding(
        code="RM202",
        title="Pays for length when the gold is equal",
        verdict=verdict,
        effect=lean.estimate,
        low=lean.low,
        high=lean.high,
        unit="share of pairs",
        n_used=int(used.sum()),
        n_missing=int(np.sum(~np.isfinite(margin))),
        gold=gold_name,
        baseline="0.500 without a lean",
        action="" if verdict == "ok" else EXPLANATIONS["RM202"][3],
    )
