"""How well a reward orders held-out preference pairs, beside what no reading of the content would score.

Exact per example: every number is computed from the margins of all pairs, never as a mean of batch means. Statistics
come from `karat.numerics`; this file chooses them, states their verdicts and prepares the tables.

Axes: P pairs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

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
from karat.numerics.intervals import (
    Interval,
    clustered_proportion,
    design_effect,
    items_needed,
    minimum_detectable_effect,
)
from karat.numerics.validation import as_vector, require, require_same_length
from karat.types import NAN, Finding, PreferencePair, Table, Text, TokenIds, Verdict

# What the verdicts turn on. A reward within five points of a rule that reads nothing has learned little that matters;
# a temperature within a quarter of 1 moves no probability by more than 0.04.
GAIN_THAT_MATTERS = 0.05
TEMPERATURE_RANGE = (0.8, 1.25)
TEMPERATURE_KNOWN = 1.5
CALIBRATION_ERROR_LIMIT = 0.05
OVERCONFIDENCE_LIMIT = 0.05
SHARE_OVER_CAP_LIMIT = 0.05
MISSING_LIMIT, TIE_LIMIT = 0.01, 0.05
WITNESS_CHARS = 120

EXPLANATIONS: dict[str, tuple[str, str, str, str]] = {
    "RM101": (
        "Accuracy beyond content-blind baselines",
        "The share of held-out pairs that the reward orders as labelled (equal scores count one half; pairs labelled "
        "as ties are left out), less that of the best rule that reads nothing: the longer response, the shorter, or "
        "chance. The interval of the difference is a bootstrap over prompts.",
        "ok: the whole interval is above 0. problem: else, if it ends below 0.05, so that the reward is less than five "
        "points better than a rule that reads nothing. unclear: neither.",
        "problem: look at the data first (labels that follow length, too few or contradictory pairs), then train on "
        "more pairs; do not optimise against this reward. unclear: evaluate on the number of pairs that is named.",
    ),
    "RM102": (
        "Calibration",
        "Whether sigma(margin) is the share of pairs that people order so: the temperature T for which sigma(margin / "
        "T) fits the held-out labels best (above 1: the margins claim too much), and the expected calibration error of "
        "the confidence in the preferred side, over bins of equal mass (ten, or fewer so that each has 50 pairs).",
        "problem: the interval of T lies outside 0.8 to 1.25, or that of the calibration error is above 0.05 plus what "
        "sampling alone gives. ok: no problem, and T is known to within a factor of 1.5. unclear: T is not known so "
        "well, or is undefined.",
        "problem: divide rewards by T before they are used as probabilities or combined with other rewards; the order "
        "of responses does not change. A model trained with --loss robust predicts labels before their noise, so that "
        "T above 1 on noisy labels is expected of it.",
    ),
    "RM103": (
        "Over-confidence beyond the label noise",
        "Labels of which a share e is flipped support no margin above log((1-e)/e). Among held-out pairs whose margin, "
        "divided by T, exceeds it: the mean confidence claimed less the agreement of the labels. e is what the user "
        "states or, where the margins identify it, the low end of its estimate from where agreement stops growing with "
        "the margin.",
        "problem: the claim exceeds the agreement, whole interval. ok: few pairs (interval below 5 %) are beyond the "
        "cap, or the interval of the excess ends below 0.05. unclear: neither. not checked: e is neither given nor "
        "identified, or there is no temperature.",
        "problem: the reward has fitted noise: train for fewer epochs, with --loss robust, or with fewer free "
        "parameters; clip the margins at the cap before optimising against them.",
    ),
    "RM104": (
        "Accuracy where length misleads",
        "Accuracy on the pairs whose preferred response is the shorter one, with its interval clustered by prompt; "
        "beside it, accuracy where the preferred response is longer.",
        "problem: the interval ends below one half, so the reward picks the longer response there more often than "
        "not. ok: the interval begins at or above one half. unclear: one half is inside. not checked: no such pair.",
        "problem: add pairs whose better response is the shorter one, or balance length in the data; expect an "
        "optimised policy to grow long.",
    ),
    "RM105": (
        "Missing and tied scores",
        "The share of pairs that a missing score leaves out, and the share that the reward scores equally. Accuracy "
        "is bounded by counting the missing pairs all wrong and all right.",
        "problem: more than 1 % of the pairs miss a score, or more than 5 % of the scored ones tie. ok: neither. This "
        "counts what happened, so there is no unclear.",
        "Missing: see the reasons of the missing scores (length, failed calls). Ties: score in float32; bfloat16 has "
        "three digits, which makes equal scores of unequal ones.",
    ),
}


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
        """RM101 to RM105; the docstring of each function states its verdict rule."""
        return tuple(rule(self) for rule in (_rm101, _rm102, _rm103, _rm104, _rm105))

    def tables(self) -> tuple[Table, ...]:
        """Accuracy by source (where the data names any), by tercile of the length gap, and the reliability table."""
        title = f"Accuracy by length gap (chosen - rejected, {self.length_unit})"
        tables = [_slice_table("accuracy_by_length_gap", title, self.by_length_gap)]
        if any(row.name for row in self.by_source):
            tables.insert(0, _slice_table("accuracy_by_source", "Accuracy by source", self.by_source))
        return (*tables, _reliability_table(self.calibration))

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
        by_length_gap=tuple(
            cut(name, third == k) for k, name in enumerate(_tercile_names(edges)) if np.any(third == k)
        ),
        shorter_right=clustered_proportion(outcome[gap < 0], prompt[gap < 0]),
        n_shorter_right=int(np.sum(gap < 0)),
        longer_right=clustered_proportion(outcome[gap > 0], prompt[gap > 0]),
        calibration=assess_calibration(
            margin_P[is_scored_P], label_P[is_scored_P], prompt_P[is_scored_P], rng=rng, flip_rate=flip_rate
        ),
        witnesses=_witnesses(pairs, margin_P, used, gap_P),
    )


# ------------------------------------------------------------------------------------------------------------- findings
def _rm101(result: Evaluation) -> Finding:
    """ok: gain's interval above 0. problem: else, if it ends below GAIN_THAT_MATTERS. unclear: else."""
    overall, gain = result.overall, result.overall.gain
    verdict: Verdict = "ok" if gain.low > 0 else "problem" if gain.high < GAIN_THAT_MATTERS else "unclear"
    actions = {
        "problem": "Do not optimise against this reward. Look for labels that follow length or contradict each other "
        "(karat audit data), then train on more pairs.",
        "unclear": f"Too few pairs to tell. {_needed(overall.n_pairs, gain, 0.0)}",
        "not checked": "Give pairs that are scored and whose label is not a tie.",
    }
    baseline = (
        f"accuracy {overall.accuracy.estimate:.3f} [{overall.accuracy.low:.3f}, {overall.accuracy.high:.3f}]; "
        f"longer {overall.longer:.3f}, shorter {overall.shorter:.3f}, random {RANDOM_ACCURACY:.3f}"
    )
    measured = _Measured(gain, "accuracy", overall.n_pairs, baseline, result.witnesses["wrong"])
    return _finding(result, "RM101", verdict, measured, actions)


