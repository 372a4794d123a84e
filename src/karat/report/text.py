"""Text as the reports show it: untrusted text made harmless, numbers and intervals made short.

Model completions are hostile input: an escape sequence can recolour or clear a terminal, set its title or write to the
clipboard (OSC 52), and a bidirectional control can make a line read as something else. Every report therefore passes
text from data or models through `escape_text`; HTML and Markdown escape their own syntax on top of that.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

# Cc: C0, DEL and C1 controls. Cf: bidirectional controls, zero-width characters, soft hyphen, tag characters.
# Cs: lone surrogates, which no encoder accepts. Zl, Zp: line breaks that only some programs see. Cn: not characters.
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Cn"})
# Invisible, yet counted as letters or marks: grapheme joiner, Hangul and Khmer fillers, variation selectors.
_HIDDEN_OTHERS = frozenset(
    {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10)}
    | set(range(0xE0100, 0xE01F0))
)
_SHORT_ESCAPES = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"}
_MARKS = frozenset({"Mn", "Me"})
_MARK_LIMIT = 4
"""Most combining marks in a row that are shown; more would grow over the lines above ("zalgo")."""


class _Visible(dict[int, str]):
    """A table for str.translate that fills itself: code point -> what is shown for it."""

    def __missing__(self, code: int) -> str:
        hidden = unicodedata.category(chr(code)) in _HIDDEN_CATEGORIES or code in _HIDDEN_OTHERS
        shown = _escape_code(code) if hidden else chr(code)
        self[code] = shown
        return shown


def _escape_code(code: int) -> str:
    if code in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[code]
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


_VISIBLE = _Visible()


def escape_text(text: str, *, keep_newlines: bool = False) -> str:
    r"""`text` with every character that is invisible, or that steers a terminal, shown as a Python escape.

    ESC becomes the four characters `\x1b`, a right-to-left override `\u202e`. A backslash stays as it is, so that code
    and LaTeX remain readable: the result says what to look for and is not meant to be decoded. Applying it twice
    changes nothing more.

    Args:
        text: anything, lone surrogates included.
        keep_newlines: leave line feeds alone (CR and CRLF become one), and show a tab as four spaces.
    Returns: text that may be printed on one line (several with `keep_newlines`) and encoded as UTF-8.
    """
    if keep_newlines:
        lines = text.replace("\r\n", "\n").replace("\t", "    ").split("\n")
        return "\n".join(escape_text(line) for line in lines)
    shown = text.translate(_VISIBLE)
    has_marks = not shown.isascii() and any(unicodedata.category(character) in _MARKS for character in set(shown))
    return _limit_marks(shown) if has_marks else shown


def _limit_marks(text: str) -> str:
    """Escape the combining marks beyond the first few of a run."""
    pieces, run = [], 0
    for character in text:
        run = run + 1 if unicodedata.category(character) in _MARKS else 0
        pieces.append(_escape_code(ord(character)) if run > _MARK_LIMIT else character)
    return "".join(pieces)


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters of `text`; a cut is marked with an ellipsis."""
    return text if len(text) <= limit else text[: max(limit - 1, 0)].rstrip() + "…"


def escape_short(text: str, limit: int) -> str:
    """`shorten(escape_text(text), limit)`, without escaping a megabyte to show a line of it."""
    return shorten(escape_text(text[: limit + 1]), limit)


def sentence(text: str) -> str:
    """`text` ended by a full stop, unless it ends a sentence already."""
    text = text.strip()
    return text if not text or text[-1] in ".!?…" else text + "."


# ------------------------------------------------------------------------------------------------------------- numbers
UNDEFINED = "n/a"


def format_number(value: float, *, decimals: int | None = None) -> str:
    """A number for reading: three significant digits, or `decimals` after the point; NaN is "n/a".

    Whole numbers keep all their digits, with thousands separators.
    """
    value = float(value)
    if math.isnan(value):
        return UNDEFINED
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if decimals is not None:
        text = f"{value:,.{decimals}f}"
        return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text  # no "-0.00"
    if value.is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}"
    size = abs(value)
    if size >= 1e6 or size < 1e-4:
        return f"{value:.2e}"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(size)))}f}"


def interval_decimals(low: float, high: float) -> int | None:
    """Digits after the point at which an interval's width shows two significant digits; None where that says nothing.

    More digits than that describe noise.
    """
    width = high - low
    if not math.isfinite(width) or width <= 0 or max(abs(low), abs(high)) >= 1e6:
        return None
    decimals = max(0, 1 - math.floor(math.log10(width)))
    return decimals if decimals <= 6 else None


def format_effect(effect: float, low: float, high: float) -> str:
    """ "0.731 [0.702, 0.760]"; the effect alone without an interval; "n/a" where the effect is undefined."""
    if math.isnan(low) and math.isnan(high):
        return format_number(effect)
    decimals = interval_decimals(low, high)
    point, lowest, highest = (format_number(value, decimals=decimals) for value in (effect, low, high))
    return f"{point} [{lowest}, {highest}]"


def format_cell(value: object, *, limit: int = 10_000) -> str:
    """One value of a table as text: numbers short, None and NaN "n/a", text escaped and cut to `limit` characters."""
    value = value.tolist() if hasattr(value, "tolist") else value  # numpy scalars
    if value is None:
        return UNDEFINED
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return format_number(value)
    return escape_short(str(value), limit)


def format_column(values: Sequence[object], *, limit: int = 10_000) -> list[str]:
    """The cells of one column. Fractions share their digits after the point, so that a column of them lines up."""
    plain = [value.tolist() if hasattr(value, "tolist") else value for value in values]
    texts = [format_cell(value, limit=limit) for value in plain]
    if not all(isinstance(value, float) for value in plain) or any("e" in text for text in texts):
        return texts
    decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
    return [format_number(value, decimals=min(decimals, 4)) for value in plain if isinstance(value, float)]


def format_rows(rows: Sequence[Sequence[object]], *, limit: int = 10_000) -> list[tuple[str, ...]]:
    """The cells of a table as text, formatted column by column."""
    return list(zip(*(format_column(column, limit=limit) for column in zip(*rows, strict=True)), strict=True))


def format_count(used: int, failed: int, missing: int) -> str:
    """ "1,204", or "1,204 (12 failed, 3 missing)" where any are."""
    rest = [f"{count:,} {word}" for count, word in ((failed, "failed"), (missing, "missing")) if count]
    return f"{used:,} ({', '.join(rest)})" if rest else f"{used:,}"
