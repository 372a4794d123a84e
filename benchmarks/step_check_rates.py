"""The step check against people's labels: steps flagged that people call right, first errors found, and coverage.

A step is called right where it stands before the first error, or the solution has none. Each set is halved by problem:
an odd last hexadecimal digit of the SHA-256 of the problem's text is "report", an even one "tune". The rules of the
check were written with the tuning halves at hand. MR-GSM8K and ProcessBench share no split with each other; a problem
in both stands in the same half. `step_check_rates_first` was measured before anything of the reporting halves was read;
six faults of the reading, found there, were then mended, so that `step_check_rates` is no fresh test. Intervals are
clustered by problem.

    python benchmarks/step_check_rates.py
    python benchmarks/step_check_rates.py --show gsm8k report     flagged steps that people call right, to the screen
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from common import real_file, write_results
from karat.data.steps import read_steps
from karat.numerics.intervals import clustered_proportion
from karat.numerics.process_accuracy import first_error_totals, process_f1
from karat.rewards.step_check import StepCheck, check_solution, check_step
from karat.types import NO_ERROR, StepSolution

SETS = {
    "gsm8k": ("processbench", "dataset__gsm8k.json.zst"),
    "math": ("processbench", "dataset__math.json.zst"),
    "mr_gsm8k": ("mr_gsm8k_subset", "mr_gsm8k_human_labels_subset.jsonl.zst"),
    "multistep_arithmetic": ("bigbench_mistake", "multistep_arithmetic.jsonl.zst"),
}


def half_of(prompt: str) -> str:
    return "report" if int(hashlib.sha256(prompt.encode()).hexdigest()[-1], 16) % 2 else "tune"


def solutions_of(name: str, half: str) -> list[StepSolution]:
    """The solutions of one half whose first error is known."""
    read = read_steps(str(real_file(*SETS[name]))).solutions
    return [one for one in read if one.first_error is not None and half_of(str(one.prompt)) == half]


def judged(solutions: Iterable[StepSolution]) -> list[tuple[StepSolution, int, StepCheck]]:
    """Each step up to the first error, with its check."""
    found = []
    for solution in solutions:
        last = len(solution.steps) - 1 if solution.first_error == NO_ERROR else solution.first_error
        assert last is not None
        checks = check_solution(str(solution.prompt), solution.steps)
        found += [(solution, index, checks[index]) for index in range(last + 1)]
    return found


def rates(name: str, half: str) -> dict[str, Any]:
    """One row of the table."""
    solutions = solutions_of(name, half)
    began = time.perf_counter()
    rows = judged(solutions)
    seconds = time.perf_counter() - began
    is_error = np.array([index == solution.first_error for solution, index, _ in rows])
    flagged = np.array([check.verdict == "wrong" for *_, check in rows])
    covered = np.array([check.verdict != "undefined" for *_, check in rows])
    problem = np.array([str(solution.prompt) for solution, *_ in rows])
    row: dict[str, Any] = {
        "set": name,
        "half": half,
        "solutions": len(solutions),
        "right_steps": int((~is_error).sum()),
    }
    for key, value, among in (
        ("flagged", flagged, ~is_error),
        ("flagged_of_covered", flagged, ~is_error & covered),
        ("covered", covered, ~is_error),
        ("found", flagged, is_error),
        ("found_of_covered", flagged, is_error & covered),
        ("error_covered", covered, is_error),
        ("precision", is_error.astype(float), flagged),
    ):
        interval = clustered_proportion(value[among].astype(float), problem[among])
        row |= {key: float(interval.estimate), f"{key}_low": interval.low, f"{key}_high": interval.high}
    row |= {"first_errors": int(is_error.sum()), "n_flagged_right": int((flagged & ~is_error).sum())}
    return row | _by_solution(solutions) | {"steps_per_s": round(sum(len(s.steps) for s in solutions) / seconds)}


def _by_solution(solutions: list[StepSolution]) -> dict[str, Any]:
    """ProcessBench's numbers, where a solution without a wrong claim is called right."""
    predicted, labels = [], []
    for solution in solutions:
        verdicts = [check.verdict for check in check_solution(str(solution.prompt), solution.steps)]
        predicted.append(verdicts.index("wrong") if "wrong" in verdicts else NO_ERROR)
        labels.append(solution.first_error)
    totals = first_error_totals(predicted, np.array(labels, dtype=int)).sum(axis=0)
    return {
        "error_accuracy": float(totals[0] / totals[1]),
        "right_accuracy": float(totals[2] / totals[3]) if totals[3] else None,  # MR-GSM8K's subset has wrong ones only
        "f1": float(process_f1(totals)) if totals[3] else None,
    }


def kinds(name: str, half: str) -> list[dict[str, Any]]:
    """By kind of claim: how often it is made, right, wrong; and its flags before and at the first error."""
    rows = judged(solutions_of(name, half))
    table: dict[str, dict[str, Any]] = {}
    for solution, index, check in rows:
        for claim in check.claims:
            row = table.setdefault(claim.kind, {"set": name, "half": half, "kind": claim.kind})
            row[claim.verdict] = row.get(claim.verdict, 0) + 1
            if claim.verdict == "wrong":
                key = "wrong_at_error" if index == solution.first_error else "wrong_before"
                row[key] = row.get(key, 0) + 1
    return [table[kind] for kind in sorted(table)]


def slowest_step(names: Iterable[str]) -> float:
    """Seconds of the slowest of all steps, each checked alone, its context read before."""
    slowest = 0.0
    for name in names:
        for half in ("tune", "report"):
            for solution in solutions_of(name, half):
                check_solution(str(solution.prompt), solution.steps)
                for index, step in enumerate(solution.steps):
                    began = time.perf_counter()
                    check_step(step, (str(solution.prompt), *solution.steps[:index]))
                    slowest = max(slowest, time.perf_counter() - began)
    return slowest


def show(name: str, half: str) -> None:
    """The flagged steps that people call right, for reading; nothing is written."""
    for solution, index, check in judged(solutions_of(name, half)):
        if check.verdict == "wrong" and index != solution.first_error:
            print(f"-- {solution.solution_id or solution.row} step {index}, people: {solution.first_error}")
            for claim in check.wrong:
                text = solution.steps[index]
                print(f"   {claim.kind}: {claim.text!r}, {claim.expected}")
                print(f"   {text[max(0, claim.start - 150) : claim.end + 80]!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="step_check_rates", help="of the results")
    parser.add_argument("--show", nargs=2, metavar=("SET", "HALF"))
    chosen = parser.parse_args()
    if chosen.show:
        show(*chosen.show)
        return
    table = [rates(name, half) for name in SETS for half in ("tune", "report")]
    results = {
        "split": "odd last hexadecimal digit of the SHA-256 of the problem's text: report; even: tune",
        "slowest_step_s": slowest_step(SETS),
        "kinds": [row for name in SETS for half in ("tune", "report") for row in kinds(name, half)],
    }
    write_results(chosen.name, results, table)


if __name__ == "__main__":
    main()
