"""Assertions to cases: forms that convert, values found by hand, what is left and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from karat.grade.code_of_tests import helpers_of
from karat.grade.convert import NOT_EVALUATED, Conversion, convert
from karat.grade.kinds.asserts import trusted_value
from karat.grade.relations import broken
from karat.sandbox import open_sandbox
from karat.sandbox.types import Sandbox


@pytest.fixture(scope="module")
def trusted() -> Iterator[Sandbox]:
    sandbox = open_sandbox()
    yield sandbox
    sandbox.close()


def inputs(conversion: Conversion) -> list[tuple[Any, ...]]:
    return [case.test.input for case in conversion.cases]


@pytest.mark.parametrize(
    ("assertion", "relation", "right", "wrong"),
    [
        ("f(2) == [4]", "equal", [4], [5]),
        ("[4] == f(2)", "equal", [4], (4,)),
        ("f(2) is None", "identical", None, 0),
        ("f(2) is True", "identical", True, 1),
        ("f(2) is not None", "not identical", 3, None),
        ("f(2) != 3", "different", 4, 3),
        ("f(2)", "true", [0], []),
        ("not f(2)", "false", "", "no"),
        ("abs(f(2) - 0.5) < 1e-6", "near", 0.5, 0.500001),
        ("1e-6 > abs(0.5 - f(2))", "near", 0.5, 0.6),
        ("abs(f(2) - 3) <= 1", "near", 4, 5),
        ("abs(f(2) - 3) < 1", "near", 3.5, 4),
        ("math.isclose(f(2), 100, rel_tol=0.01)", "close", 100.5, 102),
        ("np.allclose([1.0, 2.0], f(2))", "equal", [1.0, 2.00001], [1.0, 2.1]),
        ("f(2) == pytest.approx(0.1)", "equal", 0.1 + 1e-9, 0.2),
        ("f(2) in (1, 2)", "one of", 2, 3),
        ("f(2) not in (1, 2)", "none of", 3, 1),
        ("3 in f(2)", "contains", [1, 3], [1]),
        ("f(2) > 3", "greater", 4, 3),
        ("3 <= f(2)", "at least", 3, 2),
        ("set(f(2)) == {1, 2}", "equal", [2, 1, 1], [1, 3]),
        ("sorted(f(2)) == [1, 2]", "equal", (2, 1), [1, 1]),
        ("tuple(f(2)) == tuple([1, 2])", "equal", [1, 2], [2, 1]),
        ("len(f(2)) == 2", "equal", "ab", "abc"),
        ("round(f(2), 1) == 0.3", "equal", 0.31, 0.36),
        ("isinstance(f(2), (int, str))", "instance", 1, 1.0),
    ],
)
def test_a_form_becomes_a_case_that_holds_and_fails(assertion: str, relation: str, right: Any, wrong: Any) -> None:
    conversion = convert(f"assert {assertion}", "f")
    assert not conversion.left
    (case,) = conversion.cases
    assert (case.target, case.test.input, case.relation) == ("f", (2,), relation)
    told = [
        broken(case.relation, case.test.output, got, views=case.views, settings=case.settings) for got in (right, wrong)
    ]
    assert told[0] == ""
    assert told[1] != ""


def test_tests_of_equality_stand_as_they_are() -> None:
    conversion = convert("def check(candidate):\n    assert candidate(1, k=2) == (3,), 'message'\n", "f")
    test = conversion.cases[0].test
    assert (test.input, test.kwargs, test.output, test.test_id) == ((1,), {"k": 2}, (3,), "line 2")


def test_loops_and_variables_are_run_once_on_the_trusted_side(trusted: Sandbox) -> None:
    code = """
import random
def check(candidate):
    for x in range(3):
        assert candidate(x, x + 1) == x * 10
    n = 7
    assert candidate(n, [n]) == sum(range(n))
    rng = random.Random(5)
    values = [rng.randint(0, 9) for _ in range(4)]
    assert candidate(*[1, 2]) == 3
