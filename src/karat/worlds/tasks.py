"""Task families of the default world: a prompt, facts for its checker, and a gold in {0, 1} that a program decides.

A family draws a task from a seeded generator and checks a response against the task's facts (plain JSON, stored with
the samples, so that gold can be recomputed). Checkers judge what an answer claims, over its whole length: the right
word inside a sentence that does not give it as the answer is wrong, and so is an answer that claims two things.
"""

from __future__ import annotations

import ast
import json
import random
import re
import unicodedata
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
    if a == 2 * b:
        a += 1  # an answer that only repeats the question must not hold the value
    return f"What is {a} - {b}? Answer with the number.", {"value": a - b, "given": [a, b]}


def _check_number(text: str, facts: Facts) -> bool:
    """The value is stated, not denied, and no other number is, besides those that the question gave."""
    found = re.findall(r"(?<![\d.])-?\d+(?:\.\d+)?%?", text.replace(",", ""))
    value = str(facts["value"])
    others = set(found) - {str(number) for number in facts["given"]} - {value}
    return value in found and not others and not _denies(text, value)


def _denies(text: str, answer: str) -> bool:
    """The answer is named only to be rejected, or as one of two."""
    word = rf"[\"'*]*{re.escape(answer)}\b"
    return re.search(rf"\bnot\s+(?:the\s+|in\s+)?{word}|\bor\s+{word}|{word}[\"'*]*\s+or\b", text, re.I) is not None


# --------------------------------------------------------------------------------------------------------------- facts
def _draw_capital(rng: random.Random) -> tuple[str, dict[str, Any]]:
    country = rng.choice(sorted(CAPITALS))
    return f"What is the capital of {country}?", {"answer": CAPITALS[country], "others": sorted(CAPITALS.values())}


