"""Formats of training tools: NeMo-RL, LLaMA-Factory, ms-swift, Axolotl, PaddleNLP."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations
from typing import Any

from karat.data.formats.base import Format, absent, typed
from karat.data.formats.trl import strength
from karat.data.records import (
    DropRowError,
    Row,
    after_system,
    as_number,
    assistant,
    is_chat,
    is_list,
    is_message,
    is_text,
    split_chats,
    user,
)
from karat.types import Message, PreferencePair


# ------------------------------------------------------------------------------------------------------------- NeMo-RL
def _is_nemo(row: Mapping[str, Any]) -> bool:
    completions: Any = row.get("completions")
    if not (is_text(row.get("context")) or is_chat(row.get("context"))) or not is_list(completions):
        return False
    return all(isinstance(item, Mapping) and "rank" in item and "completion" in item for item in completions)


def _prompt(row: Row, name: str) -> tuple[Message, ...]:
    return user(row.text(name)) if is_text(row.raw.get(name)) else row.messages(name)


def _read_nemo(row: Row) -> list[PreferencePair]:
    """All pairs of the ranked completions; rank 0 is the best, equal ranks are ties."""
    prompt, ranked = _prompt(row, "context"), []
    for item in row.items("completions"):
        rank = as_number(item.get("rank")) if isinstance(item, Mapping) else math.nan
        if math.isnan(rank):
            raise DropRowError("a completion has no rank")
        ranked.append((rank, Row({"completion": item["completion"]}).messages("completion")))
    return [row.compare(prompt, one, two, other - rank) for (rank, one), (other, two) in combinations(ranked, 2)]


def _read_nemo_binary(row: Row) -> list[PreferencePair]:
    sides = [assistant(row.text(name)) for name in ("chosen", "rejected")]
    return [row.pair(_prompt(row, "prompt"), *sides, strength=strength(row))]


# ------------------------------------------------------------------------------------------------------- LLaMA-Factory
def _read_alpaca(row: Row) -> list[PreferencePair]:
    question, detail = row.text("instruction"), row.text_or("input")
    turns: tuple[Message, ...] = ()
    for exchange in row.items("history") if row.has("history") else []:
        if not is_list(exchange) or len(exchange) != 2 or not all(map(is_text, exchange)):
            raise DropRowError("column 'history' holds no [question, answer] texts")
        turns += (*user(exchange[0]), *assistant(exchange[1]))
    prompt = after_system(row, (*turns, *user(f"{question}\n{detail}" if detail else question)))
    sides = [assistant(row.text(name)) for name in ("chosen", "rejected")]
    return [row.pair(prompt, *sides, strength=strength(row))]


def _chat_column(row: Mapping[str, Any]) -> str:
    return "conversations" if is_chat(row.get("conversations")) else "messages"


def _read_sharegpt(row: Row) -> list[PreferencePair]:
    prompt = after_system(row, row.messages(_chat_column(row.raw)))
    return [row.pair(prompt, row.messages("chosen"), row.messages("rejected"), strength=strength(row))]


def _read_factory_v1(row: Row) -> list[PreferencePair]:
    chats = split_chats(row.messages("chosen_messages"), row.messages("rejected_messages"))
    return [row.pair(*chats, strength=strength(row))]


# ------------------------------------------------------------------------------------------------------------ ms-swift
def _is_swift(row: Mapping[str, Any]) -> bool:
    if not is_chat(row.get("messages")):
        return False
    rejected = row.get("rejected_response")
    return is_text(rejected) or is_chat(rejected) or is_chat(row.get("rejected_messages"))


def _read_swift(row: Row) -> list[PreferencePair]:
    messages = row.messages("messages")
    if not messages or messages[-1].role != "assistant":
        raise DropRowError("the last of 'messages' is no assistant's turn, so there is no chosen response")
    if row.raw.get("images") or row.raw.get("rejected_images"):
        row.change("images are not read: the pair is text only")
    if row.has("rejected_messages"):
        return [row.pair(*split_chats(messages, row.messages("rejected_messages")), strength=strength(row))]
    at = len(messages) - 1
    if not is_text(row.value("rejected_response")):  # turns replace everything after the last user's turn
        at = max((i + 1 for i, message in enumerate(messages) if message.role == "user"), default=0)
    return [row.pair(messages[:at], messages[at:], row.messages("rejected_response"), strength=strength(row))]


# ------------------------------------------------------------------------------------------------- Axolotl, PaddleNLP
def _read_axolotl(row: Row) -> list[PreferencePair]:
    question = row.text("input" if row.has("input") else "question")
    sides = [assistant(row.text(name)) for name in ("chosen", "rejected")]
    return [row.pair(after_system(row, user(question)), *sides, strength=strength(row))]


def _read_paddle(row: Row) -> list[PreferencePair]:
    questions, answers = row.items("src"), row.items("tgt")
    responses, order = row.items("response"), [as_number(value) for value in row.items("sort")]
    if not all(map(is_text, (*questions, *answers, *responses))):
        raise DropRowError("src, tgt or response holds something that is not text")
    if len(answers) != len(questions) - 1:
        raise DropRowError("tgt must have one entry fewer than src")
    if len(responses) != 2 or len(order) != 2:
        raise DropRowError("response and sort must have two entries each")
    both = zip(questions, answers, strict=False)
    turns = tuple(turn for question, answer in both for turn in (*user(question), *assistant(answer)))
    prompt = after_system(row, (*turns, *user(questions[-1])))
    return [row.compare(prompt, assistant(responses[0]), assistant(responses[1]), order[0] - order[1])]


FORMATS = (
    Format(
        name="nemo-preference",
        columns="context: list of messages or text; completions: list of {rank, completion: list of messages}",
        description="NeMo-RL PreferenceDataset: rank 0 is the best, equal ranks are ties; all pairs of the completions",
        matches=_is_nemo,
        read=_read_nemo,
    ),
    Format(
        name="nemo-binary",
        columns="prompt: list of messages (text when named with --format); chosen, rejected: text",
        description="NeMo-RL BinaryPreferenceDataset",
        matches=lambda row: is_chat(row.get("prompt")) and typed(row, is_text, "chosen", "rejected"),
        read=_read_nemo_binary,
    ),
    Format(
        name="llamafactory-v1",
        columns="chosen_messages, rejected_messages: list of messages",
        description="LLaMA-Factory v1: full chats",
        matches=lambda row: typed(row, is_chat, "chosen_messages", "rejected_messages"),
        read=_read_factory_v1,
    ),
    Format(
        name="llamafactory-sharegpt",
        columns="conversations (or messages): list of turns; chosen, rejected: one turn; [system, tools]",
        description="LLaMA-Factory sharegpt ranking data, Axolotl chat_template; turns as {from, value} too",
        matches=lambda row: is_chat(row.get(_chat_column(row))) and typed(row, is_message, "chosen", "rejected"),
        read=_read_sharegpt,
    ),
    Format(
        name="llamafactory-alpaca",
        columns="instruction, chosen, rejected: text; [input, system: text; history: list of [question, answer]]",
        description="LLaMA-Factory alpaca ranking data: input follows instruction on a new line",
        matches=lambda row: typed(row, is_text, "instruction", "chosen", "rejected"),
        read=_read_alpaca,
    ),
    Format(
        name="ms-swift",
        columns="messages: list of messages; rejected_response (text or messages) or rejected_messages; [margin]",
        description="ms-swift: the last assistant's turn is the chosen response",
        matches=_is_swift,
        read=_read_swift,
    ),
    Format(
        name="axolotl",
        columns="input (or question), chosen, rejected: text; [system]",
        description="Axolotl and Intel orca pairs: a single turn",
        matches=lambda row: (
            typed(row, is_text, "chosen", "rejected")
            and (is_text(row.get("input")) or is_text(row.get("question")))
            and absent(row, "prompt", "instruction")
        ),
        read=_read_axolotl,
    ),
    Format(
        name="paddlenlp",
        columns="src, tgt, response: list of texts; sort: list of two numbers; [system]",
        description="PaddleNLP: the response with the higher sort is preferred, equal ones are ties",
        matches=lambda row: typed(row, is_list, "src", "tgt", "response", "sort"),
        read=_read_paddle,
    ),
)
