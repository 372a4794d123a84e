"""The catalogue of probes. Each module of this folder that has a FAMILY is part of it.

A new family is one file here, with `FAMILY = Family(code="RW2nn", name=..., title=..., action=..., probes=(...))`; a
new probe is one entry in its family's tuple. Nothing else changes: findings, `--probes`, `karat explain` and the tests
of every probe's proof find them here.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from karat.audit.reward.probes.base import Dialect, Family, Item, Probe

__all__ = ["Dialect", "Family", "Item", "Probe", "families"]


@cache
def families() -> tuple[Family, ...]:
    """All families, by code."""
    modules = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    found = sorted((module.FAMILY for module in modules if hasattr(module, "FAMILY")), key=lambda family: family.code)
    names = [family.name for family in found] + [probe.name for family in found for probe in family.probes]
    twice = sorted({name for name in names if names.count(name) > 1})
    assert not twice, f"two probes or families are called {twice}"
    assert len({family.code for family in found}) == len(found), "two families have one code"
    return tuple(found)
