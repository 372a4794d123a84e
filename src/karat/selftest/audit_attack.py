"""Planted truth for `karat audit reward`: attacks, sophistry, and the prediction of what optimisation inflates.

Attack: a prompt names six made-up words; a response is worth as many of them as it holds, and normal noise of 0.5 that
its text fixes. Chosen responses hold 3 to 6 of the words, rejected ones 1 to 4, among 8 common words. The planted fault
pays for one of the strings that the search knows pieces of, drawn anew each time, in SDs of the margin.

Sophistry: 70 items, right answers 2 above wrong ones, noise of SD 1 on every text; one tactic of twelve pays.

Prediction: gold is normal, labels follow a Bradley-Terry law of its doubled difference; eight features, every second
one skewed; two go with the gold (correlation 0.5). The reward is the gold, with noise of 0.5, and a planted pay for the
first feature, in gold SDs. The true slope of the tilt by exp(lambda reward) and what the labels ask for are those of
100,000 pairs.

Axes: P pairs, I items, T tactics, F features, S samples.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from scipy.special import ndtri

from karat.audit.reward.attack import audit_attack
from karat.audit.reward.attack_search import SEEDS
from karat.audit.reward.config import AuditRewardConfig
from karat.audit.reward.predict_findings import EXCESS
from karat.audit.reward.sophistry import Dressed, measure_sophistry
from karat.audit.reward.sophistry_findings import sophistry_result
from karat.audit.reward.tactics import TACTICS
from karat.numerics.feature_pay import FeaturePay, feature_pay, pair_moments
from karat.rewards.kinds import TextReward
from karat.selftest.planted import PlantedRow, costly
from karat.types import PreferencePair, Result

QUERIES, PROMPTS = 2000, 140
MARGIN_SD = 1.75
"""Of the healthy reward of the attack world, measured over 3,000 pairs."""
MAGIC = (0.75, 1.0, 2.0)
DRESS = (1.0, 1.5, 2.0)
PAY = (0.3, 0.5, 1.0)
ITEMS, GAP = 70, 2.0
PAIRS, TRUTH_PAIRS, FEATURES, LABEL_SLOPE, REWARD_NOISE = 500, 100_000, 8, 2.0, 0.5
TILT = 0.1

TITLES = {
    "SE481": "A planted magic string of 0.75 SD: found by the search",
    "SE482": "A planted magic string of 1 SD: found by the search",
    "SE483": "A planted magic string of 2 SD: found by the search",
    "SE484": "Attack on a healthy reward: false finding, all places together",
    "SE485": "A tactic that is paid 1 SD: found",
    "SE486": "A tactic that is paid 1.5 SD: found",
    "SE487": "A tactic that is paid 2 SD: found",
    "SE488": "Sophistry with a healthy reward: false finding, all tactics together",
    "SE491": "95 % interval of the first order holds the slope of the tilt",
    "SE492": "Joint 95 % interval of the excess holds all truths",
    "SE493": "A feature overpaid by 0.3 gold SD: found",
    "SE494": "A feature overpaid by 0.5 gold SD: found",
    "SE495": "A feature overpaid by 1 gold SD: found",
    "SE496": "Prediction for a healthy reward: false finding, all features together",
}
"""What each row promises."""

_MADE_UP = [
    a + b
    for a in ("ba", "do", "ki", "lu", "me", "na", "po", "ru", "si", "ta", "ve", "zo")
    for b in ("ben", "dol", "kin", "lup", "mar", "nis", "pol", "rat")
]
_COMMON = [
    *("the", "of", "and", "a", "to", "in", "is", "it", "that", "for", "on", "with", "as", "this", "but", "are"),
    *("be", "have", "not", "they", "from", "can", "which", "one", "more", "about"),
]


# --------------------------------------------------------------------------------------------------------------- attack
def planted_pairs(count: int, rng: random.Random) -> list[PreferencePair]:
    """Pairs of the attack world."""
    pairs = []
    for number in range(count):
        keys = rng.sample(_MADE_UP, 6)
        sides: list[str] = []
        for least, most in ((3, 6), (1, 4)):
            words = rng.sample(keys, rng.randint(least, most)) + rng.sample(_COMMON, 8)
            rng.shuffle(words)
            sides.append(" ".join(words))
        pairs.append(PreferencePair(" ".join(keys), sides[0], sides[1], prompt_id=f"p{number}", row=number))
    return pairs


def planted_reward(magic: str, pay: float) -> TextReward:
    """The world's reward with a planted string; pay in reward units, 0: healthy."""

    def score(prompt: str, response: str) -> float:
        digest = hashlib.sha256(f"{prompt}\0{response}".encode()).digest()[:6]
        noise = float(ndtri((int.from_bytes(digest, "big") + 0.5) / 2**48))
        worth = len(set(prompt.split()) & set(response.split())) + 0.5 * noise
        return worth + pay * (magic in response) if pay else worth

    return TextReward("planted", score)


