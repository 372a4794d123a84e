"""Held-out tests of a task: inputs that no candidate's author has seen, with the reference's outputs.

The pool of a task depends on the task alone, whoever asks first; each candidate meets tests that are drawn for it.
"""

from __future__ import annotations

import ast
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

import numpy as np

from karat.grade.hardcoding.asking import Answers, ask_function, has_float
from karat.grade.hardcoding.cases import Case, exact_key, forget, loose_key, target_of, visible_cases
from karat.grade.hardcoding.mutate import larger_inputs, mutated_inputs
from karat.grade.hardcoding.other_kinds import printed_tests, stepped_tests
from karat.grade.hardcoding.sources import (
    InputsError,
    Source,
    declared_source,
    distinct_inputs,
    drawn_inputs,
    generated_inputs,
)
from karat.grade.kinds.calls import with_prelude
from karat.grade.types import Comparison, Task, Test
from karat.sandbox.types import Plain, Reply, Sandbox

LARGER_SHARE = 0.25
"""Of a pool: inputs larger than the visible ones."""
LARGER_ID, NEAR_ID = "larger", "generated"
"""How the ids of such tests begin."""
POOL_FACTOR = 3
"""Tests in a pool for each that a candidate is asked."""
TRIED_FACTOR = 2
"""Inputs given to the reference for each test of a pool: those with outputs of their own are preferred."""
FLOAT_TOLERANCE = Comparison(relative=1e-6, absolute=1e-9)
"""Least tolerance of generated float outputs: honest programs add in another order than the reference."""
POOLS_KEPT = 4096
FUNCTION_KINDS = ("function", "asserts")
GENERATED_KINDS = (*FUNCTION_KINDS, "stdio", "sequence")
LONGEST_OUTPUT = 100_000
"""Characters of an output's key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Held-out tests of one task."""

    tests: tuple[Test, ...]
    """Those whose id begins with `larger` ask for more than any visible test does."""
    source: Source
    note: str = ""
    """Why there are none, or fewer."""
    n_refused: int = 0
    """Inputs on which the reference raised, gave no plain value, or was not twice the same."""


_pools: OrderedDict[str, Future[Pool]] = OrderedDict()
_lock = threading.Lock()


def held_out_pool(task: Task, trusted: Sandbox, *, n: int) -> Pool:
    """The pool from which n tests are drawn for each candidate; made once a task, whatever thread asks first.

    Raises: MissingDependencyError: the task names strategies and Hypothesis is not installed.
    """
    key = fingerprint(task, n)
    with _lock:
        future = _pools.get(key)
        mine = future is None
        if future is None:
            future = _pools[key] = Future()
            while len(_pools) > POOLS_KEPT:
                _pools.popitem(last=False)
    if mine:
        try:
            future.set_result(make_pool(task, trusted, n=POOL_FACTOR * n))
        except BaseException as error:
            future.set_exception(error)
    return future.result()


def fingerprint(task: Task, n: int) -> str:
    """Hash of what the pool depends on."""
    kept = _fingerprints.get((id(task), n))
    if kept is None or kept[0] is not task:
        kept = _fingerprints[id(task), n] = (task, _fingerprint(task, n))
        forget(_fingerprints, POOLS_KEPT)
    return kept[1]


_fingerprints: dict[tuple[int, int], tuple[Task, str]] = {}


def _fingerprint(task: Task, n: int) -> str:
    visible = [exact_key((case.args, dict(case.kwargs))) for case in visible_cases(task)]
    visible += [exact_key([(step.method, step.args) for step in test.steps]) for test in task.tests]
    parts = (
        task.kind,
        "\0".join(task.command),
        task.entry_point,
        task.prelude,
        task.reference,
        task.generator,
        *visible,
        str(n),
    )
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def make_pool(task: Task, trusted: Sandbox, *, n: int) -> Pool:
    """At most n tests; none, with the reason, where there is nothing to make them from."""
    source = declared_source(task)
    if task.kind not in GENERATED_KINDS or (task.kind in FUNCTION_KINDS and not task.entry_point):
        return Pool(tests=(), source="none", note=f"no inputs are generated for tasks of kind {task.kind!r}")
    if not task.reference:
        return Pool(tests=(), source="none", note="needs a reference solution for the expected outputs")
    rng = np.random.default_rng(int(fingerprint(task, n)[:16], 16))
    if task.kind in ("stdio", "sequence"):
        made = printed_tests if task.kind == "stdio" else stepped_tests
        found = made(task, trusted, n=n, rng=rng)
        named = tuple(replace(test, test_id=f"{NEAR_ID} {at}") for at, test in enumerate(found))
        note = "" if named else "no changed input was answered by the reference, twice the same"
        return Pool(tests=named, source="inferred", note=note)
    cases = [case for case in visible_cases(task, trusted) if not case.kwargs]
    try:
        near, larger = _inputs(task, trusted, source, cases, n=TRIED_FACTOR * n, rng=rng)
    except InputsError as error:
        return Pool(tests=(), source=source, note=str(error))
    tests: list[Test] = []
    n_refused = 0
    n_larger = round(LARGER_SHARE * n) if larger else 0
    for prefix, inputs, wanted in ((NEAR_ID, near, n - n_larger), (LARGER_ID, larger, n_larger)):
        answered = reference_outputs(task, inputs, trusted)
        n_refused += len(inputs) - len(answered)
        chosen = diverse(answered, wanted)
        comparison = comparison_of(task, [output for _, output in chosen])
        tests += [
            Test(test_id=f"{prefix} {at}", input=args, output=output, hidden=True, comparison=comparison)
            for at, (args, output) in enumerate(chosen)
        ]
    note = "" if tests else "no input could be made on which the reference answers twice the same"
    return Pool(tests=tuple(tests), source=source, note=note, n_refused=n_refused)


