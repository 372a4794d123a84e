"""Units that people convert without a word, and the factors between them."""

from __future__ import annotations

_MEASURES = {
    "second", "minute", "hour", "day", "week", "month", "year", "decade", "century", "inch", "foot", "feet",
    "yard", "mile", "meter", "metre", "km", "kilometer", "cm", "mm", "centimeter", "ounce", "oz", "pound", "lb", "ton",
    "gram", "kg", "kilogram", "liter", "litre", "ml", "milliliter", "gallon", "quart", "pint", "cup", "tablespoon",
    "teaspoon", "cent", "dollar", "dime", "nickel", "quarter", "penny", "pennies", "dozen", "pair", "hr", "min", "sec",
    "ft", "in", "mph", "radian", "degree", "celsius", "fahrenheit",
    "thousand", "million", "billion", "hundred",
}  # fmt: skip
"""Units that are converted into one another without a word."""


def is_measure(word: str) -> bool:
    """Whether a word is a unit that people convert: "hours", "feet", "cents"."""
    bare = measure(word)
    return bare in _MEASURES or bare.removesuffix("e") in _MEASURES


FACTORS = (2, 3, 4, 7, 8, 10, 12, 16, 20, 24, 25, 30, 36, 48, 52, 60, 84, 100, 144, 168, 180, 360, 365, 1000, 1440,
            1760, 3600, 5280, 10**4, 10**5, 10**6, 10**9)  # fmt: skip
"""Between units; and 180 / pi."""


def measure(word: str) -> str:
    """A unit in its one spelling: "Hours" and "hour" are the same."""
    bare = word.strip("\\{}. ")
    for command in ("text", "mathrm", "textrm"):
        bare = bare.removeprefix(command).strip("\\{}. ")
    return {"feet": "foot"}.get(bare, bare.removesuffix("s"))
