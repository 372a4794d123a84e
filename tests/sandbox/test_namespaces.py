"""The namespaces back end itself: its fork server, what is kept from one program to the next, and how it is lost.

What every back end must do is in tests/contracts/test_sandbox.py; what stops an attacker in test_escapes.py.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from karat.errors import InputError
from karat.sandbox import evidence, namespaces, policy, worker
from karat.sandbox.inside import kernel
from karat.sandbox.namespaces import NamespaceSandbox
from karat.sandbox.pool import SandboxPool
from karat.sandbox.types import Bait, Call, FileChange, Limits, Program, Run, Sandbox

pytestmark = pytest.mark.skipif(bool(namespaces.available()), reason=f"namespaces: {namespaces.available()}")

LIMITS = Limits(wall_s=8.0, cpu_s=6.0, memory_mb=512)
BAITS = (
    Bait("file", "expected.json", "[123456789]", "123456789"),
    Bait("file", "tests/test_hidden.py", "assert f() == 987654321", "987654321"),
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[NamespaceSandbox]:
    with NamespaceSandbox() as opened:
        yield opened


def run(sandbox: NamespaceSandbox, source: str | bytes, *args: object, **fields: object) -> Run:
    return sandbox.run(Program(source=source, **fields), [Call("f", args)], limits=LIMITS)  # type: ignore[arg-type]


def value(sandbox: NamespaceSandbox, source: str | bytes, *args: object, **fields: object) -> object:
    result = run(sandbox, source, *args, **fields)
    assert [reply.status for reply in result.replies] == ["value"], result
    return result.replies[0].value


def processes_of(sandbox: NamespaceSandbox) -> list[psutil.Process]:
    """Launcher, keeper and fork server, in this order."""
    launcher = psutil.Process(sandbox.worker(command=False).process.pid)
    return [launcher, *launcher.children(recursive=True)]


# ------------------------------------------------------------------------------------------- from one to the next
def test_a_program_is_alone_and_first_in_its_namespace(sandbox: NamespaceSandbox) -> None:
    source = (
        "import os, socket\ndef f(): return os.getpid(), os.getppid(), os.getuid(), socket.gethostname(), os.getcwd()"
    )
    assert value(sandbox, source) == (1, 0, 65534, "sandbox", "/box/files/work")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root reads the memory of another process")
def test_the_fork_server_holds_nothing_of_a_program(sandbox: NamespaceSandbox) -> None:
    token = "a-token-that-is-nowhere-else"
    source = f"import sys\ndef f(x):\n    print(x)\n    return x[::-1], {token!r}"
    assert value(sandbox, source, "argument-of-the-call")
    for process in processes_of(sandbox):
        memory = memory_of(process.pid)
        assert b"karat.sandbox.inside" in memory
        for text in (token, "argument-of-the-call", "llac-eht-fo-tnemugra"):
            assert text.encode() not in memory, process


def memory_of(pid: int) -> bytes:
    parts = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if found and "[v" not in line:
                start, end = int(found[1], 16), int(found[2], 16)
                memory.seek(start)
                parts.append(memory.read(end - start))
    return b"".join(parts)


def test_chance_is_the_same_in_every_program_and_worker(sandbox: NamespaceSandbox) -> None:
    source = "import random\ndef f(): return random.random(), hash('a'), list({'a', 'b', 'c', 'd'})"
    with NamespaceSandbox() as other:
        assert value(sandbox, source) == value(sandbox, source) == value(other, source)


def test_many_runs_leave_no_process_and_no_descriptor(sandbox: NamespaceSandbox) -> None:
    value(sandbox, "def f(): return 1")
    before, fds = processes_of(sandbox), psutil.Process().num_fds()
    for _ in range(15):
        run(sandbox, "import threading, time\ndef f():\n    open('x', 'w').write('y')\n    time.sleep(0)")
        run(sandbox, "import os\ndef f(): os._exit(1)")
    assert processes_of(sandbox) == before
    assert psutil.Process().num_fds() == fds


def test_what_a_program_does_to_its_descriptors_does_not_meet_the_next(sandbox: NamespaceSandbox) -> None:
    source = """
import fcntl, os
def f():
    before = [fcntl.fcntl(end, fcntl.F_GETFL) & os.O_NONBLOCK for end in range(6)]
    for end in range(6): fcntl.fcntl(end, fcntl.F_SETFL, os.O_NONBLOCK)
    return before
