"""Length-prefixed frames of JSON that carry plain values, both ways. Used by the trusted side and inside the sandbox.

The encoder turns a value into data of plain types. An instance of a subclass crosses as the data of its base, with a
note: rebuilt, it is the base type, so no method of a candidate ever takes part in a comparison. The decoder accepts
nothing but this format, bounded in size, depth and digits. There is no pickle, no class lookup and no `eval`.

Format: None, bool, str, int below 2**53 and finite float are themselves in JSON; a list is a JSON array; all else is
`{"tag": data}` with one key: t tuple, s set, z frozenset, d dict as pairs, b bytes as base64, i large int in
hexadecimal, f float that JSON lacks, c complex, r range, q deque, D Decimal, F Fraction, T datetime types, h handle,
x not plain (its type's name).
"""

from __future__ import annotations

import base64
import json
import math
import os
import struct
from typing import Any

LENGTH = struct.Struct("!I")
MAX_DEPTH = 100
MAX_ITEMS = 1_000_000
MAX_DIGIT_BITS = 400_000
MAX_FRACTION_BITS = 20_000
MAX_COLLISIONS = 100
SAFE_INT = 1 << 53


class WireError(ValueError):
    """A frame or a value that is not of the format, too deep or too large."""


class NotPlainError(Exception):
    """A value that has no plain data: its type's name is the message."""


class PeerGoneError(Exception):
    """The other side closed the channel."""


# ------------------------------------------------------------------------------------------------------------ frames
def write_frame(fd: int, payload: bytes) -> None:
    data = memoryview(LENGTH.pack(len(payload)) + payload)
    while data:
        data = data[os.write(fd, data) :]


def read_exactly(fd: int, size: int) -> bytes:
    parts = []
    while size:
        part = os.read(fd, min(size, 1 << 20))
        if not part:
            raise PeerGoneError("channel closed")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def read_frame(fd: int, limit: int = 1 << 30) -> bytes:
    (size,) = LENGTH.unpack(read_exactly(fd, LENGTH.size))
    if size > limit:
        raise WireError(f"a frame of {size} bytes; at most {limit} are accepted")
    return read_exactly(fd, size)


def dump(message: Any) -> bytes:
    """JSON of a message whose values are already encoded."""
    return "".join(_chunks(message, 0)).encode("ascii")


def _refuse_constant(name: str) -> Any:
    raise WireError(f"{name} is not a value of the format")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) != len(pairs):
        raise WireError("an object names a key twice")
    return built


def load(payload: bytes) -> Any:
    """The message of one frame.

    Raises: WireError: not JSON of this format (NaN, duplicate keys, too deep, too many digits).
    """
    try:
        text = payload.decode("utf-8")
        message, end = _scan(text, 0)
    except WireError:
        raise
    except (ValueError, RecursionError, StopIteration) as error:
        raise WireError(f"not a message: {error or type(error).__name__}"[:200]) from None
    if end != len(text):
        raise WireError(f"not a message: {len(text) - end} characters too many")
    return message


_decoder: Any = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_pairs)
_scan = _decoder.scan_once
"""Made once, as is the encoder: to make them for each message costs more than the message."""


def _chunks_of() -> Any:
    encoder = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False)
    try:
        from _json import make_encoder
    except ImportError:  # an interpreter without the accelerator
        return lambda message, level: encoder.iterencode(message)
    return make_encoder(
        None, encoder.default, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, False
    )


_chunks = _chunks_of()


