"""Put the numbers of benchmarks/results into docs/process-vs-outcome.md, between its markers.

A result that is not there leaves its place empty.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "process-vs-outcome.md"
RESULTS = ROOT / "benchmarks" / "results"
HUMAN = {
    "set": "set", "scorer": "scorer", "ProcessBench F1": "process_f1", "first error found": "first_error_found",
    "right kept": "right_kept", "F1 of wrong steps": "step_f1", "AUROC": "auroc",
}  # fmt: skip
"""Column of the page -> column of the results."""


def table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    lines = [list(columns), ["---"] * len(columns), *([cell(row[name]) for name in columns.values()] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cell(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def of_rows(results: Mapping[str, Any]) -> str:
    rows = results["rows"]
    return table(rows, {name: name for name in rows[0]})


def of_world(results: Mapping[str, Any]) -> str:
    told = (
        f"Pretraining apart, a training saw {results['train_tokens']:,} tokens in {results['steps']} optimiser steps.\n"
    )
    return f"{told}\n{of_rows(results)}"


def of_human(results: Mapping[str, Any]) -> str:
    fitted, problems = results["fitted"]["process"], results["problems"]
    told = (
        f"Fitted: {fitted['train_steps']:,} labelled steps of {fitted['train_solutions']:,} solutions of "
        f"{fitted['train_problems']:,} problems, {fitted['train_tokens']:,} tokens once. Judged on: "
        + "; ".join(f"{name} {count} problems" for name, count in problems.items() if name not in ("fit", "tune"))
        + ".\n"
    )
    return f"{told}\n{table(results['rows'], HUMAN)}"


def of_pressure(results: Mapping[str, Any]) -> str:
    told = (
        f"{results['samples']} samples to {results['problems']} problems; the answer is right in "
        f"{results['right_answer_rate']:.0%}, and the process too in {results['gold_rate']:.0%}; "
        f"{results['samples_without_gold']} samples have no gold. The step check can tell "
        f"{results['samples_the_step_check_tells']} of them.\n"
    )
    stated = "".join(
        f"- `{found['code']}` ({found['pool']}), {found['verdict']}: {found['told']}\n" for found in results["findings"]
    )
    return f"{told}\n{of_rows(results)}\n{stated}"


def of_words(results: Mapping[str, Any]) -> str:
    auroc = f"{results['step_auroc']:.4f} [{results['step_auroc_low']:.4f}, {results['step_auroc_high']:.4f}]"
    told = (
        f"{results['samples']:,} solutions of {results['problems']} problems; the answer is right in "
        f"{results['right_answer_rate']:.0%}, and the process too in {results['gold_rate']:.0%}. AUROC of the process "
        f"reward's steps: {auroc}; the outcome reward read at each step has "
        f"{results['step_auroc_over_outcome']:.2f} less.\n"
    )
    return f"{told}\n{of_rows(results)}"


PARTS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "pressure_world": of_words,
    "process_vs_outcome": of_pressure,
    "prm_world": of_world,
    "prm_human": of_human,
}
"""Name of the results and of the markers -> what stands between them."""


def with_results(page: str) -> str:
    for name, tell in PARTS.items():
        file = RESULTS / f"{name}.json"
        told = tell(json.loads(file.read_text("utf-8"))) if file.exists() else ""
        pattern = re.compile(rf"(<!-- {name}: .*? -->\n).*?(<!-- end -->)", re.DOTALL)
        assert len(pattern.findall(page)) == 1, f"{PAGE.name} has no place for {name}"
        page = pattern.sub(
            lambda found, told=told: f"{found[1]}\n{told}\n{found[2]}" if told else found[1] + found[2], page
        )
    return page


if __name__ == "__main__":
    PAGE.write_text(with_results(PAGE.read_text("utf-8")), encoding="utf-8")
