"""TRL's GRPOTrainer takes a grading reward as it is: two lines."""

from __future__ import annotations

import math
from pathlib import Path

from karat.grade.reward import GradeReward
from rewards.tiny import byte_tokenizer, save_tiny

TASK = {"task_id": "add", "entry_point": "add", "tests": [{"input": [1, 2], "output": 3}]}


def test_grpo_asks_it_by_keyword(tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer  # type: ignore[attr-defined]

    rows = [{"prompt": "Write add.", "task_id": name} for name in ("add", "add", "other")]
    with GradeReward([TASK], workers=1, wall_s=3.0) as reward:
        trainer = GRPOTrainer(
            model=str(save_tiny(tmp_path / "lm", tokenizer=byte_tokenizer())),
            reward_funcs=[reward],
            args=GRPOConfig(
                output_dir=str(tmp_path / "o"),
                per_device_train_batch_size=3,
                num_generations=3,
                use_cpu=True,
                bf16=False,
                report_to="none",
            ),
            train_dataset=Dataset.from_list(rows),
            processing_class=byte_tokenizer(),
        )
        completions = ["def add(a, b): return a + b", "def add(a, b): return 0", "def add(a, b): return a + b"]
        rewards = trainer._calculate_rewards(rows, ["Write add."] * 3, completions, [[1], [1], [1]])
    assert trainer.reward_func_names == ["grade"]
    assert rewards[:2, 0].tolist() == [1.0, 0.0]
    assert math.isnan(rewards[2, 0])
