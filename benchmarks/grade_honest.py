"""Grading honest programs: canonical solutions, and 16,400 samples of a model, against plain execution.

    python benchmarks/grade_honest.py [--limit TASKS] [--seconds S] [--keep FILE]

1. All canonical solutions of HumanEval (164) and sanitized MBPP (427, CodeT's file): each must pass, and plain
   execution (exec of program and tests in a forked child, no isolation: plain_exec.py) must say the same.
2. How many assertions became cases, and how many are left to a dialogue.
3. CodeT's HumanEval pool, 164 x 100 samples of CodeGen-16B, graded twice with the whole grader (isolation and detection
   on), executed plainly once: verdicts of the two gradings must be identical; where grading and plain execution differ,
   the difference is listed.
`--seconds` is the limit of one sample, for grading and for plain execution; canonical solutions have a minute, since
one of MBPP's takes 3 s. `--reruns` is how often a time-out is tried again (the grader's default is 2).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import real_file, write_results
from karat.grade.config import GradeConfig
from karat.grade.coverage import coverage
from karat.grade.grader import Grader
from karat.grade.readers import read_candidates, read_tasks
from karat.grade.types import Candidate, Graded, Task
from karat.sandbox import open_sandbox

HUMANEVAL = ("humaneval", "data__HumanEval.jsonl.gz")
MBPP = ("codet", "CodeT__data__dataset__mbpp_sanitized_for_code_generation.jsonl.zst")
POOL = ("codet", "derived__codegen16b_humaneval_gold_and_proxy.jsonl.zst")
CANONICAL_SECONDS = 60.0
NUMPY = (
    "right, but runs on into an import of numpy, pandas or torch: visible plainly where it is installed, not in the "
    "sandbox (--packages names what candidates may import); CodeT's derived gold calls it wrong for the same reason"
)
LOAD = "depends on the machine's load"
READ = {
    **dict.fromkeys(
        ("HumanEval/50 32", "HumanEval/61 5", "HumanEval/111 64", "HumanEval/116 0", "HumanEval/116 51"), NUMPY
    ),
    **dict.fromkeys(("HumanEval/116 91", "HumanEval/2 58", "HumanEval/63 90", "HumanEval/15 28"), NUMPY),
    **dict.fromkeys(("HumanEval/159 85", "HumanEval/55 54", "HumanEval/79 1"), NUMPY),
    "HumanEval/38 44": f"wrong: calls itself for ever, 100 times over; how many come before the limit {LOAD}",
    "HumanEval/67 99": f"wrong, in 3 ms of processor time; that once no answer came {LOAD}",
    "HumanEval/100 12": f"wrong, and collects for ever: which of its tests still meets the memory limit, and which the "
    f"time limit, {LOAD}; the verdict does not",
    "HumanEval/100 25": f"collects for ever: whether the memory limit (a fail) or the time limit comes first {LOAD}",
    "HumanEval/130 18": f"wrong, with 2.7 s of processor time for a limit of 3 s: how many tests are reached {LOAD}; "
    "the verdict does not",
    "HumanEval/132 79": f"wrong; its text grows to 900 MB, so which of its calls still end within the limit {LOAD}",
}
"""Differences that were looked up by hand, and what they are."""
WORKERS = len(os.sched_getaffinity(0))


# ----------------------------------------------------------------------------------------------------- plain execution
def plain_verdicts(programs: Sequence[str], seconds: float) -> list[str]:
    """Verdicts of `plain_exec.py`, in as many processes as there are processors."""

    def share(part: int) -> list[str]:
        told = "".join(json.dumps(program) + "\n" for program in programs[part::WORKERS])
        command = [sys.executable, str(Path(__file__).with_name("plain_exec.py")), str(seconds)]
        done = subprocess.run(command, input=told, stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout.split()

    with ThreadPoolExecutor(WORKERS) as executor:
        shares = list(executor.map(share, range(WORKERS)))
    return [shares[at % WORKERS][at // WORKERS] for at in range(len(programs))]


def plain_program(task: Task, code: str) -> str:
    """As HumanEval's own harness puts it together."""
    call = f"check({task.entry_point})" if "def check(" in task.test_code else ""
    return f"{code}\n{task.test_code}\n{call}\n"


# ------------------------------------------------------------------------------------------------------------- gradings
def mended_program(task: Task) -> str:
    """What CodeT's MBPP needs to run plainly: it lost the tests' `import math`, and one function is called check."""
    tests = task.test_code.replace("def check(", "def karat_check(")
    return f"import math, sys\n{task.reference}\n{tests}\nkarat_check({task.entry_point})\n"


def config_of(seconds: float, *, reruns: int, watch: bool) -> GradeConfig:
    return GradeConfig(check_tasks=False, held_out=0, reruns=reruns, wall_s=seconds, cpu_s=seconds, watch=watch)


def canonical(tasks: Sequence[Task], config: GradeConfig) -> dict[str, Any]:
    asked = [Candidate(task_id=task.task_id, candidate_id="reference", code=task.reference) for task in tasks]
    with Grader(tasks, config) as grader:
        graded = list(grader.grade(asked))
    plain = plain_verdicts([plain_program(task, task.reference) for task in tasks], config.wall_s)
    differ = [
        f"{task.task_id}: {result.verdict} ({result.reason[:120]}), plainly {verdict}"
        for task, result, verdict in zip(tasks, graded, plain, strict=True)
        if (result.verdict == "pass") != (verdict == "pass")
    ]
    mended = plain_verdicts([mended_program(task) for task in tasks], config.wall_s)
    return {
        "programs": len(tasks),
        "passed": sum(result.passed for result in graded),
        "passed plainly": plain.count("pass"),
        "passed plainly, with math imported and the harness's check renamed": mended.count("pass"),
        "flagged": sum(any(a.confidence in ("proven", "strong") for a in result.tamper) for result in graded),
        "differ": differ,
    }


