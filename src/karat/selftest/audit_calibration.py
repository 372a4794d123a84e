"""Planted truth for calibrated rewards: what is taken of length and style, and what is left.

Worlds of 600 pairs, half of them to fit and half to judge. Quality is normal with SD 1.5; the reward is the quality,
plus what it pays for a deviation of log length or of log(1 + list items); labels follow the quality, plus what people
want of either, by Bradley and Terry.

    long         pays 0.75 for length, wanted 0
    half         pays 1 for length, wanted 0.5
    liked        pays 0.5 for length, wanted 0.5: nothing to take away
    noisy        the same, the reward has normal noise of SD 1, and better responses are longer
    lists        pays 0.75 for list items, wanted 0
    nothing      pays nothing, wanted nothing

Axes: P pairs, 2 sides of a pair.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import expit

from karat.audit.reward.calibrate_findings import calibration_findings
from karat.audit.reward.calibration import STYLE, Calibration, Kind, Sides, fit_calibration
from karat.audit.reward.calibration_measured import Measured, measure
from karat.selftest.planted import PlantedRow, costly
from karat.types import PreferencePair

PAIRS = 600
LIST = STYLE.index("list items")
CLOSE = 0.3
"""Furthest that a share may be from the planted one."""

TITLES = {
    "SE521": "A planted length bias is taken away: the excess fell",
    "SE522": "Taking a length bias away: accuracy is called lost",
    "SE523": "The part of a length bias that labels do not back is the planted one",
    "SE524": "Length that labels want: something is taken, or a fall is called",
    "SE525": "A noisy reward whose length labels want: something is taken, or a fall is called",
    "SE526": "A planted list bias is taken away: the excess for style fell",
    "SE527": "No bias at all: a fall or a loss is called, for length or style",
    "SE528": "Where length is half wanted, the calibrated reward orders no worse than without all of its length",
}
"""What each row promises."""


def world(
    rng: np.random.Generator, *, pay: tuple[float, float], want: tuple[float, float], noise: float = 0.0
) -> Sides:
    """Pairs of prompts of their own; pay and want are for the length and for list items. With noise, quality goes with
    length too."""
    length_P2 = np.round(np.exp(5 + 0.7 * rng.standard_normal((PAIRS, 2))))
    style_P2F = rng.poisson(1.0, (PAIRS, 2, len(STYLE))).astype(float)
    long_P2, items_P2 = (np.log(length_P2) - 5) / 0.7, np.log1p(style_P2F[..., LIST]) / 0.5
    quality_P2 = 1.5 * rng.standard_normal((PAIRS, 2)) + (0.5 * long_P2 if noise else 0.0)
    score_P2 = quality_P2 + pay[0] * long_P2 + pay[1] * items_P2 + noise * rng.standard_normal((PAIRS, 2))
    liked_P2 = quality_P2 + want[0] * long_P2 + want[1] * items_P2
    chosen = (rng.random(PAIRS) >= expit(liked_P2[:, 0] - liked_P2[:, 1])).astype(int)
    rows = np.arange(PAIRS)

    def chosen_first(value_P2: np.ndarray) -> np.ndarray:
        return np.stack([value_P2[rows, chosen], value_P2[rows, 1 - chosen]], axis=1)

    return Sides(
        score_P2=chosen_first(score_P2), length_P2=chosen_first(length_P2), style_P2F=chosen_first(style_P2F),
        label_P=np.ones(PAIRS), prompt_P=rows,
    )  # fmt: skip


def calibrate(sides: Sides, kinds: tuple[Kind, ...], rng: np.random.Generator) -> tuple[Calibration, Measured]:
    """Fitted on half of the pairs, measured on the other."""
    fit, held = np.arange(0, PAIRS, 2), np.arange(1, PAIRS, 2)
    calibration = fit_calibration(sides.take(fit), kinds, rng=rng)
    return calibration, measure(sides.take(held), calibration, rng=rng)


def verdicts(calibration: Calibration, measured: Measured) -> dict[str, str]:
    """Of the findings, as the audit gives them; "nothing" in place of ok where nothing was taken."""
    nowhere = [PreferencePair("", "", "")] * PAIRS
    findings = calibration_findings(measured, calibration, nowhere, n_missing=0, files=("x",))
    told = {finding.code: str(finding.verdict) for finding in findings}
    for code, kind in (("RW702", "length"), ("RW703", "style")):
        if told.get(code) == "ok" and not calibration.takes("length" if kind == "length" else "style"):
            told[code] = "nothing"
    return told


def happened(rng: np.random.Generator) -> dict[str, bool]:
    """One replication of each world."""
    found, measured = calibrate(world(rng, pay=(0.75, 0.0), want=(0.0, 0.0)), ("length",), rng)
    told = verdicts(found, measured)
    hits = {"SE521": told["RW702"] == "ok", "SE522": told["RW701"] == "problem"}
    half = world(rng, pay=(1.0, 0.0), want=(0.5, 0.0))
    found, measured = calibrate(half, ("length",), rng)
    hits["SE523"] = abs(found.length_share - 0.5) < CLOSE
    hits["SE528"] = measured.accuracy_after.estimate >= _without_length(half.take(np.arange(1, PAIRS, 2)), found)
    for code, noise in (("SE524", 0.0), ("SE525", 1.0)):
        found, measured = calibrate(world(rng, pay=(0.5, 0.0), want=(0.5, 0.0), noise=noise), ("length",), rng)
        hits[code] = found.takes("length") or verdicts(found, measured)["RW702"] == "ok"
    found, measured = calibrate(world(rng, pay=(0.0, 0.75), want=(0.0, 0.0)), ("style",), rng)
    hits["SE526"] = verdicts(found, measured)["RW703"] == "ok"
    found, measured = calibrate(world(rng, pay=(0.0, 0.0), want=(0.0, 0.0)), ("length", "style"), rng)
    told = verdicts(found, measured)
    hits["SE527"] = "ok" in (told["RW702"], told["RW703"]) or told["RW701"] == "problem"
    return hits


def _without_length(sides: Sides, calibration: Calibration) -> float:
    """Accuracy with the whole trend taken away, as uniform calibration does."""
    trend_P2 = calibration.trend(sides.length_P2.ravel()).reshape(-1, 2)
    return float((sides.margins() - (trend_P2[:, 0] - trend_P2[:, 1]) > 0).mean())


def calibration_rows(replications: int, seed: int, progress: Callable[..., None] | None = None) -> list[PlantedRow]:
    """All promises about calibrations, checked on `costly` replications of each world."""
    rng = np.random.default_rng([seed, 52])
    replications = costly(replications)  # half a second each, on an idle core
    hits = dict.fromkeys(TITLES, 0)
    for number in range(replications):
        if progress:
            progress("planting for calibrations", number, replications, "six worlds")
        for code, did in happened(rng).items():
            hits[code] += did
    promises = {
        "SE521": ("pays 0.75 for a deviation of log length, wanted 0; 300 pairs to fit, 300 to judge", 0.8, 1.0),
        "SE522": ("the same", 0.0, 0.05),
        "SE523": (f"pays 1, wanted 0.5: share 0.5, within {CLOSE}", 0.8, 1.0),
        "SE524": ("pays 0.5, wanted 0.5", 0.0, 0.1),
        "SE525": ("the same, noise 1, quality 0.5 a deviation of length", 0.0, 0.1),
        "SE526": ("pays 0.75 for a deviation of log list items, among 15 features; wanted 0", 0.8, 1.0),
        "SE527": ("pays nothing, wanted nothing", 0.0, 0.05),
        "SE528": ("as SE523", 0.6, 1.0),
    }
    return [
        PlantedRow(
            code=code, title=TITLES[code], planted=planted, hits=hits[code], n=replications, least=least, most=most
        )
        for code, (planted, least, most) in promises.items()
    ]
