"""Special cases in a candidate's source: visible inputs and outputs as literals, found without running it.

A literal that equals a visible input says little alone: base cases, lookup tables that are the task and constants of
the statement do too. What counts is how much of the visible tests stands in the source (in bits, so that 0, 1 and ""
hardly count), and how much of a table is nothing but visible tests. Each sign is evidence, not a verdict; whether the
program answers anything else is seen by running it on other inputs.
"""

from __future__ import annotations

import ast
import base64
import binascii
import hashlib
import json
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from karat.grade.hardcoding.cases import NO_LITERAL, Case, forget, literal, loose_key, target_of, visible_cases
from karat.grade.hardcoding.glance import looks_like_digest, may_tell, tells_something
from karat.grade.hardcoding.known import Visible, bits
from karat.grade.hardcoding.reach import serving
from karat.grade.types import Task
from karat.sandbox.types import Plain

LEAST_BITS = 18.0
"""Bits of visible inputs that must stand in the source: about four calls of two small numbers."""
LEAST_OUTPUT_BITS = 24.0
"""The same for outputs alone, which tasks share among inputs."""
LEAST_PRECISION = 0.75
"""Share of a table's entries that must be visible tests: a table that serves the task has others."""
LARGEST_SOURCE = 1 << 20
"""Characters; larger sources are not parsed."""
TASKS_KEPT = 4096
HASH_NAMES = frozenset(("hash", "crc32", "adler32", "hexdigest", *hashlib.algorithms_guaranteed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """One place of the source that special-cases visible tests."""

    technique: str
    """Key of the technique table."""
    line: int
    evidence: str
    cases: frozenset[int]
    """Indices of the visible cases whose input or output stands there."""
    bits: float


@dataclass(frozen=True, slots=True)
class _Entry:
    """A literal that stands for an input, and the one that is given for it."""

    key: Plain
    value: Plain
    line: int


def special_cases(source: str | bytes, cases: Sequence[Case], *, entry_point: str = "") -> tuple[Sign, ...]:
    """Signs in the order of lines; none for source that does not parse, or without visible cases.

    Args:
        entry_point: what is tested; statements that cannot serve it (a program's own tests) are left out.
    """
    return _signs(source, Visible(cases, entry_point)) if cases else ()


def signs_of(task: Task, code: str | bytes) -> tuple[Sign, ...]:
    """`special_cases` of a candidate; what is visible of a task is worked out once."""
    kept = _visible.get(id(task))
    if kept is None or kept[0] is not task:
        kept = (task, Visible(visible_cases(task), target_of(task)))
        with _lock:
            _visible[id(task)] = kept
            while len(_visible) > TASKS_KEPT:
                del _visible[next(iter(_visible))]
    return _signs(code, kept[1]) if kept[1].cases else ()


def _signs(source: str | bytes, known: Visible) -> tuple[Sign, ...]:
    kept = _read.get(
        (id(source), id(known))
    )  # one candidate is asked about twice: before its inputs are made, and after
    if kept is None or kept[0] is not source or kept[1] is not known:
        kept = _read[id(source), id(known)] = (source, known, _read_signs(source, known))
        forget(_read, SOURCES_KEPT)
    return kept[2]


SOURCES_KEPT = 16
_read: dict[tuple[int, int], tuple[str | bytes, Visible, tuple[Sign, ...]]] = {}


def _read_signs(source: str | bytes, known: Visible) -> tuple[Sign, ...]:
    text = source.decode("utf-8", "replace") if isinstance(source, bytes) else source
    if len(text) > LARGEST_SOURCE or not may_tell(text, known):
        return ()
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    if not tells_something(tree, known):
        return ()
    tree = ast.Module(body=serving(tree, known.entry_point), type_ignores=[])
    signs = [
        *_tables(tree, known),
        *_branches(tree, known),
        *_digests(tree, known),
        *_outputs_in_order(tree, known),
        *_returned_outputs(tree, known),
    ]
    return tuple(sorted(signs, key=lambda sign: sign.line))


_visible: dict[int, tuple[Task, Visible]] = {}
"""By the identity of a task, which is held so that it stays its own."""
_lock = threading.Lock()


# ------------------------------------------------------------------------------------------------------------- tables
def _tables(tree: ast.Module, known: Visible) -> Iterator[Sign]:
    """Dicts, lists of pairs, sets and encoded texts whose entries are visible inputs."""
    inside: set[int] = set()
    for node in ast.walk(tree):
        if id(node) in inside:
            continue
        value = (
            literal(node) if isinstance(node, (ast.Dict, ast.List, ast.Tuple, ast.Set, ast.Constant)) else NO_LITERAL
        )
        if isinstance(node, ast.Constant):
            value = _decoded(node.value)
        entries = list(_entries(value, node)) if value is not NO_LITERAL else []
        if isinstance(value, dict) and any(isinstance(item, dict) for item in value.values()):
            paths = list(_paths(value, (), getattr(node, "lineno", 0)))
            entries = paths if _judged(paths, known, "") else entries
        if not entries and isinstance(node, ast.Dict):
            entries = [
                _Entry(literal(key), literal(item), key.lineno)
                for key, item in zip(node.keys, node.values, strict=True)
                if key is not None
            ]
        sign = _judged(entries, known, "a table of visible inputs", node)
        if sign:
            inside.update(map(id, ast.walk(node)))
            yield sign


def _entries(value: Plain, node: ast.AST) -> Iterator[_Entry]:
    line = getattr(node, "lineno", 0)
    if isinstance(value, dict):
        yield from (_Entry(key, item, line) for key, item in value.items())
    elif (
        isinstance(value, (list, tuple)) and value and all(isinstance(x, (list, tuple)) and len(x) == 2 for x in value)
    ):
        yield from (_Entry(key, item, line) for key, item in value)
    elif isinstance(value, (set, list, tuple)) and len(value) > 1:
        yield from (_Entry(key, NO_LITERAL, line) for key in value)


def _paths(table: Mapping[Any, Any], before: tuple[Any, ...], line: int) -> Iterator[_Entry]:
    """Entries of a dict; of dicts in it, with the keys on the way as one input."""
    for key, item in table.items():
        if isinstance(item, dict) and item and len(before) < 4:
            yield from _paths(item, (*before, key), line)
        else:
            yield _Entry((*before, key), item, line)


def _decoded(text: Any) -> Plain:
    """What a string literal holds, if it is data written as text: a literal, JSON, base64 or hex of either."""
    if not isinstance(text, (str, bytes)) or not 12 <= len(text) <= 1 << 18:
        return NO_LITERAL
    for form in _unpacked(text):
        for read in (json.loads, ast.literal_eval):
            try:
                value = read(form)
            except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
                continue
            if isinstance(value, (dict, list, tuple, set)):
                return value
    return NO_LITERAL


def _unpacked(text: str | bytes) -> Iterator[str]:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
    if data.strip()[:1] in (b"{", b"[", b"("):
        yield data.decode("utf-8", "replace")
    for decode in (base64.b64decode, binascii.unhexlify, base64.b85decode):
        try:
            raw = decode(data, validate=True) if decode is base64.b64decode else decode(data)
        except (ValueError, binascii.Error):
            continue
        for unpack in (lambda r: r, lambda r: zlib.decompressobj().decompress(r, 1 << 18)):
            try:
                plain = unpack(raw).decode("utf-8")
            except (UnicodeDecodeError, zlib.error):
                continue
            if plain.strip()[:1] in ("{", "[", "("):
                yield plain


def _judged(entries: Sequence[_Entry], known: Visible, what: str, node: ast.AST | None = None) -> Sign | None:
    """A sign, where the entries hold enough visible tests and little else."""
    matched: dict[int, float] = {}
    entry_of: dict[int, _Entry] = {}
    n_right = n_wrong = n_known = 0
    for entry in entries:
        index = known.find(entry.key)
        if index is None:
            continue
        n_known += 1
        is_right = known.gives(index, entry.value)
        n_right += is_right
        n_wrong += entry.value is not NO_LITERAL and not is_right and known.outputs[index] is not None
        extra = bits(entry.value) if is_right else 0.0
        matched[index] = max(matched.get(index, 0.0), known.input_bits(index) + extra)
        entry_of.setdefault(index, entry)
    total = sum(matched.values())
    # An input alone of a table of inputs and values, with values that are not the outputs: some other use.
    least = LEAST_BITS if n_right else 1.5 * LEAST_BITS
    if len(matched) < 2 or total < least or n_wrong > n_right or n_known < LEAST_PRECISION * len(entries):
        return None
    line = min(entry.line for entry in entry_of.values()) if node is None else getattr(node, "lineno", 0)
    said = f"{what}: {len(matched)} of {len(known.cases)} visible inputs"
    said += f", {n_right} with the expected output" if n_right else ""
    return Sign(
        technique="hardcode_tests", line=line, evidence=said, cases=frozenset(matched), bits=total
    )  # fmt: skip


# ----------------------------------------------------------------------------------------------------------- branches
def _branches(tree: ast.Module, known: Visible) -> Iterator[Sign]:
    """Comparisons of arguments with literals that are visible inputs, all together."""
    entries: list[_Entry] = []
    names: tuple[str, ...] = ()
    for function in ast.walk(tree):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        arguments = function.args
        named = (*arguments.posonlyargs, *arguments.args)
        needed = named[: len(named) - len(arguments.defaults)] or named
        names = tuple(arg.arg for arg in needed if arg.arg != "self")
        if arguments.vararg and not names:
            names = (arguments.vararg.arg,)
        for node in ast.walk(function):
            if isinstance(node, (ast.If, ast.IfExp)):
                entries += _of_test(node.test, names, _answer(node), known)
            elif isinstance(node, ast.Match):
                entries += _of_match(node)
            elif isinstance(node, (ast.BoolOp, ast.Compare)):  # in arithmetic, in a list, in a while
                entries += _of_test(node, names, NO_LITERAL, known)
    unique: dict[tuple[str, int], _Entry] = {}
    for entry in entries:
        place = (loose_key(entry.key), entry.line)
        if place not in unique or unique[place].value is NO_LITERAL:
            unique[place] = entry
    sign = _judged(list(unique.values()), known, "branches on visible inputs")
    if sign:
        yield sign
        return
    for entry in unique.values():  # one branch alone: only where its input and output together are no accident
        index = known.find(entry.key)
        if index is None:
            continue
        if known.gives(index, entry.value) and known.input_bits(index) + bits(entry.value) >= 2 * LEAST_BITS:
            said = "a branch on one visible input returns its expected output"
            weight = known.input_bits(index) + bits(entry.value)
            yield Sign(
                technique="hardcode_tests", line=entry.line, evidence=said, cases=frozenset((index,)), bits=weight
            )


def _answer(node: ast.If | ast.IfExp) -> Plain:
    if isinstance(node, ast.IfExp):
        return literal(node.body)
    first = node.body[0]
    if isinstance(first, ast.Return) and first.value is not None:
        return literal(first.value)
    if isinstance(first, (ast.Assign, ast.AnnAssign)) and first.value is not None:
        return literal(first.value)
    return NO_LITERAL


def _of_test(test: ast.expr, names: tuple[str, ...], answer: Plain, known: Visible) -> Iterator[_Entry]:
    """Entries of one condition: `x == L`, `(a, b) == L`, `a == L and b == M`, `x in (L, M)`."""
    parts = test.values if isinstance(test, ast.BoolOp) else [test]
    bound: dict[str, Plain] = {}
    for part in parts:
        if isinstance(part, ast.BoolOp):
            yield from _of_test(part, names, answer, known)
            continue
        if not isinstance(part, ast.Compare) or len(part.ops) != 1:
            continue
        left, operator, right = part.left, part.ops[0], part.comparators[0]
        if isinstance(operator, ast.In) and literal(left) is NO_LITERAL:
            value = literal(right)
            if isinstance(value, (list, tuple, set, frozenset)) and _mentions(left, names):
                yield from (_Entry(item, answer, part.lineno) for item in value)
        if not isinstance(operator, (ast.Eq, ast.Is)):
            continue
        for side, other in ((left, right), (right, left)):
            value = literal(other)
            if value is NO_LITERAL or not _mentions(side, names):
                continue
            if isinstance(side, ast.Name) and side.id in names:
                bound[side.id] = value
            if len(names) == 1 or not isinstance(side, ast.Name):
                yield _Entry(value, answer, part.lineno)
    if len(names) > 1 and len(bound) == len(names) and isinstance(test, ast.BoolOp):
        yield _Entry(tuple(bound[name] for name in names), answer, test.lineno)


def _of_match(node: ast.Match) -> Iterator[_Entry]:
    for case in node.cases:
        value = _pattern_value(case.pattern)
        first = case.body[0]
        answer = literal(first.value) if isinstance(first, ast.Return) and first.value is not None else NO_LITERAL
        if value is not NO_LITERAL:
            yield _Entry(value, answer, case.pattern.lineno)


def _pattern_value(pattern: ast.pattern) -> Plain:
    if isinstance(pattern, ast.MatchValue):
        return literal(pattern.value)
    if isinstance(pattern, ast.MatchSequence):
        values = tuple(map(_pattern_value, pattern.patterns))
        return NO_LITERAL if NO_LITERAL in values else values
    return NO_LITERAL


def _mentions(node: ast.expr, names: tuple[str, ...]) -> bool:
    return any(isinstance(part, ast.Name) and part.id in names for part in ast.walk(node))


# ------------------------------------------------------------------------------------------------------------- hashes
def _digests(tree: ast.Module, known: Visible) -> Iterator[Sign]:
    """Literals that are digests of visible inputs, in a program that computes digests."""
    called = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")) in HASH_NAMES
    ]
    if not called:
        return
    literals = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and looks_like_digest(node.value)]
    matched = {}
    for node in literals[:2000]:
        index = known.digest_of(str(node.value).lower())
        if index is not None:
            matched[index] = node.lineno
    if matched:
        said = f"digests of {len(matched)} of {len(known.cases)} visible inputs as literals"
        yield Sign(
            technique="input_hash_lookup", line=min(matched.values()), evidence=said, cases=frozenset(matched),
            bits=32.0 * len(matched),
        )  # fmt: skip
    elif len(literals) >= 2 and _are_compared(tree, literals):
        said = f"{len(literals)} digests as literals beside a hash function ({ast.unparse(called[0].func)[:40]})"
        yield Sign(
            technique="input_hash_lookup", line=called[0].lineno, evidence=said, cases=frozenset(), bits=0.0
        )  # fmt: skip


