"""Hard-coding on real tasks: how often honest programs are taken for it, and how often planted hard-coders are found.

HumanEval's 164 tasks. Visible are the literal calls of a task's own assertions; held-out inputs are inferred from these
and answered by the reference. Honest programs: the CodeGen-16B samples of CodeT's pool that pass the true tests; a
generated input that one of them fails is a mistake of the generator (or a sample that the true tests wrongly pass).
Programs that are wrong without intent: samples that pass the first half of the visible calls and fail the true tests.
Hard-coders: made from each task's visible calls and outputs, at several strengths.

    python benchmarks/grade_hardcoding.py --samples 100
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import zstandard

from common import real_file, write_results
from karat.grade.hardcoding import gap_of, hidden_results, special_casing
from karat.grade.hardcoding.asking import ask_function
from karat.grade.hardcoding.cases import visible_cases
from karat.grade.hardcoding.special import special_cases
from karat.grade.kinds import evaluate
from karat.grade.kinds.calls import with_prelude
from karat.grade.kinds.context import Context
from karat.grade.readers import read_tasks
from karat.grade.types import Evaluation, Task, Test, TestResult
from karat.numerics.intervals import clustered_proportion, wilson
from karat.sandbox import open_sandbox
from karat.sandbox.types import Limits
from karat.selftest.grade_hardcoding import STRENGTHS, hard_coder

POOL = "derived__codegen16b_humaneval_gold_and_proxy.jsonl.zst"
MBPP = "CodeT__data__dataset__mbpp_sanitized_for_code_generation.jsonl.zst"
N_HELD_OUT = 10


def lines_of(name: str) -> Iterator[dict[str, Any]]:
    with open(real_file("codet", name), "rb") as file:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), "utf-8"):
            yield json.loads(line)


def humaneval() -> list[Task]:
    return tasks_of("humaneval", "data__HumanEval.jsonl.gz")


def mbpp() -> list[Task]:
    return tasks_of("codet", MBPP)


def tasks_of(*parts: str) -> list[Task]:
    return [replace(task, limits=Limits(wall_s=8.0)) for task in read_tasks(real_file(*parts))[0]]


def with_outputs(task: Task, context: Context) -> Task:
    """A function task with the calls of the assertions as visible tests; those that the reference answers."""
    cases = [case for case in visible_cases(task, context.trusted) if case.place != "prompt" and not case.kwargs]
    tests = [Test(test_id=str(at), input=case.args) for at, case in enumerate(cases)]
    program = with_prelude(task.prelude, task.reference)
    answers = ask_function(program, task.entry_point, tests, sandbox=context.trusted, limits=task.limits)
    known = [
        replace(test, output=reply.value)
        for test, reply in zip(tests, answers.replies, strict=False)
        if reply.status == "value"
    ]
    return replace(task, kind="function", tests=tuple(known))


def judged(task: Task, code: str, context: Context, seed: int) -> dict[str, Any]:
    """What is said of one candidate that is taken to pass its visible tests."""
    held = hidden_results(task, code, context, n=N_HELD_OUT, rng=np.random.default_rng(seed))
    passed = Evaluation(
        tests=tuple(TestResult(test_id=test.test_id, verdict="pass") for test in task.tests), runs=()
    )  # fmt: skip
    special, attempts = special_casing(task, code, passed, held)
    gap = gap_of(passed, held)
    return {
        "task": task.task_id, "special": special, "n": gap.n_held_out, "failed": gap.n_held_out_failed,
        "larger_failed": sum(r.verdict == "fail" and r.test_id.startswith("larger") for r in held.results),
        "larger": sum(r.verdict in ("pass", "fail") and r.test_id.startswith("larger") for r in held.results),
        "named": any(attempt.technique == "default_for_large" for attempt in attempts),
        "strong": any(attempt.confidence == "strong" for attempt in attempts),
        "said": tuple(f"{attempt.technique} {attempt.confidence}" for attempt in attempts),
    }  # fmt: skip


def share(rows: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    value = [bool(row[name]) for row in rows]
    found = clustered_proportion(np.array(value, dtype=float), [row["task"] for row in rows])
    return {"n": len(rows), "share": found.estimate, "low": found.low, "high": found.high}


def honest_rows(tasks: dict[str, Task], context: Context, samples: int) -> tuple[list[dict], list[dict]]:
    """Judgements of samples that pass the true tests, and of those that pass only half of the visible calls."""
    right, wrong = [], []
    for row in lines_of(POOL):
        task = tasks[row["task_id"]]
        half = replace(task, tests=task.tests[: max(1, len(task.tests) // 2)], test_code="")
        for at, candidate in enumerate(row["candidates"][:samples]):
            code = task.prompt + candidate["completion"]
            if candidate["gold"]:
                right.append(judged(task, code, context, at))
            elif task.tests and all(t.verdict == "pass" for t in evaluate(half, code, context).tests):
                wrong.append(judged(half, code, context, at))
    return right, wrong


def source_rows(tasks: Sequence[Task], programs: Iterator[tuple[Task, str]]) -> list[dict[str, Any]]:
    """Whether anything is said of source that nobody wrote to cheat."""
    return [
        {"task": task.task_id, "flagged": bool(special_cases(code, visible_cases(task))), "code": code}
        for task, code in programs
    ]


def sampled(tasks: dict[str, Task]) -> Iterator[tuple[Task, str]]:
    for row in lines_of(POOL):
        task = tasks[row["task_id"]]
        yield from ((task, task.prompt + candidate["completion"]) for candidate in row["candidates"])


def planted_rows(tasks: Sequence[Task], context: Context) -> list[dict[str, Any]]:
    rows = []
    for task in tasks:
        if len(task.tests) < 3:
            continue
        for strength in STRENGTHS:
            code = hard_coder(strength, task)
            if any(test.verdict != "pass" for test in evaluate(task, code, context).tests):
                continue  # outputs that no literal gives back, as nan
            rows.append({"strength": strength, **judged(task, code, context, 0)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100, help="samples of each task")
    parser.add_argument("--backend", default="auto")
    options = parser.parse_args()
    sandbox, trusted = open_sandbox(options.backend), open_sandbox(options.backend)
    context = Context(sandbox=sandbox, trusted=trusted, watch=False)
    began = time.perf_counter()
    tasks = {task.task_id: with_outputs(task, context) for task in humaneval()}
    mbpp_tasks = [with_outputs(task, context) for task in mbpp()]
    rows = []
    for name, said in (
        ("HumanEval references", source_rows((), ((t, t.reference) for t in tasks.values()))),
        ("MBPP references", source_rows((), ((t, t.reference) for t in mbpp_tasks))),
        ("CodeT samples", source_rows((), sampled(tasks))),
    ):
        rows.append({"what": f"source alone: {name} flagged", **share(said, "flagged")})
        for row in said:
            if row["flagged"]:
                print(row["task"])
    right, wrong = honest_rows(tasks, context, options.samples)
    asked = [row for row in right if row["n"]]
    with_larger = [row for row in asked if row["larger"]]
    rows += [
        {"what": "pass the true tests: fail a generated input", **share(asked, "failed")},
        {"what": "pass the true tests: fail a larger input", **share(with_larger, "larger_failed")},
        {"what": "pass the true tests: called special-cased", **share(right, "special")},
        {"what": "pass the true tests: strong sign", **share(right, "strong")},
        {"what": "wrong, pass half of the visible: called special-cased", **share(wrong, "special")},
        {"what": "wrong, pass half of the visible: strong sign", **share(wrong, "strong")},
    ]  # fmt: skip
    planted = planted_rows(list(tasks.values()), context)
    for strength in STRENGTHS:
        group = [row for row in planted if row["strength"] == strength]
        if group:
            rows.append({"what": f"planted, {strength}: called special-cased", **share(group, "special")})
            last = "named" if strength == "constant for large" else "strong"
            told = "named so, and not special-cased" if last == "named" else "strong sign"
            rows.append({"what": f"planted, {strength}: {told}", **share(group, last)})
    inputs = sum(row["n"] for row in asked)
    failed = sum(row["failed"] for row in asked)
    by_task = Counter(row["task"] for row in asked if row["failed"])
    write_results(
        "grade_hardcoding",
        {
            "held-out inputs asked of honest samples": inputs,
            "of these failed": failed,
            "share failed": failed / max(1, inputs),
            "share failed, low": wilson(failed, inputs)[0] if inputs else "",
            "share failed, high": wilson(failed, inputs)[1] if inputs else "",
            "tasks with held-out inputs": len({row["task"] for row in asked}),
            "tasks where an honest sample fails one": len(by_task),
            "those with most": ", ".join(f"{task} {n}" for task, n in by_task.most_common(12)),
            "backend": sandbox.name,
            "minutes": (time.perf_counter() - began) / 60,
        },
        rows,
    )
    for part in (sandbox, trusted):
        part.close()


if __name__ == "__main__":
    main()
