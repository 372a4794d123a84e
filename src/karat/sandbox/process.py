"""Programs behind a supervisor that is started for each: what all back ends but the fork server's have in common."""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from karat.errors import InputError
from karat.sandbox import channel
from karat.sandbox.session import ProgramSession, load
from karat.sandbox.transport import Frames, Transport, frame
from karat.sandbox.types import Call, Limits, Program, Run
from karat.types import NAN

PACKAGE = Path(__file__).resolve().parents[1]
"""Folder of karat, so that the bare interpreter finds `karat.sandbox.inside` without site-packages."""

START = """
import sys, types
for name, path in (("karat", sys.argv[2]), ("karat.sandbox", sys.argv[2] + "/sandbox")):
    module = types.ModuleType(name); module.__path__ = [path]; sys.modules[name] = module
import json
from karat.sandbox.inside import {entry}
{entry}.main(json.loads(sys.argv[1]))
"""

ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUTF8": "1",
    "TZ": "UTC",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "HOME": "/nonexistent",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
}
START_S = 30.0
SWEEP_S = 7.0
"""How long the supervisor may take to end what is left and to look at the files."""
STATUS_BYTES = 64 << 20
LONGEST_WAIT_S = 3600.0
"""Of one call to the kernel, whose clock for it ends after 24 days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a program runs: made by a back end for one run, and removed by `clean`."""

    transport: Transport
    clean: Callable[[], None]
    backend: str
    temporary: str = ""
    """Folder for temporary files, where it is not /tmp."""


def settings_of(program: Program, limits: Limits, *, folder: str) -> dict[str, Any]:
    """What the supervisor is told on its command line, before a back end adds its own."""
    return {
        "kind": program.kind,
        "argv": list(program.argv),
        "folder": folder,
        "wall_s": limits.wall_s,
        "cpu_s": limits.cpu_s,
        "memory_mb": limits.memory_mb,
        "files_mb": limits.files_mb,
        "processes": limits.processes,
        "keep_files": program.keep_files,
        "packages": [],
        "mounted": [],
        "uid": 0,
        "alone": False,
        "count_processes": True,
        "lock": None,
        "remove": False,
    }


def start_words(entry: str, settings: Mapping[str, Any], *, package: str) -> list[str]:
    """What follows the interpreter's name: a module of `karat.sandbox.inside` without the rest of karat."""
    return ["-I", "-S", "-c", START.format(entry=entry), json.dumps(settings), package]


def check_program(program: Program) -> None:
    """Raises: InputError: a path leaves the working folder, no command, or what no system call takes."""
    for path in program.files:
        parts = path.split("/")
        if not path or path.startswith("/") or "\0" in path or any(part in ("", ".", "..") for part in parts):
            raise InputError(f"files: {path!r} is not a path below the working folder. Use names like 'data/a.txt'.")
    for path in program.read_only:
        if path not in program.files:
            raise InputError(f"read_only: {path!r} is not among the program's files. Put it into `files` too.")
    for name, value in program.environment.items():
        if not name or "=" in name or "\0" in name + value:
            raise InputError(f"environment: {name!r} cannot be set. A name has no '=' and nothing has a zero byte.")
    if program.kind == "command" and (not program.argv or any("\0" in word for word in program.argv)):
        raise InputError(f"argv: {program.argv!r} is not a command. Name the program and its arguments.")


