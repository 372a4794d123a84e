"""What the evaluation of a process reward finds: RM301 to RM308, their verdict rules and their explanations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from karat.numerics.intervals import Interval, items_needed
from karat.train.evaluation_findings import (
    CALIBRATION_ERROR_LIMIT,
    GAIN_THAT_MATTERS,
    MISSING_LIMIT,
    TEMPERATURE_KNOWN,
    TEMPERATURE_RANGE,
)
from karat.train.process.solution_level import OUTCOME, RANDOM
from karat.types import Finding, Verdict

if TYPE_CHECKING:
    from karat.train.process.evaluation import StepEvaluation

EXPLANATIONS: dict[str, tuple[str, str, str, str]] = {
    "RM301": (
        "Wrong steps told from right ones, beyond rules that read nothing",
        "P(a right step scores above a wrong one), AUROC, over the labelled steps of held-out problems, less that of "
        "the best of four rules that do not read the steps: late, last, short or long steps are wrong. The interval is "
        "over problems, paired by step.",
        "ok: the whole interval is above 0. problem: else, if it ends below 0.05. unclear: neither.",
        "problem: what was learned is where errors stand, or how long they are, and no more. Look at the labels first, "
        "then train on more problems; do not optimise against this reward. unclear: evaluate on more problems.",
    ),
    "RM302": (
        "First wrong step found, beyond rules that read nothing",
        "ProcessBench's F1: the harmonic mean of the share of wrong solutions whose first wrong step is named and the "
        "share of right solutions that pass, where the first step below a threshold is named. The threshold was tuned "
        "on other problems, which the result names. Less the F1 of the best of four rules that read nothing at "
        "thresholds tuned in the same place, and of chance.",
        "ok: the whole interval of the difference is above 0. problem: else, if it ends below 0.05. unclear: neither.",
        "problem: the reward does not say where a solution goes wrong; see whether it separates steps at all (RM301). "
        "unclear: evaluate on more problems.",
    ),
    "RM303": (
        "Calibration of the steps' probabilities",
        "Whether the score of a step is the share of such steps that are right: the temperature T for which "
        "sigma(logit / T) fits the held-out labels best (above 1: the scores claim too much), and the expected "
        "calibration error over bins of equal mass. A product over steps multiplies what each step claims too much.",
        "problem: the interval of T lies outside 0.8 to 1.25, or that of the calibration error is above 0.05 plus what "
        "sampling alone gives. ok: no problem, and T is known to within a factor of 1.5. unclear: neither.",
        "problem: divide logits by T before scores are multiplied, summed or compared with a threshold of another "
        "reward; the order of steps does not change.",
    ),
    "RM304": (
        "Solution scores against the final answer",
        "P(a solution with the right answer scores above one with a wrong answer), AUROC, of the reward's own "
        "aggregate over the steps (min, product, last, mean or sum); the others stand in the table. Right answers and "
        "right steps are two things, so this is a check of the aggregate and no goal.",
        "ok: the interval begins above one half. problem: it ends below 0.55. unclear: neither. not checked: the data "
        "does not say whether final answers are right, or they are all alike.",
        "problem: choose another aggregate (for labels of correctness min or product, for Monte-Carlo labels last), or "
        "do not rank solutions by this reward.",
    ),
    "RM305": (
        "Right answers by a wrong process",
        "Among solutions with the right answer: the share of those with a wrong step in which any step is flagged, "
        "less the share of those without a wrong step (the false alarms), at the tuned threshold. An outcome reward "
        "cannot tell the two apart.",
        "ok: the whole interval is above 0. problem: else, if it ends below 0.05. unclear: neither. not checked: no "
        "right answer with a wrong step, or none without.",
        "problem: the reward follows the answer and not the steps, as rewards trained from Monte-Carlo labels do "
        "(2501.07301); add labels of correctness, or filter by a judge that reads the steps.",
    ),
    "RM306": (
        "Missing step scores",
        "The share of the labelled held-out steps that have no score: cut by the limit of length, or refused.",
        "problem: more than 1 %. ok: at most that. This counts what happened, so there is no unclear.",
        "Raise --max-length; a solution that lacks a score of one step has no aggregate.",
    ),
    "RM307": (
        "Process against outcome reward on the same solutions",
        "AUROC of the steps of held-out problems, less that of an outcome reward that was trained from the same "
        "solutions on final answers alone and is read at each step.",
        "ok: the whole interval is above 0. problem: it lies below 0. unclear: 0 is inside. not checked: no outcome "
        "reward was trained (--outcome).",
        "problem: step labels taught less about steps than final answers did: look at the labels. unclear: more "
        "problems; the final answers may be worth as much as the step labels here (2211.14275 saw that).",
    ),
    "RM308": (
        "Best of n by the process reward",
        "Over held-out problems with several solutions: the chance that the solution with the best aggregate has the "
        "right answer, less that of a random choice, paired by problem. The table has the other aggregates, the "
        "majority of the stated answers, the outcome reward, and the share of problems with any right solution.",
        "ok: the whole interval is above 0. problem: it lies below 0. unclear: 0 is inside. not checked: no problem "
        "has two solutions whose answers are known to be right or wrong.",
        "problem: choosing by this reward makes answers worse. unclear: more problems, or more solutions of each.",
    ),
}


def step_findings(result: StepEvaluation) -> tuple[Finding, ...]:
    """RM301 to RM308; the docstring of each function states its verdict rule."""
    rules = (_rm301, _rm302, _rm303, _rm304, _rm305, _rm306, _rm307, _rm308)
    return tuple(rule(result) for rule in rules)


def _rm301(result: StepEvaluation) -> Finding:
    """ok: gain's interval above 0. problem: else, if it ends below GAIN_THAT_MATTERS. unclear: else."""
    steps = result.steps
    actions = {
        "problem": "Do not optimise against this reward: where a step stands or how long it is tells as much. Look at "
        "the labels, then train on more problems.",
        "unclear": _needed(steps.n_decided, steps.auroc_gain, 0.0, "labelled steps"),
        "not checked": "Give solutions with right and wrong steps.",
    }
    best = f"{steps.best_rule} {steps.rule_auroc[steps.best_rule]:.3f}" if steps.best_rule else "no rule"
    baseline = (
        f"AUROC {_shown(steps.auroc)}; {best}; F1 of wrong steps {_shown(steps.f1)}, steps judged as labelled "
        f"{steps.accuracy.estimate:.3f} (always right: {steps.right_share:.3f})"
    )
    measured = _Measured(steps.auroc_gain, "AUROC", steps.n_decided, baseline, result.witnesses["steps"])
    return _finding(result, "RM301", _beyond(steps.auroc_gain), measured, actions)


