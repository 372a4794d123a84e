"""What `karat audit data A B` states: which source trains the better reward, and what mixing and more pairs bring."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from karat.audit.data.compare_measure import Comparison, Contrast, Plan, Standing, contrast_of
from karat.numerics.intervals import UNDEFINED, Interval
from karat.numerics.learning_curve import LEAST_SIZES, NO_CURVE
from karat.types import Finding, Result, Table, Verdict

COMMAND = "audit data"
GOLD = "preference labels"
ALIKE = 0.02
"""Accuracy: sources that differ by less, for certain, are as good as each other."""
MIX_THAT_MATTERS = 0.01
DOUBLING_THAT_MATTERS = 0.005
NOTHING_LEARNED = 0.55
"""Accuracy at home whose interval ends below this, and holds one half, is that of a coin."""

EXPLANATIONS: dict[str, tuple[str, str, str, str]] = {
    "DA501": (
        "Which source trains the better reward",
        "Accuracy of the same reward, trained on equally many pairs of each source, on common held-out pairs whose "
        "prompts no source trains on: the mean over the --test files, or else over a held-out share of each source, so "
        "that each is at home once. Several training sets are drawn from each; the interval holds for other training "
        "sets and other prompts. The effect is the best source less the next, at 95 % for this difference alone.",
        "ok: the best source differs clearly from every other (Holm over all pairs of sources, 5 %), or no two sources "
        f"can differ by {ALIKE:g} or more. unclear: neither. not checked: a source has too few pairs or prompts.",
        "ok: train on the best, and see in the table whether it also leads away from home. unclear: more pairs, or "
        "more prompts to judge on (--test).",
    ),
    "DA502": (
        "A mixture is better than its best part",
        "Accuracy of a reward trained on half of each of two sources (or equal parts of all), less that of one trained "
        "on as many pairs of its better part alone; of the mixture that leads. The total number of pairs is the same.",
        "ok: the mixture is clearly better than each of its parts (Holm over all of these, 5 %), or no mixture can "
        f"lead its better part by {MIX_THAT_MATTERS:g} or more. unclear: neither.",
        "A mixture that is no worse than its best part is the safer choice where the prompts to come are mixed.",
    ),
    "DA503": (
        "More pairs of the same kind would help",
        "What doubling the training pairs of the best source would add to its accuracy on the --test files, or else "
        "on its own held-out share, from a curve through several training sizes: floor + b n^-c for all c from -1/2 "
        "(rising faster than the logarithm) to 2, weighted by how well each fits; the interval contains not knowing "
        "the exponent. Predicted beyond what was measured.",
        f"ok: the whole interval is above 0, or it ends below {DOUBLING_THAT_MATTERS:g}. unclear: neither. not "
        f"checked: fewer than {LEAST_SIZES} training sizes.",
        "A gain near 0: better labels or other prompts will do more than more of the same.",
    ),
    "DA504": (
        "Better data on a smaller model beats other data on a larger",
        "Accuracy of a reward trained on one source with a backbone named earlier in --backbones, less that of another "
        "source with one named later, on the same test pairs and training sets; the couple with the largest such lead.",
        "ok: it is clear (Holm over all couples, 5 %), or no such lead can be above 0. unclear: neither. not checked: "
        "fewer than two --backbones.",
        "Name backbones from small to large.",
    ),
    "DA505": (
        "Each source trains a reward that beats chance",
        "Accuracy on a source's own held-out share of a reward trained on the rest of it; of the source with the "
        "least. One half is what no training at all would give.",
        f"problem: its interval holds one half and ends below {NOTHING_LEARNED:g}. ok: every source's interval is "
        "above one half. unclear: neither. not checked: no source has a held-out share.",
        "problem: labels that such a reward cannot learn are noise, or rest on what this backbone cannot see: audit "
        "that source alone for label noise.",
    ),
}


def result_of(
    plan: Plan, n_missing: int, found: Mapping[str, Comparison], grid: Sequence[Contrast], *, is_trained: bool
) -> Result:
    """Findings, tables and values; the first backbone's comparison is the main one."""
    main = next(iter(found.values()))
    n_used = sum(test.label_N.size for test in main.tests if test.counts)
    findings = (_which(main), _mixing(main), _more(main), _size(found, grid), _learned(main))
    return Result(
        COMMAND,
        findings=tuple(_finding(code, n_used, n_missing, **facts) for code, facts in findings),
        tables=_tables(plan, found, grid, is_trained=is_trained),
        values=_values(main, grid),
        lead=_lead(main),
    )


