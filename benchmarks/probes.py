"""What is linearly there before any training: Bradley-Terry probes on each layer's activations, last token or mean.

A cheap map of where the preference signal lies, and so of which layers are worth training: for every layer, a linear
head with a ridge penalty on the difference of the two responses' activations, fitted on training prompts, its penalty
chosen by cross-validation inside them, judged on the test prompts of `benchmarks/quality.py`.

    python benchmarks/probes.py extract --out /tmp/hh_activations.npz     about 25 minutes on one core
    python benchmarks/probes.py fit --activations /tmp/hh_activations.npz       7 minutes
    python benchmarks/probes.py compare --activations /tmp/hh_activations.npz   out-of-fold, paired: what differs at all
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
from karat.numerics.intervals import clustered_proportion, paired_difference
from karat.rewards.backbone import decoder_layers
from karat.rewards.default_model import default_model_path
from karat.rewards.model import load_reward_for_training
from karat.rewards.tree import pack_trees
from karat.train.units import build_units
from quality import hh_split

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
FOLDS = 4
PAIRED_PENALTY = 0.1
PAIRED_LAYERS = (16, 20, 26, 30)
"""The best two of the last token by `fit`, the layer above which `quality.py` trains, and the output; the penalty is
one that cross-validation takes often. Chosen on the same pairs, so differences between layers are a little too large;
those between ways of pooling at one layer are not."""


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


def out_of_fold(difference_PD: np.ndarray, fold_P: np.ndarray, *, bags: int = 0) -> np.ndarray:
    """Margins of each pair by a probe that has not seen its fold; with bags, by the mean of so many bootstraps."""
    x_PD, margin_P, rng = difference_PD / difference_PD.std(), np.zeros(len(difference_PD)), np.random.default_rng(0)
    for k in range(FOLDS):
        seen = x_PD[fold_P != k]
        drawn = [seen[rng.integers(0, len(seen), len(seen))] for _ in range(bags)] or [seen]
        weight_D = np.mean([fit_probe(sample, PAIRED_PENALTY) for sample in drawn], axis=0)
        margin_P[fold_P == k] = x_PD[fold_P == k] @ weight_D
    return margin_P


def compare(activations: str) -> None:
    """Paired differences of accuracy over all training pairs: pooling, layer, and bagged heads against a single one."""
    pairs = read_pairs(str(hh_file())).pairs
    train, _ = hh_split(pairs)
    index = {pair.row: number for number, pair in enumerate(pairs)}
    at = np.array([index[pair.row] for pair in train])
    prompts = np.array([pair.prompt_id for pair in train], dtype=object)
    fold = np.unique(prompts, return_inverse=True)[1] % FOLDS
    stored = np.load(activations)
    both = {pooling: stored[pooling][at] for pooling in ("last", "mean")}

    def margins(pooling: str, layer: int, bags: int = 0) -> np.ndarray:
        return out_of_fold(both[pooling][:, 0, layer] - both[pooling][:, 1, layer], fold, bags=bags)

    contrasts = [(f"mean over tokens, after layer {n}", margins("mean", n), f"last token, after layer {n}",
                  margins("last", n)) for n in PAIRED_LAYERS]  # fmt: skip
    first, last = PAIRED_LAYERS[1], PAIRED_LAYERS[-1]
    single = margins("last", first)
    contrasts.append((f"last token, after layer {first}", single, f"after layer {last}", margins("last", last)))
    contrasts.append(("mean of 8 bootstrap heads", margins("last", first, 8), f"one head, after layer {first}", single))
    rows = []
    for name, left, other, right in contrasts:
        ordered = [(margin > 0).astype(float) for margin in (left, right)]
        found = paired_difference(*ordered, prompts, rng=np.random.default_rng(1))
        nll = [float(np.logaddexp(0, -margin).mean()) for margin in (left, right)]
        rows.append({"this": name, "against": other, "accuracy": ordered[0].mean(), "against it": ordered[1].mean(),
                     "difference": found.estimate, "low": found.low, "high": found.high, "NLL": nll[0],
                     "its NLL": nll[1]})  # fmt: skip
    write_results("probes_paired", {"pairs": len(train), "folds": FOLDS, "penalty": PAIRED_PENALTY}, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["extract", "fit", "compare"])
    parser.add_argument("--out", default="hh_activations.npz")
    parser.add_argument("--activations", default="hh_activations.npz")
    arguments = parser.parse_args()
    if arguments.what == "extract":
        extract(arguments.out)
    else:
        {"fit": fit, "compare": compare}[arguments.what](arguments.activations)


if __name__ == "__main__":
    main()
