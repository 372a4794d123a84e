"""How far a policy has moved: the sum over tokens of the divergence of the next-token distributions."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from karat.policies.divergence import response_kl
from rewards.tiny import save_tiny


def two(folder: Path) -> tuple[torch.nn.Module, torch.nn.Module]:
    """A model and its neighbour."""
    save_tiny(folder, "llama")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    other = copy.deepcopy(model)
    with torch.no_grad():
        for weight in other.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
    return model, other


PROMPTS = [[5, 40, 41], [6] * 9, [9, 8], [7, 7, 7, 7]]
RESPONSES = [[11, 12], [], [13], [3, 1, 4, 1, 5]]


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_it_is_the_sum_over_tokens_computed_one_by_one(tmp_path: Path, temperature: float) -> None:
    model, other = two(tmp_path)
    found = response_kl(model, other, PROMPTS, RESPONSES, temperature=temperature)
    for prompt, response, kl in zip(PROMPTS, RESPONSES, found, strict=True):
        wanted = 0.0
        for length in range(len(response)):
            ids = torch.tensor([[*prompt, *response[:length]]])
            with torch.no_grad():
                own, base = (
                    torch.log_softmax(net(input_ids=ids).logits[0, -1] / temperature, -1) for net in (model, other)
                )
            wanted += float((own.exp() * (own - base)).sum())
        assert kl == pytest.approx(wanted, rel=1e-4, abs=1e-6)


def test_nothing_moved_is_zero_and_anything_else_is_above(tmp_path: Path) -> None:
    model, other = two(tmp_path)
    assert response_kl(model, model, PROMPTS, RESPONSES) == pytest.approx(np.zeros(4), abs=1e-9)
    moved = response_kl(model, other, PROMPTS, RESPONSES)
    assert (moved[[0, 2, 3]] > 0).all()
    assert moved[1] == 0


def test_without_a_reference_the_adapters_are_what_moved(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    model, _ = two(tmp_path)
    base = copy.deepcopy(model)
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)).eval()
    own = response_kl(adapted, None, PROMPTS, RESPONSES)
    assert own == pytest.approx(response_kl(adapted, base, PROMPTS, RESPONSES), rel=1e-5)
    assert own[0] > 0


def test_batches_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, other = two(tmp_path)
    together = response_kl(model, other, PROMPTS, RESPONSES)
    monkeypatch.setattr("karat.policies.divergence.TOKENS_PER_PASS", 1)
    assert response_kl(model, other, PROMPTS, RESPONSES) == pytest.approx(together, rel=1e-5)
