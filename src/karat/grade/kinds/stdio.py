"""Programs that read standard input and print: a fresh process for each test, printed text compared here.

Python by default; any other language by the task's `command`, after an optional compile step (`extra["compile"]`). The
exit status is no verdict: a program that printed the right text and left with status 1 passes, with a note, unless the
task says `extra["exit_code"] = 0`. What ends a program against its will (a signal, a limit) fails the test.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from karat.grade.compare import agree
from karat.grade.kinds.calls import NOT_REACHED, VERDICT_OF_END, with_prelude
from karat.grade.kinds.context import Context
from karat.grade.kinds.function import asking_order
from karat.grade.types import Evaluation, Task, Test, TestResult, TestVerdict
from karat.sandbox.types import Limits, Program, Run
from karat.types import NAN

COMMAND_PROCESSES = 64
"""Compilers and shells start others; the limit of a task counts where it is larger."""
SHELL = ("/bin/sh", "-c", 'chmod u+x ./* 2>/dev/null; exec "$@"', "sh")
"""Starts a compiled program: files come into the sandbox without the right to be executed."""


def evaluate_stdio(task: Task, code: str | bytes, context: Context) -> Evaluation:
    """Run the program once for each test, hidden and visible alike, within one budget for all.

    Returns: a result for each test in the task's order. A program that hangs costs the budget once: the tests that it
    leaves no time for are "not run".
    """
    if not task.tests:
        return Evaluation(tests=(), runs=())
    started = time.monotonic()
    build = build_of(task, code, context)
    if build.problem or build.failure:
        tests = tuple(result(test, "fail", build.failure) for test in task.tests) if build.failure else ()
        return Evaluation(tests=tests, runs=build.runs, problem=build.problem)
    results: dict[int, TestResult] = {}
    runs = list(build.runs)
    for at in asking_order(task.task_id, len(task.tests)):
        left_s = task.limits.wall_s - (time.monotonic() - started)
        left_cpu_s = task.limits.cpu_s - sum(run.cpu_s for run in runs if run.cpu_s == run.cpu_s)
        if left_s <= 0 or left_cpu_s <= 0:
            break
        test = task.tests[at]
        limits = replace(build.limits, wall_s=left_s, cpu_s=left_cpu_s)
        run = context.sandbox.run(
            replace(build.program, stdin=test.stdin.encode("utf-8", "surrogatepass")), limits=limits
        )
        runs.append(run)
        results[at] = judge_run(task, test, run)
        if results[at].verdict in ("timeout", "error"):
            break
    missing = [result(test, "not run", NOT_REACHED) for test in task.tests]
    return Evaluation(tests=tuple(results.get(at, missing[at]) for at in range(len(task.tests))), runs=tuple(runs))


# -------------------------------------------------------------------------------------------------------------- build
@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """How the program is started for each test."""

    program: Program
    limits: Limits
    runs: tuple[Run, ...] = ()
    failure: str = ""
    """The candidate's fault: it does not compile."""
    problem: str = ""
    """The task's fault or ours."""


def build_of(task: Task, code: str | bytes, context: Context) -> Build:
    source = with_prelude(task.prelude, code)
    if not task.command:
        program = Program(source=source, kind="script", files=task.files, baits=context.baits, watch=context.watch)
        return Build(program=program, limits=task.limits)
    data = source if isinstance(source, bytes) else source.encode("utf-8", "surrogatepass")
    limits = replace(task.limits, processes=max(task.limits.processes, COMMAND_PROCESSES))
    files = {**task.files, task.source_name: data}
    argv = tuple(filled(word, task.source_name) for word in task.command)
    program = Program(kind="command", argv=argv, files=files, baits=context.baits, watch=context.watch)
    if not task.extra.get("compile"):
        return Build(program=program, limits=limits)
    return compiled(task, program, context, limits)


def filled(word: str, source_name: str) -> str:
    return word.replace("{source}", source_name).replace("{stem}", PurePosixPath(source_name).stem)


def compiled(task: Task, program: Program, context: Context, limits: Limits) -> Build:
    """Run the compile step in a sandbox and carry what it makes into the runs."""
    words = task.extra["compile"]
    argv = tuple(filled(str(word), task.source_name) for word in (words.split() if isinstance(words, str) else words))
    step = Program(kind="command", argv=argv, files=program.files, watch=context.watch, keep_files=True)
    run = context.sandbox.run(step, limits=limits)
    made = {file.path: file.content for file in run.files if file.change in ("added", "changed")}
    build = Build(
        program=replace(program, argv=(*SHELL, *program.argv), files={**program.files, **made}), limits=limits
    )
    if run.ended == "fault":
        return replace(build, runs=(run,), problem=f"compile step: {run.message or run.ended}")
    if run.exit_code == 127:
        return replace(build, runs=(run,), problem=f"compile step: {argv[0]!r} is not there ({head(run.stderr)})")
    if run.ended != "done" or run.exit_code:
        why = run.message or f"status {run.exit_code}"
        return replace(build, runs=(run,), failure=f"does not compile: {why}: {head(run.stderr)}")
    if lost := [file.path for file in run.files if file.size > len(file.content) and file.change == "added"]:
        return replace(build, runs=(run,), problem=f"compile step: {lost[0]} is too large to be carried over")
    return replace(build, runs=(run,))


def head(text: bytes) -> str:
    return text.decode("utf-8", "replace").strip().replace("\n", " / ")[:300]


# -------------------------------------------------------------------------------------------------------------- judge
def judge_run(task: Task, test: Test, run: Run) -> TestResult:
    """The verdict on one run: by what was printed, where the program ended by itself."""
    if run.ended in ("done", "exit"):
        reason = wrong_output(task, test, run)
        status = exit_status(run)
        if not reason and status and task.extra.get("exit_code") == 0:
            reason = f"the right output, but {status}; the task asks for status 0"
        note = f"note: {status}" if status and not reason else ""
        crashed = f" ({status})" if status and reason and "but" not in reason else ""
        return result(test, "fail" if reason else "pass", reason + crashed or note, run.wall_s)
    reason = f"does not load: {run.message}" if run.ended == "load" else run.message or run.ended
    return result(test, VERDICT_OF_END[run.ended], reason, run.wall_s)


def wrong_output(task: Task, test: Test, run: Run) -> str:
    """Empty when the printed text is the expected one."""
    if run.output_cut:
        return f"printed more than {task.limits.output_kb} kB, of which the rest was cut"
    try:
        text = run.stdout.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"printed bytes that are not UTF-8 (offset {error.start}: 0x{run.stdout[error.start]:02x})"
    return agree(test.stdout, text, test.comparison or task.comparison)


def exit_status(run: Run) -> str:
    """How the program left, where that was not the ordinary way; empty otherwise."""
    reply = run.replies[0] if run.replies else None
    if reply is not None and reply.status == "raised" and reply.type_name != "SystemExit":
        return f"raised {reply.type_name}: {reply.message[:80]}" + (f" (line {reply.line})" if reply.line else "")
    if reply is not None and reply.status == "raised":
        return f"left with status {reply.message[:40]}" if reply.message not in ("None", "0", "False") else ""
    return f"left with status {run.exit_code}" if run.exit_code else ""


def result(test: Test, verdict: TestVerdict, reason: str = "", wall_s: float = NAN) -> TestResult:
    return TestResult(test_id=test.test_id, verdict=verdict, reason=reason, hidden=test.hidden, wall_s=wall_s)
