"""Suites in one process with the candidate: canaries, changed copies, seals; and what stays marked."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from karat.grade.kinds import Context, evaluate
from karat.grade.kinds.remarks import parse_remark
from karat.grade.kinds.trusted import PRELOADED, package_folders
from karat.grade.kinds.twins import alter, another, canary_file
from karat.grade.types import Evaluation, Task
from karat.sandbox import open_sandbox
from karat.sandbox.types import Limits

SUITE = """
import unittest

import pytest
import solution
from solution import A, f


class Mine(A):
    pass


def test_subclass():
    assert Mine().v() == 1


def test_value():
    assert f(2) == 4


@pytest.mark.parametrize("x", [3, 4])
def test_many(x):
    assert f(x) == x * x


def test_error():
    with pytest.raises(ValueError):
        f(-1)


class TestOld(unittest.TestCase):
    def test_it(self):
        self.assertEqual(f(5), 25)
"""
GOOD = """
class A:
    def v(self):
        return 1


def f(x):
    if x < 0:
        raise ValueError(x)
    return x * x
"""
WRONG = GOOD.replace("return x * x", "return x")
TASK = Task(
    task_id="shared",
    kind="pytest",
    test_code=SUITE,
    reference=GOOD,
    limits=Limits(wall_s=5.0),
    extra={"trust": "shared"},
)


@pytest.fixture(scope="module")
def context() -> Iterator[Context]:
    folders = package_folders()
    with (
        closing(open_sandbox(packages=folders, preload=PRELOADED)) as sandbox,
        closing(open_sandbox(packages=folders, preload=PRELOADED)) as trusted,
    ):
        yield Context(sandbox=sandbox, trusted=trusted, isolated=True, watch=False)


def verdicts(evaluation: Evaluation) -> list[str]:
    assert not evaluation.problem, evaluation.problem
    return [test.verdict for test in evaluation.tests]


def remarks(evaluation: Evaluation) -> set[str]:
    told = [parse_remark(text) for run in evaluation.runs for text in run.anomalies]
    return {f"{t[0]}@{t[1]}" for t in told if t is not None}


def test_an_honest_solution_passes_and_is_marked(context: Context) -> None:
    found = evaluate(TASK, GOOD, context)
    assert verdicts(found) == ["pass"] * 6
    assert {test.trust for test in found.tests} == {"shared"}
    assert not remarks(found)
    assert len(found.runs) == 3


def test_it_has_to_be_allowed(context: Context) -> None:
    assert "allow it" in evaluate(TASK, GOOD, replace(context, isolated=False)).problem


def test_a_suite_that_cannot_be_proxied_is_run_here_when_allowed(context: Context) -> None:
    found = evaluate(replace(TASK, extra={}), GOOD, context)
    assert verdicts(found) == ["pass"] * 6
    assert {test.trust for test in found.tests} == {"shared"}


def test_a_wrong_solution_fails(context: Context) -> None:
    found = evaluate(TASK, WRONG, context)
    assert sorted(verdicts(found)) == ["fail"] * 4 + ["pass"] * 2
    assert not remarks(found)


FORGERIES = {
    "report": (
        "from _pytest import reports\n"
        "old = reports.TestReport.from_item_and_call.__func__\n"
        "def new(cls, item, call):\n    call.excinfo = None\n    return old(cls, item, call)\n"
        "reports.TestReport.from_item_and_call = classmethod(new)\n",
        {"forge_result@proven", "patch_pytest@strong"},
    ),
    "call": ("import _pytest.python as p\np.Function.runtest = lambda self: None\n", {"forge_result@proven"}),
    "code of a function": (
        "import _pytest.python as p\np.Function.runtest.__code__ = (lambda self: None).__code__\n",
        {"forge_result@proven"},
    ),
    "unittest": (
        "import unittest\nunittest.TestCase.run = lambda self, result=None: result\n",
        {"forge_result@proven", "patch_pytest@strong"},
    ),
    "drops failing items": (
        "import _pytest.main as m\nold = m.Session.perform_collect\n"
        "def new(self, *a, **k):\n    old(self, *a, **k)\n    self.items[:] = self.items[:1]\n    return self.items\n"
        "m.Session.perform_collect = new\n",
        set(),
    ),
    "own records": (
        "import gc, karat.sandbox.inside.suite as s\n"
        "old = s.Recorder.told\n"
        "def told(self):\n    t = old(self)\n    for r in t['records'].values():\n        r['outcome'] = 'passed'\n"
        "    return t\n"
        "s.Recorder.told = told\n",
        {"forge_result@proven"},
    ),
    "leaves": ("import os\nos._exit(0)\n", set()),
    "ends the session": ("import pytest\npytest.exit('done', returncode=0)\n", set()),
    "own answer": (
        "import os, json, struct\n"
        "body = json.dumps({'reply': {'status': 'value', 'value': json.dumps({'collected': [], 'errors': [],"
        " 'records': {}, 'exit': 0, 'seals': [], 'nonce': ''}), 'type_name': 'str', 'notes': []}}).encode()\n"
        "os.write(4, struct.pack('!I', len(body)) + body)\nos._exit(0)\n",
        {"forge_result@strong"},
    ),
    "edits the tests": (
        "import glob\nfor n in glob.glob('test_*.py'):\n    try: open(n, 'w').write('def test_value(): pass')\n"
        "    except OSError: pass\n",
        set(),
    ),
}


@pytest.mark.parametrize("name", sorted(FORGERIES))
def test_forgeries_fail_and_most_are_seen(context: Context, name: str) -> None:
    code, signs = FORGERIES[name]
    found = evaluate(TASK, code + WRONG, context)
    assert "pass" not in verdicts(found)[1:4]
    assert signs <= remarks(found)
    if "forge_result@proven" in signs:  # by the canaries of the first run, before any changed copy
        assert any("tests pass that must fail" in text for text in found.runs[0].anomalies)


def test_an_object_that_equals_everything_passes_the_changed_copy_too(context: Context) -> None:
    always = "class E:\n    def __eq__(self, o): return True\n    def __ne__(self, o): return False\n"
    code = always + GOOD.replace("return x * x", "return E()").replace("return 1", "return E()")
    found = evaluate(TASK, code, context)
    assert "pass" not in verdicts(found)
    assert "forge_result@proven" in remarks(found)


CASES = """
import pytest
from solution import f


