"""Names and settings of the rules that make one score of several rewards, apart from their code: options name them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from karat.errors import InputError

Centre = Literal["pool", "prompt"]

RULES: dict[str, str] = {
    "proxy": "the proxy as it is",
    "mean": "mean of the members",
    "worst": "least of the members",
    "variance": "mean less variance / (2 b): uncertainty weighting with 1 / (2 b), KL-DRO for normal members",
    "kl-dro": "-b log mean exp(-R / b) over the members",
    "length-lowess": "proxy less its smooth trend over the length",
    "length-isotonic": "proxy less its rising or falling trend over the length",
    "clip": "proxy, cut at a level",
    "mbr": "proxy plus similarity to other responses (minimum Bayes risk)",
    "par": "mean over references of sigmoid(proxy - reference's proxy)",
}
"""Rules that are a score: name -> what it is."""
FROM_LABELS: dict[str, str] = {
    "calibrated": "proxy less what it pays for length or style and labels do not back",
}
"""Rules whose numbers come from preference labels (`karat audit reward --fix`), so that no pool can fit them."""
OF_SEVERAL = ("mean", "worst", "variance", "kl-dro")
"""They need two members or more."""
CENTRED = ("worst", "variance", "kl-dro", "clip")
"""What is added to a member for a whole prompt changes how these order its responses, unless each prompt is centred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSettings:
    """What is chosen, not fitted.

    Attributes:
        centre: of the members: the pool's mean, or that of the prompt's references.
        temperature: b of variance and kl-dro, member SDs.
        clip_share: of the responses that lie below the clip level.
        similarity_weight: proxy SDs that one SD of similarity is worth.
    """

    centre: Centre = "pool"
    temperature: float = 1.0
    clip_share: float = 0.95
    similarity_weight: float = 0.5

    def __post_init__(self) -> None:
        if self.centre not in ("pool", "prompt"):
            raise InputError(f"centre = {self.centre!r}: there are pool and prompt.")
        if not self.temperature > 0:
            raise InputError(f"temperature = {self.temperature:g}: must be above 0; at the limit, 0, it is the worst.")
        if not 0 < self.clip_share < 1:
            raise InputError(f"clip_share = {self.clip_share:g}: must lie strictly between 0 and 1.")
        if not self.similarity_weight > 0:
            raise InputError(f"similarity_weight = {self.similarity_weight:g}: must be above 0; at 0 it is the proxy.")
