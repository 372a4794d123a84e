"""What a piece of source means without running it: dotted names of what it refers to, and strings that it builds.

Folding is for strings and small lists that hide a name or a program (`"_ex" + "it"`, base64, chr and join); it is
bounded and gives None for everything else.
"""

from __future__ import annotations

import ast
import base64
import binascii
import builtins
import codecs
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

MAX_TEXT = 100_000
MAX_LIST = 10_000
MAX_DEPTH = 40
MAX_STEPS = 50_000
"""Expressions that are folded for one source: a hostile one must not keep the grader busy."""

BUILTIN_NAMES = frozenset(dir(builtins))


def children(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes directly below one, without its contexts (`ast.iter_child_nodes` takes four times as long)."""
    for value in node.__dict__.values():
        if isinstance(value, list):
            for item in value:
                if isinstance(item, ast.AST):
                    yield item
        elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context):
            yield value


def flat(tree: ast.AST) -> list[ast.AST]:
    """All nodes of a tree, parents first."""
    nodes = [tree]
    for node in nodes:
        nodes.extend(children(node))
    return nodes


class Names:
    """Names of a source: imports and aliases to what they stand for, and variables that hold one constant."""

    def __init__(self, nodes: Sequence[ast.AST]) -> None:
        self.aliases: dict[str, str] = {}
        self.constants: dict[str, ast.expr | None] = {}
        self.defined: set[str] = set()
        self.steps = 0
        self.hidden: set[int] = set()
        """Ids of nodes whose meaning was built from pieces."""
        for node in nodes:
            if isinstance(node, ast.Import):
                for item in node.names:
                    self.aliases[item.asname or item.name.partition(".")[0]] = (
                        item.name if item.asname else item.name.partition(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom) and node.module:
                for item in node.names:
                    self.aliases[item.asname or item.name] = f"{node.module}.{item.name}"
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)):
                self.defined.add(node.name)
            elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                self.constants[name] = None if name in self.constants else node.value
        for name, value in self.constants.items():
            if isinstance(value, (ast.Attribute, ast.Call, ast.Name, ast.Subscript)) and name not in self.aliases:
                meant = self.dotted(value)
                if meant and "." in meant and not isinstance(value, ast.Call):
                    self.aliases[name] = meant
                elif isinstance(value, ast.Call) and meant and not meant.endswith(")"):
                    self.aliases[name] = meant  # __import__("os") and getattr(os, "_exit") stand for what they give

    # ---------------------------------------------------------------------------------------------------------- dotted
    def dotted(self, node: ast.expr, depth: int = 0) -> str:
        """`os._exit` for whatever way the source refers to it; "" where that is not known. A call ends in `()`."""
        if depth > MAX_DEPTH:
            return ""
        if isinstance(node, ast.Name):
            return self.aliases.get(node.id) or (f"builtins.{node.id}" if self._is_builtin(node.id) else node.id)
        if isinstance(node, ast.Attribute):
            home = self.dotted(node.value, depth + 1)
            return f"{home}.{node.attr}" if home else f"?.{node.attr}"
        if isinstance(node, ast.Subscript):
            return self._subscript(node, depth)
        if isinstance(node, ast.Call):
            return self._call(node, depth)
        return ""

    def _is_builtin(self, name: str) -> bool:
        return name in BUILTIN_NAMES and name not in self.defined and name not in self.constants

    def _subscript(self, node: ast.Subscript, depth: int) -> str:
        home = self.dotted(node.value, depth + 1)
        key = self.text(node.slice)
        if key is None:
            return ""
        if home in ("sys.modules", "builtins.globals()", "builtins.locals()", "builtins.vars()"):
            self.hidden.add(id(node))
            return key if home == "sys.modules" else self.aliases.get(key, key)
        if home.endswith(".__dict__"):
            return f"{home.removesuffix('.__dict__')}.{key}"
        if home.startswith("builtins.vars(") or home == "__builtins__":
            return f"{home.removeprefix('builtins.vars(').removesuffix(')') or 'builtins'}.{key}"
        return ""

    def _call(self, node: ast.Call, depth: int) -> str:
        function = self.dotted(node.func, depth + 1)
        if function in ("builtins.__import__", "importlib.import_module", "importlib.__import__", "?.load_module"):
            name = self.text(node.args[0]) if node.args else None
            if name:
                self.hidden.add(id(node))
                return name if function == "importlib.import_module" or len(node.args) > 3 else name.partition(".")[0]
        if function == "sys.modules.get" and node.args:
            name = self.text(node.args[0])
            if name:
                self.hidden.add(id(node))
                return name
        if function in ("builtins.getattr", "operator.attrgetter()") and len(node.args) >= 2:
            name = self.text(node.args[1])
            home = self.dotted(node.args[0], depth + 1)
            if name:
                if not isinstance(node.args[1], ast.Constant):
                    self.hidden.add(id(node))
                return f"{home or '?'}.{name}"
        if function in ("builtins.vars", "builtins.vars()") and len(node.args) == 1:
            return f"builtins.vars({self.dotted(node.args[0], depth + 1)})"
        if function == "builtins.eval" and node.args:
            return self._evaluated(node, depth)
        return f"{function}()" if function else ""

    def _evaluated(self, node: ast.Call, depth: int) -> str:
        text = self.text(node.args[0])
        if text is None or len(text) > 200:
            return "builtins.eval()"
        try:
            inner = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError):
            return "builtins.eval()"
        self.hidden.add(id(node))
        return self.dotted(inner, depth + 1)

    # ------------------------------------------------------------------------------------------------------------ text
    def text(self, node: ast.expr | None) -> str | None:
        """The string that an expression gives; None where that is not plain."""
        value = self.value(node)
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        return value if isinstance(value, str) else None

    def value(self, node: ast.expr | None, depth: int = 0) -> Any:
        """A string, bytes, number, or list of them that an expression gives; None where it is none of these."""
        self.steps += 1
        if node is None or depth > MAX_DEPTH or self.steps > MAX_STEPS:
            return None
        folder = FOLDERS.get(type(node))
        try:
            value = folder(self, node, depth + 1) if folder else None
        except (TypeError, ValueError, KeyError, IndexError, OverflowError, binascii.Error, zlib.error, LookupError):
            return None
        if isinstance(value, (str, bytes)) and len(value) > MAX_TEXT:
            return None
        return None if isinstance(value, list) and len(value) > MAX_LIST else value

    def is_built(self, node: ast.expr) -> bool:
        """Whether a string is put together rather than written down."""
        if isinstance(node, ast.Name):
            held = self.constants.get(node.id)
            return held is not None and self.is_built(held)
        return not isinstance(node, (ast.Constant, ast.JoinedStr))

    def is_decoded(self, node: ast.expr) -> bool:
        """Whether an expression, or the variable that it names, decodes something."""
        for part in ast.walk(node):
            if isinstance(part, ast.Name):
                held = self.constants.get(part.id)
                if held is not None and held is not node and self._decodes(held):
                    return True
        return self._decodes(node)

    def _decodes(self, node: ast.expr) -> bool:
        for part in ast.walk(node):
            if isinstance(part, ast.Call):
                name = self.dotted(part.func).rpartition(".")[2]
                if name in DECODERS or name == "chr":
                    return True
            if isinstance(part, ast.Slice) and isinstance(part.step, ast.UnaryOp):
                return True
        return False


DECODERS = frozenset(
    ("b64decode", "b32decode", "b16decode", "a85decode", "b85decode", "urlsafe_b64decode", "standard_b64decode",
     "decodebytes", "fromhex", "unhexlify", "decompress", "rot13", "loads", "a2b_base64", "translate")
)  # fmt: skip


def _constant(names: Names, node: Any, depth: int) -> Any:
    return node.value if isinstance(node.value, (str, bytes, int)) else None


def _name(names: Names, node: Any, depth: int) -> Any:
    return names.value(names.constants.get(node.id), depth)


def _binary(names: Names, node: Any, depth: int) -> Any:
    left, right = names.value(node.left, depth), names.value(node.right, depth)
    if isinstance(node.op, ast.Mod) and isinstance(left, str):
        if "*" in left or re.search(r"%[^a-zA-Z%]*\d{3}", left):  # a width is a size that the source chooses
            return None
        if right is None and isinstance(node.right, ast.Tuple):
            right = [names.value(item, depth) for item in node.right.elts]
        return left % (tuple(right) if isinstance(right, list) else right) if right is not None else None
    if left is None or right is None:
        return None
    if isinstance(node.op, ast.Add):
        return left + right
    if isinstance(node.op, ast.Mult) and isinstance(left, (str, bytes, list)):
        return left * right if isinstance(right, int) and len(left) * right <= MAX_TEXT else None
    if isinstance(left, int) and isinstance(right, int) and abs(left) < 1 << 40 and abs(right) < 1 << 40:
        arithmetic: dict[type, Callable[[int, int], int]] = {
            ast.Sub: int.__sub__,
            ast.Mult: int.__mul__,
            ast.BitXor: int.__xor__,
            ast.FloorDiv: int.__floordiv__,
        }
        operation = arithmetic.get(type(node.op))
        return operation(left, right) if operation else None
    return None


def _joined(names: Names, node: Any, depth: int) -> Any:
    parts = [names.value(part.value if isinstance(part, ast.FormattedValue) else part, depth) for part in node.values]
    return None if any(part is None for part in parts) else "".join(str(part) for part in parts)


def _list(names: Names, node: Any, depth: int) -> Any:
    if len(node.elts) > MAX_LIST:
        return None
    items = [names.value(item, depth) for item in node.elts]
    return None if any(item is None for item in items) else items


def _comprehension(names: Names, node: Any, depth: int) -> Any:
    """`chr(x ^ 1) for x in [...]`: one loop over a known list or string, no condition."""
    if len(node.generators) != 1 or node.generators[0].ifs or not isinstance(node.generators[0].target, ast.Name):
        return None
    items = names.value(node.generators[0].iter, depth)
    if items is None or len(items) > 2000:
        return None
    name = node.generators[0].target.id
    before = names.constants.get(name)
    results = []
    try:
        for item in items:
            names.constants[name] = ast.Constant(item)
            results.append(names.value(node.elt, depth))
    finally:
        names.constants[name] = before
    return None if any(item is None for item in results) else results


def _sliced(names: Names, node: Any, depth: int) -> Any:
    home = names.value(node.value, depth)
    if not isinstance(home, (str, bytes, list)):
        return None
    if isinstance(node.slice, ast.Slice):
        bounds = [_bound(names, part, depth) for part in (node.slice.lower, node.slice.upper, node.slice.step)]
        return home[slice(*bounds)]
    index = _bound(names, node.slice, depth)
    return home[index] if index is not None else None


def _bound(names: Names, node: ast.expr | None, depth: int) -> int | None:
    value = names.value(node, depth)
    return value if isinstance(value, int) else None


def _negative(names: Names, node: Any, depth: int) -> Any:
    value = names.value(node.operand, depth)
    return -value if isinstance(node.op, ast.USub) and isinstance(value, int) else None


def _called(names: Names, node: Any, depth: int) -> Any:
    args = [names.value(arg, depth) for arg in node.args]
    if isinstance(node.func, ast.Attribute):
        home = names.value(node.func.value, depth)
        if isinstance(home, (str, bytes)):
            return _method(home, node.func.attr, args)
    function = names.dotted(node.func)
    if function == "builtins.map" and len(node.args) == 2 and isinstance(args[1], (list, str, bytes)):
        mapped = names.dotted(node.args[0])
        return [chr(int(item)) for item in args[1]] if mapped == "builtins.chr" else None
    if not args or args[0] is None:
        return None
    known = CALLED.get(function)
    return known(args) if known else None


def _method(home: Any, method: str, args: list[Any]) -> Any:
    if any(arg is None for arg in args) or method not in METHODS:
        return None
    if method == "decode" and isinstance(home, bytes):
        return home.decode(str(args[0]) if args else "utf-8", "replace") if len(args) < 2 else None
    if method == "join" and sum(len(part) + len(home) for part in args[0]) > MAX_TEXT:
        return None
    if method == "replace" and (len(home) + 1) * (len(args[1]) + 1) > MAX_TEXT:
        return None
    return getattr(home, method)(*args)


METHODS = frozenset(
    ("join", "replace", "lower", "upper", "strip", "lstrip", "rstrip", "decode", "encode", "split",
     "title", "capitalize", "swapcase", "hex", "removeprefix", "removesuffix")
)  # fmt: skip


def _inflate(args: list[Any]) -> bytes:
    return zlib.decompressobj().decompress(args[0], MAX_TEXT)


CODECS = frozenset(("rot13", "rot_13", "hex", "base64", "utf-8", "utf8", "ascii", "latin-1"))

CALLED: dict[str, Callable[[list[Any]], Any]] = {
    "base64.b64decode": lambda args: base64.b64decode(args[0]),
    "base64.urlsafe_b64decode": lambda args: base64.urlsafe_b64decode(args[0]),
    "base64.standard_b64decode": lambda args: base64.b64decode(args[0]),
    "base64.b32decode": lambda args: base64.b32decode(args[0]),
    "base64.b16decode": lambda args: base64.b16decode(args[0]),
    "base64.a85decode": lambda args: base64.a85decode(args[0]),
    "base64.b85decode": lambda args: base64.b85decode(args[0]),
    "base64.decodebytes": lambda args: base64.decodebytes(args[0]),
    "binascii.unhexlify": lambda args: binascii.unhexlify(args[0]),
    "binascii.a2b_base64": lambda args: binascii.a2b_base64(args[0]),
    "builtins.bytes.fromhex": lambda args: bytes.fromhex(args[0]),
    "builtins.bytearray.fromhex": lambda args: bytes.fromhex(args[0]),
    "builtins.bytes": lambda args: bytes(args[0]) if isinstance(args[0], list) else None,
    "builtins.bytearray": lambda args: bytes(args[0]) if isinstance(args[0], list) else None,
    "builtins.chr": lambda args: chr(args[0]),
    "builtins.ord": lambda args: ord(args[0]),
    "builtins.str": lambda args: args[0].decode("utf-8", "replace") if isinstance(args[0], bytes) else str(args[0]),
    "builtins.reversed": lambda args: list(args[0])[::-1],
    "builtins.list": lambda args: list(args[0]),
    "codecs.decode": lambda args: codecs.decode(*args) if args[-1] in CODECS else None,
    "zlib.decompress": _inflate,
}

FOLDERS: dict[type, Callable[[Names, Any, int], Any]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.BinOp: _binary,
    ast.JoinedStr: _joined,
    ast.List: _list,
    ast.Tuple: _list,
    ast.ListComp: _comprehension,
    ast.GeneratorExp: _comprehension,
    ast.Subscript: _sliced,
    ast.UnaryOp: _negative,
    ast.Call: _called,
}
