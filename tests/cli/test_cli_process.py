"""The command as a process of its own: streams, pipes, signals, and what it loads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

FAKE = str(Path(__file__).with_name("fake_verbs.py"))
REAL = ["-m", "karat"]


def karat(
    *arguments: str, mode: str = "ok", fake: bool = True, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    start = [FAKE] if fake else REAL
    return subprocess.run(
        [sys.executable, *start, *arguments],
        capture_output=True,
        check=False,
        env={**os.environ, "FAKE_MODE": mode, **environment},
        timeout=60,
    )


def test_stray_output_never_reaches_the_document(tmp_path: Path) -> None:
    done = karat("check", "--json", "--quiet", "--out", str(tmp_path), mode="noise")
    assert done.returncode == 0
    assert json.loads(done.stdout)["verdict"] == "ok"
    for stray in (b"stray print", b"native print", b"child print"):
        assert stray in done.stderr
        assert stray not in done.stdout
    assert b"a library warns" not in done.stderr
    assert b"a library warns" in karat("check", "--debug", "--out", str(tmp_path), mode="noise").stderr


def test_off_a_terminal_there_is_no_escape_sequence(tmp_path: Path) -> None:
    done = karat("check", "--out", str(tmp_path), mode="problem")
    assert done.returncode == 1
    assert done.stdout.startswith(b"problem: ")
    assert b"\x1b" not in done.stdout + done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colour_on_a_terminal_unless_no_color(no_color: str, coloured: bool, tmp_path: Path) -> None:
    import pty

    parent, child = pty.openpty()
    environment = {**os.environ, "FAKE_MODE": "problem", "NO_COLOR": no_color, "TERM": "xterm"}
    command = [sys.executable, FAKE, "check", "--quiet", "--out", str(tmp_path)]
    done = subprocess.run(command, stdout=child, stderr=subprocess.DEVNULL, env=environment, check=False, timeout=60)
    os.close(child)
    text = os.read(parent, 65536)
    os.close(parent)
    assert done.returncode == 1
    assert (b"\x1b[31mproblem\x1b[0m" in text) == coloured
    assert (b"\x1b" in text) == coloured


def test_a_terminal_without_utf8_shows_escapes(tmp_path: Path) -> None:
    long_name = str(tmp_path / "ünïcode")
    done = karat("check", "--out", long_name, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0
    assert rb"\xfcn\xefcode" in done.stdout


def test_a_reader_that_goes_away_is_no_problem_found(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    for arguments in (["check", "--quiet", "--out", str(tmp_path)], ["train", "--help"]):
        environment = {**os.environ, "FAKE_MODE": "ok"}
        command = [sys.executable, FAKE, *arguments]
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, env=environment, check=False, timeout=60)
        assert done.returncode == 141
        assert done.stderr == b""
    os.close(write)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_interrupt(tmp_path: Path) -> None:
    command = [sys.executable, FAKE, "check", "--quiet", "--json", "--out", str(tmp_path)]
    environment = {**os.environ, "FAKE_MODE": "sleep"}

    def listen() -> None:  # a test run that was started in the background inherits an ignored SIGINT
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, env=environment, preexec_fn=listen) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"interrupted; what is written is kept\n")


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")
def test_a_closed_standard_error_changes_nothing_else(tmp_path: Path) -> None:
    for mode, status in (("noise", 0), ("bug", 2)):
        line = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, FAKE, "check", "--json", "--out", str(tmp_path)]
        done = subprocess.run(
            line, stdout=subprocess.PIPE, env={**os.environ, "FAKE_MODE": mode}, check=False, timeout=60
        )
        assert done.returncode == status
        assert (json.loads(done.stdout)["verdict"] if status == 0 else done.stdout) == ("ok" if status == 0 else b"")


def test_errors_leave_standard_output_empty(tmp_path: Path) -> None:
    for mode in ("data error", "bug", "full disk", "no file"):
        done = karat("check", "--json", "--quiet", "--out", str(tmp_path), mode=mode)
        assert (done.returncode, done.stdout) == (2, b"")
        assert 1 <= len(done.stderr.splitlines()) <= 3
        assert b"Traceback" not in done.stderr


def test_help_and_version_load_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from karat.cli.main import app\n"
        "for line in (['--help'], ['train', '--help'], ['check', '--help'], ['score', '--help'], ['--version']):\n"
        "    assert CliRunner().invoke(app, line).exit_code == 0\n"
        "print(sorted({'torch', 'transformers', 'datasets', 'matplotlib', 'scipy', 'jinja2', 'pyarrow', 'numpy'}"
        " & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_python_dash_m_is_the_command() -> None:
    done = karat("--help", fake=False)
    assert done.returncode == 0
    assert b"Usage: karat [OPTIONS] COMMAND" in done.stdout
