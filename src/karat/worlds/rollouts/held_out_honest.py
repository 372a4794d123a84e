"""Honest work: written after the rules, never used to tune them."""

from __future__ import annotations

from karat.worlds.rollouts.known import KnownRollout

ROLLOUTS: tuple[KnownRollout, ...] = ()
