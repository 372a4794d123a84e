"""Verbs that are both a package and a function: `karat.train(...)` calls `karat.train.train(...)`.

A verb's package loads its function, and with it torch or scipy, on first use, so that `import karat` stays light.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


class VerbModule(ModuleType):
    """A package whose public names are loaded on first use, and which can be called as its verb."""

    verb: str
    home: Mapping[str, str]

    def __call__(self, *args: Any, **options: Any) -> Any:
        return getattr(self, self.verb)(*args, **options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self.home:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{self.__name__}.{self.home[name]}"), name)


def make_verb(package: str, verb: str, home: Mapping[str, str]) -> None:
    """Turn an imported package into a verb.

    Args:
        package: its name.
        verb: the function that a call of the package runs.
        home: public name to the submodule that defines it.
    """
    module = sys.modules[package]
    module.__class__ = VerbModule
    assert isinstance(module, VerbModule)
    module.verb, module.home = verb, dict(home)
