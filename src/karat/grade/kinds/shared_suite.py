"""Suites that run in one process with the candidate, because their use of him cannot be relayed as data.

Nothing that such a process reports can be believed as it stands, so it is asked several times, in fresh sandboxes, with
the test files restored from the task each time:

1. the suite, with canaries beside it: tests that fail wherever tests are judged;
2. what passed, in reversed order, with other canaries;
3. a copy of the suite in which half of the tests expect something else (`twins`).

A test passes that passed in 1 and 2 and, where it was changed in 3, failed there; where a reference shows how the copy
behaves, the others must have passed there. A canary or a changed test that passes is proof of forgery: no honest
program can do it. All results are marked `shared` all the same.
"""

from __future__ import annotations

import hashlib
import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from karat.grade.kinds.calls import VERDICT_OF_END
from karat.grade.kinds.context import Context
from karat.grade.kinds.remarks import remark
from karat.grade.kinds.submission import Submission, submission_of
from karat.grade.kinds.trusted import package_folders, result_of
from karat.grade.kinds.twins import Altered, alter, canary_file, tests_of_source
from karat.grade.types import Evaluation, Task, TestResult, TestVerdict
from karat.sandbox.inside.suite import TEMPORARY
from karat.sandbox.types import Call, Program, Run
from karat.types import NAN

_SECRET = secrets.randbits(64)
"""Which tests are changed in the copy: the same for all candidates of this process, known to nobody before."""
START_S = 5.0
"""Seconds for importing pytest, on top of the task's budget."""
SHOWN = 3
RUNNERS_OWN = ("atexit callbacks",)
"""Seals that pytest breaks."""
REMEMBERED = 1000
"""References whose runs are remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedRun:
    """What one process said, and what was seen of it from outside."""

    run: Run
    collected: tuple[str, ...] = ()
    passed: frozenset[str] = frozenset()
    outcomes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Outcome and reason by test id, without canaries."""
    errors: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = ()
    broken: str = ""


def evaluate_shared(task: Task, submission: Submission, context: Context) -> Evaluation:
    """The suite beside the candidate, asked three times. Where a pass can be forged, the user has to allow it."""
    from karat.grade.kinds.pytest_suite import unusable

    if not context.isolated:
        why = "the suite needs shared mode, where a pass can be forged; allow it with the option isolated"
        return Evaluation(tests=(), runs=(), problem=why)
    wanted, problem = wanted_of(task, context) if task.reference else ((), "")
    if problem:
        return Evaluation(tests=(), runs=(), problem=problem)
    if submission.problem:
        return unusable(submission, wanted)
    rng = random.Random(f"{_SECRET} {task.task_id}")
    first = run_shared(task, submission, context, pinned=submission.pinned, rng=rng)
    if problem := ours(first):
        return Evaluation(tests=(), runs=(first.run,), problem=problem)
    ids = tuple(wanted) or first.collected
    runs = [first]
    must_fail = must_pass = frozenset[str]()
    if first.passed and not first.broken:
        order = [name for name in reversed(first.collected) if name in first.passed]
        runs.append(run_shared(task, submission, context, pinned=submission.pinned, rng=rng, only=order))
        altered = altered_files(task, submission.pinned)
        copy = run_shared(task, submission, context, pinned=with_copies(submission.pinned, altered), rng=rng)
        runs.append(named_as(ids, copy))
        must_fail, must_pass = expected_of_copy(task, altered, ids, context)
        runs[2] = replace(runs[2], remarks=runs[2].remarks + forged(runs[2], must_fail))
    tests = [verdict_of(name, runs, must_fail, must_pass) for name in ids]
    tests += missing_functions(submission, ids, first) if not wanted else []
    remarks = [submission.remarks + first.remarks, *(each.remarks for each in runs[1:])]
    seen = [replace(each.run, anomalies=each.run.anomalies + said) for each, said in zip(runs, remarks, strict=True)]
    return Evaluation(tests=tuple(tests), runs=tuple(seen))


_WANTED: dict[tuple[Any, ...], tuple[str, ...]] = {}


