"""Frames, evidence and folders: the pieces that meet untrusted bytes, without a process around them."""

from __future__ import annotations

import os
import signal
import struct
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karat.errors import InputError
from karat.sandbox.evidence import DETAIL_LENGTH, MAX_FRAMES, MAX_SEALS, Evidence
from karat.sandbox.inside import confine, folder, kernel, seccomp, supervisor, wire
from karat.sandbox.places import SYS_ADMIN, may_take_other_users
from karat.sandbox.plain import PlainSandbox
from karat.sandbox.process import check_program
from karat.sandbox.transport import Frames
from karat.sandbox.types import Call, Limits, Program


def packed(*payloads: bytes) -> bytes:
    return b"".join(struct.pack("!I", len(payload)) + payload for payload in payloads)


# -------------------------------------------------------------------------------------------------------------- frames
@given(st.lists(st.binary(max_size=50), max_size=8), st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_frames_do_not_depend_on_how_their_bytes_come(payloads: list[bytes], sizes: list[int]) -> None:
    data, frames, found, at = packed(*payloads), Frames(50), [], 0
    while at < len(data):
        size = sizes[at % len(sizes)]
        found += frames.feed(data[at : at + size])
        at += size
    assert found == payloads


def test_a_frame_above_the_limit_is_refused_before_its_bytes_come() -> None:
    frames = Frames(10)
    assert frames.feed(packed(b"x" * 10)) == [b"x" * 10]
    with pytest.raises(wire.WireError, match=r"4,294,967,295 bytes in one frame; at most 10"):
        frames.feed(b"\xff" * 4)


# ------------------------------------------------------------------------------------------------------------ evidence
@given(st.binary(max_size=200).filter(lambda frame: b'"' not in frame))
def test_garbage_is_remarked_and_never_raises(frame: bytes) -> None:
    evidence = Evidence()
    evidence.take(frame)
    assert evidence.anomalies == ["evidence garbled"]


@pytest.mark.parametrize(
    "frame",
    [
        *(b"[]", b"null", b"3", b'{"event":null}', b'{"event":["a"]}', b'{"seal":[[1]]}', b'{"seal":"ab"}', b'{"x":1}'),
        *(b'{"bye":NaN}', b"\xff", b"[" * 100_000),
    ],
)
def test_what_is_no_evidence_is_garbled(frame: bytes) -> None:
    evidence = Evidence()
    evidence.take(frame)
    assert evidence.anomalies == ["evidence garbled"]
    assert evidence.events == []


def test_events_seals_and_the_farewell_are_read_once() -> None:
    evidence = Evidence()
    for frame in (
        b'{"event":["os.kill","1",3]}',
        b'{"seal":[["builtins.len","other"]]}',
        b'{"bye":0.5}',
        b'{"bye":0.7}',
    ):
        evidence.take(frame)
    assert [(event.name, event.detail, event.line) for event in evidence.events] == [("os.kill", "1", 3)]
    assert [seal.name for seal in evidence.seals] == ["builtins.len"]
    assert evidence.said_farewell
    assert evidence.anomalies == ["second farewell"]


def test_evidence_is_counted_and_cut() -> None:
    evidence = Evidence()
    evidence.take(wire.dump({"event": ["compile", "x" * 10_000, 1]}))
    for _ in range(3):
        evidence.take(wire.dump({"seal": [["name", "detail"]] * 400}))
    assert (len(evidence.events[0].detail), len(evidence.seals)) == (DETAIL_LENGTH, MAX_SEALS)
    assert evidence.anomalies == []
    evidence.take(b'{"bye":0.5,"events":2}')
    assert evidence.anomalies == ["evidence count differs"]


def test_a_flood_is_counted_and_not_kept() -> None:
    evidence = Evidence()
    for _ in range(MAX_FRAMES + 500):
        evidence.take(b'{"event":["a","b",1]}')
    assert len(evidence.events) < MAX_FRAMES
    assert evidence.anomalies == ["evidence flooded"]


# -------------------------------------------------------------------------------------------------------------- folders
def test_changes_are_told_and_links_not_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "work", tmp_path / "outside"
    root.mkdir()
    outside.write_bytes(b"secret")
    given_files = {"a/kept": b"1", "a/changed": b"1", "gone": b"1", "same-size": b"12"}
    folder.write(str(root), given_files, ())
    (root / "a/changed").write_bytes(b"123")
    (root / "same-size").write_bytes(b"21")
    (root / "gone").unlink()
    (root / "link").symlink_to(outside)
    (root / "up").symlink_to(tmp_path)
    os.link(outside, root / "hard")
    os.mkfifo(root / "pipe")
    (root / "new").mkdir()
    (root / "new/x\x1b[31m").write_bytes(b"y")
    found = {
        path: (change, size, content)
        for path, change, size, content in folder.changes(str(root), given_files, keep=True)
    }
    assert found == {
        "a/changed": ("changed", 3, "MTIz"),
        "same-size": ("changed", 2, "MjE="),
        "gone": ("removed", 0, ""),
        "link": ("link", len(str(outside)), ""),
        "up": ("link", len(str(tmp_path)), ""),
        "hard": ("link", 6, ""),
        "pipe": ("link", 0, ""),
        "new/x\\x1b[31m": ("added", 1, "eQ=="),
    }


def test_a_link_that_was_a_file_a_moment_ago_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "pipe")
    end = os.open(tmp_path, folder.DIRECTORY)
    try:
        assert [folder.read(end, name, 100) for name in ("secret", "link", "pipe")] == [b"secret", b"", b""]
    finally:
        os.close(end)


