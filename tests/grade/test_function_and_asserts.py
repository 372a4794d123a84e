"""Functions and assertions, run in real sandboxes: what passes, what fails and why, and what a cheat gets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from karat.grade.check_task import check_task
from karat.grade.coverage import coverage
from karat.grade.kinds import Context, evaluate
from karat.grade.kinds.calls import with_prelude
from karat.grade.kinds.function import asking_order
from karat.grade.types import Comparison, Evaluation, Limits, Task, Test
from karat.grade.verdict import judge_tests
from karat.sandbox import open_sandbox


@pytest.fixture(scope="module")
def context() -> Iterator[Context]:
    sandbox, trusted = open_sandbox(), open_sandbox()
    yield Context(sandbox=sandbox, trusted=trusted)
    sandbox.close()
    trusted.close()


ADD = Task(
    task_id="add",
    kind="function",
    entry_point="add",
    tests=(
        Test(test_id="a", input=(1, 2), output=3),
        Test(test_id="b", input=(5, -7), output=-2, hidden=True),
        Test(test_id="c", input=("x",), kwargs={"b": "y"}, output="xy"),
    ),
    reference="def add(a, b):\n    return a + b\n",
    limits=Limits(wall_s=20.0, cpu_s=1.0),
)


def asserts(test_code: str, **fields: Any) -> Task:
    return Task(task_id="t", kind="asserts", entry_point="f", test_code=test_code, **fields)


def verdicts(evaluation: Evaluation) -> dict[str, str]:
    return {test.test_id: test.verdict for test in evaluation.tests}


def reason_of(evaluation: Evaluation) -> str:
    return next(test.reason for test in evaluation.tests if test.verdict not in ("pass", "not run"))


# ------------------------------------------------------------------------------------------------------------ functions
def test_a_right_function_passes_each_test_in_the_tasks_order(context: Context) -> None:
    evaluation = evaluate(ADD, ADD.reference, context)
    assert [(test.test_id, test.verdict, test.hidden) for test in evaluation.tests] == [
        ("a", "pass", False),
        ("b", "pass", True),
        ("c", "pass", False),
    ]
    assert [run.ended for run in evaluation.runs] == ["done"]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("def add(a, b): return 3", "expected"),
        ("def add(a, b): return [a, b]", "(list)"),
        ("def plus(a, b): return a + b", "NameError"),
        ("def add(a, b): raise KeyError('k')", "raised KeyError: 'k' (line 1)"),
        ("def add(a, b): return object()", "no plain value"),
        ("def add(a, b): yield a + b", "no plain value"),
        ("def add(a, b: return", "does not load: SyntaxError"),
        ("import os\ndef add(a, b): os._exit(0)", "left"),
        ("def add(a, b): raise SystemExit(0)", "raised SystemExit"),
        ("class A:\n    def __eq__(self, other): return True\ndef add(a, b): return A()", "no plain value"),
        ("class A(int):\n    def __eq__(self, other): return True\ndef add(a, b): return A(9)", "got 9"),
        ("def add(a, b):\n    x = []\n    x.append(x)\n    return x", "no plain value"),
        (b"x = '\xff'\ndef add(a, b): return a + b", "does not load"),
    ],
)
def test_whatever_is_no_answer_fails_with_a_reason(context: Context, source: str | bytes, told: str) -> None:
    evaluation = evaluate(ADD, source, context)
    assert "fail" in verdicts(evaluation).values()
    assert told in reason_of(evaluation)


def test_a_hanging_call_is_a_timeout_and_costs_the_limit_once(context: Context) -> None:
    evaluation = evaluate(ADD, "def add(a, b):\n    while True: pass", context)
    assert sorted(verdicts(evaluation).values()) == ["not run", "not run", "timeout"]
    (only,) = evaluation.runs
    assert only.ended == "cpu"


def test_a_fresh_task_forgets_between_calls(context: Context) -> None:
    source = "seen = []\ndef add(a, b):\n    seen.append(1)\n    return a + b if len(seen) == 1 else None"
    assert "fail" in verdicts(evaluate(ADD, source, context)).values()
    fresh = replace(ADD, fresh=True, limits=Limits())
    evaluation = evaluate(fresh, source, context)
    assert set(verdicts(evaluation).values()) == {"pass"}
    assert len(evaluation.runs) == 3


def test_expected_exceptions_and_own_comparisons(context: Context) -> None:
    task = replace(
        ADD,
        tests=(
            Test(test_id="raises", input=(0, 0), raises="ArithmeticError"),
            Test(test_id="near", input=(1, 3), output=0.33, comparison=Comparison(absolute=0.01)),
        ),
    )
    assert set(verdicts(evaluate(task, "def add(a, b): return a / b", context)).values()) == {"pass"}
    own = "class ArithmeticError(Exception): pass\ndef add(a, b): raise ArithmeticError"
    assert verdicts(evaluate(task, own, context)) == {"raises": "fail", "near": "fail"}
    leaving = "def add(a, b): raise SystemExit"
    assert verdicts(evaluate(replace(task, tests=(replace(task.tests[0], raises="Exception"),)), leaving, context)) == {
        "raises": "fail"
    }


def test_an_exception_of_another_class_counts_as_what_it_derives_from(context: Context) -> None:
    task = replace(ADD, tests=(Test(test_id="r", input=(0, 0), raises="ValueError"),))
    asked = asserts("ok = 0\ntry:\n    f(0)\nexcept ValueError as error:\n    ok = str(error)\nassert ok == 'no'")
    for source, verdict in (
        ("class Bad(ValueError): pass\ndef f(a, b=0): raise Bad('no')", "pass"),
        ("class Bad(KeyError): pass\ndef f(a, b=0): raise Bad('no')", "fail"),
        ("class ValueError(Exception): pass\ndef f(a, b=0): raise ValueError('no')", "fail"),
        ("import json\ndef f(a, b=0):\n    raise json.JSONDecodeError('no', '', 0)", "pass"),
    ):
        assert verdicts(evaluate(replace(task, entry_point="f"), source, context)) == {"r": verdict}
        if "json" not in source:
            assert set(verdicts(evaluate(asked, source, context)).values()) == {verdict}


def test_outputs_that_only_the_reference_says(context: Context) -> None:
    """EvalPlus gives inputs; `compare_as` is how its authors compare some answers."""
    task = replace(
        ADD,
        tests=(Test(test_id="1", input=([3, 1, 3], [2])),),
        extra={"outputs": "reference", "compare_as": "set"},
    )
    assert verdicts(evaluate(task, "def add(a, b): return (1, 2, 3)", context)) == {"1": "pass"}
    assert verdicts(evaluate(task, "def add(a, b): return (1, 2, 4)", context)) == {"1": "fail"}
    assert "no output" in evaluate(replace(task, reference="x = 1\ndef add(a, b): return add"), "", context).problem


def test_the_order_of_asking_is_fixed_and_not_the_files() -> None:
    assert asking_order("a", 20) == asking_order("a", 20)
    assert asking_order("a", 20) != list(range(20))
    assert sorted(asking_order("b", 20)) == list(range(20))


def test_a_prelude_goes_behind_imports_of_the_future(context: Context) -> None:
    source = with_prelude(
        "import math", "'''doc'''\nfrom __future__ import annotations\ndef f(x: nonsense): return math.pi"
    )
    assert isinstance(source, str)
    compile(source, "x", "exec")
    assert source.index("__future__") < source.index("import math") < source.index("def f")
    task = replace(ADD, prelude="from operator import add as plus")
    assert set(verdicts(evaluate(task, "def add(a, b): return plus(a, b)", context)).values()) == {"pass"}


# ----------------------------------------------------------------------------------------------------------- assertions
def test_cases_and_dialogue_stand_side_by_side(context: Context) -> None:
    task = asserts("assert f(2) == 4\nassert f(f(2)) == 16\nassert f(f(1)) == 2\nassert f(3) == 9")
    evaluation = evaluate(task, "def f(x): return x * x", context)
    assert verdicts(evaluation) == {"line 1": "pass", "line 2": "pass", "line 3": "fail", "line 4": "pass"}
    assert len(evaluation.runs) == 1


def test_a_change_in_place_is_seen_by_the_dialogue(context: Context) -> None:
    task = asserts("l = [3, 1, 2]\nf(l)\nassert l == [1, 2, 3]\nd = {'k': [1]}\nf(d['k'])\nassert d == {'k': [1]}")
    assert set(verdicts(evaluate(task, "def f(x): x.sort()", context)).values()) == {"pass"}
    assert verdicts(evaluate(task, "def f(x): return sorted(x)", context)) == {"line 3": "fail", "line 6": "pass"}
    both = asserts("l = [2, 1]\nassert f(l) == [1, 2]\nassert l == [2, 1]")
    assert verdicts(evaluate(both, "def f(x):\n    x.sort()\n    return x", context))["line 3"] == "fail"


def test_objects_of_the_candidate_stay_there_and_are_passed_on(context: Context) -> None:
    task = asserts(
        "p = P(1, 2)\nassert p.b == 2\nassert f([p, P(3, 4)]) == 4\nassert list(g(3)) == [0, 1, 2]\n"
        "assert str(p) == '1/2'"
    )
    source = (
        "class P:\n    def __init__(self, a, b): self.a, self.b = a, b\n"
        "    def __str__(self): return f'{self.a}/{self.b}'\n"
        "def f(points): return sum(p.a for p in points)\ndef g(n): yield from range(n)"
    )
    assert set(verdicts(evaluate(task, source, context)).values()) == {"pass"}


@pytest.mark.parametrize(
    "source",
    [
        "def f(x): raise SystemExit(0)",
        "import os\ndef f(x): os._exit(0)",
        "def f(x): raise KeyboardInterrupt",
    ],
)
def test_leaving_is_no_exception_that_a_test_may_have_expected(context: Context, source: str) -> None:
    """The test code catches everything and is content; what left the process still fails."""
    task = asserts("ok = 0\ntry:\n    f(-1)\nexcept BaseException:\n    ok = 1\nassert ok")
    evaluation = evaluate(task, source, context)
    assert set(verdicts(evaluation).values()) == {"fail"}
    assert set(verdicts(evaluate(task, "def f(x): raise ValueError", context)).values()) == {"pass"}


def test_what_left_before_something_could_not_cross_has_failed(context: Context) -> None:
    """An error is missing, a fail is not: nobody gets out of a fail by leaving."""
    task = asserts("try:\n    f(1)\nexcept Exception:\n    pass\nassert f(lambda x: x) == 2")
    assert set(verdicts(evaluate(task, "import os\ndef f(x): os._exit(0)", context)).values()) == {"fail"}
    assert set(verdicts(evaluate(task, "def f(x): return 2", context)).values()) == {"error"}


def test_helpers_of_the_prompt_are_the_tasks_own(context: Context) -> None:
    """A candidate that redefines the test's helper changes nothing."""
    task = asserts("y = f('ab')\nassert g(y) == 'ab'", prompt="def g(s):\n    return s[::-1]\n\ndef f(s):\n    pass\n")
    assert verdicts(evaluate(task, "def f(s): return s[::-1]", context)) == {"line 2": "pass"}
    assert verdicts(evaluate(task, "def f(s): return s\ndef g(s): return 'ab'", context)) == {"line 2": "fail"}


