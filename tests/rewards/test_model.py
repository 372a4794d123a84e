"""Reward models on disk: the same scores in karat, transformers and TRL; heads; the pad token; a full disk."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from karat.errors import ModelError, ResourceError
from karat.rewards import Group, RewardModel, load_reward
from karat.rewards.model import (
    MANIFEST,
    choose_pad_token,
    load_reward_for_training,
    replace_head,
    save_reward_model,
)
from karat.types import Message, TokenIds
from rewards.tiny import byte_tokenizer, save_tiny

GROUPS = [
    Group("What is 2 + 2?", (" 4", " 5, surely", "")),
    Group("Say hi", (" hi",)),
]
CHATS = [
    Group((Message("user", "hi"),), ((Message("assistant", "hello"),), (Message("assistant", "go away"),))),
]


def trained(folder: Path, *, heads: int = 1, pad: str = "<pad>") -> RewardModel:
    """A reward model with random heads over a tiny decoder."""
    path = save_tiny(folder / "lm", tokenizer=byte_tokenizer(pad=pad))
    reward = load_reward_for_training(str(path), n_heads=heads, max_length=256, dtype=torch.float32, seed=1)
    if heads > 1:
        reward.head_names = tuple(f"head_{i}" for i in range(heads))
    reward.net.eval()
    return reward


def values(reward: RewardModel, groups: list[Group] = GROUPS) -> list[float]:
    return [score.value for scores in reward.score(groups) for score in scores]


def test_a_group_that_cannot_be_scored_does_not_take_others_with_it(tmp_path: Path) -> None:
    reward = trained(tmp_path)
    good, mixed, empty = (
        Group("p", (" a", " bb")),
        Group("q", ((Message("assistant", "x"),),)),
        Group(TokenIds(()), (TokenIds(()),)),
    )
    scores = reward.score([good, mixed, empty, good])
    assert [score.value for score in scores[0]] == pytest.approx(values(reward, [good]), rel=1e-5)
    assert [score.value for score in scores[3]] == pytest.approx(values(reward, [good]), rel=1e-5)
    assert "must be plain text, both conversations" in scores[1][0].missing
    assert "without tokens" in scores[2][0].missing
    assert np.isnan([scores[1][0].value, scores[2][0].value]).all()


def test_saved_and_loaded_scores_are_the_same(tmp_path: Path) -> None:
    reward = trained(tmp_path)
    save_reward_model(reward, tmp_path / "rm", {"seed": 1})
    again = RewardModel.load(str(tmp_path / "rm"))
    assert values(again) == pytest.approx(values(reward), rel=1e-6)
    assert again.encoder.hash() == reward.encoder.hash()
    assert again.manifest["seed"] == 1


@pytest.mark.parametrize("pad", ["<pad>", "</s>"])
def test_plain_transformers_gives_the_same_scores_padded(pad: str, tmp_path: Path) -> None:
    """The folder read by transformers alone, right-padded, whatever the pad token was (EOS included)."""
    reward = trained(tmp_path, pad=pad)
    save_reward_model(reward, tmp_path / "rm", {})
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "rm").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "rm")
    assert model.config.num_labels == 1
    assert tokenizer.pad_token_id == model.config.pad_token_id != tokenizer.eos_token_id
    for groups in (GROUPS, CHATS):
        trees = [item.tree for item in reward.encoder.encode_many(groups)]
        ids = [list(tree.root + branch) for tree in trees for branch in tree.branches]
        batch = tokenizer.pad({"input_ids": ids}, return_tensors="pt", padding_side="right")
        with torch.no_grad():
            logits = model(**batch).logits[:, 0]
        assert logits.tolist() == pytest.approx(values(reward, groups), rel=1e-4, abs=1e-6)


def test_trl_grpo_scores_conversations_the_same(tmp_path: Path) -> None:
    """TRL's GRPO tokenises with the template, without special tokens, and pads right: the same numbers."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    reward = trained(tmp_path)
    save_reward_model(reward, tmp_path / "rm", {})
    prompt = [{"role": "user", "content": "hi"}]
    completions = [[{"role": "assistant", "content": text}] for text in ("hello", "go away")]
    trainer = GRPOTrainer(
        model=str(tmp_path / "lm"),
        reward_funcs=str(tmp_path / "rm"),
        args=GRPOConfig(
            output_dir=str(tmp_path / "o"),
            per_device_train_batch_size=2,
            num_generations=2,
            use_cpu=True,
            bf16=False,
            report_to="none",
        ),
        train_dataset=Dataset.from_list([{"prompt": prompt}] * 2),
        processing_class=byte_tokenizer(),
    )
    inputs = [{"prompt": prompt}] * 2
    rewards = trainer._calculate_rewards(inputs, [prompt] * 2, completions, [[1], [1]])
    assert rewards[:, 0].tolist() == pytest.approx(values(reward, CHATS), rel=1e-4, abs=1e-6)


