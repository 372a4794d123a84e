"""Pairs as vectors: hidden states of each response given its prompt, and of the prompt, averaged over their tokens.

A response's vector is the mean over its own tokens of the hidden states that enter a layer, the response standing
behind its prompt; a prompt's is the mean over the prompt's tokens. The first token of a sequence is left out (decoders
park attention on it, and its state is many times larger than all others) unless it is the only one. The layers above
do not run. A vector depends on its text, its prompt, the model, the layer and the limit of length, and on nothing that
is computed beside it; so each is kept on disk under those, and computed once.

Axes: P pairs, D hidden size, N tokens of a pack.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from karat.errors import DataError, InputError
from karat.rewards.default_model import cache_root, default_model_path
from karat.rewards.groups import Group
from karat.rewards.vector_store import Stored, VectorStore
from karat.types import NAN, TOKENS_PER_PACK, PreferencePair, Text

if TYPE_CHECKING:
    from karat.rewards.backbone import RewardNet
    from karat.rewards.encoding import Encoder
    from karat.rewards.tree import Piece, TokenTree

DEPTH = 0.87
"""Of the layers, where the hidden states are read by default: 26 of the built-in model's 30. Linear heads on means of
these ordered 68 % of held-out pairs of hh-rlhf (benchmarks/audit_noise.py); last tokens of layer 20 gave 65 %."""
MIN_LENGTH = 8
TEXTS_AT_ONCE = 256
VERSION = 1
"""Of how vectors are made; kept ones of another number are not used."""


@dataclass(frozen=True, slots=True)
class PairVectors:
    """Hidden states of P pairs, float32.

    Attributes:
        chosen_PD, rejected_PD: of each response given its prompt; NaN where a sequence has no tokens.
        prompt_PD: of each prompt alone; NaN where the prompt is empty.
        missing: by pair index, why a response has no vector.
        layer: the states that enter this layer, counted from 0.
        n_cut: responses that the limit of length cut, or whose prompt it cut.
    """

    chosen_PD: np.ndarray
    rejected_PD: np.ndarray
    prompt_PD: np.ndarray
    missing: dict[int, str]
    layer: int
    n_cut: int

    def difference(self) -> np.ndarray:
        """Chosen less rejected, (P, D): what a linear head without intercept reads."""
        return np.asarray(self.chosen_PD - self.rejected_PD)


class _Item(NamedTuple):
    """A response given its prompt, or (None) the prompt alone."""

    prompt: Text
    tools: str
    response: Text | None


class _Sequence(NamedTuple):
    item: _Item
    ids: tuple[int, ...]
    start: int
    """First token that is averaged."""
    is_cut: bool


def pair_vectors(
    pairs: Sequence[PreferencePair],
    model: str = "default",
    *,
    layer: int = 0,
    max_length: int = 512,
    cache: bool = True,
    progress: Callable[..., None] | None = None,
) -> PairVectors:
    """Vectors of both responses and of the prompt of each pair.

    Args:
        pairs: P pairs; equal prompts and equal responses to a prompt are computed once.
        model: folder or hub name of a decoder language model or reward model; "default": the built-in one.
        layer: hidden states that enter this layer, 1 to the number of layers - 1; 0: at 87 % of the depth.
        max_length: tokens of prompt and response together; a longer prompt loses its oldest.
        cache: keep vectors in the user's cache folder, and use those that are there.
        progress: called as progress(stage, done, total, note).
    Raises: InputError: no such layer, or a limit of length below 8. ModelError, ResourceError: the model cannot be
        loaded, or has no chat template and the data holds conversations.
    """
    if max_length < MIN_LENGTH:
        raise InputError(f"max_length = {max_length}: vectors need at least {MIN_LENGTH} tokens of text.")
    folder, fingerprint, n_layers = _model_facts(model)
    at = layer or min(max(1, round(DEPTH * n_layers)), n_layers - 1)
    if not 1 <= at < n_layers:
        raise InputError(f"layer = {layer}: {model!r} has {n_layers} layers; name one of 1 to {n_layers - 1}, or 0.")
    items = list(dict.fromkeys(item for pair in pairs for item in _items_of(pair)))
    facts = json.dumps([VERSION, fingerprint, at, max_length])
    keys = {item: hashlib.sha256(repr(tuple(item)).encode()).digest() for item in items}
    store = VectorStore(cache_root() / "vectors" / f"{hashlib.sha256(facts.encode()).hexdigest()[:32]}.sqlite", cache)
    found = store.read(keys.values())
    absent = [item for item in items if keys[item] not in found]
    if absent:
        for batch in _computed(absent, folder, layer=at, max_length=max_length, progress=progress):
            named = {keys[item]: stored for item, stored in batch.items()}
            store.write(named)
            found |= named
    return _assembled(pairs, {item: found[key] for item, key in keys.items()}, at)


def _items_of(pair: PreferencePair) -> tuple[_Item, _Item, _Item]:
    prompt, tools = pair.prompt, pair.tools
    return _Item(prompt, tools, None), _Item(prompt, tools, pair.chosen), _Item(prompt, tools, pair.rejected)


def _assembled(pairs: Sequence[PreferencePair], stored: dict[_Item, Stored], layer: int) -> PairVectors:
    width = max((each.vector_D.size for each in stored.values()), default=0)
    out_3PD = np.full((3, len(pairs), width), NAN, dtype=np.float32)
    missing: dict[int, str] = {}
    for index, pair in enumerate(pairs):
        for side, item in enumerate(_items_of(pair)):
            each = stored[item]
            if each.vector_D.size:
                out_3PD[side, index] = each.vector_D
            elif side:
                missing[index] = each.missing
    n_cut = sum(each.is_cut for item, each in stored.items() if item.response is not None)
    return PairVectors(out_3PD[1], out_3PD[2], out_3PD[0], missing, layer, n_cut)


# ------------------------------------------------------------------------------------------------------------ the model
def _model_facts(model: str) -> tuple[str, str, int]:
    """What to load, what identifies its weights and tokens, and its number of layers; without loading torch if it can.

    A folder is identified by its place and the sizes and times of its files, a hub model by name and revision.
    """
    name = str(default_model_path()) if model == "default" else model
    if Path(name).is_dir():
        files = sorted(file for file in Path(name).iterdir() if file.is_file())
        facts = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        return name, json.dumps([str(Path(name).resolve()), facts]), _n_layers(name, Path(name) / "config.json")
    n_layers = _n_layers(name, None)
    from huggingface_hub import try_to_load_from_cache

    held = try_to_load_from_cache(name, "config.json")
    return name, f"{name} {Path(held).parent.name}" if isinstance(held, str) else name, n_layers


def _n_layers(name: str, config: Path | None) -> int:
    if config is not None and config.is_file():
        held: Any = json.loads(config.read_text(encoding="utf-8"))
        held = held.get("text_config", held)
        if isinstance(held.get("num_hidden_layers"), int):
            return int(held["num_hidden_layers"])
    from karat.rewards.backbone import load_config

    return int(load_config(name).get_text_config().num_hidden_layers)


def _load(folder: str, max_length: int) -> tuple[RewardNet, Encoder]:
    import torch

    from karat.rewards.backbone import load_config, load_network
    from karat.rewards.encoding import Encoder, EncodingPolicy
    from karat.rewards.model import load_tokenizer

    classifies = any("SequenceClassification" in name for name in load_config(folder).architectures or ())
    net, _ = load_network(folder, n_heads=None if classifies else 1)
    net.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    vocabulary = int(net.trunk.config.get_text_config().vocab_size)
    return net, Encoder(load_tokenizer(folder), EncodingPolicy(max_length=max_length), vocabulary=vocabulary)


# ------------------------------------------------------------------------------------------------------ computing them
def _computed(
    items: Sequence[_Item], folder: str, *, layer: int, max_length: int, progress: Callable[..., None] | None
) -> Iterator[dict[_Item, Stored]]:
    """Vectors batch by batch, whole prompts in each, so that what is done is kept when the run is ended."""
    net, encoder = _load(folder, max_length)
    by_prompt: dict[tuple[Text, str], list[_Item]] = {}
    for item in items:
        by_prompt.setdefault((item.prompt, item.tools), []).append(item)
    batch: list[list[_Item]] = []
    done = held = 0
    groups = list(by_prompt.values())
    for index, group in enumerate(groups):
        batch.append(group)
        held += len(group)
        if held >= TEXTS_AT_ONCE or index == len(groups) - 1:
            yield _batch_vectors(batch, net, encoder, layer)
            done += held
            batch, held = [], 0
            if progress:
                progress("hidden states", done, len(items), "texts")


def _batch_vectors(
    groups: Sequence[Sequence[_Item]], net: RewardNet, encoder: Encoder, layer: int
) -> dict[_Item, Stored]:
    from karat.rewards.backbone import hidden_below
    from karat.rewards.tree import TokenTree, pack_trees, plan_packs

    out: dict[_Item, Stored] = {}
    forests: list[list[_Sequence]] = []
    for group in groups:
        sequences, failed = _sequences(group, encoder)
        out |= failed
        for is_cut in (False, True):  # those that lost tokens share less of the prompt: a tree of their own
            members = [sequence for sequence in sequences if sequence.is_cut is is_cut]
            forests += [members] if members else []
    trees = [TokenTree.from_sequences([sequence.ids for sequence in members]) for members in forests]
    for pieces in plan_packs(trees, TOKENS_PER_PACK):
        pack = pack_trees([trees[piece.tree].subset(piece.branches) for piece in pieces])
        hidden_ND = hidden_below(net, pack, layer).float().cpu().numpy()
        out |= _pooled(pieces, trees, forests, hidden_ND)
    return out


def _sequences(group: Sequence[_Item], encoder: Encoder) -> tuple[list[_Sequence], dict[_Item, Stored]]:
    """Token sequences of a prompt and its responses, each encoded alone; and the texts that have none, with why."""
    sequences: list[_Sequence] = []
    failed: dict[_Item, Stored] = {}
    asked = [item for item in group if item.response is not None]
    singles = [Group(item.prompt, (item.response,), item.tools) for item in asked if item.response is not None]
    for item, single, encoded in zip(asked, singles, encoder.encode_each(singles) if singles else [], strict=True):
        if isinstance(encoded, DataError):
            failed[item] = Stored.without(str(encoded))
            continue
        ids = encoded.tree.root + encoded.tree.branches[0]
        start = min(encoder.response_start(single, encoded), len(ids) - 1)
        sequences.append(_Sequence(item, ids, max(start, min(1, len(ids) - 1)), encoded.is_truncated))
    for item in group:
        if item.response is None:
            whole = encoder.prompt_ids(Group(item.prompt, ("",), item.tools))
            if whole:
                kept = tuple(whole[-encoder.policy.max_length :])
                sequences.append(_Sequence(item, kept, min(1, len(kept) - 1), len(kept) < len(whole)))
            else:
                failed[item] = Stored.without("the prompt is empty")
    return sequences, failed


def _pooled(
    pieces: Sequence[Piece], trees: Sequence[TokenTree], forests: Sequence[Sequence[_Sequence]], hidden_ND: np.ndarray
) -> dict[_Item, Stored]:
    """Means over the tokens of each sequence of a pack, from its start; sums in float64."""
    out: dict[_Item, Stored] = {}
    at = 0
    for piece in pieces:
        tree, members = trees[piece.tree], forests[piece.tree]
        n_root = len(tree.root)
        root_ND = hidden_ND[at : at + n_root]
        at += n_root
        for branch in piece.branches:
            n_branch, sequence = len(tree.branches[branch]), members[branch]
            own_ND = hidden_ND[at : at + n_branch][max(sequence.start - n_root, 0) :]
            at += n_branch
            total_D = own_ND.sum(axis=0, dtype=np.float64) + root_ND[sequence.start :].sum(axis=0, dtype=np.float64)
            mean_D = (total_D / (len(sequence.ids) - sequence.start)).astype(np.float32)
            out[sequence.item] = Stored(mean_D, sequence.is_cut, "")
    return out
