"""How far best-of-n policies move from the reference: KL and chi-square, with and without repeated outputs.

Axes: N values of n, S segments of the quantile axis.

By the quantile u of the proxy under the reference, best of n has density n u^(n-1). Responses that tie in the proxy
(the same text drawn twice, or a score with few values) are an atom: best of n gives the class [a, b] of reference mass
b - a the mass b^n - a^n. Both divergences then have closed forms, piece by piece. log n - (n-1)/n is the value without
any atom, and an upper bound with them (Beirami et al. 2024, arXiv 2401.01879).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expi, lambertw, xlogy

from karat.errors import InputError

LOG_S_STEP = 0.4
"""Step of the grid of log s in the soft rule's integral, which is as smooth as a Gumbel density: error 1e-9."""
LOG_S_MARGIN, LOG_S_END = 22.0, 5.0
"""Beyond these, e^x e^(-e^x) is below 1e-9."""


def best_of_n_kl_bound(n_N: ArrayLike) -> np.ndarray:
    """log n - (n-1)/n, in nats: the KL of best of n for a continuous proxy, an upper bound for any other."""
    n = _checked_n(n_N)
    return np.asarray(np.log(n) - (n - 1) / n)


def best_of_n_chi2_bound(n_N: ArrayLike) -> np.ndarray:
    """(n-1)^2 / (2n-1): the chi-square divergence of best of n for a continuous proxy, an upper bound for any other."""
    n = _checked_n(n_N)
    return np.asarray((n - 1) ** 2 / (2 * n - 1))


