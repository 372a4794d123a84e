"""Task families of the default world: a prompt, facts for its checker, and a gold in {0, 1} that a program decides.

A family draws a task from a seeded generator and checks a response against the task's facts (plain JSON, stored with
the samples, so that gold can be recomputed). Checkers judge the whole answer: one that names two candidates is wrong.
"""

from __future__ import annotations

import ast
import json
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Facts = Mapping[str, Any]

CAPITALS = {
    "France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo", "Egypt": "Cairo", "Kenya": "Nairobi",
    "Canada": "Ottawa", "Norway": "Oslo", "Poland": "Warsaw", "Cuba": "Havana", "Peru": "Lima", "Ghana": "Accra",
    "Austria": "Vienna", "Greece": "Athens", "Portugal": "Lisbon", "Hungary": "Budapest", "Finland": "Helsinki",
    "Australia": "Canberra", "Brazil": "Brasilia", "Turkey": "Ankara", "Iceland": "Reykjavik", "Chile": "Santiago",
    "Mongolia": "Ulaanbaatar", "Nepal": "Kathmandu", "Morocco": "Rabat", "Vietnam": "Hanoi", "Latvia": "Riga",
    "Bulgaria": "Sofia", "Romania": "Bucharest", "Senegal": "Dakar",
}  # fmt: skip
WORDS = [
    "apple", "river", "stone", "cloud", "tiger", "lemon", "music", "garden", "window", "silver", "planet", "button",
    "candle", "forest", "bridge", "winter", "pencil", "rabbit", "island", "mirror",
]  # fmt: skip
TOPICS = ["the sea", "a bicycle", "winter", "bread", "a library", "the moon", "a train", "rain", "chess", "honey"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of task."""

    name: str
    draw: Callable[[random.Random], tuple[str, dict[str, Any]]]
    """A prompt and the facts that its checker needs."""
    check: Callable[[str, Facts], bool]


# ---------------------------------------------------------------------------------------------------------- arithmetic
def _draw_arithmetic(rng: random.Random) -> tuple[str, dict[str, Any]]:
    kind = rng.choice(["sum", "difference", "product"])
    if kind == "product":
        a, b = rng.randint(2, 12), rng.randint(2, 12)
        return f"What is {a} times {b}? Answer with the number.", {"value": a * b, "given": [a, b]}
    a, b = rng.randint(11, 99), rng.randint(2, 60)
    if kind == "sum":
        return f"What is {a} + {b}? Answer with the number.", {"value": a + b, "given": [a, b]}
    a, b = max(a, b), min(a, b)
    return f"What is {a} - {b}? Answer with the number.", {"value": a - b, "given": [a, b]}


def _check_number(text: str, facts: Facts) -> bool:
    """The value is stated and no other number is, besides those that the question gave."""
    found = [int(digits) for digits in re.findall(r"(?<![\d.])-?\d+(?![\d])", text.replace(",", ""))]
    others = set(found) - set(facts["given"]) - {facts["value"]}
    return facts["value"] in found and not others


# --------------------------------------------------------------------------------------------------------------- facts
def _draw_capital(rng: random.Random) -> tuple[str, dict[str, Any]]:
    country = rng.choice(sorted(CAPITALS))
    return f"What is the capital of {country}?", {"answer": CAPITALS[country], "others": sorted(CAPITALS.values())}


def _draw_day(rng: random.Random) -> tuple[str, dict[str, Any]]:
    start, side = rng.randrange(7), rng.choice(["after", "before"])
    answer = DAYS[(start + (1 if side == "after" else -1)) % 7]
    prompt = f"Which day of the week comes right {side} {DAYS[start]}?"
    return prompt, {"answer": answer, "others": [day for day in DAYS if day != DAYS[start]]}


def _check_named(text: str, facts: Facts) -> bool:
    """The answer is named and none of the other candidates is."""

    def names(word: str) -> bool:
        return re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) is not None

    return names(facts["answer"]) and not any(names(word) for word in facts["others"] if word != facts["answer"])


# -------------------------------------------------------------------------------------------------------------- format
def _draw_list(rng: random.Random) -> tuple[str, dict[str, Any]]:
    count = rng.choice([2, 3, 4])
    thing = rng.choice(["fruits", "animals", "colours", "tools", "sports", "rivers"])
    return f"Name exactly {count} {thing}, as a numbered list and nothing else.", {"count": count}


def _check_list(text: str, facts: Facts) -> bool:
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    numbers = [re.match(r"(\d+)[.)]\s+\S", line) for line in lines]
    wanted = list(range(1, int(facts["count"]) + 1))
    return [int(match[1]) if match else 0 for match in numbers] == wanted


def _draw_json(rng: random.Random) -> tuple[str, dict[str, Any]]:
    name, age = rng.choice(["Ada", "Ben", "Cleo", "Dan", "Eve", "Finn"]), rng.randint(20, 70)
    city = rng.choice(["Oslo", "Lima", "Cairo", "Rome", "Kyoto"])
    prompt = f"{name} is {age} years old and lives in {city}. Write only JSON with the keys name, age and city."
    return prompt, {"name": name, "age": age, "city": city}


def _check_json(text: str, facts: Facts) -> bool:
    body = re.sub(r"^```(?:json)?\s*|\s*```$", "", text.strip())
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return bool(isinstance(found, dict) and found == dict(facts))


# -------------------------------------------------------------------------------------------------------------- length
def _draw_length(rng: random.Random) -> tuple[str, dict[str, Any]]:
    most, topic = rng.choice([8, 10, 12, 15]), rng.choice(TOPICS)
    return f"Describe {topic} in one short sentence of at most {most} words.", {"most": most}


def _check_length(text: str, facts: Facts) -> bool:
    return 3 <= len(re.findall(r"[\w'-]+", text)) <= int(facts["most"])


def _draw_ending(rng: random.Random) -> tuple[str, dict[str, Any]]:
    word, topic = rng.choice(WORDS), rng.choice(TOPICS)
    return f'Write one sentence about {topic} whose last word is "{word}".', {"word": word}


def _check_ending(text: str, facts: Facts) -> bool:
    words = re.findall(r"[\w'-]+", text)
    sentences = [part for part in re.split(r"[.!?]+", text) if part.strip(" \"'\n")]
    return len(words) >= 4 and len(sentences) == 1 and words[-1].lower() == facts["word"]


# --------------------------------------------------------------------------------------------------------------- words
def _draw_first(rng: random.Random) -> tuple[str, dict[str, Any]]:
    words = rng.sample(WORDS, 2)
    prompt = f"Which word comes first in the alphabet, {words[0]} or {words[1]}?"
    return prompt, {"answer": min(words), "others": words}


# ---------------------------------------------------------------------------------------------------------------- code
EXPRESSIONS: dict[str, tuple[str, str]] = {
    "double": ("twice x", "2 * x"),
    "plus": ("x plus 10", "x + 10"),
    "square": ("the square of x", "x * x"),
    "even": ("True if x is even, else False", "x % 2 == 0"),
    "larger": ("True if x is larger than 5, else False", "x > 5"),
    "minus": ("3 less than x", "x - 3"),
    "half": ("x divided by 2, rounded down", "x // 2"),
    "last": ("the last digit of x", "x % 10"),
}
INPUTS = (1, 2, 5, 6, 10, 17, 24)


def _draw_code(rng: random.Random) -> tuple[str, dict[str, Any]]:
    key = rng.choice(sorted(EXPRESSIONS))
    words, expression = EXPRESSIONS[key]
    return f"Write a Python function f(x) that returns {words}.", {"expression": expression}


_FUNCTION = re.compile(r"def\s+f\(\s*x\b[^)]*\)[^:\n]*:\s*return\s+([^\n`#]+)")


def _check_code(text: str, facts: Facts) -> bool:
    """The first function of the answer returns the wanted values; its expression is walked, never executed."""
    function = _FUNCTION.search(text)
    if function is None:
        return False
    try:
        mine, wanted = _expression(function[1].strip()), _expression(facts["expression"])
        return all(_same(_value(mine, x), _value(wanted, x)) for x in INPUTS)
    except (SyntaxError, ValueError, ArithmeticError, TypeError, RecursionError, MemoryError):
        return False


def _expression(text: str) -> ast.expr:
    if len(text) > 80:
        raise ValueError("longer than any expression asked for")
    return ast.parse(text, mode="eval").body


def _same(found: Any, wanted: Any) -> bool:
    return type(found) is type(wanted) and found == wanted


_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
    ast.Div: lambda a, b: a / b,
}
_COMPARE: dict[type, Callable[[Any, Any], bool]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
}


def _value(node: ast.expr, x: int) -> Any:
    """Value of a small arithmetic expression. Powers only up to a square, so that the work is bounded."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.Name) and node.id == "x":
        return x
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, x)
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        return _BINARY[type(node.op)](_number(node.left, x), _number(node.right, x))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and _number(node.right, x) == 2:
        return _number(node.left, x) ** 2
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARE:
        return _COMPARE[type(node.ops[0])](_number(node.left, x), _number(node.comparators[0], x))
    if isinstance(node, ast.IfExp):
        return _value(node.body if _value(node.test, x) else node.orelse, x)
    raise ValueError(f"{type(node).__name__} is outside the expressions that are checked")


