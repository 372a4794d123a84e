"""Training a process reward end to end on a tiny decoder: it learns, resumes exactly, and refuses what it must."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from karat.data.steps import write_steps
from karat.errors import DataError, InputError, ModelError
from karat.rewards.process import ProcessReward, StepProblem
from karat.train.process import ProcessConfig, train_process
from karat.train.process.sources import gather_steps
from karat.types import Result, StepSolution
from rewards.tiny import save_tiny
from train.process.toy import FAST, toy_solutions

NAN = float("nan")


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny(tmp_path_factory.mktemp("lm")))


def run(lm: str, out: Path, solutions: list[StepSolution] | None = None, **options: Any) -> Result:
    chosen = toy_solutions(120, per_problem=2) if solutions is None else solutions
    return train_process(chosen, out=out, model=lm, **{**FAST, **options})


def account(result: Result, name: str = "account") -> set[tuple[str, str, int]]:
    return {row[:3] for row in next(table for table in result.tables if table.name == name).rows}


# ---------------------------------------------------------------------------------------------------------- it learns
@pytest.mark.parametrize(
    "options",
    [
        {"likelihood": "soft"},
        {"likelihood": "first-error", "head": "two-class"},
        {"likelihood": "hard", "freeze_below": 1, "chat": True},
        {"lora": 4, "lr": 1e-2, "gradient_checkpointing": True},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_learns_which_steps_are_wrong_and_saves_it(
    options: dict[str, Any], lm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KARAT_CACHE", str(tmp_path / "cache"))
    result = run(lm, tmp_path / "prm", **options)
    values = result.values
    assert values["auroc"] >= 0.95
    assert values["auroc_low"] <= values["auroc"] <= values["auroc_high"]
    assert np.mean(values["losses"][-3:]) < np.mean(values["losses"][:3])
    assert len(values["losses"]) == values["steps"]
    assert not (tmp_path / "prm" / "checkpoints").exists()
    assert {finding.code for finding in result.findings} == {f"RM30{i}" for i in range(1, 9)}

    reward = ProcessReward.load(str(tmp_path / "prm"))
    right, wrong = reward.score_steps("new", ["good 1", "oops 2"])
    assert 0 <= wrong < right <= 1
    assert reward.aggregate == "min"


def test_manifest_holds_what_the_numbers_rest_on(lm: str, tmp_path: Path) -> None:
    result = run(lm, tmp_path / "prm", max_steps=2, seed=3, label_source="monte-carlo", tune_fraction=0.3)
    manifest = json.loads((tmp_path / "prm" / "karat.json").read_text())
    assert manifest["kind"] == "process reward model"
    assert manifest["process"]["labels"] == "monte-carlo"
    assert manifest["process"]["likelihood"] == "soft"
    assert manifest["metrics"]["auroc"] == result.values["auroc"]
    data = manifest["data"]
    assert data["train_problems"] + data["tune_problems"] + data["test_problems"] == 60
    assert min(data["train_problems"], data["tune_problems"], data["test_problems"]) > 3
    assert manifest["thresholds"]["problems"] == data["tune_problems"]
    assert "neither fitted nor held out" in manifest["thresholds"]["split"]
    assert manifest["process"]["threshold"] == manifest["thresholds"]["first_error"]
    assert manifest["process"]["threshold_split"].startswith("problems that were neither fitted nor held out: ")
    assert manifest["encoding"]["separator"] == "\n"
    assert ProcessReward.load(str(tmp_path / "prm")).aggregate == "last"  # what fits values


def test_evaluation_scores_what_the_saved_reward_scores(lm: str, tmp_path: Path) -> None:
    held_out = toy_solutions(20, seed=5)
    held_out = [replace(one, prompt=f"t{one.prompt}", prompt_id=f"t{one.prompt_id}") for one in held_out]
    result = run(lm, tmp_path / "prm", max_steps=3, test_solutions=held_out)
    reward = ProcessReward.load(str(tmp_path / "prm"))
    right = []
    for one in held_out:
        score_S = reward.score_problems([StepProblem(one.prompt, (one.steps,))])[0][0]
        label_S = np.array(one.labels)
        right += ((score_S >= result.values["step_threshold"]) == label_S)[~np.isnan(label_S)].tolist()
    assert result.values["accuracy"] == pytest.approx(np.mean(right))


@pytest.mark.parametrize(("label_source", "kept"), [("correctness", 1), ("monte-carlo", 3)])
def test_values_are_kept_behind_a_wrong_step(label_source: Any, kept: int, tmp_path: Path) -> None:
    """The aggregate of values is the last step's, which must have been trained behind wrong steps too."""
    value = StepSolution("p", ("a", "b", "c"), (0.2, 0.0, 0.0), prompt_id="p")
    config = ProcessConfig(label_source=label_source, test_fraction=0.0, tune_fraction=0.0)
    write_steps([value], tmp_path / "steps.jsonl")
    for source in ([value], tmp_path / "steps.jsonl"):
        (found,) = gather_steps(source, config).fit
        assert np.isfinite(found.labels).sum() == kept


