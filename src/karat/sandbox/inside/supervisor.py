"""Stands between the trusted side and one candidate where no zygote does: starts it, ends all that it started, reports.

Used by the back ends subprocess, bubblewrap and container. It holds nothing that a candidate could want: the answers
stay with the trusted side, and what it reports about processor time, signals and files is evidence, never a verdict.

Descriptors come by number in the settings (`fds`). Control, from the trusted side: one frame with the files and the
environment, then `{"kill": true}` or the end of the pipe, which also comes when the trusted process dies. Status, to
the trusted side: `{"up": ...}`, `{"over": ...}` when the candidate's first process has ended, and one frame
`{"files": [...], "left": n}` when nothing of it is left.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import importlib
import json
import os
import resource
import select
import signal
import struct
import sys
import time
from typing import Any

from karat.sandbox.inside import child, folder, wire

ENDS = ("requests", "replies", "evidence")
SWEEP_S = 5.0
"""How long ending what a candidate left behind may take before it is reported as not done."""
GRACE_S = 5.0
LONGEST_WAIT_S = 3600.0
"""Of one call of poll, whose clock ends after 24 days."""
OPEN_FILES = 256
SPARE_PROCESSES = 32
"""Where processes are counted by user and not by run, others of the same user come and go meanwhile."""


def main(settings: dict[str, Any]) -> None:
    """Run one program to its end and report it."""
    fds = settings["fds"]
    control, status = fds["control"], fds["status"]
    for end in (control, status):
        os.set_inheritable(end, False)
    hide_memory(adopt=not settings["alone"])
    wire.write_frame(status, wire.dump({"up": os.getpid()}))
    job = wire.load(wire.read_frame(control))
    given = {path: base64.b64decode(content) for path, content in job["files"].items()}
    folder.write(settings["folder"], given, job["read_only"], mounted=settings["mounted"], owner=settings["uid"])
    wakeup, waker = os.pipe()
    for end in (wakeup, waker):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    if sys.platform == "linux":  # while we are the user who can read it
        importlib.import_module("karat.sandbox.inside.confine")
    pid = os.fork()
    if pid == 0:
        try:
            become_candidate(settings, job)
        except Exception as error:  # the descriptor is closed before the program runs, so that only we can say this
            tell(settings["fds"]["status"], {"fault": f"{type(error).__name__}: {error}"})
        finally:
            os._exit(127)
    for end in (0, 1, 2, *(fds[name] for name in ENDS)):  # so that the candidate's end is the end of each stream
        close(end)
    over = watch(pid, settings, control, wakeup)
    tell(status, {"over": over})
    left, swept = sweep(settings, pid)
    changes = folder.changes(settings["folder"], given, keep=settings["keep_files"])
    tell(status, {"files": changes, "left": left, "swept": swept})
    if settings["remove"]:  # here, because the trusted process may have died
        folder.remove(settings["folder"])


def tell(status: int, message: dict[str, Any]) -> None:
    """Nobody listens any more where the trusted process died; what is left of the program is ended all the same."""
    with contextlib.suppress(OSError):
        wire.write_frame(status, wire.dump(message))


def close(fd: int) -> None:
    with contextlib.suppress(OSError):
        os.close(fd)


def hide_memory(*, adopt: bool) -> None:
    """Linux: no reading of this process by others of the same user; orphans of the candidate become our children."""
    if sys.platform != "linux":
        return
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
    if adopt:
        prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


# ---------------------------------------------------------------------------------------------------- the candidate
def become_candidate(settings: dict[str, Any], job: dict[str, Any]) -> None:
    """In the forked process: descriptors, limits, walls, and then the program. Does not return.

    Raises: OSError, ValueError: something of it cannot be had, before anything of the program was looked at.
    """
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    fds, status = settings["fds"], settings["fds"]["status"]
    command = settings["kind"] == "command"
    os.setsid()
    ends = [os.dup(fds[name]) for name in ENDS]
    ends = [os.dup2(end, 100 + number) for number, end in enumerate([*ends, status])]  # out of the way
    for number, end in enumerate(ends[:-1]):
        os.dup2(end, child.REQUESTS + number)
    last = os.dup2(ends[-1], child.REQUESTS + len(ENDS), inheritable=False)
    os.closerange(last + 1, 65_536 if sys.platform == "linux" else 4096)
    settings["fds"] = fds | {"status": last}
    os.chdir(settings["folder"])
    set_limits(settings)
    harden(settings)
    os.environ.clear()
    os.environ.update(job["environment"])
    if command:
        os.closerange(3, last + 1)
        execute(settings["argv"])
    os.close(last)
    settings["fds"]["status"] = -1
    sys.argv[1:] = []
    sys.orig_argv[:] = [sys.executable]
    sys.path += settings["packages"]
    child.add_site_names()
    child.serve(wire.load(wire.read_frame(child.REQUESTS)))
    child.leave(0)


def execute(argv: list[str]) -> None:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and programs inherit that
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
        os._exit(126 if isinstance(error, PermissionError) else 127)


def set_limits(settings: dict[str, Any]) -> None:
    megabyte = 1 << 20
    limit("RLIMIT_AS", settings["memory_mb"] * megabyte)
    limit("RLIMIT_FSIZE", settings["files_mb"] * megabyte)
    limit("RLIMIT_CORE", 0)
    limit("RLIMIT_NOFILE", OPEN_FILES)
    limit("RLIMIT_MEMLOCK", 0)
    limit("RLIMIT_MSGQUEUE", 0)
    seconds = int(settings["cpu_s"]) + 2  # a backstop: the supervisor looks at the clock of the process itself
    limit("RLIMIT_CPU", seconds, seconds + 1)
    if settings["count_processes"]:
        if settings["uid"]:
            own = 0
        elif settings["alone"]:
            own = 1  # the supervisor
        else:
            own = tasks_of_user() + SPARE_PROCESSES
        limit("RLIMIT_NPROC", own + max(settings["processes"], 1))


def limit(name: str, soft: int, hard: int | None = None) -> None:
    """Set a limit where the system has it; never above what we may set."""
    number = getattr(resource, name, None)
    if number is None:
        return
    ceiling = resource.getrlimit(number)[1]
    hard = soft if hard is None else hard
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(number, (soft, hard))


def tasks_of_user() -> int:
    """Processes and threads of this user now: what RLIMIT_NPROC counts. 0 where /proc does not tell."""
    count, uid = 0, os.getuid()
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(OSError):
                    if os.stat(f"/proc/{name}").st_uid == uid:
                        count += len(os.listdir(f"/proc/{name}/task"))
    return count


def harden(settings: dict[str, Any]) -> None:
    """The walls that the kernel offers a process without namespaces, and a user id of its own where we are root.

    What this kernel lacks is left out: the back end tries its walls (`karat.sandbox.probes`) and tells. What it has and
    does not give ends the run.
    Raises: OSError: the kernel refuses.
    """
    linux = sys.platform == "linux"
    if linux:
        from karat.sandbox.inside import confine, kernel, landlock, seccomp

        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        if settings["lock"] is not None and landlock.abi() > 0:
            landlock.restrict(**settings["lock"])
    if settings["uid"]:
        os.setgroups([])
        os.setresgid(settings["uid"], settings["uid"], settings["uid"])
        os.setresuid(settings["uid"], settings["uid"], settings["uid"])
    if linux and kernel.TABLE is not None:
        kernel.drop_capabilities()
        if not settings["alone"]:
            confine.install(marks=not settings["uid"] and settings["kind"] != "command")
        for code in (refusing(seccomp.filter_for(settings["kind"] == "command")), seccomp.own_filter()):
            seccomp.Filter(code).install()


def refusing(code: bytes) -> bytes:
    """The filter with a refusal wherever it would ask a listener: here is none."""
    from karat.sandbox.inside import seccomp

    steps = list(struct.iter_unpack("<HBBI", code))
    refusal = seccomp.ERRNO | errno.EPERM
    return seccomp.packed(
        [
            (operation, yes, no, refusal if (operation, value) == (seccomp.RETURN, seccomp.NOTIFY) else value)
            for operation, yes, no, value in steps
        ]
    )


# ---------------------------------------------------------------------------------------------------------- its end
def watch(pid: int, settings: dict[str, Any], control: int, wakeup: int) -> dict[str, Any]:
    """Wait for the end of the first process; end it when it has used its processor time or when told to.

    The clock is the trusted side's to look at; this one only ends a program that nobody has closed.
    """
    why, cpu_s = "", settings["cpu_s"]
    until = time.monotonic() + settings["wall_s"] + GRACE_S
    cores = os.cpu_count() or 1
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wakeup, select.POLLIN)
    while True:
        ended, code, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            return account(code, usage, "cpu" if usage.ru_utime + usage.ru_stime > cpu_s else "")
        left = cpu_s - clock_of(pid)
        if left <= 0:
            why = "cpu"
        elif time.monotonic() > until:
            why = "wall"
        wait_s = max(0.01, min(left / cores, until - time.monotonic(), LONGEST_WAIT_S))
        events = [end for end, _ in poll.poll(1000 * wait_s)] if not why else []
        if control in events:
            why = "told"
        if why:
            os.kill(pid, signal.SIGKILL)
            code, usage = os.wait4(pid, 0)[1:]
            return account(code, usage, why)
        with contextlib.suppress(BlockingIOError):
            os.read(wakeup, 4096)


def account(code: int, usage: Any, why: str) -> dict[str, Any]:
    peak_mb = usage.ru_maxrss / (1024 if sys.platform == "linux" else 1 << 20)
    return {"status": code, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_mb": peak_mb, "why": why}


def clock_of(pid: int) -> float:
    """Processor seconds of a living process, all its threads; 0 where the system has no such clock."""
    if sys.platform != "linux":
        return 0.0
    try:
        return time.clock_gettime((~pid << 3) | 2)  # CPUCLOCK_SCHED of a process, built as clock_getcpuclockid(3) does
    except OSError:
        return 0.0


def sweep(settings: dict[str, Any], group: int) -> tuple[int, bool]:
    """End everything that the program started and left behind.

    Returns: how many processes there were (seen when they were reaped), and whether none is left.
    """
    until = time.monotonic() + SWEEP_S
    left = 0
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)
        if settings["alone"]:  # first process of a pid namespace: all but ourselves
            with contextlib.suppress(OSError):
                os.kill(-1, signal.SIGKILL)
        elif settings["uid"]:
            kill_user(settings["uid"])
        else:
            kill_descendants()
        try:
            while os.wait4(-1, os.WNOHANG)[0]:
                left += 1
        except ChildProcessError:
            return left, True
        time.sleep(0.001)  # no one event to wait for: what is being ended may still have made another
    return left, False


def kill_user(uid: int) -> None:
    """End all processes of a user id that this run alone has: at once, however fast they multiply."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setresuid(uid, uid, uid)
            os.kill(-1, signal.SIGKILL)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def kill_descendants() -> None:
    """End the children that were left to us (Linux: also those of new sessions) and theirs: stop all, then end all."""
    if sys.platform != "linux":
        return
    stopped: list[int] = []
    pending = [os.getpid()]
    while pending and len(stopped) < 10_000:
        for pid in children_of(pending.pop()):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGSTOP)
                stopped.append(pid)
                pending.append(pid)
    for pid in stopped:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def children_of(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as file:
                found += [int(name) for name in file.read().split()]
    return found


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
