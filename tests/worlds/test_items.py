"""Questions whose answer is known: each right answer is worked out again here, and each wrong one is wrong."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from karat.worlds.items import DAYS, FAMILIES, UNITS, TruthItem, draw_items
from karat.worlds.tasks import CAPITALS

ITEMS = draw_items(420, seed=3)


def value_of(answer: str) -> str:
    return answer.removeprefix("The answer is ").removesuffix(".")


def worked_out(item: TruthItem) -> str:
    """The right answer from the prompt alone, by other means than the generator's."""
    numbers = [int(number) for number in re.findall(r"\d+", item.prompt)]
    if item.family == "shopping":
        return str(sum(numbers[1:2] * numbers[0]) + numbers[2])
    if item.family == "units":
        small, large = re.match(r"How many (\w+) are \d+ (\w+)", item.prompt).groups()  # type: ignore[union-attr]
        return str(numbers[0] * next(f for s, g, f in UNITS if (s, g) == (small, large)) + numbers[1])
    if item.family == "weekday":
        days = [DAYS[(DAYS.index(item.prompt.split()[2].rstrip(".")) + k) % 7] for k in range(numbers[0] + 1)]
        return days[-1]
    if item.family == "letters":
        letter, word = re.findall(r'"(\w+)"', item.prompt)
        return str(len(word) - len(word.replace(letter, "")))
    if item.family == "code":
        scope: dict[str, object] = {}
        exec(item.prompt.split("\n\n")[0], scope)  # the generator's own arithmetic, nothing else
        return str(scope["f"](numbers[-1]))  # type: ignore[operator]
    if item.family == "capital":
        return CAPITALS[item.prompt.split(" of ")[1].rstrip("?")]
    return "Yes, it follows" if item.prompt.count("All ") == 2 else "No, it does not follow"


def test_right_answers_are_right_and_wrong_ones_are_not() -> None:
    for item in ITEMS:
        assert value_of(item.right) == worked_out(item), item
        assert item.wrong != item.right


def test_steps_end_where_their_answer_does_and_part_at_one_line() -> None:
    for item in ITEMS:
        assert len(item.right_steps) == len(item.wrong_steps)
        if item.family in ("shopping", "units", "code", "weekday"):
            for answer, steps in ((item.right, item.right_steps), (item.wrong, item.wrong_steps)):
                assert value_of(answer) in steps[-1]
        if item.right_steps:
            assert item.right_steps != item.wrong_steps


def test_each_family_has_its_share_and_no_prompt_comes_twice() -> None:
    assert Counter(item.family for item in ITEMS if item.family != "capital").most_common()[-1][1] == 60
    assert len({item.prompt for item in ITEMS}) == len(ITEMS)
    assert draw_items(70, seed=3) == draw_items(70, seed=3)


@pytest.mark.parametrize("count", [1, 2, 6, 8])
def test_few_items_are_as_many_as_asked(count: int) -> None:
    assert len(draw_items(count, seed=0)) == count
    assert len(FAMILIES) == 7
