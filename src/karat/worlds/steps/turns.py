"""Problems that count in a circle: the time of day, the day of the week."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from karat.worlds.steps.kind import PLACES, Claim, Facts, Kind, Op, Size, pick, whole, whole_sums

DOINGS = ("a walk", "the film", "lunch", "the train ride", "a lesson", "the match", "a nap", "the meeting")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_DAY = "|".join(DAYS)


class _Turn(Kind):
    """State: a whole number below `around`; operations ("+", n)."""

    around: int

    def plan(self, facts: Facts) -> list[Op]:
        return [("+", n) for n in facts["turns"]]

    def start(self, facts: Facts) -> int:
        return int(facts["start"])

    def result(self, state: Any, op: Op) -> Any:
        return (state + op[1] if op[0] == "+" else state - op[1]) % self.around

    def before(self, state: Any, op: Op) -> Any:
        return state

    def holds(self, claim: Claim) -> bool | None:
        return bool(claim.op and self.result(claim.before, claim.op) == claim.after)

    def other_operation(self, facts: Facts, op: Op, rng: np.random.Generator) -> Op | None:
        return ("-", op[1])


class Clock(_Turn):
    """What time it is after some doings. State: minutes after midnight (hours of twelve in words)."""

    name = "clock"
    around = 24 * 60
    _claim = re.compile(
        r"(?<![\d:])(\d{1,2})(?::(\d\d))?\s*([+-])\s*(\d+)\s*(?:minutes|minute|mins|min)?"
        r"\s*=\s*(\d{1,2})(?::(\d\d))?(?![\d:])"
    )

    def draw(self, rng: np.random.Generator, size: Size, words: bool) -> dict[str, Any]:
        n_turns = whole(rng, size.least_steps, size.most_steps)
        if words:
            turns = [60 * (1 + int(hours)) for hours in rng.permutation(9)[:n_turns]]
            start = 60 * whole(rng, 0, 23)
        else:
            turns = [5 * (1 + int(n)) for n in rng.permutation(max(size.largest // 4, n_turns + 4))[:n_turns]]
            start = 5 * whole(rng, 7 * 12, 17 * 12)
        doings = [DOINGS[index] for index in rng.permutation(len(DOINGS))[:n_turns]]
        return {"start": start, "turns": turns, "doings": doings}

    def prompt(self, facts: Facts) -> str:
        told = ", then ".join(
            f"{doing} takes {n} minutes" for doing, n in zip(facts["doings"], facts["turns"], strict=True)
        )
        return (
            f"It is {_time(facts['start'])}. First {told}. What time is it then, on a clock of 24 hours? "
            'Work in this order, one line for each step, and end with "The answer is ...".'
        )

    def prompt_words(self, facts: Facts) -> str:
        told = " , ".join(f"{PLACES[index]} + {n // 60}" for index, n in enumerate(facts["turns"]))
        return f"clock {facts['start'] // 60} , {told}"

    def answer(self, facts: Facts, state: Any) -> str:
        return _time(state)

    def answer_words(self, answer: str) -> str:
        return answer.partition(":")[0]

    def say(self, facts: Facts, claim: Claim, rng: np.random.Generator | None) -> str:
        assert claim.op is not None
        sum_ = f"{_time(claim.before)} {claim.op[0]} {claim.op[1]} minutes = {_time(claim.after)}"
        doing = dict(zip(facts["turns"], facts["doings"], strict=True)).get(claim.op[1], "that")
        return str(pick(rng, (f"{sum_}.", f"after {doing} it is {sum_}.", f"the time is then {sum_}.")))

    def words(self, facts: Facts, claim: Claim) -> str:
        assert claim.op is not None
        if any(value % 60 for value in (claim.before, claim.op[1], claim.after)):
            return "?"
        return f"{claim.before // 60} {claim.op[0]} {claim.op[1] // 60} = {claim.after // 60}"

    def read(self, facts: Facts, text: str) -> list[Claim]:
        found = []
        for match in whole_sums(self._claim, text.translate(str.maketrans("−–", "--"))) or ():
            hour, minute, sign, n, hour2, minute2 = match.groups()
            if bool(minute) != bool(minute2):
                continue
            before, after = _minutes(hour, minute), _minutes(hour2, minute2)
            found.append(Claim((sign, int(n) * (1 if minute else 60)), before, after))
        return found

    def read_answer(self, text: str) -> str | None:
        found = re.search(r"\b(\d{1,2}):(\d\d)\b|\b(\d{1,2})\b", text)
        if found is None:
            return None
        return _time(_minutes(found[1] or found[3], found[2]))

    def misread(self, facts: Facts, op: Op, rng: np.random.Generator) -> Op | None:
        unit = 60 if all(n % 60 == 0 for n in facts["turns"]) else 5
        return (op[0], max(unit, op[1] + unit * pick(rng, [-2, -1, 1, 2])))

    def slip(self, facts: Facts, value: Any, rng: np.random.Generator) -> Any:
        unit = 60 if all(n % 60 == 0 for n in facts["turns"]) else pick(rng, [5, 10, 60])
        return (value + unit * pick(rng, [-1, 1])) % self.around

    def swapped(self, facts: Facts, state: Any, op: Op, rng: np.random.Generator) -> Claim | None:
        """The time to begin with is taken again instead of the last one."""
        start = facts["start"]
        return None if state == start else Claim(op, start, self.result(start, op))


class Calendar(_Turn):
    """What day of the week it is some days later. State: days after Monday."""

    name = "calendar"
    around = 7
    claims_by = rf"\b(?:{_DAY})\b"
    _claim = re.compile(rf"\b({_DAY})\s*([+-])\s*(\d+)\s*(?:days|day)?\s*=\s*({_DAY})\b", re.IGNORECASE)

    def draw(self, rng: np.random.Generator, size: Size, words: bool) -> dict[str, Any]:
        n_turns = whole(rng, size.least_steps, size.most_steps)
        most = 9 if words else max(9, size.largest // 3)
        turns = [1 + int(n) for n in rng.permutation(most)[:n_turns]]
        return {"start": whole(rng, 0, 6), "turns": turns}

    def prompt(self, facts: Facts) -> str:
        told = ", then ".join(f"{n} days pass" if n > 1 else "1 day passes" for n in facts["turns"])
        return (
            f"Today is {DAYS[facts['start']]}. First {told}. What day of the week is it then? "
            'Work in this order, one line for each step, and end with "The answer is ...".'
        )

    def prompt_words(self, facts: Facts) -> str:
        told = " , ".join(f"{PLACES[index]} + {n}" for index, n in enumerate(facts["turns"]))
        return f"calendar {DAYS[facts['start']].lower()} , {told}"

    def answer(self, facts: Facts, state: Any) -> str:
        return DAYS[state]

    def say(self, facts: Facts, claim: Claim, rng: np.random.Generator | None) -> str:
        assert claim.op is not None
        sum_ = f"{DAYS[claim.before]} {claim.op[0]} {claim.op[1]} days = {DAYS[claim.after]}"
        return str(pick(rng, (f"{sum_}.", f"the day is then {sum_}.", f"counting on gives {sum_}.")))

    def words(self, facts: Facts, claim: Claim) -> str:
        assert claim.op is not None
        return f"{DAYS[claim.before]} {claim.op[0]} {claim.op[1]} = {DAYS[claim.after]}".lower()

    def read(self, facts: Facts, text: str) -> list[Claim]:
        found = whole_sums(self._claim, text.translate(str.maketrans("−–", "--"))) or ()
        return [Claim((match[2], int(match[3])), _day(match[1]), _day(match[4])) for match in found]

    def read_answer(self, text: str) -> str | None:
        found = re.search(rf"\b(?:{_DAY})\b", text, re.IGNORECASE)
        return found[0].capitalize() if found else None

    def misread(self, facts: Facts, op: Op, rng: np.random.Generator) -> Op | None:
        return (op[0], max(1, op[1] + pick(rng, [-2, -1, 1, 2])))

    def slip(self, facts: Facts, value: Any, rng: np.random.Generator) -> Any:
        return (value + pick(rng, [-1, 1])) % self.around

    def swapped(self, facts: Facts, state: Any, op: Op, rng: np.random.Generator) -> Claim | None:
        """The day to begin with is taken again instead of the last one."""
        start = facts["start"]
        return None if state == start else Claim(op, start, self.result(start, op))


def _time(minutes: int) -> str:
    return f"{minutes // 60}:{minutes % 60:02d}"


def _minutes(hour: str, minute: str | None) -> int:
    """After midnight; -1 for what is no time of the day."""
    is_time = int(hour) < 24 and int(minute or 0) < 60
    return int(hour) * 60 + int(minute or 0) if is_time else -1


def _day(name: str) -> int:
    return DAYS.index(name.capitalize())