def test_nothing_reached_is_no_pass(context: Context) -> None:
    task = asserts("for x in f(3):\n    assert x > 0")
    assert reason_of(evaluate(task, "def f(n): return []", context)) == "no assertion was reached with these answers"
    assert verdicts(evaluate(task, "def f(n): return [1]", context)) == {"line 2": "pass"}


def test_the_run_must_come_to_its_end(context: Context) -> None:
    task = asserts("y = f(1)\nz = y + 1\nassert f(2) == 2")
    assert set(verdicts(evaluate(task, "def f(x): return x", context)).values()) == {"pass"}
    evaluation = evaluate(task, "def f(x): return 'a' if x == 1 else x", context)
    assert verdicts(evaluation)["line 3"] == "pass"
    assert verdicts(evaluation)["to the end"] == "fail"
    assert "stopped at line" in reason_of(evaluation)


CAPTURING = (
    "import io, contextlib\nbuffer = io.StringIO()\n"
    "with contextlib.redirect_stdout(buffer):\n    f()\nassert buffer.getvalue() == 'x\\n'\n"
)
PATCHING = "from unittest.mock import patch\nwith patch('builtins.input', return_value='x'):\n    assert f() == 'x'\n"


@pytest.mark.parametrize(
    ("test_code", "right", "wrong"),
    [
        (CAPTURING, "def f(): print('x')", "def f(): print('y')"),
        (PATCHING, "def f(): return input()", "def f(): return 'y'"),
        ("a = [1]\nassert f(a) is not a\n", "def f(x): return list(x)", "def f(x): return x"),
    ],
    ids=["printed text", "a function replaced", "identity"],
)
def test_what_holds_in_one_process_only_is_no_fail_outside_it(
    context: Context, test_code: str, right: str, wrong: str
) -> None:
    task = Task(task_id="t", kind="asserts", entry_point="f", test_code=test_code)
    assert {test.verdict for test in evaluate(task, right, context).tests} == {"error"}
    shared = replace(context, isolated=True)
    assert judge_tests(evaluate(task, right, shared)).verdict == "pass"
    assert judge_tests(evaluate(task, wrong, shared)).verdict == "fail"