def _finding(code: str, n_judged: int, n_missing: int, *, interval: Interval, **facts: Any) -> Finding:
    return Finding(
        code=code, title=EXPLANATIONS[code][0], effect=interval.estimate, low=interval.low, high=interval.high,
        unit="accuracy", n_missing=n_missing, gold=GOLD, **({"n_used": n_judged} | facts),
    )  # fmt: skip


_Stated = tuple[str, dict[str, Any]]


def _which(main: Comparison) -> _Stated:
    best, *others = main.sources
    family = [contrast_of(main.source_contrasts, best.mix.name, other.mix.name) for other in others]
    next_one = family[0]
    is_clear = all(each.is_clear for each in family)
    is_alike = all(
        each.difference.low > -ALIKE and each.difference.high < ALIKE
        for each in main.source_contrasts
    )  # fmt: skip
    verdict: Verdict = "ok" if is_clear or is_alike else "unclear"
    actions = {
        True: f"Train on {best.mix.name}." if is_clear else "They train equally good rewards: choose by cost.",
        False: "More pairs to train on, or more prompts to judge on (--test), would tell them apart.",
    }
    told = ", ".join(f"{each.mix.name} {each.score.estimate:.3f}" for each in main.sources)
    baseline = f"{told}; {main.size} training pairs each, {main.n_draws} training sets; best less {next_one.right}"
    return "DA501", {
        "verdict": verdict, "interval": next_one.difference, "action": actions[verdict == "ok"], "baseline": baseline,
    }  # fmt: skip


def _mixing(main: Comparison) -> _Stated:
    if not main.mixtures:
        return "DA502", {"verdict": "not checked", "interval": UNDEFINED, "action": "needs two sources"}
    best = main.mixtures[0]
    own = [each for each in main.mix_contrasts if each.left == best.mix.name]
    leads = [_lead_over_parts(main, mixture) for mixture in main.mixtures]
    lead, better = leads[0]
    helps = all(each.is_clear and each.difference.low > 0 for each in own)
    is_useless = all(each.difference.high < MIX_THAT_MATTERS for each, _ in leads)
    verdict: Verdict = "ok" if helps or is_useless else "unclear"
    actions = {
        "ok": f"Mix: {best.mix.name}." if helps else "No mixture of this size does better than its better part alone.",
        "unclear": "More prompts to judge on would tell.",
    }
    baseline = f"{best.mix.name} {best.score.estimate:.3f}, {better.mix.name} alone {better.score.estimate:.3f}"
    return "DA502", {
        "verdict": verdict, "interval": lead.difference, "action": actions[verdict], "baseline": baseline,
    }  # fmt: skip


def _lead_over_parts(main: Comparison, mixture: Standing) -> tuple[Contrast, Standing]:
    """The mixture less its better part, and that part."""
    parts = {each.right for each in main.mix_contrasts if each.left == mixture.mix.name}
    better = next(standing for standing in main.sources if standing.mix.name in parts)
    return contrast_of(main.mix_contrasts, mixture.mix.name, better.mix.name), better


def _more(main: Comparison) -> _Stated:
    name = main.sources[0].mix.name
    curve = main.curves.get(name, NO_CURVE)
    if math.isnan(curve.gain.low):
        why = f"needs {LEAST_SIZES} training sizes: more pairs, or --sizes"
        return "DA503", {"verdict": "not checked", "interval": UNDEFINED, "action": why}
    gain = curve.gain
    verdict: Verdict = "ok" if gain.low > 0 or gain.high < DOUBLING_THAT_MATTERS else "unclear"
    actions = {
        True: f"More pairs like {name} help."
        if gain.low > 0
        else f"More pairs like {name} will hardly help: better labels, other prompts or a larger model may.",
        False: "Not to be told from these sizes: more pairs, or more prompts to judge on.",
    }
    told = ", ".join(f"{each} {other.gain.estimate:+.3f}" for each, other in main.curves.items() if each != name)
    baseline = f"{name}, from {curve.at:.0f} to {2 * curve.at:.0f} pairs, {curve.form}" + (f"; {told}" if told else "")
    return "DA503", {
        "verdict": verdict, "interval": gain, "action": actions[verdict == "ok"], "baseline": baseline,
    }  # fmt: skip


def _size(found: Mapping[str, Comparison], grid: Sequence[Contrast]) -> _Stated:
    if not grid:
        why = "needs --backbones SMALL,LARGE"
        return "DA504", {"verdict": "not checked", "interval": UNDEFINED, "action": why, "n_used": 0}
    lead = max(grid, key=lambda each: each.difference.estimate)
    wins = lead.is_clear and lead.difference.low > 0
    verdict: Verdict = "ok" if wins or all(each.difference.high < 0 for each in grid) else "unclear"
    actions = {
        True: "Better data is worth more than the larger backbone here." if wins else "The larger backbone wins.",
        False: "More prompts to judge on would tell.",
    }
    baseline = f"{lead.left} less {lead.right}; backbones {', '.join(found)}"
    return "DA504", {
        "verdict": verdict, "interval": lead.difference, "action": actions[verdict == "ok"], "baseline": baseline,
    }  # fmt: skip


