"""The candidate's process: loads the program, answers calls, and leaves. It holds inputs and baits, never an answer.

Everything here can be read, changed or ended by the candidate; nothing here decides anything. Descriptors: 0 to 2 the
standard streams, REQUESTS, REPLIES and EVIDENCE. Messages are frames of `wire`:
to the child   {"call": {...}} one at a time, {"answer": {...}} to its own ask, {"end": true};
from the child {"ready": true} or {"load": {...}} once, {"reply": {...}} to each call, {"ask": {...}};
evidence       {"event": [name, detail, line]}, {"seal": [[name, detail], ...]}, {"bye": seconds by its own clock}.
"""

from __future__ import annotations

import builtins
import os
import sys
import time
import types
from typing import Any

from karat.sandbox.inside import audit, case, operations, wire

REQUESTS, REPLIES, EVIDENCE = 3, 4, 5
SOURCE_NAME = "<candidate>"
MESSAGE_LENGTH = 300


def serve(job: dict[str, Any], prepared: audit.Watch | None = None) -> None:
    """Run one program to its end. Returns when the trusted side says so or the script is over.

    Args:
        prepared: a watch that was made, and not started, before this process was forked.
    """
    started = time.perf_counter()
    watch = (prepared or audit.Watch(EVIDENCE, SOURCE_NAME)) if job["watch"] else None
    case.prepare(job.pop("baits"), watch, source_of(job))
    objects: dict[int, Any] = {}
    if job["kind"] == "script":
        run_script(job, watch)
    else:
        namespace = load(job, watch, objects)
        if namespace is not None:
            wire.write_frame(REPLIES, wire.dump({"ready": True}))
            answer_calls(namespace, objects)
    if watch is not None:
        watch.farewell(time.perf_counter() - started)


def add_site_names() -> None:
    """`exit`, `quit` and `help`, which the module `site` adds and which programs use as if they were of the language.

    Once, before the watch is made: the seal knows them then.
    """
    import _sitebuiltins

    builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D")
    builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D")
    builtins.help = _sitebuiltins._Helper()


def new_module(name: str) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__["__builtins__"] = builtins
    sys.modules[name] = module
    return module


def source_of(job: dict[str, Any]) -> bytes | str:
    source: bytes | str = wire.decode(job["source"])
    return source


def load(job: dict[str, Any], watch: audit.Watch | None, objects: dict[int, Any]) -> dict[str, Any] | None:
    """Execute the source as a module; None, with the reason sent, where that fails."""
    module = new_module("solution")
    for name in job["asks"]:
        module.__dict__[name] = Asker(name, objects)
    try:
        code = compile(source_of(job), SOURCE_NAME, "exec", dont_inherit=True)
        if watch is not None:
            watch.start()
        case.run_case(exec, (code, module.__dict__), {})
    except BaseException as error:
        wire.write_frame(REPLIES, wire.dump({"load": describe_error(error)}))
        return None
    return module.__dict__


def run_script(job: dict[str, Any], watch: audit.Watch | None) -> None:
    module = new_module("__main__")
    try:
        code = compile(source_of(job), SOURCE_NAME, "exec", dont_inherit=True)
    except BaseException as error:
        wire.write_frame(REPLIES, wire.dump({"load": describe_error(error)}))
        return
    wire.write_frame(REPLIES, wire.dump({"ready": True}))
    if watch is not None:
        watch.start()
    reply: dict[str, Any] = {"status": "value", "value": None}
    try:
        case.run_case(exec, (code, module.__dict__), {})
    except SystemExit as error:
        reply = {"status": "raised", "type_name": "SystemExit", "message": str(error.code), "line": line_of(error)}
    except BaseException as error:
        reply = describe_error(error)
    end_script()
    flush(sys.__stdout__, sys.__stderr__)  # the candidate may have put another before it
    wire.write_frame(REPLIES, wire.dump({"reply": reply}))


def end_script() -> None:
    """What the interpreter does when a program is over: wait for its threads, call its exit handlers."""
    for module, end in (("threading", "_shutdown"), ("atexit", "_run_exitfuncs")):
        try:
            if module in sys.modules:
                getattr(sys.modules[module], end)()
        except BaseException:  # a handler of the candidate's failed, as it may
            continue


def flush(*more: Any) -> None:
    for stream in (sys.stdout, sys.stderr, *more):
        try:
            stream.flush()
        except Exception:  # the candidate may have replaced or closed it
            continue


