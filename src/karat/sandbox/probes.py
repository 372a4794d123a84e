"""Finds out which walls stand by sending a program against them, with targets that were put there for it."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Mapping

from karat.sandbox import policy
from karat.sandbox.types import Call, Limits, Program, Sandbox

SOURCE = """
import os

def attempt(action):
    try:
        return str(action())
    except BaseException:
        return ""

def read(path):
    with open(path) as file:
        return "it reads " + path if file.read() == "karat" else ""

def write(path):
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL))
    return "it writes " + os.path.dirname(path)

def connect(port):
    import socket
    socket.create_connection(("127.0.0.1", port), 1.0)
    return "it connects to 127.0.0.1"

def signal(pid):
    os.kill(pid, 0)
    return "it signals other processes"

def memory(pid):
    with open(f"/proc/{pid}/mem", "rb"):
        return "it opens the memory of other processes"

def parent(_):
    if os.getppid() <= 1:
        return ""
    os.kill(os.getppid(), 0)
    return "it signals its supervisor"

def leave(_):
    if os.fork() == 0:
        os.setsid()
        import time
        time.sleep(30)  # and ends by itself where nothing ends it
        os._exit(0)
    return "left"

def probe(path, beside, port, pid):
    tries = [(read, path), (write, beside), (connect, port), (signal, pid), (memory, pid), (parent, 0), (leave, 0)]
    return {action.__name__: attempt(lambda: action(argument)) for action, argument in tries}
"""


def what_got_through(sandbox: Sandbox) -> Mapping[str, str]:
    """Walls that a program got through, each with how; empty where all of those that are tried stand.

    Tried: host files, network, other processes, survivors, whether the grader's memory can be opened, and whether the
    kernel reported these attempts.
    """
    with tempfile.TemporaryDirectory(prefix="karat-probe-") as folder, socket.create_server(("127.0.0.1", 0)) as server:
        path, beside = os.path.join(folder, "target"), os.path.join(folder, "written")
        with open(path, "w", encoding="utf-8") as file:
            file.write("karat")
        os.chmod(folder, 0o777)
        call = Call("probe", (path, beside, server.getsockname()[1], os.getpid()))
        run = sandbox.run(Program(source=SOURCE, watch=False), [call], limits=Limits(wall_s=10, processes=4))
    reply = run.replies[0].value if run.replies else None
    if not isinstance(reply, dict):
        return dict.fromkeys(policy.WHAT_GETS_THROUGH, f"the probe could not be run: {run.message or run.ended}")
    found = {}
    for wall, names in (
        (policy.HOST_FILES, ("read", "write")),
        (policy.NETWORK, ("connect",)),
        (policy.OTHER_PROCESSES, ("signal", "memory")),
        (policy.ANSWERS, ("memory",)),
    ):
        ways = [str(reply.get(name)) for name in names if reply.get(name)]
        if ways:
            found[wall] = "; ".join(ways)
    if not run.denials:
        found[policy.KERNEL_RECORD] = "refused system calls were not reported"
    if "processes left behind could not be ended" in run.anomalies:
        found[policy.SURVIVORS] = "a process was left behind"
    elif reply.get("parent"):
        found[policy.SURVIVORS] = "it signals its supervisor, and can then leave a process behind"
    elif sys.platform != "linux":
        found[policy.SURVIVORS] = "this system gives nobody the orphans of a process"
    return found


__all__ = ["what_got_through"]
