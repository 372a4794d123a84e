"""Every format of step labels that karat reads, the most specific first: the first that fits is taken."""

from __future__ import annotations

from karat.data.steps.formats import first_error, gsm8k, listed, marked, own, prm800k
from karat.data.steps.formats.base import StepFormat, StepOptions

FORMATS: tuple[StepFormat, ...] = (
    own.KARAT,
    prm800k.PRM800K,
    *first_error.FORMATS,
    *marked.FORMATS,
    *listed.FORMATS,
    *gsm8k.FORMATS,
)

__all__ = ["FORMATS", "StepFormat", "StepOptions"]
