"""Where the scores of a benchmark's responses come from: any reward, or a column of scores that the file holds.

`column:NAME` is a reward whose scores were computed elsewhere: published ones, or those that `karat score` wrote. It
scores what its file holds and nothing else.
"""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from karat.audit.parts import Progress
from karat.audit.reward.benchmarks.items import Benchmark, StepBenchmark
from karat.errors import DataError, InputError, KaratError
from karat.rewards.groups import Group
from karat.rewards.kinds import FunctionReward, load_reward
from karat.rewards.process import StepProblem, StepScorer
from karat.rewards.protocol import Reward
from karat.types import NAN, Score

COLUMN = "column:"
GROUPS_PER_CALL = 256
PROBLEMS_PER_CALL = 32
StepFunction = Callable[[str, list[str]], Sequence[float]]
UNSCORED = "a step has no score"


@dataclass(frozen=True, slots=True)
class ColumnReward:
    """A column of scores as a reward; on any other text its scores are missing."""

    column: str
    head_names: tuple[str, ...] = ("reward",)

    @property
    def name(self) -> str:
        return COLUMN + self.column

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        missing = Score(NAN, missing=f"{self.name} holds the scores of a benchmark's file and scores no other text")
        return [[missing] * len(group.responses) for group in groups]


def is_column(spec: str) -> bool:
    """Whether a text names a column of scores."""
    return spec.startswith(COLUMN)


def load_any(spec: str, *, max_length: int = 0) -> Reward:
    """What `load_reward` loads, or a column. Raises as it does; InputError: the column has no name."""
    if not is_column(spec):
        return load_reward(spec, max_length=max_length)
    name = spec.removeprefix(COLUMN).strip()
    if name in ("", "*"):
        raise InputError(f"{spec!r}: name one column, as column:NAME; {COLUMN}* stands for all in --against only.")
    return ColumnReward(name)


def column_rewards(spec: str, names: Sequence[str]) -> list[ColumnReward]:
    """The columns of --against that a file holds: comma-separated, column:* for all.

    Args:
        spec: as the user gave it.
        names: columns of the file; those with ":" are further joins of step scores, and not in *.
    """
    asked = [part.strip().removeprefix(COLUMN) for part in spec.split(",") if part.strip()]
    found = [name for part in asked for name in ([n for n in names if ":" not in n] if part == "*" else [part])]
    return [ColumnReward(name) for name in dict.fromkeys(found) if name in names]


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of each item's responses or steps; NaN where missing, with how often each reason was given."""

    scores: list[np.ndarray]
    reasons: Counter[str]


def item_scores(reward: Reward, benchmark: Benchmark, *, progress: Progress | None = None) -> Scored:
    """Scores of each item's responses.

    Raises: DataError: a column that the benchmark does not hold, or texts that it does not hold.
    """
    if isinstance(reward, ColumnReward):
        _require_column(reward.column, benchmark)
        return _of_column(reward.column, [(item.columns, item.size) for item in benchmark.items])
    if not all(item.responses for item in benchmark.items):
        raise DataError(
            f"{benchmark.name}: the file holds scores and no texts, so that {reward.name} cannot be scored on it. Name "
            f"a column: {', '.join(COLUMN + name for name in benchmark.column_names[:10])}."
        )
    groups = [Group(item.prompt, item.responses, item.tools) for item in benchmark.items]
    found: list[np.ndarray] = []
    reasons: Counter[str] = Counter()
    for start in range(0, len(groups), GROUPS_PER_CALL):
        if progress:
            progress(f"scoring {benchmark.name}", start, len(groups), reward.name)
        scores = reward.score(groups[start : start + GROUPS_PER_CALL])
        found += [np.array([score.value for score in of_group], dtype=float) for of_group in scores]
        reasons.update(score.missing for of_group in scores for score in of_group if score.is_missing)
    return Scored(found, reasons)


