"""Training speed against TRL's RewardTrainer: same model, pairs, order, optimiser, dtype, in one run.

Method. Real pairs (hh-rlhf harmless-base) are tokenised once, by karat's encoder, and given to both trainers as token
ids, in the same fixed order, from the same initial weights (the head's too). Each trainer runs in a process of its own;
the two alternate, so that a machine that slows down slows both. A step is timed from the start of its forward pass to
the end of its optimiser step; the first step of each process warms up and is not counted. Peak memory is the process's
largest resident set.

token ratio = tokens of TRL's padded batches / unique tokens of karat's trees, over the same batches: the floor of the
work that padding and repeating prompts adds. share of the token ratio = (TRL's time / karat's time) / token ratio.

    python benchmarks/train_vs_trl.py --pairs 8 --steps 8 --rounds 2
    python benchmarks/train_vs_trl.py --pairs 8 --steps 8 --rounds 2 --trl-checkpointing   TRL's own default
    python benchmarks/train_vs_trl.py --pairs 16 --steps 4 --max-length 256                no checkpointing in 24 GB
    python benchmarks/train_vs_trl.py --pairs 32 --steps 3 --max-length 128
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback

from common import hh_file, write_results
from karat.types import TOKENS_PER_PACK

LR = 2e-5
MAX_LENGTH = 512
"""Tokens. Without checkpointing TRL needs about 1.8 MB a padded token, and a step of N pairs has up to 2 N times this
many: 24 GB hold 8 pairs of 512, 16 of 256 or 32 of 128."""


class StepTimes(TrainerCallback):
    """Seconds of each optimiser step, forward to update."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._began = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._began = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.seconds.append(time.perf_counter() - self._began)


def common_arguments(folder: str, pairs: int, steps: int) -> dict[str, Any]:
    return {
        "output_dir": folder,
        "per_device_train_batch_size": pairs,
        "max_steps": steps,
        "learning_rate": LR,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "seed": 0,
        "bf16": False,
        "use_cpu": True,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "train_sampling_strategy": "sequential",
    }


def load_trees(count: int, max_length: int) -> tuple[Any, list[Any]]:
    """The default model ready for trees, and the first `count` pairs of a fixed shuffle, cut, as training units."""
    from karat.data import read_pairs
    from karat.rewards.default_model import default_model_path
    from karat.rewards.model import load_reward_for_training
    from karat.train.units import build_units

    reward = load_reward_for_training(
        str(default_model_path()), n_heads=1, max_length=max_length, dtype=torch.float32, seed=0
    )
    pairs = read_pairs(str(hh_file())).pairs
    order = np.random.default_rng(0).permutation(len(pairs))[:count]
    return reward, list(build_units([pairs[index] for index in order], reward.encoder).units)


def run_karat(arguments: argparse.Namespace) -> dict[str, Any]:
    from transformers import TrainingArguments

    from karat.train.config import TrainConfig
    from karat.train.losses import make_loss
    from karat.train.objective import PairObjective
    from karat.train.trainer import TreeTrainer
    from karat.train.units import bootstrap_weights

    reward, units = load_trees(arguments.pairs * arguments.steps, arguments.max_length)
    times = StepTimes()
    with tempfile.TemporaryDirectory() as folder:
        trainer = TreeTrainer(
            net=reward.net,
            args=TrainingArguments(
                **common_arguments(folder, arguments.pairs, arguments.steps), remove_unused_columns=False
            ),
            units=units,
            objective=PairObjective(
                make_loss(TrainConfig()),
                bootstrap_weights([unit.prompt_id for unit in units], 1, np.random.default_rng(0)),
            ),
            tokens_per_pack=arguments.tokens_per_pack,
            lr_head=LR,
            callbacks=[times],
        )
        trainer.train()
    return measured(times, trainer)


def run_trl(arguments: argparse.Namespace) -> dict[str, Any]:
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification
    from trl import RewardConfig, RewardTrainer

    from karat.rewards.default_model import default_model_path

    reward, units = load_trees(arguments.pairs * arguments.steps, arguments.max_length)
    model = AutoModelForSequenceClassification.from_pretrained(default_model_path(), num_labels=1, dtype=torch.float32)
    model.score.weight.data.copy_(reward.net.head.weight.detach())
    tokenizer = reward.encoder.tokenizer  # its pad token is not EOS, so TRL reads the same token
    rows = {
        "chosen_ids": [list(unit.tree.root + unit.tree.branches[unit.chosen[0]]) for unit in units],
        "rejected_ids": [list(unit.tree.root + unit.tree.branches[unit.rejected[0]]) for unit in units],
    }
    del reward
    times = StepTimes()
    with tempfile.TemporaryDirectory() as folder:
        trainer = RewardTrainer(
            model=model,
            args=RewardConfig(
                **common_arguments(folder, arguments.pairs, arguments.steps),
                gradient_checkpointing=arguments.trl_checkpointing,
                max_length=None,
            ),
            train_dataset=Dataset.from_dict(rows),
            processing_class=tokenizer,
            callbacks=[times],
        )
        trainer.train()
    return measured(times, trainer)