# ------------------------------------------------------------------------------------------------------------ encode
class Encoder:
    """Encodes values of one message; `notes` collects what was remarked."""

    def __init__(self, materialise: int = 0) -> None:
        self.notes: list[str] = []
        self.items = 0
        self.materialise = materialise

    def note(self, text: str) -> None:
        if text not in self.notes and len(self.notes) < 20:
            self.notes.append(text)

    def encode(self, value: Any, depth: int = 0) -> Any:
        kind = type(value)
        if value is None or kind is bool or kind is str:
            return value
        if kind is int:
            if -SAFE_INT < value < SAFE_INT:
                return value
            if value.bit_length() > MAX_DIGIT_BITS:
                raise NotPlainError(f"int of {value.bit_length()} bits (at most {MAX_DIGIT_BITS})")
            return {"i": hex(value)}
        if kind is float:
            return value if math.isfinite(value) else {"f": repr(value)}
        if depth >= MAX_DEPTH:
            raise NotPlainError(f"{name_of(kind)} nested deeper than {MAX_DEPTH} (or inside itself)")
        if kind is list:
            self.count(len(value))
            return [self.encode(item, depth + 1) for item in value]
        tag = "t" if kind is tuple else "s" if kind is set else "z" if kind is frozenset else ""
        if tag:
            self.count(len(value))
            return {tag: [self.encode(item, depth + 1) for item in value]}
        if kind is dict:
            self.count(len(value))
            return {"d": [[self.encode(k, depth + 1), self.encode(v, depth + 1)] for k, v in value.items()]}
        if kind is bytes:
            return {"b": base64.b64encode(value).decode("ascii")}
        return self.encode_other(value, kind, depth)

    def count(self, more: int) -> None:
        self.items += more
        if self.items > MAX_ITEMS:
            raise NotPlainError(f"more than {MAX_ITEMS:,} items")

    def encode_other(self, value: Any, kind: type, depth: int) -> Any:
        if kind is complex:
            return {"c": [repr(value.real), repr(value.imag)]}
        if kind is range:
            return {"r": [self.encode(part) for part in (value.start, value.stop, value.step)]}
        if kind is bytearray:
            self.note("bytearray as bytes")
            return {"b": base64.b64encode(value).decode("ascii")}
        home, name = module_of(kind), name_of(kind)
        if home == "collections" and name == "deque":
            self.count(len(value))
            return {"q": [self.encode(item, depth + 1) for item in value]}
        if home == "decimal" and name == "Decimal":
            return {"D": str(value)}
        if home == "fractions" and name == "Fraction":
            return {"F": [self.encode(value.numerator), self.encode(value.denominator)]}
        if home == "datetime" and name in ("date", "datetime", "time") and getattr(value, "tzinfo", None) is None:
            return {"T": [name, value.isoformat()]}
        if home == "datetime" and name == "timedelta":
            return {"T": [name, [value.days, value.seconds, value.microseconds]]}
        if home.split(".")[0] == "numpy":
            return self.encode_array(value, kind, depth)
        return self.encode_subclass(value, kind, depth)

    def encode_array(self, value: Any, kind: type, depth: int) -> Any:
        """NumPy arrays and scalars as lists and numbers; object arrays item by item."""
        self.note(f"array: numpy.{name_of(kind)}")
        if hasattr(value, "size"):
            self.count(int(value.size))  # before they are made a list, which counts them again
            self.items -= int(value.size)
        return self.encode(value.tolist(), depth + 1)

    def encode_subclass(self, value: Any, kind: type, depth: int) -> Any:
        for base in BASES:
            if issubclass(kind, base):
                self.note(f"subclass of {base.__name__}: {name_of(kind)}"[:200])
                above = [cls for cls in type.__dict__["__mro__"].__get__(kind) if not issubclass(base, cls)]
                changed = [name for name in HOSTILE if any(name in names_in(cls) for cls in above)]
                if changed and module_of(kind) not in ("collections", "enum", "typing"):
                    self.note_overridden(value, changed)
                return self.encode(as_base(value, base), depth + 1)
        if self.materialise and hasattr(value, "__next__"):
            self.note(f"iterator: {name_of(kind)}"[:200])
            items: list[Any] = []
            for item in value:
                items.append(item)
                if len(items) >= self.materialise:
                    break
            return self.encode(items, depth + 1)
        above = [cls for cls in type.__dict__["__mro__"].__get__(kind) if cls is not object]
        changed = [name for name in HOSTILE if any(name in names_in(cls) for cls in above)]
        if changed:
            self.note_overridden(value, changed)
        raise NotPlainError(f"{module_of(kind)}.{name_of(kind)}"[:200])

    def note_overridden(self, value: Any, changed: list[str]) -> None:
        self.note(f"overrides {', '.join(changed)}")
        if ("__eq__" in changed or "__ne__" in changed) and equals_anything(value):
            self.note("equal to everything")


PROBES = (object(), "\0 no answer", -98765432123457, 8765432198765.25, (None, "\0"))
"""Values that nothing honest equals; an object that equals two of them equals whatever a check compares it with."""


def equals_anything(value: Any) -> bool:
    """Whether an object claims to equal what it cannot. Asked in the program's own process, and only noted."""
    claims = 0
    for probe in PROBES:
        try:
            claims += bool(value == probe)
        except BaseException:  # the program's own code
            continue
    return claims >= 2


def module_of(kind: type) -> str:
    """Where a class says that it comes from; read past its metaclass, which may lie or raise."""
    home = type.__dict__["__module__"].__get__(kind)
    return home if type(home) is str else ""


def name_of(kind: type) -> str:
    name: str = type.__dict__["__qualname__"].__get__(kind)
    return name


def names_in(kind: type) -> Any:
    return type.__dict__["__dict__"].__get__(kind)


BASES = (bool, int, float, complex, str, bytes, list, tuple, set, frozenset, dict)
HOSTILE = (
    "__eq__",
    "__ne__",
    "__lt__",
    "__gt__",
    "__le__",
    "__ge__",
    "__hash__",
    "__bool__",
    "__len__",
    "__instancecheck__",
)