# ------------------------------------------------------------------------------------------------- the outcome reward
def test_the_outcome_reward_is_trained_from_the_same_solutions_and_compared(lm: str, tmp_path: Path) -> None:
    result = run(lm, tmp_path / "prm", outcome=True, max_steps=6)
    assert {str(tmp_path / "prm"), str(tmp_path / "prm" / "outcome")} == set(result.files)
    outcome = ProcessReward.load(str(tmp_path / "prm" / "outcome"))
    assert (outcome.aggregate, outcome.facts.likelihood) == ("last", "outcome")
    assert next(f for f in result.findings if f.code == "RM307").verdict != "not checked"
    assert 0 <= result.values["solution_auroc_outcome"] <= 1


def test_an_outcome_reward_that_was_finished_is_not_trained_again(lm: str, tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []

    def stop_in_the_second(stage: str, done: int, *_: object) -> None:
        seen.append((stage, done))
        if [stage, done] == ["training", 2] and seen.count(("training", 2)) == 2:
            raise KeyboardInterrupt

    options: dict[str, Any] = {"outcome": True, "max_steps": 3, "save_steps": 1}
    with pytest.raises(KeyboardInterrupt):
        run(lm, tmp_path / "prm", progress=stop_in_the_second, **options)
    seen.clear()
    run(lm, tmp_path / "prm", progress=lambda stage, done, *_: seen.append((stage, done)), **options)
    # the outcome reward takes no step, and this one goes on behind its first checkpoint
    assert [done for stage, done in seen if stage == "training"] == [2, 3]
    run(lm, tmp_path / "whole", **options)
    for part in (".", "outcome"):
        resumed, whole = (load_file(tmp_path / name / part / "model.safetensors") for name in ("prm", "whole"))
        assert all(torch.equal(resumed[name], whole[name]) for name in whole)


# ------------------------------------------------------------------------------------------------------------ resuming
def test_a_stopped_run_resumes_to_the_same_weights(lm: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"max_steps": 4, "save_steps": 2, "head": "two-class", "test_fraction": 0.0}

    def stop(stage: str, done: int, *_: object) -> None:
        if (stage, done) == ("training", 3):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(lm, tmp_path / "killed", progress=stop, **options)
    with pytest.raises(InputError, match=r"unfinished run that differs in head .*--overwrite"):
        run(lm, tmp_path / "killed", **{**options, "head": "scalar"})
    resumed = run(lm, tmp_path / "killed", **options)
    whole = run(lm, tmp_path / "whole", **options)
    assert resumed.values["losses"] == whole.values["losses"]
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("killed", "whole"))
    assert all(torch.equal(one[name], other[name]) for name in other)


