"""What the evaluation of a reward finds: RM101 to RM105, their verdict rules and their explanations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from karat.numerics.accuracy import RANDOM_ACCURACY
from karat.numerics.intervals import Interval, items_needed
from karat.types import Finding, Verdict

if TYPE_CHECKING:
    from karat.train.evaluation import Evaluation

# What the verdicts turn on. A reward within five points of a rule that reads nothing has learned little that matters;
# a temperature within a quarter of 1 moves no probability by more than 0.04.
GAIN_THAT_MATTERS = 0.05
TEMPERATURE_RANGE = (0.8, 1.25)
TEMPERATURE_KNOWN = 1.5
CALIBRATION_ERROR_LIMIT = 0.05
OVERCONFIDENCE_LIMIT = 0.05
SHARE_OVER_CAP_LIMIT = 0.05
MISSING_LIMIT, TIE_LIMIT = 0.01, 0.05

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


def evaluation_findings(result: Evaluation) -> tuple[Finding, ...]:
    """RM101 to RM105; the docstring of each function states its verdict rule."""
    return tuple(rule(result) for rule in (_rm101, _rm102, _rm103, _rm104, _rm105))


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