def _rm102(result: Evaluation) -> Finding:
    """problem: T's interval outside TEMPERATURE_RANGE, or ECE's above its limit plus sampling noise.

    ok: else, if the interval of T ends within a factor of TEMPERATURE_KNOWN of it. unclear: else.
    """
    measured, heat = result.calibration, result.calibration.temperature
    low, high = TEMPERATURE_RANGE
    is_off = heat.low > high or heat.high < low
    is_off = is_off or measured.ece.low > CALIBRATION_ERROR_LIMIT + measured.ece_noise
    verdict: Verdict = "problem" if is_off else "ok" if heat.high <= TEMPERATURE_KNOWN * heat.value else "unclear"
    n_scored = result.n_pairs - result.n_missing
    problem = f"Divide rewards by {heat.value:.2f} before using them as log-odds; the order stays."
    # The interval of log T has half-width log(high / T), which falls with the square root of the pairs.
    n_needed = n_scored * (math.log(heat.high / heat.value) / math.log(TEMPERATURE_KNOWN)) ** 2
    unclear = f"Too few pairs to tell. {_about(n_needed)}"
    if heat.reason:
        problem = f"Margins cannot be used as log-odds: {heat.reason}."
        unclear = f"There is no temperature: {heat.reason}. Evaluate on more pairs."
    baseline = (
        f"1 is calibrated; calibration error {measured.ece.estimate:.3f} (sampling alone: {measured.ece_noise:.3f}); "
        f"NLL {measured.nll.estimate:.3f} nats (no information: 0.693)"
    )
    interval = Interval(heat.value, heat.low, heat.high, measured.nll.n_clusters, measured.nll.method)
    actions = {"problem": problem, "unclear": unclear, "not checked": "Give pairs that are scored."}
    return _finding(result, "RM102", verdict, _Measured(interval, "temperature", n_scored, baseline), actions)