def test_files_of_an_earlier_model_are_not_read_beside_the_new_one(tmp_path: Path) -> None:
    """A template, heads or shards that the new model does not have would change its scores."""
    save_reward_model(trained(tmp_path / "a", heads=3), tmp_path / "rm", {})
    (tmp_path / "rm" / "model-00001-of-00002.safetensors").write_bytes(b"old")
    (tmp_path / "rm" / "notes.txt").write_text("mine")
    path = save_tiny(tmp_path / "b" / "lm", tokenizer=byte_tokenizer(chat_template=""))
    reward = load_reward_for_training(str(path), n_heads=1, max_length=256, dtype=torch.float32, seed=1)
    save_reward_model(reward, tmp_path / "rm", {})
    names = {file.name for file in (tmp_path / "rm").iterdir()}
    assert not names & {"chat_template.jinja", "karat_heads.safetensors", "model-00001-of-00002.safetensors"}
    assert "notes.txt" in names
    with pytest.raises(ModelError, match="no chat template"):
        values(RewardModel.load(str(tmp_path / "rm")), CHATS)


def test_another_chat_template_than_in_training_is_refused(tmp_path: Path) -> None:
    save_reward_model(trained(tmp_path), tmp_path / "rm", {})
    RewardModel.load(str(tmp_path / "rm"), max_length=64)  # another limit is the caller's choice
    (tmp_path / "rm" / "chat_template.jinja").write_text("{{ messages }}")
    with pytest.raises(ModelError, match=r"not those of the training.*remove \"hash\""):
        RewardModel.load(str(tmp_path / "rm"))
    manifest = json.loads((tmp_path / "rm" / MANIFEST).read_text())
    del manifest["encoding"]["hash"]
    (tmp_path / "rm" / MANIFEST).write_text(json.dumps(manifest))
    RewardModel.load(str(tmp_path / "rm"))


def test_heads_file_that_is_cut_short_is_named(tmp_path: Path) -> None:
    save_reward_model(trained(tmp_path, heads=3), tmp_path / "rm", {})
    (tmp_path / "rm" / "karat_heads.safetensors").write_bytes(b"short")
    with pytest.raises(ModelError, match=r"karat_heads.safetensors cannot be read.*Copy the folder again"):
        RewardModel.load(str(tmp_path / "rm"))


def test_token_ids_that_the_model_does_not_have_are_missing_with_the_reason(tmp_path: Path) -> None:
    reward = trained(tmp_path)
    good = Group(TokenIds(()), (TokenIds((5, 6)), TokenIds((5, 299))))
    bad = Group(TokenIds(()), (TokenIds((5, 6)), TokenIds((5, 300))))
    scores = reward.score([good, bad])
    assert not any(score.is_missing for score in scores[0])
    assert all("outside the model's vocabulary of 300" in score.missing for score in scores[1])


def test_several_heads_come_back_with_their_mean_as_the_score(tmp_path: Path) -> None:
    reward = trained(tmp_path, heads=5)
    save_reward_model(reward, tmp_path / "rm", {})
    again = RewardModel.load(str(tmp_path / "rm"))
    assert again.head_names == reward.head_names
    for mine, theirs in zip(reward.score(GROUPS), again.score(GROUPS), strict=True):
        for a, b in zip(mine, theirs, strict=True):
            assert b.heads == pytest.approx(a.heads, rel=1e-6)
            assert b.value == pytest.approx(np.mean(a.heads), rel=1e-5)
            assert b.spread == pytest.approx(np.std(a.heads, ddof=1), rel=1e-5)
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "rm").eval()
    ids = reward.encoder.encode(GROUPS[1]).tree
    with torch.no_grad():
        logit = float(plain(input_ids=torch.tensor([ids.root + ids.branches[0]])).logits[0, 0])
    assert logit == pytest.approx(values(reward)[-1], rel=1e-4, abs=1e-6)


