"""What `karat audit reward` states of benchmarks: RW601 to RW605, and their tables."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from karat.audit.reward.benchmarks.compare import ALPHA, PairedNumber, Ranked
from karat.audit.reward.benchmarks.items import Benchmark, StepBenchmark
from karat.audit.reward.benchmarks.scoring import Number
from karat.audit.reward.benchmarks.steps import StepNumber
from karat.numerics.intervals import Interval
from karat.types import Finding, Table, Verdict

GAIN_THAT_MATTERS = 0.05
"""Less above a blind rule is as good as nothing, as in RM101."""
STYLE_THAT_MATTERS = 0.1
"""Accuracy lost from RM-Bench's easy cells to its hard ones."""
MISSING_LIMIT = 0.01
MOST_NAMED = 5
MOST_REASONS = 20

EXPLANATIONS: dict[str, tuple[str, str, str, str]] = {
    "RW601": (
        "Score on a benchmark",
        "The benchmark's own score, by the formula that the table prints, with an interval clustered by prompt. A tie "
        "counts its share (one half of a pair); missing scores are left out, and the table bounds what they could make "
        "of it. Beside it: what the longest response, the shortest, and chance get by the same formula on the same "
        "items.",
        "ok: surely above the best of these blind rules (paired, bootstrap over prompts), and at most 1 % of the "
        "comparisons are missing. problem: not surely above it, and surely less than 0.05 above; where more are "
        "missing, even if all of them were won. unclear: neither. not checked: the file cannot be read, or the reward "
        "cannot be scored on it.",
        "problem: on these items the reward is no better than a rule that reads nothing; do not optimise it for such "
        "prompts. unclear: more items, or a benchmark of your own prompts.",
    ),
    "RW602": (
        "Style outweighs substance",
        "RM-Bench: accuracy where the right response has the fancier style, less the accuracy where the wrong one has "
        "it. The same responses in three styles, so that content is held fixed. Bootstrap over prompts.",
        "ok: the interval ends below 0.1. problem: it lies above 0.1. unclear: neither.",
        "problem: an optimised policy will write lists and bold type for it. Train on pairs balanced in style, or "
        "calibrate the reward for style (--fix style). unclear: more items.",
    ),
    "RW603": (
        "Worse than chance on a subset",
        "Each subset's score against what chance gets in its format, with intervals that hold over all subsets at once "
        "(Bonferroni). Shown is the lowest subset, relative to its chance.",
        "problem: some subset is surely below chance. ok: all are surely above it. unclear: neither.",
        "problem: the reward pays for what these pairs call wrong: read some of them. unclear: none is surely below "
        "chance, but not all are surely above it either: more items.",
    ),
    "RW604": (
        "Compared with another reward",
        "The difference of the two scores on the items that both scored, paired by prompt, and an exact paired test: "
        "McNemar's where each prompt holds one comparison, else all sign changes of whole prompts. The verdict follows "
        "the test, which near 5 % may differ from the interval. Leads on single subsets are named at 5 % over all "
        "subsets (Holm).",
        "ok: the first is surely better. problem: the second is. unclear: they cannot be told apart.",
        "problem: take the other reward, unless the subsets that matter to you say otherwise. unclear: do not call "
        "either the better one; the action says what difference these items can show.",
    ),
    "RW605": (
        "Rank among rewards",
        "All rewards that were given, by their score on one benchmark, with intervals of their ranks from exact paired "
        "tests of all pairs, adjusted together (Holm). Those whose interval begins at 1 cannot be told from the best.",
        "ok: none is surely better than the first reward. problem: some are. unclear: none is, nor is it surely better "
        "than any.",
        "problem: the table names those that are. unclear: these items do not order the rewards.",
    ),
}  # fmt: skip


def _advice(code: str, verdict: Verdict) -> str:
    """What the explanation says to do for a verdict; empty where it says nothing."""
    text = EXPLANATIONS[code][3]
    found = re.search(rf"{verdict}: (.*?)(?= (?:problem|unclear): |$)", text)
    return f"{found[1][:1].upper()}{found[1][1:]}" if found else ""


def score_finding(
    name: str, number: Number | StepNumber, gain: Interval, rule: str, *, gold: str, n_missing: int
) -> Finding:
    """RW601 of one benchmark."""
    interval = number.interval
    verdict: Verdict = "unclear"
    few_missing = n_missing <= MISSING_LIMIT * max(1, number.n + n_missing)
    most_gained = number.best - (interval.estimate - gain.estimate)  # if every missing comparison were won
    if number.n == 0:
        verdict = "not checked"
    elif gain.low > 0 and few_missing:
        verdict = "ok"
    elif not gain.low > 0 and gain.high < GAIN_THAT_MATTERS and (few_missing or most_gained < GAIN_THAT_MATTERS):
        verdict = "problem"
    told = ", ".join(f"{each} {value:.3f}" for each, value in number.blind.items() if value == value)
    extra = f"; {rule} by {gain.estimate:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]" if rule and number.n else ""
    action = _advice("RW601", verdict)
    if number.n == 0:
        action = "Nothing was scored: see the reasons in the table of missing scores, or name another reward."
    elif not few_missing:
        action = (
            f"{n_missing} comparisons are missing; if all were lost the score would be {number.worst:.3f}, if all were "
            f"won {number.best:.3f}. {action}"
        )
    return Finding(
        code="RW601",
        title=f"{name}: score",
        verdict=verdict,
        effect=interval.estimate,
        low=interval.low,
        high=interval.high,
        unit="score",
        n_used=number.n,
        n_missing=n_missing,
        gold=gold,
        baseline=f"{told}{extra}",
        action="" if verdict == "ok" else action,
    )


