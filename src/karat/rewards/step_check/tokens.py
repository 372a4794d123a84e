"""From text to tokens: numbers, operators, relations, brackets, names, words; plain text, Unicode and LaTeX alike.

A token keeps its place in the text. What has no meaning to a calculation (bold marks, `\\left`, dollar signs) is left
out, but remembered: two numbers with a dollar sign between them do not stand side by side.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction

from karat.rewards.step_check.measures import is_measure

MOST_CHARACTERS = 8_000
"""Of one step; the rest is not looked at."""
MOST_DIGITS = 120
"""Of one number."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token.

    Attributes:
        kind: "num", "op", "rel", "open", "close", "command", "var", "word", "break", "arrow", "bad".
        text: what it is, in one spelling for all notations ("*" for x, \\times and ·).
        start, end: its place in the text.
        joined: it follows the token before without space or mark.
        is_money: a currency sign stands before it.
    """

    kind: str
    text: str
    start: int
    end: int
    joined: bool = False
    value: Fraction = Fraction(0)
    decimals: int = 0
    is_money: bool = False


_SPELLING = {
    "×": "*", "·": "*", "⋅": "*", "∗": "*", "∙": "*", "•": "*", "\\times": "*", "\\cdot": "*", "\\ast": "*", "÷": "/",
    "\\div": "/", "⁄": "/", "∕": "/", "−": "-", "–": "-", "‒": "-", "**": "^", "\\%": "%",
    "≈": "~", "≅": "~", "≃": "~", "\\approx": "~", "\\simeq": "~", "\\cong": "~", "~=": "~", "==": "=",
    "≤": "<=", "\\le": "<=", "\\leq": "<=", "\\leqslant": "<=", "⩽": "<=", "≥": ">=", "\\ge": ">=", "\\geq": ">=",
    "\\geqslant": ">=", "⩾": ">=", "\\lt": "<", "\\gt": ">", "≠": "!=", "\\ne": "!=", "\\neq": "!=",
    "≡": "==", "\\equiv": "==",
    "\\lbrace": "(", "\\rbrace": ")", "\\{": "(", "\\}": ")", "\\dfrac": "\\frac", "\\tfrac": "\\frac",
    "\\cfrac": "\\frac", "\\dbinom": "\\binom", "\\tbinom": "\\binom", "√": "\\sqrt", "π": "pi", "\\pi": "pi",
    "²": "^2", "³": "^3", "\\lfloor": "floor(", "⌊": "floor(", "\\rfloor": ")", "⌋": ")", "\\lceil": "ceil(",
    "⌈": "ceil(", "\\rceil": ")", "⌉": ")", "\\bmod": "mod", "\\mod": "mod",
}  # fmt: skip
_OPERATORS = {"+", "-", "*", "/", "^", "!", "%", "mod", "^2", "^3"}
_RELATIONS = {"=", "~", "<", ">", "<=", ">=", "!=", "=="}
_ARROWS = {"→", "⇒", "⟹", "⟶", "↦", "⇔", "⟺", "=>", "->", "-->", "==>", "<=>", "\\to", "\\rightarrow",
           "\\Rightarrow", "\\implies", "\\longrightarrow", "\\Longrightarrow", "\\iff", "\\Leftrightarrow",
           "\\therefore", "∴"}  # fmt: skip
_COMMANDS = {"\\frac", "\\sqrt", "\\binom", "\\sin", "\\cos", "\\tan", "\\ln", "\\log", "\\boxed", "\\fbox", "\\pmod"}
_SKIPPED = {"\\left", "\\right", "\\big", "\\Big", "\\bigg", "\\Bigg", "\\bigl", "\\bigr", "\\Bigl", "\\Bigr", "\\,",
            "\\;", "\\:", "\\!", "\\ ", "\\displaystyle", "\\mathbf", "\\mathit", "\\mathsf", "\\bf", "\\it",
            "\\limits", "\\textstyle", "\\biggl", "\\biggr", "\\Biggl", "\\Biggr"}  # fmt: skip
_BREAKS = {"\\quad", "\\qquad", "\\\\", "\\[", "\\]", "\\(", "\\)", "\\newline", "\\item", "\\hline", "\\cr"}
_WORD_OPERATORS = {
    "plus": "+", "minus": "-", "times": "*", "multiplied by": "*", "divided by": "/", "squared": "^2", "cubed": "^3",
    "percent": "%", "per cent": "%", "modulo": "mod", "mod": "mod",
}  # fmt: skip
_WORD_RELATIONS = {
    "equals": "=", "equal": "=", "is equal to": "=", "are equal to": "=", "equal to": "=", "which is equal to": "=",
    "is approximately equal to": "~", "is approximately": "~", "approximately equals": "~", "is about": "~",
    "is roughly": "~", "equals approximately": "~", "equals about": "~",
}  # fmt: skip
_NUMBER = r"\d{1,3}(?:(?:,|\{,\}|,\\!)\d{3})+(?:\.\d+)?(?!\d)|\d+\.\d+|(?<![\d\w])\.\d+|\d+"
_UNSEEN = "\u00a0\u2000-\u200f\u202f\u2060\ufeff\u00ad\ufe0f"
"""Blanks of other widths, and what shows nothing: they hide no claim. What turns the text round is left a mark."""
_PHRASES = sorted([*_WORD_OPERATORS, *_WORD_RELATIONS], key=len, reverse=True)
_TOKEN = re.compile(
    "|".join((
        r"(?P<based>\b[0-9A-F]{1,40}_(?:\d{1,2}|\{\d{1,2}\}|\{?\\text\{[a-z]+\}\}?)(?![\d}]))",
        r"(?P<identifier>[A-Za-z]{2,40}(?:_[A-Za-z0-9]{1,40}){1,8})",
        r"(?P<name>[^\W\d_]_(?:\w|\{[^{}]{1,20}\}))",
        r"(?P<mark>(?:19|20)\d\d-(?:0\d|1[0-2])-[0-3]\d(?!\d)|\b\d{1,2}/\d{1,2}/(?:19|20)\d\d(?!\d)|\b0[xb][0-9a-f]+\b)",
        rf"(?P<num>{_NUMBER})",
        r"(?P<comma>(?<=\d),(?=\d))",
        r"(?P<environment>\\(?:begin|end)\s?\{[A-Za-z]+\*?\}(?:\{[lcr|]+\})?)",
        r"(?P<unit>(?:\^\s?(?:\{\s?\\circ\s?\}|\\circ)|°|\\degree)|\\(?:text|mathrm|textrm|mbox|hbox|operatorname|textbf|rm)"
        r"\s?\{[^{}]{0,80}\})",
        r"(?P<latex>\\(?:[A-Za-z]+|.|\n))",
        r"(?P<dots>\.\.+|…)",
        r"(?P<arrow>==?>|--?>|<=>|[→⇒⟹⟶↦⇔⟺∴])",
        r"(?P<symbol>\*\*|~=|==|<=|>=|!=|[-+*/^!%=<>≈≅≃≤≥⩽⩾≠≡×·⋅∗∙•÷⁄∕−–‒√π²³⌊⌋⌈⌉])",
        rf"(?P<phrase>\b(?:{'|'.join(phrase.replace(' ', r'[ ]+') for phrase in _PHRASES)})\b)",
        r"(?P<word>[^\W\d_]+(?:['’][^\W\d_]+)?)",
        r"(?P<open>[(\[{])",
        r"(?P<close>[)\]}])",
        r"(?P<line>\n)",
        r"(?P<money>[$€£¥])",
        rf"(?P<space>[ \t\r&~{_UNSEEN}]+)",
        r"(?P<break>[,;:.?\"“”|])",
        r"(?P<bad>.)",
    )),
    re.IGNORECASE | re.DOTALL,
)  # fmt: skip
_MARKS = re.compile(r"(?<!\d)\*\*|\*\*(?!\s?[\d(])|(?<=\s)\*\*(?=\S)|`+|__|\\(?=\$)")
_BLOCK = re.compile(
    r"\\begin\s?\{([a-z]*matrix|array|tabular|cases)\}.*?\\end\s?\{\1\}|\$?\\begin\s?\{asy\}.*?\\end\s?\{asy\}",
    re.DOTALL,
)
"""Matrices, tables, drawings: what stands in them is no line of a calculation."""
_JOINED_UNITS = frozenset(
    [
        "th",
        "st",
        "nd",
        "rd",
        "am",
        "pm",
        "rs",
        "usd",
        "hrs",
        "gb",
        "mb",
        "tb",
        "kw",
        "kwh",
        "cal",
        "pcs",
        "px",
        "lbs",
        "mi",
        "yd",
        "mg",
        "hz",
    ]
)
_BULLET = re.compile(r"^[ \t]*(?:[-*•+>#]+[ \t]+|\(?(?:\d{1,2}|[a-zA-Z])[.)][ \t]+(?![-+*/=^×÷<>]))+", re.MULTILINE)


def blank(pattern: re.Pattern[str], text: str) -> str:
    """The text with what matches replaced by as many spaces: places stay."""
    return pattern.sub(lambda match: " " * len(match.group()), text)


def tokenise(text: str) -> list[Token]:
    """All tokens of a text, in order. Any text has tokens; what is no part of mathematics becomes "bad" or a word."""
    text = _BLOCK.sub(lambda match: "¤" + " " * (len(match.group()) - 1), text[:MOST_CHARACTERS])
    text = blank(_BULLET, blank(_MARKS, text))
    tokens: list[Token] = []
    joined, is_money = False, False
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "bad"
        if kind in ("space", "money") or (kind == "latex" and match.group() in _SKIPPED):
            joined, is_money = False if kind != "latex" else joined, kind == "money" or (is_money and kind == "space")
            continue
        tokens += _tokens_of(kind, match, tokens, joined, is_money)
        joined, is_money = True, False
    return _join_lines(tokens)


def _tokens_of(kind: str, match: re.Match[str], tokens: list[Token], joined: bool, is_money: bool) -> list[Token]:
    text, start, end = match.group(), match.start(), match.end()

    def one(kind: str, text: str) -> list[Token]:
        return [Token(kind, text, start, end, joined)]

    if kind in ("mark", "comma"):
        return one("bad", text)  # a date, a number in code; a decimal comma, or thousands in another country's groups
    if kind == "num":
        return [_number(text, start, end, joined, is_money)]
    if kind == "phrase":
        phrase = " ".join(text.lower().split())
        if phrase in _WORD_OPERATORS:
            return _symbol(_WORD_OPERATORS[phrase], start, end, joined)
        return one("rel", _WORD_RELATIONS[phrase])
    if kind == "based":
        return [_in_base(text, start, end, joined)]
    if kind == "identifier":
        return one("var", text)
    if kind == "name":
        return one("var", re.sub(r"[{}\s]", "", text))
    if text == "!=" and joined and tokens and tokens[-1].end == start and tokens[-1].kind in ("num", "var", "close"):
        return [Token("op", "!", start, start + 1, True), Token("rel", "=", start + 1, end, True)]  # 5!=120
    if kind == "word":
        if joined and text.lower() in ("st", "nd", "rd", "th") and tokens and tokens[-1].kind == "num":
            return one("bad", text)  # an ordinal is no quantity
        if joined and 1 < len(text) <= 3 and tokens and tokens[-1].kind in ("num", "close") and is_product(text):
            return [Token("var", letter, start + k, start + k + 1, True) for k, letter in enumerate(text)]
        # one letter is a name; "I" and the article are left to the parser, which sees what stands beside them
        return one("var", text) if len(text) == 1 else one("word", text.lower())
    if kind in ("open", "close"):
        return one(kind, text)
    if kind == "unit":
        if "circ" in text or text in ("°", "\\degree"):
            return one("word", "°")
        return _tokens_in_text(text[text.index("{") + 1 : -1], start, end, joined)
    if kind in ("arrow",) or text in _ARROWS:
        return one("arrow", text)
    if kind == "line":
        return one("break", "\n")
    if kind in ("break", "environment"):
        return one("break", text if kind == "break" else "\n")
    if kind == "dots" or text in ("\\dots", "\\ldots", "\\cdots"):
        return one("bad", "...")
    if text in _BREAKS:
        return one("break", "\n" if text == "\\\\" else text)
    return _symbol(_SPELLING.get(text, text), start, end, joined)


def is_product(text: str) -> bool:
    """Whether a word right behind a number is a product of names (3ab), not a unit (3km)."""
    return text.lower() not in _JOINED_UNITS and not is_measure(text.lower()) and text.isalpha()


def _tokens_in_text(text: str, start: int, end: int, joined: bool) -> list[Token]:
    """The words of \\text{...}: all at its place, a single letter too (a unit, no name)."""
    tokens: list[Token] = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "bad"
        if kind == "phrase":
            tokens += _tokens_of(kind, match, tokens, joined, False)
        elif kind in ("word", "num", "bad", "dots"):
            tokens.append(Token("word", match.group().lower(), start, end, joined))
    return [replace(token, start=start, end=end) for token in tokens]


def _symbol(text: str, start: int, end: int, joined: bool) -> list[Token]:
    if text in ("^2", "^3"):
        two = Token("num", text[1], start, end, True, Fraction(int(text[1])))
        return [Token("op", "^", start, end, joined), two]
    if text in ("(", ")"):
        return [Token("open" if text == "(" else "close", text, start, end, joined)]
    if text in ("floor(", "ceil("):
        return [Token("open", text, start, end, joined)]
    if text == "pi":
        return [Token("var", "pi", start, end, joined)]
    for kind, known in (("op", _OPERATORS), ("rel", _RELATIONS), ("command", _COMMANDS)):
        if text in known:
            return [Token(kind, text, start, end, joined)]
    return [Token("bad", text, start, end, joined)]


def _number(text: str, start: int, end: int, joined: bool, is_money: bool) -> Token:
    plain = re.sub(r"[,{}\\!]", "", text)
    if len(plain) > MOST_DIGITS:
        return Token("bad", plain[:20], start, end, joined)
    decimals = len(plain.partition(".")[2])
    return Token("num", plain, start, end, joined, Fraction(plain), decimals, is_money)


def _in_base(text: str, start: int, end: int, joined: bool) -> Token:
    digits, _, written = text.partition("_")
    base = re.sub(r"\D", "", written)
    try:
        value = int(digits, int(base))
    except ValueError:  # no such base, or no such digit in it
        return Token("bad", "_", start, end, joined)
    return Token("num", digits, start, end, joined, Fraction(value))


_LINE_ENDS = ("\n", "\\[", "\\]")
"""The end of a displayed formula is one too: \\[ a = b \\] \\[ = c \\]."""


def _join_lines(tokens: list[Token]) -> list[Token]:
    """Without the line ends that a calculation runs across: an operator or a relation stands on one side of them."""
    kept: list[Token] = []
    for index, token in enumerate(tokens):
        if token.kind == "break" and token.text in _LINE_ENDS:
            after = next((t for t in tokens[index + 1 : index + 6] if t.text not in _LINE_ENDS), None)
            before = kept[-1] if kept else None
            runs_on = (before is not None and before.kind in ("op", "rel") and before.text not in ("!", "%")) or (
                after is not None and (after.kind == "rel" or (after.kind == "op" and after.text in "+*/"))
            )
            if runs_on:
                continue
        kept.append(token)
    return kept
