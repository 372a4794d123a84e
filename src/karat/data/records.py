"""What all formats share: typed access to a raw row, shared prompts, prompt ids, canonical bytes of a record."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from karat.types import NAN, Message, PoolRow, PreferencePair, StepSolution, Text, TokenIds

ROLES = {
    "human": "user",
    "gpt": "assistant",
    "chatbot": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "observation": "tool",
    "function": "tool",
}
"""ShareGPT and other role names to those of chat templates; others stay as they are."""

NOT_UNICODE = "text is not Unicode (half of a surrogate pair)"
POSITION = "chosen_position"
"""Key of `extra`: which of two responses in the data's order was chosen."""

_SURROGATE = re.compile("[\ud800-\udfff]")

SOURCE_COLUMNS = ("source", "subset", "domain")
ANNOTATOR_COLUMNS = ("annotator", "annotator_id")


class DropRowError(Exception):
    """A row that gives no record; the text is the reason, alike for all rows of its kind so that it can be counted."""


class Row:
    """A raw row with typed access. What a format reads is interpreted; the other columns become `extra`."""

    def __init__(self, raw: Mapping[str, Any], number: int = -1) -> None:
        self.raw = raw
        self.number = number
        self.notes: list[tuple[str, str]] = []
        """(action, reason) pairs for the account: "changed" or "noted"."""
        self._read: set[str] = set()

    def has(self, *names: str) -> bool:
        return all(self.raw.get(name) is not None for name in names)

    def change(self, reason: str) -> None:
        if ("changed", reason) not in self.notes:
            self.notes.append(("changed", reason))

    def note(self, reason: str) -> None:
        if ("noted", reason) not in self.notes:
            self.notes.append(("noted", reason))

    def see(self, name: str) -> None:
        """A column is interpreted, whatever it holds."""
        self._read.add(name)

    def value(self, name: str) -> Any:
        """Raises DropRowError when the column is missing or null."""
        self._read.add(name)
        value = self.raw.get(name)
        if value is None:
            raise DropRowError(f"column {name!r} is {'null' if name in self.raw else 'missing'}")
        return value

    def text(self, name: str) -> str:
        value = self.value(name)
        if not isinstance(value, str):
            raise DropRowError(f"column {name!r} holds {kind_of(value)}, not text")
        return value

    def text_or(self, name: str, default: str = "") -> str:
        return self.text(name) if self.has(name) else default

    def items(self, name: str) -> list[Any]:
        value = self.value(name)
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise DropRowError(f"column {name!r} holds {kind_of(value)}, not a list")
        return list(value)

    def messages(self, name: str) -> tuple[Message, ...]:
        """A conversation; a text or a single message counts as one turn of the assistant's (or of its own role)."""
        value = self.value(name)
        if isinstance(value, str):
            return (Message("assistant", value),)
        if isinstance(value, Mapping):
            value = [value]
        if not is_list(value):
            raise DropRowError(f"column {name!r} holds {kind_of(value)}, not a list of messages")
        return tuple(self.message(item, name) for item in value)

    def message(self, value: Any, name: str) -> Message:
        """One turn, as {role, content} or {from, value}; content may be a list of text parts."""
        if not is_message(value):
            raise DropRowError(f"column {name!r} holds a turn that is no {{role, content}}")
        role = value.get("role", value.get("from"))
        content = value.get("content", value.get("value"))
        lost = sorted(key for key in value if key not in MESSAGE_KEYS and value[key] not in (None, [], {}, ""))
        if lost:
            self.change(f"fields of turns other than role and content are left out: {', '.join(lost)}")
        return Message(ROLES.get(role, role), self._content(content, name))

    def _content(self, content: Any, name: str) -> str:
        if content is None:
            return ""
        if isinstance(content, str):
            return content
        if is_list(content):
            parts = [part.get("text", part.get("value")) if isinstance(part, Mapping) else part for part in content]
            if all(isinstance(part, str) for part in parts):
                return "".join(parts)
        raise DropRowError(f"column {name!r} holds a turn whose content is not text (images are not read)")

    def number_or_nan(self, name: str) -> float:
        """The number in a column; NaN, and said so in the account, when it is null or no finite number."""
        self._read.add(name)
        if name not in self.raw:
            return NAN
        value = as_number(self.raw[name])
        if math.isfinite(value):
            return value
        if self.raw[name] is None or self.raw[name] == "":
            self.note(f"{name} is empty: strength left NaN")
        else:
            self.change(f"{name} is not a finite number: strength set to NaN")
        return NAN

    def rating(self, name: str) -> float:
        """The number in a column; NaN when there is none."""
        self._read.add(name)
        return as_number(self.raw.get(name))

    def pair(self, prompt: Text, chosen: Text, rejected: Text, **fields: Any) -> PreferencePair:
        """A pair with the columns that many formats share (prompt_id, source, annotator, tools).

        A label below 0.5 says that `rejected` is preferred: the sides are swapped.
        """
        label = fields.get("label", 1.0)
        if label < 0.5:
            chosen, rejected = rejected, chosen
            better, worse = fields.get("chosen_attributes", {}), fields.get("rejected_attributes", {})
            fields |= {"label": 1.0 - label, "chosen_attributes": worse, "rejected_attributes": better}
        fields.setdefault("prompt_id", self.identifier("prompt_id") or prompt_hash(prompt, chosen, rejected))
        fields.setdefault("source", self.source())
        fields.setdefault("annotator", next(filter(None, map(self.identifier, ANNOTATOR_COLUMNS)), ""))
        fields.setdefault("tools", self._tools())
        return PreferencePair(prompt, chosen, rejected, row=self.number, **fields)

    def compare(self, prompt: Text, first: Text, second: Text, better: float, **fields: Any) -> PreferencePair:
        """A pair of two responses in the data's order; better > 0: the first is preferred, < 0: the second, 0: a tie.

        `extra["chosen_position"]` keeps which of the two was chosen ("first" or "second"): columns in `extra` speak of
        that order, and a preference for a place is something to look for.
        Raises: DropRowError: `better` is NaN.
        """
        if math.isnan(better):
            raise DropRowError("the preference is no number")
        label = fields.pop("label", 0.5 if better == 0 else float(better > 0))
        fields["extra"] = {**fields.get("extra", {}), POSITION: "second" if label < 0.5 else "first"}
        return self.pair(prompt, first, second, label=label, **fields)

    def identifier(self, name: str) -> str:
        """A text or whole number as text; empty when the column is not there. 3.0 is 3: pandas makes floats of ids."""
        value = self.raw.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, str | int):
            return ""
        self._read.add(name)
        return str(value)

    def extra(self) -> dict[str, Any]:
        """Columns that were not interpreted and are not null."""
        return {name: value for name, value in self.raw.items() if name not in self._read and value is not None}

    def source(self) -> str:
        """The sub-source that the row names; empty when it names none."""
        for name in SOURCE_COLUMNS:
            if isinstance(self.raw.get(name), str):
                self._read.add(name)
                return str(self.raw[name])
        return ""

    def _tools(self) -> str:
        value = self.raw.get("tools")
        if not value:
            return ""
        self._read.add("tools")
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


