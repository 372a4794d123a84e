"""What is linearly there before any training: Bradley-Terry probes on each layer's activations, last token or mean.

A cheap map of where the preference signal lies, and so of which layers are worth training: for every layer, a linear
head with a ridge penalty on the difference of the two responses' activations, fitted on training prompts, its penalty
chosen by cross-validation inside them, judged on the test prompts of `benchmarks/quality.py`.

    python benchmarks/probes.py extract --out /tmp/hh_activations.npz     about 25 minutes on one core
    python benchmarks/probes.py fit --activations /tmp/hh_activations.npz
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from common import hh_file, write_results
from karat.data import read_pairs
from karat.numerics.intervals import clustered_proportion
from karat.rewards.backbone import decoder_layers
from karat.rewards.default_model import default_model_path
from karat.rewards.model import load_reward_for_training
from karat.rewards.tree import pack_trees
from karat.train.units import build_units
from quality import hh_split

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
FOLDS = 4


@torch.no_grad()
def extract(out: str) -> None:
    """Last-token and mean activations of both responses of every pair after every layer, (P, 2, layers + 1, D)."""
    reward = load_reward_for_training(
        str(default_model_path()), n_heads=1, max_length=2048, dtype=torch.float32, seed=0
    )
    net = reward.net.eval()
    trees = [unit.tree for unit in build_units(read_pairs(str(hh_file())).pairs, reward.encoder).units]
    caught: dict[int, Tensor] = {}

    def keep(number: int) -> Any:
        def hook(module: Any, args: Any, output: Any) -> None:
            caught[number] = output[0]

        return hook

    layers = [*decoder_layers(net), net.trunk.norm]
    for number, layer in enumerate(layers):
        layer.register_forward_hook(keep(number))
    shape = (len(trees), 2, len(layers), net.head.in_features)
    last, mean = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for start in range(0, len(trees), 8):
        pack = pack_trees(trees[start : start + 8])
        net.hidden(pack)
        n = len(trees[start : start + 8])
        branch = pack.tree_N * 2 + pack.branch_N.clamp_min(0)
        weight = (pack.branch_N >= 0).float()
        count = torch.zeros(2 * n).index_add_(0, branch, weight)
        for number in range(len(layers)):
            hidden = caught[number].reshape(pack.n_tokens, -1)
            last[start : start + n, :, number] = hidden[pack.read_R].view(n, 2, -1).numpy()
            total = torch.zeros(2 * n, shape[-1]).index_add_(0, branch, hidden * weight[:, None])
            mean[start : start + n, :, number] = (total / count[:, None]).view(n, 2, -1).numpy()
        print(f"{start + n} of {len(trees)} pairs", flush=True)
    np.savez(out, last=last, mean=mean)


def fit_probe(difference_PD: np.ndarray, penalty: float) -> np.ndarray:
    """Weights of a Bradley-Terry head without bias: mean softplus(-x w) + penalty |w|^2 / 2."""

    def loss(weight_D: np.ndarray) -> tuple[float, np.ndarray]:
        margin_P = difference_PD @ weight_D
        gradient_P = -1.0 / (1.0 + np.exp(np.clip(margin_P, -50, 50)))
        value = np.logaddexp(0, -margin_P).mean() + penalty / 2 * weight_D @ weight_D
        return value, difference_PD.T @ gradient_P / len(margin_P) + penalty * weight_D

    result = minimize(loss, np.zeros(difference_PD.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 300})
    return np.asarray(result.x)


def fit(activations: str) -> None:
    pairs = read_pairs(str(hh_file())).pairs
    train, test = hh_split(pairs)
    index = {pair.row: number for number, pair in enumerate(pairs)}
    at_train = np.array([index[pair.row] for pair in train])
    at_test = np.array([index[pair.row] for pair in test])
    prompts = np.array([pair.prompt_id for pair in test], dtype=object)
    _, fold = np.unique([pair.prompt_id for pair in train], return_inverse=True)
    fold = fold % FOLDS
    stored = np.load(activations)
    rows = []
    for pooling in ("last", "mean"):
        both = stored[pooling]
        for layer in range(both.shape[2]):
            difference = both[:, 0, layer] - both[:, 1, layer]
            scale = difference[at_train].std() or 1.0
            x_train, x_test = difference[at_train] / scale, difference[at_test] / scale
            inner = {}
            for penalty in PENALTIES:
                right = [
                    float(np.mean(x_train[fold == k] @ fit_probe(x_train[fold != k], penalty) > 0))
                    for k in range(FOLDS)
                ]
                inner[penalty] = float(np.mean(right))
            penalty = max(inner, key=lambda value: inner[value])
            outcome = (x_test @ fit_probe(x_train, penalty) > 0).astype(float)
            interval = clustered_proportion(outcome, prompts)
            rows.append(
                {
                    "pooling": pooling,
                    "after layer": layer,
                    "cross-validated accuracy": inner[penalty],
                    "test accuracy": interval.estimate,
                    "low": interval.low,
                    "high": interval.high,
                    "penalty": penalty,
                }
            )
            print(rows[-1], flush=True)
    write_results("probes", {"train pairs": len(train), "test pairs": len(test)}, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["extract", "fit"])
    parser.add_argument("--out", default="hh_activations.npz")
    parser.add_argument("--activations", default="hh_activations.npz")
    arguments = parser.parse_args()
    if arguments.what == "extract":
        extract(arguments.out)
    else:
        fit(arguments.activations)


if __name__ == "__main__":
    main()
