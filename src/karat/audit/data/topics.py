"""Prompts as points, topics as clusters of them, and the words that mark a topic.

Hidden states have a few dimensions that dwarf all others; each is therefore divided by its standard deviation, then
projected onto the principal axes that hold 90 % of the variance (at most 50, and at most a tenth of the prompts), and
brought to length 1: distances are those of directions. Topics are the components of a normal mixture with a common
covariance, as many as the BIC supports (`numerics.tied_mixture`), started from k-means.

Axes: Q prompts, D dimensions, K topics, W words.

Sources: MacQueen 1967 and Arthur & Vassilvitskii 2007 (k-means, its start); Hubert & Arabie 1985 (adjusted Rand index).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from karat.numerics.tied_mixture import Mixture, fit_mixture

VARIANCE_KEPT, MOST_AXES = 0.9, 50
MOST_TOPICS, LEAST_IN_TOPIC = 40, 15
"""Components at the start, and prompts for each of them."""
FITTED_AT_MOST = 3000
"""Prompts that topics are fitted to; the others are assigned."""
SPLITS = 2
"""Pairs of halves on which the stability of topics is judged."""
_WORD = re.compile(r"[^\W\d_]{2,}(?:['’][^\W\d_]+)?")


@dataclass(frozen=True, slots=True)
class Topics:
    """Clusters of prompts.

    Attributes:
        topic_Q: of each prompt, the commonest is 0; all 0 where one topic is all that is seen.
        centre_KD: means of their prompts.
        radius_K: root mean square distance from it.
        stability: mean adjusted Rand index, over all prompts, of the topics (and their number) found on two halves;
            NaN for one topic.
    """

    topic_Q: np.ndarray
    centre_KD: np.ndarray
    radius_K: np.ndarray
    stability: float

    @property
    def n_topics(self) -> int:
        return len(self.centre_KD)


def project(vector_QD: np.ndarray) -> np.ndarray:
    """Vectors as directions in few dimensions; a vector at the mean becomes 0.

    Args:
        vector_QD: hidden states, finite. What is to be compared is projected together.
    """
    centred = vector_QD.astype(np.float64) - vector_QD.mean(axis=0, dtype=np.float64)
    scale_D = centred.std(axis=0)
    varies_D = scale_D > 1e-9 * float(scale_D.max(initial=0.0))
    centred = centred[:, varies_D] / scale_D[varies_D]
    if not centred.size:
        return np.zeros((len(vector_QD), 1))
    size_D, axis_DD = np.linalg.eigh(centred.T @ centred)
    size_D, axis_DD = np.clip(size_D[::-1], 0, None), axis_DD[:, ::-1]
    n_kept = int(np.searchsorted(np.cumsum(size_D) / size_D.sum(), VARIANCE_KEPT)) + 1
    point = centred @ axis_DD[:, : min(n_kept, MOST_AXES, max(2, len(vector_QD) // 10))]
    length_Q = np.linalg.norm(point, axis=1, keepdims=True)
    return np.asarray(point / np.where(length_Q > 1e-12, length_Q, 1.0))


def find_topics(point_QD: np.ndarray, rng: np.random.Generator, *, splits: int = SPLITS) -> Topics:
    """The topics of prompts (see the file's head); one where there are too few prompts for two.

    Args:
        splits: pairs of halves for the stability; 0: it is not looked at.
    """
    judged = point_QD
    if len(point_QD) > FITTED_AT_MOST:
        judged = point_QD[np.sort(rng.choice(len(point_QD), FITTED_AT_MOST, replace=False))]
    model = _fitted(judged, rng)
    if model is None:
        return _described(point_QD, np.zeros(len(point_QD), np.int64), math.nan)
    label_Q = np.unique(model.assign(point_QD), return_inverse=True)[1]
    order = np.argsort(-np.bincount(label_Q), kind="stable")
    topic_Q = np.argsort(order)[label_Q]
    return _described(
        point_QD, topic_Q, _stability(point_QD, judged, rng, splits) if order.size > 1 and splits else math.nan
    )


def _fitted(point_QD: np.ndarray, rng: np.random.Generator) -> Mixture | None:
    """None where there are too few different prompts for two topics."""
    n_start = min(MOST_TOPICS, len(np.unique(point_QD.round(9), axis=0)) // LEAST_IN_TOPIC)
    if n_start < 2 or len(point_QD) <= 2 * point_QD.shape[1]:
        return None
    from sklearn.cluster import KMeans

    start: Any = KMeans(n_start, n_init=2, random_state=int(rng.integers(1 << 31))).fit(point_QD)
    return fit_mixture(point_QD, start.cluster_centers_)


def _described(point_QD: np.ndarray, topic_Q: np.ndarray, stability: float) -> Topics:
    count_K = np.bincount(topic_Q)
    centre_KD = np.stack([np.bincount(topic_Q, weights=column) for column in point_QD.T], axis=1) / count_K[:, None]
    square_Q = np.sum((point_QD - centre_KD[topic_Q]) ** 2, axis=1)
    return Topics(topic_Q, centre_KD, np.sqrt(np.bincount(topic_Q, weights=square_Q) / count_K), stability)


def _stability(point_QD: np.ndarray, judged_QD: np.ndarray, rng: np.random.Generator, splits: int) -> float:
    """Two halves each give topics; how well do they agree about all prompts?"""
    from sklearn.metrics import adjusted_rand_score

    found = []
    for _ in range(splits):
        order = rng.permutation(len(judged_QD))
        models = [_fitted(judged_QD[half], rng) for half in (order[::2], order[1::2])]
        labels = [np.zeros(len(point_QD)) if model is None else model.assign(point_QD) for model in models]
        found.append(adjusted_rand_score(*labels))
    return float(np.mean(found))


# --------------------------------------------------------------------------------------------------------------- words
def characteristic_words(texts: Sequence[str], topic_Q: np.ndarray, n_topics: int, *, most: int = 6) -> list[str]:
    """The words that mark each topic: held by more of its prompts than of all, weighed by how many.

    s_k log(s_k / s) with s_k the share of the topic's prompts that hold the word and s that of all prompts: the part of
    the word in the divergence of the topic from the whole. A word that is common everywhere scores nothing, so that no
    list of stop words is needed; a word of one prompt alone is left out.
    """
    held: list[Counter[str]] = [Counter() for _ in range(n_topics)]
    everywhere: Counter[str] = Counter()
    for text, topic in zip(texts, topic_Q, strict=True):
        words = set(_WORD.findall(text.lower()))
        held[topic].update(words)
        everywhere.update(words)
    count_K = np.bincount(topic_Q, minlength=n_topics)
    labels = []
    for k in range(n_topics):
        score = {
            word: n / count_K[k] * math.log(n / count_K[k] * len(texts) / everywhere[word])
            for word, n in held[k].items()
            if n > 1 or count_K[k] == 1
        }
        best = sorted(score, key=lambda word: (-score[word], word))[:most]
        labels.append(" ".join(word for word in best if score[word] > 0))
    return labels