class ProcessSession(ProgramSession):
    """One program behind a supervisor."""

    def __init__(self, program: Program, limits: Limits, place: Place) -> None:
        super().__init__(program, limits, backend=place.backend)
        self.place, self.transport = place, place.transport
        self.closed: set[str] = set()
        """Streams of the supervisor that have ended."""
        self.over: dict[str, Any] | None = None
        self.final: dict[str, Any] | None = None
        self.up = False
        self.frames["status"] = Frames(STATUS_BYTES)
        try:
            self._begin()
        except BaseException:  # an interrupt of ours, while a script or a command runs
            self.abandon()
            raise

    def _begin(self) -> None:
        program = self.program
        files = {path: base64.b64encode(content).decode("ascii") for path, content in program.files.items()}
        temporary = {"TMPDIR": self.place.temporary} if self.place.temporary else {}
        environment = ENVIRONMENT | temporary | dict(program.environment)
        job = {"files": files, "read_only": list(program.read_only), "environment": environment}
        self.transport.send("control", frame(job))
        self.transport.send("stdin", program.stdin)
        self.transport.finish("stdin")
        if not self._await_start():
            return
        if program.kind == "command":
            self._until(lambda: self.final is not None)
            self._conclude()
            return
        self._write(frame(channel.job_of(program)))
        if program.kind == "script":
            self._run_script()
        else:
            self._await_ready()

    def _await_start(self) -> bool:
        """Wait for the supervisor; the program's time begins then, so that a slow start of ours is not its own."""
        self._until(lambda: self.up or "status" in self.closed, grace_s=START_S)
        if not self.up:
            self._until(lambda: "stderr" in self.closed, grace_s=0.2)
            said = tail(self.output["stderr"]) or self.transport.last_words() or "it said nothing"
            self._end("fault", f"the supervisor did not start: {said}")
            self._kill()
            return False
        self.started = time.monotonic()
        self.deadline = self.started + self.limits.wall_s
        return True

    # ------------------------------------------------------------------------------------------------------ the loop
    def _until(self, reached: Callable[[], bool], *, grace_s: float = 0.0) -> bool:
        """Serve the streams until something is so, or the budget (and the grace) is spent."""
        deadline = max(self.deadline, time.monotonic()) if grace_s == 0.0 else time.monotonic() + grace_s
        while not reached():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            for name, part in self.transport.poll(min(left, LONGEST_WAIT_S)):
                self._come(name, part)
            if len(self.closed) == 5:
                return reached()
        return True

    def _look(self) -> None:
        while parts := self.transport.poll(0.0):
            for name, part in parts:
                self._come(name, part)

    def _come(self, name: str, part: bytes) -> None:
        if not part:
            self.closed.add(name)
        elif name in self.output:
            self._print(name, part)
        else:
            self._take(name, part)

    def _frame(self, name: str, item: bytes) -> None:
        if name != "status":
            super()._frame(name, item)
            return
        message = load(item)
        if "up" in message:
            self.up = True
        elif "fault" in message:
            self._end("fault", f"the program was not started: {str(message['fault'])[:300]}")
        elif "over" in message:
            self.over = message["over"]
        elif "files" in message:
            self.final = message

    def _write(self, data: bytes) -> None:
        self.transport.send("requests", data)

    def _kill(self) -> None:
        if not self.killed:
            self.killed = True
            self.transport.send("control", frame({"kill": True}))

    def _await_message(self) -> None:
        self._until(lambda: bool(self.incoming) or self.ended is not None or self._gone())
        if not self.incoming:
            self._look()

    def _gone(self) -> bool:
        return self.final is not None or "replies" in self.closed or "status" in self.closed

    def _await_end(self, seconds: float) -> bool:
        return self._until(lambda: self.over is not None or "status" in self.closed, grace_s=seconds)

    def _conclude(self) -> None:
        if self.over is None and "replies" in self.closed:
            self._await_end(min(1.0, max(0.05, self.deadline - time.monotonic())))
        if self.over is None:
            if time.monotonic() >= self.deadline:
                self._end("wall", f"not over within {self.limits.wall_s:g} s")
            elif "replies" in self.closed and "status" not in self.closed:
                self.evidence.remark("reply channel closed")
                self._end("exit", "the program closed the channel on which it answers")
            else:
                self.evidence.remark("supervisor lost")
                self._end("exit", "the program's supervisor was ended from inside")
            self._kill()
            return
        code, why = os.waitstatus_to_exitcode(self.over["status"]), self.over["why"]
        if why == "wall":
            self._end("wall", f"not over within {self.limits.wall_s:g} s")
        cpu = why == "cpu" or code == -signal.SIGXCPU
        memory = code == -signal.SIGKILL and self.over["peak_mb"] > 0.5 * self.limits.memory_mb
        self._end_by(code, cpu=cpu, memory=memory, peak_mb=self.over["peak_mb"])

    # ------------------------------------------------------------------------------------------------------- the end
    def abandon(self) -> None:
        """Release everything without a record: the supervisor sees its control closed, and ends the program."""
        self.transport.close()
        self.place.clean()

    def _close(self) -> Run:
        try:
            self._finish()
        except BaseException:
            self.abandon()
            raise
        return self._run()

    def _finish(self) -> None:
        self._take_leave()
        if self.over is None:
            self._kill()
        if not self._until(lambda: self.final is not None or "status" in self.closed, grace_s=SWEEP_S):
            self.transport.kill()
            self.evidence.remark("supervisor did not answer")
        self._until(lambda: {"stdout", "stderr", "evidence"} <= set(self.closed), grace_s=0.5)
        self.transport.close()
        self.place.clean()

    def _run(self) -> Run:
        over, final = self.over or {}, self.final or {}
        code = None if self.over is None else os.waitstatus_to_exitcode(self.over["status"])
        if final.get("left"):
            self.evidence.remark(f"processes left behind: {final['left']}")
        if final and not final["swept"]:
            self.evidence.remark("processes left behind could not be ended")
        return self._record(
            code,
            by_us=bool(over.get("why")),
            cpu_s=over.get("cpu_s", NAN),
            peak_mb=over.get("peak_mb", NAN),
            files=self._changes(final.get("files", [])),
        )


class ProcessSandbox(ABC):
    """A back end that starts a supervisor for each program, and keeps nothing open between them."""

    @abstractmethod
    def open(self, program: Program, *, limits: Limits) -> ProcessSession: ...

    def run(self, program: Program, calls: Sequence[Call] = (), *, limits: Limits) -> Run:
        session = self.open(program, limits=limits)
        try:
            for call in calls:
                if session.call(call).status == "missing":
                    break
        except BaseException:
            session.abandon()
            raise
        return session.close()

    def close(self) -> None:  # noqa: B027 - not abstract: there is nothing to close
        """Nothing stays open between runs."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def tail(text: bytes | bytearray) -> str:
    return bytes(text[-300:]).decode("utf-8", "replace").strip().replace("\n", " / ")


def interpreter() -> str:
    """The interpreter itself: a virtual environment's own file is a link to it."""
    return os.path.realpath(sys.executable)
