"""From tokens to one expression: a parser by descent, bounded in depth and length.

    sum      product (("+" | "-") product)*
    product  power (("*" | "/" | "of" | nothing) power)*
    power    base ("^" base)?
    base     number | name | "(" sum ")" | \\frac | \\sqrt | ... then "!", "%", and the words of a unit

What stands after the expression is left: the caller decides whether that spoils it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from karat.rewards.step_check.tokens import Token
from karat.rewards.step_check.tree import FUNCTIONS, Node

MOST_DEPTH = 40
MOST_TOKENS = 300
"""Of one expression."""
MOST_UNIT_WORDS = 5

_CLOSER = {"(": ")", "[": "]", "{": "}", "floor(": ")", "ceil(": ")"}
MAGNITUDES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
_WORD_NUMBERS = {
    "half": Fraction(1, 2), "twice": Fraction(2), "zero": Fraction(0), "one": Fraction(1), "two": Fraction(2),
    "three": Fraction(3), "four": Fraction(4), "five": Fraction(5), "six": Fraction(6), "seven": Fraction(7),
    "eight": Fraction(8), "nine": Fraction(9), "ten": Fraction(10), "twelve": Fraction(12),
}  # fmt: skip
_NO_UNITS = frozenset(
    [
        "and",
        "or",
        "is",
        "are",
        "was",
        "were",
        "be",
        "so",
        "then",
        "thus",
        "hence",
        "therefore",
        "we",
        "i",
        "he",
        "she",
        "they",
        "it",
        "you",
        "get",
        "gets",
        "gives",
        "give",
        "makes",
        "make",
        "if",
        "when",
        "where",
        "while",
        "since",
        "because",
        "but",
        "that",
        "which",
        "half",
        "twice",
        "double",
        "triple",
        "third",
        "quarter",
        "thirds",
        "quarters",
        "more",
        "less",
        "fewer",
        "than",
        "from",
        "by",
        "divide",
        "divided",
        "subtract",
        "subtracting",
        "add",
        "adding",
        "multiply",
        "multiplying",
        "remaining",
        "remainder",
        "with",
        "without",
        "not",
        "equals",
        "have",
        "has",
        "had",
        "will",
        "would",
        "leaves",
        "leaving",
        "left",
        "until",
        "now",
        "here",
        "plus",
        "minus",
        "times",
    ]
)
"""Words that end an expression: no unit, and no remark on a number, holds one of them."""
_APPLIED = frozenset("fghpqrPQRTFGN")
"""Names that before a bracket are functions, not factors."""


class NoExpression(Exception):  # noqa: N818 - most runs of words are none
    """No expression begins here."""


@dataclass(frozen=True, slots=True)
class Style:
    """How to take what notation leaves open.

    Attributes:
        tight: a product without a sign binds closer than a division: 1/2x is 1/(2x).
        spaced: a number and a bracket apart from it are a product: 3 (4).
        bang: an exclamation mark at the very end is a factorial.
        fraction: what one number over another divides, it divides as a fraction: 24 / 2/3 is 36.
    """

    tight: bool = False
    spaced: bool = True
    bang: bool = True
    fraction: bool = False


STYLES = (Style(), Style(spaced=False), Style(tight=True), Style(bang=False), Style(fraction=True))


def styles_for(tokens: Sequence[Token]) -> list[Style]:
    """The styles that can make a difference to these tokens, the plainest first."""
    divisions = sum(token.text == "/" for token in tokens)
    matters = (
        True,
        any(token.kind == "open" and not token.joined for token in tokens),
        divisions > 0,
        any(token.text == "!" for token in tokens),
        divisions > 1,
    )
    return [style for style, does in zip(STYLES, matters, strict=True) if does]


class Parser:
    """One attempt at one expression."""

    def __init__(self, tokens: Sequence[Token], style: Style) -> None:
        self.tokens = tokens[:MOST_TOKENS]
        self.style = style
        self.at = 0
        self.depth = 0

    def parse(self) -> Node:
        """The longest expression that begins at the first token; `at` is then the token after it.

        Raises: NoExpression.
        """
        return self._sum()

    def _peek(self, ahead: int = 0) -> Token | None:
        place = self.at + ahead
        return self.tokens[place] if place < len(self.tokens) else None

    def _is(self, kind: str, text: str = "", ahead: int = 0) -> bool:
        token = self._peek(ahead)
        return token is not None and token.kind == kind and (not text or token.text == text)

    # ------------------------------------------------------------------------------------------------------- levels
    def _sum(self) -> Node:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise NoExpression
        node = self._product()
        while self._is("op", "+") or self._is("op", "-"):
            before = self.at
            op = self.tokens[self.at].text
            self.at += 1
            try:
                node = Node(op, (node, self._product()))
            except NoExpression:
                self.at = before  # a dangling sign: left to the caller, to whom it spoils the expression
                break
        if self._is("op", "mod") and self.depth == 1:
            self.at += 1
            node = Node("mod", (node, self._product()))
        self.depth -= 1
        return node

    def _product(self) -> Node:
        node = self._signed()
        while True:
            before = self.at
            op = self._operator(node)
            if not op:
                return node
            try:
                factor = self._signed()
                if op == "/" and self.style.fraction and self._is("op", "/") and self._is("num", "", 1):
                    self.at += 1
                    factor = Node("/", (factor, self._power()))
                if op == "/" and self.style.tight:
                    while self._is_implicit(factor):
                        factor = Node("*", (factor, self._power()))
            except NoExpression:
                self.at = before
                return node
            node = Node(op if op != "of" else "*", (node, factor))

    def _operator(self, left: Node) -> str:
        """The operator that joins the next factor, which is read over; empty where there is none."""
        if self._is("op", "*") or self._is("op", "/"):
            self.at += 1
            return self.tokens[self.at - 1].text
        if self._is_cross():
            self.at += 1
            return "*"
        if self._is("word", "of") and (left.op == "%" or left.is_fraction or left.name in ("half", "share")):
            self.at += 1
            if self._is("word", "the") or self._is("word", "all"):
                self.at += 1
            return "of"
        return "*" if self._is_implicit(left) else ""

    def _is_cross(self) -> bool:
        """Whether the letter x stands for "times"."""
        token, after = self._peek(), self._peek(1)
        if token is None or after is None or token.kind != "var" or token.text not in ("x", "X"):
            return False
        if after.kind == "num":
            return True
        before = self.tokens[self.at - 1] if self.at else None
        is_apart = before is not None and (before.kind == "word" or not token.joined)
        return is_apart and after.kind in ("open", "command") and not after.joined

    def _is_implicit(self, left: Node) -> bool:
        token = self._peek()
        if token is None or self._is_cross():
            return False
        before = self.tokens[self.at - 1]
        if token.kind == "command" and before.text == "°":
            return token.text[1:] in FUNCTIONS  # \\cos 10^\\circ \\cos 50^\\circ
        if before.kind == "word" or before.text == "%":
            return False
        if token.kind == "open" and token.text != "{":
            if not self.style.spaced and not token.joined:
                return False
            return not self._is_remark()
        if token.kind == "command":
            return token.text in ("\\frac", "\\sqrt", "\\binom", "\\sin", "\\cos", "\\tan", "\\ln", "\\log")
        if token.kind == "num":
            return token.joined and before.text in ("!", ")", "]")
        return token.kind == "var" and not (before.kind == "close" and before.text == "}" and left.op == "num")

    def _signed(self) -> Node:
        if self._is("op", "-"):
            self.at += 1
            self.depth += 1
            if self.depth > MOST_DEPTH:
                raise NoExpression
            node = Node("neg", (self._signed(),))
            self.depth -= 1
            return node
        if self._is("op", "+"):
            self.at += 1
        return self._power()

    def _power(self) -> Node:
        base = self._postfix(self._base())
        if self._is("op", "^"):
            self.at += 1
            is_negative = self._is("op", "-")
            self.at += is_negative
            exponent = self._postfix(self._base()) if not self._is("op", "^") else None
            if exponent is None:
                raise NoExpression
            if self._is("op", "^"):
                raise NoExpression  # a tower: read in two ways, and soon too large
            base = Node("^", (base, Node("neg", (exponent,)) if is_negative else exponent))
            base = self._postfix(base)
        return base

    def _postfix(self, node: Node) -> Node:
        if node.op in FUNCTIONS:
            return node
        while self._is("op", "!") or self._is("op", "%"):
            token = self.tokens[self.at]
            is_last = self.at + 1 == len(self.tokens)
            if token.text == "!" and (not token.joined or (is_last and not self.style.bang)):
                break
            self.at += 1
            node = Node(token.text, (node,))
        word = self._peek()
        if word is not None and word.kind == "word" and word.text in MAGNITUDES:
            self.at += 1
            node = Node("*", (node, Node("num", value=Fraction(MAGNITUDES[word.text]))))
        if self._is("word", "°"):
            node = Node("deg", (node,))
        self._units()
        return node

    # --------------------------------------------------------------------------------------------------------- bases
    def _base(self) -> Node:
        token = self._peek()
        if token is None:
            raise NoExpression
        self.at += 1
        if token.kind == "num":
            return self._mixed(Node("num", value=token.value, decimals=token.decimals, is_money=token.is_money), token)
        if token.kind == "var":
            return self._variable(token)
        if token.kind == "open":
            node = self._until(_CLOSER[token.text])
            return Node(token.text[:-1], (node,)) if token.text in ("floor(", "ceil(") else node
        if token.kind == "command":
            return self._command(token.text)
        if token.kind == "word" and token.text in _WORD_NUMBERS:
            value = _WORD_NUMBERS[token.text]
            node = Node("num", value=value, name="half" if token.text == "half" else "")
            if token.text == "twice":
                return Node("*", (node, self._power()))
            return node
        raise NoExpression

    def _variable(self, token: Token) -> Node:
        after = self._peek()
        if token.text in _APPLIED and after is not None and after.text in ("(", "[") and after.joined:
            self.at += 1
            return Node("call", (self._until(_CLOSER[after.text]),), name=token.text)
        if token.text in ("a", "A", "I") and after is not None and after.kind == "word":
            raise NoExpression  # the article, the pronoun
        return Node("var", name=token.text)

    def _mixed(self, node: Node, token: Token) -> Node:
        """A whole number and the fraction after it: 1 1/2, 1\\frac{1}{2}."""
        if token.decimals:
            return node
        if self._is("num") and self._is("op", "/", 1) and self._is("num", "", 2):
            top, bottom = self.tokens[self.at], self.tokens[self.at + 2]
            if not top.joined and not top.decimals and not bottom.decimals and 0 < top.value < bottom.value:
                self.at += 3
                part = Node("/", (Node("num", value=top.value), Node("num", value=bottom.value)))
                return Node("mixed", (node, part))
        if self._is("command", "\\frac"):
            self.at += 1
            part = self._command("\\frac")
            return Node("mixed", (node, part)) if part.is_fraction else Node("*", (node, part))
        return node

    def _until(self, closer: str) -> Node:
        node = self._sum()
        if not self._is("close", closer):
            raise NoExpression
        self.at += 1
        return node

    def _group(self) -> Node:
        """The argument of a LaTeX command: a group in braces, or one digit or name."""
        if self._is("open", "{") or self._is("open", "("):
            self.at += 1
            return self._until(_CLOSER[self.tokens[self.at - 1].text])
        token = self._peek()
        if token is not None and token.kind in ("num", "var"):
            self.at += 1
            return Node("num", value=token.value) if token.kind == "num" else Node("var", name=token.text)
        raise NoExpression

    def _command(self, name: str) -> Node:
        if name == "\\frac":
            return self._fraction()
        if name == "\\binom":
            return Node("binom", (self._group(), self._group()))
        if name in ("\\boxed", "\\fbox"):
            return self._group()
        if name == "\\sqrt":
            if self._is("open", "["):
                self.at += 1
                degree = self._until("]")
                return Node("sqrt", (self._group(), degree))
            return Node("sqrt", (self._group(),))
        if name == "\\log":
            raise NoExpression  # to which base?
        if name[1:] in FUNCTIONS and not self._is("op", "^"):
            return Node(name[1:], (self._argument(),))
        raise NoExpression

    def _argument(self) -> Node:
        """Of a function without brackets: a product without signs, as in \\sin 2x."""
        node = self._signed()
        while self._is("var") and self._is_implicit(node):
            node = Node("*", (node, self._power()))
        return node

    def _fraction(self) -> Node:
        token = self._peek()
        if token is not None and token.kind == "num" and len(token.text) == 2 and token.text.isdecimal():  # \frac12
            self.at += 1
            top, bottom = (Node("num", value=Fraction(int(digit))) for digit in token.text)
            return Node("/", (top, bottom))
        return Node("/", (self._group(), self._group()))

    # --------------------------------------------------------------------------------------------------------- units
    def _units(self) -> None:
        """Read over the words of a unit or a remark after a number: "mph", "apples per box", "(red ones)"."""
        words = 0
        while words < MOST_UNIT_WORDS:
            token, after = self._peek(), self._peek(1)
            if token is None:
                return
            if token.kind == "word" and token.text not in _NO_UNITS:
                if token.text == "of" and (after is None or after.kind != "word" or after.text in _WORD_NUMBERS):
                    return
                if token.text in ("of", "the", "all") and words == 0 and self._is_share():
                    return
            elif token.kind == "op" and token.text == "/" and after is not None and after.kind == "word":
                if after.text in _WORD_NUMBERS or after.text in _NO_UNITS:
                    return
            elif token.kind == "open" and self._is_remark():
                self._skip_remark()
                continue
            elif not (token.kind == "var" and token.text == "a" and after is not None and after.kind == "word"):
                return
            self.at += 1
            words += 1

    def _is_share(self) -> bool:
        """Whether what was just read is a share that "of" applies to: 20 %, 1/2, half."""
        before = self.tokens[self.at - 1]
        if before.text in ("%", "half") or before.kind == "close":
            return True
        return before.kind == "num" and self.at >= 2 and self.tokens[self.at - 2].text == "/"

    def _is_remark(self) -> bool:
        """Whether a bracket holds words, and nothing to compute with."""
        has_words = False
        for place in range(self.at + 1, min(self.at + 12, len(self.tokens))):
            token = self.tokens[place]
            if token.kind == "close":
                return has_words
            if token.kind not in ("word", "var", "num"):
                return False
            has_words = has_words or (token.kind == "word" and token.text != "°")
        return False

    def _skip_remark(self) -> None:
        while not self._is("close"):
            self.at += 1
        self.at += 1


def parse_prefix(tokens: Sequence[Token], style: Style) -> tuple[Node, int]:
    """The longest expression at the start of the tokens, and how many tokens it takes.

    Raises: NoExpression: none begins there.
    """
    parser = Parser(tokens, style)
    node = parser.parse()
    return node, parser.at


def parse_whole(tokens: Sequence[Token], style: Style) -> Node:
    """The expression that all the tokens are, save for remarks at the end.

    Raises: NoExpression.
    """
    node, end = parse_prefix(tokens, style)
    if end != len(tokens):
        raise NoExpression
    return node


def parse_text(text: str) -> Node | None:
    """The expression that a whole text is; None where it is none."""
    from karat.rewards.step_check.tokens import tokenise

    tokens = [token for token in tokenise(text) if token.text not in ("\\[", "\\]", "\\(", "\\)", "\n")]
    while tokens and tokens[-1].kind == "break":
        tokens.pop()
    try:
        return parse_whole(tokens, STYLES[0])
    except NoExpression:
        return None
