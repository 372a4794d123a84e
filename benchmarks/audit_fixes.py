"""What augmentation and consistency do to a planted artefact, where the truth is known.

A question about two things; the answer about both is preferred to one about the first and a third. To 70 % of the
chosen and 30 % of the rejected responses a phrase is added that says nothing, whatever the prompt, and 15 % of the
labels are flipped. The first eight layers of the default model, the last of them and the head trained, with and without
each option, same seed and same number of steps. Held-out pairs are about other things, without flips.

    accuracy    on held-out pairs without the phrase
    hacked      on held-out pairs with the phrase on the wrong side alone
    artefact    change of the score by the phrase, on held-out chosen responses, nats; and in SDs of the margin
    filler      the same by a sentence that no training pair has, unless counterfactual adds it, SDs
    format      the same by a heading and bold type, SDs
    reworded    root mean square change by rewordings of the surface, SDs
    length      correlation of the margin with the difference in log length, on held-out pairs

    python benchmarks/audit_fixes.py --log fixes.jsonl      under a minute for each setting and seed on an idle core
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import karat
from common import write_results
from karat.data.edits import edited, reworded, with_bold, with_filler, with_heading
from karat.numerics.intervals import paired_difference
from karat.rewards import Group
from karat.rewards.backbone import without_frozen_layers
from karat.rewards.groups import last_text
from karat.rewards.model import RewardModel, resolve_model
from karat.rewards.tree import pack_trees
from karat.train.trunk_cache import trunk_cache
from karat.types import TOKENS_PER_PACK, Message, PreferencePair, Text

PHRASE = " This matters to all of us, indeed."
CHOSEN_SHARE, REJECTED_SHARE = 0.7, 0.3
TRAIN, HELD, EDITED = 144, 120, 40
LAYERS, FROZEN = 8, 7
FLIPPED = 0.15
THINGS = (
    "river candle violin desert spider ladder window orange hammer rocket garden pillow island mirror carpet turtle "
    "bridge button cheese dragon engine forest guitar helmet insect jacket kettle lemon market needle ocean pencil "
    "rabbit saddle temple valley wagon zebra anchor basket camera donkey eagle falcon glacier harbour jungle knife"
)
QUESTIONS = (
    "Tell me about the {} and the {}.", "What do you know of the {} and of the {}?",
    "I want to hear of the {}, and then of the {}, please.",
)  # fmt: skip
ANSWERS = (
    "The {} and the {} are things that people have known for a long time.",
    "There is a lot to say of the {} and the {}.",
    "Many people like the {}. They like the {} as well.", "You can read about the {} and the {} in any library.",
)  # fmt: skip
BASE: dict[str, Any] = {"freeze_below": FROZEN, "lr": 1e-3, "pairs_per_step": 16, "max_steps": 36, "save_steps": 9999}
SETTINGS: dict[str, dict[str, Any]] = {
    "base": {},
    "rrm x 2": {"augment": "rrm", "augment_per_pair": 2},
    "counterfactual": {"augment": "counterfactual"},
    "consistency 10": {"consistency": 10.0},
    "clean": {},
}
"""`clean` is the base on the pairs without the phrase."""


def topics(n: int, things: Sequence[str], rng: np.random.Generator, *, flipped: float) -> list[PreferencePair]:
    """A question about two things; an answer about both, preferred, and one about the first and a third."""
    pairs = []
    for number in range(n):
        first, second, third = (str(thing) for thing in rng.choice(things, 3, replace=False))
        right = str(rng.choice(ANSWERS)).format(first, second)
        wrong = str(rng.choice(ANSWERS)).format(first, third)
        if rng.random() < flipped:
            right, wrong = wrong, right
        prompt = (Message("user", str(rng.choice(QUESTIONS)).format(first, second)),)
        sides = ((Message("assistant", text),) for text in (right, wrong))
        pairs.append(PreferencePair(prompt, *sides, prompt_id=f"{first} {second}", row=number))
    return pairs


def pairs_of(seed: int) -> tuple[list[PreferencePair], list[PreferencePair]]:
    """Pairs to train on, and pairs about other things to hold out."""
    rng = np.random.default_rng([seed, 8])
    things = rng.permutation(THINGS.split())
    half = len(things) // 2
    return topics(TRAIN, things[:half], rng, flipped=FLIPPED), topics(HELD, things[half:], rng, flipped=0.0)


def planted(pairs: Sequence[PreferencePair], seed: int) -> list[PreferencePair]:
    """The phrase at the end of a share of each side."""
    rng = np.random.default_rng([seed, 9])
    shares = {"chosen": CHOSEN_SHARE, "rejected": REJECTED_SHARE}
    return [
        replace(pair, **{side: phrased(getattr(pair, side)) for side, share in shares.items() if rng.random() < share})
        for pair in pairs
    ]


def phrased(text: Text) -> Text:
    """The text with the phrase at its end."""
    found = edited(text, lambda content: content + PHRASE)
    assert found is not None
    return found


def small_backbone(folder: Path) -> str:
    """The default model's embedding and first layers, as a model folder."""
    source = resolve_model("default")
    model = AutoModelForCausalLM.from_pretrained(source)
    model.model.layers = model.model.layers[:LAYERS]
    model.config.num_hidden_layers = LAYERS
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return str(folder)


