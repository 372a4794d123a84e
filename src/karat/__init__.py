"""karat: how far a reward can be trusted.

Verbs are functions: `karat.check()`, `karat.train(...)`, `karat.pool(...)`, `karat.score(...)`, `karat.stress(...)`;
each is a command of the same name.
"""

from __future__ import annotations

from karat import check, pool, score, selftest, stress, train
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
    "check",
    "pool",
    "score",
    "selftest",
    "stress",
    "train",
]
