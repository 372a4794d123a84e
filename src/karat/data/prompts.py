"""Prompts alone: what responses are to be sampled for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from karat.data.files import open_source
from karat.data.recognise import describe_columns
from karat.data.records import NOT_UNICODE, DropRowError, Row, is_empty, is_text, is_unicode, prompt_hash
from karat.data.streams import RowStream
from karat.errors import DataError
from karat.types import Account, Text

PROMPT_COLUMNS = ("prompt", "messages", "question", "instruction", "input")


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt and the row that it came from."""

    prompt_id: str
    prompt: Text
    row: int


@dataclass(frozen=True, slots=True)
class PromptData:
    """Distinct prompts in order of first appearance, and what happened to the rows."""

    prompts: tuple[Prompt, ...]
    account: Account


def read_prompts(source: Any, *, split: str = "") -> PromptData:
    """Prompts of any rows that have one: lists of prompts, pools, preference pairs with a prompt of their own.

    Args:
        source: a path, a hub name, or rows; the first of PROMPT_COLUMNS that a row has is its prompt, as text or as a
            conversation (an answer at its end is left out). A prompt that occurs again is dropped.
        split: of a folder or a hub data set.
    Raises: DataError: nothing to read, or no prompt in it.
    """
    stream = _PromptStream(open_source(source, split=split))
    seen: dict[Text, Prompt] = {}
    ids: set[str] = set()
    for number, item in stream.rows():
        try:
            if item.problem:
                raise DropRowError(item.problem)
            found = _prompt(item.raw, number, stream)
            if found.prompt in seen:
                raise DropRowError("the prompt of an earlier row again")
            if found.prompt_id in ids:
                raise DropRowError("prompt_id of an earlier row with another prompt")
        except DropRowError as error:
            stream.drop(str(error), number)
            continue
        seen[found.prompt] = found
        ids.add(found.prompt_id)
    account = stream.account()
    if not seen:
        reasons = "; ".join(f"{entry.reason} ({entry.count})" for entry in account.entries[:3])
        raise DataError(
            f"{account.source}: no prompt in {account.rows_read} rows: {reasons}. A row needs one of the columns "
            f"{', '.join(PROMPT_COLUMNS)}; columns seen: {stream.columns}."
        )
    return PromptData(tuple(seen.values()), account)


class _PromptStream(RowStream):
    """Numbered rows with the account that the reader above writes into."""

    def __init__(self, source: Any) -> None:
        super().__init__(source)
        self._account.format = "prompts"
        self.columns = describe_columns([item.raw for item in self.sample if not item.problem])
        self.rows = self._numbered

    def drop(self, reason: str, row: int) -> None:
        self._account.drop(reason, row)

    def change(self, reason: str, row: int) -> None:
        self._account.change(reason, row)


def _prompt(raw: dict[str, Any], number: int, stream: _PromptStream) -> Prompt:
    row = Row(raw, number)
    name = next((name for name in PROMPT_COLUMNS if row.has(name)), "")
    if not name:
        raise DropRowError("no column with a prompt")
    prompt: Text
    if is_text(raw[name]):
        prompt = row.text(name)
    else:
        turns = row.messages(name)
        answers = next((at for at in range(len(turns), 0, -1) if turns[at - 1].role != "assistant"), 0)
        if answers < len(turns):
            stream.change("the answer at the end of the conversation is left out", number)
        prompt = turns[:answers]
    if is_empty(prompt):
        raise DropRowError("the prompt is empty")
    if not is_unicode(prompt):
        raise DropRowError(NOT_UNICODE)
    return Prompt(row.identifier("prompt_id") or prompt_hash(prompt), prompt, number)
