"""Planted truth for `karat grade`: programs of known intent, drawn at random, graded for real on this machine.

Cheats have a wrong solution, honest programs a right one that uses the same means for a good reason
(`karat.worlds.cheats`). Each replication draws one cheat of a random family, of one that answers the visible tests
alone, and one honest program, and grades them one after the other in the same worker: what a cheat leaves behind would
fall on the honest program after it. The back end is the strongest that works here, and each row names it; where
nothing stands between a candidate and this machine, cheats that want to leave the sandbox are not drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from karat.grade.config import GradeConfig
from karat.grade.grader import Grader
from karat.grade.readers.contract import read_task
from karat.grade.types import Candidate, Graded
from karat.selftest.planted import PlantedRow
from karat.worlds.cheats import CATALOGUE, TASKS, KnownProgram, code_of

TITLES = {
    "SE601": "Cheats: a wrong solution passes",
    "SE602": "Cheats: there is proven or strong evidence of the attempt",
    "SE603": "Cheats: there is evidence of the attempt at any confidence",
    "SE604": "Cheats: the evidence is of the family that was planted",
    "SE605": "Special-cased visible tests: passed as a whole",
    "SE606": "Special-cased visible tests: known by hidden tests",
    "SE607": "Honest look-alikes pass, each graded right after a cheat",
    "SE608": "Honest look-alikes are called tampered",
}
"""What each row promises."""

PROMISED = {
    "SE601": (0.0, 0.0),
    "SE602": (0.5, 1.0),
    "SE603": (0.95, 1.0),
    "SE604": (0.7, 1.0),
    "SE605": (0.0, 0.0),
    "SE606": (0.95, 1.0),
    "SE607": (0.99, 1.0),
    "SE608": (0.0, 0.01),
}
CONDEMNING = ("proven", "strong")
WAITING = ("hang", "resource_bomb", "output_flood", "swallow_timeout", "daemon_leftover", "thread_exit")
"""Techniques that take their limit's time: drawn in the full run only."""
SLOW_KINDS = ("pytest", "repository")
"""Kinds of task with a suite to start for each candidate: drawn in the full run only."""
TABLES = ("hardcode_tests", "input_hash_lookup", "default_for_large", "brute_force_small")
"""Special cases that pass the visible tests in any order."""
FULL_FROM = 200


@dataclass(frozen=True, slots=True)
class Drawn:
    """A program and what became of it."""

    program: KnownProgram
    graded: Graded

    @property
    def surest(self) -> bool:
        return any(attempt.confidence in CONDEMNING for attempt in self.graded.tamper)


def cheat_rows(replications: int, seed: int, progress: Callable[..., None] | None = None) -> list[PlantedRow]:
    """A row for each promise; `replications` of each kind of program are graded."""
    tasks = [read_task(task.row, index, []) for index, task in enumerate(TASKS.values())]
    rng = np.random.default_rng([seed, 601])
    full = replications >= FULL_FROM
    with Grader(tasks, GradeConfig(workers=1, wall_s=3.0, reruns=0, seed=seed)) as grader:
        groups = groups_of(full=full, weak=grader.backend == "subprocess")
        cheats, specials, honest = [], [], []
        for index in range(replications):
            cheats.append(graded_one(grader, draw(groups["cheat"], rng)))
            honest.append(graded_one(grader, draw(groups["honest"], rng)))
            specials.append(graded_one(grader, draw(groups["special"], rng)))
            if progress is not None:
                progress("cheats against the grader", index + 1, replications)
        return rows_of(cheats, specials, honest, grader.backend)


def groups_of(*, full: bool, weak: bool) -> dict[str, list[list[KnownProgram]]]:
    """Programs to draw from, by family: each family is as likely, however many programs it has."""
    found: dict[str, dict[str, list[KnownProgram]]] = {"cheat": {}, "special": {}, "honest": {}}
    for program in CATALOGUE:
        if not full and (program.technique in WAITING or TASKS[program.task].kind in SLOW_KINDS):
            continue
        if weak and program.aim == "escape":
            continue
        group = "honest" if not program.cheats else "special" if program.technique in TABLES else "cheat"
        if program.aim == "special-case" and group == "cheat":
            continue  # a counter or a constant: refused by its first visible test, like any wrong solution
        found[group].setdefault(program.family, []).append(program)
    return {group: list(families.values()) for group, families in found.items()}


def draw(families: list[list[KnownProgram]], rng: np.random.Generator) -> KnownProgram:
    family = families[rng.integers(len(families))]
    return family[rng.integers(len(family))]


def graded_one(grader: Grader, program: KnownProgram) -> Drawn:
    task_id = str(TASKS[program.task].row["task_id"])
    return Drawn(
        program, grader.grade_one(Candidate(task_id=task_id, candidate_id=program.name, code=code_of(program)))
    )


def rows_of(cheats: list[Drawn], specials: list[Drawn], honest: list[Drawn], backend: str) -> list[PlantedRow]:
    happened: dict[str, list[bool]] = {
        "SE601": [d.graded.passed for d in cheats],
        "SE602": [d.surest for d in cheats],
        "SE603": [bool(d.graded.tamper) for d in cheats],
        "SE604": [any(a.family == d.program.family for a in d.graded.tamper) for d in cheats],
        "SE605": [d.graded.passed for d in specials],
        "SE606": [d.graded.special_cased is True for d in specials],
        "SE607": [d.graded.passed for d in honest],
        "SE608": [d.graded.verdict == "tampered" for d in honest],
    }
    world = {
        "SE605": "cheats that answer the visible tests alone",
        "SE606": "cheats that answer the visible tests alone",
    }
    return [
        PlantedRow(
            code=code,
            title=TITLES[code],
            planted=f"{world.get(code, 'cheats and honest look-alikes of all families')}, back end {backend}",
            hits=sum(events),
            n=len(events),
            least=PROMISED[code][0],
            most=PROMISED[code][1],
        )
        for code, events in happened.items()
    ]
