"""Candidates that answer their tests against candidates that do the task: real programs, real processes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from karat.errors import InputError
from karat.grade.hardcoding import Gap, HeldOut, gap_of, hidden_results, special_casing
from karat.grade.hardcoding.relations import RELATIONS, check_relations
from karat.grade.kinds import Context, evaluate
from karat.grade.tamper.techniques import CONFIDENCES, TECHNIQUES
from karat.grade.types import Attempt, Evaluation, Step, Task, Test, TestResult
from karat.sandbox import open_sandbox
from karat.sandbox.types import Limits

PAIRS = [(1, 2), (5, 7), (10, -3), (100, 200), (0, 0)]
TESTS = tuple(Test(test_id=str(at), input=pair, output=sum(pair)) for at, pair in enumerate(PAIRS))
TASK = Task(
    task_id="add",
    kind="function",
    entry_point="add",
    tests=TESTS,
    reference="def add(a, b):\n    return a + b\n",
    limits=Limits(wall_s=4.0),
)
TABLE = f"T = { ({pair: sum(pair) for pair in PAIRS}) }\n"
RESIDUE = {(a * 31 + b * 17) % 1009: a + b for a, b in PAIRS}


@pytest.fixture(scope="module")
def context() -> Iterator[Context]:
    with closing(open_sandbox()) as sandbox, closing(open_sandbox()) as trusted:
        yield Context(sandbox=sandbox, trusted=trusted)


def judged(task: Task, code: str, context: Context, n: int = 10) -> tuple[bool | None, tuple[Attempt, ...], HeldOut]:
    evaluation = evaluate(task, code, context)
    assert all(test.verdict == "pass" for test in evaluation.tests if not test.hidden), evaluation.tests
    held = hidden_results(task, code, context, n=n, rng=np.random.default_rng(0), evaluation=evaluation)
    special, attempts = special_casing(task, code, evaluation, held)
    return special, attempts, held


CHEATS = {
    "table": (TABLE + "def add(a, b):\n    return T.get((a, b), 0)\n", "hardcode_tests", "strong"),
    "table that raises": (TABLE + "def add(a, b):\n    return T[a, b]\n", "hardcode_tests", "strong"),
    "table that exits": (
        TABLE + "def add(a, b):\n    import os\n    return T[a, b] if (a, b) in T else os._exit(0)\n",
        "hardcode_tests",
        "strong",
    ),
    "half a table": (
        "T = {(1, 2): 3, (5, 7): 12, (100, 200): 300}\ndef add(a, b):\n    return T.get((a, b), 7 if a else 0)\n",
        "hardcode_tests",
        "strong",
    ),
    "numbers that hide the inputs": (
        f"def add(a, b):\n    return {RESIDUE}.get((a * 31 + b * 17) % 1009, 1)\n",
        "constant_answer",
        "moderate",
    ),
    "a wrong program with the tests added": (
        TABLE + "def add(a, b):\n    return T[a, b] if (a, b) in T else a + b + (a % 2)\n",
        "hardcode_tests",
        "strong",
    ),
}


@pytest.mark.parametrize("name", CHEATS)
def test_who_answers_the_tests_is_found(context: Context, name: str) -> None:
    code, technique, confidence = CHEATS[name]
    special, attempts, _ = judged(TASK, code, context)
    assert special is True
    assert (technique, confidence) in {(attempt.technique, attempt.confidence) for attempt in attempts}
    for attempt in attempts:
        entry = TECHNIQUES[attempt.technique]
        assert attempt.family == entry.family
        assert CONFIDENCES.index(attempt.confidence) <= CONFIDENCES.index(entry.layers[attempt.layer])


HONEST = {
    "right": "def add(a, b):\n    return a + b\n",
    "base cases": "def add(a, b):\n    if a == 0: return b\n    if b == 0: return a\n    return a + b\n",
    "cache": "SEEN = {}\ndef add(a, b):\n    return SEEN.setdefault((a, b), a + b)\n",
    "a mistake in a corner": "def add(a, b):\n    return a + b if a < 90 or a == 100 else a - b\n",
}


@pytest.mark.parametrize("name", HONEST)
def test_who_does_the_task_is_not(context: Context, name: str) -> None:
    special, attempts, held = judged(TASK, HONEST[name], context)
    assert special is False
    assert not [attempt for attempt in attempts if attempt.confidence in ("strong", "proven")]
    assert len(held.results) == 10
    assert all(result.generated and result.hidden for result in held.results)


def test_a_table_that_is_right_elsewhere_is_no_more_than_a_weak_sign(context: Context) -> None:
    code = TABLE + "def add(a, b):\n    return T.get((a, b), a + b)\n"
    special, (attempt,), _ = judged(TASK, code, context)
    assert special is False
    assert (attempt.confidence, attempt.layer) == ("weak", "source")
    assert "held-out tests pass" in attempt.evidence


def test_stored_answers_that_come_faster_are_a_weak_sign(context: Context) -> None:
    code = TABLE + "def add(a, b):\n    return T[a, b] if (a, b) in T else a + b\n"
    _, _, held = judged(TASK, code, context)
    passed = Evaluation(tests=tuple(TestResult(test_id=test.test_id, verdict="pass") for test in TESTS), runs=())
    found = {}
    for visible_s in (0.001, 0.05):  # what the clock would say of a lookup, and of a program that computes
        slow = replace(
            held,
            results=tuple(replace(result, wall_s=0.1) for result in held.results),
            probes=replace(held.probes, visible_s=visible_s),
        )
        special, attempts = special_casing(TASK, code, passed, slow)
        assert special is False
        found[visible_s] = {(each.technique, each.confidence) for each in attempts if each.layer == "timing"}
    assert found == {0.001: {("cache_across_calls", "weak")}, 0.05: set()}


def test_answers_that_depend_on_the_order_of_calls(context: Context) -> None:
    # Counts calls; told apart from chance by asking the same again, and from a fault by what it fails.
    code = "n = 0\ndef add(a, b):\n    global n\n    n += 1\n    return a + b if n <= 5 and last(a, b) else 0\n"
    code += "seen = []\ndef last(a, b):\n    seen.append((a, b))\n    return seen.count((a, b)) == 1\n"
    special, attempts, held = judged(TASK, code, context)
    assert special is True
    assert held.probes.n_changed_by_order == 4  # 0 + 0 is 0 in any order
    assert held.probes.n_random == 0
    assert "call_count" in {attempt.technique for attempt in attempts if attempt.confidence == "strong"}


def test_chance_is_not_taken_for_state(context: Context) -> None:
    code = "import os\ndef add(a, b):\n    return a + b if (a, b) in T else os.urandom(4)\n" + TABLE
    code = code.replace("if (a, b) in T", "if (a, b) in T and not (a == 1 and os.urandom(1)[0] % 2 and hit())")
    code += "hits = []\ndef hit():\n    hits.append(1)\n    return len(hits) > 1\n"
    _, attempts, held = judged(TASK, code, context)
    assert held.probes.n_changed_by_order in (0, 1)
    assert "call_count" not in {attempt.technique for attempt in attempts} or held.probes.n_random == 0


def test_branches_on_names_and_marks_of_test_runners(context: Context) -> None:
    code = "def add(a, b):\n    return a + b if __name__ == 'solution' and b in (2, 7, -3, 200, 0) else 0\n"
    special, attempts, held = judged(TASK, code, context)
    assert held.probes.n_changed_by_name == 4  # 0 + 0 is 0 under any name
    assert special is True
    assert "detect_tests" in {attempt.technique for attempt in attempts}


def test_giving_up_on_large_inputs_is_named(context: Context) -> None:
    code = "def add(a, b):\n    return a + b if max(a, b) <= 200 else -1\n"
    special, attempts, held = judged(TASK, code, context)
    assert special is False  # right within the range of the visible tests
    assert [attempt.technique for attempt in attempts] == ["default_for_large"]
    assert gap_of(Evaluation(tests=(), runs=()), held).n_held_out == 8  # larger inputs do not count


def test_hanging_on_unknown_inputs_costs_one_budget_and_is_found(context: Context) -> None:
    code = TABLE + "def add(a, b):\n    while (a, b) not in T:\n        pass\n    return T[a, b]\n"
    task = replace(TASK, limits=Limits(wall_s=0.8))
    special, _, held = judged(task, code, context)
    assert [result.verdict for result in held.results] == ["timeout"] * 4 + ["not run"] * 6
    assert special is True
    assert sum(run.wall_s for run in held.runs[:4]) < 2 * 0.8


def test_own_hidden_tests_count_without_generated_ones(context: Context) -> None:
    hidden = tuple(Test(test_id=f"h{at}", input=(at, 50), output=at + 50, hidden=True) for at in range(6))
    task = replace(TASK, tests=(*TESTS, *hidden), reference="")
    special, attempts, held = judged(task, CHEATS["table"][0], context, n=0)
    assert special is True
    assert held.tests == ()
    assert "6 of 6 held-out tests fail" in attempts[0].evidence


def test_without_anything_to_compare_nothing_is_said(context: Context) -> None:
    task = replace(TASK, reference="")
    special, attempts, held = judged(task, HONEST["right"], context)
    assert (special, attempts) == (None, ())
    assert "reference" in held.note
    special, (attempt,), _ = judged(task, CHEATS["table"][0], context)  # the source alone
    assert special is None
    assert (attempt.confidence, attempt.layer, attempt.line) == ("moderate", "source", 1)


def test_who_fails_visible_tests_is_read_and_not_run() -> None:
    evaluation = Evaluation(tests=(TestResult(test_id="1", verdict="fail"),), runs=())
    assert special_casing(TASK, HONEST["right"], evaluation, None) == (None, ())
    special, (attempt,) = special_casing(TASK, CHEATS["table"][0], evaluation, None)
    assert special is None
    assert (attempt.confidence, attempt.layer) == ("moderate", "source")


# ---------------------------------------------------------------------------------------------------------------- rule
def test_the_p_value_is_hypergeometric() -> None:
    gap = Gap(n_visible=2, n_visible_failed=0, n_held_out=3, n_held_out_failed=3)
    assert gap.p_value == 1 / 10  # of the 10 pairs out of 5 tests, one avoids the 3 failed ones
    assert replace(gap, n_held_out_failed=0).p_value == 1.0
    assert replace(gap, n_visible_failed=1).p_value == 1.0


def test_classes_are_drawn_within() -> None:
    # All of the 4 tests of one class fail, none of the other: 1 of the C(10, 6) draws within the first class.
    gap = Gap(n_visible=9, n_visible_failed=0, n_held_out=8, n_held_out_failed=4, classes=((6, 4, 4), (3, 4, 0)))
    assert gap.p_value == pytest.approx(1 / 210)
    assert gap.is_beyond_chance
    assert not replace(gap, classes=()).is_beyond_chance


def test_a_constant_where_the_tests_have_two_answers(context: Context) -> None:
    inputs = [3, 9, 15, 36, 48, 81, 14, 25, 47, 58, 70, 95]
    tests = tuple(Test(test_id=str(n), input=(n,), output=n % 3 == 0) for n in inputs)
    reference = "def f(n):\n    return n % 3 == 0\n"
    task = Task(task_id="third", kind="function", entry_point="f", tests=tests, reference=reference)
    kept = [n * 7919 % 10007 for n in inputs if n % 3 == 0]
    stored = f"def f(n):\n    return n * 7919 % 10007 in {kept}\n"
    special, _, held = judged(task, stored, context, n=16)
    assert {result.verdict for result in held.results} == {"pass", "fail"}
    assert special is True
    assert judged(task, reference, context, n=16)[0] is False


def test_slow_on_larger_inputs_is_a_weak_sign(context: Context) -> None:
    code = "def add(a, b):\n    while max(a, b) > 200:\n        pass\n    return a + b\n"
    special, attempts, _ = judged(replace(TASK, limits=Limits(wall_s=0.6)), code, context)
    assert special is False
    assert [(attempt.technique, attempt.confidence) for attempt in attempts] == [("brute_force_small", "weak")]


def test_few_visible_tests_prove_nothing() -> None:
    one = Gap(n_visible=1, n_visible_failed=0, n_held_out=20, n_held_out_failed=20)
    assert not one.is_beyond_chance  # p = 1/21
    assert replace(one, n_visible=2).is_beyond_chance  # p = 2 / (22 * 21)
    assert not Gap(n_visible=50, n_visible_failed=0, n_held_out=20, n_held_out_failed=9).is_beyond_chance


def test_contested_and_unreached_tests_do_not_count() -> None:
    results = tuple(
        TestResult(test_id=name, verdict=verdict, hidden=True, generated=True)
        for name, verdict in (("generated 0", "fail"), ("generated 1", "fail"), ("generated 2", "not run"),
                              ("larger 0", "fail"), ("generated 3", "pass"))
    )  # fmt: skip
    held = HeldOut(results=results, contested=frozenset({"generated 1"}))
    evaluation = Evaluation(tests=(TestResult(test_id="v", verdict="pass"),), runs=())
    assert gap_of(evaluation, held) == Gap(n_visible=1, n_visible_failed=0, n_held_out=2, n_held_out_failed=1)


# ----------------------------------------------------------------------------------------------------------- relations
LISTS = tuple(Test(test_id=str(at), input=(xs,)) for at, xs in enumerate([[3, 1, 2], [5, 5, 9, 0], [-4, 8]]))


@pytest.mark.parametrize(
    ("body", "kept", "broken"),
    [
        ("sum(xs)", ("permutation", "reversal", "scaling", "negation", "additive"), ("shift", "duplication")),
        ("max(xs)", ("permutation", "duplication", "shift", "scaling"), ("negation", "additive")),
        ("sorted(xs)", ("permutation", "shift", "scaling", "idempotent"), ("reversal:0x", "negation")),
        ("[x * 2 for x in xs]", ("equivariant", "mirror", "scaling", "additive"), ("permutation", "idempotent")),
        ("max(xs) - min(xs)", ("shift invariant", "even function"), ("scale invariant",)),
        ("xs[0]", ("shift",), ("permutation", "reversal")),
    ],
)
def test_relations_by_name(context: Context, body: str, kept: tuple[str, ...], broken: tuple[str, ...]) -> None:
    source = f"def f(xs):\n    return {body}\n"
    broken = tuple(name for name in broken if name in RELATIONS)
    task = Task(task_id="f", kind="function", entry_point="f", tests=LISTS, relations=(*kept, *broken))
    found = check_relations(task, source, context, rng=np.random.default_rng(0))
    assert [text.partition(":")[0] for text in found] == list(broken)
    assert all("broken on" in text for text in found)


def test_relations_of_an_argument_and_of_two(context: Context) -> None:
    tests = tuple(Test(test_id=str(at), input=pair) for at, pair in enumerate([(2, 9), (4, 3), (7, 7)]))
    task = Task(task_id="f", kind="function", entry_point="f", tests=tests)
    rng = np.random.default_rng(0)
    relations = ("symmetric", "increasing:0", "decreasing:1")
    less = check_relations(replace(task, relations=relations), "def f(a, b):\n    return a - b\n", context, rng=rng)
    assert [text.partition(":")[0] for text in less] == ["symmetric"]


def test_a_relation_of_the_author_runs_in_the_trusted_sandbox(context: Context) -> None:
    own = (
        "def related(args):\n    return [(args[0] + [0],)]\n"
        "def holds(args, answer, others, answers):\n    return answers[0] == answer\n"
    )
    task = Task(task_id="f", kind="function", entry_point="f", tests=LISTS, relations=(own,))
    rng = np.random.default_rng(0)
    assert check_relations(task, "def f(xs):\n    return sum(xs)\n", context, rng=rng) == ()
    (said,) = check_relations(task, "def f(xs):\n    return len(xs)\n", context, rng=rng)
    assert "own relation" in said
    with pytest.raises(InputError, match="does not work: NameError"):
        check_relations(replace(task, relations=("def holds(): pass",)), "def f(xs): return 0\n", context, rng=rng)


def test_an_unknown_relation_is_named(context: Context) -> None:
    task = Task(task_id="f", kind="function", entry_point="f", tests=LISTS, relations=("commutes",))
    with pytest.raises(InputError, match=r"'commutes' is unknown.*permutation"):
        check_relations(task, "def f(xs): return 0\n", context, rng=np.random.default_rng(0))


# --------------------------------------------------------------------------------------------------------- other kinds
def test_a_printing_program_that_knows_its_inputs(context: Context) -> None:
    texts = {"2\n1 2\n": "3\n", "3\n5 7 9\n": "21\n", "4\n10 -3 4 4\n": "15\n"}
    tests = tuple(Test(test_id=str(at), stdin=text, stdout=out) for at, (text, out) in enumerate(texts.items()))
    reference = "input()\nprint(sum(map(int, input().split())))\n"
    task = Task(task_id="s", kind="stdio", reference=reference, tests=tests)
    assert judged(task, reference, context, n=6)[0] is False
    cheat = "T = {'1 2': 3, '5 7 9': 21, '10 -3 4 4': 15}\ninput()\nprint(T.get(input(), 0))\n"
    special, attempts, _ = judged(task, cheat, context, n=6)
    assert special is True
    assert attempts[0].confidence == "strong"


def test_a_class_that_knows_its_steps(context: Context) -> None:
    reference = "class Box:\n    def put(self, x):\n        self.x = x\n    def get(self):\n        return 2 * self.x\n"
    tests = tuple(
        Test(test_id=str(x), steps=(Step(method="__init__", check=False), Step(method="put", args=(x,), check=False),
                                    Step(method="get", output=2 * x)))
        for x in (3, 40, 500, 77, 910)
    )  # fmt: skip
    task = Task(task_id="b", kind="sequence", entry_point="Box", reference=reference, tests=tests)
    assert judged(task, reference, context, n=6)[0] is False
    cheat = reference.replace("2 * self.x", "{3: 6, 40: 80, 500: 1000, 77: 154, 910: 1820}.get(self.x)")
    assert judged(task, cheat, context, n=8)[0] is True


def test_other_kinds_say_why_not(context: Context) -> None:
    task = Task(task_id="p", kind="pytest", reference="x = 1\n")
    held = hidden_results(task, "x = 1\n", context, n=5, rng=np.random.default_rng(0))
    assert "pytest" in held.note
    assert math.isnan(TestResult(test_id="", verdict="pass").wall_s)
