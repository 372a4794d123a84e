"""Texts as words, shingles and signatures, all as 64-bit hashes: what duplicates are looked for in.

A word is a run of characters without white space, in lower case; a character of a script that is written without
spaces (Chinese, Japanese, Thai, Lao) is a word of its own. The labels of turns ("Human:", "assistant:") are no words:
the same question is the same in every format. A shingle is WORDS successive words, a shorter text is one shingle.

Hashes are polynomials over the bytes modulo 2^64, with random digits, so that sums over any stretch come from one
cumulative sum; at a billion distinct shingles the chance of one collision is below 3 %.

Axes: R texts, B bytes, T words, S shingles, K signature slots.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

WORDS = 2
"""Words of a shingle: one changed word in twenty leaves a Jaccard similarity of about 0.8."""
TURN_LABELS = ("human:", "assistant:", "user:", "system:", "tool:")

_SPACES = (*range(9, 14), *range(28, 33))
"""White space of one byte, as `str.split` knows it."""
_DIGITS = np.random.default_rng(20_417).integers(1, 1 << 63, 256, dtype=np.uint64) | np.uint64(1)
_DIGITS[list(_SPACES)] = 0
_BASE = np.uint64(0x9E3779B97F4A7C15)
_INVERSE = np.uint64(pow(int(_BASE), -1, 1 << 64))
_SIGNED_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Words:
    """Hashes of the words of R texts; text r has those from start_R[r] to start_R[r + 1]."""

    hash_T: np.ndarray
    start_R: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        return np.diff(self.start_R)


@dataclass(frozen=True, slots=True)
class Shingles:
    """Hashes of the shingles of R texts; text r has those from start_R[r] to start_R[r + 1]."""

    hash_S: np.ndarray
    start_R: np.ndarray


def words_of(texts: pa.Array) -> Words:
    """The words of texts (Arrow large_string; null counts as empty)."""
    lower = pc.utf8_lower(texts.fill_null(""))
    n_texts = len(lower)
    # large_string: an array of 64-bit offsets, then the bytes; a slice begins somewhere in them
    offset_R = np.frombuffer(lower.buffers()[1], np.int64, n_texts + 1, lower.offset * 8)
    first, last = int(offset_R[0]), int(offset_R[-1])
    data = lower.buffers()[2]
    if data is None or first == last:
        return Words(np.empty(0, np.uint64), np.zeros(n_texts + 1, np.int64))
    byte_B = np.frombuffer(data, np.uint8, last - first, first)
    row_start_R = offset_R - first
    start_T, end_T = _word_ends(byte_B, row_start_R)
    digit_B = _DIGITS[byte_B]
    if byte_B.max() >= 0xC2:
        digit_B[_wide_spaces(byte_B)] = 0
    hash_T = _mixed(_stretch_sums(digit_B, start_T, end_T))
    start_R = np.searchsorted(start_T, row_start_R)
    is_kept_T = ~np.isin(hash_T, _LABEL_HASHES)
    if not is_kept_T.all():
        before_T = np.concatenate([[0], np.cumsum(is_kept_T)])
        hash_T, start_R = hash_T[is_kept_T], before_T[start_R]
    return Words(hash_T, start_R)


def keys_of(words: Words) -> np.ndarray:
    """One number for each text: equal for texts of the same words in the same order, 0 for a text without words."""
    key_R = _mixed(_stretch_sums(words.hash_T, words.start_R[:-1], words.start_R[1:]) + words.counts.astype(np.uint64))
    key_R[words.counts == 0] = 0
    return key_R


def shingles_of(words: Words, size: int = WORDS) -> Shingles:
    """Every `size` successive words of each text; a text that is shorter is one shingle, one without words has none."""
    counts = words.counts
    n_words = words.hash_T.size
    n_shingles_R = np.where(counts >= size, counts - size + 1, (counts > 0).astype(np.int64))
    start_R = np.concatenate([[0], np.cumsum(n_shingles_R)])
    at_S = np.arange(start_R[-1]) + np.repeat(words.start_R[:-1] - start_R[:-1], n_shingles_R)
    left_S = np.repeat(words.start_R[1:], n_shingles_R) - at_S  # words from here to the end of the text
    hash_S = words.hash_T[at_S]
    for step in range(1, size):
        next_S = words.hash_T[np.minimum(at_S + step, n_words - 1)]
        hash_S = np.where(left_S > step, _mixed(hash_S * _BASE + next_S), hash_S)
    return Shingles(hash_S, start_R)


def joined(first: Shingles, second: Shingles) -> Shingles:
    """The shingles of two lists of R texts together, row by row."""
    start_R = first.start_R + second.start_R
    hash_S = np.empty(start_R[-1], np.uint64)
    for part, shift_R in ((first, second.start_R[:-1]), (second, first.start_R[1:])):
        hash_S[np.arange(part.hash_S.size) + np.repeat(shift_R, np.diff(part.start_R))] = part.hash_S
    return Shingles(hash_S, start_R)


def signatures(shingles: Shingles, n_slots: int, *, seed: int) -> np.ndarray:
    """MinHash signatures, shape (R, K), uint32: two texts agree in a slot with the probability of their Jaccard index.

    Source: Broder 1997; computed by the library rensa, a variant of fast similarity sketching (Dahlgaard et al. 2017).
    A text without shingles gets a signature of its own kind that agrees with no other text's but those without.
    """
    from rensa import RMinHash

    n_texts = len(shingles.start_R) - 1
    signature_RK = np.empty((n_texts, n_slots), np.uint32)
    for begin in range(0, n_texts, _SIGNED_AT_ONCE):
        end = min(begin + _SIGNED_AT_ONCE, n_texts)
        low, high = shingles.start_R[begin], shingles.start_R[end]
        start = (shingles.start_R[begin : end + 1] - low).astype(np.uint64)
        rows = RMinHash.digest_matrix_from_flat_token_hashes(
            np.ascontiguousarray(shingles.hash_S[low:high]), start, n_slots, seed
        )
        signature_RK[begin:end] = np.array(rows.to_rows(), np.uint32).reshape(end - begin, n_slots)
    return signature_RK


def mixed_pair(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """One hash of two, in this order."""
    return _mixed(left * _BASE + right)


# ---------------------------------------------------------------------------------------------------------- the bytes
def _word_ends(byte_B: np.ndarray, row_start_R: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where words begin and where the stretch of each ends: at the next word's beginning, or the end of its text."""
    is_space_B = _IS_SPACE[byte_B]
    is_char_B = np.zeros(byte_B.size, np.bool_)
    if byte_B.max() >= 0xC2:
        is_space_B[_wide_spaces(byte_B)] = True
        is_char_B = _whole_words(byte_B) & ~is_space_B
    is_start_B = ~is_space_B
    is_start_B[1:] &= is_space_B[:-1]
    is_start_B |= is_char_B
    after = np.flatnonzero(is_char_B) + 3  # such a character has three bytes
    after = after[after < byte_B.size]
    is_start_B[after] |= ~is_space_B[after]
    edge = row_start_R[row_start_R < byte_B.size]
    is_start_B[edge] |= ~is_space_B[edge]
    start_T = np.flatnonzero(is_start_B)
    # up to the next word: what lies between is white space and adds nothing
    return start_T, np.append(start_T[1:], byte_B.size)