def grade_pool(tasks: Sequence[Task], pool: Sequence[Candidate], config: GradeConfig, name: str) -> list[Graded]:
    began, results = time.perf_counter(), []
    with Grader(tasks, config) as grader:
        for result in grader.grade(pool):
            results.append(
                replace(result, tests=tuple(replace(test, reason=test.reason[:120]) for test in result.tests))
            )
            if len(results) % 2000 == 0:
                print(f"{name}: {len(results)} in {time.perf_counter() - began:.0f} s", flush=True)
    print(f"{name}: {len(pool) / (time.perf_counter() - began):.0f} a second", flush=True)
    return results


def by_tests(result: Graded) -> str:
    """What the tests alone say, whatever the evidence of tampering."""
    verdicts = {test.verdict for test in result.tests}
    if verdicts == {"pass"}:
        return "pass"
    return next((verdict for verdict in ("fail", "timeout", "error") if verdict in verdicts), "error")


def differences(
    pool: Sequence[Candidate], first: Sequence[Graded], second: Sequence[Graded], plain: Sequence[str]
) -> Iterator[dict[str, Any]]:
    for candidate, one, two, verdict in zip(pool, first, second, plain, strict=True):
        strong = [
            f"{a.technique} ({a.confidence}): {a.evidence[:80]}"
            for a in one.tamper
            if a.confidence in ("proven", "strong")
        ]
        kinds = []
        if one.verdict != two.verdict or [t.verdict for t in one.tests] != [t.verdict for t in two.tests]:
            kinds.append("two gradings differ")
        if (by_tests(one) == "pass") != (verdict == "pass"):
            kinds.append("not as plainly")
        if strong:
            kinds.append("flagged")
        if kinds:
            yield {
                "task": candidate.task_id,
                "candidate": candidate.candidate_id,
                "what": ", ".join(kinds),
                "graded": by_tests(one),
                "again": by_tests(two),
                "plain": verdict,
                "gold": candidate.extra.get("gold"),
                "reason": next((t.reason for t in one.tests if t.verdict not in ("pass", "not run")), "")[:120],
                "evidence": re.sub(r"/\S*/", "", "; ".join(strong))[:160],
                "read by hand": READ.get(f"{candidate.task_id} {candidate.candidate_id}", "not read yet"),
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, default=0, help="only so many tasks of each set")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--reruns", type=int, default=2)
    parser.add_argument("--keep", default="", help="write the first grading of each sample to this JSON lines file")
    parser.add_argument("--no-watch", action="store_true", help="without detection")
    options = parser.parse_args()
    watch = not options.no_watch
    config = config_of(options.seconds, reruns=options.reruns, watch=watch)
    patient = config_of(CANONICAL_SECONDS, reruns=options.reruns, watch=watch)
    cut = slice(options.limit or None)
    humaneval = read_tasks(real_file(*HUMANEVAL))[0][cut]
    mbpp = read_tasks(real_file(*MBPP))[0][cut]
    results: dict[str, Any] = {}
    with open_sandbox() as trusted:
        for name, tasks in (("HumanEval", humaneval), ("MBPP sanitized", mbpp)):
            results |= {f"{name}: {key}": value for key, value in canonical(tasks, patient).items()}
            results |= {f"{name}: {key}": value for key, value in coverage(tasks, trusted)[0].counts().items()}
    by_id = {task.task_id: task for task in humaneval}
    pool = [c for c in read_candidates(real_file(*POOL), humaneval)[0] if c.task_id in by_id]
    first = grade_pool(humaneval, pool, config, "first")
    second = grade_pool(humaneval, pool, config, "second")
    plain = plain_verdicts([plain_program(by_id[c.task_id], str(c.code)) for c in pool], options.seconds)
    results |= {
        "pool: samples": len(pool),
        "pool: passed": sum(by_tests(result) == "pass" for result in first),
        "pool: passed plainly": plain.count("pass"),
        "pool: gold of the derived file": sum(int(c.extra["gold"]) for c in pool),
        "pool: verdicts": ", ".join(f"{k} {n}" for k, n in sorted(Counter(map(by_tests, first)).items())),
        "pool: plainly": ", ".join(f"{k} {n}" for k, n in sorted(Counter(plain).items())),
        "pool: flagged (proven or strong)": sum(
            any(a.confidence in ("proven", "strong") for a in result.tamper) for result in first
        ),
        "back end": first[0].backend,
    }
    if options.keep:
        with Path(options.keep).open("w", encoding="utf-8") as file:
            for candidate, result in zip(pool, first, strict=True):
                row = {
                    "task_id": candidate.task_id,
                    "candidate_id": candidate.candidate_id,
                    "passed": by_tests(result) == "pass",
                }
                file.write(json.dumps(row) + "\n")
    write_results("grade_honest", results, list(differences(pool, first, second, plain)))


if __name__ == "__main__":
    main()
