"""Python text, whole or in pieces, to statements with the blocks around them.

A patch shows pieces of files, so nothing here needs a whole file: lines are put together until their brackets close,
each such statement is parsed alone, and the blocks around it are told by indentation.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from karat.grade.rollout.types import Text

MAX_LINES = 60_000
MAX_JOINED = 200
"""Lines of one statement; a bracket that stays open longer is taken for one that is never closed."""
MAX_DEPTH = 100
"""Blocks around a statement that are kept, the innermost: Python itself takes no more levels of indentation."""
_HEADER = re.compile(r"^\s*(async\s+)?(def|class|if|elif|else|for|while|try|except|finally|with|match|case)\b")
_NAMED = re.compile(r"\s*(?:async\s+)?(?:def|class)\s+(\w+)")
_CLAUSES = ("elif", "else", "except", "finally", "case")


@dataclass(slots=True, eq=False)
class Statement:
    """One statement, or the header of a block."""

    line: int
    indent: int
    text: str
    node: ast.stmt | None
    """None where it cannot be parsed alone."""
    at: int = 0
    """Its place among the statements of the piece."""
    keyword: str = ""
    """Of a block's header: def, class, if, ...; empty for others."""
    name: str = ""
    """Name of a function or class; empty for others."""
    function: str = ""
    """`Class.function` around it, or its own; empty at the top level."""
    around: tuple[Statement, ...] = ()
    """Headers of the blocks that it stands in, the outermost first."""
    decorators: tuple[Statement, ...] = ()


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
        statement = _statement(piece.line(index), text, len(found), tuple(stack[-MAX_DEPTH:]))
        if text.lstrip().startswith("@"):
            decorators.append(statement)
            continue
        if statement.keyword:
            statement.decorators = tuple(decorators)
            if stack and stack[-1].keyword == "try" and stack[-1].indent == indent:
                stack.pop()
            stack.append(statement)
        decorators = []
        found.append(statement)
    return tuple(found)


def _statement(line: int, text: str, at: int, around: tuple[Statement, ...]) -> Statement:
    header, named = _HEADER.match(text), _NAMED.match(text)
    name = named[1] if named else ""
    return Statement(
        line=line,
        indent=len(text) - len(text.lstrip()),
        text=text,
        node=_parse_one(text),
        at=at,
        keyword=header[2] if header else "",
        name=name,
        function=".".join(part for part in (*(outer.name for outer in around), name) if part),
        around=around,
    )


def comments(piece: Text) -> list[tuple[int, str]]:
    """Line and text of each comment line, without its mark."""
    return [
        (piece.line(index), line.lstrip().lstrip("#").strip())
        for index, line in enumerate(piece.text.split("\n"))
        if line.lstrip().startswith("#")
    ]


def inside(header: Statement, statements: list[Statement]) -> Iterator[Statement]:
    """The statements of a block, which stand right behind its header."""
    for at in range(header.at + 1, len(statements)):
        if header not in statements[at].around:
            return
        yield statements[at]


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """First line's index and text of each statement: lines joined while a bracket or a triple quote is open.

    Each line is read once, however many stay open.
    """
    pending: list[str] = []
    began, reader = 0, LineReader()
    for index, line in enumerate(text.split("\n")[:MAX_LINES]):
        if not pending:
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            began, reader = index, LineReader()
        pending.append(line)
        if reader.stays_open(line) and len(pending) < MAX_JOINED:
            continue
        yield began, "\n".join(pending)
        pending = []
    if pending:  # never closed (the piece ends inside): its lines one by one
        for offset, line in enumerate(pending):
            if line.strip() and not line.lstrip().startswith("#"):
                yield began + offset, line


_MARK = re.compile(r"""#|[()\[\]{}]|"{3}|'{3}|["']""")
_CLOSING = {mark: re.compile(rf"(?:[^\\]|\\.)*?{mark}") for mark in ('"', "'", '"' * 3, "'" * 3)}
"""What follows an opening quote, up to the closing one."""


class LineReader:
    """Which brackets and triple quotes are open after the lines of one statement so far."""

    def __init__(self) -> None:
        self.depth = 0
        self.quote = ""

    def stays_open(self, line: str) -> bool:
        """Read the next line; whether the statement goes on behind it."""
        at, unpaired = 0, False
        while at < len(line):
            if self.quote:
                closed = _CLOSING[self.quote].match(line, at)
                if closed is None:
                    return True
                at, self.quote = closed.end(), ""
                continue
            mark = _MARK.search(line, at)
            if mark is None or mark[0] == "#":
                break
            at = mark.end()
            if len(mark[0]) == 3:
                self.quote = mark[0]
            elif mark[0] in "([{":
                self.depth += 1
            elif mark[0] in ")]}":
                self.depth -= 1
            elif not unpaired:  # behind a quote that is not closed on its line, brackets alone are counted
                text = _CLOSING[mark[0]].match(line, at)
                at, unpaired = (at, True) if text is None else (text.end(), False)
        return bool(self.quote) or self.depth > 0 or line.endswith("\\")


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
