"""What a probe is: an edit whose effect on what is right is known, and the proof that it is.

A probe names what its edit may do to the score:
    "0"    nothing: the edit changes neither content nor what is right
    "<=0"  not raise it: the edit adds what nobody asked for
    ">=0"  not lower it
    "-"    lower it: the edit takes away, or breaks, what was right
    "+"    raise it
A probe of the prompt is judged by the margin between the two responses instead of by the score of one: scores under
different prompts cannot be compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Literal

import numpy as np

from karat.data.edits import edited, is_prose
from karat.errors import InputError
from karat.rewards.groups import last_text
from karat.types import Message, PreferencePair, Text, TokenIds

Expected = Literal["0", "<=0", ">=0", "-", "+"]

PROMPTS_FOR_DIALECT = 3
"""Fewer different plain prompts do not show which of their text is the frame."""
LONGEST_FRAME = 60
_MARKS_OF_FRAME = ("\n", ":", ">", "<", "]", "[")
"""A frame begins or ends with one of these; words that all questions share are part of the questions."""
_FORM = re.compile(
    r"\b(?:json|csv|xml|html|yaml|markdown|latex|format(?:ted|ting)?|bullet(?:s|ed)?|table|heading|bold|italics?|quotes?|"
    r"quoted|quotation|capital letters|upper-?case|lower-?case|exactly|at least|at most|no more than|words?|sentences?|"
    r"paragraphs?|lines?|letters?|characters?|syllables?|rhymes?|repeat|copy|verbatim|spell(?:ing)?|longer|shorter|"
    r"detail(?:ed|s)?|only with|only the|nothing else|(?:begin|start|end)s? with|lists?|numbered|boxed|brief(?:ly)?|"
    r"short|concise(?:ly)?|summar(?:y|ise|ize)|punctuat(?:e|ion)|grammar|proofread|typos?|emojis?|poems?|haikus?|"
    r"limericks?|sonnets?|songs?|lyrics|verses?|stanzas?|tweets?|titles?|headlines?|slogans?|e-?mails?|"
    r"step[ -]by[ -]step|contractions?|rewrite|rephrase|paraphrase)\b",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"`|^(?: {4,}|\t)\s*\S|^\s*(?:def|class|import|from \w\S* import|return|print|elif|public|private|static)\b|"
    r"^#include|[{;]\s*$|^\s*\}\s*$|^\s*[\w.]+\(.*\)\s*$|^\s*[A-Za-z_]\w* = [\"'\[{(]",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Item:
    """One response that a probe may edit.

    Attributes:
        question: text of the user's last turn; text: text of the response's last turn.
        cluster: the prompt's id.
        is_chosen: whether it is the better one of its pair, or right by construction.
        against: the other response of the pair; None without one.
        other: text of a response to another prompt; empty where there is none.
        wrong: of a built-in item, what a wrong answer says in place of `right`; empty elsewhere.
    """

    prompt: Text
    response: Text
    question: str
    text: str
    cluster: str
    is_chosen: bool = True
    against: Text | None = None
    tools: str = ""
    other: str = ""
    right: str = ""
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the data writes a prompt and a response, so that built-in questions look like the user's.

    Attributes:
        is_chat: conversations; else plain text with `head` before a question, `tail` after it and `lead` before an
            answer.
    """

    is_chat: bool = False
    head: str = ""
    tail: str = "\n"
    lead: str = ""

    @classmethod
    def of(cls, pairs: Sequence[PreferencePair]) -> Dialect:
        """The frame that all prompts share. Raises: InputError: the data is tokenised."""
        if any(isinstance(text, TokenIds) for pair in pairs for text in (pair.prompt, pair.chosen, pair.rejected)):
            raise InputError("probes edit text, and the data is tokenised. Give the text that the tokens came from.")
        if any(isinstance(pair.prompt, tuple) for pair in pairs):
            return cls(is_chat=True)
        prompts = sorted({pair.prompt for pair in pairs if isinstance(pair.prompt, str)})
        starts = sum(last_text(pair.chosen).startswith(" ") for pair in pairs)
        lead = " " if 2 * starts > len(pairs) else ""
        if len(prompts) < PROMPTS_FOR_DIALECT:
            return cls(lead=lead)
        head = _shared_start(prompts)
        head = head[: max((head.rfind(mark) + 1 for mark in _MARKS_OF_FRAME), default=0)]
        head += " " if head and all(prompt.startswith(f"{head} ") for prompt in prompts) else ""
        tail = _shared_start([prompt[::-1] for prompt in prompts])[::-1]
        tail = tail[min((at for at in map(tail.find, _MARKS_OF_FRAME) if at >= 0), default=len(tail)) :]
        if not tail.strip() or max(len(head), len(tail)) > LONGEST_FRAME:
            return cls(lead=lead)
        return cls(head=head, tail=tail, lead=lead)

    def prompt(self, question: str) -> Text:
        return (Message("user", question),) if self.is_chat else f"{self.head}{question}{self.tail}"

    def response(self, text: str) -> Text:
        return (Message("assistant", text),) if self.is_chat else self.lead + text

    def question(self, prompt: Text) -> str:
        """The user's last turn; of plain text, all within the frame after its last head."""
        if isinstance(prompt, tuple):
            return next((message.content for message in reversed(prompt) if message.role == "user"), "")
        start, end = self._body(str(prompt))
        return str(prompt)[start:end]

    def with_question(self, prompt: Text, question: str) -> Text:
        """The prompt with another last turn of the user."""
        if isinstance(prompt, tuple):
            at = max((k for k, message in enumerate(prompt) if message.role == "user"), default=None)
            if at is None:
                return prompt
            return (*prompt[:at], replace(prompt[at], content=question), *prompt[at + 1 :])
        start, end = self._body(str(prompt))
        return str(prompt)[:start] + question + str(prompt)[end:]

    def _body(self, prompt: str) -> tuple[int, int]:
        end = len(prompt) - len(self.tail) if self.tail and prompt.endswith(self.tail) else len(prompt)
        at = prompt.rfind(self.head, 0, end) if self.head else -1
        return (at + len(self.head) if at >= 0 else 0), end


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One edit.

    Attributes:
        expected: what it may do to the score, see above.
        why: what a reward that fails it pays for, one line.
        edit: the new text of the last turn of the response (or of the user, where `edits` says so); None: does not
            apply. It draws only from the generator.
        applies: whether the edit may be made; without one: wherever the edit gives a text.
        proof: checked on every edited text: True only if the text shows that the edit did to what is right what
            `expected` says. An edit that fails it is not used.
        sides: "chosen": only the better response is edited, where the edit could improve a bad one.
        items: built-in items (of known truth) to edit instead of the user's pairs.

    Where the question asks for a form or a length, an edit of the answer could meet or break what was asked for: only
    probes that take something away ("-") are used there.
    """

    name: str
    expected: Expected
    why: str
    edit: Callable[[Item, np.random.Generator], str | None]
    proof: Callable[[Item, str], bool]
    applies: Callable[[Item], bool] = lambda item: True
    edits: Literal["response", "prompt"] = "response"
    sides: Literal["both", "chosen"] = "both"
    items: Callable[[Dialect, np.random.Generator], list[Item]] | None = None

    def after(self, item: Item, rng: np.random.Generator) -> str | None:
        """The edited text, proven; None where the probe does not apply."""
        if (self.sides == "chosen" or self.edits == "prompt") and not item.is_chosen:
            return None
        if self.edits == "response" and self.expected != "-" and asks_for_form(asked(item)):
            return None
        if not self.applies(item):
            return None
        text = self.edit(item, rng)
        before = item.question if self.edits == "prompt" else item.text
        return text if text is not None and text != before and self.proof(item, text) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Probes that ask one question of a reward; a finding of its own.

    Attributes:
        code, title: of the finding; name: in the table and for --probes.
        action: what a user should do about a problem.
    """

    code: str
    name: str
    title: str
    action: str
    probes: tuple[Probe, ...]


