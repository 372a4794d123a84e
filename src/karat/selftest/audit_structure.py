"""Planted truth for the structure part of `karat audit data`: recall, precision and false findings.

A world is 60 pairs of random sentences of common English words (prompts of 40, responses of 45 words), and

    exact     6 pairs again, some in capitals or with other white space
    near      6 pairs again with two words changed in each text: Jaccard indices of two-word shingles 0.81 to 0.84, just
              above the threshold of 0.8
    opposite  4 pairs again with the sides exchanged
    far       6 pairs again with the rejected response of another pair, and 6 with six words changed in a response (an
              index of about 0.6): not to be reported
    held out  24 prompts, of which 6 are in the data and 6 nearly so
    benchmark 20 prompts, of which 6 stand within a response, a quarter of them at the end cut off, and 6 nearly as a
              prompt

The twin has none of these: 60 pairs, 24 held-out prompts and 20 benchmark prompts, all new.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from karat.audit.data.config import AuditDataConfig
from karat.audit.data.contamination import Benchmark, find_contamination
from karat.audit.data.duplicates import Duplicates, find_duplicates
from karat.audit.data.leakage import PromptSet, shared_prompts
from karat.audit.data.scan import scan_prompts, scan_table
from karat.audit.data.structure import audit_structure
from karat.audit.data.table import PairTable, read_table
from karat.selftest.planted import PlantedRow, independent

NEAR = 0.8
PAIRS, PROMPT_WORDS, RESPONSE_WORDS = 60, 40, 45
EACH, OPPOSITE, HELD_OUT, BENCHMARK = 6, 4, 24, 20
ONE_SIDED_PAIRS, ONE_SIDED_SHARE = 200, 0.1
_WORDS = (
    "the of and to a in is it you that he was for on are with as his they be at one have this from or had by hot word "
    "but what some we can out other were all there when up use your how said an each she which do their time if will "
    "way about many then them write would like so these her long make thing see him two has look more day could go "
    "come did number sound no most people my over know water than call first who may down side been now find any new "
    "work part take get place made live where after back little only round man year came show every good me give our "
    "under name very through just form sentence great think say help low line differ turn cause much mean before move "
    "right boy old too same tell does set three want air well also play small end put home read hand port large spell "
    "add even land here must big high such follow act why ask men change went light kind off need house picture try"
)
"""Of a language, so that it is recognised as one."""
COMMON = np.array(_WORDS.split())

TITLES = {
    "SE401": "Exact duplicates: found",
    "SE402": "Near duplicates just above the threshold: found",
    "SE403": "What is reported as a near duplicate is one",
    "SE404": "Opposite preferences: found on both pairs",
    "SE405": "Held-out prompts in the data, equal: found",
    "SE406": "Held-out prompts in the data, nearly equal: found",
    "SE407": "Benchmark prompts in the data: found",
    "SE408": "Structure: false finding, any of its checks",
    "SE409": "A leftover on one side only: found",
}
"""What each row promises."""

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one planted world gave: for each thing planted whether it was found, for each thing reported whether it is.

    Attributes:
        exact, near, opposite: found; by pair.
        precise: of pairs put into a group of near duplicates, whether an exact comparison with another one agrees.
        held_exact, held_near, benchmark: found.
    """

    exact: tuple[bool, ...]
    near: tuple[bool, ...]
    precise: tuple[bool, ...]
    opposite: tuple[bool, ...]
    held_exact: tuple[bool, ...]
    held_near: tuple[bool, ...]
    benchmark: tuple[bool, ...]


def sentence(n: int, rng: np.random.Generator) -> str:
    return " ".join(COMMON[rng.integers(0, COMMON.size, n)]) + "."


def new_pair(rng: np.random.Generator) -> Row:
    sizes = (PROMPT_WORDS, RESPONSE_WORDS, RESPONSE_WORDS)
    return {name: sentence(n, rng) for name, n in zip(("prompt", "chosen", "rejected"), sizes, strict=True)}


