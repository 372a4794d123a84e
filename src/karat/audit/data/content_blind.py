"""How much of a set of preferences can be told without reading: by single surface features, and by models of all.

Pairs labelled as ties prefer nothing and are left out, counted. Every prediction is made by rules or models that have
seen no pair of its prompt; what they then score is a mean over pairs with an interval over prompts.

Axes: P pairs, F features, S sources, K folds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from karat.audit.data.config import AuditDataConfig
from karat.audit.data.content_findings import findings_of, tables_of, values_of
from karat.audit.data.content_models import BOOSTED, LOGISTIC, OutOfFold, out_of_fold, scrambled_loss
from karat.audit.data.pair_groups import near_copies, table_groups
from karat.audit.data.surface import FAMILIES, RULES, feature_differences
from karat.audit.data.table import PairTable
from karat.audit.parts import Progress
from karat.errors import InputError
from karat.numerics.intervals import (
    UNDEFINED,
    Interval,
    cluster_bootstrap,
    cluster_totals,
    clustered_proportion,
    paired_difference,
    ratio_of_totals,
)
from karat.numerics.linear_preference import prompt_folds
from karat.numerics.multiplicity import benjamini_hochberg
from karat.numerics.surface_rules import RuleScore, best_rule_outcomes, rule_scores
from karat.types import Result

SINGLE = "best single feature"
LEAST_PROMPTS = 20
"""Prompts that models are fitted from; fewer say nothing about others."""
BALANCED_FOLDS_UP_TO = 50_000
"""Prompts; with more, chance alone makes folds of equal size."""
MOST_SOURCES = 20
WITNESS_CHARS = 120


@dataclass(frozen=True, slots=True)
class Decided:
    """The pairs that prefer one side.

    Attributes:
        difference_PF: features of the preferred side less those of the other, in RULES order.
        label_P: probability that it is preferred, above one half.
        prompt_P: prompt of each pair, numbered.
        first_P: 1 where the first of two responses in the data's order was preferred, 0 the second, NaN unknown.
        source_P, sources: what each comes from, and the names.
        n_ties: pairs left out because they are labelled as ties.
    """

    difference_PF: np.ndarray
    label_P: np.ndarray
    prompt_P: np.ndarray
    first_P: np.ndarray
    source_P: np.ndarray
    sources: tuple[str, ...]
    n_ties: int = 0


@dataclass(frozen=True, slots=True)
class Modelled:
    """What is told by rules and models that see all features, out of fold.

    Attributes:
        n_pairs, n_prompts: that they were fitted to and judged on.
        accuracy: by name; the intervals hold for all of them together.
        nll: negative log-likelihood of the labels, nats, of those with probabilities.
        best: name of the most accurate.
        gain: accuracy of the better model less that of the best single feature, paired.
        families: by name, how much the loss of the better model grows when a family is scrambled, nats.
        single: features that were best in the other folds, most often first.
        by_source: of the better model, the intervals holding for all sources together: name, pairs, accuracy, and the
            share of pairs whose longer side is preferred.
        better: name of the better model.
    """

    n_pairs: int
    n_prompts: int
    accuracy: Mapping[str, Interval]
    nll: Mapping[str, Interval]
    best: str
    better: str
    gain: Interval
    families: Mapping[str, Interval]
    single: tuple[str, ...]
    by_source: tuple[tuple[str, int, Interval, float], ...]


@dataclass(frozen=True, slots=True)
class ContentBlind:
    """Everything that was measured.

    Attributes:
        rules, q_F: single features, and their p-values adjusted for looking at all.
        modelled: None with fewer than LEAST_PROMPTS prompts, or so few that models may be fitted to.
        first: share of pairs whose preferred response stood first; n_placed: pairs where that is known.
    """

    n_pairs: int
    n_ties: int
    n_prompts: int
    rules: tuple[RuleScore, ...]
    q_F: np.ndarray
    modelled: Modelled | None
    first: Interval
    n_placed: int


def audit_content_blind(
    table: PairTable,
    *,
    config: AuditDataConfig,
    rng: np.random.Generator,
    near_P: np.ndarray | None = None,
    progress: Progress | None = None,
) -> Result:
    """What single surface features, models of all, and the place of a response tell about the preferences.

    Single features and places are judged on all pairs, models on at most `config.model_pairs` (whole prompts). Near
    copies of a pair belong to its prompt.

    Args:
        near_P: the earliest near copy of each pair, where that is known; None: they are looked for.
    Raises: InputError: every pair is labelled as a tie, or some are token ids.
    """
    if table.n_tokenised:
        raise InputError(f"{table.n_tokenised} of {len(table)} pairs are token ids, which have no surface. Give text.")
    kept = np.flatnonzero(table.label_P > 0.5)
    if not kept.size:
        raise InputError(
            f"all {len(table)} pairs are labelled as ties, which prefer nothing. Give pairs with a preference."
        )
    pairs = decided_pairs(table, kept, workers=config.workers, progress=progress)
    if near_P is None:
        near_P = near_copies(table, near=config.near, workers=config.workers, progress=progress)
    pairs = replace(pairs, prompt_P=table_groups(table, near_P)[kept])
    if progress:
        progress("fitting models that read nothing", 0, 1, f"{kept.size} pairs")
    found = measure(pairs, config=config, rng=rng)
    return Result(
        command="audit data",
        findings=findings_of(found, witnesses_of(table, kept, pairs, found)),
        tables=tables_of(found),
        values=values_of(found),
    )


def decided_pairs(table: PairTable, kept: np.ndarray, *, workers: int, progress: Progress | None) -> Decided:
    """The features and the columns of the pairs that are kept."""
    difference_PF = feature_differences(table.chosen, table.rejected, workers=workers, progress=progress)
    source_P, sources = _sources(table)
    return Decided(
        difference_PF=difference_PF[kept] if kept.size < len(table) else difference_PF,
        label_P=table.label_P[kept],
        prompt_P=_codes(table.prompt_id)[0][kept],
        first_P=table.first_chosen_P[kept],
        source_P=source_P[kept],
        sources=sources,
        n_ties=len(table) - kept.size,
    )


def _codes(column: pa.ChunkedArray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Numbers and names of a dictionary-encoded column; null is the empty name."""
    whole = pa.chunked_array([chunk.dictionary_decode() for chunk in column.chunks], pa.large_string())
    encoded = whole.fill_null("").dictionary_encode().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0)
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), tuple(encoded.dictionary.to_pylist())


