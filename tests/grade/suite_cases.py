"""A suite that uses a solution in most of the ways that tests do, and the solution; shared by tests of suites."""

from __future__ import annotations

TESTS = """
import asyncio
import json
import math
import unittest

import pytest

import solution
from solution import Color, Ctx, EmptyError, Point, Stack, add, apply, gen, hello, retry, sort_it


def test_add():
    assert add(2, 3) == 5


@pytest.mark.parametrize(("a", "b", "c"), [(1, 2, 3), (5, 5, 10)])
def test_parameters(a, b, c):
    assert add(a, b) == c


def test_object():
    s = Stack()
    s.push(1)
    s.push([2, 3])
    assert len(s) == 2
    assert s.pop() == [2, 3]
    assert s.size == 1
    assert 1 in s
    assert list(s) == [1]
    assert s[0] == 1
    assert isinstance(s, Stack)
    assert not callable(s)
    assert s is not Stack()
    assert s != Stack()


def test_exceptions():
    with pytest.raises(ValueError, match="no"):
        add("a", 1)
    with pytest.raises(EmptyError, match="empty") as caught:
        Stack().pop()
    assert caught.value.code == 7
    with pytest.raises(LookupError):
        Stack().pop()
    with pytest.raises(json.JSONDecodeError):
        solution.parse("{")


def test_enum():
    assert Color.RED is Color(1)
    assert Color.RED != Color.BLUE
    assert Color.RED.value == 1
    assert not hasattr(Color.RED, "__len__")
    assert [c.name for c in Color] == ["RED", "BLUE"]


def test_named_tuple():
    p = Point(3, 4)
    assert p == (3, 4)
    assert p.x == 3
    assert p.norm() == 5.0
    assert isinstance(p, Point)


def test_generator():
    assert list(gen(3)) == [0, 1, 2]
    assert next(gen(3)) == 0


def test_functions_of_the_test():
    assert apply(lambda v: v * 2, [1, 2]) == [2, 4]
    seen = []
    apply(seen.append, [1])
    assert seen == [1]

    class OwnError(Exception):
        pass

    def bad(x):
        raise OwnError("q")

    with pytest.raises(OwnError):
        apply(bad, [1])
    assert apply(lambda v: add(v, 1), [1]) == [2]
    assert apply(len, ["ab"]) == [2]


def test_in_place():
    a = [3, 1, 2]
    sort_it(a)
    assert a == [1, 2, 3]


def test_printed(capsys):
    hello()
    assert capsys.readouterr().out == "hello\\n"


def test_patched(monkeypatch):
    monkeypatch.setattr(solution, "helper", lambda: 99)
    assert solution.use_helper() == 99


def test_patch_is_undone():
    assert solution.use_helper() == 1


def test_context_manager():
    with Ctx() as c:
        assert c.state() == "in"
    assert c.state() == "out"


def test_decorator():
    calls = []

    @retry(3)
    def f():
        calls.append(1)
        if len(calls) < 3:
            raise ValueError("x")
        return "ok"

    assert f() == "ok"
    assert len(calls) == 3
    assert f.__name__ == "f"


class TestOfUnittest(unittest.TestCase):
    def test_it(self):
        self.assertEqual(add(1, 1), 2)


def test_constants():
    assert solution.LIMIT == 10
    assert math.isclose(solution.PI, 3.14)


def test_coroutine():
    assert asyncio.run(solution.double(4)) == 8


def test_warning():
    with pytest.warns(DeprecationWarning):
        solution.old()


def test_texts():
    assert add.__doc__ == "Adds."
    assert add.__name__ == "add"
    assert repr(Stack()) == "Stack()"


def test_class_methods():
    assert Stack.of(1, 2).pop() == 2
    assert Stack.count() > 0
    assert hasattr(Stack(), "push")
    assert not hasattr(Stack(), "nope")
"""

SOLUTION = """
import collections
import enum
import functools
import json
import warnings

LIMIT = 10
PI = 3.14


def add(a, b):
    "Adds."
    if isinstance(a, str):
        raise ValueError("no")
    return a + b


class EmptyError(LookupError):
    def __init__(self, message):
        super().__init__(message)
        self.code = 7


class Stack:
    made = 0

    def __init__(self):
        self.items = []
        Stack.made += 1

    def push(self, x):
        self.items.append(x)

    def pop(self):
        if not self.items:
            raise EmptyError("stack is empty")
        return self.items.pop()

    @property
    def size(self):
        return len(self.items)

    def __len__(self):
        return len(self.items)

    def __contains__(self, x):
        return x in self.items

    def __iter__(self):
        return iter(self.items)

    def __getitem__(self, i):
        return self.items[i]

    def __repr__(self):
        return "Stack()"

    @classmethod
    def of(cls, *items):
        made = cls()
        for item in items:
            made.push(item)
        return made

    @staticmethod
    def count():
        return Stack.made


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Point(collections.namedtuple("P", "x y")):
    def norm(self):
        return (self.x**2 + self.y**2) ** 0.5


def gen(n):
    yield from range(n)


def apply(f, xs):
    return [f(x) for x in xs]


def sort_it(a):
    a.sort()


def hello():
    print("hello")


def helper():
    return 1


def use_helper():
    return helper()


class Ctx:
    now = "new"

    def __enter__(self):
        self.now = "in"
        return self

    def __exit__(self, *_):
        self.now = "out"

    def state(self):
        return self.now


def retry(n):
    def decorate(f):
        @functools.wraps(f)
        def wrapped(*args, **kwargs):
            for _ in range(n):
                try:
                    return f(*args, **kwargs)
                except ValueError:
                    pass
            raise RuntimeError("gave up")

        return wrapped

    return decorate


async def double(x):
    return 2 * x


def old():
    warnings.warn("old", DeprecationWarning)


def parse(text):
    return json.loads(text)
"""
