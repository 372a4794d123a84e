"""What the candidate's interpreter does, written down before it does it: audit hooks, and a seal of what graders use.

An event of the standard library on an honest errand is none: namedtuple, logging, enum and typing read frames. So each
event is judged with its caller: code of the standard library is known by its file; all other code is the candidate's,
whatever name it gave itself (a compiled name inside the standard library is reported and no longer believed).
Python code cannot remove an audit hook; native code can. What has been written to the evidence descriptor stays.
Nothing that the hook uses can be looked up by name: it is all in cells of functions that no module holds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from karat.sandbox.inside import seal

try:
    from _json import encode_basestring_ascii as quote
except ImportError:  # an interpreter without the accelerator
    from json.encoder import py_encode_basestring_ascii as quote

MAX_EVENTS = 60
"""Distinct events of one name that are written: a flood of one kind hides no other."""
MAX_LOOKS = 20_000
"""Frames and attributes that are looked into; a program that reads millions is not slowed for ever."""
MAX_SOURCES = 40
"""Sources compiled by the candidate that are looked at; a calculator may call eval a million times."""
MAX_DETAIL = 240
MAX_SOURCE = 4000
"""Characters kept of source that the candidate compiles itself: the trusted side reads it as it reads the rest."""
MAX_FRAMES = 400
"""Frames that are climbed to find the candidate's line."""

ALWAYS = """
    subprocess.Popen os.system os.exec os.posix_spawn os.spawn os.startfile os.fork os.forkpty exec.fork_exec
    os.kill os.killpg signal.pthread_kill pty.spawn
    gc.get_objects gc.get_referrers gc.get_referents sys._current_frames sys._current_exceptions
    sys.settrace sys.setprofile sys.monitoring.register_callback sys.addaudithook cpython._PySys_ClearAuditHooks
    ctypes.dlopen ctypes.dlsym ctypes.dlsym/handle ctypes.addressof ctypes.string_at ctypes.wstring_at ctypes.cdata
    ctypes.cdata/buffer ctypes.call_function ctypes.PyObj_FromPtr ctypes.seh_exception
    socket.__new__ socket.connect socket.bind socket.getaddrinfo socket.sendto urllib.Request http.client.connect
    ftplib.connect smtplib.connect telnetlib.Telnet.open
    resource.setrlimit resource.prlimit mmap.__new__ cpython.PyInterpreterState_New cpython.run_command
    os.remove os.rename os.link os.symlink os.truncate os.rmdir os.mkdir os.chmod os.chown os.chflags os.utime
    os.setxattr os.chroot shutil.copyfile shutil.rmtree shutil.move shutil.make_archive
    os.listdir os.scandir os.walk os.fwalk glob.glob os.chdir
    os.putenv os.unsetenv sqlite3.connect webbrowser.open
"""
"""Events that count whoever was asked to cause them (except while modules are imported)."""

FRAME_READERS = ("inspect.py", "traceback.py", "bdb.py", "pdb.py", "code.py")
"""Modules that read frames on their caller's behalf; all others read them for themselves."""

CODE_RUNNERS = ("timeit.py", "code.py", "codeop.py", "profile.py", "cProfile.py", "trace.py", "runpy.py", "bdb.py")
"""Modules that compile a source on their caller's behalf."""

FILE_ERRANDS = ("linecache.py", "tokenize.py", "pkgutil.py", "zipimport.py", "gettext.py", "locale.py", "mimetypes.py")
"""Modules that open or list files for purposes of their own."""

FRAME_NAMES = frozenset(("tb_frame", "gi_frame", "cr_frame", "ag_frame", "f_back", "f_locals", "f_globals"))
CODE_NAMES = frozenset(("__code__", "gi_code", "cr_code", "ag_code", "f_code"))
REWRITES = frozenset(
    ("__code__", "__defaults__", "__kwdefaults__", "__closure__", "__globals__", "__class__", "__bases__")
)

TELLING_IMPORTS = """
    pytest unittest doctest ctypes cffi multiprocessing test tests karat sitecustomize usercustomize
"""
TELLING_WORDS = """
    test_ _test conftest grader grading harness evaluat scorer reference canonical answer expected hidden verifier
    reward oracle gold solution_ checker judge
"""
"""Parts of the names of modules that an answer has no reason to import."""


class Watch:
    """Audit hooks from before the candidate's first line, and a comparison of sealed names after each call."""

    def __init__(self, evidence_fd: int, source_name: str) -> None:
        self.fd, self.source_name = evidence_fd, source_name
        self.changes = seal.make_check()
        write = make_write(evidence_fd)
        record, sent = make_record(write)
        self.tell, self.last = make_messages(write, sent)
        self.report, self.hook = make_hook(record, source_name)

    def start(self) -> None:
        """From here on events count as the candidate's."""
        sys.addaudithook(self.hook)
        del self.hook

    def check(self, *, whole: bool = False) -> None:
        """Report what of the sealed names has changed: the usual ones, or all."""
        self.tell(self.changes(whole))

    def farewell(self, inside_wall_s: float) -> None:
        """The last words: the seal, the seconds by this process's clock, and how many events were written."""
        self.check(whole=True)
        self.last(inside_wall_s)


