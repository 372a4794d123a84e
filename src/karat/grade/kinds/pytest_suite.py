"""pytest suites. The tests run in a trusted process that never loads the candidate: the modules they import are
stand-ins whose every use is relayed, as data, to the candidate's own sandbox. Suites that cannot be relayed run beside
the candidate (`shared_suite`) where the user allows it, and their results are marked.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from karat.grade.kinds.context import Context
from karat.grade.kinds.remarks import remark
from karat.grade.kinds.submission import Submission, is_history, pin_of, pinned_files, submission_of
from karat.grade.kinds.trusted import package_folders, run_trusted
from karat.grade.types import Evaluation, Task, TestResult
from karat.sandbox.types import Call, Limits, Program, Reply, Run, Session

GRACE_S = 10.0
"""Seconds that a suite may take beyond the candidate's own budget, for the tests themselves."""
OURS = "the tests' process"
SLOW = "not over"
"""How the message of a run starts that reached the limit by the clock."""
TIMED = ("wall", "cpu")
KEPT = 4096
"""Tasks whose reference run is remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What the task's own reference does on its tests."""

    outcomes: Mapping[str, str] = field(default_factory=dict)
    """passed, failed, skipped, xfailed ... by test id."""
    limits: tuple[str, ...] = ()
    """What cannot be proxied."""
    kinds: Mapping[str, Any] | None = None
    """What kind of thing each use of the module gave (see `sandbox/inside/expected.py`)."""
    problem: str = ""

    @property
    def counted(self) -> tuple[str, ...]:
        """Tests that say something: those that the reference neither skips nor is expected to fail."""
        return tuple(name for name, outcome in self.outcomes.items() if outcome not in ("skipped", "xfailed"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRun:
    """One run of a suite with one candidate."""

    collected: tuple[str, ...]
    errors: tuple[tuple[str, str], ...]
    """Files that could not be collected, with the reason."""
    records: Mapping[str, Mapping[str, Any]]
    limits: tuple[str, ...]
    suspicious: tuple[str, ...]
    seen: Mapping[str, Any]
    """Kinds of things by use of the module."""
    broken: str
    run: Run | None
    """Of the candidate's process; None when the tests never asked for it."""


# ---------------------------------------------------------------------------------------------------------- evaluating
def evaluate_pytest(task: Task, code: str | bytes, context: Context) -> Evaluation:
    """Run the suite of a task with a candidate.

    Returns: one result for each test that the reference does not skip (without a reference: each that is collected). A
    skipped, expectedly failing, missing or uncollected test is no pass.
    """
    return evaluate_suite(task, code, context)


def evaluate_suite(task: Task, code: str | bytes, context: Context) -> Evaluation:
    """For pytest suites and repositories alike."""
    submission = submission_of(task, code)
    if not submission.pinned:
        return Evaluation(tests=(), runs=(), problem="the task has no tests: give test_code, or files and test_files")
    if not package_folders():
        return Evaluation(tests=(), runs=(), problem="pytest is not installed beside karat: pip install 'karat[grade]'")
    asks_shared = task.extra.get("trust") == "shared"
    baseline = baseline_of(task, context) if task.reference and not asks_shared else Baseline()
    if asks_shared or (baseline.limits and context.isolated):
        from karat.grade.kinds.shared_suite import evaluate_shared

        return evaluate_shared(task, submission, context)
    if baseline.problem:
        return Evaluation(tests=(), runs=(), problem=baseline.problem)
    if submission.problem:
        return unusable(submission, baseline.counted)
    suite = run_suite(task, submission, context, kinds=baseline.kinds)
    if suite.broken and not suite.broken.startswith(SLOW):
        return Evaluation(tests=(), runs=runs_of(suite, submission), problem=f"{OURS}: {suite.broken}")
    return Evaluation(tests=results_of(suite, baseline), runs=runs_of(suite, submission))


def unusable(submission: Submission, names: Sequence[str]) -> Evaluation:
    """A patch that does not apply fails every test, with the reason."""
    why = f"the patch does not apply: {submission.problem}"
    tests = tuple(TestResult(test_id=name, verdict="fail", reason=why) for name in names or ("patch",))
    return Evaluation(tests=tests, runs=())


def runs_of(suite: SuiteRun, submission: Submission) -> tuple[Run, ...]:
    """The candidate's run, with what was remarked of his files and results."""
    remarks = submission.remarks + tuple(remark("always_equal", "strong", text) for text in suite.suspicious[:1])
    run = suite.run or (Run(ended="done", message="the tests asked nothing of the candidate") if remarks else None)
    return () if run is None else (replace(run, anomalies=run.anomalies + remarks),)


def results_of(suite: SuiteRun, baseline: Baseline) -> tuple[TestResult, ...]:
    names = baseline.counted or suite.collected
    results = [result_of_test(name, suite) for name in names]
    if baseline.kinds is None and any("instance" in kinds for kinds in suite.seen.values()):
        # nothing says where the tests mean objects of the candidate and where values: an object may have taken a place
        results = [replace(result, trust="shared") for result in results]
    if not baseline.outcomes:  # files that were not collected have no ids to miss: they are results themselves
        results += [TestResult(test_id=name, verdict="fail", reason=text[:300]) for name, text in suite.errors]
    return tuple(results)


def result_of_test(name: str, suite: SuiteRun) -> TestResult:
    """The verdict on one test. Whatever is not an ordinary pass says why."""
    record = suite.records.get(name)
    ended = suite.run.ended if suite.run is not None else "done"
    if record is None:
        if suite.broken:
            return TestResult(test_id=name, verdict="timeout", reason=f"the suite was {suite.broken}")
        errors = [text for file, text in suite.errors if name.startswith(file) or not file]
        why = errors[0] if errors else "the test was not collected or did not run"
        verdict = "timeout" if ended in TIMED else "fail"
        return TestResult(test_id=name, verdict=verdict, reason=f"not run: {why}"[:400])  # type: ignore[arg-type]
    wall_s, outcome, reason = float(record["wall_s"]), record["outcome"], str(record["reason"])
    if record["gone_before"]:
        why = "the candidate's process had ended in an earlier test"
        return TestResult(test_id=name, verdict="not run", reason=why, wall_s=wall_s)
    if record["gone"]:
        why = f"the candidate's process: {record['gone']}"
        return TestResult(test_id=name, verdict="timeout" if ended in TIMED else "fail", reason=why, wall_s=wall_s)
    if outcome == "passed" and not record["limited"]:
        return TestResult(test_id=name, verdict="pass", wall_s=wall_s)
    if record["limited"]:
        reason = f"cannot be proxied: {suite.limits[-1] if suite.limits else reason}"
    elif outcome != "failed":
        reason = f"{outcome or 'no outcome'} (not a pass): {reason}"
    return TestResult(test_id=name, verdict="fail", reason=reason[:400], wall_s=wall_s)


# ----------------------------------------------------------------------------------------------------------- reference
_BASELINES: OrderedDict[str, Baseline] = OrderedDict()
_LOCK = threading.Lock()


def baseline_of(task: Task, context: Context) -> Baseline:
    """The reference's outcomes; run once for each suite and reference."""
    material = json.dumps([task.reference, task.source_name, sorted(map(str, task.extra.items()))])
    digest = hashlib.sha256((pin_of({**task.files, **pinned_files(task)}) + material).encode()).hexdigest()
    with _LOCK:
        known = _BASELINES.get(digest)
    if known is not None:
        return known
    found = find_baseline(task, context)
    if found.problem.startswith(OURS):  # not the task's: the next time may find it well
        return found
    with _LOCK:
        _BASELINES[digest] = found
        while len(_BASELINES) > KEPT:
            _BASELINES.popitem(last=False)
    return found


def find_baseline(task: Task, context: Context) -> Baseline:
    submission = submission_of(task, task.reference)
    if submission.problem:
        return Baseline(problem=f"the reference cannot be used: {submission.problem}")
    suite = run_suite(task, submission, replace(context, baits=(), watch=False), reference=True)
    if suite.broken:
        return Baseline(problem=f"{OURS} with the reference: {suite.broken}")
    if suite.errors and not suite.limits:
        file, text = suite.errors[0]
        return Baseline(problem=f"{file} cannot be collected with the reference: {text[:300]}")
    if not suite.collected and not suite.limits:
        return Baseline(problem="the suite collects no test")
    outcomes = {name: str(suite.records.get(name, {}).get("outcome", "missing")) for name in suite.collected}
    return Baseline(outcomes=outcomes, limits=suite.limits, kinds=suite.seen)


# ------------------------------------------------------------------------------------------------------------- running
def run_suite(
    task: Task,
    submission: Submission,
    context: Context,
    *,
    kinds: Mapping[str, Any] | None = None,
    reference: bool = False,
) -> SuiteRun:
    """The suite in a trusted process, the candidate in a sandbox of its own, opened when he is first asked.

    Args:
        kinds: what each use of the module gives with the reference; None where that is not known.
        reference: this is the reference, from which the kinds are learned.
    """
    relay = Relay(Program(files=submission.files, baits=context.baits, watch=context.watch), task.limits, context)
    code = (".py", ".ini", ".toml", ".cfg")
    data = {path: text for path, text in task.files.items() if not path.endswith(code) and not is_history(path)}
    config = {
        "tests": test_paths(task, submission.pinned),
        "modules": sorted(modules_of(task, submission)),
        "python_path": [str(folder) for folder in task.extra.get("python_path", ())],
        "known": kinds,
        "reference": reference,
        "packages": package_folders(),
        "conftest": any(path.split("/")[-1] == "conftest.py" for path in submission.pinned),
    }
    try:
        told = run_trusted(
            context.trusted,
            config,
            files=data | dict(submission.pinned),
            timeout_s=task.limits.wall_s + GRACE_S,
            answer=relay.answer,
        )
    finally:
        run = relay.close()
    return read_told(told, run)


class Relay:
    """Takes what the tests ask to the candidate and brings back his answer: text that is looked at by neither side's
    trust, only decoded."""

    def __init__(self, program: Program, limits: Limits, context: Context) -> None:
        self.program, self.limits, self.context = program, limits, context
        self.session: Session | None = None

    def answer(self, call: Call) -> Reply:
        if self.session is None:
            self.session = self.context.sandbox.open(self.program, limits=self.limits)
        reply = self.session.call(Call("@relay", call.args))
        if reply.status == "value" and type(reply.value) is str:
            return Reply(status="value", value=reply.value)
        why = f"{reply.type_name}: {reply.message}" if reply.status == "raised" else reply.message or reply.status
        return Reply(status="value", value=json.dumps({"gone": why}))

    def close(self) -> Run | None:
        return None if self.session is None else self.session.close()


def test_paths(task: Task, pinned: Mapping[str, bytes]) -> list[str]:
    """The files to collect: those that the task names, else every pinned test file."""
    named = [str(path) for path in task.extra.get("tests", ())]
    names = {path: path.split("/")[-1] for path in pinned if path.endswith(".py")}
    return named or sorted(path for path, name in names.items() if name.startswith("test") or name.endswith("_test.py"))


def modules_of(task: Task, submission: Submission) -> set[str]:
    """Top-level modules that are the candidate's to write: those that the task names or has, never a runner's."""
    roots = tuple(f"{str(folder).strip('/')}/" for folder in task.extra.get("python_path", ()))
    paths = [path for path in (*task.files, task.source_name) if path.endswith(".py") and path not in submission.pinned]
    if task.reference:
        paths += [path for path in submission_of(task, task.reference).files if path.endswith(".py")]
    names = set(map(str, task.extra.get("modules", ())))
    for path in paths:
        for root in roots:
            path = path.removeprefix(root)
        names.add(path.split("/")[0].removesuffix(".py"))
    return names - {"setup", "conftest", "pytest", "_pytest", "pluggy", "unittest", "karat", "builtins", "sys"}


def read_told(told: Mapping[str, Any], run: Run | None) -> SuiteRun:
    records = {}
    for name, record in told.get("records", {}).items():
        before, after = record["before"], record["state"]
        flags = {"gone_before": bool(before[2]), "gone": str(after[2]), "limited": after[0] > before[0]}
        records[name] = record | flags
    return SuiteRun(
        collected=tuple(told.get("collected", ())),
        errors=tuple((str(file), str(text)) for file, text in told.get("errors", ())),
        records=records,
        limits=tuple(dict.fromkeys(told.get("limits", ()))),
        suspicious=tuple(dict.fromkeys(told.get("suspicious", ()))),
        seen=told.get("seen", {}),
        broken=str(told.get("broken", "")),
        run=run,
    )