def style_finding(name: str, gap: Interval, n: int, hard: float, *, gold: str) -> Finding:
    """RW602, of a benchmark with style levels."""
    verdict: Verdict = "unclear"
    if gap.low > STYLE_THAT_MATTERS:
        verdict = "problem"
    elif gap.high < STYLE_THAT_MATTERS:
        verdict = "ok"
    return Finding(
        code="RW602",
        title=f"{name}: style",
        verdict=verdict,
        effect=gap.estimate,
        low=gap.low,
        high=gap.high,
        unit="accuracy lost",
        n_used=n,
        gold=gold,
        baseline=f"accuracy where the wrong response has the fancier style: {hard:.3f}",
        action=_advice("RW602", verdict),
    )


def chance_finding(name: str, subsets: Sequence[tuple[Number, Interval]], *, gold: str) -> Finding | None:
    """RW603: subsets below chance, given intervals that hold over all of them; None for fewer than two subsets."""
    known = [
        (number, wide) for number, wide in subsets if number.n and number.blind["chance"] == number.blind["chance"]
    ]
    if len(subsets) < 2 or not known:
        return None
    below = [number for number, wide in known if wide.high < number.blind["chance"]]
    above = [number for number, wide in known if wide.low > number.blind["chance"]]
    worst, wide = min(known, key=lambda pair: pair[0].interval.estimate - pair[0].blind["chance"])
    chance = worst.blind["chance"]
    verdict: Verdict = "problem" if below else "ok" if len(above) == len(subsets) else "unclear"
    named = ", ".join(f"{n.aggregate.name} {n.interval.estimate:.3f}" for n in below[:MOST_NAMED])
    action = _advice("RW603", verdict)
    return Finding(
        code="RW603",
        title=f"{name}: subset below chance",
        verdict=verdict,
        effect=worst.interval.estimate - chance,
        low=wide.low - chance,
        high=wide.high - chance,
        unit="score above chance",
        n_used=worst.n,
        n_missing=worst.n_missing,
        gold=gold,
        baseline=f"lowest of {len(subsets)} subsets: {worst.aggregate.name or '(none)'}, chance {chance:.3f}",
        action=f"Below chance: {named}. {action}" if below else action,
    )


def compared_finding(name: str, other: str, pair: PairedNumber, leads: tuple[str, ...], *, gold: str) -> Finding:
    """RW604 of a pair of rewards on one benchmark."""
    gap, p, n = pair.gap, pair.p_adjusted, pair.n
    verdict: Verdict = "unclear"
    if n == 0:
        verdict = "not checked"
    elif p <= ALPHA:
        verdict = "ok" if gap.estimate > 0 else "problem"
    told = f"p {p:.2g}" if p == p else "p undefined"
    if pair.only_left is not None:
        told += f"; better on {pair.only_left} comparisons, worse on {pair.only_right}"
    action = _advice("RW604", verdict)
    half = (gap.high - gap.low) / 2
    if verdict == "unclear" and math.isfinite(half):
        action = f"These items can show a difference of about {1.43 * half:.3f} (four times in five). {action}"
    if verdict == "not checked":
        action = "The two rewards have no scored item in common."
    return Finding(
        code="RW604",
        title=f"{name}: against {other}",
        verdict=verdict,
        effect=gap.estimate,
        low=gap.low,
        high=gap.high,
        unit="score gained",
        n_used=n,
        gold=gold,
        baseline=told,
        witnesses=leads[:3],
        action="" if verdict == "ok" else action,
    )


def rank_finding(name: str, mine: str, ranked: Sequence[Ranked], *, gold: str) -> Finding:
    """RW605 of one benchmark."""
    me = next(each for each in ranked if each.name == mine)
    verdict: Verdict = "unclear"
    if me.rank_low > 1:
        verdict = "problem"
    elif me.rank_high < len(ranked):
        verdict = "ok"
    best = [each.name for each in ranked if each.rank_low == 1]
    more = f" and {len(best) - MOST_NAMED} more" if len(best) > MOST_NAMED else ""
    place = 1 + sum(each.score.estimate > me.score.estimate for each in ranked)
    place = min(max(place, me.rank_low), me.rank_high)  # where scores are missing the two rest on different items
    return Finding(
        code="RW605",
        title=f"{name}: rank of {len(ranked)}",
        verdict=verdict,
        effect=float(place),
        low=float(me.rank_low),
        high=float(me.rank_high),
        unit="rank",
        n_used=me.n,
        n_missing=me.n_missing,
        gold=gold,
        baseline=f"not told from the best: {', '.join(best[:MOST_NAMED])}{more}",
        action=_advice("RW605", verdict),
    )


