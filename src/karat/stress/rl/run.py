"""`karat stress rl`: optimise a policy against a proxy with GRPO, and watch the proxy, the gold and the distance.

Axes: P evaluation prompts, K checkpoints.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from karat.data.account import account_table
from karat.data.prompts import read_prompts
from karat.data.records import plain, prompt_hash, user
from karat.errors import DataError, InputError, ResourceError
from karat.numerics.best_of_n import best_of_n_by_prompt, pool_matrix
from karat.numerics.divergence import best_of_n_divergence, cautious_chi2
from karat.numerics.goodhart import certified_gain, reference_correlation, within_prompt_sd
from karat.policies import Policy, SamplingConfig
from karat.rewards import Reward, load_reward
from karat.rewards.model import resolve_model
from karat.stress.curves import LEAST_PROMPTS
from karat.stress.rl.config import RlConfig
from karat.stress.rl.findings import RlMeasured, findings_of, lead_of, measure, tables_of, values_of
from karat.stress.rl.rollouts import Checkpoint, Evaluator, with_known
from karat.stress.rl.stopping import has_fallen_twice, level_of
from karat.stress.rl.training import RewardTally, train_policy
from karat.types import Account, Result, Text
from karat.worlds import words

Progress = Callable[..., None]
BUILTIN_LR, OTHER_LR = 5e-4, 1e-5
ROLLOUTS, POLICY = "rollouts.jsonl", "policy"


@dataclass(frozen=True, slots=True)
class _Task:
    """What is trained on what."""

    policy: Policy
    path: str
    train: tuple[Text, ...]
    held_out: tuple[Text, ...]
    account: Account | None = None
    """Of the prompts that were read; None for the built-in ones."""


def rl(
    policy: str = "",
    prompts: Any = None,
    *,
    out: str | Path | None = None,
    config: RlConfig | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Result:
    """How far GRPO can push a policy on a proxy before the gold falls.

    Args:
        policy: folder or hub name of a causal language model, `default`; empty: the built-in words world.
        prompts: rows with prompts (`karat.data.prompts.read_prompts`); some are held out for evaluation.
        out: folder for the policy and `rollouts.jsonl`, a pool of all evaluation responses by step; None: not kept.
        config: settings; `options` override single fields by name.
        progress: called as progress(stage, done, total, note).
    Returns: findings ST501 to ST503; the curve by checkpoint; values with stable names.
    Raises: InputError, DataError, ModelError for input that cannot be used.
    """
    config = replace(config or RlConfig(), **options)
    task, config = _task(policy, prompts, config)
    proxy, gold = load_reward(config.proxy), load_reward(config.gold) if config.gold else None
    watch = _Watch(task, proxy, gold, config, Path(out) if out else None, progress)
    tally = train_policy(task.policy, task.train, proxy, config, on_step=watch)
    files = watch.finish(task.policy)
    found = measure(watch.points, config, watch.stopped, watch.certified)
    return _result(task, config, found, tally, files)


def _task(policy: str, prompts: Any, config: RlConfig) -> tuple[_Task, RlConfig]:
    """The task, and the configuration with its zeros filled in."""
    if not policy:
        if prompts is not None:
            raise InputError("prompts without a policy: name the policy to optimise, or neither for the built-in one.")
        if config.setting not in words.SETTINGS:
            raise InputError(f"no built-in setting {config.setting!r}; there are: {', '.join(words.SETTINGS)}.")
        asked = words.prompts(words.SETTINGS[config.setting].cue)
        held_out = asked[words.TRAIN_PROMPTS :]
        if config.eval_prompts > len(held_out):
            raise InputError(
                f"eval_prompts = {config.eval_prompts}: the words world holds out {len(held_out)} prompts."
            )
        config = replace(
            config,
            proxy=config.proxy or words.SETTINGS[config.setting].judge,
            gold=config.gold or f"{words.__name__}:gold",
            lr=config.lr or BUILTIN_LR,
            max_new_tokens=config.max_new_tokens or words.MAX_WORDS,
        )
        path = str(words.POLICY)
        model = _load(path, f"built-in words world, {config.setting} judge", config)
        return _Task(model, path, tuple(asked[: words.TRAIN_PROMPTS]), tuple(held_out[: config.eval_prompts])), config
    if prompts is None:
        raise InputError(f"no prompts for {policy}: give a file of rows with a prompt each.")
    if not config.proxy:
        raise InputError("no proxy is named: give the reward that is to be optimised (--proxy REWARD).")
    data = read_prompts(prompts)
    if len(data.prompts) < 2 * config.eval_prompts:
        raise InputError(
            f"{data.account.source} has {len(data.prompts)} prompts; holding out {config.eval_prompts} leaves too few "
            "to train on. Lower --eval-prompts, or give more prompts."
        )
    path = resolve_model(policy)
    model = _load(path, policy, config)
    texts = [
        user(item.prompt) if model.has_template and isinstance(item.prompt, str) else item.prompt
        for item in data.prompts
    ]
    order = np.random.default_rng([config.seed, 2]).permutation(len(texts))
    held, rest = order[: config.eval_prompts], order[config.eval_prompts :]
    config = replace(config, setting="", lr=config.lr or OTHER_LR, max_new_tokens=config.max_new_tokens or 256)
    train, kept = (tuple(texts[index] for index in chosen) for chosen in (rest, held))
    return _Task(model, path, train, kept, data.account), config


def _load(path: str, name: str, config: RlConfig) -> Policy:
    return Policy.load(path, name=name, dtype=getattr(torch, config.dtype))


class _Watch:
    """Evaluates every few steps, writes the rollouts, and says when to stop."""

    def __init__(
        self,
        task: _Task,
        proxy: Reward,
        gold: Reward | None,
        config: RlConfig,
        out: Path | None,
        progress: Progress | None,
    ) -> None:
        reference = None
        if not config.lora:
            reference = _load(task.path, task.policy.name, config).model
        sampling = SamplingConfig(max_new_tokens=config.max_new_tokens, temperature=config.temperature)
        self.evaluator = Evaluator(
            reference, task.held_out, proxy=proxy, gold=gold, sampling=sampling, samples=config.eval_samples,
            seed=config.seed,
        )  # fmt: skip
        self.config, self.out, self.progress = config, out, progress
        self.points: list[Checkpoint] = []
        self.stopped = ""
        self.certified: tuple[int, float] = (1, 0.0)
        self._best = -math.inf
        if out:
            out.mkdir(parents=True, exist_ok=True)
            (out / ROLLOUTS).unlink(missing_ok=True)

    def __call__(self, step: int, policy: Policy) -> bool:
        if self.progress:
            note = f"steps{self._note()}"
            self.progress("optimising the policy", step, self.config.steps, note)
        if step % self.config.eval_every and step != self.config.steps:
            return False
        point = self.evaluator.look(policy, step)
        if not step and not np.isfinite(point.proxy_PG).any():
            raise DataError(
                f"the proxy gives none of {point.proxy_PG.size} responses of the untrained policy a score. See karat "
                "score."
            )
        self.points.append(point)
        if step == 0:
            self.certified = certified_best_of_n(point, self.config)
        self._write(point)
        self._keep_best(point, policy)
        self.stopped = self._stop(point)
        return bool(self.stopped)

    def _note(self) -> str:
        if not self.points:
            return ""
        last = self.points[-1]
        gold = "" if np.isnan(last.gold_PG).all() else f", gold {np.nanmean(last.gold_PG):.3g}"
        proxy = "none" if np.isnan(last.proxy_PG).all() else f"{np.nanmean(last.proxy_PG):.3g}"
        return f", proxy {proxy}{gold}, KL {last.kl_PG.mean():.2f}"

    def _stop(self, point: Checkpoint) -> str:
        """observed: the fall from the best checkpoint is beyond noise at two evaluations running. certified: its KL
        is reached, before the first step where nothing is certified."""
        if self.config.stop == "certified":
            return "certified" if point.kl_PG.mean() >= self.certified[1] else ""
        if self.config.stop == "observed":
            level = level_of(math.ceil(self.config.steps / self.config.eval_every))
            return "observed" if has_fallen_twice(with_known(self.points, "gold_PG"), level) else ""
        return ""

    def _write(self, point: Checkpoint) -> None:
        if self.out is None:
            return
        with (self.out / ROLLOUTS).open("a", encoding="utf-8") as file:
            for p, prompt in enumerate(self.evaluator.prompts):
                for g, text in enumerate(point.responses[p]):
                    row = {
                        "prompt_id": prompt_hash(prompt),
                        "response_id": f"{point.step}-{g}",
                        "prompt": plain(prompt),
                        "response": text if isinstance(prompt, str) else [{"role": "assistant", "content": text}],
                        "step": point.step,
                        "proxy": _or_none(point.proxy_PG[p, g]),
                        "gold": _or_none(point.gold_PG[p, g]),
                        "kl": float(point.kl_PG[p, g]),
                    }
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def _keep_best(self, point: Checkpoint, policy: Policy) -> None:
        known = point.gold_PG[~np.isnan(point.gold_PG)]
        if self.config.keep == "best" and known.size and known.mean() > self._best:
            self._best = float(known.mean())
            self._save(policy)

    def _save(self, policy: Policy) -> None:
        if self.out is None:
            return
        try:
            policy.model.save_pretrained(self.out / POLICY)
            policy.tokenizer.save_pretrained(self.out / POLICY)
        except OSError as error:
            raise ResourceError(f"cannot write {self.out / POLICY}: {error.strerror or error}.") from error

    def finish(self, policy: Policy) -> tuple[str, ...]:
        """Save what is to be kept; the files written."""
        if self.out is None:
            return ()
        if self.config.keep == "last" or (self.config.keep == "best" and self._best == -math.inf):
            self._save(policy)
        kept = () if self.config.keep == "none" else (str(self.out / POLICY),)
        return (*kept, str(self.out / ROLLOUTS))


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def certified_best_of_n(point: Checkpoint, config: RlConfig) -> tuple[int, float]:
    """The n that the reference policy's samples certify (`karat.numerics.goodhart.certified_gain`), and its KL, nats.

    (1, 0) where nothing is certified, or fewer than LEAST_PROMPTS prompts have a gold. The certificate is of best of n;
    for a policy trained by RL its KL is a budget to go by and no guarantee, because the chi-square divergence of that
    policy is not known.
    """
    n_prompts, n_samples = point.proxy_PG.shape
    prompt_R = np.repeat(np.arange(n_prompts), n_samples)
    matrix = pool_matrix(point.proxy_PG.ravel(), point.gold_PG.ravel(), prompt_R)
    sd = within_prompt_sd(matrix.proxy_PG)
    most = int(matrix.size_P.min()) if matrix.n_prompts else 0
    if most < 2 or not sd > 0:
        return 1, 0.0
    n_N = np.arange(1, most + 1)
    gain_N = best_of_n_by_prompt(matrix, matrix.proxy_PG, n_N).mean(axis=0)
    kl_PN, chi2_PN = zip(
        *(best_of_n_divergence(row[:size], n_N) for row, size in zip(matrix.proxy_PG, matrix.size_P, strict=True)),
        strict=True,
    )
    r = reference_correlation(matrix, rng=np.random.default_rng([config.seed, 3]), level=0.9)
    limit_N = cautious_chi2(chi2_PN, n_N, matrix.size_P)
    certified_N = certified_gain((gain_N - gain_N[0]) / sd, limit_N, r.low)
    best = int(np.argmax(np.nan_to_num(certified_N, nan=-math.inf)))
    if not certified_N[best] > 0 or r.n_clusters < LEAST_PROMPTS:
        return 1, 0.0
    return int(n_N[best]), float(np.mean(kl_PN, axis=0)[best])


def _result(task: _Task, config: RlConfig, found: RlMeasured, tally: RewardTally, files: Sequence[str]) -> Result:
    findings = findings_of(found, config, tally)
    provenance = {**asdict(config), "policy": task.policy.name, "train_prompts": len(task.train)}
    tables = tables_of(found, config)
    if task.account:
        provenance |= {"prompts": task.account.source, "fingerprint": _fingerprint((*task.train, *task.held_out))}
        tables += (account_table(task.account),)
    return Result(
        command="stress rl",
        findings=findings,
        tables=tables,
        values={**values_of(found), "training_scores": tally.asked, "training_scores_missing": tally.missing},
        files=tuple(files),
        provenance=provenance,
        lead=lead_of(found, config, task.policy.name),
    )


def _fingerprint(prompts: Sequence[Text]) -> str:
    """16 hex digits of the prompts in the order in which the seed put them."""
    return prompt_hash("\n".join(map(prompt_hash, prompts)))
