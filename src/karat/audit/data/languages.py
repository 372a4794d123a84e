"""Which languages the responses are in, by py3langid (a naive Bayes classifier of 97 languages), on a sample.

Axes: N sampled pairs.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from karat.audit.data.table import PairTable, take_texts

SAMPLED = 2000
LETTERS = 100
"""Fewer say too little about their language."""
CERTAIN = 0.95
READ_CHARS = 1000
_NO_PROSE = re.compile(r"```.*?(?:```|$)|`[^`\n]*`|https?://\S+|<[^<>\n]*>|\$[^$\n]*\$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Languages:
    """Languages of sampled pairs.

    Attributes:
        pair_N: pairs looked at, ascending.
        chosen_N, rejected_N: code of each side; empty where it is too short or not certain.
        is_census: whether every pair was looked at.
    """

    pair_N: np.ndarray
    chosen_N: tuple[str, ...]
    rejected_N: tuple[str, ...]
    is_census: bool

    @property
    def is_known(self) -> np.ndarray:
        return np.array([bool(a and b) for a, b in zip(self.chosen_N, self.rejected_N, strict=True)], np.bool_)

    @property
    def differs(self) -> np.ndarray:
        both = zip(self.chosen_N, self.rejected_N, strict=True)
        return np.array([bool(a and b and a != b) for a, b in both], np.bool_)

    def shares(self) -> list[tuple[str, int, float]]:
        """Language, responses, share of the recognised responses; the most frequent first."""
        counted = Counter(code for code in (*self.chosen_N, *self.rejected_N) if code)
        return [(code, n, n / counted.total()) for code, n in counted.most_common()]


def find_languages(table: PairTable, rng: np.random.Generator, *, sampled: int = SAMPLED) -> Languages:
    """Languages of both responses of a sample of pairs (of all, where there are no more)."""
    n = len(table)
    pair_N = np.arange(n) if n <= sampled else np.sort(rng.choice(n, sampled, replace=False))
    chosen, rejected = (
        tuple(map(language_of, take_texts(column, pair_N).to_pylist())) for column in (table.chosen, table.rejected)
    )
    return Languages(pair_N, chosen, rejected, n <= sampled)


def language_of(text: str) -> str:
    """Code of a text's language (ISO 639-1); empty where it has few letters or the classifier is not certain."""
    prose = _NO_PROSE.sub(" ", text[: 4 * READ_CHARS])[:READ_CHARS]
    if sum(map(str.isalpha, prose)) < LETTERS:
        return ""
    code, probability = _classifier().classify(prose)
    return str(code) if probability >= CERTAIN else ""


_LOADED: list[Any] = []


def _classifier() -> Any:
    """Loaded on first use: a fraction of a second."""
    if not _LOADED:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        _LOADED.append(LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True))
    return _LOADED[0]
