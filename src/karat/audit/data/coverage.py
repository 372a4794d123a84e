"""What the prompts of a set of preferences cover, what lies outside, and which prompts to label next.

A prompt is a point (see `topics.project`), its mean hidden state; prompts that differ in nothing but their id count
once. Data and targets are projected together, so that a target which comes from where the data come from is treated
like one of them, and the test of what lies outside is exact.

Axes: P pairs, Q prompts, T targets, D dimensions, K topics, S sources.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from karat.audit.data.config import AuditDataConfig
from karat.audit.data.coverage_findings import FALSE_ALARM, THIN, findings_of, tables_of, values_of
from karat.audit.data.table import whole_text
from karat.audit.data.topics import SPLITS, Topics, characteristic_words, find_topics, project
from karat.audit.parts import Progress
from karat.data.prompts import read_prompts
from karat.errors import InputError
from karat.numerics.intervals import Interval, wilson
from karat.numerics.prompt_coverage import (
    effective_number,
    farthest_first,
    neighbour_distances,
    outside_p_values,
    outside_share,
    share_ratio,
    spectral_number,
)
from karat.rewards.groups import last_text
from karat.types import Message, PreferencePair, Result, Text

if TYPE_CHECKING:
    from karat.audit.data.label_noise import LabelNoise

NEIGHBOURS = 5
LEAST_PROMPTS = 40
"""Distinct prompts below which nothing is said: 5 % of fewer is hardly one."""
_HUMAN = "\n\nHuman: "


@dataclass(frozen=True, slots=True)
class Prompts:
    """Distinct prompts of the data.

    Attributes:
        point_QD: positions, see `topics.project`.
        text_Q: as text, to be shown: of a conversation the last turn. whole_Q: all of it, for words.
        row_Q: row of the first pair of each.
        pairs_Q: pairs of each.
        source_Q: what each comes from; "" where the data names nothing.
        spread_Q: how much judges fitted to the labels disagree about its pairs, in units of the mean; 1 where unknown.
        n_missing: prompts without a vector (empty, or token ids without text).
    """

    point_QD: np.ndarray
    text_Q: tuple[str, ...]
    whole_Q: tuple[str, ...]
    row_Q: np.ndarray
    pairs_Q: np.ndarray
    source_Q: tuple[str, ...]
    spread_Q: np.ndarray
    n_missing: int = 0


@dataclass(frozen=True, slots=True)
class Targets:
    """Prompts that the reward will be used on.

    Attributes:
        p_T, distance_T: as `outside_p_values` gives them.
        topic_T: of the topics of data and targets together; words_K: of each.
        share: of the targets, outside the data; share_K: by topic, the intervals holding for all together.
        ratio_K: share of the data over share of the targets in each topic; n_clusters: prompts of the data in it.
    """

    point_TD: np.ndarray
    text_T: tuple[str, ...]
    p_T: np.ndarray
    distance_T: np.ndarray
    topic_T: np.ndarray
    words_K: tuple[str, ...]
    share: Interval
    share_K: tuple[Interval, ...]
    ratio_K: tuple[Interval, ...]
    name: str
    n_missing: int = 0

    @property
    def is_outside(self) -> np.ndarray:
        """Shape (T,)."""
        return np.asarray(self.p_T <= FALSE_ALARM)

    @property
    def missing(self) -> list[int]:
        """Topics that the data surely hold less than a quarter as often as the targets do; or surely less often, where
        most of the targets in them are outside.

        Being outside is no proof alone: 5 % of targets like the data are, and a topic that is sparse in both holds most
        of these.
        """
        return [
            k
            for k, (out, ratio) in enumerate(zip(self.share_K, self.ratio_K, strict=True))
            if ratio.high < THIN or (ratio.high < 1 and out.estimate >= 0.5 and out.low > FALSE_ALARM)
        ]

    @property
    def is_wanted(self) -> np.ndarray:
        """Whether a target is outside or of a missing topic, shape (T,)."""
        return np.asarray(self.is_outside | np.isin(self.topic_T, self.missing))


@dataclass(frozen=True, slots=True)
class Next:
    """One prompt to label next: its text, where it is from, and how far it was from all that is covered by then."""

    prompt: str
    origin: str
    row: int
    distance: float
    p_value: float
    topic: str


@dataclass(frozen=True, slots=True)
class Covered:
    """Everything that was measured.

    Attributes:
        number: effective number of topics; spectral: of directions.
        thinness_K: pairs of each topic for its spread, in those of the middle topic; intervals hold for all together.
        largest: share of the prompts in the largest topic.
        bound: how far topic and source tell each other (see `source_bound`); NaN for one source or one topic.
    """

    prompts: Prompts
    topics: Topics
    words_K: tuple[str, ...]
    number: Interval
    spectral: Interval
    thinness_K: tuple[Interval, ...]
    largest: Interval
    bound: Interval
    targets: Targets | None
    label_next: tuple[Next, ...]


def audit_coverage(
    pairs: Sequence[PreferencePair],
    *,
    config: AuditDataConfig,
    rng: np.random.Generator,
    out: Path | None = None,
    spread: Mapping[str, float] | None = None,
    progress: Progress | None = None,
) -> Result:
    """Topics of the prompts, thin ones, targets outside the data, and what to label next.

    Args:
        pairs: the pairs whose prompts are looked at.
        config: `targets` names a file of prompts; `label_next` is how many to propose.
        rng: source of starts and draws.
        out: folder for label_next.jsonl; None: not written.
        spread: by prompt_id, how much an ensemble disagrees about its pairs; prompts are then ranked by it too.
        progress: called as progress(stage, done, total, note).
    Raises: InputError: fewer than LEAST_PROMPTS distinct prompts. DataError, ModelError and their kin: the targets
        cannot be read, the model cannot be loaded.
    """
    distinct: dict[Text, list[PreferencePair]] = {}
    for pair in pairs:
        distinct.setdefault(pair.prompt, []).append(pair)
    if len(distinct) < LEAST_PROMPTS:
        raise InputError(
            f"{len(distinct)} distinct prompts: what they cover is said from {LEAST_PROMPTS} on. Give more, or raise "
            "--embed-pairs."
        )
    from karat.rewards.vectors import pair_vectors

    firsts = [members[0] for members in distinct.values()]
    asked = _read_targets(config.targets, firsts) if config.targets else ()
    vector_QD = pair_vectors(firsts, config.model, progress=progress).prompt_PD
    vector_TD = pair_vectors(asked, config.model, progress=progress).prompt_PD if asked else vector_QD[:0]
    has_Q, has_T = np.isfinite(vector_QD).all(axis=1), np.isfinite(vector_TD).all(axis=1)
    if has_Q.sum() < LEAST_PROMPTS:
        raise InputError(f"{has_Q.sum()} of {len(has_Q)} distinct prompts have a vector; {LEAST_PROMPTS} are needed.")
    point = project(np.concatenate([vector_QD[has_Q], vector_TD[has_T]]))
    prompts = _prompts(list(distinct.values()), point[: has_Q.sum()], has_Q, spread or {})
    target_text = tuple(_shown(pair.prompt) for pair, has in zip(asked, has_T, strict=True) if has)
    found = measure(
        prompts, point[has_Q.sum() :], target_text, name=config.targets, n_next=config.label_next, rng=rng,
        n_missing=int((~has_T).sum()),
    )  # fmt: skip
    files = _write(found.label_next, out)
    result = Result(command="audit data", findings=findings_of(found), tables=tables_of(found), values=values_of(found))
    return replace(result, files=files)


def spread_by_prompt(noise: LabelNoise | None) -> dict[str, float]:
    """By prompt_id, the mean spread of the held-out margins of its pairs; empty where labels were not judged."""
    held: dict[str, list[float]] = {}
    if noise is not None:
        for pair, spread in zip(noise.pairs, noise.spread_P.tolist(), strict=True):
            if spread == spread:
                held.setdefault(pair.prompt_id, []).append(spread)
    return {name: sum(each) / len(each) for name, each in held.items()}


def _prompts(
    members: list[list[PreferencePair]], point_QD: np.ndarray, has_Q: np.ndarray, spread: Mapping[str, float]
) -> Prompts:
    used = [each for each, has in zip(members, has_Q, strict=True) if has]
    spread_Q = np.array([spread.get(each[0].prompt_id, np.nan) for each in used])
    middle = float(np.nanmean(spread_Q)) if np.isfinite(spread_Q).any() else 0.0
    return Prompts(
        point_QD=point_QD,
        text_Q=tuple(_shown(each[0].prompt) for each in used),
        whole_Q=tuple(whole_text(each[0].prompt) for each in used),
        row_Q=np.array([each[0].row for each in used]),
        pairs_Q=np.array([len(each) for each in used]),
        source_Q=tuple(each[0].source for each in used),
        spread_Q=np.nan_to_num(spread_Q / middle, nan=1.0) if middle > 0 else np.ones(len(used)),
        n_missing=int((~has_Q).sum()),
    )


def _shown(prompt: Text) -> str:
    """A prompt as text; of a conversation the last turn, which is what is asked."""
    text = last_text(prompt)
    return text.rpartition(_HUMAN)[2].removesuffix("\n\nAssistant:") if isinstance(prompt, str) else text


def _read_targets(source: str, like: Sequence[PreferencePair]) -> list[PreferencePair]:
    """The prompts of a file, in the form of the data's: what is compared must not differ by its template."""
    kinds = [isinstance(pair.prompt, tuple) for pair in like]
    are_turns = 2 * sum(kinds) > len(kinds)
    are_dialogues = not are_turns and 2 * sum(_HUMAN in str(pair.prompt) for pair in like) > len(like)
    pairs = []
    for found in read_prompts(source).prompts:
        prompt = found.prompt
        if isinstance(prompt, str) and are_turns:
            prompt = (Message("user", prompt),)
        elif isinstance(prompt, str) and are_dialogues and _HUMAN not in prompt:
            prompt = f"{_HUMAN}{prompt}\n\nAssistant:"
        elif isinstance(prompt, tuple) and not are_turns:
            prompt = _HUMAN + last_text(prompt) + "\n\nAssistant:" if are_dialogues else last_text(prompt)
        empty: Text = (Message("assistant", ""),) if isinstance(prompt, tuple) else ""
        pairs.append(PreferencePair(prompt, empty, empty, prompt_id=found.prompt_id, row=found.row))
    return pairs


