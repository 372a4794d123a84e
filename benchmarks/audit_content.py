"""What `karat audit data` says of real pairs without reading them, and of what their prompts cover.

Content: three sets as they are, and hh with its labels turned by lot (nothing is left to tell). Coverage, on the
prompts of hh: halves by lot (the second half as targets: 5 % should lie outside), the same after two of the topics are
taken out of the first half, and 150 prompts of pandalm as targets. Vectors come from the cache (python
benchmarks/audit_sets.py computes them).

    python benchmarks/audit_content.py [content] [coverage]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from audit_sets import read_set
from common import write_results
from karat.audit.data.config import AuditDataConfig
from karat.audit.data.content_blind import Decided, decided_pairs, measure
from karat.audit.data.content_findings import findings_of, values_of
from karat.audit.data.table import PairTable, read_table
from karat.audit.data.topics import find_topics, project
from karat.numerics.prompt_coverage import outside_p_values, outside_share, share_ratio
from karat.rewards.groups import last_text
from karat.rewards.vectors import pair_vectors
from karat.types import PreferencePair

CONFIG = AuditDataConfig()
HALVES, TOPICS_DRAWN, TARGETS = 10, 3, 150


# -------------------------------------------------------------------------------------------------------------- content
def table_of(pairs: Sequence[PreferencePair]) -> PairTable:
    rows = [
        {
            "prompt": last_text(pair.prompt), "chosen": last_text(pair.chosen), "rejected": last_text(pair.rejected),
            "prompt_id": pair.prompt_id, "label": pair.label,
        }
        for pair in pairs
    ]  # fmt: skip
    table, _ = read_table((rows,), CONFIG.reading(), sample_pairs=0)
    table.label_P[:] = [pair.label for pair in pairs]
    return table


def content_row(name: str, turned: bool) -> dict[str, Any]:
    table = table_of(read_set(name))
    began = time.perf_counter()
    pairs = decided_pairs(table, np.flatnonzero(table.label_P > 0.5), workers=1, progress=None)
    if turned:
        facts = {key: getattr(pairs, key) for key in pairs.__dataclass_fields__}
        turn_P = np.random.default_rng(0).choice([-1.0, 1.0], len(pairs.label_P))
        pairs = Decided(**(facts | {"difference_PF": (pairs.difference_PF * turn_P[:, None]).astype(np.float32)}))
    found = measure(pairs, config=CONFIG, rng=np.random.default_rng(0))
    assert found.modelled is not None
    values = values_of(found)
    told = {f"{kind}": each.estimate for kind, each in found.modelled.accuracy.items()}
    return {
        "data": f"{name}, labels by lot" if turned else name, "pairs": found.n_pairs, "prompts": found.n_prompts,
        "longer": values["content_longer"], **told, "low": values["content_accuracy_low"],
        "high": values["content_accuracy_high"], "called": ", ".join(values["content_called"][:5]) or "none",
        "n called": len(values["content_called"]),
        "verdicts": " ".join(f"{each.code} {each.verdict}" for each in findings_of(found, {})[:2]),
        "seconds": time.perf_counter() - began,
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- coverage
def vectors_of(prompts: Sequence[str]) -> np.ndarray:
    pairs = [PreferencePair(prompt, "", "", prompt_id=prompt) for prompt in prompts]
    return pair_vectors(pairs).prompt_PD


def halves(vector_QD: np.ndarray, without: Sequence[int], topic_Q: np.ndarray) -> list[dict[str, float]]:
    """Random halves of the prompts, two topics taken out of the first."""
    rows = []
    for seed in range(HALVES):
        order = np.random.default_rng([seed, 9]).permutation(len(vector_QD))
        data, target = order[: len(order) // 2], order[len(order) // 2 :]
        data = data[~np.isin(topic_Q[data], without)]
        point = project(np.concatenate([vector_QD[data], vector_QD[target]]))
        p_T, _ = outside_p_values(point[: data.size], point[data.size :], 5)
        is_missing = np.isin(topic_Q[target], without)
        share = outside_share(p_T <= 0.05, data.size)
        lacking = {}
        if seed < TOPICS_DRAWN:
            topic = find_topics(point, np.random.default_rng(seed), splits=0).topic_Q
            level = 1 - 0.05 / (topic.max() + 1)
            counts = [
                (int(np.sum(topic[: data.size] == k)), int(np.sum(topic[data.size :] == k)))
                for k in range(topic.max() + 1)
            ]
            thin = [
                k
                for k, (a, b) in enumerate(counts)
                if share_ratio(a, b, data.size, target.size, level=level).high < 0.25
            ]
            is_named = np.isin(topic[data.size :], thin)
            lacking = {
                "topics named missing": float(len(thin)),
                "in them, of the topics taken out": float(is_named[is_missing].mean()) if is_missing.any() else np.nan,
                "in them, of the others": float(is_named[~is_missing].mean()),
            }
        rows.append(
            {
                "outside": share.estimate,
                "interval holds 5 %": float(share.low <= 0.05 <= share.high),
                "outside, of the topics taken out": float(np.mean(p_T[is_missing] <= 0.05))
                if is_missing.any()
                else np.nan,
                "outside, of the others": float(np.mean(p_T[~is_missing] <= 0.05)),
                **lacking,
            }
        )
    return rows


def coverage_rows() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    pairs = read_set("hh")
    prompts = list({pair.prompt: pair for pair in reversed(pairs)}.values())
    vector_QD = pair_vectors(prompts).prompt_PD
    began = time.perf_counter()
    topics = find_topics(project(vector_QD), np.random.default_rng(0))
    facts = {"prompts": len(prompts), "topics": topics.n_topics, "halves agree": topics.stability}
    facts["seconds, topics"] = time.perf_counter() - began
    rows = []
    for name, without in (
        ("halves by lot", ()),
        ("two largest topics taken out", (0, 1)),
        ("two middle topics taken out", (topics.n_topics // 2, topics.n_topics // 2 + 1)),
        ("two smallest topics taken out", (topics.n_topics - 2, topics.n_topics - 1)),
    ):
        found = halves(vector_QD, without, topics.topic_Q)
        rows.append({"targets": name, "draws": len(found)} | {
            key: float(np.mean([each[key] for each in found if key in each])) for key in found[0]
        })  # fmt: skip
    asked = list(dict.fromkeys(str(pair.prompt) for pair in read_set("pandalm")))[:TARGETS]
    far_TD = vectors_of([f"\n\nHuman: {text}\n\nAssistant:" for text in asked])
    point = project(np.concatenate([vector_QD, far_TD]))
    p_T, _ = outside_p_values(point[: len(prompts)], point[len(prompts) :], 5)
    share = outside_share(p_T <= 0.05, len(prompts))
    rows.append({"targets": f"{len(asked)} prompts of pandalm", "draws": 1, "outside": share.estimate,
                 "interval holds 5 %": float(share.low <= 0.05 <= share.high)})  # fmt: skip
    return facts, rows


def main() -> None:
    asked = sys.argv[1:] or ["content", "coverage"]
    if "content" in asked:
        rows = [content_row(name, False) for name in ("hh", "pandalm", "ukp")] + [content_row("hh", True)]
        write_results("audit_content", {"features": 23, "folds": CONFIG.folds}, rows)
    if "coverage" in asked:
        write_results("audit_coverage", *coverage_rows())


if __name__ == "__main__":
    main()