MESSAGE_KEYS = {"role", "content", "from", "value"}


# --------------------------------------------------------------------------------------------------- what a value is
def kind_of(value: Any) -> str:
    """A word for the type of a JSON value, for messages."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if is_list(value) else type(value).__name__


def is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_message(value: Any) -> bool:
    """{role, content} or ShareGPT's {from, value}."""
    if not isinstance(value, Mapping):
        return False
    return isinstance(value.get("role", value.get("from")), str) and ("content" in value or "value" in value)


def is_chat(value: Any) -> bool:
    """A list of turns; an empty list counts, because a response may be empty."""
    return is_list(value) and all(is_message(item) for item in value)


def as_number(value: Any) -> float:
    """A number, or the number that a text spells (csv has no other way); NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return NAN
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return NAN
    return NAN if math.isnan(number) else number  # the one NaN of karat.types, so that equal records compare equal


# ------------------------------------------------------------------------------------------------------ shared prompts
def split_chats(
    chosen: tuple[Message, ...], rejected: tuple[Message, ...]
) -> tuple[tuple[Message, ...], tuple[Message, ...], tuple[Message, ...]]:
    """Two full chats to their shared prompt and two completions.

    The prompt is the longest common run of turns. It leaves each side a turn of the assistant where one chat goes on
    behind the other's end (or is equal to it), and the call where the chats part at a tool's answer.
    Raises: DropRowError: they part at a turn of the user or the system, so the prompts differ.
    """
    shared = 0
    limit = min(len(chosen), len(rejected))
    while shared < limit and chosen[shared] == rejected[shared]:
        shared += 1
    if shared == limit and shared > 0 and chosen[shared - 1].role == "assistant":
        shared -= 1
    while shared > 0 and any(side[shared].role == "tool" for side in (chosen, rejected) if shared < len(side)):
        shared -= 1
    for side in (chosen, rejected):
        if shared < len(side) and side[shared].role != "assistant":
            raise DropRowError("prompts differ")
    return chosen[:shared], chosen[shared:], rejected[shared:]


def split_texts(chosen: str, rejected: str) -> tuple[str, str, str]:
    """Two whole texts to their shared prompt and the rest of each.

    The prompt ends at the last line break of the common beginning: rendered chat templates break the line before the
    response, and two responses may begin with the same words. Without a line break there is no prompt.
    """
    shared = 0
    for left, right in zip(chosen, rejected, strict=False):
        if left != right:
            break
        shared += 1
    at = chosen.rfind("\n", 0, shared) + 1
    if chosen == rejected:
        at = min(at, len(chosen))
    return chosen[:at], chosen[at:], rejected[at:]


def user(content: str) -> tuple[Message, ...]:
    return (Message("user", content),)


def after_system(row: Row, turns: tuple[Message, ...]) -> tuple[Message, ...]:
    """Turns after that of the `system` column, where there is one."""
    system = row.text_or("system")
    return (Message("system", system), *turns) if system else turns


def assistant(content: str) -> tuple[Message, ...]:
    return (Message("assistant", content),)


def is_empty(text: Text) -> bool:
    """No tokens, no turns, or nothing but white space in the turns."""
    if isinstance(text, TokenIds):
        return not text.ids
    if isinstance(text, str):
        return not text.strip()
    return all(not message.content.strip() for message in text)


def is_unicode(text: Text) -> bool:
    """False when a half of a surrogate pair stands alone (JSON can spell it): no tokenizer and no file takes that."""
    if isinstance(text, TokenIds):
        return True
    if isinstance(text, str):
        return text.isascii() or not _SURROGATE.search(text)
    return all(is_unicode(message.content) and is_unicode(message.role) for message in text)


# --------------------------------------------------------------------------------------------------- stable identities
def plain(text: Text) -> Any:
    """A text as JSON holds it: a string, a list of {role, content}, or {"ids": [...]}."""
    if isinstance(text, str):
        return text
    if isinstance(text, TokenIds):
        return {"ids": list(text.ids)}
    return [{"role": message.role, "content": message.content} for message in text]


def prompt_hash(prompt: Text, chosen: Text = "", rejected: Text = "") -> str:
    """16 hex digits that depend on the prompt alone; where it is empty, on the two responses in either order.

    An empty prompt says that the prompt is not known, not that all such pairs share one.
    """
    parts = [prompt] if not is_empty(prompt) else [prompt, *sorted((chosen, rejected), key=lambda t: _json(plain(t)))]
    return hashlib.sha256(_json([plain(part) for part in parts]).encode(errors="surrogatepass")).hexdigest()[:16]


def canonical_bytes(record: PreferencePair | PoolRow | StepSolution) -> bytes:
    """Everything about a record that karat interprets, as bytes: not its row number, not `extra`."""
    if isinstance(record, PoolRow):
        facts: list[Any] = [record.prompt_id, record.response_id, plain(record.prompt), plain(record.response)]
        facts.append({name: repr(float(value)) for name, value in record.scores.items()})
    elif isinstance(record, StepSolution):
        facts = [plain(record.prompt), record.steps, [repr(float(label)) for label in record.labels]]
        facts += [record.first_error, record.prompt_id, record.solution_id, record.answer]
        facts += [repr(float(record.final_right)), record.source]
    else:
        facts = [plain(record.prompt), plain(record.chosen), plain(record.rejected)]
        facts += [repr(float(record.label)), repr(float(record.strength)), record.prompt_id]
        facts += [record.source, record.annotator, record.tools]
        for ratings in (record.chosen_attributes, record.rejected_attributes):
            facts.append({name: repr(float(value)) for name, value in ratings.items()})
    return (_json(facts) + "\n").encode(errors="surrogatepass")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
