"""TRL's preference formats, which OpenRLHF, Skywork, RLHFlow, XTuner and RM-Gallery share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from karat.data.formats.base import Format, absent, typed
from karat.data.formats.own import token_ids
from karat.data.records import (
    DropRowError,
    Row,
    is_chat,
    is_list,
    is_text,
    split_chats,
    split_texts,
    user,
)
from karat.types import NAN, Message, PreferencePair

_SCORE_COLUMNS = (
    ("score_chosen", "score_rejected"),
    ("chosen_score", "rejected_score"),
    ("chosen-rating", "rejected-rating"),
    ("chosen_avg_rating", "rejected_avg_rating"),
)
NOT_OF_CHATS = "the prompt column is not the beginning of the chats: the chats' own prompt was taken"
_ID_COLUMNS = (("chosen_ids", "rejected_ids"), ("chosen_input_ids", "rejected_input_ids"))


def strength(row: Row) -> float:
    """The margin where there is one, else the difference of the scores of the two sides."""
    if "margin" in row.raw:
        margin = row.number_or_nan("margin")
        if margin < 0:
            row.note("margin is below 0: chosen stays chosen, strength is negative")
        return margin
    for chosen, rejected in _SCORE_COLUMNS:
        if chosen in row.raw and rejected in row.raw:
            difference = row.number_or_nan(chosen) - row.number_or_nan(rejected)
            if difference < 0:
                row.note(f"{chosen} is below {rejected}: chosen stays chosen, strength is negative")
            return NAN if math.isnan(difference) else difference
    return NAN


# ------------------------------------------------------------------------------------------------------------ standard
def _read_standard(row: Row) -> list[PreferencePair]:
    chosen, rejected = row.text("chosen"), row.text("rejected")
    if row.has("prompt"):
        prompt = row.text("prompt")
        if prompt and chosen.startswith(prompt) and rejected.startswith(prompt):
            row.note("both responses begin with the prompt: joined as they are, it stands there twice")
    else:
        prompt, chosen, rejected = split_texts(chosen, rejected)
        row.note("no prompt column: the shared beginning of both texts up to its last line break is the prompt")
    return [row.pair(prompt, chosen, rejected, strength=strength(row))]


STANDARD = Format(
    name="trl-standard",
    columns="chosen, rejected: text; [prompt: text, margin]",
    description="TRL standard, OpenRLHF: prompt and response are joined as they are. Without a prompt the shared "
    "beginning up to its last line break is the prompt",
    matches=lambda row: typed(row, is_text, "chosen", "rejected") and (absent(row, "prompt") or is_text(row["prompt"])),
    read=_read_standard,
)


# ------------------------------------------------------------------------------------------------------ conversational
def _is_turns(value: Any) -> bool:
    return is_chat(value) and len(value) > 0


def _read_conversational(row: Row) -> list[PreferencePair]:
    chosen, rejected = row.messages("chosen"), row.messages("rejected")
    prompt = row.messages("prompt") if row.has("prompt") else ()
    n = len(prompt)
    if n and chosen[:n] == prompt and rejected[:n] == prompt:  # full chats that repeat the prompt
        chosen, rejected = chosen[n:], rejected[n:]
    elif not n:
        prompt, chosen, rejected = split_chats(chosen, rejected)
    elif any(side and side[0].role in ("user", "system") for side in (chosen, rejected)):
        prompt, chosen, rejected = split_chats(chosen, rejected)
        row.note(NOT_OF_CHATS)
    return [row.pair(prompt, chosen, rejected, strength=strength(row))]


CONVERSATIONAL = Format(
    name="trl-conversational",
    columns="chosen, rejected: list of messages; [prompt: list of messages, margin, tools, source]",
    description="TRL conversational, Skywork, RLHFlow, RM-Gallery, XTuner, OpenRLHF with a chat template: full chats, "
    "or a prompt with completions",
    matches=lambda row: (
        typed(row, is_chat, "chosen", "rejected")
        and any(_is_turns(row[side]) for side in ("chosen", "rejected"))
        and (absent(row, "prompt") or is_chat(row["prompt"]))
    ),
    read=_read_conversational,
)


def _read_binarized(row: Row) -> list[PreferencePair]:
    question = row.text("prompt")
    prompt, chosen, rejected = split_chats(row.messages("chosen"), row.messages("rejected"))
    if not any(message.role == "user" for message in prompt):  # completions only
        prompt = (*prompt, *user(question))
    elif Message("user", question) not in prompt:
        row.note(NOT_OF_CHATS)
    return [row.pair(prompt, chosen, rejected, strength=strength(row))]


ULTRAFEEDBACK_BINARIZED = Format(
    name="ultrafeedback-binarized",
    columns="prompt: text; chosen, rejected: list of messages; [prompt_id, score_chosen, score_rejected, messages]",
    description="HuggingFaceH4/ultrafeedback_binarized: full chats, the prompt again as text; strength is the "
    "difference of the scores",
    matches=lambda row: is_text(row.get("prompt")) and typed(row, _is_turns, "chosen", "rejected"),
    read=_read_binarized,
)


# ----------------------------------------------------------------------------------------------------------- tokenised
def _id_columns(row: Mapping[str, Any]) -> tuple[str, str] | None:
    return next((names for names in _ID_COLUMNS if typed(row, is_list, *names)), None)


def _read_tokenised(row: Row) -> list[PreferencePair]:
    names = _id_columns(row.raw)
    if names is None:
        raise DropRowError("columns 'chosen_ids' and 'rejected_ids' are missing or no lists")
    chosen, rejected = (token_ids(row.value(name), name) for name in names)
    return [row.pair("", chosen, rejected, strength=strength(row))]


TOKENISED = Format(
    name="trl-tokenised",
    columns="chosen_ids, rejected_ids: list of token ids (old names: chosen_input_ids, rejected_input_ids); [margin]",
    description="TRL tokenised: whole sequences; they need the tokenizer that made them",
    matches=lambda row: _id_columns(row) is not None,
    read=_read_tokenised,
)
