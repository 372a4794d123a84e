"""What training adds: pairs whose label follows from how they are made, rewordings in the same tree, and their loss."""

from __future__ import annotations

import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import karat
from karat.errors import DataError, InputError
from karat.numerics.preference_likelihood import bradley_terry_loss, consistency_penalty
from karat.rewards import RewardModel
from karat.rewards.model import load_reward_for_training
from karat.train import TrainConfig
from karat.train.augment import make_extras
from karat.train.losses import PairBatch, PairLoss
from karat.train.units import build_units, pair_batch
from karat.types import Message, PreferencePair, TokenIds
from train.toy import toy_model, toy_pairs


def config(**options: Any) -> TrainConfig:
    return TrainConfig(**options)


def talk(number: int) -> PreferencePair:
    """Two responses to a question that no other resembles."""
    prompt = (Message("user", f"{number * 7919} alone {chr(97 + number) * 6}?"),)
    sides = ((Message("assistant", f"{number}: I do not care. Ask him {word}."),) for word in ("today", "then"))
    return PreferencePair(prompt, *sides, prompt_id=f"t{number}", row=number)


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> str:
    return toy_model(tmp_path_factory.mktemp("lm"))


@pytest.fixture(scope="module")
def reward(lm: str) -> RewardModel:
    return load_reward_for_training(lm, n_heads=2, max_length=256, dtype=torch.float32, seed=0)


# ------------------------------------------------------------------------------------------------------------------ rrm
def test_other_prompts_responses_lose_or_tie() -> None:
    pairs = [talk(number) for number in range(12)]
    extras = make_extras(pairs, config(augment="rrm", augment_per_pair=6))
    own = {pair.prompt_id: {pair.chosen, pair.rejected} for pair in pairs}
    labels = []
    for pair, added in zip(pairs, extras.added, strict=True):
        assert len(added) == 6
        for made in added:
            assert made.prompt == pair.prompt
            assert made.prompt_id == pair.prompt_id
            assert made.rejected not in own[pair.prompt_id]
            assert (made.chosen in own[pair.prompt_id]) == (made.label == 1.0)
            labels.append(made.label)
    assert set(labels) == {1.0, 0.5}
    assert 20 < labels.count(0.5) < 52  # a fair coin 72 times
    assert {entry.reason: entry.count for entry in extras.entries} == {
        "rrm: a response over one to another prompt, added": labels.count(1.0),
        "rrm: two responses to another prompt as a tie, added": labels.count(0.5),
    }


def test_a_near_equal_prompt_is_no_other_prompt() -> None:
    same = [replace(talk(0), prompt_id=name, chosen=(Message("assistant", name),)) for name in ("a", "b")]
    with pytest.raises(DataError, match=r"no pair could be made.*no prompt unlike enough in 20 draws"):
        make_extras(same, config(augment="rrm"))
    far = [*same, talk(5)]
    added = make_extras(far, config(augment="rrm", augment_per_pair=8)).added
    foreign = {text for pair in added[0] for text in (pair.chosen, pair.rejected)} - {far[0].chosen, far[0].rejected}
    assert foreign == {far[2].chosen, far[2].rejected}


def test_an_artefact_wins_and_loses_alike_in_what_is_added() -> None:
    """70 % of chosen end in a phrase and 30 % of rejected: it is worth 0.85 nats; where only it differs, added pairs of
    other prompts tie."""
    rng = np.random.default_rng(0)
    pairs = [
        replace(
            talk(number % 26),
            prompt_id=str(number),
            prompt=f"{number}: {chr(97 + number % 26) * 9}{number * 31}",
            chosen=f"yes {number}" + " indeed" * bool(rng.random() < 0.7),
            rejected=f"no {number}" + " indeed" * bool(rng.random() < 0.3),
        )
        for number in range(300)
    ]

    def wins(of: list[PreferencePair]) -> float:
        has = [(str(p.chosen).endswith("indeed"), str(p.rejected).endswith("indeed"), p.label) for p in of]
        return float(np.mean([label if a else 1 - label for a, b, label in has if a != b]))

    made = [pair for added in make_extras(pairs, config(augment="rrm", augment_per_pair=4)).added for pair in added]
    assert wins(pairs) > 0.8
    assert wins(made) == pytest.approx(0.5, abs=0.06)


def test_one_prompt_and_token_ids_are_told() -> None:
    with pytest.raises(DataError, match="have one prompt"):
        make_extras([talk(1)], config(augment="rrm"))
    with pytest.raises(DataError, match="tokenised"):
        make_extras([PreferencePair("", TokenIds((1,)), TokenIds((2,)), prompt_id="a")], config(consistency=1.0))


