"""Vectors of pairs: the mean of the hidden states that enter a layer, kept by content, alike in any company."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from karat.errors import InputError, ResourceError
from karat.rewards import vector_store
from karat.rewards.vector_store import Stored, VectorStore
from karat.rewards.vectors import pair_vectors
from karat.types import Message, PreferencePair, TokenIds
from rewards.tiny import save_tiny

PROMPT = "Which fruit is best?\n"
PAIRS = (
    PreferencePair(PROMPT, "a plum", "a plum and an apple", prompt_id="a"),
    PreferencePair(PROMPT, "an apple", "a plum", prompt_id="a"),
    PreferencePair("Hm. ", "yes", "", prompt_id="b"),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny(tmp_path_factory.mktemp("lm")))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KARAT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "vectors"


def by_hand(model: str, prompt: str, response: str, layer: int) -> np.ndarray:
    """The plain forward's states that enter the layer, over the tokens of the response and its EOS."""
    network, tokenizer = AutoModel.from_pretrained(model).eval(), AutoTokenizer.from_pretrained(model)
    n_prompt = len(tokenizer(prompt)["input_ids"])
    ids = [*tokenizer(prompt + response)["input_ids"], tokenizer.eos_token_id]
    with torch.no_grad():
        states = network(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states
    return np.asarray(states[layer][0, n_prompt:].mean(dim=0))


def test_a_vector_is_the_mean_over_the_response_alone(model: str) -> None:
    found = pair_vectors(PAIRS, model, layer=2, cache=False)
    assert found.chosen_PD[0] == pytest.approx(by_hand(model, PROMPT, "a plum", 2), abs=2e-5)
    assert found.rejected_PD[0] == pytest.approx(by_hand(model, PROMPT, "a plum and an apple", 2), abs=2e-5)
    assert found.rejected_PD[2] == pytest.approx(by_hand(model, "Hm. ", "", 2), abs=2e-5)
    assert found.chosen_PD.dtype == np.float32
    assert (found.layer, found.n_cut, len(found.missing)) == (2, 0, 0)


def test_the_prompts_vector_leaves_out_the_first_token(model: str) -> None:
    network, tokenizer = AutoModel.from_pretrained(model).eval(), AutoTokenizer.from_pretrained(model)
    with torch.no_grad():
        states = network(input_ids=tokenizer(PROMPT, return_tensors="pt")["input_ids"], output_hidden_states=True)
    found = pair_vectors(PAIRS, model, layer=3, cache=False)
    assert found.prompt_PD[0] == pytest.approx(states.hidden_states[3][0, 1:].mean(dim=0).numpy(), abs=2e-5)


def test_company_and_sides_change_nothing(model: str) -> None:
    together = pair_vectors(PAIRS, model, cache=False)
    for index, pair in enumerate(PAIRS):
        swapped = replace(pair, chosen=pair.rejected, rejected=pair.chosen)
        alone = pair_vectors([swapped], model, cache=False)
        assert together.chosen_PD[index] == pytest.approx(alone.rejected_PD[0], abs=1e-5)
        assert together.difference()[index] == pytest.approx(-alone.difference()[0], abs=2e-5)
    assert together.chosen_PD[0] == pytest.approx(together.rejected_PD[1])  # "a plum" to the same prompt


def test_the_default_layer_is_at_87_percent(model: str) -> None:
    assert pair_vectors(PAIRS, model, cache=False).layer == 3  # of 4: round(3.48)


def test_conversations_and_tokens(model: str) -> None:
    talk = (Message("user", "a plum?"),)
    yes, no = (Message("assistant", "yes"),), (Message("assistant", "no, a pear"),)
    found = pair_vectors(
        [PreferencePair(talk, yes, no), PreferencePair("", TokenIds((9, 10, 11)), TokenIds((9, 10, 12, 13)))],
        model,
        cache=False,
    )
    assert np.isfinite(found.difference()).all()
    assert np.isfinite(found.prompt_PD[0]).all()
    assert np.isnan(found.prompt_PD[1]).all()  # tokenised data holds the prompt in each response


def test_a_long_prompt_loses_its_beginning(model: str) -> None:
    """With 24 tokens in all, only the prompt's end matters: two prompts that end alike give one vector."""
    pairs = [PreferencePair(start * 30 + "the end:", "yes", "no, a pear") for start in ("a", "b")]
    found = pair_vectors(pairs, model, max_length=12, cache=False)
    assert found.n_cut == 4
    assert found.rejected_PD[0] == pytest.approx(found.rejected_PD[1], abs=1e-5)


def test_an_empty_sequence_is_missing_with_its_reason(model: str) -> None:
    found = pair_vectors([PreferencePair("", TokenIds((9,)), TokenIds(())), *PAIRS], model, cache=False)
    assert found.missing[0].startswith("a sequence without tokens cannot be scored")
    assert np.isnan(found.rejected_PD[0]).all()
    assert np.isfinite(found.difference()[1:]).all()


def test_a_second_call_computes_nothing(model: str, monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> None:
    first = pair_vectors(PAIRS, model)
    assert len(list(own_cache.glob("*.sqlite"))) == 1

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("karat.rewards.vectors._load", fail)
    swapped = [replace(pair, chosen=pair.rejected, rejected=pair.chosen) for pair in PAIRS[::-1]]
    again = pair_vectors(swapped, model)
    assert np.array_equal(again.rejected_PD[::-1], first.chosen_PD)
    assert np.array_equal(again.prompt_PD[::-1], first.prompt_PD)
    with pytest.raises(AssertionError, match="the model was loaded"):
        pair_vectors(PAIRS, model, layer=1)  # another layer is another vector


def test_wrong_use_is_named(model: str) -> None:
    with pytest.raises(InputError, match=r"layer = 4: .* has 4 layers; name one of 1 to 3, or 0"):
        pair_vectors(PAIRS, model, layer=4)
    with pytest.raises(InputError, match="max_length = 3: vectors need at least 8"):
        pair_vectors(PAIRS, model, max_length=3)


def test_no_pairs(model: str) -> None:
    assert pair_vectors([], model).chosen_PD.shape == (0, 0)


# ------------------------------------------------------------------------------------------------------------ the store
def row(value: float) -> Stored:
    return Stored(np.full(3, value, dtype=np.float32), False, "")


def test_the_store_keeps_what_was_first_written(tmp_path: Path) -> None:
    store = VectorStore(tmp_path / "in" / "a.sqlite")
    store.write({b"1": row(1.0), b"2": Stored.without("no tokens")})
    store.write({b"1": row(9.0)})
    found = store.read([b"1", b"2", b"3"])
    assert found[b"1"].vector_D.tolist() == [1.0, 1.0, 1.0]
    assert (found[b"2"].vector_D.size, found[b"2"].missing) == (0, "no tokens")
    assert set(found) == {b"1", b"2"}


def test_the_stores_are_bounded_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_store, "KEEP_BYTES", 20_000)
    for name in ("a", "b", "c"):
        store = VectorStore(tmp_path / f"{name}.sqlite")
        store.write({bytes([number]): row(number) for number in range(250)})
    assert [file.name for file in tmp_path.glob("*.sqlite")] == ["c.sqlite"]
    store.write({b"new": row(1.0)})  # too large alone: its older half goes
    left = store.read([bytes([number]) for number in range(250)])
    assert bytes([0]) not in left
    assert bytes([249]) in left


def test_a_file_that_is_no_store_is_empty_and_named(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").write_bytes(b"what is this" * 100)
    store = VectorStore(tmp_path / "a.sqlite")
    assert store.read([b"1"]) == {}
    with pytest.raises(ResourceError, match=r"cannot keep hidden states in .*a\.sqlite: .*remove that file"):
        store.write({b"1": row(1.0)})


def test_a_store_out_of_use_writes_nothing(tmp_path: Path) -> None:
    store = VectorStore(tmp_path / "a.sqlite", is_used=False)
    store.write({b"1": row(1.0)})
    assert not (tmp_path / "a.sqlite").exists()
