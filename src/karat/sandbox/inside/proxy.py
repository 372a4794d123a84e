"""The trusted end of a proxied test suite: stand-ins for the candidate's modules, classes, functions and exceptions.

Test code imports them as if they were the candidate's own; each use is one request to the candidate's process (see
`relay`), and what comes back is data. Two rules keep a candidate from deciding a comparison: an object of his never
equals, precedes or exceeds a plain value, and two of his objects are equal only if they are one object. A test that
needs more cannot be proxied and says so (`LimitError`). No code, type or method of the candidate is ever run here.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import importlib.machinery
import sys
import types
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from karat.sandbox.inside import wire
from karat.sandbox.inside.expected import Expected, label_of
from karat.sandbox.inside.standin import (
    FunctionStandin,
    ModuleStandin,
    Standin,
    StandinMeta,
    number_of,
    plain_standin,
)

Ask = Callable[[str], str]
NEVER_REBUILT = ("unittest", "doctest", "bdb", "pdb")
"""Modules whose exceptions mean something to a test runner: a candidate's are rebuilt as plain ones."""


class LimitError(BaseException):
    """The test does something that cannot be relayed as data. Not an Exception, so that no test catches it as one."""


class GoneError(BaseException):
    """The candidate's process ended or did not answer. Not an Exception, so that no `pytest.raises` is content."""


class RemoteError(Exception):
    """An exception of the candidate that has no counterpart here."""


