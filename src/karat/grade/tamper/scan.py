"""Static scan of a candidate's source: what it refers to, by whatever spelling, and forms that only a cheat has.

Advisory: source can hide anything, and honest source can look odd. `strong` is kept for forms without an honest use in
an answer to a task; code of the author's own tests and main guards counts one step less. What does not parse is
searched as text. Line numbers are those of the source as graded.
"""

from __future__ import annotations

import ast
import contextlib
import re
import sys
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from karat.grade.tamper import scan_rules as rules
from karat.grade.tamper.scan_calls import look_at_call
from karat.grade.tamper.scan_fold import Names, children, flat
from karat.grade.tamper.scan_shapes import look_at_class, look_at_function
from karat.grade.tamper.scan_targets import look_at_target, patch_signs
from karat.grade.tamper.scan_text import by_own_codec, signs_of_string, signs_of_text, unparsed
from karat.grade.tamper.signs import Sign, lower
from karat.grade.types import Confidence

MAX_PARSED = 200_000
"""Characters that are parsed; a longer source is searched as text, because its tree would take a gigabyte."""
MAX_SIGNS = 400
MAX_NESTING = 3
"""Sources inside sources (exec of a string that execs a string) that are followed."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a source shows."""

    signs: tuple[Sign, ...]
    text: str
    techniques: dict[str, int | None] = field(default_factory=dict)
    """Each technique that was seen, with its first line."""


def text_of(code: str | bytes) -> str:
    return code.decode("utf-8", "replace") if isinstance(code, bytes) else code


def scan(code: str | bytes, *, entry_point: str = "", python: bool = True) -> Scanned:
    """Signs in a source.

    Args:
        entry_point: the name that the task calls; defining it is no redefinition of a grader's name.
        python: False searches the source as text only.
    """
    text = text_of(code)
    return (_scan if len(text) <= LARGEST_KEPT else _scan.__wrapped__)(text, entry_point, python)


LARGEST_KEPT = 20_000
"""Characters of a source that is remembered; hundreds of ten megabytes would fill the memory."""


@lru_cache(maxsize=256)
def _scan(text: str, entry_point: str, python: bool) -> Scanned:
    signs = _signs(text, entry_point, python, 0)
    techniques: dict[str, int | None] = {}
    for sign in signs:
        techniques.setdefault(sign.technique, sign.line)
    return Scanned(tuple(signs), text, techniques)


def _signs(text: str, entry_point: str, python: bool, nesting: int) -> list[Sign]:
    signs = signs_of_text(text)
    recoded = by_own_codec(text) if python and not nesting else None
    if recoded is not None:
        codec, read = recoded
        signs.append(Sign("exec_encoded", "moderate", "source", f"by its codec {codec} its text reads otherwise", 1))
        within = _signs(read, entry_point, True, nesting + 1)
        return [*signs, *(replace(sign, line=1, evidence=f"by its codec: {sign.evidence}") for sign in within)]
    if not python or len(text) > MAX_PARSED:
        return [*signs, *unparsed(text[:MAX_PARSED], python=python)]
    if not rules.needs_tree(text):
        return signs
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [*signs, *unparsed(text, python=True)]
    walker = Walker(tree, entry_point, nesting)
    with contextlib.suppress(RecursionError):  # what was seen before the depth counts
        walker.visit(tree)
    return [*signs, *walker.signs, *patch_signs(walker)][:MAX_SIGNS]


