"""What a battery of probes gave."""

from __future__ import annotations

from dataclasses import dataclass

from karat.audit.reward.probe_statistics import Measured
from karat.audit.reward.probes.removal import CONTROLS


@dataclass(frozen=True, slots=True)
class Probed:
    """All probes, the unit of their effects, and the identity control.

    Attributes:
        sd: of the margins of the pairs, reward units: the unit of all effects.
        copy_error: largest difference between the scores of a text and of its copy, SD; NaN with none.
        n_copies: copies that have both scores; n_copies_missing: that have not.
        n_cut: responses that the limit of length cut; 0 where the reward does not say.
        n_rewriter_failed: texts that the rewriter raised on, or gave nothing for.
    """

    probes: tuple[Measured, ...]
    sd: float
    copy_error: float
    n_copies: int
    n_copies_missing: int
    n_pairs: int
    n_prompts: int
    n_cut: int = 0
    n_rewriter_failed: int = 0

    @property
    def controls(self) -> tuple[Measured, ...]:
        """The positive controls that could be used."""
        return tuple(each for each in self.probes if each.battery.probe.name in CONTROLS and each.n_used)

    @property
    def reads(self) -> bool:
        """False where a positive control surely does not fall: then no probe that nothing moves shows anything."""
        return not any(each.verdict == "problem" for each in self.controls)
