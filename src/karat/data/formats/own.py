"""karat's own format: a pair as it is, one JSON object each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from karat.data.formats.base import Format, typed
from karat.data.records import DropRowError, Row, as_number, is_chat, is_list, is_text, kind_of, plain
from karat.types import NAN, Message, PreferencePair, Text, TokenIds


def to_row(pair: PreferencePair) -> dict[str, Any]:
    """A pair as a JSON object; fields without a value are left out, and NaN is null."""
    row: dict[str, Any] = {"prompt": plain(pair.prompt), "chosen": plain(pair.chosen), "rejected": plain(pair.rejected)}
    row |= {"label": pair.label, "prompt_id": pair.prompt_id}
    if pair.strength == pair.strength:
        row["strength"] = pair.strength
    for name in ("source", "annotator", "tools"):
        if getattr(pair, name):
            row[name] = getattr(pair, name)
    for name in ("chosen_attributes", "rejected_attributes"):
        if getattr(pair, name):
            row[name] = {key: None if value != value else value for key, value in getattr(pair, name).items()}
    if pair.extra:
        row["extra"] = dict(pair.extra)
    return row


def _is_own_text(value: Any) -> bool:
    return is_text(value) or is_chat(value) or (isinstance(value, Mapping) and is_list(value.get("ids")))


def _matches(row: Mapping[str, Any]) -> bool:
    if not typed(row, _is_own_text, "prompt", "chosen", "rejected") or "prompt_id" not in row:
        return False
    return isinstance(row.get("label"), int | float | str) and not isinstance(row.get("label"), bool)


def _text(row: Row, name: str) -> Text:
    value = row.value(name)
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return token_ids(value.get("ids"), name)
    return row.messages(name)


def token_ids(value: Any, name: str) -> TokenIds:
    """Raises DropRowError when it is not a list of whole numbers >= 0."""
    if not is_list(value) or not all(isinstance(i, int) and not isinstance(i, bool) and i >= 0 for i in value):
        raise DropRowError(f"column {name!r} holds {kind_of(value)}, not a list of token ids")
    return TokenIds(tuple(value))


def _attributes(row: Row, name: str) -> dict[str, float]:
    if not row.has(name):
        return {}
    value = row.value(name)
    if not isinstance(value, Mapping):
        raise DropRowError(f"column {name!r} holds {kind_of(value)}, not an object of ratings")
    return {str(key): as_number(rating) for key, rating in value.items()}


def _extra(row: Row) -> dict[str, Any]:
    value = row.value("extra") if isinstance(row.raw.get("extra"), Mapping) else {}
    return dict(value)


def same_kind(prompt: Text, chosen: Text, rejected: Text) -> tuple[Text, Text, Text]:
    """One kind of text for all three: plain responses to a conversation become turns, and a plain prompt before
    conversations becomes the user's turn. Raises DropRowError where that is not possible."""
    kinds = {type(item) for item in (prompt, chosen, rejected)}
    if TokenIds in kinds:
        if kinds == {TokenIds} or (prompt == "" and type(chosen) is type(rejected)):
            return prompt, chosen, rejected
        raise DropRowError("token ids and text are mixed in one row")
    if len(kinds) == 1:
        return prompt, chosen, rejected
    lifted = (Message("user", prompt),) if isinstance(prompt, str) else prompt
    sides = [(Message("assistant", side),) if isinstance(side, str) else side for side in (chosen, rejected)]
    return lifted, sides[0], sides[1]


def _read(row: Row) -> list[PreferencePair]:
    prompt, chosen, rejected = same_kind(_text(row, "prompt"), _text(row, "chosen"), _text(row, "rejected"))
    label = as_number(row.value("label")) if row.has("label") else 1.0
    if not 0.0 <= label <= 1.0:
        raise DropRowError("label is no probability in [0, 1]")
    pair = row.pair(
        prompt,
        chosen,
        rejected,
        label=label,
        strength=row.number_or_nan("strength") if "strength" in row.raw else NAN,
        chosen_attributes=_attributes(row, "chosen_attributes"),
        rejected_attributes=_attributes(row, "rejected_attributes"),
        extra=_extra(row),
    )
    return [pair]


KARAT = Format(
    name="karat",
    columns="prompt, chosen, rejected: text, list of messages, or {ids}; label; prompt_id; [strength, source, "
    "annotator, chosen_attributes, rejected_attributes, tools, extra]",
    description="karat's own (`write_pairs`): label is the probability that chosen is preferred",
    matches=_matches,
    read=_read,
)
