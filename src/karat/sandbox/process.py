"""A session with a program whose supervisor is a process of its own: shared by all back ends but the zygote's.

One thread, one loop: it writes calls, reads replies, keeps a bounded part of what is printed, and looks at the clock.
Whatever the program sends is data; what is no frame of the protocol is remarked in `Run.anomalies`.
"""

from __future__ import annotations

import base64
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from karat.errors import InputError
from karat.sandbox import channel
from karat.sandbox.evidence import FRAME_BYTES, Evidence
from karat.sandbox.inside import wire
from karat.sandbox.transport import Frames, Transport
from karat.sandbox.types import Call, Ended, FileChange, Limits, Program, Reply, Run
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
FAREWELL_S = 2.0
SWEEP_S = 7.0
"""How long the supervisor may take to end what is left and to look at the files."""
STATUS_BYTES = 64 << 20


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


class ProcessSession:
    """One program behind a supervisor."""

    def __init__(self, program: Program, limits: Limits, place: Place) -> None:
        self.program, self.limits, self.place = program, limits, place
        self.transport = place.transport
        self.started = time.monotonic()
        self.deadline = self.started + limits.wall_s
        self.ended: Ended | None = None
        self.message = ""
        self.replies: list[Reply] = []
        self.incoming: deque[bytes] = deque()
        self.evidence = Evidence()
        self.output = {"stdout": bytearray(), "stderr": bytearray()}
        self.printed = {"stdout": 0, "stderr": 0}
        self.closed: dict[str, float] = {}
        self.over: dict[str, Any] | None = None
        self.final: dict[str, Any] | None = None
        self.up = self.killed = False
        self.result: Run | None = None
        self.frames = {
            "replies": Frames(limits.reply_kb << 10),
            "evidence": Frames(FRAME_BYTES),
            "status": Frames(STATUS_BYTES),
        }
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
        self._send("control", job)
        self.transport.send("stdin", program.stdin)
        self.transport.finish("stdin")
        if not self._await_start():
            return
        if program.kind == "command":
            self._until(lambda: self.final is not None)
            self._conclude()
            return
        self._send("requests", channel.job_of(program))
        first = self._receive()
        if first is None:
            return
        if "load" in first:
            error = channel.decode_reply(first["load"], NAN)
            where = f" (line {error.line})" if error.line else ""
            ended: Ended = "memory" if error.type_name == "MemoryError" else "load"
            self._end(ended, f"{error.type_name}: {error.message}{where}")
        elif first.get("ready") is not True:
            self.evidence.remark("reply before the program was ready")
            self._end("exit", "the program's process did not say that it is ready")
        elif program.kind == "script":
            self._finish_script()

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

    def _finish_script(self) -> None:
        message = self._receive()
        if message is not None:
            self.replies.append(channel.decode_reply(message.get("reply"), time.monotonic() - self.started))
            self._end("done", "")

    # ------------------------------------------------------------------------------------------------------ the loop
    def _until(self, reached: Callable[[], bool], *, grace_s: float = 0.0) -> bool:
        """Serve the streams until something is so, or the budget (and the grace) is spent."""
        deadline = max(self.deadline, time.monotonic()) if grace_s == 0.0 else time.monotonic() + grace_s
        while not reached():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            for name, part in self.transport.poll(left):
                self._take(name, part)
            if len(self.closed) == 5:
                return reached()
        return True

    def _drain(self) -> None:
        """Take everything that has arrived."""
        while parts := self.transport.poll(0.0):
            for name, part in parts:
                self._take(name, part)

    def _take(self, name: str, part: bytes) -> None:
        if not part:
            self.closed[name] = time.monotonic()
            return
        if name in self.output:
            self._print(name, part)
            return
        if name not in self.frames:
            return
        try:
            for frame in self.frames[name].feed(part):
                if name in self.frames:
                    self._frame(name, frame)
        except wire.WireError as error:
            self.frames.pop(name)  # what follows cannot be cut into frames any more: it is read and dropped
            self.evidence.remark(f"{name}: no frame of the protocol")
            if name == "replies":
                self._end("output", f"a reply of {error}")
                self._kill()

    def _print(self, name: str, part: bytes) -> None:
        keep = self.limits.output_kb << 10
        self.printed[name] += len(part)
        self.output[name] += part[: max(0, keep - len(self.output[name]))]
        if self.printed[name] > 16 * keep and not self.killed:
            self._end("output", f"more than {16 * keep:,} bytes on {name}")
            self._kill()

    def _frame(self, name: str, frame: bytes) -> None:
        if name == "evidence":
            self.evidence.take(frame)
            if self.evidence.full:
                self.frames.pop(name, None)  # read on and dropped, so that a flood costs no time here
        elif name == "replies":
            if len(self.incoming) < 100:
                self.incoming.append(frame)
            else:
                self.evidence.remark("replies flooded")
        else:
            message = load(frame)
            if "up" in message:
                self.up = True
            elif "fault" in message:
                self._end("fault", f"the program was not started: {str(message['fault'])[:300]}")
            elif "over" in message:
                self.over = message["over"]
            elif "files" in message:
                self.final = message

    def _send(self, name: str, message: Any) -> None:
        payload = wire.dump(message)
        self.transport.send(name, wire.LENGTH.pack(len(payload)) + payload)

    def _end(self, ended: Ended, message: str) -> None:
        if self.ended is None:
            self.ended, self.message = ended, message

    def _kill(self) -> None:
        if not self.killed:
            self.killed = True
            self._send("control", {"kill": True})

    def _receive(self) -> dict[str, Any] | None:
        """The next message; None when the process is gone or out of time, with the reason kept."""
        self._until(lambda: bool(self.incoming) or self.ended is not None or self._gone())
        if not self.incoming:
            self._drain()
        if self.incoming:
            return load(self.incoming.popleft())
        if self.ended is None:
            self._conclude()
        return None

    def _gone(self) -> bool:
        return self.final is not None or "replies" in self.closed or "status" in self.closed

    def _conclude(self) -> None:
        """Say how a program ended that answers no more."""
        if self.over is None and "replies" in self.closed:
            grace_s = min(1.0, max(0.05, self.deadline - time.monotonic()))
            self._until(lambda: self.over is not None or "status" in self.closed, grace_s=grace_s)
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
        code, why = self.over["status"], self.over["why"]
        sent = signal.Signals(os.WTERMSIG(code)).name if os.WIFSIGNALED(code) else ""
        if why == "wall":
            self._end("wall", f"not over within {self.limits.wall_s:g} s")
        elif why == "cpu" or sent == "SIGXCPU":
            self._end("cpu", f"more than {self.limits.cpu_s:g} s of processor time")
        elif sent == "SIGKILL" and self.over["peak_mb"] > 0.5 * self.limits.memory_mb:
            self._end("memory", f"killed while it held {self.over['peak_mb']:.0f} MB")
        elif sent:
            self._end("signal", f"killed by {sent}")
        elif self.program.kind == "command":
            self._end("done", "")
        else:
            self._end("exit", f"the process left with status {os.WEXITSTATUS(code)} before it answered")

    # ------------------------------------------------------------------------------------------------------ the calls
    def call(self, call: Call, *, answer: Callable[[Call], Reply] | None = None) -> Reply:
        if self.ended is not None or self.result is not None:
            return channel.missing(f"the program had ended: {self.message or self.ended}")
        request = {"call": channel.encode_call(call)}
        self._drain()
        if self.incoming:
            self.evidence.remark("reply to no call")
            self.incoming.clear()
        started = time.monotonic()
        self._send("requests", request)
        reply = self._reply_to(started, answer)
        self.replies.append(reply)
        return reply

    def _reply_to(self, started: float, answer: Callable[[Call], Reply] | None) -> Reply:
        while True:
            message = self._receive()
            wall_s = time.monotonic() - started
            if message is None:
                return channel.missing(self.message, wall_s=wall_s)
            if "ask" not in message:
                return channel.decode_reply(message.get("reply"), wall_s)
            if answer is None:
                self.evidence.remark("asked without being given anything to ask")
                continue
            try:
                asked = channel.decode_ask(message["ask"])
            except (wire.WireError, KeyError, TypeError, AttributeError, RecursionError):
                self.evidence.remark("an ask that is no call")
                continue
            self._send("requests", {"answer": channel.encode_reply(answer(asked))})

    def close(self) -> Run:
        if self.result is None:
            try:
                self.result = self._close()
            except BaseException:
                self.abandon()
                raise
        return self.result

    def abandon(self) -> None:
        """Release everything without a record: the supervisor sees its control closed, and ends the program."""
        self.transport.close()
        self.place.clean()

    def _close(self) -> Run:
        if self.ended is None or (self.ended == "done" and self.program.kind == "script"):
            if self.ended is None:
                self._drain()
                if self.incoming:
                    self.evidence.remark("extra reply")
                self._send("requests", {"end": True})
            left = min(FAREWELL_S, max(0.1, self.deadline - time.monotonic()))
            if not self._until(lambda: self.over is not None or "status" in self.closed, grace_s=left):
                self.evidence.remark("did not leave when told")
            self._end("done", "")
        if self.over is None:
            self._kill()
        if not self._until(lambda: self.final is not None or "status" in self.closed, grace_s=SWEEP_S):
            self.transport.kill()
            self.evidence.remark("supervisor did not answer")
        self._until(lambda: {"stdout", "stderr", "evidence"} <= set(self.closed), grace_s=0.5)
        self.transport.close()
        self.place.clean()
        return self._run()

    def _run(self) -> Run:
        over, final = self.over or {}, self.final or {}
        code = over.get("status")
        watched = self.program.kind != "command" and self.program.watch
        if watched and not self.evidence.said_farewell:
            self.evidence.remark("no farewell")
        if final.get("left"):
            self.evidence.remark(f"processes left behind: {final['left']}")
        if final and not final["swept"]:
            self.evidence.remark("processes left behind could not be ended")
        ended = self.ended or "fault"
        return Run(
            ended=ended,
            message=self.message,
            replies=tuple(self.replies),
            exit_code=os.WEXITSTATUS(code) if code is not None and os.WIFEXITED(code) else None,
            signal=os.WTERMSIG(code) if code is not None and os.WIFSIGNALED(code) and not over["why"] else None,
            stdout=bytes(self.output["stdout"]),
            stderr=bytes(self.output["stderr"]),
            output_cut=any(self.printed[name] > len(kept) for name, kept in self.output.items()),
            events=tuple(self.evidence.events),
            seals=tuple(self.evidence.seals),
            files=self._files(final.get("files", [])),
            anomalies=tuple(self.evidence.anomalies),
            wall_s=time.monotonic() - self.started,
            cpu_s=over.get("cpu_s", NAN),
            peak_mb=over.get("peak_mb", NAN),
            inside_wall_s=self.evidence.inside_wall_s,
            backend=self.place.backend,
        )

    def _files(self, entries: list[list[Any]]) -> tuple[FileChange, ...]:
        found = []
        for path, change, size, content in entries:
            if change == "cut":
                self.evidence.remark(f"more changed files than are reported ({size:,} names seen)")
            else:
                found.append(FileChange(path, change, size, base64.b64decode(content)))
        return tuple(found)


def run_calls(session: ProcessSession, calls: Sequence[Call]) -> Run:
    """Ask the calls one at a time until one is not answered, and end the program."""
    try:
        for call in calls:
            if session.call(call).status == "missing":
                break
    except BaseException:
        session.abandon()
        raise
    return session.close()


def load(frame: bytes) -> dict[str, Any]:
    """The message of a frame; one without a reply where it is none, so that it counts as a missing reply."""
    try:
        message = wire.load(frame)
    except wire.WireError as error:
        return {"reply": {"status": str(error)}}
    return message if isinstance(message, dict) else {"reply": None}


def tail(text: bytes | bytearray) -> str:
    return bytes(text[-300:]).decode("utf-8", "replace").strip().replace("\n", " / ")


def interpreter() -> str:
    """The interpreter itself: a virtual environment's own file is a link to it."""
    return os.path.realpath(sys.executable)
