"""The container back end without an engine: the command it would run, what it says, and the streams over one pipe.

The engine is a script that runs the container's command on this machine, so the bridge, the supervisor and the framing
are real; what an engine isolates is not tested here.
"""

from __future__ import annotations

import os
import sys
import textwrap
from pathlib import Path

import pytest

from karat.errors import InputError
from karat.sandbox import container, open_sandbox, process, transport
from karat.sandbox.types import Call, Limits, Program, Reply

ENGINE = """
    #!{python}
    import json, os, sys, tempfile
    words = sys.argv[1:]
    if words[:2] == ["image", "inspect"]:
        print("sha256:0")
        sys.exit(0)
    if words[0] == "kill":
        sys.exit(0)
    at = words.index("--entrypoint")
    command = [sys.executable, *words[at + 3:]]
    folder = tempfile.mkdtemp(dir={folder!r})
    settings = json.loads(command[-2])
    settings["folder"] = folder
    mount = next(word for word in words if word.startswith("type=bind") and "inside" in word)
    package = mount.split("source=")[1].split(",")[0].removesuffix("/sandbox/inside")
    os.execv(command[0], [*command[:-2], json.dumps(settings), package])
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "bin" / "docker"
    place.parent.mkdir()
    (tmp_path / "work").mkdir()
    place.write_text(textwrap.dedent(ENGINE.format(python=sys.executable, folder=str(tmp_path / "work"))).lstrip())
    place.chmod(0o755)
    monkeypatch.setenv("PATH", str(place.parent))
    return place


def test_without_an_engine_it_says_which_ones_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"no container engine is installed \(docker or podman\).*--doctor"):
        open_sandbox("container")


def test_an_engine_without_the_image_says_how_to_build_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "podman"
    place.write_text("#!/bin/sh\necho 'Error: karat-sandbox: image not known' >&2\nexit 125\n")
    place.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin" if not os.path.exists("/usr/bin/docker") else str(tmp_path))
    monkeypatch.setattr(container, "ENGINES", ("podman",))
    assert container.available() == (
        "podman has no image 'karat-sandbox'; run: podman build -t karat-sandbox -f containers/Containerfile ."
    )


def test_the_command_takes_everything_away_that_a_program_does_not_need() -> None:
    words = container.run_command(
        Program(source="x = 1"), Limits(memory_mb=256, files_mb=8, processes=3), name="karat-x", packages=("/opt/p",)
    )
    text = " ".join(words)
    for option in (
        "run --interactive --rm --pull never --name karat-x",
        "--network none",
        "--read-only",
        "--cap-drop ALL",
        "--security-opt no-new-privileges",
        "--user 65534:65534",
        "--pids-limit 5",
        "--memory 328m --memory-swap 328m",
        "--tmpfs /work:rw,nosuid,nodev,noexec,size=8m,mode=1777",
        "source=/opt/p,target=/packages/0,readonly",
    ):
        assert option in text
    assert "x = 1" not in text  # the program goes through the channel, not the command line
    assert "--privileged" not in words
    assert "exec,size" in " ".join(container.run_command(Program(kind="command", argv=("ls",)), Limits(), name="k"))


def test_a_program_answers_over_one_pipe(engine: Path) -> None:
    sandbox = open_sandbox("container")
    source = "import sys\ndef f(x):\n    print('said')\n    open('made', 'w').write('1')\n    return x * 2"
    result = sandbox.run(Program(source=source), [Call("f", (4,)), Call("f", ("ab" * 300_000,))], limits=Limits())
    assert [reply.value for reply in result.replies] == [8, "ab" * 600_000]
    assert (result.ended, result.stdout, result.anomalies) == ("done", b"said\nsaid\n", ())
    assert [(entry.path, entry.change) for entry in result.files] == [("made", "added")]
    assert result.backend == "container"


def test_large_input_asks_and_a_sleeper_over_one_pipe(engine: Path) -> None:
    sandbox = open_sandbox("container")
    program = Program(source="import sys\nprint(len(sys.stdin.read()))", kind="script", stdin=b"x" * (3 << 20))
    assert sandbox.run(program, limits=Limits()).stdout == b"3145728\n"
    session = sandbox.open(Program(source="def f(x): return ask(x)", asks=("ask",)), limits=Limits())
    assert session.call(Call("f", (3,)), answer=lambda call: Reply(status="value", value=call.args[0] + 1)).value == 4
    session.close()
    slow = sandbox.run(Program(source="import time\ntime.sleep(60)"), limits=Limits(wall_s=0.3))
    assert slow.ended == "wall"
    assert slow.wall_s < 3.0


def test_an_engine_that_fails_is_our_fault_and_no_verdict(engine: Path) -> None:
    sandbox = open_sandbox("container")
    engine.write_text("#!/bin/sh\necho no room >&2; exit 125\n")
    result = sandbox.run(Program(source="x = 1"), limits=Limits())
    assert (result.ended, result.message) == ("fault", "the supervisor did not start: no room")
    assert result.replies == ()


def test_an_engine_that_hangs_is_our_fault_and_is_left(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = open_sandbox("container")
    engine.write_text("#!/bin/sh\nexec /bin/sleep 600\n")
    for module, name in ((container, "ANSWER_S"), (process, "START_S"), (process, "SWEEP_S"), (transport, "LEAVE_S")):
        monkeypatch.setattr(module, name, 0.3)
    result = sandbox.run(Program(source="x = 1"), limits=Limits())
    assert (result.ended, result.message) == ("fault", "the supervisor did not start: it said nothing")