def test_what_cannot_cross_is_isolated_only_where_it_is_allowed(context: Context) -> None:
    task = asserts("assert f(lambda x: x + 1, 3) == 4\nassert f.__name__ == 'f'")
    source = "def f(g, x): return g(x)"
    evaluation = evaluate(task, source, context)
    assert set(verdicts(evaluation).values()) == {"error"}
    assert "--isolated" in reason_of(evaluation)
    allowed = evaluate(task, source, replace(context, isolated=True))
    assert [(test.verdict, test.trust) for test in allowed.tests] == [("pass", "shared"), ("pass", "shared")]
    wrong = evaluate(task, "def f(g, x): return 5", replace(context, isolated=True))
    assert verdicts(wrong) == {"line 1": "fail", "line 2": "pass"}


def test_test_code_that_cannot_run_is_the_tasks_problem(context: Context) -> None:
    task = asserts("import no_such_module\nassert f(no_such_module.x) == 1")
    assert "ModuleNotFoundError" in evaluate(task, "def f(x): return 1", context).problem
    slow = asserts("y = f(1)\nwhile y: pass\nassert f(2)", limits=Limits(wall_s=0.5, cpu_s=0.5))
    assert verdicts(evaluate(slow, "def f(x): return x", context)) == {"line 3": "pass", "to the end": "timeout"}


