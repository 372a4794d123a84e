"""Rules that read a rollout: each takes a scene and gives signs of tampering."""

from __future__ import annotations

from collections.abc import Sequence

from karat.grade.rollout.rules.commands import command_signs
from karat.grade.rollout.rules.harness import harness_signs
from karat.grade.rollout.rules.reward import reward_signs
from karat.grade.rollout.rules.scene import Rule, build_scene
from karat.grade.rollout.rules.source import source_signs
from karat.grade.rollout.rules.tests import test_signs
from karat.grade.rollout.types import Rollout, Sign
from karat.grade.tamper.techniques import rank

RULES: tuple[Rule, ...] = (test_signs, harness_signs, reward_signs, source_signs, command_signs)


def find_signs(rollout: Rollout, *, allowed: Sequence[str] = ()) -> tuple[Sign, ...]:
    """All signs in one rollout, in the order of its steps; of equal ones the surest.

    Args:
        rollout: as a reader gives it.
        allowed: patterns of paths that may be edited.
    """
    scene = build_scene(rollout, allowed=allowed)
    kept: dict[tuple[object, ...], Sign] = {}
    for rule in RULES:
        for sign in rule(scene):
            key = (sign.technique, sign.step, sign.path, sign.line)
            if key not in kept or rank(sign.confidence) > rank(kept[key].confidence):
                kept[key] = sign
    return tuple(sorted(kept.values(), key=lambda sign: (sign.step, sign.path, sign.line or 0)))
