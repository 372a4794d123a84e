"""What `karat audit reward --benchmarks` says on real benchmarks, and what its statistics change.

Real: JudgeBench with the published scores of five rewards, RewardMATH with those of 22, and rules that read nothing on
these, EvalBiasBench, HHH and ProcessBench. No model is run. Planted: how often two equal rewards are told apart, and
how often intervals hold the truth, by the usual way and by karat's.

    python benchmarks/audit_benchmarks.py [--replications 1000]       about two minutes on one core
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common import DATA, write_results
from karat.audit.reward.benchmarks import audit_benchmarks
from karat.audit.reward.benchmarks.columns import ColumnReward, load_any
from karat.audit.reward.benchmarks.compare import paired_p_values
from karat.audit.reward.benchmarks.items import Benchmark, pooled
from karat.audit.reward.benchmarks.reading import read_benchmarks
from karat.audit.reward.benchmarks.rm_bench import aggregates
from karat.audit.reward.benchmarks.scoring import interval_of, layout_of, outcomes_of
from karat.audit.reward.config import AuditRewardConfig
from karat.numerics.intervals import mcnemar_exact, wilson
from karat.rewards.kinds import FunctionReward
from karat.selftest.audit_benchmarks import (
    DOMAIN_MEANS,
    SIZES,
    draw_right,
    draw_styles,
    style_items,
    subset_layout,
    true_style,
)
from karat.types import Result

BLIND = ("builtin:longer", "builtin:shorter")
FILES = {
    "JudgeBench": "judgebench",
    "RewardMATH": "rewardmath_scores/rewardmath_scores_compact.jsonl.zst",
    "EvalBiasBench": "evalbiasbench",
    "HHH": "prometheus_eval/eval__benchmark__data__hhh_alignment_eval.json.zst",
}


def long_steps(prompt: str, steps: Sequence[str]) -> list[float]:
    """A step reward that reads nothing: the longer, the more likely wrong."""
    return [-float(len(step)) for step in steps]


def audit(reward: Any, path: Path, against: str = "") -> Result:
    config = AuditRewardConfig(benchmarks=str(path), against=against)
    loaded = load_any(reward) if isinstance(reward, str) else reward
    return audit_benchmarks(loaded, config=config, rng=np.random.default_rng(0))


def rows_of(name: str, path: Path) -> list[dict[str, Any]]:
    """A row for each reward on each benchmark of a file, best first where several were ranked."""
    found = []
    for benchmark in read_benchmarks(str(path)):
        columns = [f"column:{column}" for column in benchmark.column_names if ":" not in column]
        has_texts = isinstance(benchmark, Benchmark) and bool(benchmark.items[0].responses)
        for reward in (*columns, *(BLIND if has_texts else ())):
            result = audit(reward, path, against="column:*")
            heads = {table.name: table for table in result.tables if table.title.startswith(f"{benchmark.name}: ")}
            number = next(table for table in heads.values() if "ties" in table.columns)
            head = dict(zip(number.columns, number.rows[0], strict=True))
            ranks = next((table for table in result.tables if table.title.startswith(f"{benchmark.name}, ")), None)
            placed = {row[0]: dict(zip(ranks.columns, row, strict=True)) for row in ranks.rows} if ranks else {}
            mine = placed.get(reward, {})
            found.append(
                {"benchmark": benchmark.name or name, "reward": reward.removeprefix("column:"), "score": head["score"],
                 "low": head["low"], "high": head["high"], "ties_lost": head["ties lost"], "ties": head["ties"],
                 "n": head["n"], "longest": head["longest"], "shortest": head["shortest"], "chance": head["chance"],
                 "rank_from": mine.get("rank from", ""), "rank_to": mine.get("rank to", "")}
            )  # fmt: skip
    return sorted(found, key=lambda row: (row["benchmark"], -row["score"]))


def step_rows() -> list[dict[str, Any]]:
    """The blind step rule on ProcessBench's two subsets."""
    result = audit(FunctionReward("long steps are wrong", long_steps), DATA / "processbench")
    table = next(item for item in result.tables if item.name == "benchmark_processbench")
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    return [
        {"benchmark": f"ProcessBench {row['part']}", "reward": "long steps are wrong", "score": row["score"],
         "low": row["low"], "high": row["high"], "ties_lost": "", "ties": "", "n": row["n"], "longest": row["longest"],
         "shortest": row["shortest"], "chance": row["chance"], "rank_from": "", "rank_to": ""}
        for row in rows
    ]  # fmt: skip


def planted_rows(replications: int) -> list[dict[str, Any]]:
    """Two equal rewards on 23 subsets; nine pairs a prompt."""
    rng = np.random.default_rng(0)
    subsets, every = subset_layout(SIZES), [pooled(name, "subset", [name]) for name in SIZES]
    items = style_items()
    styles = layout_of(Benchmark(kind="", name="", items=items, aggregates=(), formula=""))
    micro = aggregates(tuple(DOMAIN_MEANS))[1]
    truth, counts = true_style(micro), np.zeros(6)
    for _ in range(replications):
        hard_P, accuracy_P = rng.standard_normal(subsets.cell_P.size), np.full(subsets.cell_P.size, 0.8)
        sides = [draw_right(accuracy_P, hard_P, rng) for _ in range(2)]
        plain, adjusted = paired_p_values(every, subsets, sides[0], sides[1], rng=rng)
        first, second = (outcomes_of(styles, items, draw_styles(items, rng)) for _ in range(2))
        gap_P = first.value_P - second.value_P
        naive = wilson(float(first.value_P.sum()), first.value_P.size)
        ours = interval_of(micro, styles, first.value_P, rng=rng, resamples=200)
        counts += [
            min(plain) <= 0.05,
            min(adjusted) <= 0.05,
            mcnemar_exact(int(np.sum(gap_P > 0)), int(np.sum(gap_P < 0))) <= 0.05,
            paired_p_values([micro], styles, first, second, rng=rng)[0][0] <= 0.05,
            naive[0] <= truth <= naive[1],
            ours.low <= truth <= ours.high,
        ]
    share = counts / replications
    told = (
        "two equal rewards: a lead on any of 23 subsets at 5 %",
        "two equal rewards, 9 pairs a prompt: told apart at 5 %",
        "95 % interval of accuracy, 9 pairs a prompt: holds the truth",
    )
    usual = ("each subset by itself", "McNemar over pairs", "Wilson over pairs")
    return [
        {"planted": what, "usual way": usual[i], "usual": share[2 * i], "karat": share[2 * i + 1]}
        for i, what in enumerate(told)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replications", type=int, default=1000)
    replications = parser.parse_args().replications
    rows = [row for name, path in FILES.items() if (DATA / path).exists() for row in rows_of(name, DATA / path)]
    if (DATA / "processbench").exists():
        rows += step_rows()
    process = read_benchmarks(str(DATA / FILES["RewardMATH"]))[0] if (DATA / FILES["RewardMATH"]).exists() else None
    for column in process.column_names if process else ():
        if ":" in column:  # the same process rewards by other joins of their steps
            number = audit(ColumnReward(column), DATA / FILES["RewardMATH"]).values
            rows.append({"benchmark": "RewardMATH, other joins of steps", "reward": column,
                         "score": number["benchmark_rewardmath_scores_score"],
                         "low": number["benchmark_rewardmath_scores_low"],
                         "high": number["benchmark_rewardmath_scores_high"]})  # fmt: skip
    write_results("audit_benchmarks", {}, rows)
    write_results("audit_benchmarks_planted", {"replications": replications}, planted_rows(replications))


if __name__ == "__main__":
    main()