def _rm302(result: StepEvaluation) -> Finding:
    """ok: gain's interval above 0. problem: else, if it ends below GAIN_THAT_MATTERS. unclear: else."""
    first = result.first_errors
    actions = {
        "problem": "The reward does not say where a solution goes wrong; do not use it to place blame.",
        "unclear": _needed(first.n_judged, first.f1_gain, 0.0, "solutions"),
        "not checked": "Give solutions whose first wrong step is known, right and wrong ones.",
    }
    baseline = (
        f"F1 {_shown(first.f1)}: finds {first.found.estimate:.3f} of {first.n_wrong} first errors, passes "
        f"{first.kept.estimate:.3f} of {first.n_judged - first.n_wrong} right ones; {first.best_rule} "
        f"{first.rule_f1[first.best_rule]:.3f}; threshold {result.thresholds.first_error:.3f}, "
        f"{result.thresholds.where}"
    )
    measured = _Measured(first.f1_gain, "F1", first.n_judged, baseline, result.witnesses["first_errors"])
    return _finding(result, "RM302", _beyond(first.f1_gain), measured, actions, n_missing=first.n_missing)


def _rm303(result: StepEvaluation) -> Finding:
    """problem: T's interval outside TEMPERATURE_RANGE, or ECE's above its limit plus sampling noise.

    ok: else, if the interval of T ends within a factor of TEMPERATURE_KNOWN of it. unclear: else.
    """
    measured, heat = result.steps.calibration, result.steps.calibration.temperature
    low, high = TEMPERATURE_RANGE
    is_off = heat.low > high or heat.high < low or measured.ece.low > CALIBRATION_ERROR_LIMIT + measured.ece_noise
    verdict: Verdict = "problem" if is_off else "ok" if heat.high <= TEMPERATURE_KNOWN * heat.value else "unclear"
    advice = f"Divide logits by {heat.value:.2f} before multiplying or summing scores; the order stays."
    actions = {
        "problem": f"Scores are no probabilities: {heat.reason}." if heat.reason else advice,
        "unclear": f"There is no temperature: {heat.reason}." if heat.reason else "Evaluate on more problems.",
        "not checked": "Give labelled steps.",
    }
    baseline = (
        f"1 is calibrated; calibration error {measured.ece.estimate:.3f} (sampling alone: {measured.ece_noise:.3f}); "
        f"NLL {measured.nll.estimate:.3f} nats"
    )
    interval = Interval(heat.value, heat.low, heat.high, measured.nll.n_clusters, measured.nll.method)
    return _finding(
        result, "RM303", verdict, _Measured(interval, "temperature", result.steps.n_steps, baseline), actions
    )


