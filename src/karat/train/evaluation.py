"""How well a reward orders held-out preference pairs, beside what no reading of the content would score.

Exact per example: every number is computed from the margins of all pairs, never as a mean of batch means. Statistics
come from `karat.numerics`; this file chooses them, `evaluation_findings` states their verdicts and `evaluation_tables`
prepares what is shown.

Axes: P pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from karat.errors import InputError
from karat.numerics.accuracy import (
    RANDOM_ACCURACY,
    Slice,
    best_rule,
    compare_with_rule,
    length_gap,
    longer_outcome,
    pair_outcome,
    tercile,
)
from karat.numerics.calibration import Calibration, assess_calibration
from karat.numerics.intervals import Interval, clustered_proportion, design_effect, minimum_detectable_effect
from karat.numerics.validation import as_vector, require, require_same_length
from karat.train.evaluation_findings import evaluation_findings
from karat.train.evaluation_tables import evaluation_tables, find_witnesses, tercile_names
from karat.types import NAN, Finding, PreferencePair, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Everything that `evaluate` measured; lower is better for losses and errors, NaN where undefined."""

    gold_name: str
    length_unit: str
    reward_chosen_P: np.ndarray
    reward_rejected_P: np.ndarray
    n_missing: int
    n_label_ties: int
    """Scored pairs that are labelled as ties: outside accuracy, inside the proper scores and the calibration."""
    n_ties: int
    """Scored, labelled pairs whose two scores are equal."""
    missing_share: Interval
    tie_share: Interval
    overall: Slice
    accuracy_worst: float
    """Accuracy if every missing pair were wrong; `accuracy_best`: if every one were right."""
    accuracy_best: float
    accuracy_mde: float
    """Smallest difference from a fixed value that these pairs would show: 95 % level, 80 % power."""
    by_source: tuple[Slice, ...]
    by_length_gap: tuple[Slice, ...]
    shorter_right: Interval
    """Accuracy where the preferred response is the shorter; `longer_right`: where it is the longer."""
    n_shorter_right: int
    longer_right: Interval
    calibration: Calibration
    witnesses: Mapping[str, tuple[str, ...]]

    @property
    def n_pairs(self) -> int:
        return len(self.reward_chosen_P)

    def findings(self) -> tuple[Finding, ...]:
        """RM101 to RM105, see `karat.train.evaluation_findings`."""
        return evaluation_findings(self)

    def tables(self) -> tuple[Table, ...]:
        """Accuracy by source (where the data names any), by tercile of the length gap, and the reliability table."""
        return evaluation_tables(self)

    def values(self) -> dict[str, Any]:
        """The numbers by stable names, for the JSON output; NaN where undefined."""
        measured, temperature = self.calibration, self.calibration.temperature
        intervals = {
            "accuracy": self.overall.accuracy,
            "gain_over_baseline": self.overall.gain,
            "nll": measured.nll,
            "brier": measured.brier,
            "ece": measured.ece,
            "shorter_right_accuracy": self.shorter_right,
            "longer_right_accuracy": self.longer_right,
            "share_over_cap": measured.share_over_cap,
            "overconfidence": measured.excess,
        }
        values: dict[str, Any] = {}
        for name, interval in intervals.items():
            values |= {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}
        return values | {
            "temperature": temperature.value,
            "temperature_low": temperature.low,
            "temperature_high": temperature.high,
            "accuracy_worst": self.accuracy_worst,
            "accuracy_best": self.accuracy_best,
            "accuracy_mde": self.accuracy_mde,
            "n_pairs": self.n_pairs,
            "n_used": self.overall.n_pairs,
            "n_prompts": self.overall.accuracy.n_clusters,
            "n_label_ties": self.n_label_ties,
            "n_ties": self.n_ties,
            "tie_rate": self.tie_share.estimate,
            "n_missing": self.n_missing,
            "longer_accuracy": self.overall.longer,
            "shorter_accuracy": self.overall.shorter,
            "random_accuracy": RANDOM_ACCURACY,
            "best_baseline": self.overall.rule,
            "ece_noise": measured.ece_noise,
            "flip_rate": measured.flip_rate.rate,
            "margin_cap": measured.cap.cap if measured.cap else NAN,
        }


