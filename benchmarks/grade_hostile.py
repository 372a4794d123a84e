"""Thousands of hostile runs between honest ones: every honest verdict right, the rate as before, nothing grown.

    python benchmarks/grade_hostile.py --backend namespaces --runs 10000

Each hostile program is drawn from tests/sandbox/hostile.py (escape attempts a few at a time, bombs, forged frames,
commands); after each, an honest program with random inputs runs in the same sandbox. Honest programs alone are timed
before and after, in blocks that alternate between the used sandbox and a fresh one, so that a machine that got slower
meanwhile is not taken for a sandbox that did. Counted at the start and at the end: descriptors, processes, zombies,
threads, mounts, control groups, files left, System V objects, resident memory of all processes of the run.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from karat.sandbox import open_sandbox  # noqa: E402
from karat.sandbox.types import Call, Limits, Program, Sandbox  # noqa: E402
from sandbox import hostile  # noqa: E402

TIGHT = Limits(wall_s=0.15, cpu_s=0.1, memory_mb=128, files_mb=4, output_kb=16, reply_kb=64)
ROOM = Limits(wall_s=10.0, cpu_s=8.0, memory_mb=256, files_mb=4)
HONEST = "def f(x, y):\n    return [x * y, sorted({x, y}), str(x)[::-1]]\n"
BLOCK = {"namespaces": 100}
"""Honest programs of one block of timing; elsewhere 20, because an interpreter starts for each."""
NEEDS_PROCESSES_OF_ITS_OWN = ("signals everything", "multiplies")
TOO_LARGE = ("one line of 100 MB",)
"""Half a second of printing each: left to the tests."""


def honest(sandbox: Sandbox, rng: random.Random) -> bool:
    """Whether an honest program's answers are right."""
    calls = [Call("f", (rng.randrange(10**6), rng.randrange(10**6))) for _ in range(5)]
    run = sandbox.run(Program(source=HONEST), calls, limits=ROOM)
    expected = [[x * y, sorted({x, y}), str(x)[::-1]] for x, y in (call.args for call in calls)]
    return [reply.value for reply in run.replies] == expected and run.ended == "done" and not run.anomalies


def programs(sandbox: Sandbox, names: list[str]) -> dict[str, tuple[Program, tuple[Call, ...], Limits]]:
    """Every kind of hostile run by name."""
    found: dict[str, tuple[Program, tuple[Call, ...], Limits]] = {}
    target = {
        "secret": __file__, "token": "-", "grader": os.getpid(), "victim": os.getppid(), "address": 0, "port": 9,
        "udp": 9, "unix": "/run/none", "datagrams": "/run/none", "abstract": "none", "memory_mb": ROOM.memory_mb,
    }  # fmt: skip
    for start in range(0, len(names), 10):
        call = Call("attempt", (target, names[start : start + 10]))
        found[f"attempts {start + 1} to {start + 10}"] = (Program(source=hostile.ATTEMPTS), (call,), ROOM)
    for name, source in hostile.BOMBS.items():
        if name not in TOO_LARGE:
            arguments = (__file__,) if "def f(secret)" in source else ()
            found[name] = (Program(source=source, keep_files=True), (Call("f", arguments),) * 2, TIGHT)
    for name, argv in hostile.COMMAND_BOMBS.items():
        if sandbox.name != "subprocess" or name not in NEEDS_PROCESSES_OF_ITS_OWN:
            limits = Limits(wall_s=0.15, cpu_s=0.1, processes=16)
            found[f"command: {name}"] = (Program(kind="command", argv=argv), (), limits)
    return found


def attempt_names() -> list[str]:
    found: dict[str, Any] = {}
    exec(compile(hostile.ATTEMPTS, "attempts", "exec"), found)
    return list(found["NAMES"])


