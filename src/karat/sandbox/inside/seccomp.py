"""The system call filter: allowed, refused, or reported to the trusted side. Built from the tables of `syscalls`.

Two filters stand in a candidate. The worker's, inherited, names every call and has a listener on the trusted side. The
candidate's own, put on last, takes away the two calls that only the fork server needs. The strictest answer wins.
"""

from __future__ import annotations

import errno
import struct

from karat.sandbox.inside import kernel, syscalls

KILL, ERRNO, NOTIFY, ALLOW = 0x80000000, 0x00050000, 0x7FC00000, 0x7FFF0000
LOAD, AND, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
AUDIT_ARCH = {"x86_64": 0xC000003E, "amd64": 0xC000003E, "aarch64": 0xC00000B7, "arm64": 0xC00000B7}
X32_BIT = 0x40000000
NR, ARCH, ARG0, ARG1 = 0, 4, 16, 24
"""Offsets in struct seccomp_data; the low half of each argument, on little-endian machines."""

NEW_LISTENER, WAIT_KILLABLE = 8, 32
SET_MODE_FILTER = 1
AF_UNIX = 1
TERMINAL_REQUESTS = (0x5412, 0x541C, 0x540E, 0x5423)
"""TIOCSTI, TIOCLINUX, TIOCSCTTY, TIOCSETD: typing into somebody's terminal."""

Step = tuple[int, int, int, int]


def step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> Step:
    return code, if_true, if_false, value


def answer(action: int) -> Step:
    return step(RETURN, action)


def filter_for(command: bool) -> bytes:
    """The worker's filter. `command`: programs may be executed and processes made.

    Raises: OSError (ENOSYS): this architecture is not in the tables.
    """
    if kernel.TABLE is None:
        raise OSError(errno.ENOSYS, f"no table of system calls for {kernel.MACHINE}")
    allowed, reported, _ = kernel.TABLE
    steps = [step(LOAD, ARCH), step(EQUAL, AUDIT_ARCH[kernel.MACHINE], 1, 0), answer(KILL), step(LOAD, NR)]
    if kernel.MACHINE in ("x86_64", "amd64"):
        steps += [step(AT_LEAST, X32_BIT, 0, 1), answer(KILL)]
    special = conditions(command)
    for name, number in reported.items():
        if name in special:
            steps += [step(EQUAL, number, 0, len(special[name])), *special[name]]
        elif not (command and name in syscalls.COMMAND_ALLOWS):
            steps += [step(EQUAL, number, 0, 1), answer(NOTIFY)]
    more = {name: reported[name] for name in syscalls.COMMAND_ALLOWS if name in reported} if command else {}
    for number in sorted((allowed | more).values()):
        steps += [step(EQUAL, number, 0, 1), answer(ALLOW)]
    steps += [step(AT_LEAST, syscalls.NEWEST + 1, 0, 1), answer(ERRNO | errno.ENOSYS), answer(ERRNO | errno.EPERM)]
    return packed(steps)


def conditions(command: bool) -> dict[str, list[Step]]:
    """What follows the match of a call whose arguments decide."""
    thread_or_not = [answer(ALLOW)] if command else [
        step(ANY_BIT, kernel.CLONE_THREAD, 0, 1), answer(ALLOW), answer(NOTIFY)
    ]  # fmt: skip
    found = {
        "clone": [
            step(LOAD, ARG0),
            step(EQUAL, kernel.CANDIDATE, 0, 1),
            answer(ALLOW),
            step(ANY_BIT, kernel.CLONE_NEW_ANY, 0, 1),
            answer(NOTIFY),
            *thread_or_not,
        ],
        "clone3": [answer(ERRNO | errno.ENOSYS)],  # its flags cannot be seen from here; the C library falls back
        "socketpair": [step(LOAD, ARG0), step(EQUAL, AF_UNIX, 0, 1), answer(ALLOW), answer(NOTIFY)],
        "ioctl": [
            step(LOAD, ARG1),
            *[part for request in TERMINAL_REQUESTS for part in (step(EQUAL, request, 0, 1), answer(NOTIFY))],
            answer(ALLOW),
        ],
        "personality": [step(LOAD, ARG0), step(EQUAL, 0xFFFFFFFF, 0, 1), answer(ALLOW), answer(NOTIFY)],
        "pidfd_send_signal": [step(LOAD, ARG1), step(EQUAL, 9, 0, 1), answer(ALLOW), answer(NOTIFY)],
    }
    if command:
        found["socket"] = [step(LOAD, ARG0), step(EQUAL, AF_UNIX, 0, 1), answer(ALLOW), answer(NOTIFY)]
        found["kill"] = [
            step(LOAD, ARG0),
            step(EQUAL, 1, 0, 1),
            answer(NOTIFY),
            step(EQUAL, 0xFFFFFFFF, 0, 1),
            answer(NOTIFY),
            answer(ALLOW),
        ]
    return found


def own_filter() -> bytes:
    """The candidate's: what only the fork server may do. A second candidate made by a candidate ends it."""
    # rules of Landlock take kernel memory that nobody counts; a filter that refuses would keep calls from the report
    names = ("pidfd_send_signal", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "seccomp")
    refused = [kernel.NUMBER[name] for name in names]
    return packed(
        [
            step(LOAD, NR),
            *[part for number in refused for part in (step(EQUAL, number, 0, 1), answer(ERRNO | errno.EPERM))],
            step(EQUAL, kernel.NUMBER["clone"], 1, 0),
            answer(ALLOW),
            step(LOAD, ARG0),
            step(EQUAL, kernel.CANDIDATE, 0, 1),
            answer(KILL),
            answer(ALLOW),
        ]
    )


def packed(steps: list[Step]) -> bytes:
    return b"".join(struct.pack("<HBBI", *item) for item in steps)


class Filter:
    """A filter whose memory is laid out once; `install` is one system call."""

    def __init__(self, code: bytes) -> None:
        self.code = code
        self.program = struct.pack("<HxxxxxxQ", len(code) // 8, kernel.address(code))
        self.words = kernel.prepared("seccomp", SET_MODE_FILTER, 0, self.program)

    def install(self) -> None:
        kernel.repeat(self.words)

    def install_with_listener(self) -> int:
        """The descriptor on which the kernel asks about reported calls."""
        try:
            return kernel.call("seccomp", SET_MODE_FILTER, NEW_LISTENER | WAIT_KILLABLE, self.program)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return kernel.call("seccomp", SET_MODE_FILTER, NEW_LISTENER, self.program)  # kernel before 5.19
