"""Bytes to and from a started supervisor: several named streams at once, in one thread, without ever blocking."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from karat.sandbox.inside import wire

TO_CHILD = ("stdin", "requests", "control")
FROM_CHILD = ("stdout", "stderr", "replies", "evidence", "status")
PART = 1 << 16
LEAVE_S = 6.0


def frame(message: Any) -> bytes:
    """A message as it goes over a stream; `Frames` cuts it out again."""
    payload = wire.dump(message)
    return wire.LENGTH.pack(len(payload)) + payload


class Frames:
    """Cuts a stream into frames as its bytes come; never holds more than one frame of the size allowed."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.data = bytearray()

    def feed(self, part: bytes) -> list[bytes]:
        """The frames that are complete now.

        Raises: wire.WireError: a frame announces more than the limit; the stream is of no use any more.
        """
        self.data += part
        found = []
        while len(self.data) >= wire.LENGTH.size:
            (size,) = wire.LENGTH.unpack_from(self.data)
            if size > self.limit:
                raise wire.WireError(f"{size:,} bytes in one frame; at most {self.limit:,} are accepted")
            end = wire.LENGTH.size + size
            if len(self.data) < end:
                break
            found.append(bytes(self.data[wire.LENGTH.size : end]))
            del self.data[:end]
        return found


class Transport(Protocol):
    """The streams of TO_CHILD and FROM_CHILD."""

    def send(self, name: str, data: bytes) -> None:
        """Queue bytes; they are written while `poll` runs. Nothing happens where the other side closed the stream."""

    def finish(self, name: str) -> None:
        """Close a stream to the child when what is queued has been written."""

    def poll(self, timeout_s: float) -> list[tuple[str, bytes]]:
        """What came within the time: at most one part of each stream; empty bytes are its end."""

    def last_words(self) -> str:
        """What the started command said of its own failure, where that is no stream of the program."""

    def kill(self) -> None:
        """End the supervisor by force."""

    def close(self) -> None:
        """Release everything; ends the supervisor if it still runs."""


