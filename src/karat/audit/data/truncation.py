"""Which pairs a trainer would cut at a given number of tokens, and which then differ no more.

A token of a byte-level tokenizer holds at least one byte, so a pair with no more bytes than tokens are kept is never
cut; only the others need a tokenizer. Chat templates add a few tokens a turn, which are not counted.

Axes: P pairs, N looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from karat.audit.data.table import PairTable, take_texts
from karat.data.formats.trl import TOKENISED
from karat.errors import KaratError
from karat.rewards.default_model import default_model_path

SAMPLED = 1000
CHARS_PER_TOKEN = 4.0
"""English prose in the vocabularies of today's models; code and other scripts have fewer."""

GIVEN = "the data itself"
"""Name of the tokenizer where the data is tokenised."""

Tokenise = Callable[[Sequence[str]], list[Any]]
"""Texts to sequences of tokens of which lengths and beginnings are compared."""


@dataclass(frozen=True, slots=True)
class Truncation:
    """What would be cut.

    Attributes:
        n_long: pairs with more bytes than tokens are kept; only these can be cut.
        pair_N: those that were looked at, ascending.
        is_cut_N: whether prompt and longer response have more tokens than are kept.
        is_same_N: whether both sides are equal in the tokens that are kept.
        tokenizer: name; empty where tokens were estimated from characters.
    """

    n_long: int
    pair_N: np.ndarray
    is_cut_N: np.ndarray
    is_same_N: np.ndarray
    tokenizer: str

    @property
    def is_census(self) -> bool:
        """Whether every pair that can be cut was looked at."""
        return self.n_long == self.pair_N.size


def find_truncation(
    table: PairTable, *, max_length: int, model: str, rng: np.random.Generator, sampled: int = SAMPLED
) -> Truncation:
    """Look at the pairs that may be too long, or a sample of them."""
    sizes = {name: byte_lengths(getattr(table, name)) for name in ("prompt", "chosen", "rejected")}
    total_P = sizes["prompt"] + np.maximum(sizes["chosen"], sizes["rejected"])
    long = np.flatnonzero(total_P > max_length)
    pair_N = long if long.size <= sampled else np.sort(rng.choice(long, sampled, replace=False))
    if not pair_N.size:
        nothing = np.zeros(0, np.bool_)
        return Truncation(0, pair_N, nothing, nothing, model)
    tokenise, name = (_as_given, GIVEN) if _is_tokenised(table) else tokenizer_of(model)
    if name == "":
        max_length = round(max_length * CHARS_PER_TOKEN)
    prompts = take_texts(table.prompt, pair_N).to_pylist()
    sides = [
        tokenise([prompt + text for prompt, text in zip(prompts, take_texts(column, pair_N).to_pylist(), strict=True)])
        for column in (table.chosen, table.rejected)
    ]
    cut, same = [], []
    for chosen, rejected in zip(*sides, strict=True):
        cut.append(max(len(chosen), len(rejected)) > max_length)
        same.append(min(len(chosen), len(rejected)) >= max_length and chosen[:max_length] == rejected[:max_length])
    return Truncation(int(long.size), pair_N, np.array(cut, np.bool_), np.array(same, np.bool_), name)


def _is_tokenised(table: PairTable) -> bool:
    """Whether the texts are numbers of tokens, which the table holds with a space between two."""
    return all(account.format == TOKENISED.name for account in table.accounts) and bool(table.accounts)


def _as_given(texts: Sequence[str]) -> list[Any]:
    return [text.split() for text in texts]


def byte_lengths(column: Any) -> np.ndarray:
    """UTF-8 bytes of each text."""
    return np.asarray(pc.binary_length(column).fill_null(0).to_numpy(), np.int64)


def tokenizer_of(model: str) -> tuple[Tokenise, str]:
    """The model's tokenizer with its name; characters, and no name, where it or its library is not there."""
    try:
        path = default_model_path() if model == "default" else Path(model).expanduser()
        if (path / "tokenizer.json").is_file():  # without transformers, whose import takes seconds
            from tokenizers import Tokenizer

            fast = Tokenizer.from_file(str(path / "tokenizer.json"))
            fast.no_truncation()
            fast.no_padding()
            return lambda texts: [item.ids for item in fast.encode_batch(list(texts), add_special_tokens=False)], model
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(model)
    except (ImportError, KaratError, OSError, ValueError):
        return list, ""
    return lambda texts: list(tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]), model
