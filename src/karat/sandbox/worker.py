"""The trusted side of one worker of the namespaces back end: starts it, gives it orders, sees what it says."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import platform
import select
import socket
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from karat.errors import ResourceError
from karat.sandbox import cgroups
from karat.sandbox.inside import syscalls, wire, zygote
from karat.sandbox.inside.supervisor import children_of
from karat.sandbox.known_files import remove_known
from karat.sandbox.process import ENVIRONMENT, PACKAGE, interpreter
from karat.sandbox.transport import frame
from karat.sandbox.types import Limits

START = """
import sys, types
for name, path in (("karat", sys.argv[1]), ("karat.sandbox", sys.argv[1] + "/sandbox")):
    module = types.ModuleType(name); module.__path__ = [path]; sys.modules[name] = module
from karat.sandbox.inside import zygote
zygote.launch(int(sys.argv[2]), int(sys.argv[3]))
"""
START_S = 20.0
NOBODY = 65534
TEXTS = {"/etc/passwd": "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n", "/etc/group": "nogroup:x:65534:\n"}
LINKS = {"/tmp": f"{zygote.BOX}/tmp", "/dev/shm": f"{zygote.BOX}/shm"}
COMMAND_BINDS = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/alternatives", "/etc/ld.so.cache")
HIDDEN = ("site-packages", "dist-packages", "test", "idlelib", "lib2to3", "ensurepip")
PRELOAD = (
    *("math", "re", "collections", "itertools", "functools", "heapq", "bisect", "string", "typing", "operator", "copy"),
    *("random", "datetime", "json", "statistics", "dataclasses", "decimal", "fractions"),
)
"""Modules that candidates import most. Each makes every fork dearer, used or not."""

RECEIVE, SEND = 0xC0502100, 0xC0182101
NOTIFICATION, RESPONSE = struct.Struct("<QIIiIQ6Q"), struct.Struct("<QqiI")
OWN_PROCESSES = 8
"""Room for the worker's own processes beside a command's."""
MAX_DENIALS = 200
"""Distinct denials kept of one run."""


@dataclass(frozen=True, slots=True)
class Over:
    """How a candidate's first process ended, as the fork server saw it."""

    status: int
    user_s: float
    system_s: float
    peak_kb: int
    faults: int

    @property
    def cpu_s(self) -> float:
        return self.user_s + self.system_s


LOCALES = "/usr/lib/locale"
"""Some C libraries read the locale C.UTF-8, which programs are given, from here."""


def shared_libraries() -> list[str]:
    """Folders of this system's shared libraries and locales, and the linker's cache."""
    multiarch = sysconfig.get_config_var("MULTIARCH") or f"{platform.machine()}-linux-gnu"
    places = [f"/lib/{multiarch}", f"/usr/lib/{multiarch}", "/lib64", "/usr/lib64", LOCALES]
    found = {os.path.realpath(place): place for place in places if os.path.isdir(place)}
    return [*found.values(), *(["/etc/ld.so.cache"] if os.path.exists("/etc/ld.so.cache") else [])]


def standard_library() -> list[str]:
    """Of the interpreter itself: a virtual environment names its own folder for the part that is built."""
    base = {"base": sys.base_prefix, "installed_base": sys.base_prefix}
    built = {"platbase": sys.base_exec_prefix, "installed_platbase": sys.base_exec_prefix}
    return sorted({sysconfig.get_path("stdlib", vars=base), sysconfig.get_path("platstdlib", vars=base | built)})


def binds_of(packages: Sequence[str], *, command: bool) -> list[str]:
    """What of this machine a candidate may read."""
    wanted = [*standard_library(), *shared_libraries(), *packages]
    if command:
        prefix = os.path.dirname(os.path.dirname(interpreter()))
        wanted = [*COMMAND_BINDS, *([] if prefix in ("/usr", "/") else [prefix]), *packages]
    kept: list[str] = []
    for path in wanted:
        inside_another = any(path == other or path.startswith(f"{other}/") for other in kept)
        if os.path.exists(path) and not os.path.islink(path) and not inside_another:
            kept.append(path)
    return kept