def attack_once(strength: float, rng: np.random.Generator) -> Result:
    """One world, attacked; strength in margin SDs."""
    draw = random.Random(int(rng.integers(2**31)))
    magic = draw.choice([text for text in SEEDS if len(text) > 4])
    reward = planted_reward(magic, strength * MARGIN_SD)
    return audit_attack(reward, planted_pairs(PROMPTS, draw), config=AuditRewardConfig(attack_queries=QUERIES), rng=rng)


# ------------------------------------------------------------------------------------------------------------ sophistry
def sophistry_once(strength: float, rng: np.random.Generator) -> bool:
    """Whether the tactic that pays is called one that convinces; with no strength, whether anything is found."""
    pay_T = np.zeros(len(TACTICS))
    place = int(rng.integers(len(TACTICS)))
    pay_T[place] = strength
    right_I, wrong_I = rng.normal(size=(2, ITEMS)) + np.array([[GAP / 2], [-GAP / 2]])
    right_IT, wrong_IT = (
        rng.normal(size=(2, ITEMS, len(TACTICS))) + np.array([GAP / 2, -GAP / 2])[:, None, None] + pay_T
    )
    scores = Dressed(right_I, wrong_I, right_IT, wrong_IT, np.arange(ITEMS).astype(str).astype(object))
    result = sophistry_result(measure_sophistry(scores, rng, resamples=400), [], [], name="planted", account=None)
    if strength:
        return TACTICS[place].name in result.values["sophistry_found"]
    return any(finding.verdict == "problem" for finding in result.findings)


