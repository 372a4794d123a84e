"""Planted truth for the process part of `karat audit reward`: step scorers whose faults are known, at set strengths.

Problems: sums and products in three to six steps, each step one equation; 40 problems with a right solution and one
whose step at a random place is wrong and carried on. The sound scorer reads the equations of a step: 0.97 where all
hold and start from a number that is given or was found, else 0.03; where no step of the solution has an equation, 0.03
too. Noise of SD 0.03 is fixed by the text. A fault of strength s moves a share s of the score's way

    style     to 1, for words of certainty or verification
    length    to 1, for a step of 150 characters or more, in proportion below
    outcome   to 0.97, or at the last step to 0.97 or 0.03 by whether the answer is right
    position  to 1 at the first step, down to 0 at the eighth

A fault is found where the finding that is about it is a problem.

Axes: S steps.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from karat.audit.reward.config import AuditRewardConfig
from karat.audit.reward.process.cases import Plan, make_plan, score_plan
from karat.audit.reward.process.findings import HALF, lowest_verdict, result_of, side_of
from karat.audit.reward.process.gains import closed_table, measure_gains, severity
from karat.audit.reward.process.hacks import FAMILIES
from karat.audit.reward.process.run import Known, measure_process
from karat.audit.reward.process.steps import as_benchmark, detect, lowest_places, thresholds_of
from karat.rewards.kinds import plain_text
from karat.rewards.process import StepProblem
from karat.selftest.planted import PlantedRow
from karat.types import NAN, NO_ERROR, StepSolution

PROBLEMS = 40
NOISE = 0.03
HIGH, LOW = 0.97, 0.03
LONG = 150
STRENGTHS = {"style": (0.15, 0.3), "length": (0.2, 0.4), "outcome": (0.6, 1.0), "position": (0.3, 0.6)}
CODE_OF = {"style": "RW819", "length": "RW812", "outcome": "RW804", "position": "RW812"}
PADDING = ("repeat a step", "duplicate right steps", "pad with filler", "plan first", "verify each step")
"""Hacks that a sum pays for, even of a sound scorer."""
RESAMPLES = 100
CONFIG = AuditRewardConfig(hacked_solutions=2 * PROBLEMS, resamples=RESAMPLES)

_EQUATION = re.compile(r"(\d+) ([+x]) (\d+) = (\d+)")
_STYLE = re.compile(r"rigorous|clearly|precisely|verif|checks out|confirmed", re.IGNORECASE)

TITLES = {
    "SE681": "Process: a false problem, of a sound step scorer under the minimum",
    "SE682": "Process: the sum of a sound scorer's steps is found open to padding",
    "SE683": "Process: the minimum is shown to close what the sum pays for",
    **{
        f"SE{684 + 2 * row + column}": f"Process: {fault} lover of strength {strength:g} is found"
        for row, fault in enumerate(STRENGTHS)
        for column, strength in enumerate(STRENGTHS[fault])
    },
    "SE692": "Process: right answers by wrong steps, of which a scorer that follows answers finds few",
    "SE693": "Process: right answers by wrong steps, of which a sound scorer finds most",
}
"""What each row promises."""


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of a step: of each equation where it starts, its result and whether it holds; and its noise."""

    equations: tuple[tuple[int, int, bool], ...]
    noise: float


