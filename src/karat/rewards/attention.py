"""Attention over packed token trees, registered with transformers under the name "karat_tree".

Three back ends compute the same thing, the mask that `TreePack.may_attend` defines:
    blocks  tree by tree, and in a large tree root and branches by themselves; fused calls of 128 queries (CPU default)
    flex    FlexAttention with a block mask, so that a prompt's keys are read once for all branches (CUDA default)
    dense   one explicit N x N mask; slow, the reference that tests compare with

transformers hands each layer's `scaling`, `sliding_window` and `softcap` to the attention function, so decoders that
use them need no code of their own here. Shapes follow transformers:
(1, heads, N, size) in, (1, N, heads, size) out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, Literal, cast

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F
from transformers import AttentionInterface

from karat.errors import ModelError
from karat.rewards.tree import Block, TreePack

NAME = "karat_tree"
Backend = Literal["blocks", "flex", "dense"]

CHUNK_QUERIES = 128
"""Queries of one attention call: more are computed and masked, fewer are small matrix products."""


def tree_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    tree: TreePack | None = None,
    tree_backend: Backend | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """The attention function that transformers calls in every layer.

    Raises: ModelError: the model was called without a tree (plainly), or uses attention that trees do not cover.
    """
    if tree is None:
        raise ModelError(
            "a model prepared for token trees was called on plain padded input. "
            "Load the saved folder with transformers for that, or use karat's scoring."
        )
    if s_aux is not None:
        raise ModelError(f"{type(module).__name__} uses attention sinks, which token trees do not cover.")
    if dropout:
        raise ModelError(f"attention dropout is {dropout}; a reward model is trained without dropout. Set it to 0.")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    backend = tree_backend or ("flex" if query.is_cuda else "blocks")
    compute = {"blocks": _by_blocks, "flex": _by_flex, "dense": _by_dense}[backend]
    out = compute(query, key, value, tree, scale, sliding_window or 0, softcap or 0.0)
    return out.transpose(1, 2), None


AttentionInterface.register(NAME, tree_attention)


def _repeat_heads(tensor: Tensor, heads: int) -> Tensor:
    """Grouped-query attention: each key/value head serves heads / (its heads) query heads."""
    return tensor if tensor.shape[1] == heads else tensor.repeat_interleave(heads // tensor.shape[1], dim=1)


def _by_blocks(
    query: Tensor, key: Tensor, value: Tensor, tree: TreePack, scale: float, window: int, softcap: float
) -> Tensor:
    heads = query.shape[1]
    attend = partial(_attend, scale=scale, softcap=softcap)
    masks = [_block_mask(tree, index, block, window, query.dtype) for index, block in enumerate(tree.blocks)]
    out: Tensor = _Blocks.apply(  # type: ignore[no-untyped-call]
        query, _repeat_heads(key, heads), _repeat_heads(value, heads), tree.blocks, masks, attend
    )
    return out


class _Blocks(torch.autograd.Function):
    """Attention block by block, a chunk of queries at a time, each over the keys up to its own end.

    Chunks make the work follow the causal triangle instead of its square. Their keys overlap, so the gradients are
    summed in place here: autograd would build a pack-sized tensor of zeros for every slice.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        blocks: tuple[Block, ...],
        masks: list[Tensor],
        attend: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    ) -> Tensor:
        out = torch.empty_like(query)
        ctx.chunks = []
        ctx.like = (query, key, value)
        needs_grad = any(ctx.needs_input_grad)
        for block, mask in zip(blocks, masks, strict=True):
            keys, values = _keys_of(key, block), _keys_of(value, block)
            for start in range(block.start, block.stop, CHUNK_QUERIES):
                stop = min(start + CHUNK_QUERIES, block.stop)
                n_keys = block.root_tokens + stop - block.start
                views = (query[:, :, start:stop], keys[:, :, :n_keys], values[:, :, :n_keys])
                rows = mask[start - block.start : stop - block.start, :n_keys]
                # The chunks' graphs are ours: gradient checkpointing must not see what they save, or it would compute
                # the layer again for each chunk.
                with torch.set_grad_enabled(needs_grad), saved_tensors_hooks(_as_is, _as_is):
                    inputs = [view.detach().requires_grad_(needs_grad) for view in views]
                    part = attend(inputs[0], inputs[1], inputs[2], rows)
                out[:, :, start:stop] = part.detach()
                if needs_grad:
                    ctx.chunks.append((block, start, stop, inputs, part))
        return out

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        grad_query, grad_key, grad_value = (torch.zeros_like(tensor) for tensor in ctx.like)
        for block, start, stop, inputs, part in ctx.chunks:
            of_query, *of_keys = torch.autograd.grad(part, inputs, grad_out[:, :, start:stop])
            grad_query[:, :, start:stop] = of_query
            for total, piece in zip((grad_key, grad_value), of_keys, strict=True):
                total[:, :, block.root_start : block.root_stop] += piece[:, :, : block.root_tokens]
                total[:, :, block.start : stop] += piece[:, :, block.root_tokens :]
        ctx.chunks = ctx.like = None  # the next pack's forward begins while this graph is still referred to
        return grad_query, grad_key, grad_value, None, None, None


