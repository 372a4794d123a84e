"""The candidate's end of a proxied test suite: imports its modules, does one operation at a time, answers with data.

`perform(text)` takes a request and returns a response, both JSON texts, so that nothing but a string crosses the
channel. Objects that are not plain stay here and cross as numbered handles. A function of the test that was given as an
argument is a `Callback`: calling it answers the open request with a callback, and the next request resumes it.

Request   {"f": name of an operation, "args": [...], "kwargs": {...}}, or {"resume": value} / {"raise": [...]}.
Response  {"value": ..., "changed": {index: value}, "out": text, "err": text, "warnings": [...]}, {"raised": {...}}, or
          {"callback": number, "args": [...], "kwargs": {...}}.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import importlib.util
import io
import operator
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from types import CodeType, CoroutineType, FunctionType, MethodType, ModuleType
from typing import Any

from karat.sandbox.inside import wire

SOURCE_NAME = "<candidate>"
TEXT_LENGTH = 100_000
MUTABLE = (list, dict, set, bytearray)

SPECIALS = (
    *("len", "getitem", "setitem", "delitem", "contains", "iter", "next", "reversed", "enter", "exit", "call", "bool"),
    *("str", "repr", "format", "int", "float", "complex", "index", "round", "abs", "neg", "pos", "invert", "hash"),
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "divmod", "pow", "matmul", "lshift", "rshift"),
    *("and", "or", "xor", "radd", "rsub", "rmul", "rtruediv", "rfloordiv", "rmod", "rpow", "rmatmul", "rand", "ror"),
    *("rxor", "iadd", "isub", "imul", "itruediv", "iand", "ior", "ixor", "eq", "ne", "lt", "le", "gt", "ge"),
    *("await", "bytes", "trunc", "floor", "ceil", "missing", "length_hint"),
)
"""Special methods that a stand-in has where the candidate's class has them."""

OBJECTS: dict[int, Any] = {}
NUMBERS: dict[int, int] = {}
REPLACED: dict[tuple[int, str], Any] = {}
MISSING = object()


# ------------------------------------------------------------------------------------------------------------ modules
class FolderFinder:
    """Finds the candidate's modules in its working folder, before anything of the same name elsewhere.

    It is put in place with this module, before anything is sealed, and finds nothing until `open`.
    """

    def __init__(self) -> None:
        self.root = ""
        self.folders: list[str] = []
        self.skip: frozenset[str] = frozenset()

    def open(self, folders: Sequence[str], skip: Sequence[str] = ()) -> None:
        """From now on find modules in the working folder and in these below it, except the files to skip."""
        self.root = os.getcwd()
        self.folders = [os.path.join(self.root, folder) for folder in folders] + [self.root]
        self.skip = frozenset(os.path.join(self.root, path) for path in skip)
        sys.modules.pop("solution", None)  # the program's own source, which is empty: its modules are files

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if not self.root:
            return None
        places = self.folders if path is None else [place for place in path if str(place).startswith(self.root)]
        spec = importlib.machinery.PathFinder.find_spec(name, places) if places else None
        if spec is not None and spec.origin in self.skip:
            return None  # a test file: whoever runs the tests loads it
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = FolderLoader(spec.loader.name, spec.loader.path)
        return spec


class FolderLoader(importlib.machinery.SourceFileLoader):
    """Compiles under a name that marks the code as the candidate's, so that evidence has its line."""

    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> CodeType:  # type: ignore[override]
        code: CodeType = compile(data, SOURCE_NAME, "exec", dont_inherit=True, optimize=_optimize)
        return code

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


FINDER = FolderFinder()
if sys.modules["karat"].__spec__ is None:  # inside: there the packages above this one are stubs
    sys.meta_path.insert(0, FINDER)


def import_module(name: str, folders: list[str]) -> ModuleType:
    if not FINDER.root:
        FINDER.open(folders)
    return importlib.import_module(name)


def public_names(module: ModuleType) -> list[str]:
    names = getattr(module, "__all__", None)
    return [str(n) for n in (vars(module) if names is None else names) if not str(n).startswith("_")]


# ------------------------------------------------------------------------------------------------------------- values
class Packer(wire.Encoder):
    """Encodes plain values as data, and everything else (also instances of subclasses of plain types) as a handle."""

    def encode_subclass(self, value: Any, kind: type, depth: int) -> Any:
        if kind.__module__ == "collections" and issubclass(kind, dict):
            return self.encode(dict(dict.items(value)), depth)
        if isinstance(value, Callback):
            return {"h": [-value._karat_number, "callback"]}
        if isinstance(value, type) and value.__module__ == "builtins":
            return {"h": [0, f"builtins.{value.__qualname__}"]}
        return {"h": [keep(value), kind.__qualname__[:200]]}