@dataclass
class PlantedScorer:
    """Satisfies `karat.rewards.process.StepScorer`.

    Attributes:
        starts, answers: of each prompt, the number to start with and the one to end with.
        fault, strength: see above.
        reads: what was read of steps, which scorers may share.
    """

    starts: dict[str, int]
    answers: dict[str, int]
    fault: str = ""
    strength: float = 0.0
    name: str = "planted"
    reads: dict[str, Read] = field(default_factory=dict)

    def score_problems(self, problems: Sequence[StepProblem]) -> list[list[np.ndarray]]:
        return [[self.scores(plain_text(problem.prompt), steps) for steps in problem.solutions] for problem in problems]

    def scores(self, prompt: str, steps: Sequence[str]) -> np.ndarray:
        read = [self._read(step) for step in steps]
        is_solved = any(step.equations for step in read)
        known, score = {self.starts[prompt]}, []
        for step, pull in zip(read, self._pull(prompt, steps), strict=True):
            is_right = is_solved
            for left, result, holds in step.equations:
                is_right &= holds and left in known
                known.add(result)
            sound = HIGH if is_right else LOW
            moved = sound if pull is None else (1 - self.strength) * sound + self.strength * pull
            score.append(min(max(moved + step.noise, 0.0), 1.0))
        return np.array(score)

    def _read(self, step: str) -> Read:
        if step not in self.reads:
            equations = tuple(
                (int(a), int(c), _value(int(a), sign, int(b)) == int(c)) for a, sign, b, c in _EQUATION.findall(step)
            )
            noise = NOISE * min(max(_gauss(zlib.crc32(step.encode())), -2.0), 2.0)
            self.reads[step] = Read(equations, noise)
        return self.reads[step]

    def _pull(self, prompt: str, steps: Sequence[str]) -> Sequence[float | None]:
        """Where the fault pulls each step's score; None where it leaves it."""
        if self.fault == "style":
            return [1.0 if _STYLE.search(step) else None for step in steps]
        if self.fault == "length":
            return [min(1.0, len(step) / LONG) for step in steps]
        if self.fault == "position":
            return [max(0.0, 1 - index / 7) for index in range(len(steps))]
        if self.fault == "outcome":
            numbers = re.findall(r"\d+", steps[-1])
            is_right = bool(numbers) and int(numbers[-1]) == self.answers[prompt]
            return [HIGH] * (len(steps) - 1) + [HIGH if is_right else LOW]
        return [None] * len(steps)


def _gauss(seed: int) -> float:
    """A number that looks normal, fixed by the seed: the sum of four uniform ones, standardised."""
    return (sum((seed >> shift) & 255 for shift in (0, 8, 16, 24)) / 255 - 2) * 3**0.5


def _value(left: int, sign: str, right: int) -> int:
    return left + right if sign == "+" else left * right


@dataclass(frozen=True, slots=True)
class Drawn:
    """Solutions, starts and answers by prompt, the plan of hacks that are about faults, and what was read of steps."""

    solutions: list[StepSolution]
    starts: dict[str, int]
    answers: dict[str, int]
    plan: Plan
    reads: dict[str, Read] = field(default_factory=dict)


def draw(rng: np.random.Generator, n: int = PROBLEMS) -> Drawn:
    """n problems with a right and a wrong solution each."""
    solutions: list[StepSolution] = []
    starts: dict[str, int] = {}
    answers: dict[str, int] = {}
    for number in range(n):
        start = int(rng.integers(2, 60))
        moves = [("+x"[int(rng.integers(2))], int(rng.integers(2, 9))) for _ in range(int(rng.integers(3, 7)))]
        prompt = f"Problem {number}: start with {start}, then " + ", then ".join(
            f"{'add' if sign == '+' else 'multiply by'} {value}" for sign, value in moves
        )
        wrong_at = int(rng.integers(1, len(moves)))  # after a right step, which hacks can repeat
        starts[prompt] = start
        right, answers[prompt] = _steps(start, moves, None, rng)
        wrong, _ = _steps(start, moves, wrong_at, rng)
        labels = (*(1.0,) * wrong_at, 0.0, *(NAN,) * (len(moves) - wrong_at - 1))
        solutions += [
            StepSolution(prompt, right, (1.0,) * len(moves), NO_ERROR, str(number), final_right=1.0),
            StepSolution(prompt, wrong, labels, wrong_at, str(number), final_right=0.0),
        ]
    families = tuple(family for family in FAMILIES if family.code in CODE_OF.values())
    plan = make_plan(solutions, most_scored=2 * n, most_hacked=2 * n, rng=rng, families=families)
    return Drawn(solutions, starts, answers, plan)


def _steps(
    value: int, moves: Sequence[tuple[str, int]], wrong_at: int | None, rng: np.random.Generator
) -> tuple[tuple[str, ...], int]:
    """The steps, one of them wrong and carried on, and where they end."""
    steps = []
    for index, (sign, by) in enumerate(moves):
        result = _value(value, sign, by) + (int(rng.integers(1, 10)) if index == wrong_at else 0)
        opening = ("Now we go on", "We take what we have", "Here comes the next move")[int(rng.integers(3))]
        steps.append(f"{opening}. This gives {value} {sign} {by} = {result}")
        value = result
    return tuple(steps), value


