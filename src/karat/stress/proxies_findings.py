"""What `karat stress --against` states: which proxy is harder to game, and which leaves more gold."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from karat.numerics.intervals import UNDEFINED, Interval
from karat.stress.config import StressConfig
from karat.stress.curves import shown_n
from karat.stress.proxies import LEAST_PROMPTS, Contest, Duel, Pressed
from karat.types import NAN, Finding, Table, Verdict

DIFFERENCE_THAT_MATTERS = 0.1
"""Gold SDs: a difference that surely is smaller is no reason to change the reward."""
TOLD = 4
"""Proxies that the baseline names."""

_NOT_CHECKED = (
    "not checked: no --against, no gold, gold missing for some responses, or fewer than "
    f"{LEAST_PROMPTS} prompts with two responses that every proxy scored."
)
EXPLANATIONS: dict[str, tuple[str, str, str, str]] = {
    "ST801": (
        "Another proxy is harder to game",
        "The gold that the proxy loses from its own best n to the largest n of best of n, less what the other proxy "
        "loses from its own, in standard deviations of the gold within prompts. Each half of the prompts is judged at "
        "the n that is best for the other half. Same responses for all proxies, differences paired by prompt; the "
        "intervals hold for all pairs of proxies together. Of several others the one with the surest difference "
        "is stated.",
        "problem: the whole interval is above 0, the proxy surely loses more. ok: of all others, no interval reaches "
        f"0.1. unclear: neither. {_NOT_CHECKED}",
        "problem: optimise the other one, if ST802 does not speak against it, or stop this one earlier: a proxy that "
        "gains nothing has nothing to lose, so read the gold with the loss. unclear: more prompts.",
    ),
    "ST802": (
        "Another proxy leaves more gold",
        "The gold at the largest n of best of n by the other proxy, less that by the proxy, in standard deviations of "
        "the gold within prompts; same responses, paired by prompt, intervals for all pairs of proxies together. Of "
        "several others the one with the surest difference is stated. The table has the same at equal KL, which "
        "differs where a proxy has few values.",
        "problem: the whole interval is above 0. ok: of all others, no interval reaches 0.1. unclear: neither. "
        f"{_NOT_CHECKED}",
        "problem: at this pressure the other proxy is the better one to optimise. unclear: more prompts.",
    ),
}


def proxies_findings(found: Contest | None, config: StressConfig) -> tuple[Finding, ...]:
    """ST801 and ST802; none where nobody asked for a comparison."""
    if not config.against:
        return ()
    if found is None or not found.proxies:
        reason = "needs --gold COLUMN: what counts as true" if found is None else found.reason
        return tuple(_finding(code, "not checked", UNDEFINED, found, action=reason) for code in EXPLANATIONS)
    return (_loses_more(found), _leaves_less(found))


def _finding(code: str, verdict: Verdict, interval: Interval, found: Contest | None, **rest: Any) -> Finding:
    is_used = found is not None and bool(found.proxies)
    return Finding(
        code=code, title=EXPLANATIONS[code][0], verdict=verdict, effect=interval.estimate, low=interval.low,
        high=interval.high, unit="gold SD", n_used=found.n_responses if found and is_used else 0,
        n_missing=found.n_missing + found.n_small if found else 0, **rest,
    )  # fmt: skip


def _loses_more(found: Contest) -> Finding:
    proxy = found.proxies[0]
    duel, verdict = _decided(found, lambda duel: duel.loss)
    actions = {
        "problem": f"{duel.other} loses less from its own best n: optimise it instead, or stop {proxy.name} at best of "
        f"{proxy.peak.low_n}.",
        "unclear": "More prompts would tell the losses apart.",
    }
    told = ", ".join(
        f"{each.name} {each.loss.estimate:.2f} from n = {each.peak.n} {each.loss_group}"
        for each in sorted(found.proxies, key=lambda each: each.loss.estimate)[:TOLD]
    )
    return _finding(
        "ST801", verdict, duel.loss, found, action=actions.get(verdict, ""),
        baseline=f"{proxy.name} less {duel.other}; lost by n = {found.max_n}: {told}; letters shared: no clear "
        "difference",
    )  # fmt: skip


def _leaves_less(found: Contest) -> Finding:
    proxy = found.proxies[0]
    duel, verdict = _decided(found, lambda duel: _turned(duel.gold))
    actions = {
        "problem": f"At best of {found.max_n}, optimise {duel.other}.",
        "unclear": "More prompts would tell them apart.",
    }
    told = ", ".join(
        f"{each.name} {each.gold.estimate:.2f} {each.gold_group}"
        for each in sorted(found.proxies, key=lambda each: -each.gold.estimate)[:TOLD]
    )
    return _finding(
        "ST802", verdict, _turned(duel.gold), found, action=actions.get(verdict, ""),
        baseline=f"{duel.other} less {proxy.name}; gold at n = {found.max_n}: {told}; letters shared: no clear "
        "difference",
    )  # fmt: skip


def _turned(found: Interval) -> Interval:
    return Interval(-found.estimate, -found.high, -found.low, found.n_clusters, found.method)


def _decided(found: Contest, what: Callable[[Duel], Interval]) -> tuple[Duel, Verdict]:
    """The other proxy with the surest difference, and the verdict over all; positive speaks against the proxy."""
    proxy, *others = found.proxies
    duels = [found.of(proxy.name, other.name) for other in others]
    surest = max(duels, key=lambda duel: _low(what(duel)))
    if _low(what(surest)) > 0:
        return surest, "problem"
    # without ends nothing varies: two proxies that choose alike in every prompt
    is_small = all(what(duel).high < DIFFERENCE_THAT_MATTERS or _is_same(what(duel)) for duel in duels)
    return surest, "ok" if is_small else "unclear"


def _low(found: Interval) -> float:
    return found.low if math.isfinite(found.low) else -math.inf


def _is_same(found: Interval) -> bool:
    return found.method == "no variation" and found.estimate == 0


def proxies_lead(found: Contest | None) -> str:
    """A further sentence for the result's lead; empty where nothing was compared."""
    if found is None or not found.proxies:
        return ""
    proxy = found.proxies[0]
    duel, verdict = _decided(found, lambda duel: duel.loss)
    if verdict != "problem":
        return f" Of {len(found.proxies)} proxies none is surely harder to game than {proxy.name}."
    return (
        f" {duel.other} is harder to game: from its own best n it loses {duel.loss.estimate:.2f} SD "
        f"[{duel.loss.low:.2f}, {duel.loss.high:.2f}] less than {proxy.name}."
    )


