"""`karat selftest`: plant known faults, recover them, and say how often. Imported light."""

from __future__ import annotations

from typing import TYPE_CHECKING

from karat.selftest.config import SelftestConfig
from karat.verbs import make_verb

if TYPE_CHECKING:
    from karat.selftest.run import selftest

__all__ = ["SelftestConfig", "selftest"]

make_verb(__name__, "selftest", {"selftest": "run"})
