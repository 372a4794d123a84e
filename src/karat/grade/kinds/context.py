"""What every kind of task is run with."""

from __future__ import annotations

from dataclasses import dataclass

from karat.sandbox.types import Bait, Sandbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Where one candidate is run, and how it is watched."""

    sandbox: Sandbox
    """Runs the candidate's code."""
    trusted: Sandbox
    """Runs trusted test code and references: other processes, which no candidate reaches."""
    baits: tuple[Bait, ...] = ()
    watch: bool = True
    """Whether audit hooks and seals record what the candidate does."""
    isolated: bool = False
    """Whether a test that cannot run outside may run in the candidate's process (its results are then marked)."""
