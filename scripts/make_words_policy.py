"""Make the policy of the words world: a tiny decoder that imitates the world's careless writer.

    python scripts/make_words_policy.py            about two minutes on two cores; writes worlds/words_policy/

Training is seeded; another processor's arithmetic may give slightly other weights.
"""

from __future__ import annotations

import json

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from karat.worlds.words import CUES, FILLERS, MARKS, POLICY, TOPICS, careless_response, prompts

SEED, STEPS, BATCH, LR, HIDDEN = 0, 1500, 128, 3e-3, 48
SPECIALS = ("<pad>", "<end>")


def make_tokenizer() -> PreTrainedTokenizerFast:
    words = [*SPECIALS, *CUES, "with", ":", *TOPICS, *(word for group in TOPICS.values() for word in group)]
    vocabulary = {word: index for index, word in enumerate([*words, *FILLERS, *MARKS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>")


def main() -> None:
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    tokenizer = make_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=HIDDEN, intermediate_size=2 * HIDDEN, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=True,
        pad_token_id=0, bos_token_id=None, eos_token_id=1,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    asked = [prompt for cue in CUES for prompt in prompts(cue)]
    loss = torch.tensor(0.0)
    for step in range(STEPS):
        chosen = [asked[index] for index in rng.integers(len(asked), size=BATCH)]
        ids = [tokenizer(f"{prompt} {careless_response(prompt, rng)}")["input_ids"] + [1] for prompt in chosen]
        width = max(map(len, ids))
        batch = torch.tensor([row + [0] * (width - len(row)) for row in ids])
        labels = batch.masked_fill(batch == 0, -100)
        labels[:, :6] = -100  # the prompt
        loss = model(input_ids=batch, attention_mask=(batch != 0).long(), labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 250 == 249:
            print(f"step {step + 1}: {loss.item():.3f} nats a token", flush=True)
    model.save_pretrained(POLICY)
    tokenizer.save_pretrained(POLICY)
    recipe = {"seed": SEED, "steps": STEPS, "batch": BATCH, "lr": LR, "last_loss": round(loss.item(), 3)}
    (POLICY / "recipe.json").write_text(json.dumps(recipe, indent=1) + "\n")


if __name__ == "__main__":
    main()
