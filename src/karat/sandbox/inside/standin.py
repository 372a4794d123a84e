"""Stand-ins for the candidate's classes, objects, functions and modules in a trusted process: every use is relayed.

Each holds its link (see `proxy.Link`) and the number of what it stands for. How objects compare is decided here: with a
plain value never equal, before or after; with another object of the candidate by identity.
"""

from __future__ import annotations

import builtins
import secrets
import types
from collections.abc import Callable, Iterator
from typing import Any

from karat.sandbox.inside import wire
from karat.sandbox.inside.relay import SPECIALS

Link = Any
"""`proxy.Link`: does one operation (`do`), counts what cannot be relayed (`limit`)."""
MAX_ITERATED = 1_000_000


def internal(value: Any, name: str, default: Any) -> Any:
    """A note of ours on a stand-in, without asking the candidate."""
    if isinstance(value, type):
        return vars(value).get(name, default)
    try:
        return object.__getattribute__(value, name)
    except AttributeError:
        return default


def named_as_class(label: str) -> bool:
    """Whether the tests call by a name that classes have. Where no reference shows it, nothing else tells a class from
    a function that a candidate made a class of."""
    return label.rpartition(".")[2][:1].isupper()


def is_plain_standin(value: Any) -> bool:
    """Whether a stand-in is a value of a plain type with further methods."""
    return vars(type(value)).get("_karat_class", 0) is None


def number_of(value: Any) -> int | None:
    """The handle of a stand-in; None for anything else."""
    kind = type(value)
    if isinstance(value, type):
        number = vars(value).get("_karat_class")
    elif (
        isinstance(value, (Standin, BaseException))
        or kind in (FunctionStandin, ModuleStandin)
        or "_karat_class" in vars(kind)
    ):
        try:
            number = object.__getattribute__(value, "_karat_number")
        except AttributeError:
            return None
    else:
        return None
    return number if type(number) is int else None


HIDDEN = frozenset(
    [
        *("__wrapped__", "__test__", "__pytest_wrapped__", "pytestmark", "_pytestfixturefunction", "__path__"),
        *("__spec__", "__file__", "__loader__", "__cached__", "place_as", "__tracebackhide__", "__mp_main__"),
        *("__isabstractmethod__", "__array__", "__array_interface__", "__array_struct__", "__array_ufunc__"),
        "__array_function__",
    ]
)
"""What runners and libraries look for in any object: never asked of the candidate."""


class StandinMeta(type):
    """Class of stand-in classes: construction, attributes and methods of the class itself are relayed."""

    _karat_link: Link
    _karat_specials: set[str]

    @staticmethod
    def made(link: Link, number: int, told: dict[str, Any], bases: tuple[Any, ...]) -> Any:
        """The stand-in of a class, with the special methods that the class is said to have."""
        specials = set(told["specials"])
        body: dict[str, Any] = {f"__{name}__": SPECIAL_METHODS[name] for name in specials if name in SPECIAL_METHODS}
        body |= {"__doc__": told["doc"], "__hash__": standin_hash}
        body |= {"_karat_link": link, "_karat_class": number, "_karat_specials": specials, "_karat_label": "?"}
        try:
            return type.__new__(StandinMeta, str(told["name"]), bases, body)
        except TypeError:  # bases that do not fit each other here
            return type.__new__(StandinMeta, str(told["name"]), (Standin,), body)

    def __new__(cls, name: str, bases: tuple[Any, ...], body: dict[str, Any], **options: Any) -> Any:
        for base in bases:
            if (link := getattr(base, "_karat_link", None)) is not None:
                raise link.limit(f"a class of the test that derives from the candidate's {base.__name__}")
        return super().__new__(cls, name, bases, body)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        made = cls._karat_link.do("call", cls, *args, **kwargs)
        if isinstance(made, Standin) and named_as_class(vars(cls)["_karat_label"]):
            object.__setattr__(made, "_karat_made", True)
        return made

    def __getattr__(cls, name: str) -> Any:
        if name in HIDDEN or name.startswith("_karat") or "_karat_link" not in vars(cls):
            raise AttributeError(name)
        return cls._karat_link.do("getattr", cls, name)

    def __setattr__(cls, name: str, value: Any) -> None:
        if name.startswith("__"):
            type.__setattr__(cls, name, value)
        else:
            cls._karat_link.do("setattr", cls, name, value)

    def __delattr__(cls, name: str) -> None:
        cls._karat_link.do("delattr", cls, name)

    def __iter__(cls) -> Iterator[Any]:
        return iterate(cls._karat_link, cls)

    def __len__(cls) -> int:
        return int(cls._karat_link.do("special", cls, "__len__"))

    def __getitem__(cls, key: Any) -> Any:
        return cls._karat_link.do("special", cls, "__getitem__", key)

    def __contains__(cls, value: Any) -> bool:
        return bool(cls._karat_link.do("special", cls, "__contains__", value))

    def __bool__(cls) -> bool:
        return True


