"""DA131 to DA142: languages, leftovers of templates and encodings, and what a trainer would cut.

Axes: P pairs, K kinds of leftovers, G prompts.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import stdtrit

from karat.audit.data.languages import CERTAIN, LETTERS, Languages
from karat.audit.data.oddities import KINDS, UNFINISHED, Oddities
from karat.audit.data.structure_findings import (
    CUT_THAT_MATTERS,
    LANGUAGES_THAT_MATTER,
    LEFTOVERS_THAT_MATTER,
    SHOWN_CHARS,
    finding,
    first_three,
    not_checked,
    share,
    shown,
    verdict_of,
)
from karat.audit.data.table import PairTable
from karat.audit.data.truncation import CHARS_PER_TOKEN, Truncation
from karat.numerics.intervals import Interval, clustered_proportion, mcnemar_exact, wilson
from karat.numerics.multiplicity import holm
from karat.types import Finding, Table, Verdict

UNCLEAR_CUT = "Install transformers, or name the --model that will be trained."
UNCLEAR_SIDES = "It is on one side in too few prompts to be told from chance: more pairs would show it."
ONE_SIDED_SHARE, ONE_SIDED_P = 0.01, 0.01
FEWEST_ONE_SIDED = math.ceil(1 + math.log2(len(KINDS) / ONE_SIDED_P))
"""Prompts with a kind on one side only: of fewer, all on the same side, the sign test would not tell (Holm)."""


def language_findings(table: PairTable, found: Languages) -> tuple[Finding, Table | None]:
    """DA131, and the table of languages."""
    known = found.is_known
    mix = found.shares()
    note = (
        f"py3langid, responses of at least {LETTERS} letters, where it is at least {CERTAIN:.0%} certain; "
        f"{2 * len(found.chosen_N) - sum(n for _, n, _ in mix)} of {2 * len(found.chosen_N)} responses looked at are "
        "shorter, or uncertain."
    )
    listed = Table("languages", "Languages of the responses", ("language", "responses", "share"), tuple(mix[:12]), note)
    if not known.any():
        reason = f"needs pairs whose responses both have at least {LETTERS} letters of one language"
        return not_checked("DA131", reason), listed if mix else None
    at = found.pair_N[found.differs]
    interval = share(found.differs[known], table.prompt_codes[found.pair_N[known]])
    if not np.isfinite(interval.low):
        interval = Interval(interval.estimate, *wilson(at.size, int(known.sum())), int(known.sum()), "wilson")
    told = ", ".join(f"{code} {part:.1%}" for code, _, part in mix[:3])
    witnesses = []
    for number in first_three(np.flatnonzero(found.differs)):
        index = int(found.pair_N[number])
        codes = f"{found.chosen_N[number]} over {found.rejected_N[number]}"
        witnesses.append(f"{table.where(index)}, {codes}: {shown(table.chosen[index].as_py())}")
    verdict = verdict_of(interval, LANGUAGES_THAT_MATTER, is_census=found.is_census)
    return finding(
        "DA131", verdict, interval, n_used=int(known.sum()), n_missing=int((~known).sum()),
        baseline=f"{at.size} of {int(known.sum())} pairs; languages: {told}", witnesses=tuple(witnesses),
        **({"action": "More pairs would tell."} if verdict == "unclear" else {}),
    ), listed  # fmt: skip


def leftover_findings(table: PairTable, found: Oddities) -> tuple[tuple[Finding, ...], Table]:
    """DA132 and DA133, and the table of kinds by side."""
    severe = np.array([kind.is_severe for kind in KINDS])
    either_PK = found.chosen_PK | found.rejected_PK
    has_P = either_PK[:, severe].any(axis=1)
    prompt_P = table.prompt_codes
    interval = share(has_P, prompt_P)
    counts = ", ".join(
        f"{kind.name} {n}" for kind, n in zip(KINDS, either_PK.sum(axis=0), strict=True) if kind.is_severe and n
    )
    leftovers = finding(
        "DA132", verdict_of(interval, LEFTOVERS_THAT_MATTER), interval, n_used=len(table),
        baseline=counts or "none", witnesses=_examples(table, found, severe),
    )  # fmt: skip
    p_K, effect_K, prompts_K = _one_sided(found, prompt_P)
    rows = tuple(
        (kind.name, int(either.sum()), float(chosen.mean()), float(rejected.mean()), float(effect), float(p))
        for kind, either, chosen, rejected, effect, p in zip(
            KINDS, either_PK.T, found.chosen_PK.T, found.rejected_PK.T, effect_K, p_K, strict=True
        )
    )
    listed = Table(
        "leftovers", "Leftovers in responses",
        ("kind", "pairs", "share of chosen", "share of rejected", "one-sided", "p (Holm)"), rows,
        "one-sided: share of pairs with it in the chosen response only, less in the rejected one only. unfinished "
        "ending: at least 100 characters, the last a letter, a digit or a comma.",
    )  # fmt: skip
    return (leftovers, _sidedness(table, found, p_K, effect_K, prompts_K)), listed


def cut_findings(table: PairTable, found: Truncation, *, max_length: int) -> tuple[Finding, ...]:
    """DA141 and DA142."""
    exact = found.is_census and bool(found.tokenizer)
    means = (
        f"tokens of {found.tokenizer}" if found.tokenizer else f"estimated at {CHARS_PER_TOKEN:g} characters a token"
    )
    told = f"{max_length} {means}; {found.n_long} of {len(table)} pairs have more bytes than that"
    if not found.n_long:
        told = f"no pair has more than {max_length} bytes, so none has more tokens"
    elif not found.is_census:
        told += f", {found.pair_N.size} of them looked at"
    cut, same = (_scaled(table, found, hit) for hit in (found.is_cut_N, found.is_same_N))
    verdict = verdict_of(cut, CUT_THAT_MATTERS, is_census=exact or not found.n_long)
    any_same: Verdict = "ok" if not found.is_same_N.any() else "problem" if found.tokenizer else "unclear"
    return tuple(
        finding(
            code, state, interval, n_used=found.pair_N.size + len(table) - found.n_long,
            n_missing=found.n_long - found.pair_N.size, baseline=told,
            witnesses=tuple(
                f"{table.where(i)}: {shown(table.prompt[i].as_py())}" for i in first_three(found.pair_N[hit])
            ),
            **({"action": UNCLEAR_CUT} if state == "unclear" else {}),
        )
        for code, state, interval, hit in (
            ("DA141", verdict, cut, found.is_cut_N),
            ("DA142", any_same, same, found.is_same_N),
        )
    )  # fmt: skip


def _scaled(table: PairTable, found: Truncation, hit_N: np.ndarray) -> Interval:
    """Share of all pairs, from those that were looked at among the ones that can be cut."""
    if found.is_census:
        hit_P = np.zeros(len(table), np.bool_)
        hit_P[found.pair_N[hit_N]] = True
        return share(hit_P, table.prompt_codes)
    of_all, n = found.n_long / len(table), hit_N.size
    low, high = wilson(int(hit_N.sum()), n)
    return Interval(float(hit_N.mean()) * of_all, low * of_all, high * of_all, n, "wilson")


def _examples(table: PairTable, found: Oddities, severe_K: np.ndarray) -> tuple[str, ...]:
    """One pair of each of the most frequent severe kinds."""
    either_PK = found.chosen_PK | found.rejected_PK
    order = [k for k in np.argsort(-either_PK.sum(axis=0), kind="stable") if severe_K[k] and either_PK[:, k].any()]
    told = []
    for k in order[:3]:
        index = int(np.argmax(either_PK[:, k]))
        side = "chosen" if found.chosen_PK[index, k] else "rejected"
        text = getattr(table, side)[index].as_py()
        told.append(f"{KINDS[k].name} in the {side} response of {table.where(index)}: ...{shown(text[-300:])}")
    return tuple(told)


def _on_one_side(table: PairTable, index: int, kind: int, *, is_chosen: bool) -> str:
    """The response that has the kind: its beginning, or the end where that is what is odd."""
    side = "chosen" if is_chosen else "rejected"
    text = getattr(table, side)[index].as_py()
    told = f"...{shown(text.rstrip()[-SHOWN_CHARS:])}" if kind == UNFINISHED else shown(text)
    return f"{table.where(index)}, {side}: {told}"


def _one_sided(found: Oddities, prompt_P: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Adjusted p of a sign test over prompts, the one-sided share, and the prompts tested, for each kind."""
    sign_PK = found.chosen_PK.astype(np.int64) - found.rejected_PK.astype(np.int64)
    sums = [np.bincount(prompt_P, weights=sign_P) for sign_P in sign_PK.T]
    count_K2 = np.array([[(sum_G > 0).sum(), (sum_G < 0).sum()] for sum_G in sums])
    p_K = [mcnemar_exact(int(more), int(fewer)) for more, fewer in count_K2]
    return holm(p_K), sign_PK.mean(axis=0), count_K2.sum(axis=1)


