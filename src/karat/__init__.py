"""karat: how far a reward can be trusted.

Verbs are functions: `karat.check()`, `karat.train(...)`, `karat.pool(...)`, `karat.score(...)`, `karat.stress(...)`,
`karat.audit_data(...)`, `karat.audit_reward(...)`, `karat.grade(...)`; each is a command of the same name.
"""

from __future__ import annotations

from karat import check, grade, pool, score, selftest, stress, train
from karat.audit import data as audit_data
from karat.audit import reward as audit_reward
from karat.errors import KaratError
from karat.types import Finding, Message, PreferencePair, Result

__version__ = "0.1.0"

__all__ = [
    "Finding",
    "KaratError",
    "Message",
    "PreferencePair",
    "Result",
    "__version__",
    "audit_data",
    "audit_reward",
    "check",
    "grade",
    "pool",
    "score",
    "selftest",
    "stress",
    "train",
]
