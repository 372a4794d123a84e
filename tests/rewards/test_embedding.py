"""Vectors of texts: the mean of hidden states, whatever is computed beside them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from karat.errors import ModelError
from karat.rewards.embedding import embed, mean_embedding_similarity
from karat.rewards.mitigated import reference_similarity
from rewards.tiny import save_tiny

TEXTS = ["a plum", "an apple and a plum", "", "rivers run", "x"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny(tmp_path_factory.mktemp("lm")))


def test_a_vector_is_the_mean_of_the_hidden_states(model: str) -> None:
    network, tokenizer = AutoModel.from_pretrained(model).eval(), AutoTokenizer.from_pretrained(model)
    ids = tokenizer(TEXTS[1], add_special_tokens=False, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        mean = network(input_ids=ids).last_hidden_state[0].mean(dim=0).numpy()
    assert embed(TEXTS, model)[1] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_company_does_not_change_a_vector(model: str) -> None:
    together = embed(TEXTS * 10, model)
    alone = np.concatenate([embed([text], model) for text in TEXTS])
    assert together[:5] == pytest.approx(alone, abs=1e-5)
    assert np.linalg.norm(together[:5], axis=1) == pytest.approx([1, 1, 0, 1, 1])


def test_similarity_leaves_out_the_text_itself(model: str) -> None:
    vector = embed(TEXTS, model)
    found = mean_embedding_similarity(["a plum", "rivers run"], ["a plum", "x"], model)
    assert found[0] == pytest.approx(vector[0] @ vector[4], abs=1e-5)
    assert found[1] == pytest.approx((vector[3] @ vector[0] + vector[3] @ vector[4]) / 2, abs=1e-5)
    assert reference_similarity(["a plum"], ["a plum", "x"], model)[0] == pytest.approx(found[0], abs=1e-6)


def test_no_such_model_is_named() -> None:
    with pytest.raises(ModelError, match="similarity by 'no/such-model': no such model"):
        embed(["a"], "no/such-model")