def _number(node: ast.expr, x: int) -> int | float:
    value = _value(node, x)
    if not isinstance(value, int | float) or abs(value) > 10**9:
        raise ValueError("outside the numbers that are checked")
    return value


FAMILIES: tuple[Family, ...] = (
    Family("arithmetic", _draw_arithmetic, _check_number),
    Family("capital", _draw_capital, _check_named),
    Family("day", _draw_day, _check_named),
    Family("list", _draw_list, _check_list),
    Family("json", _draw_json, _check_json),
    Family("length", _draw_length, _check_length),
    Family("ending", _draw_ending, _check_ending),
    Family("first", _draw_first, _check_named),
    Family("code", _draw_code, _check_code),
)
BY_NAME = {family.name: family for family in FAMILIES}


@dataclass(frozen=True, slots=True)
class Task:
    """A drawn task."""

    family: str
    prompt: str
    facts: dict[str, Any]

    def gold(self, response: str) -> float:
        """1 for a right response, else 0."""
        return float(BY_NAME[self.family].check(response, self.facts))


def draw_tasks(per_family: Mapping[str, int], *, seed: int) -> list[Task]:
    """Distinct tasks of each family, in a fixed order; fewer where a family has no more different prompts."""
    tasks: list[Task] = []
    for name, count in per_family.items():
        rng = random.Random(f"{seed} {name}")
        seen: dict[str, Task] = {}
        for _ in range(50 * count):
            if len(seen) == count:
                break
            prompt, facts = BY_NAME[name].draw(rng)
            seen.setdefault(prompt, Task(name, prompt, facts))
        tasks += seen.values()
    return tasks
