"""Problems of keeping track: swapped objects, open brackets, a list that is sorted by insertion."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from karat.worlds.steps.kind import PLACES, Claim, Facts, Kind, Op, Size, off_by_a_digit, pick, whole

PEOPLE = ("Ann", "Bob", "Cleo", "Dan", "Eli")
COLOURS = ("red", "blue", "green", "white", "black")
PAIRS = {"(": ")", "[": "]", "{": "}", "<": ">"}
_PERSON, _COLOUR = "|".join(PEOPLE), "|".join(COLOURS)
IN_ORDER = 'Work in this order, one line for each step, and end with "The answer is ...".'


class Swaps(Kind):
    """Who holds which ball after some swaps. State: the colours, person by person; operations ("swap", i, j), i < j."""

    name = "swaps"
    claims_by = rf"\b(?:{_COLOUR})\b"
    _swap = re.compile(rf"\b({_PERSON})\b(?:\s+and|\s+swaps?\s+with|\s*,)?\s+({_PERSON})\b", re.IGNORECASE)
    _holds = re.compile(rf"\b({_PERSON})\b(?:\s+(?:has|holds|gets|now|the|a)){{0,4}}:?\s+({_COLOUR})\b", re.IGNORECASE)

    def draw(self, rng: np.random.Generator, size: Size, words: bool) -> dict[str, Any]:
        n_people = 3 if size.most_steps <= 5 else 4
        holds = [COLOURS[index] for index in rng.permutation(n_people)]
        swaps: list[list[int]] = []
        n_swaps = whole(rng, size.least_steps, size.most_steps)
        while len(swaps) < n_swaps:
            pair = sorted(int(index) for index in rng.permutation(n_people)[:2])
            if not swaps or pair != swaps[-1]:
                swaps.append(pair)
        return {"holds": holds, "swaps": swaps, "asked": whole(rng, 0, n_people - 1)}

    def prompt(self, facts: Facts) -> str:
        held = ", ".join(f"{PEOPLE[index]} has the {colour} ball" for index, colour in enumerate(facts["holds"]))
        told = ", then ".join(f"{PEOPLE[i]} and {PEOPLE[j]} swap" for i, j in facts["swaps"])
        return f"{held}. First {told}. Which ball does {PEOPLE[facts['asked']]} have at the end? {IN_ORDER}"

    def prompt_words(self, facts: Facts) -> str:
        told = " , ".join(
            f"{PLACES[index]} {PEOPLE[i].lower()} {PEOPLE[j].lower()}" for index, (i, j) in enumerate(facts["swaps"])
        )
        return f"swaps {_held(facts['holds'])} , {told} , ask {PEOPLE[facts['asked']].lower()}"

    def plan(self, facts: Facts) -> list[Op]:
        return [("swap", i, j) for i, j in facts["swaps"]]

    def start(self, facts: Facts) -> tuple[str, ...]:
        return tuple(facts["holds"])

    def result(self, state: Any, op: Op) -> Any:
        held, (_, i, j) = list(state), op
        if j >= len(held):
            return None
        held[i], held[j] = held[j], held[i]
        return tuple(held)

    def answer(self, facts: Facts, state: Any) -> str:
        return str(state[facts["asked"]])

    def say(self, facts: Facts, claim: Claim, rng: np.random.Generator | None) -> str:
        assert claim.op is not None
        first, second = PEOPLE[claim.op[1]], PEOPLE[claim.op[2]]
        held = ", ".join(f"{PEOPLE[index]} has {colour}" for index, colour in enumerate(claim.after))
        wordings = (
            f"{first} and {second} swap: {held}.",
            f"after {first} and {second} swap, {held}.",
            f"{first} and {second} trade balls, so that {held}.",
        )
        return str(pick(rng, wordings))

    def words(self, facts: Facts, claim: Claim) -> str:
        assert claim.op is not None
        return f"{PEOPLE[claim.op[1]]} {PEOPLE[claim.op[2]]} : {_held(claim.after)}".lower()

    def read(self, facts: Facts, text: str) -> list[Claim]:
        held: dict[int, str] = {}
        for person, colour in self._holds.findall(text):
            if held.setdefault(_person(person), colour.lower()) != colour.lower():
                return []
        if sorted(held) != list(range(len(facts["holds"]))):
            return []
        swap = self._swap.search(text)
        i, j = sorted(map(_person, swap.groups())) if swap else (0, 0)
        return [Claim(("swap", i, j) if i != j else None, None, tuple(held[index] for index in sorted(held)))]

    def read_answer(self, text: str) -> str | None:
        found = re.search(rf"\b(?:{_COLOUR})\b", text, re.IGNORECASE)
        return found[0].lower() if found else None

    def other_operation(self, facts: Facts, op: Op, rng: np.random.Generator) -> Op | None:
        return None

    def misread(self, facts: Facts, op: Op, rng: np.random.Generator) -> Op | None:
        i, j = sorted(int(index) for index in rng.permutation(len(facts["holds"]))[:2])
        return ("swap", i, j)

    def slip(self, facts: Facts, value: Any, rng: np.random.Generator) -> Any:
        i, j = sorted(int(index) for index in rng.permutation(len(value))[:2])
        return self.result(value, ("swap", i, j))

    def swapped(self, facts: Facts, state: Any, op: Op, rng: np.random.Generator) -> Claim | None:
        """The swap is said and not done."""
        return Claim(op, None, state)


class Brackets(Kind):
    """Which brackets close a sequence. State: the open ones as text; operations ("read", bracket)."""

    name = "brackets"
    claims_by = r"[()\[\]{}<>]"

    def draw(self, rng: np.random.Generator, size: Size, words: bool) -> dict[str, Any]:
        n_steps = whole(rng, size.least_steps, size.most_steps) + 1
        while True:
            opened, sequence = "", ""
            for _ in range(n_steps):
                if opened and rng.random() < 0.4:
                    sequence += PAIRS[opened[-1]]
                    opened = opened[:-1]
                else:
                    sequence += pick(rng, list(PAIRS))
                    opened += sequence[-1]
            if opened and (n_steps < 3 or any(char in PAIRS.values() for char in sequence)):
                return {"sequence": sequence}

    def prompt(self, facts: Facts) -> str:
        return (
            f"Which brackets are needed to close this sequence: {' '.join(facts['sequence'])} ? Read it one bracket "
            'after another, one line for each with the brackets that are then open, and end with "The answer is ...".'
        )

    def prompt_words(self, facts: Facts) -> str:
        return f"brackets , {' , '.join(f'{PLACES[index]} {char}' for index, char in enumerate(facts['sequence']))}"

    def plan(self, facts: Facts) -> list[Op]:
        return [("read", char) for char in facts["sequence"]]

    def start(self, facts: Facts) -> str:
        return ""

    def result(self, state: Any, op: Op) -> Any:
        if op[1] in PAIRS:
            return state + op[1]
        return state[:-1] if state else None

    def answer(self, facts: Facts, state: Any) -> str:
        return " ".join(PAIRS.get(char, char) for char in reversed(state)) or "none"

    def say(self, facts: Facts, claim: Claim, rng: np.random.Generator | None) -> str:
        assert claim.op is not None
        char, opened = claim.op[1], " ".join(claim.after) or "none"
        wordings = (f"read {char} : open are {opened}.", f"{char} : now open: {opened}", f"after {char} : {opened}")
        return str(pick(rng, wordings))

    def words(self, facts: Facts, claim: Claim) -> str:
        assert claim.op is not None
        return f"{claim.op[1]} : {' '.join(claim.after) or 'none'}"

    def read(self, facts: Facts, text: str) -> list[Claim]:
        said, colon, rest = text.partition(":")
        chars = re.findall(self.claims_by, said)
        opened = re.findall(self.claims_by, rest)
        if not colon or len(chars) != 1 or not (opened or re.search(r"\bnone\b|\bempty\b", rest, re.IGNORECASE)):
            return []
        return [Claim(("read", chars[0]), None, "".join(opened))]

    def read_answer(self, text: str) -> str | None:
        found = re.findall(self.claims_by, text)
        return " ".join(found) if found else ("none" if re.search(r"\bnone\b", text, re.IGNORECASE) else None)

    def other_operation(self, facts: Facts, op: Op, rng: np.random.Generator) -> Op | None:
        return None

    def misread(self, facts: Facts, op: Op, rng: np.random.Generator) -> Op | None:
        return ("read", pick(rng, [char for char in (*PAIRS, *PAIRS.values()) if char != op[1]]))

    def slip(self, facts: Facts, value: Any, rng: np.random.Generator) -> Any:
        """One bracket too many, too few, or of another kind."""
        at = whole(rng, 0, max(0, len(value) - 1))
        other = pick(rng, list(PAIRS))
        return pick(rng, [value + other, value[:at] + value[at + 1 :], value[:at] + other + value[at + 1 :]])

    def swapped(self, facts: Facts, state: Any, op: Op, rng: np.random.Generator) -> Claim | None:
        right = self.result(state, op)
        if not right or len(right) < 2:
            return None
        return Claim(op, None, right[:-2] + right[-1] + right[-2])


class Sorting(Kind):
    """A list sorted by insertion. State: the sorted part; operations ("insert", n)."""

    name = "sorting"
    claims_by = r"\d"

    def draw(self, rng: np.random.Generator, size: Size, words: bool) -> dict[str, Any]:
        n_items = whole(rng, size.least_steps, size.most_steps)
        most = max(size.largest, n_items + 4)
        return {"items": [1 + int(n) for n in rng.permutation(most)[:n_items]]}

    def prompt(self, facts: Facts) -> str:
        return (
            f"Sort these numbers from small to large: {', '.join(map(str, facts['items']))}. Insert them one after "
            'another into a list, one line for each with the list so far, and end with "The answer is ...".'
        )

    def prompt_words(self, facts: Facts) -> str:
        return f"sorting , {' , '.join(f'{PLACES[index]} {n}' for index, n in enumerate(facts['items']))}"

    def plan(self, facts: Facts) -> list[Op]:
        return [("insert", n) for n in facts["items"]]

    def start(self, facts: Facts) -> tuple[int, ...]:
        return ()

    def result(self, state: Any, op: Op) -> Any:
        """A list that is out of order already takes the number before the first larger one."""
        at = next((index for index, n in enumerate(state) if n > op[1]), len(state))
        return (*state[:at], op[1], *state[at:])

    def answer(self, facts: Facts, state: Any) -> str:
        return ", ".join(map(str, state))

    def say(self, facts: Facts, claim: Claim, rng: np.random.Generator | None) -> str:
        assert claim.op is not None
        n, listed = claim.op[1], ", ".join(map(str, claim.after))
        return str(pick(rng, (f"insert {n}: {listed}.", f"inserting {n} gives: {listed}.", f"put in {n}: {listed}")))

    def words(self, facts: Facts, claim: Claim) -> str:
        assert claim.op is not None
        return f"{claim.op[1]} : {' '.join(map(str, claim.after))}"

    def read(self, facts: Facts, text: str) -> list[Claim]:
        said, colon, rest = text.partition(":")
        said_numbers, listed = re.findall(r"\d+", said), re.findall(r"\d+", rest)
        if not colon or len(said_numbers) != 1 or not listed:
            return []
        return [Claim(("insert", int(said_numbers[0])), None, tuple(map(int, listed)))]

    def read_answer(self, text: str) -> str | None:
        found = re.findall(r"\d+", text)
        return ", ".join(str(int(n)) for n in found) if found else None

    def other_operation(self, facts: Facts, op: Op, rng: np.random.Generator) -> Op | None:
        return None

    def misread(self, facts: Facts, op: Op, rng: np.random.Generator) -> Op | None:
        return ("insert", off_by_a_digit(op[1], rng))

    def slip(self, facts: Facts, value: Any, rng: np.random.Generator) -> Any:
        """A number lost or changed."""
        changed, at = list(value), whole(rng, 0, len(value) - 1)
        if len(changed) > 1 and rng.random() < 0.5:
            changed.pop(at)
        else:
            changed[at] = off_by_a_digit(changed[at], rng)
        return tuple(changed)

    def swapped(self, facts: Facts, state: Any, op: Op, rng: np.random.Generator) -> Claim | None:
        listed = list(self.result(state, op))
        if len(listed) < 2:
            return None
        at = whole(rng, 0, len(listed) - 2)
        listed[at], listed[at + 1] = listed[at + 1], listed[at]
        return Claim(op, None, tuple(listed))


def _held(colours: Any) -> str:
    return " ".join(f"{PEOPLE[index].lower()} {colour}" for index, colour in enumerate(colours))


def _person(name: str) -> int:
    return PEOPLE.index(name.capitalize())
