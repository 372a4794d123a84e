"""The strong, fast back end: a warm fork server in namespaces, one process per program, nothing shared with the next.

The trusted side speaks with each program directly, through a socket and pipes of its own; the fork server never holds
a program, a call or a reply. The kernel reports forbidden system calls to the trusted side, which refuses them.
"""

from __future__ import annotations

import functools
import os
import platform
import sys
from collections.abc import Sequence

from karat.errors import ResourceError
from karat.sandbox import cgroups, policy, probes
from karat.sandbox.inside import kernel, landlock
from karat.sandbox.namespace_session import NamespaceSession
from karat.sandbox.process import check_program
from karat.sandbox.types import Call, Limits, Program, Run, Wall
from karat.sandbox.worker import PRELOAD, Worker


def available() -> str:
    """Empty where this back end works, tried once by running a program; else why not."""
    return _tried()[0]


@functools.lru_cache(maxsize=1)
def _tried() -> tuple[str, dict[str, str]]:
    """Why it does not work here, or nothing and the walls that a program got through: one worker tells both."""
    if sys.platform != "linux":
        return "it needs Linux", {}
    if kernel.TABLE is None:
        return f"it has no table of system calls for {platform.machine()}", {}
    try:
        with NamespaceSandbox() as sandbox:
            run = sandbox.run(Program(source="def f():\n    return 6 * 7\n"), [Call("f")], limits=Limits())
            if [reply.value for reply in run.replies] != [42]:
                return f"a first program did not answer: {run.ended}, {run.message}", {}
            return "", dict(probes.what_got_through(sandbox))
    except (ResourceError, OSError) as error:
        return str(error), {}


@functools.lru_cache(maxsize=1)
def _second_walls() -> tuple[Wall, ...]:
    """Walls behind the first ones: what the kernel offers here besides."""
    version = landlock.abi()
    old = "" if version >= 6 else f"Landlock {version or 'is not'} here; scoped signals and sockets came with version 6"
    group, no_group = cgroups.create()
    if group is not None:
        group.remove()
    return (
        Wall("landlock", version >= 6, "a mistake in the mounts would open files", old),
        Wall("memory of commands", not no_group, "the processes of one command take many times its memory", no_group),
    )


class NamespaceSandbox:
    """Runs programs in one worker, one after the other; a worker that is lost is replaced."""

    name = "namespaces"

    def __init__(self, packages: Sequence[str] = (), *, preload: Sequence[str] = PRELOAD) -> None:
        self.packages, self.preload = tuple(packages), tuple(preload)
        self.workers: dict[bool, Worker] = {}
        self.session: NamespaceSession | None = None

    def __enter__(self) -> NamespaceSandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def worker(self, *, command: bool) -> Worker:
        """The worker for code or for commands, started on first use. Raises: ResourceError: it does not start."""
        worker = self.workers.get(command)
        if worker is not None and worker.owner != os.getpid():  # we are a fork of the process that started it
            self.workers.clear()
            worker = None
        if worker is not None and (worker.broken or worker.process.poll() is not None):
            self.workers.pop(command).close()
            worker = None
        if worker is None:
            worker = Worker(command=command, packages=self.packages, preload=self.preload)
            self.workers[command] = worker
        return worker

    def walls(self) -> tuple[Wall, ...]:
        """Each wall; those that a program can try are tried, once."""
        why_not, through = _tried()
        tried = [policy.wall(name, why_not or through.get(name, "")) for name in policy.WHAT_GETS_THROUGH]
        return tuple(tried) if why_not else (*tried, *_second_walls())

    def open(self, program: Program, *, limits: Limits) -> NamespaceSession:
        check_program(program)
        if self.session is not None and self.session.result is None and self.session.worker.owner == os.getpid():
            self.session.close()
        self.session = NamespaceSession(self.worker(command=program.kind == "command"), program, limits)
        return self.session

    def run(self, program: Program, calls: Sequence[Call] = (), *, limits: Limits) -> Run:
        session = self.open(program, limits=limits)
        for call in calls:
            if session.call(call).status == "missing":
                break
        return session.close()

    def close(self) -> None:
        if self.session is not None and self.session.result is None and self.session.worker.owner == os.getpid():
            self.session.close()
        for worker in self.workers.values():
            if worker.owner == os.getpid():
                worker.close()
        self.workers.clear()