def test_coverage_counts_each_way(context: Context) -> None:
    tasks = [
        asserts("assert f(1) == 1\nassert f(f(1)) == 1\nassert True", source_format="a"),
        asserts("assert f.__name__ == 'f'", source_format="a"),
        asserts("assert (", source_format="b"),
    ]
    first, second = coverage(tasks, context.trusted)
    assert (first.tasks, first.assertions, first.cases, first.dialogue, first.isolated) == (2, 3, 1, 1, 1)
    assert (first.constants, second.unusable) == (1, 1)


# -------------------------------------------------------------------------------------------------------- invalid tasks
def test_a_reference_is_held_to_its_own_tests(context: Context) -> None:
    assert check_task(ADD, context) == ""
    wrong = replace(ADD, tests=(Test(test_id="w", input=(1, 1), output=3),))
    assert check_task(wrong, context) == "the reference fails test w: expected 3, got 2"
    assert check_task(replace(ADD, tests=()), context) == "it has no tests"
    assert check_task(replace(ADD, reference="def add(a, b) return"), context).startswith("the reference fails test")
    assert check_task(asserts("assert True"), context) == "the test code asserts nothing"
    assert check_task(replace(ADD, reference=""), context) == ""


def test_a_reference_that_varies_is_no_reference(context: Context) -> None:
    varies = "import os\ndef add(a, b): return a + b if os.urandom(1)[0] % 2 else None"
    task = replace(ADD, tests=tuple(Test(test_id=str(n), input=(n, 1), output=n + 1) for n in range(30)))
    told = check_task(replace(task, reference=varies), context)
    assert told.startswith("the reference is not deterministic: test ")


