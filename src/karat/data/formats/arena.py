"""Chatbot-arena votes, and the plain form that many sets share: two responses and who won."""

from __future__ import annotations

import json
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

_FIRST = {"a", "model_a", "response_a", "model a", "left"}
_SECOND = {"b", "model_b", "response_b", "model b", "right"}
_TIE = {"tie", "both_bad", "bothbad", "tie (bothbad)", "both bad", "tie (both bad)", "equal", "draw"}
_VOTES = ("winner_model_a", "winner_model_b", "winner_tie")
_RESPONSES = (("response_a", "response_b"), ("response_1", "response_2"), ("response1", "response2"))
_PROMPTS = ("prompt", "instruction", "question")


def winner(row: Row, first: str, second: str) -> float:
    """1: the first won, -1: the second, 0: a tie (both bad counts as one). Raises DropRowError for other values."""
    value = row.value("winner")
    text = str(value).strip().lower()
    numbered = first[-1] == "1"  # "winner: 1" is clear beside response_1, and a guess beside response_a
    if text in _FIRST or text == first or (numbered and text == "1"):
        return 1.0
    if text in _SECOND or text == second or (numbered and text == "2"):
        return -1.0
    if text in _TIE:
        return 0.0
    raise DropRowError(f"winner is {value!r:.40}, which names neither response nor a tie")


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
    better = winner(row, "model_a", "model_b")
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


def _read_generic(row: Row) -> list[PreferencePair]:
    names = _generic_columns(row.raw)
    if names is None:
        raise DropRowError("a prompt or one of two responses is missing")
    prompt, first, second = names
    turns = user(row.text(prompt)) if is_text(row.raw[prompt]) else row.messages(prompt)
    return [row.compare(turns, row.messages(first), row.messages(second), winner(row, first, second))]


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
        columns="prompt (or instruction, question); response_a, response_b (or response_1, response_2; response1, "
        "response2): text or list of messages; winner: a, b, tie, ...",
        description="generic: two responses and which of them won",
        matches=lambda row: _generic_columns(row) is not None and "winner" in row,
        read=_read_generic,
    ),
)
