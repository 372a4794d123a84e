"""Tables to plan by: the n of a KL budget, and the gold labels that buy a certified n or the place of the peak.

Axes: N values of n.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from karat.numerics.divergence import n_for_kl
from karat.numerics.planning import correlation_needed, design_of, labels_needed, prompts_for_peak
from karat.stress.curves import CERTIFIED_CONFIDENCE, LEAST_PROMPTS, Stressed
from karat.stress.pool import StressPool
from karat.types import NAN, Table

KL_BUDGETS = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
"""Nats."""
POWER = 0.8
"""Chance with which the planned labels are to suffice."""
PEAK_FACTOR = 2.0
"""The peak's interval is to reach no further than this from its middle."""


def plan_tables(pool: StressPool, found: Stressed) -> tuple[Table, ...]:
    """What a KL budget buys; what labels would buy."""
    made = [_budget_table(found), _label_plan(pool, found)]
    return tuple(table for table in made if table.rows)


def _budget_table(found: Stressed) -> Table:
    rows = []
    for budget, without_repeats in zip(KL_BUDGETS, n_for_kl(KL_BUDGETS), strict=True):
        within = np.flatnonzero(found.kl_N <= budget + 1e-12)
        is_reached = found.kl_N[-1] > budget
        at = int(within[-1])
        rows.append(
            (
                budget, float(without_repeats), int(found.n_N[at]) if is_reached else NAN,
                float(found.proxy.mean_N[at]) if is_reached else NAN,
                float(found.gold.curve.mean_N[at]) if is_reached and found.gold else NAN,
            )
        )  # fmt: skip
    note = (
        "n_without_repeats: where log n - (n-1)/n is the budget. n_in_pool: the largest n whose exact KL, with ties "
        f"and repeats, is within it; empty where the pool ends before ({found.kl_N[-1]:.2f} nats at best of "
        f"{int(found.n_N[-1])}). Proxy and gold: SDs over n = 1."
    )
    columns = ("kl_nats", "n_without_repeats", "n_in_pool", "proxy", "gold")
    return Table("kl_budgets", "Best of n for a KL budget", columns, tuple(rows), note)


def _label_plan(pool: StressPool, found: Stressed) -> Table:
    columns = ("goal", "needs_correlation", "labels", "prompts", "labels_now")
    gold = found.gold
    if gold is None or not math.isfinite(gold.correlation.low):
        return Table("label_plan", "", columns, ())
    r, now = gold.correlation, pool.n_used - pool.n_missing_gold
    design = design_of(r, now, confidence=CERTIFIED_CONFIDENCE)
    to_a_prompt = now / max(r.n_clusters, 1)
    rows: list[tuple[Any, ...]] = []
    for goal in 2 ** np.arange(1, int(math.log2(pool.max_n)) + 1):
        needed = correlation_needed(found.proxy.mean_N, found.chi2_limit_N, found.n_N, int(goal))
        if math.isnan(needed):
            break
        labels = labels_needed(r.estimate, needed, design=design, confidence=CERTIFIED_CONFIDENCE, power=POWER)
        prompts = max(_up(labels / to_a_prompt), LEAST_PROMPTS)
        rows.append((f"certified n of {goal} or more", needed, _up(prompts * to_a_prompt), prompts, now))
    if gold.peak is not None and not gold.peak.is_last:
        prompts = prompts_for_peak(gold.peak.low_n, gold.peak.high_n, pool.matrix.n_prompts, factor=PEAK_FACTOR)
        is_cut = gold.peak.high_n >= pool.max_n
        goal_name = f"peak's interval within a factor of {PEAK_FACTOR:g}" + (" (at least: it is cut)" if is_cut else "")
        rows.append((goal_name, NAN, _up(prompts * to_a_prompt), _up(prompts), now))
    note = (
        f"Labels with which {POWER:.0%} of samples reach the goal, if the correlation is {r.estimate:.2f} as measured, "
        f"with {to_a_prompt:.3g} labels to a prompt as now (one independent label for {design:.2g} of them) and "
        f"{LEAST_PROMPTS:g} prompts at the least. inf: not at this correlation."
    )
    return Table("label_plan", "How many gold labels buy which certainty", columns, tuple(rows), note)


def _up(count: float) -> float:
    """Rounded up; an undefined or infinite one stays as it is."""
    return float(math.ceil(count)) if math.isfinite(count) else count
