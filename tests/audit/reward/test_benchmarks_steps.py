from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from karat.audit.reward.benchmarks import audit_benchmarks
from karat.audit.reward.benchmarks.columns import ColumnReward, step_function
from karat.audit.reward.benchmarks.items import StepBenchmark, StepItem
from karat.audit.reward.benchmarks.steps import step_numbers, step_outcomes
from karat.audit.reward.config import AuditRewardConfig
from karat.errors import InputError
from karat.rewards.groups import Group
from karat.rewards.kinds import FunctionReward
from karat.types import Result, Score


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def audit(reward: Any, spec: Path | str, **options: Any) -> Result:
    config = AuditRewardConfig(benchmarks=str(spec), resamples=200, **options)
    return audit_benchmarks(reward, config=config, rng=np.random.default_rng(0))


def numbers(result: Result, table: str) -> dict[str, dict[str, Any]]:
    found = next(item for item in result.tables if item.name == table)
    return {row[0]: dict(zip(found.columns, row, strict=True)) for row in found.rows}


def process_rows(n: int, seed: int = 0, drop: float = 3.0) -> list[dict[str, Any]]:
    """Solutions of four steps; the step scores of column `prm` fall at the first wrong step."""
    rng, rows = np.random.default_rng(seed), []
    for number in range(n):
        label = int(rng.integers(4)) if number % 2 else -1
        score = rng.standard_normal(4)
        if label >= 0:
            score[label] -= drop
        rows.append(
            {"id": f"gsm8k-{number}", "problem": f"p{number}", "steps": ["a", "bb", "ccc", "dddd"], "label": label,
             "prm": score.tolist(), "coin": rng.random(4).tolist()}
        )  # fmt: skip
    return rows


def test_f1_with_a_given_threshold(tmp_path: Path) -> None:
    rows = [
        {"id": "x-0", "problem": "p0", "steps": ["a", "b"], "label": 1, "prm": [0.9, 0.1]},
        {"id": "x-1", "problem": "p1", "steps": ["a", "b"], "label": 0, "prm": [0.9, 0.1]},
        {"id": "x-2", "problem": "p2", "steps": ["a", "b"], "label": -1, "prm": [0.9, 0.8]},
    ]
    result = audit(ColumnReward("prm"), write(tmp_path / "gsm8k.jsonl", rows), step_threshold="0.5")
    # one of two wrong solutions found, the right one kept: 2 (1/2) 1 / (3/2) = 2/3; chance: a = 1/2
    head = numbers(result, "benchmark_processbench")["overall (micro)"]
    assert head["score"] == pytest.approx(2 / 3)
    assert head["chance"] == pytest.approx(2 * 0.5 / (1 + math.sqrt(0.5)) ** 2)


def test_a_threshold_is_never_tuned_on_what_it_judges() -> None:
    """Scores that know nothing: tuning on the test lifts F1, cross-fitting does not."""
    rng = np.random.default_rng(2)
    items = tuple(
        StepItem(name=str(i), cluster=str(i), subset="", prompt="", steps=("",) * 4,
                 wrong=tuple(s == label for s in range(4)))
        for i, label in enumerate(rng.integers(-1, 4, 60).tolist())
    )  # fmt: skip
    benchmark = StepBenchmark(kind="", name="", items=items, labels="first", formula="")
    tuned, fitted = [], []
    for seed in range(15):
        scores = [np.random.default_rng([seed, i]).random(4) for i in range(60)]
        grid = np.linspace(0, 1, 60)
        by_hand = [step_outcomes(benchmark, scores, threshold=str(t), seed=0) for t in grid]
        f1 = [step_numbers(benchmark, o, {}, rng=rng, resamples=100)[0].interval.estimate for o in by_hand[::6]]
        tuned.append(max(f1))
        cross = step_outcomes(benchmark, scores, threshold="", seed=seed)
        fitted.append(step_numbers(benchmark, cross, {}, rng=rng, resamples=100)[0].interval.estimate)
    assert np.mean(fitted) < np.mean(tuned) - 0.02