def _mean_sign(sign_P: np.ndarray, prompt_P: np.ndarray) -> Interval:
    """Mean of -1, 0, 1 with Student's t interval from the linearised variance of a ratio over prompts.

    A bootstrap of a million prompts would take longer than all the rest. Where nothing varies, the ends are Wilson's.
    """
    mean = float(sign_P.mean())
    residual_G = np.bincount(prompt_P, weights=sign_P - mean)
    n_prompts = residual_G.size
    error = math.sqrt(n_prompts / max(n_prompts - 1, 1) * float(np.sum(residual_G**2))) / sign_P.size
    if n_prompts < 2 or error == 0:
        half = clustered_proportion((sign_P + 1) / 2, prompt_P)
        return Interval(mean, 2 * half.low - 1, 2 * half.high - 1, half.n_clusters, half.method)
    reach = float(stdtrit(n_prompts - 1, 0.975)) * error
    return Interval(mean, max(-1.0, mean - reach), min(1.0, mean + reach), n_prompts, "jackknife t")


def _sidedness(
    table: PairTable, found: Oddities, p_K: np.ndarray, effect_K: np.ndarray, prompts_K: np.ndarray
) -> Finding:
    """DA133, of the kind that matters most."""
    is_clear_K = (p_K < ONE_SIDED_P) & (np.abs(effect_K) >= ONE_SIDED_SHARE)
    if not (found.chosen_PK | found.rejected_PK).any():
        k = int(np.argmax(is_clear_K))
        told = "no kind of leftover, nor an unfinished ending, in any response"
    else:
        k = int(np.argmax(np.where(is_clear_K, np.abs(effect_K) + 1, np.abs(effect_K))))
        told = (
            f"{KINDS[k].name}: {found.chosen_PK[:, k].mean():.1%} of chosen, {found.rejected_PK[:, k].mean():.1%} of "
        )
        told += f"rejected responses, p = {p_K[k]:.2g}"
    sign_P = found.chosen_PK[:, k].astype(np.float64) - found.rejected_PK[:, k]
    interval = _mean_sign(sign_P, table.prompt_codes)
    at = np.flatnonzero(sign_P * np.sign(effect_K[k]) > 0)
    is_few = abs(float(effect_K[k])) >= ONE_SIDED_SHARE and prompts_K[k] < FEWEST_ONE_SIDED
    verdict: Verdict = "problem" if is_clear_K[k] else "unclear" if is_few else "ok"
    return finding(
        "DA133", verdict, interval, n_used=len(table), baseline=told,
        witnesses=tuple(_on_one_side(table, i, k, is_chosen=bool(effect_K[k] > 0)) for i in first_three(at)),
        **({"action": UNCLEAR_SIDES} if verdict == "unclear" else {}),
    )  # fmt: skip
