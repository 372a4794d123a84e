"""Sampling responses from a causal language model: each prompt is computed once, finished responses leave the batch.

Every response has a stream of random numbers of its own, fixed by the seed, the prompt's key and its own number: what
is sampled does not depend on which prompts share a batch, except for rounding, and a run can go on where it stopped.

Axes: B prompts of a batch, R responses of a batch, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from karat.errors import DataError, InputError, ModelError
from karat.types import Message, Text, TokenIds

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

COMPACT_SHARE = 0.125
"""Finished rows are taken out once they are this share of a batch: each time copies the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingConfig:
    """How a response is drawn. temperature 0: the likeliest token always."""

    max_new_tokens: int = field(default=256, metadata={"help": "Longest response, tokens."})
    temperature: float = field(default=1.0, metadata={"help": "Of the softmax; 0: the likeliest token always."})
    top_p: float = field(
        default=1.0, metadata={"help": "Draw from the likeliest tokens that add up to this probability."}
    )
    top_k: int = field(default=0, metadata={"help": "Draw from this many likeliest tokens; 0: from all."})

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise InputError(f"max_new_tokens = {self.max_new_tokens}: a response needs at least one token.")
        if not self.temperature >= 0:
            raise InputError(f"temperature = {self.temperature:g} is out of range: it must be at least 0.")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top_p = {self.top_p:g} is out of range: it must lie in (0, 1].")
        if self.top_k < 0:
            raise InputError(f"top_k = {self.top_k} is out of range: it must be at least 0.")


@dataclass(frozen=True, slots=True)
class Sampled:
    """One response."""

    token_ids: tuple[int, ...]
    """With the token that ended it, where one did."""
    text: str
    is_finished: bool
    """It ended by itself; otherwise max_new_tokens or the model's context cut it."""


