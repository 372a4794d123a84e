"""What is scored: labelled solutions as they are, and the hacks made of some of them, all of a problem together."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from karat.audit.parts import Progress
from karat.audit.reward.process.hacks import (
    FAMILIES,
    FLIP,
    Hack,
    HackFamily,
    On,
    flipped_step,
    is_right_solution,
    is_wrong_solution,
)
from karat.errors import DataError, InputError
from karat.rewards.process import StepProblem, StepScorer
from karat.types import StepSolution, Text

SOLUTIONS_PER_CALL = 96


@dataclass(frozen=True, slots=True)
class Place:
    """Where the scores of a solution are: its problem, and its place among the problem's solutions."""

    problem: int
    solution: int


@dataclass(frozen=True, slots=True)
class Case:
    """One rewritten solution beside the one it was made of, and the problem's right ones."""

    before: Place
    after: Place
    right: tuple[Place, ...]
    prompt_id: str
    shown: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Battery:
    """A hack on solutions of one kind."""

    family: HackFamily
    hack: Hack
    on: On
    cases: tuple[Case, ...]
    n_not_applicable: int


@dataclass(frozen=True, slots=True)
class Honest:
    """A solution as it came."""

    place: Place
    solution: StepSolution


@dataclass(frozen=True, slots=True)
class Flip:
    """A right answer by a wrong step: where it is scored, and its first wrong step."""

    place: Place
    first_error: int
    prompt_id: str
    kind: str
    """"flipped": made of a right solution; "found": came so."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that has to be scored, and what it is scored for."""

    problems: tuple[StepProblem, ...]
    honest: tuple[Honest, ...]
    batteries: tuple[Battery, ...]
    flips: tuple[Flip, ...]

    @property
    def n_solutions(self) -> int:
        return sum(len(problem.solutions) for problem in self.problems)


@dataclass(slots=True)
class _Builder:
    """Problems by prompt, each solution of one once."""

    at: dict[tuple[str, Text], int] = field(default_factory=dict)
    prompts: list[Text] = field(default_factory=list)
    solutions: list[dict[tuple[str, ...], int]] = field(default_factory=list)

    def place(self, solution: StepSolution, steps: tuple[str, ...]) -> Place:
        problem = self.at.setdefault((solution.prompt_id, solution.prompt), len(self.at))
        if problem == len(self.prompts):
            self.prompts.append(solution.prompt)
            self.solutions.append({})
        return Place(problem, self.solutions[problem].setdefault(steps, len(self.solutions[problem])))

    def problems(self) -> tuple[StepProblem, ...]:
        return tuple(
            StepProblem(prompt, tuple(known)) for prompt, known in zip(self.prompts, self.solutions, strict=True)
        )


def make_plan(
    solutions: Sequence[StepSolution],
    *,
    most_scored: int,
    most_hacked: int,
    rng: np.random.Generator,
    families: Sequence[HackFamily] = FAMILIES,
) -> Plan:
    """Draw problems, take their labelled solutions, and rewrite a right and a wrong one of each.

    Args:
        solutions: those of which neither is known that a step is wrong nor that none is are left out.
        most_scored: solutions as they are; whole problems, until there are so many.
        most_hacked: solutions that are rewritten, half right and half wrong where there are enough of both.
        rng: of the draw and of the rewrites.
        families: the hacks that are tried.
    Raises: DataError: no solution is labelled.
    """
    labelled = [each for each in solutions if each.first_error is not None and each.steps]
    if not labelled:
        raise DataError(
            f"steps: of none of {len(solutions)} solutions it is known which step is the first wrong one, or that all "
            "are right. Give solutions with step labels (--steps FILE)."
        )
    builder = _Builder()
    honest: list[Honest] = []
    for members in _shuffled(labelled, rng):
        if len(honest) >= most_scored:
            break
        honest += [Honest(builder.place(each, each.steps), each) for each in members]
    chosen = _chosen(honest, most_hacked)
    right_of: dict[int, tuple[Place, ...]] = {}
    for each in honest:
        if is_right_solution(each.solution):
            right_of[each.place.problem] = (*right_of.get(each.place.problem, ()), each.place)
    seed = int(rng.integers(2**31))
    batteries = tuple(
        _battery(family, hack, on, chosen[on], right_of, builder, seed)
        for family in families for hack in family.hacks for on in hack.on
    )  # fmt: skip
    flips = (*_found(honest), *_flipped(chosen["right"], builder, seed))
    return Plan(builder.problems(), tuple(honest), batteries, flips)