def _rm103(result: Evaluation) -> Finding:
    """problem: excess claimed beyond the cap, whole interval. ok: hardly a pair beyond it, or the excess is small."""
    cap, excess, share = result.calibration.cap, result.calibration.excess, result.calibration.share_over_cap
    if cap is None:
        why = result.calibration.flip_rate.reason or result.calibration.temperature.reason
        action = f"Give flip_rate, the share of flipped labels, and more pairs; here: {why}."
        measured = _Measured(excess, "probability", 0, "")
        return _finding(result, "RM103", "not checked", measured, {"not checked": action})
    n_over, n_scored = int(cap.is_over_P.sum()), cap.is_over_P.size
    is_ok = share.high < SHARE_OVER_CAP_LIMIT or excess.high < OVERCONFIDENCE_LIMIT
    verdict: Verdict = "problem" if excess.low > 0 else "ok" if is_ok else "unclear"
    actions = {
        "problem": "The reward has fitted label noise: train for fewer epochs or with --loss robust, and clip margins "
        f"at {cap.cap:.2f} times the temperature before optimising against them.",
        "unclear": f"{n_over} pairs lie beyond the cap, too few to tell. {_needed(n_over, excess, 0.0)}"
        if n_over
        else f"Too few pairs to tell. {_needed(n_scored, share, SHARE_OVER_CAP_LIMIT)}",
    }
    baseline = f"flip rate {cap.flip_rate:.3f}, margin cap {cap.cap:.2f} nats; {share.estimate:.1%} of pairs beyond it"
    if not cap.flip_rate:
        baseline = "no label noise to be seen in the margins, so no cap"
    witnesses = result.witnesses["wrong"] if verdict == "problem" else ()
    return _finding(
        result, "RM103", verdict, _Measured(excess, "probability", n_over or n_scored, baseline, witnesses), actions
    )


def _rm104(result: Evaluation) -> Finding:
    """problem: accuracy where the shorter is right ends below 0.5. ok: begins there or above. unclear: else."""
    found, n_used = result.shorter_right, result.n_shorter_right
    verdict: Verdict = "problem" if found.high < 0.5 else "ok" if found.low >= 0.5 else "unclear"
    actions = {
        "problem": "Add pairs whose better response is the shorter one; expect an optimised policy to grow long.",
        "unclear": f"Too few pairs to tell. {_needed(n_used, found, 0.5)}",
        "not checked": "Give pairs whose preferred response is the shorter one.",
    }
    baseline = f"{result.longer_right.estimate:.3f} where the longer is right; length in {result.length_unit}"
    measured = _Measured(found, "accuracy", n_used, baseline, result.witnesses["misled"])
    return _finding(result, "RM104", verdict, measured, actions)


def _rm105(result: Evaluation) -> Finding:
    """problem: more than MISSING_LIMIT of pairs miss a score, or more than TIE_LIMIT of scored ones tie. ok: else."""
    missing, ties = result.missing_share, result.tie_share
    verdict: Verdict = "problem" if missing.estimate > MISSING_LIMIT or ties.estimate > TIE_LIMIT else "ok"
    actions = {
        "problem": "Missing: read the reasons of the missing scores. Ties: score in float32.",
        "not checked": "Give pairs.",
    }
    baseline = (
        f"{result.n_ties} of {result.overall.n_pairs} scored pairs tie; accuracy is between "
        f"{result.accuracy_worst:.3f} and {result.accuracy_best:.3f} whatever the missing scores are"
    )
    witnesses = result.witnesses["missing"] + result.witnesses["tied"]
    measured = _Measured(missing, "share of pairs missing", result.n_pairs, baseline, witnesses)
    return _finding(result, "RM105", verdict, measured, actions)


class _Measured(NamedTuple):
    """What a finding measured: the effect with its interval and unit, the pairs it rests on, and what beside it."""

    interval: Interval
    unit: str
    n_used: int
    baseline: str
    witnesses: tuple[str, ...] = ()


