"""The benchmarks part of `karat audit reward`: read, score, compare, state."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from karat.audit.parts import Progress, attempt
from karat.audit.reward.benchmarks import findings as state
from karat.audit.reward.benchmarks.columns import column_rewards, is_column, item_scores, load_any, step_scores
from karat.audit.reward.benchmarks.compare import ALPHA, PairedNumber, Ranked, compare, compare_steps, rank, rank_steps
from karat.audit.reward.benchmarks.items import Aggregate, Benchmark, StepBenchmark
from karat.audit.reward.benchmarks.reading import AnyBenchmark, read_benchmarks
from karat.audit.reward.benchmarks.scoring import (
    BLIND_RULES,
    Layout,
    Number,
    Outcomes,
    blind_outcomes,
    difference_of,
    interval_of,
    layout_of,
    number_of,
    outcomes_of,
)
from karat.audit.reward.benchmarks.steps import StepOutcomes, blind_step_outcomes, step_numbers, step_outcomes
from karat.audit.reward.benchmarks.thresholds import StoredThreshold, asked_for, write_thresholds
from karat.audit.reward.config import AuditRewardConfig
from karat.errors import DataError, InputError, ResourceError
from karat.numerics.intervals import UNDEFINED, Interval
from karat.rewards.protocol import Reward
from karat.types import Finding, Result

COMMAND = "audit reward"
GOLD = "benchmark labels"


@dataclass(frozen=True, slots=True)
class _Run:
    """What all benchmarks of a call share."""

    reward: Reward
    against: Reward | None
    config: AuditRewardConfig
    rng: np.random.Generator
    progress: Progress | None
    tuned: dict[str, StoredThreshold] = field(default_factory=dict)
    """By benchmark: the threshold of steps that was tuned on one subset."""

    @property
    def rival_names(self) -> str:
        """What the reward is compared with; empty: nothing."""
        return self.against.name if self.against is not None else self.config.against

    def rivals(self, benchmark: AnyBenchmark) -> list[Reward]:
        """Raises: DataError: the benchmark holds none of the columns that are asked for."""
        if self.against is not None:
            return [self.against]
        columns = column_rewards(self.config.against, benchmark.column_names)
        found: list[Reward] = [rival for rival in columns if rival.name != self.reward.name]
        if not found:
            known = ", ".join(benchmark.column_names) or "none"
            raise DataError(
                f"{benchmark.name}: nothing to compare with: {self.config.against!r}; its score columns: {known}."
            )
        return found


def audit_benchmarks(
    reward: Reward,
    *,
    config: AuditRewardConfig,
    against: Reward | None = None,
    rng: np.random.Generator,
    progress: Progress | None = None,
    out: Path | None = None,
) -> Result:
    """Score a reward on every benchmark of config.benchmarks, beside blind rules and the rewards of config.against.

    A benchmark that cannot be read, or on which the reward cannot be scored, is "not checked" with its reason; the
    others go on. A threshold of steps that was tuned on one subset is stored in `out`.
    """
    if against is None and config.against and not is_column(config.against):
        against = load_any(config.against, max_length=config.max_length)
    run = _Run(reward, against, config, rng, progress)
    results: list[Result] = []
    taken: set[str] = set()
    for spec in (part.strip() for part in config.benchmarks.split(",")):
        if not spec:
            continue
        try:
            found = read_benchmarks(spec, split=config.split)
        except (InputError, DataError, ResourceError) as error:
            results.append(_not_checked(spec, str(error)))
            continue
        for benchmark in found:
            key = _key(benchmark.name, taken)
            part: Callable[..., Result] = _steps if isinstance(benchmark, StepBenchmark) else _responses
            results.append(attempt(COMMAND, "RW601", f"{benchmark.name}: score", partial(part, benchmark, key, run)))
    joined = _joined(results)
    files = (str(write_thresholds(out, run.tuned)),) if out is not None and run.tuned else ()
    return replace(joined, files=files)


def _joined(results: Sequence[Result]) -> Result:
    return Result(
        COMMAND,
        findings=tuple(finding for result in results for finding in result.findings),
        tables=tuple(table for result in results for table in result.tables),
        values={name: value for result in results for name, value in result.values.items()},
        provenance={name: value for result in results for name, value in result.provenance.items()},
    )


def _beside_rivals(alone: Result, benchmark: AnyBenchmark, run: _Run, compared: Callable[[], Result]) -> Result:
    """A benchmark's result with the comparison, where one is asked for; where it fails, that alone is not checked."""
    if not run.rival_names:
        return alone
    return _joined([alone, attempt(COMMAND, "RW604", f"{benchmark.name}: against {run.rival_names}", compared)])


