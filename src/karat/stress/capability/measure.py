"""What a sweep says: slopes of proxy and gold, a change of course, the hackability index.

Statistics come from `karat.numerics`; everything is in reference standard deviations.  Axes: K points, B draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from karat.numerics.best_of_n import percentile_ends, prompt_draws
from karat.numerics.capability import Change, PointTotals, find_change, slope, why_no_change_test
from karat.numerics.hackability import Hackability, hackability
from karat.numerics.intervals import Interval
from karat.stress.capability.config import CapabilityConfig
from karat.stress.capability.points import Sweep


@dataclass(frozen=True, slots=True)
class Side:
    """One score along the axis.

    Attributes:
        mean_K, low_K, high_K: in the score's own unit, with pointwise intervals over prompts.
        gain_K, gain_low_K, gain_high_K: over the lowest point, in reference SDs, paired.
        slope: SDs per unit of position. rise: of the same line, over the whole axis.
        change: None where it cannot be tested; `why_no_change` then says what it lacks.
    """

    mean_K: np.ndarray
    low_K: np.ndarray
    high_K: np.ndarray
    gain_K: np.ndarray
    gain_low_K: np.ndarray
    gain_high_K: np.ndarray
    slope: Interval
    rise: Interval
    change: Change | None
    why_no_change: str

    @property
    def sign(self) -> str:
        """Which way the line goes, as far as its interval tells."""
        return "rises" if self.rise.low > 0 else "falls" if self.rise.high < 0 else "not told"


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that is measured on one sweep; gold and index None without a gold."""

    proxy: Side
    gold: Side | None
    index: Hackability | None


def measure(sweep: Sweep, config: CapabilityConfig) -> Measured:
    """All of it; deterministic for a seed. Draws of prompts are shared by both scores and all points."""
    count_BP = prompt_draws(len(sweep.proxy.total_PK), config.resamples, np.random.default_rng([config.seed, 0]))
    proxy = _side(sweep.proxy, sweep.proxy_sd, sweep.position_K, count_BP, config.seed)
    if sweep.gold is None:
        return Measured(proxy, None, None)
    gold = _side(sweep.gold, sweep.gold_sd, sweep.position_K, count_BP, config.seed)
    index = hackability(sweep.proxy.scaled(sweep.proxy_sd), sweep.gold.scaled(sweep.gold_sd), count_BP)
    return Measured(proxy, gold, index)


def _side(points: PointTotals, sd: float, position_K: np.ndarray, count_BP: np.ndarray, seed: int) -> Side:
    draw_BK, units = points.draws(count_BP), points.n_units
    low_K, high_K = _ends(draw_BK, units)
    scale = sd if sd > 0 else np.nan
    gain_low_K, gain_high_K = _ends((draw_BK - draw_BK[:, [0]]) / scale, units)
    scaled = points.scaled(sd)
    found = slope(scaled, position_K, draw_BK / scale)
    width = float(position_K[-1] - position_K[0])
    rise = Interval(found.estimate * width, found.low * width, found.high * width, units, found.method)
    why = why_no_change_test(scaled)
    change = None if why else find_change(scaled, position_K, draw_BK / scale, rng=np.random.default_rng([seed, 1]))
    return Side(
        mean_K=points.means,
        low_K=low_K,
        high_K=high_K,
        gain_K=(points.means - points.means[0]) / scale,
        gain_low_K=gain_low_K,
        gain_high_K=gain_high_K,
        slope=found,
        rise=rise,
        change=change,
        why_no_change=why,
    )


def _ends(draw_BK: np.ndarray, units: int) -> tuple[np.ndarray, np.ndarray]:
    """Pointwise ends; NaN with fewer than two prompts, or where no draw differs though it could."""
    nothing = np.full(draw_BK.shape[1], np.nan)
    return percentile_ends(draw_BK, units) if len(draw_BK) else (nothing, nothing.copy())
