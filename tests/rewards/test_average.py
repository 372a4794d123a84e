"""Weight averaging: scores of the hand-made mean of the weights, and models that must not be averaged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from karat.errors import InputError, ModelError
from karat.rewards import Group, RewardModel, load_reward
from karat.rewards.model import load_reward_for_training, replace_head, save_reward_model
from rewards.tiny import byte_tokenizer, save_tiny

GROUPS = [Group("What is 2 + 2?", (" 4", " 5, surely")), Group("Say hi", (" hi",))]


def made(folder: Path, seed: int, *, family: str = "llama", template: str | None = None, heads: int = 1) -> Path:
    """A karat folder: random weights by the seed."""
    tokenizer = byte_tokenizer() if template is None else byte_tokenizer(chat_template=template)
    path = save_tiny(folder / f"lm{seed}{family}", family, seed=seed, tokenizer=tokenizer)
    reward = load_reward_for_training(str(path), n_heads=heads, max_length=256, dtype=torch.float32, seed=seed)
    if heads > 1:
        reward.head_names = tuple(f"head_{i}" for i in range(heads))
    out = folder / f"rm{seed}{family}{heads}{len(template or '')}"
    save_reward_model(reward, out, {})
    return out


def values(reward: object) -> list[float]:
    return [score.value for scores in reward.score(GROUPS) for score in scores]  # type: ignore[attr-defined]


def averaged_by_hand(folders: list[Path], out: Path) -> Path:
    states = [AutoModelForSequenceClassification.from_pretrained(folder).state_dict() for folder in folders]
    model = AutoModelForSequenceClassification.from_pretrained(folders[0])
    model.load_state_dict({key: sum(state[key] for state in states) / len(states) for key in states[0]})
    shutil.copytree(folders[0], out)
    model.save_pretrained(out)
    return out


def test_scores_equal_those_of_the_hand_averaged_model(tmp_path: Path) -> None:
    folders = [made(tmp_path, seed) for seed in (1, 2, 3)]
    by_hand = RewardModel.load(str(averaged_by_hand(folders, tmp_path / "hand")))
    reward = load_reward("average:" + ",".join(map(str, folders)))
    assert values(reward) == pytest.approx(values(by_hand), rel=1e-5)
    single = [values(load_reward(str(folder))) for folder in folders]
    assert all(abs(own[0] - values(reward)[0]) > 1e-3 for own in single)
    assert reward.name.startswith("average:")
    assert reward.head_names == ("reward",)


def test_the_average_of_a_model_with_itself_is_itself(tmp_path: Path) -> None:
    folder = made(tmp_path, 1)
    assert values(load_reward(f"average:{folder},{folder}")) == pytest.approx(values(load_reward(str(folder))))


def test_plain_folders_average_like_karats(tmp_path: Path) -> None:
    folders = [made(tmp_path, seed) for seed in (1, 2)]
    wanted = values(load_reward("average:" + ",".join(map(str, folders))))
    for folder in folders:
        (folder / "karat.json").unlink()
    plain = load_reward("average:" + ",".join(map(str, folders)))
    assert values(plain) == pytest.approx(wanted, rel=1e-6)


def test_heads_are_averaged_each(tmp_path: Path) -> None:
    folders = [made(tmp_path, seed, heads=2) for seed in (1, 2)]
    reward = load_reward("average:" + ",".join(map(str, folders)))
    assert isinstance(reward, RewardModel)
    assert reward.head_names == ("head_0", "head_1")
    both = [RewardModel.load(str(folder)).net.head.weight for folder in folders]
    assert torch.allclose(reward.net.head.weight, (both[0] + both[1]) / 2)


def test_models_that_differ_are_refused_by_what_differs(tmp_path: Path) -> None:
    first = made(tmp_path, 1)
    other_template = made(tmp_path, 2, template="{% for m in messages %}{{ m['content'] }}{% endfor %}")
    two_heads = made(tmp_path, 3, heads=2)
    for other, message in (
        (made(tmp_path, 4, family="qwen2"), "architectures differ"),
        (other_template, "their chat templates differ"),
        (two_heads, r"their heads differ \(reward; head_0, head_1\)"),
    ):
        with pytest.raises(ModelError, match=message):
            load_reward(f"average:{first},{other}")


def test_another_vocabulary_and_another_combination_are_refused(tmp_path: Path) -> None:
    first, second = made(tmp_path, 1), made(tmp_path, 2)
    file = second / "tokenizer.json"
    file.write_text(file.read_text().replace('"<|start|>"', '"<|begin|>"'))
    with pytest.raises(ModelError, match="different vocabularies"):
        load_reward(f"average:{first},{second}")
    one, two = (RewardModel.load(str(made(tmp_path, seed, heads=2))) for seed in (5, 6))
    replace_head(two.net, two.net.head.weight.detach(), torch.tensor([0.9, 0.1]))
    save_reward_model(two, tmp_path / "weighted", {})
    save_reward_model(one, tmp_path / "even", {})
    with pytest.raises(ModelError, match="their heads differ"):
        load_reward(f"average:{tmp_path / 'even'},{tmp_path / 'weighted'}")


def test_one_model_is_no_average(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="names 1 reward models; an average needs at least 2: average:A,B"):
        load_reward(f"average:{tmp_path}")