def _rm304(result: StepEvaluation) -> Finding:
    """ok: AUROC's interval above one half. problem: else, if it ends below 0.5 + GAIN_THAT_MATTERS. unclear: else."""
    found = result.solutions
    auroc = found.auroc[found.aggregate]
    verdict = _beyond(auroc, 0.5)
    actions = {
        "problem": "Choose another aggregate, or do not rank solutions by this reward.",
        "unclear": _needed(found.n_solutions, auroc, 0.5, "solutions"),
        "not checked": "Give solutions of which it is known whether the final answer is right, of both kinds.",
    }
    others = ", ".join(f"{name} {value.estimate:.3f}" for name, value in found.auroc.items() if name != found.aggregate)
    baseline = f"by {found.aggregate}; {others}; {found.n_right} of {found.n_solutions} answers are right"
    n_used = 0 if math.isnan(auroc.estimate) else found.n_solutions
    return _finding(
        result, "RM304", verdict, _Measured(auroc, "AUROC", n_used, baseline), actions, n_missing=found.n_missing
    )


def _rm305(result: StepEvaluation) -> Finding:
    """ok: caught less false alarms above 0. problem: else, if it ends below GAIN_THAT_MATTERS. unclear: else."""
    lucky = result.first_errors.lucky
    actions = {
        "problem": "The reward follows the answer and not the steps. Add labels of correctness.",
        "unclear": _needed(lucky.n, lucky.gain, 0.0, "right answers with a wrong step"),
        "not checked": "Give right answers with and without a wrong step.",
    }
    baseline = (
        f"flags {_shown(lucky.caught)} of {lucky.n} right answers with a wrong step, {_shown(lucky.false_alarm)} of "
        f"{lucky.n_sound} without"
    )
    n_used = lucky.n + lucky.n_sound if lucky.n and lucky.n_sound else 0
    measured = _Measured(lucky.gain, "share flagged", n_used, baseline, result.witnesses["lucky"])
    return _finding(result, "RM305", _beyond(lucky.gain), measured, actions)


def _rm306(result: StepEvaluation) -> Finding:
    """problem: more than MISSING_LIMIT of the labelled steps have no score. ok: else."""
    steps = result.steps
    verdict: Verdict = "problem" if steps.missing_share.estimate > MISSING_LIMIT else "ok"
    actions = {"problem": "Raise --max-length, or shorten the prompts.", "not checked": "Give labelled steps."}
    baseline = f"{result.first_errors.n_missing} solutions with a known first error lack a score"
    n_labelled = steps.n_steps + steps.n_missing
    return _finding(
        result,
        "RM306",
        verdict,
        _Measured(steps.missing_share, "share of steps missing", n_labelled, baseline),
        actions,
    )


