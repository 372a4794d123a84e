"""Every format of preference pairs that karat reads, the most specific first: the first that fits is taken."""

from __future__ import annotations

from karat.data.formats import anthropic, arena, helpsteer, own, rewardbench, toolkits, trl, ultrafeedback
from karat.data.formats.base import Format, Options

FORMATS: tuple[Format, ...] = (
    own.KARAT,
    *ultrafeedback.FORMATS,
    *helpsteer.FORMATS,
    *arena.FORMATS,
    *rewardbench.FORMATS,
    *toolkits.FORMATS,
    trl.TOKENISED,
    trl.ULTRAFEEDBACK_BINARIZED,
    trl.CONVERSATIONAL,
    anthropic.HH_RLHF,
    trl.STANDARD,
)

__all__ = ["FORMATS", "Format", "Options"]