def _as_is(tensor: Tensor) -> Tensor:
    return tensor


def _keys_of(tensor: Tensor, block: Block) -> Tensor:
    """The keys (or values) that a block sees: its root's and its own; a view where they lie side by side."""
    if block.root_stop == block.start or not block.root_tokens:
        return tensor[:, :, block.start - block.root_tokens : block.stop]
    return torch.cat((tensor[:, :, block.root_start : block.root_stop], tensor[:, :, block.start : block.stop]), dim=2)


def _block_mask(tree: TreePack, index: int, block: Block, window: int, dtype: torch.dtype) -> Tensor:
    """Additive mask of one block, (queries, root + queries); built once, shared by all layers."""
    masks = cast("dict[int, Tensor]", tree.masks.setdefault((f"blocks {dtype}", window), {}))
    if index not in masks:
        device = tree.tokens_N.device
        query = torch.arange(block.start, block.stop, device=device)
        root = torch.arange(block.root_start, block.root_stop, device=device)
        allowed = tree.may_attend(query[:, None], torch.cat((root, query))[None, :], window)
        masks[index] = torch.zeros(allowed.shape, dtype=dtype, device=device).masked_fill_(~allowed, float("-inf"))
    return masks[index]


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scale: float, softcap: float) -> Tensor:
    if not softcap:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask[None, None], scale=scale)
    weight = torch.tanh(query @ key.transpose(-1, -2) * (scale / softcap)) * softcap + mask
    return torch.softmax(weight, dim=-1, dtype=torch.float32).to(value.dtype) @ value


def _by_dense(
    query: Tensor, key: Tensor, value: Tensor, tree: TreePack, scale: float, window: int, softcap: float
) -> Tensor:
    heads = query.shape[1]
    key, value = _repeat_heads(key, heads), _repeat_heads(value, heads)
    weight = query @ key.transpose(-1, -2) * scale
    if softcap:
        weight = torch.tanh(weight / softcap) * softcap
    index = torch.arange(tree.n_tokens, device=query.device)
    allowed = tree.may_attend(index[:, None], index[None, :], window)
    weight = weight.masked_fill(~allowed, float("-inf"))
    return torch.softmax(weight, dim=-1, dtype=torch.float32).to(value.dtype) @ value


def _by_flex(
    query: Tensor, key: Tensor, value: Tensor, tree: TreePack, scale: float, window: int, softcap: float
) -> Tensor:
    from torch.nn.attention.flex_attention import create_block_mask

    device = query.device
    if ("flex", window) not in tree.masks:

        def mask_mod(batch: Tensor, head: Tensor, at_query: Tensor, at_key: Tensor) -> Tensor:
            return tree.may_attend(at_query, at_key, window)

        n = tree.n_tokens
        tree.masks["flex", window] = create_block_mask(mask_mod, None, None, n, n, device=str(device))

    def cap(score: Tensor, batch: Tensor, head: Tensor, at_query: Tensor, at_key: Tensor) -> Tensor:
        return torch.tanh(score / softcap) * softcap

    attend = _flex_function(device.type)
    return attend(
        query,
        key,
        value,
        score_mod=cap if softcap else None,
        block_mask=tree.masks["flex", window],
        scale=scale,
        enable_gqa=query.shape[1] != key.shape[1],
    )


@cache
def _flex_function(device_type: str) -> Callable[..., Tensor]:
    """FlexAttention, compiled once on CUDA (uncompiled it materialises the scores; fine for a test on a CPU)."""
    from torch.nn.attention.flex_attention import flex_attention

    if device_type == "cuda":
        return cast(Callable[..., Tensor], torch.compile(flex_attention, dynamic=True))
    return cast(Callable[..., Tensor], flex_attention)