def _shared_start(texts: Sequence[str]) -> str:
    first, last = min(texts), max(texts)
    return "".join(a for a, _ in takewhile(lambda both: both[0] == both[1], zip(first, last, strict=False)))


def asks_for_form(question: str) -> bool:
    """Whether a question speaks of the form or the length of its answer."""
    return _FORM.search(question) is not None


def asked(item: Item) -> str:
    """All that was asked for: the question, and in a conversation also what the system and earlier turns of the user
    say."""
    if not isinstance(item.prompt, tuple):
        return item.question
    return "\n".join([*(each.content for each in item.prompt if each.role in ("system", "user")), item.question])


def is_first_turn(item: Item) -> bool:
    """Whether nothing was said before the question but a frame."""
    if isinstance(item.prompt, tuple):
        return not any(message.role == "assistant" for message in item.prompt)
    return len(str(item.prompt)) - len(item.question) <= 2 * LONGEST_FRAME


def has_code(text: str) -> bool:
    """Whether a line looks like a program's: there, blanks, marks and signs can mean something."""
    return _CODE.search(text) is not None


# ------------------------------------------------------------------------------------------------------------ proofs
def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def same_words(item: Item, text: str) -> bool:
    """The same words in the same order: marks and blanks alone differ."""
    return words(item.text) == words(text)


