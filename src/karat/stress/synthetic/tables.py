"""Tables and values of `karat stress synthetic`."""

from __future__ import annotations

from typing import Any

import numpy as np

from karat.numerics.intervals import Interval
from karat.stress.synthetic.config import SyntheticConfig
from karat.stress.synthetic.measure import Condition, Contrast, Measured, RuleCurve
from karat.stress.synthetic.setting import Setting
from karat.types import NAN, Table


def _ends(interval: Interval) -> tuple[float, float, float]:
    return interval.estimate, interval.low, interval.high


def tables_of(setting: Setting, found: Measured, config: SyntheticConfig) -> tuple[Table, ...]:
    """Conditions, curves, contrasts."""
    return _condition_table(setting, found, config), _curve_table(setting, found), _contrast_table(setting, found)


def _condition_table(setting: Setting, found: Measured, config: SyntheticConfig) -> Table:
    columns = (
        "labels", "noise", "rule", "accuracy", "accuracy_low", "accuracy_high", "peak_n", "peak_low", "peak_high",
        "best", "best_low", "best_high", "last", "last_low", "last_high", "drop", "drop_low", "drop_high", "alpha",
        "alpha_low", "alpha_high", "beta", "beta_low", "beta_high", "fit_p",
    )  # fmt: skip
    rows = tuple(
        (
            condition.size, condition.noise, rule,
            *_ends(condition.accuracy[rule]),
            int(found.n_N[curve.peak]), curve.peak_low, curve.peak_high, *_ends(curve.best),
            *(float(end[-1]) for end in (curve.gold.mean_N, curve.gold.low_N, curve.gold.high_N)),
            *_ends(curve.drop), *_fit(curve),
        )
        for condition in found.conditions
        for rule, curve in condition.curves.items()
    )  # fmt: skip
    note = (
        f"Gold: {setting.gold}, in standard deviations within prompts ({found.gold_sd:.3g}), over n = 1. best: at the "
        f"best n of 2 or more, chosen on other prompts and seeds; last: at n = {setting.max_n}; drop: from the best n "
        f"of the first half of the range to the last. alpha, beta: d (alpha - beta d), d = sqrt(KL); a small fit_p "
        f"says that the form does not hold. {config.seeds} draws of labels, {config.members} members."
    )
    return Table("synthetic_conditions", "Where the gold peaks", columns, rows, note)


def _fit(curve: RuleCurve) -> tuple[float, ...]:
    if curve.fit is None:
        return (NAN,) * 7
    return *_ends(curve.fit.a), *_ends(curve.fit.b), curve.fit.p_value


def _curve_table(setting: Setting, found: Measured) -> Table:
    columns = (
        "labels", "noise", "rule", "n", "kl", "proxy", "proxy_low", "proxy_high", "gold", "gold_low", "gold_high",
    )  # fmt: skip
    shown = [at for at, n in enumerate(found.n_N) if n & (n - 1) == 0 or n == found.n_N[-1]]
    rows = tuple(
        (
            condition.size, condition.noise, rule, int(found.n_N[at]), float(curve.kl_N[at]),
            *(float(side[at]) for of in (curve.proxy, curve.gold) for side in (of.mean_N, of.low_N, of.high_N)),
        )
        for condition in found.conditions
        for rule, curve in condition.curves.items()
        for at in shown
    )  # fmt: skip
    note = "Gains over n = 1 in standard deviations within prompts; 95 % over prompts and draws of the labels."
    return Table("synthetic_curves", f"{setting.gold} at best of n", columns, rows, note)


def _contrast_table(setting: Setting, found: Measured) -> Table:
    names = ("last", "equal_kl", "best", "later")
    columns = ("what", "conditions", *(f"{name}{end}" for name in names for end in ("", "_low", "_high")))
    rows = tuple(
        (one.what, one.conditions, *_ends(one.last), *_ends(one.equal_kl), *_ends(one.best), *_ends(one.later))
        for one in every_contrast(found)
    )
    note = (
        f"Differences of {setting.gold} in standard deviations, paired by prompt and draw of the labels: at n = "
        f"{setting.max_n}, at the largest KL that both reach, at each one's own best n. later: ratio of the n of the "
        "peaks."
    )
    return Table("synthetic_contrasts", "What holds the gold", columns, rows, note)


def every_contrast(found: Measured) -> list[Contrast]:
    """Over all conditions first, then each."""
    pooled = [*found.ensembles.values(), found.labels, found.noise]
    return [*(one for one in pooled if one is not None), *found.by_condition]


def values_of(setting: Setting, found: Measured) -> dict[str, Any]:
    """Values with stable names: `conditions` holds one entry for each size and noise, NaN where undefined."""
    return {
        "n": found.n_N.tolist(),
        "gold_sd": found.gold_sd,
        "gold_start": found.start_gold,
        "conditions": [_condition_values(condition, found) for condition in found.conditions],
        "drop": found.falls.estimate,
        "drop_low": found.falls.low,
        "drop_high": found.falls.high,
        "contrasts": [_contrast_values(one) for one in every_contrast(found)],
        "pairs_available": found.n_pairs,
        "pair_prompts": len(setting.pairs),
        "curve_prompts": len(setting.curves),
        "max_n": setting.max_n,
        "n_used": setting.n_used,
        "n_missing_gold": setting.n_missing_gold,
        "n_small_prompts": setting.n_small,
        "n_beyond_max_n": setting.n_cut,
    }


def _condition_values(condition: Condition, found: Measured) -> dict[str, Any]:
    return {
        "labels": condition.size,
        "noise": condition.noise,
        "rules": {
            rule: {**_named("accuracy", condition.accuracy[rule]), **_curve_values(curve, found.n_N)}
            for rule, curve in condition.curves.items()
        },
    }


def _curve_values(curve: RuleCurve, n_N: np.ndarray) -> dict[str, Any]:
    fit = _fit(curve)
    return {
        "kl": curve.kl_N.tolist(),
        "proxy_gain": curve.proxy.mean_N.tolist(),
        "proxy_gain_low": curve.proxy.low_N.tolist(),
        "proxy_gain_high": curve.proxy.high_N.tolist(),
        "gold_gain": curve.gold.mean_N.tolist(),
        "gold_gain_low": curve.gold.low_N.tolist(),
        "gold_gain_high": curve.gold.high_N.tolist(),
        "peak_n": int(n_N[curve.peak]),
        "peak_low": curve.peak_low,
        "peak_high": curve.peak_high,
        **_named("best", curve.best),
        **_named("drop", curve.drop),
        **dict(zip(("alpha", "alpha_low", "alpha_high", "beta", "beta_low", "beta_high", "fit_p"), fit, strict=True)),
    }


def _named(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _contrast_values(one: Contrast) -> dict[str, Any]:
    return {
        "what": one.what,
        "conditions": one.conditions,
        **_named("last", one.last),
        **_named("equal_kl", one.equal_kl),
        **_named("best", one.best),
        **_named("later", one.later),
    }
