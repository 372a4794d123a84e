r"""Likelihoods of step labels: what the labels of a solution cost under the logits of its steps.

Axes: S steps of one solution.  With z the logit of a step (nats), sigma the logistic function and p = sigma(z) the
probability that the step is right:

    steps         -l log p - (1-l) log(1-p) for each step with a label l in [0, 1]   Lightman et al. (2305.20050)
                  hard: l is 1 from one half on, else 0; soft: l as it is            Math-Shepherd (2312.08935)
    first error   -sum_{i<k} log p_i - log(1-p_k), k the first wrong step; without one -sum_i log p_i
    outcome       the same cross-entropy at the last step alone, l: the final answer is right (Cobbe et al. 2110.14168)

The second is the likelihood of k where each step is judged by itself and judging stops at the first wrong one: the
chances over k = 0, ..., S-1 and "none" sum to 1. What follows a wrong step does not enter it. It is also the sum of
the first's over the steps up to k, so that the two differ by their labels and by how the steps of a solution are
weighed: a sum makes a long solution weigh more, a mean does not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_expit

from karat.errors import InputError
from karat.numerics.process_accuracy import NO_ERROR
from karat.numerics.validation import as_vector, finite_vector, require, require_same_length

HARD_FROM = 0.5
"""A soft label from here on is a right step."""


def step_loss(logit_S: ArrayLike, label_S: ArrayLike) -> np.ndarray:
    """-l log sigma(z) - (1-l) log sigma(-z), per step.

    Args:
        logit_S: z, nats, shape (S,).
        label_S: l in [0, 1], shape (S,); NaN: not known.
    Returns: losses in nats, shape (S,); NaN where the label is.
    Raises: InputError: a logit is not finite, a label is outside [0, 1], or the lengths differ.
    """
    logit = finite_vector("logit_S", logit_S, "Score in float32.")
    label = checked_labels(label_S)
    require_same_length(logit_S=logit, label_S=label)
    return np.asarray(-(label * log_expit(logit) + (1 - label) * log_expit(-logit)))


def hard_labels(label_S: ArrayLike) -> np.ndarray:
    """1 from one half on, else 0, shape (S,); NaN where the label is. Raises InputError: a label outside [0, 1]."""
    label = checked_labels(label_S)
    return np.where(np.isnan(label), np.nan, label >= HARD_FROM)


def first_error_labels(n_steps: int, first_error: int) -> np.ndarray:
    """Labels that the index of the first wrong step implies, shape (n_steps,): 1 before it, 0 at it, NaN after it.

    Args:
        first_error: in 0..n_steps-1, or NO_ERROR: then all are 1.
    Raises: InputError: no such step.
    """
    if not (first_error == NO_ERROR or 0 <= first_error < n_steps):
        raise InputError(f"first_error = {first_error} of {n_steps} steps: give 0 to {n_steps - 1}, or {NO_ERROR}.")
    label = np.ones(n_steps)
    if first_error != NO_ERROR:
        label[first_error] = 0.0
        label[first_error + 1 :] = np.nan
    return label


def first_error_loss(logit_S: ArrayLike, first_error: int) -> float:
    """-sum_{i<k} log sigma(z_i) - log sigma(-z_k), or -sum_i log sigma(z_i) without a wrong step.

    Args:
        logit_S: z, nats, shape (S,).
        first_error: k, or NO_ERROR.
    Returns: the loss of the solution in nats.
    Raises: InputError: a logit is not finite, or there is no such step.
    """
    logit = finite_vector("logit_S", logit_S, "Score in float32.")
    return float(np.nansum(step_loss(logit, first_error_labels(logit.size, first_error))))


def outcome_loss(logit_S: ArrayLike, final_right: float) -> float:
    """Cross-entropy of the final answer at the last step alone, nats.

    Args:
        logit_S: z, nats, shape (S,), at least one step.
        final_right: probability that the final answer is right, in [0, 1].
    Raises: InputError: no steps, a logit that is not finite, a probability out of range or NaN.
    """
    logit = finite_vector("logit_S", logit_S, "Score in float32.")
    if not logit.size or not 0 <= final_right <= 1:
        raise InputError(
            f"final_right = {final_right} of {logit.size} steps: give a probability and at least one step."
        )
    return float(step_loss(logit[-1:], [final_right])[0])


def checked_labels(label_S: ArrayLike) -> np.ndarray:
    """Labels as float64, each in [0, 1] or NaN. Raises InputError: another value."""
    label = as_vector("label_S", label_S)
    is_good = np.isnan(label) | ((label >= 0) & (label <= 1))
    require("label_S", label, is_good, "are outside [0, 1]. A label is the probability that the step is right; or NaN.")
    return label
