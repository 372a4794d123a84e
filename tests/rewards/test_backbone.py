"""The forward pass over token trees is the separate forward passes, for every family and back end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForSequenceClassification, GPT2Config, GPT2LMHeadModel

from karat.errors import ModelError, ResourceError
from karat.rewards import attention
from karat.rewards.backbone import RewardNet, hidden_below, load_network, without_frozen_layers
from karat.rewards.model import score_trees
from karat.rewards.tree import TokenTree, pack_trees
from rewards.tiny import CONFIGS, VOCABULARY, save_tiny

TOLERANCE = 1e-5


def random_trees(seed: int = 0, n_branches: tuple[int, ...] = (1, 2, 2, 30, 3)) -> list[TokenTree]:
    rng = np.random.default_rng(seed)

    def ids(low: int, high: int) -> tuple[int, ...]:
        return tuple(rng.integers(3, VOCABULARY, int(rng.integers(low, high))).tolist())

    return [TokenTree(ids(0, 60), tuple(ids(1, 50) for _ in range(n))) for n in n_branches]


def separate_scores(folder: Path, head_HD: Tensor, trees: list[TokenTree], eager: bool) -> tuple[Tensor, RewardNet]:
    """Scores by plain forward passes of the stock model, one sequence at a time, (R, H)."""
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=len(head_HD), attn_implementation="eager" if eager else "sdpa", dtype=torch.float32
    ).eval()
    model.score.weight.data.copy_(head_HD)
    rows = [model(input_ids=torch.tensor([t.root + b]), use_cache=False).logits[0] for t in trees for b in t.branches]
    return torch.stack(rows), model


@pytest.mark.parametrize("family", CONFIGS)
def test_scores_and_gradients_equal_separate_forwards(family: str, tmp_path: Path) -> None:
    folder = save_tiny(tmp_path, family)
    net, _ = load_network(str(folder), n_heads=2)
    trees = random_trees()
    scores = net(pack_trees(trees))
    expected, model = separate_scores(folder, net.head.weight.detach(), trees, eager="softcap" in family)
    assert (scores - expected).abs().max() <= TOLERANCE * expected.abs().max()

    weights = torch.linspace(-1, 1, scores.numel()).view_as(scores)
    (scores * weights).sum().backward()
    (expected * weights).sum().backward()
    trunk = dict(getattr(model, model.base_model_prefix).named_parameters())
    for name, parameter in net.trunk.named_parameters():
        assert parameter.grad is not None, name
        error = (parameter.grad - trunk[name].grad).norm() / trunk[name].grad.norm().clamp_min(1e-12)
        assert error <= TOLERANCE, name


@torch.no_grad()
@pytest.mark.parametrize("backend", ["dense", "flex"])
@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.filterwarnings("ignore:flex_attention called without")
def test_back_ends_agree(family: str, backend: str, tmp_path: Path) -> None:
    net, _ = load_network(str(save_tiny(tmp_path, family)), n_heads=1)
    pack = pack_trees(random_trees(1))
    expected = net.hidden(pack, backend="blocks")
    assert (net.hidden(pack, backend=backend) - expected).abs().max() <= TOLERANCE * expected.abs().max()


@torch.no_grad()
def test_scores_do_not_depend_on_the_company(tmp_path: Path) -> None:
    """Alone, in another order, or split over small packs: the same scores."""
    net, _ = load_network(str(save_tiny(tmp_path)), n_heads=1)
    trees = random_trees(2)
    together = np.concatenate(score_trees(net, trees, tokens_per_pack=10_000))
    size = np.abs(together).max()
    alone = np.concatenate([score_trees(net, [tree], tokens_per_pack=10_000)[0] for tree in trees])
    backwards = np.concatenate(score_trees(net, trees[::-1], tokens_per_pack=10_000)[::-1])
    in_pieces = np.concatenate(score_trees(net, trees, tokens_per_pack=70))
    for other in (alone, backwards, in_pieces):
        assert np.abs(other - together).max() <= TOLERANCE * size


@torch.no_grad()
def test_many_and_long_branches(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path)
    net, _ = load_network(str(folder), n_heads=1)
    rng = np.random.default_rng(3)
    many = TokenTree((5,) * 20, tuple(tuple(rng.integers(3, VOCABULARY, 7).tolist()) for _ in range(256)))
    long = TokenTree(tuple(rng.integers(3, VOCABULARY, 500).tolist()), ((7,) * 900, (8,) * 700))
    scores = np.concatenate(score_trees(net, [many, long], tokens_per_pack=8192))
    expected, _ = separate_scores(folder, net.head.weight.detach(), [many, long], eager=False)
    assert np.abs(scores - expected.numpy()).max() <= TOLERANCE * np.abs(expected.numpy()).max()


def test_frozen_layers_by_cache_equal_the_whole_model(tmp_path: Path) -> None:
    for family in ("llama", "gemma3_window"):
        net, _ = load_network(str(save_tiny(tmp_path / family, family)), n_heads=1)
        trees = random_trees(4)
        with torch.no_grad():
            expected = net(pack_trees(trees))
            hidden = hidden_below(net, pack_trees(trees), 2).numpy()
        sizes = np.cumsum([tree.n_tokens for tree in trees])[:-1]
        with without_frozen_layers(net, 2):
            scores = net(pack_trees(trees, np.split(hidden, sizes)))
        assert torch.equal(scores, expected)
        assert torch.equal(net(pack_trees(trees)), expected)  # the layers are back


def test_tree_model_refuses_plain_padded_input(tmp_path: Path) -> None:
    _, model = load_network(str(save_tiny(tmp_path)), n_heads=1)
    with pytest.raises(ModelError, match="plain padded input"):
        model(input_ids=torch.tensor([[5, 6]]))


def test_model_without_attention_back_end_is_refused(tmp_path: Path) -> None:
    """A decoder whose forward does not follow the tree is refused when loaded, not silently mis-scored."""
    config = GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=1, n_head=4, n_positions=64)
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    try:
        net, _ = load_network(str(tmp_path), n_heads=1)
    except ModelError:
        return
    trees = random_trees(5, (2,))
    trees = [TokenTree(trees[0].root[:20], tuple(branch[:20] for branch in trees[0].branches))]
    scores = net(pack_trees(trees)).detach()
    expected, _ = separate_scores(tmp_path, net.head.weight.detach(), trees, eager=False)
    assert (scores - expected).abs().max() <= TOLERANCE * expected.abs().max()


def test_language_model_is_no_reward(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a reward model"):
        load_network(str(save_tiny(tmp_path)), n_heads=None)


def test_other_head_count_is_named(tmp_path: Path) -> None:
    save_tiny(tmp_path / "lm")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "lm", num_labels=5)
    model.save_pretrained(tmp_path / "rm")
    with pytest.raises(ModelError, match=r"head with 5 outputs, but 1 were asked.*--heads 5"):
        load_network(str(tmp_path / "rm"), n_heads=1)


def change_weights(folder: Path, change: Callable[[dict[str, Tensor]], Any]) -> Path:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_weights_that_the_checkpoint_lacks_are_never_random(tmp_path: Path) -> None:
    """transformers would draw them and warn; only the head of a language model is ours to draw."""
    folder = change_weights(save_tiny(tmp_path / "lm"), lambda t: t.pop("model.layers.2.mlp.up_proj.weight"))
    with pytest.raises(ModelError, match=r"lacks 1 of the model's weights \(first: model.layers.2.mlp.up_proj.weight"):
        load_network(str(folder), n_heads=1)
    save_tiny(tmp_path / "whole")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "whole", num_labels=1)
    model.save_pretrained(tmp_path / "rm")
    change_weights(tmp_path / "rm", lambda tensors: tensors.pop("score.weight"))
    with pytest.raises(ModelError, match=r"first: score.weight"):
        load_network(str(tmp_path / "rm"), n_heads=None)


def test_head_of_another_shape_than_the_config_says(tmp_path: Path) -> None:
    save_tiny(tmp_path / "lm")
    AutoModelForSequenceClassification.from_pretrained(tmp_path / "lm", num_labels=1).save_pretrained(tmp_path / "rm")
    change_weights(tmp_path / "rm", lambda tensors: tensors.update({"score.weight": torch.zeros(2, 32)}))
    with pytest.raises(ModelError, match=r"score.weight, \[2, 32\] in the file, \[1, 32\] asked for"):
        load_network(str(tmp_path / "rm"), n_heads=None)


@pytest.mark.parametrize("share", [0.02, 0.7])
def test_weights_that_are_cut_short_name_the_folder(share: float, tmp_path: Path) -> None:
    file = save_tiny(tmp_path) / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelError, match=r"cannot load .*Check that its files are whole"):
        load_network(str(tmp_path), n_heads=1)


def test_missing_model_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ResourceError, match=r"no model at 'nobody/nothing-here'.*HF_HUB_OFFLINE"):
        load_network("nobody/nothing-here", n_heads=1)
    with pytest.raises(ModelError, match="cannot load"):
        load_network(str(tmp_path), n_heads=1)


def test_gradient_checkpointing_computes_each_layer_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not once more for each chunk of queries."""
    net, model = load_network(str(save_tiny(tmp_path)), n_heads=1)
    pack = pack_trees([TokenTree(tuple(range(3, 203)), (tuple(range(3, 203)), tuple(range(4, 290))))])
    net.train()
    net(pack).sum().backward()
    plain = {name: parameter.grad.clone() for name, parameter in net.named_parameters() if parameter.grad is not None}
    net.zero_grad()
    model.gradient_checkpointing_enable({"use_reentrant": False})
    calls = 0
    attend = attention._by_blocks

    def counted(*arguments: Any) -> Tensor:
        nonlocal calls
        calls += 1
        return attend(*arguments)

    monkeypatch.setattr(attention, "_by_blocks", counted)
    net(pack).sum().backward()
    assert calls == 2 * model.config.num_hidden_layers
    for name, gradient in plain.items():
        assert torch.allclose(net.get_parameter(name).grad, gradient, rtol=1e-4, atol=1e-7), name
