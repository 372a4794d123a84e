"""The default world: checkers that cannot be talked round, gold that is recomputed, and planted numbers recovered."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from karat.numerics.intervals import wilson
from karat.types import Message
from karat.worlds import World, load_default_world
from karat.worlds.annotators import (
    ANNOTATORS,
    TEST_SHARE,
    Annotator,
    compare_pool,
    opening,
    standardised_lengths,
)
from karat.worlds.pool import DEFAULT, read_pool, read_rows
from karat.worlds.tasks import BY_NAME, FAMILIES, Task, draw_tasks
from karat.worlds.world import pair_to_row

NUMBER = {"value": 12, "given": [3, 4]}
FIRST = {"answer": "apple", "others": ["river", "apple"]}
PARIS = {"answer": "Paris", "others": ["Paris", "Rome"]}


@pytest.mark.parametrize(
    ("family", "facts", "text", "right"),
    [
        ("arithmetic", NUMBER, "3 times 4 is 12.", True),
        ("arithmetic", NUMBER, "12", True),
        ("arithmetic", NUMBER, "It is 12 or 13.", False),
        ("arithmetic", NUMBER, "112", False),
        ("arithmetic", NUMBER, "12.5", False),
        ("arithmetic", NUMBER, "12%", False),
        ("arithmetic", NUMBER, "-12", False),
        ("arithmetic", NUMBER, "3 times 4 is not 12.", False),
        ("arithmetic", NUMBER, "3 and 4", False),
        ("arithmetic", {"value": 1200, "given": []}, "1,200", True),
        ("capital", PARIS, "It is paris.", True),
        ("capital", PARIS, "Paris or Rome", False),
        ("capital", PARIS, "Parisian food", False),
        ("capital", PARIS, "It is not Paris.", False),
        ("capital", PARIS, "Lyon, not Paris", False),
        ("capital", PARIS, "Paris or Lyon", False),
        ("capital", PARIS, "It is Paris, not Lyon.", True),
        ("capital", {"answer": "Brasilia", "others": []}, "Brasília", True),
        ("first", FIRST, "apple", True),
        ("first", FIRST, 'The answer is indeed: "apple".', True),
        ("first", FIRST, '"apple" is the first word and "river" is the second.', True),
        ("first", FIRST, "Apple comes before river.", True),
        ("first", FIRST, 'The answer is "apple" and not "river".', True),
        ("first", FIRST, 'The word "apple" is a noun.', False),
        ("first", FIRST, '"apple" is the first letter of the alphabet.', False),
        ("first", FIRST, "The answer is not apple.", False),
        ("first", FIRST, "It is not true that apple comes first.", False),
        ("first", FIRST, "apple comes first. river comes first.", False),
        ("first", FIRST, "river is the first word, apple is the second", False),
        ("list", {"count": 2}, "1. a\n2. b", True),
        ("list", {"count": 2}, "1. a\n2. b\n3. c", False),
        ("list", {"count": 2}, "Sure!\n1. a\n2. b", False),
        ("list", {"count": 2}, "2. a\n1. b", False),
        ("list", {"count": 2}, "1. a\n2. A", False),
        ("json", {"name": "Ada", "age": 3}, '```json\n{"name": "Ada", "age": 3}\n```', True),
        ("json", {"name": "Ada", "age": 3}, '{"name": "Ada", "age": "3"}', False),
        ("json", {"name": "Ada", "age": 3}, '{"name": "Ada", "age": 3} {}', False),
        ("json", {"name": "Ada", "age": 3}, '{"name": "Bob", "name": "Ada", "age": 3}', False),
        ("json", {"name": "Ada", "age": 3}, '{"name": "Ada", "age": 3}\n```', False),
        ("json", {"name": "Ada", "age": 1}, '{"name": "Ada", "age": true}', False),
        ("length", {"most": 5}, "A wide blue sea", True),
        ("length", {"most": 5}, "one two three four five six", False),
        ("length", {"most": 5}, "", False),
        ("length", {"most": 5}, "The sea. Big and blue.", False),
        ("length", {"most": 5}, "1. a\n2. b", False),
        ("ending", {"word": "stone"}, "She threw a stone.", True),
        ("ending", {"word": "stone"}, "A stone fell. She ran.", False),
        ("ending", {"word": "stone"}, "stone", False),
        ("code", {"expression": "2 * x"}, "```python\ndef f(x):\n    return x + x\n```", True),
        ("code", {"expression": "2 * x"}, "def f(x): return x * 3", False),
        ("code", {"expression": "x % 2 == 0"}, "def f(x):\n  return not x % 2", True),
        ("code", {"expression": "2 * x"}, 'def f(x: int) -> int:\n    """Twice."""\n    # so\n    return 2 * x', True),
        ("code", {"expression": "2 * x"}, "def f(x):\n    return 2 * x\ndef f(x):\n    return 3", False),
        ("code", {"expression": "2 * x"}, "def f(x, y):\n    return 2 * x", False),
        ("code", {"expression": "2 * x"}, "def f(x):\n    return 2 * x + x // 50", False),
        ("code", {"expression": "2 * x"}, "def f(x):" + "#a " * 4000, False),
        ("code", {"expression": "2 * x"}, "def f(x):\n    return __import__('os').system('true')", False),
        ("code", {"expression": "2 * x"}, "def f(x):\n    return 9 ** 9 ** 9", False),
        ("code", {"expression": "x // 2"}, "def f(x):\n    return x / 2", False),
        ("code", {"expression": "2 * x"}, "2 * x", False),
    ],
)
def test_checkers(family: str, facts: dict[str, Any], text: str, right: bool) -> None:
    assert BY_NAME[family].check(text, facts) is right


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_tasks_are_drawn_reproducibly_and_their_facts_are_plain(family: Any) -> None:
    tasks = draw_tasks({family.name: 6}, seed=1)
    assert [t.prompt for t in tasks] == [t.prompt for t in draw_tasks({family.name: 6}, seed=1)]
    assert len({task.prompt for task in tasks}) == 6
    for task in tasks:
        assert json.loads(json.dumps(task.facts)) == task.facts
        assert task.gold("") == 0.0


@pytest.fixture(scope="module")
def world() -> World:
    return load_default_world()


def test_gold_is_what_the_checkers_say_today(world: World) -> None:
    for prompt in read_pool():
        task = Task(prompt.family, prompt.prompt, dict(prompt.facts))
        assert [task.gold(text) for text in prompt.responses] == list(prompt.gold), prompt.prompt_id


def test_pairs_are_made_of_the_pool_with_its_gold(world: World) -> None:
    assert [row.row for row in world.pool] == list(range(len(world.pool)))
    gold = {(row.prompt_id, row.response): row.scores["gold"] for row in world.pool}
    for pair in world.pairs:
        assert gold[pair.prompt_id, pair.chosen] == pair.extra["gold_chosen"]
        assert gold[pair.prompt_id, pair.rejected] == pair.extra["gold_rejected"]
        assert pair.prompt[0] == Message("user", pair.prompt[0].content)  # type: ignore[union-attr]


def test_shipped_pairs_are_those_of_the_script(world: World) -> None:
    made = compare_pool(read_pool(), rng=random.Random(world.recipe["seed"]))
    assert [pair_to_row(pair) for pair in made] == read_rows("pairs.jsonl.gz")


def test_no_prompt_is_on_both_sides(world: World) -> None:
    train = {pair.prompt_id for pair in world.train_pairs}
    test = {pair.prompt_id for pair in world.test_pairs}
    assert not train & test
    assert len(test) / len(train | test) == pytest.approx(TEST_SHARE, abs=0.01)


def test_right_rates_are_where_a_reward_can_learn(world: World) -> None:
    for family, rate in world.summary()["right_rate_by_family"].items():
        assert 0.05 <= rate <= 0.60, (family, rate)


def test_flips_are_planted_at_their_rate(world: World) -> None:
    for annotator in ANNOTATORS:
        own = [pair for pair in world.pairs if pair.annotator == annotator.name and not pair.is_tie]
        flips = sum(bool(pair.extra["flipped"]) for pair in own)
        low, high = wilson(flips, len(own), level=0.99)
        assert low <= annotator.flip_rate <= high, annotator.name


def test_labels_follow_the_gold_and_lean_to_length(world: World) -> None:
    """The planted taste shows where the gold is silent: among pairs of equal gold the longer one wins more often."""
    summary = world.summary()
    assert 0.70 <= summary["labels_agree_with_gold"] <= 0.88
    equal = [p for p in world.pairs if p.extra["gold_chosen"] == p.extra["gold_rejected"] and not p.is_tie]
    size = [(len(p.chosen[0].content), len(p.rejected[0].content)) for p in equal]  # type: ignore[union-attr]
    longer = sum(chosen > rejected for chosen, rejected in size)
    assert wilson(longer, len(equal))[0] > 0.5


@pytest.mark.parametrize("annotator", ANNOTATORS, ids=lambda annotator: annotator.name)
def test_planted_strengths_are_recovered(world: World, annotator: Annotator) -> None:
    """Logistic regression on the labels (flips undone) gives each planted weight back within four standard errors."""
    pool = {prompt.prompt_id: prompt for prompt in read_pool()}
    rows = []
    for pair in world.pairs:
        if pair.annotator != annotator.name or pair.is_tie:
            continue
        prompt = pool[pair.prompt_id]
        lengths = standardised_lengths(prompt.responses)
        sides = [prompt.responses.index(side[0].content) for side in (pair.chosen, pair.rejected)]  # type: ignore[union-attr]
        of_side = [(prompt.gold[i], lengths[i], opening(prompt.responses[i])) for i in sides]
        difference = np.subtract(*of_side)
        rows.append(-difference if pair.extra["flipped"] else difference)
    x = np.array(rows)
    weights = np.zeros(3)
    for _ in range(30):  # Newton's method; every row is a win, so the likelihood is prod sigma(x w)
        p = 1 / (1 + np.exp(-x @ weights))
        information = (x * (p * (1 - p))[:, None]).T @ x
        weights += np.linalg.solve(information, x.T @ (1 - p))
    planted = [annotator.gold_weight, annotator.length_weight, annotator.opening_weight]
    error = np.sqrt(np.diag(np.linalg.inv(information)))
    assert np.all(np.abs(weights - planted) < 4 * error), (weights, planted, error)
    assert error[1] < 0.2  # tight enough to tell the annotator who likes length from one who does not


def test_every_planted_fault_is_an_annotators_own_number(world: World) -> None:
    rates = {fault.where: fault.strength for fault in world.planted if fault.name == "flips labels"}
    assert rates == {"annotator hasty": 0.2}
    assert len([fault for fault in world.planted if fault.name == "likes length"]) == len(ANNOTATORS)


def test_the_world_is_small_enough_to_ship() -> None:
    assert sum(file.stat().st_size for file in DEFAULT.iterdir()) < 1_500_000
