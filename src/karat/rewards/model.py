"""A reward model on disk and in memory: a plain sequence-classification folder plus karat's manifest and extra heads.

Folder:
    config.json, model.safetensors, tokenizer files   what transformers, TRL and vLLM load; one output
    karat_heads.safetensors                           all heads (H, D) and how they combine, when there are several
    karat.json                                        the manifest, written last: a folder without it is not finished
The scalar head is the combination of the heads (a mean, or a weighted sum of attributes): linear, so exact.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from karat import __version__
from karat.errors import InputError, ModelError, ResourceError
from karat.rewards.backbone import RewardNet, load_network
from karat.rewards.encoding import Encoded, Encoder, EncodingPolicy, encoding_hash
from karat.rewards.groups import Group
from karat.rewards.tree import TokenTree, pack_trees, plan_packs
from karat.types import NAN, TOKENS_PER_PACK, Score

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from karat.rewards.process.encoding import StepEncoder
    from karat.rewards.process.model import ProcessReward

MANIFEST = "karat.json"
HEADS = "karat_heads.safetensors"
PROCESS_KIND = "process reward model"
"""`kind` in the manifest of a network that is read at each step (`karat.rewards.process`)."""
REFERENCE_SEQUENCES = 4
REPLACED = (
    *("model*.safetensors", "model.safetensors.index.json", HEADS, "generation_config.json", "chat_template.jinja"),
    *("tokenizer*", "added_tokens.json", "special_tokens_map.json", "vocab.*", "merges.txt"),
)
"""Files of another model that would be read beside the ones just saved: shards, a template, a vocabulary."""


class RewardModel:
    """A reward that is a network. Satisfies `karat.rewards.Reward`.

    Attributes:
        name: what the user called it (folder or hub name).
        head_names: one per head; a single head is called "reward".
        manifest: the content of karat.json; empty for a folder that karat did not write.
        n_cut: responses scored so far whose prompt or text the limit of length cut.
    """

    def __init__(
        self,
        net: RewardNet,
        model: PreTrainedModel,
        encoder: Encoder,
        *,
        name: str,
        head_names: Sequence[str] = ("reward",),
        manifest: Mapping[str, Any] | None = None,
        tokens_per_pack: int = TOKENS_PER_PACK,
    ) -> None:
        self.net = net
        self.model = model
        self.encoder = encoder
        self.name = name
        self.head_names = tuple(head_names)
        self.manifest = dict(manifest or {})
        self.tokens_per_pack = tokens_per_pack
        self.n_cut = 0

    @classmethod
    def load(
        cls, path: str, *, max_length: int = 0, tokens_per_pack: int = TOKENS_PER_PACK, device: str | None = None
    ) -> RewardModel:
        """Read a folder or hub name.

        Args:
            path: a karat folder, or any sequence-classification checkpoint with one output.
            max_length: tokens; 0: as in training, else 2048.
            tokens_per_pack: most tokens in one forward pass.
            device: torch device; None: CUDA where there is one.
        Raises: ModelError: not a reward model with a scalar output, or a folder whose parts contradict each other (a
            chat template that is not that of the training, for one).
        """
        manifest = read_manifest(path)
        if manifest.get("kind") == PROCESS_KIND:
            raise ModelError(
                f"{path} is a process reward model, which is read at each step, not at the end. Load it with "
                "karat.rewards.load_reward, as FOLDER or FOLDER@min."
            )
        net, model, names = load_saved_network(path, manifest)
        tokenizer = load_tokenizer(path)
        stored = manifest.get("encoding", {})
        policy = EncodingPolicy(
            max_length=max_length or stored.get("max_length", EncodingPolicy().max_length),
            append_eos=stored.get("append_eos", EncodingPolicy().append_eos),
        )
        encoder = Encoder(tokenizer, policy, vocabulary=vocabulary_of(net))
        require_same_encoding(encoder, stored, path)
        place_for_scoring(net, device)
        return cls(
            net,
            model,
            encoder,
            name=path,
            head_names=names,
            manifest=manifest,
            tokens_per_pack=tokens_per_pack,
        )

    @property
    def network_heads(self) -> tuple[str, ...]:
        """Names of the network's heads: those of the reward."""
        return self.head_names

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        """Scores of every response of every group, in order; missing, with the reason, where a group cannot be encoded
        (a template refuses it, a sequence is empty) or a score is not finite."""
        encoded = self.encoder.encode_each(groups)
        trees = [item for item in encoded if isinstance(item, Encoded)]
        self.n_cut += sum(len(item.tree.branches) for item in trees if item.is_truncated)
        reward_BH = iter(self.score_encoded(trees))
        return [
            [self._score_of(row) for row in next(reward_BH)]
            if isinstance(item, Encoded)
            else [Score(NAN, missing=str(item))] * len(group.responses)
            for group, item in zip(groups, encoded, strict=True)
        ]

    def _score_of(self, heads_H: np.ndarray) -> Score:
        value = float(heads_H @ self.net.combine_H.cpu().numpy())
        if not np.isfinite(value):
            return Score(NAN, missing="the network returned a score that is not finite")
        several = len(heads_H) > 1
        spread = float(np.std(heads_H, ddof=1)) if several else NAN
        return Score(value, heads=tuple(map(float, heads_H)) if several else (), spread=spread)

    def score_encoded(self, encoded: Sequence[Encoded]) -> list[np.ndarray]:
        """Rewards of trees by head, one (B, H) float64 array per tree (reads are last tokens, one per branch)."""
        return score_trees(self.net, [item.tree for item in encoded], tokens_per_pack=self.tokens_per_pack)