# ------------------------------------------------------------------------------------------------- counterfactual pairs
def test_a_response_against_itself_padded_or_formatted() -> None:
    pairs = [talk(number) for number in range(20)]
    extras = make_extras(pairs, config(augment="counterfactual", plain_label=0.9))
    for pair, (made,) in zip(pairs, extras.added, strict=True):
        assert made.chosen in (pair.chosen, pair.rejected)
        assert made.label == 0.9
        plain, other = made.chosen[-1].content, made.rejected[-1].content  # type: ignore[union-attr]
        assert len(other) > len(plain)
    assert len(extras.entries) > 3  # several edits, each counted
    assert sum(entry.count for entry in extras.entries) == 20


def test_no_edit_applies() -> None:
    empty = [PreferencePair("p", "# a", "", prompt_id="p", label=0.5), PreferencePair("q", "", "# b", prompt_id="q")]
    extras = make_extras(empty * 4, config(augment="counterfactual", seed=1))
    assert {entry.reason for entry in extras.entries} >= {"counterfactual: no edit applies: nothing added"}


# ----------------------------------------------------------------------------------------------------------- rewordings
def test_rewordings_from_a_function_a_column_and_the_surface(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [talk(0), talk(1)]
    surface = make_extras(pairs, config(consistency=1.0)).rewordings
    assert len(surface) == 4
    assert {other[-1].content for other in surface.values()} <= {  # type: ignore[union-attr]
        f"{number}: I {do} care. {gap}Ask him {word}."
        for number in (0, 1) for do in ("don't", "do not") for gap in ("", " ") for word in ("today", "then")
    }  # fmt: skip
    column = [replace(pairs[0], extra={"chosen_paraphrase": "No idea. Ask."}), pairs[1]]
    assert make_extras(column, config(consistency=1.0)).rewordings == {
        (pairs[0].prompt, pairs[0].chosen): (Message("assistant", "No idea. Ask."),)
    }
    module = types.ModuleType("words")
    module.shout = lambda texts: [text.upper() if "today" in text else None for text in texts]  # type: ignore[attr-defined]
    module.few = lambda texts: ["x"]  # type: ignore[attr-defined]
    module.odd = lambda texts: [3] * len(texts)  # type: ignore[attr-defined]
    module.bad = lambda texts: 1 / 0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "words", module)
    shouted = make_extras(pairs, config(consistency=1.0, paraphraser="words:shout"))
    assert [other[-1].content for other in shouted.rewordings.values()] == [  # type: ignore[union-attr]
        "0: I DO NOT CARE. ASK HIM TODAY.", "1: I DO NOT CARE. ASK HIM TODAY.",
    ]  # fmt: skip
    for name, told in (("few", "gave 1 texts for 4"), ("odd", "3 in place of a text"), ("bad", "ZeroDivisionError")):
        with pytest.raises(InputError, match=told):
            make_extras(pairs, config(consistency=1.0, paraphraser=f"words:{name}"))


def test_options_out_of_range() -> None:
    for options, told in (
        ({"augment": "cda"}, "augment: there is no 'cda'; there are: rrm, counterfactual"),
        ({"paraphraser": "a:b"}, "give its weight"),
        ({"plain_label": 0.4}, "plain_label = 0.4"),
        ({"consistency": -1.0}, "consistency = -1.0"),
        ({"augment_per_pair": 0}, "augment_per_pair = 0"),
    ):
        with pytest.raises(InputError, match=told):
            config(**options)


# ---------------------------------------------------------------------------------------------------------------- trees
@pytest.mark.parametrize("group", [False, True])
def test_what_is_added_shares_the_tree(group: bool, reward: RewardModel) -> None:
    pairs = [talk(0), replace(talk(0), chosen=(Message("assistant", "Three."),)), talk(1), talk(2)]
    extras = make_extras(pairs, config(augment="rrm,counterfactual", consistency=1.0))
    plain = build_units(pairs, reward.encoder, group=group)
    units = build_units(pairs, reward.encoder, group=group, extras=extras)
    assert len(units.units) == len(plain.units)
    assert units.n_pairs == len(pairs) + extras.n_added
    assert plain.n_tokens < units.n_tokens < units.n_padded_tokens
    sequences = lambda unit: [unit.tree.root + branch for branch in unit.tree.branches]  # noqa: E731
    for one, other in zip(plain.units, units.units, strict=True):
        assert sequences(one) == sequences(other)[: len(one.tree.branches)]  # the tree's root may end earlier
        assert one.chosen == other.chosen[: len(one.chosen)]
        assert other.twins
    batch = pair_batch(units.units, len(units.units), {pair.prompt_id: np.ones(2) for pair in pairs})
    assert float(batch.weight.sum()) == pytest.approx(1.0)
    texts = [sequence for unit in units.units for sequence in sequences(unit)]  # of the whole step, in order
    wanted = [(sequences(unit)[a], sequences(unit)[b]) for unit in units.units for a, b in unit.twins]
    assert batch.twins is not None
    assert [(texts[one], texts[other]) for one, other in batch.twins.tolist()] == wanted
    assert batch.twin_weight is not None
    assert batch.twin_weight.sum(dim=0).tolist() == pytest.approx([1.0, 1.0])


