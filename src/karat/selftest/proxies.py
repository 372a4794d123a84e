"""Planted truth for several proxies on one pool: twins, gamed ones, and what their differences' intervals hold.

Worlds of 100 prompts x 32 responses; gold is standard normal within prompts, but 2 % of the responses are hollow: their
gold is -2. A proxy is the gold before that plus a normal error; what it pays for hollow responses is its strength.

    twins      three proxies with errors of their own that pay 3 alike: all are gamed, none more than another
    gamed      one pays 5 for them, its rival nothing: the gold falls for the one and not for the other
    coarse     one has three values only, the other is exact to the last digit: equal n is not equal KL

The truth comes from 200 prompts x 2,048 responses of the same world.  Axes: R responses.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from karat.numerics.best_of_n import prompt_draws
from karat.numerics.intervals import Interval
from karat.selftest.planted import PlantedRow
from karat.stress.proxies import Contest, Duel, contest

PROMPTS, RESPONSES, RESAMPLES = 100, 32, 400
TRUE_PROMPTS, TRUE_RESPONSES = 200, 2048
HOLLOW, STRENGTH = 0.02, 5.0
CUTS = (0.5, 1.5)
"""Of the coarse proxy's three values."""

TITLES = {
    "SE701": "Twins: one is called harder to game",
    "SE702": "Twins: one is called to leave more gold",
    "SE703": "A gamed proxy: its rival is called harder to game",
    "SE704": "A gamed proxy: its rival is called to leave more gold",
    "SE705": "95 % interval of a difference in loss holds the truth",
    "SE706": "95 % interval of a difference in gold holds the truth",
    "SE707": "95 % interval of a difference at equal KL holds the truth, with ties",
}
"""What each row promises."""

Scores = tuple[dict[str, np.ndarray], np.ndarray]


def _drawn(rng: np.random.Generator, size: int, strengths: dict[str, float]) -> Scores:
    """Proxies by name, which pay so much for hollow responses, and the gold."""
    good = rng.standard_normal(size)
    is_hollow = rng.random(size) < HOLLOW
    scores = {
        name: np.where(is_hollow, strength, good) + rng.standard_normal(size) for name, strength in strengths.items()
    }
    return scores, np.where(is_hollow, -2.0, good)


def twins(rng: np.random.Generator, size: int) -> Scores:
    return _drawn(rng, size, {"first": 3.0, "second": 3.0, "third": 3.0})


def gamed(rng: np.random.Generator, size: int) -> Scores:
    return _drawn(rng, size, {"gamed": STRENGTH, "rival": -2.0})


def coarse(rng: np.random.Generator, size: int) -> Scores:
    scores, gold = _drawn(rng, size, {"coarse": -2.0, "fine": -2.0})
    return {**scores, "coarse": np.digitize(scores["coarse"], CUTS).astype(float)}, gold


def _contest(world: Callable[..., Scores], rng: np.random.Generator, shape: tuple[int, int], resamples: int) -> Contest:
    scores, gold = world(rng, shape[0] * shape[1])
    prompt_R = np.repeat(np.arange(shape[0]), shape[1])
    return contest(scores, gold, prompt_R, max_n=RESPONSES, count_BP=prompt_draws(shape[0], resamples, rng))


def _truth(world: Callable[..., Scores], rng: np.random.Generator) -> Duel:
    return _contest(world, rng, (TRUE_PROMPTS, TRUE_RESPONSES), 2).duels[0]


def _is_called(found: Contest, what: Callable[[Duel], Interval]) -> bool:
    return any(not what(duel).low <= 0 <= what(duel).high for duel in found.duels if math.isfinite(what(duel).low))


def _holds(found: Interval, truth: Interval) -> bool:
    return found.low <= truth.estimate <= found.high


def proxies_rows(replications: int, seed: int, progress: Callable[..., None] | None = None) -> list[PlantedRow]:
    """All promises of `karat stress --against`, checked on `replications` of each world."""
    rng = np.random.default_rng([seed, 70])
    true_gamed, true_coarse = _truth(gamed, rng), _truth(coarse, rng)
    hits = dict.fromkeys(TITLES, 0)
    for number in range(replications):
        if progress:
            progress("planting for proxies", number, replications, "three worlds")
        alike, apart, few = (_contest(world, rng, (PROMPTS, RESPONSES), RESAMPLES) for world in (twins, gamed, coarse))
        duel = apart.duels[0]
        happened = {
            "SE701": _is_called(alike, lambda duel: duel.loss),
            "SE702": _is_called(alike, lambda duel: duel.gold),
            "SE703": duel.loss.low > 0,
            "SE704": duel.gold.high < 0,
            "SE705": _holds(duel.loss, true_gamed.loss),
            "SE706": _holds(duel.gold, true_gamed.gold),
            "SE707": _holds(few.duels[0].gold_at_kl, true_coarse.gold_at_kl),
        }
        for code, did in happened.items():
            hits[code] += did
    loss, gold, at_kl = true_gamed.loss.estimate, true_gamed.gold.estimate, true_coarse.gold_at_kl.estimate
    promises = {
        "SE701": ("three proxies that are gamed alike", 0.0, 0.05),
        "SE702": ("the same", 0.0, 0.05),
        "SE703": (f"one pays {STRENGTH:g} for hollow responses: {loss:.2f} SD more lost", 0.8, 1.0),
        "SE704": (f"the same: {-gold:.2f} SD less gold at n = {RESPONSES}", 0.8, 1.0),
        "SE705": (f"the same: {loss:.2f} SD", 0.92, 0.98),
        "SE706": (f"the same: {gold:.2f} SD", 0.92, 0.98),
        "SE707": (f"a proxy of three values less a fine one: {at_kl:+.3f} SD", 0.92, 0.98),
    }
    return [
        PlantedRow(
            code=code, title=TITLES[code], planted=planted, hits=hits[code], n=replications, least=least, most=most
        )
        for code, (planted, least, most) in promises.items()
    ]
