"""First process of a container: the supervisor's streams over one standard input and output, since no others reach it.

A frame is one byte that names the stream and the bytes of it; no bytes are its end. The end of the input ends this
process, and with it the container: so it is when the trusted process dies.
"""

from __future__ import annotations

import contextlib
import os
import select
from typing import Any

from karat.sandbox.inside import supervisor, wire

TO_CHILD = ("stdin", "requests", "control")
FROM_CHILD = ("stdout", "stderr", "replies", "evidence", "status")
PART = 1 << 16


def main(settings: dict[str, Any]) -> None:
    """Start the supervisor on pipes of its own, and carry bytes until all of its streams have ended."""
    ours: dict[str, int] = {}
    theirs: dict[str, int] = {}
    for name in (*TO_CHILD, *FROM_CHILD):
        read, write = os.pipe()
        ours[name], theirs[name] = (write, read) if name in TO_CHILD else (read, write)
    if os.fork() == 0:
        try:
            for end in ours.values():
                os.close(end)
            for number, name in enumerate(("stdin", "stdout", "stderr")):
                os.dup2(theirs[name], number)
                os.close(theirs[name])
            supervisor.main(settings | {"fds": theirs})
        finally:
            os._exit(0)
    for end in theirs.values():
        os.close(end)
    carry(ours)


def carry(ours: dict[str, int]) -> None:
    queued = {name: bytearray() for name in TO_CHILD}
    finished: set[str] = set()
    incoming = bytearray()
    names = {end: name for name, end in ours.items()}
    for name in TO_CHILD:
        os.set_blocking(ours[name], False)
    while any(name in ours for name in FROM_CHILD):
        poll = select.poll()
        poll.register(0, select.POLLIN)
        for name, end in ours.items():
            if name in FROM_CHILD or queued[name]:
                poll.register(end, select.POLLIN if name in FROM_CHILD else select.POLLOUT)
        for end, _ in poll.poll():
            if end == 0:
                part = os.read(0, PART)
                if not part:
                    return
                incoming += part
                for name, data in frames(incoming):
                    queued[name] += data
                    if not data:
                        finished.add(name)
            elif names[end] in FROM_CHILD and names[end] in ours:
                give(names[end], ours)
        for name in TO_CHILD:
            if name in ours:
                take(name, ours, queued[name], last=name in finished)


def frames(incoming: bytearray) -> list[tuple[str, bytes]]:
    """The whole frames at the front of what came, which are taken away from it."""
    found = []
    while len(incoming) >= wire.LENGTH.size:
        (size,) = wire.LENGTH.unpack_from(incoming)
        end = wire.LENGTH.size + size
        if len(incoming) < end:
            break
        found.append((TO_CHILD[incoming[wire.LENGTH.size]], bytes(incoming[wire.LENGTH.size + 1 : end])))
        del incoming[:end]
    return found


def give(name: str, ours: dict[str, int]) -> None:
    """One part of a stream of the supervisor to the trusted side."""
    part = os.read(ours[name], PART)
    wire.write_frame(1, bytes([FROM_CHILD.index(name)]) + part)
    if not part:
        os.close(ours.pop(name))


def take(name: str, ours: dict[str, int], queue: bytearray, *, last: bool) -> None:
    """What is queued for the supervisor, as far as it takes it now."""
    try:
        while queue:
            del queue[: os.write(ours[name], queue[:PART])]
    except BlockingIOError:
        return
    except OSError:
        queue.clear()
        with contextlib.suppress(OSError):
            os.close(ours.pop(name))
        return
    if last:
        os.close(ours.pop(name))
