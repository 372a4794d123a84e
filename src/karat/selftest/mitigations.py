"""Planted truth for mitigations: rules of known worth, ties, a length leak, and what an export must keep.

Worlds of 100 prompts x 64 responses; gold is standard normal within prompts. A score that is the gold plus a normal
error of SD e has 2.354 / sqrt(1 + e^2) of gold at best of 64: 1.664 for the proxy, whose e is 1.

    alike      the proxy and five more with e = 1: nothing to choose between
    better     the proxy, e = 0.771 (0.2 SD more) and e = 0.548 (0.4 SD more)
    clipped    the proxy, and the same with its highest 16 % alike: ties, so equal n is not equal KL
    no trend   the proxy, and a length that has nothing to do with it
    leak       gold + 2 tanh(log length - 4) + half a normal

Axes: R responses.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import rankdata

from karat.numerics.best_of_n import pool_matrix, prompt_draws
from karat.numerics.equal_kl import at_kl, best_of_n_path
from karat.numerics.mitigation_rules import RuleInputs, fit_rule, rule_scores
from karat.numerics.rule_names import RuleSettings
from karat.selftest.planted import PlantedRow
from karat.stress.mitigations import Comparison, compare_paths, cross_fitted_scores

PROMPTS, RESPONSES, RESAMPLES = 100, 64, 400
BETTER, MUCH_BETTER = 0.771, 0.548
CLIP_AT, CLIPPED_KL = 1.41, 1.5
"""One SD of the proxy; nats, less than the clipped proxy reaches. At n = 64 it has 0.58 SD less than the proxy."""
TREND_ERROR = 0.15
"""Largest departure of a fitted trend, RMS over the responses, in proxy SDs; the trend's own deviation is 0.66."""
SAME_ORDER = 0.99

TITLES = {
    "SE331": "A mitigation worth 0.2 SD is ranked above the proxy",
    "SE332": "Rules that are alike: one is called clearly different",
    "SE333": "A mitigation worth 0.4 SD is called clearly different",
    "SE334": "95 % interval of a difference at equal KL holds the truth, with ties",
    "SE335": "A length trend where there is none: called a gain",
    "SE336": "A length leak taken away: called clearly better",
    "SE337": "A fitted length trend is the planted one",
    "SE338": "The best of rules that are alike: called a gain",
    "SE339": "An exported rule ranks responses as the compared one",
}
"""What each row promises."""


def compare(
    score: dict[str, np.ndarray], gold_R: np.ndarray, count_BP: np.ndarray, kl: float | None = None
) -> Comparison:
    """Best of n by each score, at the largest KL or at the one given."""
    prompt_R = _prompts()
    paths = {name: best_of_n_path(pool_matrix(each, gold_R, prompt_R), RESPONSES) for name, each in score.items()}
    return compare_paths(paths, 1.0, count_BP, kl_nats=kl)


def _prompts() -> np.ndarray:
    return np.repeat(np.arange(PROMPTS), RESPONSES)


def alike(rng: np.random.Generator, count_BP: np.ndarray) -> dict[str, bool]:
    gold = rng.standard_normal(PROMPTS * RESPONSES)
    # names of rules that are scores, so that the best of them is chosen
    names = ("proxy", "mean", "worst", "variance", "kl-dro", "clip")
    found = compare({name: gold + rng.standard_normal(gold.size) for name in names}, gold, count_BP)
    return {
        "SE332": len({letter for entry in found.entries for letter in entry.group}) > 1,
        "SE338": found.gain.low > 0,
    }


def better(rng: np.random.Generator, count_BP: np.ndarray) -> dict[str, bool]:
    gold = rng.standard_normal(PROMPTS * RESPONSES)
    errors = {"proxy": 1.0, "mean": BETTER, "worst": MUCH_BETTER}
    found = compare({name: gold + sd * rng.standard_normal(gold.size) for name, sd in errors.items()}, gold, count_BP)
    group = {entry.rule: set(entry.group) for entry in found.entries}
    small = found.of("mean")
    assert small is not None
    return {"SE331": small.difference.estimate > 0, "SE333": not group["worst"] & group["proxy"]}


def clipped(rng: np.random.Generator, count_BP: np.ndarray, truth: float) -> dict[str, bool]:
    gold = rng.standard_normal(PROMPTS * RESPONSES)
    proxy = gold + rng.standard_normal(gold.size)
    entry = compare({"proxy": proxy, "clip": np.minimum(proxy, CLIP_AT)}, gold, count_BP, CLIPPED_KL).of("clip")
    assert entry is not None
    return {"SE334": entry.difference.low <= truth <= entry.difference.high}