def _not_checked(spec: str, reason: str) -> Result:
    return Result(COMMAND, findings=(Finding("RW601", f"{spec}: score", "not checked", action=reason),))


def _key(name: str, taken: set[str]) -> str:
    """A stable, unique name for values and tables: letters, digits and underscores."""
    stem = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    key, number = stem, 2
    while key in taken:
        key, number = f"{stem}_{number}", number + 1
    taken.add(key)
    return key


# ------------------------------------------------------------------------------------------------------------ responses
def _responses(benchmark: Benchmark, key: str, run: _Run) -> Result:
    layout = layout_of(benchmark)
    mine, reasons = _outcomes(run.reward, benchmark, layout, run)
    blind = blind_outcomes(benchmark, layout, run.rng)
    numbers = [
        number_of(aggregate, layout, mine, blind, rng=run.rng, resamples=run.config.resamples)
        for aggregate in benchmark.aggregates
    ]
    head = numbers[0]
    rule, gain = _gain(head, layout, mine, blind, run)
    found = [
        state.score_finding(benchmark.name, head, gain, rule, gold=GOLD, n_missing=int(np.sum(~mine.is_scored))),
        *_style(benchmark, layout, mine, numbers, run),
        *_below_chance(benchmark, layout, mine, numbers, run),
    ]
    tables = [
        state.number_table(key, benchmark, run.reward.name, numbers),
        *state.missing_table(key, benchmark.name, reasons),
    ]
    values = _values(key, head.interval, head.n, head.n_missing, head.blind)
    alone = Result(COMMAND, findings=tuple(found), tables=tuple(tables), values=values)
    return _beside_rivals(alone, benchmark, run, partial(_compared, benchmark, key, layout, mine, run))


def _outcomes(reward: Reward, benchmark: Benchmark, layout: Layout, run: _Run) -> tuple[Outcomes, Counter[str]]:
    found = item_scores(reward, benchmark, progress=run.progress)
    return outcomes_of(layout, benchmark.items, found.scores, tie_tol=run.config.tie_tol), found.reasons


def _gain(head: Number, layout: Layout, mine: Outcomes, blind: dict[str, Outcomes], run: _Run) -> tuple[str, Interval]:
    """The blind rule that gets most, and what the reward gets above it, paired."""
    known = {rule: head.blind[rule] for rule in BLIND_RULES if head.blind[rule] == head.blind[rule]}
    if not known or head.n == 0:
        return "", UNDEFINED
    rule = max(known, key=lambda name: known[name])
    gain = difference_of(
        head.aggregate, layout, mine.value_P, blind[rule].value_P, rng=run.rng, resamples=run.config.resamples
    )
    return f"above {rule}", gain


def _style(benchmark: Benchmark, layout: Layout, mine: Outcomes, numbers: Sequence[Number], run: _Run) -> list[Finding]:
    """RW602 where there are easy and hard cells: one aggregate whose weights are those of easy less those of hard."""
    named = {aggregate.name: aggregate for aggregate in benchmark.aggregates if aggregate.level == "section"}
    if benchmark.kind != "rm-bench" or not {"easy", "hard"} <= named.keys():
        return []
    weights = dict(named["easy"].weights)
    weights |= {cell: -weight for cell, weight in named["hard"].weights.items()}
    gap = Aggregate(name="easy less hard", level="style", weights=weights)
    nothing = np.zeros_like(mine.value_P)
    found = difference_of(gap, layout, mine.value_P, nothing, rng=run.rng, resamples=run.config.resamples)
    hard = next(number for number in numbers if number.aggregate.name == "hard")
    return [state.style_finding(benchmark.name, found, hard.n, hard.interval.estimate, gold=GOLD)]


