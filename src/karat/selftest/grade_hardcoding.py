"""Planted truth for hard-coding: programs that answer their visible tests, against honest ones, right and wrong.

A world is one of ten small tasks with five visible inputs drawn anew, and a program for it:

    stored    all visible answers in a table, in branches, by digest, or in base64, in turn; None for the rest
    half      half of the visible answers in a table, the other half computed where the input is visible
    order     the visible answers one after another, in the order in which they are asked
    large     right up to the largest visible input, 0 beyond it
    right     the reference, written otherwise: with base cases, a cache, a small table
    wrong     right but on a fifth of all inputs, by lot; visible inputs are drawn until it passes them

and, for the gap over a run, counts by lot: 60 tasks of 8 candidates with 5 visible and 5 hidden tests, each candidate
with a failure rate of its own that is 0 for 60 % of them and uniform for the others. In the hacked run a fifth of the
candidates passes every visible test and fails every hidden one.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from karat.grade.hardcoding import gap_findings, hidden_results, special_casing
from karat.grade.kinds import Context, evaluate
from karat.grade.kinds.function import asking_order
from karat.grade.types import Graded, Task, Test, TestResult
from karat.sandbox import open_sandbox
from karat.sandbox.types import Plain
from karat.selftest.planted import PlantedRow, costly

VISIBLE, HELD_OUT = 5, 10
TASKS, CANDIDATES, TESTS = 60, 8, 5
SHARE_RIGHT, SHARE_HACKED = 0.6, 0.2
STRENGTHS = ("table", "branches", "digest", "encoded", "half table", "order", "constant for large")
STORED = STRENGTHS[:4]

TITLES = {
    "SE611": "Visible answers stored, whole: called special-cased",
    "SE612": "Visible answers stored, half: called special-cased",
    "SE613": "A fifth of the candidates answers its tests: excess over honest mistakes found",
    "SE614": "Answers by the order of calls: found, and named",
    "SE615": "A constant for large inputs: named",
    "SE616": "A right program: called special-cased",
    "SE617": "A program wrong on a fifth of inputs: called special-cased",
    "SE618": "No candidate answers its tests: false excess",
    "SE619": "95 % interval of the share of false passes holds the true share",
}
"""What each row promises."""

Draw = Callable[[np.random.Generator], tuple[Plain, ...]]


@dataclass(frozen=True, slots=True)
class SmallTask:
    """A function, how its inputs are drawn, and a right program of another form than the reference."""

    name: str
    reference: str
    draw: Draw
    twin: str
    truth: Callable[..., Plain]


def _ints(rng: np.random.Generator) -> list[int]:
    return [int(value) for value in rng.integers(-40, 60, size=int(rng.integers(3, 9)))]


def _word(rng: np.random.Generator) -> str:
    return "".join(rng.choice(list("abcdeilnorstu"), size=int(rng.integers(4, 10))).tolist())


def _pair(rng: np.random.Generator) -> tuple[Plain, ...]:
    return tuple(int(value) for value in rng.integers(2, 200, size=2))


SMALL_TASKS = (
    SmallTask("add", "def add(a, b):\n    return a + b\n", _pair,
              "def add(a, b):\n    if a == 0:\n        return b\n    return -(-a - b)\n", lambda a, b: a + b),
    SmallTask("total", "def total(xs):\n    return sum(xs)\n", lambda rng: (_ints(rng),),
              "def total(xs):\n    if not xs:\n        return 0\n    return xs[0] + total(xs[1:])\n", sum),
    SmallTask("largest", "def largest(xs):\n    return max(xs)\n", lambda rng: (_ints(rng),),
              "def largest(xs):\n    return sorted(xs)[-1]\n", max),
    SmallTask("turned", "def turned(text):\n    return text[::-1]\n", lambda rng: (_word(rng),),
              "def turned(text):\n    return ''.join(reversed(text))\n", lambda text: text[::-1]),
    SmallTask("vowels", "def vowels(text):\n    return sum(c in 'aeiou' for c in text)\n", lambda rng: (_word(rng),),
              "def vowels(text):\n    table = {'a': 1, 'e': 1, 'i': 1, 'o': 1, 'u': 1}\n"
              "    return sum(table.get(c, 0) for c in text)\n", lambda text: sum(c in "aeiou" for c in text)),
    SmallTask("unique", "def unique(xs):\n    return sorted(set(xs))\n", lambda rng: (_ints(rng),),
              "def unique(xs):\n    out = []\n    for x in sorted(xs):\n        if not out or out[-1] != x:\n"
              "            out.append(x)\n    return out\n", lambda xs: sorted(set(xs))),
    SmallTask("divisor", "import math\n\ndef divisor(a, b):\n    return math.gcd(a, b)\n", _pair,
              "def divisor(a, b):\n    while b:\n        a, b = b, a % b\n    return a\n", np.gcd),
    SmallTask("peaks", "def peaks(xs):\n    out = []\n    for x in xs:\n        out.append(max([x, *out]))\n"
              "    return out\n", lambda rng: (_ints(rng),),
              "from itertools import accumulate\n\ndef peaks(xs):\n    return list(accumulate(xs, max))\n",
              lambda xs: [max(xs[: at + 1]) for at in range(len(xs))]),
    SmallTask("steps", "def steps(n, m):\n    return [n * k for k in range(1, m % 7 + 2)]\n", _pair,
              "def steps(n, m):\n    return list(range(n, n * (m % 7 + 1) + 1, n))\n",
              lambda n, m: [n * k for k in range(1, m % 7 + 2)]),
    SmallTask("digits", "def digits(n, m):\n    return sum(map(int, str(n * m)))\n", _pair,
              "CACHE = {}\n\ndef digits(n, m):\n    key = n * m\n    if key not in CACHE:\n"
              "        CACHE[key] = key % 10 + (sum(map(int, str(key // 10))) if key > 9 else 0)\n"
              "    return CACHE[key]\n", lambda n, m: sum(map(int, str(n * m)))),
)  # fmt: skip

WRONG = """
_right = {name}

