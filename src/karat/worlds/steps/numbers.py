"""Problems of reckoning: a running account, a shopping bill, a linear equation."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import numpy as np

from karat.worlds.steps.kind import (
    LARGEST_WORD,
    PLACES,
    Claim,
    Facts,
    Kind,
    Op,
    Size,
    off_by_a_digit,
    pick,
    plain_numbers,
    reversed_digits,
    whole,
    whole_sums,
)

NAMES = ("Mia", "Tom", "Ida", "Leo", "Eva", "Max", "Zoe", "Sam")
THINGS = ("coins", "stamps", "marbles", "cards", "shells", "beads")
GOODS = ("pens", "books", "cups", "lamps", "bags", "hats", "maps", "toys")
GAINS = ("gets {n} more", "finds {n} more", "is given {n}", "buys {n}")
LOSSES = ("gives away {n}", "loses {n}", "sells {n}", "breaks {n}")
IN_ORDER = 'Work in this order, one line for each step, and end with "The answer is ...".'

_NUMBER = re.compile(r"-?\d+")


def _first_number(text: str) -> str | None:
    found = _NUMBER.search(plain_numbers(text))
    return str(int(found[0])) if found else None


class Account(Kind):
    """What is there after some gains and losses. State: whole number; operations ("+", n), ("-", n)."""

    name = "account"
    _claim = re.compile(r"(?<!\d)(-?\d+)\s*([+-])\s*(\d+)\s*=\s*(-?\d+)")

    def draw(self, rng: np.random.Generator, size: Size, words: bool) -> dict[str, Any]:
        start = value = whole(rng, size.largest // 2, size.largest)
        most = LARGEST_WORD - 10 if words else 10**6
        events: list[list[Any]] = []
        n_events = whole(rng, size.least_steps, size.most_steps)
        while len(events) < n_events:
            sign, n = pick(rng, "+-"), whole(rng, 2, size.largest)
            after = value + n if sign == "+" else value - n
            if 0 < after <= most and n not in [event[1] for event in events]:
                events.append([sign, n, whole(rng, 0, len(GAINS) - 1)])
                value = after
        return {"who": pick(rng, NAMES), "thing": pick(rng, THINGS), "start": start, "events": events}

    def prompt(self, facts: Facts) -> str:
        who, thing = facts["who"], facts["thing"]
        told = ". ".join(
            f"{'Then ' if index else 'First '}{who} {(GAINS if sign == '+' else LOSSES)[how].format(n=n)}"
            for index, (sign, n, how) in enumerate(facts["events"])
        )
        return f"{who} has {facts['start']} {thing}. {told}. How many {thing} does {who} have at the end? {IN_ORDER}"

    def prompt_words(self, facts: Facts) -> str:
        told = " , ".join(f"{PLACES[index]} {sign} {n}" for index, (sign, n, _) in enumerate(facts["events"]))
        return f"account {facts['start']} , {told}"

    def plan(self, facts: Facts) -> list[Op]:
        return [(sign, n) for sign, n, _ in facts["events"]]

    def start(self, facts: Facts) -> int:
        return int(facts["start"])

    def result(self, state: Any, op: Op) -> Any:
        return state + op[1] if op[0] == "+" else state - op[1]

    def before(self, state: Any, op: Op) -> Any:
        return state

    def holds(self, claim: Claim) -> bool | None:
        return bool(claim.op and self.result(claim.before, claim.op) == claim.after)

    def answer(self, facts: Facts, state: Any) -> str:
        return str(state)

    def say(self, facts: Facts, claim: Claim, rng: np.random.Generator | None) -> str:
        assert claim.op is not None
        sign, n = claim.op
        sum_ = f"{claim.before} {sign} {n} = {claim.after}"
        change = f"adding {n}" if sign == "+" else f"taking {n} away"
        wordings = (
            f"{sum_}.",
            f"{change} gives {sum_}.",
            f"{facts['who']} now has {sum_} {facts['thing']}.",
            f"there are {sum_} {facts['thing']} after that.",
        )
        return str(pick(rng, wordings))

    def words(self, facts: Facts, claim: Claim) -> str:
        assert claim.op is not None
        return f"{claim.before} {claim.op[0]} {claim.op[1]} = {claim.after}"

    def read(self, facts: Facts, text: str) -> list[Claim]:
        found = [match.groups() for match in whole_sums(self._claim, plain_numbers(text)) or ()]
        return [Claim((sign, int(n)), int(before), int(after)) for before, sign, n, after in found]

    def read_answer(self, text: str) -> str | None:
        return _first_number(text)

    def other_operation(self, facts: Facts, op: Op, rng: np.random.Generator) -> Op | None:
        return ("-" if op[0] == "+" else "+", op[1])

    def misread(self, facts: Facts, op: Op, rng: np.random.Generator) -> Op | None:
        return (op[0], off_by_a_digit(op[1], rng))

    def slip(self, facts: Facts, value: Any, rng: np.random.Generator) -> Any:
        return off_by_a_digit(value, rng)

    def swapped(self, facts: Facts, state: Any, op: Op, rng: np.random.Generator) -> Claim | None:
        turned = reversed_digits(state)
        return None if turned is None else Claim(op, turned, self.result(turned, op))


class Shopping(Kind):
    """What a bill comes to. State: the values stated so far.

    Operations: ("x", count, price), ("total",), ("change", paid). The total states what it adds as its `before`, in
    rising order; the change states the total.
    """

    name = "shopping"
    _sum = re.compile(r"(?<!\d)(\d+(?:\s*[+x-]\s*\d+)*)\s*=\s*(-?\d+)")

    def draw(self, rng: np.random.Generator, size: Size, words: bool) -> dict[str, Any]:
        n_items = max(2, whole(rng, size.least_steps, size.most_steps) - 1)
        n_items = min(n_items, 3 if words else 6)
        most_price = 6 if words else max(9, size.largest // 4)
        most_count = 3 if words else max(6, size.largest // 20)
        goods = [GOODS[index] for index in rng.permutation(len(GOODS))[:n_items]]
        while True:
            items = [(thing, whole(rng, 2, most_count), whole(rng, 2, most_price)) for thing in goods]
            total = sum(count * price for _, count, price in items)
            if len({(count, price) for _, count, price in items}) == n_items and (not words or total <= 36):
                break
        pays = 0
        if not words and rng.random() < 0.5:
            pays = -(-(total + 1) // 10) * 10
        return {"who": pick(rng, NAMES), "items": [list(item) for item in items], "pays": pays}

    def prompt(self, facts: Facts) -> str:
        who = facts["who"]
        told = "; ".join(f"{count} {thing} at {price} dollars each" for thing, count, price in facts["items"])
        asked = (
            f"{who} pays with {facts['pays']} dollars. How much is the change?"
            if facts["pays"]
            else "What is the total cost?"
        )
        work = "Work out the cost of each thing in this order, then add all costs in one line"
        work += ", then take the total from what was paid. " if facts["pays"] else ". "
        return f'{who} buys {told}. {asked} {work}Use one line for each step, and end with "The answer is ...".'

    def prompt_words(self, facts: Facts) -> str:
        told = " , ".join(
            f"{PLACES[index]} {count} x {price}" for index, (_, count, price) in enumerate(facts["items"])
        )
        return f"shopping , {told}"

    def plan(self, facts: Facts) -> list[Op]:
        products: list[Op] = [("x", count, price) for _, count, price in facts["items"]]
        return [*products, ("total",), *([("change", facts["pays"])] if facts["pays"] else [])]

    def start(self, facts: Facts) -> tuple[int, ...]:
        return ()

    def result(self, state: Any, op: Op) -> Any:
        if op[0] == "x":
            return op[1] * op[2]
        if op[0] == "total":
            return sum(state) if state else None
        return op[1] - state[-1] if state else None

    def advance(self, state: Any, op: Op | None, value: Any) -> Any:
        return (*state, value)

    def before(self, state: Any, op: Op) -> Any:
        if op[0] == "total":
            return tuple(sorted(state))
        return state[-1] if op[0] == "change" and state else None

    def holds(self, claim: Claim) -> bool | None:
        assert claim.op is not None
        if claim.op[0] == "x":
            return bool(claim.op[1] * claim.op[2] == claim.after)
        if claim.op[0] == "total":
            return bool(sum(claim.before) == claim.after)
        return bool(claim.op[1] - claim.before == claim.after)

    def answer(self, facts: Facts, state: Any) -> str:
        return str(state[-1]) if state else ""

    def say(self, facts: Facts, claim: Claim, rng: np.random.Generator | None) -> str:
        assert claim.op is not None
        sum_ = self.words(facts, claim)
        named = {(count, price): thing for thing, count, price in facts["items"]}
        if claim.op[0] == "x":
            thing = named.get(claim.op[1:], "things")
            wordings = (f"{sum_}.", f"the {thing} cost {sum_} dollars.", f"for the {thing} that makes {sum_}.")
        elif claim.op[0] == "total":
            wordings = (f"{sum_}.", f"all together cost {sum_} dollars.", f"the sum of the costs is {sum_}.")
        else:
            wordings = (f"{sum_}.", f"the change is {sum_} dollars.", f"what is left is {sum_}.")
        return str(pick(rng, wordings))

    def words(self, facts: Facts, claim: Claim) -> str:
        assert claim.op is not None
        if claim.op[0] == "x":
            return f"{claim.op[1]} x {claim.op[2]} = {claim.after}"
        if claim.op[0] == "total":
            return f"{' + '.join(map(str, claim.before))} = {claim.after}"
        return f"{claim.op[1]} - {claim.before} = {claim.after}"

    def read(self, facts: Facts, text: str) -> list[Claim]:
        found = []
        for match in whole_sums(self._sum, plain_numbers(text)) or ():
            signs, numbers = set(re.findall(r"[+x-]", match[1])), [int(n) for n in re.findall(r"\d+", match[1])]
            claim = self._claim_of(facts, signs, numbers, int(match[2]))
            if claim is None:
                return []
            found.append(claim)
        return found

    def _claim_of(self, facts: Facts, signs: set[str], numbers: list[int], value: int) -> Claim | None:
        if signs <= {"+"}:
            return Claim(("total",), tuple(sorted(numbers)), value)
        if len(numbers) != 2 or len(signs) != 1:
            return None
        a, b = numbers
        if "-" in signs:
            return Claim(("change", a), b, value)
        return Claim(("x", b, a) if _is_turned(facts, a, b) else ("x", a, b), None, value)

    def read_answer(self, text: str) -> str | None:
        return _first_number(text)

    def other_operation(self, facts: Facts, op: Op, rng: np.random.Generator) -> Op | None:
        return None  # a product said as a sum would read as the total: no claim could tell them apart

    def misread(self, facts: Facts, op: Op, rng: np.random.Generator) -> Op | None:
        if op[0] == "x":
            price = max(1, op[2] + pick(rng, [-2, -1, 1, 2]))
            return None if _is_turned(facts, op[1], price) else ("x", op[1], price)
        return ("change", off_by_a_digit(op[1], rng)) if op[0] == "change" else None

    def slip(self, facts: Facts, value: Any, rng: np.random.Generator) -> Any:
        return off_by_a_digit(value, rng)

    def swapped(self, facts: Facts, state: Any, op: Op, rng: np.random.Generator) -> Claim | None:
        """The price of another thing, or a total that forgets one of the costs."""
        if op[0] == "x":
            price = pick(rng, [price for _, _, price in facts["items"]])
            return None if _is_turned(facts, op[1], price) else Claim(("x", op[1], price), None, op[1] * price)
        if op[0] == "total" and len(state) > 2:
            left = list(state)
            left.pop(whole(rng, 0, len(left) - 1))
            return Claim(op, tuple(sorted(left)), sum(left))
        return None


class Equation(Kind):
    """a (x + b) + c = d x + e, solved for x. State: (p, q, r, s) for p x + q = r x + s, or x alone as (1, 0, 0, value).

    Operations: ("expand", a, b, c, d, e), ("subtract x", d), ("subtract", q), ("add", q), ("divide", p).
    """

    name = "equation"
    _equation = re.compile(
        r"(-?\d*)\s*x(?:\s*([+-])\s*(\d+))?\s*=\s*"
        r"(?:(-?\d*)\s*x(?:\s*([+-])\s*(\d+))?|(-?\d+(?:/\d+)?))(?!\s*[x/(.]?\s*\d|\s*[-+x(])"
    )
    _says = re.compile(r"\b(subtract|add|divid|expand)\w*(?:\s+both sides)?(?:\s+by)?\s*(\d+)?\s*(x\b)?", re.IGNORECASE)

    def draw(self, rng: np.random.Generator, size: Size, words: bool) -> dict[str, Any]:
        limit = 5 if words else max(5, size.largest // 8)
        n_steps = whole(rng, size.least_steps, size.most_steps)
        while True:
            x, a = whole(rng, 2, 5 if words else limit + 4), whole(rng, 2, 4 if words else limit)
            b, c = (whole(rng, 1, limit) if n_steps > 2 else 0), whole(rng, 1, limit)
            d = whole(rng, 1, a - 1) if n_steps > 3 else 0
            e = a * (x + b) + c - d * x
            if a - d > 1 and e > 0 and (not words or (e <= LARGEST_WORD - 4 and a * b + c <= LARGEST_WORD - 4)):
                return {"a": a, "b": b, "c": c, "d": d, "e": e}

    def _written(self, facts: Facts, blanks: bool) -> str:
        gap = " " if blanks else ""
        left = f"{facts['a']}{gap}({gap}x + {facts['b']}{gap})" if facts["b"] else f"{facts['a']}{gap}x"
        many = "" if facts["d"] == 1 else f"{facts['d']}{gap}"
        right = f"{many}x + {facts['e']}" if facts["d"] else str(facts["e"])
        return f"{left} + {facts['c']} = {right}"

    def prompt(self, facts: Facts) -> str:
        steps = ["expand the bracket"] if facts["b"] else []
        steps += ["bring the terms in x to the left"] if facts["d"] else []
        steps += ["bring the number to the right", "divide"]
        return (
            f"Solve {self._written(facts, False)} for x. In this order, one line each: {', '.join(steps)}. "
            'End with "The answer is ...".'
        )

    def prompt_words(self, facts: Facts) -> str:
        return f"equation {self._written(facts, True)}"

    def plan(self, facts: Facts) -> list[Op]:
        a, b, c, d = (facts[key] for key in "abcd")
        plan: list[Op] = [("expand",)] if b else []
        plan += [("subtract x", d)] if d else []
        return [*plan, ("subtract", a * b + c), ("divide", a - d)]

    def start(self, facts: Facts) -> Any:
        """Brackets are kept as (a, b, c, d, e) until they are expanded."""
        if facts["b"]:
            return tuple(facts[key] for key in "abcde")
        return (facts["a"], facts["c"], facts["d"], facts["e"])

    def result(self, state: Any, op: Op) -> Any:
        if len(state) == 5:
            a, b, c, d, e = state
            return (a, a * b + c, d, e) if op[0] == "expand" else None
        p, q, r, s = state
        if op[0] == "subtract x":
            return (p - op[1], q, r - op[1], s) if p != op[1] else None
        if op[0] in ("subtract", "add"):
            shift = op[1] if op[0] == "subtract" else -op[1]
            return (p, q - shift, r, s - shift)
        if op == ("divide", p) and q == 0 and r == 0:
            return (1, 0, 0, Fraction(s) / p)
        return None

    def answer(self, facts: Facts, state: Any) -> str:
        return str(state[3]) if len(state) == 4 and state[:3] == (1, 0, 0) else ""

    def _equation_text(self, state: Any, blanks: bool) -> str:
        p, q, r, s = state
        gap = " " if blanks else ""

        def side(k: Any, m: Any) -> str:
            if not k:
                return str(m)
            head = ("" if k == 1 else f"{k}{gap}") + "x"
            return head if m == 0 else f"{head} {'+' if m > 0 else '-'} {abs(m)}"

        return f"{side(p, q)} = {side(r, s)}"

    def say(self, facts: Facts, claim: Claim, rng: np.random.Generator | None) -> str:
        assert claim.op is not None
        name, n = claim.op[0], claim.op[1] if len(claim.op) > 1 else ""
        equation = self._equation_text(claim.after, False)
        wordings = {
            "expand": ("expand the bracket: {e}.", "expanding gives {e}."),
            "subtract x": ("subtract {n}x from both sides: {e}.", "subtracting {n}x leaves {e}."),
            "subtract": ("subtract {n} from both sides: {e}.", "subtracting {n} gives {e}."),
            "add": ("add {n} to both sides: {e}.", "adding {n} gives {e}."),
            "divide": ("divide both sides by {n}: {e}.", "dividing by {n} gives {e}."),
        }
        return str(pick(rng, wordings[name])).format(n=n, e=equation)

    def words(self, facts: Facts, claim: Claim) -> str:
        assert claim.op is not None
        name, n = claim.op[0], str(claim.op[1]) if len(claim.op) > 1 else ""
        said = f"subtract {n} x" if name == "subtract x" else f"{name} {n}".strip()
        return f"{said} : {self._equation_text(claim.after, True)}"

    def read(self, facts: Facts, text: str) -> list[Claim]:
        text = text.translate(str.maketrans("−–", "--"))
        found = list(self._equation.finditer(text))
        if len(found) != 1:
            return []
        p, sign, q, r, sign2, s, value = found[0].groups()
        right = (0, _fraction(value)) if value else (_coefficient(r), _signed(sign2, s))
        said = self._says.search(text[: found[0].start()])
        op: Op | None = None
        if said:
            name = "divide" if said[1].lower() == "divid" else said[1].lower()
            if name == "expand":
                op = ("expand",)
            elif said[2]:
                op = (f"{name} x" if said[3] and name == "subtract" else name, int(said[2]))
        return [Claim(op, None, (_coefficient(p), _signed(sign, q), *right))]

    def read_answer(self, text: str) -> str | None:
        found = re.search(r"-?\d+(?:/\d+)?", text.translate(str.maketrans("−–", "--")))
        return str(_fraction(found[0])) if found else None

    def other_operation(self, facts: Facts, op: Op, rng: np.random.Generator) -> Op | None:
        return ("add", op[1]) if op[0] == "subtract" else None

    def misread(self, facts: Facts, op: Op, rng: np.random.Generator) -> Op | None:
        return None if op[0] in ("expand", "divide") else (op[0], off_by_a_digit(op[1], rng))

    def slip(self, facts: Facts, value: Any, rng: np.random.Generator) -> Any:
        changed = list(value)
        at = pick(rng, [index for index in (1, 3) if changed[index] != 0])
        changed[at] = off_by_a_digit(int(changed[at]), rng)
        return tuple(changed)

    def swapped(self, facts: Facts, state: Any, op: Op, rng: np.random.Generator) -> Claim | None:
        """Only one side is changed."""
        right = self.result(state, op)
        if right is None or op[0] != "subtract":
            return None
        return Claim(op, None, (*right[:3], state[3]))


def _is_turned(facts: Facts, a: int, b: int) -> bool:
    """A product that reads as count and price of a thing, the other way round."""
    given = {(count, price) for _, count, price in facts["items"]}
    return (b, a) in given and (a, b) not in given


def _coefficient(text: str) -> int:
    return int(text + "1") if text in ("", "-") else int(text)


def _signed(sign: str | None, text: str | None) -> int:
    return 0 if not text else int(text) * (-1 if sign == "-" else 1)


def _fraction(text: str) -> Fraction:
    top, _, bottom = text.partition("/")
    return Fraction(int(top), int(bottom or 1) or 1)
