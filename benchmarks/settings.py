"""Which training settings matter on hh-rlhf, each against the same base and on the same development pairs.

The top layer and the head of the default model are trained on 80 % of the training prompts of `quality.py`, and judged
on the other 20 %; the test pairs are never looked at. What enters the top layer is computed once, for training and
judging alike, so that a setting costs minutes. Differences are paired: the same pairs, ordered by both, clustered by
prompt.

    python benchmarks/settings.py --log settings.jsonl       25 minutes on one core, and 2 to 8 more for each setting;
                                                             settings that the log holds are not run again
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import karat
from common import hh_file, write_results
from karat.data import read_pairs, split_pairs
from karat.numerics.accuracy import longer_outcome
from karat.numerics.intervals import clustered_proportion, paired_difference
from karat.rewards.backbone import without_frozen_layers
from karat.rewards.model import RewardModel
from karat.rewards.tree import pack_trees
from karat.train.trunk_cache import trunk_cache
from karat.train.units import build_units
from karat.types import TOKENS_PER_PACK, PreferencePair
from quality import hh_split

LAYER = 29
BASE: dict[str, Any] = {"freeze_below": LAYER, "lr": 1e-4, "epochs": 1.0, "pairs_per_step": 16}
SETTINGS: dict[str, dict[str, Any]] = {
    "base": {},
    "lr 3e-4": {"lr": 3e-4},
    "lr 3e-5": {"lr": 3e-5},
    "2 passes": {"epochs": 2.0},
    "lr 1e-3": {"lr": 1e-3},
    "4 passes": {"epochs": 4.0},
    "8 heads": {"heads": 8},
    "robust": {"loss": "robust"},
    "center": {"center": 0.01},
}
TREES_PER_PACK = 16


@torch.no_grad()
def dev_margins(folder: Path, pairs: Sequence[PreferencePair]) -> list[float]:
    """Margins of pairs under a saved reward, over the cached activations."""
    reward = RewardModel.load(str(folder))
    net = reward.net
    trees = [unit.tree for unit in build_units(pairs, reward.encoder).units]
    cache = trunk_cache(net, trees, layer=LAYER, tokens_per_pack=TOKENS_PER_PACK)
    margins: list[float] = []
    with without_frozen_layers(net, LAYER):
        for start in range(0, len(trees), TREES_PER_PACK):
            part = range(start, min(start + TREES_PER_PACK, len(trees)))
            pack = pack_trees([trees[at] for at in part], [cache[at] for at in part])
            reward_P2 = (net(pack) @ net.combine_H).view(-1, 2)
            margins += (reward_P2[:, 0] - reward_P2[:, 1]).tolist()
    return margins


def run(name: str, train: Sequence[PreferencePair], dev: Sequence[PreferencePair]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rm"
        settings = {**BASE, **SETTINGS[name]}
        karat.train(train, out=out, test_fraction=0, save_steps=10_000, log_steps=10, seed=0, **settings)
        return {"name": name, "change": SETTINGS[name], "margins": dev_margins(out, dev)}


def table(runs: dict[str, dict[str, Any]], dev: Sequence[PreferencePair]) -> list[dict[str, Any]]:
    """Accuracy of each setting and its difference from the base's, with the loss that tells over-fitting."""
    prompts = np.array([pair.prompt_id for pair in dev], dtype=object)
    longer = longer_outcome(np.array([len(str(p.chosen)) for p in dev]), np.array([len(str(p.rejected)) for p in dev]))
    base = np.array(runs["base"]["margins"]) > 0
    rows = []
    for name, found in runs.items():
        margin_P = np.array(found["margins"])
        right = margin_P > 0
        accuracy = clustered_proportion(right.astype(float), prompts)
        row: dict[str, Any] = {
            "setting": name,
            "accuracy": accuracy.estimate,
            "low": accuracy.low,
            "high": accuracy.high,
            "NLL": float(np.logaddexp(0, -margin_P).mean()),
            "right where the shorter is": float(right[longer == 0].mean()),
        }
        if name != "base":
            rng = np.random.default_rng(0)
            gain = paired_difference(right.astype(float), base.astype(float), prompts, rng=rng)
            row |= {"less the base's": gain.estimate, "difference low": gain.low, "difference high": gain.high}
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", type=Path, default=Path("settings.jsonl"), help="one JSON line a setting")
    parser.add_argument("--only", nargs="*", choices=sorted(SETTINGS), help="settings; all when left out")
    arguments = parser.parse_args()
    train, _ = hh_split(read_pairs(str(hh_file())).pairs)
    train, dev = split_pairs(train, test_fraction=0.2, seed=1, by="prompt")
    lines = arguments.log.read_text("utf-8").splitlines() if arguments.log.exists() else []
    runs = {row["name"]: row for row in map(json.loads, lines)}
    for name in SETTINGS if arguments.only is None else arguments.only:
        if name not in runs:
            runs[name] = run(name, train, dev)
            with arguments.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(runs[name]) + "\n")
    facts = {"base": json.dumps(BASE), "training pairs": len(train), "development pairs": len(dev)}
    write_results("settings", facts, table(runs, dev))


if __name__ == "__main__":
    main()
