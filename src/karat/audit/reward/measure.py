"""The battery of probes: edits whose effect on what is right is known, against what the reward makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from karat.audit.parts import Progress
from karat.audit.reward.cases import (
    Battery,
    Case,
    Key,
    apply_probe,
    chosen_pairs,
    items_of_pairs,
    keys_of,
    score_keys,
)
from karat.audit.reward.config import AuditRewardConfig
from karat.audit.reward.limited import as_limited
from karat.audit.reward.probe_findings import IDENTITY_TOLERANCE, result_of
from karat.audit.reward.probe_statistics import measure_battery
from karat.audit.reward.probed import Probed
from karat.audit.reward.probes import Dialect, Family, Item, families
from karat.audit.reward.probes.base import set_text
from karat.audit.reward.probes.removal import CONTROLS
from karat.audit.reward.probes.rewriting import ATTRIBUTES, FAMILY, Rewriter, probe_of, rewrite_twice
from karat.errors import InputError
from karat.rewards.kinds import import_function
from karat.rewards.protocol import Reward
from karat.types import PreferencePair, Result, Score


def audit_probes(
    reward: Reward,
    pairs: Sequence[PreferencePair],
    *,
    config: AuditRewardConfig,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> Result:
    """RW202 to RW2xx: two controls and a finding for each family of probes.

    Raises: InputError: the data is tokenised, an unknown probe, or margins that give no unit.
    """
    rewriter: Rewriter | None = import_function(config.rewriter) if config.rewriter else None
    return result_of(probe_reward(reward, pairs, config=config, rng=rng, progress=progress, rewriter=rewriter), config)


def probe_reward(
    reward: Reward,
    pairs: Sequence[PreferencePair],
    *,
    config: AuditRewardConfig,
    rng: np.random.Generator,
    progress: Progress | None = None,
    rewriter: Rewriter | None = None,
) -> Probed:
    """Apply every probe, score all texts of a prompt in one group, and judge the battery. Raises as `audit_probes`.

    Pairs labelled as ties have no better side, and are left out.
    """
    reward = as_limited(reward, config.timeout_s)
    wanted = chosen_families(config.probes)
    dialect = Dialect.of(pairs)
    used = chosen_pairs([pair for pair in pairs if not pair.is_tie], config.probe_pairs, rng)
    items = items_of_pairs(used, dialect)
    seed = int(rng.integers(2**31))
    batteries = [apply_probe(family, probe, items, dialect, seed) for family in wanted for probe in family.probes]
    n_failed = 0
    if rewriter is not None and any(family.name == FAMILY.name for family in wanted):
        rewritten, n_failed = _rewriting(items, rewriter, progress)
        batteries += rewritten
    originals = [_original(item) for pair in items for item in pair]
    copies = [(*key[:3], 1) for key in originals]
    keys = list(dict.fromkeys([*originals, *keys_of(case for each in batteries for case in each.cases), *copies]))
    cut_before = reward.n_cut
    scores = score_keys(reward, keys, progress=progress)
    sd = margin_sd(originals, scores)
    difference_N = np.array([scores[copy].value - scores[(*copy[:3], 0)].value for copy in copies]) / sd
    is_known = np.isfinite(difference_N)
    worst = float(np.abs(difference_N[is_known]).max()) if is_known.any() else np.nan
    if worst > IDENTITY_TOLERANCE:
        scores = _against_copies(scores, originals)
    return Probed(
        probes=tuple(
            measure_battery(batteries, scores, sd, band=config.band, rng=rng, resamples=config.resamples)
        ),
        sd=sd,
        copy_error=worst,
        n_copies=int(is_known.sum()),
        n_copies_missing=int((~is_known).sum()),
        n_pairs=len(used),
        n_prompts=len({pair.prompt_id for pair in used}),
        band=config.band,
        n_cut=reward.n_cut - cut_before,
        n_rewriter_failed=n_failed,
    )  # fmt: skip


def chosen_families(asked: str) -> tuple[Family, ...]:
    """The families and probes that a comma-separated list names; all when it is empty. The controls are always there.

    Raises: InputError: a name that is neither.
    """
    names = [name.strip() for name in asked.split(",") if name.strip()]
    every = families()
    known = {family.name for family in every} | {probe.name for family in every for probe in family.probes}
    for name in names:
        if name not in known:
            listed = ", ".join(family.name for family in every)
            raise InputError(f"probes: there is no probe or family {name!r}; the families are: {listed}.")
    if not names:
        return every
    kept = []
    for family in every:
        is_whole = family.name in names
        probes = tuple(p for p in family.probes if is_whole or p.name in names or p.name in CONTROLS)
        if probes or is_whole:
            kept.append(
                Family(code=family.code, name=family.name, title=family.title, action=family.action, probes=probes)
            )
    return tuple(kept)


def margin_sd(originals: Sequence[Key], scores: dict[Key, Score]) -> float:
    """Standard deviation (ddof=1) of the margins; `originals` holds chosen and rejected by turns.

    Raises: InputError: fewer than two margins, or all alike.
    """
    margin_P = np.array(
        [scores[chosen].value - scores[rejected].value
         for chosen, rejected in zip(originals[::2], originals[1::2], strict=True)]
    )  # fmt: skip
    known = margin_P[np.isfinite(margin_P)]
    if known.size < 2:
        reasons = [score.missing for score in scores.values() if score.is_missing]
        why = f"; most scores are missing: {max(sorted(set(reasons)), key=reasons.count)}" if reasons else ""
        raise InputError(
            f"probes: {known.size} of {margin_P.size} pairs have both scores, and effects are in standard deviations "
            f"of margins, which takes 2{why}. Give more pairs."
        )
    sd = float(known.std(ddof=1))
    if not sd > 1e-9 * float(np.abs(known).max(initial=0.0)):
        raise InputError(
            f"probes: the margins of all {known.size} pairs are {known[0]:g}, so effects have no unit. "
            "A reward whose margins do not differ cannot be probed; see the sanity part."
        )
    return sd


def _original(item: Item) -> Key:
    return (item.prompt, item.tools, item.response, 0)


def _against_copies(scores: dict[Key, Score], originals: Sequence[Key]) -> dict[Key, Score]:
    """The scores with each original's replaced by its copy's.

    Where the place in a call shifts scores, a copy at the end has been shifted as the edits have; where scores are
    noisy, its noise enters the spread that the intervals are made of.
    """
    copied = {key: scores[(*key[:3], 1)] for key in originals if (*key[:3], 1) in scores}
    return scores | copied


def _rewriting(
    items: Sequence[tuple[Item, Item]], rewriter: Rewriter, progress: Callable[..., None] | None
) -> tuple[list[Battery], int]:
    """RATE on one side of each pair, for each attribute; and how often the rewriter failed."""
    candidates = [pair[index % 2] for index, pair in enumerate(items)]
    out, n_failed = [], 0
    for attribute in ATTRIBUTES:
        found, failed = rewrite_twice(candidates, rewriter, attribute, progress=progress)
        cases = []
        for each in found:
            keys = [(each.item.prompt, each.item.tools, set_text(each.item.response, text), 0)
                    for text in (each.off, each.on)]  # fmt: skip
            cases.append(Case(each.item.cluster, ((1, keys[0]),), ((1, keys[1]),), None, (each.off, each.on)))
        out.append(Battery(FAMILY, probe_of(attribute), tuple(cases), len(candidates) - len(cases)))
        n_failed += failed
    return out, n_failed
