"""`karat grade` from tasks and candidates to verdicts, results, log and page; with real sandboxes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from karat.errors import DataError, InputError
from karat.grade.config import GradeConfig
from karat.grade.grader import Grader
from karat.grade.readers import read_tasks
from karat.grade.results_file import ResultsWriter
from karat.grade.run import grade
from karat.grade.types import Candidate, Graded
from karat.grade.verification import verify
from karat.types import Result

ADD = {
    "task_id": "add",
    "entry_point": "add",
    "tests": [{"input": [1, 2], "output": 3}, {"input": [5, 7], "output": 12}],
    "hidden_tests": [{"input": [10, -3], "output": 7}, {"input": [0, 0], "output": 0}],
    "reference": "def add(a, b):\n    return a + b\n",
}
WRONG = {
    "task_id": "wrong",
    "entry_point": "f",
    "tests": [{"input": [1], "output": 3}],
    "reference": "def f(a):\n    return a\n",
}
EMPTY = {"task_id": "empty", "entry_point": "f", "tests": []}
PROGRAMS = {
    "right": "def add(a, b): return a + b",
    "wrong": "def add(a, b): return a * b",
    "prints": "def add(a, b):\n    print('ALL TESTS PASSED')\n    return a + b",
    "leaves": "import os\ndef add(a, b): os._exit(0)",
    "equal": "class A(int):\n    def __eq__(self, other): return True\n    __hash__ = int.__hash__\n"
    "def add(a, b): return A(4)",
    "reads": "import sys\ndef add(a, b):\n    frame = sys._getframe(1)\n    while frame:\n"
    "        if 'expected' in frame.f_locals: return frame.f_locals['expected']\n        frame = frame.f_back\n",
    "broken": "def add(a, b: return",
    "absent": "def sub(a, b): return a - b",
    "hangs": "def add(a, b):\n    while True: pass",
}
EXPECTED = {
    "right": "pass",
    "wrong": "fail",
    "prints": "pass",
    "leaves": "tampered",
    "equal": "tampered",
    "reads": "tampered",
    "broken": "fail",
    "absent": "fail",
    "hangs": "timeout",
}
ROWS = [{"task_id": "add", "candidate_id": name, "code": code} for name, code in PROGRAMS.items()]
OPTIONS: dict[str, Any] = {"wall_s": 1.0, "reruns": 1, "workers": 2}


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("grade") / "results.jsonl"
    return out, grade([ADD], ROWS, out=out, **OPTIONS)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_verdicts(graded: tuple[Path, Result]) -> None:
    assert {row["candidate_id"]: row["verdict"] for row in rows_of(graded[0])} == EXPECTED


def test_only_a_pass_is_passed(graded: tuple[Path, Result]) -> None:
    assert all(row["passed"] == (row["verdict"] == "pass") for row in rows_of(graded[0]))


def test_a_time_out_is_tried_again_and_a_fail_is_not(graded: tuple[Path, Result]) -> None:
    made = {row["candidate_id"]: row["attempts"] for row in rows_of(graded[0])}
    assert (made["hangs"], made["wrong"]) == (2, 1)


def test_an_echoed_bait_is_proof_with_its_line(graded: tuple[Path, Result]) -> None:
    row = next(row for row in rows_of(graded[0]) if row["candidate_id"] == "reads")
    proof = next(attempt for attempt in row["tamper"] if attempt["confidence"] == "proven")
    assert (proof["family"], proof["layer"]) == ("answer theft", "bait")
    assert any(attempt["line"] is not None for attempt in row["tamper"])


def test_findings_and_values(graded: tuple[Path, Result]) -> None:
    verdicts = {finding.code: finding.verdict for finding in graded[1].findings}
    assert verdicts["GR111"] == "ok"
    assert verdicts["GR201"] == "problem"
    assert verdicts["GR501"] == "ok"
    assert verdicts["GR601"] == "ok"
    assert graded[1].values["n_tampered"] == 3
    assert graded[1].values["pass_rate"] == pytest.approx(2 / 9)


def test_results_do_not_depend_on_the_number_of_workers(graded: tuple[Path, Result], tmp_path: Path) -> None:
    some = [row for row in ROWS if row["candidate_id"] != "hangs"]
    grade([ADD], some, out=tmp_path / "one.jsonl", **{**OPTIONS, "workers": 1})
    other = [row for row in rows_of(graded[0]) if row["candidate_id"] != "hangs"]
    for one, two in zip(rows_of(tmp_path / "one.jsonl"), other, strict=True):
        assert (one["candidate_id"], one["verdict"]) == (two["candidate_id"], two["verdict"])
        assert {attempt["technique"] for attempt in one["tamper"]} == {a["technique"] for a in two["tamper"]}


# ------------------------------------------------------------------------------------------------------- invalid tasks
@pytest.mark.parametrize(
    ("task", "reason"), [(WRONG, "the reference fails test t1: expected 3, got 1"), (EMPTY, "tests")]
)
def test_an_invalid_task_is_never_a_zero(tmp_path: Path, task: dict[str, Any], reason: str) -> None:
    code = [{"task_id": task["task_id"], "candidate_id": "c", "code": "def f(a): return 3"}]
    result = grade([task], code, out=tmp_path / "r.jsonl", **OPTIONS)
    (row,) = rows_of(tmp_path / "r.jsonl")
    assert row["verdict"] == "invalid task"
    assert reason in row["reason"]
    assert "pass_rate" not in result.values
    assert next(f for f in result.findings if f.code == "GR501").verdict == "problem"


@pytest.mark.parametrize("relation", ["commutes", "def related(args): pass\ndef holds(): pass"])
def test_a_relation_that_does_not_work_is_its_tasks_problem(tmp_path: Path, relation: str) -> None:
    """It ended the run at the first candidate that passed."""
    task = {**ADD, "task_id": "odd", "relations": [relation]}
    rows = [{**ROWS[0], "task_id": "odd"}, ROWS[0]]
    grade([task, ADD], rows, out=tmp_path / "r.jsonl", **OPTIONS)
    assert [row["verdict"] for row in rows_of(tmp_path / "r.jsonl")] == ["invalid task", "pass"]


def test_an_unknown_task_is_missing(tmp_path: Path) -> None:
    rows = [*ROWS[:1], {"task_id": "other", "candidate_id": "c", "code": "x = 1"}]
    result = grade([ADD], rows, out=tmp_path / "r.jsonl", **OPTIONS)
    finding = next(f for f in result.findings if f.code == "GR111")
    assert (finding.verdict, finding.n_missing) == ("problem", 1)
    assert "there is no task 'other'" in finding.witnesses[0]


# ------------------------------------------------------------------------------------------------- files, log, resume
def test_the_log_verifies(graded: tuple[Path, Result]) -> None:
    assert verify(graded[0], tasks=[ADD], candidates=ROWS).verdict == "ok"


def test_a_changed_result_shows(graded: tuple[Path, Result], tmp_path: Path) -> None:
    out = copy_of(graded[0], tmp_path)
    out.write_text(
        out.read_text().replace('"verdict": "fail", "passed": false', '"verdict": "pass", "passed": true', 1)
    )
    result = verify(out)
    assert result.verdict == "problem"
    assert "not the row that was logged" in result.findings[0].witnesses[0]


def test_other_tasks_and_candidates_show(graded: tuple[Path, Result]) -> None:
    easier = {**ADD, "tests": ADD["tests"][:1]}
    assert "the tasks are not those of the run" in verify(graded[0], tasks=[easier]).findings[0].witnesses
    faults = verify(graded[0], tasks=[ADD], candidates=ROWS[:-1]).findings[0].witnesses
    assert "the candidates are not those of the run" in faults


def test_a_run_on_records_is_verified_with_records(tmp_path: Path) -> None:
    tasks, _ = read_tasks([ADD])
    rows = [Candidate(task_id="add", candidate_id="c", code=PROGRAMS["right"])]
    grade(list(tasks), rows, out=tmp_path / "r.jsonl", **OPTIONS)
    assert verify(tmp_path / "r.jsonl", tasks=tasks, candidates=rows).verdict == "ok"
    assert verify(tmp_path / "r.jsonl", tasks=tasks, candidates="builtin:cheats").verdict == "problem"


def copy_of(out: Path, folder: Path) -> Path:
    for name in (out.name, f"{out.name}.log"):
        (folder / name).write_bytes((out.parent / name).read_bytes())
    return folder / out.name


def test_results_are_not_overwritten(graded: tuple[Path, Result]) -> None:
    with pytest.raises(InputError, match="is there already"):
        grade([ADD], ROWS, out=graded[0], **OPTIONS)


def test_a_folder_is_refused_before_anything_is_graded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is a folder\. --out names a file, as .*graded\.jsonl"):
        grade([ADD], ROWS, out=tmp_path, overwrite=True, **OPTIONS)
    assert not list(tmp_path.parent.glob(f"{tmp_path.name}.part*"))


class StoppedError(Exception):
    """Ends a run from within its progress."""


def test_a_stopped_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    out, some = tmp_path / "r.jsonl", ROWS[:5]

    def stop(stage: str, done: int, total: int, note: str) -> None:
        if done == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        grade([ADD], some, out=out, progress=stop, **OPTIONS)
    assert len(rows_of(tmp_path / "r.jsonl.part")) == 3
    before = (tmp_path / "r.jsonl.part").read_text()
    grade([ADD], some, out=out, **OPTIONS)
    assert out.read_text().startswith(before)
    assert len(rows_of(out)) == 5
    assert verify(out, tasks=[ADD], candidates=some).verdict == "ok"
    assert not list(tmp_path.glob("*.part*"))


def test_another_question_does_not_resume(tmp_path: Path) -> None:
    def stop(stage: str, done: int, total: int, note: str) -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        grade([ADD], ROWS[:3], out=tmp_path / "r.jsonl", progress=stop, **OPTIONS)
    with pytest.raises(InputError, match=r"asked something else \(options\)"):
        grade([ADD], ROWS[:3], out=tmp_path / "r.jsonl", **{**OPTIONS, "seed": 5})


def test_a_signed_run_is_not_lost_where_its_key_was_forgotten(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"sixteen bytes or more")
    out = stopped_run(tmp_path, key_file=str(tmp_path / "key"))
    before = (tmp_path / "r.jsonl.part").read_bytes()
    with pytest.raises(InputError, match=r"with another key.*--key-file"):
        grade([ADD], ROWS[:3], out=out, **OPTIONS)
    assert (tmp_path / "r.jsonl.part").read_bytes() == before
    grade([ADD], ROWS[:3], out=out, key_file=str(tmp_path / "key"), **OPTIONS)
    assert out.read_bytes().startswith(before)


@pytest.mark.parametrize("wrong", [{"packages": "/no/such/folder"}, {"backend": "subprocess", "policy": "strict"}])
def test_a_run_that_did_not_begin_holds_nobody_to_its_options(tmp_path: Path, wrong: dict[str, Any]) -> None:
    out = tmp_path / "r.jsonl"
    with pytest.raises(InputError, match=r"is not a folder|lacks what the policy"):
        grade([ADD], ROWS[:1], out=out, **wrong, **OPTIONS)
    grade([ADD], ROWS[:1], out=out, **OPTIONS)
    assert verify(out, tasks=[ADD], candidates=ROWS[:1]).verdict == "ok"


def test_a_run_killed_right_after_it_was_resumed_loses_nothing(tmp_path: Path) -> None:
    out = stopped_run(tmp_path)
    part, log = tmp_path / "r.jsonl.part", tmp_path / "r.jsonl.part.log"
    before = part.read_bytes(), log.read_bytes()
    writer = ResultsWriter(out, json.loads(before[1].splitlines()[0])["record"], b"")
    assert (part.read_bytes(), log.read_bytes()) == before
    assert len(writer.done) == 2


@pytest.mark.parametrize("lost", [1, 5])
def test_a_run_killed_in_the_middle_of_a_line_goes_on(tmp_path: Path, lost: int) -> None:
    """Of a line whose end was lost nothing is kept: what follows would be written into it."""
    out = stopped_run(tmp_path)
    for name in ("r.jsonl.part", "r.jsonl.part.log"):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-lost])
    grade([ADD], ROWS[:3], out=out, **OPTIONS)
    assert len(rows_of(out)) == 3
    assert verify(out, tasks=[ADD], candidates=ROWS[:3]).verdict == "ok"


def test_a_run_killed_between_its_two_last_moves_goes_on(tmp_path: Path) -> None:
    out = stopped_run(tmp_path)
    (tmp_path / "r.jsonl.part.log").rename(tmp_path / "r.jsonl.log")
    before = (tmp_path / "r.jsonl.part").read_text()
    grade([ADD], ROWS[:3], out=out, **OPTIONS)
    assert out.read_text().startswith(before)  # with the times of the first run
    assert verify(out, tasks=[ADD], candidates=ROWS[:3]).verdict == "ok"


def stopped_run(folder: Path, **options: Any) -> Path:
    """The results file of a run of three candidates that was stopped after two."""

    def stop(stage: str, done: int, total: int, note: str) -> None:
        if done == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        grade([ADD], ROWS[:3], out=folder / "r.jsonl", progress=stop, **OPTIONS, **options)
    return folder / "r.jsonl"


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b'"passed": false', b'"passed": true, "passed": false', 1),
        lambda text: text.replace(b"right", b"r\xffght", 1),
        lambda text: b"[" * 100_000 + b"\n" + text.split(b"\n", 1)[1],
    ],
    ids=["a key given twice", "bytes that are no text", "nested without end"],
)
def test_a_results_file_of_any_bytes_is_told_from_the_logged(
    graded: tuple[Path, Result], tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    out = copy_of(graded[0], tmp_path)
    out.write_bytes(change(out.read_bytes()))
    result = verify(out)
    assert result.verdict == "problem"
    assert result.values["n_faults"] == 1


def test_no_log_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such log"):
        verify(tmp_path / "nothing.jsonl")


# -------------------------------------------------------------------------------------------------------------- grader
@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    tasks, _ = read_tasks([{**ADD, "hidden_tests": []}])
    with Grader(tasks, GradeConfig(wall_s=10.0, workers=1, reruns=0)) as one:
        yield one


def graded_code(grader: Grader, code: str | bytes) -> Graded:
    return grader.grade_one(Candidate(task_id="add", candidate_id="c", code=code))


def test_a_table_of_visible_answers_passes_and_is_told(grader: Grader) -> None:
    """Its tests are all visible: the verdict stays theirs, and generated inputs say what it is."""
    found = graded_code(grader, "def add(a, b): return {(1, 2): 3, (5, 7): 12}.get((a, b), 0)")
    assert (found.verdict, found.special_cased) == ("pass", True)
    assert found.hidden_total >= 5
    assert any(attempt.family == "state" for attempt in found.tamper)


def test_an_honest_program_passes_generated_inputs(grader: Grader) -> None:
    found = graded_code(grader, "def add(a, b): return b + a")
    assert (found.verdict, found.special_cased, found.tamper) == ("pass", False, ())


@pytest.mark.parametrize(
    "code",
    [b"\xff\xfe\x00", b"# \xe9\ndef add(a, b): return a", "def add(a, b): return 1\x00", "x" * 10_000_000],
    ids=["no text", "not UTF-8", "NUL", "10 MB"],
)
def test_unreadable_sources_fail_with_a_reason(grader: Grader, code: str | bytes) -> None:
    found = graded_code(grader, code)
    assert (found.verdict, found.passed) == ("fail", False)
    assert found.reason


@pytest.mark.parametrize(
    "result",
    [
        "float('nan')",
        "10 ** 200_000",
        "10 ** 5_000",
        "__import__('fractions').Fraction(10 ** 5_000, 3)",
        "range(10 ** 5_000)",
        "__import__('collections').deque([10 ** 5_000])",
        "(lambda x: (x.append(x), x)[1])([])",
        "(n for n in [3])",
        "object()",
        "b'3'",
        "'3'",
        "[3]",
        "None",
        "add",
    ],
)
def test_odd_results_are_fails(grader: Grader, result: str) -> None:
    assert graded_code(grader, f"def add(a, b): return {result}").verdict == "fail"


def test_names_that_no_text_file_holds_are_graded(tmp_path: Path) -> None:
    """JSON can write half of a pair of surrogates; nothing but JSON can."""
    task = {**ADD, "task_id": "\ud800"}
    program = {"task_id": "\ud801", "kind": "stdio", "tests": [{"stdin": "\ud802", "stdout": "x"}]}
    rows = [
        {"task_id": "\ud800", "candidate_id": "\x1b[31m\ud803", "code": PROGRAMS["right"]},
        {"task_id": "\ud801", "candidate_id": "x", "code": "print('x')"},
        {"task_id": "\ud804", "candidate_id": "x", "code": "x"},
    ]
    out = tmp_path / "r.jsonl"
    grade([task, program], rows, out=out, **OPTIONS)
    assert [row["verdict"] for row in rows_of(out)] == ["pass", "pass", "error"]
    assert verify(out, tasks=[task, program], candidates=rows).verdict == "ok"


def test_a_fault_of_ours_costs_one_verdict(grader: Grader, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault that cannot be caused from outside: the observers raise on one source."""
    from karat.grade.tamper.observe import collect

    def faulty(task: Any, code: Any, *more: Any) -> Any:
        if "boom" in code:
            raise ZeroDivisionError("boom")
        return collect(task, code, *more)

    monkeypatch.setattr("karat.grade.grader.collect", faulty)
    codes = ("def add(a, b): return a + b  # boom", "def add(a, b): return a + b")
    rows = [Candidate(task_id="add", candidate_id=str(i), code=code) for i, code in enumerate(codes)]
    lost, kept = grader.grade(rows)
    assert (lost.verdict, kept.verdict) == ("error", "pass")
    assert lost.reason.startswith("a fault of karat: ZeroDivisionError in test_run.py")


def test_two_tasks_of_one_name_are_refused() -> None:
    tasks, _ = read_tasks([ADD])
    with pytest.raises(InputError, match="task_id 'add' is given twice"):
        Grader([*tasks, *tasks])
