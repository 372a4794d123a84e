"""Questions with one right answer, a wrong one beside it, and the steps to each: truth known by construction.

Each family draws numbers or words, works out the answer, and makes a wrong one by a single error. The steps to the
wrong answer differ from the right ones in the line of that error and in what follows from it: there is no other sign.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from karat.worlds.tasks import CAPITALS, WORDS

DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
NAMES = ["Mia", "Omar", "Lena", "Ravi", "Tess", "Hugo"]
GOODS = ["pens", "cups", "bolts", "tiles", "candles", "stamps"]
NONSENSE = ["wugs", "blickets", "toves", "daxes", "fleps", "zorbs", "mipps", "gorps"]
UNITS = (
    ("minutes", "hours", 60),
    ("seconds", "minutes", 60),
    ("metres", "kilometres", 1000),
    ("grams", "kilograms", 1000),
    ("centimetres", "metres", 100),
    ("hours", "days", 24),
)


@dataclass(frozen=True, slots=True)
class TruthItem:
    """A question with a right and a wrong answer.

    Attributes:
        right, wrong: each a plain answer of one sentence.
        right_steps, wrong_steps: what leads to each, a sentence a step; empty where none is known.
    """

    family: str
    prompt: str
    right: str
    wrong: str
    right_steps: tuple[str, ...] = ()
    wrong_steps: tuple[str, ...] = ()


def _answer(value: object) -> str:
    return f"The answer is {value}."


def _shopping(rng: random.Random) -> TruthItem:
    count, price, extra = rng.randint(3, 19), rng.randint(3, 24), rng.randint(2, 40)
    name, goods = rng.choice(NAMES), rng.choice(GOODS)
    product = count * price
    off = rng.choice([10, price] + [-10, -price] * (product > 30))

    def steps(product: int) -> tuple[str, ...]:
        return (
            f"{count} {goods} at {price} coins each cost {count} * {price} = {product} coins.",
            f"The wrapping adds {extra} coins: {product} + {extra} = {product + extra}.",
        )

    return TruthItem(
        "shopping",
        f"{name} buys {count} {goods} at {price} coins each and pays {extra} coins for wrapping. How many coins is "
        "that in all?",
        _answer(product + extra),
        _answer(product + off + extra),
        steps(product),
        steps(product + off),
    )


def _units(rng: random.Random) -> TruthItem:
    small, large, factor = rng.choice(UNITS)
    whole, rest = rng.randint(2, 12), rng.randint(1, min(factor - 1, 59))
    off = rng.choice([-1, 1]) * (factor if whole > 2 else 10)

    def steps(product: int) -> tuple[str, ...]:
        return (
            f"{whole} {large} are {whole} * {factor} = {product} {small}.",
            f"Together with the other {rest}: {product} + {rest} = {product + rest}.",
        )

    product = whole * factor
    return TruthItem(
        "units",
        f"How many {small} are {whole} {large} and {rest} {small}?",
        _answer(product + rest),
        _answer(product + off + rest),
        steps(product),
        steps(product + off),
    )


def _weekday(rng: random.Random) -> TruthItem:
    start, days = rng.randrange(7), rng.randint(15, 99)
    weeks, left = divmod(days, 7)
    wrong_left = (left + rng.choice([1, 2, 5, 6])) % 7

    def steps(rest: int) -> tuple[str, ...]:
        return (
            f"{weeks} whole weeks, {7 * weeks} days, lead back to {DAYS[start]}.",
            f"Of the {days} days {rest} are then left.",
            f"Counting {rest} on from {DAYS[start]} gives {DAYS[(start + rest) % 7]}.",
        )

    return TruthItem(
        "weekday",
        f"Today is {DAYS[start]}. Which day of the week is it in {days} days?",
        _answer(DAYS[(start + left) % 7]),
        _answer(DAYS[(start + wrong_left) % 7]),
        steps(left),
        steps(wrong_left),
    )


def _letters(rng: random.Random) -> TruthItem:
    word = "".join(rng.sample(WORDS, 2))
    letter = rng.choice(sorted(set(word)))
    places = [index + 1 for index, char in enumerate(word) if char == letter]
    others = [index + 1 for index, char in enumerate(word) if char != letter]
    wrong = sorted([*places, rng.choice(others)]) if len(places) == 1 or rng.random() < 0.5 else places[:-1]

    def steps(found: list[int]) -> tuple[str, ...]:
        return (
            f"Letter by letter the string reads {' '.join(word)}.",
            f'The letter "{letter}" stands at place {" and at place ".join(map(str, found))}.',
            f"That makes {len(found)} in all.",
        )

    return TruthItem(
        "letters",
        f'How many times does the letter "{letter}" occur in the string "{word}"?',
        _answer(len(places)),
        _answer(len(wrong)),
        steps(places),
        steps(wrong),
    )


def _syllogism(rng: random.Random) -> TruthItem:
    a, b, c = rng.sample(NONSENSE, 3)
    is_valid = rng.random() < 0.5
    second = f"All {b} are {c}." if is_valid else f"Some {b} are {c}."
    follows = (f"All {a} are {b}, so each of them is among the {b}.", f"The {b} that are {c} include all {a}.")
    open_ = (f"All {a} are {b}, so each of them is among the {b}.", f"The {b} that are {c} need not include any {a}.")
    yes, no = "Yes, it follows.", "No, it does not follow."
    return TruthItem(
        "syllogism",
        f"All {a} are {b}. {second} Does it follow that all {a} are {c}?",
        yes if is_valid else no,
        no if is_valid else yes,
        follows if is_valid else open_,
        open_ if is_valid else follows,
    )


def _code(rng: random.Random) -> TruthItem:
    x, factor, shift, modulus = rng.randint(3, 30), rng.randint(2, 9), rng.randint(1, 20), rng.randint(3, 9)
    value = factor * x + shift
    off = rng.choice([step for step in (-2, -1, 1, 2) if step % modulus])

    def steps(inner: int) -> tuple[str, ...]:
        return (
            f"With x = {x} the sum {factor} * x + {shift} is {inner}.",
            f"The remainder of {inner} by {modulus} is {inner % modulus}.",
        )

    return TruthItem(
        "code",
        f"def f(x):\n    return ({factor} * x + {shift}) % {modulus}\n\nWhat does f({x}) return?",
        _answer(value % modulus),
        _answer((value + off) % modulus),
        steps(value),
        steps(value + off),
    )


def _capital(rng: random.Random) -> TruthItem:
    country = rng.choice(sorted(CAPITALS))
    other = rng.choice(sorted(city for city in CAPITALS.values() if city != CAPITALS[country]))
    prompt = f"What is the capital of {country}?"
    return TruthItem("capital", prompt, _answer(CAPITALS[country]), _answer(other))


FAMILIES: tuple[Callable[[random.Random], TruthItem], ...] = (
    _shopping,
    _units,
    _weekday,
    _letters,
    _syllogism,
    _code,
    _capital,
)


def draw_items(count: int, *, seed: int) -> list[TruthItem]:
    """About `count` items with different prompts, as many of each family; fewer where a family has no more."""
    items: list[TruthItem] = []
    for number, draw in enumerate(FAMILIES):
        rng = random.Random(f"{seed} items {number}")
        wanted = count * (number + 1) // len(FAMILIES) - count * number // len(FAMILIES)
        seen: dict[str, TruthItem] = {}
        for _ in range(20 * wanted):
            if len(seen) == wanted:
                break
            item = draw(rng)
            seen.setdefault(item.prompt, item)
        items += seen.values()
    return items
