"""A further filter, for a program that shares the user and the pid namespace of its grader.

Landlock decides about opening and making files, not about their modes, owners, times and attributes, nor about sockets
that have a path; and some calls act on any process of the same user. Here the first pretend to have done something, the
second are refused, and the last take no other process.
"""

from __future__ import annotations

import errno
import os

from karat.sandbox.inside import kernel, seccomp
from karat.sandbox.inside.seccomp import ALLOW, AND, ARG0, ARG1, EQUAL, ERRNO, LOAD, NR, Step, answer, packed, step

MARKS = (
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat"),
    *("utime", "utimes", "futimesat", "utimensat"),
    *("setxattr", "lsetxattr", "fsetxattr", "setxattrat"),
    *("removexattr", "lremovexattr", "fremovexattr", "removexattrat"),
)
"""Change what a file is marked with, by anyone who owns it. Answered with success and not done: honest programs copy
modes and times along with files, and would otherwise fail."""

SOCKET_TYPES, SOCK_DGRAM = 0xF, 2
"""Landlock does not decide about sockets that have a path: no socket is made, and no pair that takes an address."""

BY_FIRST = (
    *("prlimit64", "sched_setaffinity", "sched_setscheduler", "sched_setparam", "sched_setattr"),
    *("setpgid", "getpgid", "getsid", "get_robust_list"),
)
BY_SECOND = ("setpriority", "ioprio_set")
"""Act on the process that an argument names: 0 and the own number are let through."""


def confining_filter(*, marks: bool) -> bytes:
    """The filter of this process. Raises: OSError (ENOSYS): this architecture is not in the tables.

    Args:
        marks: whether marking files is pretended too.
    """
    if kernel.TABLE is None:
        raise OSError(errno.ENOSYS, f"no table of system calls for {kernel.MACHINE}")
    steps: list[Step] = [step(LOAD, NR)]
    for name in MARKS if marks else ():
        if name in kernel.NUMBER:
            steps += [step(EQUAL, kernel.NUMBER[name], 0, 1), answer(ERRNO)]
    refusal = answer(ERRNO | errno.EPERM)
    for name in ("socket", "connect", "bind"):
        steps += [step(EQUAL, kernel.NUMBER[name], 0, 1), refusal]
    pair = [step(LOAD, ARG1), step(AND, SOCKET_TYPES), step(EQUAL, SOCK_DGRAM, 0, 1), refusal, answer(ALLOW)]
    steps += [step(EQUAL, kernel.NUMBER["socketpair"], 0, len(pair)), *pair]
    for names, argument in ((BY_FIRST, ARG0), (BY_SECOND, ARG1)):
        for name in names:
            if name in kernel.NUMBER:
                own = [
                    step(LOAD, argument),
                    step(EQUAL, 0, 2, 0),
                    step(EQUAL, os.getpid(), 1, 0),
                    refusal,
                    answer(ALLOW),
                ]
                steps += [step(EQUAL, kernel.NUMBER[name], 0, len(own)), *own]
    return packed([*steps, answer(ALLOW)])


def install(*, marks: bool) -> None:
    """Put the filter on this process for good. Raises: OSError: the kernel refuses."""
    seccomp.Filter(confining_filter(marks=marks)).install()