def state(folder: str) -> dict[str, int]:
    """What must not grow."""
    own = psutil.Process()
    family = [own, *own.children(recursive=True)]
    sysv = sum(len(Path("/proc/sysvipc", name).read_text().splitlines()) - 1 for name in ("shm", "msg", "sem"))
    groups = sum(1 for path in Path("/sys/fs/cgroup").rglob("cgroup.procs"))
    return {
        "descriptors": sum(process.num_fds() for process in family),
        "processes": len(family),
        "zombies": sum(process.status() == psutil.STATUS_ZOMBIE for process in family),
        "threads": sum(process.num_threads() for process in family),
        "mounts": len(Path("/proc/self/mounts").read_text().splitlines()),
        "control groups": groups,
        "files left": len(os.listdir(folder)),
        "System V objects": sysv,
        "resident MB": round(sum(process.memory_info().rss for process in family) / 2**20),
    }


def rate(sandbox: Sandbox, rng: random.Random) -> float:
    """Honest programs a second over one block."""
    block = BLOCK.get(sandbox.name, 20)
    began = time.perf_counter()
    right = sum(honest(sandbox, rng) for _ in range(block))
    assert right == block
    return block / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="namespaces")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    folder = tempfile.mkdtemp(prefix="karat-hostile-")
    tempfile.tempdir = folder
    sandbox = open_sandbox(options.backend)
    kinds = programs(sandbox, attempt_names())
    for program, calls, limits in list(kinds.values()):  # once each, so that everything is loaded before the count
        sandbox.run(program, calls, limits=limits)
    honest(sandbox, rng)
    rates_before = [rate(sandbox, rng) for _ in range(5)]
    before = state(folder)
    wrong, got, ended = 0, Counter[str](), Counter[str]()
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    began = time.monotonic()
    for number in range(options.runs):
        name = rng.choice(list(kinds))
        program, calls, limits = kinds[name]
        run = sandbox.run(program, calls, limits=limits)
        ended[run.ended] += 1
        seconds[name].append(run.wall_s)
        if name.startswith("attempts") and run.replies and isinstance(run.replies[0].value, dict):
            got.update(key for key, value in run.replies[0].value.items() if value)
        wrong += not honest(sandbox, rng)
        if (number + 1) % 1000 == 0:
            print(f"{number + 1} hostile runs, {time.monotonic() - began:.0f} s, {wrong} honest ones wrong", flush=True)
    took = time.monotonic() - began
    after = state(folder)
    with open_sandbox(options.backend) as fresh:
        rate(fresh, rng)
        pairs = [(rate(sandbox, rng), rate(fresh, rng)) for _ in range(9)]
    sandbox.close()
    os.rmdir(folder)
    ratios = sorted(used / new for used, new in pairs)
    report(options, kinds, seconds, before, after, {
        "hostile runs": options.runs,
        "kinds of hostile run": len(kinds),
        "seconds in all": round(took),
        "honest runs between them": options.runs,
        "honest runs judged wrongly": wrong,
        "attempts that got something": dict(got) or "none",
        "how hostile runs ended": str(dict(ended.most_common())),
        "honest programs a second before": statistics.median(rates_before),
        "honest programs a second after": statistics.median(used for used, _ in pairs),
        "the used sandbox against a fresh one, median of 9 pairs": statistics.median(ratios),
        "range of the middle seven": f"{ratios[1]:.3f} to {ratios[-2]:.3f}",
    })  # fmt: skip


def report(
    options: argparse.Namespace,
    kinds: dict[str, Any],
    seconds: dict[str, list[float]],
    before: dict[str, int],
    after: dict[str, int],
    facts: dict[str, Any],
) -> None:
    from common import write_results  # here: it loads what would count as memory above

    rows = [{"counted": name, "before": before[name], "after": after[name]} for name in before]
    slowest = sorted(kinds, key=lambda name: -max(seconds[name], default=0.0))[:5]
    facts["longest run"] = ", ".join(f"{name} {max(seconds[name], default=0.0):.2f} s" for name in slowest)
    write_results(f"grade_hostile_{options.backend}", facts, rows)


if __name__ == "__main__":
    main()
