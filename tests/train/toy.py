"""A toy preference that a tiny decoder can learn: the better response says so."""

from __future__ import annotations

import random
from pathlib import Path

from karat.types import PreferencePair
from rewards.tiny import save_tiny

WORDS = ["one", "two", "three", "four", "five"]


def toy_pairs(n: int = 60, *, seed: int = 0, per_prompt: int = 3) -> list[PreferencePair]:
    """n pairs, `per_prompt` for each prompt, with strengths and ratings."""
    rng = random.Random(seed)
    pairs = []
    for index in range(n):
        prompt = f"q{index // per_prompt}"
        chosen = "good " * rng.randint(1, 4) + rng.choice(WORDS)
        rejected = "bad " * rng.randint(1, 4) + rng.choice(WORDS)
        pairs.append(
            PreferencePair(
                prompt,
                chosen,
                rejected,
                prompt_id=prompt,
                row=index,
                strength=float(1 + index % 3),
                source="even" if index % 2 == 0 else "odd",
                chosen_attributes={"help": 3.0 + index % 2, "tone": float("nan")},
                rejected_attributes={"help": 1.0 + index % 2, "tone": float(index % 4)},
            )
        )
    return pairs


def toy_model(folder: Path) -> str:
    return str(save_tiny(folder))
