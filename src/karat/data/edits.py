"""Edits of a response that keep what it says: padding, formatting, other words for the same.

Each takes a text and gives the edited one, or None where it does not apply or would change what is said (inside code,
maths, tables and links nothing is touched). No chance is in them: the same text is always edited alike.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from karat.types import Text, TokenIds

Edit = Callable[[str], str | None]

FILLERS = (
    "I hope this helps! Please let me know if there is anything else that I can do for you.",
    "As always, there is more that could be said about this, and it is worth taking the time to think about it.",
    "Feel free to ask if any part of this needs more explanation, and I will gladly go over it again.",
    "Thank you for bringing this up. It is a topic that many people think about, and each of them has reasons to.",
)
"""Sentences that fit any answer and say nothing."""
_NOT_PROSE = re.compile(r"`|\$|\\[(\[]|https?://|^\s*\||^ {4}\S|^\t", re.MULTILINE)
_SENTENCE_END = re.compile(
    r"(?<=[a-z)\"'][.!?])(?<!\bMr\.)(?<!\bMs\.)(?<!\bDr\.)(?<!\bSt\.)(?<!\bMrs\.)(?<!\bvs\.)(?<!\be\.g\.)(?<!\bi\.e\.)"
    r" +(?=[A-Z\"'])"
)
_PRONOUN = r"(?! (?:I|you|we|they|he|she|it|this|that|there)\b)"
_NEGATIONS = {
    "do not": "don't", "does not": "doesn't", "did not": "didn't", "is not": "isn't", "are not": "aren't",
    "was not": "wasn't", "were not": "weren't", "has not": "hasn't", "have not": "haven't", "had not": "hadn't",
    "will not": "won't", "would not": "wouldn't", "could not": "couldn't", "should not": "shouldn't",
    "cannot": "can't",
}  # fmt: skip
_PHRASES = {
    "for example": "for instance", "perhaps": "maybe", "a lot of": "lots of", "in order to": "to",
    "due to the fact that": "because", "at this point in time": "now",
}  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- padding
def with_filler(text: str) -> str | None:
    """A sentence that says nothing, after the rest; which one depends on the text.

    After several lines it is a paragraph of its own: behind a list it would join the last item, behind a code fence it
    would keep the fence from closing.
    """
    filler = FILLERS[_number(text, "filler") % len(FILLERS)]
    gap = "\n\n" if "\n" in text.strip() else " "
    return f"{text.rstrip()}{gap}{filler}" if text.strip() and filler not in text else None


def with_repeat(text: str) -> str | None:
    """The last of at least two sentences once more."""
    if not is_prose(text) or len(parts := _sentences(text)) < 2:
        return None
    return f"{text.rstrip()} {parts[-1].strip()}"


# ---------------------------------------------------------------------------------------------------------- formatting
def with_heading(text: str) -> str | None:
    """A heading that says nothing, before the rest."""
    body = text.strip()
    return f"{_lead(text)}## Answer\n\n{body}" if body and not body.startswith("#") else None


def with_bold(text: str) -> str | None:
    """The first sentence in bold type."""
    if not is_prose(text) or "*" in text or "\n" in text.strip():
        return None
    first, *rest = _sentences(text)
    return _lead(text) + " ".join([f"**{first.strip()}**", *(part.strip() for part in rest)]) if first.strip() else None


def as_list(text: str) -> str | None:
    """One list item for each of at least two sentences of one paragraph."""
    if not is_prose(text) or "\n" in text.strip() or len(parts := _sentences(text)) < 2:
        return None
    return _lead(text) + "\n".join(f"- {part.strip()}" for part in parts)


# ----------------------------------------------------------------------------------------------------------- rewording
def contracted(text: str) -> str | None:
    """ "do not" and its like as "don't"."""
    return _changed(text, _swapped(text, _NEGATIONS)) if is_prose(text) else None


def expanded(text: str) -> str | None:
    """ "don't" and its like as "do not", where no question is asked by it."""
    if not is_prose(text):
        return None
    long = {short.replace("'", sign): whole for whole, short in _NEGATIONS.items() for sign in "'\u2019"}
    return _changed(text, _swapped(text, long, after=_PRONOUN))


def rephrased(text: str) -> str | None:
    """A few phrases as others that mean the same."""
    return _changed(text, _swapped(text, _PHRASES)) if is_prose(text) else None


def curled(text: str) -> str | None:
    """Typographic apostrophes and double quotes in place of straight ones."""
    if not is_prose(text) or text.count('"') % 2:
        return None
    opened = re.sub(r'"([^"]*)"', "\u201c\\1\u201d", text)
    return _changed(text, re.sub(r"(?<=\w)'(?=\w)", "\u2019", opened))


def straightened(text: str) -> str | None:
    """Straight quotes in place of typographic ones."""
    if not is_prose(text):
        return None
    return _changed(text, text.translate(str.maketrans("\u201c\u201d\u2018\u2019", "\"\"''")))


def respaced(text: str) -> str | None:
    """Two blanks between sentences."""
    return _changed(text, _SENTENCE_END.sub("  ", text)) if is_prose(text) else None


PADDINGS: Mapping[str, Edit] = {"filler": with_filler, "repeat": with_repeat}
"""They add length and nothing else."""
FORMATTINGS: Mapping[str, Edit] = {"heading": with_heading, "bold": with_bold, "list": as_list}
"""They add marks and nothing else."""
REWORDINGS: Mapping[str, Edit] = {
    "contracted": contracted, "expanded": expanded, "rephrased": rephrased, "curled": curled,
    "straightened": straightened, "respaced": respaced,
}  # fmt: skip
"""They say the same in other words or signs."""


def reworded(text: str) -> str | None:
    """About half of the rewordings that apply, at least one; which ones depends on the text."""
    applicable = [name for name, edit in REWORDINGS.items() if edit(text) is not None]
    chosen = [name for name in applicable if _number(text, name) % 2] or applicable[:1]
    for name in chosen:
        text = REWORDINGS[name](text) or text
    return text if chosen else None


def edited(text: Text, edit: Edit) -> Text | None:
    """An edit of a text, or of the last message of a conversation; None where it does not apply (or to token ids)."""
    if isinstance(text, TokenIds) or not text:
        return None
    if isinstance(text, str):
        return edit(text)
    content = edit(text[-1].content)
    return None if content is None else (*text[:-1], replace(text[-1], content=content))


def is_prose(text: str) -> bool:
    """Whether a text has words and no code, maths, table or link."""
    return bool(text.strip()) and _NOT_PROSE.search(text) is None


def _sentences(text: str) -> list[str]:
    return _SENTENCE_END.split(text.strip())


def _lead(text: str) -> str:
    """The blanks before a text, which separate it from its prompt."""
    return text[: len(text) - len(text.lstrip())]


def _swapped(text: str, words: Mapping[str, str], *, after: str = "") -> str:
    """Whole words replaced, a capital at the start kept."""
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})\b{after}", re.IGNORECASE)

    def swap(found: re.Match[str]) -> str:
        other = words[found.group().lower()]
        return other[0].upper() + other[1:] if found.group()[0].isupper() else other

    return pattern.sub(swap, text)


def _changed(text: str, other: str) -> str | None:
    return other if other != text else None


def _number(text: str, salt: str) -> int:
    """A whole number fixed by the text."""
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=4, key=salt.encode()).digest()
    return int.from_bytes(digest, "big")
