"""Options of `karat score`."""

from __future__ import annotations

from dataclasses import dataclass, field

from karat.data.reading import ReadingConfig
from karat.errors import InputError
from karat.options import require_least
from karat.types import TOKENS_PER_PACK


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreConfig(ReadingConfig):
    """How rows are scored. Lengths in tokens."""

    name: str = field(
        default="score", metadata={"help": "Stem of the added columns: NAME, NAME_spread, NAME_missing, ..."}
    )
    max_length: int = field(
        default=0,
        metadata={"help": "Longest prompt + response, tokens; 0: as in training (else 2048). Longer: oldest turns go."},
    )
    tokens_per_pack: int = field(
        default=TOKENS_PER_PACK, metadata={"help": "Most tokens in one forward pass; bounds the memory."}
    )
    rows_per_chunk: int = field(
        default=512, metadata={"help": "Rows held in memory and written at once; a resume restarts here."}
    )
    per_head: bool = field(default=True, metadata={"help": "Add one column per head for rewards with several heads."})
    overwrite: bool = field(default=False, metadata={"help": "Start again instead of resuming an unfinished --out."})

    def __post_init__(self) -> None:
        ReadingConfig.__post_init__(self)
        if not self.name.isidentifier():
            raise InputError(f"name = {self.name!r} cannot name a column: use letters, digits and underscores.")
        require_least(self, {"max_length": 0, "tokens_per_pack": 1, "rows_per_chunk": 1})
