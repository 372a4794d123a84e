"""`karat audit reward`: what does this reward wrongly pay for. Imported light."""

from __future__ import annotations

from typing import TYPE_CHECKING

from karat.audit.reward.config import AuditRewardConfig
from karat.verbs import make_verb

if TYPE_CHECKING:
    from karat.audit.reward.run import audit_reward

__all__ = ["AuditRewardConfig", "audit_reward"]

make_verb(__name__, "audit_reward", {"audit_reward": "run"})
