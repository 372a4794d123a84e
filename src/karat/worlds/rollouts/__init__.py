"""Agent rollouts with known intent: tampering of many kinds, and honest work that looks like it."""

from __future__ import annotations

from karat.worlds.rollouts.known import KnownRollout, Step, all_rollouts, held_out, written_first
from karat.worlds.rollouts.render import FORMS, render

__all__ = ["FORMS", "KnownRollout", "Step", "all_rollouts", "held_out", "render", "written_first"]
