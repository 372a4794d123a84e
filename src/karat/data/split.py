"""Splits that keep a prompt, or a source, on one side, and the fingerprint of pairs."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Literal

from karat.data.records import canonical_bytes, is_empty, prompt_hash
from karat.errors import DataError, InputError
from karat.types import PreferencePair, StepSolution

_HASH_BITS = 53  # as many as a float holds exactly, so that the hash stays below 1


def split_pairs(
    pairs: Sequence[PreferencePair], *, test_fraction: float, seed: int, by: Literal["prompt", "source"] = "prompt"
) -> tuple[tuple[PreferencePair, ...], tuple[PreferencePair, ...]]:
    """Pairs for fitting and pairs held out.

    Each prompt is hashed with the seed and held out when its hash lies below test_fraction, so the side of a prompt
    depends neither on the order of the pairs nor on which others are there. By source, the sources are ordered by
    their hash and the first ceil(test_fraction * sources) are held out, but never all.

    Args:
        pairs: any order; both results keep it.
        test_fraction: expected share of prompts (by="prompt") or share of sources held out, in [0, 1].
        seed: another seed gives an independent split.
        by: what must not be on both sides.
    Returns: (fit, held out).
    Raises: InputError: test_fraction or `by` is out of range; DataError: by="source" with fewer than two sources.
    """
    if not 0.0 <= test_fraction <= 1.0:
        raise InputError(f"test_fraction is {test_fraction}; it must lie in [0, 1].")
    if by not in ("prompt", "source"):
        raise InputError(f"by is {by!r}; pairs are split by 'prompt' or 'source'.")
    if by == "source":
        held_sources = _held_sources(pairs, test_fraction, seed)
        held = [pair.source in held_sources for pair in pairs]
    else:
        held = [is_held_out(_prompt_key(pair), test_fraction, seed) for pair in pairs]
    fit = tuple(pair for pair, out in zip(pairs, held, strict=True) if not out)
    return fit, tuple(pair for pair, out in zip(pairs, held, strict=True) if out)


def fingerprint(records: Iterable[PreferencePair | StepSolution]) -> str:
    """SHA-256 (first 16 hex digits) over pairs or solutions in order, without row numbers and `extra`."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(canonical_bytes(record))
    return digest.hexdigest()[:16]


def is_held_out(key: str, share: float, seed: int) -> bool:
    """Whether the hash of a key with the seed lies below the share: a matter of the key alone."""
    return _hash(key, seed) < share


def _prompt_key(pair: PreferencePair) -> str:
    """The prompt's text decides, not its id: two ids of one text would otherwise part it. Without a text, the id."""
    return f"id {pair.prompt_id}" if is_empty(pair.prompt) else f"text {prompt_hash(pair.prompt)}"


def _held_sources(pairs: Sequence[PreferencePair], test_fraction: float, seed: int) -> set[str]:
    sources = {pair.source for pair in pairs}
    if len(sources) < 2:
        named = f"all {len(pairs)} pairs have the source {next(iter(sources), '')!r}"
        raise DataError(
            f"cannot split by source: {named}. Split by prompt, or give data with a source, subset or domain column."
        )
    ordered = sorted(sources, key=lambda source: (_hash(f"source {source}", seed), source))
    n_held = min(len(ordered) - 1, math.ceil(test_fraction * len(ordered)))
    return set(ordered[:n_held])


def _hash(key: str, seed: int) -> float:
    """Uniform in [0, 1), a function of the key and the seed (keyed BLAKE2b)."""
    digest = hashlib.blake2b(key.encode(errors="surrogatepass"), digest_size=8, key=str(seed).encode()[:64]).digest()
    return (int.from_bytes(digest, "big") >> (64 - _HASH_BITS)) / 2.0**_HASH_BITS