# -------------------------------------------------------------------------------------------------------------- calls
def answer_calls(namespace: dict[str, Any], objects: dict[int, Any]) -> None:
    while True:
        message = wire.load(wire.read_frame(REQUESTS))
        if "call" not in message:
            return
        reply = answer_call(message["call"], namespace, objects)
        flush()
        wire.write_frame(REPLIES, wire.dump({"reply": reply}))


def answer_call(call: dict[str, Any], namespace: dict[str, Any], objects: dict[int, Any]) -> dict[str, Any]:
    try:
        args = [from_refs(wire.decode(arg), objects) for arg in call["args"]]
        kwargs = {name: from_refs(wire.decode(value), objects) for name, value in call["kwargs"].items()}
        function = resolve(call, namespace, objects)
        value = case.run_case(function, args, kwargs, args)
        reply = encode_result(value, call, objects)
        if call.get("returns_arguments"):
            reply["arguments"] = [encode_argument(arg) for arg in args]
        return reply
    except BaseException as error:
        return describe_error(error)


def resolve(call: dict[str, Any], namespace: dict[str, Any], objects: dict[int, Any]) -> Any:
    """What a call names: a dotted path in the module, a method of a kept object, or an operation of a suite (`@`)."""
    if call["target"].startswith("@"):
        return operations.OPERATIONS[call["target"]]
    parts = call["target"].split(".")
    if call["handle"] is not None:
        found = objects[call["handle"]]
    else:
        if parts[0] not in namespace:
            raise NameError(f"name {parts[0]!r} is not defined")
        found = namespace[parts.pop(0)]
    for part in parts:
        if isinstance(found, type):
            found = found()
        found = getattr(found, part)
    return found


def encode_result(value: Any, call: dict[str, Any], objects: dict[int, Any]) -> dict[str, Any]:
    encoder = wire.Encoder(call["materialise"])
    type_name = wire.name_of(type(value))[:200]
    if call.get("hold"):
        objects[len(objects)] = value
        return {"status": "handle", "value": {"h": [len(objects) - 1, type_name]}, "type_name": type_name}
    try:
        return {"status": "value", "value": encoder.encode(value), "type_name": type_name, "notes": encoder.notes}
    except Exception as error:  # what the candidate's own classes do while they are read belongs here too
        if call["keep"]:
            objects[len(objects)] = value
            return {"status": "handle", "value": {"h": [len(objects) - 1, type_name]}, "type_name": type_name}
        reason = str(error) if isinstance(error, wire.NotPlainError) else f"cannot be read: {wire.name_of(type(error))}"
        return {"status": "not plain", "type_name": type_name, "message": reason, "notes": encoder.notes}


def encode_argument(value: Any) -> Any:
    """An argument as the call left it; a reference to nothing where it is not plain."""
    try:
        return wire.Encoder().encode(value)
    except (wire.NotPlainError, RecursionError):
        return {"h": [-1, wire.name_of(type(value))[:200]]}


def from_refs(value: Any, objects: dict[int, Any]) -> Any:
    """A decoded argument with its handles, also inside containers, replaced by the objects that they stand for."""
    if isinstance(value, wire.Ref):
        return objects[value.number]
    if type(value) in (list, tuple):
        return type(value)(from_refs(item, objects) for item in value)
    if type(value) is dict:
        return {key: from_refs(item, objects) for key, item in value.items()}
    return value


def describe_error(error: BaseException) -> dict[str, Any]:
    try:
        message = str(error)
    except BaseException:
        message = "(its message cannot be read)"
    kind = type(error)
    return {
        "status": "raised",
        "type_name": wire.name_of(kind)[:200],
        "message": str(message)[:MESSAGE_LENGTH],
        "line": line_of(error),
        "notes": []
        if wire.module_of(kind) == "builtins"
        else [f"class of {wire.module_of(kind)}"[:200], kind_of(kind)],
    }


def kind_of(kind: type) -> str:
    """Which of Python's own exceptions a class is one of: who catches that one catches it."""
    above = type.__dict__["__mro__"].__get__(kind)
    return f"kind of {next(wire.name_of(base) for base in above if wire.module_of(base) == 'builtins')}"


def line_of(error: BaseException) -> int | None:
    """Last line of the candidate's source on the way of an exception."""
    line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == SOURCE_NAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line if type(line) is int else None


