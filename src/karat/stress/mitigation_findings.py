"""What `karat stress` states about mitigations: whether one buys gold at equal KL, and the table of all."""

from __future__ import annotations

import math
from typing import Any

from karat.numerics.intervals import UNDEFINED, Interval
from karat.numerics.rule_names import RULES
from karat.stress.config import BEST, StressConfig
from karat.stress.mitigations import FAR_ENOUGH, LEAST_PROMPTS, WITH_A_DIAL, Comparison, Mitigation
from karat.types import Finding, Table, Verdict

GAIN_THAT_MATTERS = 0.1
"""Gold SDs."""
TOLD = 4
"""Rules that the baseline names."""

EXPLANATIONS: dict[str, tuple[str, str, str, str]] = {
    "ST307": (
        "A mitigation buys gold",
        "Gold at equal KL of the best rule that makes one score of the proxy and its fellow rewards (ensembles, length "
        "calibration, clipping, similarity to other responses), less that of the plain proxy, in gold standard "
        "deviations within prompts. Each half of the prompts is judged by the rule that is best on the other half, and "
        "with numbers fitted there. With --export RULE: of that rule. Interval over prompts, paired. What a reward "
        "adds for a whole prompt counts in worst, variance, kl-dro and clip, and through the KL at which all are "
        "compared in every rule, unless --centre prompt takes it away.",
        "ok: the whole interval is above 0, or it ends below 0.1, so that the plain proxy will do. problem: the rule "
        "to be exported costs gold, its whole interval is below 0. unclear: neither. not checked: no gold, gold "
        f"missing for some responses, or fewer than {LEAST_PROMPTS} prompts with every member's score.",
        "The table ranks all rules; those that share a letter are not clearly different. --export best --rewards ... "
        "writes the best as a reward. unclear: more prompts. problem: export another rule.",
    ),
}


def mitigation_finding(found: Comparison | None, config: StressConfig) -> Finding:
    """ST307."""
    chosen = found.of(config.export) if found and config.export not in ("", BEST) else None
    gain = chosen.difference if chosen else found.gain if found else UNDEFINED
    if found is None or not found.entries or (config.export in RULES and chosen is None):
        return _finding("not checked", UNDEFINED, 0, action=_why_not(found, config))
    verdict = _verdict(gain, is_named=chosen is not None)
    rule = chosen.rule if chosen else found.best
    plain = found.of("proxy")
    needed = "More prompts would tell it from the plain proxy."
    actions = {
        "ok": f"--export best writes {rule} as a reward." if gain.low > 0 and not config.export else "",
        "problem": f"{rule} costs gold: export another rule, or none.",
        "unclear": needed,
    }
    told = ", ".join(f"{entry.rule} {entry.gold.estimate:.2f} {entry.group}".rstrip() for entry in _told(found))
    baseline = (
        f"gold SD at {found.kl_nats:.2f} nats, {'chosen' if config.export else 'best'}: {rule}; {told}; plain proxy "
        f"{plain.gold.estimate if plain else math.nan:.2f}; letters shared: no clear difference"
    )
    if chosen and not chosen.group:
        baseline += f"; {rule} is judged where it ends, at {chosen.kl:.2f} nats"
    return _finding(
        verdict, gain, found.n_responses, action=actions[verdict], baseline=baseline,
        n_missing=found.n_missing + found.n_small,
    )  # fmt: skip


def _told(found: Comparison) -> list[Mitigation]:
    return [entry for entry in found.entries if entry.group][:TOLD]


def _verdict(gain: Interval, *, is_named: bool) -> Verdict:
    """See EXPLANATIONS; where no prompt differs the plain proxy is the best, or the rule chooses as it does."""
    if math.isnan(gain.low) and gain.estimate == 0:
        return "ok"
    if gain.low > 0 or (gain.high < GAIN_THAT_MATTERS and not (is_named and gain.high < 0)):
        return "ok"
    return "problem" if is_named and gain.high < 0 else "unclear"


def _why_not(found: Comparison | None, config: StressConfig) -> str:
    if not config.gold:
        return "needs --gold COLUMN: what counts as true"
    if found is None:
        return "needs a gold for every response that is used"
    if config.export == "par":
        return "par orders responses as the proxy does and acts in RL only: karat stress rl compares it"
    return found.reason or "needs --members for this rule"


def _finding(verdict: Verdict, interval: Interval, n_used: int, **rest: Any) -> Finding:
    return Finding(
        code="ST307", title=EXPLANATIONS["ST307"][0], verdict=verdict, effect=interval.estimate, low=interval.low,
        high=interval.high, unit="gold SD", n_used=n_used, **rest,
    )  # fmt: skip


def mitigation_table(found: Comparison | None, exported: str = "") -> Table:
    """All rules, ranked; without rows where nothing was compared."""
    columns = (
        "rule", "group", "gold", "gold_low", "gold_high", "less_proxy", "less_proxy_low", "less_proxy_high", "kl",
        "strength", "best_strength", "best_kl", "best_gold", "what",
    )  # fmt: skip
    if found is None or not found.entries:
        return Table("mitigations", "", columns, ())
    rows = tuple(
        (
            entry.rule, entry.group or "-", entry.gold.estimate, entry.gold.low, entry.gold.high,
            entry.difference.estimate, entry.difference.low, entry.difference.high, entry.kl, entry.strength,
            entry.best_strength, entry.best_kl, entry.best_gold, (RULES | WITH_A_DIAL)[entry.rule],
        )
        for entry in found.entries
    )  # fmt: skip
    note = (
        f"Gold gained at {found.kl_nats:.2f} nats, as far as {found.set_by} gets at best of {found.max_n}, in gold "
        "SDs, and less that of the plain proxy (paired). Rules that share a letter are not clearly different, at 5 % "
        f"for all pairs together; -: reaches less than {FAR_ENOUGH:.0%} of the proxy's KL, so it is set beside the "
        "proxy at its own and not ranked. What a rule fits comes from the other half of the prompts. strength: n, or "
        "the temperature in proxy SDs (chi-square, softmax, whose KL is an upper bound). best: the top of the rule's "
        "own curve, too high by selection. par orders the responses of a prompt as the proxy does: it acts in RL only."
    )
    if found.n_missing:
        note += f" {found.n_missing} responses without a member's score are left out"
        note += f", and {found.n_small} of prompts with fewer than {found.max_n} besides." if found.n_small else "."
    if exported:
        note += f" Written as a reward: {exported}."
    return Table("mitigations", "Mitigations at equal KL", columns, rows, note)


def mitigation_values(found: Comparison | None) -> dict[str, Any]:
    """Values with stable names."""
    entries = found.entries if found else ()
    return {
        "mitigations": {entry.rule: entry.gold.estimate for entry in entries},
        "mitigations_less_proxy": {entry.rule: entry.difference.estimate for entry in entries},
        "mitigations_group": {entry.rule: entry.group for entry in entries},
        "mitigations_kl": found.kl_nats if found else math.nan,
        "mitigation_best": found.best if found else "",
        "mitigation_gain": found.gain.estimate if found else math.nan,
    }
