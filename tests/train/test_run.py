"""Training end to end on a tiny decoder: it learns, resumes exactly, saves what it says, and refuses what it must."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

import karat
from karat.data import write_pairs
from karat.errors import DataError, InputError, ModelError, ResourceError
from karat.rewards import Group, RewardModel
from karat.train import TrainConfig
from karat.train.checkpoints import COMPLETE
from karat.types import Message, PreferencePair, TokenIds
from rewards.tiny import byte_tokenizer, save_tiny
from train.toy import toy_model, toy_pairs

FAST: dict[str, Any] = {"lr": 3e-3, "epochs": 2.0, "test_fraction": 0.2, "max_length": 64}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> str:
    return toy_model(tmp_path_factory.mktemp("lm"))


# ---------------------------------------------------------------------------------------------------------- it learns
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"group": True},
        {"heads": 3},
        {"lora": 4},
        {"freeze_below": 2},
        {"loss": "robust"},
        {"loss": "margin"},
        {"loss": "strength"},
        {"center": 0.01},
        {"attributes": "help=1,tone=0.1"},
        {"gradient_checkpointing": True},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_learns_and_saves_a_plain_model(
    options: dict[str, Any], lm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KARAT_CACHE", str(tmp_path / "cache"))
    result = karat.train(toy_pairs(), out=tmp_path / "rm", model=lm, **{**FAST, **options})
    assert result.values["accuracy"] >= 0.9
    losses = result.values["losses"]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    assert len(losses) == result.values["steps"]
    assert result.values["accuracy_low"] <= result.values["accuracy"] <= result.values["accuracy_high"]
    assert not (tmp_path / "rm" / "checkpoints").exists()

    reward = RewardModel.load(str(tmp_path / "rm"))
    score = reward.score([Group("q1", ("good one",))])[0][0].value
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "rm").eval()
    tree = reward.encoder.encode(Group("q1", ("good one",))).tree
    with torch.no_grad():
        logit = float(plain(input_ids=torch.tensor([tree.root + tree.branches[0]])).logits[0, 0])
    assert logit == pytest.approx(score, rel=1e-4, abs=1e-5)


def test_manifest_holds_what_the_numbers_rest_on(lm: str, tmp_path: Path) -> None:
    result = karat.train(toy_pairs(), out=tmp_path / "rm", model=lm, seed=3, **FAST)
    manifest = json.loads((tmp_path / "rm" / "karat.json").read_text())
    assert manifest["seed"] == 3
    assert manifest["metrics"]["accuracy"] == result.values["accuracy"]
    assert manifest["data"]["train_pairs"] + manifest["data"]["test_pairs"] == 60
    assert manifest["config"]["lr"] == FAST["lr"]
    assert len(manifest["encoding"]["hash"]) == 16
    assert manifest["normaliser"]["n"] == 2 * manifest["data"]["test_pairs"]
    assert set(manifest["versions"]) == {"karat", "torch", "transformers", "python"}


def test_attributes_are_heads_whose_weighted_sum_is_the_score(lm: str, tmp_path: Path) -> None:
    karat.train(toy_pairs(), out=tmp_path / "rm", model=lm, **FAST, attributes="help=2,tone=-0.5")
    reward = RewardModel.load(str(tmp_path / "rm"))
    assert reward.head_names == ("help", "tone")
    score = reward.score([Group("q1", ("good one",))])[0][0]
    assert score.value == pytest.approx(2 * score.heads[0] - 0.5 * score.heads[1], rel=1e-5)
    ratings = json.loads((tmp_path / "rm" / "karat.json").read_text())["ratings"]
    assert ratings["help"]["std"] > 0


# --------------------------------------------------------------------------------------------- the step and its packing
@pytest.mark.parametrize("options", [{}, {"group": True, "heads": 2}, {"freeze_below": 2, "group": True}], ids=str)
def test_packing_does_not_change_training(
    options: dict[str, Any], lm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One large pack, many small ones, and packs so small that a tree is split between branches: the same steps."""
    monkeypatch.setenv("KARAT_CACHE", str(tmp_path / "cache"))
    losses = []
    for tokens in (4096, 60, 12):
        out = tmp_path / str(tokens)
        result = karat.train(
            toy_pairs(24), out=out, model=lm, lr=1e-3, max_steps=4, test_fraction=0, tokens_per_pack=tokens, **options
        )
        losses.append(result.values["losses"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=2e-4)
    np.testing.assert_allclose(losses[2], losses[0], rtol=2e-4)


def test_frozen_layers_stay_and_the_rest_moves(lm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KARAT_CACHE", str(tmp_path / "cache"))
    karat.train(toy_pairs(), out=tmp_path / "rm", model=lm, **FAST, freeze_below=2)
    before = load_file(Path(lm) / "model.safetensors")
    after = weights(tmp_path / "rm")
    for name, tensor in before.items():
        frozen = any(part in name for part in ("embed_tokens", "layers.0.", "layers.1."))
        if name in after:
            assert torch.equal(after[name], tensor) == frozen, name


def test_cached_training_is_the_uncached_one(lm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Freezing with the cache gives the losses of freezing by hand: the cache is an optimisation, not a method."""
    monkeypatch.setenv("KARAT_CACHE", str(tmp_path / "cache"))
    options = {"lr": 1e-3, "max_steps": 4, "test_fraction": 0.0, "freeze_below": 2}
    first = karat.train(toy_pairs(24), out=tmp_path / "a", model=lm, **options).values["losses"]
    assert list((tmp_path / "cache" / "trunk").glob("*.npy"))
    again = karat.train(toy_pairs(24), out=tmp_path / "b", model=lm, **options).values["losses"]
    assert first == again  # the second run reads what the first wrote


# ------------------------------------------------------------------------------------------------------------- resuming
RUN = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import karat
from train.toy import toy_pairs
def progress(stage, done, total, note=""):
    if stage == "training" and done == {kill_at}:
        os.kill(os.getpid(), signal.SIGKILL)
karat.train(toy_pairs(), out={out!r}, model={lm!r}, lr=3e-3, epochs=2.0, test_fraction=0.2, max_length=64,
            save_steps=3, heads=2, loss="robust", progress=progress)
"""


def run(lm: str, out: Path, *, kill_at: int) -> int:
    code = RUN.format(tests=str(Path(__file__).parents[1]), out=str(out), lm=lm, kill_at=kill_at)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, env=os.environ).returncode


@pytest.mark.parametrize("kills", [(4,), (2, 8)], ids=str)
def test_killed_run_resumes_to_the_same_weights(kills: tuple[int, ...], lm: str, tmp_path: Path) -> None:
    for step in kills:
        assert run(lm, tmp_path / "killed", kill_at=step) == -signal.SIGKILL
    assert run(lm, tmp_path / "killed", kill_at=-1) == 0
    assert run(lm, tmp_path / "whole", kill_at=-1) == 0
    resumed, whole = weights(tmp_path / "killed"), weights(tmp_path / "whole")
    assert resumed.keys() == whole.keys()
    for name in whole:
        assert torch.equal(resumed[name], whole[name]), name


@pytest.mark.parametrize(
    "options",
    [{"lora": 4}, {"freeze_below": 2}, {"group": True, "attributes": "help", "gradient_checkpointing": True}],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_every_way_to_train_resumes_to_the_same_weights(
    options: dict[str, Any], lm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adapters, cached layers and attribute heads are checkpointed and taken up as the whole network is."""
    monkeypatch.setenv("KARAT_CACHE", str(tmp_path / "cache"))
    both = {"lr": 3e-3, "max_steps": 4, "save_steps": 2, "test_fraction": 0, **options}

    def stop(stage: str, done: int, *_: object) -> None:
        if (stage, done) == ("training", 3):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        karat.train(toy_pairs(24), out=tmp_path / "killed", model=lm, progress=stop, **both)
    resumed = karat.train(toy_pairs(24), out=tmp_path / "killed", model=lm, **both)
    whole = karat.train(toy_pairs(24), out=tmp_path / "whole", model=lm, **both)
    assert resumed.values["losses"] == whole.values["losses"]
    for name, tensor in weights(tmp_path / "whole").items():
        assert torch.equal(weights(tmp_path / "killed")[name], tensor), name


def test_checkpoint_without_its_marker_is_not_trusted(lm: str, tmp_path: Path) -> None:
    """Killed while a checkpoint was being written: the one before it counts."""
    out = tmp_path / "killed"
    assert run(lm, out, kill_at=7) == -signal.SIGKILL
    newest = out / "checkpoints" / "checkpoint-6"
    (newest / COMPLETE).unlink()
    (newest / "optimizer.pt").unlink()
    assert run(lm, out, kill_at=-1) == 0
    assert run(lm, tmp_path / "whole", kill_at=-1) == 0
    assert torch.equal(weights(out)["score.weight"], weights(tmp_path / "whole")["score.weight"])


def test_killed_after_the_last_step_takes_no_further_step(lm: str, tmp_path: Path) -> None:
    options = {**FAST, "max_steps": 3, "save_steps": 3}

    def stop(stage: str, *_: object) -> None:
        if stage == "evaluating":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        karat.train(toy_pairs(), out=tmp_path / "a", model=lm, progress=stop, **options)
    resumed = karat.train(toy_pairs(), out=tmp_path / "a", model=lm, **options)
    whole = karat.train(toy_pairs(), out=tmp_path / "b", model=lm, **options)
    assert resumed.values["losses"] == whole.values["losses"]
    assert torch.equal(weights(tmp_path / "a")["score.weight"], weights(tmp_path / "b")["score.weight"])


def test_other_request_in_the_same_folder_is_refused(lm: str, tmp_path: Path) -> None:
    assert run(lm, tmp_path / "o", kill_at=4) == -signal.SIGKILL
    with pytest.raises(InputError, match=r"unfinished run that differs in .*lr.*--overwrite"):
        karat.train(toy_pairs(), out=tmp_path / "o", model=lm, lr=1.0, epochs=2.0, test_fraction=0.2, max_length=64)


def test_finished_folder_is_not_overwritten_unasked(lm: str, tmp_path: Path) -> None:
    karat.train(toy_pairs(), out=tmp_path / "o", model=lm, max_steps=1)
    with pytest.raises(InputError, match="already holds a finished reward model"):
        karat.train(toy_pairs(), out=tmp_path / "o", model=lm, max_steps=1)
    karat.train(toy_pairs(), out=tmp_path / "o", model=lm, max_steps=1, overwrite=True)


def test_a_killed_overwrite_goes_on_by_the_same_command(lm: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"max_steps": 4, "save_steps": 2, "test_fraction": 0.2, "overwrite": True}
    karat.train(toy_pairs(), out=tmp_path / "o", model=lm, max_steps=1)

    def stop(stage: str, done: int, *_: object) -> None:
        if (stage, done) == ("training", 3):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        karat.train(toy_pairs(), out=tmp_path / "o", model=lm, progress=stop, **options)
    seen: list[int] = []
    karat.train(
        toy_pairs(), out=tmp_path / "o", model=lm, progress=lambda stage, done, *_: seen.append(done), **options
    )
    assert min(done for done in seen if done) == 3  # not from the start
    karat.train(toy_pairs(), out=tmp_path / "p", model=lm, **options)
    assert torch.equal(weights(tmp_path / "o")["score.weight"], weights(tmp_path / "p")["score.weight"])


def test_foreign_folder_is_not_written_into(lm: str, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="holds no karat run"):
        karat.train(toy_pairs(), out=tmp_path, model=lm, max_steps=1)


# ------------------------------------------------------------------------------------------------------------ bad input
def test_no_pairs(lm: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no preference pairs"):
        karat.train([], out=tmp_path / "o", model=lm)


def test_nothing_held_out_is_said_not_hidden(lm: str, tmp_path: Path) -> None:
    result = karat.train(toy_pairs(12), out=tmp_path / "o", model=lm, max_steps=1, test_fraction=0)
    assert [(f.code, f.verdict) for f in result.findings] == [("RM101", "not checked")]
    assert np.isnan(result.values["accuracy"])


def test_split_that_leaves_nothing_to_train_on(lm: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leaves no pair to train on"):
        karat.train(toy_pairs(3), out=tmp_path / "o", model=lm, test_fraction=0.999)


def test_margin_without_strengths(lm: str, tmp_path: Path) -> None:
    pairs = [PreferencePair("p", "a", f"b{i}", prompt_id="p") for i in range(4)]
    with pytest.raises(InputError, match="strength"):
        karat.train(pairs, out=tmp_path / "o", model=lm, loss="margin", test_fraction=0)


def test_nan_strengths_are_counted(lm: str, tmp_path: Path) -> None:
    pairs = toy_pairs(12)
    pairs[0] = PreferencePair("p", "a", "b", prompt_id="p", strength=float("nan"))
    values = karat.train(pairs, out=tmp_path / "o", model=lm, loss="margin", test_fraction=0, max_steps=1).values
    assert values["missing_strengths"] == 1


def test_strengths_below_0_do_not_stop_bradley_terry(lm: str, tmp_path: Path) -> None:
    pairs = [replace(pair, strength=-1.0) for pair in toy_pairs(12)]
    values = karat.train(pairs, out=tmp_path / "o", model=lm, test_fraction=0, max_steps=1).values
    assert np.isfinite(values["losses"]).all()


def test_token_ids_that_the_model_does_not_have_drop_their_pair(lm: str, tmp_path: Path) -> None:
    pairs = [PreferencePair("", TokenIds((5, 6 + i)), TokenIds((5, 40)), prompt_id=str(i), row=i) for i in range(6)]
    pairs.append(PreferencePair("", TokenIds((5, 300)), TokenIds((5, 7)), prompt_id="foreign", row=6))
    result = karat.train(pairs, out=tmp_path / "o", model=lm, test_fraction=0, max_steps=1)
    rows = next(table for table in result.tables if table.name == "account").rows
    assert [(row[0], row[2], row[3]) for row in rows] == [("dropped", 1, "6")]
    assert "vocabulary of 300" in rows[0][1]
    assert result.values["train_pairs"] == 6
    with pytest.raises(DataError, match="none of 1 pairs could be encoded: a token id lies outside"):
        karat.train(pairs[-1:], out=tmp_path / "p", model=lm, test_fraction=0)


def test_pairs_in_memory_are_held_to_what_readers_promise(lm: str, tmp_path: Path) -> None:
    """Found before the training, not by the evaluation after it."""
    with pytest.raises(DataError, match=r"pair 1 has the label 0.2; it must lie in \[0.5, 1\]"):
        karat.train([*toy_pairs(1), PreferencePair("p", "a", "b", label=0.2)], out=tmp_path / "o", model=lm)
    same = PreferencePair("p", "a", "a", prompt_id="p")
    with pytest.raises(DataError, match=r"in memory that can be used: chosen equals rejected \(1\)"):
        karat.train([same], out=tmp_path / "o", model=lm)
    unnamed = [replace(pair, prompt_id="") for pair in toy_pairs(30)]
    result = karat.train([*unnamed, same], out=tmp_path / "o", model=lm, max_steps=1, test_fraction=0.3)
    rows = next(table for table in result.tables if table.name == "account").rows
    assert rows == (
        ("dropped", "chosen equals rejected", 1, "30"),
        ("changed", "no prompt_id: made from the prompt", 30, "0, 1, 2, 3, 4"),
    )
    assert 0 < result.values["n_prompts"] < 10


def test_rows_of_the_held_out_source_are_accounted_for(lm: str, tmp_path: Path) -> None:
    write_pairs(tmp_path / "test.jsonl", toy_pairs(8))
    with (tmp_path / "test.jsonl").open("a") as file:
        file.write("not json\n")
    result = karat.train(
        toy_pairs(8), out=tmp_path / "o", model=lm, max_steps=1, test_data=str(tmp_path / "test.jsonl")
    )
    rows = next(table for table in result.tables if table.name == "account_test").rows
    assert rows == (("dropped", "line is not JSON", 1, "8"),)


def test_columns_and_split_are_read_as_asked(lm: str, tmp_path: Path) -> None:
    rows = [{"q": f"q{i}", "win": "good", "lose": f"bad {i}", "chosen": "x", "rejected": "x"} for i in range(6)]
    for name, n in (("train", 6), ("test", 4)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:n]))
    result = karat.train(
        tmp_path, out=tmp_path / "o", model=lm, max_steps=1, split="train", test_data=str(tmp_path), test_split="test",
        prompt_key="q", chosen_key="win", rejected_key="lose",
    )  # fmt: skip
    assert (result.values["train_pairs"], result.values["n_pairs"]) == (6, 4)
    assert result.provenance["data"]["source"].endswith("[train]")


def test_the_lead_says_what_was_trained_and_what_it_reached(lm: str, tmp_path: Path) -> None:
    result = karat.train(toy_pairs(), out=tmp_path / "a", model=lm, **FAST)
    values = result.values
    assert f"Trained on {values['train_pairs']} pairs of pairs in memory" in result.lead
    assert f"orders {values['accuracy']:.1%}" in result.lead
    none = karat.train(toy_pairs(6), out=tmp_path / "b", model=lm, max_steps=1, test_fraction=0)
    assert "none was held out, so nothing is known" in none.lead


def test_losses_stand_at_their_steps_whatever_log_steps(lm: str, tmp_path: Path) -> None:
    result = karat.train(toy_pairs(24), out=tmp_path / "a", model=lm, max_steps=6, log_steps=3, test_fraction=0)
    table = next(table for table in result.tables if table.name == "losses")
    assert [row[0] for row in table.rows] == [3, 6]


def test_unknown_attribute_names_what_there_is(lm: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no rating of 'wit'; they carry: help \(\d+\), tone \(\d+\)"):
        karat.train(toy_pairs(), out=tmp_path / "o", model=lm, attributes="wit")


def test_conversations_need_a_chat_template(tmp_path: Path) -> None:
    lm = save_tiny(tmp_path / "lm", tokenizer=byte_tokenizer(chat_template=""))
    user, good, bad = (Message("user", "hi"),), (Message("assistant", "yes"),), (Message("assistant", "no"),)
    pairs = [PreferencePair(user, good, bad, prompt_id="a")]
    with pytest.raises(ModelError, match="has no chat template"):
        karat.train(pairs, out=tmp_path / "o", model=str(lm), test_fraction=0)


def test_overlong_pairs_are_cut_and_counted(lm: str, tmp_path: Path) -> None:
    pairs = [*toy_pairs(12), PreferencePair("x" * 200, "good", "bad", prompt_id="x", row=12)]
    result = karat.train(pairs, out=tmp_path / "o", model=lm, max_length=32, test_fraction=0, max_steps=1)
    rows = next(table for table in result.tables if table.name == "account").rows
    assert ("changed", "longer than 32 tokens: oldest prompt tokens cut", 1, "12") in rows


def test_overlong_held_out_pairs_are_counted(lm: str, tmp_path: Path) -> None:
    held_out = [*toy_pairs(4), PreferencePair("x" * 200, "good", "bad", prompt_id="x", row=12)]
    result = karat.train(toy_pairs(6), out=tmp_path / "o", model=lm, max_length=64, test_pairs=held_out, max_steps=1)
    rows = next(table for table in result.tables if table.name == "account").rows
    assert rows == (("changed", "held out, longer than 64 tokens: responses scored on what was left", 2, ""),)


def test_freezing_too_many_layers(lm: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the model has 4 layers"):
        karat.train(toy_pairs(), out=tmp_path / "o", model=lm, freeze_below=9)
    with pytest.raises(InputError, match="leaves no layer to train"):
        karat.train(toy_pairs(), out=tmp_path / "p", model=lm, freeze_below=4)


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 228160 vs 228048"),
    ],
    ids=["the file system's", "torch's archive writer"],
)
def test_full_disk_while_saving_a_checkpoint_names_the_remedy(
    error: Exception, lm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from karat.train.trainer import TreeTrainer

    def full(self: object, *_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(TreeTrainer, "_save_optimizer_and_scheduler", full)
    with pytest.raises(ResourceError, match=r"the disk is full.*Earlier checkpoints are kept"):
        karat.train(toy_pairs(), out=tmp_path / "o", model=lm, **{**FAST, "max_steps": 4}, save_steps=2)
    monkeypatch.undo()
    resumed = karat.train(toy_pairs(), out=tmp_path / "o", model=lm, **{**FAST, "max_steps": 4}, save_steps=2)
    assert resumed.values["steps"] == 4


def test_full_disk_of_the_cache_is_met_before_it_is_filled(
    lm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write into a mapped file on a full disk would end the process with a signal."""
    monkeypatch.setenv("KARAT_CACHE", str(tmp_path / "cache"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ResourceError, match=r"cannot write the cache of frozen activations.*Make room there"):
        karat.train(toy_pairs(6), out=tmp_path / "o", model=lm, max_steps=1, test_fraction=0, freeze_below=2)
    assert not list((tmp_path / "cache" / "trunk").iterdir())


def test_divergence_is_an_error_not_a_number(lm: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="training has diverged"):
        karat.train(toy_pairs(), out=tmp_path / "o", model=lm, lr=1e20, warmup=0.0, schedule="constant", epochs=3)


@pytest.mark.parametrize(
    ("option", "value"),
    [("pairs_per_step", 0), ("epochs", 0.0), ("lr", -1.0), ("flip_rate", 0.5), ("heads", 0), ("test_fraction", 1.0)],
)
def test_options_out_of_range_name_the_range(option: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{option} = .* is out of range"):
        TrainConfig(**{option: value})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schedule": "cosin"}, r"schedule = 'cosin' is not known; there are: linear, cosine"),
        ({"report_to": "nosuch"}, r"the tracker 'nosuch' is not installed"),
    ],
)
def test_names_for_transformers_are_checked_before_anything_is_done(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        karat.train("no such file", out=tmp_path / "o", **options)
    assert not (tmp_path / "o").exists()


def test_options_that_exclude_each_other() -> None:
    with pytest.raises(InputError, match="exclude each other"):
        TrainConfig(lora=8, freeze_below=2)
    with pytest.raises(InputError, match="exclude each other"):
        TrainConfig(heads=2, attributes="auto")


# ------------------------------------------------------------------------------------------------- nothing is lost late
def test_held_out_pairs_that_cannot_be_encoded_are_missing_and_the_model_is_saved(lm: str, tmp_path: Path) -> None:
    bad = [
        PreferencePair("p", (Message("user", "x"),), (Message("user", "y"),), prompt_id=f"bad {i}", row=i)
        for i in range(2)
    ]
    held_out = [*toy_pairs(8), *bad]
    result = karat.train(toy_pairs(24), out=tmp_path / "rm", model=lm, test_pairs=held_out, lr=3e-3, max_steps=2)
    assert (tmp_path / "rm" / "karat.json").exists()
    assert result.values["n_missing"] == 2


def test_a_mistyped_model_does_not_block_the_folder(lm: str, tmp_path: Path) -> None:
    with pytest.raises((ModelError, ResourceError, InputError)):
        karat.train(toy_pairs(8), out=tmp_path / "rm", model=str(tmp_path / "typo"), max_steps=1)
    karat.train(toy_pairs(8), out=tmp_path / "rm", model=lm, max_steps=1, test_fraction=0.0)
    assert (tmp_path / "rm" / "karat.json").exists()


def test_checkpoints_that_are_not_karats_are_never_removed(lm: str, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "mine.pt").write_text("mine")
    with pytest.raises(InputError, match="is not karat's"):
        karat.train(toy_pairs(8), out=tmp_path, model=lm, max_steps=1, overwrite=True)
    assert (tmp_path / "checkpoints" / "mine.pt").exists()


def test_several_processes_are_refused(lm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="WORLD_SIZE is 2"):
        karat.train(toy_pairs(8), out=tmp_path / "rm", model=lm, max_steps=1)
