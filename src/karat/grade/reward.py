"""Grading as a reward: for karat's verbs, for TRL (called by keyword), for verl (`compute_score`); batched, async."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from karat.errors import InputError
from karat.grade.config import GradeConfig
from karat.grade.extract import Extract, code_of
from karat.grade.ray_grader import grader_of
from karat.grade.readers import ids_by_prompt, load_tasks
from karat.grade.types import Candidate, Evaluation, Graded, TestResult
from karat.grade.verdict import judge_tests
from karat.options import option, require_ranges
from karat.rewards.groups import Group, last_text
from karat.rewards.kinds import plain_text
from karat.types import NAN, Message, Score

OnTamper = Literal["zero", "penalty", "drop", "flag"]
OnShared = Literal["drop", "pay"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardConfig:
    """How verdicts become scores."""

    on_tamper: OnTamper = option(
        "zero",
        "Score of a tampered rollout. zero: 0; penalty: minus --penalty; drop: missing; flag: what its tests say.",
    )
    on_special_case: OnTamper = option(
        "zero", "The same for a rollout that passes the tests it could see and fails held-out ones beyond chance."
    )
    on_shared: OnShared = option(
        "drop",
        "Score that rests on a test which ran in the candidate's process, where it can be forged. drop: missing; pay: "
        "as any other.",
    )
    penalty: float = option(1.0, "Points below 0 under a policy of penalty.")
    partial: bool = option(False, "Score the share of tests passed instead of 1 for all and 0 otherwise.")
    extract: Extract = option("auto", "Where the program stands in an answer.")
    events: str = option("", "File to which tamper events are appended as JSON lines, for karat watch; empty: none.")

    def __post_init__(self) -> None:
        require_ranges(self, [("penalty", self.penalty >= 0, "at least 0")])
        choices = {"on_tamper": OnTamper, "on_special_case": OnTamper, "on_shared": OnShared, "extract": Extract}
        require_ranges(
            self,
            [(name, getattr(self, name) in get_args(of), " or ".join(get_args(of))) for name, of in choices.items()],
        )


class GradeReward:
    """A reward that runs the code of a response on its task's tests.

    1 for a pass, 0 for a fail or a time-out (or the share of tests passed); missing, never 0, where nothing could be
    judged: faults of the sandbox, unknown or invalid tasks. A tampered rollout, and one that may be forged, scores what
    the policy says.
    """

    head_names = ("grade",)

    def __init__(
        self,
        tasks: Any,
        *,
        config: GradeConfig | None = None,
        reward: RewardConfig | None = None,
        **options: Any,
    ) -> None:
        """
        Args:
            tasks: a file or rows that `load_tasks` takes, or Task records.
            config, reward: options; `options` override single fields of either by name.
        Raises: InputError: unusable tasks or options.
        """
        names = RewardConfig.__dataclass_fields__
        self.reward = replace(reward or RewardConfig(), **{k: v for k, v in options.items() if k in names})
        self.config = replace(config or GradeConfig(), **{k: v for k, v in options.items() if k not in names})
        self.tasks = load_tasks(tasks, self.config.tasks_format)[0]
        self.by_prompt = ids_by_prompt(self.tasks)
        self.grader = grader_of(self.tasks, self.config)
        self.name = self.__name__ = "grade"
        self._lock = threading.Lock()

    def close(self) -> None:
        self.grader.close()

    def __enter__(self) -> GradeReward:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---------------------------------------------------------------------------------------------------- karat, TRL
    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        """Scores of groups, as karat's verbs ask: the task is found by the prompt's text."""
        answers = [
            (self.task_id_of(plain_text(group.prompt)), last_text(response))
            for group in groups
            for response in group.responses
        ]
        scores = iter(self.score_answers(answers))
        return [[next(scores) for _ in group.responses] for group in groups]

    def __call__(
        self,
        prompts: Sequence[Any] | None = None,
        completions: Sequence[Any] = (),
        task_id: Sequence[str | int] | None = None,
        trainer_state: Any = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """As TRL calls reward functions, by keyword. A dataset column `task_id` names the task, else the prompt does.

        Returns: one number for each completion; None where the score is missing.
        """
        texts = [answer_text(completion) for completion in completions]
        if task_id is None:
            if prompts is None:
                raise InputError("neither prompts nor task_id were given: the task of a completion cannot be found.")
            task_id = [self.task_id_of(answer_text(prompt)) for prompt in prompts]
        step = getattr(trainer_state, "global_step", None)
        graded = self.grade_answers(list(zip(map(str, task_id), texts, strict=True)), step=step)
        if log_extra is not None:
            log_extra("verdict", [result.verdict for result in graded])
            log_extra("tamper", [", ".join(sorted({a.technique for a in result.tamper})) for result in graded])
        scores = [score_of(result, self.reward) for result in graded]
        if log_metric is not None and graded:
            for name, share in shares_of(graded, scores).items():
                log_metric(f"grade/{name}", share)
        return [None if score.is_missing else score.value for score in scores]

    # ----------------------------------------------------------------------------------------------------------- verl
    def compute_score(
        self,
        data_source: str = "",
        solution_str: str = "",
        ground_truth: Any = None,
        extra_info: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """One rollout, as verl calls: `ground_truth` is the task_id, or extra_info["task_id"] is."""
        return self.compute_scores([solution_str], [ground_truth], [extra_info])[0]

    def compute_scores(
        self,
        solution_strs: Sequence[str],
        ground_truths: Sequence[Any],
        extra_infos: Sequence[Mapping[str, Any] | None],
    ) -> list[dict[str, Any]]:
        """Rollouts, as verl's batch manager calls.

        verl takes no missing score: it gets 0 with `missing` 1, so that a filter or a mask can leave it out.
        """
        named = [
            str((extra or {}).get("task_id", truth)) for truth, extra in zip(ground_truths, extra_infos, strict=True)
        ]
        graded = self.grade_answers(list(zip(named, solution_strs, strict=True)))
        scores = [score_of(result, self.reward) for result in graded]
        return [
            {
                "score": 0.0 if score.is_missing else score.value,
                "missing": float(score.is_missing),
                "tampered": float(result.verdict == "tampered"),
                "verdict": result.verdict,
            }
            for score, result in zip(scores, graded, strict=True)
        ]

    # ------------------------------------------------------------------------------------------------------- the work
    def grade_answers(self, answers: Sequence[tuple[str, str]], *, step: int | None = None) -> tuple[Graded, ...]:
        """Results of (task_id, answer) pairs, graded side by side."""
        candidates = [
            Candidate(task_id=task_id, candidate_id=str(index), code=self._code(task_id, answer), step=step)
            for index, (task_id, answer) in enumerate(answers)
        ]
        graded = tuple(self.grader.grade(candidates))
        with self._lock:
            self._write_events(graded)
        return graded

    def score_answers(self, answers: Sequence[tuple[str, str]], *, step: int | None = None) -> list[Score]:
        """Scores of (task_id, answer) pairs."""
        return [score_of(result, self.reward) for result in self.grade_answers(answers, step=step)]

    async def score_async(self, answers: Sequence[tuple[str, str]], *, step: int | None = None) -> list[Score]:
        """The same without blocking the event loop."""
        return await asyncio.to_thread(self.score_answers, answers, step=step)

    def _code(self, task_id: str, answer: str) -> str:
        task = self.grader.tasks.get(task_id)
        return code_of(answer, how=self.reward.extract, prompt=task.prompt if task else "")

    def task_id_of(self, prompt: str) -> str:
        """The task whose prompt this is, or whose prompt a template was put around (of several the longest: it holds
        the others). The empty id, which grades as missing, where there is none or two tasks have it."""
        found = self.by_prompt.get(prompt)
        if found is None:
            inside = max((text for text in self.by_prompt if text in prompt), key=len, default=None)
            found = "" if inside is None else self.by_prompt[inside]
        return found

    def _write_events(self, graded: Sequence[Graded]) -> None:
        if not self.reward.events:
            return
        with Path(self.reward.events).open("a", encoding="utf-8") as stream:
            for result in graded:
                for attempt in result.tamper:
                    event = {
                        "step": result.step,
                        "task_id": result.task_id,
                        "candidate_id": result.candidate_id,
                        "verdict": result.verdict,
                        "technique": attempt.technique,
                        "family": attempt.family,
                        "line": attempt.line,
                        "confidence": attempt.confidence,
                    }
                    stream.write(json.dumps(event, ensure_ascii=True) + "\n")


def shares_of(graded: Sequence[Graded], scores: Sequence[Score]) -> dict[str, float]:
    """Shares by verdict and of missing scores, always the same names."""
    count = Counter(result.verdict for result in graded)
    return {
        "passed": count["pass"] / len(graded),
        "tampered": count["tampered"] / len(graded),
        "missing": sum(score.is_missing for score in scores) / len(graded),
    }


def answer_text(answer: Any) -> str:
    """The text of a TRL prompt or completion: a string, or the last message of a conversation."""
    if isinstance(answer, str):
        return answer
    if isinstance(answer, Sequence) and answer:
        last = answer[-1]
        content = last.content if isinstance(last, Message) else last.get("content")
        if isinstance(content, str):
            return content
        return "".join(part if isinstance(part, str) else part.get("text") or "" for part in content or ())
    return ""  # a message without text, as one that only calls a tool


def score_of(graded: Graded, config: RewardConfig) -> Score:
    """The score of a verdict under a policy."""
    verdict, policy = graded.verdict, "flag"
    if verdict == "tampered":
        policy = config.on_tamper
    elif verdict == "pass" and graded.special_cased:
        policy = config.on_special_case
    if policy == "drop":
        return Score(NAN, missing=f"{verdict}: {graded.reason}")
    if policy != "flag":
        return Score(-config.penalty if policy == "penalty" else 0.0)
    if verdict == "tampered":
        verdict = judge_tests(Evaluation(tests=task_tests(graded), runs=())).verdict
    if verdict in ("error", "invalid task"):
        return Score(NAN, missing=f"{verdict}: {graded.reason}")
    tests = task_tests(graded)
    passed = sum(test.verdict == "pass" for test in tests)
    value = passed / len(tests) if config.partial else float(verdict == "pass")
    if value and config.on_shared == "drop" and any(t.verdict == "pass" and t.trust == "shared" for t in tests):
        return Score(NAN, missing=f"{verdict}, by a test in the candidate's process, where it can be forged")
    return Score(value)


def task_tests(graded: Graded) -> tuple[TestResult, ...]:
    """The task's own tests: generated ones are evidence, not part of the score."""
    return tuple(test for test in graded.tests if not test.generated)