def _below_chance(
    benchmark: Benchmark, layout: Layout, mine: Outcomes, numbers: Sequence[Number], run: _Run
) -> list[Finding]:
    """RW603: each subset with an interval that holds over all of them."""
    subsets = [number for number in numbers if number.aggregate.level == "subset"]
    level = 1 - ALPHA / max(1, len(subsets))
    wide = [
        (
            number,
            interval_of(
                number.aggregate, layout, mine.value_P, rng=run.rng, resamples=run.config.resamples, level=level
            ),
        )
        for number in subsets
    ]
    finding = state.chance_finding(benchmark.name, wide, gold=GOLD)
    return [finding] if finding else []


def _compared(benchmark: Benchmark, key: str, layout: Layout, mine: Outcomes, run: _Run) -> Result:
    """RW604 for one rival, RW605 for several."""
    head, name = benchmark.aggregates[0], benchmark.name
    rivals, resamples = run.rivals(benchmark), run.config.resamples
    theirs = [_outcomes(rival, benchmark, layout, run)[0] for rival in rivals]
    if len(rivals) > 1:
        names = [run.reward.name, *(rival.name for rival in rivals)]
        ranked = rank(names, [mine, *theirs], head, layout, rng=run.rng, resamples=resamples)
        return _ranks(name, key, head.name, ranked, run)
    parts = [each for each in benchmark.aggregates if each.level != "style"]
    numbers = compare(parts, layout, mine, theirs[0], rng=run.rng, resamples=resamples)
    leads = _leads(numbers, run.reward.name, rivals[0].name)
    return Result(
        COMMAND,
        findings=(state.compared_finding(name, rivals[0].name, numbers[0], leads, gold=GOLD),),
        tables=(state.pair_table(key, name, run.reward.name, rivals[0].name, numbers),),
        values={f"benchmark_{key}_gap": numbers[0].gap.estimate, f"benchmark_{key}_gap_p": numbers[0].p_adjusted},
    )


def _ranks(name: str, key: str, part: str, ranked: Sequence[Ranked], run: _Run) -> Result:
    """RW605, its table and values."""
    me = next(each for each in ranked if each.name == run.reward.name)
    return Result(
        COMMAND,
        findings=(state.rank_finding(name, run.reward.name, ranked, gold=GOLD),),
        tables=(state.rank_table(key, name, part, ranked),),
        values={
            f"benchmark_{key}_rank_low": me.rank_low,
            f"benchmark_{key}_rank_high": me.rank_high,
            f"benchmark_{key}_leaders": sum(each.rank_low == 1 for each in ranked),
        },
    )


def _leads(numbers: Sequence[PairedNumber], mine: str, other: str) -> tuple[str, ...]:
    """Who surely leads on which subsets."""
    told = []
    for each in numbers:
        if each.aggregate.level == "subset" and each.p_adjusted <= ALPHA:
            who = mine if each.gap.estimate > 0 else other
            told.append(f"{who} leads on {each.aggregate.name} by {abs(each.gap.estimate):.3f}")
    return tuple(told)