def test_weighted_heads_sum_to_the_score(tmp_path: Path) -> None:
    reward = trained(tmp_path, heads=2)
    replace_head(reward.net, reward.net.head.weight.detach().clone(), torch.tensor([0.75, -2.0]))
    score = reward.score(GROUPS)[0][0]
    assert score.value == pytest.approx(0.75 * score.heads[0] - 2.0 * score.heads[1], rel=1e-6)


def test_heads_that_do_not_fit_the_manifest_are_refused(tmp_path: Path) -> None:
    save_reward_model(trained(tmp_path, heads=3), tmp_path / "rm", {})
    manifest = json.loads((tmp_path / "rm" / MANIFEST).read_text())
    manifest["heads"]["names"] = ["a", "b"]
    (tmp_path / "rm" / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="mixes two runs"):
        RewardModel.load(str(tmp_path / "rm"))


def test_plain_checkpoint_with_several_outputs_is_no_reward(tmp_path: Path) -> None:
    path = save_tiny(tmp_path / "lm")
    AutoModelForSequenceClassification.from_pretrained(path, num_labels=3).save_pretrained(tmp_path / "three")
    byte_tokenizer().save_pretrained(tmp_path / "three")
    with pytest.raises(ModelError, match="has 3 outputs; a reward has one"):
        RewardModel.load(str(tmp_path / "three"))


def test_score_that_is_not_finite_is_missing_with_a_reason(tmp_path: Path) -> None:
    reward = trained(tmp_path)
    with torch.no_grad():
        reward.net.head.weight.fill_(float("nan"))
    score = reward.score(GROUPS)[0][0]
    assert np.isnan(score.value)
    assert "not finite" in score.missing


def test_reference_scores_are_those_of_the_model(tmp_path: Path) -> None:
    manifest = save_reward_model(trained(tmp_path), tmp_path / "rm", {})
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "rm").eval()
    for reference in manifest["reference_scores"]:
        with torch.no_grad():
            logit = float(model(input_ids=torch.tensor([reference["ids"]])).logits[0, 0])
        assert logit == pytest.approx(reference["score"], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
    ],
    ids=["the file system's", "safetensors' own", "torch's archive writer"],
)
def test_full_disk_keeps_the_old_model_usable(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reward = trained(tmp_path)
    save_reward_model(reward, tmp_path / "rm", {"run": "old"})
    before = values(RewardModel.load(str(tmp_path / "rm")))

    def full(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(type(reward.model), "save_pretrained", full)
    with pytest.raises(ResourceError, match=r"the disk is full.*make room"):
        save_reward_model(reward, tmp_path / "rm", {"run": "new"})
    monkeypatch.undo()
    again = RewardModel.load(str(tmp_path / "rm"))
    assert again.manifest["run"] == "old"
    assert values(again) == before
    assert not (tmp_path / "rm" / ".saving").exists()


def test_pad_is_never_eos() -> None:
    for pad in ("<pad>", "</s>", "<s>"):
        tokenizer = byte_tokenizer(pad=pad)
        chosen = choose_pad_token(tokenizer, 300)
        assert chosen != tokenizer.eos_token_id
        assert tokenizer.pad_token_id == chosen
    with pytest.raises(ModelError, match="no special token besides EOS"):
        choose_pad_token(byte_tokenizer(pad="</s>"), 0)  # nothing lies inside an embedding of size 0


def test_template_tokens_are_not_taken_for_padding() -> None:
    """`<|end|>` closes every turn of the template: as a pad token it would hide the last token of a conversation."""
    tokenizer = byte_tokenizer(pad="</s>")
    choose_pad_token(tokenizer, 300)
    assert tokenizer.pad_token not in ("<|start|>", "<|end|>")


def test_folder_is_a_reward_by_name(tmp_path: Path) -> None:
    save_reward_model(trained(tmp_path), tmp_path / "rm", {})
    assert load_reward(str(tmp_path / "rm")).head_names == ("reward",)