def _rm307(result: StepEvaluation) -> Finding:
    """ok: the difference's interval above 0. problem: below 0. unclear: 0 inside."""
    steps = result.steps
    actions = {
        "problem": "Final answers taught more about steps than step labels did: look at the labels.",
        "unclear": _needed(steps.n_decided, steps.outcome_gain, 0.0, "labelled steps"),
        "not checked": "Train with --outcome.",
    }
    baseline = f"process {_shown(steps.auroc)}, outcome {steps.outcome_auroc:.3f}"
    n_used = steps.n_decided if result.has_outcome else 0
    measured = _Measured(steps.outcome_gain, "AUROC", n_used, baseline if n_used else "")
    return _finding(result, "RM307", _sided(steps.outcome_gain), measured, actions)


def _rm308(result: StepEvaluation) -> Finding:
    """ok: the difference's interval above 0. problem: below 0. unclear: 0 inside."""
    found = result.solutions
    actions = {
        "problem": "Choosing by this reward makes answers worse; choose another aggregate or none.",
        "unclear": _needed(found.n_choices, found.choice_gain, 0.0, "problems"),
        "not checked": "Give several solutions of a problem, and whether their answers are right.",
    }
    shown = (found.aggregate, RANDOM, "majority of answers", OUTCOME, "any right")
    named = ", ".join(f"{name} {found.best_of_n[name].estimate:.3f}" for name in shown if name in found.best_of_n)
    baseline = f"{named}; {found.mean_n:.1f} solutions a problem" if found.n_choices else ""
    measured = _Measured(found.choice_gain, "share of right answers", found.n_choices, baseline)
    return _finding(result, "RM308", _sided(found.choice_gain), measured, actions, n_missing=found.n_missing)


def _beyond(gain: Interval, zero: float = 0.0) -> Verdict:
    """ok: above zero, whole interval. problem: else, if it ends below zero + GAIN_THAT_MATTERS. unclear: else."""
    return "ok" if gain.low > zero else "problem" if gain.high < zero + GAIN_THAT_MATTERS else "unclear"


def _sided(gain: Interval) -> Verdict:
    return "ok" if gain.low > 0 else "problem" if gain.high < 0 else "unclear"


class _Measured(NamedTuple):
    """What a finding measured: the effect with its interval and unit, the items it rests on, and what beside it."""

    interval: Interval
    unit: str
    n_used: int
    baseline: str
    witnesses: tuple[str, ...] = ()


def _finding(
    result: StepEvaluation,
    code: str,
    verdict: Verdict,
    measured: _Measured,
    actions: Mapping[str, str],
    *,
    n_missing: int | None = None,
) -> Finding:
    """The finding; whatever its rule said, nothing measured is "not checked"."""
    is_measured = measured.n_used and not math.isnan(measured.interval.estimate)
    # RM303 without a temperature has measured its calibration error all the same.
    verdict = verdict if is_measured or (code == "RM303" and measured.n_used) else "not checked"
    return Finding(
        code=code,
        title=EXPLANATIONS[code][0],
        verdict=verdict,
        effect=measured.interval.estimate,
        low=measured.interval.low,
        high=measured.interval.high,
        unit=measured.unit,
        n_used=measured.n_used if verdict != "not checked" else 0,
        n_missing=result.steps.n_missing if n_missing is None else n_missing,
        gold=result.gold_name,
        baseline=measured.baseline,
        witnesses=measured.witnesses,
        action=actions.get(verdict, ""),
    )


def _shown(interval: Interval) -> str:
    return f"{interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _needed(n: int, interval: Interval, threshold: float, items: str) -> str:
    n_needed = items_needed(n, interval, threshold)
    if math.isnan(n_needed):
        return f"Too few to tell: {items} of at least two problems are needed for an interval."
    if n_needed > 1e7:
        return f"No number of {items} within reach would settle it: the effect is too close to the line."
    digits = 10 ** max(0, math.floor(math.log10(max(n_needed, 1.0))) - 1)
    about = math.ceil(n_needed / digits) * digits
    return f"Too few to tell. About {about:,} {items} would be needed, if the effect stays as it is."