class Link:
    """The connection to the candidate, and every stand-in made so far."""

    def __init__(self, ask: Ask, known: Mapping[str, Any] | None = None, *, reference: bool = False) -> None:
        """`reference`: what answers is the task's own solution, from which is learned what its objects do."""
        self.ask = ask
        self.expected = Expected(known)
        self.knows = known is not None or reference
        self.objects: dict[int, Any] = {}
        self.classes: dict[int, Any] = {}
        self.callbacks: list[Any] = []
        self.errors: dict[int, BaseException] = {}
        self.limits: list[str] = []
        self.gone = ""
        self.suspicious: list[str] = []
        self.probed: set[type] = set()

    # ------------------------------------------------------------------------------------------------------- requests
    def do(self, operation: str, *args: Any, **kwargs: Any) -> Any:
        """One operation in the candidate's process; its value, or its exception raised here."""
        label = label_of(operation, args)
        request = {"f": operation, "args": [self.pack(arg) for arg in args]}
        told = self.exchange(request | {"kwargs": {name: self.pack(value) for name, value in kwargs.items()}})
        while "callback" in told:
            told = self.exchange(self.run_callback(told))
        for name, stream in (("out", sys.stdout), ("err", sys.stderr)):
            if text := told.get(name):
                stream.write(text)
        for index, data in told.get("changed", {}).items():
            update(args[int(index)], self.unpack(data, f"{label} changed"))
        for category, message in told.get("warnings", ()):
            kind = getattr(builtins, category, UserWarning)
            kind = kind if isinstance(kind, type) and issubclass(kind, Warning) else UserWarning
            warnings.warn(message, kind, stacklevel=3)
        if "raised" in told:
            raise self.error_of(told["raised"])
        value = self.unpack(told["value"], label)
        self.expected.note_plain(value, label)
        return value

    def exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.gone:
            raise GoneError(self.gone)
        try:
            told = wire.load(self.ask(wire.dump(request).decode()).encode())
            if not isinstance(told, dict):
                raise wire.WireError("a response that is no object")
        except wire.WireError as error:
            told = {"gone": f"a response that is not of the format: {error}"}
        if "gone" in told:
            self.gone = str(told["gone"])
            raise GoneError(self.gone)
        return told

    def run_callback(self, told: dict[str, Any]) -> dict[str, Any]:
        number = told["callback"]
        try:
            function = self.callbacks[number - 1]
            args = [self.unpack(arg, "callback") for arg in told["args"]]
            value = function(*args, **{name: self.unpack(v, "callback") for name, v in told["kwargs"].items()})
            return {"resume": self.pack(value)}
        except Exception as error:
            self.errors[len(self.errors) + 1] = error
            kind = type(error)
            args = [arg for arg in error.args if type(arg) in (str, int, float, bool, type(None))]
            return {"raise": [len(self.errors), kind.__module__, kind.__qualname__, wire.Encoder().encode(args)]}

    # --------------------------------------------------------------------------------------------------------- values
    def pack(self, value: Any) -> Any:
        return _Packer(self).encode(value)

    def unpack(self, data: Any, label: str = "") -> Any:
        return self.with_standins(wire.decode(data), label)

    def with_standins(self, value: Any, label: str) -> Any:
        kind = type(value)
        if kind is wire.Ref:
            return self.expected.admit(self.standin(value, label), label)
        if kind in (list, tuple, set, frozenset):
            return kind(self.with_standins(item, label) for item in value)
        if kind is dict:
            return {self.with_standins(key, label): self.with_standins(item, label) for key, item in value.items()}
        return value

    def standin(self, ref: wire.Ref, label: str) -> Any:
        if ref.number < 0:
            return self.callbacks[-ref.number - 1]
        if ref.number == 0:
            found = getattr(builtins, ref.type_name.removeprefix("builtins."), None)
            return found if isinstance(found, type) else object
        if ref.number not in self.objects:
            self.objects[ref.number] = self.make(ref.number, label)
        return self.objects[ref.number]

    def make(self, number: int, label: str) -> Any:
        told = self.do("describe", wire.Ref(number))
        kind = told["kind"]
        if kind == "module":
            return ModuleStandin(self, str(told["name"]), number, package=bool(told["package"]))
        if kind == "class":
            return self.class_of(number, told)
        if kind == "function":
            return FunctionStandin(self, number, str(told["name"]), told["doc"])
        if kind == "coroutine":
            return self.coroutine(number)
        owner = self.class_of(told["class"])
        base = {"int": int, "float": float, "str": str, "tuple": tuple, "list": list, "bytes": bytes}.get(told["base"])
        if base is not None:  # its data decide comparisons; its own methods are reached by name
            return plain_standin(self, number, base, owner, told["data"])
        if issubclass(owner, BaseException):
            return self.exception_standin(owner, number, ())
        made = object.__new__(owner)
        object.__setattr__(made, "_karat_number", number)
        object.__setattr__(made, "_karat_label", label)
        return made

    async def coroutine(self, number: int) -> Any:
        """Stands for a coroutine of the candidate: awaited here, it runs to its end there."""
        return self.do("await", wire.Ref(number))

    def class_of(self, number: int, told: dict[str, Any] | None = None) -> Any:
        if number in self.classes:
            return self.classes[number]
        told = told or self.do("describe", wire.Ref(number))
        if told["exception"]:
            bases = tuple(dict.fromkeys(self.exception_base(base) for base in told["bases"]))
            made: Any = type(
                str(told["name"]), bases, {"_karat_link": self, "_karat_class": number, "__doc__": told["doc"]}
            )
        else:
            bases = tuple(self.class_of(base) for base in told["bases"] if isinstance(base, int)) or (Standin,)
            made = StandinMeta.made(self, number, told, bases)
        self.classes[number] = self.objects[number] = made
        return made

    # ----------------------------------------------------------------------------------------------------- exceptions
    def exception_base(self, base: Any) -> Any:
        if isinstance(base, int):
            return self.class_of(base)
        found = standard_exception(str(base))
        return Exception if found is None else found

    def error_of(self, told: dict[str, Any]) -> BaseException:
        if told.get("callback") in self.errors:
            return self.errors[told["callback"]]
        named, message = told["class"], str(told["message"])
        try:
            args = tuple(self.unpack(told["args"], "exception"))
        except (wire.WireError, TypeError):
            args = (message,)
        if isinstance(named, int):
            kind = self.class_of(named)
            if not issubclass(kind, BaseException):
                return RemoteError(f"{told['name']}: {message}")
            return self.exception_standin(kind, int(told["object"]), args)
        found = standard_exception(str(named))
        if found is None:
            return RemoteError(f"{told['name']}: {message}")
        try:
            error: BaseException = found(*args)
        except Exception:
            error = found.__new__(found)
            error.args = (message,)
        return error

    def exception_standin(self, kind: Any, number: int, args: tuple[Any, ...]) -> BaseException:
        error: BaseException = kind.__new__(kind, *args)
        error.args = args
        error.__dict__["_karat_number"] = number
        self.objects[number] = error
        for name in self.do("dir", wire.Ref(number)):
            if not str(name).startswith("_") and not hasattr(BaseException, str(name)):
                with contextlib.suppress(Exception):
                    error.__dict__[str(name)] = self.do("getattr", wire.Ref(number), str(name))
        return error

    def limit(self, what: str) -> LimitError:
        self.limits.append(what)
        return LimitError(f"cannot be proxied: {what}. The suite needs shared mode.")