# ----------------------------------------------------------------------------------------------------------- measuring
def measure(
    prompts: Prompts,
    target_TD: np.ndarray,
    target_text: Sequence[str],
    *,
    name: str,
    n_next: int,
    rng: np.random.Generator,
    n_missing: int = 0,
    splits: int = SPLITS,
) -> Covered:
    """All statistics, of points.

    Args:
        target_TD, target_text: targets projected with the prompts; none: what is thin in the data is proposed.
        name: of the targets; n_missing: targets without a vector.
        n_next: most prompts to propose.
        splits: as `find_topics` takes it.
    """
    topics = find_topics(prompts.point_QD, rng, splits=splits)
    words = characteristic_words(prompts.whole_Q, topics.topic_Q, topics.n_topics)
    count_K = np.bincount(topics.topic_Q, minlength=topics.n_topics)
    n_prompts = int(count_K.sum())
    targets = None
    if len(target_TD):
        targets = _targets(prompts, target_TD, tuple(target_text), name=name, n_missing=n_missing, rng=rng)
    found = Covered(
        prompts=prompts,
        topics=topics,
        words_K=tuple(words),
        number=effective_number(count_K, rng=rng),
        spectral=spectral_number(prompts.point_QD, rng=rng),
        thinness_K=_thinness(count_K, topics.radius_K),
        largest=Interval(float(count_K[0]) / n_prompts, *wilson(int(count_K[0]), n_prompts), n_prompts, "wilson"),
        bound=source_bound(topics.topic_Q, prompts.source_Q, rng),
        targets=targets,
        label_next=(),
    )
    return replace(found, label_next=propose(found, n_next))