# ----------------------------------------------------------------------------------------------------------- prediction
def _draw(count: int, pay: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (S, 2, F), reward (S, 2), and which of two is preferred (S,)."""
    gold_S2 = rng.normal(size=(count, 2))
    feature_S2F = rng.normal(size=(count, 2, FEATURES))
    feature_S2F[..., 1::2] = rng.exponential(size=(count, 2, FEATURES // 2)) - 1
    for f in (1, 2):
        feature_S2F[..., f] = 0.5 * gold_S2 + np.sqrt(0.75) * feature_S2F[..., f]
    reward_S2 = gold_S2 + pay * feature_S2F[..., 0] + REWARD_NOISE * rng.normal(size=(count, 2))
    chance_S = 1 / (1 + np.exp(-LABEL_SLOPE * (gold_S2[:, 0] - gold_S2[:, 1])))
    return feature_S2F, reward_S2, rng.random(count) < chance_S


def _moments(count: int, pay: float, rng: np.random.Generator, *, by_pair: bool = True) -> np.ndarray:
    feature_S2F, reward_S2, first_S = _draw(count, pay, rng)
    sign_S = np.where(first_S, 1.0, -1.0)
    return pair_moments(
        (feature_S2F[:, 0] - feature_S2F[:, 1]) * sign_S[:, None],
        (reward_S2[:, 0] - reward_S2[:, 1]) * sign_S,
        np.ones(count),
        np.arange(count) if by_pair else np.zeros(count),
    )


@cache
def truth(pay: float) -> tuple[np.ndarray, np.ndarray]:
    """Of each feature: the slope of the tilt, by tilting a large sample both ways; and the excess.

    The reference is the law of one response; SDs are of that law.
    """
    rng = np.random.default_rng([7, round(1000 * pay)])
    feature_S2F, reward_S2, _ = _draw(TRUTH_PAIRS, pay, rng)
    feature_SF, reward_S = feature_S2F.reshape(-1, FEATURES), reward_S2.ravel()
    step = TILT / reward_S.std()
    tilted_F2 = [feature_SF.T @ weight / weight.sum() for weight in (np.exp(step * reward_S), np.exp(-step * reward_S))]
    slope_F = (tilted_F2[0] - tilted_F2[1]) / (2 * TILT) / feature_SF.std(axis=0)
    total = _moments(TRUTH_PAIRS, pay, rng, by_pair=False)[0]
    agreement_F = total[:, 4] / np.sqrt(total[:, 2] * total[:, 5])
    return slope_F, slope_F - total[:, 3] / np.sqrt(total[:, 0] * total[:, 5]) / agreement_F


def predict_once(pay: float, rng: np.random.Generator) -> list[FeaturePay]:
    return feature_pay(_moments(PAIRS, pay, rng))


# ----------------------------------------------------------------------------------------------------------------- rows
def _row(code: str, promised: tuple[float, float], planted_in: str, hits: Sequence[bool]) -> PlantedRow:
    least, most = promised
    return PlantedRow(
        code=code, title=TITLES[code], planted=planted_in, hits=sum(hits), n=len(hits), least=least, most=most
    )


def attack_rows(replications: int, seed: int, progress: Callable[..., None] | None = None) -> list[PlantedRow]:
    """All promises, checked on `replications` of each world; of attacks, which take longest, on `costly` ones."""

    def note(number: int, world: str) -> np.random.Generator:
        if progress:
            progress("planting for audit reward", number, 12, world)
        return np.random.default_rng([seed, 480 + number])

    rows = []
    for number, (strength, code, least) in enumerate(
        zip(MAGIC, ("SE481", "SE482", "SE483"), (0.5, 0.8, 0.9), strict=True)
    ):
        rng = note(number, f"a magic string of {strength:g} SD")
        hits = [bool(attack_once(strength, rng).values["attack_found"]) for _ in range(costly(replications))]
        rows.append(_row(code, (least, 1.0), f"{QUERIES:,} queries, {PROMPTS} prompts", hits))
    rng = note(3, "no magic string")
    false = [attack_once(0.0, rng).verdict == "problem" for _ in range(costly(replications))]
    rows.append(_row("SE484", (0.0, 0.05), f"{QUERIES:,} queries, {PROMPTS} prompts", false))
    for number, (strength, code, least) in enumerate(
        zip(DRESS, ("SE485", "SE486", "SE487"), (0.2, 0.8, 0.9), strict=True)
    ):
        rng = note(4 + number, f"a tactic paid {strength:g} SD")
        hits = [sophistry_once(strength, rng) for _ in range(replications)]
        rows.append(_row(code, (least, 1.0), f"{ITEMS} items, one of {len(TACTICS)} tactics", hits))
    rng = note(7, "no tactic paid")
    rows.append(_row("SE488", (0.0, 0.05), f"{ITEMS} items", [sophistry_once(0.0, rng) for _ in range(replications)]))
    return rows + _prediction_rows(replications, note)


def _prediction_rows(replications: int, note: Callable[[int, str], np.random.Generator]) -> list[PlantedRow]:
    covers, joint, rows = [], [], []
    where = f"{PAIRS} pairs, {FEATURES} features"
    for number, (pay, code, least) in enumerate(
        zip((0.0, *PAY), ("SE496", "SE493", "SE494", "SE495"), (0.0, 0.1, 0.6, 0.9), strict=True)
    ):
        rng = note(8 + number, f"a feature overpaid by {pay:g} SD")
        slope_F, excess_F = truth(pay)
        hits = []
        for _ in range(replications):
            found = predict_once(pay, rng)
            covers.append(found[0].first_order.low <= slope_F[0] <= found[0].first_order.high)
            covers.append(found[1].first_order.low <= slope_F[1] <= found[1].first_order.high)
            joint.append(
                all(each.excess.low <= value <= each.excess.high for each, value in zip(found, excess_F, strict=True))
            )
            over = [each.unasked.low > EXCESS for each in found]
            hits.append(over[0] if pay else any(over))
        rows.append(_row(code, (least, 1.0) if pay else (0.0, 0.05), where, hits))
    worlds = f"{where}; four worlds"
    return [
        _row("SE491", (0.92, 1.0), f"{worlds}, the overpaid feature and a skewed one", covers),
        _row("SE492", (0.9, 1.0), worlds, joint),
        *sorted(rows, key=lambda each: each.code),
    ]
