"""Optimising a policy against a reward with TRL's GRPOTrainer."""

from __future__ import annotations

import logging
import math
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from karat.errors import InputError
from karat.policies import Policy
from karat.rewards import Reward
from karat.rewards.trl import trl_reward
from karat.stress.rl.config import RlConfig
from karat.types import Message, Text


@dataclass(slots=True)
class RewardTally:
    """Scores that training asked for, and those that were missing."""

    asked: int = 0
    missing: int = 0


def train_policy(
    policy: Policy,
    prompts: Sequence[Text],
    reward: Reward,
    config: RlConfig,
    *,
    on_step: Callable[[int, Policy], bool],
) -> RewardTally:
    """GRPO for config.steps; the policy's model is changed in place (with config.lora: wrapped in adapters).

    A missing score is counted and is None to TRL, which leaves it out of the mean and the deviation of its group and
    gives its response no advantage.

    Args:
        on_step: called with 0 before training and after each step; True stops.
    Raises: InputError: the weights are no longer finite.
    """
    from datasets import Dataset
    from transformers import PrinterCallback, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer  # type: ignore[attr-defined]

    tally = RewardTally()
    if config.lora:
        from peft import LoraConfig, get_peft_model

        adapters = LoraConfig(r=config.lora, lora_alpha=2 * config.lora, target_modules="all-linear")
        policy.model = get_peft_model(policy.model, adapters)  # type: ignore[assignment]

    class Watch(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if not all(bool(torch.isfinite(weight).all()) for weight in policy.model.parameters()):
                raise InputError(
                    f"the policy's weights are not finite after step {state.global_step}: training has diverged. "
                    f"Lower --lr (now {config.lr:g}) or use --dtype float32."
                )
            if on_step(state.global_step, policy):
                control.should_training_stop = True

    per_step = config.prompts_per_step * config.generations
    per_pass = config.responses_per_pass or per_step
    with tempfile.TemporaryDirectory() as scratch:
        trainer = GRPOTrainer(
            model=policy.model,
            reward_funcs=counted(reward, tally),
            args=GRPOConfig(
                output_dir=scratch,
                max_steps=config.steps,
                per_device_train_batch_size=per_pass,
                gradient_accumulation_steps=per_step // per_pass,
                num_generations=config.generations,
                learning_rate=config.lr,
                lr_scheduler_type="constant",
                beta=config.kl_beta,
                temperature=config.temperature,
                max_completion_length=config.max_new_tokens,
                gradient_checkpointing=False,
                bf16=False,
                use_cpu=not torch.cuda.is_available(),
                report_to="none",
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
                seed=config.seed,
                dataloader_pin_memory=torch.cuda.is_available(),
            ),
            train_dataset=Dataset.from_list([{"prompt": as_trl(prompt)} for prompt in prompts]),
            processing_class=policy.tokenizer,
            callbacks=[Watch()],
        )
        trainer.remove_callback(PrinterCallback)
        if not on_step(0, policy):
            with warnings.catch_warnings(), _without_missing_score_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # TRL's own use of transformers
                trainer.train()
    policy.model.train(False)
    return tally


@contextmanager
def _without_missing_score_warnings() -> Iterator[None]:
    """TRL prints one at every step, with a response; here missing scores are counted."""
    logger = logging.getLogger("trl.trainer.grpo_trainer")

    def is_kept(record: logging.LogRecord) -> bool:
        return "All reward functions returned None" not in record.getMessage()

    logger.addFilter(is_kept)
    try:
        yield
    finally:
        logger.removeFilter(is_kept)


def counted(reward: Reward, tally: RewardTally) -> Callable[..., list[float | None]]:
    """The reward for TRL, with its scores counted; None where one is missing."""
    score = trl_reward(reward)

    def counting(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
        values = score(prompts=prompts, completions=completions, **columns)
        values = [value if value is not None and math.isfinite(value) else None for value in values]
        tally.asked += len(values)
        tally.missing += values.count(None)
        return values

    counting.__name__ = score.__name__
    return counting


def as_trl(prompt: Text) -> Any:
    """A prompt as TRL's data sets hold it."""
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, tuple):
        return [{"role": turn.role, "content": turn.content} for turn in prompt if isinstance(turn, Message)]
    raise InputError("tokenised prompts cannot be given to GRPOTrainer; give text or conversations.")