def as_base(value: Any, base: Any) -> Any:
    """The data of a subclass instance, read with the base's own methods."""
    if base in (int, float, complex):
        return base.__pos__(value)
    if base is str:
        return str.__add__("", str.__getitem__(value, slice(None)))
    if base is bytes:
        return bytes.__getitem__(value, slice(None)) + b""
    if base is dict:
        return dict(dict.items(value))
    return base(base.__iter__(value))


# ------------------------------------------------------------------------------------------------------------ decode
def decode(data: Any, depth: int = 0) -> Any:
    """The plain value of decoded JSON.

    Raises: WireError: not of the format.
    """
    if data is None or isinstance(data, (bool, str)):
        return data
    if isinstance(data, int):
        if not -SAFE_INT <= data <= SAFE_INT:
            raise WireError("a large int must be in hexadecimal")
        return data
    if isinstance(data, float):
        if not math.isfinite(data):  # 1e999 is JSON, and no value of the format
            raise WireError("a float that JSON has no number for")
        return data
    if depth > 2 * MAX_DEPTH:
        raise WireError(f"nested deeper than {2 * MAX_DEPTH}")
    if isinstance(data, list):
        return [decode(item, depth + 1) for item in data]
    if isinstance(data, dict) and len(data) == 1:
        ((tag, inner),) = data.items()
        reader = READERS.get(tag)
        if reader is not None:
            try:
                return reader(inner, depth + 1)
            except WireError:
                raise
            except Exception as error:
                raise WireError(f"tag {tag!r}: {type(error).__name__}: {error}"[:200]) from None
    raise WireError("an object that is no tagged value")


def _items(data: Any, depth: int) -> list[Any]:
    if not isinstance(data, list):
        raise WireError("a tag without its list")
    return [decode(item, depth) for item in data]


def _spread(items: list[Any]) -> list[Any]:
    """Items that may go into a set. Numbers of one hash are easy to choose; thousands of them take minutes there."""
    if len(items) > MAX_COLLISIONS:
        seen: dict[int, int] = {}
        for item in items:
            value = hash(item)
            seen[value] = seen.get(value, 0) + 1
        if max(seen.values()) > MAX_COLLISIONS:
            raise WireError(f"more than {MAX_COLLISIONS} items of one hash")
    return items


def _dictionary(data: Any, depth: int) -> dict[Any, Any]:
    keys = _spread([decode(key, depth) for key, _ in data])
    return dict(zip(keys, (decode(value, depth) for _, value in data), strict=True))


def _text(data: Any) -> str:
    if not isinstance(data, str):
        raise WireError("a tag without its text")
    return data


def _int(data: Any, depth: int) -> int:
    if len(_text(data)) > MAX_DIGIT_BITS // 4 + 4:
        raise WireError("an int with too many digits")
    return int(data, 16)


def _float(data: Any, depth: int) -> float:
    if data not in ("nan", "inf", "-inf"):
        raise WireError(f"no such float: {data!r}"[:80])
    return float(data)


def _decimal(data: Any, depth: int) -> Any:
    from decimal import Decimal

    if len(_text(data)) > 10_000:
        raise WireError("a Decimal with too many digits")
    return Decimal(data)


def _fraction(data: Any, depth: int) -> Any:
    from fractions import Fraction

    top, bottom = _items(data, depth)
    if max(top.bit_length(), bottom.bit_length()) > MAX_FRACTION_BITS:  # their divisor takes quadratic time
        raise WireError("a Fraction with too many digits")
    return Fraction(top, bottom)


def _deque(data: Any, depth: int) -> Any:
    from collections import deque

    return deque(_items(data, depth))


def _time(data: Any, depth: int) -> Any:
    import datetime

    name, value = data
    if name == "timedelta":
        days, seconds, microseconds = _items(value, depth)
        return datetime.timedelta(days, seconds, microseconds)
    kind: Any = {"date": datetime.date, "datetime": datetime.datetime, "time": datetime.time}[name]
    return kind.fromisoformat(_text(value))


def _handle(data: Any, depth: int) -> Any:
    if not isinstance(data, list) or len(data) != 2 or type(data[0]) is not int:
        raise WireError("a handle is [number, type name]")
    return Ref(data[0], _text(data[1]))


class Ref:
    """A handle on the wire; each side turns it into what it stands for."""

    __slots__ = ("number", "type_name")

    def __init__(self, number: int, type_name: str = "") -> None:
        self.number, self.type_name = number, type_name


READERS = {
    "t": lambda data, depth: tuple(_items(data, depth)),
    "s": lambda data, depth: set(_spread(_items(data, depth))),
    "z": lambda data, depth: frozenset(_spread(_items(data, depth))),
    "d": _dictionary,
    "b": lambda data, depth: base64.b64decode(_text(data), validate=True),
    "i": _int,
    "f": _float,
    "c": lambda data, depth: complex(float(data[0]), float(data[1])),
    "r": lambda data, depth: range(*_items(data, depth)),
    "q": _deque,
    "D": _decimal,
    "F": _fraction,
    "T": _time,
    "h": _handle,
}