@torch.no_grad()
def score_trees(net: RewardNet, trees: Sequence[TokenTree], *, tokens_per_pack: int) -> list[np.ndarray]:
    """Rewards of each tree by head at its read positions, branch by branch, (R, H) each, in order; R = B where each
    branch is read at its end. tokens_per_pack bounds the memory."""
    found: list[list[np.ndarray]] = [[] for _ in trees]
    was_training = net.training
    net.eval()
    for pieces in plan_packs(trees, tokens_per_pack):
        parts = [trees[piece.tree].subset(piece.branches) for piece in pieces]
        reward_RH = net(pack_trees(parts)).cpu().double().numpy()
        at = 0
        for piece in pieces:  # the pieces of a tree come in the order of its branches
            n = trees[piece.tree].n_reads(piece.branches)
            found[piece.tree].append(reward_RH[at : at + n])
            at += n
    net.train(was_training)
    return [np.concatenate(parts) for parts in found]


def resolve_model(name: str) -> str:
    """A model's folder or hub name; "default" is the built-in one's folder, fetched on first use."""
    if name != "default":
        return name
    from karat.rewards.default_model import default_model_path

    return str(default_model_path())


# ---------------------------------------------------------------------------------------------------------- tokenizer
def vocabulary_of(net: RewardNet) -> int:
    """Token ids that the network has embeddings for."""
    embedding = net.trunk.get_input_embeddings()
    assert isinstance(embedding, nn.Embedding)
    return embedding.num_embeddings


def require_same_encoding(encoder: Encoder | StepEncoder, stored: Mapping[str, Any], path: str) -> None:
    """Raises ModelError where texts would become other tokens than in training: scores would be off without a word."""
    if "hash" not in stored:
        return
    trained = type(encoder.policy)(**{name: stored[name] for name in asdict(encoder.policy) if name in stored})
    found = encoding_hash(encoder.tokenizer, trained)
    if found != stored["hash"]:
        raise ModelError(
            f"{path}: the chat template or the special tokens are not those of the training (hash {found}, "
            f"{stored['hash']} in {MANIFEST}). Restore the tokenizer's files; to score with these all the same, remove "
            f'"hash" from "encoding" in {MANIFEST}.'
        )


