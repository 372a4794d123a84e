"""Batches for tests: a step of rollouts, in one line."""

from __future__ import annotations

from typing import Any

import numpy as np

from karat.run_records import RolloutBatch


def batch(step: int = 0, *, n: int = 8, groups: int = 2, seed: int | None = None, **changes: Any) -> RolloutBatch:
    """A step of n rollouts; another seed makes other rollouts of the same step."""
    rng = np.random.default_rng(step if seed is None else [step, seed])
    group_R = np.arange(n) * groups // max(n, 1)
    fields: dict[str, Any] = {
        "prompts": [f"prompt {group}" for group in group_R],
        "responses": [f"response {step} {place} {rng.integers(1 << 30)}" for place in range(n)],
        "group_R": group_R,
        "proxy_R": rng.normal(size=n),
        "gold_R": np.full(n, np.nan),
        "chance_R": np.ones(n),
        "scores": {"helpful": rng.normal(size=n)},
        "numbers": {"n_tokens": rng.integers(1, 99, n).astype(float)},
        "notes": {"finish": ["stop"] * n},
        "metrics": {"kl": step / 10, "entropy": float("nan")},
        "time_s": 1000.0 + step,
    }
    return RolloutBatch(step, **{**fields, **changes})