def _sources(table: PairTable) -> tuple[np.ndarray, tuple[str, ...]]:
    """Source of each pair: the file where there are several, and what the data itself names."""
    part_P, parts = _codes(table.part)
    if len(table.sources) == 1:
        return part_P, parts
    joint, code_P = np.unique(table.source_P.astype(np.int64) * len(parts) + part_P, return_inverse=True)
    files, inner = np.divmod(joint, len(parts))
    names = (
        f"{table.sources[file]}: {parts[part]}" if parts[part] else table.sources[file]
        for file, part in zip(files, inner, strict=True)
    )
    return code_P, tuple(names)


# ----------------------------------------------------------------------------------------------------------- measuring
def measure(
    pairs: Decided, *, config: AuditDataConfig, rng: np.random.Generator, models: tuple[str, ...] = (LOGISTIC, BOOSTED)
) -> ContentBlind:
    """All statistics.

    Args:
        models: kinds of model to fit (see `content_models.FITS`); none: single features alone.
    """
    n_prompts = np.unique(pairs.prompt_P).size
    fold_P = _folds(pairs.prompt_P, n_prompts, config.folds, rng)
    rules = tuple(rule_scores(pairs.difference_PF, pairs.prompt_P, fold_P, level=1 - 0.05 / len(RULES)))
    placed = np.isfinite(pairs.first_P)
    return ContentBlind(
        n_pairs=len(pairs.label_P),
        n_ties=pairs.n_ties,
        n_prompts=n_prompts,
        rules=rules,
        q_F=benjamini_hochberg([rule.p_value for rule in rules]),
        modelled=_modelled(pairs, config, rng, models) if models and n_prompts >= LEAST_PROMPTS else None,
        first=clustered_proportion(pairs.first_P[placed], pairs.prompt_P[placed]) if placed.any() else UNDEFINED,
        n_placed=int(placed.sum()),
    )