def load_tokenizer(path: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder or hub name. Raises ModelError when there is none that can be read."""
    from transformers import AutoTokenizer

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".:")
        raise ModelError(
            f"{path} has no tokenizer that can be read: {first}. Put the tokenizer's files beside the model's."
        ) from error
    return tokenizer


def choose_pad_token(tokenizer: PreTrainedTokenizerBase, vocabulary: int) -> int:
    """A pad token that no sequence ends with, set on the tokenizer; returns its id.

    transformers' classifiers read the right-most token that is not the pad token. Where pad is EOS (or missing, when
    TRL makes it EOS) that is the token before the end. So: the tokenizer's own pad if it is not EOS; else another
    special token that is neither BOS nor EOS; else UNK or BOS when they are not EOS. Ids must lie in the embedding.

    Raises: ModelError: the tokenizer has no token that could serve.
    """
    eos = tokenizer.eos_token_id
    in_template = str(tokenizer.chat_template or "")
    specials = [
        (token.content, index)
        for index, token in sorted(tokenizer.added_tokens_decoder.items())
        if token.special and token.content not in in_template
    ]
    candidates: list[tuple[str | None, int | None]] = [(tokenizer.pad_token, tokenizer.pad_token_id)]
    candidates += [item for item in specials if item[1] not in (eos, tokenizer.bos_token_id)]
    candidates += [(tokenizer.unk_token, tokenizer.unk_token_id), (tokenizer.bos_token, tokenizer.bos_token_id)]
    for token, index in candidates:
        if token is not None and index is not None and index != eos and index < vocabulary:
            tokenizer.pad_token = token
            return int(index)
    raise ModelError(
        f"the tokenizer of {tokenizer.name_or_path!r} has no special token besides EOS, so none can pad. "
        "Add a pad token to it (tokenizer.add_special_tokens({'pad_token': '<pad>'})) and resize the model's embedding."
    )


# ------------------------------------------------------------------------------------------------------- read and save
def read_manifest(path: str) -> dict[str, Any]:
    """karat.json of a folder; {} where there is none. Raises ModelError when it is unreadable."""
    file = Path(path) / MANIFEST
    if not file.is_file():
        return {}
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{file} cannot be read ({error}). Restore it, or delete it to load the folder as plain."
        ) from error
    if not isinstance(manifest, dict):
        raise ModelError(f"{file} holds no JSON object. Restore it, or delete it to load the folder as plain.")
    return manifest


def load_saved_network(path: str, manifest: Mapping[str, Any]) -> tuple[RewardNet, Any, tuple[str, ...]]:
    """The network of a saved reward, the transformers model that owns its parts, and the names of its heads.

    Raises: ModelError: not a reward with a scalar output, or heads that do not fit the manifest.
    """
    net, model = load_network(path, n_heads=None)
    if manifest.get("heads", {}).get("names", ["reward"]) != ["reward"]:
        return net, model, _load_heads(net, Path(path) / HEADS, manifest["heads"])
    if net.head.out_features != 1:
        raise ModelError(
            f"{path} has {net.head.out_features} outputs; a reward has one. "
            "Name a checkpoint with num_labels=1, or a karat folder that says how its heads combine."
        )
    return net, model, ("reward",)


def place_for_scoring(net: RewardNet, device: str | None) -> None:
    """Onto a torch device; None: CUDA where there is one."""
    net.to(device or ("cuda" if torch.cuda.is_available() else "cpu")).eval()


def _load_heads(net: RewardNet, file: Path, stated: Mapping[str, Any]) -> tuple[str, ...]:
    from safetensors.torch import load_file

    names = tuple(stated["names"])
    if not file.is_file():
        raise ModelError(f"{file.parent / MANIFEST} names {len(names)} heads, but {file.name} is missing. Copy it too.")
    try:
        tensors = load_file(file)
        weight_HD, combine_H = tensors["weight"], tensors["combine"]
    except (OSError, KeyError, SafetensorError) as error:
        raise ModelError(f"{file} cannot be read ({error}). Copy the folder again.") from error
    if weight_HD.shape != (len(names), net.head.in_features):
        raise ModelError(
            f"{file} holds heads of shape {tuple(weight_HD.shape)}; the manifest and the model ask for "
            f"({len(names)}, {net.head.in_features}). The folder mixes two runs; save it again."
        )
    replace_head(net, weight_HD, combine_H)
    return names


def replace_head(net: RewardNet, weight_HD: Tensor, combine_H: Tensor) -> None:
    """Give the network other heads; the dtype and device stay."""
    old = net.head.weight
    head = nn.Linear(weight_HD.shape[1], weight_HD.shape[0], bias=False, dtype=old.dtype, device=old.device)
    with torch.no_grad():
        head.weight.copy_(weight_HD)
    net.head = head
    net.combine_H = combine_H.to(torch.float32).to(old.device)


def save_reward_model(reward: RewardModel | ProcessReward, out: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Write the folder so that a crash or a full disk leaves either the old folder or the new one usable.

    Args:
        out: the folder; its other content (checkpoints) is left alone.
        manifest: facts to store besides those that are added here (encoding, heads, versions, reference scores).
    Returns: the manifest as written.
    Raises: ResourceError: the disk is full or not writable; what was in the folder is still there.
    """
    staged = out / ".saving"
    try:
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(parents=True)
        full = _write_folder(reward, staged, manifest)
        (out / MANIFEST).unlink(missing_ok=True)
        saved = {file.name for file in staged.iterdir()}
        for stale in {file for pattern in REPLACED for file in out.glob(pattern)}:
            if stale.name not in saved:
                stale.unlink()
        for file in sorted(staged.iterdir(), key=lambda file: file.name == MANIFEST):  # the manifest goes last
            os.replace(file, out / file.name)
        staged.rmdir()
    except Exception as error:  # safetensors wraps "no space left" in an error type that derives from Exception alone
        full_disk = is_full_disk(error)
        if not (full_disk or isinstance(error, OSError) or "os error" in str(error).lower()):
            raise
        shutil.rmtree(staged, ignore_errors=True)
        what = "the disk is full" if full_disk else str(error)
        raise ResourceError(
            f"cannot save the reward model to {out}: {what}. Checkpoints and earlier files are untouched; "
            "make room and run the same command again: it resumes from the last checkpoint."
        ) from error
    return full


