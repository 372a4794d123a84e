"""The network of a reward model: a decoder LLM of transformers with a linear head, run over packed token trees."""

from __future__ import annotations

import contextlib
import logging
import math
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from karat.errors import KaratError, ModelError, ResourceError
from karat.rewards import attention
from karat.rewards.tree import TokenTree, TreePack, pack_trees

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PARITY_TOLERANCE = 2e-3
"""Largest difference between tree and separate forwards, relative to the spread of hidden states, at load time."""


_LOAD_ERRORS = (OSError, ValueError, KeyError, RuntimeError, EOFError, SafetensorError, pickle.UnpicklingError)
"""What transformers lets through from configs, weight files that are cut short, and the hub."""


class RewardNet(nn.Module):
    """Trunk and heads: packed token trees in, one reward per read position and head out.

    Attributes:
        trunk: the decoder without its language-model head (transformers' base model).
        head: Linear(D, H) without bias.
        combine_H: how the heads make the scalar reward: reward = sum_h combine_h * head_h (buffer).
    """

    trunk: PreTrainedModel
    head: nn.Linear
    combine_H: Tensor

    def __init__(self, trunk: PreTrainedModel, head: nn.Linear, combine_H: Tensor) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head
        self.register_buffer("combine_H", combine_H.to(torch.float32))

    def hidden(self, pack: TreePack, *, backend: attention.Backend | None = None) -> Tensor:
        """Hidden states at the read positions after the final norm, (R, D)."""
        pack = pack.to(self.head.weight.device)
        out = self.trunk(
            input_ids=pack.tokens_N[None],
            position_ids=pack.position_N[None],
            use_cache=False,
            tree=pack,
            tree_backend=backend,
        )
        return cast(Tensor, out.last_hidden_state[0].index_select(0, pack.read_R))

    def forward(self, pack: TreePack) -> Tensor:
        """Rewards of all heads at the read positions, (R, H), float32."""
        # in float32 whatever the trunk: bfloat16 would round a reward of 4 to a 64th, and margins to ties
        return torch.nn.functional.linear(self.hidden(pack).float(), self.head.weight.float())


# ------------------------------------------------------------------------------------------------------------ loading
def load_network(
    path: str, *, n_heads: int | None, dtype: torch.dtype = torch.float32, seed: int = 0
) -> tuple[RewardNet, Any]:
    """A folder or hub name as a RewardNet, and the transformers model that owns its parts (for saving).

    Args:
        path: causal LM or sequence-classification checkpoint.
        n_heads: heads wanted; None: as many as a sequence-classification checkpoint has (a causal LM is refused).
        dtype: type of the weights.
        seed: of the head's initial weights, when the checkpoint has none.
    Raises: ModelError: not a decoder that trees cover, another head count, not a reward model, weights that are
        missing or do not fit. ResourceError: hub.
    """
    config = load_config(path)
    classifies = any("SequenceClassification" in name for name in config.architectures or ())
    if n_heads is None and not classifies:
        raise ModelError(
            f"{path} is a {', '.join(config.architectures or ['model without architecture'])}, not a reward model. "
            "Train one from it with `karat train`, or name a sequence-classification checkpoint."
        )
    wanted = n_heads or config.num_labels
    if classifies and n_heads is not None and config.num_labels != n_heads:
        raise ModelError(
            f"{path} has a head with {config.num_labels} outputs, but {n_heads} were asked for. "
            f"Use --heads {config.num_labels}, or start from the language model that it was trained from."
        )
    model = _load_classifier(path, wanted, dtype, fresh_head=not classifies)
    head = getattr(model, "score", None)
    if not isinstance(head, nn.Linear):
        raise ModelError(f"{path}: {type(model).__name__} has no linear `score` head; karat covers decoder LLMs.")
    if getattr(head, "bias", None) is not None:
        raise ModelError(f"{path}: the reward head has a bias, which a scalar reward does not identify.")
    if not classifies:
        init_head(head, seed)
    _disable_dropout(model)
    trunk = getattr(model, model.base_model_prefix)
    net = RewardNet(trunk, head, torch.full((wanted,), 1.0 / wanted))
    if not getattr(trunk, "_supports_attention_backend", False):
        raise ModelError(f"{path}: {type(trunk).__name__} does not take attention back ends, which token trees need.")
    before = trunk.config._attn_implementation
    check = _parity_sample(net)
    model.set_attn_implementation(attention.NAME)
    _check_parity(net, check, path, before)
    return net, model


