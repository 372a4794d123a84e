"""pytest suites: tests run outside, the candidate is used through stand-ins, and nothing he does is a verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from grade.suite_cases import SOLUTION, TESTS
from karat.grade.kinds import Context, evaluate
from karat.grade.kinds.remarks import parse_remark, remark
from karat.grade.kinds.trusted import PRELOADED, package_folders
from karat.grade.types import Evaluation, Task
from karat.sandbox import open_sandbox
from karat.sandbox.types import Limits

SMALL = """
import pytest
import solution
from solution import f


def test_value():
    assert f(2) == 4


def test_error():
    with pytest.raises(Exception):
        f("x")


def test_other_value():
    assert f(5) == 25
"""
SQUARE = "def f(x):\n    return x * x\n"


@pytest.fixture(scope="module")
def context() -> Iterator[Context]:
    folders = package_folders()
    with closing(open_sandbox()) as sandbox, closing(open_sandbox(packages=folders, preload=PRELOADED)) as trusted:
        yield Context(sandbox=sandbox, trusted=trusted)


def task_of(test_code: str = SMALL, reference: str = SQUARE, wall_s: float = 5.0) -> Task:
    limits = Limits(wall_s=wall_s)
    return Task(task_id="suite", kind="pytest", test_code=test_code, reference=reference, limits=limits)


def verdicts(evaluation: Evaluation) -> dict[str, str]:
    assert not evaluation.problem, evaluation.problem
    return {test.test_id.split("::", 1)[-1]: test.verdict for test in evaluation.tests}


def reasons(evaluation: Evaluation) -> str:
    return "; ".join(test.reason for test in evaluation.tests)


def remarks(evaluation: Evaluation) -> set[str]:
    found = [parse_remark(text) for run in evaluation.runs for text in run.anomalies]
    return {f"{told[0]}@{told[1]}" for told in found if told is not None}


# ------------------------------------------------------------------------------------------------------- honest use
def test_tests_use_a_solution_as_if_it_were_there(context: Context) -> None:
    found = evaluate(task_of(TESTS, SOLUTION), SOLUTION, context)
    assert Counter(verdicts(found).values()) == {"pass": 21}, reasons(found)
    assert all(test.trust == "outside" for test in found.tests)
    assert not remarks(found)


@pytest.mark.parametrize(
    ("old", "new", "fails"),
    [
        ("return self.items.pop()", "return self.items.pop(0)", {"test_object", "test_class_methods"}),
        ("self.code = 7", "self.code = 8", {"test_exceptions"}),
        ('print("hello")', 'print("hallo")', {"test_printed"}),
        ("a.sort()", "return sorted(a)", {"test_in_place"}),
        ('self.now = "out"', "pass", {"test_context_manager"}),
        ("return 2 * x", "return x", {"test_coroutine"}),
    ],
)
def test_what_is_wrong_fails_its_tests_only(context: Context, old: str, new: str, fails: set[str]) -> None:
    assert old in SOLUTION
    found = verdicts(evaluate(task_of(TESTS, SOLUTION), SOLUTION.replace(old, new), context))
    assert {name for name, verdict in found.items() if verdict != "pass"} == fails


def test_several_modules_and_a_package(context: Context) -> None:
    task = Task(
        task_id="shop",
        kind="pytest",
        files={"shop/__init__.py": b"", "shop/cart.py": b"", "helper.py": b"RATE = 3\n"},
        test_code="import helper\nimport shop.cart\nfrom shop.cart import total\n\n\n"
        "def test_total():\n    assert total([1, 2]) == 9\n    assert shop.cart.total([]) == 0\n"
        "    assert helper.RATE == 3\n",
        source_name="shop/cart.py",
        limits=Limits(wall_s=5.0),
    )
    code = "import helper\n\n\ndef total(xs):\n    return sum(xs) * helper.RATE\n"
    assert verdicts(evaluate(task, code, context)) == {"test_total": "pass"}


# ------------------------------------------------------------------------------------------------------------ attacks
ATTACKS = {
    "always equal": "class A:\n    def __eq__(self, other): return True\n    def __ne__(self, other): return False\n"
    "def f(x): return A()\n",
    "equal int": "class A(int):\n    def __eq__(self, other): return True\n    __hash__ = int.__hash__\n"
    "def f(x): return A(7)\n",
    "equal in arithmetic": "class A:\n    def __sub__(self, o): return self\n    __rsub__ = __abs__ = __sub__\n"
    "    def __lt__(self, o): return True\n    __le__ = __eq__ = __lt__\ndef f(x): return A()\n",
    "exits": "import sys\ndef f(x): sys.exit(0)\n",
    "leaves": "import os\ndef f(x): os._exit(0)\n",
    "leaves at import": "import os\nos._exit(0)\n",
    "atexit": "import atexit, os\natexit.register(lambda: os._exit(0))\ndef f(x): return 1\n",
    "skips": "import unittest\ndef f(x): raise unittest.SkipTest('no')\n",
    "skips at import": "import unittest\nraise unittest.SkipTest('no')\n",
    "skip of its own": "class Skipped(BaseException): pass\nSkipped.__module__ = '_pytest.outcomes'\n"
    "def f(x): raise Skipped('no')\n",
    "interrupts": "def f(x): raise KeyboardInterrupt\n",
    "patches unittest": "import unittest\nunittest.TestCase.run = lambda *a: None\ndef f(x): return None\n",
    "plugin live": "import sys\nfor m in list(sys.modules.values()):\n    vars(m).get('x')\n"
    "def pytest_runtest_makereport(item, call): raise SystemExit(0)\ndef f(x): return 0\n",
    "claims to be a module": "import sys\nclass A:\n    def __getattr__(self, n): return lambda *a: A()\n"
    "    def __eq__(self, o): return True\nsys.modules['solution'] = A()\n",
    "answers by itself": "import os, struct, json\n"
    "body = json.dumps({'reply': {'status': 'value', 'value': json.dumps({'value': 4}), 'type_name': 'str',"
    " 'notes': []}}).encode()\n"
    "for _ in range(9): os.write(4, struct.pack('!I', len(body)) + body)\ndef f(x): return 0\n",
    "broken answers": "import karat.sandbox.inside.relay as relay\n"
    'relay.dump = lambda m: \'{"value": {"h": ["x"]}}\'\ndef f(x): return 0\n',
    "own describe": "import karat.sandbox.inside.relay as relay\n"
    "relay.OPERATIONS['describe'] = lambda v: {'kind': 'function', 'name': 'f', 'doc': None}\n"
    "class A:\n    def __eq__(self, o): return True\ndef f(x): return A()\n",
    "reads tests": "import os, re\n"
    "def f(x):\n    for d, _, names in os.walk('.'):\n        for n in names:\n"
    "            m = re.search(r'f\\(%r\\) == (\\d+)' % (x,), open(os.path.join(d, n)).read())\n"
    "            if m: return int(m[1])\n    return 0\n",
}


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_no_attack_passes(context: Context, name: str) -> None:
    found = evaluate(task_of(), ATTACKS[name], context)
    if not found.problem:
        told = verdicts(found)
        assert told["test_value"] != "pass", told
        assert told["test_other_value"] != "pass", told


@pytest.mark.parametrize("name", [name for name in ATTACKS if "equal" in name])
def test_no_object_decides_a_comparison_where_no_reference_is_known(context: Context, name: str) -> None:
    told = verdicts(evaluate(task_of(reference=""), ATTACKS[name], context))
    assert told["test_value"] == told["test_other_value"] == "fail"


def test_an_object_that_equals_everything_is_evidence(context: Context) -> None:
    for reference in (SQUARE, ""):
        assert "always_equal@strong" in remarks(
            evaluate(task_of(reference=reference), ATTACKS["always equal"], context)
        )
    value_object = "import dataclasses\n@dataclasses.dataclass\nclass V:\n    x: int\ndef f(x): return V(x * x)\n"
    found = evaluate(task_of(), value_object, context)
    assert verdicts(found)["test_value"] == "fail"
    assert not remarks(found)


@pytest.mark.parametrize("ends", ["import os; os._exit(0)", "while True: pass"])
def test_a_dying_candidate_is_not_the_exception_that_a_test_awaits(context: Context, ends: str) -> None:
    code = f"def f(x):\n    if x == 'x':\n        {ends}\n    return x * x\n"
    for awaited in ("Exception", "BaseException"):
        task = task_of(SMALL.replace("pytest.raises(Exception)", f"pytest.raises({awaited})"), wall_s=0.8)
        told = verdicts(evaluate(task, code, context))
        assert told["test_value"] == "pass"
        assert told["test_error"] == ("timeout" if "while" in ends else "fail")
        assert told["test_other_value"] == "not run"


def test_star_import_does_not_replace_what_a_test_takes_for_python_s_own(context: Context) -> None:
    suite = "from solution import *\n\n\ndef test_all():\n    assert all(f(x) == x * x for x in range(5))\n"
    honest = evaluate(task_of(suite), SQUARE, context)
    assert verdicts(honest) == {"test_all": "pass"}
    forged = "def f(x): return 1\ndef all(xs): return True\ndef test_more(): pass\n"
    for reference in (SQUARE, ""):
        assert verdicts(evaluate(task_of(suite, reference), forged, context)) == {"test_all": "fail"}


@pytest.mark.parametrize("check", ["4 in f(2)", "sorted(f(2)) == [4]"])
def test_a_result_does_not_say_what_it_contains(context: Context, check: str) -> None:
    suite = f"from solution import f\n\n\ndef test_in():\n    assert {check}\n"
    code = (
        "class Any:\n    def __contains__(self, x): return True\n    def __iter__(self): return iter([5])\n"
        "def f(x): return Any()\n"
    )
    for reference in ("def f(x): return [4]", ""):
        assert verdicts(evaluate(task_of(suite, reference), code, context)) == {"test_in": "fail"}


VECTOR = """
class Vec:
    def __init__(self, x, y): self.x, self.y = x, y
    def __mul__(self, o): return self.dot(o) if isinstance(o, Vec) else Vec(self.x * o, self.y * o)
    def dot(self, o): return float(self.x * o.x + self.y * o.y)
    __rmul__ = __mul__
    def __add__(self, o): return Vec(self.x + o.x, self.y + o.y)
