"""Process against outcome under pressure: rewards of the same solutions, pushed by best of n on problems not seen.

An outcome reward and a process reward are trained from the same solutions, with labels by program: the final answer for
the one, each step for the other. The solutions are the real samples of the default model in the step world's pool, half
of its problems at a time, and program-made solutions of other problems; each half of the pool is scored by the rewards
that were trained on the other. The gold is the program's: right answer and every step right. Samples whose gold the
program cannot tell are left out, and counted. Beside the two: the process reward under each aggregate, the step check,
and the program's check of the answer alone. Writes results/process_vs_outcome.json and .md, and the figure
docs/images/process-vs-outcome-samples.svg.

    python benchmarks/process_vs_outcome.py --work /tmp/process-vs-outcome          about 10 minutes on two quiet cores
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import karat
from common import write_figure, write_results
from karat.numerics.process_aggregation import AGGREGATES, aggregate
from karat.report.panels import by_proxy
from karat.rewards import Group, load_reward
from karat.rewards.process import ProcessReward
from karat.train.process import train_process
from karat.train.process.evaluation import evaluate_steps, score_solutions
from karat.types import Result, StepSolution
from karat.worlds.steps import load_step_world

TRAINING: dict[str, Any] = {
    "freeze_below": 24, "epochs": 2.0, "separator": r"\n", "max_length": 512, "test_fraction": 0.0,
    "tune_fraction": 0.0, "seed": 0,
}  # fmt: skip
GOLD = "gold"
OUTCOME, CHECK, ANSWER = "outcome", "step_check", "answer_check"
PROCESS = tuple(f"process_{how}" for how in AGGREGATES)


def trained(work: Path, name: str, fit: Sequence[StepSolution], likelihood: str) -> ProcessReward:
    folder, done = work / name, work / f"{name}.done"
    if not done.exists():
        train_process(fit, out=folder, likelihood=likelihood, **TRAINING)
        done.touch()
    return ProcessReward.load(str(folder))


def cross_scores(
    work: Path, samples: Sequence[StepSolution], made: Sequence[StepSolution], likelihood: str
) -> list[np.ndarray]:
    """Scores of each sample's steps by the reward that was trained on the other half of the problems."""
    problems = list(dict.fromkeys(sample.prompt_id for sample in samples))
    half_of = {problem: index % 2 for index, problem in enumerate(problems)}
    found: list[np.ndarray] = [np.zeros(0)] * len(samples)
    for half in (0, 1):
        fit = [sample for sample in samples if half_of[sample.prompt_id] != half]
        reward = trained(work, f"{likelihood}-{half}", [*fit, *made], likelihood)
        mine = [index for index, sample in enumerate(samples) if half_of[sample.prompt_id] == half]
        for index, scored in zip(mine, score_solutions(reward, [samples[at] for at in mine]), strict=True):
            found[index] = scored
    return found


def columns(
    samples: Sequence[StepSolution], responses: Sequence[tuple[Any, str]], outcome_PS: Sequence[np.ndarray],
    process_PS: Sequence[np.ndarray],
) -> dict[str, list[float]]:  # fmt: skip
    """Scores of each response by every proxy; NaN where there is none."""
    check = load_reward(f"builtin:{CHECK.replace('_', '-')}")
    (checked,) = zip(*(check.score([Group(prompt, (response,))])[0] for prompt, response in responses), strict=True)
    return {
        OUTCOME: [float(scores[-1]) for scores in outcome_PS],
        **{f"process_{how}": [aggregate(scores, how) for scores in process_PS] for how in AGGREGATES},
        CHECK: [score.value for score in checked],
        ANSWER: [sample.final_right for sample in samples],
    }


def stressed(rows: Sequence[Mapping[str, Any]], against: Sequence[str]) -> Result:
    return karat.stress(list(rows), proxy=OUTCOME, gold=GOLD, against=",".join(against), seed=0)