def test_a_folder_is_removed_however_deep_and_closed(tmp_path: Path) -> None:
    outside, root, here = tmp_path / "outside", tmp_path / "work", os.getcwd()
    outside.mkdir()
    (outside / "kept").touch()
    root.mkdir()
    (root / "link").symlink_to(outside)
    (root / "karat-removed-2").mkdir()
    (root / "karat-removed-2/taken").touch()
    os.chdir(root)
    for _ in range(3000):
        os.mkdir("deep")
        os.chdir("deep")
        Path("file").touch()
    os.chdir(here)
    (root / "closed/inner").mkdir(parents=True)
    (root / "closed/inner/file").touch()
    (root / "closed/inner").chmod(0)
    (root / "closed").chmod(0)
    folder.remove(str(root))
    assert sorted(os.listdir(tmp_path)) == ["outside"]
    assert os.listdir(outside) == ["kept"]


def test_many_names_cost_no_more_than_the_bound(tmp_path: Path) -> None:
    for number in range(folder.MAX_CHANGES + 50):
        (tmp_path / f"{number:05}").touch()
    found = folder.changes(str(tmp_path), {}, keep=False)
    assert len(found) == folder.MAX_CHANGES + 1
    assert found[-1][1] == "cut"


def test_a_folder_that_is_gone_has_lost_its_files(tmp_path: Path) -> None:
    assert folder.changes(str(tmp_path / "none"), {"a": b""}, keep=False) == [["a", "removed", 0, ""]]


def test_parents_of_a_path() -> None:
    assert folder.parents("a/b/c.txt") == ["", "a", "a/b"]
    assert folder.parents("c.txt") == [""]


# ------------------------------------------------------------------------------------------------------------- programs
@pytest.mark.parametrize(
    ("program", "part"),
    [
        (Program(files={"/etc/x": b""}), "not a path below the working folder"),
        (Program(files={"../x": b""}), "not a path below the working folder"),
        (Program(files={"a//b": b""}), "not a path below the working folder"),
        (Program(files={"a\0": b""}), "not a path below the working folder"),
        (Program(read_only=("x",)), "'x' is not among the program's files"),
        (Program(environment={"A=B": "x"}), "'A=B' cannot be set"),
        (Program(kind="command"), "is not a command"),
        (Program(kind="command", argv=("a\0",)), "is not a command"),
    ],
)
def test_what_cannot_be_started_is_refused_before(program: Program, part: str) -> None:
    with pytest.raises(InputError, match=part):
        check_program(program)