# --------------------------------------------------------------------------------------------------------------- tables
_NUMBER_COLUMNS = (
    "part", "level", "score", "low", "high", "n", "prompts", "ties", "ties lost", "ties won", "missing",
    "missing lost", "missing won", "longest", "shortest", "chance",
)  # fmt: skip


def number_table(key: str, benchmark: Benchmark, reward: str, numbers: Sequence[Number]) -> Table:
    """Every number of a benchmark for one reward; the note prints the formula."""
    rows = tuple(
        (
            number.aggregate.name,
            number.aggregate.level,
            number.interval.estimate,
            number.interval.low,
            number.interval.high,
            number.n,
            number.n_clusters,
            number.n_ties,
            number.ties_lost,
            number.ties_won,
            number.n_missing,
            number.worst,
            number.best,
            *(number.blind[rule] for rule in ("longest", "shortest", "chance")),
        )
        for number in numbers
    )
    notes = "".join(f" {note}." for note in benchmark.notes)
    return Table(
        f"benchmark_{key}",
        f"{benchmark.name}: {reward}",
        _NUMBER_COLUMNS,
        rows,
        f"{_sentence(benchmark.formula)}{notes}",
    )


def step_table(
    key: str,
    benchmark: StepBenchmark,
    reward: str,
    numbers: Sequence[StepNumber],
    thresholds: dict[str, float],
    tuning: str,
) -> Table:
    """Every number of a step benchmark."""
    columns = (
        "part", "level", "score", "low", "high", "n", "problems", "missing", "missing lost", "missing won", "longest",
        "shortest", "chance", "threshold",
    )  # fmt: skip
    rows = tuple(
        (
            number.name, number.level, number.interval.estimate, number.interval.low, number.interval.high, number.n,
            number.interval.n_clusters, number.n_missing, number.worst, number.best, number.blind["longest"],
            number.blind["shortest"], number.blind["chance"],
            thresholds.get(number.name, next(iter(thresholds.values())) if len(thresholds) == 1 else math.nan),
        )
        for number in numbers
    )  # fmt: skip
    notes = "".join(f" {note}." for note in benchmark.notes)
    return Table(
        f"benchmark_{key}",
        f"{benchmark.name}: {reward}",
        columns,
        rows,
        f"{_sentence(benchmark.formula)} Threshold: {tuning}. longest: long steps are called wrong; shortest: "
        f"short ones.{notes}",
    )


def pair_table(key: str, name: str, mine: str, other: str, numbers: Sequence[PairedNumber]) -> Table:
    """Two rewards on every part of a benchmark."""
    columns = ("part", "level", "difference", "low", "high", "n", "better", "worse", "p", "p (Holm)")
    rows = tuple(
        (
            each.aggregate.name,
            each.aggregate.level,
            each.gap.estimate,
            each.gap.low,
            each.gap.high,
            each.n,
            each.only_left,
            each.only_right,
            each.p_value,
            each.p_adjusted,
        )
        for each in numbers
    )
    note = "Exact paired tests, prompts kept whole; p of subsets adjusted over all subsets (Holm)."
    return Table(f"benchmark_{key}_paired", f"{name}: {mine} less {other}", columns, rows, note)


def rank_table(key: str, name: str, part: str, ranked: Sequence[Ranked]) -> Table:
    """Rewards, best first, with the intervals of their ranks."""
    columns = ("reward", "score", "low", "high", "n", "missing", "rank from", "rank to", "not told from the best")
    rows = tuple(
        (
            each.name,
            each.score.estimate,
            each.score.low,
            each.score.high,
            each.n,
            each.n_missing,
            each.rank_low,
            each.rank_high,
            "yes" if each.rank_low == 1 else "",
        )
        for each in ranked
    )
    note = "Ranks: simultaneous 95 % intervals from exact paired tests of all pairs (Holm). Score intervals are single."
    return Table(f"benchmark_{key}_ranks", f"{name}, {part}: ranks", columns, rows, note)


def missing_table(key: str, name: str, reasons: Counter[str]) -> tuple[Table, ...]:
    """Why scores are missing, the most frequent reasons first; none where none is."""
    if not reasons:
        return ()
    rows = tuple(reasons.most_common(MOST_REASONS))
    return (Table(f"benchmark_{key}_missing", f"{name}: why scores are missing", ("reason", "count"), rows),)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
