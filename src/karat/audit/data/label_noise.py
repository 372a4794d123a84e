"""Which labels are probably wrong, how many, and what annotators and repeated responses say: DA301 to DA305.

Axes: P pairs, M repeats of the cross-fit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from karat.audit.data.agreement import audit_agreement
from karat.audit.data.config import AuditDataConfig
from karat.audit.data.cycles import audit_cycles
from karat.audit.data.noise_findings import EXPLANATIONS, rate_finding, suspects_finding
from karat.audit.data.pair_groups import pair_groups
from karat.audit.data.votes import read_votes
from karat.audit.parts import Progress, attempt, merge
from karat.data.records import plain
from karat.errors import DataError, ResourceError
from karat.numerics.intervals import Interval
from karat.numerics.label_noise import NoiseFit, fit_noise, suspect_order
from karat.numerics.linear_preference import cross_fit
from karat.rewards.groups import last_text
from karat.rewards.protocol import Reward
from karat.types import NAN, PreferencePair, Result, Table

COMMAND = "audit data"
SUSPECT_SHARE = 0.05
SHOWN, SHOWN_CHARS = 20, 90
SUSPECTS_FILE = "suspects.jsonl"


@dataclass(frozen=True, slots=True)
class LabelNoise:
    """What is known of each label.

    Attributes:
        pairs: P pairs, in the order in which they were given.
        strength_P: mean held-out margin of the preferred side over the repeats; NaN for ties and missing margins.
        spread_P: its standard deviation over the repeats; NaN for one.
        posterior_P: P(the label is flipped); NaN where the strength is, or where there is no fit.
        fit: of the flip rate.
        judge: whose margins these are; is_given: a reward that was named, not heads fitted to these labels.
        missing: by index, why a pair has no margin (ties are not missing).
    """

    pairs: tuple[PreferencePair, ...]
    strength_P: np.ndarray
    spread_P: np.ndarray
    posterior_P: np.ndarray
    fit: NoiseFit
    judge: str
    missing: dict[int, str]
    is_given: bool = False

    def suspects(self) -> np.ndarray:
        """Indices of the pairs, the likeliest flipped first."""
        return suspect_order(self.posterior_P)


def audit_labels(
    pairs: Sequence[PreferencePair],
    *,
    out: Path | None,
    config: AuditDataConfig,
    rng: np.random.Generator,
    reward: Reward | None = None,
    progress: Progress | None = None,
) -> tuple[Result, LabelNoise | None]:
    """Flip rate and suspects, agreement of annotators, circles; what the input does not allow is "not checked".

    Args:
        pairs: whole prompts.
        out: folder for the list of suspects; None: none is written.
        config: which judge, how many folds and repeats.
        rng: source of folds and resamples.
        reward: the one that config names, where it is loaded already.
        progress: called as progress(stage, done, total, note).
    Returns: the result, and what is known of each label (None where there are no margins).
    """
    noise_rng, alpha_rng, cycle_rng = rng.spawn(3)
    found: list[LabelNoise] = []

    def noise_part() -> Result:
        found.append(judge_labels(pairs, config=config, rng=noise_rng, reward=reward, progress=progress))
        return _noise_result(found[0], out)

    noise = attempt(COMMAND, "DA301", EXPLANATIONS["DA301"][0], noise_part)
    fit = found[0].fit if found else None
    votes = read_votes(pairs)

    def agreement_part() -> Result:
        return audit_agreement(votes, rng=alpha_rng)

    def cycle_part() -> Result:
        return audit_cycles(votes, rate=(fit.low, fit.high) if fit else (NAN, NAN), rng=cycle_rng)

    agreement = attempt(COMMAND, "DA303", EXPLANATIONS["DA303"][0], agreement_part)
    cycles = attempt(COMMAND, "DA305", EXPLANATIONS["DA305"][0], cycle_part)
    return merge(COMMAND, [noise, agreement, cycles], provenance={}), found[0] if found else None


# -------------------------------------------------------------------------------------------------------------- margins
def judge_labels(
    pairs: Sequence[PreferencePair],
    *,
    config: AuditDataConfig,
    rng: np.random.Generator,
    reward: Reward | None = None,
    progress: Progress | None = None,
) -> LabelNoise:
    """Held-out margins of every decided pair, and the posterior that its label is flipped.

    Raises: DataError: no pair is decided, or none has a margin. InputError: one prompt. And what the model or the
        reward raises.
    """
    if not pairs:
        raise DataError("there are no pairs to judge: --embed-pairs is 0")
    decided = np.array([not pair.is_tie for pair in pairs], dtype=bool)
    if not decided.any():
        raise DataError("no pair has a decided label: needs pairs that are no ties")
    kept = [pair for pair, is_decided in zip(pairs, decided, strict=True) if is_decided]
    group = pair_groups(kept, near=config.near)
    if len(set(group)) == 1 < len({pair.prompt_id for pair in kept}):
        raise DataError(f"all {len(kept)} pairs are near copies of one another, so none can be held out of the others")
    if config.reward:
        margin_PM, reasons, judge = _reward_margins(kept, config.reward, reward)
    else:
        margin_PM, reasons, judge = _head_margins(kept, group, config=config, rng=rng, progress=progress)
    index = np.flatnonzero(decided)
    known = np.isfinite(margin_PM).all(axis=1)
    if not known.any():
        raise DataError(f"no pair has a margin: {next(iter(reasons.values()), 'no scores')}")
    strength, spread = np.full(len(pairs), NAN), np.full(len(pairs), NAN)
    strength[index[known]] = margin_PM[known].mean(axis=1)
    if margin_PM.shape[1] > 1:
        spread[index[known]] = margin_PM[known].std(axis=1, ddof=1)
    fit = fit_noise(strength[index[known]], group[known])
    posterior = np.full(len(pairs), NAN)
    posterior[index[known]] = fit.posterior(strength[index[known]])
    missing = {int(index[at]): reason for at, reason in reasons.items()}
    return LabelNoise(tuple(pairs), strength, spread, posterior, fit, judge, missing, bool(config.reward))


def _head_margins(
    pairs: Sequence[PreferencePair],
    group_P: np.ndarray,
    *,
    config: AuditDataConfig,
    rng: np.random.Generator,
    progress: Progress | None,
) -> tuple[np.ndarray, dict[int, str], str]:
    """Margins by linear heads fitted to the other folds of groups, (P, M)."""
    from karat.rewards.vectors import pair_vectors

    vectors = pair_vectors(pairs, config.model, progress=progress)
    diff_PD = vectors.difference()
    known = np.array([index not in vectors.missing for index in range(len(pairs))], dtype=bool)
    margin_PM = np.full((len(pairs), config.repeats), NAN)
    if known.any():
        label = np.array([pair.label for pair in pairs])[known]
        found = cross_fit(
            diff_PD[known],
            label,
            group_P[known],
            folds=config.folds,
            repeats=config.repeats,
            rng=rng,
            progress=progress,
        )
        margin_PM[known] = found.margin_PM
    return margin_PM, dict(vectors.missing), f"heads on layer {vectors.layer} of {config.model}, out of fold,"


def _reward_margins(
    pairs: Sequence[PreferencePair], spec: str, reward: Reward | None
) -> tuple[np.ndarray, dict[int, str], str]:
    """Margins of a reward, which must not have been trained on these pairs, (P, 1)."""
    from karat.rewards import load_reward, score_pairs

    scores = score_pairs(reward or load_reward(spec), pairs)
    margin = scores.chosen_P - scores.rejected_P
    return margin[:, None], dict(scores.missing), f"margins of {spec} (which must not have seen these pairs)"


# -------------------------------------------------------------------------------------------------------------- results
def top_suspects(noise: LabelNoise) -> tuple[np.ndarray, Interval]:
    """The 5 % of judged pairs that are likeliest flipped (at least one), and the share expected to be."""
    order = noise.suspects()
    top = order[: max(1, round(SUSPECT_SHARE * order.size))] if order.size else order
    return top, noise.fit.expected_precision(noise.strength_P[top])


def _noise_result(noise: LabelNoise, out: Path | None) -> Result:
    fit, order = noise.fit, noise.suspects()
    top, precision = top_suspects(noise)
    n_likely = int(np.sum(noise.posterior_P > 0.5))
    witnesses = tuple(_told(noise, index) for index in top[:3])
    n_ties = sum(pair.is_tie for pair in noise.pairs)
    given = noise.is_given
    findings = (
        rate_finding(fit, judge=noise.judge, n_missing=len(noise.missing), witnesses=witnesses, is_given=given),
        suspects_finding(precision, k=top.size, n_likely=n_likely, witnesses=witnesses, is_given=given),
    )
    values = {
        "noise_rate": fit.rate,
        "noise_low": fit.low,
        "noise_high": fit.high,
        "noise_ceiling": fit.ceiling,
        "noise_agreement": fit.agreement.estimate,
        "noise_agreement_low": fit.agreement.low,
        "noise_agreement_high": fit.agreement.high,
        "noise_pairs": fit.n_pairs,
        "noise_ties": n_ties,
        "noise_missing": len(noise.missing),
        "suspects": int(top.size),
        "suspects_precision": precision.estimate,
        "suspects_precision_low": precision.low,
        "suspects_precision_high": precision.high,
        "suspects_likely": n_likely,
    }
    files = _write_suspects(noise, order[: max(top.size, n_likely)], out) if out and order.size else ()
    tables = tuple(
        table for table in (_suspect_table(noise, top), _strength_table(noise), _source_table(noise)) if table
    )
    return Result(COMMAND, findings, tables, values, files)


def _told(noise: LabelNoise, index: int) -> str:
    pair = noise.pairs[index]
    return (
        f"row {pair.row}, {noise.posterior_P[index]:.0%}: preferred “{_short(pair.chosen)}” over "
        f"“{_short(pair.rejected)}”"
    )


def _short(text: Any) -> str:
    return " ".join(last_text(text).split())[:SHOWN_CHARS]


def _suspect_table(noise: LabelNoise, top: np.ndarray) -> Table | None:
    if not top.size:
        return None
    rows = tuple(
        (
            noise.pairs[i].row, float(noise.strength_P[i]), float(noise.spread_P[i]), float(noise.posterior_P[i]),
            _short(noise.pairs[i].prompt), _short(noise.pairs[i].chosen), _short(noise.pairs[i].rejected),
        )
        for i in top[:SHOWN]
    )  # fmt: skip
    note = (
        "Likeliest first. strength: mean held-out margin of the preferred side, nats; spread: its standard deviation "
        "over the cross-fits; posterior: that the label is flipped."
    )
    columns = ("row", "strength", "spread", "posterior", "prompt", "preferred", "other")
    return Table("suspects", "Labels most likely to be wrong", columns, rows, note)


def _strength_table(noise: LabelNoise) -> Table | None:
    """By the size of the margin: how many labels it agrees with, and what the fitted model says."""
    known = np.flatnonzero(np.isfinite(noise.strength_P))
    if not noise.fit.has_fit or known.size < SHOWN:
        return None
    order = known[np.argsort(np.abs(noise.strength_P[known]), kind="stable")]
    rows = []
    for part in np.array_split(order, 10):
        margin = noise.strength_P[part]
        rows.append(
            (
                float(np.abs(margin).min()), float(np.abs(margin).max()), int(part.size),
                float(np.mean(margin > 0)), float(np.mean(noise.posterior_P[part])),
            )
        )  # fmt: skip
    columns = ("least", "largest", "pairs", "agrees", "expected_flipped")
    note = "Pairs by the size of the held-out margin, nats: flips keep `agrees` from reaching 1 in the last rows."
    return Table("label_agreement", "Labels against the size of the margin", columns, tuple(rows), note)


def _source_table(noise: LabelNoise) -> Table | None:
    """Where suspects come from, by the data's own source and by annotator."""
    known = np.flatnonzero(np.isfinite(noise.posterior_P))
    rows = []
    for kind in ("source", "annotator"):
        name_P = np.array([getattr(noise.pairs[index], kind) for index in known], dtype=object)
        for name in sorted({name for name in name_P.tolist() if name}):
            at = known[name_P == name]
            margin = noise.strength_P[at]
            expected = noise.fit.expected_precision(margin)
            rows.append(
                (kind, name, int(at.size), float(np.mean(margin > 0)), expected.estimate, expected.low, expected.high)
            )
    if not rows:
        return None
    rows.sort(key=lambda row: -row[4])
    columns = ("by", "name", "pairs", "agrees", "expected_flipped", "low", "high")
    note = "One rate is fitted to all pairs, which draws the parts towards each other; the first 20."
    return Table("label_noise_by_part", "Suspect labels by part of the data", columns, tuple(rows[:SHOWN]), note)


def _write_suspects(noise: LabelNoise, order: np.ndarray, out: Path) -> tuple[str, ...]:
    """One line for each suspect, the likeliest first. Raises: ResourceError: it cannot be written."""
    file = out / SUSPECTS_FILE
    try:
        out.mkdir(parents=True, exist_ok=True)
        with file.open("w", encoding="utf-8") as handle:
            for index in order:
                handle.write(json.dumps(_suspect_row(noise, int(index)), ensure_ascii=True, allow_nan=False) + "\n")
    except OSError as error:
        raise ResourceError(f"{file}: cannot be written: {error.strerror or error}. Check the folder.") from error
    return (str(file),)


def _suspect_row(noise: LabelNoise, index: int) -> dict[str, Any]:
    pair, spread = noise.pairs[index], float(noise.spread_P[index])
    return {
        "row": pair.row,
        "prompt_id": pair.prompt_id,
        "prompt": plain(pair.prompt),
        "chosen": plain(pair.chosen),
        "rejected": plain(pair.rejected),
        "label": pair.label,
        "strength": float(noise.strength_P[index]),
        "spread": None if math.isnan(spread) else spread,
        "posterior": float(noise.posterior_P[index]),
    }
