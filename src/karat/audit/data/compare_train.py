"""Rewards of a comparison as whole reward models, trained as `karat train` would."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from karat.audit.data.config import AuditDataConfig
from karat.errors import InputError
from karat.rewards import load_reward
from karat.rewards.groups import score_pairs
from karat.train.config import TrainConfig
from karat.train.run import train
from karat.types import PreferencePair

NEVER = 1_000_000_000
"""Steps between checkpoints: each training is short, and its folder is thrown away."""


class TrainingLearner:
    """Trains a reward model on given pairs and scores the tests with it."""

    def __init__(
        self,
        pools: Sequence[Sequence[PreferencePair]],
        tests: Sequence[Sequence[PreferencePair]],
        model: str,
        config: AuditDataConfig,
    ) -> None:
        self._pools, self._tests, self._model, self._config = pools, tests, model, config

    def __call__(self, index: Mapping[int, np.ndarray], draw: int) -> list[np.ndarray]:
        """Raises InputError where a test pair gets no score."""
        pairs = [self._pools[number][row] for number, rows in index.items() for row in rows]
        with tempfile.TemporaryDirectory() as scratch:
            out = Path(scratch) / "reward"
            train(pairs, out=out, config=self._options(seed=draw), test_pairs=[])
            reward = load_reward(str(out))
            scores = [score_pairs(reward, test) for test in self._tests]
        for each in scores:
            if each.missing:
                first, reason = next(iter(each.missing.items()))
                raise InputError(f"{len(each.missing)} test pairs get no score (first: pair {first}, {reason}).")
        return [each.chosen_P - each.rejected_P for each in scores]

    def _options(self, *, seed: int = 0, max_steps: int = -1) -> TrainConfig:
        return TrainConfig(
            model=self._model, seed=seed, max_steps=max_steps, max_length=self._config.max_length, test_fraction=0.0,
            save_steps=NEVER,
        )  # fmt: skip

    def seconds_each(self, size: int) -> float:
        """About how long one training on `size` pairs and its scoring will take, from a batch of 8 that is timed."""
        pool = self._pools[0]
        batch = [pool[row % len(pool)] for row in range(8)]
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as scratch:
            result = train(batch, out=Path(scratch) / "reward", config=self._options(max_steps=1), test_pairs=[])
        fixed = time.perf_counter() - began - 8 / float(result.values["pairs_per_s"])
        # scoring is a forward pass alone, about a third of a training step
        work = size + sum(map(len, self._tests)) / 3
        return fixed + work / float(result.values["pairs_per_s"])