def _thinness(count_K: np.ndarray, radius_K: np.ndarray) -> tuple[Interval, ...]:
    """Prompts for the spread of each topic, n / r, over the median of the topics; Wilson's ends at level 1 - 0.05/K."""
    n, k = int(count_K.sum()), count_K.size
    spread_K = np.maximum(radius_K, 1e-12)
    middle = float(np.median(count_K / spread_K))
    unit_K = 1 / spread_K / middle
    rows = []
    for count, unit in zip(count_K.tolist(), unit_K.tolist(), strict=True):
        low, high = (n * unit * end for end in wilson(count, n, level=1 - 0.05 / k))
        rows.append(Interval(count * unit, low, high, count, "wilson"))
    return tuple(rows)


def source_bound(topic_Q: np.ndarray, source_Q: Sequence[str], rng: np.random.Generator) -> Interval:
    """I(topic; source) over the smaller of their entropies: 0 where every source holds the same topics, 1 where one
    tells the other.

    Less the mean over permutations, which is what chance gives with so many topics and sources; the interval is a
    bootstrap over prompts, corrected by that twice.
    """
    names, code_Q = np.unique(np.array(source_Q), return_inverse=True)
    n_topics = int(topic_Q.max()) + 1
    if names.size < 2 or n_topics < 2:
        return Interval(np.nan, np.nan, np.nan, len(topic_Q), "undefined")

    def told(topic: np.ndarray, code: np.ndarray) -> float:
        share_KS = np.bincount(topic * names.size + code, minlength=n_topics * names.size).reshape(n_topics, -1)
        share_KS = share_KS / share_KS.sum()
        row, column = share_KS.sum(axis=1), share_KS.sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            both = np.nansum(share_KS * np.log(share_KS / row[:, None] / column))
            entropies = (-float(np.nansum(each * np.log(each))) for each in (row, column))
            return float(both) / min(entropies)

    n = len(topic_Q)
    chance = float(np.mean([told(topic_Q, rng.permutation(code_Q)) for _ in range(50)]))
    drawn = []
    for _ in range(300):
        pick = rng.integers(0, n, n)
        drawn.append(told(topic_Q[pick], code_Q[pick]))
    low, high = np.clip(np.nanquantile(drawn, (0.025, 0.975)) - 2 * chance, 0, 1)
    estimate = float(np.clip(told(topic_Q, code_Q) - chance, 0, 1))
    return Interval(estimate, min(float(low), estimate), max(float(high), estimate), n, "bootstrap")


