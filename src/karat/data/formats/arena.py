"""Chatbot-arena votes, and the plain form that many sets share: two responses and who won."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Mapping
from typing import Any

from karat.data.formats.base import Format, typed
from karat.data.records import (
    DropRowError,
    Row,
    as_number,
    assistant,
    is_chat,
    is_list,
    is_text,
    kind_of,
    split_chats,
    user,
)
from karat.types import Message, PreferencePair

_FIRST = {"a", "model_a", "response_a", "model a", "left", "a>b"}
_SECOND = {"b", "model_b", "response_b", "model b", "right", "b>a"}
_TIE = {"tie", "both_bad", "bothbad", "tie (bothbad)", "both bad", "tie (both bad)", "equal", "draw", "a=b"}
_VOTES = ("winner_model_a", "winner_model_b", "winner_tie")
_RESPONSES = (
    ("response_a", "response_b"),
    ("response_A", "response_B"),
    ("response_1", "response_2"),
    ("response1", "response2"),
    ("response_0", "response_1"),
)
_WINNERS = ("winner", "better_response_id", "label")
_PROMPTS = ("prompt", "instruction", "question")
_ANNOTATOR = re.compile(r"annotator_?\d+")


def winner(row: Row, column: str, first: str, second: str) -> float:
    """1: the first won, -1: the second, 0: a tie (both bad counts as one). Raises DropRowError for other values."""
    value = row.value(column)
    text = str(value).strip().lower()
    numbered = first[-1].isdigit()  # "winner: 1" is clear beside response_1, and a guess beside response_a
    if text in _FIRST or text == first.lower() or (numbered and text == first[-1]):
        return 1.0
    if text in _SECOND or text == second.lower() or (numbered and text == second[-1]):
        return -1.0
    if text in _TIE:
        return 0.0
    raise DropRowError(f"{column} is {value!r:.40}, which names neither response nor a tie")


# --------------------------------------------------------------------------------------------------------- arena votes
def _turns(row: Row, name: str) -> list[str]:
    """The texts of a column that holds a JSON list of texts (55k), or such a list."""
    value = row.value(name)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise DropRowError(f"column {name!r} holds no JSON list of turns") from error
    if not is_list(value) or not all(item is None or isinstance(item, str) for item in value):
        raise DropRowError(f"column {name!r} holds {kind_of(value)}, not a list of texts")
    return [item or "" for item in value]


def _read_55k(row: Row) -> list[PreferencePair]:
    questions = _turns(row, "prompt")
    chats = []
    for name in ("response_a", "response_b"):
        answers = _turns(row, name)
        if len(answers) != len(questions):
            raise DropRowError(f"column {name!r} has another number of turns than the prompt")
        both = zip(questions, answers, strict=True)
        chats.append(tuple(turn for question, answer in both for turn in (*user(question), *assistant(answer))))
    votes = [as_number(row.value(name)) for name in _VOTES]
    if sorted(votes) != [0.0, 0.0, 1.0]:
        raise DropRowError("not exactly one of winner_model_a, winner_model_b, winner_tie is 1")
    return [_of_chats(row, chats[0], chats[1], votes[0] - votes[1])]


def _read_140k(row: Row) -> list[PreferencePair]:
    better = winner(row, "winner", "model_a", "model_b")
    return [_of_chats(row, row.messages("conversation_a"), row.messages("conversation_b"), better)]


def _of_chats(row: Row, first: tuple[Message, ...], second: tuple[Message, ...], better: float) -> PreferencePair:
    prompt, one, two = split_chats(first, second)
    return row.compare(prompt, one, two, better)


# ----------------------------------------------------------------------------------------------- two responses, one won
def _generic_columns(row: Mapping[str, Any]) -> tuple[str, str, str] | None:
    prompt = next((name for name in _PROMPTS if is_text(row.get(name)) or is_chat(row.get(name))), None)
    for first, second in _RESPONSES:
        if prompt and all(is_text(row.get(name)) or is_chat(row.get(name)) for name in (first, second)):
            return prompt, first, second
    return None


def _winner_column(row: Mapping[str, Any]) -> str | None:
    return next((name for name in _WINNERS if name in row), None)


def _annotators(row: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in row if isinstance(name, str) and _ANNOTATOR.fullmatch(name))


def _prompt_and_responses(row: Row) -> tuple[tuple[Message, ...], str, str]:
    """The prompt, and the names of the columns of the two responses."""
    names = _generic_columns(row.raw)
    if names is None:
        raise DropRowError("a prompt or one of two responses is missing or not text")
    prompt, first, second = names
    if not is_text(row.raw[prompt]):
        return row.messages(prompt), first, second
    question, detail = row.text(prompt), row.text_or("input") if prompt == "instruction" else ""
    return user(f"{question}\n{detail}" if detail else question), first, second


def _read_generic(row: Row) -> list[PreferencePair]:
    prompt, first, second = _prompt_and_responses(row)
    column = _winner_column(row.raw)
    if column is None:
        raise DropRowError(f"none of the columns {', '.join(_WINNERS)} is there")
    better = winner(row, column, first, second)
    return [row.compare(prompt, row.messages(first), row.messages(second), better)]


def _read_votes(row: Row) -> list[PreferencePair]:
    """The label is the share of votes for the response that has more of them; a vote of 0 is half a vote for each."""
    prompt, first, second = _prompt_and_responses(row)
    votes = [vote for vote in (as_number(row.raw[name]) for name in _annotators(row.raw)) if not math.isnan(vote)]
    if not votes or not set(votes) <= {0.0, 1.0, 2.0}:
        raise DropRowError("the annotators' columns hold something other than 0, 1 and 2")
    share = statistics.mean({1.0: 1.0, 2.0: 0.0, 0.0: 0.5}[vote] for vote in votes)
    return [row.compare(prompt, row.messages(first), row.messages(second), share - 0.5, label=share)]


FORMATS = (
    Format(
        name="arena-55k",
        columns="prompt, response_a, response_b: list of texts, or one as JSON text; winner_model_a, winner_model_b, "
        "winner_tie: 0 or 1",
        description="lmarena arena-human-preference-55k",
        matches=lambda row: (
            all(is_text(row.get(name)) or is_list(row.get(name)) for name in ("prompt", "response_a", "response_b"))
            and all(name in row for name in _VOTES)
        ),
        read=_read_55k,
    ),
    Format(
        name="arena-140k",
        columns="conversation_a, conversation_b: list of messages; winner: model_a, model_b, tie, both_bad",
        description="lmarena arena-human-preference-100k and -140k; both bad is a tie",
        matches=lambda row: typed(row, is_chat, "conversation_a", "conversation_b") and "winner" in row,
        read=_read_140k,
    ),
    Format(
        name="two-responses",
        columns="prompt (or instruction with input, question); response_a, response_b (or response_A, response_B; "
        "response_1, response_2; response1, response2; response_0, response_1): text or list of messages; winner (or "
        "label, better_response_id): a, b, tie, A>B, ...",
        description="generic, JudgeBench, PKU-SafeRLHF: two responses and which of them won; a number counts only "
        "where the responses are numbered",
        matches=lambda row: _generic_columns(row) is not None and _winner_column(row) is not None,
        read=_read_generic,
    ),
    Format(
        name="annotator-votes",
        columns="prompt (or instruction with input, question); response1, response2 (or the other names of "
        "two-responses): text or list of messages; annotator1, annotator2, ...: 1, 2, or 0 for a tie",
        description="PandaLM's test set: the label is the share of votes, a tie being half a vote for each; the votes "
        "stay in `extra`",
        matches=lambda row: _generic_columns(row) is not None and len(_annotators(row)) > 0,
        read=_read_votes,
    ),
)
