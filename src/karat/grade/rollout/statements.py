"""Python text, whole or in pieces, to statements with the blocks around them.

A patch shows pieces of files, so nothing here needs a whole file: lines are put together until their brackets close,
each such statement is parsed alone, and the blocks around it are told by indentation.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from karat.grade.rollout.types import Text

MAX_LINES = 60_000
_HEADER = re.compile(r"^\s*(async\s+)?(def|class|if|elif|else|for|while|try|except|finally|with|match|case)\b")
_CLAUSES = ("elif", "else", "except", "finally", "case")


@dataclass(slots=True, eq=False)
class Statement:
    """One statement, or the header of a block."""

    line: int
    indent: int
    text: str
    node: ast.stmt | None
    """None where it cannot be parsed alone."""
    around: tuple[Statement, ...] = ()
    """Headers of the blocks that it stands in, the outermost first."""
    decorators: tuple[Statement, ...] = ()

    @property
    def keyword(self) -> str:
        match = _HEADER.match(self.text)
        return match[2] if match else ""

    @property
    def name(self) -> str:
        """Name of a function or class; empty for others."""
        match = re.match(r"\s*(?:async\s+)?(?:def|class)\s+(\w+)", self.text)
        return match[1] if match else ""

    @property
    def function(self) -> str:
        """`Class.function` around it, or its own; empty at the top level."""
        names = [header.name for header in self.around if header.name]
        return ".".join([*names, self.name] if self.name else names)


def parse_statements(piece: Text) -> list[Statement]:
    """Statements of a piece of Python, in order. Several rules ask for the same piece, so the last few are kept."""
    return list(_parsed(piece))


@lru_cache(maxsize=16)
def _parsed(piece: Text) -> tuple[Statement, ...]:
    found: list[Statement] = []
    stack: list[Statement] = []
    decorators: list[Statement] = []
    for index, text in _logical_lines(piece.text):
        indent = len(text) - len(text.lstrip())
        handles = text.lstrip().startswith(("except", "finally"))
        while stack and stack[-1].indent >= indent:
            if handles and stack[-1].indent == indent and stack[-1].keyword == "try":
                break  # the clause belongs to this try
            stack.pop()
        statement = Statement(piece.line(index), indent, text, _parse_one(text), tuple(stack))
        if text.lstrip().startswith("@"):
            decorators.append(statement)
            continue
        if _HEADER.match(text):
            statement.decorators = tuple(decorators)
            if stack and stack[-1].keyword == "try" and stack[-1].indent == indent:
                stack.pop()
            stack.append(statement)
        decorators = []
        found.append(statement)
    return tuple(found)


def comments(piece: Text) -> list[tuple[int, str]]:
    """Line and text of each comment line, without its mark."""
    return [
        (piece.line(index), line.lstrip().lstrip("#").strip())
        for index, line in enumerate(piece.text.split("\n"))
        if line.lstrip().startswith("#")
    ]


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """First line's index and text of each statement: lines joined while a bracket or a triple quote is open."""
    pending: list[str] = []
    began = 0
    for index, line in enumerate(text.split("\n")[:MAX_LINES]):
        if not pending:
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            began = index
        pending.append(line)
        joined = "\n".join(pending)
        if len(pending) < 200 and is_open(joined):
            continue
        yield began, joined
        pending = []
    if pending:  # never closed (the piece ends inside): its lines one by one
        for offset, line in enumerate(pending):
            if line.strip() and not line.lstrip().startswith("#"):
                yield began + offset, line


def is_open(text: str) -> bool:
    """Whether a statement goes on: an open bracket, triple quote, or a backslash at the end."""
    if text.endswith("\\"):
        return True
    quick = text.count("(") + text.count("[") + text.count("{")
    if '"""' not in text and "'''" not in text and quick == 0:
        return False
    depth = 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(text.lstrip() + "\n").readline):
            if token.type == tokenize.OP:
                depth += (token.string in "([{") - (token.string in ")]}")
    except tokenize.TokenError as error:
        return "EOF in multi-line" in str(error)
    except (IndentationError, SyntaxError):
        return depth > 0
    return depth > 0


def _parse_one(text: str) -> ast.stmt | None:
    """One statement's syntax tree; of a header, with an empty body."""
    source = text.strip()
    head = source.split("\n", 1)[0].split(" ", 1)[0].rstrip(":")
    attempts = [source]
    if source.startswith("@"):
        attempts = [f"{source}\ndef _(): pass"]
    elif head in _CLAUSES:
        lead = "try: pass\n" if head in ("except", "finally") else "match x:\n " if head == "case" else "if x: pass\n"
        attempts = [f"{lead}{source} pass", f"{lead}{source}"]
    elif source.endswith(":"):
        rest = "\nexcept Exception: pass" if head == "try" else ""
        attempts = [f"{source} pass{rest}"]
    for attempt in attempts:
        try:
            body = ast.parse(attempt).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        if body:
            return body[0]
    return None
