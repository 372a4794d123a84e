"""The contract of every sandbox: what each kind of program, reply, end and limit looks like from outside.

Run against each back end that works on this machine. What stops an attacker is in tests/sandbox/test_escapes.py.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from karat.sandbox import MODULES, available, open_sandbox
from karat.sandbox.types import MOST, Call, Handle, Limits, Program, Reply, Run, Sandbox, Session

LIMITS = Limits(wall_s=5.0, cpu_s=4.0, memory_mb=512)
WORKING = [name for name in MODULES if not available(name)]


@pytest.fixture(scope="module", params=list(MODULES))
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    if request.param not in WORKING:
        pytest.skip(f"{request.param}: {available(request.param)}")
    opened = open_sandbox(request.param)
    yield opened
    opened.close()


def run(sandbox: Sandbox, source: str | bytes, *calls: Call, limits: Limits = LIMITS, **fields: object) -> Run:
    text = textwrap.dedent(source) if isinstance(source, str) else source
    return sandbox.run(Program(source=text, **fields), calls, limits=limits)  # type: ignore[arg-type]


def one(sandbox: Sandbox, source: str, *args: object, **fields: object) -> Reply:
    """The reply to one call of `f`."""
    return run(sandbox, source, Call("f", args), **fields).replies[0]  # type: ignore[arg-type]


def test_the_protocols_are_kept(sandbox: Sandbox) -> None:
    assert isinstance(sandbox, Sandbox)
    session = sandbox.open(Program(source="x = 1"), limits=LIMITS)
    assert isinstance(session, Session)
    assert session.close().ended == "done"


# --------------------------------------------------------------------------------------------------- kinds of program
def test_module_is_loaded_once_and_called(sandbox: Sandbox) -> None:
    source = "print('loaded')\nseen = []\ndef f(x):\n    seen.append(x)\n    return len(seen), x + 1"
    result = run(sandbox, source, Call("f", (1,)), Call("f", (2,)))
    assert [reply.value for reply in result.replies] == [(1, 2), (2, 3)]
    assert (result.ended, result.stdout, result.backend) == ("done", b"loaded\n", sandbox.name)
    assert result.exit_code == 0
    assert result.signal is None
    assert result.anomalies == ()


def test_script_reads_and_prints_bytes(sandbox: Sandbox) -> None:
    source = """
        import sys
        data = sys.stdin.buffer.read()
        sys.stdout.buffer.write(data[::-1])
        print("gone wrong", file=sys.stderr)
        assert __name__ == "__main__"
    """
    result = run(sandbox, source, kind="script", stdin=b"\xff\x00ab")
    assert (result.ended, result.stdout, result.stderr) == ("done", b"ba\x00\xff", b"gone wrong\n")
    assert [reply.status for reply in result.replies] == ["value"]


def test_exit_of_the_module_site_is_there(sandbox: Sandbox) -> None:
    """A missing name would be caught here, and the program would print on."""
    result = run(sandbox, "try:\n    print(1)\n    exit()\nexcept Exception:\n    print(2)", kind="script")
    assert (result.stdout, result.replies[0].type_name) == (b"1\n", "SystemExit")


def test_script_that_exits_says_so(sandbox: Sandbox) -> None:
    result = run(sandbox, "print('out')\nraise SystemExit(3)", kind="script")
    assert result.stdout == b"out\n"
    assert (result.replies[0].status, result.replies[0].type_name) == ("raised", "SystemExit")
    assert result.replies[0].message == "3"


def test_script_that_raises_names_its_line(sandbox: Sandbox) -> None:
    result = run(sandbox, "x = 1\n1 / 0", kind="script")
    assert (result.replies[0].status, result.replies[0].type_name, result.replies[0].line) == (
        "raised",
        "ZeroDivisionError",
        2,
    )


def test_command_runs_with_its_files(sandbox: Sandbox) -> None:
    program = Program(
        kind="command",
        argv=("/bin/sh", "-c", "read x; echo $x; cat data/in.txt; exit 7"),
        stdin=b"hello\n",
        files={"data/in.txt": b"there\n"},
    )
    result = sandbox.run(program, limits=Limits(wall_s=5.0, processes=4))
    assert (result.ended, result.exit_code, result.stdout) == ("done", 7, b"hello\nthere\n")


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_command_compiles_and_runs_what_it_made(sandbox: Sandbox) -> None:
    files = {"a.c": b'#include <stdio.h>\nint main(void) { puts("compiled"); return 3; }'}
    argv = ("/bin/sh", "-c", "gcc a.c -o a && ./a; echo $?")
    result = sandbox.run(Program(kind="command", argv=argv, files=files), limits=Limits(wall_s=20.0, processes=16))
    assert result.stdout == b"compiled\n3\n", result


def test_command_that_is_not_there_is_no_success(sandbox: Sandbox) -> None:
    result = sandbox.run(Program(kind="command", argv=("no-such-program",)), limits=LIMITS)
    assert result.exit_code != 0
    assert result.stdout == b""


def test_environment_and_arguments_are_the_programs_own(sandbox: Sandbox) -> None:
    os.environ["KARAT_TEST_SECRET"] = "secret"
    try:
        source = "import os, sys\ndef f():\n    return dict(os.environ), sys.argv, os.getcwd()"
        environment, argv, folder = one(sandbox, source, environment={"MODE": "fast"}).value
    finally:
        del os.environ["KARAT_TEST_SECRET"]
    assert environment["MODE"] == "fast"
    assert environment["PYTHONHASHSEED"] == "0"
    assert "KARAT_TEST_SECRET" not in environment
    assert len(argv) <= 1
    assert folder != os.getcwd()


# ----------------------------------------------------------------------------------------------------------- replies
def test_every_status_of_a_reply(sandbox: Sandbox) -> None:
    source = """
        class Box:
            def __init__(self, x): self.x = x
            def get(self): return self.x
        def value(): return [1, 2.5, "a", b"b", None, (True,), {"k": {3}}]
        def raises(): raise KeyError("missing")
        def box(): return Box(4)
        def count():
            yield from range(1000)
        def leave():
            import os
            os._exit(0)
    """
    calls = (
        Call("value"),
        Call("raises"),
        Call("box"),
        Call("box", keep=True),
        Call("get", handle=0),
        Call("count", materialise=3),
        Call("nothing_of_that_name"),
        Call("leave"),
    )
    value, raised, plain, handle, method, items, unknown, gone = run(sandbox, source, *calls).replies
    assert value.value == [1, 2.5, "a", b"b", None, (True,), {"k": {3}}]
    assert (raised.status, raised.type_name, raised.line) == ("raised", "KeyError", 6)
    assert (plain.status, plain.value) == ("not plain", None)
    assert (handle.status, handle.value.number) == ("handle", 0)
    assert isinstance(handle.value, Handle)
    assert (method.status, method.value) == ("value", 4)
    assert items.value == [0, 1, 2]
    assert (unknown.status, unknown.type_name) == ("raised", "NameError")
    assert (gone.status, gone.value) == ("missing", None)
    assert all(reply.wall_s >= 0 for reply in (value, raised, gone))


def test_a_handle_is_an_argument_of_a_later_call(sandbox: Sandbox) -> None:
    source = "class Box:\n    x = 4\ndef make(): return Box()\ndef read(box): return box.x"
    session = sandbox.open(Program(source=source), limits=LIMITS)
    handle = session.call(Call("make", keep=True)).value
    assert session.call(Call("read", (handle,))).value == 4
    assert session.close().ended == "done"


def test_a_subclass_with_its_own_equality_comes_back_as_its_base(sandbox: Sandbox) -> None:
    source = "class Always(int):\n    def __eq__(self, other): return True\ndef f(): return Always(3)"
    reply = one(sandbox, source)
    assert type(reply.value) is int
    assert reply.value == 3
    assert any("overrides __eq__" in note for note in reply.notes)


def test_a_program_that_asks_is_answered_from_outside(sandbox: Sandbox) -> None:
    asked = []

    def answer(call: Call) -> Reply:
        asked.append((call.target, call.args))
        return Reply(status="value", value=call.args[0] * 2)

    session = sandbox.open(
        Program(source="def f(x):\n    return double(x) + double(1)", asks=("double",)), limits=LIMITS
    )
    assert session.call(Call("f", (20,)), answer=answer).value == 42
    session.close()
    assert asked == [("double", (20,)), ("double", (1,))]


# --------------------------------------------------------------------------------------------------------- how it ends
@pytest.mark.parametrize(
    ("source", "ended", "part"),
    [
        ("def f(:", "load", "SyntaxError"),
        ("x = 1\nraise ValueError('no')", "load", "ValueError: no (line 2)"),
        ("import sys\nsys.exit(0)", "load", "SystemExit"),
        ("held = [bytearray(1 << 30) for _ in range(100)]", "memory", "MemoryError"),
        ("import os\nos._exit(0)", "exit", "status 0"),
        ("import ctypes\nctypes.string_at(0)", "signal", "SIGSEGV"),
        ("def f():\n    raise SystemExit(0)", "done", ""),
        ("def f():\n    import os\n    os._exit(0)", "exit", "status 0"),
        ("def f():\n    import ctypes\n    ctypes.string_at(0)", "signal", "SIGSEGV"),
    ],
)
def test_how_a_run_ended_and_why(sandbox: Sandbox, source: str, ended: str, part: str) -> None:
    result = run(sandbox, source, Call("f"))
    assert result.ended == ended, result
    assert part in result.message
    assert all(reply.status != "value" for reply in result.replies)
    assert (result.signal == signal.SIGSEGV) == (ended == "signal")
    if ended != "memory":  # which is ended by us, before or after its last words
        assert result.anomalies == (("no farewell",) if ended in ("exit", "signal") else ())


def test_a_signal_without_a_name_is_told_by_its_number(sandbox: Sandbox) -> None:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    program = Program(kind="command", argv=("bash", "-c", "kill -40 $$"))
    result = sandbox.run(program, limits=Limits(wall_s=5.0, processes=4))
    assert (result.ended, result.signal, result.message) == ("signal", 40, "killed by signal 40")


def test_a_program_that_does_not_load_tells_what_it_did_before(sandbox: Sandbox) -> None:
    result = run(sandbox, "import sys\nsys.settrace(None)\nraise ValueError('no')", Call("f"))
    assert (result.ended, result.anomalies) == ("load", ())
    assert "sys.settrace" in [event.name for event in result.events]


def test_two_replies_to_one_call_are_none(sandbox: Sandbox) -> None:
    source = """
        import os, struct
        def f():
            reply = b'{"reply":{"status":"value","value":7}}'
            os.write(4, (struct.pack("!I", len(reply)) + reply) * 2)
            os._exit(0)
    """
    result = run(sandbox, source, Call("f"))
    assert (result.replies[0].status, result.replies[0].message) == ("missing", "more than one reply to one call")
    assert "extra reply" in result.anomalies


def test_a_reply_to_no_call_answers_none(sandbox: Sandbox) -> None:
    source = """
        import os, struct, threading
        reply = b'{"reply":{"status":"value","value":7}}'
        def f(forge):
            if forge:
                threading.Timer(0.05, os.write, (4, struct.pack("!I", len(reply)) + reply)).start()
            return 1
    """
    session = sandbox.open(Program(source=textwrap.dedent(source)), limits=LIMITS)
    assert session.call(Call("f", (True,))).value == 1
    time.sleep(1.0)
    assert session.call(Call("f", (False,))).value == 1
    assert "reply to no call" in session.close().anomalies


def test_a_dead_program_answers_missing_and_closes_twice(sandbox: Sandbox) -> None:
    session = sandbox.open(Program(source="def f():\n    import os\n    os._exit(1)"), limits=LIMITS)
    assert session.call(Call("f")).status == "missing"
    later = session.call(Call("f"))
    assert (later.status, "ended" in later.message) == ("missing", True)
    first = session.close()
    assert first == session.close()
    assert session.call(Call("f")).status == "missing"


def test_the_largest_limits_are_counted(sandbox: Sandbox) -> None:
    limits = Limits(wall_s=MOST, cpu_s=MOST, memory_mb=int(MOST))
    assert run(sandbox, "def f(): return 1", Call("f"), limits=limits).replies[0].value == 1


def test_the_clock_ends_a_sleeper_once(sandbox: Sandbox) -> None:
    source = "import time\ndef f():\n    time.sleep(60)"
    result = run(sandbox, source, *[Call("f")] * 5, limits=Limits(wall_s=0.4))
    assert (result.ended, len(result.replies), result.replies[0].status) == ("wall", 1, "missing")


def test_processor_time_ends_a_loop(sandbox: Sandbox) -> None:
    result = run(sandbox, "def f():\n    while True: pass", Call("f"), limits=Limits(wall_s=8.0, cpu_s=0.3))
    assert result.ended == "cpu"
    assert 0.2 <= result.cpu_s < 1.5
    assert result.replies[0].status == "missing"


def test_memory_is_limited(sandbox: Sandbox) -> None:
    source = "def f():\n    return len(bytearray(4 << 30))"
    result = run(sandbox, source, Call("f"), limits=Limits(wall_s=5.0, memory_mb=256))
    assert result.replies[0].status in ("raised", "missing")
    assert result.replies[0].type_name in ("MemoryError", "")


def test_printing_without_end_ends_the_run(sandbox: Sandbox) -> None:
    source = "import os\ndef f():\n    while True: os.write(1, b'x' * 65536)"
    result = run(sandbox, source, Call("f"), limits=Limits(wall_s=8.0, output_kb=16))
    assert (result.ended, len(result.stdout), result.output_cut) == ("output", 16 << 10, True)


def test_output_beyond_what_is_kept_is_cut_and_said(sandbox: Sandbox) -> None:
    source = "def f():\n    print('x' * 20_000)\n    return 1"
    result = run(sandbox, source, Call("f"), limits=Limits(output_kb=16))
    assert (result.ended, result.replies[0].value, len(result.stdout), result.output_cut) == ("done", 1, 16 << 10, True)


def test_a_reply_too_large_is_missing(sandbox: Sandbox) -> None:
    result = run(sandbox, "def f():\n    return 'x' * 3_000_000", Call("f"), limits=Limits(reply_kb=1024))
    assert (result.ended, result.replies[0].status) == ("output", "missing")


# -------------------------------------------------------------------------------------------------------- large things
def test_ten_megabytes_of_standard_input_without_deadlock(sandbox: Sandbox) -> None:
    size = 10 << 20
    source = "import sys\nprint(len(sys.stdin.read()))"
    assert run(sandbox, source, kind="script", stdin=b"x" * size).stdout == f"{size}\n".encode()
    unread = run(sandbox, "print('did not read')", kind="script", stdin=b"x" * size)
    assert (unread.ended, unread.stdout) == ("done", b"did not read\n")


def test_ten_megabytes_of_source(sandbox: Sandbox) -> None:
    source = "def f(): return 5\n#" + "x" * (10 << 20)
    assert one(sandbox, source).value == 5


def test_large_arguments_and_results_with_output_meanwhile(sandbox: Sandbox) -> None:
    source = "def f(x):\n    print('y' * 200_000)\n    return x"
    numbers = list(range(100_000))
    assert one(sandbox, source, numbers).value == numbers


@pytest.mark.parametrize("source", [b"x = '\xff'", b"\x00", b"# -*- coding: no-such -*-\nx = 1"])
def test_source_that_is_no_text_does_not_load(sandbox: Sandbox, source: bytes) -> None:
    result = run(sandbox, source, Call("f"))
    assert result.ended == "load"
    assert "Error" in result.message


def test_source_in_a_declared_encoding_loads(sandbox: Sandbox) -> None:
    source = "# -*- coding: latin-1 -*-\ndef f(): return 'é'".encode("latin-1")
    assert run(sandbox, source, Call("f")).replies[0].value == "é"


def test_recursion_without_end_raises(sandbox: Sandbox) -> None:
    assert one(sandbox, "def f(): return f()").type_name == "RecursionError"


def test_threads_within_the_limit(sandbox: Sandbox) -> None:
    source = """
        import threading
        def f():
            found = []
            threads = [threading.Thread(target=found.append, args=(n,)) for n in range(3)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            return sorted(found)
    """
    assert one(sandbox, source, limits=Limits(wall_s=5.0, processes=8)).value == [0, 1, 2]


# --------------------------------------------------------------------------------------------------------------- files
def test_files_are_given_and_changes_come_back(sandbox: Sandbox) -> None:
    source = """
        import os
        def f():
            open("added.txt", "w").write("new")
            open("dir/changed.txt", "a").write("+")
            os.remove("removed.txt")
            os.symlink("/etc/passwd", "way-out")
            return open("dir/kept.txt").read()
    """
    files = {"dir/kept.txt": b"kept", "dir/changed.txt": b"old", "removed.txt": b"x"}
    result = run(sandbox, source, Call("f"), files=files, keep_files=True)
    assert result.replies[0].value == "kept", result
    assert {(entry.path, entry.change, entry.content) for entry in result.files} == {
        ("added.txt", "added", b"new"),
        ("dir/changed.txt", "changed", b"old+"),
        ("removed.txt", "removed", b""),
        ("way-out", "link", b""),
    }


def test_content_of_changed_files_comes_only_when_asked_for(sandbox: Sandbox) -> None:
    result = run(sandbox, "open('a', 'w').write('abc')")
    assert [(entry.path, entry.change, entry.size, entry.content) for entry in result.files] == [("a", "added", 3, b"")]


def test_nothing_of_one_run_is_there_in_the_next(sandbox: Sandbox) -> None:
    run(sandbox, "open('left', 'w').write('x')\nimport tempfile\nopen(tempfile.gettempdir() + '/left', 'w').write('x')")
    source = (
        "import os, tempfile\ndef f(): return os.path.exists('left'), os.path.exists(tempfile.gettempdir() + '/left')"
    )
    assert one(sandbox, source).value == (False, False)


# -------------------------------------------------------------------------------------------------- nothing left behind
def descendants() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


def test_nothing_is_left_of_a_run(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run(sandbox, "x = 1")  # what a sandbox starts once and keeps is there now
    run(sandbox, "", kind="command", argv=("/bin/true",))
    before = len(descendants()), len(os.listdir("/proc/self/fd"))
    for source in ("x = 1", "import os\nos._exit(1)", "while True: pass", "import os\nos.kill(os.getpid(), 9)"):
        run(sandbox, source, limits=Limits(wall_s=0.3))
    run(
        sandbox,
        "",
        kind="command",
        argv=("/bin/sh", "-c", "sleep 60 & sleep 60"),
        limits=Limits(wall_s=0.3, processes=4),
    )
    assert len(descendants()) <= before[0]
    assert len(os.listdir("/proc/self/fd")) <= before[1]
    assert os.listdir(tmp_path) == []
    assert not [p for p in psutil.Process().children(recursive=True) if p.status() == psutil.STATUS_ZOMBIE]


def fds_and_memory() -> tuple[int, int]:
    """Of this process and of those below it that let us look (a worker does not, except root)."""
    fds = memory = 0
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            memory += process.memory_info().rss
            fds += process.num_fds()
    return fds, memory


def test_many_runs_do_not_grow(sandbox: Sandbox) -> None:
    runs = 200 if sandbox.name == "namespaces" else 10
    calls = [Call("f", (1,))]
    program = Program(source="def f(x): return x")
    for _ in range(3):
        sandbox.run(program, calls, limits=LIMITS)
    before = fds_and_memory()
    for _ in range(runs):
        assert sandbox.run(program, calls, limits=LIMITS).replies[0].value == 1
    after = fds_and_memory()
    assert after[0] <= before[0]
    assert after[1] < before[1] + (4 << 20)


PARENT = """
import sys, threading
from karat.sandbox import open_sandbox
from karat.sandbox.types import Call, Limits, Program
sandbox = open_sandbox(sys.argv[1])
source = "import time\\ndef f():\\n    print('KARAT-' + 'ORPHAN', flush=True)\\n    time.sleep(60)"
session = sandbox.open(Program(source=source), limits=Limits(wall_s=60.0))
print("started", flush=True)
session.call(Call("f"))
"""


@pytest.mark.parametrize("backend", WORKING)
def test_a_grader_that_is_killed_leaves_nothing(backend: str, tmp_path: Path) -> None:
    source = str(Path(__file__).resolve().parents[2] / "src")
    environment = {**os.environ, "PYTHONPATH": source, "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", PARENT, backend], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"started\n"
    family = psutil.Process(parent.pid).children(recursive=True)
    assert family
    parent.kill()
    parent.wait()
    parent.stdout.close()
    _, alive = psutil.wait_procs(family, timeout=3.0)
    assert not [p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert os.listdir(tmp_path) == []