"""
VECTOR_SUITE = """
from solution import Vec
def test_scaled(): assert (Vec(1, 2) * 3).y == 6
def test_product(): assert abs(Vec(1, 2) * Vec(3, 4) - 11.0) < 1e-9
def test_chain():
    v = Vec(1, 2)
    v += Vec(1, 1)
    assert (2 * v + v).x == 6
"""


def test_operators_of_the_references_objects_work_in_chains_whichever_of_them_a_class_has(context: Context) -> None:
    task = task_of(VECTOR_SUITE, VECTOR)
    in_place = (
        f"{VECTOR}\n    def __iadd__(self, o):\n        self.x += o.x\n        self.y += o.y\n        return self\n"
    )
    for code in (VECTOR, in_place):
        assert set(verdicts(evaluate(task, code, context)).values()) == {"pass"}


def test_an_operator_that_gives_objects_and_values_hands_no_expected_value_to_an_object(context: Context) -> None:
    forged = VECTOR.replace("self.dot(o)", "Zero()")
    forged += "class Zero:\n    def __sub__(self, o): return 0.0\n"
    told = verdicts(evaluate(task_of(VECTOR_SUITE, VECTOR), forged, context))
    assert told == {"test_scaled": "pass", "test_product": "fail", "test_chain": "pass"}


NEAR = """
import pytest
from solution import f, name


