"""Planted truth for labels of steps without people: Monte-Carlo labels, the search, and the judge that has to agree.

Values.  Wrong solutions of medium problems of the step world and a simulated completer: of every prefix the chance of
the right answer is known in closed form (`worlds.steps.completer`). Of 80 problems, each replication takes 10.

Sure values.  The same with a completer that never recovers from a wrong step, so that the first wrong step of the
values is that of the truth.

Probes.  A right prefix has a value v uniform in [0, 1], known from 8 completions of the prefix before; a wrong one
recovers in 10 %, which the test is told.

Judge.  It calls right what is wrong in 20 %, and the other way round in 3 %, independently of the completions. Right
answers by a wrong process: completions call all of their steps right; the judge has a blind spot for half of them.

Axes: R replications, N values or solutions of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from karat.numerics.step_values import ProbeRule, value_intervals
from karat.selftest.planted import PlantedRow, independent
from karat.train.labelling.answers import AnswerCheck
from karat.train.labelling.problems import Problem as Asked
from karat.train.labelling.rollouts import Rollouts
from karat.train.labelling.search import Task, label_by_search, label_every_step
from karat.train.labelling.types import Ask, Completion, Found
from karat.types import NO_ERROR, StepSolution
from karat.worlds.steps import draw_problems, wrong_process_solution, wrong_solution
from karat.worlds.steps.annotators import StepFaults, annotate
from karat.worlds.steps.completer import SimulatedCompleter

PROBLEMS, TAKEN, JUDGED, VALUES = 80, 10, 32, 20
RULE = ProbeRule()
UNFINISHED = 0.2
ERROR, RECOVERY, PROBES = 0.05, 0.1, 10
JUDGE = StepFaults(false_positive=0.2, false_negative=0.03)
BLIND = StepFaults(blind_spot=0.5)

TITLES = {
    "SE661": "95 % interval of a step's value holds the exact value",
    "SE662": "95 % interval of a step's value holds it with completions missing",
    "SE663": "Binary search takes at most 60 % of the completions",
    "SE664": "Binary search finds the first wrong step",
    "SE665": "Sequential probe: a wrong step called right at most at the stated rate",
    "SE666": "Sequential probe: a right step called wrong at most at the stated rate",
    "SE667": "A judge that has to agree raises the share of right labels",
    "SE668": "A judge that has to agree drops right answers by wrong steps that it sees",
    "SE669": "What completions and judge both miss stays in (a limit)",
}
"""What each row promises."""


@dataclass
class _ExactCompleter:
    """Completions that say whether they reached the answer, drawn from the exact value of each prefix."""

    value_of: dict[tuple[str, tuple[str, ...]], float]
    unfinished: float = 0.0
    name: str = "exact values"
    counts_tokens: bool = False
    made: int = field(default=0)

    def complete(self, asks: Sequence[Ask]) -> list[list[Completion]]:
        return [self._complete(ask) for ask in asks]

    def _complete(self, ask: Ask) -> list[Completion]:
        rng = np.random.default_rng(ask.seed)
        reached = rng.random(ask.n) < self.value_of[str(ask.prompt), ask.steps]
        is_cut = rng.random(ask.n) < self.unfinished
        return [
            Completion("yes" if hit else "no", is_finished=not cut) for hit, cut in zip(reached, is_cut, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class World:
    """Wrong solutions, one a problem, and the exact value of each of their prefixes."""

    solutions: tuple[StepSolution, ...]
    value_of: dict[tuple[str, tuple[str, ...]], float]

    def values(self, solution: StepSolution) -> list[float]:
        prompt = str(solution.prompt)
        return [self.value_of[prompt, solution.steps[:length]] for length in range(1, len(solution.steps) + 1)]

    def label(self, chosen: Sequence[StepSolution], *, seed: int, search: bool, unfinished: float = 0.0) -> list[Found]:
        """What labelling finds of some of the solutions."""
        completer = _ExactCompleter(self.value_of, unfinished)
        check = AnswerCheck(lambda _, response, __: response.endswith("yes"))
        at_once = RULE.at_once if search else RULE.rollouts
        rollouts = Rollouts(completer, check, seed=seed, separator="\n", at_once=at_once)
        tasks = [Task(Asked(one.prompt_id, one.prompt, one.answer), one.steps, one.final_right) for one in chosen]
        rng = np.random.default_rng(seed)
        return rollouts.run(
            [
                label_by_search(task, RULE, rng=rng, check_share=0.0)
                if search
                else label_every_step(task, RULE, soft=True)
                for task in tasks
            ]
        )


def build_world(rng: np.random.Generator, *, recovery: float | None = None) -> World:
    """A wrong solution of each of PROBLEMS medium problems, with the values of a simulated completer."""
    problems = draw_problems(rng, PROBLEMS, difficulty="medium")
    options = {} if recovery is None else {"recovery": recovery}
    completer = SimulatedCompleter.of(problems, **options)
    solutions = tuple(wrong_solution(problem, rng) for problem in problems)
    value_of: dict[tuple[str, tuple[str, ...]], float] = {}
    for problem, solution in zip(problems, solutions, strict=True):
        for length in range(len(solution.steps) + 1):
            value_of[problem.prompt, solution.steps[:length]] = completer.value(problem, solution.steps[:length])
    return World(solutions, value_of)


def replicate_coverage(world: World, seed: int, rng: np.random.Generator, *, unfinished: float = 0.0) -> np.ndarray:
    """Whether the intervals hold the exact values, of the first VALUES prefixes whose value is neither 0 nor 1."""
    chosen = [world.solutions[index] for index in rng.choice(PROBLEMS, TAKEN, replace=False)]
    holds: list[bool] = []
    for solution, found in zip(
        chosen, world.label(chosen, seed=seed, search=False, unfinished=unfinished), strict=True
    ):
        for value, hits, counted in zip(world.values(solution), found.hits_S, found.counted_S, strict=True):
            if hits is not None and counted and 0 < value < 1:
                low, high = value_intervals([hits], [counted])[0]
                holds.append(bool(low <= value <= high))
    return np.array(holds[:VALUES])


def replicate_search(world: World, seed: int, rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """Share of the completions that every step would take, and whether each first wrong step was found."""
    chosen = [world.solutions[index] for index in rng.choice(PROBLEMS, TAKEN, replace=False)]
    found = world.label(chosen, seed=seed, search=True)
    share = sum(item.rollouts for item in found) / sum(item.full_rollouts for item in found)
    is_found = [item.first_error == solution.first_error for item, solution in zip(found, chosen, strict=True)]
    return share, np.array(is_found)


def replicate_probe(rng: np.random.Generator, *, is_right: bool) -> np.ndarray:
    """Whether each of PROBES probes decided for the wrong side, shape (N,)."""
    rule = ProbeRule(error=ERROR, recovery=RECOVERY, at_once=1, most=64)
    erred = []
    for _ in range(PROBES):
        value = rng.random()
        before = (int(rng.binomial(8, value)), 8)
        chance = value if is_right else RECOVERY
        hits, done, decision = 0, 0, ""
        while not decision and done < rule.limit:
            hits, done = hits + int(rng.random() < chance), done + 1
            decision = rule.decide(hits, done, before)
        erred.append(decision == ("wrong" if is_right else "right"))
    return np.array(erred)


def replicate_judge(world: World, seed: int, rng: np.random.Generator) -> bool:
    """Whether more of the first wrong steps on which the judge agrees are right than of all that were named."""
    chosen = [world.solutions[index] for index in rng.choice(PROBLEMS, JUDGED, replace=False)]
    found = world.label(chosen, seed=seed, search=False)
    judged = annotate(chosen, JUDGE, rng)
    right = np.array(
        [item.first_error == one.first_error for item, one in zip(found, chosen, strict=True)], dtype=float
    )
    agreed = [item.first_error == one.first_error for item, one in zip(found, judged, strict=True)]
    return bool(right[agreed].mean() > right.mean())


def replicate_blind(solutions: Sequence[StepSolution], rng: np.random.Generator) -> tuple[list[bool], list[bool]]:
    """Of right answers by a wrong step that the judge sees, whether each is dropped; of those it misses, is kept."""
    judged = annotate(solutions, BLIND, rng)
    found = World(tuple(solutions), {}).label(solutions, seed=0, search=True)
    dropped, kept = [], []
    for item, one, true in zip(found, judged, solutions, strict=True):
        is_agreed = item.first_error == one.first_error
        if one.first_error == true.first_error:
            dropped.append(not is_agreed)
        else:
            kept.append(is_agreed and item.first_error == NO_ERROR)
    return dropped, kept


def step_label_rows(replications: int, seed: int, progress: Callable[..., None] | None = None) -> list[PlantedRow]:
    """All promises of labelling, checked on `replications` of each world."""
    rng = np.random.default_rng([seed, 660])
    world, sure = build_world(rng), build_world(rng, recovery=0.0)
    seeds = [seed * 1000 + number for number in range(replications)]

    def say(done: int, what: str) -> None:
        if progress:
            progress("planting labels of steps", done, 3, what)

    say(0, "completions of every step")
    whole = np.array([replicate_coverage(world, each, rng) for each in seeds])
    cut = np.array([replicate_coverage(world, each, rng, unfinished=UNFINISHED) for each in seeds])
    say(1, "searches")
    shares, found = zip(*(replicate_search(sure, each, rng) for each in seeds), strict=True)
    say(2, "probes and judges")
    as_right, as_wrong = (
        np.array([replicate_probe(rng, is_right=is_right) for _ in seeds]) for is_right in (False, True)
    )
    problems = draw_problems(rng, 3 * replications, difficulty="easy")
    dropped, kept = replicate_blind([wrong_process_solution(each, rng, how="corrected") for each in problems], rng)
    planted = f"{RULE.rollouts} completions of each step; {TAKEN} wrong solutions"
    probe = f"value uniform, 8 completions before it, {RECOVERY:.0%} recover; stated {ERROR:.0%}"
    luck = "right answers behind a wrong step that was taken back"
    return [
        _row("SE661", planted, independent(whole), (0.92, 0.98)),
        _row("SE662", f"{planted}; {UNFINISHED:.0%} do not finish", independent(cut), (0.92, 0.98)),
        _row("SE663", f"{planted}; all of each replication", _plain([share <= 0.6 for share in shares]), (0.95, 1.0)),
        _row("SE664", f"{planted}; no recovery", independent(np.array(found)), (0.9, 1.0)),
        _row("SE665", probe, independent(as_right), (0.0, ERROR)),
        _row("SE666", probe, independent(as_wrong), (0.0, ERROR)),
        _row(
            "SE667", f"{JUDGED} wrong solutions; the judge misses 20 % of the wrong steps",
            _plain([replicate_judge(world, each, rng) for each in seeds]), (0.95, 1.0),
        ),
        _row("SE668", luck, _plain(dropped), (0.95, 1.0)),
        _row("SE669", f"{luck}, in the judge's blind spot", _plain(kept), (0.95, 1.0)),
    ]  # fmt: skip


def _plain(happened: Sequence[bool]) -> dict[str, int]:
    return {"hits": sum(happened), "n": len(happened)}


def _row(code: str, planted: str, counts: dict[str, int], promised: tuple[float, float]) -> PlantedRow:
    return PlantedRow(code=code, title=TITLES[code], planted=planted, **counts, least=promised[0], most=promised[1])
