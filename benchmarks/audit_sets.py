"""The real pairs that the benchmarks of `karat audit data` share, read the same way by each, and their vectors.

hh        hh-rlhf harmless-base test, as karat reads it
pandalm   PandaLM's test set: the label is the share of three annotators' votes
ukp       ukpconvarg1, the strict set: which of two arguments is more convincing; a prompt is a debate's side
qa        qa-feedback of FineGrainedRLHF: all six pairs of four sampled answers a question; no preference is a tie
ukp_votes the full set, one pair for each vote, with its worker as the annotator; "equal" is a tie

python benchmarks/audit_sets.py hh ukp pandalm      computes the vectors that the others use, once
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import zstandard

from common import hh_file, real_file
from karat.data import read_pairs
from karat.types import PreferencePair

SETS = ("hh", "pandalm", "ukp", "qa", "ukp_votes")


def read_set(name: str) -> tuple[PreferencePair, ...]:
    """All pairs of a set."""
    if name == "hh":
        return tuple(read_pairs(str(hh_file())).pairs)
    if name == "pandalm":
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "pandalm.json"
            file.write_bytes(_decompressed(real_file("pandalm", "data__testset-v1.json.zst")))
            return tuple(read_pairs(str(file)).pairs)
    if name == "qa":
        return _qa()
    return _ukp_strict() if name == "ukp" else _ukp_votes()


def _qa() -> tuple[PreferencePair, ...]:
    text = _decompressed(real_file("fgrlhf_qa_feedback_dev", "tasks__qa_feedback__data__dev_feedback.json.zst"))
    pairs = []
    for number, row in enumerate(json.loads(text)):
        answers = [row[f"prediction {place}"] for place in range(1, 5)]
        for (first, second), choice in zip(combinations(answers, 2), row["preference"], strict=True):
            better, worse = (second, first) if choice == 2 else (first, second)
            label = 0.5 if choice == 0 else 1.0
            pairs.append(PreferencePair(row["question"], better, worse, label=label, prompt_id=str(number), row=number))
    return tuple(pairs)


def _ukp_strict() -> tuple[PreferencePair, ...]:
    return tuple(
        _ukp_pair(number, row["topic"], row["id"], row["label"] == "a1", {})
        for number, row in enumerate(_rows("pairs_strict_labels.jsonl.zst"))
    )


def _ukp_votes() -> tuple[PreferencePair, ...]:
    pairs = []
    for number, row in enumerate(_rows("pairs_full.jsonl.zst")):
        for vote in row["votes"]:
            label = 0.5 if vote["value"] == "equal" else 1.0
            facts = {"annotator": str(vote["w"]), "label": label}
            pairs.append(_ukp_pair(number, row["topic"], row["id"], vote["value"] != "a2", facts))
    return tuple(pairs)


def worker_competence() -> dict[str, float]:
    """By worker of ukp_votes, the competence that the data's authors estimated (MACE)."""
    return {
        str(vote["w"]): float(vote["competence"])
        for row in _rows("pairs_full.jsonl.zst")
        for vote in row["votes"]
        if vote["competence"] is not None
    }


def _ukp_pair(number: int, topic: str, name: str, is_first: bool, facts: dict[str, Any]) -> PreferencePair:
    arguments, titles = _texts()
    first, second = name.split("_")
    better, worse = (first, second) if is_first else (second, first)
    debate = topic.split("_", 1)[0]
    prompt = f"Debate: {titles[debate]}\nStance: {arguments[better]['stance']}\nArgument:"
    sides = (" " + arguments[better]["text"], " " + arguments[worse]["text"])
    return PreferencePair(prompt, *sides, prompt_id=topic, row=number, source=debate, **facts)


_CACHE: dict[str, Any] = {}


def _texts() -> tuple[dict[str, Any], dict[str, str]]:
    if not _CACHE:
        _CACHE["arguments"] = {row["id"]: row for row in _rows("arguments.jsonl.zst")}
        _CACHE["titles"] = {row["topic"].split("_", 1)[0]: row["title"] for row in _rows("pairs_full.jsonl.zst")}
    return _CACHE["arguments"], _CACHE["titles"]


def _rows(name: str) -> Sequence[dict[str, Any]]:
    text = _decompressed(real_file("ukpconvarg1", name)).decode("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _decompressed(file: Path) -> bytes:
    return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(file.read_bytes())).read()


def main() -> None:
    from karat.rewards.vectors import pair_vectors

    for name in sys.argv[1:] or SETS[:3]:
        pairs, began = read_set(name), time.perf_counter()

        def progress(stage: str, done: int, total: int, note: str, name: str = name, began: float = began) -> None:
            print(f"{name}: {stage} {done} of {total} {note}, {time.perf_counter() - began:.0f} s", flush=True)

        found = pair_vectors(pairs, progress=progress)
        print(f"{name}: {len(pairs)} pairs, layer {found.layer}, {found.n_cut} cut, {len(found.missing)} missing")


if __name__ == "__main__":
    main()