def learned_verdict(accuracy: Interval) -> Verdict:
    """Of one source at home: see DA505."""
    if accuracy.low > 0.5:
        return "ok"
    return "problem" if accuracy.high < NOTHING_LEARNED else "unclear"


def _learned(main: Comparison) -> _Stated:
    home = {
        standing.mix.name: (main.cells[standing.mix.name, test.name][0], test)
        for standing in main.sources
        for test in main.tests
        if (test.home,) == standing.mix.parts
    }
    if not home:
        why = "no source has a held-out share that is large enough"
        return "DA505", {"verdict": "not checked", "interval": UNDEFINED, "action": why, "n_used": 0}
    worst = min(home, key=lambda name: home[name][0].estimate)
    least, test = home[worst]
    verdicts = {name: learned_verdict(each) for name, (each, _) in home.items()}
    bad = [name for name, found in verdicts.items() if found == "problem"]
    verdict: Verdict = "problem" if bad else "unclear" if "unclear" in verdicts.values() else "ok"
    actions = {
        "problem": f"Audit {', '.join(bad)} alone: nothing can be learned from its labels this way.",
        "unclear": "More pairs to train on, or more prompts to judge on.",
    }
    return "DA505", {
        "verdict": verdict, "interval": least, "action": actions.get(verdict, ""), "n_used": test.label_N.size,
        "baseline": f"one half; least of all: {worst}",
    }  # fmt: skip


# -------------------------------------------------------------------------------------------------------------- tables
def _tables(
    plan: Plan, found: Mapping[str, Comparison], grid: Sequence[Contrast], *, is_trained: bool
) -> tuple[Table, ...]:
    model, main = next(iter(found.items()))
    tables = [_ranks(main, model, is_trained=is_trained), _cells(main), _test_sets(plan, main)]
    if main.ladders:
        tables += [_curve_points(main), _curve_fits(main)]
    if grid:
        tables += [_grid(found), _grid_contrasts(grid)]
    return tuple(tables)


def _ends(interval: Interval) -> tuple[float, float, float]:
    return interval.estimate, interval.low, interval.high


def _ranks(main: Comparison, model: str, *, is_trained: bool) -> Table:
    best = main.standings[0]

    def less_best(standing: Standing) -> tuple[float, float, float]:
        if standing is best:
            return 0.0, math.nan, math.nan
        return _ends(contrast_of(main.contrasts, standing.mix.name, best.mix.name).difference)

    rows = tuple(
        (each.mix.name, each.group, main.size, *_ends(each.score), *_ends(each.loss), *less_best(each))
        for each in main.standings
    )
    columns = (
        "trained_on", "group", "pairs", "accuracy", "low", "high", "nll", "nll_low", "nll_high", "less_best",
        "less_best_low", "less_best_high",
    )  # fmt: skip
    judged = ", ".join(test.name for test in main.tests if test.counts)
    kind = "Whole reward models" if is_trained else "Bradley-Terry heads on frozen hidden states"
    note = (
        f"{kind} of {model}, {main.n_draws} training sets of {main.size} pairs each; mean over {judged}, each counted "
        "once. Mixtures hold equal parts. Those that share a letter are not clearly different (Holm over all pairs, "
        "5 %); intervals are 95 % each, for other training sets and other prompts. nll: nats."
    )
    return Table("compare_ranks", "Which training pairs give the better reward", columns, rows, note)


def _cells(main: Comparison) -> Table:
    rows = []
    for standing in main.standings:
        for test in main.tests:
            accuracy, loss = main.cells[standing.mix.name, test.name]
            at_home = "no" if test.home not in standing.mix.parts else "yes" if len(standing.mix.parts) == 1 else "part"
            rows.append((standing.mix.name, test.name, at_home, *_ends(accuracy), *_ends(loss)))
    columns = ("trained_on", "tested_on", "at_home", "accuracy", "low", "high", "nll", "nll_low", "nll_high")
    note = (
        "at_home: the test pairs are a held-out share of the source that was trained on, by prompt; part: of one of "
        "them. A source is expected to do best at home; away from home says what carries over."
    )
    return Table("compare_cells", "Trained on, tested on", columns, tuple(rows), note)


