"""Plain execution, as graders without isolation do it: programs come from standard input, one JSON line each, and are
executed in a forked child; one verdict a line. Standard library only, so that the fork is small.

    python benchmarks/plain_exec.py SECONDS < programs.jsonl
"""

from __future__ import annotations

import io
import json
import os
import resource
import select
import signal
import sys

MEMORY = 4 << 30


def verdict(program: str, seconds: float) -> str:
    """pass, fail, timeout, or died: the child ended without a word."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            run(program, writer, seconds)
        finally:
            os._exit(1)
    os.close(writer)
    told = os.read(reader, 1) if select.select([reader], [], [], seconds + 2.0)[0] else b"t"
    os.close(reader)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return {b"p": "pass", b"f": "fail", b"t": "timeout"}.get(told, "died")


def run(program: str, writer: int, seconds: float) -> None:
    silent = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(silent, descriptor)
    sys.stdin, sys.stdout, sys.stderr = io.StringIO(), io.StringIO(), io.StringIO()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 2, int(seconds) + 2))

    def late(*_: object) -> None:
        os.write(writer, b"t")
        os._exit(0)

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        exec(compile(program, "<plain>", "exec"), {"__name__": "plain"})
    except BaseException:
        told = b"f"
    else:
        told = b"p"
    signal.setitimer(signal.ITIMER_REAL, 0)
    os.write(writer, told)
    os._exit(0)


def main() -> None:
    for line in sys.stdin:
        print(verdict(json.loads(line), float(sys.argv[1])), flush=True)


if __name__ == "__main__":
    main()
