"""Options of `karat stress transfer`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from karat.errors import InputError
from karat.options import require_least

BASE = "base"
"""What the base policy is called unless told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferConfig:
    """Which columns hold the matrix, or how policies of the built-in settings are trained and evaluated."""

    trained: str = field(
        default="", metadata={"help": "Of a POOL: column with the setting that the policy was trained in."}
    )
    evaluated: str = field(default="", metadata={"help": "Of a POOL: column with the setting of the prompt."})
    hack: str = field(
        default="", metadata={"help": "Of a POOL: column that is 1 where the response hacks that setting, 0 where not."}
    )
    threshold: float | None = field(
        default=None, metadata={"help": "The column is a score: a hack is a score of so much or more."}
    )
    base: str = field(
        default="", metadata={"help": "Of a POOL: the policy before training, as --trained names it; else base."}
    )
    run: str = field(
        default="", metadata={"help": "Of a POOL: column with the training run (its seed), where there are several."}
    )
    settings: str = field(default="", metadata={"help": "Settings to use, by comma; none: all there are."})
    runs: int = field(default=4, metadata={"help": "Built in: policies trained in each setting, each with its seed."})
    steps: int = field(default=100, metadata={"help": "Built in: GRPO steps of each."})
    lr: float = field(default=5e-4, metadata={"help": "Built in: learning rate."})
    eval_prompts: int = field(default=64, metadata={"help": "Built in: held-out prompts of each setting."})
    eval_samples: int = field(default=8, metadata={"help": "Built in: responses to each of them."})
    seed: int = field(default=0, metadata={"help": "Built in: seed of training and sampling."})

    def __post_init__(self) -> None:
        require_least(self, {"runs": 1, "steps": 1, "eval_prompts": 2, "eval_samples": 1, "seed": 0})
        if not 0 < self.lr < math.inf:
            raise InputError(f"lr = {self.lr:g} is out of range: it must be above 0 and finite.")
        if self.threshold is not None and not math.isfinite(self.threshold):
            raise InputError(f"threshold = {self.threshold}: it must be a finite number.")
        columns = [name for name in (self.trained, self.evaluated, self.hack, self.run) if name]
        twice = next((name for name in columns if columns.count(name) > 1), "")
        if twice:
            raise InputError(f"column {twice!r} is named for two things; trained, evaluated, hack and run differ.")

    @property
    def setting_names(self) -> tuple[str, ...]:
        """The settings that were asked for, each once; none: all."""
        return tuple(dict.fromkeys(name.strip() for name in self.settings.split(",") if name.strip()))

    @property
    def gold(self) -> str:
        """What decides that a response is a hack, in words."""
        if not self.hack:
            return "planted exploits"
        return self.hack if self.threshold is None else f"{self.hack} >= {self.threshold:g}"
