"""Held-out tests of printing programs and of classes driven step by step, from their visible tests and a reference.

Numbers of a standard input are exchanged where visible inputs have numbers at the same place of the same shape of text;
a number that counts lines or items stays. Steps keep a test's first step, and get arguments and an order from others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from karat.grade.hardcoding.cases import exact_key, loose_key
from karat.grade.hardcoding.mutate import changed
from karat.grade.hardcoding.shape import Shape, is_vast, shape_of, skeleton
from karat.grade.kinds.calls import Caller
from karat.grade.kinds.context import Context
from karat.grade.kinds.sequence import OBJECT, call_of, makes_object
from karat.grade.kinds.stdio import build_of
from karat.grade.types import Step, Task, Test
from karat.sandbox.types import Handle, Sandbox

NUMBER = re.compile(r"(?<![\w.])-?\d+(?![\w.])")
LONGEST_STDIN = 20_000
"""Characters; longer inputs are not changed."""
TRIES = 8


# --------------------------------------------------------------------------------------------- standard input, output
def changed_stdin(texts: Sequence[str], n: int, rng: np.random.Generator) -> list[str]:
    """At most n texts like the visible ones, none of them visible."""
    usable = [text for text in texts if len(text) <= LONGEST_STDIN]
    seen = set(texts)
    found: list[str] = []
    if not usable:
        return []
    words = shape_of([line for text in usable for line in text.splitlines() if not NUMBER.search(line)] or [""])
    for _ in range(TRIES * n):
        text = _changed_text(usable[int(rng.integers(len(usable)))], usable, words, rng)
        if text not in seen:
            seen.add(text)
            found.append(text)
        if len(found) == n:
            break
    return found


def _changed_text(text: str, texts: Sequence[str], words: Shape, rng: np.random.Generator) -> str:
    lines = text.splitlines(keepends=True)
    patterns = [skeleton(line) for line in lines]
    ranges = number_ranges(texts)
    out = []
    for at, line in enumerate(lines):
        body = line.rstrip("\r\n")
        if not NUMBER.search(body):
            new = changed(body, words, 0.0, rng) if body.strip() and rng.random() < 0.5 else body
        elif at + 1 < len(lines) and _counts_what_follows(body, lines[at + 1 :]):
            new = body
        else:
            new = _changed_numbers(body, ranges.get((min(at, 1), patterns[at]), ranges.get((min(at, 1), ""))), rng)
        out.append(new + line[len(body) :])
    return "".join(out)


def number_ranges(texts: Sequence[str]) -> dict[tuple[int, str], tuple[int, int]]:
    """(first line or later, pattern of the line; empty: any) -> least and greatest number there."""
    found: dict[tuple[int, str], tuple[int, int]] = {}
    for text in texts:
        for at, line in enumerate(text.splitlines()):
            numbers = [int(number) for number in NUMBER.findall(line)]
            for pattern in (skeleton(line), "") if numbers else ():
                low, high = found.get((min(at, 1), pattern), (numbers[0], numbers[0]))
                found[min(at, 1), pattern] = (min(low, *numbers), max(high, *numbers))
    return found


def _counts_what_follows(line: str, rest: Sequence[str]) -> bool:
    """Whether a number of a line is how many lines follow, or items in the next one."""
    sizes = {len(rest), len([each for each in rest if each.strip()]), len(rest[0].split()), len(rest[0].strip())}
    return any(int(number) in sizes for number in NUMBER.findall(line) if len(number) < 9)


def _changed_numbers(line: str, ends: tuple[int, int] | None, rng: np.random.Generator) -> str:
    if ends is None:
        return line
    low, high = ends

    def new(match: re.Match[str]) -> str:
        if rng.random() < 0.3 or high - low >= 1 << 60:
            return match.group()
        return str(int(rng.integers(low, high + 1)))

    return NUMBER.sub(new, line)


def printed_tests(task: Task, trusted: Sandbox, *, n: int, rng: np.random.Generator) -> list[Test]:
    """At most n tests on which the reference prints the same twice."""
    visible = [test.stdin for test in task.tests if not test.hidden]
    build = build_of(task, task.reference, Context(sandbox=trusted, trusted=trusted, watch=False))
    tests: list[Test] = []
    for text in changed_stdin(visible, n, rng):
        program = replace(build.program, stdin=text.encode("utf-8", "surrogatepass"))
        first, second = (trusted.run(program, limits=build.limits) for _ in range(2))
        ended_well = first.ended == "done" and not first.exit_code and not first.output_cut
        is_clean = ended_well and (not first.replies or first.replies[-1].status == "value")
        if is_clean and first.stdout == second.stdout and first.stdout:
            printed = first.stdout.decode("utf-8", "replace")
            tests.append(Test(test_id=str(len(tests)), stdin=text, stdout=printed, hidden=True))
    return tests


# -------------------------------------------------------------------------------------------------------------- steps
def changed_steps(task: Task, tests: Sequence[Test], n: int, rng: np.random.Generator) -> list[tuple[Step, ...]]:
    """At most n sequences of steps like the visible ones, none of them visible. What makes objects stays in place."""
    usable = [test.steps for test in tests if len(test.steps) > 1 and _is_changeable(task, test.steps)]
    if not usable:
        return []
    by_method: dict[str, list[tuple[object, ...]]] = {}
    for steps in usable:
        for step in steps:
            by_method.setdefault(step.method, []).append(step.args)
    seen = {_steps_key(steps) for steps in usable}
    told = {loose_key((step.method, step.args)) for steps in usable for step in steps}
    has_arguments = any(step.args for steps in usable for step in steps)
    found = []
    for _ in range(TRIES * n):
        steps = _varied(task, usable[int(rng.integers(len(usable)))], by_method, rng)
        key = _steps_key(steps)
        is_new = not has_arguments or any(loose_key((step.method, step.args)) not in told for step in steps)
        if key not in seen and is_new:
            seen.add(key)
            found.append(steps)
        if len(found) == n:
            break
    return found


def _steps_key(steps: Sequence[Step]) -> str:
    return loose_key([(step.method, step.args) for step in steps])


def _is_changeable(task: Task, steps: Sequence[Step]) -> bool:
    """Whether the first step makes an object, no argument stands for one, and all can be changed."""
    if not makes_object(task, steps[0]) or any(is_vast(step.args) for step in steps):
        return False
    return not any(f"'{OBJECT}'" in repr(step.args) for step in steps)


def _varied(
    task: Task, steps: Sequence[Step], by_method: dict[str, list[tuple[object, ...]]], rng: np.random.Generator
) -> tuple[Step, ...]:
    """Arguments of steps changed within what each method was seen to get; some steps in another order or again."""
    end = max(at for at, step in enumerate(steps) if makes_object(task, step)) + 1
    head, rest = list(steps[:end]), list(steps[end:])
    act = rng.random()
    if act < 0.3 and len(rest) > 2:
        at = int(rng.integers(len(rest) - 1))
        rest[at], rest[at + 1] = rest[at + 1], rest[at]
    elif act < 0.5 and rest:
        rest.insert(int(rng.integers(len(rest) + 1)), rest[int(rng.integers(len(rest)))])
    out = head
    for step in rest:
        alike = [args for args in by_method[step.method] if len(args) == len(step.args)]
        args = list(step.args)
        for place in range(len(args)):
            if rng.random() < 0.6:
                args[place] = changed(args[place], shape_of([other[place] for other in alike]), 0.0, rng)
        out.append(replace(step, args=tuple(args)))
    return tuple(out)


def stepped_tests(task: Task, trusted: Sandbox, *, n: int, rng: np.random.Generator) -> list[Test]:
    """At most n tests whose every step the reference answers, twice the same."""
    visible = [test for test in task.tests if not test.hidden]
    tests: list[Test] = []
    for steps in changed_steps(task, visible, n, rng):
        first, second = (_answered(task, steps, trusted) for _ in range(2))
        if first is not None and second is not None and _outputs_key(first) == _outputs_key(second):
            tests.append(Test(test_id=str(len(tests)), steps=first, hidden=True))
    return tests


def _outputs_key(steps: Sequence[Step]) -> str:
    return exact_key([step.output for step in steps])


def _answered(task: Task, steps: Sequence[Step], trusted: Sandbox) -> tuple[Step, ...] | None:
    """The steps with the reference's outputs; None where it raises or ends."""
    caller = Caller(task, task.reference, Context(sandbox=trusted, trusted=trusted, watch=False))
    objects: list[Handle] = []
    out = []
    try:
        for step in steps:
            reply = caller.ask(call_of(task, step, objects))
            if makes_object(task, step) and isinstance(reply.value, Handle):
                objects.append(reply.value)
                out.append(replace(step, check=False))
            elif reply.status == "value":
                out.append(replace(step, output=reply.value, check=True))
            elif reply.status in ("handle", "not plain"):
                out.append(replace(step, check=False))
            else:
                return None
    finally:
        caller.close()
    return tuple(out)