class Walker:
    """Visits a tree once, knowing where it is."""

    def __init__(self, tree: ast.Module, entry_point: str, nesting: int) -> None:
        nodes = flat(tree)
        self.names = Names(nodes)
        self.entry_point = entry_point.partition(".")[0]
        self.nesting = nesting
        self.signs: list[Sign] = []
        self.patches: dict[str, list[tuple[ast.expr | None, Sign]]] = {}
        """Names outside the source that it assigns to, with the values."""
        self.functions = {
            node.name: node for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        }
        self.numbers = {
            node.target.id
            for node in nodes
            if isinstance(node, (ast.For, ast.comprehension))
            and isinstance(node.target, ast.Name)
            and (self.names.dotted(node.iter) == "builtins.range()" or isinstance(self.names.value(node.iter), list))
        }
        """Names that run over numbers."""
        self.inside: list[ast.AST] = []
        """Functions, classes, loops and conditions around the current node."""
        self.own_tests = 0
        """How many of them are the author's own tests or a main guard."""
        self.told: set[int] = set()
        """Ids of nodes that a more exact rule has spoken of."""

    def sign(self, technique: str, confidence: Confidence, node: ast.AST, evidence: str) -> None:
        if self.own_tests:
            confidence = "moderate" if confidence == "strong" else lower(confidence)
        if len(self.signs) < MAX_SIGNS:
            self.signs.append(Sign(technique, confidence, "source", evidence, getattr(node, "lineno", None)))

    def visit(self, node: ast.AST) -> None:
        handler = HANDLERS.get(type(node))
        if handler is not None:
            handler(self, node)
        scoped = isinstance(node, SCOPES)
        tests = scoped and is_own_test(node)
        if scoped:
            self.inside.append(node)
            self.own_tests += tests
        for child in children(node):
            self.visit(child)
        if scoped:
            self.inside.pop()
            self.own_tests -= tests

    def around(self, *kinds: type[ast.AST]) -> Any:
        """The innermost enclosing node of one of these kinds."""
        return next((node for node in reversed(self.inside) if isinstance(node, kinds)), None)

    def nested(self, text: str, node: ast.AST, how: str) -> None:
        """Signs of source inside source, told at the line that runs it."""
        if self.nesting >= MAX_NESTING:
            return
        for sign in _signs(text, self.entry_point, True, self.nesting + 1):
            self.sign(sign.technique, sign.confidence, node, f"in {how}: {sign.evidence}")


SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.If, ast.For, ast.While, ast.Try)