# --------------------------------------------------------------------------------------- objects of the candidate
YES = (
    "class Yes:\n    def startswith(self, x): return True\n    def count(self, x): return 1\n"
    "    def __iter__(self): return iter('abc')\n"
)
WITH_METHODS = "y = f('abc')\nassert f(y) is not None\nassert y.startswith('cb')\nassert y.count('a') == 1\n"


def test_a_result_has_no_methods_of_the_candidates_where_the_reference_gives_a_value(context: Context) -> None:
    task = asserts(WITH_METHODS, reference="def f(s):\n    return s[::-1]\n")
    evaluation = evaluate(task, f"{YES}def f(s):\n    return Yes()\n", context)
    assert verdicts(evaluation) == {"line 2": "pass", "line 3": "fail", "line 4": "fail"}
    assert {test.trust for test in evaluation.tests} == {"outside"}
    assert set(verdicts(evaluate(task, task.reference, context)).values()) == {"pass"}


def test_without_a_reference_results_that_an_object_may_have_decided_are_marked(context: Context) -> None:
    evaluation = evaluate(asserts(WITH_METHODS), f"{YES}def f(s):\n    return Yes()\n", context)
    assert {test.trust for test in evaluation.tests} == {"shared"}
    evaluation = evaluate(asserts(WITH_METHODS), "def f(s):\n    return s[::-1]\n", context)
    assert {(test.verdict, test.trust) for test in evaluation.tests} == {("pass", "outside")}


def test_objects_keep_their_methods_where_the_reference_gives_objects(context: Context) -> None:
    stack = (
        "class Node:\n    def __init__(self, v): self.v = v\n    def name(self): return str(self.v)\n"
        "class Stack:\n    def __init__(self): self.items = []\n    def push(self, v): self.items.append(Node(v))\n"
        "    def top(self): return self.items[-1]\n    def __len__(self): return len(self.items)\n"
    )
    code = "s = Stack()\ns.push(1)\ns.push(22)\nassert len(s) == 2\nassert s.top().name().startswith('2')\n"
    task = replace(asserts(code, reference=stack), entry_point="Stack")
    assert verdicts(evaluate(task, stack, context)) == {"line 4": "pass", "line 5": "pass"}
    forged = stack.replace("str(self.v)", "Yes()") + YES
    assert verdicts(evaluate(task, forged, context)) == {"line 4": "pass", "line 5": "fail"}


def test_an_answer_that_cannot_be_passed_on_fails_where_the_references_could(context: Context) -> None:
    task = asserts("y = f(3)\nassert f(y * y) == 17\n", reference="def f(n):\n    return n + 1\n")
    evaluation = evaluate(task, "def f(n):\n    return 1 << 399_999\n", context)
    assert verdicts(evaluation) == {"line 2": "fail"}
    assert "bits" in reason_of(evaluation)