def _folds(prompt_P: np.ndarray, n_prompts: int, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Whole prompts at random; one fold where there is one prompt."""
    if n_prompts > BALANCED_FOLDS_UP_TO:
        return np.asarray(rng.integers(folds, size=int(prompt_P.max()) + 1)[prompt_P])
    return prompt_folds(prompt_P, min(folds, n_prompts), rng) if n_prompts > 1 else np.zeros(len(prompt_P), np.int64)


def _modelled(
    pairs: Decided, config: AuditDataConfig, rng: np.random.Generator, models: tuple[str, ...]
) -> Modelled | None:
    drawn = draw_prompts(pairs.prompt_P, config.model_pairs, rng)
    x_PF, prompt_P = pairs.difference_PF[drawn], pairs.prompt_P[drawn]
    n_prompts = np.unique(prompt_P).size
    if n_prompts < LEAST_PROMPTS:
        return None
    fold_P = _folds(prompt_P, n_prompts, config.folds, rng)
    single_P, best_K = best_rule_outcomes(x_PF, fold_P)
    fitted = {name: out_of_fold(name, x_PF, pairs.label_P[drawn], fold_P, seed=config.seed) for name in models}
    outcomes = {SINGLE: single_P, **{name: _outcome(one.margin_P) for name, one in fitted.items()}}
    losses = {name: np.logaddexp(0, -one.margin_P) for name, one in fitted.items()}
    together = 1 - 0.05 / len(outcomes)
    accuracy = {name: clustered_proportion(value, prompt_P, level=together) for name, value in outcomes.items()}
    better = min(losses, key=lambda name: float(losses[name].mean()))
    used, count = np.unique(best_K, return_counts=True)
    return Modelled(
        n_pairs=drawn.size,
        n_prompts=n_prompts,
        accuracy=accuracy,
        nll={name: _mean(loss_P, prompt_P, config, rng) for name, loss_P in losses.items()},
        best=max(accuracy, key=lambda name: accuracy[name].estimate),
        better=better,
        gain=paired_difference(outcomes[better], single_P, prompt_P, rng=rng),
        families=_carried(fitted[better], x_PF, fold_P, prompt_P, config, rng),
        single=tuple(RULES[f] for f in used[np.argsort(-count, kind="stable")]),
        by_source=_by_source(pairs, drawn, outcomes[better]),
    )


def draw_prompts(prompt_P: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of at most so many pairs, of whole prompts drawn at random (at least one), in order.

    A prompt that is larger than that alone is left out where others are not.
    """
    if prompt_P.size <= most:
        return np.arange(prompt_P.size)
    size_G = np.bincount(prompt_P)
    order = rng.permutation(size_G.size)
    if (fitting := (size_G[order] > 0) & (size_G[order] <= most)).any():
        order = order[fitting]
    is_in_G = np.zeros(size_G.size, np.bool_)
    fits = np.cumsum(size_G[order]) <= most
    fits[np.argmax(size_G[order] > 0)] = True
    is_in_G[order[fits]] = True
    return np.flatnonzero(is_in_G[prompt_P])


def _outcome(margin_P: np.ndarray) -> np.ndarray:
    return np.asarray((np.sign(margin_P) + 1) / 2)


def _mean(value_P: np.ndarray, prompt_P: np.ndarray, config: AuditDataConfig, rng: np.random.Generator) -> Interval:
    totals = cluster_totals(np.stack([value_P, np.ones_like(value_P)], axis=1), prompt_P)
    return cluster_bootstrap(totals, ratio_of_totals, rng=rng, resamples=config.resamples)


def _carried(
    found: OutOfFold, x_PF: np.ndarray, fold_P: np.ndarray, prompt_P: np.ndarray, config: AuditDataConfig,
    rng: np.random.Generator,
) -> dict[str, Interval]:  # fmt: skip
    """What the model has from each family."""
    loss_P = np.logaddexp(0, -found.margin_P)
    carried = {}
    for family, names in FAMILIES.items():
        columns = [RULES.index(name) for name in names]
        worse_P = scrambled_loss(found, x_PF, fold_P, columns, rng=rng) - loss_P
        carried[family] = _mean(worse_P, prompt_P, config, rng)
    return carried


def _by_source(
    pairs: Decided, drawn: np.ndarray, outcome_P: np.ndarray
) -> tuple[tuple[str, int, Interval, float], ...]:
    source_P, prompt_P = pairs.source_P[drawn], pairs.prompt_P[drawn]
    length_P = np.sign(pairs.difference_PF[drawn, RULES.index("length, characters")])
    count_S = np.bincount(source_P, minlength=len(pairs.sources))
    order = [int(s) for s in np.argsort(-count_S, kind="stable")[:MOST_SOURCES] if count_S[s]]
    if len(order) < 2:
        return ()
    rows = []
    for s in order:
        is_in = source_P == s
        found = clustered_proportion(outcome_P[is_in], prompt_P[is_in], level=1 - 0.05 / len(order))
        rows.append(
            (pairs.sources[s] or "(not named)", int(count_S[s]), found, float((length_P[is_in] + 1).mean() / 2))
        )
    return tuple(rows)


# ------------------------------------------------------------------------------------------------------------ witnesses
def witnesses_of(table: PairTable, kept: np.ndarray, pairs: Decided, found: ContentBlind) -> dict[str, tuple[str, ...]]:
    """For each feature that is called: three pairs that differ most in it, the preferred side as the rule says."""
    shown: dict[str, tuple[str, ...]] = {}
    for name, rule, q in zip(RULES, found.rules, found.q_F, strict=True):
        if not q <= 0.05:
            continue
        along_P = pairs.difference_PF[:, RULES.index(name)] * (1 if rule.more >= 0.5 else -1)
        most = np.argsort(-along_P, kind="stable")[:3]
        shown[name] = tuple(_witness(table, int(kept[index])) for index in most if along_P[index] > 0)
    return shown


def _witness(table: PairTable, index: int) -> str:
    sides = (_head(column[index].as_py() or "") for column in (table.chosen, table.rejected))
    return "{} | chosen: {} | rejected: {}".format(table.where(index), *sides)


def _head(text: str) -> str:
    line = " ".join(text[: 4 * WITNESS_CHARS].split())
    return line if len(line) <= WITNESS_CHARS else line[: WITNESS_CHARS - 3] + "..."


def summary(found: ContentBlind) -> dict[str, Any]:
    """The verdict and the names of the features that are called, for those who count findings."""
    called = [name for name, q in zip(RULES, found.q_F, strict=True) if q <= 0.05]
    return {"called": called, "verdicts": {each.code: each.verdict for each in findings_of(found, {})}}
