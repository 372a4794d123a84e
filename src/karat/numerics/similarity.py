"""How alike responses to one prompt are: cosine of their character n-grams, or of vectors that a model gave.

Axes: R responses, K references (responses to the same prompt), D dimensions, T n-grams.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from karat.errors import InputError

GRAM = 3
"""Characters of an n-gram."""


def mean_text_similarity(texts: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """Mean tf-idf cosine of character 3-grams of each text to the references, shape (R,).

    Lower case, white space as one blank, a blank before and after; an n-gram weighs its count times
    log((1 + K) / (1 + k)) + 1, k the references that hold it. A text that is among the references is not counted as
    like itself. So the value of a text depends on itself and the references alone.

    Raises: InputError: fewer than two references: nothing is left without the text itself.
    """
    n_references = _enough(len(references))
    grams = [_grams(text) for text in (*references, *texts)]
    row = np.repeat(np.arange(len(grams)), [gram.size for gram in grams])
    vocabulary, column = np.unique(np.concatenate(grams), return_inverse=True)
    width = max(vocabulary.size, 1)
    cell, count = np.unique(row * width + column, return_counts=True)  # one for each n-gram of each text
    row, column = cell // width, cell % width
    held_T = np.bincount(column[row < n_references], minlength=width)
    weight = count * (np.log((1 + n_references) / (1 + held_T)) + 1)[column]
    norm = np.sqrt(np.bincount(row, weights=weight**2, minlength=len(grams)))
    weight = weight / norm[row]
    is_reference = row < n_references
    total_T = np.bincount(column[is_reference], weights=weight[is_reference], minlength=width)
    together = np.bincount(row, weights=weight * total_T[column], minlength=len(grams))[n_references:]
    itself = (norm[n_references:] > 0).astype(np.float64)  # a unit vector's square, or that of an empty text
    own_R = _among(texts, references)
    return np.asarray((together - own_R * itself) / (n_references - own_R))


def mean_vector_similarity(
    vector_RD: np.ndarray, reference_KD: np.ndarray, texts: Sequence[str], references: Sequence[str]
) -> np.ndarray:
    """The same of unit vectors (or 0) of the texts and the references, shape (R,)."""
    n_references = _enough(len(references))
    own_R = _among(texts, references)
    itself_R = (vector_RD * vector_RD).sum(axis=1)
    return np.asarray((vector_RD @ reference_KD.sum(axis=0) - own_R * itself_R) / (n_references - own_R))


def _enough(n_references: int) -> int:
    if n_references < 2:
        raise InputError(f"{n_references} reference responses: similarity needs two or more to a prompt.")
    return n_references


def _among(texts: Sequence[str], references: Sequence[str]) -> np.ndarray:
    known = set(references)
    return np.array([text in known for text in texts], np.float64)


def _grams(text: str) -> np.ndarray:
    """Every n-gram of a text as a number, in order."""
    points = np.frombuffer(f" {' '.join(text.lower().split())} ".encode("utf-32-le", "surrogatepass"), np.uint32)
    wide = points.astype(np.int64)  # a character has 21 bits, so three fit and no two n-grams share a number
    return np.asarray((wide[:-2] << 42) | (wide[1:-1] << 21) | wide[2:])