def standard_exception(name: str) -> Any:
    """An exception class of the standard library by `module:name`; None for what a runner would take for a signal."""
    module, _, path = name.partition(":")
    top = module.split(".")[0]
    if top not in sys.stdlib_module_names or top in NEVER_REBUILT:
        return None
    found = getattr(sys.modules.get(module), path, None)  # the candidate's word imports nothing here
    ordinary = isinstance(found, type) and (issubclass(found, Exception) or found is SystemExit)
    return found if ordinary else None


def update(value: Any, new: Any) -> None:
    """Make an argument what the candidate made of it: functions that work in place."""
    if isinstance(value, (list, bytearray)):
        value[:] = new
    elif isinstance(value, (dict, set)):
        value.clear()
        value.update(new)


class _Packer(wire.Encoder):
    """Arguments of a test: plain values as data, stand-ins as handles, functions as callbacks, classes by name."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self.link = link

    def encode_subclass(self, value: Any, kind: type, depth: int) -> Any:
        if kind is wire.Ref:
            return {"h": [value.number, ""]}
        number = number_of(value)
        if number is not None:
            return {"h": [number, ""]}
        if isinstance(value, types.ModuleType):
            raise self.link.limit(f"a module as an argument ({value.__name__})")
        if callable(value) or hasattr(value, "__next__"):
            return {"h": self.callback(value)}
        if any(issubclass(kind, base) for base in wire.BASES):
            return super().encode_subclass(value, kind, depth)
        raise self.link.limit(f"an argument of class {kind.__module__}.{kind.__qualname__}")

    def callback(self, value: Any) -> list[Any]:
        module, path = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
        if module in sys.stdlib_module_names and path and "<" not in path:
            found: Any = sys.modules.get(module)
            for part in path.split("."):
                found = getattr(found, part, None)
            if found is value:
                return [0, f"{module}:{path}"]
        iterates = not callable(value)
        function = value.__next__ if iterates else value
        name = str(getattr(value, "__name__", type(value).__name__))
        self.link.callbacks.append(function)
        return [-len(self.link.callbacks), f"iterator {name}" if iterates else name]


# -------------------------------------------------------------------------------------------------------- import hook
class ProxyFinder:
    """Finds the candidate's modules by asking the candidate for them."""

    def __init__(self, link: Link, names: set[str], folders: list[str]) -> None:
        self.link, self.names, self.folders = link, names, folders

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name.split(".")[0] not in self.names:
            return None
        return importlib.machinery.ModuleSpec(name, self)  # type: ignore[arg-type]

    def create_module(self, spec: Any) -> Any:
        module = self.link.do("import", spec.name, self.folders)
        if not isinstance(module, types.ModuleType):
            raise ImportError(f"{spec.name} of the candidate is no module")
        return module

    def exec_module(self, module: Any) -> None:
        """The candidate's process has executed it."""


__all__ = ["GoneError", "LimitError", "Link", "ProxyFinder", "RemoteError"]
