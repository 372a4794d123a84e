"""What the label noise part of `karat audit data` states, when, and what to do about it."""

from __future__ import annotations

from karat.numerics.intervals import Interval
from karat.numerics.label_noise import NoiseFit
from karat.types import Finding, Verdict

NOISE_LIMIT = 0.1
"""Flip rate; beyond it Bradley-Terry training is reported to lose to noise-robust losses (arXiv 2411.04991)."""
PRECISION_LIMIT = 0.5
ALPHA_LIMIT = 1 / 3
"""Two annotators who agree on two thirds of the pairs, both sides being chosen equally often."""
CYCLE_LIMIT = NOISE_LIMIT * (1 - NOISE_LIMIT)

_ACT_ON_RATE = (
    "Read suspects.jsonl first: either these labels are wrong, or they rest on what the judge does not see, and "
    "margins cannot tell which. If they are wrong: train with --loss robust and this flip rate, or repair (--fix)."
)
_GIVEN = (
    "More labels contradict confident margins than 10 %: either they are wrong, or the given reward is, and nothing "
    "here tells which. Read suspects.jsonl; heads (without --reward) at least follow what most labels say."
)
_TELL_RATE = "A reward that orders better (--reward) or more pairs (--embed-pairs) would tell."

EXPLANATIONS: dict[str, tuple[str, str, str, str]] = {
    "DA301": (
        "Labels that are probably wrong",
        "The share e of labels that are flipped whatever the pair, from margins that were held out: P(label | margin d)"
        " = (1-2e) sigma(t d) + e, scale and rate fitted together, profile-likelihood interval widened for prompts. "
        "Margins are those of linear heads on hidden states, fitted to the other folds of prompts, or of --reward. "
        "Close responses are not counted as flips as long as margins tell them: what shows flips is agreement that "
        "stays below 1 however large the margin. The ceiling beside it needs no such form: e is at most one minus the "
        "agreement of the most confident pairs. A judge that is wrong where it is confident looks like flips: the "
        "interval supposes that it is not, the ceiling supposes nothing.",
        "problem: the whole interval is above 10 %, by heads. ok: the ceiling is below 10 %; the interval alone does "
        "not show it, because it rests on the form. unclear: neither, or the interval of a given --reward is above "
        "10 %, which may be the reward's fault; margins that order poorly cannot tell flips from close responses. not "
        "checked: one prompt, no decided label, or no margins.",
        f"problem: {_ACT_ON_RATE} unclear: {_TELL_RATE}",
    ),
    "DA302": (
        "Suspects are mostly wrong",
        "What share of the 5 % of labels with the highest posterior of being flipped is expected to be wrong: their "
        "mean posterior, averaged over the flip rates that the margins allow; the interval holds that uncertainty and "
        "that of so few labels. OUT/suspects.jsonl lists them, worst first.",
        "problem: the whole interval is above 50 %, by heads: flipping them all would mend more labels than it breaks, "
        "if heads see what the labels rest on. ok: it ends below 50 %. unclear: neither, or it is above 50 % by a "
        "given --reward, whose mistakes look the same. not checked: as DA301.",
        "Have the suspects labelled again, worst first; or soften or flip them (--fix) and let it measure the gain.",
    ),
    "DA303": (
        "Annotators agree",
        "Krippendorff's alpha (ordinal: first, tie, second) over pairs of responses with two votes or more: rows that "
        "compare them again, or columns annotator1, annotator2, ... Bootstrap over prompts. With two sides that are "
        "chosen equally often and no ties, agreement of 80 % is alpha 0.6, of 67 % 0.33.",
        "problem: the interval lies below 0.33. ok: at or above it, and every vote names its annotator (copies of a "
        "row look like votes that agree). unclear: neither, or one prompt. not checked: no pair has two votes.",
        "Low agreement bounds what any reward can learn: sharpen the instructions, use several votes for each pair and "
        "their share as a soft label, or drop close pairs.",
    ),
    "DA304": (
        "Annotators less reliable than the others",
        "For each named annotator, the share of votes that name the right side under the one-coin model of Dawid and "
        "Skene, drawn towards the mean as by 10 votes. Tested one by one: as few agreements with what the others' "
        "votes make likelier, if the annotator were 0.1 less reliable than is typical (exact); Benjamini and Hochberg "
        "over the annotators with 10 votes or more. Ties are left out.",
        "problem: an annotator with q <= 0.05; the effect is their share of the votes. ok: none, and at least half of "
        "the votes are by annotators who would be named if they tossed coins. unclear: neither. not checked: no names, "
        "or no pair with two named votes.",
        "Look at their votes; leave them out, or weigh votes by reliability, and have their pairs labelled again.",
    ),
    "DA305": (
        "Preferences go in circles",
        "Among three responses to a prompt that are all compared with each other: how often a is preferred over b, b "
        "over c and c over a. Bootstrap over prompts. Labels that are wrong with probability f at random give f (1-f), "
        "so the share says how many labels are wrong without any judge, if each pair was judged by itself (labels made "
        "from one score for each response cannot be circles); close responses count as noise here.",
        "problem: the whole interval is above 9 %, what 10 % of wrong labels give. ok: it ends below. unclear: neither,"
        " or one prompt. not checked: no three responses are all compared.",
        "More circles than the flip rate explains are no carelessness: annotators use different standards, or the "
        "preference is not a matter of one score.",
    ),
}