# --------------------------------------------------------------------------------------------------------------- asks
class Asker:
    """A name of trusted test code that is answered from outside: calls the candidate in its own sandbox."""

    def __init__(self, target: str, objects: dict[int, Any], handle: int | None = None, materialise: int = 0) -> None:
        self._target, self._objects, self._handle, self._materialise = target, objects, handle, materialise

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        encoder = RemoteEncoder()
        call = {
            "target": self._target,
            "handle": self._handle,
            "args": [encoder.encode(arg) for arg in args],
            "kwargs": {name: encoder.encode(value) for name, value in kwargs.items()},
            "materialise": self._materialise,
            "returns_arguments": any(isinstance(arg, MUTABLE) for arg in args),
        }
        wire.write_frame(REPLIES, wire.dump({"ask": call}))
        answer = wire.load(wire.read_frame(REQUESTS))["answer"]
        for arg, after in zip(args, answer.get("arguments", ()), strict=False):
            change_in_place(arg, wire.decode(after))
        return self._result(answer)

    def _result(self, answer: dict[str, Any]) -> Any:
        if answer["status"] == "value":
            return wire.decode(answer["value"])
        if answer["status"] == "handle":
            return Remote(wire.decode(answer["value"]), self._objects)
        if answer["status"] == "raised":
            raise raised_by(answer)(answer["message"])
        raise RemoteError(f"{answer['status']}: {answer['message']}")


def raised_by(answer: dict[str, Any]) -> Any:
    """The exception that the candidate raised: Python's own, or a class of its name that derives from Python's own."""
    notes = answer.get("notes") or ()
    base_name = next((note[8:] for note in notes if note.startswith("kind of ")), "")
    kind = getattr(builtins, base_name or answer["type_name"], None)
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        return RemoteError
    if not notes:
        return kind
    try:
        return type(
            answer["type_name"],
            (kind,),
            {"__init__": lambda self, *args: None, "__str__": lambda self: answer["message"]},
        )
    except (TypeError, ValueError):
        return RemoteError


class RemoteError(Exception):
    """The candidate gave no value: an exception of its own class, nothing at all, or something that is not plain."""


class Remote:
    """An object that lives in the candidate's sandbox: attributes, calls, items, and no equality of the candidate's."""

    def __init__(self, ref: wire.Ref, objects: dict[int, Any]) -> None:
        self._ref, self._objects = ref, objects

    def _ask(self, method: str, *args: Any, materialise: int = 0, **kwargs: Any) -> Any:
        return Asker(method, self._objects, self._ref.number, materialise)(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._ask("__getattribute__", name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("__call__", *args, **kwargs)

    def __iter__(self) -> Any:
        return iter(self._ask("__iter__", materialise=100_000))

    def __getitem__(self, key: Any) -> Any:
        return self._ask("__getitem__", key)

    def __len__(self) -> int:
        try:
            size = self._ask("__len__")
        except AttributeError:
            size = None
        if type(size) is not int:
            raise TypeError(f"object of type {self._ref.type_name} has no len()")
        return size

    def __bool__(self) -> bool:
        return True

    def __str__(self) -> str:
        return str(self._ask("__str__"))

    def __repr__(self) -> str:
        return str(self._ask("__repr__"))


class RemoteEncoder(wire.Encoder):
    """Encodes remote objects as their handles, also inside containers."""

    def encode_other(self, value: Any, kind: type, depth: int) -> Any:
        if kind is Remote:
            return {"h": [value._ref.number, value._ref.type_name]}
        return super().encode_other(value, kind, depth)


MUTABLE = (list, dict, set, bytearray)


def change_in_place(value: Any, after: Any) -> None:
    """Give a container of the test the content that the candidate's call left in its copy."""
    kind = type(value)
    if kind is bytearray and type(after) is bytes:
        value[:] = after
    if kind is not type(after) or kind not in MUTABLE:
        return
    if kind is list:
        if len(value) == len(after):  # items that are still there keep their identity
            for at, item in enumerate(after):
                if type(value[at]) is type(item) and type(item) in MUTABLE:
                    change_in_place(value[at], item)
                elif value[at] != item or type(value[at]) is not type(item):
                    value[at] = item
        else:
            value[:] = after
    elif value != after:
        value.clear()
        value.update(after)


def leave(status: int) -> None:
    os._exit(status)
