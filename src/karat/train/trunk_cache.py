"""Activations of frozen layers, computed once, kept on disk, and read back by tree.

Axes: N tokens, D hidden size.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from karat.errors import ResourceError
from karat.rewards.backbone import RewardNet, decoder_layers, hidden_below
from karat.rewards.default_model import cache_root
from karat.rewards.tree import TokenTree, pack_trees, plan_packs

KEEP_BYTES = 20 << 30
"""Oldest caches are removed when all together exceed this."""


class TrunkCache:
    """Hidden states entering layer `layer` for a fixed list of trees, memory-mapped."""

    def __init__(self, file: Path, offsets: np.ndarray) -> None:
        self.file = file
        self._hidden_ND = np.load(file, mmap_mode="r")
        self._offsets = offsets

    def __getitem__(self, tree: int) -> np.ndarray:
        """Activations of one tree, (its tokens, D)."""
        return np.asarray(self._hidden_ND[self._offsets[tree] : self._offsets[tree + 1]])


def trunk_cache(
    net: RewardNet,
    trees: Sequence[TokenTree],
    *,
    layer: int,
    tokens_per_pack: int,
    progress: Callable[..., None] | None = None,
) -> TrunkCache:
    """Open the cache of these trees under these weights, computing it first where it is not there.

    The key covers the frozen weights, the layer and every token, so a cache is never used for anything else.
    Raises: ResourceError: the disk is full.
    """
    folder = cache_root() / "trunk"
    offsets = np.concatenate(([0], np.cumsum([tree.n_tokens for tree in trees])))
    file = folder / f"{_key(net, trees, layer)}.npy"
    if file.is_file():
        file.touch()  # the least recently used go first
        return TrunkCache(file, offsets)
    width = net.head.in_features
    dtype = torch.empty(0, dtype=net.head.weight.dtype)
    numpy_dtype = np.float32 if dtype.dtype == torch.bfloat16 else dtype.numpy().dtype
    staged = folder / f"{file.stem}.{os.getpid()}.tmp.npy"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check_room(folder, int(offsets[-1]) * width * np.dtype(numpy_dtype).itemsize)
        out_ND = np.lib.format.open_memmap(staged, mode="w+", dtype=numpy_dtype, shape=(int(offsets[-1]), width))
        _reserve(staged)
        _fill(net, trees, layer, tokens_per_pack, out_ND, progress)
        out_ND.flush()
        del out_ND
        os.replace(staged, file)
    except OSError as error:
        raise ResourceError(
            f"cannot write the cache of frozen activations to {folder}: {error}. Make room there."
        ) from error
    finally:
        staged.unlink(missing_ok=True)
    _prune(folder, keep=file)
    return TrunkCache(file, offsets)


def _fill(
    net: RewardNet,
    trees: Sequence[TokenTree],
    layer: int,
    tokens_per_pack: int,
    out_ND: np.ndarray,
    progress: Callable[..., None] | None,
) -> None:
    at = 0
    net.eval()
    # A tree is never split here: its activations are wanted whole, and without a backward pass they are small.
    budget = max(tokens_per_pack, max(tree.n_tokens for tree in trees))
    for pieces in plan_packs(trees, budget):
        hidden_ND = hidden_below(net, pack_trees([trees[piece.tree] for piece in pieces]), layer)
        out_ND[at : at + len(hidden_ND)] = hidden_ND.float().cpu().numpy()
        at += len(hidden_ND)
        if progress:
            progress("frozen layers", at, len(out_ND), "tokens")


def _key(net: RewardNet, trees: Sequence[TokenTree], layer: int) -> str:
    facts = f"{layer} {net.head.weight.dtype} {type(net.trunk).__name__} {net.trunk.config.to_json_string()}"
    digest = hashlib.sha256(facts.encode())
    frozen = [net.trunk.get_input_embeddings(), *list(decoder_layers(net))[:layer]]
    for module in frozen:
        for parameter in module.parameters():
            digest.update(parameter.detach().float().cpu().numpy().tobytes())
    for tree in trees:
        for part in (tree.root, *tree.branches):
            digest.update(np.asarray(part, dtype=np.int64).tobytes() + b"|")
        digest.update(b"#")  # two trees are not one with more branches
    return digest.hexdigest()[:32]


def _check_room(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise OSError(errno.ENOSPC, f"{wanted / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free")


def _reserve(file: Path) -> None:
    """Take the blocks of the file now: a mapped file that meets a full disk later ends the process with a signal."""
    if hasattr(os, "posix_fallocate"):
        with file.open("r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)


def _prune(folder: Path, keep: Path) -> None:
    files = sorted((file for file in folder.glob("*.npy") if file != keep), key=lambda file: file.stat().st_mtime)
    total = sum(file.stat().st_size for file in files) + keep.stat().st_size
    for file in files:
        if total <= KEEP_BYTES:
            return
        total -= file.stat().st_size
        file.unlink(missing_ok=True)
