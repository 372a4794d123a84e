"""Task and candidate files of every format: rows made by hand, one of each oddity, and what is said of bad rows."""

from __future__ import annotations

import base64
import gzip
import json
import math
import os
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

from karat.errors import DataError, InputError
from karat.grade.readers import read_candidates, read_tasks
from karat.grade.types import Comparison, Task
from karat.sandbox.types import Limits

HUMANEVAL = {
    "task_id": "HumanEval/0",
    "prompt": "def half(x):\n    '''Half of x.'''\n",
    "entry_point": "half",
    "canonical_solution": "    return x / 2\n",
    "test": "def check(candidate):\n    assert candidate(4) == 2\n",
}
MBPP = {
    "task_id": 7,
    "text": "Write a function to double.",
    "code": "def helper(x):\n    return x\ndef double(x):\n    return 2 * helper(x)",
    "test_setup_code": "import math\nx = 1",
    "test_list": ["assert double(2) == 4", "assert set(double([1])) == {1}"],
    "challenge_test_list": ["assert double(0) == 0"],
}
EVALPLUS = {
    "task_id": "Mbpp/2",
    "prompt": '"""\nShared elements.\n"""\n',
    "entry_point": "similar_elements",
    "canonical_solution": "\ndef similar_elements(a, b):\n    return tuple(set(a) & set(b))\n",
    "assertion": "assert set(similar_elements((3, 4), (5, 4))) == set((4,))",
    "contract": "",
    "base_input": [[[3, 4], [5, 4]]],
    "plus_input": [[[], []], [[1, 2, 3], [3]]],
    "atol": 0,
}


def only(row: dict[str, Any], format: str = "") -> Task:
    tasks, account = read_tasks([row], format)
    assert len(tasks) == 1, account.entries
    return tasks[0]


def lcb(public: Any, private: Any, **fields: Any) -> dict[str, Any]:
    return {
        "question_id": "q1",
        "question_content": "Do it.",
        "starter_code": "",
        "public_test_cases": json.dumps(public),
        "private_test_cases": private,
        "metadata": "{}",
        **fields,
    }


def packed(cases: Any) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(cases)))).decode()


# ---------------------------------------------------------------------------------------------------------------- karat
def test_a_row_of_the_contract() -> None:
    row = {
        "task_id": "add",
        "entry_point": " add ",
        "tests": [{"input": [1, 2], "output": 3}],
        "hidden_tests": [
            {"test_id": "h", "input": [1], "kwargs": {"b": 1}, "output": 2, "comparison": {"absolute": 0.5}}
        ],
        "reference": "def add(a, b): return a + b",
        "limits": {"wall_s": 2, "memory_mb": 64.0},
        "comparison": {"order": "free"},
        "note": "kept",
    }
    task = only(row)
    assert (task.kind, task.entry_point, task.extra, task.row) == ("function", "add", {"note": "kept"}, 0)
    assert [(test.test_id, test.input, test.output, test.hidden) for test in task.tests] == [
        ("t1", (1, 2), 3, False),
        ("h", (1,), 2, True),
    ]
    assert task.comparison == Comparison(order="free", sequences="alike")
    assert task.tests[1].comparison == Comparison(order="free", sequences="alike", absolute=0.5)
    assert task.limits == Limits(wall_s=2, memory_mb=64)


def test_tagged_values_have_tuples_and_sets_and_plain_json_has_not() -> None:
    value = {"t": [1, {"s": [2]}]}
    row = {"task_id": "a", "entry_point": "f", "tests": [{"input": [value], "output": value}]}
    assert only(row).tests[0].input == (value,)
    assert only(row).comparison.sequences == "alike"
    tagged = only({**row, "values": "tagged"})
    assert tagged.tests[0].input == ((1, {2}),)
    assert tagged.comparison.sequences == "distinct"


def test_other_kinds_are_seen_from_their_fields() -> None:
    stdio = only({"task_id": "s", "tests": [{"stdin": "1", "stdout": "2"}], "command": ["node", "{source}"]})
    assert (stdio.kind, stdio.comparison.text, stdio.command) == ("stdio", "tokens", ("node", "{source}"))
    steps = [{"method": "Box"}, {"method": "put", "args": [1]}, {"method": "get", "args": [], "output": None}]
    sequence = only({"task_id": "q", "entry_point": "Box", "tests": [{"steps": steps}]})
    assert sequence.kind == "sequence"
    assert [(step.method, step.check) for step in sequence.tests[0].steps] == [
        ("Box", False),
        ("put", False),
        ("get", True),
    ]
    files = {"a.py": "x", "b.bin": {"base64": "AAE="}}
    repository = only({"task_id": "r", "files": files, "test_files": ["t.py"], "tests": []})
    assert (repository.kind, repository.files) == ("repository", {"a.py": b"x", "b.bin": b"\0\1"})
    assert only({"task_id": "p", "kind": "pytest", "test_code": "def test(): pass"}).kind == "pytest"


