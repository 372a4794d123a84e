"""Label noise on real pairs: turn a share of the labels by seed, and see what `karat audit data` says of them.

The labels as they came have mistakes of their own, which nobody knows; a suspect among them counts as wrong here, so
the precision is a lower limit of the true one. The heads are fitted anew to each set of labels. Vectors come from the
cache (python benchmarks/audit_sets.py computes them). Beside it, the reliability of the workers of ukpconvarg1 against
the competence that its authors estimated with MACE, and alpha, circles.

    python benchmarks/audit_noise.py --seeds 0 1 2 3 4
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from audit_sets import read_set, worker_competence
from common import write_results
from karat.audit.data.agreement import audit_agreement
from karat.audit.data.config import AuditDataConfig
from karat.audit.data.cycles import audit_cycles
from karat.audit.data.label_noise import judge_labels, top_suspects
from karat.audit.data.votes import read_votes
from karat.numerics.agreement import annotator_reliability
from karat.numerics.label_noise import auroc
from karat.types import PreferencePair

RATES = (0.0, 0.05, 0.1, 0.25)
UKP_PAIRS = 2000


def pairs_of(name: str) -> Sequence[PreferencePair]:
    """Decided pairs; of ukp 2,000 by lot."""
    pairs = [pair for pair in read_set(name) if not pair.is_tie]
    if name != "ukp":
        return pairs
    return [pairs[index] for index in sorted(np.random.default_rng(0).permutation(len(pairs))[:UKP_PAIRS])]


def with_flips(
    pairs: Sequence[PreferencePair], rate: float, rng: np.random.Generator
) -> tuple[list[PreferencePair], np.ndarray]:
    flipped = np.zeros(len(pairs), dtype=bool)
    flipped[rng.permutation(len(pairs))[: round(rate * len(pairs))]] = True
    turned = [
        replace(pair, chosen=pair.rejected, rejected=pair.chosen) if turn else pair
        for pair, turn in zip(pairs, flipped, strict=True)
    ]
    return turned, flipped


def measured(name: str, pairs: Sequence[PreferencePair], rate: float, seed: int) -> dict[str, Any]:
    turned, flipped = with_flips(pairs, rate, np.random.default_rng([seed, 1]))
    began = time.perf_counter()
    noise = judge_labels(turned, config=AuditDataConfig(), rng=np.random.default_rng([seed, 2]))
    top, expected = top_suspects(noise)
    fit = noise.fit
    return {
        "data": name, "planted": rate, "seed": seed, "pairs": fit.n_pairs, "agreement": fit.agreement.estimate,
        "rate": fit.rate, "low": fit.low, "high": fit.high, "ceiling": fit.ceiling, "design": fit.design,
        "auroc": auroc(noise.posterior_P, flipped) if rate else float("nan"),
        "precision_top_5": float(flipped[top].mean()), "expected": expected.estimate,
        "expected_low": expected.low, "expected_high": expected.high, "seconds": time.perf_counter() - began,
    }  # fmt: skip


def summarised(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over the seeds of each set and planted rate."""
    out = []
    for key in dict.fromkeys((row["data"], row["planted"]) for row in rows):
        group = [row for row in rows if (row["data"], row["planted"]) == key]
        names = [name for name in group[0] if name not in ("data", "planted", "seed")]
        known = {name: [row[name] for row in group if np.isfinite(row[name])] for name in names}
        means = {name: float(np.mean(value)) if value else "" for name, value in known.items()}
        means["planted_in_interval"] = sum(row["low"] <= row["planted"] <= row["high"] for row in group)
        means["precision_in_interval"] = sum(
            row["expected_low"] <= row["precision_top_5"] <= row["expected_high"] for row in group
        )
        told = int(sum(np.isfinite(row["rate"]) for row in group))
        out.append({"data": key[0], "planted": key[1], "seeds": len(group), **means, "rates_told": told})
    return out


def votes_facts() -> dict[str, Any]:
    """Agreement, circles and reliability where people voted several times."""
    facts: dict[str, Any] = {}
    for name in ("pandalm", "ukp_votes"):
        votes = read_votes(read_set(name))
        for part in (
            audit_agreement(votes, rng=np.random.default_rng(0)),
            audit_cycles(votes, rng=np.random.default_rng(0)),
        ):
            facts |= {f"{name} {key}": value for key, value in part.values.items()}
    used = votes.repeated() & (votes.value_V != 0)
    side = (votes.value_V[used] > 0).astype(float)
    found = annotator_reliability(side, votes.unit_V[used], votes.annotator_V[used].astype(str))
    competence = worker_competence()
    for least in (10, 50):
        many = [index for index, name in enumerate(found.names) if found.votes_A[index] >= least]
        theirs = [competence[found.names[index]] for index in many]
        rank = spearmanr(found.rate_A[many], theirs).statistic
        facts |= {f"workers with {least} votes": len(many), f"rank correlation with MACE, {least} votes": float(rank)}
    return facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2, 3, 4])
    parser.add_argument("--data", nargs="*", default=["hh", "ukp", "pandalm"])
    arguments = parser.parse_args()
    rows = []
    for name in arguments.data:
        pairs = pairs_of(name)
        for rate in RATES:
            for seed in arguments.seeds[: 1 if rate == 0 else None]:
                rows.append(measured(name, pairs, rate, seed))
                print(rows[-1], flush=True)
    write_results("audit_noise", votes_facts(), summarised(rows))


if __name__ == "__main__":
    main()