def is_full_disk(error: BaseException) -> bool:
    """Whether a failed saving says that there is no room: the system's error, safetensors' text, or torch's archive
    writer, whose only word for it is that a position in the file is not what it should be."""
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
        return True
    return isinstance(error, RuntimeError) and ("inline_container" in str(error) or "PytorchStream" in str(error))


def _write_folder(reward: RewardModel | ProcessReward, folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    from safetensors.torch import save_file

    net, model, tokenizer = reward.net, reward.model, reward.encoder.tokenizer
    scalar_D = (net.combine_H.cpu().double() @ net.head.weight.detach().cpu().double()).to(net.head.weight.dtype)
    plain = nn.Linear(net.head.in_features, 1, bias=False, dtype=net.head.weight.dtype)
    plain.weight.data.copy_(scalar_D[None])
    pad = choose_pad_token(tokenizer, model.config.get_text_config().vocab_size)
    # transformers reads the pad token from the config when it looks for the last token, so both must say the same.
    model.config.get_text_config().pad_token_id = pad
    model.config.pad_token_id = pad
    model.config.num_labels = 1
    state = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("score.")}
    model.save_pretrained(folder, state_dict={**state, "score.weight": plain.weight.data})
    tokenizer.save_pretrained(folder)
    if reward.network_heads != ("reward",):
        heads = {"weight": net.head.weight.detach().cpu().contiguous(), "combine": net.combine_H.cpu()}
        save_file(heads, folder / HEADS)
    full = {
        "karat": __version__,
        "kind": "reward model",
        **manifest,
        "encoding": {**asdict(reward.encoder.policy), "hash": reward.encoder.hash()},
        "heads": {"names": list(reward.network_heads), "combine": net.combine_H.tolist()},
        "reference_scores": _reference_scores(net),
        "versions": versions(),
    }
    (folder / MANIFEST).write_text(json.dumps(full, indent=1, allow_nan=False), encoding="utf-8")
    return full


def _reference_scores(net: RewardNet) -> list[dict[str, Any]]:
    """Scores of a few fixed token sequences, by which another engine can show that it serves the same model."""
    vocabulary = net.trunk.config.get_text_config().vocab_size
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, vocabulary, (REFERENCE_SEQUENCES, 24), generator=generator).tolist()
    rewards = score_trees(net, [TokenTree((), (tuple(row),)) for row in ids], tokens_per_pack=1024)
    combine_H = net.combine_H.cpu().double().numpy()
    return [
        {"ids": row, "score": float((reward_BH @ combine_H)[0])} for row, reward_BH in zip(ids, rewards, strict=True)
    ]


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    import transformers

    return {
        "karat": __version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": sys.version.split()[0],
    }


def load_reward_for_training(path: str, *, n_heads: int, max_length: int, dtype: torch.dtype, seed: int) -> RewardModel:
    """A backbone with fresh (or, from a reward model of as many heads, its own) heads, and its encoder."""
    net, model = load_network(path, n_heads=n_heads, dtype=dtype, seed=seed)
    tokenizer = load_tokenizer(path)
    choose_pad_token(tokenizer, model.config.get_text_config().vocab_size)
    if n_heads < 1:
        raise InputError(f"n_heads = {n_heads}: a reward needs at least one head.")
    encoder = Encoder(tokenizer, EncodingPolicy(max_length=max_length), vocabulary=vocabulary_of(net))
    return RewardModel(net, model, encoder, name=path)
