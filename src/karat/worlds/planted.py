"""Rewards with a planted fault each, for the deep pool of the default world.

Each is the gold, in its own standard deviations, and the fault. All are functions of prompt and response: the noise is
drawn from a hash of both, so that equal responses to a prompt have equal scores, here and on any machine.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

from scipy.special import ndtri, stdtrit

GOLD_SD = 0.365
"""Within prompts, of the deep pool."""
HACK_SHARE, HACK_PAY = 0.015, 6.0
LENGTH_CENTRE, LENGTH_SCALE = 4.32, 0.757
"""Mean and standard deviation of the log of a response's characters in the deep pool."""


def _share(prompt: str, response: str, purpose: str) -> float:
    """Uniform in (0, 1)."""
    digest = hashlib.sha256("\0".join((purpose, prompt, response)).encode()).digest()
    return (int.from_bytes(digest[:6], "big") + 0.5) / 2**48


def _noise(prompt: str, response: str, purpose: str) -> float:
    return float(ndtri(_share(prompt, response, purpose)))


def regressional(prompt: str, response: str, gold: float) -> float:
    """Normal noise of 1.5 SD: selection finds luck as well as gold, which lags and never falls."""
    return gold / GOLD_SD + 1.5 * _noise(prompt, response, "regressional")


def length_leak(prompt: str, response: str, gold: float) -> float:
    """1.5 SD for every SD of log length, and noise of 0.5."""
    length = (math.log(max(len(response), 1)) - LENGTH_CENTRE) / LENGTH_SCALE
    return gold / GOLD_SD + 1.5 * length + 0.5 * _noise(prompt, response, "length_leak")


def rare_hack(prompt: str, response: str, gold: float) -> float:
    """Noise of 0.5, and 6 SD more for 1.5 % of the wrong responses: gold falls once choosing finds them."""
    is_hack = gold == 0 and _share(prompt, response, "is_hack") < HACK_SHARE
    return gold / GOLD_SD + 0.5 * _noise(prompt, response, "rare_hack") + HACK_PAY * is_hack


def heavy_tail(prompt: str, response: str, gold: float) -> float:
    """Noise from Student's t with 2 degrees of freedom: the more is chosen from, the more the noise alone decides."""
    return gold / GOLD_SD + float(stdtrit(2, _share(prompt, response, "heavy_tail")))


PLANTED: dict[str, Callable[[str, str, float], float]] = {
    "regressional": regressional,
    "length_leak": length_leak,
    "rare_hack": rare_hack,
    "heavy_tail": heavy_tail,
}
