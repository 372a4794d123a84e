"""Several sandboxes of one kind, each used by one thread at a time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from karat.errors import InputError
from karat.sandbox import open_sandbox
from karat.sandbox.policy import Policy
from karat.sandbox.types import Call, Limits, Program, Run, Sandbox

Item = TypeVar("Item")
Value = TypeVar("Value")
WINDOW = 4
"""Items begun per worker before the first result is taken: enough to keep workers busy, little to hold."""


def usable_processors() -> list[int]:
    """Numbers of the processors that this process may use; none where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


class SandboxPool:
    """Sandboxes that threads and coroutines take turns with. Use as a context manager."""

    def __init__(
        self,
        backend: str = "auto",
        workers: int = 1,
        *,
        policy: Policy | None = None,
        packages: Sequence[str | Path] = (),
        preload: Sequence[str] = (),
    ) -> None:
        """Raises: InputError: no workers, or a sandbox that `open_sandbox` refuses."""
        if workers < 1:
            raise InputError(f"workers: {workers} is less than one. A pool needs a worker; one a processor is usual.")
        self.workers = workers
        self._idle: queue.LifoQueue[Sandbox] = queue.LifoQueue()  # the last one used is the warmest
        self._all: list[Sandbox] = []
        self._lock = threading.Lock()
        self._processor: dict[int, int] = {}
        """By the id of a sandbox, the processor that it keeps to in `map`."""
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="karat-sandbox")
        try:
            for _ in range(workers):
                self._all.append(open_sandbox(backend, policy=policy, packages=packages, preload=preload))
                self._idle.put(self._all[-1])
        except BaseException:
            self.close()
            raise
        usable = usable_processors()
        if workers == len(usable):
            self._processor = {id(sandbox): number for sandbox, number in zip(self._all, usable, strict=True)}

    @contextlib.contextmanager
    def sandbox(self) -> Iterator[Sandbox]:
        """A sandbox for this thread alone; waits for one."""
        taken = self._idle.get()
        try:
            yield taken
        finally:
            self._idle.put(taken)

    def run(self, program: Program, calls: Sequence[Call] = (), *, limits: Limits) -> Run:
        """Run in the next free sandbox, in this thread."""
        with self.sandbox() as sandbox:
            return sandbox.run(program, calls, limits=limits)

    async def run_async(self, program: Program, calls: Sequence[Call] = (), *, limits: Limits) -> Run:
        """Run without holding the event loop; hundreds may wait at once."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lambda: self.run(program, calls, limits=limits))

    def map(self, function: Callable[[Sandbox, Item], Value], items: Iterable[Item]) -> Iterator[Value]:
        """function(sandbox, item) of each item, in the order of the items; at most a few are held at once.

        Raises: what `function` raises, when its item's turn comes; items not begun are not begun any more.
        """
        begun: deque[Future[Value]] = deque()
        try:
            for item in items:
                begun.append(self._executor.submit(self._call, function, item))
                if len(begun) >= WINDOW * self.workers:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()

    def _call(self, function: Callable[[Sandbox, Item], Value], item: Item) -> Value:
        """One item, in a thread of this pool's own. Grader and candidate take turns, so that they are best on one
        processor: to wake another one for each turn costs more than the turn. With fewer workers than processors, or
        more, the kernel places them."""
        with self.sandbox() as sandbox:
            if id(sandbox) in self._processor:
                with contextlib.suppress(OSError):  # it was taken from us since
                    os.sched_setaffinity(0, {self._processor[id(sandbox)]})
            return function(sandbox, item)

    def close(self) -> None:
        """End the sandboxes; what is running is waited for."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            for sandbox in self._all:
                sandbox.close()
            self._all.clear()

    def __enter__(self) -> SandboxPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
