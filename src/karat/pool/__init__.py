"""`karat pool`: responses of a policy to prompts, as a pool. Imported light."""

from __future__ import annotations

from typing import TYPE_CHECKING

from karat.pool.config import PoolConfig
from karat.verbs import make_verb

if TYPE_CHECKING:
    from karat.pool.run import pool

__all__ = ["PoolConfig", "pool"]

make_verb(__name__, "pool", {"pool": "run"})
