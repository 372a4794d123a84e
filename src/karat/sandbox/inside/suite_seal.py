"""What decides the outcome of a test, remembered before a candidate is imported and compared after each test.

In one process with the candidate this is evidence and no defence: native code or a change that is undone escapes it.
"""

from __future__ import annotations

import builtins
import importlib
import sys
import types
from typing import Any

MODULES = (
    *("_pytest.runner", "_pytest.python", "_pytest.reports", "_pytest.main", "_pytest.raises", "_pytest.outcomes"),
    *(
        "_pytest.skipping",
        "_pytest.unittest",
        "_pytest.assertion.util",
        "_pytest.assertion.rewrite",
        "_pytest.assertion",
    ),
    *(
        "_pytest.python_api",
        "_pytest.approx",
        "_pytest.nodes",
        "_pytest._code.code",
        "_pytest.config",
        "_pytest.fixtures",
    ),
    *("pluggy._hooks", "pluggy._callers", "pluggy._manager", "unittest.case", "unittest.mock", "operator", "json"),
    *("karat.sandbox.inside.suite", "karat.sandbox.inside.wire", "karat.sandbox.inside.child", "pytest", "unittest"),
)
ORDINARY_CHANGES = (
    "_pytest.assertion.util._reprcompare",
    "_pytest.assertion.util._assertion_pass",
    "_pytest.assertion.util._config",
    "_pytest.config.Config._getini_unknown_type",
)
"""What pytest itself sets."""


def there(name: str) -> types.ModuleType | None:
    """A module by name; None where this version of pytest has none of that name."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


class Seal:
    """Identities of functions, methods and their code."""

    def __init__(self) -> None:
        self.changes: list[list[str]] = []
        self.hooks = (sys.gettrace(), sys.getprofile(), sys.excepthook)
        self.modules = [module for name in MODULES if (module := there(name)) is not None]
        self.held = self.look()

    def look(self) -> dict[str, tuple[Any, ...]]:
        seen: dict[str, tuple[Any, ...]] = {}
        for owner in (builtins, *self.modules):
            for name, value in list(vars(owner).items()):
                self.add(seen, f"{owner.__name__}.{name}", value)
                if isinstance(value, type) and value.__module__ == owner.__name__ and owner is not builtins:
                    for inner, function in list(vars(value).items()):
                        self.add(seen, f"{owner.__name__}.{name}.{inner}", function)
        return seen

    def add(self, seen: dict[str, tuple[Any, ...]], name: str, value: Any) -> None:
        value = getattr(value, "__func__", value)
        if isinstance(value, types.FunctionType):
            seen[name] = (value, value.__code__, value.__defaults__)
        elif isinstance(value, (type, types.BuiltinFunctionType)) or (name.count(".") == 1 and callable(value)):
            seen[name] = (value,)

    def changed(self) -> int:
        """How many changes are known by now; names are kept in `changes`."""
        now, known = self.look(), {name for name, _ in self.changes}
        for name, held in self.held.items():
            if name in known or name in ORDINARY_CHANGES:
                continue
            found = now.get(name)
            if found is None or len(found) != len(held) or any(a is not b for a, b in zip(found, held, strict=False)):
                self.changes.append([name, "is gone" if found is None else "is not what it was"])
        for name, was, value in zip(("trace", "profile"), self.hooks, (sys.gettrace(), sys.getprofile()), strict=False):
            if was is not value and name not in known:
                self.changes.append([name, "a hook was set"])
        return len(self.changes)
