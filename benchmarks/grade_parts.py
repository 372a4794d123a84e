"""Where the processor time of one graded program goes: trusted side, fork server, candidate; and the pages it touches.

Programs that do more and more, in turn, round after round, each of another source. Other work on the machine makes all
of them dearer together, but for the pages: those are the same in every run.

    python benchmarks/grade_parts.py [--rounds 40]       half a minute
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import write_results
from grade_peers import CODE, ENTRY, INPUTS, LIMIT_S, OUTPUTS
from karat.grade.config import GradeConfig
from karat.grade.grader import Grader
from karat.grade.types import Candidate, Task, Test
from karat.sandbox.namespaces import NamespaceSandbox
from karat.sandbox.types import Call, Limits, Program

LIMITS = Limits(wall_s=LIMIT_S, cpu_s=LIMIT_S)
CALLS = [Call(ENTRY, tuple(args)) for args in INPUTS]
BATCH = 10
"""Programs of one kind in a row."""


def server_seconds(sandbox: NamespaceSandbox) -> float:
    """Processor time of the fork server itself: the first child of the keeper, which is the launcher's."""
    pid = sandbox.worker(command=False).process.pid
    for _ in range(2):
        pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    pairs = zip(INPUTS, OUTPUTS, strict=True)
    tests = tuple(Test(test_id=str(at), input=tuple(args), output=out) for at, (args, out) in enumerate(pairs))
    task = Task(task_id="t", kind="function", entry_point=ENTRY, tests=tests, limits=LIMITS)
    grader = Grader([task], GradeConfig(workers=1, backend="namespaces", reruns=0))
    serial = itertools.count()

    def source() -> str:
        return CODE.replace("best", f"best_{next(serial)}")

    with grader, grader._candidates.sandbox() as sandbox:
        assert isinstance(sandbox, NamespaceSandbox)
        steps: dict[str, Callable[[], object]] = {
            "an empty program": lambda: sandbox.run(Program(), limits=LIMITS),
            "the candidate, not called": lambda: sandbox.run(Program(source=source()), limits=LIMITS),
            "called once": lambda: sandbox.run(Program(source=source()), CALLS[:1], limits=LIMITS),
            "called five times": lambda: sandbox.run(Program(source=source()), CALLS, limits=LIMITS),
            "called five times, not watched": lambda: sandbox.run(
                Program(source=source(), watch=False), CALLS, limits=LIMITS
            ),
            "graded": lambda: grader._grade_in(sandbox, Candidate(task_id="t", candidate_id="c", code=source())),
        }
        spent: dict[str, dict[str, list[float]]] = {
            name: {part: [] for part in ("candidate_ms", "server_ms", "trusted_ms", "pages")} for name in steps
        }
        for number in range(options.rounds + 1):
            for name, step in steps.items():
                began, server = time.thread_time(), server_seconds(sandbox)
                overs = []
                for _ in range(BATCH):
                    step()
                    assert sandbox.session is not None
                    assert sandbox.session.over is not None
                    overs.append(sandbox.session.over)
                if number:  # the first loads what is loaded on first use
                    found = spent[name]
                    found["trusted_ms"].append(1e3 * (time.thread_time() - began) / BATCH)
                    found["server_ms"].append(1e3 * (server_seconds(sandbox) - server) / BATCH)
                    found["candidate_ms"].append(1e3 * statistics.fmean(over.cpu_s for over in overs))
                    found["pages"].append(statistics.fmean(over.faults for over in overs))
    rows: list[dict[str, Any]] = [
        {"program": name} | {part: statistics.quantiles(values, n=10)[0] for part, values in found.items()}
        for name, found in spent.items()
    ]
    facts = {
        "what": f"for one program, tenth percentile of {options.rounds} batches of {BATCH}; ms of processor time",
        "pages": "that the candidate's process brings in or copies",
        "trusted_ms": "of the thread that grades; in the last row with bait, evidence, scan and verdict",
        "load": os.getloadavg()[0],
    }
    write_results("grade_parts", facts, rows)


if __name__ == "__main__":
    main()