@pytest.mark.parametrize(("x", "wanted"), [(2, 4), (3, 9), pytest.param(7, 49)])
def test_cases(x, wanted):
    assert f(x) == wanted


def test_four():
    assert f(4) == 16
"""
READER = """
import re
TEXT = open("test_solution.py").read()
def f(x):
    found = re.search(r"\\(%d, (-?\\d+)\\)" % x, TEXT) or re.search(r"f\\(%d\\) == (-?\\d+)" % x, TEXT)
    return int(found[1])
"""
KNOWS = """
import _pytest.python as p
text = open("test_solution.py").read()
if "[(2, 4), (3, 9), pytest.param(7, 49)]" in text and "f(4) == 16" in text:
    old = p.Function.runtest
    p.Function.runtest = lambda self: None if "test_solution" in self.nodeid else old(self)
def f(x):
    return x
"""


def test_answers_that_are_read_from_the_tests_are_wrong_in_the_copy(context: Context) -> None:
    task = replace(TASK, test_code=CASES, reference=GOOD)
    assert verdicts(evaluate(task, GOOD, context)) == ["pass"] * 4
    found = evaluate(task, READER, context)
    assert "pass" not in verdicts(found)
    assert "forge_result@proven" in remarks(found)


def test_a_forgery_that_knows_the_tests_fails_where_they_are_changed(context: Context) -> None:
    task = replace(TASK, test_code=CASES, reference=GOOD)
    assert "fail" in verdicts(evaluate(task, KNOWS, context))


def test_a_hang_is_a_timeout(context: Context) -> None:
    task = replace(TASK, limits=Limits(wall_s=0.1, cpu_s=0.1))
    task = replace(task, test_code="import solution\n\n\ndef test_f():\n    assert solution.f(2) == 4\n", reference="")
    found = evaluate(task, "import time\ndef f(x):\n    time.sleep(60)\n", context)
    assert {test.verdict for test in found.tests} <= {"timeout"}


# -------------------------------------------------------------------------------------------------------------- twins
def test_cases_of_a_parameter_are_changed_in_place() -> None:
    twin = alter(CASES.encode(), random.Random(3), share=1.0)
    table = ast.parse(twin.source).body[2].decorator_list[0].args[1]  # type: ignore[attr-defined]
    cells = [ast.literal_eval(getattr(row, "elts", getattr(row, "args", None))[1]) for row in table.elts]
    assert not {(0, 4), (1, 9), (2, 49)} & set(enumerate(cells))
    assert twin.flipped == {"test_cases", "test_four"}


def run_tests(source: bytes) -> dict[str, bool]:
    """Whether each test function of a source passes, without any runner."""
    names: dict[str, object] = {}
    exec(compile(source, "twin", "exec"), names)
    found = {}
    for name, test in names.items():
        if name.startswith("test") and callable(test):
            try:
                test()
                found[name] = True
            except Exception:
                found[name] = False
    return found


PLAIN = b"""import pytest
double = lambda x: 2 * x
WANTED = 8
def test_literal():
    assert double(2) == 4
