"""How far a policy has moved from its reference, on responses that it sampled itself.

Axes: R responses, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

TOKENS_PER_PASS = 1024
"""Half a dozen tensors of so many tokens x vocabulary are alive at once: 0.2 GB each for a vocabulary of 50,000."""
Reference = Any
"""A causal language model, or None: the policy itself without its adapters."""


@torch.no_grad()
def response_kl(
    model: Any,
    reference: Reference,
    prompts: Sequence[Sequence[int]],
    responses: Sequence[Sequence[int]],
    *,
    temperature: float = 1.0,
) -> np.ndarray:
    """KL(policy || reference) of each response, summed over its tokens, nats, shape (R,).

    At every position the divergence of the two next-token distributions is computed over the whole vocabulary, not
    estimated from the token that was drawn. The mean over sampled responses is an unbiased estimate of the sequence KL,
    never negative, with much less noise than the log ratio of the samples has.

    Args:
        reference: the model to compare with; None: `model` with its adapters switched off.
        prompts, responses: token ids of each response and its own prompt; an empty response has 0.
        temperature: of the softmax that was sampled from, in both.
    """
    kl_R = np.zeros(len(responses))
    order = sorted(range(len(responses)), key=lambda index: len(prompts[index]) + len(responses[index]))
    for batch in _by_tokens(order, [len(p) + len(r) for p, r in zip(prompts, responses, strict=True)]):
        rows = [[*prompts[index], *responses[index]] for index in batch]
        width = max(map(len, rows))
        device = model.device
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=device)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=device)
        start = min(len(prompts[index]) for index in batch)  # position whose next token is a response's first, plus 1
        own = _log_probs(model, ids, mask, start, temperature)
        with _without_adapters(model) if reference is None else nullcontext():
            base = _log_probs(model if reference is None else reference, ids, mask, start, temperature)
        kl_RT = (own.exp() * (own - base)).sum(-1)
        at_T = torch.arange(start - 1, width - 1, device=device)
        first = torch.tensor([len(prompts[index]) - 1 for index in batch], device=device)[:, None]
        last = torch.tensor([len(row) - 1 for row in rows], device=device)[:, None]
        is_response = (at_T >= first) & (at_T < last)
        kl_R[batch] = kl_RT.masked_fill(~is_response, 0.0).sum(-1).double().cpu().numpy()
    return kl_R


def _log_probs(model: Any, ids: Tensor, mask: Tensor, start: int, temperature: float) -> Tensor:
    """Of the token after each position from start - 1 on; the last position predicts nothing that was sampled."""
    logits = model(input_ids=ids, attention_mask=mask, logits_to_keep=ids.shape[1] - start + 1).logits[:, :-1]
    return torch.log_softmax(logits.float() / (temperature or 1.0), dim=-1)


@contextmanager
def _without_adapters(model: Any) -> Iterator[None]:
    disable: Callable[[], AbstractContextManager[None]] = model.disable_adapter
    with disable():
        yield


def _by_tokens(order: Sequence[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices, in order of length, in batches of at most TOKENS_PER_PASS padded tokens (one at least)."""
    batch: list[int] = []
    for index in order:
        if batch and lengths[index] * (len(batch) + 1) > TOKENS_PER_PASS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
