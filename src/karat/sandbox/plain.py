"""The weakest back end: a child process with resource limits and a private folder. Named, never silent.

It keeps the protocol: answers are not sent, results are data. It does not keep a program from the files, the network
or the other processes of its user, so a program that reads the memory of the grader's process finds the answers there.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence

from karat.sandbox import policy
from karat.sandbox.process import (
    ENVIRONMENT,
    PACKAGE,
    START,
    Place,
    ProcessSession,
    check_program,
    interpreter,
    run_calls,
)
from karat.sandbox.process import settings_of as common_settings
from karat.sandbox.transport import Pipes
from karat.sandbox.types import Call, Limits, Program, Run, Wall


def available() -> str:
    """Empty where this back end works: everywhere that has processes and pipes of POSIX."""
    return "" if os.name == "posix" else "it needs a POSIX system"


class PlainSandbox:
    """Starts a bare interpreter, and a supervisor of it, for each program."""

    name = "subprocess"

    def __init__(self, packages: Sequence[str] = ()) -> None:
        self.packages = tuple(packages)

    def walls(self) -> tuple[Wall, ...]:
        none = "this back end has no namespaces"
        shared = "a program runs as the grader's own user and can read its memory"
        adopted = (
            "" if sys.platform == "linux" else "this system does not give a supervisor the orphans of its children"
        )
        return (
            policy.wall(policy.ANSWERS, shared),
            policy.wall(policy.HOST_FILES, none),
            policy.wall(policy.NETWORK, none),
            policy.wall(policy.SURVIVORS, adopted or "a program that ends its supervisor first can leave a daemon"),
            policy.wall(policy.OTHER_PROCESSES, none),
            policy.wall(policy.MEMORY, "each process has its limit, all of them together have none"),
            policy.wall(policy.PRIVATE_FILES, "the working folder is a folder of the host, with no limit in all"),
            policy.wall(policy.KERNEL_RECORD, "nothing reports refused system calls"),
        )

    def open(self, program: Program, *, limits: Limits) -> ProcessSession:
        check_program(program)
        folder = tempfile.mkdtemp(prefix="karat-")
        pipes = Pipes()
        settings = common_settings(program, limits, folder=folder) | {"fds": pipes.theirs, "packages": self.packages}
        command = [
            interpreter(),
            "-I",
            "-S",
            "-c",
            START.format(entry="supervisor"),
            json.dumps(settings),
            str(PACKAGE),
        ]
        try:
            pipes.start(command, environment=ENVIRONMENT, folder=folder)
        except BaseException:
            pipes.close()
            shutil.rmtree(folder, ignore_errors=True)
            raise
        place = Place(
            transport=pipes,
            clean=lambda: shutil.rmtree(folder, ignore_errors=True),
            backend=self.name,
        )
        return ProcessSession(program, limits, place)

    def run(self, program: Program, calls: Sequence[Call] = (), *, limits: Limits) -> Run:
        return run_calls(self.open(program, limits=limits), calls)

    def close(self) -> None:
        """Nothing stays open between runs."""

    def __enter__(self) -> PlainSandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
