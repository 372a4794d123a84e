"""Credit of steps in TRL's GRPO: an advantage for every token in place of one for the whole completion.

A process reward by itself is a reward like any other: `reward_funcs=[trl_reward("FOLDER@min")]` pays a completion for
its worst step, and pays all of its tokens alike. TRL's loss also takes advantages by token, "to support subclasses";
`trl_step_credit` fills them in (TRL 1.16, `GRPOTrainer._generate_and_score_completions`, which is not public).

Axes: B completions, T tokens of a completion, S steps, G completions to one prompt.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from karat.errors import InputError
from karat.numerics.process_credit import CREDITS, Credit, credited_rewards, token_advantages
from karat.rewards.process.problem import StepProblem, step_ends_of
from karat.rewards.process.protocol import StepScorer, as_step_scorer
from karat.rewards.trl import as_text
from karat.types import NAN


def trl_step_credit(
    trainer: Any,
    reward: str | StepScorer | Any,
    *,
    credit: Credit = "min",
    temperature: float = 0.1,
    separator: str = "\n\n",
    outcome_weight: float = 0.0,
) -> None:
    """Make a GRPOTrainer pay its completions step by step.

    A step's reward is 2 p - 1 of the probability p that it is right, in the form of credit that is asked for, less a
    baseline by token (`numerics.process_credit`). Completions without a score get the advantage 0, as in TRL; their
    share is logged as step_credit/missing, the mean p as step_credit/mean and the mean worst p as step_credit/min.

    Args:
        trainer: a GRPOTrainer before `train`; its reward functions stay, since it must have one.
        reward: what scores steps (`as_step_scorer`).
        credit: "min", or "sum", which pays for every further step.
        temperature: of the soft minimum, which leaves padding a little to earn; 0: the minimum itself.
        separator: what ends a step in a completion.
        outcome_weight: of the trainer's own advantages, which are added to those of the steps; 0: steps alone.
    Raises: InputError: several processes, over which the completions to a prompt may be spread; no GRPOTrainer; no such
        form of credit; a reward that scores no steps.
    """
    inner = getattr(trainer, "_generate_and_score_completions", None)
    if inner is None:
        raise InputError(f"{type(trainer).__name__} is no GRPOTrainer of TRL 1.16; step credit needs one.")
    if trainer.accelerator.num_processes > 1:
        raise InputError("step credit in several processes is not supported; run one, or reward whole completions.")
    if credit not in CREDITS:
        raise InputError(f"credit = {credit!r} is not one of {', '.join(CREDITS)}.")
    payer = _Payer(as_step_scorer(reward), credit, temperature, separator, trainer.max_completion_length)

    def scored(inputs: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = inner(inputs)
        mode = "train" if trainer.model.training else "eval"
        size = trainer.num_generations if mode == "train" else trainer.num_generations_eval
        prompts = [row["prompt"] for row in inputs]
        own_BT, logged = payer.advantages(prompts, batch, size, trainer.processing_class)
        for name, value in logged.items():
            trainer._metrics[mode][f"step_credit/{name}"].append(value)
        outcome_B1 = batch["advantages"][:, None]
        batch["advantages"] = own_BT.to(outcome_B1) + outcome_weight * outcome_B1
        return batch

    trainer._generate_and_score_completions = scored


class _Payer:
    """Completions to advantages by token."""

    def __init__(
        self, scorer: StepScorer, credit: str, temperature: float, separator: str, max_length: int | None
    ) -> None:
        self.scorer = scorer
        self.credit = credit
        self.temperature = temperature
        self.separator = separator
        self.max_length = max_length or 0

    def advantages(
        self, prompts: Sequence[Any], batch: dict[str, Any], size: int, tokenizer: Any
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """Advantages (B, T), 0 where missing or padding, and what is logged.

        Args:
            prompts: of each completion; `size` neighbours share one.
            batch: `completion_ids` and `completion_mask`, (B, T).
        """
        ids = [
            row[mask.bool()].tolist()
            for row, mask in zip(batch["completion_ids"], batch["completion_mask"], strict=True)
        ]
        decoder = getattr(tokenizer, "tokenizer", tokenizer)  # a processor holds its tokenizer
        texts = [_decode(decoder, row) for row in ids]
        steps = [step_ends_of(text, self.separator) for text in texts]
        limit = max(self.max_length, *map(len, ids), 1)  # of the generation: a batch's width would follow the others
        out = torch.zeros(batch["completion_ids"].shape, dtype=torch.float64)
        found = self._scores(prompts, steps, size)
        # TRL masks the whole of a truncated completion where it is told to: no text is left to score.
        found = [prob_S if row else np.full(len(prob_S), NAN) for prob_S, row in zip(found, ids, strict=True)]
        for start in range(0, len(ids), size):
            rows = range(start, start + size)
            paid = token_advantages(
                [credited_rewards(2 * found[i] - 1, self.credit, temperature=self.temperature) for i in rows],
                [token_ends(decoder, ids[i], [end for _, end in steps[i]]) for i in rows],
                n_tokens_G=[max(len(ids[i]), 1) for i in rows],
                max_length=limit,
            )
            for i, advantage_T in zip(rows, paid, strict=True):
                place = torch.nonzero(batch["completion_mask"][i].bool())[:, 0].cpu()
                out[i, place] = torch.from_numpy(np.nan_to_num(advantage_T)[: len(place)].copy())
        whole = [prob_S for prob_S in found if np.isfinite(prob_S).all()]
        return out, {
            "missing": 1 - len(whole) / len(found),
            "mean": float(np.mean([prob_S.mean() for prob_S in whole])) if whole else NAN,
            "min": float(np.mean([prob_S.min() for prob_S in whole])) if whole else NAN,
        }

    def _scores(
        self, prompts: Sequence[Any], steps: Sequence[Sequence[tuple[str, int]]], size: int
    ) -> list[np.ndarray]:
        """Probabilities of the steps of each completion; NaN where the prompt is not text alone.

        Raises: InputError: neighbours that should share a prompt do not.
        """
        found = [np.full(len(row), NAN) for row in steps]
        problems: list[StepProblem] = []
        starts: list[int] = []
        for start in range(0, len(prompts), size):
            if any(prompt != prompts[start] for prompt in prompts[start : start + size]):
                raise InputError(
                    f"completions {start} to {start + size - 1} do not share a prompt; step credit compares those of "
                    "one prompt, as GRPOTrainer lays them out."
                )
            prompt = as_text(prompts[start])
            if prompt is not None:
                solutions = tuple(tuple(step for step, _ in row) for row in steps[start : start + size])
                problems.append(StepProblem(prompt, solutions))
                starts.append(start)
        for start, scored in zip(starts, self.scorer.score_problems(problems), strict=True):
            found[start : start + size] = scored
        return found


def token_ends(tokenizer: Any, ids: Sequence[int], ends: Sequence[int]) -> np.ndarray:
    """Positions of the tokens in which the steps of a generated text end; the last step takes the rest, EOS included.

    Found by decoding, since a generated text need not be tokenised as the tokenizer would.

    Args:
        ids: generated tokens.
        ends: positions in their text (without special tokens), ascending, (S,).
    """
    sizes: dict[int, int] = {}

    def text_up_to(index: int) -> int:
        if index not in sizes:
            sizes[index] = len(_decode(tokenizer, ids[: index + 1]))
        return sizes[index]

    last = max(len(ids) - 1, 0)
    found = [min(bisect_left(range(len(ids)), end, key=text_up_to), last) for end in ends[:-1]]
    return np.array([*found, last])


def _decode(tokenizer: Any, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))