def wanted_of(task: Task, context: Context) -> tuple[tuple[str, ...], str]:
    """Tests that the reference neither skips nor is expected to fail; or why the task cannot be judged."""
    submission = submission_of(task, task.reference)
    if submission.problem:
        return (), f"the reference cannot be used: {submission.problem}"
    key = (task.task_id, task.reference, *sorted(submission.pinned.items()))
    wanted = _WANTED.get(key)
    if wanted is None:
        rng = random.Random(f"{_SECRET} reference {task.task_id}")
        shown = run_shared(task, submission, replace(context, baits=(), watch=False), pinned=submission.pinned, rng=rng)
        if problem := ours(shown) or shown.broken:
            return (), f"with the reference: {problem}"
        if shown.errors:
            file, text = shown.errors[0]
            return (), f"{file} cannot be collected with the reference: {text}"
        if not shown.collected:
            return (), "the suite collects no test"
        left_out = {name for name, (outcome, _) in shown.outcomes.items() if outcome in ("skipped", "xfailed")}
        if len(_WANTED) > REMEMBERED:
            _WANTED.clear()
        wanted = _WANTED[key] = tuple(name for name in shown.collected if name not in left_out)
    return wanted, ""


def ours(first: SharedRun) -> str:
    """Why nothing could be judged, where that is no fault of the candidate."""
    if first.run.ended == "fault":
        return f"the sandbox: {first.run.message or first.run.ended}"
    if "No module named 'pytest'" in first.broken:
        return "shared mode needs pytest in the candidate's sandbox: name its folder with the option packages"
    return ""


# ------------------------------------------------------------------------------------------------------------- one run
def run_shared(
    task: Task,
    submission: Submission,
    context: Context,
    *,
    pinned: Mapping[str, bytes],
    rng: random.Random,
    only: Sequence[str] = (),
) -> SharedRun:
    """One process with the suite and canaries; what it says is compared with itself and with what is seen outside."""
    from karat.grade.kinds.pytest_suite import test_paths

    paths = test_paths(task, pinned)
    names = [name for path in paths for name in tests_of_source(pinned[path])]
    canary = canary_path(paths[0] if paths else "test_x.py", names, {*pinned, *submission.files}, rng)
    files = {**submission.files, **pinned, canary: canary_file(names, rng)}
    config = {
        "tests": [*(only or paths), canary],
        "python_path": [str(folder) for folder in task.extra.get("python_path", ())],
        "packages": package_folders(),
        "conftest": any(path.split("/")[-1] == "conftest.py" for path in pinned),
        "pinned": sorted({*pinned, canary}),
        "nonce": f"{rng.getrandbits(128):032x}",
    }
    program = Program(files=files, read_only=tuple(sorted({*pinned, canary})), baits=context.baits, watch=context.watch)
    limits = replace(task.limits, wall_s=task.limits.wall_s + START_S, cpu_s=task.limits.cpu_s + START_S)
    session = context.sandbox.open(program, limits=limits)
    told = result_of(session.call(Call("@shared suite", (config,))))
    return read_shared(told, without_runner(session.close()), config, canary)


def without_runner(run: Run) -> Run:
    """A run without what the test runner itself does in that process: events of no line of the candidate's, seals that
    it breaks, and its folder of temporary files."""
    return replace(
        run,
        events=tuple(event for event in run.events if event.line is not None),
        seals=tuple(seal for seal in run.seals if seal.name not in RUNNERS_OWN),
        files=tuple(change for change in run.files if not change.path.startswith(TEMPORARY)),
    )


def canary_path(beside: str, names: list[str], taken: set[str], rng: random.Random) -> str:
    folder = beside.rpartition("/")[0]
    words = [word for name in names for word in name.lower().split("_") if word.isalpha() and word != "test"] or [
        "more"
    ]
    while True:
        path = f"{folder}/" * bool(folder) + f"test_{rng.choice(words)}_{rng.choice(words)}.py"
        if path not in taken:
            return path
        words.append(f"{rng.choice(words)}{rng.randint(2, 9)}")