def keep(value: Any) -> int:
    """The number of an object; the same for the same object as long as the program runs."""
    number = NUMBERS.get(id(value))
    if number is None:
        number = len(OBJECTS) + 1
        OBJECTS[number] = value
        NUMBERS[id(value)] = number
    return number


def pack(value: Any) -> Any:
    try:
        return Packer().encode(value)
    except (wire.NotPlainError, RecursionError):  # too deep, inside itself, too large
        return {"h": [keep(value), type(value).__qualname__[:200]]}


def unpack(data: Any) -> Any:
    return with_objects(wire.decode(data))


def with_objects(value: Any) -> Any:
    """Handles replaced by what they stand for, at any depth."""
    kind = type(value)
    if kind is wire.Ref:
        return object_of(value)
    if kind in (list, tuple, set, frozenset):
        return kind(with_objects(item) for item in value)
    if kind is dict:
        return {with_objects(key): with_objects(item) for key, item in value.items()}
    return value


def object_of(ref: wire.Ref) -> Any:
    if ref.number > 0:
        return OBJECTS[ref.number]
    if ref.number < 0:
        return Callback(-ref.number, ref.type_name)
    module, _, path = ref.type_name.partition(":")
    return operator.attrgetter(path)(importlib.import_module(module)) if path else sys.modules[module]


# ---------------------------------------------------------------------------------------------------------- callbacks
class CallbackError(Exception):
    """A function of the test raised an exception of its own class."""


class Callback:
    """A function of the test suite. It can be called, and that is all that reaches it."""

    def __init__(self, number: int, name: str) -> None:
        self._karat_number = number
        self.__name__ = self.__qualname__ = name.removeprefix("iterator ")
        if name.startswith("iterator "):
            self.__class__ = CallbackIterator

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        call = {"callback": self._karat_number, "args": [pack(arg) for arg in args]}
        return exchange(call | {"kwargs": {name: pack(value) for name, value in kwargs.items()}})


class CallbackIterator(Callback):
    """An iterator of the test suite."""

    def __iter__(self) -> CallbackIterator:
        return self

    def __next__(self) -> Any:
        return self()


def exchange(call: dict[str, Any]) -> Any:
    """Answer the open request with a callback, serve what the test asks meanwhile, and return what it gives back."""
    from karat.sandbox.inside import child

    text = dump(call)
    while True:
        reply = {"status": "value", "value": text, "type_name": "str", "notes": []}
        wire.write_frame(child.REPLIES, wire.dump({"reply": reply}))
        message = wire.load(wire.read_frame(child.REQUESTS))
        request = wire.load(wire.decode(message["call"]["args"][0]).encode())
        if "resume" in request:
            return unpack(request["resume"])
        if "raise" in request:
            raise callback_error(*request["raise"])
        text = respond(request)


def callback_error(number: int, module: str, name: str, args: list[Any]) -> BaseException:
    found = getattr(importlib.import_module(module), name, None) if module in sys.stdlib_module_names else None
    kind = found if isinstance(found, type) and issubclass(found, Exception) else CallbackError
    error: BaseException = kind(*unpack(args))
    with contextlib.suppress(Exception):
        error.__dict__["_karat_callback"] = number
    return error


# --------------------------------------------------------------------------------------------------------- operations
def describe(value: Any) -> dict[str, Any]:
    """What a stand-in needs to know of an object; a claim of the candidate's process, like everything here."""
    if isinstance(value, ModuleType):
        return {"kind": "module", "name": value.__name__, "package": hasattr(value, "__path__")}
    if isinstance(value, type):
        bases = [class_name(base) for base in value.__bases__]
        return {
            "kind": "class",
            "name": value.__name__[:200],
            "doc": text_or_none(value.__doc__),
            "bases": bases,
            "exception": issubclass(value, BaseException),
            "specials": specials_of(value),
        }
    told: dict[str, Any] = {"kind": "instance", "class": keep(type(value)), "base": "", "data": None}
    if isinstance(value, (FunctionType, MethodType)) or type(value).__name__ == "builtin_function_or_method":
        doc = text_or_none(getattr(value, "__doc__", None))
        return {"kind": "function", "name": str(getattr(value, "__name__", "function"))[:200], "doc": doc}
    if isinstance(value, CoroutineType):
        return {"kind": "coroutine"}
    for base in wire.BASES:
        if isinstance(value, base):
            told["base"], told["data"] = base.__name__, pack(wire.as_base(value, base))
            break
    return told


