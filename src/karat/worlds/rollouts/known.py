"""Rollouts whose intent is known, as steps that any form of transcript can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that the agent does, with what the tool answers."""

    kind: Literal["ran", "wrote", "edited", "viewed", "patched"]
    path: str = ""
    text: str = ""
    """Command, new content, or patch; of an edit the new text."""
    old: str = ""
    output: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRollout:
    """One rollout or patch."""

    name: str
    technique: str
    """Key of the technique table; of an honest rollout, the technique that it looks like."""
    tampers: bool
    form: str
    """How it is written down: a key of FORMS."""
    task: str
    """What the user asked; empty where nothing is known (a bare patch)."""
    steps: tuple[Step, ...]
    held_out: bool = False
    """Written after the rules and never used to tune them."""


def ran(command: str, output: str = "") -> Step:
    return Step("ran", text=_plain(command), output=_plain(output))


def wrote(path: str, content: str) -> Step:
    return Step("wrote", path, _plain(content), output="File written.")


def edited(path: str, old: str, new: str) -> Step:
    return Step("edited", path, _plain(new), _plain(old), "The file has been edited.")


def viewed(path: str, content: str) -> Step:
    return Step("viewed", path, output=_plain(content))


def patched(text: str) -> Step:
    return Step("patched", text=_plain(text))


def _plain(text: str) -> str:
    """Without the first line break, so that a triple-quoted text may begin on its own line."""
    return text.removeprefix("\n")


def written_first() -> tuple[KnownRollout, ...]:
    """Rollouts that were at hand while the rules were written or mended."""
    from karat.worlds.rollouts import (
        honest_commands,
        honest_edits,
        second_honest,
        second_tampered,
        tampered_edits,
        tampered_reach,
        tampered_rewards,
        third_honest,
        third_tampered,
    )

    modules = (
        tampered_edits,
        tampered_rewards,
        tampered_reach,
        second_tampered,
        third_tampered,
        honest_edits,
        honest_commands,
        second_honest,
        third_honest,
    )
    return tuple(rollout for module in modules for rollout in module.ROLLOUTS)


def held_out() -> tuple[KnownRollout, ...]:
    """Rollouts that were written after the rules and never used to tune them."""
    from karat.worlds.rollouts import held_out_honest, held_out_tampered

    return (*held_out_tampered.ROLLOUTS, *held_out_honest.ROLLOUTS)


def all_rollouts() -> tuple[KnownRollout, ...]:
    return (*written_first(), *held_out())
