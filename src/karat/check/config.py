"""Options of `karat check`."""

from __future__ import annotations

from dataclasses import dataclass, field

from karat.data.reading import ReadingConfig
from karat.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckConfig(ReadingConfig):
    """Which inputs the checks may use; empty means "not given". With none at all the built-in world is used."""

    data: str = field(default="", metadata={"help": "Preference pairs: a file, folder or hub name."})
    reward: str = field(
        default="", metadata={"help": "The reward to check; without one, the default model is trained on --data."}
    )
    pool: str = field(
        default="",
        metadata={"help": "Prompts with several responses each, which the reward scores; a gold column, if any."},
    )
    gold: str = field(
        default="", metadata={"help": "What counts as true: a column of the pool or pairs. Never guessed."}
    )
    model: str = field(default="default", metadata={"help": "Backbone to train when no --reward is given."})
    minutes: float = field(
        default=3.0, metadata={"help": "Aim for at most this much training time when a reward is trained."}
    )
    seed: int = field(default=0, metadata={"help": "Seed of the training, the split and the bootstrap."})

    def __post_init__(self) -> None:
        ReadingConfig.__post_init__(self)
        if not self.minutes > 0:
            raise InputError(f"minutes = {self.minutes} is out of range: it must be more than 0.")
