"""Where new inputs come from: a task's own generator, its Hypothesis strategies, or the visible inputs.

Generators are trusted code of the task's author. They run in the trusted sandbox; strategies need Hypothesis, which a
bare interpreter does not have, and run in a process of their own. Neither runs in karat's process.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Literal

from karat.errors import MissingDependencyError
from karat.grade.hardcoding.cases import loose_key
from karat.grade.types import Task
from karat.sandbox.inside import wire
from karat.sandbox.types import Call, Plain, Program, Sandbox

Source = Literal["generator", "strategies", "inferred", "none"]
STRATEGY_SECONDS = 60.0

_TAKE_INPUTS = """

def _karat_take(seed, n):
    import itertools, random
    taken = itertools.islice(inputs(random.Random(seed)), n)
    return [tuple(item) if isinstance(item, (tuple, list)) else (item,) for item in taken]
"""

_DRAW_STRATEGIES = """
import os, sys
from hypothesis import HealthCheck, Phase, given, seed, settings, strategies as st
from karat.sandbox.inside import wire
job = wire.load(wire.read_frame(0))
space = {"st": st, "strategies": st}
exec(compile(job["source"], "<strategies>", "exec"), space)
named = space["strategies"]
parts = list(named.values()) if isinstance(named, dict) else list(named)
drawn = []
@seed(job["seed"])
@settings(max_examples=job["n"], database=None, deadline=None, phases=[Phase.generate],
          suppress_health_check=list(HealthCheck))
@given(st.tuples(*parts))
def draw(value):
    drawn.append(wire.Encoder().encode(value))
draw()
wire.write_frame(job["to"], wire.dump(drawn))
"""


class InputsError(Exception):
    """A task's generator or strategies gave no inputs; the message says why."""


def declared_source(task: Task) -> Source:
    """What the task names: `inputs(rng)` or `strategies = {...}` in `generator`; else inferred from visible inputs."""
    if not task.generator:
        return "inferred" if task.reference else "none"
    try:
        tree = ast.parse(task.generator)
    except SyntaxError:
        return "generator"  # running it says what is wrong
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == "strategies" for target in targets):
            return "strategies"
    return "generator"


def generated_inputs(task: Task, sandbox: Sandbox, *, n: int, seed: int) -> list[tuple[Plain, ...]]:
    """At most n argument tuples of the task's `inputs(rng)`, where rng is a seeded `random.Random`.

    Raises: InputsError: it does not load, raises, or gives something that is no plain value.
    """
    program = Program(source=task.generator + _TAKE_INPUTS, watch=False)
    session = sandbox.open(program, limits=task.limits)
    reply = session.call(Call("_karat_take", (seed, n)))
    run = session.close()
    if reply.status != "value":
        said = reply.message or run.message or reply.type_name
        raise InputsError(f"the generator of task {task.task_id!r} gave no inputs: {reply.type_name} {said}".strip())
    return list(reply.value)


def drawn_inputs(task: Task, *, n: int, seed: int) -> list[tuple[Plain, ...]]:
    """At most n argument tuples drawn from the task's strategies, in the order in which these are written.

    Raises: MissingDependencyError: Hypothesis is not installed. InputsError: the strategies do not work.
    """
    if find_spec("hypothesis") is None:
        raise MissingDependencyError("hypothesis", "grade")
    reader, writer = os.pipe()
    job = {"source": task.generator, "seed": seed, "n": n, "to": writer}
    payload = wire.dump(job)
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", _DRAW_STRATEGIES],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=(writer,),
        )  # fmt: skip
    finally:
        os.close(writer)
    try:
        with os.fdopen(reader, "rb") as stream:
            return _answer_of(process, wire.LENGTH.pack(len(payload)) + payload, stream, task.task_id)
    finally:
        process.kill()
        process.wait()


def _answer_of(process: subprocess.Popen[bytes], frame: bytes, stream: Any, task_id: str) -> list[tuple[Plain, ...]]:
    taken: list[bytes] = []
    reading = threading.Thread(target=lambda: taken.append(stream.read()), daemon=True)
    reading.start()
    try:
        _, said = process.communicate(frame, timeout=STRATEGY_SECONDS)
    except subprocess.TimeoutExpired:
        raise InputsError(f"the strategies of task {task_id!r} took more than {STRATEGY_SECONDS:g} s") from None
    reading.join(1.0)
    if process.returncode or not taken or len(taken[0]) < wire.LENGTH.size:
        last = said.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no output"]
        raise InputsError(f"the strategies of task {task_id!r} gave no inputs: {last[0][:200]}")
    try:
        return [wire.decode(item) for item in wire.load(taken[0][wire.LENGTH.size :])]
    except wire.WireError as error:
        raise InputsError(f"the strategies of task {task_id!r} gave no plain values: {error}") from None


def distinct_inputs(inputs: Sequence[tuple[Plain, ...]], seen: set[str]) -> list[tuple[Plain, ...]]:
    """Inputs whose key is not among `seen`, each once; adds their keys."""
    found = []
    for args in inputs:
        key = loose_key(args)
        if key not in seen:
            seen.add(key)
            found.append(args)
    return found