def keeps_response(item: Item, text: str) -> bool:
    """The response is still there, letter for letter, beside what was added."""
    return bool(item.text.strip()) and item.text.strip() in text


def keeps_question(item: Item, text: str) -> bool:
    """The question is still there, letter for letter, beside what was added."""
    return bool(item.question.strip()) and item.question.strip() in text


def is_removal(item: Item, text: str) -> bool:
    """A proper beginning of the response: something is missing, nothing was added."""
    return len(text) < len(item.text) and item.text.startswith(text)


def is_replaced(item: Item, text: str) -> bool:
    """Nothing of the response's words is left in order."""
    return text.strip() != item.text.strip() and not (item.text.strip() and item.text.strip() in text)


def is_wrong(item: Item, text: str) -> bool:
    """A built-in item: the right words are gone and the wrong ones there."""
    return bool(item.wrong) and item.wrong in text and text != item.text


# ------------------------------------------------------------------------------------------------- edits made of parts
def prepend(text: str, *, sep: str = " ") -> Callable[[Item, np.random.Generator], str | None]:
    """An edit that puts a text before the response, after the blanks that separate it from the prompt."""

    def edit(item: Item, rng: np.random.Generator) -> str | None:
        body = item.text.lstrip()
        return item.text[: len(item.text) - len(body)] + text + sep + body if body else None

    return edit


def append(text: str, *, sep: str = " ") -> Callable[[Item, np.random.Generator], str | None]:
    """An edit that puts a text after the response."""

    def edit(item: Item, rng: np.random.Generator) -> str | None:
        return item.text.rstrip() + sep + text if item.text.strip() else None

    return edit


def whole(text: str) -> Callable[[Item, np.random.Generator], str | None]:
    """An edit that puts a text in the response's place."""
    return lambda item, rng: text


def of_text(edit: Callable[[str], str | None]) -> Callable[[Item, np.random.Generator], str | None]:
    """An edit of the response's text alone, without chance."""
    return lambda item, rng: edit(item.text)


def of_prose(edit: Callable[[str], str | None]) -> Callable[[Item, np.random.Generator], str | None]:
    """An edit of the response's text alone, where all of it is prose."""
    return lambda item, rng: edit(item.text) if is_prose(item.text) and not has_code(item.text) else None


def set_text(response: Text, text: str) -> Text:
    """The response with another text in its last turn."""
    changed = edited(response, lambda _: text)
    return changed if changed is not None else text
