"""A container for each program, by the command line of docker or podman: for machines where nothing else works.

Slow (the engine starts a container for each program) and as strong as the engine. The image only needs a Python:
karat's part that runs beside the program is mounted read-only, so the image need not be of the same version.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Sequence

from karat.errors import ResourceError
from karat.sandbox import policy, probes
from karat.sandbox.process import (
    PACKAGE,
    Place,
    ProcessSandbox,
    ProcessSession,
    check_program,
    settings_of,
    start_words,
)
from karat.sandbox.transport import Mux
from karat.sandbox.types import Limits, Program, Wall

ENGINES = ("docker", "podman")
IMAGE = "karat-sandbox"
"""Built by `docker build -t karat-sandbox -f containers/Containerfile .`; KARAT_SANDBOX_IMAGE names another."""
USER = "65534:65534"
WORK = "/work"
KARAT = "/karat"
OWN_PROCESSES = 2
"""The bridge and the supervisor."""
OWN_MEMORY_MB = 64
ANSWER_S = 10.0


def image() -> str:
    return os.environ.get("KARAT_SANDBOX_IMAGE", IMAGE)


def engine() -> str:
    """Path of the first engine that is installed; empty where none is."""
    return next((path for name in ENGINES if (path := shutil.which(name))), "")


def available() -> str:
    """Empty where an engine answers and has the image; else why not."""
    program = engine()
    if not program:
        return f"no container engine is installed ({' or '.join(ENGINES)})"
    name = os.path.basename(program)
    try:
        found = subprocess.run(
            [program, "image", "inspect", "--format", "{{.Id}}", image()],
            capture_output=True,
            timeout=ANSWER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{name} does not answer: {error}"
    if found.returncode == 0:
        return ""
    told = found.stderr.decode("utf-8", "replace").strip().splitlines()
    reason = told[-1][:200] if told else f"status {found.returncode}"
    if "no such image" in reason.lower() or "image not known" in reason.lower():
        return f"{name} has no image {image()!r}; run: {name} build -t {image()} -f containers/Containerfile ."
    return f"{name} does not answer: {reason}"


def run_command(program: Program, limits: Limits, *, name: str, packages: Sequence[str] = ()) -> list[str]:
    """The words after the engine's name that start one program."""
    settings = settings_of(program, limits, folder=WORK) | {
        "packages": [f"/packages/{number}" for number in range(len(packages))],
        "count_processes": False,  # the engine counts those of the container
    }
    options = ["run", "--interactive", "--rm", "--pull", "never", "--name", name, "--hostname", "sandbox"]
    options += ["--network", "none", "--ipc", "private", "--read-only", "--cap-drop", "ALL", "--user", USER]
    options += ["--security-opt", "no-new-privileges", "--log-driver", "none", "--workdir", WORK]
    options += ["--pids-limit", str(limits.processes + OWN_PROCESSES)]
    memory = f"{limits.memory_mb + limits.files_mb + OWN_MEMORY_MB}m"
    options += ["--memory", memory, "--memory-swap", memory, "--ulimit", "core=0"]
    execute = "exec" if program.kind == "command" else "noexec"
    options += ["--tmpfs", f"{WORK}:rw,nosuid,nodev,{execute},size={limits.files_mb}m,mode=1777"]
    mounts = [(str(PACKAGE / "sandbox" / "inside"), f"{KARAT}/sandbox/inside")]
    mounts += [(folder, f"/packages/{number}") for number, folder in enumerate(packages)]
    for source, target in mounts:
        options += ["--mount", f"type=bind,source={source},target={target},readonly"]
    return [*options, "--entrypoint", "python3", image(), *start_words("bridge", settings, package=KARAT)]


class ContainerSandbox(ProcessSandbox):
    """Starts a container for each program."""

    name = "container"

    def __init__(self, packages: Sequence[str] = ()) -> None:
        """Raises: ResourceError: no engine answers."""
        if reason := available():
            raise ResourceError(f"The container back end does not work here: {reason}.")
        self.packages = tuple(packages)
        self.engine = engine()
        self.tried: dict[str, str] | None = None

    def walls(self) -> tuple[Wall, ...]:
        """Each wall; those that a program can try are tried, once."""
        if self.tried is None:
            self.tried = dict(probes.what_got_through(self))
        through = self.tried | {policy.KERNEL_RECORD: "the engine has no way to pass refused system calls on"}
        return tuple(policy.wall(name, through.get(name, "")) for name in policy.WHAT_GETS_THROUGH)

    def open(self, program: Program, *, limits: Limits) -> ProcessSession:
        check_program(program)
        name = f"karat-{secrets.token_hex(8)}"

        def end_by_force() -> None:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):  # an engine that does not answer ends nothing
                subprocess.run([self.engine, "kill", name], capture_output=True, timeout=ANSWER_S, check=False)

        mux = Mux(end_by_force)
        mux.start([self.engine, *run_command(program, limits, name=name, packages=self.packages)])
        return ProcessSession(
            program, limits, Place(transport=mux, clean=lambda: None, backend=self.name, temporary=WORK)
        )
