"""Problems of each kind, worked out again from the prompt alone; the closed vocabulary."""

from __future__ import annotations

import re

import numpy as np
import pytest

from karat.errors import InputError
from karat.types import StepSolution
from karat.worlds.steps import KINDS, Problem, draw_problems, problem_of, vocabulary
from karat.worlds.steps.kind import DIFFICULTIES
from karat.worlds.steps.orders import PAIRS
from karat.worlds.steps.problems import in_vocabulary
from karat.worlds.steps.turns import DAYS

GAIN = re.compile(r"(gets|finds|is given|buys) (\d+)|(gives away|loses|sells|breaks) (\d+)")


def worked_out(problem: Problem) -> str:
    """The answer from the prompt's text, by other means than the generator's."""
    text = problem.prompt
    numbers = [int(n) for n in re.findall(r"\d+", text)]
    if problem.kind == "account":
        changes = [int(gain) if gain else -int(loss) for _, gain, _, loss in GAIN.findall(text)]
        return str(numbers[0] + sum(changes))
    if problem.kind == "shopping":
        total = sum(int(count) * int(price) for count, price in re.findall(r"(\d+) \w+ at (\d+)", text))
        paid = re.search(r"pays with (\d+)", text)
        return str(int(paid[1]) - total if paid else total)
    if problem.kind == "equation":
        left, right = re.search(r"Solve (.+) = (.+) for x", text).groups()  # type: ignore[union-attr]
        sides = [re.sub(r"(?<=\d)(?=[x(])", "*", side) for side in (left, right)]
        return next(str(x) for x in range(200) if len({eval(side, {"x": x}) for side in sides}) == 1)  # our own text
    if problem.kind == "clock":
        hour, minute = map(int, re.search(r"(\d+):(\d+)", text).groups())  # type: ignore[union-attr]
        end = (60 * hour + minute + sum(map(int, re.findall(r"(\d+) minutes", text)))) % 1440
        return f"{end // 60}:{end % 60:02d}"
    if problem.kind == "calendar":
        first = DAYS.index(re.search(r"Today is (\w+)", text)[1])  # type: ignore[index]
        return DAYS[(first + sum(numbers)) % 7]
    if problem.kind == "swaps":
        held = dict(re.findall(r"(\w+) has the (\w+) ball", text))
        for a, b in re.findall(r"(\w+) and (\w+) swap", text):
            held[a], held[b] = held[b], held[a]
        return held[re.search(r"does (\w+) have", text)[1]]  # type: ignore[index]
    if problem.kind == "brackets":
        rest = re.search(r"sequence: (.+) \?", text)[1].replace(" ", "")  # type: ignore[index]
        while (shorter := re.sub(r"\(\)|\[\]|\{\}|<>", "", rest)) != rest:
            rest = shorter
        return " ".join(PAIRS[char] for char in reversed(rest))
    return ", ".join(map(str, sorted(numbers)))


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_answers_are_right(difficulty: str) -> None:
    problems = draw_problems(np.random.default_rng(3), 10 * len(KINDS), difficulty=difficulty)
    assert len({problem.prompt for problem in problems}) == 10 * len(KINDS)
    assert [problem.kind for problem in problems[: len(KINDS)]] == list(KINDS)
    for problem in problems:
        assert worked_out(problem) == problem.answer, problem.prompt


def test_number_of_operations_follows_the_difficulty() -> None:
    rng = np.random.default_rng(0)
    n_easy, n_hard = (
        np.mean([len(p.rules.plan(p.facts)) for p in draw_problems(rng, 80, difficulty=name)])
        for name in ("easy", "hard")
    )
    assert n_easy < 3.5 < 5 < n_hard


def test_words_are_a_closed_small_vocabulary() -> None:
    words = vocabulary()
    assert len(words) == len(set(words)) <= 120
    for problem in draw_problems(np.random.default_rng(1), 80, words=True):
        assert problem.difficulty == "words"
        assert in_vocabulary(problem.prompt), problem.prompt
        assert in_vocabulary(problem.rules.answer_words(problem.answer))


def test_same_seed_same_problems() -> None:
    first, second = (draw_problems(np.random.default_rng(7), 20) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": ("sums",)}, "no kind of problem 'sums'; there are: account, shopping"),
        ({"difficulty": "extreme"}, "difficulty: there is no 'extreme'; there are: simple, easy"),
        ({"n": 5000, "kinds": ("calendar",), "difficulty": "simple"}, "distinct problems of calendar"),
    ],
)
def test_what_cannot_be_drawn_is_told(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw_problems(np.random.default_rng(0), **{"n": 3, **options})


def test_a_solution_of_elsewhere_names_no_problem() -> None:
    with pytest.raises(InputError, match="solution 'mine' names no problem of the step world"):
        problem_of(StepSolution("p", ("a",), solution_id="mine"))
