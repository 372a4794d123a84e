"""Records of grading: tasks, tests, what became of each test, attempts at tampering, and the graded candidate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from karat.sandbox.types import Bait, Limits, Plain, Run
from karat.types import NAN

TaskKind = Literal["function", "sequence", "stdio", "asserts", "pytest", "repository"]
"""function: calls with inputs and outputs; sequence: a class driven by calls; stdio: a program with standard input and
output; asserts: test code with assertions, run on the trusted side; pytest: a suite beside one solution module;
repository: a folder, a patch, and pinned tests."""

Verdict = Literal["pass", "fail", "error", "timeout", "tampered", "invalid task"]
"""error: nothing could be judged, through no proven fault of the candidate (missing, not 0); tampered: strong evidence
of an attack; invalid task: the task's own reference does not pass its tests, or it has none."""

TestVerdict = Literal["pass", "fail", "error", "timeout", "not run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """When an output equals the expected one. Decided on rebuilt plain values, in the trusted process."""

    relative: float = 0.0
    absolute: float = 0.0
    """Floats a, b agree when |a - b| <= max(absolute, relative * |b|); 0 and 0 mean exactly ==."""
    order: Literal["kept", "free"] = "kept"
    """free: lists and tuples at the top level are compared as multisets."""
    types: Literal["python", "strict"] = "python"
    """python: as == does (1 == 1.0 == True, list is not tuple); strict: types must be equal too."""
    sequences: Literal["distinct", "alike"] = "distinct"
    """alike: a tuple may stand for a list (tests that came from JSON cannot tell them apart)."""
    nan_equal: bool = True
    """A NaN where NaN is expected agrees."""
    text: Literal["exact", "lines", "tokens"] = "exact"
    """For printed output. lines: trailing blanks and last blank lines do not count; tokens: split at white space, and
    numbers compared with the tolerance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call of a sequence."""

    method: str
    """Method name; the class's own name (or `__init__`) makes the object."""
    args: tuple[Plain, ...] = ()
    output: Plain = None
    check: bool = True
    """False where the task does not say what comes out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """One test. Which fields count depends on the task's kind."""

    __test__: ClassVar[bool] = False  # pytest takes a class of this name for tests

    test_id: str
    input: tuple[Plain, ...] = ()
    kwargs: Mapping[str, Plain] = field(default_factory=dict)
    output: Plain = None
    raises: str = ""
    """Name of the exception that the call must raise; empty when it must return."""
    stdin: str = ""
    stdout: str = ""
    steps: tuple[Step, ...] = ()
    hidden: bool = False
    """Held out: the candidate's author cannot have seen it. The visible-hidden gap is measured on these."""
    comparison: Comparison | None = None
    """None: the task's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task with its tests, as a trusted author wrote it. Never sent to the candidate's process as a whole."""

    task_id: str
    kind: TaskKind
    entry_point: str = ""
    """Function (`add`), class (`Stack`) or method (`Solution.twoSum`)."""
    prompt: str = ""
    """Given to the model; where it is code (HumanEval), a completion is appended to it."""
    prelude: str = ""
    """Put before every candidate: imports that the task promises."""
    tests: tuple[Test, ...] = ()
    test_code: str = ""
    """asserts and pytest: the test source. Runs on the trusted side only."""
    reference: str = ""
    """A correct solution (whole source); the tests are checked on it, and inputs generated for it have answers."""
    comparison: Comparison = field(default_factory=Comparison)
    limits: Limits = field(default_factory=Limits)
    command: tuple[str, ...] = ()
    """stdio in another language: the command, `{source}` standing for the candidate's file. Empty: Python."""
    source_name: str = "solution.py"
    files: Mapping[str, bytes] = field(default_factory=dict)
    """repository and pytest: the folder that the candidate starts from."""
    test_files: tuple[str, ...] = ()
    """Those of `files` that hold tests, harness or configuration: pinned by hash and restored before the tests run."""
    fresh: bool = False
    """A new process for each test: no state passes from one call to the next."""
    generator: str = ""
    """Trusted source that defines `inputs(rng)` yielding argument tuples, for held-out inputs."""
    relations: tuple[str, ...] = ()
    """Names or trusted sources of metamorphic relations that outputs must satisfy."""
    source_format: str = "karat"
    row: int = -1
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One answer to a task."""

    task_id: str
    candidate_id: str
    code: str | bytes
    step: int | None = None
    """Training step that it comes from, where known."""
    row: int = -1
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """What became of one test."""

    __test__: ClassVar[bool] = False

    test_id: str
    verdict: TestVerdict
    reason: str = ""
    hidden: bool = False
    generated: bool = False
    """Made by karat from a reference: evidence of special-casing, not part of the task's verdict."""
    wall_s: float = NAN
    trust: Literal["outside", "shared"] = "outside"
    """shared: the assertion had to run in the candidate's process (isolated mode), so a pass could be forged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A candidate's tests and runs, before evidence is weighed."""

    tests: tuple[TestResult, ...]
    runs: tuple[Run, ...]
    """Runs of the candidate's code only (not of trusted test code)."""
    problem: str = ""
    """Why nothing could be judged (ours or the task's fault); empty otherwise."""


Confidence = Literal["proven", "strong", "moderate", "weak"]
"""proven: the kernel or a bait saw it; strong: no honest program does this here; moderate: rare in honest programs;
weak: honest programs do it too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One sign of tampering, apart from the verdict of the tests."""

    technique: str
    """A key of the technique table."""
    family: str
    line: int | None
    confidence: Confidence
    layer: str
    """Who saw it: bait, kernel, channel, audit, seal, source, files, timing, held-out."""
    evidence: str
    benign: str = ""
    """The common honest explanation, if there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """The result of one candidate."""

    task_id: str
    candidate_id: str
    verdict: Verdict
    passed: bool
    reason: str
    tests: tuple[TestResult, ...]
    tamper: tuple[Attempt, ...] = ()
    step: int | None = None
    special_cased: bool | None = None
    """Passes the visible tests, and by held-out inputs, by its source or by other orders and names does no more than
    that; False: held-out inputs were judged and it does; None: neither (`hardcoding.special_casing`)."""
    visible_passed: int = 0
    visible_total: int = 0
    hidden_passed: int = 0
    hidden_total: int = 0
    wall_s: float = NAN
    cpu_s: float = NAN
    backend: str = ""
    attempts: int = 1
    """Runs made: more than 1 after an error or a timeout, under the re-run policy."""
    trust: Literal["outside", "shared"] = "outside"


__all__ = [
    "Attempt",
    "Bait",
    "Candidate",
    "Comparison",
    "Confidence",
    "Evaluation",
    "Graded",
    "Limits",
    "Run",
    "Step",
    "Task",
    "TaskKind",
    "Test",
    "TestResult",
    "TestVerdict",
    "Verdict",
]
