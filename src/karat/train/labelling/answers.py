"""Whether a response reaches the right answer: the answer that it states last, compared as values.

Responses are a model's: they are searched in bounded steps, and never run.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from karat.data.records import plain
from karat.errors import InputError
from karat.rewards.step_check import same_answer
from karat.train.labelling.config import Unfinished
from karat.train.labelling.types import MISSING, Completion, Outcome
from karat.types import Text

Checker = Callable[[Any, str, str], bool | None]

MOST_TEXT = 20_000
"""Characters at the end of a response that are searched for its answer."""
MOST_ANSWER = 200

_BOXED = "\\boxed{"
_STATED = re.compile(r"####|\banswers?\s{0,3}(?:is|are|:|=)(?:\s?:)?", re.IGNORECASE)
_NUMBER = re.compile(r"-?\$?\d[\d,]*(?:\.\d+)?(?:\s*/\s*\d+)?%?")


def final_answer(text: str, *, any_number: bool = True) -> str:
    r"""The answer that a text states last: \boxed{...}, "#### ...", "the answer is ...", "Answer: ..."; else "".

    Args:
        any_number: where nothing is stated, the last number counts as the answer.
    """
    text = text[-MOST_TEXT:]
    ends = [match.end() for match in _STATED.finditer(text)]
    found = [(at, text[at : at + MOST_ANSWER].lstrip(" \t").partition("\n")[0]) for at in ends[-1:]]
    at = text.rfind(_BOXED)
    if at >= 0:
        found.append((at, _braced(text, at + len(_BOXED))))
    stated = max(found, default=(0, ""))[1]
    if _BOXED in stated:
        stated = _braced(stated, stated.rfind(_BOXED) + len(_BOXED))
    if cleaned := _cleaned(stated):
        return cleaned
    numbers = _NUMBER.findall(text) if any_number else []
    return numbers[-1].rstrip(",") if numbers else ""


def _braced(text: str, at: int) -> str:
    """What a brace that was opened before `at` holds; to the end where it is not closed."""
    depth = 1
    for index in range(at, min(len(text), at + MOST_ANSWER)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return text[at:index]
    return text[at : at + MOST_ANSWER]


def _cleaned(stated: str) -> str:
    """Without the sentence's own marks: a full stop at the end, emphasis."""
    text = re.split(r"\.(?:\s|$)|;\s", stated.strip(), maxsplit=1)[0]
    return text.replace("**", "").strip().strip("*_`").strip().rstrip(":.,").strip()


def _same(stated: str, answer: str) -> bool | None:
    """As values; answers without a letter or a digit (brackets, say) as characters, in which each counts."""
    if not any(map(str.isalnum, answer)):
        return "".join(stated.split()) == "".join(answer.split())
    return same_answer(stated, answer)


class AnswerCheck:
    """Judges completions by their final answers.

    Args:
        checker: called with the prompt, the whole response and the right answer, returns whether they agree, or None
            where it cannot tell; None: `final_answer` and `same_answer`.
        unfinished: what a completion is that was cut: missing, wrong, or read for an answer that it states in words.
    """

    def __init__(self, checker: Checker | None = None, *, unfinished: Unfinished = "missing") -> None:
        self.checker = checker
        self.unfinished = unfinished

    def outcome(self, prompt: Text, before: str, completion: Completion, answer: str) -> Outcome:
        """Whether `before` + the completion reaches the answer; missing, with the reason, where that is not known."""
        if completion.text is None:
            return Outcome(MISSING, completion.n_tokens, completion.why)
        response = before + completion.text
        if not completion.is_finished:
            if self.unfinished == "wrong":
                return Outcome(0.0, completion.n_tokens)
            if self.unfinished == "missing" or not final_answer(completion.text, any_number=False):
                return Outcome(MISSING, completion.n_tokens, "cut before its end")
        value, why = self.reaches(prompt, response, answer)
        return Outcome(value, completion.n_tokens, why)

    def reaches(self, prompt: Text, response: str, answer: str) -> tuple[float, str]:
        """1, 0, or NaN with the reason. Raises InputError: the checker returns neither a bool nor None."""
        if self.checker is None:
            stated = final_answer(response)
            if not stated:
                return 0.0, ""
            same = _same(stated, answer)
            return (MISSING, "answers that cannot be compared") if same is None else (float(same), "")
        try:
            found: Any = self.checker(plain(prompt), response, answer)
        except Exception as error:  # the user's code may raise anything; the other completions must survive it
            return MISSING, f"the checker raised {type(error).__name__}: {error}"
        if found is None:
            return MISSING, "the checker cannot tell"
        if not isinstance(found, bool | np.bool_):
            raise InputError(f"the checker returned {found!r}; it must return True, False or None.")
        return float(found), ""