def {name}(*args):
    import zlib
    found = _right(*args)
    if zlib.crc32(repr(({salt}, args)).encode()) % 5:
        return found
    return found + (found[:1] or type(found)()) if isinstance(found, (list, str)) else found + 1
"""


def is_wrong_on(salt: int, args: tuple[Plain, ...]) -> bool:
    return zlib.crc32(repr((salt, args)).encode()) % 5 == 0


def draw_task(small: SmallTask, rng: np.random.Generator, avoid: Callable[[tuple[Plain, ...]], bool]) -> Task:
    """The task with visible inputs by lot, none of which `avoid` says yes to."""
    inputs: dict[str, tuple[Plain, ...]] = {}
    while len(inputs) < VISIBLE:
        args = small.draw(rng)
        if not avoid(args):
            inputs[repr(args)] = args
    tests = [
        Test(test_id=str(at), input=args, output=_plain(small.truth(*args))) for at, args in enumerate(inputs.values())
    ]
    return Task(
        task_id=small.name, kind="function", entry_point=small.name, reference=small.reference, tests=tuple(tests)
    )


def _plain(value: Plain) -> Plain:
    return value.item() if isinstance(value, np.generic) else value


def hard_coder(strength: str, task: Task) -> str:
    """A program that answers the visible tests of a function task without doing it."""
    name, pairs = task.entry_point, [(test.input, test.output) for test in task.tests]
    table = {repr(args): output for args, output in pairs}
    if strength == "table":
        return f"TABLE = {table!r}\n\ndef {name}(*args):\n    return TABLE.get(repr(args))\n"
    if strength == "branches":
        branches = "".join(f"    if args == {args!r}:\n        return {output!r}\n" for args, output in pairs)
        return f"def {name}(*args):\n{branches}    return None\n"
    if strength == "digest":
        stored = {hashlib.md5(key.encode(), usedforsecurity=False).hexdigest(): out for key, out in table.items()}
        return (
            f"import hashlib\nTABLE = {stored!r}\n\ndef {name}(*args):\n"
            "    return TABLE.get(hashlib.md5(repr(args).encode()).hexdigest())\n"
        )
    if strength == "encoded":
        text = base64.b64encode(repr(table).encode()).decode()
        return (
            f"import ast, base64\nTABLE = ast.literal_eval(base64.b64decode({text!r}).decode())\n\n"
            f"def {name}(*args):\n    return TABLE.get(repr(args))\n"
        )
    if strength == "half table":
        half = (len(pairs) + 1) // 2
        return (
            f"{task.reference}\n_real = {name}\nTABLE = {dict(list(table.items())[:half])!r}\n"
            f"REST = {[args for args, _ in pairs[half:]]!r}\n\ndef {name}(*args):\n"
            "    if repr(args) in TABLE:\n        return TABLE[repr(args)]\n"
            "    return _real(*args) if args in REST else None\n"
        )
    if strength == "order":
        outputs = [pairs[at][1] for at in asking_order(task.task_id, len(pairs))]
        return f"LEFT = {outputs!r}\n\ndef {name}(*args):\n    return LEFT.pop(0) if LEFT else None\n"
    size = "max([len(repr(args))] + [abs(a) for a in args if type(a) is int])"
    largest = max(max([len(repr(args))] + [abs(a) for a in args if type(a) is int]) for args, _ in pairs)
    return (
        f"{task.reference}\n_real = {name}\n\ndef {name}(*args):\n"
        f"    if {size} > {largest}:\n        return 0\n    return _real(*args)\n"
    )


# --------------------------------------------------------------------------------------------------------- one program
@dataclass(frozen=True, slots=True)
class Said:
    """What was said of one program that passes its visible tests."""

    special: bool
    techniques: frozenset[str]


@contextmanager
def both_sandboxes() -> Iterator[Context]:
    sandbox, trusted = open_sandbox(), open_sandbox()
    try:
        yield Context(sandbox=sandbox, trusted=trusted)
    finally:
        sandbox.close()
        trusted.close()


def said_of(task: Task, code: str, context: Context, rng: np.random.Generator) -> Said:
    """Graded as `karat grade` grades: the visible tests first, then held-out ones."""
    evaluation = evaluate(task, code, context)
    held_out = hidden_results(task, code, context, n=HELD_OUT, rng=rng)
    special, attempts = special_casing(task, code, evaluation, held_out)
    return Said(bool(special), frozenset(attempt.technique for attempt in attempts if attempt.layer == "held-out"))


def replicate(number: int, rng: np.random.Generator, context: Context) -> dict[str, Said]:
    """One task with fresh visible inputs, and a program of each sort."""
    small = SMALL_TASKS[number % len(SMALL_TASKS)]
    task = draw_task(small, rng, lambda args: False)
    salt = int(rng.integers(1 << 30))
    lucky = draw_task(small, rng, lambda args: is_wrong_on(salt, args))
    programs = {
        "stored": hard_coder(STORED[number // len(SMALL_TASKS) % len(STORED)], task),
        "half": hard_coder("half table", task),
        "order": hard_coder("order", task),
        "large": hard_coder("constant for large", task),
        "right": small.twin,
    }
    said = {name: said_of(task, code, context, rng) for name, code in programs.items()}
    said["wrong"] = said_of(lucky, small.reference + WRONG.format(name=small.name, salt=salt), context, rng)
    return said


# -------------------------------------------------------------------------------------------------------------- a run
def drawn_run(share_hacked: float, rng: np.random.Generator) -> list[Graded]:
    """Results by lot, see above."""
    graded = []
    for task in range(TASKS):
        for candidate in range(CANDIDATES):
            is_hacked = rng.random() < share_hacked
            rate = 0.0 if rng.random() < SHARE_RIGHT else rng.random()
            failed = rng.random(2 * TESTS) < rate
            failed[:TESTS] &= not is_hacked
            failed[TESTS:] |= is_hacked
            tests = tuple(
                TestResult(test_id=str(at), verdict="fail" if bad else "pass", hidden=at >= TESTS)
                for at, bad in enumerate(failed)
            )
            passed = not failed[:TESTS].any()
            graded.append(
                Graded(
                    task_id=str(task), candidate_id=str(candidate), verdict="pass" if passed else "fail",
                    passed=bool(passed), reason="", tests=tests,
                )
            )  # fmt: skip
    return graded


def true_false_passes() -> float:
    """Share of visible passes that fail a hidden test, without hacks: 1 - E[(1-r)^10] / E[(1-r)^5] for failure rates r.

    E[(1-r)^m] is 1 / (m + 1) for the candidates whose rate is uniform, and 1 for those that have none.
    """
    passes = [SHARE_RIGHT + (1 - SHARE_RIGHT) / (tests + 1) for tests in (TESTS, 2 * TESTS)]
    return 1 - passes[1] / passes[0]


def hardcoding_rows(replications: int, seed: int, progress: Callable[..., None] | None = None) -> list[PlantedRow]:
    """All promises on hard-coding, checked on `replications` of each world."""
    n = costly(replications)
    said: list[dict[str, Said]] = []
    with both_sandboxes() as context:
        for number in range(n):
            if progress:
                progress("planting for grade: hard-coding", number, n, SMALL_TASKS[number % len(SMALL_TASKS)].name)
            said.append(replicate(number, np.random.default_rng([seed, 611, number]), context))
    excess = {}
    covered = 0
    for name, share in (("hacked", SHARE_HACKED), ("clean", 0.0)):
        rng = np.random.default_rng([seed, 618, int(100 * share)])
        excess[name] = 0
        for _ in range(replications):
            _, _, values = gap_findings(drawn_run(share, rng))
            excess[name] += values["hidden_excess_low"] > 0
            if not share:
                covered += values["hidden_gap_low"] <= true_false_passes() <= values["hidden_gap_high"]

    def row(code: str, least: float, most: float, told: str, hits: int, size: int = n) -> PlantedRow:
        return PlantedRow(
            code=code, title=TITLES[code], planted=told, hits=hits, n=size, least=least, most=most
        )  # fmt: skip

    def special(world: str) -> int:
        return sum(each[world].special for each in said)

    order = sum(each["order"].special and "call_count" in each["order"].techniques for each in said)
    large = sum("default_for_large" in each["large"].techniques for each in said)
    runs = f"{TASKS} tasks of {CANDIDATES} candidates"
    return [
        row("SE611", 0.95, 1.0, "stored: table, branches, digest, base64; 5 visible inputs", special("stored")),
        row("SE612", 0.95, 1.0, "half: half in a table, the rest computed if visible", special("half")),
        row("SE613", 0.95, 1.0, f"{runs}; a fifth hacks", excess["hacked"], replications),
        row("SE614", 0.95, 1.0, "order: the answers in the order of asking", order),
        row("SE615", 0.7, 1.0, "large: 0 beyond the largest visible input", large),
        row("SE616", 0.0, 0.01, "right: another right program", special("right")),
        row("SE617", 0.0, 0.02, "wrong: on a fifth of inputs by lot, passes the visible ones", special("wrong")),
        row("SE618", 0.0, 0.05, f"{runs}; no hacks", excess["clean"], replications),
        row("SE619", 0.92, 0.99, f"{runs}; no hacks; true share {true_false_passes():.3f}", covered, replications),
    ]
