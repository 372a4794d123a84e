"""Process against outcome under pressure where both can be learned: the decoder of prm_world.py on the step world.

An outcome and a process reward start from the same pretrained decoder and learn from the same program-made solutions:
right ones, wrong ones, and right answers by a wrong process, with more or fewer steps that claim nothing and words of
rigour. Both, and the program's check of the answer, are pushed by best of n on 64 such solutions to each of 150
problems not seen. Gold: right answer and every step right, by program. Writes results/pressure_world.json and .md, and
the figure docs/images/process-vs-outcome.svg.

    python benchmarks/pressure_world.py --work /tmp/prm-world       3 minutes on a core, after prm_world.py has made the
                                                                    decoder there
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import karat
from common import write_figure, write_results
from karat.numerics.process_aggregation import AGGREGATES, aggregate
from karat.report.panels import by_proxy
from karat.rewards.process import ProcessReward
from karat.train.process import train_process
from karat.train.process.evaluation import evaluate_steps, score_solutions
from karat.types import NO_ERROR, StepSolution
from karat.worlds.steps import Manner, draw_problems, right_solution, wrong_process_solution, wrong_solution
from prm_world import KINDS, SEED, TRAINING, make_base
from process_vs_outcome import ANSWER, GOLD, OUTCOME, PROCESS, told

FITTED, OF_EACH, JUDGED, POOL = 1600, 5, 150, 64
RIGHT, WRONG = 0.25, 0.45
"""Shares of the solutions; the others are right answers by a wrong process."""
NEUTRAL, RIGOUR = (0.0, 0.1, 0.5), (0.0, 0.3, 0.9)
"""Chances a step of claiming nothing, and of a word of rigour; drawn for each solution."""


def solutions(problem: Any, n: int, rng: np.random.Generator) -> list[StepSolution]:
    made = []
    for _ in range(n):
        manner = Manner(neutral=float(rng.choice(NEUTRAL)), rigour=float(rng.choice(RIGOUR)))
        drawn = rng.random()
        make = right_solution if drawn < RIGHT else wrong_solution if drawn < RIGHT + WRONG else wrong_process_solution
        made.append(make(problem, rng, manner=manner))
    return made


def trained(work: Path, likelihood: str, fit: list[StepSolution]) -> ProcessReward:
    folder, done = work / f"pressure {likelihood}", work / f"pressure {likelihood}.done"
    if not done.exists():
        base = make_base(work / "base")
        train_process(fit, out=folder, model=base, likelihood=likelihood, overwrite=True, **TRAINING)
        done.touch()
    return ProcessReward.load(str(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="The folder of prm_world.py.")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([SEED, 5])
    problems = draw_problems(rng, FITTED + JUDGED, kinds=KINDS, words=True)
    fit = [one for problem in problems[:FITTED] for one in solutions(problem, OF_EACH, rng)]
    pool = [one for problem in problems[FITTED:] for one in solutions(problem, POOL, rng)]
    process, outcome = trained(args.work, "soft", fit), trained(args.work, "outcome", fit)
    process_PS, outcome_PS = score_solutions(process, pool), score_solutions(outcome, pool)
    rows = [
        {
            "prompt_id": one.prompt_id, "response_id": str(place), "prompt": str(one.prompt),
            "response": " ; ".join(one.steps), GOLD: float(one.final_right == 1 and one.first_error == NO_ERROR),
            ANSWER: one.final_right, OUTCOME: float(outcome_PS[place][-1]),
            **{f"process_{how}": aggregate(process_PS[place], how) for how in AGGREGATES},
        }
        for place, one in enumerate(pool)
    ]  # fmt: skip
    result = karat.stress(rows, proxy=OUTCOME, gold=GOLD, against=",".join((*PROCESS, ANSWER)), seed=SEED)
    judged = evaluate_steps(pool, process_PS, rng=np.random.default_rng(SEED), outcome_PS=outcome_PS).values()
    facts = {
        "samples": len(rows), "problems": JUDGED, "fitted_solutions": len(fit), "fitted_problems": FITTED,
        "right_answer_rate": float(np.mean([row[ANSWER] for row in rows])),
        "gold_rate": float(np.mean([row[GOLD] for row in rows])),
        **{f"step_auroc{end}": judged[f"auroc{end}"] for end in ("", "_low", "_high")},
        **{f"step_auroc_over_outcome{end}": judged[f"outcome_auroc_gain{end}"] for end in ("", "_low", "_high")},
        "findings": [
            {"code": each.code, "verdict": each.verdict, "effect": each.effect, "low": each.low, "high": each.high,
             "told": each.baseline}
            for each in result.findings if each.code.startswith("ST80")
        ],
    }  # fmt: skip
    table = [{name: value for name, value in row.items() if name != "pool"} for row in told(result, "")]
    write_results("pressure_world", facts, table)
    write_figure(by_proxy(next(each for each in result.tables if each.name == "proxy_curves")), "process-vs-outcome")


if __name__ == "__main__":
    main()