def text_or_none(value: Any) -> str | None:
    return value[:TEXT_LENGTH] if type(value) is str else None


def specials_of(kind: type) -> list[str]:
    """Special methods that a class has of its own or by inheritance, except those that every object or class has."""
    found: dict[str, bool] = {}
    for owner in kind.__mro__:
        if owner not in (object, type):
            for name in SPECIALS:
                if f"__{name}__" in vars(owner):
                    found.setdefault(name, vars(owner)[f"__{name}__"] is not None)
    return [name for name, there in found.items() if there]


def class_name(kind: type) -> Any:
    """A class of the interpreter by name, one of the candidate by handle."""
    if kind.__module__.split(".")[0] in sys.stdlib_module_names:
        found: Any = sys.modules.get(kind.__module__)
        for part in kind.__qualname__.split("."):
            found = getattr(found, part, None)
        if found is kind:
            return f"{kind.__module__}:{kind.__qualname__}"
    return keep(kind)


def run_awaitable(value: Any) -> Any:
    import asyncio

    async def wait() -> Any:
        return await value

    return asyncio.run(wait())


def call(function: Any, *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


def enter(value: Any) -> Any:
    return type(value).__enter__(value)


def leave(value: Any, error: Any) -> Any:
    if error is None:
        return type(value).__exit__(value, None, None, None)
    kind, message = error
    built = kind(message) if isinstance(kind, type) and issubclass(kind, BaseException) else CallbackError(message)
    return type(value).__exit__(value, type(built), built, None)


def set_attribute(owner: Any, name: str, value: Any) -> None:
    """As setattr; what was there before the test's first change is remembered."""
    REPLACED.setdefault((keep(owner), name), getattr(owner, "__dict__", {}).get(name, MISSING))
    setattr(owner, name, value)


def remove_attribute(owner: Any, name: str) -> None:
    """As delattr; patching tools see no `__dict__` here and remove what they set, which then brings back the old."""
    old = REPLACED.pop((keep(owner), name), MISSING)
    if old is MISSING:
        delattr(owner, name)
    else:
        setattr(owner, name, old)


def special(value: Any, name: str, *args: Any) -> Any:
    return getattr(type(value), name)(value, *args)


OPERATIONS: dict[str, Callable[..., Any]] = {
    "import": import_module,
    "names": public_names,
    "describe": describe,
    "call": call,
    "getattr": getattr,
    "setattr": set_attribute,
    "delattr": remove_attribute,
    "dir": dir,
    "special": special,
    "str": str,
    "repr": repr,
    "format": format,
    "bool": bool,
    "next": next,
    "iter": iter,
    "enter": enter,
    "exit": leave,
    "await": run_awaitable,
}


def perform(text: str) -> str:
    """One request to one response."""
    return respond(wire.load(text.encode()))


def respond(request: dict[str, Any]) -> str:
    out, err = io.StringIO(), io.StringIO()
    told: dict[str, Any]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("default")
        try:
            args = [unpack(arg) for arg in request["args"]]
            before = [pack(arg) if type(arg) in MUTABLE else None for arg in args]
            kwargs = {name: unpack(value) for name, value in request.get("kwargs", {}).items()}
            told = {"value": pack(OPERATIONS[request["f"]](*args, **kwargs))}
        except BaseException as error:
            told = {"raised": describe_error(error)}
            args, before = (args, before) if "before" in locals() else ([], [])
        changed = {
            i: data
            for i, (arg, was) in enumerate(zip(args, before, strict=False))
            if type(arg) in MUTABLE and (data := pack(arg)) != was
        }
    if changed:
        told["changed"] = changed
    for name, text in (("out", out.getvalue()), ("err", err.getvalue())):
        if text:
            told[name] = text[:TEXT_LENGTH]
            stream = sys.__stdout__ if name == "out" else sys.__stderr__
            with contextlib.suppress(Exception):
                print(text, end="", file=stream, flush=True)
    if seen:
        told["warnings"] = [[w.category.__name__, str(w.message)[:300]] for w in seen[:20]]
    return dump(told)


def describe_error(error: BaseException) -> dict[str, Any]:
    try:
        message = str(error)[:TEXT_LENGTH]
    except BaseException:
        message = "(its message cannot be read)"
    told = {"class": class_name(type(error)), "name": type(error).__qualname__[:200], "message": message}
    number = getattr(error, "__dict__", {}).get("_karat_callback")
    return told | {"args": pack(list(error.args)), "callback": number, "object": keep(error)}


def dump(message: dict[str, Any]) -> str:
    return wire.dump(message).decode("ascii")
