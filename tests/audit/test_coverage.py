"""What prompts cover: topics and their words, thin ones, targets outside, what to label next; edges and messages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from karat.audit.data import coverage
from karat.audit.data.config import AuditDataConfig
from karat.audit.data.coverage import Covered, Prompts, audit_coverage, measure, source_bound, spread_by_prompt
from karat.audit.data.coverage_findings import EXPLANATIONS, findings_of, values_of
from karat.audit.data.topics import characteristic_words, find_topics, project
from karat.errors import InputError
from karat.numerics.tied_mixture import fit_mixture
from karat.rewards import vectors
from karat.selftest import audit_coverage as planted
from karat.types import Message, PreferencePair

NAMES = ("cooking", "history", "travel", "music")


class FakeVectors:
    """In place of hidden states: one direction for each of NAMES in the prompt, and noise fixed by the text."""

    def __init__(self, pairs: Sequence[PreferencePair], model: str, **rest: Any) -> None:
        self.prompt_PD = np.stack([self.of(str(pair.prompt)) for pair in pairs])

    @staticmethod
    def of(text: str) -> np.ndarray:
        if "empty" in text:
            return np.full(8, np.nan, np.float32)
        noise = np.random.default_rng(list(text.encode())).normal(size=8) * 0.15
        return np.asarray([*(noise[:4] + [name in text for name in NAMES]), *noise[4:]], np.float32)


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "pair_vectors", FakeVectors)


def pairs_of(names: Sequence[str], n: int, **rest: Any) -> list[PreferencePair]:
    return [
        PreferencePair(f"{name} {i}", "a", "b", prompt_id=f"{name} {i}", row=i, **rest)
        for name in names
        for i in range(n)
    ]


def run(pairs: Sequence[PreferencePair], out: Path | None = None, **options: Any) -> Any:
    return audit_coverage(pairs, config=AuditDataConfig(**options), rng=np.random.default_rng(0), out=out)


def verdicts(result: Any) -> dict[str, str]:
    return {finding.code: finding.verdict for finding in result.findings}


# ------------------------------------------------------------------------------------------------------------- the verb
def test_topics_are_found_and_named() -> None:
    result = run(pairs_of(NAMES, 60))
    assert result.values["coverage_topics"] == 4
    assert result.values["coverage_effective_topics"] == pytest.approx(4)
    assert {row[0] for row in result.tables[0].rows} == set(NAMES)
    assert verdicts(result) == {"DA401": "ok", "DA402": "ok", "DA403": "not checked", "DA404": "not checked"}
    assert verdicts(result).keys() == EXPLANATIONS.keys()


def test_missing_topics_are_named_and_written_down(tmp_path: Path) -> None:
    targets = tmp_path / "targets.jsonl"
    rows = [{"prompt": f"{name} target {i}"} for name in NAMES for i in range(40)]
    targets.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    result = run(pairs_of(NAMES[:2], 80), out=tmp_path / "out", targets=str(targets), label_next=6)
    finding = result.findings[2]
    assert (finding.verdict, finding.n_used) == ("problem", 160)
    assert finding.low < 0.525 < finding.high  # half, and 5 % of the other half
    missing = result.values["coverage_missing_topics"]
    assert len(missing) == 2
    assert all(any(name in words for words in missing) for name in NAMES[2:])
    written = [json.loads(line) for line in Path(result.files[0]).read_text(encoding="utf-8").splitlines()]
    assert len(written) == 6
    assert {each["prompt"].split()[0] for each in written[:2]} == {"travel", "music"}
    assert all(each["p_value"] <= 0.05 and each["row"] is None for each in written)


def test_targets_take_the_form_of_the_data(tmp_path: Path) -> None:
    path = tmp_path / "targets.jsonl"
    path.write_text('{"prompt": "why"}\n{"prompt": [{"role": "user", "content": "who"}]}', encoding="utf-8")

    def forms(prompt: Any) -> list[Any]:
        return [pair.prompt for pair in coverage._read_targets(str(path), [PreferencePair(prompt, "a", "b")])]

    assert forms("plain") == ["why", "who"]
    assert forms("\n\nHuman: x\n\nAssistant:") == ["\n\nHuman: why\n\nAssistant:", "\n\nHuman: who\n\nAssistant:"]
    assert forms((Message("user", "x"),)) == [(Message("user", "why"),), (Message("user", "who"),)]


def test_prompts_without_a_vector_are_counted_and_few_prompts_refused() -> None:
    result = run([*pairs_of(NAMES, 20), PreferencePair("empty", "a", "b", prompt_id="e")])
    assert result.findings[0].n_missing == 1
    with pytest.raises(InputError, match="1 distinct prompts: what they cover is said from 40 on"):
        run([PreferencePair("same", f"a {n}", "b", prompt_id="p") for n in range(1000)])
    with pytest.raises(InputError, match="0 of 50 distinct prompts have a vector; 40 are needed"):
        run(pairs_of(["empty"], 50))


def test_sources_that_decide_the_topic_are_a_problem() -> None:
    result = run([*pairs_of(NAMES[:2], 50, source="one"), *pairs_of(NAMES[2:], 50, source="other")])
    assert verdicts(result)["DA404"] == "problem"
    assert result.values["coverage_source_bound"] == pytest.approx(1, abs=0.02)


# --------------------------------------------------------------------------------------------------------- the measures
def test_a_source_says_nothing_of_topics_that_all_hold() -> None:
    rng = np.random.default_rng(0)
    found = source_bound(rng.integers(0, 4, 300), [str(n) for n in rng.integers(0, 3, 300)], rng)
    assert found.estimate < 0.02
    whole = source_bound(np.arange(300) % 3, [str(n % 3) for n in range(300)], rng)
    assert whole.estimate == pytest.approx(1, abs=0.02)


def test_disagreement_moves_a_prompt_up() -> None:
    rng = np.random.default_rng(1)
    point = project(rng.normal(size=(60, 6)))
    spread = np.ones(60)
    spread[17] = 50.0

    def first(spread_Q: np.ndarray) -> int:
        text = tuple(f"p {i}" for i in range(60))
        prompts = Prompts(point, text, text, np.arange(60), np.ones(60), ("",) * 60, spread_Q)
        found = measure(prompts, point[:0], (), name="", n_next=3, rng=np.random.default_rng(0))
        return found.label_next[0].row

    assert first(spread) == 17 != first(np.ones(60))
    assert spread_by_prompt(None) == {}


def test_projection_ignores_the_unit_of_a_dimension_and_gives_length_one() -> None:
    rng = np.random.default_rng(2)
    vector = rng.normal(size=(50, 4))
    point = project(vector)
    assert np.linalg.norm(point, axis=1) == pytest.approx(1)
    other = project(vector * [1, 1e4, 1, 1e-3])
    assert other @ other.T == pytest.approx(point @ point.T, abs=1e-6)
    assert not project(np.ones((5, 3))).any()


def test_words_of_a_topic_are_those_the_others_lack() -> None:
    texts = ["the soup pot", "the soup pan", "the king war", "the king law"]
    assert characteristic_words(texts, np.array([0, 0, 1, 1]), 2) == ["soup", "king"]


def test_identical_points_are_one_topic() -> None:
    found = find_topics(np.tile([1.0, 0.0], (100, 1)), np.random.default_rng(0))
    assert found.n_topics == 1
    assert np.isnan(found.stability)


def test_mixture_finds_unequal_stretched_clusters_and_leaves_one_alone() -> None:
    rng = np.random.default_rng(3)
    stretch = np.array([3.0, 0.2, 1.0])
    label = np.repeat([0, 1, 2], [300, 80, 20])
    point = rng.normal(size=(400, 3)) * stretch + np.array([[0, 0, 0], [0, 2, 0], [0, 0, 9.0]])[label]
    start = point[rng.choice(400, 20, replace=False)]
    found = fit_mixture(point, start)
    assert sorted(np.bincount(found.assign(point)).tolist()) == [20, 80, 300]
    assert len(fit_mixture(point[:300], start).weight_K) == 1
    with pytest.raises(InputError, match=r"shape \(2, 3\), must be finite with more points"):
        fit_mixture(point[:2], start)


def test_a_sparse_topic_of_data_and_targets_is_not_missing() -> None:
    """Most of what is strange lies in it, among the data as among the targets."""
    for seed in range(3):
        found = planted.replicate("sparse", np.random.default_rng(seed))
        assert found.targets is not None
        outside = np.bincount(found.targets.topic_T[found.targets.is_outside], minlength=len(found.targets.words_K))
        assert outside.max() > 0.5 * outside.sum()
        assert found.targets.missing == []


def test_planted_rows_are_kept() -> None:
    rows = planted.coverage_rows(16, 0)
    assert [row.code for row in rows] == list(planted.TITLES)
    assert all(row.is_kept for row in rows), [row for row in rows if not row.is_kept]


def test_verdicts_do_not_change_with_a_rotation() -> None:
    def told(turn: np.ndarray) -> tuple[list[str], int]:
        prompts, target, text = planted.planted("missing", np.random.default_rng(0))
        turned = Prompts(
            prompts.point_QD @ turn, prompts.text_Q, prompts.whole_Q, prompts.row_Q, prompts.pairs_Q, prompts.source_Q,
            prompts.spread_Q,
        )  # fmt: skip
        found: Covered = measure(
            turned, target @ turn, text, name="t", n_next=3, rng=np.random.default_rng(0), splits=0
        )
        return [each.verdict for each in findings_of(found)], values_of(found)["coverage_topics"]

    n_axes = planted.planted("missing", np.random.default_rng(0))[1].shape[1]
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(n_axes, n_axes)))[0]
    assert told(np.eye(n_axes)) == told(turn)
