"""Process rewards in memory and on disk: the same probabilities in karat and transformers, padding or not; missing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit
from transformers import AutoModelForSequenceClassification

from karat.errors import DataError, InputError, ModelError
from karat.rewards import Group, Reward, RewardModel, load_reward
from karat.rewards.kinds import EnsembleReward
from karat.rewards.model import MANIFEST
from karat.rewards.process import (
    ProcessReward,
    StepPolicy,
    StepProblem,
    StepScorer,
    load_process_for_training,
    save_process_reward,
)
from karat.rewards.process.model import HeadKind, ProcessFacts
from karat.types import Message, TokenIds
from rewards.tiny import save_tiny

PROBLEMS = [
    StepProblem(
        "What is 2 + 3 * 4?", (("3 * 4 = 12", "2 + 12 = 14"), ("2 + 3 = 5", "5 * 4 = 20", "It is 20."), ("14",))
    ),
    StepProblem("Say hi", (("hi",),)),
]


def made(
    folder: Path, *, head: HeadKind = "scalar", facts: ProcessFacts | None = None, **policy: object
) -> ProcessReward:
    path = save_tiny(folder / "lm")
    options = StepPolicy(**{"max_length": 256, **policy})  # type: ignore[arg-type]
    reward = load_process_for_training(str(path), policy=options, head=head, facts=facts, seed=1)
    reward.net.eval()
    return reward


def flat(reward: ProcessReward, problems: list[StepProblem] = PROBLEMS) -> np.ndarray:
    return np.concatenate([prob for row in reward.score_problems(problems) for prob in row])


@pytest.mark.parametrize("head", ["scalar", "two-class"])
def test_saved_loaded_and_plain_transformers_give_the_same_probabilities(head: HeadKind, tmp_path: Path) -> None:
    """One tree a problem, against a transformers classifier run on every prefix of steps by itself."""
    reward = made(tmp_path, head=head)
    save_process_reward(reward, tmp_path / "prm", {"seed": 1})
    again = ProcessReward.load(str(tmp_path / "prm"))
    assert flat(again) == pytest.approx(flat(reward), rel=1e-6)
    assert again.network_heads == (("reward",) if head == "scalar" else ("right", "wrong"))
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "prm").eval()
    expected = []
    for problem in PROBLEMS:
        for steps in problem.solutions:
            for last in range(len(steps)):
                text = problem.prompt + "\n" + "".join(step + "\n\n" for step in steps[: last + 1])
                ids = reward.encoder.tokenizer(text)["input_ids"]
                with torch.no_grad():
                    expected.append(float(plain(input_ids=torch.tensor([ids])).logits[0, 0]))
    assert flat(again) == pytest.approx(expit(expected), rel=1e-4)


def test_two_classes_are_a_softmax_of_their_logits(tmp_path: Path) -> None:
    reward = made(tmp_path, head="two-class")
    tree = reward.encoder.encode(PROBLEMS[1]).tree
    ids = torch.tensor([tree.root + tree.branches[0]])
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "lm", num_labels=2).eval()
    with torch.no_grad():
        plain.score.weight.copy_(reward.net.head.weight)
        hidden = plain.model(input_ids=ids).last_hidden_state[0, -1]
        right = torch.softmax(plain.score(hidden), dim=-1)[0]
    assert flat(reward, PROBLEMS[1:])[0] == pytest.approx(float(right), rel=1e-5)


def test_scores_do_not_depend_on_the_company(tmp_path: Path) -> None:
    """Nor on the size of a pack, which splits trees between branches."""
    reward = made(tmp_path)
    together = reward.score_problems(PROBLEMS)
    alone = [
        reward.score_problems([StepProblem(problem.prompt, (steps,))])[0][0]
        for problem in PROBLEMS
        for steps in problem.solutions
    ]
    assert np.concatenate(alone) == pytest.approx(np.concatenate([prob for row in together for prob in row]), rel=1e-4)
    reward.tokens_per_pack = 40
    assert flat(reward) == pytest.approx(np.concatenate(alone), rel=1e-4)


def test_score_is_the_aggregate_of_the_steps_of_the_response(tmp_path: Path) -> None:
    reward = made(tmp_path)
    prob = reward.score_problems(PROBLEMS[:1])[0][1]
    group = Group("What is 2 + 3 * 4?", ("2 + 3 = 5\n\n\n\n 5 * 4 = 20\n\nIt is 20.\n\n",))
    expected = {"min": prob.min(), "product": prob.prod(), "last": prob[-1], "mean": prob.mean(), "sum": prob.sum()}
    for how, value in expected.items():
        assert reward.with_aggregate(how).score([group])[0][0].value == pytest.approx(value, rel=1e-5)
    assert reward.score_steps("What is 2 + 3 * 4?", ["2 + 3 = 5", "5 * 4 = 20", "It is 20."]) == pytest.approx(prob)


def test_a_response_is_parted_by_what_policies_write_not_by_the_tag(tmp_path: Path) -> None:
    reward = made(tmp_path, separator=" <ok>", facts=ProcessFacts(split_on="\n"))
    steps = reward.score_steps("p", ["one", "two"])
    assert reward.score([Group("p", ("one\ntwo\n",))])[0][0].value == pytest.approx(min(steps), rel=1e-5)


@pytest.mark.parametrize(("labels", "expected"), [("correctness", "min"), ("monte-carlo", "last"), ("", "min")])
def test_the_aggregate_fits_the_labels_unless_it_is_named(labels: str, expected: str, tmp_path: Path) -> None:
    reward = made(tmp_path, facts=ProcessFacts(labels=labels, threshold=0.4, threshold_split="gsm8k"))
    save_process_reward(reward, tmp_path / "prm", {})
    again = load_reward(str(tmp_path / "prm"))
    assert isinstance(again, ProcessReward)
    assert isinstance(again, Reward)
    assert isinstance(again, StepScorer)
    assert again.aggregate == expected
    assert (again.facts.threshold, again.facts.threshold_split) == (0.4, "gsm8k")
    named = load_reward(f"{tmp_path / 'prm'}@product")
    assert isinstance(named, ProcessReward)
    assert (named.aggregate, named.name) == ("product", f"{tmp_path / 'prm'}@product")
    assert named.with_aggregate("sum").name == f"{tmp_path / 'prm'}@sum"


def test_an_ensemble_of_process_rewards_scores(tmp_path: Path) -> None:
    save_process_reward(made(tmp_path), tmp_path / "prm", {})
    both = load_reward(f"ensemble:{tmp_path / 'prm'}@min,{tmp_path / 'prm'}@last")
    assert isinstance(both, EnsembleReward)
    score = both.score([Group("p", ("one\n\ntwo",))])[0][0]
    prob = made(tmp_path / "b").score_steps("p", ["one", "two"])
    assert score.heads == pytest.approx((min(prob), prob[-1]), rel=1e-5)


def test_an_outcome_reader_refuses_a_process_reward_and_the_reverse(tmp_path: Path) -> None:
    save_process_reward(made(tmp_path), tmp_path / "prm", {})
    with pytest.raises(ModelError, match="read at each step, not at the end"):
        RewardModel.load(str(tmp_path / "prm"))
    with pytest.raises(ModelError, match="no process reward"):
        load_reward(f"{tmp_path / 'lm'}@min")
    with pytest.raises(ModelError, match="not a reward model"):
        load_reward(str(tmp_path / "lm"))


def test_another_encoding_than_in_training_is_refused(tmp_path: Path) -> None:
    save_process_reward(made(tmp_path), tmp_path / "prm", {})
    assert ProcessReward.load(str(tmp_path / "prm"), max_length=64).encoder.policy.max_length == 64
    manifest = json.loads((tmp_path / "prm" / MANIFEST).read_text())
    manifest["encoding"]["separator"] = "\n"
    (tmp_path / "prm" / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="not those of the training"):
        ProcessReward.load(str(tmp_path / "prm"))


def test_training_goes_on_from_a_process_reward_with_its_own_head(tmp_path: Path) -> None:
    reward = made(tmp_path, head="two-class")
    save_process_reward(reward, tmp_path / "prm", {})
    options = {"policy": reward.encoder.policy, "seed": 9}
    again = load_process_for_training(str(tmp_path / "prm"), head="two-class", **options)  # type: ignore[arg-type]
    assert flat(again) == pytest.approx(flat(reward), rel=1e-6)
    with pytest.raises(ModelError, match=r"has the heads right, wrong, not those of 'scalar'"):
        load_process_for_training(str(tmp_path / "prm"), head="scalar", **options)  # type: ignore[arg-type]


def test_what_cannot_be_scored_is_missing_with_the_reason_and_takes_nobody_along(tmp_path: Path) -> None:
    reward = made(tmp_path, max_length=60)
    long = StepProblem("p", (("a" * 30, "b" * 30, "c" * 10), ("short",), ("x" * 99,), ()))
    found = reward.score_solutions([StepProblem(TokenIds((5,)), (("a",),)), long])
    assert "tokenised" in found[0][0].missing
    assert np.isnan(found[1][0].prob_S).tolist() == [True, False, False]
    assert found[1][0].missing == "the limit of length cut 1 of 3 steps"
    assert found[1][1].missing == ""
    assert found[1][1].prob_S[0] == pytest.approx(reward.score_steps("p", ["short"])[0], rel=1e-4)
    assert "prompt and the last step alone" in found[1][2].missing
    assert "without steps" in found[1][3].missing
    assert reward.n_cut == 1
    steps = "\n\n".join(long.solutions[0])
    last = reward.with_aggregate("last").score([Group("p", (steps,))])[0][0]
    assert last.value == pytest.approx(found[1][0].prob_S[-1], rel=1e-5)
    assert reward.score([Group("p", (steps,))])[0][0].missing == "the limit of length cut 1 of 3 steps"
    with pytest.raises(DataError, match="prompt and the last step alone"):
        reward.score_steps("p", ["x" * 99])


def test_a_step_that_is_not_finite_is_missing(tmp_path: Path) -> None:
    reward = made(tmp_path)
    with torch.no_grad():
        reward.net.head.weight.fill_(float("nan"))
    score = reward.score([Group("p", ("one",))])[0][0]
    assert np.isnan(score.value)
    assert "not finite" in score.missing


def test_conversations_and_token_ids_in_groups(tmp_path: Path) -> None:
    reward = made(tmp_path, chat=True)
    prompt, response = (Message("user", "2+2?"),), (Message("assistant", "2+2=4\n\nSo 4"),)
    scores = reward.score([Group(prompt, (response,)), Group(TokenIds(()), (TokenIds((5, 6)),))])
    assert scores[0][0].value == pytest.approx(min(reward.score_steps("2+2?", ["2+2=4", "So 4"])), rel=1e-4)
    assert "tokenised" in scores[1][0].missing


def test_facts_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(InputError, match="aggregate = 'worst' is not one of min, product"):
        ProcessFacts(aggregate="worst")
    with pytest.raises(InputError, match="name the data it was tuned on"):
        ProcessFacts(threshold=0.5)
