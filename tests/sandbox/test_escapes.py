"""Hostile programs against every back end: the machine unharmed, no value for them, the next program unaffected.

What each back end must stop follows from the walls that it says stand: a wall that is named and does not hold fails
here.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from karat.sandbox import MODULES, available, open_sandbox, policy
from karat.sandbox.types import Call, Limits, Program, Run, Sandbox
from sandbox import hostile

BACKENDS = [name for name in MODULES if not available(name)]
TIGHT = Limits(wall_s=0.4, cpu_s=0.25, memory_mb=128, files_mb=4, output_kb=16, reply_kb=64)
ROOM = Limits(wall_s=8.0, cpu_s=6.0, memory_mb=256, files_mb=4)
HONEST = Program(source="def f(x):\n    return x * 2")
BOUNDED = {"fills its folder": (4, policy.PRIVATE_FILES), "fills it with names": (20_000, policy.MEMORY)}
"""Programs that tell how much they got, how much they may get, and the wall that sees to it."""
ONLY_WITH_PROCESSES_OF_ITS_OWN = ("signals everything", "multiplies")
"""Commands that would harm whoever runs them as root without a pid namespace."""


@dataclass
class Host:
    """What a program must not touch, and the means to see that it did not."""

    folder: Path
    token: str = field(default_factory=lambda: secrets.token_hex(16))

    def __enter__(self) -> Host:
        os.environ["KARAT_TEST_SECRET"] = self.token
        self.secret = self.folder / "secret.txt"
        self.secret.write_text(self.token)
        self.victim = subprocess.Popen(["sleep", "600"])
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.udp.setblocking(False)
        self.abstract = f"karat-{self.token}"
        self.names = [socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)]
        self.names[0].bind(str(self.folder / "socket"))
        self.names[1].bind("\0" + self.abstract)
        for server in self.names:
            server.listen()
        for name in (str(self.folder / "datagrams"), f"\0{self.abstract}-datagrams"):
            self.names.append(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            self.names[-1].bind(name)
            self.names[-1].setblocking(False)
        os.chmod(self.folder, 0o755)
        for name in ("socket", "datagrams"):
            os.chmod(self.folder / name, 0o777)
        self.memory = ctypes.create_string_buffer(self.token.encode())
        return self

    def __exit__(self, *_: object) -> None:
        os.environ.pop("KARAT_TEST_SECRET", None)
        self.victim.kill()
        self.victim.wait()
        for end in (self.tcp, self.udp, *self.names):
            end.close()

    def target(self) -> dict[str, Any]:
        return {
            "secret": str(self.secret),
            "token": self.token,
            "home": os.path.expanduser("~"),
            "grader": os.getpid(),
            "victim": self.victim.pid,
            "address": ctypes.addressof(self.memory),
            "port": self.tcp.getsockname()[1],
            "udp": self.udp.getsockname()[1],
            "unix": str(self.folder / "socket"),
            "datagrams": str(self.folder / "datagrams"),
            "abstract": self.abstract,
            "memory_mb": ROOM.memory_mb,
        }

    def check(self) -> None:
        """Everything is as it was."""
        assert self.secret.read_text() == self.token
        assert sorted(os.listdir(self.folder)) == ["datagrams", "secret.txt", "socket"]
        assert self.victim.poll() is None
        process = psutil.Process(self.victim.pid)
        assert process.status() in (psutil.STATUS_SLEEPING, psutil.STATUS_RUNNING, psutil.STATUS_DISK_SLEEP)
        assert process.nice() == psutil.Process().nice()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with Host(tmp_path_factory.mktemp("host")) as host:
        yield host


@dataclass
class Attacked:
    """A back end, the walls that it says stand, and what the attempts got in one run."""

    sandbox: Sandbox
    walls: set[str]
    run: Run

    @property
    def got(self) -> dict[str, str]:
        value: dict[str, str] = self.run.replies[0].value
        return value


@pytest.fixture(scope="module", params=BACKENDS)
def attacked(request: pytest.FixtureRequest, host: Host) -> Iterator[Attacked]:
    with open_sandbox(request.param) as sandbox:
        walls = {wall.name for wall in sandbox.walls() if wall.stands}
        call = Call("attempt", (host.target(), []))
        run = sandbox.run(Program(source=hostile.ATTEMPTS), [call], limits=ROOM)
        yield Attacked(sandbox, walls, run)


def honest(sandbox: Sandbox) -> None:
    number = secrets.randbelow(10**9)
    run = sandbox.run(HONEST, [Call("f", (number,))], limits=ROOM)
    assert [reply.value for reply in run.replies] == [2 * number], run
    assert run.anomalies == ()


# ----------------------------------------------------------------------------------------------------------- attempts
NEEDS_MEMORY = ("memory_beside_the_limit",)


def test_the_attempts_ran_to_their_end(attacked: Attacked, host: Host) -> None:
    assert attacked.run.ended == "done", attacked.run
    assert len(attacked.got) > 80
    host.check()
    honest(attacked.sandbox)


def names() -> list[str]:
    found: dict[str, Any] = {}
    exec(compile(hostile.ATTEMPTS, "attempts", "exec"), found)
    return list(found["NAMES"])


@pytest.mark.parametrize("name", names())
def test_an_attempt_gets_nothing(attacked: Attacked, name: str) -> None:
    if name in NEEDS_MEMORY and policy.MEMORY not in attacked.walls:
        pytest.skip(f"{attacked.sandbox.name} says that its wall 'memory' does not stand")
    assert attacked.got[name] == ""


def test_the_kernel_recorded_what_it_refused(attacked: Attacked) -> None:
    if policy.KERNEL_RECORD not in attacked.walls:
        assert attacked.run.denials == ()
        return
    recorded = {denial.syscall for denial in attacked.run.denials}
    expected = {"kill", "ptrace", "mount", "unshare", "bpf", "keyctl", "socket", "process_vm_readv", "shmget"}
    assert expected <= recorded
    assert all(denial.count >= 1 for denial in attacked.run.denials)


def test_nothing_came_over_the_network(attacked: Attacked, host: Host) -> None:
    host.tcp.settimeout(0.0)
    with pytest.raises(BlockingIOError):
        host.tcp.accept()
    for end in (host.udp, *host.names[2:]):
        with pytest.raises(BlockingIOError):
            end.recv(10)


# -------------------------------------------------------------------------------------------------------------- bombs
FEW = (
    *("fork bomb", "memory bomb", "fills its folder", "prints on both without end", "swallows every signal", "crashes"),
    *("executes another interpreter", "closes everything and stays", "half a frame", "a frame of 4 GB with bytes"),
    *("thousands of replies", "floods the evidence", "races links in its folder", "leaves traps in its folder"),
    "digs deep",
)
"""For the back ends that start an interpreter each time; benchmarks/grade_hostile.py runs all of them on all."""
BOMBS = {name: tuple(hostile.BOMBS) if name == "namespaces" else FEW for name in BACKENDS}


@dataclass
class Bombed:
    run: Run
    wall_s: float
    afterwards: Run


def bomb(name: str, sandbox: Sandbox, secret: str) -> Bombed:
    """One bomb, and an honest program in the same sandbox after it."""
    source = hostile.BOMBS[name]
    arguments = (secret,) if "def f(secret)" in source else ()
    began = time.monotonic()
    run = sandbox.run(Program(source=source, keep_files=True), [Call("f", arguments)] * 2, limits=TIGHT)
    wall_s = time.monotonic() - began
    return Bombed(run, wall_s, sandbox.run(HONEST, [Call("f", (21,))], limits=ROOM))


@pytest.fixture(scope="module")
def bombed(attacked: Attacked, host: Host) -> dict[str, Bombed]:
    """Four at a time: many only sleep until their time is over."""
    before = psutil.Process().num_fds()
    names = [name for name in BOMBS[attacked.sandbox.name] if not (name == "fork bomb" and attacked.got["fork"])]
    own, opened = threading.local(), []

    def task(name: str) -> Bombed:
        if not hasattr(own, "sandbox"):
            own.sandbox = open_sandbox(attacked.sandbox.name)
            opened.append(own.sandbox)
        return bomb(name, own.sandbox, str(host.secret))

    with ThreadPoolExecutor(4) as pool:
        found = dict(zip(names, pool.map(task, names), strict=True))
    for sandbox in opened:
        sandbox.close()
    assert psutil.Process().num_fds() <= before
    return found


@pytest.mark.parametrize("name", hostile.BOMBS)
def test_a_bomb_ends_and_the_next_program_is_well(
    attacked: Attacked, bombed: dict[str, Bombed], host: Host, name: str
) -> None:
    if name not in bombed:
        pytest.skip("run by benchmarks/grade_hostile.py on this back end")
    run = bombed[name].run
    assert bombed[name].wall_s < 5.0
    assert run.ended != "fault", run
    assert host.token not in repr(run)
    assert max(len(run.stdout), len(run.stderr)) <= TIGHT.output_kb << 10
    wall = BOUNDED.get(name, (0, ""))[1]
    if wall in attacked.walls and run.replies and run.replies[0].status == "value":
        assert run.replies[0].value <= BOUNDED[name][0]
    after = bombed[name].afterwards
    assert [reply.value for reply in after.replies] == [42], after
    assert after.anomalies == ()
    host.check()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="these calls are of x86-64")
@pytest.mark.parametrize("name", ["calls as a program of 32 bits", "calls by x32 numbers"])
def test_calls_that_the_filter_cannot_read_end_the_program(attacked: Attacked, name: str) -> None:
    run = attacked.sandbox.run(Program(source=hostile.BOMBS[name]), [Call("f")], limits=ROOM)
    assert (run.ended, run.replies[0].status) == ("signal", "missing"), run


def test_a_reply_before_the_call_is_dropped_and_remarked(attacked: Attacked) -> None:
    run = attacked.sandbox.run(
        Program(source=hostile.BOMBS["a reply before the call"]), [Call("f"), Call("f")], limits=TIGHT
    )
    assert any("reply" in anomaly for anomaly in run.anomalies)


def test_forged_evidence_is_remarked(attacked: Attacked) -> None:
    for name, remark in (
        ("floods the evidence", "evidence flooded"),
        ("garbles the evidence", "evidence: no frame of the protocol"),
        ("lies in the evidence", "evidence garbled"),
    ):
        run = attacked.sandbox.run(Program(source=hostile.BOMBS[name]), [Call("f")], limits=TIGHT)
        assert remark in run.anomalies, (name, run.anomalies)


def test_files_come_back_without_what_links_lead_to(attacked: Attacked, host: Host) -> None:
    program = Program(source=hostile.BOMBS["leaves traps in its folder"], keep_files=True)
    run = attacked.sandbox.run(program, [Call("f", (str(host.secret),))], limits=ROOM)
    assert run.replies[0].value == "left", run
    found = {entry.path: entry for entry in run.files}
    assert {"link", "root", "pipe", "loop"} <= {path for path, entry in found.items() if entry.change == "link"}
    assert not [entry for entry in run.files if host.token.encode() in entry.content]
    assert "closed/in" in found


# ----------------------------------------------------------------------------------------------- commands and read-only
@pytest.mark.parametrize("name", hostile.COMMAND_BOMBS)
def test_a_command_leaves_nothing(attacked: Attacked, host: Host, name: str) -> None:
    sandbox = attacked.sandbox
    if name in ONLY_WITH_PROCESSES_OF_ITS_OWN and sandbox.name == "subprocess":
        pytest.skip("needs a pid namespace")
    seconds = str(100_000 + os.getpid())  # by which its processes are known
    argv = tuple(word.replace("300", seconds) for word in hostile.COMMAND_BOMBS[name])
    program = Program(kind="command", argv=argv)
    run = sandbox.run(program, limits=Limits(wall_s=0.5, cpu_s=0.4, processes=16))
    assert run.ended in ("done", "wall", "cpu", "signal"), run
    honest(sandbox)
    host.check()
    assert not [process for process in psutil.process_iter(["cmdline"]) if seconds in (process.info["cmdline"] or ())]


def test_a_command_reaches_nothing_of_the_host(attacked: Attacked, host: Host) -> None:
    folder, mode = host.folder, host.secret.stat().st_mode
    script = f"cat {host.secret}; ls {folder}; echo x > {folder}/new; kill -TERM {host.victim.pid}; yes | head -1"
    if attacked.sandbox.name != "subprocess" or "host file modes" in attacked.walls:
        script += f"; chmod 777 {host.secret}"
    program = Program(kind="command", argv=("/bin/sh", "-c", script))
    run = attacked.sandbox.run(program, limits=Limits(wall_s=5.0, processes=8))
    assert (run.ended, run.stdout) == ("done", b"y\n"), run
    assert host.secret.stat().st_mode == mode
    host.check()


PYTHON = "/usr/bin/python3"
SPEAK = """
import socket, sys
stream, datagrams, abstract = sys.argv[1:]
for kind, name in (1, stream), (2, datagrams), (1, "\\0" + abstract), (2, "\\0" + abstract + "-datagrams"):
    for make in (lambda: socket.socket(1, kind), lambda: socket.socketpair(1, kind)[0]):
        try: make().sendto(b"x", name)
        except OSError: pass
        try: make().connect(name)
        except OSError: pass