def _test_sets(plan: Plan, main: Comparison) -> Table:
    rows = tuple(
        (
            test.name, plan.names[test.home] if test.home >= 0 else "-", int(test.label_N.size),
            len(set(test.prompt_N.tolist())), int((test.label_N == 0.5).sum()), test.n_removed,
            "yes" if test.counts else "no",
        )
        for test in main.tests
    )  # fmt: skip
    columns = ("test_set", "home", "pairs", "prompts", "ties", "removed", "ranked_on")
    note = (
        "removed: because a training source has their prompt (but for case and white space), or nearly the same pair. "
        "Ties count in nll only."
    )
    return Table("compare_tests", "What is judged on", columns, rows, note)


def _curve_points(main: Comparison) -> Table:
    rows = []
    for name, (sizes, accuracy, loss) in main.ladders.items():
        for column, size in enumerate(sizes):
            rows.append((name, size, *_ends(accuracy.interval(column)), *_ends(loss.interval(column))))
    columns = ("source", "pairs", "accuracy", "low", "high", "nll", "nll_low", "nll_high")
    note = "Judged on the --test files, or else at home. Smaller training sets are parts of larger ones."
    return Table("compare_curve", "Learning curves", columns, tuple(rows), note)


def _curve_fits(main: Comparison) -> Table:
    rows = []
    for name, curve in main.curves.items():
        loss = main.loss_curves[name]
        rows.append(
            (
                name, curve.form, curve.exponent, curve.exponent_low, curve.exponent_high, curve.floor, curve.scale,
                curve.at, *_ends(curve.gain), *_ends(loss.gain),
            )
        )  # fmt: skip
    columns = (
        "source", "form", "exponent", "exponent_low", "exponent_high", "floor", "scale", "pairs", "doubling",
        "doubling_low", "doubling_high", "nll_doubling", "nll_doubling_low", "nll_doubling_high",
    )  # fmt: skip
    note = (
        "accuracy = floor + scale n^-exponent (the most likely; exponent 0: log-linear, below: rising faster), with "
        "the range that holds 90 % of the weight. doubling: predicted change from twice the training pairs."
    )
    return Table("compare_doubling", "What more pairs would bring", columns, tuple(rows), note)


def _grid(found: Mapping[str, Comparison]) -> Table:
    rows = tuple(
        (standing.mix.name, model, *_ends(standing.score), *_ends(standing.loss))
        for model, each in found.items()
        for standing in each.sources
    )
    columns = ("trained_on", "backbone", "accuracy", "low", "high", "nll", "nll_low", "nll_high")
    return Table("compare_grid", "Data against size", columns, rows, "Backbones in the order in which they were named.")


def _grid_contrasts(grid: Sequence[Contrast]) -> Table:
    rows = tuple((each.left, each.right, *_ends(each.difference), each.p_value) for each in grid)
    columns = ("smaller", "larger", "difference", "low", "high", "p")
    return Table("compare_size", "Other data, larger model", columns, rows, "p after Holm over these rows.")


# -------------------------------------------------------------------------------------------------------------- values
def _values(main: Comparison, grid: Sequence[Contrast]) -> dict[str, Any]:
    best = main.sources[0].mix.name
    lead = contrast_of(main.source_contrasts, best, main.sources[1].mix.name)
    return {
        "compare_size": main.size,
        "compare_draws": main.n_draws,
        "compare_best": best,
        "compare_accuracy": {each.mix.name: each.score.estimate for each in main.standings},
        "compare_nll": {each.mix.name: each.loss.estimate for each in main.standings},
        "compare_group": {each.mix.name: each.group for each in main.standings},
        "compare_lead": lead.difference.estimate,
        "compare_lead_low": lead.difference.low,
        "compare_lead_high": lead.difference.high,
        "compare_lead_p": lead.p_value,
        "compare_nll_difference": {
            f"{each.left} less {each.right}": each.difference.estimate for each in main.loss_contrasts
        },
        "compare_doubling": {name: curve.gain.estimate for name, curve in main.curves.items()},
        "compare_doubling_low": {name: curve.gain.low for name, curve in main.curves.items()},
        "compare_doubling_high": {name: curve.gain.high for name, curve in main.curves.items()},
        "compare_grid": {f"{each.left} less {each.right}": each.difference.estimate for each in grid},
    }


def _lead(main: Comparison) -> str:
    best, other = main.sources[:2]
    contrast = contrast_of(main.source_contrasts, best.mix.name, other.mix.name)
    gap = f"{contrast.difference.estimate:.1%} [{contrast.difference.low:.1%}, {contrast.difference.high:.1%}]"
    scores = f"{best.score.estimate:.1%} of held-out pairs against {other.score.estimate:.1%} for {other.mix.name}"
    if contrast.is_clear:
        return f"At {main.size} training pairs {best.mix.name} trains the better reward: {scores}, {gap} more."
    return (
        f"At {main.size} training pairs no clear difference between {best.mix.name} and {other.mix.name}: {scores}, "
        f"{gap} apart."
    )