def make_hook(record: Any, source_name: str) -> tuple[Callable[[str, str], None], Callable[[str, Any], None]]:
    """A function that reports an event of our own, and the audit hook."""
    asking: list[bool] = []
    caller, disbelieve = make_caller(source_name, asking)
    text = make_text()
    handlers: dict[str, Callable[[str, Any], None]] = {}

    def always(event: str, args: Any) -> None:
        kind, line, via = caller()
        if kind != "import":
            detail = ", ".join([text(arg) for arg in args[:3]])
            record(event, f"{detail} via {via}" if kind == "library" else detail, line)

    _handle_frames(handlers, record, caller, text, asking)
    _handle_code(handlers, record, caller, text, disbelieve)
    _handle_files(handlers, record, caller, text)
    for name in ALWAYS.split():
        handlers.setdefault(name, always)
    find = handlers.get
    quiet = (RecursionError, MemoryError, TypeError, ValueError, LookupError, AttributeError)

    def hook(event: str, args: Any) -> None:
        handler = find(event)
        if handler is not None:
            try:
                handler(event, args)
            except quiet:
                return  # a hook that raises would stop an honest program

    def report(name: str, detail: str) -> None:
        record(name, detail, caller()[1])

    return report, hook


def make_write(fd: int) -> Callable[[str], None]:
    """A function that writes one frame. It needs nothing that a candidate can replace by name."""
    write, size_of, fault = os.write, len, OSError

    def send(message: str) -> None:
        payload = message.encode("ascii")
        try:
            write(fd, size_of(payload).to_bytes(4, "big") + payload)
        except fault:
            return  # closed by the candidate: the trusted side sees the early end

    return send


def make_messages(
    write: Callable[[str], None], sent: Callable[[], int]
) -> tuple[Callable[[Any], None], Callable[[float], None]]:
    """Functions that tell changes of the seal, and say farewell."""
    quoted = quote

    def tell(found: list[tuple[str, str]]) -> None:
        if found:
            pairs = ",".join([f"[{quoted(name)},{quoted(detail)}]" for name, detail in found])
            write(f'{{"seal":[{pairs}]}}')

    def last(seconds: float) -> None:
        write(f'{{"bye":{seconds.__repr__()},"events":{sent().__repr__()}}}')

    return tell, last


def make_record(write: Callable[[str], None]) -> tuple[Callable[..., None], Callable[[], int]]:
    """A function that writes each distinct event once, and the count of what it wrote."""
    quoted = quote
    seen: set[Any] = set()
    counts: dict[str, int] = {}
    total = [0]

    def record(name: str, detail: str, line: int | None, limit: int = MAX_DETAIL) -> None:
        detail = detail[:limit]
        key = (name, detail, line)
        if key in seen:
            return
        count = counts[name] = counts.get(name, 0) + 1
        if count > MAX_EVENTS:
            if count > MAX_EVENTS + 1:
                return
            name, detail = "karat.flood", name
        seen.add(key)
        place = "null" if line is None else line.__repr__()
        total[0] += 1
        write(f'{{"event":[{quoted(name)},{quoted(detail)},{place}]}}')

    return record, lambda: total[0]


def make_caller(source_name: str, asking: list[bool]) -> tuple[Callable[[], tuple[str, int | None, str]], Any]:
    """A function that says who caused the event that is being handled, and one that stops believing a file name.

    The first returns the kind of the direct caller (`candidate`, `library`, `import` for the import system), the
    candidate's line, and for a library its file and function. `asking` is not empty while it asks for frames itself,
    which causes events, too.
    """
    frame_of = sys._getframe
    library = (os.path.dirname(os.__file__) + "/", os.path.dirname(__file__) + "/", "<frozen ", *_site_folders())
    unbelieved: set[str] = set()
    most = MAX_FRAMES
    depth = 4  # look, caller, the handler, the hook

    def caller() -> tuple[str, int | None, str]:
        asking.append(True)
        try:
            return look()
        finally:
            asking.clear()

    def look() -> tuple[str, int | None, str]:
        frame: Any = frame_of(depth)
        name = frame.f_code.co_filename
        kind, via = "candidate", ""
        if name.startswith(library) and name not in unbelieved:
            kind, via = "library", f"{name.rpartition('/')[2]}:{frame.f_code.co_name}"
            if name.startswith("<frozen importlib"):
                kind = "import"
        steps = 0
        while frame is not None and steps < most:
            if name == source_name:
                return kind, frame.f_lineno, via
            frame, steps = frame.f_back, steps + 1
            if frame is not None:
                name = frame.f_code.co_filename
        return kind, None, via

    def disbelieve(name: str) -> bool:
        claims = name.startswith(library)
        if claims:
            unbelieved.add(name)
        return claims

    return caller, disbelieve


