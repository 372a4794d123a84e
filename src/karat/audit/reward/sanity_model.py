"""Sanity of a reward that is a network: how texts become tokens, what is cut, and whether plain transformers agrees.

Axes: R responses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from karat.errors import DataError
from karat.rewards.groups import Group
from karat.rewards.protocol import Reward
from karat.types import NAN

if TYPE_CHECKING:
    from karat.rewards.model import RewardModel

LARGEST_SECOND_COPY = 2_000_000_000
"""Parameters. A larger model is not loaded a second time to be compared with."""
SIDES = ("right", "left")


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What was seen of a reward model.

    Attributes:
        n_sequences: sequences that were encoded; n_refused: groups that could not be.
        n_double_bos, n_double_eos: that begin, or end, with the token twice; n_without_end: of plain text, that do not
            end with EOS, which is where a reward is read.
        has_template: whether the tokenizer has one; is_chat: whether the data is conversations.
        n_cut: sequences that the limit of length cut; limit: tokens.
        error: by padding side, the largest difference from plain transformers, SD of scores; NaN: not computed.
        why_not: why plain transformers was not asked.
    """

    n_sequences: int
    n_refused: int
    n_double_bos: int
    n_double_eos: int
    n_without_end: int
    has_template: bool
    is_chat: bool
    n_cut: int
    limit: int
    error: dict[str, float]
    why_not: str = ""
    pad_is_eos: bool = False


def inspect_model(
    reward: Reward, groups: Sequence[Group], few: Sequence[Group], base_R: np.ndarray, unit: float
) -> ModelFacts | None:
    """The facts of a reward model; None for other rewards, process rewards among them, which are read elsewhere.

    Args:
        groups: to be encoded; few: to be scored by plain transformers too, with the scores base_R in their order.
        unit: standard deviation of the scores.
    """
    is_process = hasattr(reward, "score_steps")
    if is_process or getattr(reward, "encoder", None) is None or getattr(reward, "net", None) is None:
        return None
    model: RewardModel = reward  # type: ignore[assignment]  # the type's module needs torch, and is loaded by now
    tokenizer, policy = model.encoder.tokenizer, model.encoder.policy
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    encoded = [item for item in model.encoder.encode_each(groups) if not isinstance(item, DataError)]
    sequences = [item.tree.root + branch for item in encoded for branch in item.tree.branches]
    is_chat = any(isinstance(group.prompt, tuple) for group in groups)
    error, why_not = _against_transformers(model, few, base_R, unit)
    return ModelFacts(
        n_sequences=len(sequences),
        n_refused=len(groups) - len(encoded),
        n_double_bos=sum(bos is not None and ids[:2] == [bos, bos] for ids in map(list, sequences)),
        n_double_eos=sum(eos is not None and ids[-2:] == [eos, eos] for ids in map(list, sequences)),
        n_without_end=0 if is_chat or eos is None else sum(list(ids)[-1:] != [eos] for ids in sequences),
        has_template=bool(model.encoder.chat_template),
        is_chat=is_chat,
        n_cut=sum(len(item.tree.branches) for item in encoded if item.is_truncated),
        limit=policy.max_length,
        error=error,
        why_not=why_not,
        pad_is_eos=eos is not None and model.model.config.get_text_config().pad_token_id == eos,
    )


def _against_transformers(
    model: RewardModel, groups: Sequence[Group], base_R: np.ndarray, unit: float
) -> tuple[dict[str, float], str]:
    """Largest differences from AutoModelForSequenceClassification on padded batches, by padding side."""
    import torch
    from transformers import AutoModelForSequenceClassification

    if not groups:
        return {}, "no prompt has all its scores"
    if sum(parameter.numel() for parameter in model.net.parameters()) > LARGEST_SECOND_COPY:
        return {}, "the model is too large to be loaded a second time"
    try:
        plain: Any = AutoModelForSequenceClassification.from_pretrained(
            model.name, dtype=next(model.net.parameters()).dtype
        )
    except (OSError, ValueError) as error:
        return {}, f"transformers cannot load {model.name}: {str(error).splitlines()[0][:160]}"
    if plain.config.num_labels != 1:
        return {}, f"{model.name} has {plain.config.num_labels} outputs in transformers"
    plain.to(next(model.net.parameters()).device).eval()
    pad = plain.config.get_text_config().pad_token_id
    if pad is None:
        return {}, "its config names no pad token, without which transformers scores no batch"
    sequences = [
        list(item.tree.root + branch) for item in model.encoder.encode_many(groups) for branch in item.tree.branches
    ]
    errors: dict[str, float] = {}
    for side in SIDES:
        ids_RT, mask_RT = _padded(sequences, pad, side)
        with torch.no_grad():
            device = plain.device
            out = plain(
                input_ids=torch.tensor(ids_RT, device=device), attention_mask=torch.tensor(mask_RT, device=device)
            ).logits[:, 0]
        difference_R = np.abs(out.float().cpu().numpy().astype(np.float64) - base_R)
        errors[side] = float(difference_R.max()) / unit if np.isfinite(difference_R).all() else NAN
    return errors, ""


def _padded(sequences: Sequence[list[int]], pad: int, side: str) -> tuple[np.ndarray, np.ndarray]:
    """Token ids and mask, (R, longest), padded on one side."""
    longest = max(map(len, sequences))
    ids_RT = np.full((len(sequences), longest), pad, dtype=np.int64)
    mask_RT = np.zeros_like(ids_RT)
    for row, ids in enumerate(sequences):
        place = slice(0, len(ids)) if side == "right" else slice(longest - len(ids), longest)
        ids_RT[row, place], mask_RT[row, place] = ids, 1
    return ids_RT, mask_RT