def rate_finding(
    fit: NoiseFit, *, judge: str, n_missing: int, witnesses: tuple[str, ...], is_given: bool = False
) -> Finding:
    """DA301; `is_given`: the judge is a reward that was named, which may be wrong wherever it is confident."""
    verdict: Verdict = "unclear"
    if fit.ceiling < NOISE_LIMIT:
        verdict = "ok"
    elif fit.low > NOISE_LIMIT and not is_given:
        verdict = "problem"
    agreement = fit.agreement
    baseline = f"{judge} agree with {agreement.estimate:.1%} [{agreement.low:.1%}, {agreement.high:.1%}] of labels; "
    baseline += f"without the model, at most {fit.ceiling:.1%} are flipped"
    tell = _GIVEN if fit.low > NOISE_LIMIT else _TELL_RATE
    action = {"problem": _ACT_ON_RATE, "unclear": tell}.get(verdict, "")
    if fit.reason and verdict != "ok":
        action = f"Not settled: {fit.reason}. {action}"
    return Finding(
        code="DA301",
        title=EXPLANATIONS["DA301"][0],
        verdict=verdict,
        effect=fit.rate,
        low=fit.low,
        high=fit.high,
        unit="share of labels",
        n_used=fit.n_pairs,
        n_missing=n_missing,
        gold="preference labels",
        baseline=baseline,
        witnesses=witnesses if verdict != "ok" else (),
        action=action,
    )


def suspects_finding(
    precision: Interval, *, k: int, n_likely: int, witnesses: tuple[str, ...], is_given: bool = False
) -> Finding:
    """DA302; k suspects, and `n_likely` pairs that are likelier wrong than right; `is_given` as in `rate_finding`."""
    verdict: Verdict = "unclear"
    if precision.low > PRECISION_LIMIT and not is_given:
        verdict = "problem"
    elif precision.high < PRECISION_LIMIT:
        verdict = "ok"
    return Finding(
        code="DA302",
        title=EXPLANATIONS["DA302"][0],
        verdict=verdict if k else "not checked",
        effect=precision.estimate,
        low=precision.low,
        high=precision.high,
        unit="share of suspects",
        n_used=k,
        gold="preference labels",
        baseline=f"the {k} likeliest; {n_likely} labels are likelier wrong than right",
        witnesses=witnesses if verdict != "ok" else (),
        action=(EXPLANATIONS["DA302"][3] if verdict != "ok" else "") if k else "No pair has a posterior: see DA301.",
    )
