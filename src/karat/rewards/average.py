"""Weight averaging of reward models (WARM, Rame et al. 2024, arXiv 2401.12187): `average:A,B`.

One network with the mean of the weights of several: the cost of one, where an ensemble costs all. It means something
only for models that were trained from the same starting weights; that cannot be seen from the files, what can is
checked: architecture, vocabulary, template, encoding and heads must be the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from karat.errors import InputError, ModelError
from karat.rewards.model import RewardModel, resolve_model
from karat.types import TOKENS_PER_PACK

PASSING = ("_name_or_path", "transformers_version", "dtype", "torch_dtype", "id2label", "label2id", "architectures")
"""Entries of a configuration that do not decide what the network computes."""


def load_average(
    paths: Sequence[str], *, name: str, max_length: int = 0, tokens_per_pack: int = TOKENS_PER_PACK
) -> RewardModel:
    """The reward model whose weights are the mean of those of several, each counting alike.

    Args:
        paths: karat folders or sequence-classification folders or hub names, two or more.
        name: what the reward is called.
    Raises: InputError: fewer than two. ModelError: they differ in architecture, vocabulary, template, encoding, heads
        or the shape of a weight; the message says in what.
    """
    if len(paths) < 2:
        raise InputError(f"{name!r} names {len(paths)} reward models; an average needs at least 2: average:A,B.")
    options: dict[str, Any] = {"max_length": max_length, "tokens_per_pack": tokens_per_pack}
    first = RewardModel.load(resolve_model(paths[0]), **options)
    total = {key: tensor.double() for key, tensor in _weights(first).items()}
    for path in paths[1:]:
        other = RewardModel.load(resolve_model(path), **options)
        _require_alike(first, other)
        for key, tensor in _weights(other).items():
            total[key] += tensor.double()
    with torch.no_grad():
        for key, tensor in _weights(first).items():
            tensor.copy_(total[key] / len(paths))
    first.name = name
    first.manifest = {}  # that of the first model, which this one is not
    return first


def _weights(reward: RewardModel) -> dict[str, torch.Tensor]:
    """Every weight once, by name (a head is one of them); they share memory with the network."""
    return {key: parameter.data for key, parameter in reward.net.named_parameters()}


def _require_alike(first: RewardModel, other: RewardModel) -> None:
    def refuse(what: str) -> None:
        raise ModelError(
            f"{first.name} and {other.name} cannot be averaged: {what}. Average checkpoints of one base model and one "
            "template, or combine their scores instead (ensemble:A,B)."
        )

    one, two = _architecture(first), _architecture(other)
    differing = sorted(key for key in one.keys() | two.keys() if one.get(key) != two.get(key))
    if differing:
        key = differing[0]
        refuse(f"architectures differ ({key}: {one.get(key)!r} and {two.get(key)!r})")
    if first.encoder.tokenizer.get_vocab() != other.encoder.tokenizer.get_vocab():
        refuse("their tokenizers have different vocabularies")
    if first.encoder.chat_template != other.encoder.chat_template:
        refuse("their chat templates differ")
    if first.encoder.hash() != other.encoder.hash():
        refuse("they encode text differently (longest input, special tokens or EOS)")
    if first.head_names != other.head_names or not torch.equal(first.net.combine_H, other.net.combine_H):
        refuse(f"their heads differ ({', '.join(first.head_names)}; {', '.join(other.head_names)})")
    shapes, others = ({k: tuple(v.shape) for k, v in _weights(reward).items()} for reward in (first, other))
    if shapes != others:
        key = sorted(key for key in shapes.keys() | others.keys() if shapes.get(key) != others.get(key))[0]
        refuse(f"weight {key} has shape {shapes.get(key)} and {others.get(key)}")


def _architecture(reward: RewardModel) -> dict[str, Any]:
    config = reward.model.config.to_dict()
    return {key: value for key, value in config.items() if key not in PASSING and not key.endswith("_token_id")}
