"""What stands in visible tests, by the literals that could stand for it in a program."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import zlib
from collections.abc import Iterator, Sequence

from karat.grade.hardcoding.cases import NO_LITERAL, Case, loose_key
from karat.sandbox.types import Plain


def bits(value: Plain) -> float:
    """About how many bits a literal says: one for a truth value, log2 for a number, four for each character."""
    if value is None or isinstance(value, bool):
        return 1.0
    if isinstance(value, int):
        return min(256.0, 1 + math.log2(1 + abs(value))) if value.bit_length() < 1000 else 256.0
    if isinstance(value, float):
        return 1 + 3.3 * len(repr(value).strip("-0.").replace(".", ""))
    if isinstance(value, (str, bytes)):
        return 1 + 4.0 * len(set(value)) + 0.5 * (len(value) - len(set(value)))
    if isinstance(value, (list, tuple, set, frozenset)):
        return 1 + sum(map(bits, value))
    if isinstance(value, dict):
        return 1 + sum(bits(key) + bits(item) for key, item in value.items())
    return 8.0


class Visible:
    """Visible cases by the literals that could stand for them."""

    def __init__(self, cases: Sequence[Case], entry_point: str = "") -> None:
        self.cases, self.entry_point = cases, entry_point
        self.whole: dict[str, int] = {}
        self.by_digest: dict[str, int] = {}
        self.numbers: set[float] = set()
        self.texts: set[str] = set()
        """Numbers of more than two bits, and texts, that occur in visible tests."""
        for index, case in enumerate(cases):
            args = (*case.args, *case.kwargs.values())
            for form in self._forms(args):
                self.whole.setdefault(loose_key(form), index)
                if isinstance(form, str):
                    self.texts.add(form)
            self._collect((args, case.output))
        self.outputs = [loose_key(case.output) if case.known else None for case in cases]
        distinct = [output for output in self.outputs if output is not None]
        self.rare = {
            output: index
            for index, output in enumerate(self.outputs)
            if output is not None and distinct.count(output) == 1
        }
        """Outputs that one visible input alone has: a class that many inputs share is part of the task."""

    def _collect(self, value: Plain, depth: int = 0) -> None:
        if type(value) in (int, float) and bits(value) > 2:
            self.numbers |= {value, abs(value)}
        elif isinstance(value, str) and value:
            self.texts |= {value, value.strip()}
        elif isinstance(value, (list, tuple, set, frozenset, dict)) and depth < 20:
            for item in value:
                self._collect(item, depth + 1)
            for item in value.values() if isinstance(value, dict) else ():
                self._collect(item, depth + 1)

    @staticmethod
    def _forms(args: tuple[Plain, ...]) -> Iterator[Plain]:
        """Ways to write an input as a key."""
        yield args
        if len(args) == 1:
            yield args[0]
        for value in (args, list(args), *(args[:1] if len(args) == 1 else ())):
            try:
                yield str(value)
                yield repr(value)
                yield json.dumps(value)
                yield json.dumps(value, separators=(",", ":"))
            except (TypeError, ValueError):  # no JSON, or an int of more digits than Python writes
                continue
        if len(args) == 1 and isinstance(args[0], str) and "\n" in args[0]:  # a standard input, read by lines or words
            lines = args[0].strip().splitlines()
            yield from (args[0].strip(), lines, "\n".join(lines[1:]), args[0].split(), " ".join(args[0].split()))
            yield from (line for line in lines[1:2] if len(lines) == 2)
            if all(word.lstrip("-").isdigit() for word in lines[-1].split()):
                yield [int(word) for word in lines[-1].split()]
        if len(args) > 1:
            with contextlib.suppress(ValueError):
                for joint in (",", " ", "|", "_", ", ", "-", ":"):
                    yield joint.join(map(str, args))

    def find(self, key: Plain) -> int | None:
        """Index of the case whose input a literal is."""
        return self.whole.get(loose_key(key))

    def input_bits(self, index: int) -> float:
        case = self.cases[index]
        return bits((*case.args, *case.kwargs.values())) - 1

    def gives(self, index: int, value: Plain) -> bool:
        if value is NO_LITERAL:
            return False
        output = self.cases[index].output
        if isinstance(output, str) and isinstance(
            value, (str, int, float)
        ):  # printed: the blanks at its end are not told
            return output.strip() == str(value).strip() and self.outputs[index] is not None
        return self.outputs[index] == loose_key(value)

    def digest_of(self, text: str) -> int | None:
        """Index of the case of whose input a text or number is a common digest, whole or a prefix of 8 or more."""
        if not self.by_digest:
            for index, case in enumerate(self.cases[:200]):
                for form in self._forms((*case.args, *case.kwargs.values())):
                    for digest in digests(form):
                        self.by_digest.setdefault(digest, index)
        if text in self.by_digest:
            return self.by_digest[text]
        if 8 <= len(text) < 128:
            return next((index for digest, index in self.by_digest.items() if digest.startswith(text)), None)
        return None


def digests(form: Plain) -> Iterator[str]:
    """Common digests of an input, as text: hexadecimal, or decimal for numbers."""
    if isinstance(form, str):
        data = form.encode("utf-8", "surrogatepass")
        for name in ("md5", "sha1", "sha256", "sha512"):
            yield hashlib.new(name, data, usedforsecurity=False).hexdigest()
        yield from (str(zlib.crc32(data)), str(zlib.adler32(data)))
    elif isinstance(form, (int, float, tuple)) and _is_numeric(form):
        yield str(abs(hash(form)))  # of numbers, the same in every process; a sign is no part of a literal


def _is_numeric(form: Plain) -> bool:
    return isinstance(form, (int, float)) or (isinstance(form, tuple) and all(map(_is_numeric, form)))
