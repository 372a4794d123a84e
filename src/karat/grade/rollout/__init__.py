"""What an agent did to tests, harness, configuration and reward code: transcripts and patches. Imported light."""

from __future__ import annotations

from typing import TYPE_CHECKING

from karat.grade.rollout.config import RolloutConfig
from karat.verbs import make_verb

if TYPE_CHECKING:
    from karat.grade.rollout.run import grade_rollouts, inspect_rollout

__all__ = ["RolloutConfig", "grade_rollouts", "inspect_rollout"]

make_verb(__name__, "grade_rollouts", {"grade_rollouts": "run", "inspect_rollout": "run"})
