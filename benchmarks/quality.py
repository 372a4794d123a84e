"""Quality on real people's choices: hh-rlhf harmless-base split by prompt, and ukpconvarg1 split by topic.

hh      2,000 training pairs, the rest (about 300) held out by a keyed hash of the prompt; three seeds of the head's
        initial weights and of the order of pairs; the split is the same.
ukp     which of two arguments is more convincing (the strict set); whole debates held out; all arguments of a topic are
        branches of one tree. Longer wins about 76 % of these pairs, so the baselines matter more than the accuracy.

Settings were chosen on the training prompts only (docs/training.md lists what was tried). Every row names its settings.

    python benchmarks/quality.py hh --seeds 0 1 2
    python benchmarks/quality.py ukp --seeds 0 1 2
    python benchmarks/quality.py hh --seeds 0 --set freeze_below=0 lr=2e-5 --label "all layers"
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

import karat
from common import RESULTS, hh_file, real_file, write_results
from karat.train import TrainConfig
from karat.types import PreferencePair

HH_TRAIN, HH_TEST_SHARE, HH_SPLIT_SEED = 2000, 0.133, 0
HH_SETTINGS = {"freeze_below": 26, "lr": 1e-4, "epochs": 2.0, "pairs_per_step": 16}
UKP_SETTINGS = {"freeze_below": 20, "lr": 1e-4, "epochs": 4.0, "pairs_per_step": 1, "group": True}
UKP_TEST_DEBATES = 4
COLUMNS = (
    "accuracy", "accuracy_low", "accuracy_high", "n_used", "n_prompts", "longer_accuracy", "shorter_accuracy",
    "gain_over_baseline", "gain_over_baseline_low", "gain_over_baseline_high", "nll", "brier", "ece", "temperature",
    "shorter_right_accuracy", "tie_rate", "n_missing", "unique_tokens_per_s", "train_pairs",
)  # fmt: skip


def hh_split(
    pairs: Sequence[PreferencePair], n_train: int = HH_TRAIN
) -> tuple[tuple[PreferencePair, ...], tuple[PreferencePair, ...]]:
    """The training and test pairs of the benchmark."""
    from karat.data import split_pairs

    train, test = split_pairs(pairs, test_fraction=HH_TEST_SHARE, seed=HH_SPLIT_SEED)
    order = np.random.default_rng(HH_SPLIT_SEED).permutation(len(train))[:n_train]
    return tuple(train[index] for index in sorted(order)), tuple(test)


def hh_pairs(n_train: int) -> tuple[tuple[PreferencePair, ...], tuple[PreferencePair, ...]]:
    from karat.data import read_pairs

    return hh_split(read_pairs(str(hh_file())).pairs, n_train)


def read_zst(name: str) -> list[dict[str, Any]]:
    with real_file("ukpconvarg1", name).open("rb") as file:
        text = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8")
        return [json.loads(line) for line in text]


def ukp_pairs() -> tuple[tuple[PreferencePair, ...], tuple[PreferencePair, ...]]:
    """Strict pairs of all but four debates, and of those four; both stances of a debate stay on one side."""
    arguments = {row["id"]: row for row in read_zst("arguments.jsonl.zst")}
    titles = {debate_of(row["topic"]): row["title"] for row in read_zst("pairs_full.jsonl.zst")}
    by_topic: dict[str, list[PreferencePair]] = defaultdict(list)
    for number, row in enumerate(read_zst("pairs_strict_labels.jsonl.zst")):
        first, second = row["id"].split("_")
        better, worse = (first, second) if row["label"] == "a1" else (second, first)
        topic = row["topic"]
        stance = arguments[better]["stance"]
        prompt = f"Debate: {titles[debate_of(topic)]}\nStance: {stance}\nArgument:"
        by_topic[topic].append(
            PreferencePair(
                prompt,
                " " + arguments[better]["text"],
                " " + arguments[worse]["text"],
                prompt_id=topic,
                row=number,
                source=debate_of(topic),
            )
        )
    debates = sorted({debate_of(topic) for topic in by_topic})
    held_out = set(np.random.default_rng(0).permutation(debates)[:UKP_TEST_DEBATES].tolist())
    train = [pair for topic, pairs in by_topic.items() if debate_of(topic) not in held_out for pair in pairs]
    test = [pair for topic, pairs in by_topic.items() if debate_of(topic) in held_out for pair in pairs]
    return tuple(train), tuple(test)


def debate_of(topic: str) -> str:
    """A topic is a debate and a stance, joined by an underscore; debates have none."""
    return topic.split("_", 1)[0]


def printed_rows(log: Path, label: str) -> list[dict[str, Any]]:
    """The rows that runs in processes of their own printed, one JSON object a line, under one label."""
    lines = [line for line in log.read_text("utf-8").splitlines() if line.startswith('{"settings"')]
    return sorted(({**json.loads(line), "settings": label} for line in lines), key=lambda row: row["seed"])


def settings_of(stated: Sequence[str], base: dict[str, Any]) -> dict[str, Any]:
    """name=value entries over the base settings, with the types of TrainConfig."""
    kinds = {field.name: type(field.default) for field in fields(TrainConfig)}
    settings = dict(base)
    for entry in stated:
        name, _, value = entry.partition("=")
        settings[name] = value.lower() in ("1", "true") if kinds[name] is bool else kinds[name](value)
    return settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=["hh", "ukp"])
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--rows", type=Path, help="log of earlier runs with the same options, whose rows are joined")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="training options")
    parser.add_argument("--label", default="", help="names the rows; results are kept by it")
    parser.add_argument("--dev", action="store_true", help="judge on a share of the training prompts, for choosing")
    parser.add_argument("--train-pairs", type=int, default=HH_TRAIN, help="hh: training pairs")
    arguments = parser.parse_args()
    train, test = hh_pairs(arguments.train_pairs) if arguments.data == "hh" else ukp_pairs()
    if arguments.dev:
        from karat.data import split_pairs

        by = "prompt" if arguments.data == "hh" else "source"
        train, test = split_pairs(train, test_fraction=0.2, seed=1, by=by)
    settings = settings_of(arguments.set, HH_SETTINGS if arguments.data == "hh" else UKP_SETTINGS)
    rows = printed_rows(arguments.rows, arguments.label or "default") if arguments.rows else []
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            result = karat.train(
                train, out=Path(folder) / "rm", test_pairs=test, seed=seed, save_steps=10_000, **settings
            )
        values = result.values
        rows.append(
            {"settings": arguments.label or "default", "seed": seed, **{name: values[name] for name in COLUMNS}}
        )
        print(json.dumps(rows[-1]), flush=True)
    name = f"quality_{arguments.data}" + (f"_{arguments.label.replace(' ', '_')}" if arguments.label else "")
    name += "_dev" if arguments.dev else ""
    mean = float(np.mean([row["accuracy"] for row in rows]))
    facts = {"options": json.dumps(settings), "test pairs": len(test), "mean accuracy over seeds": mean}
    write_results(name, facts, rows)
    print(RESULTS / f"{name}.md")


if __name__ == "__main__":
    main()