def test_near():
    assert abs(f(2.0) - 4.0) < 1e-6


def test_approx():
    assert f(3.0) == pytest.approx(9.0)


def test_approx_first():
    assert pytest.approx(9.0) == f(3.0)


def test_name():
    assert name().startswith("kar")
    assert name().count("a") == 2
"""
NEAR_GOOD = "def f(x): return x * x\ndef name(): return 'karat'\n"
YES = (
    "class Yes:\n    def __sub__(self, o): return 0.0\n    __rsub__ = __sub__\n"
    "    def startswith(self, s): return True\n"
    "    def count(self, s): return 2\n    def __abs__(self): return 0.0\n    def __float__(self): return 0.0\n"
)


@pytest.mark.parametrize(
    "code",
    [
        YES + "def f(x): return Yes()\ndef name(): return Yes()\n",
        YES + "class f(Yes):\n    def __init__(self, x): pass\nclass name(Yes): pass\n",
        YES + "y = Yes()\ny.__class__.__call__ = lambda self, *a: Yes()\nf = name = y\n",
        YES + "def f(x): return Yes\ndef name(): return Yes\n",
    ],
)
def test_no_object_takes_the_place_of_a_value(context: Context, code: str) -> None:
    """Subtracted from, compared with a tolerance, asked by method: each hands the expected value to the object."""
    task = task_of(NEAR, NEAR_GOOD)
    assert set(verdicts(evaluate(task, NEAR_GOOD, context)).values()) == {"pass"}
    assert set(verdicts(evaluate(task, code, context)).values()) == {"fail"}
    bare = evaluate(replace(task, reference=""), code, context)
    assert {test.verdict for test in bare.tests[:3]} == {"fail"}
    assert "pass" not in {test.verdict for test in bare.tests if test.trust == "outside"}


def test_other_ways_to_be_right_are_right(context: Context) -> None:
    suite = (
        "import solution\n\n\ndef test_many():\n    assert list(solution.many(3)) == [0, 1, 2]\n"
        "    assert sorted(solution.keys({1: 2})) == [1]\n    assert len(solution.keys({1: 2})) == 1\n"
        "    assert solution.once(4) == 16\n    assert solution.once(4) == 16\n"
    )
    lists = "def many(n): return list(range(n))\ndef keys(d): return list(d)\ndef once(x): return x * x\n"
    lazy = (
        "import functools\ndef many(n): yield from range(n)\ndef keys(d): return d.keys()\n"
        "@functools.lru_cache\ndef once(x): return x * x\n"
    )
    called = "class Once:\n    def __call__(self, x): return x * x\n"
    called += "once = Once()\nmany = lambda n: iter(range(n))\nkeys = sorted\n"
    for reference in (lists, lazy, called):
        for code in (lists, lazy, called):
            assert verdicts(evaluate(task_of(suite, reference), code, context)) == {"test_many": "pass"}


# ------------------------------------------------------------------------------------------- skips, limits, bad suites
OUTCOMES = """
import pytest
from solution import f


