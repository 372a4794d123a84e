"""Worlds: settings whose truth, and whose planted faults, are known. The default one ships with the package."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from karat.types import Message, PoolRow, PreferencePair
from karat.worlds.annotators import ANNOTATORS
from karat.worlds.pool import DEFAULT, read_pool, read_rows


@dataclass(frozen=True, slots=True)
class PlantedFault:
    """Something wrong that was put into a world on purpose, and the check that should find it ("": none does yet)."""

    name: str
    where: str
    strength: float
    unit: str
    found_by: str


@dataclass(frozen=True, slots=True)
class World:
    """Preferences and a pool with known gold."""

    name: str
    pairs: tuple[PreferencePair, ...]
    pool: tuple[PoolRow, ...]
    gold_name: str
    planted: tuple[PlantedFault, ...]
    recipe: Mapping[str, Any]

    @property
    def train_pairs(self) -> tuple[PreferencePair, ...]:
        return tuple(pair for pair in self.pairs if pair.extra["split"] == "train")

    @property
    def test_pairs(self) -> tuple[PreferencePair, ...]:
        return tuple(pair for pair in self.pairs if pair.extra["split"] == "test")

    def summary(self) -> dict[str, Any]:
        """Measured facts: counts, right rate by family, how labels relate to gold and to length.

        Ties are left out of the shares; `longer_wins` also leaves out pairs of equal length (in characters).
        """
        right: dict[str, list[float]] = {}
        for row in self.pool:
            right.setdefault(str(row.extra["family"]), []).append(row.scores["gold"])
        decided = [pair for pair in self.pairs if not pair.is_tie]
        differ = [pair for pair in decided if pair.extra["gold_chosen"] != pair.extra["gold_rejected"]]
        agree = sum(pair.extra["gold_chosen"] > pair.extra["gold_rejected"] for pair in differ)
        lengths = [(_length(pair.chosen), _length(pair.rejected)) for pair in decided]
        unequal = [(chosen, rejected) for chosen, rejected in lengths if chosen != rejected]
        longer = sum(chosen > rejected for chosen, rejected in unequal)
        return {
            "prompts": len({row.prompt_id for row in self.pool}),
            "responses": len(self.pool),
            "train_pairs": len(self.train_pairs),
            "test_pairs": len(self.test_pairs),
            "test_prompts": len({pair.prompt_id for pair in self.test_pairs}),
            "right_rate_by_family": {name: sum(golds) / len(golds) for name, golds in sorted(right.items())},
            "labels_agree_with_gold": agree / len(differ),
            "longer_wins": longer / len(unequal),
            "equal_gold_share": 1 - len(differ) / len(decided),
            "ties": len(self.pairs) - len(decided),
            "flipped_share": sum(bool(pair.extra["flipped"]) for pair in self.pairs) / len(self.pairs),
            "pairs_by_annotator": dict(sorted(Counter(pair.annotator for pair in self.pairs).items())),
        }


def _length(text: Any) -> int:
    return sum(len(message.content) for message in text)


def load_default_world() -> World:
    """The world that ships with the package: real samples of the default model, simulated preferences."""
    answers = [
        (prompt, number, response, gold)
        for prompt in read_pool()
        for number, (response, gold) in enumerate(zip(prompt.responses, prompt.gold, strict=True))
    ]
    pool = tuple(
        PoolRow(
            prompt.prompt_id,
            str(number),
            (Message("user", prompt.prompt),),
            (Message("assistant", response),),
            scores={"gold": gold},
            row=row,
            extra={"family": prompt.family},
        )
        for row, (prompt, number, response, gold) in enumerate(answers)
    )
    return World(
        name="checkable tasks",
        pairs=tuple(pair_from_row(row) for row in read_rows("pairs.jsonl.gz")),
        pool=pool,
        gold_name="program check",
        planted=planted_faults(),
        recipe={
            **json.loads((DEFAULT / "recipe.json").read_text(encoding="utf-8")),
            "annotators": [asdict(annotator) for annotator in ANNOTATORS],
        },
    )


def planted_faults() -> tuple[PlantedFault, ...]:
    """What the annotators wrongly like and how often they slip, from their own records."""
    faults: list[PlantedFault] = []
    for annotator in ANNOTATORS:
        who = f"annotator {annotator.name}"
        unit = "nats per standard deviation of log length"
        faults.append(PlantedFault("likes length", who, annotator.length_weight, unit, "RM202"))
        if annotator.opening_weight:
            faults.append(PlantedFault("likes an opening phrase", who, annotator.opening_weight, "nats", ""))
        if annotator.flip_rate:
            faults.append(PlantedFault("flips labels", who, annotator.flip_rate, "probability", ""))
    return tuple(faults)


# ---------------------------------------------------------------------------------------------------------- stored rows
def pair_to_row(pair: PreferencePair) -> dict[str, Any]:
    """A pair of the world as plain JSON (one user turn, one assistant turn a side)."""
    return {
        "prompt_id": pair.prompt_id,
        "prompt": _only(pair.prompt),
        "chosen": _only(pair.chosen),
        "rejected": _only(pair.rejected),
        "label": pair.label,
        "annotator": pair.annotator,
        "source": pair.source,
        "row": pair.row,
        **pair.extra,
    }


def pair_from_row(row: Mapping[str, Any]) -> PreferencePair:
    return PreferencePair(
        (Message("user", row["prompt"]),),
        (Message("assistant", row["chosen"]),),
        (Message("assistant", row["rejected"]),),
        label=row["label"],
        prompt_id=row["prompt_id"],
        row=row["row"],
        source=row["source"],
        annotator=row["annotator"],
        extra={name: row[name] for name in ("gold_chosen", "gold_rejected", "flipped", "split")},
    )


def _only(text: Any) -> str:
    (message,) = text
    return str(message.content)