def _wide_spaces(byte_B: np.ndarray) -> np.ndarray:
    """Bytes of white space outside ASCII: U+0085, U+00A0, U+2000 to U+200A, U+2028, U+2029, U+202F, U+3000."""
    lead = np.flatnonzero((byte_B == 0xC2) | (byte_B == 0xE2) | (byte_B == 0xE3))
    lead = lead[lead < byte_B.size - 1]
    first, second = byte_B[lead], byte_B[lead + 1]
    third = byte_B[np.minimum(lead + 2, byte_B.size - 1)]
    two = lead[(first == 0xC2) & ((second == 0x85) | (second == 0xA0))]
    general = (third <= 0x8A) | (third == 0xA8) | (third == 0xA9) | (third == 0xAF)
    three = lead[
        ((first == 0xE2) & (second == 0x80) & general) | ((first == 0xE3) & (second == 0x80) & (third == 0x80))
    ]
    return np.concatenate([two, two + 1, three, three + 1, three + 2])


def _whole_words(byte_B: np.ndarray) -> np.ndarray:
    """First bytes of characters that are words of their own: U+3040 to U+9FFF, Thai and Lao; three bytes each."""
    next_B = np.append(byte_B[1:], 0)
    is_east = ((byte_B == 0xE3) & (next_B >= 0x81)) | ((byte_B >= 0xE4) & (byte_B <= 0xE9))
    return np.asarray(is_east | ((byte_B == 0xE0) & (next_B >= 0xB8) & (next_B <= 0xBB)))


# -------------------------------------------------------------------------------------------------------- the hashing
def _stretch_sums(digit_B: np.ndarray, start_T: np.ndarray, end_T: np.ndarray) -> np.ndarray:
    """sum_i digit[start + i] * base^i over each stretch, modulo 2^64; 0 for an empty one.

    A difference of cumulative sums, shifted back by base^-start.
    """
    power_B, inverse_B = _powers(digit_B.size)
    sum_B = np.empty(digit_B.size + 1, np.uint64)
    sum_B[0] = 0
    np.cumsum(digit_B * power_B, out=sum_B[1:])
    return np.asarray((sum_B[end_T] - sum_B[start_T]) * inverse_B[start_T])


_TABLE: list[tuple[np.ndarray, np.ndarray]] = [(np.ones(1, np.uint64), np.ones(1, np.uint64))]


def _powers(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Powers of the base and of its inverse, from 0 to at least n; kept for the next call."""
    if _TABLE[0][0].size <= n:
        size = max(1 << 20, n + 1)
        both = []
        for factor in (_BASE, _INVERSE):
            power = np.full(size, factor, np.uint64)
            power[0] = 1
            both.append(np.cumprod(power))
        _TABLE[0] = (both[0], both[1])
    power, inverse = _TABLE[0]
    return power[:n], inverse[: n + 1]


def _mixed(hash_T: np.ndarray) -> np.ndarray:
    """Bits spread over the whole number (the finaliser of splitmix64), one to one."""
    hash_T = hash_T.astype(np.uint64)
    hash_T ^= hash_T >> np.uint64(30)
    hash_T *= np.uint64(0xBF58476D1CE4E5B9)
    hash_T ^= hash_T >> np.uint64(27)
    hash_T *= np.uint64(0x94D049BB133111EB)
    hash_T ^= hash_T >> np.uint64(31)
    return hash_T


_IS_SPACE = np.zeros(256, np.bool_)
_IS_SPACE[list(_SPACES)] = True
_LABEL_HASHES = np.array([], np.uint64)
_LABEL_HASHES = words_of(pa.array(TURN_LABELS, pa.large_string())).hash_T
