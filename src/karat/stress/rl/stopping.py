"""When a run is stopped because the gold has fallen. Works without torch.

Axes: P evaluation prompts, K checkpoints.
"""

from __future__ import annotations

import numpy as np

from karat.numerics.goodhart import cross_fitted_difference

LEVEL, LOOKS = 0.98, 20
"""Of each look, where a run is looked at so often; at 0.95, 8 % of runs whose gold stays level were stopped."""


def level_of(looks: int) -> float:
    """Of each look, where there are to be so many: the chance to be wrong at one of them falls as they grow.

    At 0.98 throughout, 10 % of level runs were stopped within 100 evaluations; so, 2 %.
    """
    return 1 - (1 - LEVEL) * LOOKS / max(looks, LOOKS)


def has_fallen(gold_PK: np.ndarray, level: float = LEVEL) -> bool:
    """Whether the gold of the last checkpoint is below that of the best earlier one, beyond noise over prompts (ST501).

    Args:
        gold_PK: mean gold by prompt and checkpoint; prompts without a gold at some checkpoint are left out.
        level: of the interval of the fall.
    """
    known_PK = gold_PK[~np.isnan(gold_PK).any(axis=1)]
    last = gold_PK.shape[1] - 1
    return last > 0 and cross_fitted_difference(known_PK, last, slice(0, last), level=level).low > 0


def has_fallen_twice(gold_PK: np.ndarray, level: float = LEVEL) -> bool:
    """Whether it has at the last two checkpoints: looking again and again finds a fall somewhere by chance."""
    return has_fallen(gold_PK, level) and has_fallen(gold_PK[:, :-1], level)