print("done")
"""


@pytest.mark.skipif(not os.path.exists(PYTHON), reason=f"there is no {PYTHON}")
def test_a_command_speaks_to_no_socket_of_the_host(attacked: Attacked, host: Host) -> None:
    target = host.target()
    argv = (PYTHON, "-I", "-S", "-c", SPEAK, target["unix"], target["datagrams"], target["abstract"])
    run = attacked.sandbox.run(Program(kind="command", argv=argv), limits=Limits(wall_s=5.0, processes=8))
    assert run.stdout == b"done\n", run
    for server in host.names[:2]:
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    for end in host.names[2:]:
        with pytest.raises(BlockingIOError):
            end.recv(10)


def test_read_only_files_stay_as_they_are(attacked: Attacked) -> None:
    source = """
import os, shutil
def f():
    def change():
        open("tests/t.py", "w").write("pass")
    def remove(): os.remove("tests/t.py")
    def rename(): os.rename("tests/t.py", "gone.py")
    def replace():
        open("mine.py", "w").write("pass")
        os.replace("mine.py", "tests/t.py")
    def move():
        os.rename("tests", "elsewhere")
        os.mkdir("tests")
        open("tests/t.py", "w").write("pass")
    def allow():
        os.chmod("tests/t.py", 0o644)
        open("tests/t.py", "w").write("pass")
    for act in (change, remove, rename, replace, move, allow):
        try: act()
        except OSError: pass
    return open("tests/t.py").read()
