"""A toy of steps that a tiny decoder can learn: a wrong step says so."""

from __future__ import annotations

import random
from typing import Any

from karat.types import NO_ERROR, StepSolution

FAST: dict[str, Any] = {"lr": 3e-3, "epochs": 3.0, "test_fraction": 0.2, "max_length": 256, "separator": "\n"}


def toy_solutions(n: int = 60, *, seed: int = 0, per_problem: int = 3) -> list[StepSolution]:
    """n solutions, `per_problem` for each problem; labels after the first wrong step are NaN; the answer is right
    where no step is wrong, and in one of four solutions with a wrong one."""
    rng = random.Random(seed)
    found = []
    for index in range(n):
        problem = f"q{index // per_problem}"
        n_steps = rng.randint(1, 4)
        first = rng.randrange(n_steps) if rng.random() < 0.5 else NO_ERROR
        labels = [1.0] * n_steps
        steps = [f"good {rng.randint(0, 9)}" for _ in range(n_steps)]
        if first != NO_ERROR:
            steps[first] = f"oops {rng.randint(0, 9)}"
            labels = [1.0] * first + [0.0] + [float("nan")] * (n_steps - first - 1)
        found.append(
            StepSolution(
                problem,
                tuple(steps),
                labels=tuple(labels),
                first_error=first,
                prompt_id=problem,
                solution_id=str(index),
                final_right=float(first == NO_ERROR or index % 4 == 0),
                row=index,
            )
        )
    return found
