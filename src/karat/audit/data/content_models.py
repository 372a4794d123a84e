"""Models that see surface features and no text, judged on prompts that they have not seen.

Both are odd functions of the difference, so that swapping the two sides turns the margin: a logistic regression without
intercept (ridge: standard normal prior on the weights of columns in units of their root mean square), and gradient
boosting trained on both orders, whose margin is (f(x) - f(-x)) / 2. Settings are fixed, nothing is tuned on the pairs.

Axes: P pairs, F features, K folds, A families of features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from karat.numerics.linear_preference import column_scale, fit_head

LOGISTIC, BOOSTED = "logistic", "boosted trees"
_SHUFFLES = 3
"""Times that a family is scrambled."""


class MarginOf(Protocol):
    """Log-odds that the first side of each pair is preferred, shape (P,), from differences (P, F)."""

    def __call__(self, x_PF: np.ndarray, /) -> np.ndarray: ...


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """One kind of model, fitted once without each fold.

    Attributes:
        margin_P: log-odds of the preferred side, from the model that has not seen the pair's fold.
        models: of each fold.
    """

    name: str
    margin_P: np.ndarray
    models: tuple[MarginOf, ...]


def fit_logistic(x_PF: np.ndarray, label_P: np.ndarray, seed: int) -> MarginOf:
    scale_F = column_scale(x_PF)
    weight_F = fit_head(x_PF / scale_F, label_P, l2=1.0) / scale_F
    return lambda new_PF: np.asarray(new_PF @ weight_F)


def fit_boosted(x_PF: np.ndarray, label_P: np.ndarray, seed: int) -> MarginOf:
    """A label between one half and 1 counts as that much of a pair in one order and the rest in the other."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    both_PF = np.concatenate([x_PF, -x_PF])
    is_first = np.repeat([1, 0], len(x_PF))
    weight = None  # weights of one would cost the bins ten times the time
    if (label_P < 1).any():
        both_PF, is_first = np.concatenate([both_PF, both_PF]), np.concatenate([is_first, 1 - is_first])
        weight = np.concatenate([label_P, label_P, 1 - label_P, 1 - label_P])
    model: Any = HistGradientBoostingClassifier(
        max_iter=80, learning_rate=0.1, max_leaf_nodes=8, l2_regularization=1.0, early_stopping=False,
        min_samples_leaf=max(20, len(x_PF) // 200), random_state=seed,
    ).fit(both_PF, is_first, sample_weight=weight)  # fmt: skip
    return lambda new_PF: np.asarray((model.decision_function(new_PF) - model.decision_function(-new_PF)) / 2)


FITS: dict[str, Callable[[np.ndarray, np.ndarray, int], MarginOf]] = {LOGISTIC: fit_logistic, BOOSTED: fit_boosted}


def out_of_fold(name: str, x_PF: np.ndarray, label_P: np.ndarray, fold_P: np.ndarray, *, seed: int = 0) -> OutOfFold:
    """Fit one kind of model (see FITS) without each fold in turn.

    Args:
        x_PF: differences, preferred side first, shape (P, F).
        label_P: probability that it is preferred, above one half, shape (P,).
        fold_P: whole prompts in each of 0 to K - 1, shape (P,).
    """
    x_PF = np.asarray(x_PF, np.float64)
    margin_P, models = np.empty(len(x_PF)), []
    for fold in range(int(fold_P.max()) + 1):
        held = fold_P == fold
        models.append(FITS[name](x_PF[~held], label_P[~held], seed))
        margin_P[held] = models[-1](x_PF[held])
    return OutOfFold(name, margin_P, tuple(models))


def scrambled_loss(
    found: OutOfFold, x_PF: np.ndarray, fold_P: np.ndarray, columns: Sequence[int], *, rng: np.random.Generator
) -> np.ndarray:
    """Negative log-likelihood of each pair's label, nats, when some features no longer say which side they are of.

    Their differences are turned by random signs, pair by pair (all of them together), which keeps their sizes; the
    mean over a few draws, out of fold. How much worse than before: what the model has from these features alone.
    Shape (P,).
    """
    x_PF = np.asarray(x_PF, np.float64)
    loss_P = np.zeros(len(x_PF))
    for _ in range(_SHUFFLES):
        turned_PF = x_PF.copy()
        turned_PF[:, columns] *= rng.choice([-1.0, 1.0], len(x_PF))[:, None]
        for fold, model in enumerate(found.models):
            held = fold_P == fold
            loss_P[held] += np.logaddexp(0, -model(turned_PF[held])) / _SHUFFLES
    return loss_P