def test_a_test_without_output_asks_the_reference() -> None:
    row = {"task_id": "a", "entry_point": "f", "tests": [{"input": [1]}], "reference": "def f(x): return x"}
    assert only(row).extra["outputs"] == "reference"
    tasks, account = read_tasks([{**row, "reference": None}])
    assert not tasks
    assert account.entries[0].reason == "a test has no output, and there is no reference to say it"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tests": [{"input": 1, "output": 2}]}, "test 1: input holds a number; it is the list of arguments"),
        ({"tests": [3]}, "test 1 is a number, not an object"),
        ({"tests": "x"}, "column 'tests' holds text, not a list"),
        ({"kind": "essay"}, "kind 'essay' is unknown"),
        ({"comparison": {"order": "any"}}, "comparison: order is 'any'; it is one of kept, free"),
        ({"comparison": {"tolerance": 1}}, "comparison: no such field 'tolerance'"),
        ({"comparison": {"absolute": -1}}, "comparison: absolute is -1"),
        ({"limits": {"wall_s": 0}}, "limits: wall_s is 0; it is a finite number above 0"),
        ({"values": "xml"}, "values 'xml' is neither"),
        ({"values": "tagged", "tests": [{"input": [{"zz": 1}], "output": 1}]}, "a tagged value cannot be read"),
        ({"task_id": None}, "column 'task_id' is missing"),
        ({"fresh": "yes"}, "fresh is neither true nor false"),
        ({"tests": [{"test_id": 1, "output": 1}, {"test_id": 1, "output": 1}]}, "test_id '1' is given twice"),
    ],
)
def test_a_bad_row_is_dropped_with_its_number_and_reason(change: dict[str, Any], reason: str) -> None:
    good = {"task_id": "good", "entry_point": "f", "tests": [{"input": [], "output": 1}]}
    tasks, account = read_tasks([good, {**good, "task_id": "bad", **change}])
    assert [task.task_id for task in tasks] == ["good"]
    (entry,) = account.entries
    assert (entry.action, entry.first_rows) == ("dropped", (1,))
    assert reason in entry.reason
    assert account.rows_read == account.records + account.rows_dropped


def test_a_task_without_tests_is_kept_and_said() -> None:
    tasks, account = read_tasks([{"task_id": "a", "entry_point": "f", "tests": []}])
    assert len(tasks) == 1
    assert "no tests" in account.entries[0].reason


def test_two_rows_of_one_id_give_one_task() -> None:
    tasks, account = read_tasks([HUMANEVAL, HUMANEVAL])
    assert len(tasks) == 1
    assert account.rows_dropped == 1