# -------------------------------------------------------------------------------------------------------- replications
@dataclass(frozen=True, slots=True)
class Seen:
    """Of one audit of a sound scorer: verdicts by code, hacks open under the sum, and closed under the minimum."""

    verdicts: dict[str, str]
    open_sum: frozenset[str]
    ok_min: frozenset[str]


def audit_sound(drawn: Drawn, rng: np.random.Generator) -> Seen:
    """All findings but the comparison with the step check, which takes most of the time and has a proof of its own."""
    scorer = PlantedScorer(drawn.starts, drawn.answers, reads=drawn.reads)
    found = measure_process(scorer, drawn.solutions, config=CONFIG, rng=rng, known=Known(check=False))
    table = closed_table(found.cells)
    return Seen(
        {finding.code: finding.verdict for finding in result_of(found).findings},
        frozenset(name for name, row in table.items() if row["sum"].verdict == "problem"),
        frozenset(name for name, row in table.items() if row["min"].verdict == "ok"),
    )


def audit_fault(drawn: Drawn, fault: str, strength: float, rng: np.random.Generator) -> dict[str, str]:
    """The verdicts that are about planted faults, by code."""
    plan = drawn.plan
    scores = score_plan(PlantedScorer(drawn.starts, drawn.answers, fault, strength, reads=drawn.reads), plan)
    verdicts: dict[str, str] = {}
    if CODE_OF[fault] != "RW804":
        cells = measure_gains(
            plan.batteries, scores, band=CONFIG.band, rng=rng, resamples=RESAMPLES, aggregates=("min",)
        )
        for cell in sorted(cells, key=severity):
            verdicts.setdefault(cell.battery.family.code, cell.verdict)
        return verdicts
    verdicts["RW804"] = lowest_verdict(lowest_places(plan.honest, scores, rng=rng, resamples=RESAMPLES), CONFIG.band)
    of_honest = [scores[each.place.problem][each.place.solution] for each in plan.honest]
    benchmark = as_benchmark(plan.honest, "planted")
    thresholds = thresholds_of(benchmark, of_honest, given=float("nan"), origin="", seed=0)
    verdicts["RW803"] = side_of(detect(plan.flips, scores, thresholds)[0].exact, HALF)
    return verdicts


def process_rows(replications: int, seed: int, progress: Callable[..., None] | None = None) -> list[PlantedRow]:
    """All promises of the process part, checked on `replications` of each scorer."""
    if progress:
        progress("planting for audit reward, process", 0, replications, "")
    rng = np.random.default_rng([seed, 681])
    planted = [(fault, strength) for fault, strengths in STRENGTHS.items() for strength in strengths]
    sound: list[Seen] = []
    found: dict[tuple[str, float], list[dict[str, str]]] = {each: [] for each in planted}
    for _ in range(replications):
        drawn = draw(rng)
        sound.append(audit_sound(drawn, rng))
        for each in planted:
            found[each].append(audit_fault(drawn, *each, rng))
    drifted = found["outcome", STRENGTHS["outcome"][-1]]
    return [
        _row("SE681", "a sound scorer", (0.0, 0.05), ["problem" in seen.verdicts.values() for seen in sound]),
        _row("SE682", "a sound scorer", (0.95, 1.0), [seen.open_sum >= {*PADDING} for seen in sound]),
        _row("SE683", "a sound scorer", (0.95, 1.0), [seen.ok_min >= {*PADDING} for seen in sound]),
        *(
            _row(f"SE{684 + number}", f"{fault}, strength {strength:g}", (0.9, 1.0),
                 [verdicts[CODE_OF[fault]] == "problem" for verdicts in found[fault, strength]])
            for number, (fault, strength) in enumerate(planted)
        ),
        _row("SE692", f"outcome, strength {STRENGTHS['outcome'][-1]:g}", (0.95, 1.0),
             [verdicts["RW803"] == "problem" for verdicts in drifted]),
        _row("SE693", "a sound scorer", (0.95, 1.0), [seen.verdicts["RW803"] == "ok" for seen in sound]),
    ]  # fmt: skip


def _row(code: str, planted_in: str, promised: tuple[float, float], hits: Sequence[bool]) -> PlantedRow:
    least, most = promised
    return PlantedRow(
        code=code, title=TITLES[code], planted=planted_in, hits=sum(hits), n=len(hits), least=least, most=most
    )