def _load_classifier(path: str, n_heads: int, dtype: torch.dtype, *, fresh_head: bool) -> Any:
    """The transformers model with every weight from the checkpoint, but for a head that it need not have.

    transformers fills what a checkpoint lacks with random numbers and a warning; a reward must not be random.
    """
    from transformers import AutoModelForSequenceClassification
    from transformers.utils import logging as transformers_logging

    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.ERROR)  # what it would warn of is checked here
    try:
        model, report = _load(
            AutoModelForSequenceClassification.from_pretrained,
            path,
            num_labels=n_heads,
            dtype=dtype,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    finally:
        transformers_logging.set_verbosity(verbosity)
    _require_complete(path, report, frozenset({"score.weight"}) if fresh_head else frozenset())
    return model


def load_whole(auto: Any, path: str) -> Any:
    """A model by one of transformers' auto classes, in float32, every weight from the checkpoint; for other heads.

    Raises: ModelError, ResourceError: as `load_network`.
    """
    model, report = _load(auto.from_pretrained, path, dtype=torch.float32, output_loading_info=True)
    _require_complete(path, report, frozenset())
    return model


def _require_complete(path: str, report: Mapping[str, Any], may_lack: frozenset[str]) -> None:
    """Raises ModelError where the checkpoint lacks weights, or holds some of another shape than its config says."""
    mismatched = sorted(report["mismatched_keys"])
    if mismatched:
        name, held, wanted = mismatched[0]
        raise ModelError(
            f"{path}: {len(mismatched)} weights have another shape than config.json asks for (first: {name}, "
            f"{list(held)} in the file, {list(wanted)} asked for). Restore the config or the weights that belong to it."
        )
    missing = sorted(set(report["missing_keys"]) - may_lack)
    if missing:
        raise ModelError(
            f"{path}: the checkpoint lacks {len(missing)} of the model's weights (first: {missing[0]}), which would be "
            "random numbers. Copy or download it again, or save it with all of its weights."
        )


def load_config(path: str) -> Any:
    """The configuration of a folder or hub name. Raises ModelError or ResourceError, as `load_network`."""
    from transformers import AutoConfig

    return _load(AutoConfig.from_pretrained, path)


def init_head(head: nn.Linear, seed: int) -> None:
    """Seeded N(0, 1/(D + 1)) weights (Stiennon et al. 2020, arXiv 2009.01325, appendix B.1)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        std = 1.0 / math.sqrt(head.in_features + 1)
        head.weight.copy_(torch.randn(head.weight.shape, generator=generator) * std)


def _load(load: Any, path: str, **options: Any) -> Any:
    """Call a from_pretrained and turn its many errors into one that names the model and the remedy."""
    try:
        return load(path, **options)
    except _LOAD_ERRORS as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")
        if Path(path).exists():
            raise ModelError(
                f"cannot load {path} as a model: {first}. Check that its files are whole and belong together."
            ) from error
        raise ResourceError(
            f"no model at {path!r}: it is not a folder here, and the hub did not give it ({first}). "
            "Check the name, the network and HF_HUB_OFFLINE, or name a local folder."
        ) from error


def _disable_dropout(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if getattr(module, "attention_dropout", 0.0):
            setattr(module, "attention_dropout", 0.0)  # noqa: B010 - not declared on nn.Module


# -------------------------------------------------------------------------------------------- self-check when loading
def _parity_trees(vocabulary: int) -> list[TokenTree]:
    ids = torch.randint(0, vocabulary, (40,), generator=torch.Generator().manual_seed(0)).tolist()
    return [TokenTree(tuple(ids[:7]), (tuple(ids[7:12]), tuple(ids[12:21]))), TokenTree((), (tuple(ids[21:30]),))]


@torch.no_grad()
def _parity_sample(net: RewardNet) -> Tensor:
    """Hidden states of a few short sequences by separate, plain forwards, (R, D)."""
    was_training = net.training
    net.eval()
    rows = []
    for tree in _parity_trees(net.trunk.config.get_text_config().vocab_size):
        for branch in tree.branches:
            ids = torch.tensor([tree.root + branch], device=net.head.weight.device)
            rows.append(net.trunk(input_ids=ids, use_cache=False).last_hidden_state[0, -1])
    net.train(was_training)
    return torch.stack(rows).float()


@torch.no_grad()
def _check_parity(net: RewardNet, separate_RD: Tensor, path: str, before: str) -> None:
    """Refuse a model whose tree forward differs from separate forwards: whatever it does, trees do not cover it."""
    vocabulary = net.trunk.config.get_text_config().vocab_size
    was_training = net.training
    net.eval()
    try:
        trees_RD = net.hidden(pack_trees(_parity_trees(vocabulary))).float()
    except KaratError:
        raise
    except (TypeError, RuntimeError, ValueError) as error:
        raise ModelError(f"{path}: {type(net.trunk).__name__} cannot be run over token trees ({error}).") from error
    finally:
        net.train(was_training)
    scale = separate_RD.abs().max().clamp_min(1e-12)
    error_rate = float((trees_RD - separate_RD).abs().max() / scale)
    tolerance = PARITY_TOLERANCE if net.head.weight.dtype == torch.float32 else 0.1
    if not error_rate < tolerance:
        raise ModelError(
            f"{path}: token trees give hidden states that differ from separate forwards ({before}) by {error_rate:.1e} "
            f"of their size (at most {tolerance:g} allowed). karat does not cover {type(net.trunk).__name__}."
        )


# ------------------------------------------------------------------------------------------------------ frozen layers
class _Cached(nn.Module):
    """Stands where a frozen layer was: hands on what was computed before."""

    def forward(self, hidden_states: Tensor, *_: Any, tree: TreePack, **__: Any) -> Tensor:
        if tree.hidden_ND is None:
            raise ModelError("the frozen layers were taken out, but the pack carries no cached activations.")
        return tree.hidden_ND[None].to(hidden_states.dtype)


def decoder_layers(net: RewardNet) -> nn.ModuleList:
    """The trunk's list of layers. Raises ModelError when it is not called `layers` (or `h`, GPT-2's name)."""
    for name in ("layers", "h"):
        layers = getattr(net.trunk, name, None)
        if isinstance(layers, nn.ModuleList):
            return layers
    raise ModelError(
        f"{type(net.trunk).__name__} keeps its layers under no name that karat knows; do not freeze layers."
    )


@contextlib.contextmanager
def without_frozen_layers(net: RewardNet, freeze_below: int) -> Iterator[None]:
    """While open, layers below `freeze_below` are replaced by the packs' cached activations (TreePack.hidden_ND)."""
    layers = decoder_layers(net)
    kept = [layers[index] for index in range(freeze_below)]
    for index in range(freeze_below):
        layers[index] = _Cached()
    try:
        yield
    finally:
        for index, layer in enumerate(kept):
            layers[index] = layer


class _StopForward(Exception):  # noqa: N818 - control flow, never seen outside
    """Raised by a hook to leave the forward pass once the wanted layer has run."""


@torch.no_grad()
def hidden_below(net: RewardNet, pack: TreePack, layer: int) -> Tensor:
    """Activations that enter layer `layer`, for all tokens of the pack, (N, D); the layers above do not run."""
    caught: list[Tensor] = []

    def stop(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        caught.append(args[0] if args else kwargs["hidden_states"])
        raise _StopForward

    handle = decoder_layers(net)[layer].register_forward_pre_hook(stop, with_kwargs=True)
    try:
        net.hidden(pack)
    except _StopForward:
        pass
    finally:
        handle.remove()
    return caught[0][0]