def test_unknown_formats_and_empty_sources(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tasks format 'x' is unknown\. It is one of: evalplus"):
        read_tasks([HUMANEVAL], "x")
    with pytest.raises(DataError, match="there are no rows"):
        read_tasks([])
    broken = tmp_path / "tasks.jsonl"
    broken.write_bytes(b"\xff\n{\n")
    with pytest.raises(DataError, match="none of 2 rows can be read"):
        read_tasks(str(broken))
    _, account = read_tasks([{"a": 1, "b": 2}])
    assert account.entries[0].reason == "no known task format has these columns: a, b"


# ----------------------------------------------------------------------------------------------------------- benchmarks
def test_humaneval_and_its_samples(tmp_path: Path) -> None:
    file = tmp_path / "tasks.jsonl.gz"
    file.write_bytes(gzip.compress(json.dumps(HUMANEVAL).encode()))
    (task,), account = read_tasks(str(file))
    assert (task.kind, account.format) == ("asserts", "humaneval")
    assert task.reference == "def half(x):\n    '''Half of x.'''\n    return x / 2\n"
    rows = [
        {"task_id": "HumanEval/0", "completion": "    return x\n"},
        {"task_id": "HumanEval/0", "solution": "def half(x): return 1", "step": 3},
        {"prompt": HUMANEVAL["prompt"], "samples": ["    return 5\n", "    return 6\n"]},
        {"task_id": "HumanEval/0", "response": "Here:\n```python\ndef half(x):\n    return 7\n```\n"},
        {"task_id": "HumanEval/0", "code_base64": base64.b64encode(b"\xff").decode(), "candidate_id": "raw"},
        {"task_id": "elsewhere", "code": "x"},
        {"task_id": "HumanEval/0"},
        {"task_id": "elsewhere", "completion": "x"},
        {"prompt": "unknown", "code": "x"},
    ]
    candidates, account = read_candidates(rows, [task])
    assert [(c.candidate_id, c.code) for c in candidates[:6]] == [
        ("0", task.prompt + "    return x\n"),
        ("1", "def half(x): return 1"),
        ("2", task.prompt + "    return 5\n"),
        ("3", task.prompt + "    return 6\n"),
        ("4", "def half(x):\n    return 7\n"),
        ("raw", b"\xff"),
    ]
    assert candidates[1].step == 3
    assert account.rows_dropped == 3
    assert any("there is no task 'elsewhere'" in entry.reason for entry in account.entries)


def test_one_row_of_odd_values_leaves_the_others(tmp_path: Path) -> None:
    """Each of these ended the whole run with an error of Python's."""
    row = {"task_id": "t", "entry_point": "f", "tests": [{"input": [1], "output": 1}]}
    text = json.dumps(row)
    odd = [
        json.dumps({**row, "task_id": "endless", "limits": {"wall_s": math.inf}}),
        json.dumps({**row, "task_id": "vast", "limits": {"memory_mb": 1e300}}),
        text.replace('"output": 1', f'"output": {"9" * 5000}'),
        text.replace('"output": 1', f'"output": {"[" * 400}{"]" * 400}'),
    ]
    file = tmp_path / "tasks.jsonl"
    file.write_text("\n".join([*odd, text]))
    tasks, account = read_tasks(str(file))
    assert [task.task_id for task in tasks] == ["t"]
    reasons = " ".join(entry.reason for entry in account.entries)
    assert "it is a finite number above 0" in reasons
    assert "and at most 1e+09" in reasons
    assert "more digits than Python reads" in reasons
    assert "nested deeper than 100 levels" in reasons


def test_a_part_of_a_megabyte_is_one() -> None:
    (task,), _ = read_tasks([{"task_id": "t", "tests": [{"output": 1}], "limits": {"memory_mb": 0.5}}])
    assert task.limits.memory_mb == 1


def test_a_prompt_of_two_tasks_names_neither() -> None:
    tasks, _ = read_tasks([{**HUMANEVAL, "task_id": name} for name in ("one", "two")])
    rows = [{"prompt": HUMANEVAL["prompt"], "code": "x"}, {"task_id": "two", "code": "x"}]
    candidates, account = read_candidates(rows, tasks)
    assert [candidate.task_id for candidate in candidates] == ["two"]
    assert any("several tasks have the row's prompt" in entry.reason for entry in account.entries)


def test_a_step_that_is_no_whole_number_is_said() -> None:
    tasks, _ = read_tasks([HUMANEVAL])
    rows = [{"task_id": "HumanEval/0", "code": "x", "step": step} for step in (3, "3", 2.5, None)]
    candidates, account = read_candidates(rows, tasks)
    assert [candidate.step for candidate in candidates] == [3, 3, None, None]
    (entry,) = account.entries
    assert "step is no whole number" in entry.reason
    assert entry.first_rows == (2,)


def test_a_solution_that_is_indented_otherwise_goes_without_the_docstring() -> None:
    """CodeT's MBPP: the prompt has four blanks, the solution a tab."""
    task = only({**HUMANEVAL, "canonical_solution": "\treturn x / 2\n"})
    assert task.reference == "def half(x):\n\treturn x / 2\n"


def test_mbpp_with_setup_and_challenge_tests() -> None:
    task = only(MBPP)
    assert (task.task_id, task.entry_point, task.source_format) == ("7", "double", "mbpp")
    assert task.test_code.split("\n")[:3] == ["import math", "x = 1", "assert double(2) == 4"]
    assert task.extra["hidden_from_line"] == 5
    sanitized = only({"task_id": 8, "prompt": "p", "code": MBPP["code"], "test_list": ["assert abs(double(1)) == 2"],
                      "test_imports": ["import math"]})  # fmt: skip
    assert (sanitized.entry_point, sanitized.prompt) == ("double", "p")


def test_evalplus_gives_inputs_with_the_types_of_its_assertion() -> None:
    task = only(EVALPLUS)
    assert [(test.input, test.hidden) for test in task.tests] == [
        (((3, 4), (5, 4)), False),
        (((), ()), True),
        (((1, 2, 3), (3,)), True),
    ]
    assert task.extra["outputs"] == "reference"
    assert task.extra["compare_as"] == "set"
    assert task.comparison == Comparison(absolute=1e-6, relative=1e-7)
    oracle = {**EVALPLUS, "entry_point": "find_zero", "test": "def check(candidate):\n    assert candidate([1])"}
    assert only(oracle).kind == "asserts"


# ------------------------------------------------------------------------------------------------------------- contests
def test_livecodebench_of_both_kinds() -> None:
    stdin = only(lcb([{"input": "1\n", "output": "2\n", "testtype": "stdin"}], packed([{"input": "3", "output": "4"}])))
    assert (stdin.kind, stdin.task_id) == ("stdio", "q1")
    assert [(test.stdin, test.stdout, test.hidden) for test in stdin.tests] == [("1\n", "2\n", False), ("3", "4", True)]
    case = {"input": '[1, 2]\n"a"', "output": "[3]", "testtype": "functional"}
    metadata = json.dumps({"func_name": "go"})
    task = only(lcb([case], json.dumps([]), metadata=metadata, starter_code="class Solution:\n    def go(self, a, b):"))
    assert (task.kind, task.entry_point) == ("function", "Solution.go")
    assert (task.tests[0].input, task.tests[0].output) == (([1, 2], "a"), [3])


class Evil:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.place),))


