"""Tiny random decoders of the families that the token tree is tested on."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

VOCABULARY = 300
TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message['role'] }}\n{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}

CONFIGS: dict[str, PreTrainedConfig] = {
    "llama": LlamaConfig(**COMMON),
    "qwen2": Qwen2Config(**COMMON),
    "qwen3": Qwen3Config(**COMMON, head_dim=8),
    "mistral_window": MistralConfig(**COMMON, sliding_window=11),
    "gemma2_window_softcap": Gemma2Config(**COMMON, head_dim=8, sliding_window=11, attn_logit_softcapping=5.0),
    "gemma3_window": Gemma3TextConfig(
        **COMMON, head_dim=8, sliding_window=11, layer_types=["sliding_attention", "full_attention"] * 2
    ),
}


def byte_tokenizer(*, chat_template: str = TEMPLATE, pad: str = "<pad>") -> PreTrainedTokenizerFast:
    """A tokenizer with one token per byte and a few special ones: no vocabulary to download, every text round-trips."""
    specials = ["<pad>", "<s>", "</s>", "<|start|>", "<|end|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*specials, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token=pad,
        additional_special_tokens=["<|start|>", "<|end|>"],
    )
    fast.chat_template = chat_template or None
    return fast


def save_tiny(
    folder: Path, family: str = "llama", *, seed: int = 0, tokenizer: PreTrainedTokenizerFast | None = None
) -> Path:
    """A tiny random causal LM of a family, saved as a transformers folder."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(CONFIGS[family])
    with torch.no_grad():  # wider weights than the default init, so that attention matters
        for parameter in model.parameters():
            parameter.mul_(4.0) if parameter.ndim == 2 else None
    model.save_pretrained(folder)
    (tokenizer or byte_tokenizer()).save_pretrained(folder)
    return folder