def _targets(
    prompts: Prompts, target_TD: np.ndarray, text_T: tuple[str, ...], *, name: str, n_missing: int,
    rng: np.random.Generator,
) -> Targets:  # fmt: skip
    n_data, n_targets = len(prompts.point_QD), len(target_TD)
    p_T, distance_T = outside_p_values(prompts.point_QD, target_TD, NEIGHBOURS)
    together = find_topics(np.concatenate([prompts.point_QD, target_TD]), rng, splits=0)
    topic_T, n_topics = together.topic_Q[n_data:], together.n_topics
    data_K = np.bincount(together.topic_Q[:n_data], minlength=n_topics)
    target_K = np.bincount(topic_T, minlength=n_topics)
    is_outside, level = p_T <= FALSE_ALARM, 1 - 0.05 / n_topics
    return Targets(
        point_TD=target_TD,
        text_T=text_T,
        p_T=p_T,
        distance_T=distance_T,
        topic_T=topic_T,
        words_K=tuple(characteristic_words((*prompts.whole_Q, *text_T), together.topic_Q, n_topics)),
        share=outside_share(is_outside, n_data),
        share_K=tuple(outside_share(is_outside[topic_T == k], n_data, level=level) for k in range(n_topics)),
        ratio_K=tuple(
            share_ratio(int(data), int(target), n_data, n_targets, level=level)
            for data, target in zip(data_K, target_K, strict=True)
        ),
        name=name,
        n_missing=n_missing,
    )


def propose(found: Covered, n: int) -> tuple[Next, ...]:
    """Prompts to label next, each as far as can be from what is covered when it is taken.

    With targets: those outside the data or of a topic that it lacks, the data counting as covered. Without: prompts of
    the data, weighed by the distance to their neighbours (where data are thin) and by how much judges disagree about
    their pairs.
    """
    targets, prompts = found.targets, found.prompts
    if targets is not None:
        outside = np.flatnonzero(targets.is_wanted)
        taken, gap = farthest_first(targets.point_TD[outside], np.ones(outside.size), prompts.point_QD, n)
        return tuple(
            Next(
                targets.text_T[t], targets.name, -1, float(far), float(targets.p_T[t]),
                targets.words_K[targets.topic_T[t]],
            )
            for t, far in zip(outside[taken], gap, strict=True)
        )  # fmt: skip
    near_Q = neighbour_distances(prompts.point_QD, NEIGHBOURS)[:, 1]
    taken, _ = farthest_first(prompts.point_QD, near_Q * prompts.spread_Q, prompts.point_QD[:0], n)
    return tuple(
        Next(
            prompts.text_Q[q], "data", int(prompts.row_Q[q]), float(near_Q[q]), np.nan,
            found.words_K[found.topics.topic_Q[q]],
        )
        for q in taken
    )  # fmt: skip


def _write(proposed: Sequence[Next], out: Path | None) -> tuple[str, ...]:
    if out is None or not proposed:
        return ()
    out.mkdir(parents=True, exist_ok=True)
    path = out / "label_next.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for rank, each in enumerate(proposed, 1):
            row = {
                "rank": rank, "prompt": each.prompt, "from": each.origin, "row": each.row if each.row >= 0 else None,
                "distance": round(each.distance, 6), "p_value": each.p_value if each.p_value == each.p_value else None,
                "topic": each.topic,
            }  # fmt: skip
            file.write(json.dumps(row, ensure_ascii=True, allow_nan=False) + "\n")
    return (str(path),)
