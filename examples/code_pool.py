"""Best of n over real programs: how far can "share of generated tests passed" be optimised before the truth falls?

    KARAT_DATA=... python examples/code_pool.py [--out code-pool] [--tasks N]

CodeT's pool (MIT) has 164 HumanEval tasks with 100 samples of CodeGen-16B each, and assertions that the same model
wrote. Each sample is graded twice: by those assertions (the proxy: the share that passes, each counted as often as the
model wrote it, what test-generating pipelines select by) and by HumanEval's own tests (the gold: 1 or 0).

What is written is a pool in long form, OUT/pool.jsonl, that `karat stress` reads like any other (--proxy
generated_tests --gold true_tests). Printed are how many of the assertions are decided outside the candidate's process,
and the curve over n. A score that could not be made is null, not 0; where the model wrote no assertion at all (10
tasks), all samples of a task are alike to the proxy: 0.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import karat
from karat.data.account import AccountBuilder
from karat.data.files import open_source
from karat.grade.config import GradeConfig
from karat.grade.coverage import coverage
from karat.grade.grader import Grader
from karat.grade.readers import read_candidates, read_tasks
from karat.grade.types import Candidate, Graded, Task
from karat.sandbox import open_sandbox
from karat.sandbox.types import Limits

SECONDS = 3.0
"""Of one sample, all tests together; a sample that takes longer fails the tests that it did not come to."""


def data_file(*parts: str) -> Path:
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    file = Path(os.environ.get("KARAT_DATA", default)).joinpath(*parts)
    if not file.exists():
        sys.exit(f"{file} is not there. Name the folder that holds the real data in KARAT_DATA.")
    return file


def generated_tasks(tasks: Sequence[Task], rows: Sequence[dict[str, Any]]) -> Iterator[Task]:
    """The same tasks, with the model's assertions as tests, one a line; `extra` has how often each was written."""
    of_task = {row["task_id"]: row for row in rows}
    for task in tasks:
        row = of_task[task.task_id]
        kept = [
            (line.replace("\n", " "), times)
            for line, times in zip(row["asserts"], row["assert_mult"], strict=True)
            if compiles(line)
        ]
        yield Task(
            task_id=task.task_id,
            kind="asserts",
            entry_point=task.entry_point,
            prompt=task.prompt,
            test_code="\n".join(line for line, _ in kept),
            limits=Limits(wall_s=SECONDS, cpu_s=SECONDS),
            extra={"times": [times for _, times in kept]},
        )


def compiles(line: str) -> bool:
    try:
        ast.parse(line.replace("\n", " "))
    except (SyntaxError, ValueError):
        return False
    return True


def graded(tasks: Sequence[Task], pool: Sequence[Candidate], what: str) -> list[Graded]:
    config = GradeConfig(check_tasks=False, held_out=0, reruns=0, wall_s=SECONDS, cpu_s=SECONDS, watch=False)
    results = []
    with Grader(tasks, config) as grader:
        for result in grader.grade(pool):
            results.append(result)
            if len(results) % 1000 == 0:
                print(f"{what}: {len(results)} of {len(pool)}", file=sys.stderr, flush=True)
    return results


def share_passed(result: Graded, times: Sequence[int]) -> float | None:
    """The share of the assertions that passed; null where nothing could be judged."""
    if not times:
        return 0.0
    if result.verdict == "error" and all(test.verdict == "error" for test in result.tests):
        return None
    passed: dict[int, bool] = {}
    for test in result.tests:
        line = int(re.findall(r"\d+", test.test_id)[0]) if test.test_id.startswith("line ") else 0
        passed[line] = passed.get(line, True) and test.verdict == "pass"
    return sum(times[line - 1] for line, holds in passed.items() if line and holds) / sum(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("code-pool"))
    parser.add_argument("--tasks", type=int, default=0, help="only the first so many tasks")
    options = parser.parse_args()
    samples = data_file("codet", "derived__codegen16b_humaneval_gold_and_proxy.jsonl.zst")
    tasks = read_tasks(data_file("humaneval", "data__HumanEval.jsonl.gz"))[0][: options.tasks or None]
    wanted = {task.task_id: task for task in tasks}
    rows = [row.raw for row in open_source(samples).rows(AccountBuilder(str(samples)))]
    pool = [c for c in read_candidates(samples, tasks)[0] if c.task_id in wanted]
    gold = graded(tasks, pool, "HumanEval's tests")
    generated = {task.task_id: task for task in generated_tasks(tasks, rows)}
    with closing(open_sandbox()) as trusted:
        (asked,) = coverage([task for task in generated.values() if task.test_code], trusted)
    print(f"generated tests of {asked.tasks} tasks: {asked.counts()}")
    proxy = graded(list(generated.values()), pool, "generated tests")
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "pool.jsonl").open("w", encoding="utf-8") as file:
        for candidate, true, by_model in zip(pool, gold, proxy, strict=True):
            task = wanted[candidate.task_id]
            row = {
                "prompt_id": candidate.task_id,
                "response_id": candidate.candidate_id,
                "prompt": task.prompt,
                "response": str(candidate.code).removeprefix(task.prompt),
                "generated_tests": share_passed(by_model, generated[candidate.task_id].extra["times"]),
                "true_tests": None if true.verdict == "error" else float(true.passed),
            }
            file.write(json.dumps(row) + "\n")
    result = karat.stress(options.out / "pool.jsonl", proxy="generated_tests", gold="true_tests")
    print("n      generated tests passed   true tests passed [95 %]")
    values = result.values
    wanted_n = {1, 2, 4, 8, 16, 32, 64, 100}
    for n, p, g, low, high in zip(
        *(values[key] for key in ("n", "proxy", "gold", "gold_low", "gold_high")), strict=True
    ):
        if n in wanted_n:
            print(f"{n:<6} {p:<24.3f} {g:.3f} [{low:.3f}, {high:.3f}]")


if __name__ == "__main__":
    main()
