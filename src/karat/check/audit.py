"""The audits within a check: of all pairs in seconds, and of the reward on a few held-out pairs in about a minute.

`karat audit data` and `karat audit reward` have more parts and look at more pairs; what they would need besides is not
listed here as "not checked", since the options that give it are theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from karat.audit.data import audit_data
from karat.audit.reward import audit_reward
from karat.data.formats.own import to_row
from karat.types import PreferencePair, Result

DATA_PARTS, REWARD_PARTS = "structure,content", "sanity,probes"
PROBE_PAIRS = 24
"""Edited by each probe: 35,000 tokens on short texts, which is 40 seconds of the default model on two cores."""
_OWN_TABLES = ("account",)


def audit_pairs(pairs: Sequence[PreferencePair], seed: int, progress: Callable[..., None] | None) -> Result:
    """What is wrong with the pairs that needs no model: repeats, leaks, leftovers, and what can be told unread."""
    rows = [to_row(pair) for pair in pairs]
    return _within_check(audit_data(rows, parts=DATA_PARTS, seed=seed, progress=progress), "audit_data")


def audit_of_reward(
    reward: str, pairs: Sequence[PreferencePair], seed: int, progress: Callable[..., None] | None
) -> Result:
    """Whether the reward's scores are reproducible, and what edits change them that should not."""
    found = audit_reward(reward, list(pairs), parts=REWARD_PARTS, probe_pairs=PROBE_PAIRS, seed=seed, progress=progress)
    return _within_check(found, "audit_reward")


def _within_check(result: Result, name: str) -> Result:
    """The findings that were checked; values under one name, since both audits and the check count pairs."""
    return replace(
        result,
        findings=tuple(finding for finding in result.findings if finding.verdict != "not checked"),
        tables=tuple(table for table in result.tables if table.name not in _OWN_TABLES),
        values={name: dict(result.values)},
        provenance={},
    )
