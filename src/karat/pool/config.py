"""Options of `karat pool`."""

from __future__ import annotations

from dataclasses import dataclass, field

from karat.errors import InputError
from karat.options import require_least


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConfig:
    """How many responses are sampled, and how."""

    samples: int = field(default=64, metadata={"help": "Responses to each prompt."})
    max_prompts: int = field(default=0, metadata={"help": "Only the first so many prompts; 0: all."})
    max_new_tokens: int = field(default=256, metadata={"help": "Longest response, tokens."})
    temperature: float = field(default=1.0, metadata={"help": "Of the softmax; 0: the likeliest token always."})
    top_p: float = field(
        default=1.0, metadata={"help": "Draw from the likeliest tokens that add up to this probability."}
    )
    top_k: int = field(default=0, metadata={"help": "Draw from this many likeliest tokens; 0: from all."})
    chat: bool = field(
        default=True,
        metadata={"help": "Make a prompt that is plain text a user's turn, where the model has a chat template."},
    )
    dtype: str = field(default="float32", metadata={"help": "Of the weights: float32, bfloat16 or float16."})
    rows_per_batch: int = field(default=64, metadata={"help": "Responses generated at once; bounds the memory."})
    prompts_per_part: int = field(
        default=16, metadata={"help": "Prompts finished before their responses are written; a resume restarts there."}
    )
    seed: int = field(default=0, metadata={"help": "Seed of the draws."})
    overwrite: bool = field(default=False, metadata={"help": "Start again instead of resuming an unfinished --out."})

    def __post_init__(self) -> None:
        require_least(self, {"samples": 1, "max_prompts": 0, "rows_per_batch": 1, "prompts_per_part": 1, "seed": 0})
        if self.dtype not in ("float32", "bfloat16", "float16"):
            raise InputError(f"dtype = {self.dtype!r}: there are float32, bfloat16 and float16.")