def _finding(
    result: Evaluation, code: str, verdict: Verdict, measured: _Measured, actions: Mapping[str, str]
) -> Finding:
    """The finding; whatever its rule said, nothing measured is "not checked"."""
    verdict = verdict if measured.n_used else "not checked"
    return Finding(
        code=code,
        title=EXPLANATIONS[code][0],
        verdict=verdict,
        effect=measured.interval.estimate,
        low=measured.interval.low,
        high=measured.interval.high,
        unit=measured.unit,
        n_used=measured.n_used,
        n_missing=result.n_missing,
        gold=result.gold_name,
        baseline=measured.baseline,
        witnesses=measured.witnesses,
        action=actions.get(verdict, ""),
    )


def _needed(n: int, interval: Interval, threshold: float) -> str:
    return _about(items_needed(n, interval, threshold))


def _about(n_needed: float) -> str:
    if math.isnan(n_needed):
        return "Pairs of at least two prompts are needed for an interval."
    if n_needed > 1e7:
        return "No number of pairs within reach would settle it: the effect is too close to the line."
    digits = 10 ** max(0, math.floor(math.log10(max(n_needed, 1.0))) - 1)
    return f"About {math.ceil(n_needed / digits) * digits:,} pairs would be needed, if the effect stays as it is."


# --------------------------------------------------------------------------------------------------- tables, witnesses
def _slice_table(name: str, title: str, slices: tuple[Slice, ...]) -> Table:
    counted = ("slice", "pairs", "prompts", "accuracy", "low", "high", "longer", "shorter", "random")
    compared = ("baseline", "best_baseline", "gain", "gain_low", "gain_high")
    rows = []
    for row in slices:
        found, gain = row.accuracy, row.gain
        counts = (row.name or "(not named)", row.n_pairs, found.n_clusters)
        blind = (row.longer, row.shorter, RANDOM_ACCURACY, row.baseline, row.rule)
        rows.append((*counts, found.estimate, found.low, found.high, *blind, gain.estimate, gain.low, gain.high))
    note = (
        "A tie counts one half; 95 % intervals, clustered by prompt; gain: accuracy less that of the content-blind "
        "rule that is best over all pairs."
    )
    return Table(name, title, (*counted, *compared), tuple(rows), note)


def _reliability_table(measured: Calibration) -> Table:
    table = measured.table
    rows = tuple(
        (float(predicted), observed.estimate, observed.low, observed.high, int(count))
        for predicted, observed, count in zip(table.confidence_K, measured.agreement_K, table.count_K, strict=True)
    )
    note = "Each pair is read from the side that the reward prefers; bins of equal mass, as far as ties allow."
    return Table(
        "reliability", "Confidence against agreement", ("predicted", "observed", "low", "high", "pairs"), rows, note
    )


def _tercile_names(edges: tuple[float, float]) -> tuple[str, str, str]:
    low, high = edges
    return f"gap <= {low:g}", f"{low:g} < gap <= {high:g}", f"gap > {high:g}"


def _witnesses(
    pairs: Sequence[PreferencePair], margin_P: np.ndarray, used: np.ndarray, gap_P: np.ndarray
) -> dict[str, tuple[str, ...]]:
    """At most three pairs of each kind: the worst wrong ones, the worst that length misled, missing and tied ones."""
    by_margin = used[np.argsort(margin_P[used], kind="stable")]
    wrong = by_margin[margin_P[by_margin] < 0]
    missing = np.flatnonzero(np.isnan(margin_P))
    chosen = {
        "wrong": wrong[:3],
        "misled": wrong[gap_P[wrong] < 0][:3],
        "missing": missing[:2],
        "tied": used[margin_P[used] == 0][:1],
    }
    return {kind: tuple(_witness(pairs[i], float(margin_P[i])) for i in found) for kind, found in chosen.items()}


def _witness(pair: PreferencePair, margin: float) -> str:
    scored = "score missing" if math.isnan(margin) else f"margin {margin:.2f}"
    prompt, chosen, rejected = _last_text(pair.prompt), _last_text(pair.chosen), _last_text(pair.rejected)
    tail = prompt if len(prompt) <= WITNESS_CHARS else "..." + prompt[3 - WITNESS_CHARS :]
    return f"row {pair.row}, {scored} | prompt: {tail} | chosen: {_head(chosen)} | rejected: {_head(rejected)}"


def _head(text: str) -> str:
    return text if len(text) <= WITNESS_CHARS else text[: WITNESS_CHARS - 3] + "..."


def _last_text(text: Text) -> str:
    """The text on one line; of a conversation, its last message."""
    if isinstance(text, TokenIds):
        return f"({len(text.ids)} token ids)"
    content = text if isinstance(text, str) else (text[-1].content if text else "")
    return " ".join(content.split())


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
