"""What a battery of probes gave."""

from __future__ import annotations

import math
from dataclasses import dataclass

from karat.audit.reward.probe_statistics import MIN_PROMPTS, Measured
from karat.audit.reward.probes.removal import CONTROLS
from karat.types import Verdict

FALL_OF_CONTROLS = 0.5
"""SDs. A positive control that surely falls by less, and not surely by anything, shows a reward that does not read."""


@dataclass(frozen=True, slots=True)
class Probed:
    """All probes, the unit of their effects, and the identity control.

    Attributes:
        sd: of the margins of the pairs, reward units: the unit of all effects.
        copy_error: largest difference between the scores of a text and of its copy, SD; NaN with none.
        n_copies: copies that have both scores; n_copies_missing: that have not.
        band: SDs within which an effect counts as none.
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
    band: float
    n_cut: int = 0
    n_rewriter_failed: int = 0

    @property
    def controls(self) -> tuple[Measured, ...]:
        """The positive controls that could be used."""
        return tuple(each for each in self.probes if each.battery.probe.name in CONTROLS and each.n_used)

    @property
    def reads(self) -> bool:
        """False where a positive control surely does not fall: then no probe that nothing moves shows anything."""
        return not any(control_verdict(each, self.band) == "problem" for each in self.controls)


def control_verdict(control: Measured, band: float) -> Verdict:
    """Of a positive control, which has to fall far.

    ok: the score surely falls by more than the band. problem: else, where it surely falls by less than half an SD.
    unclear: neither.
    """
    interval = control.interval
    if interval.n_clusters < MIN_PROMPTS or math.isnan(interval.low):
        return "unclear"
    if interval.high < -band:
        return "ok"
    return "problem" if interval.low > -FALL_OF_CONTROLS else "unclear"
