"""The token tree by itself: arithmetic efficiency, cost per token over sizes, and scoring against padded batches.

efficiency   useful multiply-adds of a forward pass per second, over the float32 matrix-product rate that the same
             process measures right before and after. Useful: the linear layers on unique tokens, and attention
             scores and sums for the (query, key) pairs that the mask allows; nothing masked is counted.
flat         seconds per unique token, forward and backward: the same 93 pairs, 20k tokens, in steps of about 1k to
             20k tokens (packs of 4,096).
pairs        the same over whole trainings of 200 to 2,000 pairs, one pass in steps of 8 pairs cut to 256 tokens:
             seconds per unique token of the steps, and of everything from reading to saving.
scoring      G = 1 .. 64 responses to each prompt: karat's trees against transformers' own padded forward (right
             padding, sdpa, sorted by length), same weights, same scores to 1e-4.

python benchmarks/token_trees.py efficiency
python benchmarks/token_trees.py flat
python benchmarks/token_trees.py pairs                       about 45 minutes; --sizes 200 2000 takes 25
python benchmarks/token_trees.py scoring
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import karat
from common import hh_file, matmul_gflops, write_results
from karat.data import read_pairs
from karat.rewards.default_model import default_model_path
from karat.rewards.model import RewardModel, load_reward_for_training, score_trees
from karat.rewards.tree import TokenTree, TreePack, pack_trees, plan_packs
from karat.types import TOKENS_PER_PACK

PADDED_BATCH = 16
PAIRS_MAX_LENGTH = 256


def load() -> RewardModel:
    return load_reward_for_training(str(default_model_path()), n_heads=1, max_length=4096, dtype=torch.float32, seed=0)


def real_trees(reward: RewardModel, count: int) -> list[TokenTree]:
    """Trees of real pairs, in a fixed shuffle."""
    from karat.train.units import build_units

    pairs = read_pairs(str(hh_file())).pairs
    order = np.random.default_rng(0).permutation(len(pairs))[:count]
    return [unit.tree for unit in build_units([pairs[index] for index in order], reward.encoder).units]


def seconds(run: Callable[[], Any], repeats: int) -> float:
    """Median wall-clock seconds, after one run that is not counted."""
    run()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def useful_multiply_adds(reward: RewardModel, pack: TreePack) -> tuple[float, float]:
    """Multiply-adds of the linear layers, and of attention over allowed (query, key) pairs."""
    trunk = reward.net.trunk
    linear = sum(p.numel() for name, p in trunk.named_parameters() if p.ndim == 2 and "embed" not in name)
    config = trunk.config
    heads, size = config.num_attention_heads, config.hidden_size // config.num_attention_heads
    # Each token sees itself and everything before it on its path: its position + 1.
    allowed = float((pack.position_N + 1).sum())
    return float(linear) * pack.n_tokens, 2.0 * allowed * heads * size * config.num_hidden_layers


def efficiency() -> None:
    reward = load()
    reward.net.eval()
    rows = []
    for pairs in (4, 8, 16, 32):
        trees = real_trees(reward, pairs)
        packs = [pack_trees([trees[piece.tree] for piece in pieces]) for pieces in plan_packs(trees, TOKENS_PER_PACK)]
        tokens = sum(pack.n_tokens for pack in packs)
        before = matmul_gflops()
        with torch.no_grad():
            took = seconds(lambda packs=packs: [reward.net(pack) for pack in packs], 5)
        rate = statistics.median([before, matmul_gflops()])
        linear, attention = np.sum([useful_multiply_adds(reward, pack) for pack in packs], axis=0)
        rows.append(
            {
                "pairs": pairs,
                "tokens": tokens,
                "tokens/s": tokens / took,
                "matrix products GFLOP/s": rate,
                "useful GFLOP/s": 2 * (linear + attention) / took / 1e9,
                "efficiency": 2 * (linear + attention) / took / 1e9 / rate,
                "of it linear layers": 2 * linear / took / 1e9 / rate,
            }
        )
    write_results("efficiency", {}, rows)


def flat() -> None:
    reward = load()
    trees = real_trees(reward, 93)
    reward.net.train()

    def step(part: list[TokenTree]) -> None:
        for pieces in plan_packs(part, TOKENS_PER_PACK):
            reward.net(pack_trees([part[piece.tree] for piece in pieces])).sum().backward()

    step(trees[:4])  # not counted: first use of the weights and of the allocator
    rows = []
    for wanted in (1_000, 2_000, 5_000, 10_000, 20_000):
        steps: list[list[TokenTree]] = [[]]
        for tree in trees:
            if sum(t.n_tokens for t in steps[-1]) >= wanted:
                steps.append([])
            steps[-1].append(tree)
        times = []
        for part in steps:
            reward.net.zero_grad(set_to_none=False)
            began = time.perf_counter()
            step(part)
            times.append(time.perf_counter() - began)
        tokens = sum(tree.n_tokens for tree in trees)
        rows.append(
            {
                "tokens a step": tokens / len(steps),
                "steps": len(steps),
                "pairs": len(trees),
                "ms per unique token": 1e3 * sum(times) / tokens,
            }
        )
    costs = [row["ms per unique token"] for row in rows]
    write_results("flat", {"largest over smallest": max(costs) / min(costs)}, rows)


def pairs_flat(sizes: Sequence[int]) -> None:
    """Whole trainings of different size; each is a run of `karat.train` without evaluation."""
    pairs = read_pairs(str(hh_file())).pairs
    if max(sizes) > len(pairs):
        sys.exit(f"--sizes {max(sizes)}: the file has {len(pairs)} pairs.")
    rows = []
    for n in sizes:
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            values = karat.train(
                pairs[:n], out=Path(folder) / "rm", max_length=PAIRS_MAX_LENGTH, test_fraction=0, save_steps=100_000
            ).values
            seconds = time.perf_counter() - began
        rows.append(
            {
                "pairs": n,
                "tokens": values["train_tokens"],
                "ms per unique token, steps": 1e3 / values["unique_tokens_per_s"],
                "ms per unique token, all": 1e3 * seconds / values["train_tokens"],
            }
        )
        print(rows[-1], flush=True)
    costs = [row["ms per unique token, steps"] for row in rows]
    write_results("flat_pairs", {"largest over smallest": max(costs) / min(costs)}, rows)


def padded_scores(model: Any, tokenizer: Any, sequences: list[list[int]], order: list[int]) -> np.ndarray:
    """transformers' own scoring, batches of 16 in the given order, right-padded, sdpa."""
    out = np.empty(len(sequences))
    with torch.no_grad():
        for start in range(0, len(order), PADDED_BATCH):
            index = order[start : start + PADDED_BATCH]
            inputs = tokenizer.pad(
                {"input_ids": [sequences[i] for i in index]}, return_tensors="pt", padding_side="right"
            )
            out[index] = model(**inputs, use_cache=False).logits[:, 0].numpy()
    return out


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = run()
    return time.perf_counter() - began, result


