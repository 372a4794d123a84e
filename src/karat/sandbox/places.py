"""Folders of a Linux system that a program needs to run at all, and user ids that belong to nobody."""

from __future__ import annotations

import secrets
from pathlib import Path

LIBRARIES = ("/lib", "/lib32", "/lib64", "/libx32", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32")
COMMANDS = ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/include", "/usr/libexec", "/usr/share", "/usr/local")
"""Only for programs of the kind `command`: compilers, shells and other interpreters."""
CONFIGURATION = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/alternatives", "/etc/localtime")
DEVICES = ("null", "zero", "full", "random", "urandom")

FIRST_UID = 0x30000000
"""User ids from here to 2**24 more belong to nobody: where we may, each run takes one."""
UIDS = 1 << 24
SETUID_AND_OTHERS = (0, 1, 3, 5, 6, 7)
"""Capabilities that a supervisor of another user's program needs: CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID."""


SYS_ADMIN = 21
"""The capability to mount."""


def may_take_other_users(*, also: tuple[int, ...] = (), process: str = "/proc/self") -> bool:
    """Whether this process may run programs under the user ids above: as root often, not in every container.

    Args:
        also: further capabilities that are needed.
        process: folder that tells of the process.
    """
    try:
        rows = [[int(word) for word in line.split()] for line in Path(process, "uid_map").read_text().splitlines()]
        status = Path(process, "status").read_text().split("CapEff:")[1].split()[0]
    except (OSError, ValueError, IndexError):
        return False
    mapped = any(first <= FIRST_UID and first + count >= FIRST_UID + UIDS for first, _, count in rows)
    return mapped and all(int(status, 16) >> capability & 1 for capability in (*SETUID_AND_OTHERS, *also))


def another_user() -> int:
    return FIRST_UID + secrets.randbelow(UIDS)