def test_one_subset_may_serve_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "bench"
    folder.mkdir()
    write(folder / "gsm8k.jsonl", process_rows(80))
    write(folder / "math.jsonl", process_rows(80, seed=1))
    result = audit(ColumnReward("prm"), folder, step_threshold="gsm8k")
    found = numbers(result, "benchmark_processbench")
    assert found["overall (macro)"]["score"] == pytest.approx((found["gsm8k"]["score"] + found["math"]["score"]) / 2)
    assert "tuned on 80 solutions of gsm8k" in next(t for t in result.tables if t.name == "benchmark_processbench").note
    with pytest.raises(InputError, match="no number and no subset; subsets: gsm8k, math"):
        step_outcomes(_benchmark(folder), [np.zeros(4)] * 160, threshold="aime", seed=0)


def _benchmark(folder: Path) -> StepBenchmark:
    from karat.audit.reward.benchmarks.reading import read_benchmarks

    found = read_benchmarks(str(folder))[0]
    assert isinstance(found, StepBenchmark)
    return found


def test_good_scores_win_against_a_coin(tmp_path: Path) -> None:
    file = write(tmp_path / "gsm8k.jsonl", process_rows(200))
    result = audit(ColumnReward("prm"), file, against="column:coin")
    verdicts = {finding.code: finding.verdict for finding in result.findings}
    assert verdicts == {"RW601": "ok", "RW604": "ok"}
    assert audit(ColumnReward("coin"), file).findings[0].verdict != "ok"


def test_prmbench_by_hand(tmp_path: Path) -> None:
    base = {"original_question": "q", "modified_question": "q", "modified_process": ["1. a", "2. b"]}
    rows = [
        base | {"idx": "1", "classification": "circular", "error_steps": [2], "prm": [0.9, 0.1]},
        base
        | {"idx": "2", "original_question": "r", "classification": "deception", "error_steps": [1], "prm": [0.9, 0.1]},
        base
        | {"idx": "3", "original_question": "s", "classification": "multi_solutions", "error_steps": [], "prm": [1, 1]},
    ]
    file = write(tmp_path / "prm.jsonl", rows)
    found = numbers(audit(ColumnReward("prm"), file, step_threshold="0.5"), "benchmark_prmbench")
    # counts together: right kept 1 + 0 + 2, wrong kept 1, wrong flagged 1, right flagged 1
    assert found["overall (micro)"]["score"] == pytest.approx(0.5 * 6 / 8 + 0.5 * 2 / 4)
    assert (found["circular"]["score"], found["deception"]["score"]) == (1.0, 0.0)
    assert found["multi_solutions"]["score"] == 1.0
    assert found["sensitivity"]["score"] == pytest.approx(0.5)


class Steps:
    """Scores steps; fails on one problem."""

    name = "steps"
    head_names = ("reward",)

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        return [[Score(0.0)] * len(group.responses) for group in groups]

    def score_steps(self, prompt: str, steps: list[str]) -> list[float]:
        if prompt == "p3":
            raise RuntimeError("out of memory")
        return [float(len(step)) for step in steps]


def test_a_scorer_that_fails_leaves_solutions_missing(tmp_path: Path) -> None:
    result = audit(Steps(), write(tmp_path / "gsm8k.jsonl", process_rows(40)))
    head = numbers(result, "benchmark_processbench")["overall (micro)"]
    assert (head["n"], head["missing"]) == (39, 1)
    assert head["missing lost"] <= head["score"] <= head["missing won"]
    why = next(t for t in result.tables if t.name == "benchmark_processbench_missing")
    assert why.rows == (("raised RuntimeError: out of memory", 1),)


def test_functions_of_steps_and_others() -> None:
    good = FunctionReward("m:f", lambda prompt, steps: [1.0] * len(steps))
    assert step_function(good)("p", ["a", "b"]) == [1.0, 1.0]
    with pytest.raises(InputError, match="m:g gives a response one score"):
        step_function(FunctionReward("m:g", lambda prompts, completions: [1.0]))