def measured(times: StepTimes, trainer: Any) -> dict[str, Any]:
    return {
        "seconds": times.seconds,
        "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def token_counts(pairs: int, steps: int, max_length: int) -> tuple[int, int]:
    """Padded tokens of TRL's batches and unique tokens of karat's trees, without the first (uncounted) step."""
    _, units = load_trees(pairs * steps, max_length)
    padded = unique = 0
    for start in range(pairs, len(units), pairs):
        batch = [unit.tree for unit in units[start : start + pairs]]
        padded += 2 * len(batch) * max(tree.longest for tree in batch)
        unique += sum(tree.n_tokens for tree in batch)
    return padded, unique


def child(which: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """One trainer in a process of its own."""
    with tempfile.NamedTemporaryFile("r", suffix=".json") as out:
        command = [sys.executable, __file__, "--child", which, "--out", out.name]
        command += ["--pairs", str(arguments.pairs), "--steps", str(arguments.steps)]
        command += ["--tokens-per-pack", str(arguments.tokens_per_pack), "--max-length", str(arguments.max_length)]
        command += ["--trl-checkpointing"] if arguments.trl_checkpointing else []
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{which} failed with {done.returncode}:\n{done.stderr[-2000:]}")
        result: dict[str, Any] = json.loads(Path(out.name).read_text())
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=8, help="pairs a step")
    parser.add_argument("--steps", type=int, default=6, help="steps a process, the first uncounted")
    parser.add_argument("--rounds", type=int, default=2, help="processes of each trainer, alternating")
    parser.add_argument("--max-length", type=int, default=MAX_LENGTH, help="tokens that pairs are cut to")
    parser.add_argument("--tokens-per-pack", type=int, default=TOKENS_PER_PACK)
    parser.add_argument("--trl-checkpointing", action="store_true", help="TRL's default: recompute activations")
    parser.add_argument("--child", choices=["karat", "trl"], help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        result = (run_karat if arguments.child == "karat" else run_trl)(arguments)
        Path(arguments.out).write_text(json.dumps(result))
        return

    padded, unique = token_counts(arguments.pairs, arguments.steps, arguments.max_length)
    runs: dict[str, list[dict[str, Any]]] = {"karat": [], "trl": []}
    for _ in range(arguments.rounds):
        for which in ("karat", "trl"):
            runs[which].append(child(which, arguments))
    seconds = {which: [sum(run["seconds"][1:]) for run in runs[which]] for which in runs}
    speedups = [trl / karat for trl, karat in zip(seconds["trl"], seconds["karat"], strict=True)]
    losses = {which: np.array(runs[which][0]["losses"]) for which in runs}
    pairs = arguments.pairs * (arguments.steps - 1)
    speedup, ratio = statistics.median(speedups), padded / unique
    row = {
        "pairs a step": arguments.pairs,
        "cut to tokens": arguments.max_length,
        "TRL checkpointing": "on" if arguments.trl_checkpointing else "off",
        "TRL pairs/s": pairs / statistics.median(seconds["trl"]),
        "karat pairs/s": pairs / statistics.median(seconds["karat"]),
        "speed-up": speedup,
        "token ratio": ratio,
        "share of token ratio": speedup / ratio,
        "largest loss difference": float(np.max(np.abs(losses["karat"] - losses["trl"]) / np.abs(losses["trl"]))),
        "TRL peak GB": max(run["peak_gb"] for run in runs["trl"]),
        "karat peak GB": max(run["peak_gb"] for run in runs["karat"]),
    }
    suffix = f"_cut_{arguments.max_length}" if arguments.max_length != MAX_LENGTH else ""
    suffix += "_trl_checkpointing" if arguments.trl_checkpointing else ""
    write_results(
        f"train_vs_trl_{arguments.pairs}{suffix}",
        {
            "unique tokens": unique,
            "padded tokens": padded,
            "rounds": arguments.rounds,
            "speed-up by round": ", ".join(f"{value:.2f}" for value in speedups),
            "runs": runs,
        },
        [row],
    )


if __name__ == "__main__":
    main()
