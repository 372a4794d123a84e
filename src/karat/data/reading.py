"""The options of every verb that reads preference pairs: which format, which split, which columns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from karat.data.formats import Options
from karat.data.pairs import PairOptions
from karat.data.records import as_number
from karat.errors import InputError
from karat.options import option


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingConfig:
    """How the rows of a source become pairs; the configurations of verbs inherit it. Empty: found from the rows."""

    format: str = option("", "Format of the rows; recognised from them when empty.")
    split: str = option("", "Split of a folder or hub data set; otherwise its only one, or train.")
    prompt_key: str = option("", "Column to read as prompt.")
    chosen_key: str = option("", "Column to read as chosen.")
    rejected_key: str = option("", "Column to read as rejected.")
    hh_as: Literal["text", "messages"] = option("text", "hh-rlhf dialogues as plain text, or as turns for a template.")
    attribute_weights: str = option(
        "", "Prefer by this sum of ratings (helpsteer2, ultrafeedback): name or name=weight, comma-separated."
    )

    def __post_init__(self) -> None:
        Options(self.hh_as, parse_weights("attribute_weights", self.attribute_weights))

    def reading(self) -> PairOptions:
        """The options as `read_pairs` and `stream_pairs` take them."""
        return PairOptions(
            format=self.format,
            split=self.split,
            prompt_key=self.prompt_key,
            chosen_key=self.chosen_key,
            rejected_key=self.rejected_key,
            hh_as=self.hh_as,
            attribute_weights=parse_weights("attribute_weights", self.attribute_weights),
        )

    @property
    def names_pairs(self) -> bool:
        """Whether an option says that the rows are pairs, so that it need not be found out."""
        return any((self.format, self.prompt_key, self.chosen_key, self.rejected_key))


def parse_weights(option: str, text: str) -> dict[str, float]:
    """Weights by name from "name=weight,name"; a name alone weighs 1. Raises InputError for any other entry."""
    stated: dict[str, float] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, _, weight = entry.partition("=")
        value = as_number(weight) if weight else 1.0
        if not math.isfinite(value):
            raise InputError(f"{option}: {entry!r} is not name or name=weight, with a finite weight.")
        stated[name.strip()] = value
    return stated
