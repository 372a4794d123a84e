"""`karat score`: a reward over pairs or a pool. Imported light; the reward's packages are loaded when it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from karat.score.config import ScoreConfig
from karat.verbs import make_verb

if TYPE_CHECKING:
    from karat.score.run import score_file

__all__ = ["ScoreConfig", "score_file"]

make_verb(__name__, "score_file", {"score_file": "run"})