@torch.no_grad()
def cached_scores(reward: RewardModel, groups: Sequence[Group]) -> list[list[float]]:
    """Scores over the activations of the frozen layers, which all settings of a seed share."""
    trees = [encoded.tree for encoded in reward.encoder.encode_many(groups)]
    cache = trunk_cache(reward.net, trees, layer=FROZEN, tokens_per_pack=TOKENS_PER_PACK)
    rows = []
    with without_frozen_layers(reward.net, FROZEN):
        for at, tree in enumerate(trees):
            rows.append((reward.net(pack_trees([tree], [cache[at]])) @ reward.net.combine_H).tolist())
    return rows


def measure(folder: str, held: Sequence[PreferencePair]) -> dict[str, Any]:
    """Scores of held-out responses and of their edits, every group one tree."""
    reward = RewardModel.load(folder)
    edits = {"filler": with_filler, "heading": with_heading, "bold": with_bold, "reworded": reworded}
    groups, places = [], []
    for number, pair in enumerate(held):
        tried = edits.items() if number < EDITED else ()
        others = {name: found for name, edit in tried if (found := edited(pair.chosen, edit)) is not None}
        sides = pair.chosen, pair.rejected
        groups.append(Group(pair.prompt, (*sides, *map(phrased, sides), *others.values())))
        places.append(list(others))
    scores = cached_scores(reward, groups)
    margin_P = np.array([row[0] - row[1] for row in scores])
    change: dict[str, list[float]] = {name: [] for name in edits}
    for row, names in zip(scores, places, strict=True):
        for name, value in zip(names, row[4:], strict=True):
            change[name].append((value - row[0]) / float(margin_P.std(ddof=1)))
    log_P = np.array([np.log1p(len(last_text(p.chosen))) - np.log1p(len(last_text(p.rejected))) for p in held])
    return {
        "margins": margin_P.tolist(),
        "hacked": [row[0] - row[3] for row in scores],
        "artefact, nats": float(np.mean([row[2] - row[0] for row in scores])),
        "artefact": float(np.mean([row[2] - row[0] for row in scores]) / margin_P.std(ddof=1)),
        "filler": float(np.mean(change["filler"])),
        "format": float(np.mean(change["heading"] + change["bold"])),
        "reworded": float(np.sqrt(np.mean(np.square(change["reworded"])))),
        "length": float(log_P @ margin_P / np.sqrt((log_P @ log_P) * (margin_P @ margin_P))),
    }


def run(name: str, seed: int, model: str) -> dict[str, Any]:
    train, held = pairs_of(seed)
    data = train if name == "clean" else planted(train, seed)
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "rm")
        result = karat.train(data, out=out, model=model, test_fraction=0, seed=seed, **BASE, **SETTINGS[name])
        return {"name": name, "seed": seed, "tokens": result.values["train_tokens"], **measure(out, held)}


def table(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over seeds with their range, and accuracy less the base's, paired over all held-out pairs."""
    base = {run["seed"]: np.array(run["margins"]) > 0 for run in runs if run["name"] == "base"}
    rows = []
    for name in SETTINGS:
        own = [run for run in runs if run["name"] == name and run["seed"] in base]
        if not own:
            continue
        row: dict[str, Any] = {"setting": name, "seeds": len(own)}
        right = [np.array(run["margins"]) > 0 for run in own]
        row["accuracy"] = float(np.mean(np.concatenate(right)))
        row["hacked"] = float(np.mean(np.concatenate([np.array(run["hacked"]) > 0 for run in own])))
        if name != "base":
            both = np.concatenate(right), np.concatenate([base[run["seed"]] for run in own])
            gain = paired_difference(
                both[0].astype(float), both[1].astype(float), np.arange(both[0].size), rng=np.random.default_rng(0)
            )
            row["less the base's"] = f"{gain.estimate:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
        for measure_name in ("artefact, nats", "artefact", "filler", "format", "reworded", "length"):
            values = [run[measure_name] for run in own]
            row[measure_name] = f"{np.mean(values):+.2f} ({min(values):+.2f} to {max(values):+.2f})"
        row["tokens"] = int(np.mean([run["tokens"] for run in own]))
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", type=Path, default=Path("fixes.jsonl"), help="one JSON line a setting and seed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=sorted(SETTINGS), help="settings; all when left out")
    arguments = parser.parse_args()
    lines = arguments.log.read_text("utf-8").splitlines() if arguments.log.exists() else []
    runs = [json.loads(line) for line in lines]
    done = {(run["name"], run["seed"]) for run in runs}
    with tempfile.TemporaryDirectory() as folder:
        model = small_backbone(Path(folder))
        for seed in range(arguments.seeds):
            for name in SETTINGS if arguments.only is None else arguments.only:
                if (name, seed) not in done:
                    runs.append(run(name, seed, model))
                    with arguments.log.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(runs[-1]) + "\n")
    facts = {
        "base": json.dumps(BASE), "training pairs": TRAIN, "held-out pairs": HELD,
        "phrase": f"{PHRASE.strip()!r}, {CHOSEN_SHARE:.0%} of chosen, {REJECTED_SHARE:.0%} of rejected",
    }  # fmt: skip
    write_results("audit_fixes", facts, table(runs))


if __name__ == "__main__":
    main()
