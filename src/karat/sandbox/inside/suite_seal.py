"""What decides the outcome of a test, remembered before a candidate is imported and compared after each test.

In one process with the candidate this is evidence and no defence: native code or a change that is undone escapes it.
"""

from __future__ import annotations

import builtins
import importlib
import sys
import types
from collections.abc import Mapping
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
    """Identities of functions, methods and classes, and the code of functions."""

    def __init__(self) -> None:
        self.changes: list[list[str]] = []
        self.hooks = (sys.gettrace(), sys.getprofile())
        self.held: list[tuple[str, Mapping[str, Any], str, Any, Any, Any, Any]] = []
        """Label, names of the owner, name, value; of a function also itself, its code and its defaults."""
        for owner in (builtins, *(module for name in MODULES if (module := there(name)) is not None)):
            for name, value in list(vars(owner).items()):
                self.hold(owner, owner.__name__, name, value)
                if isinstance(value, type) and value.__module__ == owner.__name__ and owner is not builtins:
                    for inner, function in list(vars(value).items()):
                        self.hold(value, f"{owner.__name__}.{name}", inner, function)

    def hold(self, owner: Any, prefix: str, name: str, value: Any) -> None:
        function = getattr(value, "__func__", value)
        parts: tuple[Any, Any, Any] = (None, None, None)
        if isinstance(function, types.FunctionType):
            parts = (function, function.__code__, function.__defaults__)
        elif not isinstance(value, (type, types.BuiltinFunctionType)) and not (
            isinstance(owner, types.ModuleType) and callable(value)
        ):
            return
        if f"{prefix}.{name}" not in ORDINARY_CHANGES:
            self.held.append((f"{prefix}.{name}", vars(owner), name, value, *parts))

    def changed(self) -> int:
        """How many changes are known by now; names are kept in `changes`."""
        known = {name for name, _ in self.changes}
        for label, names, name, value, function, code, defaults in self.held:
            found = names.get(name)
            if found is value and (
                function is None or (function.__code__ is code and function.__defaults__ is defaults)
            ):
                continue
            if label not in known:
                self.changes.append([label, "is gone" if name not in names else "is not what it was"])
        for name, was, now in zip(("trace", "profile"), self.hooks, (sys.gettrace(), sys.getprofile()), strict=True):
            if was is not now and name not in known:
                self.changes.append([name, "a hook was set"])
        return len(self.changes)
