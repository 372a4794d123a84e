"""DA111 to DA121: prompts on both sides of a split, in several sources, nearly twice, or in a benchmark.

Axes: P pairs, U distinct prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from karat.audit.data.config import AuditDataConfig
from karat.audit.data.contamination import Contamination, find_contamination, read_benchmark
from karat.audit.data.leakage import PromptSet, Shared, held_out_names, near_prompts, shared_prompts, subset
from karat.audit.data.scan import Prompts, scan_prompts
from karat.audit.data.structure_findings import (
    NEAR_PROMPTS_THAT_MATTER,
    finding,
    first_three,
    not_checked,
    shown,
    verdict_of,
)
from karat.audit.data.table import PairTable, codes_of, names_in, read_table
from karat.audit.parts import names_of
from karat.data.pairs import PairOptions
from karat.numerics.intervals import UNDEFINED, Interval, wilson
from karat.types import Finding, Table

_PROMPTS = "share of prompts"
_HELD = "share of held-out prompts"
MOST_ROWS = 200
"""Contaminated rows that the table lists."""


@dataclass(frozen=True, slots=True)
class PromptReport:
    """Findings, and what they mean for each pair.

    Attributes:
        leaked_P: training pairs whose prompt is held out too.
        contaminated_P: pairs that hold a benchmark's prompt.
        group_P: the first pair whose prompt is in one group of near prompts with this one's.
    """

    findings: tuple[Finding, ...]
    tables: tuple[Table, ...]
    leaked_P: np.ndarray
    contaminated_P: np.ndarray
    group_P: np.ndarray


def audit_prompts(
    table: PairTable, prompts: Prompts, *, config: AuditDataConfig, progress: Callable[..., None] | None = None
) -> PromptReport:
    """DA111, DA112, DA113 and DA121.

    Raises: DataError: a file of --test or --benchmark cannot be read.
    """
    mine = PromptSet(prompts, table.prompt)
    benchmarks = [read_benchmark(path) for path in names_of(config.benchmark)]
    leak, leaked_P = _held_out(table, mine, config)
    near, group_P = _near(table, mine, config.near)
    contaminations = [
        find_contamination(table, mine, each, near=config.near, workers=config.workers, progress=progress)
        for each in benchmarks
    ]
    dirty, contaminated_P, tables = _contaminated(table, contaminations)
    findings = (leak, _between_sources(table, mine, config.near), near, dirty)
    return PromptReport(findings, tables, leaked_P, contaminated_P, group_P)


def _held_out(table: PairTable, mine: PromptSet, config: AuditDataConfig) -> tuple[Finding, np.ndarray]:
    """Against the files of --test, else between the splits that a column names."""
    leaked_P = np.zeros(len(table), np.bool_)
    tests = names_of(config.test)
    if tests:
        held_table, _ = read_table(tests, _reading(config, tests), sample_pairs=0)
        held = PromptSet(scan_prompts(held_table.prompt, near=config.near), held_table.prompt)
        shared = shared_prompts(held, mine, near=config.near)
        leaked_P = np.isin(mine.prompts.of_P, np.flatnonzero(shared.right_R >= 0))
        return _leak(held_table, table, held, mine, shared, ", ".join(Path(name).name for name in tests)), leaked_P
    is_held_P, names = _split_of(table)
    if not names:
        reason = "needs --test FILE, or a split (or source) column with a held-out split's name, such as test"
        return not_checked("DA111", reason, _HELD), leaked_P
    of_P = mine.prompts.of_P
    inside = [np.unique(of_P[(is_held_P == wanted) & (of_P >= 0)]) for wanted in (True, False)]
    held, train = subset(mine, inside[0]), subset(mine, inside[1])
    shared = shared_prompts(held, train, near=config.near)
    leaked_P = np.isin(of_P, inside[1][shared.right_R >= 0]) & ~is_held_P
    return _leak(table, table, held, train, shared, names), leaked_P


def _reading(config: AuditDataConfig, tests: Sequence[str]) -> PairOptions:
    """As the data is read; but a single file has no splits."""
    reading = config.reading()
    if any(Path(name).is_file() for name in tests):
        reading["split"] = ""
    return reading


def _split_of(table: PairTable) -> tuple[np.ndarray, str]:
    """Which pairs the data holds out, and the names of those splits; empty where no column says so."""
    for column in (table.split, table.part):
        names = names_in(column)
        held, rest = held_out_names(names)
        if held:
            codes = [names.index(name) for name in held]
            return np.isin(codes_of(column), codes), f"{', '.join(held)} against {', '.join(rest[:3])}"
    return np.zeros(len(table), np.bool_), ""


def _leak(
    held_table: PairTable, table: PairTable, held: PromptSet, train: PromptSet, shared: Shared, names: str
) -> Finding:
    at = np.flatnonzero(shared.left_L >= 0)
    at = at[np.argsort(held.prompts.first_U[at])]
    if not len(held):
        return not_checked("DA111", "the held-out pairs have no prompts: name their prompt column", _HELD)
    interval = _wilson(at.size, len(held))
    place = "held-out " if held_table is not table else ""
    witnesses = []
    for i in first_three(at):
        row, match = int(held.prompts.first_U[i]), int(train.prompts.first_U[shared.left_L[i]])
        how = "is" if shared.exact_L[i] else "is near"
        text = shown(held_table.prompt[row].as_py())
        witnesses.append(f"{place}{held_table.where(row)} {how} {table.where(match)}: {text}")
    return finding(
        "DA111", "problem" if at.size else "ok", interval, _HELD, n_used=len(held),
        baseline=f"{names}: {int(shared.exact_L.sum())} equal, {at.size - int(shared.exact_L.sum())} near, of "
        f"{len(held)} prompts",
        witnesses=tuple(witnesses),
    )  # fmt: skip


def _between_sources(table: PairTable, mine: PromptSet, near: float) -> Finding:
    n_sources = len(table.sources)
    if n_sources < 2:
        return not_checked("DA112", "needs several PAIRS", _PROMPTS)
    of_P, source_P = mine.prompts.of_P, table.source_P
    inside = [np.unique(of_P[(source_P == number) & (of_P >= 0)]) for number in range(n_sources)]
    worst, told = UNDEFINED, ""
    witnesses: tuple[str, ...] = ()
    for one, other in combinations(range(n_sources), 2):
        small, large = sorted((one, other), key=lambda number: inside[number].size)
        if not inside[small].size:
            continue
        left, right = subset(mine, inside[small]), subset(mine, inside[large])
        shared = shared_prompts(left, right, near=near)
        at = np.flatnonzero(shared.left_L >= 0)
        interval = _wilson(at.size, len(left))
        if not interval.estimate <= worst.estimate:
            worst, told = interval, f"{table.sources[small]} in {table.sources[large]}: {at.size} of {len(left)}"
            witnesses = tuple(shown(table.prompt[int(left.prompts.first_U[i])].as_py()) for i in first_three(at))
    if worst is UNDEFINED:
        return not_checked("DA112", "needs two sources with prompts", _PROMPTS)
    return finding(
        "DA112", verdict_of(worst, NEAR_PROMPTS_THAT_MATTER), worst, _PROMPTS, n_used=worst.n_clusters, baseline=told,
        witnesses=witnesses,
    )  # fmt: skip


def _near(table: PairTable, mine: PromptSet, near: float) -> tuple[Finding, np.ndarray]:
    of_P, prompt_P = mine.prompts.of_P, table.prompt_codes
    _, first, code = np.unique(prompt_P, return_index=True, return_inverse=True)
    group_P = first[code]  # where the prompt is not known, its id decides
    if not len(mine):
        return not_checked("DA113", "the pairs have no prompts: name their column with --prompt-key", _PROMPTS), group_P
    groups = near_prompts(mine, near=near)
    known = of_P >= 0
    group_P[known] = mine.prompts.first_U[groups.first_D[of_P[known]]]
    if len(mine) < 2:
        return not_checked("DA113", "one prompt repeats none: give pairs of more prompts", _PROMPTS), group_P
    at = np.flatnonzero(groups.first_D != np.arange(len(mine)))
    interval = _wilson(at.size, len(mine))
    verdict = verdict_of(interval, NEAR_PROMPTS_THAT_MATTER)
    action = {}
    if not groups.is_complete:
        action = {"action": "Too many candidates to compare them all (templates?): a higher --near has fewer."}
        verdict = "unclear" if verdict == "ok" else verdict
    at = at[np.argsort(mine.prompts.first_U[at])]
    witnesses = []
    for i in first_three(at):
        row, other = int(mine.prompts.first_U[i]), int(mine.prompts.first_U[groups.first_D[i]])
        witnesses.append(f"{table.where(row)} is near {table.where(other)}: {shown(table.prompt[row].as_py())}")
    return finding(
        "DA113", verdict, interval, _PROMPTS, n_used=len(mine), baseline=f"{at.size} of {len(mine)} distinct prompts",
        witnesses=tuple(witnesses), **action,
    ), group_P  # fmt: skip


def _contaminated(table: PairTable, found: Sequence[Contamination]) -> tuple[Finding, np.ndarray, tuple[Table, ...]]:
    contaminated_P = np.zeros(len(table), np.bool_)
    unit = "share of benchmark rows"
    if not found:
        return not_checked("DA121", "needs --benchmark FILE, of benchmark prompts", unit), contaminated_P, ()
    summary, listed, witnesses = [], [], []
    hit = total = 0
    for each in found:
        name, n = each.benchmark.name, each.benchmark.row_N.size
        rows = {match.row for match in each.matches}
        by = {how: len({m.row for m in each.matches if m.how.startswith(how)}) for how in ("equal", "near", "13", "8")}
        pairs = {match.pair for match in each.matches}
        contaminated_P[list(pairs)] = True
        hit, total = hit + len(rows), total + n
        summary.append(
            (name, n, len(rows), by["equal"], by["near"], by["13"] + by["8"], each.touched_rows, each.short_rows,
             len(pairs))
        )  # fmt: skip
        for match in each.matches:
            listed.append((name, match.row, table.where(match.pair), match.field, match.how, match.share))
        for match in each.matches[: 3 if len(found) == 1 else 1]:
            text = shown(getattr(table, match.field)[match.pair].as_py())
            witnesses.append(f"{name} row {match.row} in the {match.field} of {table.where(match.pair)}: {text}")
    told = "; ".join(f"{row[0]} {row[2]} of {row[1]}" for row in summary)
    tables = [
        Table(
            "contamination", "Benchmarks in the data",
            ("file", "prompts", "found", "equal", "near", "sequences", "any sequence", "too short", "pairs"),
            tuple(summary),
            "found: rows of the benchmark; sequences: at least half of their word sequences; any sequence: at least "
            "one, which may be a common phrase; too short: fewer than 8 words, found only as a whole prompt.",
        )
    ]  # fmt: skip
    if listed:
        note = f"The first {MOST_ROWS} of {len(listed)}." if len(listed) > MOST_ROWS else ""
        columns = ("file", "row", "pair", "where", "how", "share of sequences")
        tables.append(Table("contaminated", "Benchmark rows found", columns, tuple(listed[:MOST_ROWS]), note))
    return finding(
        "DA121", "problem" if hit else "ok", _wilson(hit, total), unit, n_used=total, baseline=told,
        witnesses=tuple(witnesses[:3]),
    ), contaminated_P, tuple(tables)  # fmt: skip


def _wilson(count: int, n: int) -> Interval:
    return Interval(count / n, *wilson(count, n), n, "wilson")
