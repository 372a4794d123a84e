"""What a reward could pay for without reading: cheap counts of a response's surface.

One pass over the words and a few searches: 20 to 40 microseconds for 40 words.  Axes: R responses, F features.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

_WORDS: dict[str, str] = {
    "first person": "i me my mine myself i'm i've i'd i'll we us our ours we're we've",
    "apology": "sorry apologize apologise apologies apology apologizes apologises regret regrettably unfortunately "
    "forgive",
    "hedging": "may might maybe perhaps possibly probably likely seems seem seemingly appears apparently could "
    "generally usually often sometimes somewhat arguably roughly approximately potentially presumably",
    "confidence": "certainly definitely clearly obviously undoubtedly absolutely surely always never exactly precisely "
    "guaranteed undeniably unquestionably indeed proven indisputably",
    "politeness": "please thank thanks welcome hope happy glad kindly appreciate",
}
"""Name -> the words that are counted."""
_FEATURE_OF_WORD = {word: index for index, words in enumerate(_WORDS.values()) for word in words.split()}
_PUNCTUATION = ".,;:!?\"'()[]{}*_`#>-"
_LIST_ITEM = re.compile(r"^[ \t]*(?:[-*+]|\d+[.)])[ \t]", re.MULTILINE)
_HEADER = re.compile(r"^#{1,6}[ \t]", re.MULTILINE)
_LINK = re.compile(r"https?://|www\.|\]\(")
_PRAISE = re.compile(
    r"\s*(?:what an? |that(?:'s| is) an? |this is an? |you(?:'re| are) )?(?:(?:absolutely|really|very|such an?|so) )*"
    r"(?:great|good|excellent|wonderful|fantastic|brilliant|amazing|perfect|insightful|thoughtful|right|interesting)"
    r"(?:$|[ !,.])(?:question|point|idea|thought|work|job|observation|absolutely|!)?",
    re.IGNORECASE,
)
# "I can't help with that": the verb decides, since "I can't believe it" refuses nothing
_REFUSAL = re.compile(
    r"\bi(?:['’]m| am)? "
    r"(?:can(?:['’]t| ?not)|won['’]t|will not|(?:unable|not able|not going|must decline|have to decline) to)"
    r"(?: really| actually| currently)?"
    r" (?:help|assist|provide|do|answer|comply|fulfil|support|create|write|generate|give|share|discuss|engage|advise"
    r"|recommend|tell|offer|participate|condone|encourage)"
    r"|\bi(?:['’]m| am) not comfortable "
)
_REFUSAL_HINTS = (
    "can't",
    "can’t",
    "cannot",
    "can not",
    "won't",
    "won’t",
    "will not",
    "able to",
    "not going to",
    "decline to",
    "not comfortable",
)
_AS_AN_AI = ("as an ai", "as an artificial", "as a language model", "as a large language", "i am an ai", "i'm an ai")

FEATURES: tuple[str, ...] = (
    "length, characters",
    "length, words",
    "lines",
    "list items",
    "headers",
    "bold spans",
    "code fences",
    "links",
    "digits",
    "exclamation marks",
    "question marks",
    "non-ASCII, share",
    "distinct words, share",
    "repeated triples, share",
    "praise at the start",
    '"as an AI"',
    *(f"{name} words" for name in _WORDS),
    "refusal phrases",
)
"""Names of what `count_features` counts, in its order."""


def count_features(text: str) -> tuple[float, ...]:
    """The features of one response; a share of nothing is NaN."""
    lower = text.lower()
    words = lower.split()
    counts = [0] * len(_WORDS)
    for word in words:
        index = _FEATURE_OF_WORD.get(word if word.isalpha() else word.strip(_PUNCTUATION))
        if index is not None:
            counts[index] += 1
    n_words = len(words)
    triples = set(zip(words, words[1:], words[2:], strict=False))
    return (
        float(len(text)),
        float(n_words),
        float(text.count("\n") + 1),
        float(len(_LIST_ITEM.findall(text))),
        float(len(_HEADER.findall(text))) if "#" in text else 0.0,
        float((text.count("**") + text.count("__")) // 2),
        float((text.count("```") + 1) // 2),
        float(len(_LINK.findall(lower))) if "http" in lower or "www." in lower or "](" in text else 0.0,
        float(sum(map(text.count, "0123456789"))),
        float(text.count("!")),
        float(text.count("?")),
        0.0 if text.isascii() else sum(char > "\x7f" for char in text) / len(text),
        len(set(words)) / n_words if n_words else math.nan,
        1 - len(triples) / (n_words - 2) if n_words > 2 else math.nan,
        float(_PRAISE.match(text[:80]) is not None),
        float(sum(map(lower.count, _AS_AN_AI))),
        *map(float, counts),
        float(len(_REFUSAL.findall(lower))) if any(map(lower.__contains__, _REFUSAL_HINTS)) else 0.0,
    )


def features_of(texts: Sequence[str]) -> np.ndarray:
    """The features of each response, shape (R, F); a share of nothing is the mean share of the others, or 0."""
    feature_RF = np.array([count_features(text) for text in texts], np.float64).reshape(len(texts), len(FEATURES))
    for column in feature_RF.T:
        is_missing = np.isnan(column)
        if is_missing.any():
            column[is_missing] = column[~is_missing].mean() if not is_missing.all() else 0.0
    return feature_RF