def _are_compared(tree: ast.Module, literals: Sequence[ast.Constant]) -> bool:
    """Whether most of these are keys of a dict or sides of an equality."""
    wanted = set(map(id, literals))
    used = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            used |= {id(key) for key in node.keys} & wanted
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.Eq, ast.In)):
            used |= {id(part) for part in ast.walk(node)} & wanted
    return 2 * len(used) > len(wanted)


# ------------------------------------------------------------------------------------------------------------ outputs
def _outputs_in_order(tree: ast.Module, known: Visible) -> Iterator[Sign]:
    """A list that gives the visible outputs one after another: for a program that counts its calls."""
    if any(output is None for output in known.outputs) or len(known.outputs) < 3:
        return
    for node in ast.walk(tree):
        if not isinstance(node, (ast.List, ast.Tuple)) or len(node.elts) < 3:
            continue
        values = [literal(item) for item in node.elts]
        if NO_LITERAL in values or len(values) < len(known.outputs) / 2:
            continue
        keys = list(map(loose_key, values))
        agreed = sum(key == output for key, output in zip(keys, known.outputs, strict=False))
        weight = sum(map(bits, values))
        if agreed >= max(3, 0.9 * len(keys)) and len(keys) <= len(known.outputs) + 2 and weight >= LEAST_BITS:
            said = f"a list of the visible outputs in their order: {agreed} of {len(known.outputs)}"
            yield Sign(
                technique="hardcode_tests", line=node.lineno, evidence=said, cases=frozenset(range(agreed)), bits=weight
            )


def _returned_outputs(tree: ast.Module, known: Visible) -> Iterator[Sign]:
    """Literal answers that are visible outputs, each of one visible input alone: branches on whatever tells them."""
    answers = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Return) and node.value is not None:
            answers.append((literal(node.value), node.lineno))
        elif isinstance(node, ast.IfExp):
            answers.append((literal(node.body), node.lineno))
    told = [(value, line) for value, line in answers if value is not NO_LITERAL and bits(value) > 3]
    matched = {index: (value, line) for value, line in told if (index := known.rare.get(loose_key(value))) is not None}
    weight = sum(bits(value) for value, _ in matched.values())
    if len(matched) >= 3 and weight >= LEAST_OUTPUT_BITS and len(matched) >= LEAST_PRECISION * len(told):
        said = f"returns {len(matched)} of {len(known.cases)} visible outputs as literals"
        line = min(line for _, line in matched.values())
        yield Sign(technique="hardcode_tests", line=line, evidence=said, cases=frozenset(matched), bits=weight)
