"""The two audits as a whole: the sentence they lead with, parts that cannot run, options that exclude each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import karat
from karat.audit.leads import data_lead, reward_lead
from karat.audit.parts import attempt, chosen_parts, merge
from karat.errors import InputError, KaratError
from karat.rewards.kinds import FunctionReward
from karat.types import Finding, Result

ROWS = [
    {"prompt": f"Which is number {number}?", "chosen": f"It is the {number}th.", "rejected": f"No idea about {number}."}
    for number in range(30)
]


def test_the_lead_names_what_was_measured_and_nothing_else() -> None:
    values = {"n_pairs": 1200, "structure_exact": 0.01, "structure_near": 0.02, "content_accuracy": float("nan")}
    assert data_lead("prefs.jsonl", values) == "1,200 pairs of prefs.jsonl: 3.0% repeat another."
    assert data_lead("prefs.jsonl", {"n_pairs": 1200}) == ""
    noise = {"n_pairs": 1200, "noise_low": 0.2, "noise_high": 0.3, "noise_ceiling": 0.35}
    assert data_lead("prefs.jsonl", noise).endswith(
        "at most 35.0% of labels are flipped at random (20.0% to 30.0% if the judge is right where it is sure)."
    )


def test_the_lead_of_a_reward_counts_checks_that_ran() -> None:
    findings = [Finding("RW101", "Scores are reproducible", "ok"), Finding("RW601", "Benchmarks", "not checked")]
    assert reward_lead("rm", findings) == "The reward rm fails none of 1 checks."
    wrong = Finding("RW215", "Padding earns nothing", "problem")
    assert (
        reward_lead("rm", [*findings, wrong]) == "The reward rm fails 1 of 2 checks, among them: padding earns nothing."
    )
    named = Finding("RW601", "JudgeBench gpt-4o: score", "problem")
    assert reward_lead("rm", [named]).endswith("among them: JudgeBench gpt-4o: score.")


def test_a_part_that_was_left_out_changes_no_other() -> None:
    both = karat.audit_data(ROWS, parts="structure,content", resamples=100)
    one = karat.audit_data(ROWS, parts="content", resamples=100)
    kept = {name: value for name, value in both.values.items() if name.startswith("content_")}
    assert kept
    for name, value in kept.items():
        np.testing.assert_equal(one.values[name], value, err_msg=name)


def test_pairs_can_be_named_in_memory_and_are_counted() -> None:
    result = karat.audit_data(ROWS, parts="structure")
    assert result.values["n_pairs"] == 30
    assert result.verdict == "ok"
    assert "30 pairs of" in result.lead


def test_one_pair_is_no_crash_and_no_number_made_up() -> None:
    result = karat.audit_data(ROWS[:1], parts="structure,content", resamples=100)
    assert result.values["n_pairs"] == 1
    assert not any(finding.verdict == "problem" for finding in result.findings)


def test_what_an_option_names_and_is_not_there_is_an_error_before_the_work() -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        karat.audit_data(ROWS, parts="coverage", targets="nowhere.jsonl")
    with pytest.raises(InputError, match="cannot import nowhere"):
        karat.audit_data(ROWS, parts="noise", reward="nowhere:reward")
    assert karat.audit_data(ROWS, parts="structure", targets="nowhere.jsonl", reward="nowhere:reward").verdict == "ok"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"parts": "probes", "probes": "lenght"}, "no probe or family 'lenght'"),
        ({"parts": "probes", "rewriter": "nowhere:rewrite"}, "cannot import nowhere"),
        ({"parts": "sophistry", "items": "nowhere.jsonl"}, "no such file or folder"),
        ({"parts": "predict", "pool": "nowhere.jsonl"}, "no such file or folder"),
        ({"parts": "benchmarks", "benchmarks": "nowhere.jsonl"}, "no such file or folder"),
    ],
)
def test_so_is_what_an_option_of_the_rewards_audit_names(option: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        karat.audit_reward("builtin:longer", **option)


def test_a_function_that_returns_too_few_scores_is_an_error_and_no_part_left_out() -> None:
    def one(prompts: list[str], completions: list[str], **_: object) -> list[float]:
        return [1.0]

    with pytest.raises(InputError, match="returned 1 scores for 2 responses"):
        karat.audit_reward(FunctionReward("one", one), parts="sanity")


def test_a_model_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(KaratError, match="nosuch"):
        karat.audit_data(ROWS, parts="noise", model="nosuch")


def test_fix_needs_a_folder_and_one_source(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs a folder"):
        karat.audit_data(ROWS, fix="dedupe")
    with pytest.raises(InputError, match="several were given"):
        karat.audit_data(ROWS, ROWS, fix="dedupe", out=tmp_path)
    with pytest.raises(InputError, match="no pairs to audit"):
        karat.audit_data()


def test_a_reward_part_without_its_input_says_what_it_needs() -> None:
    result = karat.audit_reward("builtin:longer", parts="benchmarks")
    finding = next(finding for finding in result.findings if finding.code == "RW601")
    assert finding.verdict == "not checked"
    assert "--benchmarks" in finding.action


def test_parts_are_run_in_their_own_order_and_unknown_ones_named() -> None:
    assert chosen_parts("b, a", ("a", "b", "c")) == ("a", "b")
    assert chosen_parts("", ("a", "b")) == ("a", "b")
    with pytest.raises(InputError, match="no part 'd'; there are: a, b"):
        chosen_parts("a,d", ("a", "b"))


def test_a_fault_of_ours_is_not_taken_for_an_input_that_is_missing() -> None:
    def part() -> Result:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        attempt("audit data", "DA101", "Exact duplicates", part)


def test_two_parts_cannot_give_one_value() -> None:
    with pytest.raises(AssertionError, match="share"):
        merge("audit data", [Result("a", values={"share": 1}), Result("b", values={"share": 2})], provenance={})