# ------------------------------------------------------------------------------------------------------ tables, values
def proxies_tables(found: Contest | None) -> tuple[Table, ...]:
    """One row a proxy; every pair; the curves. None where nothing was compared."""
    if found is None or not found.proxies:
        return ()
    return (_proxy_table(found), _duel_table(found), _curve_table(found))


def _proxy_table(found: Contest) -> Table:
    columns = (
        "proxy", "gold", "gold_low", "gold_high", "gold_group", "loss", "loss_low", "loss_high", "loss_group",
        "peak_n", "peak_low", "peak_high", "share_lost", "share_low", "share_high", "gold_at_kl", "kl_low", "kl_high",
        "proxy_gain", "kl",
    )  # fmt: skip
    rows = tuple(
        (
            each.name, *_ends(each.gold), each.gold_group, *_ends(each.loss), each.loss_group, each.peak.n,
            each.peak.low_n, each.peak.high_n, *_ends(each.peak.drop_height), *_ends(each.gold_at_kl),
            each.proxy_gain, float(each.kl_N[-1]),
        )
        for each in sorted(found.proxies, key=lambda each: -each.gold.estimate)
    )  # fmt: skip
    note = (
        f"Each proxy chooses alone among the same {found.n_responses} responses to {found.n_prompts} prompts. gold: at "
        f"best of {found.max_n}, over n = 1, in gold SDs within prompts; loss: from the proxy's own best n to "
        f"{found.max_n}, cross-fitted; proxies that share a letter are not clearly different, at 5 % for all pairs "
        "together. share_lost: of the gain, from the best n of the first half of the range (negative: still rising). "
        f"gold_at_kl: gold at {found.kl_nats:.2f} nats, as far as {found.set_by} gets. proxy_gain: in the proxy's own "
        "SDs. kl: nats at the last n, ties as the samples show them."
    )
    if found.n_missing:
        note += f" {found.n_missing} responses without a score of every proxy are left out"
        note += f", and {found.n_small} of prompts with fewer than {found.max_n} besides." if found.n_small else "."
    return Table("proxies", "Proxies side by side", columns, rows, note)


