"""Test code taken apart: its statements in one scope, which names are the candidate's, what the prompt defines."""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Sequence
from dataclasses import dataclass

KNOWN_MODULES = {"np": "numpy", "numpy": "numpy", "pytest": "pytest", "pd": "pandas"}


@dataclass(slots=True)
class TestCode:
    """Test code taken apart: its statements in one scope, and which names are the candidate's."""

    body: list[ast.stmt]
    entry_point: str
    alias: str
    """Parameter of `check`, which stands for the entry point."""
    bound: frozenset[str]
    """Names that the test code, or the helpers that come with the task, bind."""
    fixed: frozenset[str]
    """Those that are imported or come with the task."""
    modules: frozenset[str]
    """Modules that it uses and does not import: in one namespace with a candidate, its imports would have served."""
    in_one_scope: bool
    """False where `check` returns early, so that its statements cannot be taken out of it."""

    def called(self, name: str) -> str:
        """What a name of the test code is called in the candidate's module; empty for any other name."""
        if name == self.alias or (name == self.entry_point and name not in self.bound):
            return self.entry_point
        if name in self.bound or name in self.modules or hasattr(builtins, name) or name.startswith("__"):
            return ""
        return name

    def imports(self) -> str:
        """Imports of the modules that the test code only uses."""
        return "\n".join(f"import {KNOWN_MODULES.get(name, name)} as {name}" for name in sorted(self.modules))

    def candidate_names(self) -> tuple[str, ...]:
        """Names that must be there as functions for the test code to run."""
        names = {n.id for s in self.body for n in ast.walk(s) if isinstance(n, ast.Name) and self.called(n.id)}
        return tuple(sorted(names | {self.entry_point}))


def read_test_code(test_code: str, entry_point: str, helpers: str = "") -> TestCode:
    """Raises: SyntaxError, ValueError: the test code does not compile."""
    tree = ast.parse(test_code)
    body, alias, in_one_scope = _inline_check(tree.body, entry_point)
    fixed = bound_names(ast.parse(helpers).body if helpers else [])
    fixed |= bound_names([s for s in body if isinstance(s, (ast.Import, ast.ImportFrom))])
    bound = frozenset(bound_names(body) | fixed) - {alias}
    modules = frozenset(_used_as_modules(body) - bound - {alias, entry_point})
    return TestCode(body, entry_point, alias, bound, frozenset(fixed), modules, in_one_scope)


def _inline_check(body: list[ast.stmt], entry_point: str) -> tuple[list[ast.stmt], str, bool]:
    """`def check(candidate): ...` as statements of the module, and without `check(f)` itself."""
    check = next((s for s in body if isinstance(s, ast.FunctionDef) and s.name == "check" and s.args.args), None)
    if check is None:
        return body, "", True
    leaves = any(isinstance(part, (ast.Return, ast.Yield, ast.Global, ast.Nonlocal)) for part in _own_parts(check))
    rest = [s for s in body if s is not check and not _is_call_of(s, "check")]
    return [*rest, *check.body], check.args.args[0].arg, not leaves


def _own_parts(function: ast.FunctionDef) -> list[ast.AST]:
    """Nodes of a function that are not inside a function of its own."""
    found: list[ast.AST] = []
    stack: list[ast.AST] = list(function.body)
    while stack:
        node = stack.pop()
        found.append(node)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            stack.extend(ast.iter_child_nodes(node))
    return found


def _is_call_of(statement: ast.stmt, name: str) -> bool:
    call = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == name


def bound_names(body: Sequence[ast.stmt]) -> set[str]:
    names: set[str] = set()
    for node in (part for statement in body for part in ast.walk(statement)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
    return names


def _used_as_modules(body: Sequence[ast.stmt]) -> set[str]:
    """Names of modules that occur before a dot, and nowhere else."""
    before_dot: set[str] = set()
    elsewhere: set[str] = set()
    attributes = [part for s in body for part in ast.walk(s) if isinstance(part, ast.Attribute)]
    bases = {id(part.value) for part in attributes}
    for node in (part for s in body for part in ast.walk(s)):
        if isinstance(node, ast.Name):
            (before_dot if id(node) in bases else elsewhere).add(node.id)
    return {name for name in before_dot - elsewhere if name in sys.stdlib_module_names or name in KNOWN_MODULES}


def helpers_of(prompt: str, entry_point: str) -> str:
    """Statements of a prompt that is code, without the function to write: the task's author made them, so the trusted
    side has its own copy, whatever the candidate makes of those names. Empty for a prompt in words."""
    try:
        body = ast.parse(prompt).body
    except (SyntaxError, ValueError):
        return ""
    kept = [s for s in body if getattr(s, "name", "") != entry_point.split(".")[0] and not _is_stub(s)]
    return "\n".join(ast.unparse(statement) for statement in kept)


def _is_stub(statement: ast.stmt) -> bool:
    """A function without a body is there to be written, too."""
    if not isinstance(statement, ast.FunctionDef):
        return False
    rest = [s for s in statement.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    return all(isinstance(s, ast.Pass) for s in rest)
