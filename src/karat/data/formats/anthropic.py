"""Anthropic's hh-rlhf: each side is a whole dialogue as one text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from karat.data.formats.base import Format, Options, absent, typed
from karat.data.records import DropRowError, Row, is_text
from karat.types import Message, PreferencePair

HUMAN, ASSISTANT = "\n\nHuman:", "\n\nAssistant:"
_TURN = re.compile(r"\n\n(Human|Assistant):")
_ROLE = {"Human": "user", "Assistant": "assistant"}


def _matches(row: Mapping[str, Any]) -> bool:
    if not typed(row, is_text, "chosen", "rejected") or not absent(row, "prompt"):
        return False
    return all(str(row[side]).startswith(HUMAN) for side in ("chosen", "rejected"))


def _split(text: str, side: str) -> tuple[str, str]:
    """The dialogue up to and including the last "Assistant:", and the response with its leading space."""
    if not text.startswith(HUMAN):
        raise DropRowError(f"column {side!r} does not begin with {HUMAN!r}")
    at = text.rfind(ASSISTANT)
    if at < 0:
        raise DropRowError(f"column {side!r} has no {ASSISTANT!r}")
    end = at + len(ASSISTANT)
    return text[:end], text[end:]


def _both(row: Row) -> tuple[str, str, str]:
    prompt, chosen = _split(row.text("chosen"), "chosen")
    other, rejected = _split(row.text("rejected"), "rejected")
    if prompt != other:
        raise DropRowError("prompts differ")
    if HUMAN in chosen or HUMAN in rejected:
        row.note(f"a response holds {HUMAN!r}: kept as part of the response")
    return prompt, chosen, rejected


def _read_text(row: Row) -> list[PreferencePair]:
    return [row.pair(*_both(row))]


def _read_messages(row: Row) -> list[PreferencePair]:
    prompt, chosen, rejected = _both(row)
    parts = _TURN.split(prompt.removesuffix(ASSISTANT))  # ["", role, content, role, content, ...]
    turns = tuple(Message(_ROLE[role], text.strip()) for role, text in zip(parts[1::2], parts[2::2], strict=True))
    sides = [(Message("assistant", side.strip()),) for side in (chosen, rejected)]
    return [row.pair(turns, *sides)]


def _configure(options: Options) -> Format:
    return replace(HH_RLHF, read=_read_messages) if options.hh_as == "messages" else HH_RLHF


HH_RLHF = Format(
    name="hh-rlhf",
    columns='chosen, rejected: text "\\n\\nHuman: ...\\n\\nAssistant: ..."',
    description='Anthropic hh-rlhf: plain text; the prompt ends with the last "\\n\\nAssistant:" (`hh_as="messages"` '
    "makes turns of it)",
    matches=_matches,
    read=_read_text,
    configure=_configure,
)