class Policy:
    """A causal language model with its tokenizer."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, name: str) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.name = name
        self.eos = _eos_ids(model, tokenizer)

    @classmethod
    def load(
        cls, path: str, *, name: str = "", dtype: torch.dtype = torch.float32, device: str | None = None
    ) -> Policy:
        """Read a causal language model.

        Args:
            path: a folder or hub name (`karat.rewards.model.resolve_model` knows what `default` is).
            name: what messages call it; the path by default.
        Raises: ModelError: there is none, or it has no tokenizer.
        """
        from transformers import AutoModelForCausalLM, AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(path)
            model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype)
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"{path} cannot be loaded as a causal language model: {error}") from error
        place: Any = device or ("cuda" if torch.cuda.is_available() else "cpu")
        return cls(model.to(place).eval(), tokenizer, name=name or path)

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def context(self) -> int:
        """Most tokens that the model was made for."""
        return int(getattr(self.model.config.get_text_config(), "max_position_embeddings", 0) or 1 << 30)

    @property
    def has_template(self) -> bool:
        return bool(self.tokenizer.chat_template)

    def prompt_ids(self, prompt: Text) -> list[int]:
        """Tokens that a response continues: a conversation by the chat template, opened for the assistant; plain text
        as it is.

        Raises: ModelError: a conversation without a template; DataError: no tokens, or no room for a response.
        """
        if isinstance(prompt, TokenIds):
            ids = list(prompt.ids)
        elif isinstance(prompt, str):
            ids = list(self.tokenizer(prompt)["input_ids"])
        else:
            ids = self._template_ids(prompt)
        if not ids:
            raise DataError("the prompt has no tokens.")
        if len(ids) >= self.context:
            raise DataError(f"the prompt has {len(ids)} tokens, the model's context {self.context}.")
        return ids

    def _template_ids(self, prompt: tuple[Message, ...]) -> list[int]:
        if not self.has_template:
            raise ModelError(f"the prompts are conversations, but the tokenizer of {self.name!r} has no chat template.")
        turns = [{"role": message.role, "content": message.content} for message in prompt]
        try:
            text = self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        except Exception as error:  # templates raise what they like (jinja2.TemplateError mostly)
            raise DataError(f"the chat template refuses the prompt: {error}") from error
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        per_prompt: int,
        *,
        config: SamplingConfig,
        seed: Sequence[int],
        keys: Sequence[int] | None = None,
        rows_per_batch: int = 64,
    ) -> list[list[Sampled]]:
        """`per_prompt` responses to each prompt.

        Args:
            prompts: token ids, from `prompt_ids`.
            config: how to draw.
            seed: non-negative integers; same seed and key, same random numbers.
            keys: one non-negative integer a prompt; its index by default.
            rows_per_batch: most responses generated at once; bounds the memory.
        Returns: one list a prompt, in order.
        """
        keys = range(len(prompts)) if keys is None else keys
        out: list[list[Sampled]] = [[] for _ in prompts]
        for batch in _batches([len(ids) for ids in prompts], per_prompt, rows_per_batch):
            uniform_RT = np.concatenate(
                [
                    np.random.default_rng([*seed, keys[index]]).random((per_prompt, config.max_new_tokens))[low:high]
                    for index, low, high in batch
                ]
            )
            rows = _generate(
                self.model,
                [(list(prompts[index]), high - low) for index, low, high in batch],
                torch.from_numpy(uniform_RT),
                config,
                self.eos,
                self.context,
            )
            at = iter(rows)
            for index, low, high in batch:
                out[index] += [self._sampled(next(at)) for _ in range(low, high)]
        return out

    def _sampled(self, ids: list[int]) -> Sampled:
        is_finished = bool(ids) and ids[-1] in self.eos
        text = self.tokenizer.decode(ids[:-1] if is_finished else ids, skip_special_tokens=True)
        return Sampled(tuple(ids), str(text), is_finished)


def _eos_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """All tokens that end a response: the tokenizer's, and those that the model's own generation settings name."""
    named = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    ids = {tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])}
    return frozenset(int(token) for token in ids if token is not None)


def _batches(lengths: Sequence[int], per_prompt: int, rows: int) -> Iterator[list[tuple[int, int, int]]]:
    """(prompt, first response, end) by batch: whole prompts of like length together, a large group cut in pieces."""
    batch: list[tuple[int, int, int]] = []
    free = rows
    for index in sorted(range(len(lengths)), key=lambda index: (lengths[index], index)):
        if per_prompt > free and batch:
            yield batch
            batch, free = [], rows
        for low in range(0, per_prompt, rows):
            high = min(low + rows, per_prompt)
            batch.append((index, low, high))
            free -= high - low
            if free <= 0:
                yield batch
                batch, free = [], rows
    if batch:
        yield batch


@torch.no_grad()
def _generate(
    model: Any,
    groups: Sequence[tuple[list[int], int]],
    uniform_RT: Tensor,
    config: SamplingConfig,
    eos: frozenset[int],
    context: int,
) -> list[list[int]]:
    """Responses to prompts that share a batch: one pass over each prompt, then one token for all at a time."""
    width = max(len(ids) for ids, _ in groups)
    steps = min(config.max_new_tokens, context - width)
    prompt_BT = torch.tensor([[0] * (width - len(ids)) + ids for ids, _ in groups], device=model.device)
    mask_BT = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids, _ in groups], device=model.device)
    count_B = torch.tensor([count for _, count in groups], device=model.device)
    out = model(
        input_ids=prompt_BT,
        attention_mask=mask_BT,
        position_ids=(mask_BT.cumsum(1) - 1).clamp_min(0),
        use_cache=True,
        logits_to_keep=1,
    )
    cache = out.past_key_values
    of_prompt_R = torch.repeat_interleave(torch.arange(len(groups), device=model.device), count_B)
    cache.batch_select_indices(of_prompt_R)
    logits_RV, mask_RT, position_R = out.logits[of_prompt_R, -1], mask_BT[of_prompt_R], mask_BT.sum(1)[of_prompt_R]
    ends = torch.tensor(sorted(eos), device=model.device)
    found: list[list[int]] = [[] for _ in of_prompt_R]
    row_R = torch.arange(len(found), device=model.device)  # which response each row of the batch is
    is_done_R = torch.zeros(len(found), dtype=torch.bool, device=model.device)
    for step in range(steps):
        token_R = choose_tokens(logits_RV, uniform_RT[row_R.cpu(), step].to(model.device), config)
        for row, token, done in zip(row_R.tolist(), token_R.tolist(), is_done_R.tolist(), strict=True):
            if not done:
                found[row].append(token)
        is_done_R |= torch.isin(token_R, ends)
        n_done = int(is_done_R.sum())
        if n_done == len(row_R) or step == steps - 1:
            break
        if n_done >= COMPACT_SHARE * len(row_R):
            keep_R = (~is_done_R).nonzero()[:, 0]
            cache.batch_select_indices(keep_R)
            row_R, token_R, mask_RT, position_R = row_R[keep_R], token_R[keep_R], mask_RT[keep_R], position_R[keep_R]
            is_done_R = is_done_R[keep_R]
        mask_RT = torch.cat([mask_RT, torch.ones_like(mask_RT[:, :1])], dim=1)
        out = model(
            input_ids=token_R[:, None],
            attention_mask=mask_RT,
            position_ids=position_R[:, None],
            past_key_values=cache,
            use_cache=True,
        )
        position_R = position_R + 1
        logits_RV = out.logits[:, -1]
    return found


def choose_tokens(logits_RV: Tensor, uniform_R: Tensor, config: SamplingConfig) -> Tensor:
    """The token of each row at which the distribution function reaches its uniform number, shape (R,).

    Args:
        logits_RV: unnormalised log probabilities.
        uniform_R: in [0, 1), float64.
    """
    if config.temperature == 0:
        return logits_RV.argmax(dim=-1)
    prob_RV = torch.softmax(logits_RV.double() / config.temperature, dim=-1)
    index_RV: Tensor | None = None
    if config.top_k or config.top_p < 1:
        prob_RV, index_RV = prob_RV.topk(min(config.top_k or prob_RV.shape[-1], prob_RV.shape[-1]), dim=-1)
    cdf_RV = prob_RV.cumsum(dim=-1)
    if config.top_p < 1:
        kept_RV = prob_RV.masked_fill(cdf_RV - prob_RV >= config.top_p * cdf_RV[:, -1:], 0.0)
        cdf_RV = kept_RV.cumsum(dim=-1)
    place_R1 = torch.searchsorted(cdf_RV, uniform_R[:, None] * cdf_RV[:, -1:], right=True)
    place_R1 = place_R1.clamp_max(cdf_RV.shape[-1] - 1)
    return (place_R1 if index_RV is None else index_RV.gather(1, place_R1))[:, 0]
