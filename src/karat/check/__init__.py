"""`karat check`: every check that the inputs allow, in one report. Imported light."""

from __future__ import annotations

from typing import TYPE_CHECKING

from karat.check.config import CheckConfig
from karat.verbs import make_verb

if TYPE_CHECKING:
    from karat.check.run import check

__all__ = ["CheckConfig", "check"]

make_verb(__name__, "check", {"check": "run"})
