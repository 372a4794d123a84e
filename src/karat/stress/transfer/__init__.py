"""`karat stress transfer`: do policies that learned to hack in one setting hack in others? Imported light."""

from __future__ import annotations

from typing import TYPE_CHECKING

from karat.stress.transfer.config import TransferConfig
from karat.verbs import make_verb

if TYPE_CHECKING:
    from karat.stress.transfer.run import transfer

__all__ = ["TransferConfig", "transfer"]

make_verb(__name__, "transfer", {"transfer": "run"})