"""
    conversion = convert(code, "f", evaluate=lambda source: trusted_value(trusted, source))
    assert inputs(conversion) == [(0, 1), (1, 2), (2, 3), (7, [7])]
    assert [case.test.output for case in conversion.cases] == [0, 10, 20, 21]
    assert conversion.left == ((10, "unpacked arguments"),)
    assert (conversion.assertions, conversion.converted) == (3, 2)


def test_values_that_cannot_be_had_leave_their_own_assertion_only(trusted: Sandbox) -> None:
    code = "n = 2\nassert f(n) == no_such + [] + 1\nassert f(n) == undefined[0]\nassert f(n) == n"
    helpers = "no_such = 1\nundefined = []"
    conversion = convert(code, "f", helpers=helpers, evaluate=lambda source: trusted_value(trusted, source))
    assert inputs(conversion) == [(2,)]
    assert [reason for _, reason in conversion.left] == [
        "its values: TypeError: unsupported operand type(s) for +: 'int' and 'list'",
        "its values: IndexError: list index out of range",
    ]


def test_without_an_evaluator_only_literals_are_converted() -> None:
    conversion = convert("x = 3\nassert f(x) == 9\nassert f(2) == 4", "f")
    assert inputs(conversion) == [(2,)]
    assert conversion.left == ((2, NOT_EVALUATED),)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("assert f(f(1)) == 1", "depends on an earlier answer"),
        ("y = f(1)\nassert y == 1", "called outside an assertion"),
        ("assert f(1) == f(2)", "both sides"),
        ("assert f(lambda x: x) == 1", "a function or generator is passed"),
        ("assert 0 < f(1) < 2", "a chain of comparisons"),
        ("assert f(1).lower() == 'a'", "the result"),
        ("for x in f(3):\n    assert x > 0", "its loop or condition depends"),
        ("assert f(1) == 1 or f(1) == 2", "the result is used in BoolOp"),
    ],
)
def test_what_depends_on_answers_is_left_with_its_reason(code: str, reason: str) -> None:
    conversion = convert(code, "f")
    assert not conversion.cases
    assert any(reason in why for _, why in conversion.left)


def test_an_argument_that_is_looked_at_again_is_left(trusted: Sandbox) -> None:
    """The candidate may change it in place, and a case would not see that; numbers cannot be changed."""
    code = "l = [2, 1]\nn = 5\nassert f(l) == [1, 2]\nassert f(n) == n\nassert l == [2, 1]"
    conversion = convert(code, "f", evaluate=lambda source: trusted_value(trusted, source))
    assert inputs(conversion) == [(5,)]
    assert [line for line, _ in conversion.left] == [3, 5]


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("with pytest.raises(ValueError):\n    f(-1)", "ValueError"),
        ("try:\n    f(-1)\n    assert False\nexcept ValueError:\n    pass", "ValueError"),
        ("try:\n    f(-1)\nexcept:\n    pass\nelse:\n    raise AssertionError('no')", "BaseException"),
    ],
)
def test_expected_exceptions(code: str, name: str) -> None:
    (case,) = convert(code, "f").cases
    assert (case.relation, case.test.raises, case.test.input) == ("raises", name, (-1,))


def test_an_except_that_swallows_its_own_failure_is_no_case() -> None:
    """`assert False` is an Exception: this test passes whatever f does, and so it stays a dialogue."""
    code = "try:\n    f(-1)\n    assert False\nexcept Exception:\n    pass"
    assert not convert(code, "f").cases


def test_an_assertion_under_a_condition_is_asked_only_where_it_holds(trusted: Sandbox) -> None:
    code = "LIMIT = 3\nif LIMIT > 5:\n    assert f(1) == 3\nelse:\n    assert f(1) == 2\n"
    found = convert(code, "f", evaluate=lambda source: trusted_value(trusted, source))
    assert [case.test.test_id for case in found.cases] == ["line 5"]
    assert not convert(code, "f").cases


def test_a_method_of_what_a_function_gave_is_no_method_of_a_class() -> None:
    assert convert("assert f().lower() == 'a'", "f").left
    (case,) = convert("assert Text().lower() == 'a'", "Text").cases
    assert case.target == "Text.lower"


@pytest.mark.parametrize(
    ("code", "left"),
    [
        ("x = [1]\ny = x\nassert f(x) == 1\nassert y == [1]\n", True),
        ("for r in rows:\n    assert f(r) == 1\nassert rows == [[1]]\n".join(["rows = [[1]]\n", ""]), True),
        ("x = [1]\nassert len(x) == 1\nassert f(x) == 1\n", False),
    ],
    ids=["another name", "items of a list", "before the call"],
)
def test_a_change_in_place_shows_under_any_name(trusted: Sandbox, code: str, left: bool) -> None:
    """What the test looks at after a call may be what it passed: the call is made in the conversation then."""
    found = convert(code, "f", evaluate=lambda source: trusted_value(trusted, source))
    assert bool(found.left) == left
    assert bool(found.cases) != left


def test_constants_test_nothing() -> None:
    assert convert("assert True", "f").problem == "the test code asserts nothing"
    conversion = convert("assert True, 'x'\nassert f(1)", "f")
    assert (conversion.assertions, conversion.constants) == (1, 1)
    assert "does not compile" in convert("assert f(", "f").problem


def test_a_function_called_check_is_the_candidates() -> None:
    """MBPP has one: inside `def check(candidate)` a call of `check` is no recursion."""
    conversion = convert("def check(candidate):\n    assert check(70) == False\n", "check")
    assert [(case.target, case.test.input) for case in conversion.cases] == [("check", (70,))]


def test_helpers_come_from_the_prompt_and_never_from_the_candidate(trusted: Sandbox) -> None:
    prompt = "def encode(s):\n    return s[::-1]\n\ndef decode(s):\n    pass\n\ndef f(s):\n    '''write me'''\n"
    helpers = helpers_of(prompt, "f")
    assert "encode" in helpers
    assert "decode" not in helpers
    code = "assert f(encode('abc')) == 'abc'"
    conversion = convert(code, "f", helpers=helpers, evaluate=lambda source: trusted_value(trusted, source))
    assert inputs(conversion) == [("cba",)]


def test_a_module_that_is_used_and_not_imported_is_no_name_of_the_candidate(trusted: Sandbox) -> None:
    """Plain execution would find the candidate's own import; here the trusted side imports it."""
    code = "assert f(math.pi) == math.floor(3.5)\nassert string(1) == 2"
    conversion = convert(code, "f", evaluate=lambda source: trusted_value(trusted, source))
    assert [(case.target, case.test.output) for case in conversion.cases] == [("f", 3), ("string", 2)]


def test_both_parts_of_an_and_must_hold() -> None:
    conversion = convert("assert f(1) == 2 and f(3) == 4", "f")
    assert [(case.test.test_id, case.test.input) for case in conversion.cases] == [
        ("line 1.1", (1,)),
        ("line 1.2", (3,)),
    ]
    assert (conversion.assertions, conversion.converted) == (1, 1)


@pytest.mark.parametrize("got", [[1, "a"], {1: 2}, "text", None, pytest.param(1 << 300_000, id="large")])
def test_a_result_that_does_not_fit_a_relation_fails_with_a_reason(got: Any) -> None:
    assert broken("near", 0.5, got, views=(), settings={"within": 1e-6, "inclusive": False})
    assert broken("less", 3, got, views=(("sorted", None),), settings={})