class Pipes:
    """One pipe for each stream, and the process that holds their other ends."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.ours: dict[str, int] = {}
        self.theirs: dict[str, int] = {}
        self.queued: dict[str, bytearray] = {name: bytearray() for name in TO_CHILD}
        self.finished: set[str] = set()
        self.process: subprocess.Popen[bytes] | None = None
        for name in (*TO_CHILD, *FROM_CHILD):
            read, write = os.pipe()
            self.ours[name], self.theirs[name] = (write, read) if name in TO_CHILD else (read, write)
            os.set_blocking(self.ours[name], False)
        for name in FROM_CHILD:
            self.selector.register(self.ours[name], selectors.EVENT_READ, name)

    def start(
        self, command: Sequence[str], *, environment: Mapping[str, str], folder: str, more_fds: Sequence[int] = ()
    ) -> None:
        """Start the supervisor. Raises: OSError: the command cannot be started."""
        passed = [self.theirs[name] for name in ("requests", "replies", "evidence", "control", "status")]
        try:
            self.process = subprocess.Popen(
                command,
                stdin=self.theirs["stdin"],
                stdout=self.theirs["stdout"],
                stderr=self.theirs["stderr"],
                pass_fds=[*passed, *more_fds],
                cwd=folder,
                env=dict(environment),
                start_new_session=True,
            )
        finally:
            for end in self.theirs.values():
                os.close(end)

    def send(self, name: str, data: bytes) -> None:
        if name in self.ours:
            self.queued[name] += data
            self._write(name)

    def finish(self, name: str) -> None:
        self.finished.add(name)
        if name in self.ours and not self.queued[name]:
            self._drop(name)

    def poll(self, timeout_s: float) -> list[tuple[str, bytes]]:
        found = []
        for key, _ in self.selector.select(max(0.0, timeout_s)):
            name = key.data
            if name in TO_CHILD:
                self._write(name)
                continue
            try:
                part = os.read(key.fd, PART)
            except BlockingIOError:
                continue
            except OSError:
                part = b""
            if not part:
                self._drop(name)
            found.append((name, part))
        return found

    def _write(self, name: str) -> None:
        queue = self.queued[name]
        try:
            while queue:
                del queue[: os.write(self.ours[name], queue[: 16 * PART])]
        except BlockingIOError:
            if self.ours[name] not in self.selector.get_map():
                self.selector.register(self.ours[name], selectors.EVENT_WRITE, name)
            return
        except OSError:  # the reader is gone
            self._drop(name)
            return
        if name in self.finished:
            self._drop(name)
        elif self.ours[name] in self.selector.get_map():
            self.selector.unregister(self.ours[name])

    def _drop(self, name: str) -> None:
        end = self.ours.pop(name)
        if end in self.selector.get_map():
            self.selector.unregister(end)
        os.close(end)
        if name in self.queued:
            self.queued[name].clear()

    def last_words(self) -> str:
        return ""  # it went to the stream `stderr`

    def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                self.process.kill()

    def close(self) -> None:
        for name in list(self.ours):
            self._drop(name)
        self.selector.close()
        if self.process is not None:
            try:  # its control is closed: it ends the program, which by force we could not, and leaves
                self.process.wait(LEAVE_S)
            except subprocess.TimeoutExpired:
                self.kill()
                self.process.wait()


class Mux:
    """All streams over the standard input and output of one process that splits and joins them (`inside/bridge.py`).

    A frame is one byte that names the stream and the bytes of it; no bytes are its end.
    """

    def __init__(self, end_by_force: Callable[[], None]) -> None:
        self.end_by_force = end_by_force
        self.selector = selectors.DefaultSelector()
        self.queue = bytearray()
        self.frames = Frames(2 * PART)
        self.open_streams = set(FROM_CHILD)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, command: Sequence[str]) -> None:
        """Start the engine's client. Raises: OSError: it cannot be started."""
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.to, self.come = self.process.stdin.fileno(), self.process.stdout.fileno()
        for end in (self.to, self.come):
            os.set_blocking(end, False)
        self.selector.register(self.come, selectors.EVENT_READ)

    def send(self, name: str, data: bytes) -> None:
        for at in range(0, len(data), PART):
            part = data[at : at + PART]
            self.queue += wire.LENGTH.pack(len(part) + 1) + bytes([TO_CHILD.index(name)]) + part
        self._write()

    def finish(self, name: str) -> None:
        self.queue += wire.LENGTH.pack(1) + bytes([TO_CHILD.index(name)])
        self._write()

    def poll(self, timeout_s: float) -> list[tuple[str, bytes]]:
        found: list[tuple[str, bytes]] = []
        for key, _ in self.selector.select(max(0.0, timeout_s)):
            if key.fd == self.to:
                self._write()
                continue
            try:
                part = os.read(self.come, PART)
            except BlockingIOError:
                continue
            if not part:
                return found + self._all_closed()
            try:
                for frame in self.frames.feed(part):
                    found += self._frame(frame)
            except (wire.WireError, IndexError):  # the process at the other end is not what was started
                return found + self._all_closed()
        return found

    def _frame(self, frame: bytes) -> list[tuple[str, bytes]]:
        name, part = FROM_CHILD[frame[0]], frame[1:]
        if name not in self.open_streams:
            return []
        if not part:
            self.open_streams.discard(name)
        return [(name, part)]

    def _all_closed(self) -> list[tuple[str, bytes]]:
        if self.come in self.selector.get_map():
            self.selector.unregister(self.come)
        closed = [(name, b"") for name in sorted(self.open_streams)]
        self.open_streams.clear()
        return closed

    def _write(self) -> None:
        try:
            while self.queue:
                del self.queue[: os.write(self.to, self.queue[: 16 * PART])]
        except BlockingIOError:
            if self.to not in self.selector.get_map():
                self.selector.register(self.to, selectors.EVENT_WRITE)
            return
        except OSError:
            self.queue.clear()
        if self.to in self.selector.get_map():
            self.selector.unregister(self.to)

    def last_words(self) -> str:
        if self.process is None or self.process.stderr is None:
            return ""
        os.set_blocking(self.process.stderr.fileno(), False)
        with contextlib.suppress(OSError):
            return os.read(self.process.stderr.fileno(), 300).decode("utf-8", "replace").strip().replace("\n", " / ")
        return ""

    def kill(self) -> None:
        self.end_by_force()
        if self.process is not None and self.process.returncode is None:
            self.process.kill()

    def close(self) -> None:
        self.selector.close()
        if self.process is not None:
            try:  # the end of its input ends the bridge, and with it the container
                self.process.communicate(timeout=LEAVE_S)
            except subprocess.TimeoutExpired:
                self.kill()
                self.process.communicate()