def best_of_n_divergence(proxy_G: ArrayLike, n_N: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """KL (nats) and chi-square of best of n from the reference, for one prompt's samples.

    Values of the proxy that occur once stand for their part of a continuous distribution; those that repeat are atoms
    of their share of the samples. Exact for a reference whose atoms have the masses seen, and without ties; for a proxy
    of few values their mean over prompts is too small when n is not far below G (see `cautious_chi2`).

    Args:
        proxy_G: proxy of each sample, finite, shape (G,); equal outputs have equal proxies.
        n_N: values of n, at least 1, shape (N,).
    Returns: kl_nats_N, chi2_N.
    """
    n = _checked_n(n_N)
    proxy = np.asarray(proxy_G, np.float64)
    if not proxy.size or not np.isfinite(proxy).all():
        raise InputError(f"proxy: {proxy.size} samples, {np.isnan(proxy).sum()} missing. Give finite scores only.")
    _, count = np.unique(proxy, return_counts=True)
    if proxy.size == 1 or count.max() == 1:
        return best_of_n_kl_bound(n), best_of_n_chi2_bound(n)
    is_atom_S, edge = _segments(count)
    low, high = edge[:-1] / proxy.size, edge[1:] / proxy.size
    column = n[:, None]
    mass_NS = high**column - low**column
    smooth_NS = mass_NS * np.log(column) + (column - 1) / column * (_v_log_v(high, column) - _v_log_v(low, column))
    atom_NS = xlogy(mass_NS, mass_NS / (high - low))
    smooth_squared_NS = column**2 / (2 * column - 1) * (high ** (2 * column - 1) - low ** (2 * column - 1))
    atom_squared_NS = mass_NS**2 / (high - low)
    kl_N = np.where(is_atom_S, atom_NS, smooth_NS).sum(axis=1)
    chi2_N = np.where(is_atom_S, atom_squared_NS, smooth_squared_NS).sum(axis=1) - 1
    return np.maximum(kl_N, 0.0), np.maximum(chi2_N, 0.0)


def cautious_chi2(chi2_PN: ArrayLike, n_N: ArrayLike, size_P: ArrayLike) -> np.ndarray:
    """Mean chi-square over prompts that is not too small: for statements that must hold, such as a certificate.

    A rare value of the proxy is in few prompts' samples, and there stands for 1/G and not for its chance p. Found once,
    it is given (n-1)^2/(2n-1) (1 - (1-1/G)^(2n-1)); that is in G p prompts, where (n-1)^2 p is the truth as p falls to
    0. The ratio of the two, (2n-1) / (G (1 - (1-1/G)^(2n-1))), is what the plain mean is too small by at worst: 1.1 at
    n = G/8, 1.6 at G/2, 2.3 at G. The value for a continuous proxy bounds the mean, as it bounds any.

    Args:
        chi2_PN: of each prompt's samples, from `best_of_n_divergence`.
        size_P: samples of each prompt, G.
    Returns: shape (N,).
    """
    n = _checked_n(n_N)
    size_P1 = np.asarray(size_P, np.float64)[:, None]
    with np.errstate(divide="ignore"):  # one sample: nothing is seen twice, and the factor is 2n - 1
        seen_PN = size_P1 * -np.expm1((2 * n - 1) * np.log1p(-1 / size_P1))
    mean_N = (np.asarray(chi2_PN) * (2 * n - 1) / seen_PN).mean(axis=0)
    return np.asarray(np.minimum(mean_N, best_of_n_chi2_bound(n)))


def n_for_kl(kl_nats_K: ArrayLike) -> np.ndarray:
    """The real n whose best of n is so many nats from the reference, for a continuous proxy: log n - (n-1)/n inverted.

    With y = 1/n, y e^-y = e^(-1-KL), so that n = -1 / W(-e^(-1-KL)) with W the principal branch of Lambert's function.
    Where outputs repeat, this n is less far than the budget: the bound is used, not the exact KL.
    """
    kl = np.atleast_1d(np.asarray(kl_nats_K, np.float64))
    if not (kl >= 0).all():
        raise InputError(f"KL budget {kl.min():g}: must be 0 nats or more.")
    with np.errstate(divide="ignore"):
        return np.where(kl > 0, -1 / lambertw(-np.exp(-1 - kl)).real, 1.0)


def soft_best_of_n_kl(proxy_G: ArrayLike, n: int, *, temperature: float) -> float:
    """KL (nats) of soft best of n from the reference, for one prompt's samples taken as the reference.

    The chance of response i among n draws, over its chance in the reference, is n times the mean of
    e^a_i / (e^a_i + sum over n-1 further draws of e^a_j), a = proxy / temperature. As 1/x is the integral of e^(-s x)
    over s, that is n times the integral of e^a_i e^(-s e^a_i) M(s)^(n-1), M(s) the mean of e^(-s e^a_j): one sum on a
    grid of log s. The samples are atoms of mass 1/G: up to 0.05 nats below a continuous reference at n = G, less for
    fewer.

    Args:
        proxy_G: proxy of each sample, finite.
        n: samples that the rule chooses among, 1 or more.
        temperature: above 0, in the unit of the proxy.
    """
    proxy = np.asarray(proxy_G, np.float64)
    if not (n >= 1 and temperature > 0 and proxy.size and np.isfinite(proxy).all()):
        raise InputError(
            f"n = {n}, temperature = {temperature}, {proxy.size} samples, {np.isnan(proxy).sum()} missing: give n of 1 "
            "or more, a temperature above 0 and finite scores."
        )
    a_G = (proxy - proxy.max()) / temperature
    log_s_K = np.arange(-LOG_S_MARGIN, LOG_S_END - a_G.min(), LOG_S_STEP)
    log_x_GK = np.minimum(a_G[:, None] + log_s_K, LOG_S_END)
    fall_GK = np.exp(-np.exp(log_x_GK))
    others_K = fall_GK.mean(axis=0) ** (n - 1)
    ratio_G = n * LOG_S_STEP * ((np.exp(log_x_GK) * fall_GK) @ others_K)
    return selection_kl(ratio_G / ratio_G.sum())


def _segments(count_K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Classes of equal proxies, ascending, to segments: runs of single values joined. Returns is_atom_S, edge_S+1."""
    is_atom = count_K > 1
    starts = np.flatnonzero(is_atom | np.r_[True, is_atom[:-1]])
    edge = np.r_[np.cumsum(count_K)[starts] - count_K[starts], count_K.sum()].astype(np.float64)
    return is_atom[starts], edge


def _v_log_v(edge_S: np.ndarray, n: np.ndarray) -> np.ndarray:
    """v log v - v with v = edge^n, the antiderivative of log v."""
    v = edge_S**n
    return np.asarray(v * n * np.log(np.where(edge_S > 0, edge_S, 1.0)) - v)


def best_of_poisson_kl(mu: float) -> float:
    """KL (nats) of best of 1 + Poisson(mu), density (1 + mu u) exp(-mu (1 - u)), for a continuous proxy.

    e^(-mu-1)/mu (Ei(mu+1) - Ei(1)) + log(mu+1) - 1 (Khalaf et al. 2025, arXiv 2506.19248).
    """
    if not mu >= 0:
        raise InputError(f"mu = {mu}: the mean number of further samples is 0 or more.")
    if mu < 1e-4:
        return mu**2 / 6  # the formula cancels; next term of order mu^3
    if mu > 600:  # expi overflows: Ei(x) e^-x -> 1/x (1 + 1/x + 2/x^2)
        x = mu + 1
        return (1 + 1 / x + 2 / x**2) / (x * mu) + math.log(x) - 1
    return math.exp(-mu - 1) / mu * float(expi(mu + 1) - expi(1)) + math.log(mu + 1) - 1


def selection_kl(weight_G: ArrayLike) -> float:
    """KL (nats) of a choice among G samples from a uniform one: sum w log(w G). A plug-in value, at most log G.

    For rules that reweight the samples of a pool (soft best of n, chi-square pessimism); weights sum to 1.
    """
    weight = np.asarray(weight_G, np.float64)
    if weight.size == 0 or (weight < 0).any() or not math.isclose(weight.sum(), 1, abs_tol=1e-6):
        raise InputError(f"weights: sum {weight.sum():g} over {weight.size}; give shares that sum to 1.")
    return float(xlogy(weight, weight * weight.size).sum())


def _checked_n(n_N: ArrayLike) -> np.ndarray:
    n = np.atleast_1d(np.asarray(n_N, np.float64))
    if not (n >= 1).all():
        raise InputError(f"n = {n.min():g}: must be 1 or more.")
    return n
