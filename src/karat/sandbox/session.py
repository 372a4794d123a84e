"""What a session with a program is, whatever carries its bytes: calls and replies, evidence, printed text, its end.

Whatever the program sends is data; what is no frame of the protocol is remarked in `Run.anomalies`. The session of a
back end says how bytes come and go (`_look`, `_await_message`, `_write`) and how a process is ended and seen to end.
"""

from __future__ import annotations

import base64
import signal
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from karat.sandbox import channel
from karat.sandbox.evidence import FRAME_BYTES, Evidence
from karat.sandbox.inside import wire
from karat.sandbox.transport import Frames, frame
from karat.sandbox.types import Call, Denial, Ended, FileChange, Limits, Program, Reply, Run
from karat.types import NAN

FAREWELL_S = 2.0
"""How long a program that was told to leave may take."""
MAX_WAITING = 100
"""Replies held that nobody has asked for yet; an honest program never has two."""


class ProgramSession(ABC):
    """One program: called while it lives, closed once."""

    def __init__(self, program: Program, limits: Limits, *, backend: str) -> None:
        self.program, self.limits, self.backend = program, limits, backend
        self.started = time.monotonic()
        self.deadline = self.started + limits.wall_s
        self.ended: Ended | None = None
        self.message = ""
        self.replies: list[Reply] = []
        self.incoming: deque[bytes] = deque()
        self.evidence = Evidence()
        self.frames = {"replies": Frames(limits.reply_kb << 10), "evidence": Frames(FRAME_BYTES)}
        self.output = {"stdout": bytearray(), "stderr": bytearray()}
        self.printed = {"stdout": 0, "stderr": 0}
        self.ready = self.killed = False
        self.result: Run | None = None

    # ------------------------------------------------------------------------------------------ what a back end does
    @abstractmethod
    def _write(self, data: bytes) -> None:
        """Send to the program, within its time; nothing where it does not read."""

    @abstractmethod
    def _look(self) -> None:
        """Take the replies that have arrived, without waiting."""

    @abstractmethod
    def _await_message(self) -> None:
        """Serve the program until a message of it is there, it is gone, or its time is spent."""

    @abstractmethod
    def _await_end(self, seconds: float) -> bool:
        """Serve the program until its first process has ended, at most so long; whether it has."""

    @abstractmethod
    def _conclude(self) -> None:
        """Say how a program ended that answers no more."""

    @abstractmethod
    def _kill(self) -> None:
        """End the program by force, once."""

    @abstractmethod
    def _close(self) -> Run:
        """End everything and release it."""

    # ---------------------------------------------------------------------------------------------------- what comes
    def _take(self, name: str, part: bytes) -> None:
        """Cut a part of a stream into frames, and take each."""
        frames = self.frames.get(name)
        if frames is None:
            return
        try:
            for item in frames.feed(part):
                if name in self.frames:
                    self._frame(name, item)
        except wire.WireError as error:
            del self.frames[name]  # what follows cannot be cut into frames any more: it is read and dropped
            self.evidence.remark(f"{name}: no frame of the protocol")
            if name == "replies":
                self._end("output", f"a reply of {error}")
                self._kill()

    def _frame(self, name: str, item: bytes) -> None:
        if name == "evidence":
            self.evidence.take(item)
            if self.evidence.full:
                del self.frames[name]  # read on and dropped, so that a flood costs no time here
        elif len(self.incoming) < MAX_WAITING:
            self.incoming.append(item)
        else:
            self.evidence.remark("replies flooded")

    def _print(self, name: str, part: bytes) -> None:
        keep = self.limits.output_kb << 10
        self.printed[name] += len(part)
        kept = self.output[name]
        kept += part[: max(0, keep - len(kept))]
        if self.printed[name] > 16 * keep and not self.killed:
            self._end("output", f"more than {16 * keep:,} bytes on {name}")
            self._kill()

    def _receive(self) -> dict[str, Any] | None:
        """The next message; None when the process is gone or out of time, with the reason kept."""
        self._await_message()
        if self.incoming:
            return load(self.incoming.popleft())
        if self.ended is None:
            self._conclude()
        return None

    # ----------------------------------------------------------------------------------------------------- the calls
    def _await_ready(self) -> None:
        """Hear whether the program was loaded."""
        self.ready = True
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

    def _run_script(self) -> None:
        """Hear that a script was loaded, and that it is over."""
        self._await_ready()
        message = self._receive() if self.ended is None else None
        if message is not None:
            self.replies.append(channel.decode_reply(message.get("reply"), time.monotonic() - self.started))
            self._end("done", "")

    def call(self, call: Call, *, answer: Callable[[Call], Reply] | None = None) -> Reply:
        if self.ended is not None or self.result is not None:
            return channel.missing(f"the program had ended: {self.message or self.ended}")
        request = frame({"call": channel.encode_call(call)})
        if self.ready:
            self._look()
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

    # ------------------------------------------------------------------------------------------------------- the end
    def close(self) -> Run:
        if self.result is None:
            self.result = self._close()
        return self.result

    def _end(self, ended: Ended, message: str) -> None:
        """The first reason why a run ended is the one that counts."""
        if self.ended is None:
            self.ended, self.message = ended, message

    def _end_by(self, code: int, *, cpu: bool, memory: bool, peak_mb: float) -> None:
        """Say how the first process ended.

        Args:
            code: its exit code, or minus the signal that killed it.
            cpu, memory: whether that was for want of processor time or of memory.
        """
        if cpu:
            self._end("cpu", f"more than {self.limits.cpu_s:g} s of processor time")
        elif memory:
            self._end("memory", f"killed while it held {peak_mb:.0f} MB")
        elif code < 0:
            self._end("signal", f"killed by {signal_name(-code)}")
        elif self.program.kind == "command":
            self._end("done", "")
        else:
            self._end("exit", f"the process left with status {code} before it answered")

    def _take_leave(self) -> None:
        """Let a program that still lives tell the rest and leave; one that was ended, or ended itself, told it all."""
        if self.ended not in (None, "load") and not (self.ended == "done" and self.program.kind == "script"):
            return
        if self.ended is None:
            self._look()
            if self.incoming:
                self.evidence.remark("extra reply")
            self._write(END)
        if not self._await_end(min(FAREWELL_S, max(0.1, self.deadline - time.monotonic()))):
            self.evidence.remark("did not leave when told")
        self._end("done", "")

    def _changes(self, entries: Iterable[list[Any]]) -> tuple[FileChange, ...]:
        """What `inside.folder.changes` found."""
        found = []
        for path, change, size, content in entries:
            if change == "cut":
                self.evidence.remark(f"more changed files than are reported ({size:,} names seen)")
            else:
                found.append(FileChange(path, change, size, base64.b64decode(content)))
        return tuple(found)

    def _record(
        self,
        code: int | None,
        *,
        by_us: bool,
        cpu_s: float,
        peak_mb: float,
        files: tuple[FileChange, ...],
        denials: tuple[Denial, ...] = (),
    ) -> Run:
        """Everything that is known of the run.

        Args:
            code: as of `_end_by`; None where it is not known.
            by_us: whether a signal that ended the program was sent by us.
        """
        if self.program.watch and self.program.kind != "command" and not self.evidence.said_farewell:
            self.evidence.remark("no farewell")
        return Run(
            ended=self.ended or "fault",
            message=self.message,
            replies=tuple(self.replies),
            exit_code=code if code is not None and code >= 0 else None,
            signal=-code if code is not None and code < 0 and not by_us else None,
            stdout=bytes(self.output["stdout"]),
            stderr=bytes(self.output["stderr"]),
            output_cut=any(self.printed[name] > len(kept) for name, kept in self.output.items()),
            events=tuple(self.evidence.events),
            denials=denials,
            seals=tuple(self.evidence.seals),
            files=files,
            anomalies=tuple(self.evidence.anomalies),
            wall_s=time.monotonic() - self.started,
            cpu_s=cpu_s,
            peak_mb=peak_mb,
            inside_wall_s=self.evidence.inside_wall_s,
            backend=self.backend,
        )


def signal_name(number: int) -> str:
    """`SIGTERM`; real-time signals have numbers only."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def load(item: bytes) -> dict[str, Any]:
    """The message of a frame; one without a reply where it is none, so that it counts as a missing reply."""
    try:
        message = wire.load(item)
    except wire.WireError as error:
        return {"reply": {"status": str(error)}}
    return message if isinstance(message, dict) else {"reply": None}


END = frame({"end": True})