def hidden_of(packages: Sequence[str]) -> list[str]:
    """Folders inside of what is bound that stay out of sight; a virtual environment's may be named as packages."""
    places = [f"{home}/{name}" for home in standard_library() for name in HIDDEN]
    return [place for place in places if not any(f"{path}/".startswith(f"{place}/") for path in packages)]


def links_of(*, command: bool) -> dict[str, str]:
    """Links of this system that lead to what is bound, as /lib to usr/lib."""
    names = COMMAND_BINDS if command else ("/lib", "/lib64")
    return LINKS | {path: os.readlink(path) for path in names if os.path.islink(path)}


class Worker:
    """One keeper and one fork server. Used by one thread at a time."""

    def __init__(
        self,
        *,
        command: bool,
        packages: Sequence[str] = (),
        preload: Sequence[str] = PRELOAD,
    ) -> None:
        """Raises: ResourceError: the worker does not start; the message has its reason."""
        self.folders: tuple[int, ...] = ()
        self.listener = -1
        self.files_mb = 16
        self.dirty = False
        self.broken = False
        self.descriptors: list[int] = []
        self.landlock_version = 0
        self.group, self.no_group = cgroups.create() if command else (None, "")
        self.limits: tuple[int, int] = (0, 0)
        self.server_pid = 0
        self.owner = os.getpid()
        config = {
            "command": command,
            "binds": binds_of(packages, command=command),
            "hidden": [] if command else hidden_of(packages),
            "texts": TEXTS,
            "links": links_of(command=command),
            "packages": list(packages),
            "preload": [] if command else list(preload),
            "files_mb": self.files_mb,
        }
        self._start(config)

    def _start(self, config: Mapping[str, Any]) -> None:
        self.keeper, keeper = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.server, server = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self.keeper, self.server):
            end.settimeout(START_S)
        below = any(path.startswith("/tmp/") for path in config["binds"])  # then /tmp is theirs, and read-only
        temporary = {"TMPDIR": f"{zygote.BOX}/tmp"} if below else {}
        command = [interpreter(), "-s", "-P", "-S", "-B", "-c", START, str(PACKAGE), str(keeper.fileno())]
        try:
            self.process = subprocess.Popen(
                [*command, str(server.fileno())],
                env=ENVIRONMENT | temporary,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,  # as a program's: Python asks once, at its start, whether it can be sought in
                stderr=subprocess.PIPE,
                pass_fds=(keeper.fileno(), server.fileno()),
                cwd="/",
                start_new_session=True,
            )
        finally:
            keeper.close()
            server.close()
        assert self.process.stdout is not None
        self.process.stdout.close()
        try:
            if self.group is not None:
                self.group.add(self.process.pid)
            self._shake_hands(config)
        except (OSError, wire.WireError, wire.PeerGoneError, KeyError, TypeError) as error:
            said = self._last_words()
            self.close()
            raise ResourceError(f"the sandbox's worker did not start: {said or error}") from None

    def _shake_hands(self, config: Mapping[str, Any]) -> None:
        self.tell(config)
        self.hear("map")
        write_maps(self.process.pid)
        self.tell({"mapped": True})
        self._take_folders(self.hear("folders")[1])
        word, listener, _, _ = socket.recv_fds(self.server, 1000, 4)
        if not word.startswith(b"ready "):
            raise OSError(errno.EPERM, word.decode("utf-8", "replace"))
        self.landlock_version = int(word[6:])
        if listener:
            self.listener = listener[0]
            self.descriptors.append(self.listener)
        self.server.settimeout(None)
        self.quick = select.poll()
        self.quick.register(self.server.fileno(), select.POLLIN)
        if self.listener >= 0:
            self.quick.register(self.listener, select.POLLIN)

    def _last_words(self) -> str:
        with contextlib.suppress(OSError, ValueError):
            self.process.kill()
            assert self.process.stderr is not None
            text = self.process.stderr.read()
            return text.decode("utf-8", "replace").strip().rpartition("\n")[2]  # of a traceback what was raised
        return ""

    # ------------------------------------------------------------------------------------------------------ the keeper
    def tell(self, message: Any) -> None:
        self.keeper.sendall(frame(message))

    def hear(self, key: str) -> tuple[Any, list[int]]:
        """The keeper's answer under a key, and descriptors that came with it.

        Raises: OSError, wire.PeerGoneError: the keeper is gone or says something else.
        """
        data, fds, _, _ = socket.recv_fds(self.keeper, 1 << 16, 8)
        while len(data) < wire.LENGTH.size or len(data) < wire.LENGTH.size + wire.LENGTH.unpack_from(data)[0]:
            part = self.keeper.recv(1 << 20)
            if not part:
                raise wire.PeerGoneError("the keeper is gone")
            data += part
        return wire.load(data[wire.LENGTH.size :])[key], list(fds)

    def _take_folders(self, fds: Sequence[int]) -> None:
        for end in self.folders:
            os.close(end)
        self.folders = tuple(fds)
        self.dirty = False
        self.baseline = [mark(end) for end in self.folders]

    def prepare(self, files: Mapping[str, bytes], read_only: Sequence[str], files_mb: int) -> None:
        """An empty private file system of the right size, with these files in it."""
        if not (self.dirty or files or files_mb != self.files_mb):
            return
        encoder = wire.Encoder()
        self.tell(
            {
                "fresh": files_mb,
                "files": {path: encoder.encode(content) for path, content in files.items()},
                "read_only": list(read_only),
            }
        )
        self._take_folders(self.hear("folders")[1])
        self.files_mb = files_mb
        self.dirty = bool(files)

    def bound(self, limits: Limits) -> None:
        """Limit what all processes of a command take together, where control groups can."""
        wanted = ((2 * limits.memory_mb + limits.files_mb) << 20, limits.processes + OWN_PROCESSES)
        if self.group is not None and wanted != self.limits:
            self.group.limit(memory_bytes=wanted[0], processes=wanted[1])
            self.limits = wanted

    def processor_seconds(self) -> float:
        """Of the candidate's living processes and of those that they have waited for; 0 where it cannot be seen."""
        if not self.server_pid:
            below = [self.process.pid]
            for _ in range(2):  # the launcher's child is the keeper, whose first child is the server
                below = [child for pid in below for child in children_of(pid)][:1]
            self.server_pid = below[0] if below else 0
        ticks, pending = 0, children_of(self.server_pid) if self.server_pid else []
        while pending:
            pid = pending.pop()
            pending += children_of(pid)
            with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/stat") as file:
                ticks += sum(map(int, file.read().rpartition(")")[2].split()[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def written(self) -> bool:
        """Whether anything in the private folders is not as it was."""
        return [mark(end) for end in self.folders] != self.baseline

    def tidy(self, left: Mapping[str, bytes]) -> bool:
        """Remove from the working folder what was left there on purpose, if that is all there is and as it was.

        Returns: whether the folders are as empty as they were; where not, nothing was removed.
        """
        marks, work = [mark(end) for end in self.folders], self.folders[0]
        if marks[1:] != self.baseline[1:] or marks[0][0] != self.baseline[0][0]:
            return False
        if not remove_known(work, left):
            return False
        self.baseline[0] = mark(work)
        return True

    def changes(self, *, keep: bool) -> list[list[Any]]:
        self.tell({"changes": keep})
        found: list[list[Any]] = self.hear("changes")[0]
        return found

    # ------------------------------------------------------------------------------------------------------ the server
    def spawn(self, order: bytes, fds: Sequence[int]) -> None:
        socket.send_fds(self.server, [order], list(fds))

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            self.server.send(b"end")

    def over(self) -> Over | None:
        """The record of the candidate's end, when it is there to be read.

        Raises: wire.PeerGoneError: the server is gone.
        """
        try:
            word = self.server.recv(zygote.ENDED.size)
        except OSError:
            word = b""
        if len(word) != zygote.ENDED.size:
            self.broken = True
            raise wire.PeerGoneError("the fork server is gone")
        return Over(*zygote.ENDED.unpack(word))

    def refuse(self, denials: dict[tuple[str, str], int]) -> None:
        """Take one report of the kernel, refuse the call, and write it down."""
        notification = bytearray(NOTIFICATION.size)
        try:
            fcntl.ioctl(self.listener, RECEIVE, notification)
        except OSError:  # the process that asked is gone
            return
        number, _, _, call, _, _, *args = NOTIFICATION.unpack(notification)
        with contextlib.suppress(OSError):
            fcntl.ioctl(self.listener, SEND, RESPONSE.pack(number, 0, -errno.EPERM, 0))
        key = describe(call, args)
        if key in denials or len(denials) < MAX_DENIALS:
            denials[key] = denials.get(key, 0) + 1

    def close(self) -> None:
        """End the worker and everything below it."""
        self.broken = True
        for end in (self.keeper, self.server):
            end.close()
        for fd in (*self.folders, *self.descriptors):
            os.close(fd)
        self.folders, self.descriptors = (), []
        try:
            self.process.wait(2.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()
        if self.group is not None:
            self.group.remove()


def mark(fd: int) -> tuple[int, ...]:
    """What changes when anything is made, removed or renamed in a folder, or the folder itself is changed."""
    entry = os.fstat(fd)
    return entry.st_mode, entry.st_nlink, entry.st_size, entry.st_mtime_ns, entry.st_ctime_ns


def write_maps(pid: int) -> None:
    """Make the worker's namespace one user: ours, or nobody where we are root.

    Raises: OSError: the kernel refuses.
    """
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        user = group = NOBODY
    else:
        with open(f"/proc/{pid}/setgroups", "w") as file:
            file.write("deny")
    for name, number in (("gid_map", group), ("uid_map", user)):
        with open(f"/proc/{pid}/{name}", "w") as file:
            file.write(f"0 {number} 1")


# --------------------------------------------------------------------------------------------------------- the denials
def _names() -> tuple[dict[int, str], dict[str, str]]:
    found = syscalls.table(platform.machine())
    if found is None:
        return {}, {}
    return {number: name for name, number in found[1].items()}, found[2]


NAME_OF, PURPOSE_OF = _names()
FAMILIES = {1: "AF_UNIX", 2: "AF_INET", 10: "AF_INET6", 16: "AF_NETLINK", 17: "AF_PACKET"}


def describe(number: int, args: Sequence[int]) -> tuple[str, str]:
    """A reported call in words: its name, and those arguments that say what was meant."""
    name = NAME_OF.get(number, f"call {number}")
    signed = [value - (1 << 32) if value & 0x80000000 else value & 0xFFFFFFFF for value in args]
    if name in ("kill", "tkill", "rt_sigqueueinfo"):
        return name, f"pid {signed[0]}, signal {signed[1]}"
    if name in ("tgkill", "rt_tgsigqueueinfo"):
        return name, f"group {signed[0]}, thread {signed[1]}, signal {signed[2]}"
    if name in ("socket", "socketpair"):
        return name, FAMILIES.get(args[0], f"family {args[0]}")
    if name in ("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_open"):
        return name, f"{'request' if name == 'ptrace' else 'pid'} {signed[0]}"
    if name in ("clone", "unshare", "setns"):
        return name, f"flags {args[1 if name == 'setns' else 0]:#x}"
    if name in ("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid"):
        return name, f"to {signed[0]}"
    return name, PURPOSE_OF.get(name, "")