"""
    assert value(sandbox, source) == value(sandbox, source) == [0] * 6


def test_closing_ends_every_process() -> None:
    opened = NamespaceSandbox()
    value(opened, "def f(): return 1")
    session = opened.open(Program(source="import time\ndef f(): time.sleep(60)"), limits=LIMITS)
    until = time.monotonic() + 5.0
    while len(processes := processes_of(opened)) < 4 and time.monotonic() < until:  # the candidate too
        time.sleep(0.01)
    assert len(processes) == 4
    opened.close()
    assert session.close().ended == "done"
    assert not any(process.is_running() for process in processes)


# --------------------------------------------------------------------------------------------------- a worker is lost
@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_lost_worker_is_a_fault_and_is_replaced(which: int) -> None:
    with NamespaceSandbox() as sandbox:
        session = sandbox.open(Program(source="def f(): return 1"), limits=LIMITS)
        victim = processes_of(sandbox)[which]
        victim.send_signal(signal.SIGKILL)
        time.sleep(0.2)
        reply, result = session.call(Call("f")), session.close()
        assert (reply.status, result.ended) == ("missing", "fault"), result
        assert "gone" in result.message or "lost" in result.message
        assert value(sandbox, "def f(): return 2") == 2


def test_want_of_descriptors_is_a_fault_and_leaves_none_open(
    sandbox: NamespaceSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert value(sandbox, "def f(): return 1") == 1
    made: list[int] = []
    pipe = os.pipe

    def second_fails() -> tuple[int, int]:
        if made:
            raise OSError(errno.EMFILE, "too many open files")
        made.extend(pipe())
        return made[0], made[1]

    with monkeypatch.context() as patched:
        patched.setattr(os, "pipe", second_fails)
        session = sandbox.open(Program(source="def f(): return 1"), limits=LIMITS)
    assert (session.call(Call("f")).status, session.close().ended) == ("missing", "fault")
    for end in made:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(end)
    assert value(sandbox, "def f(): return 2") == 2


def test_a_fork_of_the_trusted_process_starts_a_worker_of_its_own() -> None:
    with NamespaceSandbox() as sandbox:
        assert value(sandbox, "def f(): return 1") == 1
        mine = sandbox.worker(command=False).process.pid
        pid = os.fork()
        if pid == 0:
            try:
                own = value(sandbox, "def f(): return 2") == 2 and sandbox.worker(command=False).process.pid != mine
                sandbox.close()
                os._exit(0 if own else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert value(sandbox, "def f(): return 3") == 3
        assert sandbox.worker(command=False).process.pid == mine


def test_the_trusted_process_may_die_at_any_time() -> None:
    source = (
        "import os, signal\nfrom karat.sandbox.namespaces import NamespaceSandbox\n"
        "from karat.sandbox.types import *\ns = NamespaceSandbox()\n"
        "s.open(Program(source='import time\\ndef f(): time.sleep(60)'), limits=Limits())\n"
        "print(s.worker(command=False).process.pid, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    launcher = int(done.stdout)
    until = time.monotonic() + 5.0
    while psutil.pid_exists(launcher) and time.monotonic() < until:
        time.sleep(0.02)
    assert not psutil.pid_exists(launcher) or psutil.Process(launcher).status() == psutil.STATUS_ZOMBIE


# --------------------------------------------------------------------------------------------------------------- walls
def test_what_only_the_fork_server_may_do_ends_a_program(sandbox: NamespaceSandbox) -> None:
    source = """
import ctypes, platform
def f(flags):
    number = 56 if platform.machine() in ("x86_64", "amd64") else 220
    return ctypes.CDLL(None).syscall(number, flags, 0, 0, 0, 0)
"""
    result = run(sandbox, source, kernel.CANDIDATE)
    assert (result.ended, result.signal) == ("signal", signal.SIGSYS)
    assert [denial.syscall for denial in result.denials] == ["clone"]


def test_a_flood_of_evidence_is_not_looked_at_to_its_end(
    sandbox: NamespaceSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
import os, struct
def f():
    event = b'{"event":["a","b",1]}'
    for _ in range(150): os.write(5, (struct.pack("!I", len(event)) + event) * 100)
"""
    taken = 0
    take = evidence.Evidence.take

    def counted(self: evidence.Evidence, frame: bytes) -> None:
        nonlocal taken
        taken += 1
        take(self, frame)

    monkeypatch.setattr(evidence.Evidence, "take", counted)
    assert "evidence flooded" in run(sandbox, source).anomalies
    assert taken == evidence.MAX_FRAMES