def edited(text: str, n: int, rng: np.random.Generator) -> str:
    """n words changed, no two of them beside each other or at an end: the index is (s - 2n) / (s + 2n), s shingles."""
    words = text.split()
    for place in 1 + 2 * rng.choice((len(words) - 2) // 2, n, replace=False):
        words[place] = f"{words[place]}{rng.integers(10, 99)}"
    return " ".join(words)


def replicate(rng: np.random.Generator) -> Outcome:
    rows = [new_pair(rng) for _ in range(PAIRS)]
    picked = rng.permutation(np.arange(4 * EACH, PAIRS))  # the first ones are held out and asked for
    exact, near, far, opposite = (picked[start : start + EACH] for start in range(0, 4 * EACH, EACH))
    opposite = opposite[:OPPOSITE]
    rows += [
        {name: text.upper() if at % 2 else text.replace(" ", "  ") for name, text in rows[at].items()} for at in exact
    ]
    rows += [{name: edited(text, 2, rng) for name, text in rows[at].items()} for at in near]
    rows += [{**rows[at], "chosen": rows[at]["rejected"], "rejected": rows[at]["chosen"]} for at in opposite]
    rows += [{**rows[at], "rejected": sentence(RESPONSE_WORDS, rng)} for at in far]
    rows += [{**rows[at], "chosen": edited(rows[at]["chosen"], 6, rng)} for at in far]
    asked = [sentence(30, rng) for _ in range(BENCHMARK)]
    for number in range(EACH):  # three quarters of the prompt's words, in a response
        said = " ".join(asked[number].split()[:24])
        rows[number]["chosen"] += f" {said} {sentence(20, rng)}"
        asked[EACH + number] = edited(rows[EACH + number]["prompt"], 2, rng)
    table = _table(rows)
    scan = scan_table(table, near=NEAR)
    found = find_duplicates(table, scan, near=NEAR)
    n, both = PAIRS, [*opposite, *range(PAIRS + 2 * EACH, PAIRS + 2 * EACH + OPPOSITE)]
    prompts = PromptSet(scan.prompts, table.prompt)
    held = [rows[2 * EACH + number]["prompt"] for number in range(EACH)]
    held += [edited(rows[3 * EACH + number]["prompt"], 2, rng) for number in range(EACH)]
    held += [sentence(PROMPT_WORDS, rng) for _ in range(HELD_OUT - 2 * EACH)]
    leaked = _leaked(held, prompts)
    dirty = {match.row for match in find_contamination(table, prompts, _benchmark(asked), near=NEAR).matches}
    return Outcome(
        exact=tuple((found.exact_of_P[n : n + EACH] == exact).tolist()),
        near=tuple((found.near_group_P[n + EACH : n + 2 * EACH] == near).tolist()),
        precise=_precision(rows, found),
        opposite=tuple(found.opposite_P[both].tolist()),
        held_exact=tuple(leaked[:EACH].tolist()),
        held_near=tuple(leaked[EACH : 2 * EACH].tolist()),
        benchmark=tuple(number in dirty for number in range(2 * EACH)),
    )


def false_finding(rng: np.random.Generator) -> bool:
    """Whether anything is reported of a set without a fault."""
    table = _table([new_pair(rng) for _ in range(PAIRS)])
    result, _ = audit_structure(table, config=AuditDataConfig(workers=1))
    prompts = PromptSet(scan_prompts(table.prompt, near=NEAR), table.prompt)
    held = [sentence(PROMPT_WORDS, rng) for _ in range(HELD_OUT)]
    asked = [sentence(30, rng) for _ in range(BENCHMARK)]
    return bool(
        any(finding.verdict == "problem" for finding in result.findings)
        or _leaked(held, prompts).any()
        or find_contamination(table, prompts, _benchmark(asked), near=NEAR).matches
    )


def one_sided_found(rng: np.random.Generator) -> bool:
    from karat.audit.data.oddities import find_oddities
    from karat.audit.data.text_findings import leftover_findings

    rows = [new_pair(rng) for _ in range(ONE_SIDED_PAIRS)]
    for at in np.flatnonzero(rng.random(ONE_SIDED_PAIRS) < ONE_SIDED_SHARE):
        rows[at]["chosen"] += " &nbsp;"
    table = _table(rows)
    return leftover_findings(table, find_oddities(table))[0][1].verdict == "problem"


def structure_rows(replications: int, seed: int, progress: Callable[..., None] | None = None) -> list[PlantedRow]:
    """All promises of the structure part, checked on `replications` of the planted world and of its twin."""
    planted, twins, sided = [], [], []
    for number in range(replications):
        if progress:
            progress("planting for audit data, structure", number, replications, "")
        rng = np.random.default_rng([seed, 400, number])
        planted.append(replicate(rng))
        twins.append(false_finding(rng))
        sided.append(one_sided_found(rng))

    def row(code: str, promised: tuple[float, float], where: str, hits: Sequence[Sequence[bool]]) -> PlantedRow:
        return PlantedRow(
            code=code, title=TITLES[code], planted=where, least=promised[0], most=promised[1],
            **independent(np.array(hits)),
        )  # fmt: skip

    all_precise = [(all(outcome.precise),) for outcome in planted]
    near_at = "two words of 40 to 45 changed: an index of 0.81 to 0.84"
    one_side = f"in {ONE_SIDED_SHARE:.0%} of {ONE_SIDED_PAIRS} chosen responses, in no rejected one"
    return [
        row("SE401", (1.0, 1.0), "case and white space changed", [outcome.exact for outcome in planted]),
        row("SE402", (0.95, 1.0), near_at, [outcome.near for outcome in planted]),
        row("SE403", (1.0, 1.0), "all groups of a world; also planted: an index of 0.6", all_precise),
        row("SE404", (1.0, 1.0), "sides exchanged", [outcome.opposite for outcome in planted]),
        row("SE405", (1.0, 1.0), "6 of 24 held-out prompts", [outcome.held_exact for outcome in planted]),
        row("SE406", (0.95, 1.0), near_at, [outcome.held_near for outcome in planted]),
        row("SE407", (0.95, 1.0), "within a response, or nearly a prompt", [outcome.benchmark for outcome in planted]),
        row("SE408", (0.0, 0.05), "none of these in 60 pairs", [(twin,) for twin in twins]),
        row("SE409", (0.8, 1.0), one_side, [(found,) for found in sided]),
    ]


def _table(rows: Sequence[Row]) -> PairTable:
    return read_table((list(rows),), {"format": "trl-standard"}, sample_pairs=0)[0]


def _texts(texts: Sequence[str]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(texts, pa.large_string())])