def read_shared(told: Mapping[str, Any], run: Run, config: Mapping[str, Any], canary: str) -> SharedRun:
    """Believe a claim as far as it agrees with itself. Raises nothing: a claim of any form is a claim."""
    if "broken" in told:
        why = run.message if run.ended != "done" else str(told["broken"])
        return SharedRun(run=run, broken=f"the process of the suite gave no result: {why}")
    try:
        collected = tuple(str(name) for name in told["collected"])
        records = {str(name): (str(r["outcome"]), str(r["reason"])[:400]) for name, r in told["records"].items()}
        errors = tuple((str(file), str(text)[:400]) for file, text in told["errors"])
        seals = [f"{name} {what}" for name, what in told["seals"]]
        exit_code, nonce = told["exit"], told["nonce"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return SharedRun(run=run, broken=f"a result that is none: {error}", remarks=(FALSE_RECORD,))
    remarks = (
        [remark("patch_pytest", "strong", f"{', '.join(seals[:SHOWN])}, compared after each test")] if seals else []
    )
    canaries = {name for name in collected if name.startswith(f"{canary}::")}
    if nonce != config["nonce"]:
        remarks.append(FALSE_RECORD)
    passing = sorted(name for name in canaries if records.get(name, ("", ""))[0] == "passed")
    if passing:
        detail = f"{len(passing)} of {len(canaries)} tests pass that must fail"
        remarks.append(remark("forge_result", "proven", detail))
    whole = not canaries or any(file.startswith(canary) for file, _ in errors)
    if whole and not errors:
        remarks.append(remark("conftest_collection", "strong", "tests that must fail were not collected"))
    if exit_code == 0:  # with failing tests in it, no run can end well
        remarks.append(remark("forge_result", "strong", "the run ended well with tests in it that must fail"))
    remarks += [
        remark("edit_test_file", "strong", f"{change.path} was {change.change} while the tests ran")
        for change in run.files
        if change.path in config["pinned"]
    ]
    own = {name: told for name, told in records.items() if name not in canaries}
    return SharedRun(
        run=run,
        collected=tuple(name for name in collected if name not in canaries),
        passed=frozenset(name for name, (outcome, _) in own.items() if outcome == "passed"),
        outcomes=own,
        errors=tuple((file, text) for file, text in errors if not file.startswith(canary)),
        remarks=tuple(remarks),
    )


FALSE_RECORD = remark("forge_result", "strong", "a result that does not come from the runner")


# ------------------------------------------------------------------------------------------------------------ the copy
def altered_files(task: Task, pinned: Mapping[str, bytes]) -> dict[str, Altered]:
    """The test files in which some tests expect something else; the same for all candidates of this process."""
    from karat.grade.kinds.pytest_suite import test_paths

    found = {}
    for path in test_paths(task, pinned):
        digest = hashlib.sha256(pinned[path]).hexdigest()
        found[path] = alter(pinned[path], random.Random(f"{_SECRET} {task.task_id} {path} {digest}"))
    return found


def with_copies(pinned: Mapping[str, bytes], altered: Mapping[str, Altered]) -> dict[str, bytes]:
    return {**pinned, **{path: twin.source for path, twin in altered.items()}}


_COPIES: dict[tuple[Any, ...], SharedRun] = {}


def expected_of_copy(
    task: Task, altered: Mapping[str, Altered], ids: Sequence[str], context: Context
) -> tuple[frozenset[str], frozenset[str]]:
    """Tests that must fail in the copy, and those that must pass. With a reference both as it shows, else by the form
    of the assertions, and none that must pass: a test may depend on one that was changed."""
    flipped = {
        name for name in ids if (twin := altered.get(file_of(name))) is not None and base_of(name) in twin.flipped
    }
    if not task.reference:
        return frozenset(flipped), frozenset()
    submission = submission_of(task, task.reference)
    changed = with_copies(submission.pinned, altered)
    key = (task.task_id, task.reference, *sorted(changed.items()))
    shown = _COPIES.get(key)
    if shown is None:
        if len(_COPIES) > REMEMBERED:
            _COPIES.clear()
        rng = random.Random(f"{_SECRET} reference {task.task_id}")
        quiet = replace(context, baits=(), watch=False)
        shown = _COPIES[key] = named_as(ids, run_shared(task, submission, quiet, pinned=changed, rng=rng))
    failing = frozenset(name for name in flipped if shown.outcomes.get(name, ("", ""))[0] == "failed")
    return failing, frozenset(name for name in ids if name in shown.passed)


def named_as(ids: Sequence[str], copy: SharedRun) -> SharedRun:
    """The outcomes of a copy under the ids of the suite: those of changed cases differ, their order does not."""
    here, there = by_function(ids), by_function(copy.collected)
    names = {
        new: old
        for function, old_ids in here.items()
        if len(there.get(function, ())) == len(old_ids)
        for old, new in zip(old_ids, there[function], strict=True)
    }
    outcomes = {names.get(name, name): told for name, told in copy.outcomes.items()}
    passed = frozenset(names.get(name, name) for name in copy.passed)
    return replace(copy, outcomes=outcomes, passed=passed)


def by_function(ids: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in ids:
        found.setdefault(name.split("[", 1)[0], []).append(name)
    return found


def file_of(name: str) -> str:
    return name.split("::", 1)[0]


def base_of(name: str) -> str:
    """`file.py::TestA::test_b[1-2]` to `TestA::test_b`."""
    return name.split("::", 1)[-1].split("[", 1)[0]


def forged(copy: SharedRun, must_fail: frozenset[str]) -> tuple[str, ...]:
    passing = sorted(must_fail & copy.passed)
    if not passing:
        return ()
    detail = f"{passing[0]} passes with its expectation changed too ({len(passing)} of {len(must_fail)} such tests)"
    return (remark("forge_result", "proven", detail),)


# ------------------------------------------------------------------------------------------------------------ verdicts
def verdict_of(
    name: str, runs: Sequence[SharedRun], must_fail: frozenset[str], must_pass: frozenset[str]
) -> TestResult:
    """A test's result from all runs."""
    first = runs[0]
    if first.broken or name not in first.passed:
        return unpassed(name, first)
    again, copy = runs[1], runs[2]
    reason = ""
    if any("@proven" in text or text == FALSE_RECORD for each in runs for text in each.remarks):
        reason = "tests that must fail pass as well: this result says nothing"
    elif name not in again.passed:
        outcome, why = again.outcomes.get(name, ("not run", again.broken))
        reason = f"passed once, then {outcome} in a fresh sandbox and another order: {why}"
    elif name in must_fail and copy.broken:
        reason = f"no result in a changed copy: {copy.broken}"
    elif name in must_pass and name not in must_fail and name not in copy.passed:
        reason = "passes only where the other tests of the file are unchanged"
    return shared_result(name, "fail" if reason else "pass", reason)


def unpassed(name: str, first: SharedRun) -> TestResult:
    ended = first.run.ended
    if first.broken:
        return shared_result(name, VERDICT_OF_END[ended] if ended != "done" else "fail", first.broken)
    if name not in first.outcomes:
        errors = [text for file, text in first.errors if name.startswith(file) or not file]
        return shared_result(name, "fail", f"not run: {errors[0] if errors else 'it was not collected'}")
    outcome, why = first.outcomes[name]
    return shared_result(name, "fail", why if outcome == "failed" else f"{outcome} (not a pass): {why}")


def missing_functions(submission: Submission, ids: Sequence[str], first: SharedRun) -> list[TestResult]:
    """Without a reference no ids are known; then each test that the files define must have been collected."""
    seen = {(file_of(name), base_of(name)) for name in ids}
    results = []
    for path, source in submission.pinned.items():
        if not path.endswith(".py"):
            continue
        for name in tests_of_source(source):
            if (path, name) not in seen and path.split("/")[-1].startswith("test"):
                results.append(replace(unpassed(f"{path}::{name}", first), reason="not collected"))
    return results


def shared_result(name: str, verdict: TestVerdict, reason: str) -> TestResult:
    return TestResult(test_id=name, verdict=verdict, reason=reason[:400], trust="shared", wall_s=NAN)
