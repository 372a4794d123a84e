"""`karat audit reward --fix`: the reward less what it pays for length or style and labels do not back, exported.

One half of the prompts fits, the other judges; what is exported is what was judged.

Axes: P pairs, R responses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from karat.audit.reward.calibrate_findings import calibration_findings, calibration_tables, calibration_values
from karat.audit.reward.calibration import KINDS, STYLE, Calibration, Kind, Sides, fit_calibration
from karat.audit.reward.calibration_measured import Measured, measure
from karat.audit.reward.config import AuditRewardConfig
from karat.audit.reward.limited import as_limited
from karat.data import fingerprint, split_pairs
from karat.data.edits import FORMATTINGS, PADDINGS, Edit, edited
from karat.errors import DataError, InputError, KaratError
from karat.numerics.intervals import Interval, clustered_mean
from karat.numerics.mitigation_rules import RuleInputs, excess_pay
from karat.rewards.groups import Group, last_text, score_pairs
from karat.rewards.kinds import load_reward
from karat.rewards.mitigated import MANIFEST, MemberSpec, from_anywhere, is_mitigated, save_mitigated, style_counts
from karat.rewards.protocol import Reward
from karat.types import PreferencePair, Result, TokenIds

FOLDER = "calibrated"
GROUPS_PER_CALL = 32
FIT_SHARE = 0.5
LEAST_PROMPTS = 20
"""On either side of the split: fewer tell neither what to take nor what it did."""

Progress = Callable[..., None]


@dataclass(frozen=True, slots=True, kw_only=True)
class EditEffect:
    """What an edit that adds nothing to a response changes in its score, in SDs of the margin of the same reward.

    Attributes:
        kind: of the edit; before, after: mean over the responses that it applies to; n: these; n_missing: without a
            score.
    """

    edit: str
    kind: Kind
    before: Interval
    after: Interval
    n: int
    n_missing: int


def calibrate_reward(
    reward: Reward,
    pairs: Sequence[PreferencePair],
    *,
    config: AuditRewardConfig,
    out: Path,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> Result:
    """Fit on half of the prompts, export to OUT/calibrated, and measure before and after on the other half.

    Args:
        reward: must have a name that `load_reward` takes: the export asks it by that name.
        pairs: with the labels that say what is worth paying for.
        config: `fix` names what to take away; probe_pairs and seed are read.
        rng: draws the folds and the bootstrap.
    Returns: RW701 to RW703; tables; values whose names begin with "calibration".
    Raises: InputError: nothing to fix is named, or the reward has no name. DataError: token ids, too few prompts with
        both scores, or margins that do not point towards the labels.
    """
    kinds = kinds_of(config.fix)
    limited = as_limited(reward, config.timeout_s)
    spec = _spec_of(limited.reward)
    if any(isinstance(pair.chosen, TokenIds) for pair in pairs):
        raise DataError("the pairs are tokenised; length and style are counted in text. Give text.")
    if progress:
        progress("scoring for the calibration", 0, len(pairs), "pairs")
    scores = score_pairs(limited, pairs, groups_per_call=GROUPS_PER_CALL)
    usable = np.flatnonzero(np.isfinite(scores.chosen_P) & np.isfinite(scores.rejected_P))
    kept = [pairs[int(index)] for index in usable]
    fit_index, held_index = _split(kept, config.seed)
    sides = sides_of(kept, np.stack([scores.chosen_P[usable], scores.rejected_P[usable]], axis=1))
    fit, held = sides.take(fit_index), sides.take(held_index)
    calibration = fit_calibration(fit, kinds, rng=rng)
    measured = measure(held, calibration, rng=rng)
    held_pairs = [kept[index] for index in held_index]
    effects = edit_effects(limited, held_pairs, held, calibration, config, rng=rng)
    n_missing = len(pairs) - usable.size
    facts = {
        "fitted_on": {
            "pairs": len(fit), "prompts": fit.n_prompts, "fingerprint": fingerprint(kept[i] for i in fit_index),
            "shares": {"length": calibration.length_share, **_shares(calibration)},
            "penalties": _penalties(calibration),
            "max_length": config.max_length,
        },
        "compared": _compared(measured),
    }  # fmt: skip
    files: tuple[str, ...] = ()
    if any(map(calibration.takes, kinds)):
        files = save_mitigated(out / FOLDER, calibration.fitted, (MemberSpec("reward", spec),), facts=facts)
    elif is_mitigated(str(out / FOLDER)):
        (out / FOLDER / MANIFEST).unlink()  # of an earlier run: it must not pass for this one's
    return Result(
        "audit reward",
        findings=calibration_findings(measured, calibration, held_pairs, n_missing=n_missing, files=files),
        tables=calibration_tables(measured, calibration, fit, effects),
        values=calibration_values(measured, calibration, effects, n_missing=n_missing),
        files=(str(out / FOLDER),) if files else (),
    )


def kinds_of(fix: str) -> tuple[Kind, ...]:
    """What the option names, in the order of KINDS. Raises: InputError: nothing."""
    names = [name.strip() for name in fix.split(",") if name.strip()]
    if not names:
        raise InputError(f"fix: nothing is named; there are: {', '.join(KINDS)}, or both with a comma.")
    return tuple(kind for kind in KINDS if kind in names)


def sides_of(pairs: Sequence[PreferencePair], score_P2: np.ndarray) -> Sides:
    """Pairs with their scores, chosen first, as the calibration sees them."""
    texts = [last_text(text) for pair in pairs for text in (pair.chosen, pair.rejected)]
    return Sides(
        score_P2=score_P2,
        length_P2=np.array([float(len(text)) for text in texts]).reshape(-1, 2),
        style_P2F=style_counts(texts, STYLE).reshape(-1, 2, len(STYLE)),
        label_P=np.array([pair.label for pair in pairs]),
        prompt_P=np.array([pair.prompt_id for pair in pairs], dtype=object),
    )


def edit_effects(
    reward: Reward,
    pairs: Sequence[PreferencePair],
    sides: Sides,
    calibration: Calibration,
    config: AuditRewardConfig,
    *,
    rng: np.random.Generator,
) -> tuple[EditEffect, ...]:
    """What padding (length) and formatting (style) of chosen responses changes in the score, before and after.

    The reward is asked once; the calibrated score follows from it.
    """
    spread = float(np.std(sides.margins(), ddof=1)), float(np.std(calibration.calibrated(sides).margins(), ddof=1))
    edits: list[tuple[Kind, str, Edit]] = []
    edits += [("length", name, edit) for name, edit in PADDINGS.items() if "length" in calibration.kinds]
    edits += [("style", name, edit) for name, edit in FORMATTINGS.items() if "style" in calibration.kinds]
    effects = []
    for kind, name, edit in edits:
        done = [(at, other) for at, pair in enumerate(pairs) if (other := edited(pair.chosen, edit)) is not None]
        done = done[: config.probe_pairs]
        groups = [Group(pairs[at].prompt, (other,), pairs[at].tools) for at, other in done]
        score_R = np.array([row[0].value for row in reward.score(groups)]) if groups else np.zeros(0)
        known = np.flatnonzero(np.isfinite(score_R))
        index = np.array([at for at, _ in done], int)[known]
        texts = [last_text(done[number][1]) for number in known]
        taken_R = excess_pay(calibration.fitted, _responses(texts))
        before_R = score_R[known] - sides.score_P2[index, 0]
        original_R = excess_pay(calibration.fitted, _responses([last_text(pairs[at].chosen) for at in index]))
        prompt_R = sides.prompt_P[index]
        both = before_R, before_R - (taken_R - original_R)
        effects.append(
            EditEffect(
                edit=name, kind=kind, n=index.size, n_missing=len(done) - known.size,
                before=clustered_mean(both[0] / spread[0], prompt_R, rng=rng),
                after=clustered_mean(both[1] / spread[1], prompt_R, rng=rng),
            )
        )  # fmt: skip
    return tuple(effects)


def _responses(texts: Sequence[str]) -> RuleInputs:
    """Responses of which only length and style matter."""
    return RuleInputs(
        member_RM=np.zeros((len(texts), 1)), length_R=np.array([float(len(text)) for text in texts]),
        place_R=np.zeros(len(texts), int), style_RF=style_counts(texts, STYLE),
    )  # fmt: skip


def _split(pairs: Sequence[PreferencePair], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of pairs to fit on and of those held out, by prompt.

    Raises: DataError: too few prompts on one side.
    """
    fit, _ = split_pairs(pairs, test_fraction=1 - FIT_SHARE, seed=seed)
    chosen = set(map(id, fit))
    is_fit = np.array([id(pair) in chosen for pair in pairs], bool)
    sizes = [len({pair.prompt_id for pair, one in zip(pairs, is_fit, strict=True) if one == side}) for side in (1, 0)]
    if min(sizes) < LEAST_PROMPTS:
        raise DataError(
            f"{len(pairs)} pairs with both scores, of {sum(sizes)} prompts: a calibration is fitted on half of the "
            f"prompts and judged on the other, and needs {LEAST_PROMPTS} on either side. Give more prompts."
        )
    return np.flatnonzero(is_fit), np.flatnonzero(~is_fit)


