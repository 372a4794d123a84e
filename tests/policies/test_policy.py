"""Sampling: the model's own distribution, whatever shares the batch, and ends where the response ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from karat.errors import DataError, InputError, ModelError
from karat.policies import Policy, SamplingConfig
from karat.policies.policy import _batches, choose_tokens
from karat.types import Message, TokenIds
from rewards.tiny import CONFIGS, byte_tokenizer, save_tiny

GREEDY = SamplingConfig(max_new_tokens=12, temperature=0)
PROMPTS = [[5, 40, 41], [6] * 17, [9, 8, 7, 6, 5, 4, 33, 32]]


def tiny(folder: Path, family: str = "llama") -> Policy:
    return Policy.load(str(save_tiny(folder, family)), device="cpu")


@pytest.mark.parametrize("family", CONFIGS)
def test_greedy_is_what_transformers_generates(tmp_path: Path, family: str) -> None:
    """One pass over prompts of different length, shared by two responses each, against one generate call a prompt."""
    policy = tiny(tmp_path, family)
    found = policy.sample(PROMPTS, 2, config=GREEDY, seed=[0])
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    for prompt, responses in zip(PROMPTS, found, strict=True):
        ids = torch.tensor([prompt])
        out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False)
        wanted = tuple(out[0, len(prompt) :].tolist())
        assert [response.token_ids for response in responses] == [wanted, wanted]


def test_what_is_sampled_does_not_depend_on_the_batch(tmp_path: Path) -> None:
    policy = tiny(tmp_path)
    config = SamplingConfig(max_new_tokens=10, temperature=0.9)
    together = policy.sample(PROMPTS, 5, config=config, seed=[3])
    apart = policy.sample(PROMPTS, 5, config=config, seed=[3], rows_per_batch=2)
    alone = [policy.sample([ids], 5, config=config, seed=[3], keys=[key])[0] for key, ids in enumerate(PROMPTS)]
    assert together == apart == alone
    assert policy.sample(PROMPTS, 5, config=config, seed=[4]) != together


def test_a_response_ends_at_its_end_and_the_others_go_on(tmp_path: Path) -> None:
    """With ends forced on half of the vocabulary most rows leave early; every row is what it would be alone."""
    policy = tiny(tmp_path)
    policy.eos = frozenset(range(0, 300, 6))
    config = SamplingConfig(max_new_tokens=30)
    (found,) = policy.sample([PROMPTS[0]], 40, config=config, seed=[1])
    policy.eos = frozenset()
    (endless,) = policy.sample([PROMPTS[0]], 40, config=config, seed=[1])
    assert {response.is_finished for response in found} == {True, False} or all(r.is_finished for r in found)
    assert len({len(response.token_ids) for response in found}) > 5
    for ended, whole in zip(found, endless, strict=True):
        stop = next((at + 1 for at, token in enumerate(whole.token_ids) if token % 6 == 0), 30)
        assert ended.token_ids == whole.token_ids[:stop]
        assert not whole.is_finished
        assert len(whole.token_ids) == 30


def test_hand_values_of_the_choice() -> None:
    logits_RV = torch.tensor([[0.5, 0.3, 0.2]]).log().expand(5, 3)
    uniform_R = torch.tensor([0.0, 0.49, 0.51, 0.79, 0.81], dtype=torch.float64)
    assert choose_tokens(logits_RV, uniform_R, SamplingConfig()).tolist() == [0, 0, 1, 1, 2]
    # top_p 0.6 keeps 0.5 and 0.3, which become 0.625 and 0.375
    nucleus = SamplingConfig(top_p=0.6)
    assert choose_tokens(logits_RV, torch.tensor([0.0, 0.62, 0.63, 0.9, 0.99]).double(), nucleus).tolist() == [
        0, 0, 1, 1, 1,
    ]  # fmt: skip
    assert choose_tokens(logits_RV, uniform_R, SamplingConfig(top_k=1)).tolist() == [0] * 5
    # temperature 1/2 squares: 25, 9, 4 of 38
    cool = SamplingConfig(temperature=0.5)
    assert choose_tokens(logits_RV, torch.tensor([0.65, 0.66, 0.89, 0.9, 0.99]).double(), cool).tolist() == [
        0, 1, 1, 2, 2,
    ]  # fmt: skip


@given(
    st.lists(st.floats(-8, 8), min_size=2, max_size=9),
    st.floats(0.2, 3.0),
    st.integers(0, 4),
    st.floats(0.05, 1.0),
)
@settings(max_examples=60, deadline=None)
def test_a_grid_of_numbers_gives_the_truncated_softmax(
    logits: list[float], temperature: float, top_k: int, top_p: float
) -> None:
    config = SamplingConfig(temperature=temperature, top_k=top_k, top_p=top_p)
    n = 2000
    grid = torch.from_numpy((np.arange(n) + 0.5) / n)
    token_R = choose_tokens(torch.tensor([logits]).double().expand(n, -1), grid, config).numpy()
    prob_V = np.exp(np.array(logits) / temperature - max(logits) / temperature)
    prob_V /= prob_V.sum()
    order = np.argsort(-prob_V, kind="stable")
    allowed = order[: top_k or len(order)]
    before = np.cumsum(prob_V[allowed]) - prob_V[allowed]
    allowed = allowed[before < top_p * prob_V[allowed].sum() * (1 + 1e-12)]
    expected_V = np.zeros_like(prob_V)
    expected_V[allowed] = prob_V[allowed] / prob_V[allowed].sum()
    found_V = np.bincount(token_R, minlength=len(logits)) / n
    ties = len(set(np.round(prob_V, 12))) < len(prob_V)  # among equal tokens the order is free
    if not ties:
        assert np.abs(found_V - expected_V).max() <= 2 / n + 1e-9


@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.integers(1, 30), st.integers(1, 40))
def test_batches_hold_every_response_once_and_keep_their_size(lengths: list[int], per_prompt: int, rows: int) -> None:
    batches = list(_batches(lengths, per_prompt, rows))
    held = sorted((index, at) for batch in batches for index, low, high in batch for at in range(low, high))
    assert held == [(index, at) for index in range(len(lengths)) for at in range(per_prompt)]
    assert max(sum(high - low for _, low, high in batch) for batch in batches) <= rows


def test_prompts_and_their_errors(tmp_path: Path) -> None:
    policy = tiny(tmp_path)
    chat = (Message("user", "hi"),)
    text = policy.tokenizer.decode(policy.prompt_ids(chat))
    assert text == "<|start|>user\nhi<|end|><|start|>assistant\n"
    assert policy.prompt_ids(TokenIds((4, 5))) == [4, 5]
    with pytest.raises(DataError, match="no tokens"):
        policy.prompt_ids("")
    with pytest.raises(DataError, match="context 4096"):
        policy.prompt_ids("x" * 5000)
    save_tiny(tmp_path / "plain", tokenizer=byte_tokenizer(chat_template=""))
    with pytest.raises(ModelError, match="no chat template"):
        Policy.load(str(tmp_path / "plain")).prompt_ids(chat)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ModelError, match="cannot be loaded"):
        Policy.load(str(tmp_path / "nothing"))


@pytest.mark.parametrize(
    ("field", "value"), [("max_new_tokens", 0), ("temperature", -1.0), ("top_p", 0.0), ("top_k", -1)]
)
def test_settings_out_of_range(field: str, value: float) -> None:
    with pytest.raises(InputError, match=field):
        SamplingConfig(**{field: value})  # type: ignore[arg-type]