@pytest.mark.parametrize("options", [{}, {"freeze_below": 2}], ids=str)
def test_packing_does_not_change_training(
    options: dict[str, Any], lm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KARAT_CACHE", str(tmp_path / "cache"))
    losses = [
        run(lm, tmp_path / str(tokens), toy_solutions(24), max_steps=3, tokens_per_pack=tokens, lr=1e-3, **options)
        .values["losses"]
        for tokens in (4096, 30)
    ]  # fmt: skip
    np.testing.assert_allclose(losses[1], losses[0], rtol=2e-4)


def test_a_trained_reward_is_trained_further(lm: str, tmp_path: Path) -> None:
    run(lm, tmp_path / "a", max_steps=2)
    again = run(str(tmp_path / "a"), tmp_path / "b", max_steps=1)
    assert np.isfinite(again.values["losses"]).all()
    with pytest.raises(ModelError, match="has the heads reward, not those of 'two-class'"):
        run(str(tmp_path / "a"), tmp_path / "c", max_steps=1, head="two-class")


# ----------------------------------------------------------------------------------------------------------- bad input
def test_solutions_without_labels_are_counted(lm: str, tmp_path: Path) -> None:
    odd = StepSolution("x", ("a", "b"), (NAN, NAN), prompt_id="x", row=120)
    result = run(lm, tmp_path / "a", [*toy_solutions(120), odd], max_steps=1, test_fraction=0, tune_fraction=0)
    assert ("dropped", "no step has a label", 1) in account(result)
    with pytest.raises(DataError, match="none of 1 solutions can be trained on: no step has a label"):
        run(lm, tmp_path / "b", [odd], test_fraction=0, tune_fraction=0)
    unknown = [replace(one, final_right=NAN) for one in toy_solutions(12)]
    with pytest.raises(DataError, match="it is not known whether the final answer is right"):
        run(lm, tmp_path / "c", unknown, likelihood="outcome", test_fraction=0)


def test_truncation_is_counted_on_both_sides(lm: str, tmp_path: Path) -> None:
    long = [
        StepSolution(f"l{i}", ("good " * 20, "oops 1"), (1.0, 0.0), first_error=1, prompt_id=f"l{i}", row=i)
        for i in range(40)
    ]
    result = run(lm, tmp_path / "a", long, max_steps=1, max_length=64, tune_fraction=0.3)
    kept = {reason: count for action, reason, count in account(result) if action == "changed"}
    assert kept["longer than 64 tokens: oldest steps cut"] == result.values["train_solutions"]
    scored = "tuned on or held out, longer than 64 tokens: oldest steps without a score"
    assert kept[scored] + result.values["train_solutions"] == 40
    assert result.values["n_missing"] == result.values["n_solutions"]
    assert next(f for f in result.findings if f.code == "RM306").verdict == "problem"
    with pytest.raises(DataError, match=r"none of .* can be trained on: prompt and steps have .* too_long is 'refuse'"):
        run(lm, tmp_path / "b", long, max_length=64, too_long="refuse")


def test_problems_that_are_held_out_are_not_trained_on(lm: str, tmp_path: Path) -> None:
    held_out = toy_solutions(9, seed=5)  # the problems q0, q1, q2
    result = run(lm, tmp_path / "a", toy_solutions(60), test_solutions=held_out, max_steps=1, tune_fraction=0)
    assert ("noted", "the problem is held out: not trained on", 9) in account(result)
    assert result.values["train_solutions"] == 51


def test_held_out_problems_under_other_ids_are_not_trained_on_either(lm: str, tmp_path: Path) -> None:
    held_out = [replace(one, prompt_id=f"other {one.solution_id}") for one in toy_solutions(9, seed=5)]
    result = run(lm, tmp_path / "a", toy_solutions(60), test_solutions=held_out, max_steps=1, tune_fraction=0)
    assert ("noted", "the problem is held out: not trained on", 9) in account(result)
    assert result.values["n_problems"] == 3  # clusters of the intervals too
    with pytest.raises(DataError, match="all 9 solutions to train on share a prompt or a prompt_id with held-out ones"):
        run(lm, tmp_path / "b", toy_solutions(9), test_solutions=held_out)


def test_nothing_held_out_is_said_not_hidden(lm: str, tmp_path: Path) -> None:
    result = run(lm, tmp_path / "a", toy_solutions(12), max_steps=1, test_fraction=0)
    assert [(finding.code, finding.verdict) for finding in result.findings] == [("RM301", "not checked")]
    assert np.isnan(result.values["process_f1"])
    assert "none was held out" in result.lead


def test_parts_that_leave_nothing_to_train_on(lm: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leaves no solution to train on"):
        run(lm, tmp_path / "a", toy_solutions(3), test_fraction=0.999)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"likelihood": "pairwise"}, "likelihood = 'pairwise' is out of range"),
        ({"aggregate": "median"}, "empty or one of min, product, last, mean, sum"),
        ({"separator": ""}, "separator = '' is out of range"),
        ({"tune_fraction": 1.0}, r"tune_fraction = 1.0 is out of range: it must be in \[0, 1\)"),
        ({"likelihood": "outcome", "outcome": True}, "--outcome would train it twice"),
        ({"neutral": "good"}, "neutral"),
        ({"lora": 2, "freeze_below": 1}, "exclude each other"),
    ],
    ids=str,
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ProcessConfig(**options)


# -------------------------------------------------------------------------------------------------- the command line
def test_the_command_trains_and_scores(lm: str, tmp_path: Path) -> None:
    write_steps(toy_solutions(60), tmp_path / "steps.jsonl")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "KARAT_CACHE": str(tmp_path / "cache")}
    line = ["train", "steps.jsonl", "--process", "--model", lm, "--out", "prm", "--separator", r"\n", "--lr", "3e-3"]
    line += ["--test-fraction", "0.3", "--pairs-per-step", "4", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "karat", *line],
        cwd=tmp_path, capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    values = json.loads(done.stdout)["values"]
    names = ("step_f1", "process_f1", "auroc")
    assert {f"{name}{end}" for name in names for end in ("", "_low", "_high")} <= values.keys()
    assert ProcessReward.load(str(tmp_path / "prm")).encoder.policy.separator == "\n"