@pytest.mark.parametrize(
    ("name", "value", "number"),
    [
        ("wall_s", 0.0, "finite"),
        ("cpu_s", float("inf"), "finite"),
        ("memory_mb", -1, "whole"),
        ("files_mb", "1", "whole"),
        ("memory_mb", 512.5, "whole"),
        ("processes", True, "whole"),
    ],
)
def test_a_limit_that_limits_nothing_is_refused(name: str, value: object, number: str) -> None:
    with pytest.raises(InputError, match=rf"limits: {name} is .*; it must be a {number} number above 0"):
        Limits(**{name: value})  # type: ignore[arg-type]


# --------------------------------------------------------------------------------------------------------------- users
@pytest.mark.parametrize(
    ("uid_map", "capabilities", "expected"),
    [
        ("         0          0 4294967295\n", "000001ffffffffff", True),
        ("         0          0 4294967295\n", "00000000a80425fb", True),  # root in a container of docker
        ("         0          0 4294967295\n", "0000000000000000", False),  # not root, or without capabilities
        ("         0       1000          1\n", "000001ffffffffff", False),  # root of a namespace of one user
        ("         0       1000          1\n         1     100000      65536\n", "000001ffffffffff", False),
        ("garbage", "000001ffffffffff", False),
    ],
)
def test_other_users_are_taken_only_where_the_kernel_lets_us(
    tmp_path: Path, uid_map: str, capabilities: str, expected: bool
) -> None:
    (tmp_path / "uid_map").write_text(uid_map)
    (tmp_path / "status").write_text(f"Name:\tpython\nCapPrm:\t0\nCapEff:\t{capabilities}\nCapBnd:\t0\n")
    assert may_take_other_users(process=str(tmp_path)) is expected
    if capabilities == "00000000a80425fb":
        assert not may_take_other_users(also=(SYS_ADMIN,), process=str(tmp_path))
    assert not may_take_other_users(process=str(tmp_path / "none"))


# ----------------------------------------------------------------------------------------------------------- interrupts
class AlarmError(Exception):
    pass


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
@pytest.mark.parametrize("kind", ["script", "module"])
def test_an_interrupt_leaves_nothing(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before, others = len(os.listdir("/proc/self/fd")), set(psutil.Process().children())

    def interrupt(*_: object) -> None:
        raise AlarmError

    old = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.4)
    began = time.monotonic()
    try:
        source = "import time\ndef f(): time.sleep(600)\nif __name__ == '__main__': f()"
        with pytest.raises(AlarmError):
            PlainSandbox().run(Program(source=source, kind=kind), [Call("f")], limits=Limits(wall_s=60.0))  # type: ignore[arg-type]
    finally:
        signal.signal(signal.SIGALRM, old)
    assert time.monotonic() - began < 30.0  # it was given 60
    assert len(os.listdir("/proc/self/fd")) == before
    assert os.listdir(tmp_path) == []
    assert set(psutil.Process().children()) <= others


# -------------------------------------------------------------------------------------------------------------- filters
@pytest.mark.skipif(kernel.TABLE is None, reason="no table of system calls for this architecture")
def test_a_filter_without_a_listener_refuses_what_it_would_report() -> None:
    reporting = seccomp.filter_for(False)
    actions = {value for code, _, _, value in struct.iter_unpack("<HBBI", supervisor.refusing(reporting)) if code == 6}
    assert seccomp.NOTIFY in {value for code, _, _, value in struct.iter_unpack("<HBBI", reporting) if code == 6}
    assert seccomp.NOTIFY not in actions
    assert len(supervisor.refusing(reporting)) == len(reporting)


@pytest.mark.skipif(kernel.TABLE is None, reason="no table of system calls for this architecture")
def test_marks_are_pretended_only_where_asked_for() -> None:
    with_marks, without = confine.confining_filter(marks=True), confine.confining_filter(marks=False)
    number = kernel.NUMBER["fchmod"]
    assert (0x15, number) in {(code, value) for code, _, _, value in struct.iter_unpack("<HBBI", with_marks)}
    assert (0x15, number) not in {(code, value) for code, _, _, value in struct.iter_unpack("<HBBI", without)}