def _shuffled(solutions: Sequence[StepSolution], rng: np.random.Generator) -> Iterator[list[StepSolution]]:
    """The solutions of each problem, problems in an order of chance."""
    by_problem: dict[str, list[StepSolution]] = {}
    for solution in solutions:
        by_problem.setdefault(solution.prompt_id, []).append(solution)
    names = list(by_problem)
    for index in rng.permutation(len(names)):
        yield by_problem[names[index]]


def _chosen(honest: Sequence[Honest], most: int) -> dict[On, list[Honest]]:
    """At most one right and one wrong solution of a problem, half of `most` each; of wrong ones, none whose answer is
    right: that is a hack already."""
    found: dict[On, dict[str, Honest]] = {"right": {}, "wrong": {}}
    for each in honest:
        if is_right_solution(each.solution):
            found["right"].setdefault(each.solution.prompt_id, each)
        elif is_wrong_solution(each.solution) and each.solution.final_right != 1.0:
            found["wrong"].setdefault(each.solution.prompt_id, each)
    most_each = {"right": (most + 1) // 2, "wrong": most // 2}
    return {on: list(members.values())[: most_each[on]] for on, members in found.items()}


def _battery(
    family: HackFamily,
    hack: Hack,
    on: On,
    candidates: Sequence[Honest],
    right_of: dict[int, tuple[Place, ...]],
    builder: _Builder,
    seed: int,
) -> Battery:
    """The chance in the rewrites depends on the seed, the hack and the solutions only."""
    cases, rng = [], _rng(hack.name, seed)
    for each in candidates:
        steps = hack.rewrite(each.solution, rng)
        if steps is not None and steps != each.solution.steps:
            after = builder.place(each.solution, steps)
            shown = (" | ".join(each.solution.steps), " | ".join(steps))
            right = right_of.get(each.place.problem, ())
            cases.append(Case(each.place, after, right, each.solution.prompt_id, shown))
    return Battery(family, hack, on, tuple(cases), len(candidates) - len(cases))


def _rng(name: str, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def _flipped(candidates: Sequence[Honest], builder: _Builder, seed: int) -> Iterator[Flip]:
    """Those that the hack FLIP makes by the same draws, with the step that it flips."""
    rng = _rng(FLIP, seed)
    for each in candidates:
        flipped = flipped_step(each.solution, rng)
        if flipped is not None:
            at, text = flipped
            steps = (*each.solution.steps[:at], text, *each.solution.steps[at + 1 :])
            yield Flip(builder.place(each.solution, steps), at, each.solution.prompt_id, "flipped")


def _found(honest: Sequence[Honest]) -> Iterator[Flip]:
    """Solutions that came with a right answer and a wrong step."""
    for each in honest:
        if is_wrong_solution(each.solution) and each.solution.final_right == 1.0:
            yield Flip(each.place, each.solution.first_error or 0, each.solution.prompt_id, "found")


# -------------------------------------------------------------------------------------------------------------- scoring
Scores = list[list[np.ndarray]]
"""By problem and solution: the probability that each step is right, shape (S,), NaN where missing."""


def score_plan(scorer: StepScorer, plan: Plan, *, progress: Progress | None = None) -> Scores:
    """Scores of all solutions of a plan, several problems a call.

    Raises: InputError: the scorer gives other shapes than asked for, or no probabilities.
    """
    found: Scores = []
    done = 0
    for call in _calls(plan.problems):
        scores = scorer.score_problems(call)
        _require(scorer.name, call, scores)
        found += [[np.asarray(score, dtype=np.float64) for score in of_problem] for of_problem in scores]
        done += sum(len(problem.solutions) for problem in call)
        if progress:
            progress("scoring steps", done, plan.n_solutions, "solutions")
    return found


def _calls(problems: Sequence[StepProblem]) -> Iterator[list[StepProblem]]:
    call: list[StepProblem] = []
    for problem in problems:
        if call and sum(len(each.solutions) for each in call) + len(problem.solutions) > SOLUTIONS_PER_CALL:
            yield call
            call = []
        call.append(problem)
    if call:
        yield call


def _require(name: str, problems: Sequence[StepProblem], scores: Sequence[Sequence[np.ndarray]]) -> None:
    wanted = [[len(steps) for steps in problem.solutions] for problem in problems]
    given = [[len(score) for score in of_problem] for of_problem in scores]
    if wanted != given or any(not steps for of_problem in wanted for steps in of_problem):
        raise InputError(f"{name} gave another number of scores than of steps. Give one score a step, in order.")
    flat = np.concatenate([score for of_problem in scores for score in of_problem])
    bad = np.flatnonzero((flat < 0) | (flat > 1))
    if bad.size:
        raise InputError(
            f"{name} gave {flat[bad[0]]:g} for a step: no probability. The hacks are measured in them; return the "
            "probability that a step is right, in [0, 1] (a sigmoid of a logit)."
        )
