"""`karat audit data`: what is wrong with these preferences. Imported light."""

from __future__ import annotations

from typing import TYPE_CHECKING

from karat.audit.data.config import AuditDataConfig
from karat.verbs import make_verb

if TYPE_CHECKING:
    from karat.audit.data.run import audit_data

__all__ = ["AuditDataConfig", "audit_data"]

make_verb(__name__, "audit_data", {"audit_data": "run"})