def test_a_descriptor_sent_to_the_trusted_side_holds_nothing_open(sandbox: NamespaceSandbox) -> None:
    """The write ends of a program's own pipes, unread in its channel, keep the pipes from ever ending."""
    source = """
import os, socket
channel = socket.socket(fileno=os.dup(3))
for end in (1, 2, 5):
    channel.send(bytes(8))
    socket.send_fds(channel, [bytes(4)], [end])
os._exit(0)
"""
    session = sandbox.open(Program(source=source), limits=LIMITS)
    time.sleep(0.5)  # it has ended, and nothing was read
    assert session.close().ended == "exit"
    assert value(sandbox, "def f(): return 1") == 1


def test_a_large_call_does_not_wait_for_a_program_that_waits_for_us(sandbox: NamespaceSandbox) -> None:
    source = """
import socket
print("x" * 300_000, flush=True)
try: socket.socket()
except OSError: pass
print("y" * 300_000, flush=True)
def f(x): return len(x)
"""
    result = run(sandbox, source, "z" * 2_000_000)
    assert [reply.value for reply in result.replies] == [2_000_000], result
    assert len(result.stdout) == 600_002


def test_denials_say_what_was_meant(sandbox: NamespaceSandbox) -> None:
    source = """
import os, socket
def f():
    for act in (lambda: os.kill(1, 9), lambda: os.kill(1, 9), lambda: socket.socket(socket.AF_INET6), os.fork):
        try: act()
        except OSError: pass
"""
    denials = {(denial.syscall, denial.detail): denial.count for denial in run(sandbox, source).denials}
    assert denials.pop(("kill", "pid 1, signal 9")) == 2
    assert denials.pop(("socket", "AF_INET6")) == 1
    assert [name for name, _ in denials] == ["clone"]


def test_denials_are_bounded(sandbox: NamespaceSandbox) -> None:
    source = """
import os
def f():
    for pid in range(2, 300):
        try: os.kill(pid, 0)
        except OSError: pass
"""
    assert len(run(sandbox, source).denials) == worker.MAX_DENIALS


def test_a_command_may_start_processes_that_end_with_it(sandbox: NamespaceSandbox) -> None:
    script = "sleep 60 & echo started; exit 3"
    program = Program(kind="command", argv=("/bin/sh", "-c", script))
    began = time.monotonic()
    result = sandbox.run(program, limits=Limits(wall_s=40.0, processes=8))
    assert (result.ended, result.exit_code, result.stdout) == ("done", 3, b"started\n")
    assert time.monotonic() - began < 30.0  # what it left behind sleeps for 60
    command_worker = psutil.Process(sandbox.worker(command=True).process.pid)
    assert not any("sleep" in process.name() for process in command_worker.children(recursive=True))


def test_a_command_that_is_killed_has_a_signal(sandbox: NamespaceSandbox) -> None:
    program = Program(kind="command", argv=("/bin/sh", "-c", "kill -TERM $$"))
    result = sandbox.run(program, limits=Limits(processes=4))
    assert (result.ended, result.signal, result.exit_code) == ("signal", signal.SIGTERM, None)


HOLD = "b = bytearray(70 << 20); import time; time.sleep(5)"


def test_the_processes_of_a_command_share_limits(sandbox: NamespaceSandbox) -> None:
    limits = Limits(wall_s=8.0, cpu_s=0.6, memory_mb=100, processes=8)
    spin = Program(kind="command", argv=("/bin/sh", "-c", "while :; do :; done & while :; do :; done"))
    result = sandbox.run(spin, limits=limits)
    assert (result.ended, result.message) == ("cpu", "more than 0.6 s of processor time")
    group = sandbox.worker(command=True).group
    if group is None:
        pytest.skip(f"no control group: {sandbox.worker(command=True).no_group}")
    python = os.path.realpath(sys.executable)
    script = f"for i in 1 2 3 4 5; do {python} -I -S -c '{HOLD}' & last=$!; done; wait $last; exit $?"
    held = sandbox.run(Program(kind="command", argv=("/bin/sh", "-c", script)), limits=limits)
    assert group.ended_for_memory() > 0, held
    assert sandbox.run(Program(kind="command", argv=("/bin/echo", "well")), limits=limits).stdout == b"well\n"


