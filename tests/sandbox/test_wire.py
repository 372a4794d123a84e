"""The plain-value format: what is encoded comes back with its types, and no bytes do more than raise WireError."""

from __future__ import annotations

import contextlib
import datetime
import json
import math
import struct
import time
from collections import deque
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karat.sandbox import channel
from karat.sandbox.inside import wire
from karat.sandbox.transport import Frames

HASHABLE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.text(st.characters(codec=None)),  # lone surrogates too
    st.binary(),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.dates(),
    st.datetimes().map(lambda moment: moment.replace(fold=0)),  # isoformat does not write it, and == does not see it
    st.times().map(lambda moment: moment.replace(fold=0)),
    st.timedeltas(),
    st.builds(range, st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 3)),
)
KEYS = st.one_of(HASHABLE, st.tuples(HASHABLE, HASHABLE), st.frozensets(HASHABLE, max_size=3))
VALUES = st.recursive(
    KEYS | st.sets(KEYS, max_size=4),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(KEYS, inner, max_size=4),
        st.builds(deque, st.lists(inner, max_size=4)),
    ),
    max_leaves=12,
)


def there_and_back(value: Any) -> Any:
    return wire.decode(wire.load(wire.dump(wire.Encoder().encode(value))))


def same(left: Any, right: Any) -> bool:
    """Equal with equal types, all the way down; the sign of a zero counts."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    if isinstance(left, list | tuple | deque):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return len(left) == len(right) and all(map(same, left.items(), right.items()))
    if isinstance(left, set | frozenset):
        return left == right and all(any(same(item, other) for other in right) for item in left)
    return bool(left == right)


@given(VALUES)
@settings(max_examples=150, deadline=None)
def test_a_plain_value_comes_back_with_its_types(value: Any) -> None:
    assert same(there_and_back(value), value)


def test_hand_values() -> None:
    assert wire.dump(wire.Encoder().encode((1, {2}, b"a"))) == b'{"t":[1,{"s":[2]},{"b":"YQ=="}]}'
    assert wire.Encoder().encode(1 << 53) == {"i": "0x20000000000000"}
    assert math.isnan(there_and_back(math.nan))
    assert there_and_back([math.inf, -math.inf]) == [math.inf, -math.inf]
    assert there_and_back(Decimal("NaN")).is_nan()


@given(st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_bytes_raise_nothing_but_wire_error(payload: bytes) -> None:
    with contextlib.suppress(wire.WireError):
        wire.decode(wire.load(payload))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*wire.READERS, "x", "status", "value"]), inner, max_size=2)
    ),
    max_leaves=15,
)


@given(JSON)
@settings(max_examples=200, deadline=None)
def test_well_formed_nonsense_raises_nothing_but_wire_error(data: Any) -> None:
    with contextlib.suppress(wire.WireError):
        wire.decode(data)
    assert channel.decode_reply(data, 0.0).status in channel.STATUSES
    assert channel.decode_reply({"status": "value", "value": data, "notes": data, "line": data}, 0.0).status in (
        "value",
        "missing",
    )


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"[" * 1_000_000 + b"]" * 1_000_000, "recursion"),
        (b'{"t":' * 300 + b"[]" + b"}" * 300, "deeper|without its list|recursion"),
        (b"[" * 250 + b"]" * 250, "nested deeper than 200"),
        (b"9" * 1_000_000, "digits|large int"),
        (b"1" * 30, "hexadecimal"),
        (b"1e999", "no number"),
        (b"NaN", "NaN"),
        (b'{"f":"1e5"}', "no such float"),
        (b'{"a":1,"a":2}', "twice"),
        (b'{"i":"zz"}', "ValueError"),
        (b'{"i":"0x' + b"f" * 200_000 + b'"}', "too many digits"),
        (b'{"s":[[1]]}', "TypeError"),
        (b'{"d":[[{"d":[]},1]]}', "TypeError"),
        (b'{"d":[1]}', "TypeError"),
        (b'{"T":["timedelta",[1e300,0,0]]}', "Error"),
        (b'{"T":["datetime","99999-01-01"]}', "ValueError"),
        (b'{"T":["os","system"]}', "KeyError"),
        (b'{"r":[0,1,0]}', "ValueError"),
        (b'{"F":[1,0]}', "ZeroDivisionError"),
        (b'{"F":[{"i":"0x' + b"f" * 6000 + b'"},1]}', "Fraction with too many digits"),
        (b'{"b":"%%%"}', "Error"),
        (b'{"h":[true,"x"]}', "handle"),
        (b'{"__reduce__":["os.system","id"]}', "no tagged value"),
        (b"1 2", "too many"),
        (b"\xff", "not a message"),
        (b"", "not a message"),
    ],
)
def test_hostile_bytes_are_refused_with_a_reason(payload: bytes, message: str) -> None:
    with pytest.raises(wire.WireError, match=message):
        wire.decode(wire.load(payload))


def test_keys_of_one_hash_cost_no_more_than_their_number() -> None:
    """hash(k * (2**61 - 1)) is 0 for every k: 30,000 of them in a set would take 450 million comparisons."""
    items = [{"i": hex(number * (2**61 - 1))} for number in range(1, 30_001)]
    began = time.thread_time()
    for data in ({"s": items}, {"z": items}, {"d": [[item, 0] for item in items]}):
        with pytest.raises(wire.WireError, match="one hash"):
            wire.decode(data)
    assert time.thread_time() - began < 5.0  # the comparisons alone would take most of a minute


@pytest.mark.parametrize("size", [5_000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_frame_is_not_collected_beyond_its_limit(size: int) -> None:
    frames = Frames(4096)
    with pytest.raises(wire.WireError, match=f"{size:,}"):
        frames.feed(struct.pack("!I", size) + b"x")
    assert len(frames.data) < 10


# ------------------------------------------------------------------------------------------ what a program may return
class Loud(type):
    """A metaclass that lies about its classes, and raises."""

    @property
    def __module__(cls) -> str:  # type: ignore[override]
        raise RuntimeError("asked for the module")

    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError(f"asked for {name}")

    def __hash__(cls) -> int:
        raise RuntimeError("asked for the hash")


class Named(metaclass=Loud):
    __slots__ = ()


class Number(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


class Text(str):
    def __str__(self) -> str:
        return "another"


class Record(dict):  # type: ignore[type-arg]
    def items(self) -> Any:
        return [("forged", 1)]


def encoded(value: Any) -> tuple[Any, list[str]]:
    encoder = wire.Encoder()
    return wire.decode(wire.load(wire.dump(encoder.encode(value)))), encoder.notes


def test_subclasses_cross_as_their_data_with_a_note() -> None:
    value, notes = encoded(Number(7))
    assert (type(value), value) == (int, 7)
    assert notes == ["subclass of int: Number", "overrides __eq__, __hash__", "equal to everything"]
    assert encoded(Text("own"))[0] == "own"
    assert encoded(Record(a=2))[0] == {"a": 2}

    class Zero(float):
        pass

    assert math.copysign(1, encoded(Zero(-0.0))[0]) == -1


def test_what_has_no_plain_data_is_named() -> None:
    inside: list[Any] = []
    inside.append(inside)
    for value, message in (
        (inside, "inside itself"),
        (object(), "object"),
        (Named(), "Named"),
        (1 << 500_000, "500001 bits"),
        (iter(()), "iterator"),
        (bytes, "type"),
        (datetime.datetime.now(datetime.UTC), "datetime"),
    ):
        with pytest.raises(wire.NotPlainError, match=message):
            wire.Encoder().encode(value)
    assert wire.Encoder(materialise=3).encode(iter(range(9))) == [0, 1, 2]


def test_more_items_than_are_accepted() -> None:
    with pytest.raises(wire.NotPlainError, match="1,000,000 items"):
        wire.Encoder().encode([[0] * 1000] * 1001)
    with pytest.raises(wire.NotPlainError, match="1,000,000 items"):
        wire.Encoder().encode(dict.fromkeys(range(1_000_001)))


def test_arrays_are_lists_with_a_note() -> None:
    numpy = pytest.importorskip("numpy")
    assert encoded(numpy.array([[1, 2], [3, 4]])) == ([[1, 2], [3, 4]], ["array: numpy.ndarray"])
    assert encoded(numpy.float64(0.5))[0] == 0.5
    assert encoded(numpy.bool_(True))[0] is True
    assert len(wire.Encoder().encode(numpy.zeros(600_000))) == 600_000  # each item counts once
    with pytest.raises(wire.NotPlainError, match="1,000,000 items"):
        wire.Encoder().encode(numpy.zeros((1000, 1001)))


@pytest.mark.parametrize(
    "data", [{"status": "value", "value": {"h": [0, "Box"]}}, {"status": "handle", "value": 3}, {"status": "missing"}]
)
def test_a_reply_that_contradicts_itself_is_missing(data: Any) -> None:
    assert channel.decode_reply(data, 0.0).status == "missing"


def test_the_fast_codec_writes_what_json_reads() -> None:
    message = {"reply": {"status": "value", "value": [1, 2.5, "é\ud800", None, True], "notes": []}}
    assert json.loads(wire.dump(message)) == message
    with pytest.raises(ValueError, match="JSON"):
        wire.dump({"value": math.nan})


def test_a_decimal_is_bounded() -> None:
    assert there_and_back(Fraction(1, 3)) == Fraction(1, 3)
    assert there_and_back(Decimal("1E+999999")) == Decimal("1E+999999")
    with pytest.raises(wire.WireError, match="too many digits"):
        wire.decode({"D": "9" * 10_001})