def _inputs(
    task: Task, trusted: Sandbox, source: Source, cases: Sequence[Case], *, n: int, rng: np.random.Generator
) -> tuple[list[tuple[Plain, ...]], list[tuple[Plain, ...]]]:
    """Inputs to try, and larger ones where they have to be inferred; none of them visible."""
    visible = [case.args for case in cases]
    seen = {loose_key(args) for args in visible}
    seed = int(rng.integers(1 << 31))
    if source == "generator":
        return distinct_inputs(generated_inputs(task, trusted, n=n, seed=seed), seen), []
    if source == "strategies":
        return distinct_inputs(drawn_inputs(task, n=n, seed=seed), seen), []
    # Changed are the inputs of tests: examples of a prompt may be of another form (`f(x)` for `f([x])`).
    tests = [case.args for case in cases if case.place != "prompt"] or visible
    near = distinct_inputs(mutated_inputs(tests, n, rng), seen)
    return near, distinct_inputs(larger_inputs(tests, round(LARGER_SHARE * n), rng), seen)


def reference_outputs(
    task: Task, inputs: Sequence[tuple[Plain, ...]], trusted: Sandbox
) -> list[tuple[tuple[Plain, ...], Plain]]:
    """Inputs with the reference's outputs, where it gives the same twice: in one process in order, in another back."""
    tests = [Test(test_id=str(at), input=args) for at, args in enumerate(inputs)]
    first = _ask_reference(task, tests, trusted)
    tests = [test for test, reply in zip(tests, first.replies, strict=False) if _is_usable(reply, task)]
    again = _ask_reference(task, tests[::-1], trusted)
    second = dict(zip((test.test_id for test in tests[::-1]), again.replies, strict=False))
    found = []
    for test in tests:
        one, other = first.replies[int(test.test_id)], second.get(test.test_id)
        if other is not None and other.status == "value" and exact_key(one.value) == exact_key(other.value):
            found.append((test.input, one.value))
    return found


def _ask_reference(task: Task, tests: Sequence[Test], trusted: Sandbox) -> Answers:
    return ask_function(
        with_prelude(task.prelude, task.reference), target_of(task), tests, sandbox=trusted, limits=task.limits
    )  # fmt: skip


def _is_usable(reply: Reply, task: Task) -> bool:
    """A plain value of bearable size, in a small part of a candidate's time."""
    if reply.status != "value" or len(exact_key(reply.value)) > LONGEST_OUTPUT:
        return False
    return not reply.wall_s > task.limits.wall_s / 50


def diverse(answered: Sequence[tuple[tuple[Plain, ...], Plain]], n: int) -> list[tuple[tuple[Plain, ...], Plain]]:
    """n of these, outputs in turn: a constant must not be right on most of them."""
    groups: dict[str, list[tuple[tuple[Plain, ...], Plain]]] = {}
    for pair in answered:
        groups.setdefault(loose_key(pair[1]), []).append(pair)
    chosen: list[tuple[tuple[Plain, ...], Plain]] = []
    depth = 0
    while len(chosen) < n and depth < len(answered):
        chosen += [group[depth] for group in groups.values() if depth < len(group)][: n - len(chosen)]
        depth += 1
    return chosen


def comparison_of(task: Task, outputs: Sequence[Plain]) -> Comparison:
    """The task's comparison, no stricter than its own assertions, and never exact on floats."""
    own = task.comparison
    if own.types == "python":
        own = replace(own, sequences="alike")
    if _is_order_free(task):
        own = replace(own, order="free")
    if any(map(has_float, outputs)):
        own = replace(
            own,
            relative=max(own.relative, FLOAT_TOLERANCE.relative),
            absolute=max(own.absolute, FLOAT_TOLERANCE.absolute),
        )
    return own


def _is_order_free(task: Task) -> bool:
    """Whether test code compares the answers as sets, sorted or counted."""
    try:
        tree = ast.parse(task.test_code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    names = {task.entry_point.rsplit(".", 1)[-1], "candidate"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            is_free = node.func.id in ("set", "sorted", "Counter", "frozenset", "len", "sum")
            inner = node.args[0] if node.args else None
            if is_free and isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name) and inner.func.id in names:
                return True
    return False


def drawn(pool: Pool, n: int, rng: np.random.Generator) -> tuple[Test, ...]:
    """n tests of a pool, larger ones in their share and last."""
    near = [test for test in pool.tests if not is_larger(test.test_id)]
    larger = [test for test in pool.tests if is_larger(test.test_id)]
    n_larger = min(len(larger), round(LARGER_SHARE * n))
    picked = []
    for tests, wanted in ((near, n - n_larger), (larger, n_larger)):
        order = sorted(rng.permutation(len(tests))[:wanted].tolist())
        picked += [tests[index] for index in order]
    return tuple(picked)


def is_larger(test_id: str) -> bool:
    """Whether a generated test asks for more than any visible one."""
    return test_id.startswith(LARGER_ID)