class Standin(metaclass=StandinMeta):
    """An object that lives in the candidate's process."""

    _karat_link: Link
    _karat_number: int
    _karat_label = "?"
    _karat_made = False

    def __getattr__(self, name: str) -> Any:
        if name in HIDDEN or name.startswith("_karat"):
            raise AttributeError(name)
        return self._karat_link.do("getattr", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._karat_link.do("setattr", self, name, value)

    def __delattr__(self, name: str) -> None:
        self._karat_link.do("delattr", self, name)

    def __repr__(self) -> str:
        return str(self._karat_link.do("repr", self))

    def __str__(self) -> str:
        return str(self._karat_link.do("str", self))

    def __dir__(self) -> list[str]:
        return [str(name) for name in self._karat_link.do("dir", self)]

    def __eq__(self, other: object) -> bool:
        return other is self or bool(decide(self, other, "eq"))

    def __ne__(self, other: object) -> bool:
        return not self.__eq__(other)

    def __lt__(self, other: Any) -> Any:
        return decide(self, other, "lt")

    def __le__(self, other: Any) -> Any:
        return decide(self, other, "le")

    def __gt__(self, other: Any) -> Any:
        return decide(self, other, "gt")

    def __ge__(self, other: Any) -> Any:
        return decide(self, other, "ge")

    def __hash__(self) -> int:
        return standin_hash(self)


def decide(mine: Any, other: Any, name: str) -> Any:
    """A comparison with an object of the candidate. Never left to him: see the rules above."""
    link: Link = mine._karat_link
    theirs = number_of(other) is not None
    own = name in type(mine)._karat_specials
    if own and theirs:
        raise link.limit(f"a comparison by __{name}__ of the candidate's class {type(mine).__name__}")
    if own:
        suspect(mine)
    undecided: Any = NotImplemented
    return False if name == "eq" else undecided


def suspect(value: Any) -> None:
    """Note an object that says it equals what it cannot know: a number that nobody has seen."""
    link: Link = value._karat_link
    kind = type(value)
    if "eq" not in kind._karat_specials or kind in link.probed:
        return
    link.probed.add(kind)
    try:
        equal = link.do("special", value, "__eq__", secrets.randbits(50))
    except Exception:
        return
    if equal is True:
        link.suspicious.append(f"an object of class {kind.__name__} equals a number drawn at random")


def standin_hash(self: Any) -> int:
    if "hash" in type(self)._karat_specials:
        return hash(int(self._karat_link.do("special", self, "__hash__")))
    return hash(("karat", self._karat_number))


def special_method(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any) -> Any:
        if name in ARITHMETIC and not (self._karat_link.knows or self._karat_made or number_of(args[0]) is not None):
            raise self._karat_link.limit(f"arithmetic of a result of class {type(self).__name__}, without a reference")
        if name in ARITHMETIC and not self._karat_link.expected.may_operate(self, f"__{name}__"):
            return NotImplemented
        result = self._karat_link.do("special", self, f"__{name}__", *args)
        if result is self and name in IN_PLACE:  # the reference may have made a new object: the tests' way is one
            object.__setattr__(self, "_karat_label", self._karat_link.expected.label(self, f"__{name}__"))
        return result

    method.__name__ = f"__{name}__"
    return method


OPERATORS = ("add", "sub", "mul", "truediv", "floordiv", "mod", "divmod", "pow", "matmul", "and", "or", "xor")
IN_PLACE = frozenset(f"i{name}" for name in OPERATORS)
ARITHMETIC = frozenset(prefix + name for name in OPERATORS for prefix in ("", "r", "i"))


def iterate(link: Link, value: Any) -> Iterator[Any]:
    source = link.do("iter", value)
    if number_of(source) is None:
        yield from source
        return
    object.__setattr__(source, "_karat_label", f"{internal(value, '_karat_label', '?')}[]")
    for _ in range(MAX_ITERATED):
        try:
            item = link.do("next", source)
        except StopIteration:
            return
        yield item


def _iter(self: Any) -> Any:
    return iterate(self._karat_link, self)


def _next(self: Any) -> Any:
    return self._karat_link.do("next", self)


def _contains(self: Any, item: Any) -> bool:
    """By the object's own method only where the reference has such an object here, or the test built it itself: a
    result never says what it contains."""
    link = self._karat_link
    own = link.expected.may_operate(self, "__contains__") if link.knows else self._karat_made
    if own or number_of(item) is not None:
        return bool(self._karat_link.do("special", self, "__contains__", item))
    if "iter" not in type(self)._karat_specials:
        raise self._karat_link.limit(f"`in` decided by the candidate's class {type(self).__name__}")
    return any(item == found for found in iterate(self._karat_link, self))


def _exit(self: Any, kind: Any, error: Any, trace: Any) -> Any:
    told = None if error is None else (kind, str(error))
    return self._karat_link.do("exit", self, told)


def _await(self: Any) -> Any:
    value = self._karat_link.do("await", self)
    yield from ()  # a generator, as __await__ must be
    return value


COMPARED = ("eq", "ne", "lt", "le", "gt", "ge", "hash", "str", "repr", "missing", "length_hint")
SPECIAL_METHODS: dict[str, Any] = {name: special_method(name) for name in SPECIALS if name not in COMPARED} | {
    "iter": _iter,
    "next": _next,
    "contains": _contains,
    "exit": _exit,
    "await": _await,
    "enter": lambda self: self._karat_link.do("enter", self),
    "bool": lambda self: bool(self._karat_link.do("bool", self)),
    "len": lambda self: int(self._karat_link.do("special", self, "__len__")),
    "call": lambda self, *args, **kwargs: self._karat_link.do("call", self, *args, **kwargs),
    "format": lambda self, spec: str(self._karat_link.do("format", self, spec)),
}


class FunctionStandin:
    """A function, method or closure of the candidate."""

    def __init__(self, link: Link, number: int, name: str, doc: str | None) -> None:
        object.__setattr__(self, "_karat_link", link)
        object.__setattr__(self, "__doc__", doc)
        object.__setattr__(self, "_karat_number", number)
        object.__setattr__(self, "_karat_name", name)
        object.__setattr__(self, "_karat_label", "?")

    def labelled(self, label: str) -> FunctionStandin:
        """The same function as the tests came to it."""
        link, number, name = (object.__getattribute__(self, f"_karat_{part}") for part in ("link", "number", "name"))
        made = FunctionStandin(link, number, name, object.__getattribute__(self, "__doc__"))
        object.__setattr__(made, "_karat_label", label)
        return made

    def __eq__(self, other: object) -> bool:
        return type(other) is FunctionStandin and number_of(other) == number_of(self)

    def __hash__(self) -> int:
        return hash(("karat", number_of(self)))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return object.__getattribute__(self, "_karat_link").do("call", self, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name in HIDDEN or name.startswith("_karat"):
            raise AttributeError(name)
        return object.__getattribute__(self, "_karat_link").do("getattr", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        object.__getattribute__(self, "_karat_link").do("setattr", self, name, value)

    def __delattr__(self, name: str) -> None:
        object.__getattribute__(self, "_karat_link").do("delattr", self, name)

    def __repr__(self) -> str:
        return f"<{object.__getattribute__(self, '_karat_name')} of the candidate>"


class ModuleStandin(types.ModuleType):
    """A module of the candidate. Its attributes are asked for when they are used."""

    def __init__(self, link: Link, name: str, number: int, *, package: bool) -> None:
        super().__init__(name)
        self.__dict__.update(
            _karat_link=link, _karat_number=number, _karat_label=name, **({"__path__": []} if package else {})
        )

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":  # `from solution import *` binds no name that a test takes for Python's own
            names = [str(n) for n in self._karat_link.do("names", self)]
            return [
                n for n in names if not (hasattr(builtins, n) or n.lower().startswith(("test", "pytest", "unittest")))
            ]
        if name in HIDDEN or name.startswith(("_karat", "pytest_")):
            raise AttributeError(name)
        return self._karat_link.do("getattr", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__") or isinstance(value, ModuleStandin):
            self.__dict__[name] = value
        else:
            self._karat_link.do("setattr", self, name, value)

    def __delattr__(self, name: str) -> None:
        self._karat_link.do("delattr", self, name)


def plain_standin(link: Link, number: int, base: Any, owner: Any, data: Any) -> Any:
    """A value of a plain type with the candidate's further methods; all comparisons are those of the plain type."""

    def ask(self: Any, name: str) -> Any:
        if name in HIDDEN or name.startswith("_karat"):
            raise AttributeError(name)
        return link.do("getattr", wire.Ref(number), name)

    body = {"__getattr__": ask, "_karat_class": None, "__class__": property(lambda self: owner)}
    made = type(owner.__name__, (base,), body)(link.unpack(data))
    made.__dict__.update(_karat_number=number, _karat_link=link)
    return made