def _benchmark(asked: Sequence[str]) -> Benchmark:
    return Benchmark("planted", _texts(asked), np.arange(len(asked)), len(asked))


def _leaked(held: Sequence[str], prompts: PromptSet) -> np.ndarray:
    """Whether each held-out prompt was found in the data; they are distinct."""
    asked = PromptSet(scan_prompts(_texts(held), near=NEAR), _texts(held))
    found = shared_prompts(asked, prompts, near=NEAR).left_L >= 0
    return np.asarray(found[asked.prompts.of_P])


def _precision(rows: Sequence[Row], found: Duplicates) -> tuple[bool, ...]:
    """Whether each pair in a group is near another one of it, by sets of word pairs in plain Python."""
    at = np.flatnonzero(found.near_group_P != np.arange(len(rows)))
    return tuple(
        any(
            _is_near(rows[int(index)], rows[int(other)])
            for other in np.flatnonzero(found.near_group_P == found.near_group_P[index])
            if other != index
        )
        for index in at
    )


def _is_near(one: Row, other: Row) -> bool:
    sides = (("chosen", "rejected"), ("rejected", "chosen"))
    return _index(one["prompt"], other["prompt"]) >= NEAR and any(
        _index(one["chosen"], other[first]) >= NEAR and _index(one["rejected"], other[second]) >= NEAR
        for first, second in sides
    )


def _index(one: str, other: str) -> float:
    left, right = (set(pairwise(text.lower().split())) for text in (one, other))
    return len(left & right) / len(left | right)