def step_scores(reward: Reward, benchmark: StepBenchmark, *, progress: Progress | None = None) -> Scored:
    """Scores of each solution's steps; all NaN where one is missing.

    Raises: DataError: a column that the benchmark does not hold; InputError: the reward does not score steps.
    """
    if isinstance(reward, ColumnReward):
        _require_column(reward.column, benchmark)
        return _of_column(reward.column, [(item.columns, len(item.steps)) for item in benchmark.items])
    if isinstance(reward, StepScorer):
        return _of_problems(reward, benchmark, progress)
    scorer = step_function(reward)
    found: list[np.ndarray] = []
    reasons: Counter[str] = Counter()
    for number, item in enumerate(benchmark.items):
        if progress and number % GROUPS_PER_CALL == 0:
            progress(f"scoring {benchmark.name}", number, len(benchmark.items), reward.name)
        score, reason = _steps_of(scorer, item.prompt, item.steps)
        found.append(score)
        reasons.update([reason] if reason else [])
    return Scored(found, reasons)


def _of_problems(scorer: StepScorer, benchmark: StepBenchmark, progress: Progress | None) -> Scored:
    """All solutions of a problem together, several problems a call: the prompt is computed once for them."""
    by_prompt: dict[str, list[int]] = {}
    for index, item in enumerate(benchmark.items):
        by_prompt.setdefault(item.prompt, []).append(index)
    problems = list(by_prompt.items())
    found = [np.array([])] * len(benchmark.items)
    reasons: Counter[str] = Counter()
    for start in range(0, len(problems), PROBLEMS_PER_CALL):
        if progress:
            progress(f"scoring {benchmark.name}", start, len(problems), scorer.name)
        call = problems[start : start + PROBLEMS_PER_CALL]
        asked = [StepProblem(prompt, tuple(benchmark.items[index].steps for index in mine)) for prompt, mine in call]
        failed = ""
        try:
            scores = scorer.score_problems(asked)
        except KaratError:
            raise
        except Exception as error:  # the user's code may raise anything; the other problems must survive it
            failed = f"raised {type(error).__name__}: {error}"
            scores = [[np.full(len(steps), math.nan) for steps in problem.solutions] for problem in asked]
        for (_, mine), of_problem in zip(call, scores, strict=True):
            for index, given in zip(mine, of_problem, strict=True):
                found[index], reason = _checked(np.asarray(given), len(benchmark.items[index].steps))
                reasons.update([failed or reason] if reason else [])
    return Scored(found, reasons)


def step_function(reward: Reward) -> StepFunction:
    """What scores the steps: a method `score_steps(prompt, steps)`, or a module:function with a parameter `steps`.

    Raises: InputError: it has neither.
    """
    method = getattr(reward, "score_steps", None)
    if callable(method):
        return method  # type: ignore[no-any-return]
    if isinstance(reward, FunctionReward) and "steps" in inspect.signature(reward.function).parameters:
        function = reward.function
        return lambda prompt, steps: function(prompt=prompt, steps=steps)  # type: ignore[return-value]
    raise InputError(
        f"{reward.name} gives a response one score; this benchmark needs a score for each step: an object with "
        "score_steps(prompt, steps), a module:function with the parameters prompt and steps, or column:NAME."
    )


def _of_column(name: str, rows: Sequence[tuple[Mapping[str, tuple[float, ...]], int]]) -> Scored:
    scores = [np.array(columns.get(name, (math.nan,) * size), dtype=float) for columns, size in rows]
    lost = sum(int((~np.isfinite(score)).sum()) for score in scores)
    return Scored(scores, Counter({f"column {name} holds no number": lost} if lost else {}))


def _steps_of(scorer: StepFunction, prompt: str, steps: Sequence[str]) -> tuple[np.ndarray, str]:
    """Missing, with the reason, where the scorer raises, gives another number of scores, or one that is not finite."""
    nothing = np.full(len(steps), math.nan)
    try:
        given = np.asarray(list(scorer(prompt, list(steps))), dtype=float)
    except Exception as error:  # the user's code may raise anything; the other solutions must survive it
        return nothing, f"raised {type(error).__name__}: {error}"
    return _checked(given, len(steps))


def _checked(given: np.ndarray, n_steps: int) -> tuple[np.ndarray, str]:
    nothing = np.full(n_steps, math.nan)
    if given.shape != nothing.shape:
        return nothing, "gave another number of scores than steps"
    return (given, "") if np.isfinite(given).all() else (nothing, UNSCORED)


def _require_column(name: str, benchmark: Benchmark | StepBenchmark) -> None:
    if name not in benchmark.column_names:
        known = ", ".join(benchmark.column_names) or "none"
        raise DataError(f"{benchmark.name}: there is no column of scores {name!r}; there are: {known}.")
