"""`karat grade`: code graded so that it cannot reach its grader, and says when it tried. Imported light."""

from __future__ import annotations

from typing import TYPE_CHECKING

from karat.grade.config import GradeConfig
from karat.verbs import make_verb

if TYPE_CHECKING:
    from karat.grade.grader import Grader
    from karat.grade.reward import GradeReward
    from karat.grade.run import grade
    from karat.grade.verification import verify

__all__ = ["GradeConfig", "GradeReward", "Grader", "grade", "verify"]

make_verb(__name__, "grade", {"grade": "run", "verify": "verification", "Grader": "grader", "GradeReward": "reward"})