"""
    files = {"tests/t.py": b"assert False", "tests/data/x": b"y"}
    program = Program(source=source, files=files, read_only=("tests/t.py",))
    run = attacked.sandbox.run(program, [Call("f")], limits=ROOM)
    if attacked.sandbox.name == "subprocess":  # its folder is the program's own: what was done is seen
        assert run.replies[0].value == "pass"
        assert any(entry.path == "tests/t.py" and entry.change == "changed" for entry in run.files)
    else:
        assert run.replies[0].value == "assert False"


def test_what_one_program_leaves_the_next_does_not_find(attacked: Attacked) -> None:
    leave = """
import os
def f():
    left = []
    for place in (".", "/tmp", "/dev/shm", "/var/tmp", "/run", "/", os.path.expanduser("~")):
        try:
            open(os.path.join(place, "karat-left-behind"), "w").write("x")
            left.append(place)
        except OSError: pass
    os.umask(0)
    return left
"""
    find = """
import os
def f():
    places = (".", "/tmp", "/dev/shm", "/var/tmp", "/run", "/", os.path.expanduser("~"))
    return [place for place in places if os.path.exists(os.path.join(place, "karat-left-behind"))], os.umask(0o22)
"""
    assert attacked.sandbox.run(Program(source=leave), [Call("f")], limits=ROOM).replies[0].status == "value"
    value = attacked.sandbox.run(Program(source=find), [Call("f")], limits=ROOM).replies[0].value
    assert value == ([], 0o22)


def test_a_supervisor_that_is_killed_is_no_success(attacked: Attacked) -> None:
    if attacked.sandbox.name == "namespaces":
        pytest.skip("it has none: its fork server is tested in test_namespaces.py")
    session = attacked.sandbox.open(Program(source="def f(): return 1"), limits=ROOM)
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # gone, or of another test
            if "supervisor" in " ".join(process.cmdline()):
                process.kill()
    reply = session.call(Call("f"))
    run = session.close()
    assert reply.status in ("missing", "value")
    assert run.ended in ("exit", "signal", "done")
    assert "supervisor lost" in run.anomalies or run.ended == "done"
    honest(attacked.sandbox)


HARMLESS = (
    *(
        "read_secret_file",
        "list_secret_folder",
        "hard_link_to_the_secret",
        "open_memory_of_the_grader",
        "fork",
        "spawn",
    ),
    *("read_command_line_of_the_grader", "walk_other_processes", "signal_the_grader", "limits_of_the_victim"),
    *("limit_the_victim", "schedule_the_victim", "bind_the_victim_to_a_core", "memory_beside_the_limit"),
    *("connect_tcp", "send_udp", "connect_unix", "connect_abstract", "send_to_a_unix_socket"),
    *("send_to_an_abstract_socket", "listen_tcp", "ask_netlink", "environment_of_the_grader"),
)


def test_the_attempts_get_what_they_are_after_where_there_is_no_wall(tmp_path: Path) -> None:
    """Run by this interpreter, as the grader's user: what fails here would prove nothing above."""
    (tmp_path / "host").mkdir()
    with Host(tmp_path / "host") as host:
        source = f"{hostile.ATTEMPTS}\nprint(attempt({host.target()!r}, {HARMLESS!r}))"
        done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True, cwd=tmp_path)
    got = eval(done.stdout)
    assert [name for name, what in got.items() if not what] == []
