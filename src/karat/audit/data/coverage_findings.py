"""What is said about the coverage of prompts: DA401 to DA404, tables and values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from karat.numerics.intervals import Interval
from karat.types import Finding, Table, Verdict

if TYPE_CHECKING:
    from karat.audit.data.coverage import Covered, Next, Targets

LARGEST_LIMIT = 0.8
STABLE = 0.6
THIN = 0.25
OUTSIDE_LIMIT = 0.10
FALSE_ALARM = 0.05
LEAST_TARGETS = 5
BOUND_LIMIT = 0.5
WITNESS_CHARS = 120
SHOWN_NEXT = 20

EXPLANATIONS: dict[str, tuple[str, str, str, str]] = {
    "DA401": (
        "Topics of the prompts",
        "The effective number of topics: exp of the entropy of the shares of clusters of the prompts' hidden states "
        "(a normal mixture with one covariance, as many components as the BIC supports). Interval: draws of prompts, "
        "for these clusters. Beside it how well the clusters of two halves agree (adjusted Rand index), and the Vendi "
        "score, the effective number of directions.",
        "problem: the largest topic surely holds more than 80 % of the prompts. ok: it surely holds less, and halves "
        "agree to 0.6 or better. unclear: neither, or no separate topics are seen. not checked: fewer than 40 distinct "
        "prompts, or no hidden states.",
        "problem: the reward will be judged mostly on one kind of prompt: say which prompts it is for (--targets), and "
        "collect the others. unclear: topics that halves do not agree on are a convenience for reading, no fact.",
    ),
    "DA402": (
        "Thin topics",
        "Prompts of each topic for its spread (root mean square distance from its centre), over the median of the "
        "topics: a topic as wide as the others needs as many examples. The effect is the lowest; intervals hold for "
        "all topics together.",
        "problem: a topic surely has less than a quarter of what the middle one has. ok: all surely have more. "
        "unclear: neither. not checked: fewer than three topics.",
        "problem: if the reward will meet these prompts, label more of them: label_next.jsonl lists some. If it will "
        "not, nothing is wrong; --targets FILE decides it.",
    ),
    "DA403": (
        "Targets outside the data",
        "The share of target prompts whose distance to the fifth nearest prompt of the data is so large that at most "
        "5 % of the data's own prompts are as far from theirs. At most 5 % of targets that come from where the data "
        "come from are outside. Interval over targets and data. Beside it topics, found in data and targets together, "
        "that the data surely hold less than a quarter as often as the targets (or surely less often, if most targets "
        "in them are outside): such a topic is missing even where its prompts lie between others.",
        "problem: the interval lies above 10 %, or a topic is missing. ok: no problem, and it ends below 10 %. "
        "unclear: neither. not checked: no --targets, or fewer than 5.",
        "problem: the reward will be used where it has seen no preference. Label prompts from label_next.jsonl, which "
        "is ranked so that each is as far as can be from what is covered by then, and check the reward on them.",
    ),
    "DA404": (
        "Sources and topics",
        "How far topic and source tell each other: their mutual information over the smaller of their entropies, less "
        "what chance gives. 0: every source holds the same topics; 1: each topic is of one source, or each source of "
        "one topic.",
        "problem: the interval lies above 0.5. ok: it ends below 0.5. unclear: neither. not checked: one source or one "
        "topic.",
        "problem: what is learned about a topic is learned from one source, with its annotators and its habits; "
        "nothing in the data can tell the two apart. Mix sources within topics before comparing either.",
    ),
}


def findings_of(found: Covered) -> tuple[Finding, ...]:
    """DA401 to DA404."""
    return (_topics(found), _thin(found), _outside(found), _sources(found))


def _finding(code: str, verdict: Verdict, interval: Interval, unit: str, **rest: Any) -> Finding:
    return Finding(
        code=code, title=EXPLANATIONS[code][0], verdict=verdict, effect=interval.estimate, low=interval.low,
        high=interval.high, unit=unit, **rest,
    )  # fmt: skip


def _not_checked(code: str, action: str) -> Finding:
    return Finding(code, EXPLANATIONS[code][0], "not checked", action=action)


def _topics(found: Covered) -> Finding:
    topics, prompts, largest = found.topics, found.prompts, found.largest
    n_missing, unit = prompts.n_missing, "effective topics"
    directions = f"{found.spectral.estimate:.1f} [{found.spectral.low:.1f}, {found.spectral.high:.1f}] directions"
    if topics.n_topics == 1:
        return _finding(
            "DA401", "unclear", found.number, unit, n_used=len(prompts.text_Q), n_missing=n_missing,
            baseline=f"no separate topics; {directions}",
            action="No separate topics are seen in these prompts. Name the prompts that the reward is for (--targets).",
        )  # fmt: skip
    is_problem, is_ok = largest.low > LARGEST_LIMIT, largest.high < LARGEST_LIMIT and topics.stability >= STABLE
    verdict: Verdict = "problem" if is_problem else "ok" if is_ok else "unclear"
    actions = {
        "problem": f"{largest.estimate:.0%} of the prompts are of one topic ({found.words_K[0]}). Name the prompts "
        "that the reward is for (--targets), and collect the others.",
        "unclear": "Two halves of the prompts do not agree on these topics: read them as a convenience, no fact."
        if topics.stability < STABLE
        else f"{largest.estimate:.0%} of the prompts are of one topic ({found.words_K[0]}): near the line of 80 %.",
    }
    return _finding(
        "DA401", verdict, found.number, unit, n_used=len(prompts.text_Q), n_missing=n_missing,
        baseline=f"{topics.n_topics} topics, halves agree to {topics.stability:.2f}; largest {largest.estimate:.0%}; "
        f"{directions}",
        action=actions.get(verdict, ""),
    )  # fmt: skip


def _thin(found: Covered) -> Finding:
    if found.topics.n_topics < 3:
        return _not_checked("DA402", "Needs at least three separate topics.")
    thin = [k for k, each in enumerate(found.thinness_K) if each.high < THIN]
    lowest = min(found.thinness_K, key=lambda each: each.estimate)
    verdict: Verdict = "problem" if thin else "ok" if all(each.low > THIN for each in found.thinness_K) else "unclear"
    names = "; ".join(f"{found.words_K[k]} ({found.thinness_K[k].n_clusters} prompts)" for k in thin[:4])
    actions = {
        "problem": f"Thin: {names}. If the reward will meet these, label more of them (label_next.jsonl).",
        "unclear": "Too few prompts to tell a thin topic from chance.",
    }
    return _finding(
        "DA402", verdict, lowest, "of the middle topic", n_used=len(found.prompts.text_Q),
        baseline=f"1: the middle of {found.topics.n_topics} topics; thin below {THIN:g}",
        action=actions.get(verdict, ""),
        witnesses=tuple(_nearest(found, k) for k in thin[:3]),
    )  # fmt: skip


def _nearest(found: Covered, k: int) -> str:
    """The prompt in the middle of a topic."""
    topics, prompts = found.topics, found.prompts
    inside = np.flatnonzero(topics.topic_Q == k)
    square = np.sum((prompts.point_QD[inside] - topics.centre_KD[k]) ** 2, axis=1)
    q = int(inside[np.argmin(square)])
    return f"row {prompts.row_Q[q]} | {_head(prompts.text_Q[q])}"


def _head(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= WITNESS_CHARS else line[: WITNESS_CHARS - 3] + "..."


def _outside(found: Covered) -> Finding:
    targets = found.targets
    if targets is None:
        return _not_checked("DA403", "Needs --targets FILE: rows with the prompts that the reward is for.")
    n_targets = len(targets.text_T)
    if n_targets < LEAST_TARGETS:
        return _not_checked("DA403", f"{n_targets} targets; the share outside is said from {LEAST_TARGETS} on.")
    share = targets.share
    is_problem = share.low > OUTSIDE_LIMIT or targets.missing
    verdict: Verdict = "problem" if is_problem else "ok" if share.high < OUTSIDE_LIMIT else "unclear"
    missing = "; ".join(f"{targets.words_K[k] or 'topic ' + str(k)}" for k in targets.missing[:4])
    actions = {
        "problem": (f"Missing from the data: {missing}. " if missing else "")
        + f"{len(found.label_next)} prompts to label next are listed (label_next.jsonl with --out).",
        "unclear": "More targets would tell.",
    }
    farthest = np.argsort(targets.p_T - targets.distance_T * 1e-6, kind="stable")[:3]
    return _finding(
        "DA403", verdict, share, "share of targets", n_used=n_targets, n_missing=targets.n_missing,
        baseline=f"0.05: targets from where the {len(found.prompts.text_Q):,} prompts of the data come from",
        action=actions.get(verdict, ""),
        witnesses=tuple(_head(targets.text_T[t]) for t in farthest if targets.is_outside[t]),
    )  # fmt: skip


def _sources(found: Covered) -> Finding:
    bound = found.bound
    if math.isnan(bound.estimate):
        return _not_checked("DA404", "Needs a column that names sources, two of them, and two topics.")
    verdict: Verdict = "problem" if bound.low > BOUND_LIMIT else "ok" if bound.high < BOUND_LIMIT else "unclear"
    actions = {
        "problem": EXPLANATIONS["DA404"][3].removeprefix("problem: ").capitalize(),
        "unclear": "More prompts would tell.",
    }
    n_sources = len(set(found.prompts.source_Q))
    return _finding(
        "DA404", verdict, bound, "shared information", n_used=len(found.prompts.text_Q),
        baseline=f"0: {n_sources} sources with the same {found.topics.n_topics} topics",
        action=actions.get(verdict, ""),
    )  # fmt: skip


# --------------------------------------------------------------------------------------------------- tables and values
def tables_of(found: Covered) -> tuple[Table, ...]:
    tables = [_topic_table(found)]
    if len(set(found.prompts.source_Q)) > 1:
        tables.append(_source_table(found))
    if found.targets is not None:
        tables.append(_target_table(found.targets))
    if found.label_next:
        tables.append(_next_table(found.label_next))
    return tuple(tables)


def _topic_table(found: Covered) -> Table:
    topics, prompts = found.topics, found.prompts
    count_K = np.bincount(topics.topic_Q, minlength=topics.n_topics)
    pairs_K = np.bincount(topics.topic_Q, weights=prompts.pairs_Q, minlength=topics.n_topics)
    rows = tuple(
        (
            found.words_K[k], int(count_K[k]), int(pairs_K[k]), float(count_K[k] / len(topics.topic_Q)),
            float(topics.radius_K[k]), each.estimate, each.low, each.high, _nearest(found, k),
        )
        for k, each in enumerate(found.thinness_K)
    )  # fmt: skip
    columns = (
        "words", "prompts", "pairs", "share", "spread", "thinness", "thinness_low", "thinness_high",
        "prompt_in_the_middle",
    )  # fmt: skip
    note = (
        "Clusters of the prompts' hidden states; words: those that more of its prompts hold than of all. spread: root "
        "mean square distance from the centre (of vectors of length 1). thinness: prompts for the spread, in those of "
        "the middle topic; intervals hold for all topics together."
    )
    return Table("coverage_topics", "Topics of the prompts", columns, rows, note)


def _source_table(found: Covered) -> Table:
    topics, prompts = found.topics, found.prompts
    source_Q = np.array(prompts.source_Q)
    rows = []
    for name in sorted(set(prompts.source_Q), key=lambda each: -int(np.sum(source_Q == each)))[:20]:
        count_K = np.bincount(topics.topic_Q[source_Q == name], minlength=topics.n_topics)
        share = count_K[count_K > 0] / count_K.sum()
        largest = int(np.argmax(count_K))
        number = math.exp(-float(np.sum(share * np.log(share))))
        rows.append((name or "(not named)", int(count_K.sum()), number, found.words_K[largest], float(share.max())))
    columns = ("source", "prompts", "effective_topics", "largest_topic", "largest_share")
    note = "effective_topics: exp of the entropy of the shares of topics within the source, not corrected."
    return Table("coverage_sources", "Topics by source", columns, tuple(rows), note)


def _target_table(targets: Targets) -> Table:
    count_K = np.bincount(targets.topic_T, minlength=len(targets.words_K))
    rows = tuple(
        (
            targets.words_K[k], int(count_K[k]), targets.ratio_K[k].n_clusters, out.estimate, out.low, out.high,
            targets.ratio_K[k].estimate, targets.ratio_K[k].low, targets.ratio_K[k].high, k in targets.missing,
        )
        for k, out in enumerate(targets.share_K)
        if count_K[k]
    )  # fmt: skip
    note = (
        f"Topics of data and targets together that hold some of the {len(targets.text_T):,} targets "
        f"({targets.name or 'targets'}). outside: share whose conformal p-value is at most 0.05, which is 5 % for "
        "targets like the data. ratio: share of the data in the topic over share of the targets. missing: the ratio is "
        "surely below a quarter; or surely below 1, and half or more are outside, surely more than 5 %. Intervals hold "
        "for all topics together."
    )
    columns = (
        "words", "targets", "data", "outside", "low", "high", "ratio", "ratio_low", "ratio_high", "missing",
    )  # fmt: skip
    return Table("coverage_targets", "Targets and data by topic", columns, rows, note)


def _next_table(proposed: tuple[Next, ...]) -> Table:
    rows = tuple(
        (rank, _head(each.prompt), each.origin, each.row if each.row >= 0 else "", each.distance, each.topic)
        for rank, each in enumerate(proposed[:SHOWN_NEXT], 1)
    )
    more = f" The first {len(rows)} of {len(proposed)}." if len(proposed) > len(rows) else ""
    note = (
        "Each as far as can be from what is covered when it is taken (targets), or where the data are thin and unlike "
        f"those before it (data).{more}"
    )
    columns = ("rank", "prompt", "from", "row", "distance", "topic")
    return Table("coverage_next", "Prompts to label next", columns, rows, note)


def values_of(found: Covered) -> dict[str, Any]:
    """The numbers by stable names."""
    topics, targets = found.topics, found.targets
    share = targets.share if targets else None
    return {
        "coverage_n_prompts": len(found.prompts.text_Q),
        "coverage_topics": topics.n_topics,
        "coverage_effective_topics": found.number.estimate,
        "coverage_effective_topics_low": found.number.low,
        "coverage_effective_topics_high": found.number.high,
        "coverage_stability": topics.stability,
        "coverage_vendi": found.spectral.estimate,
        "coverage_vendi_low": found.spectral.low,
        "coverage_vendi_high": found.spectral.high,
        "coverage_source_bound": found.bound.estimate,
        "coverage_outside": share.estimate if share else math.nan,
        "coverage_outside_low": share.low if share else math.nan,
        "coverage_outside_high": share.high if share else math.nan,
        "coverage_missing_topics": [targets.words_K[k] for k in targets.missing] if targets else [],
    }
