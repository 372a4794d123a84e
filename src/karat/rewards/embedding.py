"""Responses as vectors: the mean of a language model's last hidden states, for rules that ask how alike texts are.

Axes: R responses, K references, D dimensions.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from karat.errors import ModelError
from karat.numerics.similarity import mean_vector_similarity

TEXTS_PER_PASS = 32
MAX_TOKENS = 512
"""A response's first tokens, which its vector is made of."""


def mean_embedding_similarity(texts: Sequence[str], references: Sequence[str], model: str) -> np.ndarray:
    """Mean cosine of each text to the references, a text that is among them not counted as like itself, shape (R,).

    Args:
        model: folder or hub name of a language model; "default": the built-in one.
    Raises: ModelError, ResourceError: the model cannot be loaded.
    """
    vector_of = dict(zip(unique := list(dict.fromkeys((*texts, *references))), embed(unique, model), strict=True))
    vector_RD = np.array([vector_of[text] for text in texts])
    return mean_vector_similarity(vector_RD, np.array([vector_of[text] for text in references]), texts, references)


def embed(texts: Sequence[str], model: str) -> np.ndarray:
    """Unit vectors, (R, D): hidden states after the last layer, averaged over the tokens; 0 for an empty text."""
    import torch

    tokenizer, network = _load(model)
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"][:MAX_TOKENS] for text in texts]
    order = sorted(range(len(texts)), key=lambda index: len(ids[index]))
    out = np.zeros((len(texts), network.config.get_text_config().hidden_size))
    for start in range(0, len(order), TEXTS_PER_PASS):
        rows = [index for index in order[start : start + TEXTS_PER_PASS] if ids[index]]
        if not rows:
            continue
        width = max(len(ids[index]) for index in rows)
        token_RN = torch.tensor([ids[index] + [0] * (width - len(ids[index])) for index in rows])
        mask_RN = torch.tensor([[1] * len(ids[index]) + [0] * (width - len(ids[index])) for index in rows])
        with torch.no_grad():
            hidden_RND = network(input_ids=token_RN, attention_mask=mask_RN, use_cache=False).last_hidden_state
        total_RD = (hidden_RND * mask_RN[..., None]).sum(dim=1).double()
        out[rows] = torch.nn.functional.normalize(total_RD, dim=1).numpy()
    return out


@functools.lru_cache(maxsize=1)
def _load(model: str) -> tuple[Any, Any]:
    from transformers import AutoModel

    from karat.rewards.model import load_tokenizer, resolve_model

    path = resolve_model(model)
    try:
        network = AutoModel.from_pretrained(path).float()
    except (OSError, ValueError, KeyError) as error:
        first = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise ModelError(f"similarity by {model!r}: no such model, here or on the hub ({first}).") from error
    return load_tokenizer(path), network.train(False)
