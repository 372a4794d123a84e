"""Scoring every step of many solutions to a problem: one token tree, against what one would write without it.

tree       the prompt once, each solution a branch read at all of its steps; packs of 4,096 tokens
prefixes   one forward pass for each step of each solution: prompt and steps up to it, batch 1, no padding
padded     one forward pass over the solutions, each with its prompt, right-padded (sdpa), read at all of their steps

The default model with a fresh head, float32, 2 threads; transformers' own forward for prefixes and padded, the same
weights, the same probabilities to 1e-4. Token ids are random, since speed does not read them; lengths are those of
GSM8K in ProcessBench (400 solutions of several language models, SmolLM2's tokenizer, blank lines between steps), of
which 35 % have the 6 to 10 steps that are drawn here: a prompt of 69 tokens (mean; 5 to 95 %: 38 to 108), steps
log-normal with median 48 and log standard deviation 0.57 (mean 52; 5 to 95 %: 17 to 105).

The first row measures everything. Elsewhere the prefixes are timed on 2 of the solutions and multiplied by the ratio of
tokens: they are separate passes, whose times add.

python benchmarks/prm_speed.py          about 3 minutes on two cores
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.special import expit

from common import write_results
from karat.rewards.default_model import default_model_path
from karat.rewards.model import score_trees
from karat.rewards.process import ProcessReward, StepPolicy, load_process_for_training
from karat.rewards.tree import TokenTree
from karat.types import TOKENS_PER_PACK

THREADS = 2
PROMPT_TOKENS = 69
STEP_MEDIAN, STEP_LOG_SD, STEP_RANGE = 48, 0.57, (5, 200)
STEPS = (6, 10)
SAMPLED = 2
CELLS = ((16, PROMPT_TOKENS), (2, PROMPT_TOKENS), (8, PROMPT_TOKENS), (16, 128), (16, 256))


def draw(solutions: int, prompt: int, vocabulary: int) -> tuple[list[list[int]], list[list[int]]]:
    """Token ids of each solution with its prompt, and the positions of the last token of each step."""
    rng = np.random.default_rng(0)
    head = rng.integers(5, vocabulary, prompt).tolist()
    sequences, ends = [], []
    for _ in range(solutions):
        size_S = np.exp(rng.normal(np.log(STEP_MEDIAN), STEP_LOG_SD, rng.integers(STEPS[0], STEPS[1] + 1)))
        size_S = np.clip(size_S, *STEP_RANGE).astype(int)
        sequences.append(head + rng.integers(5, vocabulary, size_S.sum()).tolist())
        ends.append((prompt + np.cumsum(size_S) - 1).tolist())
    return sequences, ends


def timed(run: Callable[[], np.ndarray], repeats: int) -> tuple[float, np.ndarray]:
    """Median wall-clock seconds, and what was found."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        found = run()
        times.append(time.perf_counter() - began)
    return statistics.median(times), found


@torch.no_grad()
def by_prefixes(trunk: Any, head: torch.Tensor, sequences: list[list[int]], ends: list[list[int]]) -> np.ndarray:
    logits = []
    for ids, ends_S in zip(sequences, ends, strict=True):
        for end in ends_S:
            hidden = trunk(input_ids=torch.tensor([ids[: end + 1]]), use_cache=False).last_hidden_state[0, -1]
            logits.append(float(hidden @ head))
    return expit(np.array(logits))


@torch.no_grad()
def by_padding(trunk: Any, head: torch.Tensor, sequences: list[list[int]], ends: list[list[int]]) -> np.ndarray:
    longest = max(map(len, sequences))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in sequences])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in sequences])
    hidden = trunk(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    return expit(np.concatenate([(hidden[i, ends_S] @ head).numpy() for i, ends_S in enumerate(ends)]))


def by_tree(reward: ProcessReward, sequences: list[list[int]], ends: list[list[int]]) -> np.ndarray:
    tree = TokenTree.from_sequences(sequences, ends)
    return expit(score_trees(reward.net, [tree], tokens_per_pack=TOKENS_PER_PACK)[0][:, 0])


def cell(reward: ProcessReward, trunk: Any, solutions: int, prompt: int, *, whole: bool) -> dict[str, Any]:
    sequences, ends = draw(solutions, prompt, reward.encoder.vocabulary)
    head = reward.net.head.weight[0].detach()
    n_tree = TokenTree.from_sequences(sequences, ends).n_tokens
    n_padded = solutions * max(map(len, sequences))
    n_prefixes = sum(end + 1 for ends_S in ends for end in ends_S)
    timed_on = sequences if whole else sequences[:SAMPLED], ends if whole else ends[:SAMPLED]
    n_timed = sum(end + 1 for ends_S in timed_on[1] for end in ends_S)
    tree_s, prob = timed(lambda: by_tree(reward, sequences, ends), 2 if whole else 1)
    padded_s, padded = timed(lambda: by_padding(trunk, head, sequences, ends), 1)
    prefixes_s, prefixes = timed(lambda: by_prefixes(trunk, head, *timed_on), 1)
    prefixes_s *= n_prefixes / n_timed
    worst = max(np.abs(prob - padded).max(), np.abs(prob[: len(prefixes)] - prefixes).max())
    assert worst < 1e-4, f"the probabilities differ by {worst}"
    return {
        "solutions": solutions,
        "prompt tokens": prompt,
        "steps": sum(map(len, ends)),
        "tokens, tree": n_tree,
        "tokens, prefixes": n_prefixes,
        "tokens, padded": n_padded,
        "token ratio, prefixes": n_prefixes / n_tree,
        "token ratio, padded": n_padded / n_tree,
        "tree s": tree_s,
        "prefixes s": prefixes_s,
        "padded s": padded_s,
        "speed-up over prefixes": prefixes_s / tree_s,
        "speed-up over padded": padded_s / tree_s,
        "largest difference": float(worst),
    }


def main() -> None:
    from transformers import AutoModel

    torch.set_num_threads(THREADS)
    path = str(default_model_path())
    reward = load_process_for_training(path, policy=StepPolicy(max_length=4096))
    reward.net.eval()
    trunk = AutoModel.from_pretrained(path).eval()
    warm = draw(2, 32, reward.encoder.vocabulary)
    by_tree(reward, *warm), by_padding(trunk, reward.net.head.weight[0].detach(), *warm)  # first use, not counted
    rows = []
    for number, (solutions, prompt) in enumerate(CELLS):
        rows.append(cell(reward, trunk, solutions, prompt, whole=number == 0))
        print(rows[-1], flush=True)
    write_results("prm_speed", {"model": "SmolLM2-135M-Instruct", "dtype": "float32"}, rows)


if __name__ == "__main__":
    main()
