"""A fall-back with namespaces: bubblewrap (`bwrap`) around a bare interpreter, with the same protocol as everywhere.

Weaker than the namespaces back end (the kernel's refusals leave no record, no Landlock) and slower (an interpreter is
started for each program), but a program that many machines have and that many people have looked at.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from karat.sandbox import policy, probes
from karat.sandbox.inside.folder import parents
from karat.sandbox.places import (
    COMMANDS,
    CONFIGURATION,
    DEVICES,
    LIBRARIES,
    SYS_ADMIN,
    another_user,
    may_take_other_users,
)
from karat.sandbox.process import (
    ENVIRONMENT,
    PACKAGE,
    Place,
    ProcessSandbox,
    ProcessSession,
    check_program,
    interpreter,
    settings_of,
    start_words,
)
from karat.sandbox.transport import Pipes
from karat.sandbox.types import Call, Limits, Program, Wall

WORK = "/karat-work"
KARAT = "/karat"
ROOT_KEEPS = ("CAP_SETUID", "CAP_SETGID", "CAP_CHOWN", "CAP_FOWNER", "CAP_DAC_OVERRIDE", "CAP_KILL")
"""What the supervisor needs, where it is root, to give the program a user of its own and to end it."""


def available() -> str:
    """Empty where this back end works here, tried once; else why not."""
    return _try(os.geteuid())


@functools.cache
def _try(euid: int) -> str:
    if sys.platform != "linux":
        return "bubblewrap needs Linux"
    program = shutil.which("bwrap")
    if program is None:
        return "bwrap is not installed (Debian, Ubuntu, Fedora: the package 'bubblewrap')"
    try:
        run = BubblewrapSandbox().run(Program(source="def f(): return 42", watch=False), [Call("f")], limits=Limits())
    except OSError as error:
        return f"{program} cannot be run: {error}"
    return "" if [reply.value for reply in run.replies] == [42] else f"a first program did not answer: {run.message}"


def isolation(*, as_root: bool) -> list[str]:
    """Namespaces and privileges. Not --die-with-parent: it means the parent's thread; the supervisor sees to it."""
    options = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    options += ["--hostname", "sandbox", "--new-session", "--as-pid-1", "--cap-drop", "ALL"]
    if as_root:  # a user of its own for each run is a stronger wall than root under another name
        return options + [word for name in ROOT_KEEPS for word in ("--cap-add", name)]
    return ["--unshare-user", "--disable-userns", *options]


def file_system(program: Program, limits: Limits, *, packages: Sequence[str], fixed: str) -> list[str]:
    """A small root of read-only binds, and one private folder of limited size; nothing of /home, /proc, /sys, /etc."""
    command = program.kind == "command"
    options: list[str] = []
    for place in (*LIBRARIES, *(COMMANDS if command else ())):
        if os.path.islink(place):
            options += ["--symlink", os.readlink(place), place]
        elif os.path.isdir(place):
            options += ["--ro-bind", place, place]
    for place in CONFIGURATION:
        options += ["--ro-bind-try", place, place]
    for place in (sys.base_prefix, sys.base_exec_prefix, *packages):
        if place not in ("/", "/usr"):
            options += ["--ro-bind", place, place]
    if not command and not Path(interpreter()).is_relative_to(sys.base_prefix if sys.base_prefix != "/usr" else "/-"):
        options += ["--ro-bind", interpreter(), interpreter()]
    options += ["--ro-bind", str(PACKAGE / "sandbox" / "inside"), f"{KARAT}/sandbox/inside", "--tmpfs", "/dev"]
    for device in DEVICES:
        options += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    if command:
        options += ["--proc", "/proc", "--symlink", "/proc/self/fd", "/dev/fd"]
    options += ["--remount-ro", "/dev", "--perms", "0755", "--size", str(limits.files_mb << 20), "--tmpfs", WORK]
    above = {parent for path in program.read_only for parent in parents(path)[1:]} if fixed else set()
    for path in sorted(above):  # a folder that is a mount cannot be renamed, and another put in its place
        options += ["--size", str(limits.files_mb << 20), "--tmpfs", f"{WORK}/{path}"]
    for path in program.read_only if fixed else ():
        options += ["--ro-bind", os.path.join(fixed, path), f"{WORK}/{path}"]
    if not any(place.startswith("/tmp/") for place in packages):  # else /tmp is theirs, and read-only
        options += ["--symlink", WORK, "/tmp"]
    options += ["--remount-ro", "/", "--chdir", WORK]
    return [*folders_above(options), *options]


def folders_above(options: Sequence[str]) -> list[str]:
    """The folders above what is mounted, made readable for the program's user: bwrap's own are for root alone."""
    places = [options[at + 2] for at, word in enumerate(options) if word in ("--ro-bind", "--ro-bind-try")]
    above = {str(parent) for place in places for parent in Path(place).parents if str(parent) not in ("/", WORK)}
    return [word for place in sorted(above) for word in ("--perms", "0755", "--dir", place)]


@functools.cache
def _tried(as_root: bool) -> dict[str, str]:
    return dict(probes.what_got_through(BubblewrapSandbox()))


class BubblewrapSandbox(ProcessSandbox):
    """Starts bwrap, a supervisor as the first process of its namespaces, and the program, for each program."""

    name = "bubblewrap"

    def __init__(self, packages: Sequence[str] = ()) -> None:
        self.packages = tuple(packages)
        self.as_root = may_take_other_users(also=(SYS_ADMIN,))

    def walls(self) -> tuple[Wall, ...]:
        """Each wall; those that a program can try are tried, once."""
        through = _tried(self.as_root) | {
            policy.MEMORY: "each process has its limit, all of them together have none",
            policy.KERNEL_RECORD: "bubblewrap has no way to pass refused system calls on",
        }
        return tuple(policy.wall(name, through.get(name, "")) for name in policy.WHAT_GETS_THROUGH)

    def open(self, program: Program, *, limits: Limits) -> ProcessSession:
        check_program(program)
        fixed = "" if self.as_root or not program.read_only else self._fixed_files(program)
        pipes = Pipes()
        settings = settings_of(program, limits, folder=WORK) | {
            "fds": pipes.theirs,
            "packages": self.packages,
            "alone": True,
            "uid": another_user() if self.as_root else 0,
            "mounted": program.read_only if fixed else (),
        }
        command = [shutil.which("bwrap") or "bwrap", *isolation(as_root=self.as_root)]
        command += file_system(program, limits, packages=self.packages, fixed=fixed)
        command += ["--", interpreter(), *start_words("supervisor", settings, package=KARAT)]

        def clean() -> None:
            if fixed:
                shutil.rmtree(fixed, ignore_errors=True)

        try:
            pipes.start(command, environment=ENVIRONMENT, folder="/")
        except BaseException:
            pipes.close()
            clean()
            raise
        return ProcessSession(program, limits, Place(transport=pipes, clean=clean, backend=self.name))

    def _fixed_files(self, program: Program) -> str:
        """A folder of the host with the read-only files, which are mounted over the private folder one by one."""
        folder = tempfile.mkdtemp(prefix="karat-")
        for path in program.read_only:
            place = Path(folder, path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(program.files[path])
        return folder