def test_a_control_group_is_removed_with_its_worker() -> None:
    with NamespaceSandbox() as sandbox:
        sandbox.run(Program(kind="command", argv=("/bin/true",)), limits=LIMITS)
        group = sandbox.worker(command=True).group
        if group is None:
            pytest.skip("no control group can be made here")
        assert all(folder.exists() for folder in group.folders.values())
    assert not any(folder.exists() for folder in group.folders.values())


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root becomes another user")
def test_it_works_without_privileges(tmp_path: Path) -> None:
    root = Path(namespaces.__file__).resolve().parents[2]
    become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    path = os.pathsep.join([str(root), *(entry for entry in sys.path if entry.endswith("site-packages"))])
    environment = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    version = ".".join(map(str, sys.version_info[:2]))
    check = "import karat, subprocess, sys\nsubprocess.check_call([sys.executable, '-c', ''])"
    for python in (os.path.realpath(sys.executable), f"/usr/bin/python{version}"):
        tried = subprocess.run(
            [*become, python, "-c", check], capture_output=True, env=environment, cwd="/", check=False
        )
        if tried.returncode == 0:
            break
    else:
        pytest.skip("no interpreter and sources that another user may read")
    source = (
        "from karat.sandbox.namespaces import NamespaceSandbox\nfrom karat.sandbox.types import *\n"
        "with NamespaceSandbox() as s:\n"
        '    source = \'import os\\ndef f():\\n    open("x", "w")\\n    os.kill(1, 9)\'\n'
        "    print(s.run(Program(source=source), [Call('f')], limits=Limits()))\n"
        "    print(s.run(Program(kind='command', argv=('/bin/echo', 'said')), limits=Limits()))\n"
    )
    done = subprocess.run([*become, python, "-c", source], capture_output=True, text=True, env=environment, cwd="/")
    assert "syscall='kill'" in done.stdout, done.stderr
    assert "path='x', change='added'" in done.stdout
    assert "stdout=b'said\\n'" in done.stdout


