"""Planted truth for the sanity of `karat audit reward`: rewards that are broken in one way each, and healthy ones.

Twelve pairs, drawn anew in each replication; the healthy reward is a number of unit variance that the text fixes.
Broken rewards:

    place    0.1 SD more for each response before it in the call
    chance   0.05 SD of chance in each score
    constant 1 for all
    none     None for every fifth response, counted exactly
    raises   raises on calls that hold one certain prompt
    ties     one value for nine pairs of ten
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from karat.audit.reward.config import AuditRewardConfig
from karat.audit.reward.sanity import audit_sanity
from karat.rewards.groups import Group
from karat.rewards.kinds import plain_text
from karat.selftest.planted import PlantedRow
from karat.types import NAN, PreferencePair, Score

PAIRS = 12
FAULTS = {"place": "RW102", "chance": "RW101", "constant": "RW106", "none": "RW107", "raises": "RW107", "ties": "RW106"}
"""Fault -> the code that has to say so."""

TITLES = {
    "SE511": "Sanity: a false problem, of a healthy reward",
    "SE512": "Sanity: scores that depend on the place in a call are found",
    "SE513": "Sanity: scores with chance in them are found",
    "SE514": "Sanity: a constant reward is found",
    "SE515": "Sanity: missing scores are found, and counted exactly",
    "SE516": "Sanity: a reward that raises on one prompt is found, its other scores are kept",
    "SE517": "Sanity: a reward that ties most pairs is found",
}
"""What each row promises."""


@dataclass
class PlantedReward:
    """Satisfies `karat.rewards.Reward`; `fault` is a key of FAULTS, or empty."""

    fault: str
    rng: np.random.Generator
    broken_prompt: str = ""
    name: str = "planted"
    head_names: tuple[str, ...] = ("reward",)

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        if self.fault == "raises" and any(group.prompt == self.broken_prompt for group in groups):
            raise RuntimeError("the template has no rule for this prompt")
        out, place = [], 0
        for group in groups:
            row = []
            for response in group.responses:
                row.append(self._score(plain_text(group.prompt), plain_text(response), place))
                place += 1
            out.append(row)
        return out

    def _score(self, prompt: str, text: str, place: int) -> Score:
        fixed = int.from_bytes(hashlib.blake2b(f"{prompt}\0{text}".encode(), digest_size=4).digest(), "big")
        if self.fault == "none" and fixed % 5 == 0:
            return Score(NAN, missing="returned None")
        if self.fault == "constant" or (self.fault == "ties" and int(prompt.split()[-1]) % 10):
            return Score(1.0)
        value = fixed / 2**32 * 12**0.5  # of unit variance
        if self.fault == "place":
            value += 0.1 * place
        return Score(value + (0.05 * float(self.rng.standard_normal()) if self.fault == "chance" else 0.0))


def replicate(fault: str, rng: np.random.Generator) -> tuple[dict[str, str], bool]:
    """The verdicts by code, and whether the missing scores were counted as they were planted."""
    words = rng.integers(0, 10**6, (PAIRS, 2)).tolist()
    pairs = [
        PreferencePair(f"question {k}", f"answer {a}", f"answer {b}", prompt_id=str(k))
        for k, (a, b) in enumerate(words)
    ]
    reward = PlantedReward(fault, rng, broken_prompt="question 3")
    found = audit_sanity(reward, pairs, config=AuditRewardConfig(), rng=rng)
    calm = PlantedReward(fault if fault == "none" else "", rng)
    truth = sum(
        score.is_missing for pair in pairs for row in calm.score([Group(pair.prompt, (pair.chosen, pair.rejected))])
        for score in row
    ) + (2 if fault == "raises" else 0)  # fmt: skip
    missing = next(finding.n_missing for finding in found.findings if finding.code == "RW107")
    return {finding.code: finding.verdict for finding in found.findings}, missing == truth


def sanity_rows(replications: int, seed: int, progress: Callable[..., None] | None = None) -> list[PlantedRow]:
    """All promises of the sanity part, checked on `replications` of each reward."""
    if progress:
        progress("planting for audit reward, sanity", 0, len(FAULTS) + 1, "")
    rng = np.random.default_rng([seed, 511])
    healthy = [replicate("", rng) for _ in range(replications)]
    rows = [_row("SE511", "a number fixed by the text", (0.0, 0.05),
                 ["problem" in verdicts.values() for verdicts, _ in healthy])]  # fmt: skip
    for number, (fault, code) in enumerate(FAULTS.items()):
        found = [replicate(fault, rng) for _ in range(replications)]
        # without a planted None in the draw there is nothing to find
        hits = [
            is_exact and (verdicts[code] == "problem" or (fault == "none" and verdicts[code] == "ok"))
            for verdicts, is_exact in found
        ]
        rows.append(_row(f"SE{512 + number}", fault, (0.99, 1.0), hits))
    return rows


def _row(code: str, planted_in: str, promised: tuple[float, float], hits: Sequence[bool]) -> PlantedRow:
    least, most = promised
    return PlantedRow(
        code=code, title=TITLES[code], planted=planted_in, hits=sum(hits), n=len(hits), least=least, most=most
    )