def test_a_pickle_that_would_run_something_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "made"
    text = base64.b64encode(zlib.compress(pickle.dumps(Evil(place)))).decode()
    tasks, account = read_tasks([lcb([], text)])
    assert not tasks
    assert "private_test_cases holds a pickle of more than a text: it names" in account.entries[0].reason
    assert not place.exists()
    number = base64.b64encode(zlib.compress(pickle.dumps(5))).decode()
    assert "not of a text" in read_tasks([lcb([], number)])[1].entries[0].reason
    assert "neither JSON nor base64" in read_tasks([lcb([], "%%%")])[1].entries[0].reason


def test_apps_by_calls_and_by_standard_input() -> None:
    calls = {"inputs": [[{"1": 2}, "x"], [{}, "y"]], "outputs": [[True], [False]], "fn_name": "go"}
    row = {"problem_id": 3, "question": "q", "solutions": json.dumps(["def go(a, b): return True"]), "starter_code": ""}
    tasks, account = read_tasks([{**row, "input_output": json.dumps(calls)}])
    (task,) = tasks
    assert (task.kind, task.entry_point, task.task_id) == ("function", "go", "3")
    assert [(test.input, test.output) for test in task.tests] == [(({1: 2}, "x"), True), (({}, "y"), False)]
    assert account.entries[0].reason == "outputs taken out of their lists of one"
    io = {"inputs": ["1 2\n", ["3", "4"]], "outputs": ["3\n", ["7"]]}
    task = only({**row, "input_output": json.dumps(io)})
    assert [(test.stdin, test.stdout) for test in task.tests] == [("1 2\n", "3\n"), ("3\n4", "7")]
    short = {"inputs": [1], "outputs": []}
    assert "1 inputs and 0 outputs" in read_tasks([{**row, "input_output": json.dumps(short)}])[1].entries[0].reason
    assert only({**row, "input_output": ""}).tests == ()


# --------------------------------------------------------------------------------------------------------------- shape
def test_parquet_and_folders_read_alike(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    folder = tmp_path / "saved"
    datasets.Dataset.from_list([{**MBPP, "challenge_test_list": []}]).save_to_disk(str(folder))
    datasets.Dataset.from_list([{**MBPP, "challenge_test_list": []}]).to_parquet(str(tmp_path / "tasks.parquet"))
    for source in (folder, tmp_path / "tasks.parquet"):
        (task,), _ = read_tasks(str(source))
        assert (task.entry_point, len(task.test_code.split("\n"))) == ("double", 4)


def test_the_fingerprint_follows_the_content() -> None:
    first = read_tasks([HUMANEVAL])[1].fingerprint
    assert first == read_tasks([HUMANEVAL])[1].fingerprint
    assert first != read_tasks([{**HUMANEVAL, "test": HUMANEVAL["test"] + "\n"}])[1].fingerprint
