"""Records of the sandbox: what is run, what is asked of it, what came back, and which walls stood around it.

Nothing here trusts the program that ran: every field of a `Run` is either seen from outside (marked so) or is the
program's own claim.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Protocol, runtime_checkable

from karat.errors import InputError
from karat.types import NAN

Plain = Any
"""A value of plain types only: None, bool, int, float, complex, str, bytes, and lists, tuples, sets, frozensets and
dicts of them; also Decimal, Fraction, range, deque and the datetime types, rebuilt from their data."""


# ----------------------------------------------------------------------------------------------------------- to run
MOST = 1e9
"""No limit is more: thirty years, a petabyte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one run may use in all. Reaching one ends the run; `Run.ended` says which."""

    wall_s: float = 10.0
    """Seconds by the clock for the whole run, all calls together: a hanging candidate costs this once."""
    cpu_s: float = 10.0
    """Seconds of processor time; decides before the clock does on a busy machine."""
    memory_mb: int = 1024
    """Address space of each process."""
    files_mb: int = 16
    """Size of the private file system."""
    output_kb: int = 1024
    """Printed text kept from each stream; sixteen times as much ends the run."""
    reply_kb: int = 4096
    """Size of one reply."""
    processes: int = 16
    """Processes and threads at once. Modules and scripts may start threads only, where the back end filters calls."""

    def __post_init__(self) -> None:
        """Raises: InputError: a limit that is no number above 0 (whole but for seconds), or too large to be counted."""
        for item in fields(self):
            value = getattr(self, item.name)
            number, kinds = ("finite", (int, float)) if item.name.endswith("_s") else ("whole", (int,))
            if type(value) not in kinds or not 0 < value <= MOST:
                raise InputError(
                    f"limits: {item.name} is {value!r}; it must be a {number} number above 0, and at most {MOST:.0e}."
                )


@dataclass(frozen=True, slots=True)
class Bait:
    """A honeypot: a value that no honest program has a reason to hold. Seen in an answer, it proves a reading."""

    place: Literal["frame", "object", "file", "environment", "module"]
    name: str
    """Variable, file path (below the working folder or absolute), environment variable or attribute."""
    content: str
    """What is found there (a Python literal for frames, objects and modules; text for files and the environment)."""
    token: str
    """The part of `content` that is unique to this run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Untrusted code and how to start it."""

    source: str | bytes = ""
    kind: Literal["module", "script", "command"] = "module"
    """module: executed once, then called; script: run as __main__ with `stdin`; command: `argv` is executed."""
    argv: tuple[str, ...] = ()
    stdin: bytes = b""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Put into the private working folder before the start, by relative path."""
    read_only: tuple[str, ...] = ()
    """Those of `files` that the program may read and not change."""
    environment: Mapping[str, str] = field(default_factory=dict)
    baits: tuple[Bait, ...] = ()
    asks: tuple[str, ...] = ()
    """Names given to the program as functions that are answered from outside (only for trusted test code)."""
    watch: bool = True
    """Whether audit hooks and seals record what the program does."""
    keep_files: bool = False
    """Whether changed files come back in `Run.files` with their content (bounded)."""


@dataclass(frozen=True, slots=True)
class Call:
    """One question to a running program."""

    target: str
    """`add`, `Solution.twoSum` (a class on the way is instantiated without arguments); a method name with `handle`."""
    args: tuple[Plain, ...] = ()
    kwargs: Mapping[str, Plain] = field(default_factory=dict)
    handle: int | None = None
    """Call a method of an object that an earlier reply kept."""
    keep: bool = False
    """Keep a result that is not plain, and answer with its handle."""
    hold: bool = False
    """Keep the result whatever it is: a new object of a class that derives from a plain type."""
    materialise: int = 0
    """Turn an iterator into a list of at most this many items; 0 leaves it, and it is then not a plain value."""
    returns_arguments: bool = False
    """The reply carries the positional arguments as they are after the call, so that a change in place is seen."""


@dataclass(frozen=True, slots=True)
class Handle:
    """Stands for an object that lives in the sandbox; may be an argument of a later call."""

    number: int
    type_name: str = ""