def evaluate(
    pairs: Sequence[PreferencePair],
    reward_chosen: np.ndarray,
    reward_rejected: np.ndarray,
    *,
    length_chosen: np.ndarray,
    length_rejected: np.ndarray,
    rng: np.random.Generator,
    length_unit: str = "characters",
    gold_name: str = "preference labels",
    flip_rate: float = NAN,
    tie_tol: float = 0.0,
) -> Evaluation:
    """Judge the rewards of held-out pairs against their labels and against content-blind baselines.

    A pair with a NaN reward is missing: counted, left out, and accuracy is bounded both ways. A pair labelled 0.5 is
    left out of accuracy and counted, but enters the proper scores and the calibration with its label. Intervals are
    95 % and clustered by `prompt_id`.

    Args:
        pairs: held-out pairs with their `prompt_id`, length P.
        reward_chosen, reward_rejected: rewards, nats under Bradley-Terry, shape (P,); NaN for missing.
        length_chosen, length_rejected: lengths of the responses in `length_unit`, shape (P,).
        rng: source of the bootstrap resamples.
        length_unit: what the lengths count, for the report.
        gold_name: what the labels are, for the report.
        flip_rate: known share of flipped labels in [0, 0.5); NaN: estimated from the margins where they identify it.
        tie_tol: |margin| <= tie_tol is a tie, reward units.
    Raises: InputError: arrays of different lengths, an infinite reward, a pair without prompt_id or with a label
        outside [0.5, 1], a length that is negative or not finite.
    """
    reward_chosen_P, reward_rejected_P = _rewards(reward_chosen, reward_rejected)
    label_P, prompt_P = _labels_and_prompts(pairs)
    gap_P, longer_P = length_gap(length_chosen, length_rejected), longer_outcome(length_chosen, length_rejected)
    require_same_length(pairs=label_P, rewards=reward_chosen_P, lengths=gap_P)
    margin_P = reward_chosen_P - reward_rejected_P
    is_scored_P, is_decided_P = ~np.isnan(margin_P), label_P > 0.5
    used = np.flatnonzero(is_scored_P & is_decided_P)
    outcome, prompt, gap = pair_outcome(margin_P[used], tie_tol=tie_tol), prompt_P[used], gap_P[used]

    rule = best_rule(longer_P[used])

    def cut(name: str, is_in: np.ndarray) -> Slice:
        return compare_with_rule(name, outcome[is_in], longer_P[used][is_in], prompt[is_in], rule=rule, rng=rng)

    third, edges = tercile(gap)
    source = np.array([pairs[int(index)].source for index in used], dtype=str)
    n_lost = int(np.sum(is_decided_P & ~is_scored_P))
    right, n_decided = float(outcome.sum()), used.size + n_lost
    return Evaluation(
        gold_name=gold_name,
        length_unit=length_unit,
        reward_chosen_P=reward_chosen_P,
        reward_rejected_P=reward_rejected_P,
        n_missing=int(np.sum(~is_scored_P)),
        n_label_ties=int(np.sum(is_scored_P & ~is_decided_P)),
        n_ties=int(np.sum(outcome == 0.5)),
        missing_share=clustered_proportion(~is_scored_P, prompt_P),
        tie_share=clustered_proportion(outcome == 0.5, prompt),
        overall=cut("all", np.full(used.size, True)),
        accuracy_worst=right / n_decided if n_decided else NAN,
        accuracy_best=(right + n_lost) / n_decided if n_decided else NAN,
        accuracy_mde=_smallest_visible(outcome, prompt),
        by_source=tuple(cut(name, source == name) for name in sorted(set(source.tolist()))),
        by_length_gap=tuple(cut(name, third == k) for k, name in enumerate(tercile_names(edges)) if np.any(third == k)),
        shorter_right=clustered_proportion(outcome[gap < 0], prompt[gap < 0]),
        n_shorter_right=int(np.sum(gap < 0)),
        longer_right=clustered_proportion(outcome[gap > 0], prompt[gap > 0]),
        calibration=assess_calibration(
            margin_P[is_scored_P], label_P[is_scored_P], prompt_P[is_scored_P], rng=rng, flip_rate=flip_rate
        ),
        witnesses=find_witnesses(pairs, margin_P, used, gap_P),
    )


def _smallest_visible(outcome_P: np.ndarray, prompt_P: np.ndarray) -> float:
    """The minimum detectable effect of accuracy; NaN where the pairs are all alike, since no variance is known then."""
    design = design_effect(outcome_P, prompt_P)
    if not design > 0:
        return NAN
    return minimum_detectable_effect(outcome_P.size, float(outcome_P.mean()), design=design)


def _rewards(reward_chosen: np.ndarray, reward_rejected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rewards = as_vector("reward_chosen", reward_chosen), as_vector("reward_rejected", reward_rejected)
    require_same_length(reward_chosen=rewards[0], reward_rejected=rewards[1])
    for name, reward_P in zip(("reward_chosen", "reward_rejected"), rewards, strict=True):
        require(name, reward_P, ~np.isinf(reward_P), "are infinite. Re-score in float32; NaN counts as missing.")
    return rewards


def _labels_and_prompts(pairs: Sequence[PreferencePair]) -> tuple[np.ndarray, np.ndarray]:
    for index, pair in enumerate(pairs):
        if not pair.prompt_id:
            raise InputError(
                f"pair {index} has no prompt_id. Set it, equal for pairs of one prompt: they are clustered."
            )
    label_P = np.array([pair.label for pair in pairs], dtype=np.float64)
    require(
        "label", label_P, (label_P >= 0.5) & (label_P <= 1), "are outside [0.5, 1]. Put the preferred one in chosen."
    )
    return label_P, np.array([pair.prompt_id for pair in pairs], dtype=str)
