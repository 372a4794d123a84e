"""Planted truth for the coverage part of `karat audit data`: topics, thin topics, what lies outside, false findings.

Prompts are points in 12 dimensions around the centres of six topics (orthogonal, of length 1, so 1.41 apart) with a
standard deviation of 0.17 along every axis, projected as hidden states are. The text of a prompt names its topic.

    even     six topics of equal shares, 360 prompts; two sources that hold them alike; 150 targets from the same topics
    uneven   the same with shares of 40, 20, 15, 10, 10 and 5 %
    thin     one topic has a twentieth of what each of the others has; 1,000 prompts
    missing  two of the topics are not in the data, and in the targets as often as the others
    single   360 prompts of one topic
    sparse   one topic of 8 % is three times as wide as the others, in data and targets alike: most of what is strange
             lies in it

Axes: Q prompts, T targets, D dimensions, K topics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from karat.audit.data.coverage import Covered, Prompts, measure
from karat.audit.data.coverage_findings import findings_of
from karat.audit.data.topics import project
from karat.numerics.prompt_coverage import effective_number, outside_p_values, outside_share
from karat.selftest.planted import PlantedRow, costly

DIMENSIONS, PROMPTS, TARGETS, SPREAD, NEXT = 12, 360, 150, 0.17, 10
WIDER = 3.0
TOPIC_NAMES = ("cooking", "history", "travel", "music", "physics", "law")
EQUAL = (1 / 6,) * 6
SHARES: dict[str, Sequence[float]] = {
    "even": EQUAL,
    "uneven": (0.4, 0.2, 0.15, 0.1, 0.1, 0.05),
    "thin": (*(20 / 101,) * 5, 1 / 101),
    "missing": (0.25, 0.25, 0.25, 0.25, 0.0, 0.0),
    "single": (1.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "sparse": (0.25, 0.2, 0.2, 0.15, 0.12, 0.08),
}
"""Of the topics among the prompts."""

TITLES = {
    "SE441": "Coverage: as many topics as were planted",
    "SE442": "Coverage: 95 % interval of the effective number of topics holds the truth",
    "SE443": "Coverage: one topic is not split",
    "SE444": "Coverage: a thin topic is found",
    "SE445": "Coverage: two missing topics are found outside, and named",
    "SE446": "Coverage: seven of ten prompts to label next are of the missing topics, and of both",
    "SE447": "Coverage: 95 % interval of the share outside holds 5 % for targets like the data",
    "SE448": "Coverage: false findings of the battery",
    "SE449": "Coverage: targets like the data are called outside, or a sparse topic missing",
}
"""What each row promises."""


def planted(world: str, rng: np.random.Generator) -> tuple[Prompts, np.ndarray, list[str]]:
    """Prompts of a world; points and texts of its targets."""
    share_K = np.array(SHARES[world])
    edge_K = np.concatenate([[0.0], np.cumsum(share_K)])
    # shares are met exactly (as near as whole prompts allow), so that a thin topic is thin
    n_prompts = 1000 if world == "thin" else PROMPTS
    counts = [round(n_prompts * high) - round(n_prompts * low) for low, high in pairwise(edge_K)]
    topic_Q = np.repeat(np.arange(len(counts)), counts)
    topic_T = rng.integers(0, 1 if world == "single" else len(TOPIC_NAMES), TARGETS)
    if world == "sparse":
        topic_T = rng.choice(len(TOPIC_NAMES), TARGETS, p=share_K)
    topic_N = np.concatenate([topic_Q, topic_T])
    spread_N1 = np.where((topic_N == len(TOPIC_NAMES) - 1) & (world == "sparse"), WIDER * SPREAD, SPREAD)[:, None]
    point_ND = project(np.eye(DIMENSIONS)[topic_N] + spread_N1 * rng.normal(size=(topic_N.size, DIMENSIONS)))
    text_N = [f"about {TOPIC_NAMES[topic]} number {'ab' if rng.random() < 0.5 else 'cd'}" for topic in topic_N]
    prompts = Prompts(
        point_QD=point_ND[: topic_Q.size],
        text_Q=tuple(text_N[: topic_Q.size]),
        whole_Q=tuple(text_N[: topic_Q.size]),
        row_Q=np.arange(topic_Q.size),
        pairs_Q=np.ones(topic_Q.size, np.int64),
        source_Q=tuple("one" if rng.random() < 0.5 else "other" for _ in topic_Q),
        spread_Q=np.ones(topic_Q.size),
    )
    return prompts, point_ND[topic_Q.size :], text_N[topic_Q.size :]


def replicate(world: str, rng: np.random.Generator) -> Covered:
    prompts, target_TD, text_T = planted(world, rng)
    with_targets = world in ("even", "missing", "sparse")
    used_TD = target_TD if with_targets else target_TD[:0]
    return measure(prompts, used_TD, text_T, name="targets", n_next=NEXT, rng=rng, splits=0)


def _is_thin_found(found: Covered) -> bool:
    thin = [
        k for k, each in enumerate(found.thinness_K) if findings_of(found)[1].verdict == "problem" and each.high < 0.25
    ]
    return len(thin) == 1 and TOPIC_NAMES[5] in found.words_K[thin[0]]


def _are_missing_found(found: Covered) -> bool:
    assert found.targets is not None
    named = [found.targets.words_K[k].split() for k in found.targets.missing]
    is_named = len(named) == 2 and all(any(name in words for words in named) for name in TOPIC_NAMES[4:])
    return findings_of(found)[2].verdict == "problem" and is_named


def _are_next_right(found: Covered) -> bool:
    topics = [each.prompt.split()[1] for each in found.label_next]
    return sum(name in TOPIC_NAMES[4:] for name in topics) >= 7 and set(TOPIC_NAMES[4:]) <= set(topics)


def _effective(rng: np.random.Generator) -> bool:
    share = np.array(SHARES["uneven"])
    truth = float(np.exp(-np.sum(share * np.log(share))))
    found = effective_number(rng.multinomial(PROMPTS, share), rng=rng, resamples=300)
    return found.low <= truth <= found.high


def _share_like_data(rng: np.random.Generator) -> bool:
    prompts, target_TD, _ = planted("even", rng)
    # in the planted world the shares of the data are met exactly; here both are drawn alike
    point_ND = np.concatenate([prompts.point_QD, target_TD])[rng.permutation(PROMPTS + TARGETS)]
    p_T, _ = outside_p_values(point_ND[:PROMPTS], point_ND[PROMPTS:], 5)
    found = outside_share(p_T <= 0.05, PROMPTS)
    return found.low <= 0.05 <= found.high


def coverage_rows(replications: int, seed: int, progress: Callable[..., None] | None = None) -> list[PlantedRow]:
    """All promises of the coverage part; of worlds that are clustered, `costly` replications."""
    found: dict[str, list[Covered]] = {}
    for number, world in enumerate(SHARES):
        if progress:
            progress("planting for audit data", number, len(SHARES), world)
        rng = np.random.default_rng([seed, 441 + number])
        found[world] = [replicate(world, rng) for _ in range(costly(replications))]
    rng = np.random.default_rng([seed, 448])
    effective = [_effective(rng) for _ in range(replications)]
    alike = [_share_like_data(rng) for _ in range(replications)]

    def row(code: str, promised: tuple[float, float], planted_in: str, hits: Sequence[bool]) -> PlantedRow:
        least, most = promised
        return PlantedRow(
            code=code, title=TITLES[code], planted=planted_in, hits=sum(hits), n=len(hits), least=least, most=most
        )

    def each(worlds: Sequence[str], of: Callable[[Covered], bool]) -> list[bool]:
        return [of(one) for world in worlds for one in found[world]]

    def is_false(one: Covered) -> bool:
        return any(finding.verdict == "problem" for finding in findings_of(one))

    return [
        row(
            "SE441", (0.9, 1.0), "even, uneven: six topics", each(("even", "uneven"), lambda o: o.topics.n_topics == 6)
        ),
        row("SE442", (0.92, 1.0), "360 prompts, shares of 40 to 5 %: 5.0 topics", effective),
        row("SE443", (0.9, 1.0), "single", each(("single",), lambda o: o.topics.n_topics == 1)),
        row("SE444", (0.8, 1.0), "thin: a twentieth of each other topic", each(("thin",), _is_thin_found)),
        row("SE445", (0.9, 1.0), "missing: two of six topics", each(("missing",), _are_missing_found)),
        row("SE446", (0.9, 1.0), "missing: two of six topics, ten prompts", each(("missing",), _are_next_right)),
        row("SE447", (0.92, 1.0), "360 prompts, 150 targets, drawn alike", alike),
        row("SE448", (0.0, 0.05), "even, single", each(("even", "single"), is_false)),
        row("SE449", (0.0, 0.05), "sparse", each(("sparse",), lambda o: findings_of(o)[2].verdict == "problem")),
    ]