ReplyStatus = Literal["value", "raised", "handle", "not plain", "missing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back from one call, rebuilt from plain data. `missing`: nothing usable came (message says why)."""

    status: ReplyStatus
    value: Plain = None
    type_name: str = ""
    """Class of the value or of the exception, as the program's process named it."""
    message: str = ""
    line: int | None = None
    """Line of the candidate's source where an exception left it."""
    notes: tuple[str, ...] = ()
    """What the encoder remarked: `subclass of int: Always`, `overrides __eq__`, `array: numpy.ndarray`."""
    arguments: tuple[Plain, ...] = ()
    """The arguments after the call, where it asked for them; a Handle (-1) stands for one that is not plain."""
    wall_s: float = NAN
    """Seen from outside."""


# ---------------------------------------------------------------------------------------------------- what happened
Ended = Literal["done", "exit", "signal", "wall", "cpu", "memory", "output", "load", "fault"]
"""How a run ended: done (all calls answered or the script ran to its end), exit (the process left before it answered),
signal (killed by one that we did not send), wall / cpu / memory / output (a limit), load (the source does not compile
or raised while it was executed), fault (ours)."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One event of the interpreter's audit hooks in the program's process: evidence, written before the act."""

    name: str
    detail: str
    line: int | None
    """Line of the candidate's source that caused it; None when other code did."""
    count: int = 1


@dataclass(frozen=True, slots=True)
class Denial:
    """A system call that the kernel reported and refused; seen from outside, cannot be forged or hidden."""

    syscall: str
    detail: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class SealChange:
    """Something of the interpreter that was not as it had been: `builtins.len`, `sys.excepthook`, `time.time`."""

    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file that the program made, changed or removed in its private file system."""

    path: str
    change: Literal["added", "changed", "removed", "link"]
    size: int = 0
    content: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Everything that is known of one run."""

    ended: Ended
    message: str = ""
    """Why, in words; for `load` the exception and its line."""
    replies: tuple[Reply, ...] = ()
    exit_code: int | None = None
    signal: int | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    output_cut: bool = False
    events: tuple[AuditEvent, ...] = ()
    denials: tuple[Denial, ...] = ()
    seals: tuple[SealChange, ...] = ()
    files: tuple[FileChange, ...] = ()
    anomalies: tuple[str, ...] = ()
    """What did not fit the protocol: `extra reply`, `reply to no call`, `no farewell`, `evidence garbled`."""
    wall_s: float = NAN
    cpu_s: float = NAN
    peak_mb: float = NAN
    """Seen from outside, all processes of the run."""
    inside_wall_s: float = NAN
    """The same seconds by the program's own clock, as its process says: a changed clock shows in the difference."""
    backend: str = ""


# ------------------------------------------------------------------------------------------------------------ walls
@dataclass(frozen=True, slots=True)
class Wall:
    """One means of isolation and whether it stands here."""

    name: str
    stands: bool
    stops: str
    """What gets through where it does not stand."""
    why_not: str = ""


@runtime_checkable
class Session(Protocol):
    """A started program: called while it lives, closed once."""

    def call(self, call: Call, *, answer: Callable[[Call], Reply] | None = None) -> Reply:
        """Ask once. `answer` serves what the program itself asks (`Program.asks`) meanwhile. Never raises for what the
        program does: a dead program answers `missing`."""

    def close(self) -> Run:
        """End the program and everything that it started; the replies so far are in the Run."""


@runtime_checkable
class Sandbox(Protocol):
    """Runs untrusted programs, one at a time; a pool holds several. Use as a context manager."""

    @property
    def name(self) -> str: ...

    def walls(self) -> tuple[Wall, ...]: ...

    def open(self, program: Program, *, limits: Limits) -> Session: ...

    def run(self, program: Program, calls: Sequence[Call] = (), *, limits: Limits) -> Run:
        """Start, ask the calls one at a time, end. A script or command takes no calls."""

    def close(self) -> None: ...

    def __enter__(self) -> Sandbox: ...

    def __exit__(self, *_: object) -> None: ...
