"""The system call filter, run step by step here as the kernel runs it, on both architectures of the tables."""

from __future__ import annotations

import errno
import os
import struct

import pytest

from karat.sandbox import worker
from karat.sandbox.inside import confine, kernel, seccomp, syscalls

MACHINES = ("x86_64", "aarch64")
ALLOW, NOTIFY, KILL = seccomp.ALLOW, seccomp.NOTIFY, seccomp.KILL
EPERM, ENOSYS = seccomp.ERRNO | errno.EPERM, seccomp.ERRNO | errno.ENOSYS


@pytest.fixture(params=MACHINES)
def numbers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Numbers by name, with the filter built for that machine."""
    table = syscalls.table(request.param)
    assert table is not None
    monkeypatch.setattr(kernel, "MACHINE", request.param)
    monkeypatch.setattr(kernel, "TABLE", table)
    monkeypatch.setattr(kernel, "NUMBER", table[0] | table[1])
    return table[0] | table[1]


def decide(code: bytes, number: int, *args: int, arch: int | None = None) -> int:
    """What a filter answers: the six instructions of classic BPF that it is made of."""
    data = struct.pack("<iIQ", number, seccomp.AUDIT_ARCH[kernel.MACHINE] if arch is None else arch, 0)
    data += struct.pack("<6Q", *[arg & (1 << 64) - 1 for arg in args], *[0] * (6 - len(args)))
    steps = list(struct.iter_unpack("<HBBI", code))
    word, at = 0, 0
    while True:
        operation, if_true, if_false, value = steps[at]
        at += 1
        if operation == seccomp.LOAD:
            (word,) = struct.unpack_from("<I", data, value)
        elif operation == seccomp.AND:
            word &= value
        elif operation == seccomp.RETURN:
            return int(value)
        else:
            holds = {
                seccomp.EQUAL: word == value,
                seccomp.AT_LEAST: word >= value,
                seccomp.ANY_BIT: bool(word & value),
            }[operation]
            at += if_true if holds else if_false


def answers(code: bytes, numbers: dict[str, int], *names: str) -> set[int]:
    return {decide(code, numbers[name]) for name in names if name in numbers}


def test_every_name_has_the_answer_of_its_table(numbers: dict[str, int]) -> None:
    code = seccomp.filter_for(command=False)
    assert len(code) // 8 < 4096  # BPF_MAXINSNS
    table = syscalls.table(kernel.MACHINE)
    assert table is not None
    special = seccomp.conditions(command=False)
    assert answers(code, numbers, *table[0]) == {ALLOW}
    assert answers(code, numbers, *(name for name in table[1] if name not in special)) == {NOTIFY}
    assert len(set(numbers.values())) == len(numbers)  # no number twice


def test_a_call_in_no_table(numbers: dict[str, int]) -> None:
    code = seccomp.filter_for(command=False)
    unlisted = next(number for number in range(syscalls.NEWEST) if number not in numbers.values())
    assert decide(code, unlisted) == EPERM
    assert decide(code, syscalls.NEWEST + 1) == ENOSYS
    assert decide(code, numbers["read"], arch=0x40000003) == KILL  # i386
    if kernel.MACHINE == "x86_64":
        assert decide(code, seccomp.X32_BIT | numbers["read"]) == KILL


def test_arguments_decide(numbers: dict[str, int]) -> None:
    code = seccomp.filter_for(command=False)
    thread = 0x3D0F00  # what pthread_create asks for
    assert decide(code, numbers["clone"], thread) == ALLOW
    assert decide(code, numbers["clone"], 0x01200011) == NOTIFY  # fork
    assert decide(code, numbers["clone"], thread | kernel.CLONE_NEWUSER) == NOTIFY
    assert decide(code, numbers["clone3"]) == ENOSYS
    assert decide(code, numbers["socket"], 1) == NOTIFY
    assert decide(code, numbers["socketpair"], 1) == ALLOW
    assert decide(code, numbers["socketpair"], 16) == NOTIFY
    assert decide(code, numbers["ioctl"], 0, 0x5401) == ALLOW  # isatty
    for request in (0x5412, 0x541C, 0x540E, 0x5423):  # TIOCSTI, TIOCLINUX, TIOCSCTTY, TIOCSETD
        assert decide(code, numbers["ioctl"], 0, request) == NOTIFY
    assert decide(code, numbers["ioctl"], 0, (1 << 32) | 0x5412) == NOTIFY  # the kernel reads 32 bits of it
    assert decide(code, numbers["personality"], 0xFFFFFFFF) == ALLOW
    assert decide(code, numbers["personality"], 0x40000) == NOTIFY


def test_a_command_may_fork_and_execute_and_no_more(numbers: dict[str, int]) -> None:
    code = seccomp.filter_for(command=True)
    assert answers(code, numbers, "execve", "execveat", "fork", "vfork", "tgkill", "bind") == {ALLOW}
    assert answers(code, numbers, "ptrace", "mount", "unshare", "bpf", "setuid", "io_uring_setup") == {NOTIFY}
    assert decide(code, numbers["clone"], 0x01200011) == ALLOW
    assert decide(code, numbers["clone"], 0x01200011 | kernel.CLONE_NEWPID) == NOTIFY
    assert decide(code, numbers["socket"], 1) == ALLOW
    assert decide(code, numbers["socket"], 2) == NOTIFY
    assert decide(code, numbers["kill"], 7, 15) == ALLOW
    assert decide(code, numbers["kill"], 1, 9) == NOTIFY
    assert decide(code, numbers["kill"], -1, 9) == NOTIFY


def test_the_candidates_own_filter_takes_what_the_server_needs(numbers: dict[str, int]) -> None:
    worker_s, own = seccomp.filter_for(command=False), seccomp.own_filter()
    assert decide(worker_s, numbers["clone"], kernel.CANDIDATE) == ALLOW
    assert decide(own, numbers["clone"], kernel.CANDIDATE) == KILL
    assert decide(own, numbers["clone"], 0x3D0F00) == ALLOW
    assert decide(worker_s, numbers["pidfd_send_signal"], 5, 9) == ALLOW
    assert decide(own, numbers["pidfd_send_signal"], 5, 9) == EPERM
    assert decide(own, numbers["read"]) == ALLOW
    for name in ("seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"):
        assert decide(own, numbers[name]) == EPERM


def test_beside_others_of_its_user_a_program_acts_on_itself_alone(numbers: dict[str, int]) -> None:
    code, own, other = confine.confining_filter(marks=False), os.getpid(), os.getppid()
    assert answers(code, numbers, "socket", "connect", "bind") == {EPERM}
    assert decide(code, numbers["socketpair"], 1, 1) == ALLOW  # a stream takes no address
    assert decide(code, numbers["socketpair"], 1, 2 | 0o2000000) == EPERM  # datagrams, closed on exec
    for name in confine.BY_FIRST:
        assert [decide(code, numbers[name], pid) for pid in (0, own, other)] == [ALLOW, ALLOW, EPERM]
    for name in confine.BY_SECOND:
        assert [decide(code, numbers[name], 0, pid) for pid in (0, own, other)] == [ALLOW, ALLOW, EPERM]
    assert answers(code, numbers, "read", "chmod", "fchmodat", "setxattr") == {ALLOW}
    marks = confine.confining_filter(marks=True)
    assert answers(marks, numbers, *confine.MARKS) == {seccomp.ERRNO}  # success, and nothing done
    assert answers(marks, numbers, "socket", "connect", "bind") == {EPERM}


def test_an_architecture_without_a_table_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert syscalls.table("riscv64") is None
    monkeypatch.setattr(kernel, "MACHINE", "riscv64")
    monkeypatch.setattr(kernel, "TABLE", None)
    with pytest.raises(OSError, match="riscv64"):
        seccomp.filter_for(command=False)


def test_reports_are_put_into_words() -> None:
    number = {name: number for number, name in worker.NAME_OF.items()}
    assert worker.describe(number["kill"], (0xFFFFFFFF, 9, 0, 0, 0, 0)) == ("kill", "pid -1, signal 9")
    assert worker.describe(number["socket"], (2, 1, 0, 0, 0, 0)) == ("socket", "AF_INET")
    assert worker.describe(number["unshare"], (0x10000000, 0, 0, 0, 0, 0)) == ("unshare", "flags 0x10000000")
    assert worker.describe(number["mount"], (0, 0, 0, 0, 0, 0)) == ("mount", "mounts")
    assert worker.describe(99999, (0,) * 6) == ("call 99999", "")