def _site_folders() -> list[str]:
    return [path.rstrip("/") + "/" for path in sys.path if path.endswith(("site-packages", "dist-packages"))]


def make_text() -> Callable[[Any], str]:
    """A function that puts an argument into words without running the candidate's code."""
    name_of: Any = type.__dict__["__name__"].__get__
    home_of: Any = type.__dict__["__module__"].__get__
    kind_of, show, as_text, as_bytes, numbers, lists = type, repr, str, bytes, (int, bool), (list, tuple)

    def text(value: Any) -> str:
        kind = kind_of(value)
        if kind is as_text:
            return value  # type: ignore[no-any-return]
        if value is None or kind in numbers:
            return show(value)
        if kind is as_bytes:
            return value.decode("utf-8", "replace")  # type: ignore[no-any-return]
        if kind in lists:
            return " ".join([text(item) for item in value[:8]])
        if home_of(kind) == "pathlib":
            return value.__fspath__()  # type: ignore[no-any-return]
        return name_of(kind)  # type: ignore[no-any-return]

    return text


# ----------------------------------------------------------------------------------------------------------- handlers
def _handle_frames(handlers: dict[str, Any], record: Any, caller: Any, text: Any, asking: list[bool]) -> None:
    """Frames, and attributes of frames, tracebacks, generators and functions."""
    frame_names, code_names, rewrites, readers = FRAME_NAMES, CODE_NAMES, REWRITES, FRAME_READERS
    looks = [MAX_LOOKS]

    def tire(event: str) -> None:
        looks[0] -= 1
        if looks[0] == 0:
            record("karat.flood", event, None)
            handlers.pop("sys._getframe", None)
            handlers.pop("object.__getattr__", None)

    def get_frame(event: str, args: Any) -> None:
        if asking:
            return
        tire(event)
        kind, line, via = caller()
        if kind == "candidate" or via.startswith(readers):
            record("sys._getframe", via, line)

    def read(event: str, args: Any) -> None:
        attribute = args[1]
        if asking:
            return
        if attribute in frame_names or attribute in code_names:
            tire(event)
            kind, line, _ = caller()
            if kind == "candidate":
                record("read", f"{text(args[0])}.{attribute}", line)

    def rewrite(event: str, args: Any) -> None:
        if args[1] in rewrites:
            kind, line, _ = caller()
            if kind == "candidate":
                record("rewrite", f"{text(args[0])}.{args[1]}", line)

    handlers["sys._getframe"] = get_frame
    handlers["object.__getattr__"] = read
    handlers["object.__setattr__"] = rewrite


def _handle_code(handlers: dict[str, Any], record: Any, caller: Any, text: Any, disbelieve: Any) -> None:
    """Code that the candidate makes: sources, code objects, functions, unpickled names, imports that tell."""
    left, limit, telling = [MAX_SOURCES], MAX_SOURCE, frozenset(TELLING_IMPORTS.split())
    runners = CODE_RUNNERS
    words, any_ = tuple(TELLING_WORDS.split()), any

    def compiled(event: str, args: Any) -> None:
        kind, line, via = caller()
        if kind != "candidate" and not via.startswith(runners):
            return
        if kind == "candidate" and disbelieve(text(args[1])):
            record("borrowed file name", text(args[1]), line)
        record("compile", text(args[0]), line, limit)
        left[0] -= 1
        if left[0] <= 0:
            handlers.pop("compile", None)

    def new_code(event: str, args: Any) -> None:
        kind, line, _ = caller()
        if kind == "candidate":
            if event == "code.__new__" and disbelieve(text(args[1])):
                record("borrowed file name", text(args[1]), line)
            record(event, "", line)

    def unpickled(event: str, args: Any) -> None:
        _, line, _ = caller()
        record(event, f"{text(args[0])}.{text(args[1])}", line)

    def imported(event: str, args: Any) -> None:
        name = text(args[0])
        low = name.lower()
        if name in telling or any_([word in low for word in words]):
            kind, line, _ = caller()
            if line is not None and kind != "library":
                record(event, name, line)

    handlers["compile"] = compiled
    handlers["code.__new__"] = handlers["function.__new__"] = new_code
    handlers["pickle.find_class"] = unpickled
    handlers["import"] = imported

    def unmarshalled(event: str, args: Any) -> None:
        kind, line, _ = caller()
        if kind == "candidate":
            record(event, "", line)

    handlers["marshal.loads"] = handlers["marshal.load"] = unmarshalled


def _handle_files(handlers: dict[str, Any], record: Any, caller: Any, text: Any) -> None:
    """Files by path, with what is meant to be done to them."""
    errands, writing, ours = FILE_ERRANDS, os.O_WRONLY | os.O_RDWR, "library"

    def opened(event: str, args: Any) -> None:
        kind, line, via = caller()
        if kind == "import" or (kind == ours and via.startswith(errands)):
            return
        path, mode, flags = args
        word = text(mode) if mode is not None else "w" if flags & writing else "r"
        record(event, f"{word} {text(path)}", line)

    handlers["open"] = opened
