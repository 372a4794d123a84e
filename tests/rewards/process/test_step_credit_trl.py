"""Process rewards in TRL: as a reward function, and as advantages of tokens through a real step of GRPO."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from karat.errors import InputError
from karat.numerics.process_credit import soft_min_rewards
from karat.rewards.process import ProcessReward, StepPolicy, load_process_for_training, save_process_reward
from karat.rewards.process.trl import token_ends, trl_step_credit
from karat.rewards.trl import trl_reward
from rewards.tiny import byte_tokenizer, save_tiny


def by_length(prompt: str, steps: list[str]) -> list[float]:
    """Short steps are right, the more so the shorter."""
    return [1 / (1 + len(step)) for step in steps]


def batch_of(texts: list[str]) -> dict[str, Any]:
    rows = [byte_tokenizer()(text)["input_ids"] + [2] for text in texts]
    longest = max(map(len, rows))
    return {
        "completion_ids": torch.tensor([row + [0] * (longest - len(row)) for row in rows]),
        "completion_mask": torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows]),
        "advantages": torch.tensor([0.5, -0.5] * (len(texts) // 2)),
    }


class StandIn:
    """What `trl_step_credit` uses of a GRPOTrainer, around one fixed batch."""

    def __init__(self, texts: list[str], processes: int = 1) -> None:
        self.accelerator = type("A", (), {"num_processes": processes})
        self.model = type("M", (), {"training": True})
        self.num_generations, self.processing_class, self.max_completion_length = 2, byte_tokenizer(), 10
        self._metrics: dict[str, dict[str, list[float]]] = {
            "train": {"step_credit/" + n: [] for n in ("missing", "mean", "min")}
        }
        self.texts = texts

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        return batch_of(self.texts)


INPUTS = [{"prompt": "Q"}] * 2


def test_tokens_are_paid_for_their_steps() -> None:
    """Bytes: 'ab|c' + EOS and 'abc' + EOS, the limit 10 tokens; the min form, exactly."""
    trainer = StandIn(["ab|c", "abc"])
    trl_step_credit(trainer, by_length, separator="|", temperature=0, outcome_weight=2.0)
    found = trainer._generate_and_score_completions(INPUTS)["advantages"]
    first_S = 2 * np.array([1 / 3, 1 / 2]) - 1  # -1/3 and 0: the first is the lowest
    second = 2 * (1 / 4) - 1
    paid = [-1 / 3, -1 / 3, -1 / 3, 0, 0]
    expected = [value - left * second / 10 for value, left in zip(paid, (5, 4, 3, 2, 1), strict=True)]
    assert soft_min_rewards(first_S, 0).tolist() == pytest.approx([-1 / 3, 0])
    assert found[0].tolist() == pytest.approx([value + 1.0 for value in expected], abs=1e-6)
    assert found[1].tolist() == pytest.approx([second + (4 - i) / 30 - 1.0 for i in range(4)] + [-1.0], abs=1e-6)
    assert trainer._metrics["train"]["step_credit/min"] == pytest.approx([(1 / 3 + 1 / 4) / 2])
    assert trainer._metrics["train"]["step_credit/missing"] == [0]


def test_what_has_no_score_moves_nothing() -> None:
    trainer = StandIn(["ab|c", "abc"])
    trl_step_credit(trainer, lambda prompt, steps: [None] * len(steps), separator="|")
    assert not trainer._generate_and_score_completions(INPUTS)["advantages"].any()
    assert trainer._metrics["train"]["step_credit/missing"] == [1]


def test_credit_does_not_depend_on_how_long_others_of_the_batch_are() -> None:
    alone, beside = StandIn(["ab|c", "abc"]), StandIn(["ab|c", "abc", "d" * 9, "d"])
    for trainer in (alone, beside):
        trl_step_credit(trainer, by_length, separator="|")
    inputs = [*INPUTS, *[{"prompt": "R"}] * 2]
    one = alone._generate_and_score_completions(INPUTS)["advantages"]
    other = beside._generate_and_score_completions(inputs)["advantages"]
    torch.testing.assert_close(other[:2, : one.shape[1]], one)


def test_a_completion_that_is_masked_as_truncated_is_missing_and_in_no_baseline() -> None:
    """`mask_truncated_completions` leaves a mask of zeros, which is no empty step; its neighbour has no other."""
    trainer = StandIn(["ab|c", "abc"])
    inner = trainer._generate_and_score_completions

    def masked(inputs: list[dict[str, Any]]) -> dict[str, Any]:
        batch = inner(inputs)
        batch["completion_mask"][1] = 0
        return batch

    trainer._generate_and_score_completions = masked  # type: ignore[method-assign]
    trl_step_credit(trainer, by_length, separator="|")
    assert not trainer._generate_and_score_completions(INPUTS)["advantages"].any()
    assert trainer._metrics["train"]["step_credit/missing"] == [0.5]


def test_what_cannot_be_credited_is_refused() -> None:
    for arguments, message in [
        ((object(), by_length), "object is no GRPOTrainer"),
        ((StandIn([], processes=2), by_length), "several processes"),
        ((StandIn([]), len), "none to its steps"),
    ]:
        with pytest.raises(InputError, match=message):
            trl_step_credit(*arguments)
    with pytest.raises(InputError, match="credit = 'max' is not one of"):
        trl_step_credit(StandIn([]), by_length, credit="max")  # type: ignore[arg-type]
    trainer = StandIn(["a", "b"])
    trl_step_credit(trainer, by_length)
    with pytest.raises(InputError, match="completions 0 to 1 do not share a prompt"):
        trainer._generate_and_score_completions([{"prompt": "Q"}, {"prompt": "R"}])


def test_ends_of_steps_in_generated_tokens() -> None:
    tokenizer = byte_tokenizer()
    ids = tokenizer("é|b|c")["input_ids"] + [2]  # é is two tokens, and EOS has no text
    assert token_ends(tokenizer, ids, [2, 4, 5]).tolist() == [2, 4, 6]
    assert token_ends(tokenizer, [2], [0]).tolist() == [0]


def test_a_step_of_grpo_is_paid_by_a_saved_process_reward(tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    made = load_process_for_training(str(save_tiny(tmp_path / "lm")), policy=StepPolicy(max_length=128), seed=1)
    save_process_reward(made, tmp_path / "prm", {})
    function = trl_reward(f"{tmp_path / 'prm'}@min")
    prob = ProcessReward.load(str(tmp_path / "prm")).score_steps("Q", ["one", "two"])
    assert function(prompts=["Q"], completions=["one\n\ntwo"]) == pytest.approx([min(prob)], rel=1e-5)
    options = {"per_device_train_batch_size": 4, "num_generations": 2, "max_completion_length": 8, "max_steps": 1}
    trainer = GRPOTrainer(
        model=str(tmp_path / "lm"),
        reward_funcs=function,
        args=GRPOConfig(output_dir=str(tmp_path / "o"), use_cpu=True, bf16=False, report_to="none", **options),
        train_dataset=Dataset.from_list([{"prompt": "Q"}, {"prompt": "R"}] * 2),
        processing_class=byte_tokenizer(),
    )
    trl_step_credit(trainer, str(tmp_path / "prm"))
    seen = []
    inner = trainer._generate_and_score_completions
    trainer._generate_and_score_completions = lambda inputs: seen.append(inner(inputs)) or seen[-1]
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    trainer.train()
    assert seen[0]["advantages"].shape == seen[0]["completion_ids"].shape == (4, 8)
    assert torch.isfinite(seen[0]["advantages"]).all()
    assert seen[0]["advantages"].any()
    assert any((a != b).any() for a, b in zip(before, trainer.model.parameters(), strict=True))
    assert trainer.state.log_history[0]["step_credit/missing"] == 0
