"""The worker inside its walls: a keeper of the file system, and a fork server that makes one process per candidate.

    launcher  enters new user, mount, network, ipc, uts and pid namespaces, builds a small root, waits for the keeper
    keeper    first process of the worker's pid namespace: mounts the private files anew, puts files, lists changes.
              Its end is the end of everything below it
    server    no privileges, under Landlock and the filter; forks. Its memory never holds anything of a candidate:
              programs, calls and replies pass between the trusted side and the candidate directly
    candidate first process of its own user and pid namespaces

Nothing of a task's expected outputs is in any of them.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import select
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from karat.sandbox.inside import audit, case, child, folder, kernel, landlock, seccomp, wire

CONTROL, RESERVED = 40, 6
"""Where the server keeps its socket; descriptors of a candidate are below RESERVED."""

BOX = "/box/files"
WORK = f"{BOX}/work"
FOLDERS = ("work", "tmp", "shm")
NEW_ROOT = "/tmp"
DEVICES = ("null", "zero", "full", "random", "urandom")
MAX_NODES = 16_384
"""Files and folders that fit into the private file system."""

ORDER = struct.Struct("<BQQQIB")
"""Spawn: kind (CODE or COMMAND), address space in bytes, processor seconds, file size in bytes, processes, stdin."""
ENDED = struct.Struct("<iddQQ")
"""Wait status, user and system seconds, peak resident kB, page faults."""
CODE, COMMAND, END = 0, 1, 2
OPEN_FILES = 256


PRACTICE = 20
"""Often enough for the interpreter to have specialised its instructions."""

SAMPLE: dict[str, Any] = {
    "source": "def add(a, b):\n    return [a + b]\n",
    "kind": "module",
    "argv": [],
    "environment": {},
    "baits": [["frame", "expected", "[1]"], ["object", "grader", '{"t":[1,"a"]}']],
    "asks": [],
    "watch": True,
}
SAMPLE_CALL: dict[str, Any] = {
    "call": {
        "target": "add",
        "args": [1, 2],
        "kwargs": {},
        "handle": None,
        "keep": False,
        "materialise": 0,
        "returns_arguments": False,
    }
}
"""What the server practises on."""


SETTINGS = (
    "sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns"
)
"""Where Linux distributions forbid what the launcher needs."""


# ---------------------------------------------------------------------------------------------------------- launcher
def launch(keeper_fd: int, server_fd: int) -> NoReturn:
    """Entry of the worker's first process, with the trusted side's two sockets. Leaves when the keeper does."""
    keeper = socket.socket(fileno=keeper_fd)
    server = socket.socket(fileno=server_fd)
    config = wire.load(wire.read_frame(keeper_fd))
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
    with step("make namespaces", "allow this user to make user namespaces: " + SETTINGS):
        if os.geteuid() == 0:
            os.setgroups([])
        kernel.unshare(kernel.CLONE_NEW_ANY)
    tell(keeper, {"map": True})
    wire.read_frame(keeper_fd)
    with step("mount what programs may read", "allow mounts in user namespaces: " + SETTINGS):
        build_root(config)
    pid = os.fork()
    if pid:
        keeper.close()
        server.close()
        status = os.waitpid(pid, 0)[1]
        os._exit(os.waitstatus_to_exitcode(status) & 0x7F)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, 9)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    mount_box(int(config["files_mb"]), command=config["command"])
    if os.fork() == 0:
        keeper.close()
        Server(server, config).serve()
    server.close()
    Keeper(keeper, config).serve()


@contextlib.contextmanager
def step(what: str, remedy: str) -> Iterator[None]:
    """Leave with one line on standard error, which the trusted side passes on, where the kernel refuses."""
    try:
        yield
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        sys.exit(f"it cannot {what} ({named}{error.strerror}); {remedy}")


def tell(to: socket.socket, message: Any, fds: Sequence[int] = ()) -> None:
    payload = wire.dump(message)
    socket.send_fds(to, [wire.LENGTH.pack(len(payload)) + payload[: 1 << 15]], list(fds))
    if len(payload) > 1 << 15:
        to.sendall(payload[1 << 15 :])


def build_root(config: dict[str, Any]) -> None:
    """A small root of read-only mounts, entered for good. The mounts are taken with the rights of whoever started
    the worker; from then on it is a user without rights outside."""
    kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    trees = [(path, kernel.clone_tree(path)) for path in config["binds"]]
    devices = [(f"/dev/{name}", kernel.clone_tree(f"/dev/{name}")) for name in DEVICES]
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    os.umask(0o022)
    kernel.call("sethostname", b"sandbox", 7)
    kernel.mount("root", NEW_ROOT, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,nr_inodes=4096,mode=755")
    for path, tree in trees:
        kernel.restrict_tree(tree, kernel.MOUNT_ATTR_RDONLY | kernel.MOUNT_ATTR_NOSUID | kernel.MOUNT_ATTR_NODEV)
        attach(tree, NEW_ROOT + path)
    for path, tree in devices:
        kernel.restrict_tree(tree, kernel.MOUNT_ATTR_NOSUID)
        attach(tree, NEW_ROOT + path)
    for path in config["hidden"]:
        if os.path.isdir(NEW_ROOT + path):
            kernel.mount("hidden", NEW_ROOT + path, "tmpfs", kernel.MS_RDONLY | kernel.MS_NOSUID, "size=4k,mode=555")
    for path, content in config["texts"].items():
        os.makedirs(os.path.dirname(NEW_ROOT + path), exist_ok=True)
        with open(NEW_ROOT + path, "w") as file:
            file.write(content)
    for path, target in config["links"].items():
        os.makedirs(os.path.dirname(NEW_ROOT + path), exist_ok=True)
        if not os.path.lexists(NEW_ROOT + path):  # what is bound may lie below it: an installation in /tmp
            os.symlink(target, NEW_ROOT + path)
    os.makedirs(NEW_ROOT + BOX)
    kernel.pivot_root(NEW_ROOT)
    kernel.mount(
        "", "/", "", kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV
    )


def attach(tree: int, target: str) -> None:
    """Attach a detached mount at a path that is made for it: a folder, or a file for a file."""
    if os.path.isdir(f"/proc/self/fd/{tree}"):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    kernel.attach_tree(tree, target)
    os.close(tree)


def mount_box(files_mb: int, *, command: bool) -> None:
    """The private file system: empty, of its own size."""
    flags = kernel.MS_NOSUID | kernel.MS_NODEV | (0 if command else kernel.MS_NOEXEC)
    kernel.mount("files", BOX, "tmpfs", flags, f"size={max(1, files_mb)}m,nr_inodes={MAX_NODES},mode=755")
    for name in FOLDERS:
        os.mkdir(f"{BOX}/{name}", 0o700)


# ------------------------------------------------------------------------------------------------------------ keeper
class Keeper:
    """Answers the trusted side about files. Asked only when there are any."""

    def __init__(self, control: socket.socket, config: dict[str, Any]) -> None:
        self.control, self.command = control, bool(config["command"])
        self.given: dict[str, bytes] = {}

    def serve(self) -> NoReturn:
        self.send_folders()
        while True:
            try:
                order = wire.load(wire.read_frame(self.control.fileno()))
            except wire.PeerGoneError:
                os._exit(0)
            if "fresh" in order:
                self.fresh(order)
            elif "changes" in order:
                tell(self.control, {"changes": folder.changes(WORK, self.given, keep=order["changes"])})
            self.reap()

    def fresh(self, order: dict[str, Any]) -> None:
        """A new private file system, with the program's files."""
        kernel.unmount(BOX)
        mount_box(int(order["fresh"]), command=self.command)
        self.given = {path: wire.decode(content) for path, content in order["files"].items()}
        folder.write(WORK, self.given, ())
        above = {parent for path in order["read_only"] for parent in folder.parents(path)[1:]}
        for parent in sorted(above):
            # a mount of its own: a folder that is one cannot be renamed or removed, and another put in its place
            tree = kernel.clone_tree(f"{WORK}/{parent}")
            kernel.attach_tree(tree, f"{WORK}/{parent}")
            os.close(tree)
        for path in order["read_only"]:
            place = f"{WORK}/{path}"
            os.chmod(place, 0o444)
            tree = kernel.clone_tree(place)
            kernel.restrict_tree(tree, kernel.MOUNT_ATTR_RDONLY | kernel.MOUNT_ATTR_NOSUID)
            kernel.attach_tree(tree, place)
            os.close(tree)
        self.send_folders()

    def send_folders(self) -> None:
        """Descriptors of the folders, by which the trusted side sees whether anything was written."""
        ends = [os.open(f"{BOX}/{name}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) for name in FOLDERS]
        tell(self.control, {"folders": len(ends)}, ends)
        for end in ends:
            os.close(end)

    def reap(self) -> None:
        """The server's end is ours too; anything else that became our child was left by a candidate."""
        try:
            while True:
                pid, _ = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
        except ChildProcessError:
            os._exit(1)


# ------------------------------------------------------------------------------------------------------------ server
def ignore(**_: Any) -> None:
    """Takes the place of os.register_at_fork while modules are preloaded."""


class Server:
    """Forks candidates. Everything that can be done once is done before the first."""

    def __init__(self, control: socket.socket, config: dict[str, Any]) -> None:
        self.config = config
        self.control = self.place(control)
        sys.path += config["packages"]
        sys.argv[1:] = []
        sys.orig_argv[:] = [sys.executable]
        register = os.register_at_fork
        os.register_at_fork = ignore  # random would seed itself anew in each candidate; nothing else needs it
        for name in config["preload"]:
            with contextlib.suppress(ImportError):  # not in this interpreter
                __import__(name)
        os.register_at_fork = register
        self.no_capabilities = kernel.prepared("capset", kernel.CAPABILITY_HEADER, kernel.NO_CAPABILITIES)
        self.own = seccomp.Filter(seccomp.own_filter())
        self.cloner = kernel.Cloner()
        self.code = seccomp.Filter(seccomp.filter_for(config["command"]))
        child.add_site_names()
        self.watch = audit.Watch(child.EVIDENCE, child.SOURCE_NAME)

    def place(self, control: socket.socket) -> socket.socket:
        """Our descriptors above those of a candidate, whose places are filled so that nothing received lands there."""
        os.dup2(control.detach(), CONTROL)
        kernel.close_from(CONTROL + 1)
        os.closerange(3, CONTROL)
        for end in range(3, RESERVED):
            os.dup2(0, end)
        return socket.socket(fileno=CONTROL)

    def harden(self) -> int:
        """Privileges away, files restricted, calls filtered. Returns the listener of the filter."""
        for name, value in (("NOFILE", OPEN_FILES), ("CORE", 0), ("MEMLOCK", 0), ("MSGQUEUE", 0), ("SIGPENDING", 1024)):
            number = getattr(resource, f"RLIMIT_{name}")
            resource.setrlimit(number, (value, value))
        kernel.drop_capabilities()
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
        self.landlock_version = landlock.abi()
        if self.landlock_version:
            readable = [*self.config["binds"], *self.config["texts"], *self.config["links"]]
            executable = self.config["binds"] if self.config["command"] else []
            landlock.restrict(
                read=[*[path for path in readable if os.path.exists(path)], "/dev/zero", "/dev/random", "/dev/urandom"],
                write=["/box", "/dev/null", "/dev/full"],
                execute=[*executable, *(["/box"] if self.config["command"] else [])],
            )
        return self.code.install_with_listener()

    def serve(self) -> NoReturn:
        self.practise()
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            listener = self.harden()
        except OSError as error:
            self.control.send(f"{error.filename}: {error.strerror}".encode())
            os._exit(1)
        socket.send_fds(self.control, [b"ready %d" % self.landlock_version], [listener])
        os.close(listener)
        control, poll = self.control, select.poll()
        poll.register(control, select.POLLIN)
        while True:
            order, ancillary, _, _ = control.recvmsg(ORDER.size, socket.CMSG_SPACE(5 * 4))
            if not order:
                os._exit(0)
            if len(order) == ORDER.size:  # anything shorter is a word to end a candidate that has ended by itself
                self.spawn(order, ancillary, poll)

    def practise(self) -> None:
        """Do here what every candidate does, so that what is made on first use is made before the fork."""
        if "random" in sys.modules:
            sys.modules["random"].seed(0)
        messages = (SAMPLE, SAMPLE_CALL, SAMPLE_CALL, {"end": True})
        asked = b"".join(wire.LENGTH.pack(len(part)) + part for part in map(wire.dump, messages))
        reader, writer = os.pipe()
        os.dup2(reader, child.REQUESTS)  # at the other places of a candidate is /dev/null, where all answers go
        for _ in range(PRACTICE):
            os.write(writer, asked)
            job = wire.load(wire.read_frame(child.REQUESTS))
            case.prepare(job.pop("baits"), self.watch, child.source_of(job))
            objects: dict[int, Any] = {}
            namespace = child.load(job, None, objects)
            assert namespace is not None
            wire.write_frame(child.REPLIES, wire.dump({"ready": True}))
            child.answer_calls(namespace, objects)
            self.watch.farewell(0.001)
            sys.modules.pop("solution")
        case.prepare([], None)
        os.dup2(0, child.REQUESTS)
        os.close(reader)
        os.close(writer)

    def spawn(self, order: bytes, ancillary: Any, poll: Any) -> None:
        fds = struct.unpack(f"{len(ancillary[0][2]) // 4}i", ancillary[0][2])
        pid, pidfd = self.cloner.clone()
        if pid == 0:
            self.become(ORDER.unpack(order), fds)
        for end in fds:
            os.close(end)
        poll.register(pidfd, select.POLLIN)
        while True:
            ready = poll.poll()
            if any(end == pidfd for end, _ in ready):
                break
            word = self.control.recv(ORDER.size)
            kernel.call("pidfd_send_signal", pidfd, 9, 0, 0)
            if not word:  # the trusted side is gone
                os._exit(0)
        _, status, usage = os.wait4(pid, 0)
        poll.unregister(pidfd)
        os.close(pidfd)
        self.control.send(ENDED.pack(status, usage.ru_utime, usage.ru_stime, usage.ru_maxrss, usage.ru_minflt))

    def become(self, order: tuple[int, int, int, int, int, int], fds: Sequence[int]) -> NoReturn:
        """In the new process: its descriptors, its limits, its filter, and then the program."""
        kind, memory, cpu_s, file_size, processes, stdin = order
        channel, evidence, stdout, stderr = fds[:4]
        # opened anew where there is none: flags and locks of a description that all share would meet the next program
        os.dup2(fds[4] if stdin else os.open("/dev/null", os.O_RDWR), 0)
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        os.dup2(channel, child.REQUESTS)
        os.dup2(channel, child.REPLIES)
        os.dup2(evidence, child.EVIDENCE)
        os.closerange(RESERVED, OPEN_FILES)
        os.chdir(WORK)
        for number, value in (
            (resource.RLIMIT_AS, memory),
            (resource.RLIMIT_CPU, cpu_s),
            (resource.RLIMIT_FSIZE, file_size),
            (resource.RLIMIT_NPROC, processes),
        ):
            resource.setrlimit(number, (value, value))
        kernel.repeat(self.no_capabilities)
        self.own.install()
        gc.enable()
        job = wire.load(wire.read_frame(child.REQUESTS))
        if job["environment"]:
            os.environ.update(job["environment"])
        if kind == COMMAND:
            run_command(job)
        child.serve(job, self.watch)
        os._exit(0)


def run_command(job: dict[str, Any]) -> NoReturn:
    """The first process of the namespace: starts the command, reaps what is left to it, tells how the command ended.
    When it leaves, the kernel ends all that is left."""
    pid = os.fork()
    if pid == 0:
        kernel.close_from(3)
        try:
            os.execvp(job["argv"][0], job["argv"])
        except OSError as error:
            os.write(2, f"{job['argv'][0]}: {error.strerror}\n".encode())
            os._exit(126 if isinstance(error, PermissionError) else 127)
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            wire.write_frame(child.REPLIES, wire.dump({"status": code}))
            os._exit(code & 0xFF if code >= 0 else 128 - code)
