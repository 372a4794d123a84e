"""The trusted side of the protocol: calls to messages, messages to replies that are rebuilt from plain data."""

from __future__ import annotations

from typing import Any, cast, get_args

from karat.sandbox.inside import wire
from karat.sandbox.types import Call, Handle, Program, Reply, ReplyStatus

STATUSES = get_args(ReplyStatus)
TEXT_LENGTH = 400


def job_of(program: Program) -> dict[str, Any]:
    """What the child is told: the program, its baits and streams. No expected output is within reach of this module."""
    encoder = wire.Encoder()
    return {
        "source": encoder.encode(program.source),
        "kind": program.kind,
        "argv": list(program.argv),
        "stdin": encoder.encode(program.stdin),
        "files": {path: encoder.encode(content) for path, content in program.files.items()},
        "read_only": list(program.read_only),
        "environment": dict(program.environment),
        "baits": [[bait.place, bait.name, bait.content] for bait in program.baits],
        "asks": list(program.asks),
        "watch": program.watch,
    }


def encode_call(call: Call) -> dict[str, Any]:
    """Raises: wire.NotPlainError: an argument of the task is not a plain value."""
    encoder = HandleEncoder()
    return {
        "target": call.target,
        "args": [encoder.encode(arg) for arg in call.args],
        "kwargs": {name: encoder.encode(value) for name, value in call.kwargs.items()},
        "handle": call.handle,
        "keep": call.keep,
        "hold": call.hold,
        "materialise": call.materialise,
        "returns_arguments": call.returns_arguments,
    }


class HandleEncoder(wire.Encoder):
    """Encodes handles too, also inside containers."""

    def encode_other(self, value: Any, kind: type, depth: int) -> Any:
        if kind is Handle:
            return {"h": [value.number, value.type_name]}
        return super().encode_other(value, kind, depth)


def with_handles(value: Any) -> Any:
    """A decoded value with its references as handles."""
    if isinstance(value, wire.Ref):
        return Handle(value.number, value.type_name[:TEXT_LENGTH])
    if type(value) in (list, tuple):
        return type(value)(with_handles(item) for item in value)
    if type(value) is dict:
        return {key: with_handles(item) for key, item in value.items()}
    return value


def decode_reply(data: Any, wall_s: float) -> Reply:
    """A reply rebuilt from untrusted data; `missing` with the reason where it does not fit the format."""
    try:
        status = data["status"]
        if status not in STATUSES or status == "missing":
            raise wire.WireError(f"status {str(status)[:40]!r}")
        value = wire.decode(data.get("value"))
        if isinstance(value, wire.Ref):
            value = Handle(value.number, value.type_name[:TEXT_LENGTH])
        if (status == "handle") != isinstance(value, Handle):
            raise wire.WireError("a handle and its status do not agree")
        line = data.get("line")
        notes = data.get("notes") or ()
        return Reply(
            status=cast("ReplyStatus", status),
            value=value,
            type_name=str(data.get("type_name", ""))[:TEXT_LENGTH],
            message=str(data.get("message", ""))[:TEXT_LENGTH],
            line=line if type(line) is int else None,
            notes=tuple(str(note)[:TEXT_LENGTH] for note in notes[:20]),
            arguments=tuple(with_handles(wire.decode(item)) for item in data.get("arguments") or ()),
            wall_s=wall_s,
        )
    except (wire.WireError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return missing(f"the reply is not of the format: {error}"[:TEXT_LENGTH], wall_s=wall_s)


def encode_reply(reply: Reply) -> dict[str, Any]:
    """The answer to an ask of trusted test code."""
    encoder = HandleEncoder()
    return {
        "status": reply.status,
        "value": encoder.encode(reply.value),
        "arguments": [encoder.encode(item) for item in reply.arguments],
        "type_name": reply.type_name,
        "message": reply.message,
        "notes": list(reply.notes),
    }


def decode_ask(data: Any) -> Call:
    """What trusted test code asks of the candidate."""
    return Call(
        target=str(data["target"]),
        args=tuple(with_handles(wire.decode(arg)) for arg in data["args"]),
        kwargs={str(name): with_handles(wire.decode(value)) for name, value in data["kwargs"].items()},
        handle=data["handle"],
        keep=True,
        materialise=data["materialise"],
        returns_arguments=data["returns_arguments"],
    )


def missing(message: str, *, wall_s: float = float("nan")) -> Reply:
    return Reply(status="missing", message=message, wall_s=wall_s)
