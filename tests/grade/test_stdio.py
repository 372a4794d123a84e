"""Programs with standard input and output: text compared outside, any language, no status is a verdict."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from karat.grade.kinds import Context, evaluate
from karat.grade.types import Comparison, Evaluation, Task, Test
from karat.sandbox import open_sandbox
from karat.sandbox.types import Bait, Limits

SUM = "print(sum(map(int, input().split())))\n"
TESTS = (
    Test(test_id="t1", stdin="1 2\n", stdout="3\n"),
    Test(test_id="t2", stdin="10 20 30\n", stdout="60\n"),
    Test(test_id="t3", stdin="-5 5\n", stdout="0\n", hidden=True),
)
TASK = Task(task_id="sum", kind="stdio", tests=TESTS, comparison=Comparison(text="lines"), limits=Limits(wall_s=5.0))
ONE = replace(TASK, tests=TESTS[:1])


@pytest.fixture(scope="module")
def context() -> Iterator[Context]:
    with closing(open_sandbox()) as sandbox, closing(open_sandbox()) as trusted:
        yield Context(sandbox=sandbox, trusted=trusted)


def verdicts(evaluation: Evaluation) -> list[str]:
    assert not evaluation.problem, evaluation.problem
    return [test.verdict for test in evaluation.tests]


def test_printed_text_is_compared(context: Context) -> None:
    found = evaluate(TASK, SUM, context)
    assert verdicts(found) == ["pass"] * 3
    assert [test.hidden for test in found.tests] == [False, False, True]
    assert len(found.runs) == 3
    assert verdicts(evaluate(TASK, SUM.replace("sum(", "max("), context)) == ["fail"] * 3


@pytest.mark.parametrize(
    ("code", "note"),
    [
        (SUM + "import sys; sys.exit(1)\n", "left with status 1"),
        (SUM + "import sys; sys.stdout.flush(); import os; os._exit(3)\n", "left with status 3"),
        (SUM + "1 / 0\n", "raised ZeroDivisionError"),
        (SUM + "import sys; sys.exit(0)\n", ""),
    ],
)
def test_the_exit_status_is_no_verdict(context: Context, code: str, note: str) -> None:
    found = evaluate(ONE, code, context)
    assert verdicts(found) == ["pass"]
    assert note in found.tests[0].reason
    strict = evaluate(replace(ONE, extra={"exit_code": 0}), code, context)
    assert verdicts(strict) == ["fail" if note else "pass"]


@pytest.mark.parametrize(
    "code",
    [
        "import atexit\ntotal = sum(map(int, input().split()))\natexit.register(lambda: print(total))\n",
        "import threading\ndef main(): print(sum(map(int, input().split())))\nthreading.Thread(target=main).start()\n",
        "import io, sys, atexit\nout = sys.stdout\nsys.stdout = io.StringIO()\n"
        "atexit.register(lambda: out.write(sys.stdout.getvalue()))\n" + SUM,
    ],
)
def test_a_program_may_print_while_it_ends(context: Context, code: str) -> None:
    assert verdicts(evaluate(TASK, code, context)) == ["pass"] * 3


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys; sys.exit(0)", "expected"),
        ("import os; os._exit(0)", "expected"),
        ("print('ALL TESTS PASSED'); raise SystemExit(0)", "PASSED"),
        ("import sys; sys.stdout.buffer.write(b'3\\xff')", "not UTF-8"),
        ("print('3' + 'x' * 40000)\nwhile True: print('y' * 1000)", ""),
        ("def", "does not load"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", ""),
        ("print(3) if False else None; 1 / 0", "ZeroDivisionError"),
    ],
)
def test_other_ends_fail_with_their_reason(context: Context, code: str, said: str) -> None:
    task = replace(ONE, limits=Limits(wall_s=2.0, output_kb=16))
    found = evaluate(task, code, context)
    assert verdicts(found) == ["fail"]
    assert said in found.tests[0].reason


def test_output_that_was_cut_is_no_pass(context: Context) -> None:
    task = replace(
        ONE,
        tests=(Test(test_id="t", stdin="1", stdout="z" * 1024),),
        limits=Limits(wall_s=2.0, output_kb=1),
    )
    found = evaluate(task, "print('z' * 1024)\nprint('w' * 100)", context)
    assert verdicts(found) == ["fail"]
    assert "cut" in found.tests[0].reason


def test_a_hang_costs_the_budget_once(context: Context) -> None:
    task = replace(TASK, limits=Limits(wall_s=0.6))
    found = evaluate(task, "input()\nwhile True: pass", context)
    assert sorted(verdicts(found)) == ["not run", "not run", "timeout"]
    assert sum(run.wall_s for run in found.runs) < 2.0


def test_each_test_is_a_fresh_process(context: Context) -> None:
    code = "import os\nprint(3 if not os.path.exists('seen') else 4)\nopen('seen', 'w').close()"
    task = replace(TASK, tests=tuple(replace(test, stdout="3\n") for test in TESTS))
    assert verdicts(evaluate(task, code, context)) == ["pass"] * 3


def test_a_program_that_looks_for_answers_finds_bait(context: Context) -> None:
    baited = replace(context, baits=(Bait("file", "expected.txt", "731882446", "731882446"),))
    found = evaluate(ONE, "import os\nprint(open('expected.txt').read())", baited)
    assert verdicts(found) == ["fail"]
    assert b"731882446" in found.runs[0].stdout


def test_answers_are_in_no_place_a_program_can_read(context: Context) -> None:
    task = replace(TASK, tests=(Test(test_id="t", stdin="1\n", stdout="hidden answer 90125\n"),))
    code = (
        "import sys, os, gc\n"
        "text = repr(sys.argv) + repr(dict(os.environ)) + ''.join(map(repr, gc.get_objects()))[:2000000]\n"
        "f = sys._getframe()\n"
        "while f: text += repr(f.f_locals)[:100000]; f = f.f_back\n"
        "print('found' if ' '.join(['answer', '90125']) in text else 'nothing')\n"
    )
    found = evaluate(task, code, context)
    assert b"nothing" in found.runs[0].stdout


def test_tolerance_applies_to_printed_numbers(context: Context) -> None:
    task = replace(
        ONE,
        tests=(Test(test_id="t", stdin="", stdout="0.3333333 ok"),),
        comparison=Comparison(text="tokens", absolute=1e-6),
    )
    assert verdicts(evaluate(task, "print(1 / 3, 'ok')", context)) == ["pass"]
    assert verdicts(evaluate(task, "print(0.34, 'ok')", context)) == ["fail"]


C_SUM = '#include <stdio.h>\nint main(void){int a,s=0;while(scanf("%d",&a)==1)s+=a;printf("%d\\n",s);return 0;}\n'
C_TASK = replace(TASK, command=("./prog",), source_name="prog.c", extra={"compile": "gcc -O1 -o prog {source}"})


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_a_compiled_language(context: Context) -> None:
    task = replace(C_TASK, limits=Limits(wall_s=20.0, cpu_s=20.0, memory_mb=2048))
    assert verdicts(evaluate(task, C_SUM, context)) == ["pass"] * 3
    broken = evaluate(task, C_SUM.replace("return 0;", "return nothing;"), context)
    assert verdicts(broken) == ["fail"] * 3
    assert "does not compile" in broken.tests[0].reason
    assert "nothing" in broken.tests[0].reason


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_another_interpreter(context: Context) -> None:
    task = replace(TASK, command=("bash", "{source}"), source_name="sum.sh")
    code = 'read -a n; s=0; for x in "${n[@]}"; do s=$((s + x)); done; echo $s\n'
    assert verdicts(evaluate(task, code, context)) == ["pass"] * 3
    assert verdicts(evaluate(task, "echo 3; exit 0\n", context)) == ["pass", "fail", "fail"]


def test_a_compiler_that_is_not_there_is_the_task_s_problem(context: Context) -> None:
    found = evaluate(replace(C_TASK, extra={"compile": ["no-such-compiler", "{source}"]}), C_SUM, context)
    assert not found.tests
    assert "no-such-compiler" in found.problem