# ----------------------------------------------------------------------------------------------------------------- loss
def test_the_penalty_is_the_reference() -> None:
    rng = np.random.default_rng(0)
    reward_RH = rng.normal(size=(6, 2))
    weight = rng.random((2, 2))
    batch = PairBatch(
        chosen=torch.tensor([0]), rejected=torch.tensor([1]), label=torch.tensor([1.0]),
        strength=torch.tensor([float("nan")]), weight=torch.tensor([1.0]), head_weight=torch.ones(1, 2),
        twins=torch.tensor([[0, 2], [1, 5]]), twin_weight=torch.from_numpy(weight),
    )  # fmt: skip
    found = float(PairLoss("bt", consistency=10.0)(torch.from_numpy(reward_RH), batch))
    apart = np.stack([consistency_penalty(reward_RH[[0, 1], head], reward_RH[[2, 5], head]) for head in (0, 1)], axis=1)
    wanted = float(bradley_terry_loss(reward_RH[0] - reward_RH[1]).mean()) + 10 * float(
        (weight * apart).mean(axis=1).sum()
    )
    assert found == pytest.approx(wanted)
    assert consistency_penalty([1.0, 2.0], [1.0, 5.0]).tolist() == [0.0, 9.0]


# ------------------------------------------------------------------------------------------------------------- training
ALL: dict[str, Any] = {"augment": "rrm,counterfactual", "consistency": 1.0}


@pytest.mark.parametrize("options", [{}, {"group": True, "heads": 2}, {"freeze_below": 2}], ids=str)
def test_packing_does_not_change_training(
    options: dict[str, Any], lm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KARAT_CACHE", str(tmp_path / "cache"))
    pairs = [talk(number) for number in range(8)]
    losses = []
    for tokens in (4096, 150):
        result = karat.train(
            pairs, out=tmp_path / str(tokens), model=lm, lr=1e-3, max_steps=2, test_fraction=0, pairs_per_step=4,
            tokens_per_pack=tokens, **ALL, **options,
        )  # fmt: skip
        losses.append(result.values["losses"])
        assert result.values["added_pairs"] == 16
        assert result.values["rewordings"] == 16
        assert "16 of them added" in result.lead
    np.testing.assert_allclose(losses[1], losses[0], rtol=2e-4)


@pytest.mark.parametrize(
    "options", [{}, {"freeze_below": 2, "heads": 2}, {"group": True, "attributes": "help"}], ids=str
)
def test_a_stopped_run_resumes_to_the_same_weights(
    options: dict[str, Any], lm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KARAT_CACHE", str(tmp_path / "cache"))
    pairs = [
        replace(pair, prompt=f"{pair.prompt_id} {pair.prompt_id[-1] * 9}", chosen=f"I do not. {pair.chosen}.")
        for pair in toy_pairs(24)
    ]
    both = {"lr": 3e-3, "max_steps": 4, "save_steps": 2, "test_fraction": 0, "model": lm, **ALL, **options}

    def stop(stage: str, done: int, *_: object) -> None:
        if (stage, done) == ("training", 3):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        karat.train(pairs, out=tmp_path / "killed", progress=stop, **both)
    with pytest.raises(InputError, match=r"differs in .*extras"):  # other columns, other rewordings
        karat.train(
            [replace(pair, extra={"chosen_paraphrase": "no"}) for pair in pairs], out=tmp_path / "killed", **both
        )
    resumed = karat.train(pairs, out=tmp_path / "killed", **both)
    whole = karat.train(pairs, out=tmp_path / "whole", **both)
    assert resumed.values["losses"] == whole.values["losses"]
    for name, tensor in load_file(tmp_path / "whole" / "model.safetensors").items():
        assert torch.equal(load_file(tmp_path / "killed" / "model.safetensors")[name], tensor), name


def test_held_out_pairs_are_left_as_they_are(lm: str, tmp_path: Path) -> None:
    pairs = [talk(number) for number in range(20)]
    options: dict[str, Any] = {"model": lm, "max_steps": 1, "test_fraction": 0.4}
    plain = karat.train(pairs, out=tmp_path / "a", **options).values
    more = karat.train(pairs, out=tmp_path / "b", **options, **ALL).values
    assert more["n_pairs"] == plain["n_pairs"]
    assert more["train_pairs"] == 3 * plain["train_pairs"]