def test_plain():
    assert f(1) == 1


def test_skips():
    if f(3) != 9:
        pytest.skip("not today")


@pytest.mark.skip(reason="never")
def test_always_skipped():
    assert f(1) == 2


@pytest.mark.xfail(reason="known")
def test_expected_to_fail():
    assert f(1) == 2


@pytest.fixture
def broken():
    yield 1
    assert f(4) == 16


def test_teardown(broken):
    assert f(1) == 1
"""


def test_a_skip_is_no_pass_and_what_the_reference_skips_does_not_count(context: Context) -> None:
    assert verdicts(evaluate(task_of(OUTCOMES), SQUARE, context)) == {
        "test_plain": "pass",
        "test_skips": "pass",
        "test_teardown": "pass",
    }
    found = evaluate(task_of(OUTCOMES), "def f(x): return 1", context)
    assert verdicts(found) == {"test_plain": "pass", "test_skips": "fail", "test_teardown": "fail"}
    assert "skipped (not a pass): Skipped: not today" in reasons(found)
    bare = verdicts(evaluate(task_of(OUTCOMES, reference=""), SQUARE, context))
    assert bare["test_always_skipped"] == bare["test_expected_to_fail"] == "fail"


@pytest.mark.parametrize(
    ("suite", "reference", "said"),
    [
        ("VALUE = 1\n", SQUARE, "collects no test"),
        ("import no_such_module\n\n\ndef test_x(): pass\n", SQUARE, "No module named 'no_such_module'"),
        ("from solution import g\n\n\ndef test_x(): pass\n", SQUARE, "cannot import name 'g'"),
        ("", SQUARE, "has no tests"),
    ],
)
def test_suites_that_cannot_be_judged(context: Context, suite: str, reference: str, said: str) -> None:
    found = evaluate(task_of(suite, reference), SQUARE, context)
    assert not found.tests
    assert said in found.problem


@pytest.mark.parametrize(
    ("code", "said"),
    [("def f(x) return", "SyntaxError"), ("def g(x): pass", "cannot import name 'f'"), ("1 / 0", "ZeroDivisionError")],
)
def test_a_candidate_that_does_not_load_fails_every_test(context: Context, code: str, said: str) -> None:
    found = evaluate(task_of(), code, context)
    assert set(verdicts(found).values()) == {"fail"}
    assert len(found.tests) == 3
    assert said in reasons(found)


def test_what_cannot_be_proxied_says_so(context: Context) -> None:
    suite = "import solution\n\n\nclass Mine(solution.A):\n    pass\n\n\ndef test_x():\n    assert Mine().v() == 1\n"
    code = "class A:\n    def v(self): return 1\n"
    found = evaluate(task_of(suite, code), code, context)
    assert "cannot be proxied: a class of the test that derives from the candidate's A" in (
        found.problem + reasons(found)
    )
    compared = "import solution\n\n\ndef test_x():\n    assert solution.P(1) == solution.P(1)\n"
    point = "import dataclasses\n@dataclasses.dataclass\nclass P:\n    x: int\n"
    found = evaluate(task_of(compared, point), point, context)
    assert "comparison by __eq__ of the candidate's class P" in reasons(found)


def test_files_that_hook_the_runner_are_left_out_and_said(context: Context) -> None:
    code = (
        '{"files": {"solution.py": "def f(x): return 0", "conftest.py": "def pytest_runtest_makereport(): pass",'
        ' "sitecustomize.py": "", "test_solution.py": "def test_value(): pass", "pytest.py": "", "json.py": ""}}'
    )
    found = evaluate(task_of(), code, context)
    assert verdicts(found)["test_value"] == "fail"
    assert {
        "conftest_report@strong",
        "sitecustomize@strong",
        "edit_test_file@strong",
        "shadow_module@strong",
    } <= remarks(found)


def test_tests_may_use_files_random_numbers_and_mocks_of_their_own(context: Context) -> None:
    suite = (
        "import random\nfrom unittest import mock\n\nimport solution\n\n\n"
        "def test_file(tmp_path, tmpdir):\n    (tmp_path / 'n').write_text('7')\n"
        "    assert solution.f(int((tmp_path / 'n').read_text())) == 49\n\n\n"
        "def test_random():\n    for _ in range(5):\n        x = random.randint(0, 99)\n"
        "        assert solution.f(x) == x * x\n\n\n"
        "def test_mock():\n    with mock.patch('solution.f', return_value=5) as fake:\n"
        "        assert solution.f(1) == 5\n        assert fake.called\n    assert solution.f(3) == 9\n"
    )
    assert set(verdicts(evaluate(task_of(suite), SQUARE, context)).values()) == {"pass"}


def test_remarks_come_back_as_they_were() -> None:
    assert parse_remark(remark("shadow_module", "strong", "a: b\nc")) == ("shadow_module", "strong", "a: b\nc")
    assert parse_remark("no farewell") is None
    assert parse_remark("shadow_module@certain: x") is None


def test_a_pytest_task_with_a_pinned_conftest(context: Context) -> None:
    task = replace(
        task_of("def test_x(number):\n    from solution import f\n    assert f(number) == 49\n"),
        files={"conftest.py": b"import pytest\n\n\n@pytest.fixture\ndef number():\n    return 7\n"},
        test_files=("conftest.py",),
    )
    assert verdicts(evaluate(task, SQUARE, context)) == {"test_x": "pass"}
