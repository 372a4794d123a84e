"""The weakest back end: a child process with resource limits, a private folder and nothing else. Named, never silent.

It keeps the protocol (answers stay outside, results are data), so no cheat forges a pass; it does not keep a candidate
from the host's files, network or other processes of the same user.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from karat.sandbox import channel
from karat.sandbox.inside import wire
from karat.sandbox.types import AuditEvent, Call, Ended, Limits, Program, Reply, Run, SealChange, Wall

INSIDE = Path(__file__).resolve().parents[1]
"""Folder of the package, so that the bare interpreter finds `karat.sandbox.inside` without site-packages."""

START = f"""
import sys, types
for name, path in (("karat", {str(INSIDE)!r}), ("karat.sandbox", {str(INSIDE / "sandbox")!r})):
    module = types.ModuleType(name); module.__path__ = [path]; sys.modules[name] = module
from karat.sandbox.inside import child, wire
child.serve(wire.load(wire.read_frame(child.REQUESTS)))
child.leave(0)
"""


class PlainSandbox:
    """Starts a bare interpreter for each program."""

    name = "subprocess"

    def walls(self) -> tuple[Wall, ...]:
        return (
            Wall("answers outside", True, "reading or changing expected outputs and the verdict"),
            Wall("resource limits", True, "using up memory, processor time or disk"),
            Wall(
                "namespaces", False, "reading the host's files and signalling its processes", "this back end has none"
            ),
            Wall("no network", False, "talking to the network", "this back end has none"),
        )

    def open(self, program: Program, *, limits: Limits) -> PlainSession:
        return PlainSession(program, limits)

    def run(self, program: Program, calls: Sequence[Call] = (), *, limits: Limits) -> Run:
        session = self.open(program, limits=limits)
        for call in calls:
            if session.call(call).status == "missing":
                break
        return session.close()

    def close(self) -> None:
        """Nothing stays open between runs."""


class PlainSession:
    """One program in one process."""

    def __init__(self, program: Program, limits: Limits) -> None:
        self.program, self.limits = program, limits
        self.started = time.monotonic()
        self.deadline = self.started + limits.wall_s
        self.ended: Ended | None = None
        self.message = ""
        self.replies: list[Reply] = []
        self.folder = tempfile.mkdtemp(prefix="karat-")
        for path, content in program.files.items():
            place = Path(self.folder, path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
            if path in program.read_only:
                place.chmod(0o444)
        self._start()

    def _start(self) -> None:
        to_child, self.to_child = os.pipe()
        self.from_child, from_child = os.pipe()
        self.evidence, evidence = os.pipe()
        ends = (to_child, from_child, evidence)

        def place_descriptors() -> None:
            for offset, end in enumerate(ends):  # first out of the way, then into place
                os.dup2(end, 20 + offset)
            for offset in range(len(ends)):
                os.dup2(20 + offset, 3 + offset)
            os.closerange(6, 256)
            megabytes = self.limits.memory_mb << 20
            resource.setrlimit(resource.RLIMIT_AS, (megabytes, megabytes))
            cpu = int(self.limits.cpu_s) + 1
            resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
            size = self.limits.files_mb << 20
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

        command = (
            list(self.program.argv) if self.program.kind == "command" else [sys.executable, "-I", "-S", "-c", START]
        )
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env={"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent", "PATH": os.defpath}
            | dict(self.program.environment),
            close_fds=False,
            preexec_fn=place_descriptors,
            start_new_session=True,
        )
        for end in ends:
            os.close(end)
        self.streams = {"stdout": bytearray(), "stderr": bytearray()}
        self.readers = [
            threading.Thread(target=self._drain, args=(name, getattr(self.process, name)), daemon=True)
            for name in self.streams
        ]
        self.evidence_frames: list[Any] = []
        self.readers.append(threading.Thread(target=self._drain_evidence, daemon=True))
        for reader in self.readers:
            reader.start()
        threading.Thread(target=self._feed, daemon=True).start()
        if self.program.kind != "command":
            self._send(channel.job_of(self.program))
            first = self._receive()
            if first is not None and "load" in first:
                error = channel.decode_reply(first["load"], float("nan"))
                self._end(
                    "load", f"{error.type_name}: {error.message}" + (f" (line {error.line})" if error.line else "")
                )
            elif first is not None and "ready" not in first:
                self._end("fault", "the program's process did not say that it is ready")
            elif first is not None and self.program.kind == "script":
                self._finish_script()
        else:
            self._wait()

    def _feed(self) -> None:
        with contextlib.suppress(OSError):
            assert self.process.stdin is not None
            self.process.stdin.write(self.program.stdin)
            self.process.stdin.close()

    def _drain(self, name: str, stream: Any) -> None:
        keep, limit = self.limits.output_kb << 10, self.limits.output_kb << 14
        seen = 0
        while part := stream.read1(1 << 16):
            seen += len(part)
            self.streams[name] += part[: max(0, keep - len(self.streams[name]))]
            if seen > limit:
                self._end("output", f"more than {limit:,} bytes on {name}")
                self._kill()
                return

    def _drain_evidence(self) -> None:
        with contextlib.suppress(wire.WireError, wire.PeerGoneError, OSError):
            while len(self.evidence_frames) < 10_000:
                self.evidence_frames.append(wire.load(wire.read_frame(self.evidence, 1 << 20)))

    def _end(self, ended: Ended, message: str) -> None:
        if self.ended is None:
            self.ended, self.message = ended, message

    def _send(self, message: Any) -> None:
        with contextlib.suppress(OSError):
            wire.write_frame(self.to_child, wire.dump(message))

    def _receive(self) -> Any:
        """The next message; None when the process is gone or out of time, with the reason kept."""
        data = bytearray()
        wanted = wire.LENGTH.size
        while True:
            left = self.deadline - time.monotonic()
            if left <= 0 or not select.select([self.from_child], [], [], left)[0]:
                self._end("wall", f"no answer within {self.limits.wall_s:g} s")
                self._kill()
                return None
            part = os.read(self.from_child, wanted - len(data))
            if not part:
                self._wait()
                return None
            data += part
            if len(data) < wanted:
                continue
            if wanted > wire.LENGTH.size:
                try:
                    return wire.load(bytes(data[wire.LENGTH.size :]))
                except wire.WireError as error:
                    return {"reply": {"status": "missing", "message": str(error)}}
            (size,) = wire.LENGTH.unpack(data)
            if size > self.limits.reply_kb << 10:
                self._end("output", f"a reply of {size:,} bytes; at most {self.limits.reply_kb} kB are accepted")
                self._kill()
                return None
            wanted += size

    def _finish_script(self) -> None:
        message = self._receive()
        if message is not None and "reply" in message:
            self.replies.append(channel.decode_reply(message["reply"], time.monotonic() - self.started))
            self._wait()
            self.ended = "done"

    def _wait(self) -> None:
        try:
            code = self.process.wait(max(0.0, self.deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._end("wall", f"not over within {self.limits.wall_s:g} s")
            self._kill()
            return
        if self.program.kind == "command" and code >= 0:
            self._end("done", "")
        elif code == -signal.SIGXCPU or code == -signal.SIGKILL:
            self._end("cpu", f"more than {self.limits.cpu_s:g} s of processor time")
        elif code < 0:
            self._end("signal", f"killed by signal {-code}")
        else:
            self._end("exit", f"the process left with status {code} before it answered")

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def call(self, call: Call, *, answer: Callable[[Call], Reply] | None = None) -> Reply:
        if self.ended is not None:
            return channel.missing(f"the program had ended: {self.message}")
        started = time.monotonic()
        self._send({"call": channel.encode_call(call)})
        while True:
            message = self._receive()
            if message is None:
                reply = channel.missing(self.message, wall_s=time.monotonic() - started)
            elif "ask" in message and answer is not None:
                self._send({"answer": channel.encode_reply(answer(channel.decode_ask(message["ask"])))})
                continue
            else:
                reply = channel.decode_reply(message.get("reply"), time.monotonic() - started)
            self.replies.append(reply)
            return reply

    def close(self) -> Run:
        if self.ended is None:
            self._send({"end": True})
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(max(0.1, min(2.0, self.deadline - time.monotonic())))
            self._end("done", "")
        self._kill()
        self.process.wait()
        for reader in self.readers:
            reader.join(1.0)
        for end in (self.to_child, self.from_child, self.evidence):
            with contextlib.suppress(OSError):
                os.close(end)
        shutil.rmtree(self.folder, ignore_errors=True)
        events, seals, farewell = self._evidence()
        code = self.process.returncode
        return Run(
            ended=self.ended or "fault",
            message=self.message,
            replies=tuple(self.replies),
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            stdout=bytes(self.streams["stdout"]),
            stderr=bytes(self.streams["stderr"]),
            events=tuple(events),
            seals=tuple(seals),
            anomalies=() if farewell is not None or self.program.kind == "command" else ("no farewell",),
            inside_wall_s=float("nan") if farewell is None else farewell,
            wall_s=time.monotonic() - self.started,
            backend="subprocess",
        )

    def _evidence(self) -> tuple[list[AuditEvent], list[SealChange], float | None]:
        events, seals, farewell = [], [], None
        for frame in self.evidence_frames:
            if "event" in frame:
                name, detail, line = frame["event"]
                events.append(AuditEvent(str(name), str(detail), line if type(line) is int else None))
            elif "seal" in frame:
                seals += [SealChange(str(name), str(detail)) for name, detail in frame["seal"]]
            elif "bye" in frame:
                farewell = float(frame["bye"])
        return events, seals, farewell
