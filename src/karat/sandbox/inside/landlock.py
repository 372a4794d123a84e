"""Landlock: which files may be read, written and executed, decided by the kernel for this process and its children."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence

from karat.sandbox.inside import kernel

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
MAKE_CHAR, MAKE_BLOCK, TRUNCATE, IOCTL_DEV = 1 << 6, 1 << 11, 1 << 14, 1 << 15
FILES_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
"""Those that a rule on something that is not a folder may name."""
BIND_TCP, CONNECT_TCP = 1, 2
SCOPE_ABSTRACT_SOCKETS, SCOPE_SIGNALS = 1, 2
VERSION = 1
PATH_BENEATH = 1


def abi() -> int:
    """Version of Landlock here; 0 where there is none."""
    try:
        return kernel.call("landlock_create_ruleset", 0, 0, VERSION)
    except OSError:
        return 0


def restrict(*, read: Sequence[str], write: Sequence[str], execute: Sequence[str]) -> int:
    """Restrict this process for good: what is named may be read, written (and made), executed; nothing else.

    Returns: the version that enforces it.
    Raises: OSError: no Landlock, or a path cannot be opened.
    """
    version = abi()
    if version == 0:
        raise OSError(95, "this kernel has no Landlock", "landlock_create_ruleset")
    handled = FILES_BY_ABI[min(version, 5)]
    network = BIND_TCP | CONNECT_TCP if version >= 4 else 0
    scoped = SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS if version >= 6 else 0
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    attributes = struct.pack("<QQQ", handled, network, scoped)[:size]
    ruleset = kernel.call("landlock_create_ruleset", attributes, size, 0)
    rights = dict.fromkeys((*read, *write, *execute), 0)
    for path in read:
        rights[path] |= READ_FILE | READ_DIR
    for path in execute:
        rights[path] |= READ_FILE | READ_DIR | EXECUTE
    for path in write:
        rights[path] |= handled & ~(EXECUTE | MAKE_CHAR | MAKE_BLOCK | IOCTL_DEV)
    for path, allowed in rights.items():
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            allowed &= handled if os.path.isdir(path) else handled & FILE_RIGHTS
            kernel.call("landlock_add_rule", ruleset, PATH_BENEATH, struct.pack("<Qi", allowed, place), 0)
        finally:
            os.close(place)
    kernel.call("landlock_restrict_self", ruleset, 0)
    os.close(ruleset)
    return version
