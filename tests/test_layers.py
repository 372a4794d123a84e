"""The layer rule: a file imports only from a lower layer, or from inside its own folder. Lazy imports count too."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "src" / "karat"

LAYER_OF = {
    "types": 0,
    "errors": 0,
    "options": 1,
    "verbs": 0,
    "run_records": 0,
    "numerics": 1,
    "data": 2,
    "rewards": 2,
    "policies": 2,
    "sandbox": 2,
    "store": 2,
    "worlds": 2,
    "train": 3,
    "score": 3,
    "pool": 3,
    "audit": 3,
    "stress": 3,
    "grade": 3,
    "watch": 3,
    "candor": 3,
    "check": 3,
    "selftest": 3,
    "report": 4,
    "integrations": 5,
    "serve": 5,
    "dashboard": 5,
    "cli": 6,
}
# The verb that joins the others may read the verbs it joins; nothing else may look sideways.
# `karat stress synthetic --train` and `karat audit data A B --train` train as `karat train` would.
# A calibrated reward counts the features of text that it was fitted on; data imports nothing of rewards.
MAY_LOOK_SIDEWAYS = {
    ("check", "audit"),
    ("check", "train"),
    ("check", "score"),
    ("check", "stress"),
    ("selftest", "audit"),
    ("selftest", "grade"),
    ("selftest", "stress"),
    ("selftest", "train"),
    ("selftest", "watch"),
    ("stress", "train"),
    ("audit", "train"),
    ("rewards", "data"),
}
PURE = {"numpy", "scipy"}  # all that numerics may import besides the standard library
NO_TORCH = ("types", "errors", "numerics", "data", "worlds", "report")


def imports_of(path: Path) -> list[tuple[int, str]]:
    """Absolute module names imported anywhere in a file (inside functions and TYPE_CHECKING blocks too)."""
    package = ("karat", *path.relative_to(ROOT).with_suffix("").parts)
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: -node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            if module == "karat":
                found += [(node.lineno, f"karat.{alias.name}") for alias in node.names]
            else:
                found.append((node.lineno, module))
    return found


def room_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "karat" and len(parts) > 1 else None


FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if room == "__main__":
        return
    assert room in LAYER_OF, f"{path}: a new folder needs a layer in LAYER_OF and in the README's map"
    wrong = []
    for line, module in imports_of(path):
        target = room_of(module)
        if target is None or target == room or target not in LAYER_OF:
            continue
        if LAYER_OF[target] >= LAYER_OF[room] and (room, target) not in MAY_LOOK_SIDEWAYS:
            wrong.append(f"{path.name}:{line} imports {module} (layer {LAYER_OF[target]}) from layer {LAYER_OF[room]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", sorted((ROOT / "numerics").rglob("*.py")), ids=lambda path: path.name)
def test_numerics_is_pure(path: Path) -> None:
    foreign = {module.split(".")[0] for _, module in imports_of(path)} - PURE - {"karat"} - set(sys.stdlib_module_names)
    assert not foreign, f"{path.name} imports {sorted(foreign)}; numerics takes arrays and returns arrays"


def test_import_is_light_and_needs_no_torch() -> None:
    """`import karat` and the layers that must work without torch do not load it."""
    rooms = [room for room in NO_TORCH if (ROOT / room).exists() or (ROOT / f"{room}.py").exists()]
    code = (
        "import importlib, sys\n"
        "import karat\n"
        "heavy = {'torch', 'transformers', 'datasets', 'scipy', 'pyarrow', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, f'import karat loads {heavy}'\n"
        "sys.modules['torch'] = None\n"
        f"for room in {rooms!r}: importlib.import_module('karat.' + room)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
