"""Claims in words: remainders, congruences, sums and averages of listed numbers, divisors, primes, percent changes.

Numbers are written out in the text; a sentence that may deny what it says is left undefined.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import islice

from karat.rewards.step_check.chains import Pair, is_hedged, sentence_of
from karat.rewards.step_check.claims import MOST_CLAIMS, Claim, unknowns, written
from karat.rewards.step_check.compare import Verdict, compare, values_of
from karat.rewards.step_check.tokens import MOST_CHARACTERS
from karat.rewards.step_check.tree import Node

MOST_DIGITS = 15
"""Of a number that is divided; primes stop at 10^8, so that a step full of them takes no long time."""

_N = r"(?<![\d.])(?:\\?\$)?(-?\d[\d,]{0,20}(?:\.\d{1,20})?)"
_W = r"(?<![\d.])(-?\d[\d,]{0,20})(?![\d.,]{0,20}\d)"  # a whole number, all of it
_PLAIN = r"\\?\$?-?\d[\d,]{0,20}(?:\.\d{1,20})?"
_LIST = rf"((?:{_PLAIN}(?:\s*,\s*(?:and\s+)?|\s+and\s+)){{1,12}}{_PLAIN})"
_IS = r"\s*\$?\s*(?:is|are|=|equals|gives|was)\s*\$?\s*"
_END = r"(?![\d.,/^*!]{0,20}\d)(?!\s*(?:[-+*/×·^÷(]|\\times|\\cdot|\\frac|times|and\b|or\b|to the))"

_REMAINDER = re.compile(
    rf"{_W}\s*(?:÷|/|\\div|divided by)\s*{_W}\s*(?:=|is|equals|gives|leaves|,)?\s*{_W}?\s*,?\s*(?:with\s+)?(?:a\s+)?"
    rf"(?:remainder(?:\s+(?:of|is|=))?|R)\s*:?\s*{_W}",
    re.IGNORECASE,
)
_MODULUS = re.compile(r"(?:\\pmod|\(\s*(?:\\text\{)?\\?b?mod|\\b?mod|\bmod)\s*\}?\s*\{?\s*(\d+)", re.IGNORECASE)
_TO_MODULUS = re.compile(
    r"(?:\s|\$|\\[,;:!]|\\left)*(?:\\pmod|\(|\\b?mod|\bmod|≡|\\equiv|\\text|\\quad)", re.IGNORECASE
)
_OF_LIST = re.compile(rf"\b(sum|product|average|mean) of {_LIST}{_IS}{_N}{_END}", re.IGNORECASE)
_GCD = re.compile(
    rf"(?:\\?(gcd|lcm)|\\text\{{\s*(gcd|lcm)\s*\}})\s*(?:\\left)?\(\s*(\d+)\s*,\s*(\d+)\s*(?:\\right)?\)\s*=\s*{_W}{_END}",
    re.IGNORECASE,
)
_DIVISIBLE = re.compile(rf"(?<![\w^*/+\-.]){_W}\s+is\s+(?:evenly\s+)?(?:divisible by|a multiple of)\s+(\d+){_END}")
_PRIME = re.compile(
    r"(?<![\w^*/+\-.,])(\d{1,8})\s+is\s+(?:also\s+)?(?:a\s+)?prime(?:\s+number)?\s*(?=[.,;]|$|and\b|so\b)"
)
_CHANGE = re.compile(
    rf"(increase|decrease|change)d?\s+from\s+{_N}\s+to\s+{_N}\s+(?:is|=|represents)\s+(?:an?\s+)?(?:\w+\s+of\s+)?{_N}\s*\\?%",
    re.IGNORECASE,
)


def claims_in_words(step: str) -> Iterator[Claim]:
    """The claims of a step that words make."""
    readers: tuple[tuple[re.Pattern[str], str, Callable[[re.Match[str]], tuple[Verdict, str]]], ...] = (
        (_REMAINDER, "remainder", _remainder),
        (_OF_LIST, "arithmetic", _of_list),
        (_GCD, "divisors", _common),
        (_DIVISIBLE, "divisors", _divisible),
        (_PRIME, "divisors", _prime),
        (_CHANGE, "arithmetic", _change),
    )
    for pattern, kind, judge in readers:
        for match in islice(pattern.finditer(step[:MOST_CHARACTERS]), MOST_CLAIMS):
            if max(map(len, filter(None, match.groups()))) > 200:
                continue
            verdict, expected = judge(match)
            if verdict == "wrong" and is_hedged(sentence_of(step, *match.span())):
                verdict, expected = "undefined", ""
            yield Claim(match.group().strip(), match.start(), match.end(), kind, verdict, expected)


def _number(text: str) -> Fraction:
    return Fraction(text.replace(",", "").rstrip("."))


def _whole(text: str) -> int | None:
    plain = text.replace(",", "")
    return int(plain) if len(plain) <= MOST_DIGITS else None


def _told(is_right: bool, expected: str) -> tuple[Verdict, str]:
    return ("right", "") if is_right else ("wrong", expected)


def _remainder(match: re.Match[str]) -> tuple[Verdict, str]:
    number, divisor, _, remainder = (_whole(text) if text else None for text in match.groups())
    if number is None or not divisor or remainder is None or divisor < 0:
        return "undefined", ""
    quotient = _whole(match.group(3)) if match.group(3) else number // divisor
    return _told((quotient, remainder) == divmod(number, divisor), f"{number // divisor} remainder {number % divisor}")


def congruence_claims(step: str, pairs: Sequence[Pair]) -> Iterator[Claim]:
    """a ≡ b (mod n), where n is given once at the end of a chain."""
    for pair in pairs:
        modulus = _MODULUS.search(step[pair.end : pair.end + 200].split("\n\n")[0])
        left, right = pair.sides[0]
        if pair.relation != "==" or modulus is None or left.guarded or unknowns(left.node) or unknowns(right.node):
            continue
        if right.guarded and _TO_MODULUS.match(step, pair.end) is None:
            continue
        n = _whole(modulus.group(1))
        values = [values_of(side.node)[:1] for side in (left, right)]
        if not n or not all(value and value[0] == int(value[0]) for value in values):
            continue
        a, b = (int(value[0]) for value in values)
        verdict, expected = _told((a - b) % n == 0, f"{a % n} (mod {n})")
        if verdict == "wrong" and pair.is_hedged:
            verdict, expected = "undefined", ""
        yield Claim(step[pair.start : pair.end], pair.start, pair.end, "congruence", verdict, expected)


def _of_list(match: re.Match[str]) -> tuple[Verdict, str]:
    numbers = [_number(text) for text in re.findall(r"-?\d{1,3}(?:,\d{3})+(?!\d)|-?\d+(?:\.\d+)?", match.group(2))]
    value = Fraction(math.prod(numbers) if match.group(1).lower() == "product" else sum(numbers))
    if match.group(1).lower() in ("average", "mean"):
        value /= len(numbers)
    decimals = len(match.group(3).partition(".")[2])
    stated = Node("num", value=_number(match.group(3)), decimals=decimals)
    verdict = compare(Node("+", (Node("num", value=value), Node("num"))), stated, "=")
    return verdict, written(value) if verdict == "wrong" else ""


def _common(match: re.Match[str]) -> tuple[Verdict, str]:
    a, b, stated = map(_whole, match.groups()[2:])
    if a is None or b is None or stated is None:
        return "undefined", ""
    name = (match.group(1) or match.group(2)).lower()
    value = math.gcd(a, b) if name == "gcd" else math.lcm(a, b)
    return _told(value == stated, str(value))


def _divisible(match: re.Match[str]) -> tuple[Verdict, str]:
    a, b = map(_whole, match.groups())
    if a is None or not b:
        return "undefined", ""
    return _told(a % b == 0, f"a remainder of {a % b}")


def _prime(match: re.Match[str]) -> tuple[Verdict, str]:
    n = int(match.group(1))
    factor = next((k for k in range(2, math.isqrt(n) + 1) if n % k == 0), n)
    return _told(n > 1 and factor == n, f"divisible by {factor}" if n > 1 else "no prime")


def _change(match: re.Match[str]) -> tuple[Verdict, str]:
    before, after, stated = map(_number, match.groups()[1:])
    if not before:
        return "undefined", ""
    value = abs(after - before) / before * 100
    decimals = len(match.group(4).partition(".")[2])
    is_right = abs(value - abs(stated)) < Fraction(1, 10**decimals)
    return _told(is_right, f"{written(value)} %")
