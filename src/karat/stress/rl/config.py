"""Options of `karat stress rl`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from karat.errors import InputError
from karat.options import require_least

Stop = Literal["never", "observed", "certified"]
Keep = Literal["last", "best", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RlConfig:
    """How a policy is optimised against the proxy, and how closely it is watched."""

    proxy: str = field(default="", metadata={"help": "REWARD that is optimised; the built-in setting has its own."})
    gold: str = field(default="", metadata={"help": "REWARD that counts as true; it is only looked at."})
    setting: str = field(
        default="length", metadata={"help": "Without a POLICY: built-in setting (length, format or checks)."}
    )
    steps: int = field(default=100, metadata={"help": "Optimiser steps."})
    prompts_per_step: int = field(default=8, metadata={"help": "Prompts of a step."})
    generations: int = field(default=8, metadata={"help": "Responses to each prompt of a step: the group of GRPO."})
    responses_per_pass: int = field(
        default=0, metadata={"help": "Responses in one backward pass, bounds the memory; 0: all of a step."}
    )
    lr: float = field(
        default=0.0, metadata={"help": "Learning rate; 0: 5e-4 for the built-in policy, 1e-5 for others."}
    )
    kl_beta: float = field(default=0.0, metadata={"help": "Weight of the KL penalty in the objective."})
    lora: int = field(default=0, metadata={"help": "Rank of LoRA adapters on all linear layers; 0: train all weights."})
    temperature: float = field(default=1.0, metadata={"help": "Of sampling, in training and in evaluation."})
    max_new_tokens: int = field(default=0, metadata={"help": "Longest response, tokens; 0: 24 built in, else 256."})
    eval_every: int = field(default=5, metadata={"help": "Steps between evaluations."})
    eval_prompts: int = field(default=32, metadata={"help": "Prompts held out for evaluation."})
    eval_samples: int = field(default=16, metadata={"help": "Responses to each of them at each evaluation."})
    stop: Stop = field(
        default="never",
        metadata={
            "help": "never; observed: when the gold has fallen at two evaluations running; certified: at the first "
            "evaluation at or beyond the KL of the certified best of n."
        },
    )
    keep: Keep = field(default="last", metadata={"help": "Policy saved in OUT/policy: last, best (by gold) or none."})
    dtype: str = field(default="float32", metadata={"help": "Of the weights: float32 or bfloat16."})
    resamples: int = field(default=2000, metadata={"help": "Bootstrap draws of prompts."})
    seed: int = field(default=0, metadata={"help": "Seed of the draws and of the order of prompts."})

    def __post_init__(self) -> None:
        limits = {
            "steps": 1, "prompts_per_step": 1, "generations": 2, "responses_per_pass": 0, "lora": 0,
            "max_new_tokens": 0, "eval_every": 1, "eval_prompts": 4, "eval_samples": 2, "resamples": 100, "seed": 0,
        }  # fmt: skip
        require_least(self, limits)
        for name in ("lr", "kl_beta"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} = {getattr(self, name):g} is out of range: it must be at least 0 and finite.")
        if not 0 < self.temperature < math.inf:
            raise InputError(f"temperature = {self.temperature:g} is out of range: it must be above 0 and finite.")
        if self.dtype not in ("float32", "bfloat16"):
            raise InputError(f"dtype = {self.dtype!r}: there are float32 and bfloat16.")
        if self.proxy and self.proxy == self.gold:
            raise InputError(f"proxy and gold are both {self.proxy!r}: a reward cannot be its own truth.")
        if self.stop != "never" and self.setting == "" and not self.gold:
            raise InputError(f"--stop {self.stop} needs --gold: without it nobody sees the truth fall.")
        if self.responses_per_pass and (self.prompts_per_step * self.generations) % self.responses_per_pass:
            raise InputError(
                f"responses_per_pass = {self.responses_per_pass} does not divide the {self.prompts_per_step} x "
                f"{self.generations} responses of a step."
            )