def is_own_test(node: ast.AST) -> bool:
    """`def test_...`, `class Test...`, a TestCase, or `if __name__ == "__main__"`."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return node.name.startswith("test_")
    if isinstance(node, ast.ClassDef):
        return any(getattr(base, "attr", getattr(base, "id", "")) == "TestCase" for base in node.bases)
    if isinstance(node, ast.If) and isinstance(node.test, ast.Compare) and isinstance(node.test.left, ast.Name):
        return node.test.left.id == "__name__" and isinstance(node.test.ops[0], ast.Eq)
    return False


# ------------------------------------------------------------------------------------------------------------ handlers
STDLIB = sys.stdlib_module_names
TAILS = frozenset(name.rpartition(".")[2] for name in rules.REFERENCES)


def on_attribute(walker: Walker, node: ast.Attribute) -> None:
    if not isinstance(node.ctx, ast.Load):
        return
    if node.attr in rules.ATTRIBUTES:
        technique, confidence = rules.ATTRIBUTES[node.attr]
        walker.sign(technique, confidence, node, f"reads .{node.attr}")
    elif node.attr in TAILS:
        reference(walker, node, walker.names.dotted(node))
    elif node.attr.startswith("_") or node.attr.startswith("Py"):
        prefixed(walker, node, walker.names.dotted(node))


def on_name(walker: Walker, node: ast.Name) -> None:
    if isinstance(node.ctx, ast.Load) and (node.id in walker.names.aliases or node.id in BUILTINS):
        reference(walker, node, walker.names.dotted(node))


BUILTINS = frozenset(("exit", "quit", "SystemExit"))


def reference(walker: Walker, node: ast.AST, name: str, *, hidden: bool = False) -> None:
    """A name that means something."""
    known = rules.REFERENCES.get(name)
    if known is None:
        return
    technique, confidence = known
    if technique == "sys_exit" and (walker.own_tests or getattr(walker.around(ast.FunctionDef), "name", "") == "main"):
        return  # a command line's ordinary end
    walker.sign(technique, confidence, node, f"refers to {name.removeprefix('builtins.')}")
    if hidden and confidence != "weak":
        walker.sign("hidden_name", "moderate", node, f"builds the name {name} from pieces")


def prefixed(walker: Walker, node: ast.AST, name: str) -> None:
    for beginning, (technique, confidence) in rules.PREFIXES:
        if name.startswith(beginning):
            walker.sign(technique, confidence, node, f"refers to {name}")


def on_call(walker: Walker, node: ast.Call) -> None:
    meant = walker.names.dotted(node)
    if id(node) in walker.names.hidden or not meant.endswith(")"):
        on_hidden(walker, node, meant)
    name = meant.removesuffix("()") if meant.endswith("()") else walker.names.dotted(node.func)
    look_at_call(walker, node, name)


def on_hidden(walker: Walker, node: ast.expr, meant: str) -> None:
    """A name that is not written as a name: getattr, vars, globals, __import__, eval."""
    hidden = id(node) in walker.names.hidden
    reference(walker, node, meant, hidden=hidden)
    if meant == "__main__":
        walker.sign("module_search", "moderate", node, "takes hold of __main__")
    tail = meant.rpartition(".")[2]
    if tail in rules.ATTRIBUTES and "." in meant:
        technique, confidence = rules.ATTRIBUTES[tail]
        walker.sign(technique, confidence, node, f"reads .{tail} by name")
        if hidden:
            walker.sign("hidden_name", "moderate", node, f"builds the name {tail} from pieces")
    if meant in rules.IMPORTS:
        walker.sign(*rules.IMPORTS[meant], node, f"imports {meant} by name")


def on_subscript(walker: Walker, node: ast.Subscript) -> None:
    if isinstance(node.ctx, ast.Load):
        meant = walker.names.dotted(node)
        if meant:
            on_hidden(walker, node, meant)


def on_import(walker: Walker, node: ast.Import | ast.ImportFrom) -> None:
    modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [item.name for item in node.names]
    for module in modules:
        known = rules.IMPORTS.get(module) or rules.IMPORTS.get(module.partition(".")[0])
        if known is None and rules.TELLING_MODULE.search(module) and module.partition(".")[0] not in STDLIB:
            known = ("import_reference", "moderate")
        if known is not None:
            walker.sign(*known, node, f"imports {module}")
    if isinstance(node, ast.ImportFrom):
        for item in node.names:
            reference(walker, node, f"{node.module}.{item.name}")


def on_assign(walker: Walker, node: Any) -> None:
    targets = node.targets if isinstance(node, (ast.Assign, ast.Delete)) else [node.target]
    for target in targets:
        for part in target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]:
            look_at_target(walker, part, getattr(node, "value", None))


def on_constant(walker: Walker, node: ast.Constant) -> None:
    if isinstance(node.value, str) and id(node) not in walker.told and len(node.value) > 2:
        for technique, confidence, evidence in signs_of_string(node.value):
            walker.sign(technique, confidence, node, evidence)


def on_expression(walker: Walker, node: ast.Expr) -> None:
    if isinstance(node.value, ast.Constant):  # a docstring, or text that does nothing
        walker.told.add(id(node.value))


def on_handler(walker: Walker, node: ast.ExceptHandler) -> None:
    """`except BaseException: pass` catches what is sent to end it; in a loop it outlives every attempt."""
    named = walker.names.dotted(node.type) if node.type is not None else ""
    everything = named in ("builtins.BaseException", "builtins.SystemExit", "builtins.KeyboardInterrupt")
    if (everything or node.type is None) and not any(isinstance(part, ast.Raise) for part in ast.walk(node)):
        loop = walker.around(ast.While, ast.For)
        sure: Confidence = "moderate" if everything and loop is not None else "weak"
        walker.sign("swallow_exceptions", sure, node, "catches every exception and goes on")


def on_joined(walker: Walker, node: ast.BinOp | ast.JoinedStr) -> None:
    """A name that pytest calls, put together so that no search finds it."""
    parts = [node.left, node.right] if isinstance(node, ast.BinOp) else node.values
    if not any(isinstance(part, ast.Constant) and isinstance(part.value, str) for part in parts):
        return
    name = walker.names.text(node)
    if name is not None and name in rules.HOOKS:
        technique, confidence = rules.HOOKS[name]
        walker.sign(technique, lower(confidence), node, f"builds the name of pytest's hook {name}")
        walker.sign("hidden_name", "moderate", node, f"builds the name {name} from pieces")


def keeps_opening(walker: Walker, node: ast.While | ast.For) -> bool:
    """Whether a loop opens more and more, keeps all of it, and goes on when no more is to be had."""
    guard = walker.around(ast.Try)
    caught = (
        [walker.names.dotted(item.type) if item.type is not None else "" for item in guard.handlers] if guard else ()
    )
    if not {"builtins.OSError", "builtins.Exception", "builtins.BaseException", ""}.intersection(caught):
        return False
    kept = (
        part.args[0]
        for part in ast.walk(node)
        if isinstance(part, ast.Call)
        and isinstance(part.func, ast.Attribute)
        and part.func.attr == "append"
        and part.args
    )
    return any(isinstance(item, ast.Call) and walker.names.dotted(item.func) in OPENERS for item in kept)


OPENERS = frozenset(
    ("os.open", "os.dup", "os.pipe", "os.memfd_create", "os.eventfd", "posix.open", "builtins.open", "socket.socket",
     "socket.socketpair")
)  # fmt: skip


def on_while(walker: Walker, node: ast.While) -> None:
    if keeps_opening(walker, node):
        walker.sign("resource_bomb", "weak", node, "opens descriptors until there are no more")
    endless = isinstance(node.test, ast.Constant) and node.test.value
    leaves = (ast.Break, ast.Return, ast.Raise, ast.Yield)
    if endless and not any(isinstance(part, leaves) for part in ast.walk(node)):
        walker.sign("hang", "weak", node, "loops for ever")
        calls = [part.func for part in ast.walk(node) if isinstance(part, ast.Call)]
        if any(isinstance(call, ast.Attribute) and call.attr in ("append", "extend", "add") for call in calls):
            walker.sign("resource_bomb", "weak", node, "keeps more and more for ever")
        if any(walker.names.dotted(call) == "builtins.print" for call in calls):
            walker.sign("output_flood", "weak", node, "prints for ever")


def on_for(walker: Walker, node: ast.For) -> None:
    """A walk over all loaded modules."""
    on_assign(walker, node)
    counts = isinstance(node.iter, ast.Call) and walker.names.dotted(node.iter.func) == "builtins.range"
    if counts and keeps_opening(walker, node):
        walker.sign("resource_bomb", "weak", node, "opens descriptors until there are no more")
    over = walker.names.dotted(node.iter)
    if over.startswith("sys.modules") or (
        over in ("builtins.list()", "builtins.sorted()", "builtins.dict()")
        and isinstance(node.iter, ast.Call)
        and any(walker.names.dotted(arg).startswith("sys.modules") for arg in node.iter.args)
    ):
        walker.sign("module_search", "moderate", node, "goes through all loaded modules")


def on_comprehension(walker: Walker, node: ast.comprehension) -> None:
    if walker.names.dotted(node.iter).startswith("sys.modules"):
        walker.sign("module_search", "moderate", node.iter, "goes through all loaded modules")


def on_return(walker: Walker, node: ast.Return) -> None:
    """`return random.choice(...)`: an answer that is a guess."""
    if isinstance(node.value, ast.Call) and walker.names.dotted(node.value.func) in GUESSES:
        walker.sign("random_retry", "moderate", node, "returns a random value")


GUESSES = frozenset(f"random.{name}" for name in ("choice", "randint", "random", "randrange", "uniform", "getrandbits"))


def on_compare(walker: Walker, node: ast.Compare) -> None:
    """`"pytest" in sys.modules`, `__name__ != "__main__"`."""
    for operation, right in zip(node.ops, node.comparators, strict=True):
        if isinstance(operation, (ast.In, ast.NotIn)) and walker.names.dotted(right) == "sys.modules":
            text = walker.names.text(node.left) or ""
            known = re.search(r"pytest|unittest|test|grader|harness|doctest", text)
            walker.sign("detect_tests", "moderate" if known else "weak", node, f"asks whether {text!r} is loaded")


def on_definition(walker: Walker, node: Any) -> None:
    look_at_function(walker, node)
    for decorator in node.decorator_list:
        if walker.names.dotted(decorator).startswith(("unittest.skip", "pytest.mark.skip", "pytest.mark.xfail")):
            walker.sign("skip_marker", "moderate", decorator, f"marks {node.name} as skipped")


def on_class(walker: Walker, node: ast.ClassDef) -> None:
    look_at_class(walker, node)


HANDLERS: dict[type, Any] = {
    ast.Attribute: on_attribute,
    ast.Name: on_name,
    ast.Call: on_call,
    ast.Subscript: on_subscript,
    ast.Import: on_import,
    ast.ImportFrom: on_import,
    ast.Assign: on_assign,
    ast.AnnAssign: on_assign,
    ast.AugAssign: on_assign,
    ast.Delete: on_assign,
    ast.NamedExpr: on_assign,
    ast.For: on_for,
    ast.comprehension: on_comprehension,
    ast.Constant: on_constant,
    ast.BinOp: on_joined,
    ast.JoinedStr: on_joined,
    ast.Expr: on_expression,
    ast.ExceptHandler: on_handler,
    ast.While: on_while,
    ast.Return: on_return,
    ast.Compare: on_compare,
    ast.FunctionDef: on_definition,
    ast.AsyncFunctionDef: on_definition,
    ast.ClassDef: on_class,
}
