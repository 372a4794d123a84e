"""What a binary search for the first wrong step costs and finds, against completions of every step.

Wrong solutions of the step world's problems, one of each, first errors drawn evenly; a simulated completer whose chance
of the right answer is known from every prefix (`karat.worlds.steps.completer`), with and without recovery from a wrong
step. Both methods label the same solutions; the last step's label is its final answer. Completions are counted, also
those of the prompts. 8 completions a step; the sequential search stops at a stated error of 5 %, and is told a chance
of recovery in the last row of each difficulty.

    python benchmarks/step_labels.py        about 2 minutes on one core
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common import write_results
from karat.data.steps import read_steps
from karat.numerics.intervals import wilson
from karat.train.labelling import label_steps
from karat.types import NO_ERROR, Result, StepSolution
from karat.worlds.steps import draw_problems, wrong_solution
from karat.worlds.steps.completer import RECOVERY, SimulatedCompleter

BINS = ((2, 3), (4, 4), (5, 6), (7, 8), (9, 14))
"""Steps of a solution, first and last of each group."""
METHODS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("every step", {"label": "mc"}),
    ("search", {"label": "binary"}),
    ("search, sequential", {"label": "binary", "probe_error": 0.05}),
    ("search, sequential, told of recovery 0.1", {"label": "binary", "probe_error": 0.05, "recovery": 0.1}),
)


def labelled(
    solutions: Sequence[StepSolution], completer: SimulatedCompleter, **options: Any
) -> tuple[Result, list[StepSolution]]:
    """The result, and the solutions that got labels."""
    with tempfile.TemporaryDirectory() as folder:
        result = label_steps(solutions, out=folder, completer=completer, check_share=0.0, seed=0, **options)
        return result, list(read_steps(Path(folder) / "steps.jsonl", after_error="keep").solutions)


def found_share(made: Sequence[StepSolution], solutions: Sequence[StepSolution]) -> tuple[float, float, float]:
    """Share of the wrong solutions whose first wrong step is found, with Wilson's interval; unlabelled ones count."""
    truth = {(one.prompt, one.steps): one.first_error for one in solutions}
    hits = sum(one.first_error == truth[one.prompt, one.steps] for one in made)
    return hits / len(solutions), *wilson(hits, len(solutions))


def by_length(result: Result) -> dict[int, tuple[int, int, int]]:
    """Solutions, completions made, and those that every step takes, by the number of steps."""
    (table,) = [table for table in result.tables if table.name == "cost"]
    return {row[0]: row[1:4] for row in table.rows}


def measure(count: int) -> tuple[list[dict[str, Any]], dict[int, list[int]]]:
    rows: list[dict[str, Any]] = []
    lengths: dict[int, list[int]] = {}
    for difficulty in ("easy", "medium", "hard"):
        rng = np.random.default_rng([0, len(difficulty)])
        problems = draw_problems(rng, count, difficulty=difficulty)
        solutions = [wrong_solution(problem, rng) for problem in problems]
        solutions = [one for one in solutions if one.first_error != NO_ERROR]
        for recovery in (0.0, RECOVERY):
            completer = SimulatedCompleter.of(problems, recovery=recovery)
            full = 0
            for name, options in METHODS:
                if not recovery and "recovery" in options:
                    continue
                result, made = labelled(solutions, completer, **options)
                full = full or result.values["rollouts"]
                share, low, high = found_share(made, solutions)
                rows.append(
                    {
                        "difficulty": difficulty, "recovery": recovery, "method": name, "solutions": len(solutions),
                        "completions": result.values["rollouts"], "share": result.values["rollouts"] / full,
                        "first error found": share, "low": low, "high": high,
                        "last step named": result.values["last_step_share"],
                    }
                )  # fmt: skip
                if name == "search" and recovery:
                    for n_steps, (n, spent, whole) in by_length(result).items():
                        group = lengths.setdefault(n_steps, [0, 0, 0])
                        lengths[n_steps] = [group[0] + n, group[1] + spent, group[2] + whole]
    return rows, lengths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--solutions", type=int, default=160, help="Of each difficulty.")
    options = parser.parse_args()
    rows, lengths = measure(options.solutions)
    groups = []
    for first, last in BINS:
        inside = np.sum([value for n, value in lengths.items() if first <= n <= last] or [[0, 0, 0]], axis=0)
        if inside[0]:
            groups.append(
                {"steps": f"{first}-{last}" if first < last else str(first), "solutions": int(inside[0]),
                 "search": int(inside[1]), "every step": int(inside[2]), "share": float(inside[1] / inside[2])}
            )  # fmt: skip
    write_results("step_labels", {"rollouts": 8}, rows)
    write_results("step_labels_length", {"rollouts": 8, "recovery": RECOVERY}, groups)


if __name__ == "__main__":
    main()