def test_reversed():
    assert [2, 4] == [double(1), double(2)]
def test_name():
    assert double(4) == WANTED
def test_truth():
    assert double(4)
def test_falsehood():
    assert not double(0)
def test_in():
    assert 4 in [double(2)]
def test_less():
    assert double(2) < 5
def test_both():
    assert double(1) == 2 and double(2) == 4
def test_approx():
    assert double(0.1) == pytest.approx(0.2)
def test_raises():
    with pytest.raises(TypeError):
        double(None)
def test_text():
    assert str(double(1)) == '2'
"""


def test_changed_tests_fail_and_the_others_pass() -> None:
    assert set(run_tests(PLAIN).values()) == {True}
    for seed in range(20):
        twin = alter(PLAIN, random.Random(seed))
        assert 0 < len(twin.flipped) < len(twin.tests)
        told = run_tests(twin.source)
        assert {name for name, passed in told.items() if not passed} == set(twin.flipped)
    assert len({alter(PLAIN, random.Random(seed)).flipped for seed in range(20)}) > 10


def test_all_tests_of_the_file_change_their_text() -> None:
    twin = alter(PLAIN, random.Random(1))
    before = {node.name: ast.unparse(node) for node in ast.parse(PLAIN).body if isinstance(node, ast.FunctionDef)}
    after = {node.name: ast.unparse(node) for node in ast.parse(twin.source).body if isinstance(node, ast.FunctionDef)}
    assert set(before) == set(after)
    assert not [name for name in before if before[name] == after[name]]


def test_only_assertions_that_surely_run_are_changed() -> None:
    source = b"def test_loop():\n    for x in []:\n        assert x == 1\ndef test_if():\n    if 0:\n        assert 0\n"
    assert not alter(source, random.Random(0)).flipped


@pytest.mark.parametrize(
    "value", [True, 0, -3, 2.5, 1j, "", "a", b"", b"a", None, [], [1], (), (1, 2), {}, {"a": 1}, {1}]
)
def test_another_value_differs(value: object) -> None:
    for seed in range(20):
        assert another(value, random.Random(seed)) != value


def test_canaries_fail_under_pytest(tmp_path: object, context: Context) -> None:
    for seed in range(3):
        source = canary_file(["test_value", "TestOld::test_it"], random.Random(seed))
        suite = Task(task_id="c", kind="pytest", test_code=source.decode(), limits=Limits(wall_s=5.0))
        found = evaluate(suite, GOOD, replace(context, isolated=False))
        assert len(found.tests) >= 9
        assert set(verdicts(found)) == {"fail"}


def test_a_source_that_does_not_parse_is_left_alone() -> None:
    assert alter(b"def (", random.Random(0)).source == b"def ("
