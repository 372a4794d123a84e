"""Rewards of a comparison as heads on frozen hidden states, and the vectors that they read.

Axes: P pairs, D dimensions, N test pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_expit

from karat.errors import DataError
from karat.numerics.linear_preference import MARGIN_VARIANCES, column_scale, fit_head, fit_heads, prompt_folds, ridge_of

if TYPE_CHECKING:
    from karat.audit.data.compare import Material
    from karat.audit.parts import Progress

INNER_FOLDS = 3
"""Of the training pairs, for the choice of the ridge."""
RIDGE_DRAWS = 3
"""In which the ridge is chosen: choosing costs five times as much as fitting."""

Vectors = tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...], tuple[np.ndarray, ...], tuple[np.ndarray, ...]]
"""Of the pools: differences, labels, prompts; of the tests: differences."""


class HeadLearner:
    """Trains a Bradley-Terry head on given pairs and scores the tests with it.

    The ridge is chosen for each mix in each of its first RIDGE_DRAWS draws, at the size that comes first, by the loss
    on thirds of the training prompts; other draws and sizes take these in turn (it is a prior on margins, which does
    not depend on the number of pairs). No test pair takes part in it.
    """

    def __init__(
        self,
        diff: Sequence[np.ndarray],
        label: Sequence[np.ndarray],
        prompt: Sequence[np.ndarray],
        test_diff: Sequence[np.ndarray],
    ) -> None:
        self._diff, self._label, self._prompt, self._test = diff, label, prompt, test_diff
        self._variance: dict[tuple[tuple[int, ...], int], float] = {}

    def __call__(self, index: Mapping[int, np.ndarray], draw: int) -> list[np.ndarray]:
        diff_PD = np.concatenate([self._diff[number][rows] for number, rows in index.items()]).astype(np.float64)
        label_P = np.concatenate([self._label[number][rows] for number, rows in index.items()])
        key = (tuple(index), draw % RIDGE_DRAWS)
        if key not in self._variance:
            prompt_P = np.concatenate([self._prompt[number][rows] for number, rows in index.items()])
            self._variance[key] = chosen_variance(diff_PD, label_P, prompt_P, np.random.default_rng([len(label_P), 43]))
        scale_D = column_scale(diff_PD)
        inside = diff_PD / scale_D
        head_D = fit_head(inside, label_P, l2=ridge_of(self._variance[key], inside)) / scale_D
        return [test_ND @ head_D for test_ND in self._test]


def chosen_variance(diff_PD: np.ndarray, label_P: np.ndarray, prompt_P: np.ndarray, rng: np.random.Generator) -> float:
    """The margin variance (see `karat.numerics.linear_preference`) with the least loss on thirds of the prompts.

    With fewer than three prompts there is nothing to choose by: the strongest ridge but one.
    """
    n_prompts = len(np.unique(prompt_P))
    if n_prompts < INNER_FOLDS:
        return MARGIN_VARIANCES[-2]
    fold_P = prompt_folds(prompt_P, INNER_FOLDS, rng)
    loss_R = np.zeros(len(MARGIN_VARIANCES))
    for fold in range(INNER_FOLDS):
        is_in = fold_P != fold
        scale_D = column_scale(diff_PD[is_in])
        inside = diff_PD[is_in] / scale_D
        head_RD = fit_heads(inside, label_P[is_in], l2s=[ridge_of(each, inside) for each in MARGIN_VARIANCES])
        margin_RP = head_RD @ (diff_PD[~is_in] / scale_D).T
        label = label_P[~is_in]
        loss_R -= (label * log_expit(margin_RP) + (1 - label) * log_expit(-margin_RP)).sum(axis=1)
    return MARGIN_VARIANCES[int(np.argmin(loss_R))]


def embedded(
    material: Material, models: Sequence[str], progress: Progress | None
) -> tuple[Material, dict[str, Vectors]]:
    """Vectors of all pairs by each backbone; pairs without one (for any backbone) are left out and counted.

    Raises: DataError: a pool or test set is then empty.
    """
    from karat.rewards.vectors import pair_vectors

    groups = [*material.pools, *(pairs for _, pairs in material.tests)]
    every = [pair for group in groups for pair in group]
    found = {model: pair_vectors(every, model, progress=progress).difference() for model in models}
    is_there_P = np.all([np.isfinite(diff_PD).all(axis=1) for diff_PD in found.values()], axis=0)
    ends = np.cumsum([len(group) for group in groups])[:-1]
    kept = [np.flatnonzero(part) for part in np.split(is_there_P, ends)]
    if not all(part.size for part in kept):
        raise DataError("a source or a test set has no pair with hidden states: its texts are empty, or too long.")
    taken = [tuple(group[index] for index in part) for group, part in zip(groups, kept, strict=True)]
    n_pools = len(material.pools)
    tests = [
        (replace(test, label_N=test.label_N[part], prompt_N=test.prompt_N[part]), pairs)
        for (test, _), part, pairs in zip(material.tests, kept[n_pools:], taken[n_pools:], strict=True)
    ]
    label = tuple(np.array([pair.label for pair in pool]) for pool in taken[:n_pools])
    prompt = tuple(np.array([pair.prompt_id for pair in pool], dtype=str) for pool in taken[:n_pools])
    vectors = {}
    for model, diff_PD in found.items():
        parts = [rows[part] for rows, part in zip(np.split(diff_PD, ends), kept, strict=True)]
        vectors[model] = (tuple(parts[:n_pools]), label, prompt, tuple(parts[n_pools:]))
    missing = int(np.sum(~is_there_P))
    return replace(material, pools=tuple(taken[:n_pools]), tests=tuple(tests), n_missing=missing), vectors
