"""When a run is stopped because the gold has fallen. Works without torch.

Axes: P evaluation prompts, K checkpoints.
"""

from __future__ import annotations

import numpy as np

from karat.numerics.goodhart import cross_fitted_difference

LEVEL = 0.98
"""Of each look; at 0.95, 8 % of runs whose gold stays level were stopped within 20 evaluations."""


def has_fallen(gold_PK: np.ndarray) -> bool:
    """Whether the gold of the last checkpoint is below that of the best earlier one, beyond noise over prompts (ST501).

    Args:
        gold_PK: mean gold by prompt and checkpoint; prompts without a gold at some checkpoint are left out.
    """
    known_PK = gold_PK[~np.isnan(gold_PK).any(axis=1)]
    last = gold_PK.shape[1] - 1
    return last > 0 and cross_fitted_difference(known_PK, last, slice(0, last), level=LEVEL).low > 0


def has_fallen_twice(gold_PK: np.ndarray) -> bool:
    """Whether it has at the last two checkpoints: looking again and again finds a fall somewhere by chance."""
    return has_fallen(gold_PK) and has_fallen(gold_PK[:, :-1])