def _duel_table(found: Contest) -> Table:
    columns = (
        "proxy", "less", "gold", "gold_low", "gold_high", "loss", "loss_low", "loss_high", "gold_at_kl", "kl_low",
        "kl_high",
    )  # fmt: skip
    rows = tuple(
        (duel.name, duel.other, *_ends(duel.gold), *_ends(duel.loss), *_ends(duel.gold_at_kl)) for duel in found.duels
    )
    note = (
        "The first less the second, paired by prompt, gold SDs; a loss below 0: the first is harder to game. Intervals "
        "hold for all pairs together, at 95 %."
    )
    return Table("proxy_differences", "Differences between proxies", columns, rows, note)


def _curve_table(found: Contest) -> Table:
    columns = ("proxy", "n", "kl", "gold", "gold_low", "gold_high")
    rows = []
    for each in found.proxies:
        for n in shown_n(found.max_n, each.peak):
            at, curve = int(n) - 1, each.curve
            rows.append((
                each.name, int(n), float(each.kl_N[at]), float(curve.mean_N[at]), float(curve.low_N[at]),
                float(curve.high_N[at]),
            ))  # fmt: skip
    return Table(
        "proxy_curves", "Gold at best of n by each proxy", columns, tuple(rows),
        "Gold gained over n = 1, in gold SDs within prompts; pointwise 95 % intervals over prompts. kl in nats.",
    )  # fmt: skip


def _ends(interval: Interval) -> tuple[float, float, float]:
    return interval.estimate, interval.low, interval.high


def proxies_values(found: Contest | None) -> dict[str, Any]:
    """Values with stable names, by proxy; empty where nothing was compared."""
    proxies = found.proxies if found else ()

    def of(what: Callable[[Pressed], Any]) -> dict[str, Any]:
        return {each.name: what(each) for each in proxies}

    others = [found.of(proxies[0].name, other.name) for other in proxies[1:]] if found and proxies else []
    return {
        "proxies_n": found.max_n if found and proxies else NAN,
        "proxies_kl": found.kl_nats if found else NAN,
        "proxies_gold": of(lambda each: each.gold.estimate),
        "proxies_gold_low": of(lambda each: each.gold.low),
        "proxies_gold_high": of(lambda each: each.gold.high),
        "proxies_gold_at_kl": of(lambda each: each.gold_at_kl.estimate),
        "proxies_loss": of(lambda each: each.loss.estimate),
        "proxies_loss_low": of(lambda each: each.loss.low),
        "proxies_loss_high": of(lambda each: each.loss.high),
        "proxies_peak_n": of(lambda each: each.peak.n),
        "proxies_gold_group": of(lambda each: each.gold_group),
        "proxies_loss_group": of(lambda each: each.loss_group),
        "proxies_loss_less": {duel.other: list(_ends(duel.loss)) for duel in others},
        "proxies_gold_less": {duel.other: list(_ends(duel.gold)) for duel in others},
    }
