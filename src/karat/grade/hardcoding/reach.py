"""Which top-level statements of a module can serve its entry point: tables of a program's own tests cannot.

A statement counts if it binds a name that a counting statement reads, or changes data that one reads. Source that may
reach names by text (globals, getattr, exec, ...) counts as a whole.
"""

from __future__ import annotations

import ast

BY_TEXT = frozenset(
    (
        "globals",
        "locals",
        "vars",
        "getattr",
        "setattr",
        "exec",
        "eval",
        "__dict__",
        "modules",
        "__import__",
        "import_module",
    )
)


def serving(tree: ast.Module, entry_point: str) -> list[ast.stmt]:
    """Statements of the module that can serve the entry point; all, where that cannot be told."""
    first = entry_point.partition(".")[0]
    binds = [_bound(statement) for statement in tree.body]
    if not first or not any(first in names for names in binds) or _reaches_by_text(tree):
        return list(tree.body)
    reads = [_read(statement) for statement in tree.body]
    functions = {
        statement.name
        for statement in tree.body
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    }
    wanted, chosen = {first}, set[int]()
    while True:
        data = wanted - functions
        more = {
            at
            for at, statement in enumerate(tree.body)
            if at not in chosen and (binds[at] & wanted or (_may_change(statement) and reads[at] & data))
        }
        if not more:
            return [statement for at, statement in enumerate(tree.body) if at in chosen]
        chosen |= more
        for at in more:
            wanted |= reads[at]


def _bound(statement: ast.stmt) -> set[str]:
    """Names that a statement binds at the top level, also inside `if`, `for`, `try` and `with`."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    found = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return found


def _read(statement: ast.stmt) -> set[str]:
    """Names that a statement reads; of a function, those that are not its own."""
    names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
    read = {node.id for node in names if isinstance(node.ctx, ast.Load)}
    if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return read
    own = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    own |= {node.arg for node in ast.walk(statement) if isinstance(node, ast.arg)}
    shared = {name for node in ast.walk(statement) if isinstance(node, ast.Global) for name in node.names}
    defaults = [*statement.args.defaults, *(node for node in statement.args.kw_defaults if node is not None)]
    outside = {node.id for part in (*defaults, *statement.decorator_list) for node in ast.walk(part)
               if isinstance(node, ast.Name)}  # fmt: skip
    return (read - own) | shared | outside


def _may_change(statement: ast.stmt) -> bool:
    """Whether a statement may change data by method or item: anything but an assertion, an import or a definition."""
    return not isinstance(
        statement, (ast.Assert, ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    )


def _reaches_by_text(tree: ast.Module) -> bool:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in BY_TEXT:
            return True
        if isinstance(node, ast.Attribute) and node.attr in BY_TEXT:
            return True
    return False