@pytest.mark.skipif(not shutil.which("unshare"), reason="unshare is not installed")
def test_where_namespaces_are_forbidden_it_says_what_to_do() -> None:
    forbid = ["unshare", "-U", "-r", "sh", "-c", 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"', "sh"]
    if subprocess.run([*forbid, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespace in which to forbid them")
    source = "from karat.sandbox import namespaces\nprint(namespaces.available())"
    done = subprocess.run([*forbid, sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("the sandbox's worker did not start: it cannot make namespaces ("), done
    assert "sysctl user.max_user_namespaces" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_one_worker_tells_whether_it_works_and_which_walls_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[bool] = []

    class Counted(worker.Worker):
        def __init__(self, *, command: bool, **options: Any) -> None:
            started.append(command)
            super().__init__(command=command, **options)

    monkeypatch.setattr(namespaces, "Worker", Counted)
    namespaces._tried.cache_clear()
    with NamespaceSandbox() as sandbox:
        assert not namespaces.available()
        assert all(wall.stands for wall in sandbox.walls() if wall.name in policy.WHAT_GETS_THROUGH)
    assert started == [False]


# ------------------------------------------------------------------------------------------------------ files and bait
def test_bait_that_lies_as_it_was_is_removed_unseen(sandbox: NamespaceSandbox) -> None:
    result = run(sandbox, "import os\ndef f(): return sorted(os.listdir('.'))", baits=BAITS)
    assert result.replies[0].value == ["expected.json", "tests"]
    assert result.files == ()
    assert not sandbox.worker(command=False).dirty  # removed by name, no new mount
    assert value(sandbox, "import os\ndef f(): return os.listdir('.')") == []


@pytest.mark.parametrize(
    ("act", "change"),
    [
        ("open('expected.json', 'w').write('[123456788]')", FileChange("expected.json", "added", 11, b"[123456788]")),
        ("os.remove('expected.json')", FileChange("expected.json", "removed")),
        ("os.link('expected.json', 'tests/second')", FileChange("expected.json", "link", 11)),
        ("open('tests/more', 'w').write('x')", FileChange("tests/more", "added", 1, b"x")),
        ("os.rename('tests', 'other'); os.symlink('other', 'tests')", FileChange("tests", "link", 5)),
        ("os.mkdir('empty'); os.remove('tests/test_hidden.py')", FileChange("tests/test_hidden.py", "removed")),
    ],
)
def test_changed_bait_is_reported(sandbox: NamespaceSandbox, act: str, change: FileChange) -> None:
    result = run(sandbox, f"import os\ndef f():\n    {act}", baits=BAITS)
    assert change in result.files, result.files
    assert value(sandbox, "import os\ndef f(): return os.listdir('.'), os.listdir('/tmp')") == ([], [])


def test_traces_that_are_no_files_are_removed_too(sandbox: NamespaceSandbox) -> None:
    leave = "import os\ndef f():\n    os.chmod('.', 0o750)\n    os.setxattr('/tmp', 'user.note', b'answer')"
    find = "import os\ndef f(): return oct(os.stat('.').st_mode)[-3:], os.listxattr('/tmp'), os.listxattr('.')"
    run(sandbox, leave)
    assert value(sandbox, find) == ("700", [], [])
    for act in ("os.chmod('.', 0o750)", "os.setxattr('.', 'user.note', b'answer')"):
        run(sandbox, f"import os\ndef f(): {act}", baits=BAITS)  # bait alone is removed by name
        assert value(sandbox, find) == ("700", [], [])


# -------------------------------------------------------------------------------------------------------------- source
@pytest.mark.parametrize(
    ("source", "ended"),
    [
        (b"\xef\xbb\xbfdef f(): return '\xc3\xa9'", "é"),
        (b"# coding: latin-1\ndef f(): return '\xe9'", "é"),
        ("def f(): return 'é'", "é"),
        (b"def f(): return '\xe9'", "load"),
        (b"def f():\x00 return 1", "load"),
        ("def f(): return '\ud800'", "load"),
        ("def f(): return 1\n" + "# " + "x" * 10_000_000, 1),
        ("def f(): return " + "(" * 300 + "1" + ")" * 300, "load"),
    ],
)
def test_sources_of_every_kind(sandbox: NamespaceSandbox, source: str | bytes, ended: object) -> None:
    result = run(sandbox, source)
    if ended == "load":
        assert result.ended in ("load", "memory"), result
        assert result.message
        assert result.anomalies == ()
    else:
        assert result.replies[0].value == ended, result


# ---------------------------------------------------------------------------------------------------------------- pool
def test_a_pool_keeps_the_order_and_serves_coroutines() -> None:
    source = "import time\ndef f(x):\n    time.sleep(0.03 * (x % 2))\n    return x"
    with SandboxPool("namespaces", 2) as pool:

        def ask(sandbox: object, x: int) -> object:
            return value(sandbox, source, x)  # type: ignore[arg-type]

        assert list(pool.map(ask, range(12))) == list(range(12))

        async def many() -> list[object]:
            runs = [pool.run_async(Program(source=source), [Call("f", (x,))], limits=LIMITS) for x in range(8)]
            return [result.replies[0].value for result in await asyncio.gather(*runs)]

        assert asyncio.run(many()) == list(range(8))
        with pytest.raises(ZeroDivisionError):
            list(pool.map(lambda sandbox, x: 1 // x, [1, 0, 1]))
        assert list(pool.map(ask, [5])) == [5]


def test_as_many_workers_as_processors_keep_to_one_each() -> None:
    usable = os.sched_getaffinity(0)

    def where(sandbox: Sandbox, _: int) -> tuple[int, frozenset[int], str]:
        source = "import os\ndef f():\n    return sorted(os.sched_getaffinity(0))\n"
        run = sandbox.run(Program(source=source), [Call("f")], limits=LIMITS)
        return id(sandbox), frozenset(os.sched_getaffinity(0)), str(run.replies[0].value)

    with SandboxPool("namespaces", len(usable)) as pool:
        seen = set(pool.map(where, range(4 * len(usable))))
        assert all(len(kept) == 1 and str(sorted(kept)) == inside for _, kept, inside in seen)
        by_sandbox = {sandbox: kept for sandbox, kept, _ in seen}
        assert len(seen) == len(by_sandbox) == len(set(by_sandbox.values()))
        assert pool.run(Program(source="def f(): return 1"), [Call("f")], limits=LIMITS).replies[0].value == 1
    assert os.sched_getaffinity(0) == usable
    with SandboxPool("namespaces", len(usable) + 1) as pool:
        assert {kept for _, kept, _ in pool.map(where, range(4))} == {frozenset(usable)}


def test_a_pool_without_workers_is_refused() -> None:
    with pytest.raises(InputError, match="workers: 0"):
        SandboxPool("namespaces", 0)
