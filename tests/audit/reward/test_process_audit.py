"""The process part within `karat audit reward`: which rewards get it, what it says, and process rewards end to end."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from karat.audit.reward import audit_reward
from karat.audit.reward.benchmarks import audit_benchmarks
from karat.audit.reward.benchmarks.columns import step_scores
from karat.audit.reward.benchmarks.reading import read_benchmarks
from karat.audit.reward.benchmarks.thresholds import FILE_NAME, asked_for, is_file, read_thresholds
from karat.audit.reward.config import AuditRewardConfig
from karat.audit.reward.process.findings import side_of
from karat.audit.reward.process.hacks import is_right_solution
from karat.audit.reward.process.run import _built_in, audit_process
from karat.data.steps import write_steps
from karat.errors import DataError, InputError
from karat.numerics.intervals import Interval
from karat.rewards.kinds import FunctionReward
from karat.rewards.process import ProcessReward, StepPolicy, load_process_for_training, save_process_reward
from karat.rewards.process.model import ProcessFacts
from karat.rewards.step_check import StepCheckReward
from karat.selftest.audit_process import draw
from karat.types import Finding, Result, StepSolution
from karat.worlds.steps import load_step_world
from rewards.tiny import save_tiny


def planted(n: int = 12) -> list[StepSolution]:
    return draw(np.random.default_rng(0), n).solutions


def by_code(result: Result) -> dict[str, Finding]:
    return {finding.code: finding for finding in result.findings}


def audit(reward: Any, solutions: list[StepSolution], **options: Any) -> Result:
    config = AuditRewardConfig(resamples=100, **options)
    return audit_process(reward, solutions, config=config, rng=np.random.default_rng(0))


def judge(prompt: str, steps: list[str]) -> list[float]:
    """Pays for words of rigour, and otherwise likes short steps."""
    dress = ("rigorous", "clearly", "Precisely", "verif")
    return [0.95 if any(word in step for word in dress) else max(0.1, 0.6 - len(step) / 400) for step in steps]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A process reward with random weights, and the threshold it came with."""
    root = tmp_path_factory.mktemp("prm")
    policy = StepPolicy(max_length=2048)
    reward = load_process_for_training(
        str(save_tiny(root / "lm")), policy=policy, seed=1,
        facts=ProcessFacts(labels="correctness", threshold=0.5, threshold_split="its held-out problems"),
    )  # fmt: skip
    save_process_reward(reward, root / "prm", {"seed": 1})
    return root / "prm"