def clipped_truth(rng: np.random.Generator) -> float:
    """Gold of the clipped proxy less that of the proxy at CLIPPED_KL, from 400 prompts x 4,096 responses: its own error
    is a fifteenth of that of a replication (0.012), which 100 prompts would make a seventh."""
    n_prompts, size = 400, 4096
    gold = rng.standard_normal(n_prompts * size)
    proxy, prompt = gold + rng.standard_normal(gold.size), np.repeat(np.arange(n_prompts), size)
    every_BP = np.ones((1, n_prompts))
    read = [
        float(at_kl(best_of_n_path(pool_matrix(score, gold, prompt), RESPONSES), CLIPPED_KL, every_BP).gold_P.mean())
        for score in (np.minimum(proxy, CLIP_AT), proxy)
    ]
    return read[0] - read[1]


def lengths(rng: np.random.Generator, count_BP: np.ndarray, leak: float) -> dict[str, bool]:
    """With a leak: the trend that is planted. Without: none."""
    gold = rng.standard_normal(PROMPTS * RESPONSES)
    length = np.round(np.exp(4 + 0.7 * rng.standard_normal(gold.size)))
    trend = leak * np.tanh(np.log(length) - 4)
    proxy = gold + trend + (0.5 if leak else 1.0) * rng.standard_normal(gold.size)
    inputs = RuleInputs(member_RM=proxy[:, None], length_R=length, place_R=_prompts())
    score = cross_fitted_scores(inputs, settings=RuleSettings())
    found = compare(score, gold, count_BP)
    calibrated = [found.of("length-lowess"), found.of("length-isotonic")]
    if not leak:
        return {"SE335": any(entry is not None and entry.difference.low > 0 for entry in calibrated)}
    plain = found.of("proxy")
    assert plain is not None
    return {
        "SE336": all(
            entry is not None and entry.difference.estimate > 0 and not set(entry.group) & set(plain.group)
            for entry in calibrated
        ),
        "SE337": all(_trend_error(rule, inputs, trend) < TREND_ERROR for rule in ("length-lowess", "length-isotonic")),
        "SE339": all(_order_kept(rule, inputs, score[rule]) > SAME_ORDER for rule in score),
    }


def _trend_error(rule: str, inputs: RuleInputs, planted_R: np.ndarray) -> float:
    """RMS departure of the trend that an export would hold from the planted one, proxy SDs."""
    fitted = fit_rule(rule, inputs, settings=RuleSettings())
    assert fitted.trend is not None
    departure = fitted.trend(inputs.length_R) - (planted_R - planted_R.mean()) / fitted.scale_M[0]
    return float(np.sqrt(np.mean(departure**2)))


def _order_kept(rule: str, inputs: RuleInputs, compared_R: np.ndarray) -> float:
    """Correlation of ranks within prompts: the rule as it was compared, and with the numbers of the whole pool."""
    exported_R = rule_scores(fit_rule(rule, inputs, settings=RuleSettings()), inputs)
    one, two = (rankdata(each.reshape(PROMPTS, RESPONSES), axis=1).ravel() for each in (compared_R, exported_R))
    return float(np.corrcoef(one, two)[0, 1])


def mitigation_rows(replications: int, seed: int, progress: Callable[..., None] | None = None) -> list[PlantedRow]:
    """All promises about mitigations, checked on `replications` of each world."""
    rng = np.random.default_rng([seed, 50])
    truth = clipped_truth(rng)
    hits = dict.fromkeys(TITLES, 0)
    for number in range(replications):
        if progress:
            progress("planting for mitigations", number, replications, "five worlds")
        count_BP = prompt_draws(PROMPTS, RESAMPLES, rng)
        happened = {
            **alike(rng, count_BP), **better(rng, count_BP), **clipped(rng, count_BP, truth),
            **lengths(rng, count_BP, 0.0), **lengths(rng, count_BP, 2.0),
        }  # fmt: skip
        for code, did in happened.items():
            hits[code] += did
    promises = {
        "SE331": ("error 0.771 against 1: 0.2 SD at n = 64", 0.95, 1.0),
        "SE332": ("six rules of equal worth", 0.0, 0.05),
        "SE333": ("error 0.548 against 1: 0.4 SD at n = 64", 0.8, 1.0),
        "SE334": (f"a proxy clipped at its highest 16 %, at {CLIPPED_KL} nats: {truth:+.3f} SD", 0.92, 0.98),
        "SE335": ("length drawn apart from proxy and gold; two rules", 0.0, 0.05),
        "SE336": ("trend 2 tanh(log length - 4); both rules", 0.8, 1.0),
        "SE337": (f"the same; RMS error below {TREND_ERROR} SD, both rules", 0.95, 1.0),
        "SE338": ("six rules of equal worth, the best chosen", 0.0, 0.05),
        "SE339": (f"the same; rank correlation within prompts above {SAME_ORDER}, all rules", 0.95, 1.0),
    }
    return [
        PlantedRow(
            code=code, title=TITLES[code], planted=planted, hits=hits[code], n=replications, least=least, most=most
        )
        for code, (planted, least, most) in promises.items()
    ]