def _check_named(text: str, facts: Facts) -> bool:
    """The answer is named, accents aside, none of the other candidates is, and it is not denied."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()

    def names(word: str) -> bool:
        return re.search(rf"\b{re.escape(word)}\b", plain, re.IGNORECASE) is not None

    answer = str(facts["answer"])
    return names(answer) and not any(names(o) for o in facts["others"] if o != answer) and not _denies(plain, answer)


# -------------------------------------------------------------------------------------------------------------- format
def _draw_list(rng: random.Random) -> tuple[str, dict[str, Any]]:
    count = rng.choice([2, 3, 4])
    thing = rng.choice(["fruits", "animals", "colours", "tools", "sports", "rivers"])
    return f"Name exactly {count} {thing}, as a numbered list and nothing else.", {"count": count}


def _check_list(text: str, facts: Facts) -> bool:
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    items = [re.match(r"(\d+)[.)]\s+(\S.*)", line) for line in lines]
    wanted = list(range(1, int(facts["count"]) + 1))
    distinct = {match[2].casefold() for match in items if match}
    return [int(match[1]) if match else 0 for match in items] == wanted and len(distinct) == len(wanted)


def _draw_json(rng: random.Random) -> tuple[str, dict[str, Any]]:
    name, age = rng.choice(["Ada", "Ben", "Cleo", "Dan", "Eve", "Finn"]), rng.randint(20, 70)
    city = rng.choice(["Oslo", "Lima", "Cairo", "Rome", "Kyoto"])
    prompt = f"{name} is {age} years old and lives in {city}. Write only JSON with the keys name, age and city."
    return prompt, {"name": name, "age": age, "city": city}


def _check_json(text: str, facts: Facts) -> bool:
    """JSON and nothing else, in a code fence or bare; a key given twice is wrong, whichever value is kept."""
    fenced = re.fullmatch(r"```(?:json)?\s*(.*?)\s*```", text.strip(), re.DOTALL)
    try:
        found = json.loads(fenced[1] if fenced else text, object_pairs_hook=_distinct_keys)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.keys() == facts.keys() and all(_same(found[k], facts[k]) for k in facts)


def _distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key is given twice")
    return dict(pairs)


# -------------------------------------------------------------------------------------------------------------- length
def _draw_length(rng: random.Random) -> tuple[str, dict[str, Any]]:
    most, topic = rng.choice([8, 10, 12, 15]), rng.choice(TOPICS)
    return f"Describe {topic} in one short sentence of at most {most} words.", {"most": most}


def _check_length(text: str, facts: Facts) -> bool:
    return 3 <= len(re.findall(r"[\w'-]+", text)) <= int(facts["most"]) and _sentences(text) == 1


def _sentences(text: str) -> int:
    """Sentences or lines that hold more than quotes and spaces."""
    return len([part for part in re.split(r"[.!?]+(?!\w)|\n", text) if part.strip(" \"'\n")])


def _draw_ending(rng: random.Random) -> tuple[str, dict[str, Any]]:
    word, topic = rng.choice(WORDS), rng.choice(TOPICS)
    return f'Write one sentence about {topic} whose last word is "{word}".', {"word": word}


def _check_ending(text: str, facts: Facts) -> bool:
    words = re.findall(r"[\w'-]+", text)
    return len(words) >= 4 and _sentences(text) == 1 and words[-1].lower() == facts["word"]


# --------------------------------------------------------------------------------------------------------------- words
def _draw_first(rng: random.Random) -> tuple[str, dict[str, Any]]:
    words = rng.sample(WORDS, 2)
    prompt = f"Which word comes first in the alphabet, {words[0]} or {words[1]}?"
    return prompt, {"answer": min(words), "others": words}


def _check_first(text: str, facts: Facts) -> bool:
    """Something is claimed to come first, and every such claim is of the answer; naming the word is no claim."""
    claims = _first_claims(text, [str(word) for word in facts["others"]])
    return bool(claims) and set(claims) == {str(facts["answer"]).lower()}


def _first_claims(text: str, words: list[str]) -> list[str]:
    """Which of the two words each claim puts first; a claim after a "not" in its sentence does not count."""
    either = "|".join(re.escape(word) for word in words)
    word = rf"(?:the word )?[\"'*]*({either})\b[\"'*]*"
    really = r"(?:indeed |actually |clearly )?"
    patterns = [
        rf"^\W*({either})\W*$",
        rf"\banswer(?: to [\w ]+?)? is\W+(?:(?:indeed|actually|clearly)\W+)?{word}",
        rf"\b{word} (?:is|comes|appears|would come) {really}(?:the )?first\b(?! letter)",
        rf"\bfirst word (?:in|of) the alphabet(?: is {really}|: ){word}",
        rf"\b{word} comes (?:right )?before\b",
    ]
    claims = []
    for sentence in re.split(r"(?<=[.!?])\s+|\n", text.strip()):
        for pattern in patterns:
            for match in re.finditer(pattern, sentence, re.IGNORECASE):
                if not re.search(r"\bnot\b|n't\b|\bnever\b", sentence[: match.start()], re.IGNORECASE):
                    claims.append(match[1].lower())
    return claims


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
INPUTS = (0, 1, 2, 5, 6, 10, 17, 24, 99, 1000)


def _draw_code(rng: random.Random) -> tuple[str, dict[str, Any]]:
    key = rng.choice(sorted(EXPRESSIONS))
    words, expression = EXPRESSIONS[key]
    return f"Write a Python function f(x) that returns {words}.", {"expression": expression}


_COMMENTS = r"(?:#[^\n]*\n\s*)*"
_DOCSTRING = r"(?:\"{3}.*?\"{3}\s*|'{3}.*?'{3}\s*)?"
_FUNCTION = re.compile(
    r"def\s+f\(\s*x\s*(?::\s*\w+\s*)?\)[^:\n]*:\s*" + _COMMENTS + _DOCSTRING + _COMMENTS + r"return\s+([^\n`#]+)",
    re.DOTALL,
)


def _check_code(text: str, facts: Facts) -> bool:
    """The function returns the wanted values; its expression is walked, never executed. Defined twice is wrong."""
    function = _FUNCTION.search(text)
    if function is None or len(re.findall(r"\bdef\s+f\(", text)) > 1:
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
        return -_number(node.operand, x)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return not _value(node.operand, x)
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
    Family("list", _draw_list, _check_list),
    Family("json", _draw_json, _check_json),
    Family("length", _draw_length, _check_length),
    Family("ending", _draw_ending, _check_ending),
    Family("first", _draw_first, _check_first),
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
