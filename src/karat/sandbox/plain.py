"""The weakest back end: a child process with resource limits and a folder of its own. Named, never silent.

It needs no namespaces. On Linux, Landlock and a system call filter stand around the program where the kernel has them
(also inside most containers, where namespaces are forbidden); elsewhere nothing keeps a program from the files, the
network and the processes of its user, and one that reads the grader's memory finds the answers there. `walls` tries.
"""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from karat.sandbox import policy, probes
from karat.sandbox.inside import landlock
from karat.sandbox.inside.folder import remove
from karat.sandbox.places import COMMANDS, CONFIGURATION, LIBRARIES, another_user, may_take_other_users
from karat.sandbox.process import (
    ENVIRONMENT,
    PACKAGE,
    Place,
    ProcessSandbox,
    ProcessSession,
    check_program,
    interpreter,
    settings_of,
    start_words,
)
from karat.sandbox.transport import Pipes
from karat.sandbox.types import Limits, Program, Wall

SCOPES_SIGNALS = 6
"""The first version of Landlock that keeps signals inside."""


def available() -> str:
    """Empty where this back end works: everywhere that has processes and pipes of POSIX."""
    return "" if os.name == "posix" else "it needs a POSIX system"


def own_user(program: Program, folder: str) -> int:
    """A user id for one run, where we may take one and a process of another user can reach what it needs; else 0."""
    needed = [folder] if program.kind == "command" else [folder, interpreter(), sys.base_prefix]
    if not may_take_other_users() or not all(open_to_all(place) for place in needed):
        return 0
    return another_user()


def open_to_all(place: str) -> bool:
    """Whether the folders above a place let every user through."""
    return all(os.stat(above).st_mode & 0o001 for above in Path(place).parents)


@functools.cache
def _tried(euid: int) -> dict[str, str]:
    through = dict(probes.what_got_through(PlainSandbox()))
    signals_stay = landlock.abi() >= SCOPES_SIGNALS or may_take_other_users() if sys.platform == "linux" else False
    if not signals_stay:  # the probe is a module: those cannot signal at all
        for name in (policy.OTHER_PROCESSES, policy.SURVIVORS):
            through.setdefault(name, "programs of the kind `command` may signal the processes of their user")
    return through


class PlainSandbox(ProcessSandbox):
    """Starts a bare interpreter, and a supervisor of it, for each program."""

    name = "subprocess"

    def __init__(self, packages: Sequence[str] = ()) -> None:
        self.packages = tuple(packages)

    def walls(self) -> tuple[Wall, ...]:
        """Each wall; those that a program can try are tried, once."""
        through = _tried(os.geteuid()) | {
            policy.MEMORY: "each process has its limit, all of them together have none",
            policy.PRIVATE_FILES: "the working folder is a folder of the host, with no limit in all",
            policy.KERNEL_RECORD: "nothing reports refused system calls",
        }
        known = [policy.wall(name, through.get(name, "")) for name in policy.WHAT_GETS_THROUGH]
        no_user = "" if may_take_other_users() else "we may not give a run a user of its own"
        return (
            *known,
            Wall("host file modes", not no_user, "a command changes modes of the user's own files", no_user),
        )

    def open(self, program: Program, *, limits: Limits) -> ProcessSession:
        check_program(program)
        folder = tempfile.mkdtemp(prefix="karat-")
        pipes = Pipes()
        settings = settings_of(program, limits, folder=folder) | {
            "fds": pipes.theirs,
            "packages": self.packages,
            "remove": True,
            "lock": self._lock(program, folder),
            "uid": own_user(program, folder),
        }
        command = [interpreter(), *start_words("supervisor", settings, package=str(PACKAGE))]
        try:
            pipes.start(command, environment=ENVIRONMENT, folder=folder)
        except BaseException:
            pipes.close()
            remove(folder)
            raise
        place = Place(
            transport=pipes,
            clean=lambda: remove(folder),
            backend=self.name,
            temporary=folder,
        )
        return ProcessSession(program, limits, place)

    def _lock(self, program: Program, folder: str) -> dict[str, list[str]]:
        """What Landlock leaves open: the interpreter and what it needs, and for commands the system's programs."""
        files = ["/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", *CONFIGURATION]
        interpreters = [sys.base_prefix, interpreter(), str(PACKAGE / "sandbox" / "inside"), *self.packages]
        run = [*LIBRARIES, *((*COMMANDS, folder) if program.kind == "command" else ())]
        return {
            "read": [path for path in (*files, *interpreters) if os.path.exists(path)],
            "write": [folder, "/dev/null"],
            "execute": [path for path in (*run, *interpreters[:2]) if os.path.exists(path)],
        }
