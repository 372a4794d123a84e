"""`karat.grade` under verl's names: a path, a function name and keyword arguments in verl's configuration suffice.

    reward.custom_reward_function.path=<this file>  name=compute_score  reward_kwargs.tasks=tasks.jsonl

`ground_truth`, or extra_info["task_id"], names the task. Further reward_kwargs are fields of GradeConfig and
RewardConfig (on_tamper, wall_s, workers, ...).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from karat.grade.reward import GradeReward

_LOCK = threading.Lock()


@cache
def _made(tasks: str, options: str) -> GradeReward:
    return GradeReward(tasks, **json.loads(options))


def _reward(tasks: str, options: str) -> GradeReward:
    """One grader for each tasks file and set of options, kept for the life of the process: its workers stay warm."""
    with _LOCK:  # verl asks from many threads, and each would make one of its own
        return _made(tasks, options)


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    *,
    tasks: str,
    **options: Any,
) -> dict[str, Any]:
    """One rollout, as verl's naive and dapo managers call.

    Returns: score; missing and tampered as 0 or 1; verdict. verl takes no missing score: it is 0 with missing = 1.
    """
    reward = _reward(tasks, json.dumps(options, sort_keys=True))
    return reward.compute_score(data_source, solution_str, ground_truth, extra_info)


def compute_scores(
    data_sources: Sequence[str],
    solution_strs: Sequence[str],
    ground_truths: Sequence[Any],
    extra_infos: Sequence[Mapping[str, Any] | None],
    *,
    tasks: str,
    **options: Any,
) -> list[dict[str, Any]]:
    """A batch of rollouts, as verl's batch manager calls; graded side by side."""
    reward = _reward(tasks, json.dumps(options, sort_keys=True))
    return reward.compute_scores(solution_strs, ground_truths, extra_infos)