def scoring(prompts: int) -> None:
    """Responses of other prompts stand in for further samples: lengths are real, and speed does not read them."""
    from transformers import AutoModelForSequenceClassification

    reward = load()
    reward.net.eval()
    tokenizer = reward.encoder.tokenizer
    plain = AutoModelForSequenceClassification.from_pretrained(default_model_path(), num_labels=1).eval()
    plain.score.weight.data.copy_(reward.net.head.weight.detach())
    plain.config.pad_token_id = tokenizer.pad_token_id
    trees = real_trees(reward, 400)
    branches = [branch for tree in trees for branch in tree.branches]
    padded_scores(plain, tokenizer, [[5] * 64] * 16, list(range(16)))  # first use, not counted
    score_trees(reward.net, trees[:4], tokens_per_pack=TOKENS_PER_PACK)
    rows = []
    for responses in (1, 2, 4, 8, 16, 32, 64):
        rng = np.random.default_rng(responses)
        pool = []
        for tree in trees[: max(prompts, 8 // responses)]:
            chosen = rng.choice(len(branches), size=responses, replace=False)
            pool.append(TokenTree(tree.root, tuple(branches[index] for index in chosen)))
        sequences = [list(tree.root + branch) for tree in pool for branch in tree.branches]
        as_given = list(range(len(sequences)))
        by_length = sorted(as_given, key=lambda index, seqs=sequences: len(seqs[index]))
        mine, scores = timed(lambda pool=pool: score_trees(reward.net, pool, tokens_per_pack=TOKENS_PER_PACK))
        given_s, reference = timed(lambda s=sequences, o=as_given: padded_scores(plain, tokenizer, s, o))
        sorted_s, _ = timed(lambda s=sequences, o=by_length: padded_scores(plain, tokenizer, s, o))
        difference = np.abs(np.concatenate(scores)[:, 0] - reference).max() / np.abs(reference).max()
        rows.append(
            {
                "responses a prompt": responses,
                "prompts": len(pool),
                "unique tokens": sum(tree.n_tokens for tree in pool),
                "tokens of all sequences": sum(map(len, sequences)),
                "padded s": given_s,
                "padded, sorted s": sorted_s,
                "karat s": mine,
                "speed-up": given_s / mine,
                "speed-up over sorted": sorted_s / mine,
                "largest score difference": float(difference),
            }
        )
        print(rows[-1], flush=True)
    write_results("scoring", {"padded batch": PADDED_BATCH}, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["efficiency", "flat", "pairs", "scoring"])
    parser.add_argument("--sizes", type=int, nargs="+", default=[200, 500, 1000, 2000], help="pairs of the trainings")
    parser.add_argument("--prompts", type=int, default=3, help="prompts in the scoring pool")
    arguments = parser.parse_args()
    if arguments.what == "scoring":
        scoring(arguments.prompts)
    elif arguments.what == "pairs":
        pairs_flat(arguments.sizes)
    else:
        {"efficiency": efficiency, "flat": flat}[arguments.what]()


if __name__ == "__main__":
    main()