def _spec_of(reward: Reward) -> str:
    """The name by which the export asks the reward.

    Raises: InputError: it is no name that `load_reward` knows.
    """
    name = reward.name
    is_model = type(reward).__module__ == "karat.rewards.model"  # of a folder, or of the hub
    if not is_model and not Path(name).exists():
        try:
            if ":" not in name:
                raise InputError("no folder, and no module:function or the like")
            load_reward(name)
        except KaratError as error:
            raise InputError(
                f"the reward is called {name!r}, which `load_reward` does not take ({error}); a calibrated reward asks "
                "it by name. Give the audit a REWARD as text."
            ) from error
    return from_anywhere(name)


def _shares(calibration: Calibration) -> Mapping[str, float]:
    return dict(zip(STYLE, calibration.style_share_F.tolist(), strict=True)) if "style" in calibration.kinds else {}


def _penalties(calibration: Calibration) -> list[float | None]:
    """Of the length and of the style; None: infinite, nothing is taken."""
    return [value if math.isfinite(value) else None for value in calibration.pay.penalty_K[:2].tolist()]


def _compared(measured: Measured) -> dict[str, Any]:
    """For the manifest: what JSON can hold."""
    found = {name: asdict(getattr(measured, name)) for name in ("accuracy_before", "accuracy_after", "difference")}
    return {
        name: {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in entry.items()}
        for name, entry in found.items()
    }
