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
from karat.numerics.accuracy import Slice, best_rule, compare_with_rule, pair_outcome
from karat.numerics.intervals import clustered_proportion
from karat.train.evaluation_findings import GAIN_THAT_MATTERS
from karat.train.held_out import response_length
from karat.types import Finding, PreferencePair, Table, Verdict

EXPLANATIONS: dict[str, tuple[str, str, str, str]] = {
    "RM201": (
        "Agreement with the gold",
        "Among held-out pairs whose two responses differ in the named gold: the share that the reward orders as the "
        "gold does (ties count one half), less that of the best rule that reads nothing (longer, shorter or chance). "
        "Bootstrap over prompts. Beside it: how often the preference labels agree with the same gold, which is about "
        "what training on them can reach.",
        "ok: the whole interval is above 0. problem: else, if it ends below 0.05. unclear: neither.",
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


def has_gold(pairs: Sequence[PreferencePair], gold: str) -> bool:
    """Whether any pair carries the gold's two columns."""
    return any(not math.isnan(_number(pair, f"{gold}_chosen")) for pair in pairs)


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
    rng: np.random.Generator,
) -> tuple[tuple[Finding, ...], Table]:
    """RM201 and RM202, and a table of agreement with the gold by source.

    Args:
        pairs: held-out pairs with the gold in their `extra` columns.
        reward_chosen_P, reward_rejected_P: rewards, shape (P,); NaN where missing.
        gold: stem of the columns.
        gold_name: what the gold is, for the report.
        rng: source of the bootstrap resamples.
    Raises: DataError: no pair carries the gold.
    """
    split = split_by_gold(pairs, gold)
    # Margins and lengths are turned so that positive means "as the gold has it".
    sign = np.where(split.chosen_is_better, 1.0, -1.0)
    decided, equal = np.array(split.decided, dtype=int), np.array(split.equal, dtype=int)
    margin_P = reward_chosen_P - reward_rejected_P
    gap_P = np.array([response_length(p.chosen) - response_length(p.rejected) for p in pairs], dtype=float)
    prompt_P = np.array([pair.prompt_id for pair in pairs], dtype=object)
    source_P = np.array([pair.source for pair in pairs], dtype=object)
    scored = np.isfinite(margin_P[decided])
    used = decided[scored]
    outcome = pair_outcome(margin_P[used] * sign[scored])
    longer = pair_outcome(gap_P[used] * sign[scored])
    rule = best_rule(longer)
    slices = []
    for name in ("all", *sorted({source for source in source_P[used].tolist() if source})):
        at = np.arange(len(used)) if name == "all" else np.flatnonzero(source_P[used] == name)
        labels = float(np.mean(sign[scored][at] > 0)) if len(at) else math.nan
        found = compare_with_rule(name, outcome[at], longer[at], prompt_P[used][at], rule=rule, rng=rng)
        slices.append((found, labels))
    n_missing = int(np.sum(~scored)) + split.n_missing
    findings = (
        _rm201(*slices[0], n_missing=n_missing, gold_name=gold_name),
        _rm202(margin_P[equal], gap_P[equal], prompt_P[equal], gold_name),
    )
    rows = tuple(
        (s.name, s.n_pairs, s.accuracy.estimate, s.accuracy.low, s.accuracy.high, s.baseline, labels)
        for s, labels in slices
    )
    table = Table(
        "gold_by_source",
        f"Agreement with the gold ({gold_name}) by source",
        ("source", "n", "accuracy", "low", "high", "baseline", "labels"),
        rows,
        f"Pairs whose responses differ in gold. baseline: the rule {rule!r}, which reads nothing. "
        "labels: share of preference labels that agree with the gold.",
    )
    return findings, table


def _rm201(overall: Slice, labels: float, *, n_missing: int, gold_name: str) -> Finding:
    gain = overall.gain
    verdict: Verdict = "ok" if gain.low > 0 else "problem" if gain.high < GAIN_THAT_MATTERS else "unclear"
    if overall.n_pairs == 0:
        verdict = "not checked"
    return Finding(
        code="RM201",
        title=EXPLANATIONS["RM201"][0],
        verdict=verdict,
        effect=gain.estimate,
        low=gain.low,
        high=gain.high,
        unit="accuracy gained",
        n_used=overall.n_pairs,
        n_missing=n_missing,
        gold=gold_name,
        baseline=f"accuracy {overall.accuracy.estimate:.3f} [{overall.accuracy.low:.3f}, {overall.accuracy.high:.3f}]; "
        f"labels {labels:.3f}, {overall.rule} {overall.baseline:.3f}",
        action="" if verdict == "ok" else EXPLANATIONS["RM201"][3],
    )


def _rm202(margin: np.ndarray, gap: np.ndarray, prompt: np.ndarray, gold_name: str) -> Finding:
    used = np.isfinite(margin) & (gap != 0)
    lean = clustered_proportion(pair_outcome(margin[used] * np.sign(gap[used])), prompt[used])
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