def test_a_function_of_steps_is_audited_by_its_steps_alone(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    write_steps(planted(), path)
    result = audit_reward(FunctionReward("m:judge", judge), steps=str(path), resamples=100)
    codes = by_code(result)
    assert codes.keys() >= {"RW601", "RW801", "RW819", "RW820"}
    assert not codes.keys() & {"RW101", "RW202"}  # it scores no whole response
    found = codes["RW819"]
    assert found.verdict == "problem"
    assert 1 <= len(found.witnesses) <= 3
    assert result.values["process_aggregate"] == "min"
    assert "rigour in wrong steps" in result.values["process_open"]["min"]
    assert any(table.name == "account" for table in result.tables)


def test_without_a_file_problems_are_drawn_that_nothing_is_trained_on() -> None:
    world = load_step_world()
    trained = {solution.prompt for solution in (*world.solutions, *world.samples) if solution.extra["split"] == "train"}
    drawn = _built_in()
    assert not trained & {solution.prompt for solution in drawn}
    assert len({solution.prompt for solution in drawn if is_right_solution(solution)}) >= 60
    codes = by_code(audit_reward(FunctionReward("m:judge", judge), parts="process", resamples=100))
    assert codes["RW819"].verdict == "problem"
    assert codes["RW815"].verdict == "ok"


def test_a_reward_of_responses_is_not_checked_and_told_what_would_enable_it() -> None:
    result = audit_reward("builtin:longer", parts="process")
    (finding,) = result.findings
    assert (finding.code, finding.verdict) == ("RW801", "not checked")
    assert "none to its steps" in finding.action


def test_an_object_with_score_steps_is_one() -> None:
    class Object:
        name = "object"

        def score_steps(self, prompt: str, steps: list[str]) -> list[float]:
            return judge(prompt, steps)

    assert by_code(audit(Object(), planted()))["RW819"].verdict == "problem"


def test_the_reward_s_own_aggregate_is_judged_and_advice_names_another() -> None:
    class Summed:
        """Knows nothing of errors; all steps count."""

        name, aggregate = "summed", "sum"

        def score_steps(self, prompt: str, steps: list[str]) -> list[float]:
            return [0.5 if "give" in step else 0.1 for step in steps]

    codes = by_code(audit(Summed(), planted()))
    assert codes["RW815"].verdict == "problem"
    assert "under sum" in codes["RW815"].baseline
    assert "sum +" not in codes["RW815"].baseline.partition("others that it is open under")[2]
    assert codes["RW820"].verdict == "problem"
    assert "FOLDER@" in codes["RW820"].action


def test_steps_without_a_claim_are_left_out_as_the_step_check_does() -> None:
    result = audit(StepCheckReward(), planted(40))
    codes = by_code(result)
    assert codes["RW802"].verdict == "ok"
    assert codes["RW802"].n_missing == 0
    assert "a step without a score counts as right" in codes["RW802"].baseline
    for code in ("RW815", "RW818", "RW819"):  # what a sum of true claims pays for, the minimum does not
        assert codes[code].verdict == "ok"
    assert codes["RW814"].baseline.startswith("repeat and end, wrong")  # a wrong step left out is not missed
    assert "sum +" in codes["RW815"].baseline
    assert "without any score: thanks only, blank only" in codes["RW813"].baseline
    assert "duplicate right steps" in result.values["process_open"]["sum"]
    assert "duplicate right steps" not in result.values["process_open"]["min"]


def test_a_scorer_that_never_answers_says_why() -> None:
    def fails(prompt: str, steps: list[str]) -> list[float]:
        raise RuntimeError("no key")

    with pytest.raises(DataError, match=r"raised RuntimeError: no key \(58 of 58 solutions\); none has a score"):
        audit(FunctionReward("m:fails", fails), planted(4)[:4], hacked_solutions=4)


def test_a_scorer_that_hangs_is_given_up() -> None:
    calls: list[int] = []

    def hangs(prompt: str, steps: list[str]) -> list[float]:
        calls.append(1)
        threading.Event().wait(30)
        return [0.5] * len(steps)

    with pytest.raises(DataError, match=r"3 calls of .*hangs took longer than 0.05 s, and no more are made"):
        audit(FunctionReward("m:hangs", hangs), planted(4), timeout_s=0.05)
    assert len(calls) == 3


def test_a_scorer_that_only_works_in_the_main_thread_is_called_there() -> None:
    def signals(prompt: str, steps: list[str]) -> list[float]:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        return judge(prompt, steps)

    assert by_code(audit(FunctionReward("m:signals", signals), planted(4)))["RW801"].n_missing == 0


def test_a_verdict_needs_the_whole_interval_on_one_side_and_five_problems() -> None:
    def verdict(low: float, high: float, n: int = 9) -> str:
        return side_of(Interval((low + high) / 2, low, high, n, "wilson"), 0.5)

    assert [verdict(0.6, 0.9), verdict(0.1, 0.4), verdict(0.4, 0.9)] == ["ok", "problem", "unclear"]
    assert verdict(0.6, 0.9, n=4) == verdict(float("nan"), 0.9) == "unclear"


def test_a_solution_of_one_kind_checks_what_it_can() -> None:
    right = [each for each in planted() if each.final_right == 1.0]
    codes = by_code(audit(FunctionReward("m:judge", judge), right))
    for code in ("RW801", "RW802", "RW804", "RW819"):
        assert codes[code].verdict == "not checked"
        assert codes[code].action
    assert codes["RW813"].verdict != "not checked"


def test_a_process_reward_end_to_end(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    write_steps(planted(6), path)
    result = audit_reward(f"{folder}@product", parts="process", steps=str(path), resamples=100)
    codes = by_code(result)
    assert "under product" in codes["RW811"].baseline
    assert "tuned on its held-out problems" in codes["RW802"].baseline
    assert result.values["process_threshold"] == 0.5
    # a fresh head is no finder of errors
    assert codes["RW801"].verdict != "ok"
    assert result.values["process_n_solutions"] == 12


def prmbench(path: Path) -> Path:
    rows = [
        {
            "idx": f"{kind}-{k}", "original_question": f"What is {k} + 2?", "modified_question": f"What is {k} + 2?",
            "modified_process": [f"{k} + 2 = {k + 2}", f"so {k + 3}", "done"], "error_steps": [2],
            "classification": kind,
        }
        for kind in ("redundency", "confidence") for k in range(6)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_prmbench_categories_with_a_process_reward(folder: Path, tmp_path: Path) -> None:
    config = AuditRewardConfig(benchmarks=f"prmbench:{prmbench(tmp_path / 'prmtest.jsonl')}", resamples=100)
    result = audit_benchmarks(ProcessReward.load(str(folder)), config=config, rng=np.random.default_rng(0))
    (table,) = [each for each in result.tables if each.name == "benchmark_prmbench"]
    assert {row[0] for row in table.rows} >= {"redundency", "confidence"}
    assert result.values["benchmark_prmbench_n"] == 12


def test_a_benchmark_by_problem_gives_the_numbers_of_one_by_one(folder: Path, tmp_path: Path) -> None:
    (benchmark,) = read_benchmarks(f"prmbench:{prmbench(tmp_path / 'prmtest.jsonl')}")
    reward = ProcessReward.load(str(folder))

    class OneByOne:
        name, head_names = "one", ("reward",)
        score_steps = staticmethod(reward.score_steps)

    batched, single = step_scores(reward, benchmark), step_scores(OneByOne(), benchmark)  # type: ignore[arg-type]
    for left, right in zip(batched.scores, single.scores, strict=True):
        assert left == pytest.approx(right, abs=1e-5)


def test_a_scorer_that_fails_on_a_call_leaves_its_problems_missing(tmp_path: Path) -> None:
    class Failing:
        name, head_names = "failing", ("reward",)

        def score_problems(self, problems: Any) -> Any:
            raise RuntimeError("out of memory")

    (benchmark,) = read_benchmarks(f"prmbench:{prmbench(tmp_path / 'prmtest.jsonl')}")
    found = step_scores(Failing(), benchmark)  # type: ignore[arg-type]
    assert found.reasons == {"raised RuntimeError: out of memory": 12}
    assert all(np.isnan(score).all() and score.size == 3 for score in found.scores)


# ----------------------------------------------------------------------------------------------------------- thresholds
def process_bench(root: Path) -> Path:
    """Two subsets of solutions of three steps."""
    root.mkdir()
    for seed, name in enumerate(("gsm8k", "math")):
        rng = np.random.default_rng(seed)
        rows = []
        for k in range(30):
            label = int(rng.integers(3)) if k % 2 else -1
            score = rng.uniform(0.6, 1.0, 3)
            if label >= 0:
                score[label] = rng.uniform(0.0, 0.5)
            rows.append({"id": f"{name}-{k}", "problem": f"{name} {k}", "steps": ["a", "b", "c"], "label": label,
                         "prm": score.tolist()})  # fmt: skip
        (root / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return root


def test_a_threshold_is_kept_with_its_split_and_read_back(tmp_path: Path) -> None:
    data, out = process_bench(tmp_path / "bench"), tmp_path / "out"
    options = {"benchmarks": str(data), "parts": "benchmarks", "resamples": 100}
    result = audit_reward("column:prm", out=out, step_threshold="gsm8k", **options)
    values = result.values
    assert values["benchmark_processbench_threshold_split"] == "gsm8k"
    assert values["benchmark_processbench_threshold_n"] == 30
    assert 0.4 < values["benchmark_processbench_threshold_tuned"] < 0.7
    assert str(out / FILE_NAME) in result.files
    assert "30 solutions of gsm8k" in result.provenance["benchmark_processbench_threshold"]
    stored = read_thresholds(out / FILE_NAME)["ProcessBench"]
    assert (stored.threshold, stored.reward) == (values["benchmark_processbench_threshold_tuned"], "column:prm")

    again = audit_reward("column:prm", step_threshold=str(out / FILE_NAME), **options)
    used = again.values["benchmark_processbench_threshold"]
    assert used["math"] == stored.threshold
    assert used["gsm8k"] != stored.threshold  # what it was tuned on is cross-fitted, whoever tuned it
    tables = [next(t for t in each.tables if t.name == "benchmark_processbench") for each in (result, again)]
    assert [row[:3] for row in tables[0].rows] == [row[:3] for row in tables[1].rows]
    assert "tuned on 30 solutions" in again.findings[0].baseline
    assert "tuned on 30 solutions of gsm8k of ProcessBench" in again.provenance["benchmark_processbench_threshold"]
    assert "benchmark_processbench_threshold_tuned" not in again.values


def test_without_a_folder_nothing_is_written(tmp_path: Path) -> None:
    data = process_bench(tmp_path / "bench")
    result = audit_reward("column:prm", step_threshold="gsm8k", benchmarks=str(data), parts="benchmarks", resamples=100)
    assert result.files == ()


def test_what_names_a_file_of_thresholds(tmp_path: Path) -> None:
    assert is_file("x.json")
    assert not any(is_file(text) for text in ("", "0.5", "gsm8k"))
    with pytest.raises(DataError, match="not readable as a stored threshold"):
        read_thresholds(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text('{"kind": "karat step threshold", "thresholds": {}}')
    with pytest.raises(DataError, match="holds no finite threshold"):
        read_thresholds(tmp_path / "bad.json")
    with pytest.raises(DataError, match="not readable"):
        audit_reward("column:prm", step_threshold=str(tmp_path / "none.json"), parts="benchmarks")


def test_several_thresholds_and_none_of_the_benchmark(tmp_path: Path) -> None:
    entry = {"threshold": 0.3, "benchmark": "A", "split": "s", "n_solutions": 4, "reward": "r"}
    content = {"kind": "karat step threshold", "thresholds": {"A": entry, "B": {**entry, "benchmark": "B"}}}
    path = tmp_path / "t.json"
    path.write_text(json.dumps(content))
    assert asked_for(str(path), "A").text == "0.3"
    with pytest.raises(InputError, match="holds thresholds of A, B, and none of C"):
        asked_for(str(path), "C")
