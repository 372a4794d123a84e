"""`karat train STEPS --process --label`: from solutions, or problems, to labelled steps in OUT/steps.jsonl.

OUT/labels.jsonl    every solution with what was found of it; written part by part, so that a killed run resumes
OUT/labels.json     the request that they answer
OUT/steps.jsonl     the training data: solutions that have labels and, with a judge, on which it agrees
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from karat import __version__
from karat.data.part_files import PartFiles
from karat.data.records import plain
from karat.data.steps import write_steps
from karat.errors import DataError, InputError
from karat.rewards.kinds import import_function
from karat.rewards.process import split_steps_of
from karat.train.labelling.answers import AnswerCheck, Checker
from karat.train.labelling.completers import CompleteFunction, Completer, make_completer
from karat.train.labelling.config import LABELS, REQUEST, STEPS, LabelConfig
from karat.train.labelling.findings import labelling_result
from karat.train.labelling.inputs import NO_ANSWER, Group, Inputs, gather
from karat.train.labelling.problems import Problem
from karat.train.labelling.records import Labelled
from karat.train.labelling.rollouts import Labeller, Rollouts
from karat.train.labelling.search import Task, label_by_search, label_every_step
from karat.train.labelling.types import MISSING, Found
from karat.types import NO_ERROR, Result, StepSolution

NO_STEPS = "the completer wrote no solution"

Judge = Callable[[Any, list[str]], int | None]
Progress = Callable[..., None]


def label_steps(
    source: str | Path | Sequence[StepSolution],
    *,
    out: str | Path,
    config: LabelConfig | None = None,
    completer: str | CompleteFunction | Completer | None = None,
    judge: Judge | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Result:
    """Label the steps of solutions by what completions of them reach.

    Args:
        source: solutions in steps in any format (`karat.data.steps.list_step_formats`), or records; with
            config.samples: problems with answers, whose solutions are sampled first.
        out: folder for the labels; the same request in it resumes, or is answered from what is there.
        config: options; `options` override single fields by name. Without a method, mc.
        completer: overrides config.completer: a model's name, a function completer(prompt, steps, n, seed) -> texts,
            or a `Completer`.
        judge: overrides config.judge: judge(prompt, steps) -> index of the first wrong step, -1 for none, or None.
        progress: called as progress(stage, done, total, note).
    Returns: findings RM401 to RM406; values: solutions, labelled, kept, rollouts, full_rollouts, tokens and others.
    Raises: InputError and its kin for input that cannot be used; DataError: no solution could be labelled.
    """
    config = replace(config or LabelConfig(), **options)
    config = config if config.label else replace(config, label="mc")
    out = Path(out)
    inputs = gather(source, config)
    spec = completer or config.completer or "default"
    judge = judge or (import_function(config.judge) if config.judge else None)
    checker: Checker | None = import_function(config.checker) if config.checker else None
    request = {
        **asdict(replace(config, overwrite=False)),
        "completer": spec if isinstance(spec, str) else _name_of(spec),
        "judge": config.judge or (_name_of(judge) if judge else ""),
        "data": inputs.fingerprint(),
        "karat": __version__,
    }
    if config.overwrite or _held_request(out) != request:
        out.mkdir(parents=True, exist_ok=True)
        parts = PartFiles(out / LABELS, request, overwrite=config.overwrite)
        # before the labels appear: a run killed in between would leave labels that answer no known request
        (out / REQUEST).write_text(json.dumps(request), encoding="utf-8")
        _label_parts(parts, inputs, spec, AnswerCheck(checker, unfinished=config.unfinished), judge, config, progress)
    with (out / LABELS).open(encoding="utf-8") as file:
        labelled = [Labelled.from_row(json.loads(line)) for line in file]
    kept = [item for item in labelled if item.is_labelled and (judge is None or item.is_agreed)]
    if not kept:
        raise DataError(_nothing_kept(labelled, out))
    write_steps([item.training(config.label) for item in kept], out / STEPS)
    return labelling_result(
        labelled, kept, inputs.account, config=config, completer=str(request["completer"]), judge=str(request["judge"]),
        files=(str(out / STEPS), str(out / LABELS)),
    )  # fmt: skip


def _name_of(thing: Any) -> str:
    return str(getattr(thing, "name", "") or getattr(thing, "__name__", type(thing).__name__))


def _held_request(out: Path) -> dict[str, Any]:
    """The request that the folder's finished labels answer; empty where there are none."""
    if not (out / LABELS).exists():
        return {}
    try:
        found = json.loads((out / REQUEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _nothing_kept(labelled: Sequence[Labelled], out: Path) -> str:
    reasons: dict[str, int] = {}
    for item in labelled:
        reason = item.found.why or item.judge_failed or "the judge names another step"
        reasons[reason] = reasons.get(reason, 0) + 1
    told = "; ".join(f"{why} ({n})" for why, n in sorted(reasons.items(), key=lambda pair: -pair[1])[:3])
    return (
        f"{out / LABELS}: none of {len(labelled)} solutions has labels to train on: {told}. Look at the reasons there, "
        "then give another completer, checker or judge, and --overwrite."
    )


# --------------------------------------------------------------------------------------------------------------- parts
def _label_parts(
    parts: PartFiles,
    inputs: Inputs,
    spec: str | CompleteFunction | Completer,
    check: AnswerCheck,
    judge: Judge | None,
    config: LabelConfig,
    progress: Progress | None,
) -> None:
    """Every problem's solutions, some problems at a time; finished parts of an earlier run are kept."""
    step = config.problems_per_part
    chunks = [inputs.groups[at : at + step] for at in range(0, len(inputs.groups), step)]
    done, rollouts = parts.finished(), None
    for number, chunk in enumerate(chunks):
        if number < done:
            continue
        if rollouts is None:
            rollouts = Rollouts(
                make_completer(spec, config),
                check,
                seed=config.seed,
                separator=config.separator,
                at_once=config.rule().at_once,
            )
        rows = [
            replace(item, judged=judged, judge_failed=why)
            for item in _label(chunk, rollouts, config)
            for judged, why in [_ask_judge(judge, item)]
        ]
        parts.write(number, [item.to_row() for item in rows])
        rollouts.forget()
        if progress:
            progress("labelling", number * step + len(chunk), len(inputs.groups), "problems")
    parts.finish()


def _label(chunk: Sequence[Group], rollouts: Rollouts, config: LabelConfig) -> list[Labelled]:
    """The solutions of some problems, all of them at once so that completions come in large batches."""
    if config.samples:
        pairs = list(_sampled(chunk, rollouts, config))
    else:
        pairs = [
            (solution, _final(group.problem, solution, rollouts.check, config))
            for group in chunk
            for solution in group.solutions
        ]
    problems = {group.problem.prompt_id: group.problem for group in chunk}
    tasks = [Task(problems[solution.prompt_id], solution.steps, final) for solution, final in pairs]
    found = rollouts.run([_labeller(task, config) for task in tasks])
    return [Labelled(solution, each) for (solution, _), each in zip(pairs, found, strict=True)]


def _final(problem: Problem, solution: StepSolution, check: AnswerCheck, config: LabelConfig) -> float:
    """1 where the solution ends in the right answer, 0 where not; what the data says where that cannot be told."""
    if not problem.answer:
        return solution.final_right
    found, _ = check.reaches(problem.prompt, config.separator.join(solution.steps), problem.answer)
    return solution.final_right if math.isnan(found) else found


def _sampled(chunk: Sequence[Group], rollouts: Rollouts, config: LabelConfig) -> Iterator[tuple[StepSolution, float]]:
    """Solutions that the completer wrote, and whether each ends in the right answer."""
    problems = [group.problem for group in chunk]
    for problem, completions in zip(problems, rollouts.sample(problems, config.samples), strict=True):
        for number, completion in enumerate(completions):
            steps = tuple(split_steps_of(completion.text or "", config.separator))
            if not completion.is_finished:
                steps = steps[:-1]  # the step that was cut; what comes before it is whole
            solution = StepSolution(
                problem.prompt,
                steps,
                labels=(math.nan,) * len(steps),
                prompt_id=problem.prompt_id,
                solution_id=f"{problem.prompt_id}/{number}",
                answer=problem.answer,
                row=problem.row,
                source=rollouts.completer.name,
            )
            is_whole = completion.is_finished and steps
            yield solution, _final(problem, solution, rollouts.check, config) if is_whole else MISSING


def _labeller(task: Task, config: LabelConfig) -> Labeller[Found]:
    if not task.steps:
        return _without(task, NO_STEPS)
    if not task.problem.answer:
        return _without(task, NO_ANSWER)
    if config.label == "mc":
        return label_every_step(task, config.rule(), soft=config.label_as == "soft")
    rng = np.random.default_rng([config.seed, *_digest(task)])
    return label_by_search(task, config.rule(), rng=rng, check_share=config.check_share)


def _without(task: Task, why: str) -> Labeller[Found]:
    yield from ()
    return Found((math.nan,) * len(task.steps), why=why)


def _digest(task: Task) -> tuple[int, ...]:
    """Numbers fixed by the solution alone, so that its draws do not depend on which others are there."""
    facts = json.dumps([plain(task.problem.prompt), task.steps]).encode()
    return tuple(hashlib.sha256(facts).digest()[:8])


def _ask_judge(judge: Judge | None, item: Labelled) -> tuple[int | None, str]:
    """The judge's first wrong step, or why there is none; it is asked about solutions that have labels."""
    if judge is None or not item.is_labelled:
        return None, ""
    n_steps = len(item.solution.steps)
    try:
        found: Any = judge(plain(item.solution.prompt), list(item.solution.steps))
    except Exception as error:  # the user's code may raise anything; the labels must survive it
        return None, f"the judge raised {type(error).__name__}: {error}"
    if found is None:
        return None, "the judge cannot tell"
    if isinstance(found, bool) or not isinstance(found, int | np.integer):
        raise InputError(f"the judge returned {found!r}; it must return a step's index, -1 for no error, or None.")
    if not NO_ERROR <= found < n_steps:
        return None, "the judge names a step that is not there"
    return int(found), ""
