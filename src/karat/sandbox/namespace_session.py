"""One program in the namespaces back end, seen from the trusted side: calls, replies, evidence, its end.

One thread, one loop, no process between. What the program sends is data; what is no frame of the protocol is remarked.
"""

from __future__ import annotations

import base64
import contextlib
import os
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from karat.sandbox import channel
from karat.sandbox.evidence import FRAME_BYTES, Evidence
from karat.sandbox.inside import case, wire, zygote
from karat.sandbox.process import load
from karat.sandbox.transport import Frames
from karat.sandbox.types import Call, Denial, Ended, FileChange, Limits, Program, Reply, Run
from karat.sandbox.worker import Over, Worker
from karat.types import NAN

QUIET_MS = 3
"""So long only replies are waited for; then printed text and evidence are taken too, lest a full pipe stop a program.
Waking for each line printed would cost more than the program."""
LOOK_MS = 50
"""How often the processor time of a program that does not answer is looked at."""
WRITE_S = 0.005
"""How long to look for other things to do while a program does not read."""
FAREWELL_S = 2.0
KILL_S = 5.0
SIGSYS = 31


class NamespaceSession:
    """One program in one process of its own namespaces."""

    def __init__(self, worker: Worker, program: Program, limits: Limits) -> None:
        self.program, self.limits = program, limits
        self.started = time.monotonic()
        self.deadline = self.started + limits.wall_s
        self.ended: Ended | None = None
        self.message = ""
        self.replies: list[Reply] = []
        self.incoming: deque[bytes] = deque()
        self.evidence = Evidence()
        self.denials: dict[tuple[str, str], int] = {}
        self.over: Over | None = None
        self.killed = self.closed = self.released = False
        self.result: Run | None = None
        self.command_code: int | None = None
        self.ended_for_memory = 0
        self.ready = False
        self.frames: Frames | None = Frames(limits.reply_kb << 10)
        self.evidence_frames: Frames | None = Frames(FRAME_BYTES)
        self.output: dict[int, bytearray] = {}
        self.printed: dict[int, int] = {}
        self.worker = worker
        try:
            if program.kind == "command":
                self.worker.bound(limits)
                self.ended_for_memory = self.worker.group.ended_for_memory() if self.worker.group else 0
            self.worker.prepare(program.files, program.read_only, limits.files_mb)
            self._spawn()
        except (OSError, wire.WireError, wire.PeerGoneError, KeyError) as error:
            self.worker.broken = True
            self._end("fault", f"the worker is lost: {error}")
            return
        self._begin()

    # ---------------------------------------------------------------------------------------------------------- start
    def _spawn(self) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.channel = ours
        self.channel_fd = ours.fileno()
        self.evidence_fd, evidence = os.pipe()
        self.stdout_fd, stdout = os.pipe()
        self.stderr_fd, stderr = os.pipe()
        for end in (self.evidence_fd, self.stdout_fd, self.stderr_fd):
            os.set_blocking(end, False)
        given = [theirs.fileno(), evidence, stdout, stderr]
        if self.program.stdin:
            given.append(self._stdin())
        try:
            self.worker.spawn(self._order(), given)
        finally:
            theirs.close()
            for end in given[1:]:
                os.close(end)
        self.output = {self.stdout_fd: bytearray(), self.stderr_fd: bytearray()}
        self.printed = {self.stdout_fd: 0, self.stderr_fd: 0}
        self.worker.quick.register(self.channel_fd, select.POLLIN)
        self.all: Any = None

    def _stdin(self) -> int:
        end = os.memfd_create("stdin", os.MFD_CLOEXEC)
        with open(os.dup(end), "wb") as file:
            file.write(self.program.stdin)
        os.lseek(end, 0, os.SEEK_SET)
        return end

    def _order(self) -> bytes:
        limits = self.limits
        kind = zygote.COMMAND if self.program.kind == "command" else zygote.CODE
        return zygote.ORDER.pack(
            kind,
            limits.memory_mb << 20,
            max(1, -int(-limits.cpu_s // 1)),
            limits.files_mb << 20,
            max(1, limits.processes) + (1 if kind == zygote.COMMAND else 0),
            bool(self.program.stdin),
        )

    def _begin(self) -> None:
        program = self.program
        job = channel.job_of(program) | {"stdin": None, "files": {}, "read_only": []}
        self._write(frame(job))
        if program.kind == "command":
            self._finish_command()
        elif program.kind == "script":
            self._await_ready()
            if self.ended is None:
                self._finish_script()

    def _await_ready(self) -> None:
        """Hear whether the program was loaded. For a module only once it is called: the call is then there already."""
        self.ready = True
        first = self._receive()
        if first is None:
            return
        if "load" in first:
            error = channel.decode_reply(first["load"], NAN)
            where = f" (line {error.line})" if error.line else ""
            ended: Ended = "memory" if error.type_name == "MemoryError" else "load"
            self._end(ended, f"{error.type_name}: {error.message}{where}")
            return
        if first.get("ready") is not True:
            self.evidence.remark("reply before the program was ready")
            self._end("exit", "the program's process did not say that it is ready")

    def _finish_script(self) -> None:
        message = self._receive()
        if message is not None:
            self.replies.append(channel.decode_reply(message.get("reply"), time.monotonic() - self.started))
            self._end("done", "")

    def _finish_command(self) -> None:
        message = self._receive()
        if message is not None and type(message.get("status")) is int:
            self.command_code = message["status"]
            self._await_end(FAREWELL_S)
        self._conclude()

    # ------------------------------------------------------------------------------------------------------- the loop
    def _serve(self, deadline: float) -> None:
        """Wait for something to happen, and take it."""
        left_ms = max(0.0, deadline - time.monotonic()) * 1000
        events = self.worker.quick.poll(min(QUIET_MS, left_ms))
        if not events:
            if self.all is None:
                self.all = select.poll()
                for fd in (self.worker.server.fileno(), self.worker.listener, self.channel_fd, self.evidence_fd):
                    if fd >= 0:
                        self.all.register(fd, select.POLLIN)
                for fd in self.output:
                    self.all.register(fd, select.POLLIN)
                if self.closed:
                    self.all.unregister(self.channel_fd)
            events = self.all.poll(min(LOOK_MS, max(0.0, deadline - time.monotonic()) * 1000))
            if not events and self.ended is None and self.worker.processor_seconds() > self.limits.cpu_s:
                self._end("cpu", f"more than {self.limits.cpu_s:g} s of processor time")
                self._kill()
        for fd, _ in events:
            if fd == self.channel_fd:
                self._read_channel()
            elif fd == self.worker.listener:
                self.worker.refuse(self.denials)
            elif fd == self.worker.server.fileno():
                self.over = self.worker.over()
            else:
                self._read_stream(fd)

    def _read_channel(self) -> None:
        try:
            part = self.channel.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        if not part:
            if not self.closed:
                self.closed = True
                self.worker.quick.unregister(self.channel_fd)
                self._forget(self.channel_fd)
            return
        if self.frames is None:
            return
        try:
            for item in self.frames.feed(part):
                if len(self.incoming) < 100:
                    self.incoming.append(item)
                else:
                    self.evidence.remark("replies flooded")
        except wire.WireError as error:
            self.frames = None  # what follows cannot be cut into frames any more: it is read and dropped
            self.evidence.remark("replies: no frame of the protocol")
            self._end("output", f"a reply of {error}")
            self._kill()

    def _read_stream(self, fd: int) -> bool:
        """Take one part of printed text or evidence; whether there was any."""
        try:
            part = os.read(fd, 1 << 16)
        except BlockingIOError:  # empty, and not ended: the program has sent its own end somewhere
            return False
        if not part:
            self._forget(fd)
            return False
        if fd == self.evidence_fd:
            self._take_evidence(part)
            return True
        keep = self.limits.output_kb << 10
        self.printed[fd] += len(part)
        kept = self.output[fd]
        kept += part[: max(0, keep - len(kept))]
        if self.printed[fd] > 16 * keep and not self.killed:
            name = "stdout" if fd == self.stdout_fd else "stderr"
            self._end("output", f"more than {16 * keep:,} bytes on {name}")
            self._kill()
        return True

    def _forget(self, fd: int) -> None:
        """Look no more at a stream that has ended."""
        if self.all is not None:
            with contextlib.suppress(KeyError):
                self.all.unregister(fd)

    def _take_evidence(self, part: bytes) -> None:
        if self.evidence_frames is None:
            return
        try:
            for item in self.evidence_frames.feed(part):
                self.evidence.take(item)
        except wire.WireError:
            self.evidence_frames = None
            self.evidence.remark("evidence: no frame of the protocol")

    def _write(self, data: bytes) -> None:
        """Send to the program within its time; nothing where it does not read. What it does meanwhile is served: it
        may be waiting for us to read or to refuse something before it reads."""
        view = memoryview(data)
        while view and self.ended is None:
            try:
                view = view[self.channel.send(view) :]
            except BlockingIOError:
                if time.monotonic() > self.deadline:
                    self._end("wall", f"no answer within {self.limits.wall_s:g} s")
                    self._kill()
                    return
                if self.closed:
                    return
                quick = self.worker.quick
                quick.modify(self.channel_fd, select.POLLIN | select.POLLOUT)
                try:
                    self._serve(time.monotonic() + WRITE_S)
                except wire.PeerGoneError as error:
                    self._end("fault", f"{error} while a program ran")
                if not self.closed:
                    quick.modify(self.channel_fd, select.POLLIN)
            except OSError:
                return

    def _receive(self) -> dict[str, Any] | None:
        """The next message; None when the process is gone or out of time, with the reason kept."""
        try:
            while not self.incoming and self.ended is None and self.over is None and not self.closed:
                if time.monotonic() >= self.deadline:
                    self._end("wall", f"no answer within {self.limits.wall_s:g} s")
                    self._kill()
                    break
                self._serve(self.deadline)
            if self.over is not None:
                self._read_channel()
        except wire.PeerGoneError as error:
            self._end("fault", f"{error} while a program ran")
        if self.incoming:
            return load(self.incoming.popleft())
        if self.ended is None:
            self._conclude()
        return None

    def _end(self, ended: Ended, message: str) -> None:
        if self.ended is None:
            self.ended, self.message = ended, message

    def _kill(self) -> None:
        if not self.killed:
            self.killed = True
            self.worker.kill()

    def _await_end(self, seconds: float) -> None:
        """Serve until the first process has ended, at most so long."""
        until = time.monotonic() + seconds
        try:
            while self.over is None and time.monotonic() < until:
                self._serve(until)
        except wire.PeerGoneError as error:
            self._end("fault", f"{error} while a program ran")

    def _conclude(self) -> None:
        """Say how a program ended that answers no more."""
        if self.over is None and self.closed and self.ended is None:
            self._await_end(min(1.0, max(0.05, self.deadline - time.monotonic())))
        over = self.over
        if over is None:
            if self.closed:
                self.evidence.remark("reply channel closed")
            self._end("exit", "the program closed the channel on which it answers")
            self._kill()
            return
        code = self.command_code if self.command_code is not None else os.waitstatus_to_exitcode(over.status)
        sent = -code if code < 0 else 0
        if sent in (signal.SIGKILL, signal.SIGXCPU) and over.cpu_s >= 0.5 * self.limits.cpu_s:  # counted in ticks
            self._end("cpu", f"more than {self.limits.cpu_s:g} s of processor time")
        elif sent == signal.SIGKILL and (over.peak_kb > 512 * self.limits.memory_mb or self._out_of_memory()):
            self._end("memory", f"killed while it held {over.peak_kb / 1024:.0f} MB")
        elif sent:
            self._end("signal", f"killed by {signal.Signals(sent).name}")
        elif self.program.kind == "command":
            self._end("done", "")
        else:
            self._end("exit", f"the process left with status {code} before it answered")

    def _out_of_memory(self) -> bool:
        group = self.worker.group
        return group is not None and group.ended_for_memory() > self.ended_for_memory

    # ------------------------------------------------------------------------------------------------------- the calls
    def call(self, call: Call, *, answer: Callable[[Call], Reply] | None = None) -> Reply:
        if self.ended is not None or self.result is not None:
            return channel.missing(f"the program had ended: {self.message or self.ended}")
        request = frame({"call": channel.encode_call(call)})
        if self.ready:
            if not self.closed:
                self._read_channel()
            if self.incoming:
                self.evidence.remark("reply to no call")
                self.incoming.clear()
        self._write(request)
        if not self.ready:
            self._await_ready()
        started = time.monotonic()
        reply = channel.missing(self.message) if self.ended is not None else self._reply_to(started, answer)
        self.replies.append(reply)
        return reply

    def _reply_to(self, started: float, answer: Callable[[Call], Reply] | None) -> Reply:
        while True:
            message = self._receive()
            wall_s = time.monotonic() - started
            if message is None:
                return channel.missing(self.message, wall_s=wall_s)
            if "ask" not in message:
                if self.incoming:
                    self.evidence.remark("extra reply")
                    return channel.missing("more than one reply to one call", wall_s=wall_s)
                return channel.decode_reply(message.get("reply"), wall_s)
            if answer is None:
                self.evidence.remark("asked without being given anything to ask")
                continue
            try:
                asked = channel.decode_ask(message["ask"])
            except (wire.WireError, KeyError, TypeError, AttributeError, RecursionError):
                self.evidence.remark("an ask that is no call")
                continue
            self._write(frame({"answer": channel.encode_reply(answer(asked))}))

    # --------------------------------------------------------------------------------------------------------- the end
    def close(self) -> Run:
        if self.result is None:
            self.result = self._close()
        return self.result

    def _close(self) -> Run:
        try:
            self._finish()
        except (OSError, wire.WireError, wire.PeerGoneError, KeyError) as error:
            self.worker.broken = True
            self.ended, self.message = "fault", f"the worker is lost: {error}"
        finally:
            self._release()
        return self._run()

    def _finish(self) -> None:
        """See the program's process ended, take what it left in its channels, and look at its files."""
        if self.worker.broken:
            return
        if not self.ready and self.ended is None and self.program.kind == "module":
            self._await_ready()
        if self.ended in (None, "load") or (self.ended == "done" and self.program.kind == "script"):
            if self.ended is None:
                if not self.closed:
                    self._read_channel()
                if self.incoming:
                    self.evidence.remark("extra reply")
                self._write(END)
            self._await_end(min(FAREWELL_S, max(0.1, self.deadline - time.monotonic())))
            if self.over is None:
                self.evidence.remark("did not leave when told")
            self._end("done", "")
        if self.over is None and not self.worker.broken:
            self._kill()
            self._await_end(KILL_S)
        if self.over is None:
            raise wire.PeerGoneError("a program could not be ended")
        while select.select([self.worker.listener], [], [], 0)[0] if self.worker.listener >= 0 else False:
            self.worker.refuse(self.denials)
        for fd in (*self.output, self.evidence_fd):
            while self._read_stream(fd):
                pass
        self.file_changes = self._changes()

    def _changes(self) -> tuple[FileChange, ...]:
        if not self.worker.written():
            return ()
        program = self.program
        bait = {
            item.name: item.content.encode() for item in program.baits if item.place == "file" and item.name[:1] != "/"
        }
        if not case.may_open(program.source):  # then none was put there
            bait = {}
        if bait and not program.files and self.worker.tidy(bait):
            return ()
        self.worker.dirty = True
        found = []
        for path, change, size, content in self.worker.changes(keep=program.keep_files or bool(bait)):
            if change == "cut":
                self.evidence.remark(f"more changed files than are reported ({size:,} names seen)")
            else:
                found.append(FileChange(path, change, size, base64.b64decode(content)))
        seen = {change.path for change in found}
        # Not every program is given its bait in files: one that is missing was removed where another is there.
        gone = [path for path in bait if path not in seen] if seen & bait.keys() else []
        return (*found, *(FileChange(path, "removed") for path in gone))

    file_changes: tuple[FileChange, ...] = ()

    def _release(self) -> None:
        if self.released or not hasattr(self, "channel"):
            return
        self.released = True
        if not self.closed and not self.worker.broken:
            self.worker.quick.unregister(self.channel_fd)
        self.channel.close()
        for fd in (self.evidence_fd, *self.output):
            os.close(fd)

    def _run(self) -> Run:
        over = self.over
        code = self.command_code
        if code is None and over is not None:
            code = os.waitstatus_to_exitcode(over.status)
        if over is not None and over.status & 0x7F == SIGSYS:
            self.denials[("clone", "new namespaces, as the fork server makes them")] = 1
        watched = self.program.kind != "command" and self.program.watch
        if watched and not self.evidence.said_farewell:
            self.evidence.remark("no farewell")
        kept = list(self.output.values()) or [bytearray(), bytearray()]
        return Run(
            ended=self.ended or "fault",
            message=self.message,
            replies=tuple(self.replies),
            exit_code=code if code is not None and code >= 0 else None,
            signal=-code if code is not None and code < 0 and not self.killed else None,
            stdout=bytes(kept[0]),
            stderr=bytes(kept[1]),
            output_cut=any(self.printed[fd] > len(text) for fd, text in self.output.items()),
            events=tuple(self.evidence.events),
            denials=tuple(Denial(name, detail, count) for (name, detail), count in self.denials.items()),
            seals=tuple(self.evidence.seals),
            files=self.file_changes,
            anomalies=tuple(self.evidence.anomalies),
            wall_s=time.monotonic() - self.started,
            cpu_s=over.cpu_s if over is not None else NAN,
            peak_mb=over.peak_kb / 1024 if over is not None else NAN,
            inside_wall_s=self.evidence.inside_wall_s,
            backend="namespaces",
        )


def frame(message: Any) -> bytes:
    payload = wire.dump(message)
    return wire.LENGTH.pack(len(payload)) + payload


END = frame({"end": True})
