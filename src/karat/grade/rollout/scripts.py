"""What Python code does to files, read from its syntax tree: open(..., "w"), write_text, os.remove, shutil, replace."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from karat.grade.rollout.types import Action, Text

_DELETES = frozenset(["os.remove", "os.unlink", "shutil.rmtree", "os.rmdir", "os.removedirs"])
_MOVES = frozenset(["os.rename", "os.replace", "shutil.move", "os.renames"])
_COPIES = frozenset(["shutil.copy", "shutil.copyfile", "shutil.copy2", "shutil.copytree", "os.symlink", "os.link"])
_RUNS = frozenset(
    [
        "os.system",
        "os.popen",
        "subprocess.run",
        "subprocess.call",
        "subprocess.check_call",
        "subprocess.check_output",
        "subprocess.Popen",
        "subprocess.getoutput",
    ]
)


@dataclass(slots=True)
class ScriptEffects:
    """Effects of one script on files, and the shell commands that it starts."""

    actions: list[Action] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    readable: bool = True
    """False: not Python that can be parsed."""


def script_effects(code: str, step: int) -> ScriptEffects:
    """File actions of Python code; what depends on values that are computed is left out."""
    effects = ScriptEffects()
    lines = [line for line in code.split("\n") if not line.lstrip().startswith(("%", "!"))]
    effects.commands += [line.lstrip()[1:] for line in code.split("\n") if line.lstrip().startswith("!")]
    try:
        tree = ast.parse("\n".join(lines))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        effects.readable = False
        return effects
    _Visitor(effects, step, code).visit(tree)
    return effects


class _Visitor(ast.NodeVisitor):
    """Follows names that are bound to constants, paths, open files and texts read from files."""

    def __init__(self, effects: ScriptEffects, step: int, code: str) -> None:
        self.effects, self.step, self.code = effects, step, code
        self.paths: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self.files: dict[str, tuple[str, str]] = {}
        self.read_from: dict[str, str] = {}
        self.edits: dict[str, list[tuple[str, str]]] = {}

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        for target in node.targets:
            if isinstance(target, ast.Name):
                self._bind(target.id, node.value)

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            if isinstance(item.optional_vars, ast.Name):
                self._bind(item.optional_vars.id, item.context_expr)
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        """A loop over constant paths: the last one stands for all."""
        if isinstance(node.target, ast.Name) and isinstance(node.iter, ast.List | ast.Tuple) and node.iter.elts:
            self._bind(node.target.id, node.iter.elts[-1])
        self.generic_visit(node)

    def _bind(self, name: str, value: ast.expr) -> None:
        text = self._text(value)
        if text is not None:
            self.texts[name] = text
        path = self._path(value)
        if path:
            self.paths[name] = path
        opened = self._opened(value)
        if opened:
            self.files[name] = opened
        source = self._source(value)
        if source:
            self.read_from[name] = source
            pairs = [*self._inherited(value), *self._replacements(value)]
            self.edits[name] = pairs

    def visit_Call(self, node: ast.Call) -> None:
        name = dotted(node.func)
        if name in _DELETES and node.args:
            self._delete(self._path(node.args[0]))
        elif name in _MOVES and len(node.args) > 1:
            self._rename(self._path(node.args[0]), self._path(node.args[1]))
        elif name in _COPIES and len(node.args) > 1:
            source, target = self._path(node.args[0]), self._path(node.args[1])
            if source:
                self._add("read", source)
            if target:
                self._add("write", target)
        elif name in _RUNS and node.args:
            self._run(node.args[0])
        elif name in ("json.dump", "pickle.dump", "yaml.dump", "yaml.safe_dump") and len(node.args) > 1:
            self._dump(node)
        elif isinstance(node.func, ast.Attribute):
            self._method(node, node.func)
        opened = self._opened(node)
        if opened and "r" in opened[1] and "+" not in opened[1]:
            self._add("read", opened[0])
        self.generic_visit(node)

    def _method(self, node: ast.Call, func: ast.Attribute) -> None:
        if func.attr in ("write_text", "write_bytes") and node.args:
            self._write(self._path(func.value), node.args[0])
        elif func.attr in ("write", "writelines") and node.args:
            opened = self.files.get(func.value.id) if isinstance(func.value, ast.Name) else self._opened(func.value)
            if opened:
                self._write(opened[0], node.args[0], append="a" in opened[1])
        elif func.attr in ("unlink", "rmdir"):
            self._delete(self._path(func.value))
        elif func.attr in ("rename", "replace") and len(node.args) == 1:
            self._rename(self._path(func.value), self._path(node.args[0]))
        elif func.attr in ("read_text", "read_bytes"):
            path = self._path(func.value)
            if path:
                self._add("read", path)

    def _dump(self, node: ast.Call) -> None:
        target = node.args[1]
        opened = self.files.get(target.id) if isinstance(target, ast.Name) else self._opened(target)
        if opened:
            literal = ast.unparse(node.args[0])
            self._add("write", opened[0], after=literal if isinstance(node.args[0], ast.Dict | ast.List) else None)

    def _run(self, value: ast.expr) -> None:
        text = self._text(value)
        if text is None and isinstance(value, ast.List | ast.Tuple):
            words = [self._text(element) for element in value.elts]
            text = " ".join(word if word and " " not in word else repr(word) for word in words if word)
        if text:
            self.effects.commands.append(text)

    def _write(self, path: str, value: ast.expr, *, append: bool = False) -> None:
        if not path:
            return
        source = self._source(value)
        pairs = [*self._inherited(value), *self._replacements(value)]
        if source and pairs:
            for old, new in pairs:
                self.effects.actions.append(
                    Action(step=self.step, kind="edit", path=path, before=Text(text=old), after=Text(text=new),
                           command=self.code)
                )  # fmt: skip
            return
        text = self._text(value)
        if append:
            after = Text(text=text) if text is not None else None
            self.effects.actions.append(
                Action(step=self.step, kind="edit", path=path, before=Text(text=""), after=after, command=self.code)
            )
            return
        self._add("write", path, after=text)

    def _inherited(self, value: ast.expr) -> list[tuple[str, str]]:
        names = [node.id for node in ast.walk(value) if isinstance(node, ast.Name)]
        return [pair for name in names for pair in self.edits.get(name, [])]

    def _replacements(self, value: ast.expr) -> list[tuple[str, str]]:
        found = []
        for node in ast.walk(value):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name)):
                continue
            name = dotted(node.func)
            if name.rsplit(".", 1)[-1] in ("replace", "sub") and len(node.args) >= 2:
                old, new = self._text(node.args[0]), self._text(node.args[1])
                if old is not None and new is not None:
                    found.append((old, new))
        return found[::-1]

    def _source(self, value: ast.expr) -> str:
        """Path of the file that a text was read from."""
        for node in ast.walk(value):
            if isinstance(node, ast.Name) and node.id in self.read_from:
                return self.read_from[node.id]
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if node.func.attr == "read_text":
                    return self._path(node.func.value)
                if node.func.attr in ("read", "readlines"):
                    target = node.func.value
                    opened = self.files.get(target.id) if isinstance(target, ast.Name) else self._opened(target)
                    if opened:
                        return opened[0]
        return ""

    def _opened(self, value: ast.expr) -> tuple[str, str] | None:
        """Path and mode, where an expression opens a file."""
        if not isinstance(value, ast.Call):
            return None
        name = dotted(value.func)
        mode: str | None = "r"
        if name in ("open", "io.open", "codecs.open") and value.args:
            path, rest = self._path(value.args[0]), value.args[1:]
        elif isinstance(value.func, ast.Attribute) and value.func.attr == "open":
            path, rest = self._path(value.func.value), value.args
        else:
            return None
        if rest:
            mode = self._text(rest[0])
        for keyword in value.keywords:
            if keyword.arg == "mode":
                mode = self._text(keyword.value)
        return (path, mode or "r") if path else None

    def _text(self, value: ast.expr) -> str | None:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            return value.value
        if isinstance(value, ast.Constant) and isinstance(value.value, bytes):
            return value.value.decode("utf-8", "replace")
        if isinstance(value, ast.Name):
            return self.texts.get(value.id)
        if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
            left, right = self._text(value.left), self._text(value.right)
            return left + right if left is not None and right is not None else None
        if isinstance(value, ast.Call) and dotted(value.func) in ("textwrap.dedent", "dedent", "str") and value.args:
            return self._text(value.args[0])
        return None

    def _path(self, value: ast.expr) -> str:
        """A path that an expression names, as far as it is constant."""
        if isinstance(value, ast.Name):
            return self.paths.get(value.id, "")
        text = self._text(value)
        if text is not None:
            return text if "\n" not in text and len(text) < 500 else ""
        if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Div):
            left, right = self._path(value.left), self._path(value.right)
            return f"{left}/{right}" if right else ""
        if isinstance(value, ast.Call):
            name = dotted(value.func)
            if name in ("Path", "pathlib.Path", "os.path.abspath", "os.path.expanduser") and value.args:
                return "/".join(filter(None, map(self._path, value.args)))
            if name == "os.path.join":
                return "/".join(filter(None, map(self._path, value.args)))
        return ""

    def _delete(self, path: str) -> None:
        if path:
            self._add("delete", path)

    def _rename(self, old: str, new: str) -> None:
        if old and new:
            self.effects.actions.append(
                Action(step=self.step, kind="rename", path=new, old_path=old, command=self.code)
            )

    def _add(self, kind: str, path: str, after: str | None = None) -> None:
        text = Text(text=after, whole=True) if after is not None else None
        self.effects.actions.append(
            Action(step=self.step, kind=kind, path=path, after=text, command=self.code)  # type: ignore[arg-type]
        )


def dotted(node: ast.expr) -> str:
    """`a.b.c` of an attribute chain; empty where it is something else."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        parts.append(node.id)
    elif parts:
        parts.append("")
    return ".".join(reversed(parts)).lstrip(".")
