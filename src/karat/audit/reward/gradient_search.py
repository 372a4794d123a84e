"""Search for strings through the weights: swap the token whose embedding the gradient of the reward points to.

The reward of a sequence changes, to first order, by (e_v - e_current) . g when a token is replaced by v, with e the
rows of the embedding and g the gradient of the reward at that token's embedding (HotFlip, Ebrahimi et al. 2018, arXiv
1712.06751; summed over prompts and with sampled candidates, Zou et al. 2023, arXiv 2307.15043). The best candidates of
the first order are then scored as text. A string is kept only if the tokens survive: decoded, put in its place and
tokenised again, they must be the same for every prompt.

Axes: L tokens of the string, D embedding, K candidates of a position, N tokens of a pack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from karat.audit.reward.attack_search import Attack, Case, Search, lead_of, placed, worth
from karat.rewards.backbone import RewardNet
from karat.rewards.groups import Group
from karat.rewards.model import RewardModel
from karat.rewards.tree import TokenTree, pack_trees

PROMPTS = 4
"""Search prompts that a gradient is summed over."""
CANDIDATES, SWAPS = 32, 16
"""Tokens a position that the first order names, and swaps of a step that are scored."""
GRADIENT_QUERIES = 3
"""What a gradient costs, in scored responses: a forward and about two more for the way back."""
PATIENCE = 3
ROWS_AT_ONCE = 8192


def gradient_search(reward: RewardModel, start: Attack, search: Search, queries: int, rng: np.random.Generator) -> None:
    """Improve an attack by token swaps within `queries`; the best of each step races on all search prompts.

    Args:
        start: its string is where the search begins; nothing is done where its tokens do not survive.
    """
    cases = [case for case in search.cases if not _is_cut(reward, start, case)][:PROMPTS]
    stop = search.judge.used + queries
    allowed = allowed_tokens(reward)
    current, ids, idle = start, span_of(reward, start, cases), 0
    if not cases or ids is None:
        return
    value = float(worth(search.judge.score([current], cases), cases, search.sd).mean())
    cost = (GRADIENT_QUERIES + SWAPS) * len(cases) + len(search.cases)
    while stop - search.judge.used >= cost and idle < PATIENCE:
        gradient_LD = token_gradient(reward.net, *_sequences(reward, current, cases, len(ids)))
        search.judge.spend(GRADIENT_QUERIES * len(cases))
        swaps = _swaps(reward.net, gradient_LD, ids, allowed, rng)
        children = _surviving(reward, current, swaps, cases)
        if not children:
            return
        value_A = worth(search.judge.score(list(children), cases), cases, search.sd).mean(axis=1)
        best = int(value_A.argmax())
        if value_A[best] > value:
            value, idle = float(value_A[best]), 0
            current = list(children)[best]
            ids = children[current]
        else:
            idle += 1
    if current != start:
        search.race([current], stop - search.judge.used)


def token_gradient(net: RewardNet, sequences: Sequence[Sequence[int]], starts: Sequence[int], length: int) -> Tensor:
    """Gradient of the summed rewards at the embeddings of `length` tokens from each start, summed, (L, D)."""
    kept: list[Tensor] = []

    def keep(module: torch.nn.Module, args: object, output: Tensor) -> Tensor:
        kept.append(output.detach().requires_grad_(True))
        return kept[0]

    handle = net.trunk.get_input_embeddings().register_forward_hook(keep)
    try:
        with torch.enable_grad():
            pack = pack_trees([TokenTree.from_sequences([sequence]) for sequence in sequences])
            total = (net(pack) @ net.combine_H.to(net.head.weight.device)).sum()
            (gradient,) = torch.autograd.grad(total, kept[0])
    finally:
        handle.remove()
    offset = np.cumsum([0, *map(len, sequences)])[:-1]
    rows = [gradient[0, at + start : at + start + length] for at, start in zip(offset, starts, strict=True)]
    return torch.stack(rows).sum(dim=0).float()


@torch.no_grad()
def _swaps(
    net: RewardNet, gradient_LD: Tensor, ids: Sequence[int], allowed: Tensor, rng: np.random.Generator
) -> list[tuple[int, ...]]:
    """Token sequences with one token replaced: of the best K of each position by the first order, a random few."""
    embedding = net.trunk.get_input_embeddings()
    parts = [  # through the module, since some models scale their embeddings
        gradient_LD @ embedding(rows.to(gradient_LD.device)).float().T for rows in torch.split(allowed, ROWS_AT_ONCE)
    ]
    top_LK = torch.cat(parts, dim=1).topk(min(CANDIDATES, len(allowed)), dim=1).indices.cpu()
    found = []
    for place, rank in zip(rng.integers(len(ids), size=SWAPS), rng.integers(top_LK.shape[1], size=SWAPS), strict=True):
        token = int(allowed[top_LK[place, rank]])
        found.append((*ids[:place], token, *ids[place + 1 :]))
    return [swap for swap in dict.fromkeys(found) if swap != tuple(ids)]


def _surviving(
    reward: RewardModel, parent: Attack, swaps: Sequence[tuple[int, ...]], cases: Sequence[Case]
) -> dict[Attack, tuple[int, ...]]:
    """The swaps as strings whose tokens come back, with those tokens."""
    kept = {}
    for swap in swaps:
        text = str(reward.encoder.tokenizer.decode(list(swap)))
        if parent.target == "alone":  # the blank before a response is part of its first token
            text = text.removeprefix(lead_of(cases[0]))
        child = replace(parent, after=text, origin="gradient")
        if span_of(reward, child, cases) == swap:
            kept[child] = swap
    return kept


def allowed_tokens(reward: RewardModel) -> Tensor:
    """Ids of tokens that are printable ASCII text: no control characters, no special tokens."""
    tokenizer = reward.encoder.tokenizer
    special = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    size = min(len(tokenizer), reward.encoder.vocabulary or len(tokenizer))
    texts = tokenizer.batch_decode([[index] for index in range(size)])
    good = [
        index
        for index, text in enumerate(texts)
        if index not in special and text.isascii() and text.isprintable() and text.strip()
    ]
    return torch.tensor(good, dtype=torch.long)


# ------------------------------------------------------------------------------------------------- where the tokens are
def _tokens(reward: RewardModel, attack: Attack, case: Case) -> tuple[int, ...]:
    tree = reward.encoder.encode(Group(case.prompt, (placed(attack, case),), case.tools)).tree
    return tree.root + tree.branches[0]


def _is_cut(reward: RewardModel, attack: Attack, case: Case) -> bool:
    return reward.encoder.encode(Group(case.prompt, (placed(attack, case),), case.tools)).is_truncated


def _span(reward: RewardModel, attack: Attack, case: Case) -> tuple[tuple[int, ...], int, int]:
    """Tokens of the attacked response, and where those begin and end that the string `after` brought."""
    full, bare = _tokens(reward, attack, case), _tokens(reward, replace(attack, after=""), case)
    start = next((at for at, (a, b) in enumerate(zip(full, bare, strict=False)) if a != b), min(len(full), len(bare)))
    room = min(len(full), len(bare)) - start
    tail = next((at for at in range(room) if full[-1 - at] != bare[-1 - at]), room)
    return full, start, len(full) - tail


def span_of(reward: RewardModel, attack: Attack, cases: Sequence[Case]) -> tuple[int, ...] | None:
    """Tokens of the attack's string, where they are the same after every prompt and decode to it; else None."""
    found = set()
    for case in cases:
        full, start, stop = _span(reward, attack, case)
        found.add(full[start:stop])
    if len(found) != 1:
        return None
    (ids,) = found
    text = str(reward.encoder.tokenizer.decode(list(ids)))
    lead = lead_of(cases[0]) if attack.target == "alone" else ""
    return ids if ids and text in (attack.after, lead + attack.after) else None


def _sequences(
    reward: RewardModel, attack: Attack, cases: Sequence[Case], length: int
) -> tuple[list[tuple[int, ...]], list[int], int]:
    spans = [_span(reward, attack, case) for case in cases]
    return [full for full, _, _ in spans], [start for _, start, _ in spans], length
