"""The tables and values of `karat stress`, from what `curves.measure` found.

Axes: N values of n, S those that tables show.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from karat.numerics.goodhart import CurveFit, certified_gain, labels_for
from karat.numerics.intervals import UNDEFINED, Interval
from karat.numerics.tails import Tail
from karat.stress.curves import GoldSide, Stressed, shown_n
from karat.stress.evidence import evidence_tables, last_known, shortfall_at
from karat.stress.plans import plan_tables
from karat.stress.pool import StressPool
from karat.types import NAN, Table

LABEL_COUNTS = (100, 300, 1000, 3000, 10_000)


def tables_of(pool: StressPool, found: Stressed, names: tuple[str, str]) -> tuple[Table, ...]:
    """Curves, fits, the label plan, inflation."""
    made = [_curve_table(pool, found, names), _inflation_table(pool, found)]
    if found.gold:
        made += [_hedge_table(found.gold), _fit_table(found), _label_table(found)]
    return (*(table for table in made if table.rows), *evidence_tables(pool, found), *plan_tables(pool, found))


def _curve_table(pool: StressPool, found: Stressed, names: tuple[str, str]) -> Table:
    shown = shown_n(pool.max_n, found.gold.peak if found.gold else None)
    columns = ("n", "kl", "kl_bound", "chi2", "proxy", "proxy_low", "proxy_high")
    gold_columns = ("gold", "gold_low", "gold_high", "gold_wins", "certified_gain")
    rows = []
    for place, n in enumerate(shown):
        at = int(n) - 1
        row: tuple[Any, ...] = (
            int(n), float(found.kl_N[at]), float(found.kl_bound_N[at]), float(found.chi2_N[at]),
            *_point(found.proxy, at),
        )  # fmt: skip
        if found.gold:
            row += (
                *_point(found.gold.curve, at),
                float(found.gold.win_rate_S[place]),
                float(found.gold.certified_N[at]),
            )
        rows.append(row)
    note = (
        f"Gains over n = 1 in standard deviations within prompts; proxy {names[0]}"
        + (f", gold {names[1]}" if names[1] else "")
        + ". kl in nats, repeats and ties as the prompt's own samples show them (too small where a proxy has few "
        "values and n is near the number of samples); kl_bound: log n - (n-1)/n, without repeats. gold_wins: chance of "
        "more gold than one further sample."
    )
    return Table(
        "best_of_n", "Best of n by the proxy", columns + (gold_columns if found.gold else ()), tuple(rows), note
    )


def _point(curve: Any, at: int) -> tuple[float, float, float]:
    return float(curve.mean_N[at]), float(curve.low_N[at]), float(curve.high_N[at])


def _inflation_table(pool: StressPool, found: Stressed) -> Table:
    columns = (
        "feature", "by_proxy", "low", "high", "by_gold", "excess", "excess_low", "excess_high", "first_order",
        "first_order_low", "first_order_high", "gold_first_order",
    )  # fmt: skip
    rows = tuple(
        (
            entry.feature, *_ends(entry.by_proxy), entry.by_gold.estimate, *_ends(entry.excess),
            *_ends(entry.first_order), entry.gold_first_order.estimate,
        )
        for entry in found.surface.entries
    )  # fmt: skip
    note = (
        f"In the feature's standard deviations within prompts, over {found.surface.n_prompts} prompts. by_proxy, "
        f"by_gold: growth at best of {pool.max_n}; excess: intervals for all features together. first_order: "
        "Cov_ref(feature, proxy), the growth for a tilt of the "
        "reference policy by one over one SD of the proxy; it needs no gold."
    )
    return Table("inflation", "What optimisation inflates", columns, rows, note)


def _ends(interval: Interval) -> tuple[float, float, float]:
    return interval.estimate, interval.low, interval.high


def _hedge_table(gold: GoldSide) -> Table:
    columns = ("rule", "best_setting", "low", "high", "gold", "gold_low", "gold_high", "kl_nats", "at_edge")
    rows = tuple(
        (rule, *_ends(best.setting), *_ends(best.gold), best.kl_nats, best.is_edge)
        for rule, best in gold.hedges.items()
    )
    note = (
        "Where gold is largest over the rule's setting; at_edge: the best may lie beyond those tried. Gold in SDs over "
        "n = 1. kl_nats: of the rule there; of best of Poisson for a proxy without ties."
    )
    return Table("hedges", "Rules that choose less hard", columns, rows, note)


def _fit_table(found: Stressed) -> Table:
    assert found.gold is not None
    columns = ("form", "a", "a_low", "a_high", "b", "b_low", "b_high", "best_d", "best_d_low", "best_d_high", "p_value")
    formula = {"best-of-n": "d (a - b d)", "RL": "d (a - b log d)"}
    rows = tuple(
        (
            formula[fit.form],
            *(value for part in (fit.a, fit.b, fit.best_d) for value in (part.estimate, part.low, part.high)),
            fit.p_value,
        )
        for fit in found.gold.fits
    )
    return Table("curve_fits", "Fitted curves", columns, rows, f"d = sqrt(KL). {form_verdict(found.gold.fits)}")


def form_verdict(fits: tuple[CurveFit, ...]) -> str:
    """Which of the forms the curve does not contradict, at 5 %."""
    held = [fit.form for fit in fits if fit.p_value >= 0.05]
    if not fits:
        return "Too few points for a fit."
    if not held:
        return "Neither form fits (both p < 0.05): do not read an optimum from them."
    return f"Not contradicted: {' and '.join(held)}."


def _label_table(found: Stressed) -> Table:
    """What more gold labels would certify, if the correlation is what it seems."""
    gold = found.gold
    assert gold is not None
    r = gold.correlation
    if not (math.isfinite(r.low) and 0 < r.estimate < 1):
        return Table("labels", "", (), ())
    rows = []
    for count, low in zip(LABEL_COUNTS, labels_for(r.estimate, np.array(LABEL_COUNTS)), strict=True):
        gain_N = certified_gain(found.proxy.mean_N, found.chi2_limit_N, float(low))
        at = int(np.argmax(gain_N)) if np.isfinite(gain_N).any() else 0
        is_any = gain_N[at] > 0
        rows.append((count, float(low), int(found.n_N[at]) if is_any else 1, float(gain_N[at]) if is_any else 0.0))
    note = (
        f"Expected for independent labelled responses, if the correlation is {r.estimate:.2f}. Labels to one prompt "
        "count for less."
    )
    return Table(
        "labels", "What gold labels would certify", ("labels", "correlation_at_least", "certified_n", "gain"),
        tuple(rows), note,
    )  # fmt: skip


def values_of(pool: StressPool, found: Stressed) -> dict[str, Any]:
    """Values with stable names, NaN where undefined: means in the scores' own units, gains and drops in their SDs."""
    gold, n_N = found.gold, found.n_N
    nothing = [NAN] * n_N.size
    peak = gold.peak if gold else None
    return {
        "n": n_N.tolist(),
        "proxy": found.proxy_raw.mean_N.tolist(),
        "proxy_low": found.proxy_raw.low_N.tolist(),
        "proxy_high": found.proxy_raw.high_N.tolist(),
        "proxy_gain": found.proxy.mean_N.tolist(),
        "gold": gold.raw.mean_N.tolist() if gold else nothing,
        "gold_low": gold.raw.low_N.tolist() if gold else nothing,
        "gold_high": gold.raw.high_N.tolist() if gold else nothing,
        "gold_gain": gold.curve.mean_N.tolist() if gold else nothing,
        "gold_gain_low": gold.curve.low_N.tolist() if gold else nothing,
        "gold_gain_high": gold.curve.high_N.tolist() if gold else nothing,
        "kl": found.kl_N.tolist(),
        "kl_bound": found.kl_bound_N.tolist(),
        "chi2": found.chi2_N.tolist(),
        "peak_n": peak.n if peak else NAN,
        "peak_low": peak.low_n if peak else NAN,
        "peak_high": peak.high_n if peak else NAN,
        "peak_is_last": peak.is_last if peak else NAN,
        "drop": peak.drop.estimate if peak else NAN,
        "drop_low": peak.drop.low if peak else NAN,
        "drop_high": peak.drop.high if peak else NAN,
        "drop_height": peak.drop_height.estimate if peak else NAN,
        "drop_height_low": peak.drop_height.low if peak else NAN,
        "drop_height_high": peak.drop_height.high if peak else NAN,
        "gain": peak.gain.estimate if peak else NAN,
        "gain_low": peak.gain.low if peak else NAN,
        "gain_high": peak.gain.high if peak else NAN,
        "correlation": gold.correlation.estimate if gold else NAN,
        "correlation_low": gold.correlation.low if gold else NAN,
        "certified_n": gold.certified_n if gold else NAN,
        "certified_gain": float(gold.certified_N[gold.certified_n - 1]) if gold and gold.certified_n > 1 else 0.0
        if gold else NAN,
        **_evidence_values(found),
        **_tail_values("proxy_tail", found.proxy_tail),
        **(_tail_values("error_tail", gold.error_tail) if gold else {}),
        "proxy_sd": found.proxy_sd,
        "gold_sd": gold.sd if gold else NAN,
        "n_prompts": pool.matrix.n_prompts,
        "n_responses": pool.n_used,
        "n_missing_proxy": pool.n_missing_proxy,
        "n_missing_gold": pool.n_missing_gold,
        "n_small_prompts": pool.n_small_prompts,
        "n_repeated": pool.n_repeated,
    }  # fmt: skip


def _evidence_values(found: Stressed) -> dict[str, float]:
    """Slope and shortfall of the regression law, and the optimum of each softer rule with its KL."""
    law = found.gold.regression if found.gold else None
    at = last_known(law) if law else 0
    short = shortfall_at(law, at) if law and at else UNDEFINED
    values = {
        "slope": law.slope.estimate if law else NAN,
        "shortfall": short.estimate,
        "shortfall_low": short.low,
        "shortfall_high": short.high,
    }
    hedges = list(found.gold.hedges.values()) if found.gold else []
    for name, best in zip(("poisson_mu", "soft_temperature"), [*hedges, None, None], strict=False):
        values |= {
            name: best.setting.estimate if best else NAN,
            f"{name}_low": best.setting.low if best else NAN,
            f"{name}_high": best.setting.high if best else NAN,
            f"{name}_gold": best.gold.estimate if best else NAN,
            f"{name}_kl": best.kl_nats if best else NAN,
        }
    return values


def _tail_values(name: str, tail: Tail) -> dict[str, float]:
    return {name: tail.shape, f"{name}_low": tail.low, f"{name}_high": tail.high, f"{name}_hill": tail.hill}