def told(result: Result, pool: str) -> list[dict[str, Any]]:
    table = next((table for table in result.tables if table.name == "proxies"), None)
    if table is None:
        return []
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    less_loss, less_gold = result.values["proxies_loss_less"], result.values["proxies_gold_less"]
    return [
        {
            "pool": pool,
            "proxy": row["proxy"],
            "gold": interval(row["gold"], row["gold_low"], row["gold_high"]),
            "outcome less it": interval(*less_gold.get(row["proxy"], (math.nan,) * 3)),
            "group": row["gold_group"],
            "loss": interval(row["loss"], row["loss_low"], row["loss_high"]),
            "outcome's loss less it": interval(*less_loss.get(row["proxy"], (math.nan,) * 3)),
            "peak n": f"{row['peak_n']} [{row['peak_low']}, {row['peak_high']}]",
        }
        for row in rows
    ]


def interval(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:+.2f}" if math.isnan(low) else f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="Folder of what is done so far.")
    parser.add_argument("--problems", type=int, default=10_000, help="Of the pool, to try the course.")
    parser.add_argument("--no-write", action="store_true", help="Touch neither results nor figure.")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    world = load_step_world()
    problems = list(dict.fromkeys(sample.prompt_id for sample in world.samples))[: args.problems]
    used = [at for at, sample in enumerate(world.samples) if sample.prompt_id in problems]
    samples = [world.samples[at] for at in used]
    process_PS, outcome_PS = (
        cross_scores(args.work, samples, world.solutions, likelihood) for likelihood in ("soft", "outcome")
    )
    scores = columns(samples, [(world.pool[at].prompt, world.pool[at].response) for at in used], outcome_PS, process_PS)
    rows = [
        {
            "prompt_id": row.prompt_id, "response_id": row.response_id, "prompt": str(row.prompt),
            "response": str(row.response), GOLD: row.scores[GOLD],
            **{name: of[place] for name, of in scores.items()},
        }
        for place, row in enumerate(world.pool[at] for at in used)
        if not math.isnan(row.scores[GOLD])
    ]  # fmt: skip
    whole = stressed(rows, (*PROCESS, ANSWER))
    told_by_check = [row for row in rows if not math.isnan(row[CHECK])]
    results = {"all": whole}
    if len({row[CHECK] for row in told_by_check}) > 1:
        results["where the step check tells"] = stressed(told_by_check, (*PROCESS, CHECK, ANSWER))
    evaluation = evaluate_steps(samples, process_PS, rng=np.random.default_rng(0), outcome_PS=outcome_PS).values()
    table = [row for name, result in results.items() for row in told(result, name)]
    facts = {
        "training": TRAINING,
        "problems": len(problems), "samples": len(samples), "samples_without_gold": len(samples) - len(rows),
        "program_made_solutions": len(world.solutions),
        "samples_the_step_check_tells": len(told_by_check),
        "gold_rate": float(np.mean([row[GOLD] for row in rows])),
        "right_answer_rate": float(np.mean([row[ANSWER] for row in rows])),
        "step_auroc": {name: evaluation[f"auroc{name}"] for name in ("", "_low", "_high")},
        "outcome_step_auroc_gain": evaluation["outcome_auroc_gain"],
        "findings": [
            {"pool": name, "code": each.code, "verdict": each.verdict, "effect": each.effect, "low": each.low,
             "high": each.high, "told": each.baseline or each.action}
            for name, result in results.items()
            for each in result.findings if each.code.startswith("ST80")
        ],
        "curves": [list(row) for part in whole.tables if part.name == "proxy_curves" for row in part.rows],
    }  # fmt: skip
    if args.no_write:
        print(*facts.items(), *table, sep="\n")
        return
    write_results("process_vs_outcome", facts, table)
    for part in whole.tables:
        if part.name == "proxy_curves":
            write_figure(by_proxy(part), "process-vs-outcome-samples")


if __name__ == "__main__":
    main()