# ---------------------------------------------------------------------------------------------------------------- steps
def _steps(benchmark: StepBenchmark, key: str, run: _Run) -> Result:
    resamples, seed, asked = run.config.resamples, run.config.seed, asked_for(run.config.step_threshold, benchmark.name)
    scored = step_scores(run.reward, benchmark, progress=run.progress)
    mine = step_outcomes(benchmark, scored.scores, threshold=asked.text, tuned_on=asked.subset, seed=seed)
    blind = blind_step_outcomes(benchmark, threshold=asked.text, seed=seed)
    tuning = f"threshold {asked.origin or mine.tuning}"
    numbers = step_numbers(benchmark, mine, blind, rng=run.rng, resamples=resamples)
    head = numbers[0]
    known = {rule: value for rule, value in head.blind.items() if value == value}
    rule = max(known, key=lambda name: known[name]) if known and head.n else ""
    if rule in blind:
        gain = compare_steps(benchmark, mine, blind[rule], rng=run.rng, resamples=resamples).gap
    else:  # chance is a number, not a rule with outcomes
        base = known.get(rule, float("nan"))
        gain = replace(
            head.interval,
            estimate=head.interval.estimate - base,
            low=head.interval.low - base,
            high=head.interval.high - base,
        )
    found = state.score_finding(
        benchmark.name, head, gain, f"above {rule}" if rule else "", gold=GOLD, n_missing=head.n_missing
    )
    tables = [
        state.step_table(key, benchmark, run.reward.name, numbers, mine.thresholds, asked.origin or mine.tuning),
        *state.missing_table(key, benchmark.name, scored.reasons),
    ]
    values = _values(key, head.interval, head.n, head.n_missing, head.blind)
    values |= _threshold_values(key, mine, benchmark.name, run)
    alone = Result(
        COMMAND, findings=(replace(found, baseline=f"{found.baseline}; {tuning}"),), tables=tuple(tables),
        values=values, provenance={f"benchmark_{key}_threshold": tuning},
    )  # fmt: skip
    return _beside_rivals(alone, benchmark, run, partial(_compared_steps, benchmark, key, mine, run))


def _threshold_values(key: str, mine: StepOutcomes, name: str, run: _Run) -> dict[str, object]:
    """The thresholds by subset; of one that was tuned on a subset, also that and how many solutions it has. Such a one
    is remembered, to be stored."""
    stem = f"benchmark_{key}_threshold"
    values: dict[str, object] = {stem: dict(mine.thresholds)}
    if mine.tuned is not None:
        tuned = mine.tuned
        run.tuned[name] = StoredThreshold(tuned.value, name, tuned.subset, tuned.n_solutions, run.reward.name)
        values |= {f"{stem}_tuned": tuned.value, f"{stem}_split": tuned.subset, f"{stem}_n": tuned.n_solutions}
    return values


def _compared_steps(benchmark: StepBenchmark, key: str, mine: StepOutcomes, run: _Run) -> Result:
    """As `_compared`, for step rewards."""
    config, name, rivals = run.config, benchmark.name, run.rivals(benchmark)
    asked = asked_for(config.step_threshold, name)
    theirs = [
        step_outcomes(benchmark, scores, threshold=asked.text, tuned_on=asked.subset, seed=config.seed)
        for scores in (step_scores(rival, benchmark, progress=run.progress).scores for rival in rivals)
    ]
    if len(rivals) == 1:
        pair = compare_steps(benchmark, mine, theirs[0], rng=run.rng, resamples=config.resamples)
        return Result(
            COMMAND,
            findings=(state.compared_finding(name, rivals[0].name, pair, (), gold=GOLD),),
            values={f"benchmark_{key}_gap": pair.gap.estimate, f"benchmark_{key}_gap_p": pair.p_value},
        )
    outcomes = [mine, *theirs]
    scores = [
        step_numbers(benchmark, each, {}, rng=run.rng, resamples=config.resamples)[0].interval for each in outcomes
    ]
    names = [run.reward.name, *(rival.name for rival in rivals)]
    return _ranks(name, key, "score", rank_steps(names, outcomes, scores, benchmark, rng=run.rng), run)


def _values(key: str, interval: Interval, n: int, n_missing: int, blind: dict[str, float]) -> dict[str, object]:
    stem = f"benchmark_{key}"
    return {
        f"{stem}_score": interval.estimate,
        f"{stem}_low": interval.low,
        f"{stem}_high": interval.high,
        f"{stem}_n": n,
        f"{stem}_missing": n_missing,
        **{f"{stem}_{rule}": blind.get(rule, float("nan")) for rule in BLIND_RULES},
    }
