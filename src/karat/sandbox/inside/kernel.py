"""The kernel's doors that Python does not open: raw system calls, errors as OSError. Linux on x86_64 and aarch64."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
from typing import Any

from karat.sandbox.inside import syscalls

MACHINE = platform.machine()
TABLE = syscalls.table(MACHINE)
NUMBER: dict[str, int] = {} if TABLE is None else TABLE[0] | TABLE[1]

CLONE_THREAD = 0x00010000
CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
CLONE_PIDFD, CLONE_CHILD_CLEARTID, CLONE_CHILD_SETTID = 0x00001000, 0x00200000, 0x01000000
SIGCHLD = 17
CLONE_NEW_ANY = (
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET
)
CANDIDATE = CLONE_NEWUSER | CLONE_NEWPID | CLONE_PIDFD | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD
"""The one way in which the fork server makes a candidate; the candidate's own filter ends who tries it again."""

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 0x1000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
MNT_DETACH = 2
AT_FDCWD, AT_EMPTY_PATH, AT_RECURSIVE = -100, 0x1000, 0x8000
OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 4
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV = 1, 2, 4
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS = 1, 4, 24, 28, 38
PR_GET_TID_ADDRESS = 40
SECUREBITS_LOCKED = 0b11101111
"""NOROOT, NO_SETUID_FIXUP, KEEP_CAPS off and locked, NO_CAP_AMBIENT_RAISE: being root inside gives nothing."""

_c = ctypes.PyDLL(None, use_errno=True)  # PyDLL: the interpreter's lock is held, as a fork needs
_syscall = _c.syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = [ctypes.c_long] * 7


def call(name: str, *args: Any) -> int:
    """One system call. Bytes are passed by address.

    Raises: OSError: as the kernel says, with the call's name; ENOSYS where this architecture has no number for it.
    """
    number = NUMBER.get(name)
    if number is None:
        raise OSError(38, f"no number for this call on {MACHINE}", name)
    words = [address(arg) for arg in args]
    result: int = _syscall(number, *words, *[0] * (6 - len(words)))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), name)
    return result


def prepared(name: str, *args: Any) -> tuple[int, ...]:
    """A system call laid out for `repeat`. Bytes among the arguments must be kept alive by the caller."""
    words = [address(arg) for arg in args]
    return (NUMBER[name], *words, *[0] * (6 - len(words)))


def repeat(words: tuple[int, ...]) -> None:
    """A prepared call: in a forked process it touches a third of the pages that `call` does. Raises: OSError."""
    if _syscall(*words) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), f"call {words[0]}")


def address(arg: Any) -> int:
    if isinstance(arg, bytes):
        return ctypes.cast(ctypes.c_char_p(arg), ctypes.c_void_p).value or 0
    if isinstance(arg, str):
        raise TypeError("text has no address; encode it")
    if isinstance(arg, ctypes.Array):
        return ctypes.addressof(arg)
    return int(arg)


def prctl(option: int, *args: int) -> int:
    return call("prctl", option, *args)


def unshare(flags: int) -> None:
    call("unshare", flags)


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    call("mount", source.encode(), target.encode(), kind.encode(), flags, data.encode())


def unmount(target: str) -> None:
    call("umount2", target.encode(), MNT_DETACH)


def clone_tree(path: str) -> int:
    """A detached copy of the mounts at a path, as a descriptor."""
    return call("open_tree", AT_FDCWD, path.encode(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE)


def restrict_tree(fd: int, attributes: int) -> None:
    """Set mount attributes (MOUNT_ATTR_*) on a whole detached tree."""
    data = b"".join(number.to_bytes(8, "little") for number in (attributes, 0, 0, 0))
    call("mount_setattr", fd, b"\0", AT_EMPTY_PATH | AT_RECURSIVE, data, len(data))


def attach_tree(fd: int, target: str) -> None:
    call("move_mount", fd, b"\0", AT_FDCWD, target.encode(), MOVE_MOUNT_F_EMPTY_PATH)


def pivot_root(new_root: str) -> None:
    """Make a mounted folder the root, and forget the old one."""
    os.chdir(new_root)
    call("pivot_root", b".\0", b".\0")
    call("umount2", b".\0", MNT_DETACH)
    os.chdir("/")


def drop_capabilities() -> None:
    """Empty all capability sets of this thread; the bounding set too where that is allowed."""
    with contextlib.suppress(OSError):  # past the last capability, or not allowed: the other sets are emptied anyway
        for capability in range(64):
            prctl(PR_CAPBSET_DROP, capability)
    with contextlib.suppress(OSError):  # needs CAP_SETPCAP, which a second call no longer has
        prctl(PR_SET_SECUREBITS, SECUREBITS_LOCKED)
    clear_capabilities()


CAPABILITY_HEADER = (0x20080522).to_bytes(4, "little") + bytes(4)
NO_CAPABILITIES = bytes(24)


def clear_capabilities() -> None:
    call("capset", CAPABILITY_HEADER, NO_CAPABILITIES)


def close_from(fd: int) -> None:
    call("close_range", fd, 0x7FFFFFFF, 0)


class Cloner:
    """Forks with namespaces: all that can be prepared is prepared, because each fork pays for what remains.

    The interpreter's own work around a fork (PyOS_AfterFork_Child) puts right what other threads held; where there is
    one thread, every lock and record is copied as it has to be.
    """

    def __init__(self) -> None:
        place = ctypes.c_long(0)
        with contextlib.suppress(OSError):  # without checkpoint/restore: the C library's record of the thread is stale
            prctl(PR_GET_TID_ADDRESS, ctypes.addressof(place))
        self.spare = ctypes.c_long(0)  # written to in its stead: the filter knows the flags of one clone only
        self.tid_address = place.value or ctypes.addressof(self.spare)
        self.pidfd = ctypes.c_int(-1)
        pidfd_address = ctypes.addressof(self.pidfd)
        tail = (self.tid_address, 0) if MACHINE in ("x86_64", "amd64") else (0, self.tid_address)
        self.words = (NUMBER["clone"], CANDIDATE, 0, pidfd_address, *tail, 0)

    def clone(self) -> tuple[int, int]:
        """Process id and pidfd in the parent; (0, -1) in the child.

        Raises: OSError: the kernel refuses.
        """
        pid: int = _syscall(*self.words)
        if pid == 0:
            return 0, -1
        if pid < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), "clone")
        return pid, self.pidfd.value
