"""The built-in settings: policies of the words world, trained with GRPO in one setting each and evaluated in all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from karat.data.records import prompt_hash
from karat.errors import InputError, ResourceError
from karat.policies import Policy, SamplingConfig
from karat.rewards import load_reward
from karat.stress.rl.config import RlConfig
from karat.stress.rl.training import train_policy
from karat.stress.transfer.config import BASE, TransferConfig
from karat.stress.transfer.matrix import HackMatrix, Judged, matrix_of
from karat.worlds import words

Progress = Callable[..., None]
ROLLOUTS = "rollouts.jsonl"
STAGE = "training and evaluating"


def chosen_settings(config: TransferConfig) -> tuple[words.Setting, ...]:
    """Raises: InputError: a setting that there is not, or fewer than two."""
    names = config.setting_names or tuple(words.SETTINGS)
    unknown = [name for name in names if name not in words.SETTINGS]
    if unknown:
        raise InputError(f"no built-in setting {unknown[0]!r}; there are: {', '.join(words.SETTINGS)}.")
    if len(names) < 2:
        raise InputError(f"settings = {config.settings!r}: one setting has nothing to transfer to; name two or more.")
    return tuple(words.SETTINGS[name] for name in names)


def built_in_matrix(
    config: TransferConfig, *, out: Path | None, progress: Progress | None
) -> tuple[HackMatrix, tuple[str, ...]]:
    """Train, evaluate and count; the matrix, and the files written."""
    settings = chosen_settings(config)
    held_out = len(words.prompts()) - words.TRAIN_PROMPTS
    if config.eval_prompts > held_out:
        raise InputError(f"eval_prompts = {config.eval_prompts}: the words world holds out {held_out} prompts.")
    rows: list[dict[str, Any]] = []
    total = len(settings) * config.runs * config.steps
    rows += _evaluated(Policy.load(str(words.POLICY)), BASE, 0, settings, config)
    for number, setting in enumerate(settings):
        for run in range(config.runs):
            done = (number * config.runs + run) * config.steps

            def on_step(step: int, _: Policy, done: int = done, note: str = f"{setting.name}, run {run}") -> bool:
                if progress:
                    progress(STAGE, done + step, total, note)
                return False

            policy = _trained(setting, 1000 * config.seed + 100 * number + run, config, on_step)
            rows += _evaluated(policy, setting.name, run, settings, config)
    judged = [
        Judged(row["trained"], row["evaluated"], str(row["run"]), row["prompt_id"], bool(row["hack"]), row["response"])
        for row in rows
    ]
    return matrix_of(judged, BASE), _write(rows, out)


def _trained(
    setting: words.Setting, seed: int, config: TransferConfig, on_step: Callable[[int, Policy], bool]
) -> Policy:
    policy = Policy.load(str(words.POLICY), name=f"words world, trained with {setting.name}")
    reward = load_reward(setting.judge)
    settings = RlConfig(
        proxy=setting.judge, steps=config.steps, lr=config.lr, max_new_tokens=words.MAX_WORDS, seed=seed
    )
    train_policy(policy, words.prompts(setting.cue)[: words.TRAIN_PROMPTS], reward, settings, on_step=on_step)
    return policy


def _evaluated(
    policy: Policy, name: str, run: int, settings: tuple[words.Setting, ...], config: TransferConfig
) -> Iterator[dict[str, Any]]:
    """Rows of one policy in every setting; all policies draw with the same random numbers."""
    for setting in settings:
        asked = words.prompts(setting.cue)[words.TRAIN_PROMPTS :][: config.eval_prompts]
        sampled = policy.sample(
            [policy.prompt_ids(prompt) for prompt in asked], config.eval_samples,
            config=SamplingConfig(max_new_tokens=words.MAX_WORDS), seed=[config.seed, 1], rows_per_batch=512,
        )  # fmt: skip
        for prompt, responses in zip(asked, sampled, strict=True):
            same = prompt_hash(prompt.split(" ", 1)[1])  # without its cue it is the same prompt in every setting
            for number, response in enumerate(responses):
                read = words.read_response(prompt, response.text)
                yield {
                    "trained": name,
                    "evaluated": setting.name,
                    "run": run,
                    "prompt_id": same,
                    "response_id": f"{name}-{run}-{setting.name}-{number}",
                    "prompt": prompt,
                    "response": response.text,
                    "hack": int(setting.is_hack(read)),
                    "gold": words.gold_value(read),
                }


def _write(rows: list[dict[str, Any]], out: Path | None) -> tuple[str, ...]:
    """All responses as a file that this command reads."""
    if out is None:
        return ()
    path = out / ROLLOUTS
    try:
        out.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    except OSError as error:
        raise ResourceError(f"cannot write {path}: {error.strerror or error}.") from error
    return (str(path),)
