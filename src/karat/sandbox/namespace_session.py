"""One program in the namespaces back end, seen from the trusted side. One thread, one loop, no process between."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from typing import Any

from karat.sandbox import channel
from karat.sandbox.inside import case, wire, zygote
from karat.sandbox.session import FAREWELL_S, ProgramSession
from karat.sandbox.transport import frame
from karat.sandbox.types import Denial, FileChange, Limits, Program, Run
from karat.sandbox.worker import Over, Worker
from karat.types import NAN

QUIET_MS = 3
"""So long only replies are waited for; then printed text and evidence are taken too, lest a full pipe stop a program.
Waking for each line printed would cost more than the program."""
LOOK_MS = 50
"""How often the processor time of a program that does not answer is looked at."""
WRITE_S = 0.005
"""How long to look for other things to do while a program does not read."""
KILL_S = 5.0
SIGSYS = 31


class NamespaceSession(ProgramSession):
    """One program in one process of its own namespaces."""

    def __init__(self, worker: Worker, program: Program, limits: Limits) -> None:
        super().__init__(program, limits, backend="namespaces")
        self.worker = worker
        self.denials: dict[tuple[str, str], int] = {}
        self.over: Over | None = None
        self.closed = False
        self.command_code: int | None = None
        self.ended_for_memory = 0
        self.ends: list[int] = []
        """Our ends of the program's streams, to be closed."""
        self.file_changes: tuple[FileChange, ...] = ()
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
        """Raises: OSError: no descriptors left, or the worker is gone."""
        self.channel, theirs = socket.socketpair()
        self.channel.setblocking(False)
        self.channel_fd = self.channel.fileno()
        given: list[int] = []
        try:
            for _ in ("evidence", *self.output):
                ours, other = os.pipe()
                self.ends.append(ours)
                given.append(other)
                os.set_blocking(ours, False)
            if self.program.stdin:
                given.append(self._stdin())
            self.worker.spawn(self._order(), [theirs.fileno(), *given])
        finally:
            theirs.close()
            for end in given:
                os.close(end)
        self.name_of = dict(zip(self.ends, ("evidence", *self.output), strict=True))
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
        """A module that was loaded says so only once it is called: the call is then there already."""
        job = channel.job_of(self.program) | {"stdin": None, "files": {}, "read_only": []}
        self._write(frame(job))
        if self.program.kind == "command":
            self._run_command()
        elif self.program.kind == "script":
            self._run_script()

    def _run_command(self) -> None:
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
                for fd in (self.worker.server.fileno(), self.worker.listener, self.channel_fd, *self.ends):
                    if fd >= 0:
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
        self._take("replies", part)

    def _read_stream(self, fd: int) -> bool:
        """Take one part of printed text or evidence; whether there was any."""
        try:
            part = os.read(fd, 1 << 16)
        except BlockingIOError:  # empty, and not ended: the program has sent its own end somewhere
            return False
        if not part:
            self._forget(fd)
            return False
        name = self.name_of[fd]
        if name == "evidence":
            self._take(name, part)
        else:
            self._print(name, part)
        return True

    def _forget(self, fd: int) -> None:
        """Look no more at a stream that has ended."""
        if self.all is not None:
            with contextlib.suppress(KeyError):
                self.all.unregister(fd)

    def _write(self, data: bytes) -> None:
        """What the program does meanwhile is served: it may be waiting for us to read or to refuse something before it
        reads."""
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

    def _look(self) -> None:
        if not self.closed:
            self._read_channel()

    def _await_message(self) -> None:
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

    def _kill(self) -> None:
        if not self.killed:
            self.killed = True
            self.worker.kill()

    def _await_end(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        try:
            while self.over is None and time.monotonic() < until:
                self._serve(until)
        except wire.PeerGoneError as error:
            self._end("fault", f"{error} while a program ran")
        return self.over is not None

    def _conclude(self) -> None:
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
        killed = code == -signal.SIGKILL
        # half of it: processor time is counted in ticks
        cpu = (killed or code == -signal.SIGXCPU) and over.cpu_s >= 0.5 * self.limits.cpu_s
        memory = killed and (over.peak_kb > 512 * self.limits.memory_mb or self._out_of_memory())
        self._end_by(code, cpu=cpu, memory=memory, peak_mb=over.peak_kb / 1024)

    def _out_of_memory(self) -> bool:
        group = self.worker.group
        return group is not None and group.ended_for_memory() > self.ended_for_memory

    # --------------------------------------------------------------------------------------------------------- the end
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
        self._take_leave()
        if self.over is None and not self.worker.broken:
            self._kill()
            self._await_end(KILL_S)
        if self.over is None:
            raise wire.PeerGoneError("a program could not be ended")
        while select.select([self.worker.listener], [], [], 0)[0] if self.worker.listener >= 0 else False:
            self.worker.refuse(self.denials)
        for fd in self.ends:
            while self._read_stream(fd):
                pass
        self.file_changes = self._files()

    def _files(self) -> tuple[FileChange, ...]:
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
        found = self._changes(self.worker.changes(keep=program.keep_files or bool(bait)))
        seen = {change.path for change in found}
        # Not every program is given its bait in files: one that is missing was removed where another is there.
        gone = [path for path in bait if path not in seen] if seen & bait.keys() else []
        return (*found, *(FileChange(path, "removed") for path in gone))

    def _release(self) -> None:
        if not hasattr(self, "channel"):
            return
        if not self.closed and not self.worker.broken:
            self.worker.quick.unregister(self.channel_fd)
        self.channel.close()
        for fd in self.ends:
            os.close(fd)

    def _run(self) -> Run:
        over = self.over
        code = self.command_code
        if code is None and over is not None:
            code = os.waitstatus_to_exitcode(over.status)
        if over is not None and over.status & 0x7F == SIGSYS:
            self.denials[("clone", "new namespaces, as the fork server makes them")] = 1
        return self._record(
            code,
            by_us=self.killed,
            cpu_s=over.cpu_s if over is not None else NAN,
            peak_mb=over.peak_kb / 1024 if over is not None else NAN,
            files=self.file_changes,
            denials=tuple(Denial(name, detail, count) for (name, detail), count in self.denials.items()),
        )
