"""Planted truth for the content-blind part of `karat audit data`: its verdicts, its power, its false findings.

600 pairs; the two sides of a pair are drawn from 300 fixed texts, which differ in length, in whether they hold a list,
and in whether they begin with praise, independently of each other. What people prefer:

    none    either side, by chance; 300 prompts x 2 pairs
    tastes  in each prompt always the longer or always the shorter side: that prompt's taste, and no common one; 150
            prompts x 4 pairs
    length, list, praise
            where the sides differ in it, the side with more of it with probability 0.65, 0.75 or 0.85; else by chance
    bounded the longer side if it has at most 1.4 times the other's words, else the shorter, in 90 %: no single feature
            tells it, and no weighted sum of them

Axes: P pairs, F features, R texts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from karat.audit.data.config import AuditDataConfig
from karat.audit.data.content_blind import ContentBlind, Decided, measure
from karat.audit.data.content_findings import called, findings_of
from karat.audit.data.content_models import BOOSTED, LOGISTIC
from karat.audit.data.surface import RULES, block_differences
from karat.selftest.planted import PlantedRow, costly

PAIRS, PROMPTS, TEXTS = 600, 300, 300
STRENGTHS = (0.65, 0.75, 0.85)
FEATURE = {"length": "length, words", "list": "list items", "praise": "praise at the start"}
LONGER_BY = 1.4

TITLES = {
    "SE411": "Content-blind: false findings of the battery, nothing planted",
    "SE412": "Content-blind: false findings of the battery, each prompt has its own taste",
    "SE413": "Content-blind: the intervals of all features together hold the truth",
    "SE414": "Content-blind: a taste for length is called",
    "SE415": "Content-blind: a taste for lists is called",
    "SE416": "Content-blind: a taste for praise is called",
    "SE417": "Content-blind: a taste is called",
    "SE418": "Content-blind: a taste is called, and a problem",
    "SE419": "Content-blind: boosted trees tell more than the best single feature",
}
"""What each row promises."""


@cache
def feature_table() -> np.ndarray:
    """Features of the texts, shape (R, F): as differences from an empty text."""
    rng = np.random.default_rng(411)
    names = "river stone light market window garden letter number people system answer reason method figure"
    words = names.split(" ")
    texts = []
    for _ in range(TEXTS):
        n_words = int(rng.integers(25, 90))
        body = [words[i] for i in rng.integers(0, len(words), n_words)]
        if rng.random() < 0.3:
            text = "\n".join("- " + " ".join(body[at : at + 8]) for at in range(0, n_words, 8))
        else:
            text = " ".join(body)
        texts.append(("Great question! " if rng.random() < 0.3 else "") + text)
    # against a fixed text, so that shares, which an empty one does not have, are differences too
    return block_differences(texts, ["river stone light market"] * TEXTS).astype(np.float64)


def planted(world: str, strength: float, rng: np.random.Generator) -> Decided:
    """The pairs of one world, the preferred side first."""
    table_RF = feature_table()
    left, right = rng.integers(0, TEXTS, PAIRS), rng.integers(0, TEXTS, PAIRS)
    difference_PF = table_RF[left] - table_RF[right]
    length_P = difference_PF[:, RULES.index(FEATURE["length"])]
    prompt_P = np.arange(PAIRS) % PROMPTS
    chance_P = np.full(PAIRS, 0.5)
    if world == "tastes":
        prompt_P = np.arange(PAIRS) // 4
        chance_P = np.where(rng.random(PAIRS)[prompt_P] < 0.5, length_P > 0, length_P < 0).astype(float)
        chance_P[length_P == 0] = 0.5
    elif world == "bounded":
        is_longer = (length_P > 0) == (np.abs(length_P) < np.log(LONGER_BY))
        chance_P = np.where(is_longer, 0.9, 0.1)
    elif world in FEATURE:
        sign_P = np.sign(difference_PF[:, RULES.index(FEATURE[world])])
        chance_P = 0.5 + (strength - 0.5) * sign_P
    turn_P = np.where(rng.random(PAIRS) < chance_P, 1.0, -1.0)
    return Decided(
        difference_PF=(difference_PF * turn_P[:, None]).astype(np.float32),
        label_P=np.ones(PAIRS),
        prompt_P=prompt_P,
        first_P=turn_P / 2 + 0.5,
        source_P=np.arange(PAIRS) % 2,
        sources=("one", "other"),
    )


def replicate(world: str, strength: float, rng: np.random.Generator, number: int = 0) -> ContentBlind:
    """Boosted trees where only they can tell; the logistic model in every fourth world without a common taste."""
    models: tuple[str, ...] = (LOGISTIC, BOOSTED) if world == "bounded" else ()
    if world in ("none", "tastes") and number % 4 == 0:
        models = (LOGISTIC,)
    config = AuditDataConfig(resamples=100)
    return measure(planted(world, strength, rng), config=config, rng=rng, models=models)


def is_called(found: ContentBlind, world: str) -> bool:
    """Whether the planted feature is called, in its direction."""
    f = RULES.index(FEATURE[world])
    return f in called(found) and found.rules[f].more > 0.5


def has_finding(found: ContentBlind) -> bool:
    """Whether anything is said against these pairs: a feature is called, or a finding is a problem."""
    return bool(called(found)) or any(each.verdict == "problem" for each in findings_of(found, {}))


def holds_chance(found: ContentBlind) -> bool:
    """Whether the intervals of all features, where the sides differ, hold one half."""
    return all(rule.agreement.low <= 0.5 <= rule.agreement.high for rule in found.rules if rule.n_differ > 1)


def content_rows(replications: int, seed: int, progress: Callable[..., None] | None = None) -> list[PlantedRow]:
    """All promises of the content-blind part, checked on `replications` of each world.

    `costly` ones where the taste is stronger, and where boosted trees are fitted.
    """
    worlds = [("none", 0.5), ("tastes", 0.5), *((kind, each) for kind in FEATURE for each in STRENGTHS)]
    found: dict[tuple[str, float], list[ContentBlind]] = {}
    for number, world in enumerate([*worlds, ("bounded", 0.9)]):
        if progress:
            progress("planting for audit data", number, len(worlds) + 1, world[0])
        rng = np.random.default_rng([seed, 411 + number])
        is_quick = world[0] != "bounded" and world[1] <= STRENGTHS[0]
        n = replications if is_quick else costly(replications)
        found[world] = [replicate(*world, rng, number=each) for each in range(n)]

    def row(code: str, promised: tuple[float, float], planted_in: str, hits: list[bool]) -> PlantedRow:
        least, most = promised
        return PlantedRow(
            code=code, title=TITLES[code], planted=planted_in, hits=sum(hits), n=len(hits), least=least, most=most
        )

    def calls(kinds: tuple[str, ...], strength: float) -> list[bool]:
        return [is_called(each, kind) for kind in kinds for each in found[kind, strength]]

    kinds = tuple(FEATURE)
    weak, middle, strong = STRENGTHS
    single = [
        row(f"SE{414 + at}", (0.8, 1.0), f"{kind} {weak:.0%}", calls((kind,), weak)) for at, kind in enumerate(kinds)
    ]
    is_problem = [
        is_called(each, kind) and findings_of(each, {})[1].verdict == "problem"
        for kind in kinds
        for each in found[kind, strong]
    ]
    boosted = [each.modelled is not None and each.modelled.gain.low > 0 for each in found["bounded", 0.9]]
    return [
        row("SE411", (0.0, 0.05), "none", [has_finding(each) for each in found["none", 0.5]]),
        row("SE412", (0.0, 0.05), "tastes", [has_finding(each) for each in found["tastes", 0.5]]),
        row(
            "SE413", (0.92, 1.0), "none, tastes", [holds_chance(each) for world in worlds[:2] for each in found[world]]
        ),
        *single,
        row("SE417", (0.95, 1.0), f"length, list, praise {middle:.0%}", calls(kinds, middle)),
        row("SE418", (0.95, 1.0), f"length, list, praise {strong:.0%}", is_problem),
        row("SE419", (0.8, 1.0), f"bounded: longer up to {LONGER_BY} times, 90 %", boosted),
    ]
