"""The ways in which rows hold the responses of a pool: one a row, a list a row, or RewardBench's results.

A layout turns a source row into its responses, each under the names of the long form (prompt, prompt_id, response_id,
response, and its scores), so that one reader serves them all.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from karat.data.records import (
    MESSAGE_KEYS,
    DropRowError,
    Row,
    as_number,
    is_chat,
    is_list,
    is_message,
    is_text,
    kind_of,
    plain,
    split_chats,
    split_texts,
)

RESPONSE_COLUMNS = ("response", "completion")
"""Names of the one response of a pool's row."""
LIST_COLUMNS = ("responses", "samples", "completions", "outputs", "generations")
"""Names of a row's list of responses; the first that is there counts."""
GOLD = "is_chosen"
"""Column that RewardBench's results get: 1 for a chosen response, 0 for a rejected one."""

MIN_SHARE = 0.5
"""A layout, like a format of pairs, must fit at least this share of the readable rows of the sample."""

_PROMPT_COLUMNS = ("prompt", "prompt_id")
_TEXT_FIELDS = ("text", "content", "response", "completion", "output", "generated_text", "message")
"""Where an object keeps the text of a response, in order."""
_SIDES = ("chosen", "rejected")


@dataclass(slots=True)
class Sample:
    """One response of a row in the columns of the long form; with a problem, why it cannot be used."""

    raw: dict[str, Any] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Unfolded:
    """The responses of a source row, and its columns that belong to the prompt and not to a response."""

    samples: Sequence[Sample]
    shared: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Layout:
    """A way to hold responses.

    Attributes:
        name: what the account calls it.
        matches: whether a raw row is of this kind.
        unfold: its responses; the set names the columns that hold one value per response.
        is_list: rows hold several responses.
        by_step: a training run's dump: the same prompt at another step has responses of another policy.
        in_blocks: the responses to a prompt stand together.
        holds_results: scores of pairs, which could pass for the pairs themselves.
    """

    name: str
    matches: Callable[[Mapping[str, Any]], bool]
    unfold: Callable[[Row, frozenset[str]], Unfolded]
    is_list: bool = False
    by_step: bool = False
    in_blocks: bool = False
    holds_results: bool = False


def find_layout(sample: Sequence[Mapping[str, Any]]) -> Layout | None:
    """The first layout that fits at least half of the sample."""
    counts = Counter(layout.name for row in sample for layout in LAYOUTS if layout.matches(row))
    fits = (layout for layout in LAYOUTS if counts[layout.name] >= MIN_SHARE * len(sample) > 0)
    return next(fits, None)


def columns_per_response(layout: Layout, sample: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Columns with a list of one value per response, in at least half of the rows that have a list there.

    Settled over the sample, so that a list of another length is an error of its row and not another kind of column.
    """
    if not layout.is_list:
        return frozenset()
    lists: Counter[str] = Counter()
    fits: Counter[str] = Counter()
    for row in sample:
        try:
            size = len(layout.unfold(Row(row), frozenset()).samples)
        except DropRowError:
            continue
        for name, value in row.items():
            if is_list(value) and name not in _PROMPT_COLUMNS and not (value and is_chat(value)):
                lists[name] += 1
                fits[name] += len(value) == size
    return frozenset(name for name, count in lists.items() if fits[name] >= MIN_SHARE * count) - {*LIST_COLUMNS}


def looks_like_steps(row: Mapping[str, Any]) -> bool:
    """TRL's step labels (prompt, completions, labels): its completions are the steps of one response."""
    labels: Any = row.get("labels")
    steps: Any = row.get("completions")
    return is_list(labels) and is_list(steps) and len(labels) == len(steps) and all(isinstance(v, bool) for v in labels)


# --------------------------------------------------------------------------------------------------- one response a row
def _is_long(row: Mapping[str, Any]) -> bool:
    return _has_prompt(row) and any(is_text(row.get(name)) or is_chat(row.get(name)) for name in RESPONSE_COLUMNS)


def _has_prompt(row: Mapping[str, Any]) -> bool:
    return any(row.get(name) is not None for name in _PROMPT_COLUMNS)


def _is_trl(row: Mapping[str, Any]) -> bool:
    """TRL's completions: step, prompt, completion, a column per reward function, advantage; no id."""
    return _is_long(row) and {"step", "completion"} <= set(row) and row.get("prompt_id") is None


def _is_verl(row: Mapping[str, Any]) -> bool:
    """verl's rollout dump: input, output, gts, score, step; no id."""
    has_texts = is_text(row.get("input")) and is_text(row.get("output"))
    return has_texts and not {*_PROMPT_COLUMNS, *RESPONSE_COLUMNS} & set(row)


def _one(row: Row, _: frozenset[str]) -> Unfolded:
    return Unfolded([Sample(dict(row.raw))])


def _one_of_verl(row: Row, _: frozenset[str]) -> Unfolded:
    names = {"input": "prompt", "output": "response"}
    return Unfolded([Sample({names.get(name, name): value for name, value in row.raw.items()})])


# --------------------------------------------------------------------------------------------------- lists of responses
def _list_column(row: Mapping[str, Any]) -> str:
    return next((name for name in LIST_COLUMNS if row.get(name) is not None), "")


def _is_lists(row: Mapping[str, Any]) -> bool:
    found: Any = row.get(_list_column(row))
    if not _has_prompt(row) or not is_list(found) or looks_like_steps(row) or _is_dialogue(found):
        return False
    return any(not _open_item("", item).problem for item in found)


def _is_dialogue(value: Sequence[Any]) -> bool:
    """Turns of one conversation, not messages of the assistant of which each is a response."""
    return (
        len(value) > 0 and is_chat(value) and any(turn.get("role", turn.get("from")) != "assistant" for turn in value)
    )


def _unfold_lists(row: Row, per_response: frozenset[str]) -> Unfolded:
    name = _list_column(row.raw)
    if not name:
        raise DropRowError(f"no list of responses (columns {', '.join(LIST_COLUMNS)})")
    items = row.items(name)
    if not items:
        raise DropRowError(f"column {name!r} is an empty list")
    if _is_dialogue(items):
        raise DropRowError(f"column {name!r} holds one conversation, not a list of responses")
    samples = [_open_item(name, item) for item in items]
    _rename_fields(row, name, samples)
    return _spread(row, samples, {name}, per_response)


def _open_item(column: str, item: Any) -> Sample:
    """One entry of a list of responses: text, a conversation, or an object that holds either beside other fields."""
    if is_text(item) or (is_list(item) and is_chat(item)):
        return Sample({"response": item})
    if is_message(item):
        turn = {key: item[key] for key in MESSAGE_KEYS if key in item}
        return Sample({key: value for key, value in item.items() if key not in turn} | {"response": [turn]})
    if isinstance(item, Mapping):
        for name in _TEXT_FIELDS:
            value = item.get(name)
            if is_text(value) or is_chat(value) or is_message(value):
                fields = {key: other for key, other in item.items() if key != name}
                return Sample({**fields, "response": [value] if is_message(value) else value})
        return Sample(problem=f"a response in {column!r} has no text ({', '.join(_TEXT_FIELDS)}): left out")
    return Sample(problem=f"a response in {column!r} is {kind_of(item)}: left out")


def _rename_fields(row: Row, column: str, samples: Iterable[Sample]) -> None:
    """Fields of responses whose name is a column's, too, are called COLUMN.FIELD: none may hide another."""
    for sample in samples:
        for name in [name for name in sample.raw if name in row.raw and name != "response"]:
            sample.raw[f"{column}.{name}"] = sample.raw.pop(name)
            row.change(f"{name!r} is a column and a field of the responses: the field is read as '{column}.{name}'")


def _spread(row: Row, samples: list[Sample], used: set[str], per_response: frozenset[str]) -> Unfolded:
    """Give each response the row's prompt and its value of the columns with one value per response."""
    split = {name: row.raw[name] for name in row.raw if name in per_response and name not in used}
    values: Any
    for name, values in split.items():
        if not is_list(values) or len(values) != len(samples):
            if values is not None:
                row.change(f"{name!r} has not one value per response: its values are missing")
            values = [None] * len(samples)
        elif None in values and any(isinstance(value, int | float) for value in values):
            row.note(f"{name!r} holds null: missing there")
        for sample, value in zip(samples, values, strict=True):
            sample.raw[name] = value
    for place, sample in enumerate(samples):
        sample.raw.setdefault("response_id", f"{row.number}.{place}")
        sample.raw.update({name: row.raw[name] for name in _PROMPT_COLUMNS if row.raw.get(name) is not None})
    known = {*used, *split, *_PROMPT_COLUMNS}
    return Unfolded(
        samples, {name: value for name, value in row.raw.items() if name not in known and value is not None}
    )


# ---------------------------------------------------------------------------------------------------------- RewardBench
def _is_results_of_pairs(row: Mapping[str, Any]) -> bool:
    has_scores = not any(math.isnan(as_number(_bare(row.get(f"scores_{side}")))) for side in _SIDES)
    has_texts = all(_is_dialogue_text(row.get(f"text_{side}", row.get(side))) for side in _SIDES)
    return has_scores and has_texts


def _is_dialogue_text(value: Any) -> bool:
    return is_text(value) or is_chat(value)


def _unfold_results_of_pairs(row: Row, per_response: frozenset[str]) -> Unfolded:
    """RewardBench 1: scores_chosen and scores_rejected, with text_chosen and text_rejected (or chosen and rejected)."""
    is_whole = row.has(*(f"text_{side}" for side in _SIDES))
    names = [f"text_{side}" if is_whole else side for side in _SIDES]
    used = {*names, *(f"scores_{side}" for side in _SIDES)}
    _refuse_taken(row, "scores", GOLD)
    samples = [
        Sample(
            {"response": row.value(name), "scores": _bare(row.raw.get(f"scores_{side}")), GOLD: float(side == "chosen")}
        )
        for name, side in zip(names, _SIDES, strict=True)
    ]
    unfolded = _spread(row, samples, used, per_response)
    return _with_prompt(row, unfolded) if is_whole or not row.has("prompt") else unfolded


def _is_results_of_lists(row: Mapping[str, Any]) -> bool:
    text: Any = row.get("text")
    scores: Any = row.get("scores")
    return is_list(text) and is_list(scores) and "num_correct" in row and all(map(_is_dialogue_text, text))


def _unfold_results_of_lists(row: Row, per_response: frozenset[str]) -> Unfolded:
    """RewardBench 2: text and scores of all responses; the first num_correct are the chosen ones."""
    texts, n_correct = row.items("text"), as_number(row.raw.get("num_correct"))
    if not texts:
        raise DropRowError("column 'text' is an empty list")
    _refuse_taken(row, GOLD)
    is_count = n_correct.is_integer() and 0 <= n_correct <= len(texts)
    if not is_count:
        row.change("num_correct is no number of responses: is_chosen is missing")
    samples = [
        Sample({"response": text, GOLD: float(place < n_correct) if is_count else None})
        for place, text in enumerate(texts)
    ]
    unfolded = _spread(row, samples, {"text"}, per_response | {"scores"})
    for sample in samples:
        sample.raw["scores"] = _bare(sample.raw.get("scores"))
    return _with_prompt(row, unfolded)


def _bare(score: Any) -> Any:
    """A score without the list around it, which models with code of their own give."""
    return score[0] if is_list(score) and len(score) == 1 else score


def _refuse_taken(row: Row, *names: str) -> None:
    for name in names:
        if name in row.raw:
            raise DropRowError(f"a column is called {name!r} already, beside the one that RewardBench's results give")


def _with_prompt(row: Row, unfolded: Unfolded) -> Unfolded:
    """Cut the prompt off the texts, which are whole dialogues, mostly rendered with a chat template.

    Without a prompt column it is their shared beginning, which is a guess; the row's id then stands for the prompt.
    """
    samples = unfolded.samples
    texts = [sample.raw["response"] for sample in samples]
    if not (all(map(is_text, texts)) or all(map(is_chat, texts))):
        raise DropRowError("texts of the results are neither all text nor all conversations")
    prompt: Any = row.raw.get("prompt")
    if prompt is None:
        prompt = _shared_beginning(texts)
        row.note("no prompt column: the shared beginning of the texts was taken")
        identity = row.identifier("prompt_id") or row.identifier("id") or str(row.number)
        for sample in samples:
            sample.raw |= {"prompt": prompt, "prompt_id": identity}
    for sample, text in zip(samples, texts, strict=True):
        beginning: Any = [{"role": "user", "content": prompt}] if is_text(prompt) and is_list(text) else prompt
        if type(text) is type(beginning) and text[: len(beginning)] == beginning:
            sample.raw["response"] = text[len(beginning) :]
        else:
            row.note("a text does not begin with the prompt: the whole text counts as the response")
    return unfolded


def _shared_beginning(texts: Sequence[Any]) -> Any:
    if len(texts) < 2:
        return "" if all(map(is_text, texts)) else []
    if all(map(is_text, texts)):
        return min((split_texts(texts[0], other)[0] for other in texts[1:]), key=len)
    chats = [Row({"text": text}).messages("text") for text in texts]
    return plain(min((split_chats(chats[0], other)[0] for other in chats[1:]), key=len))


LAYOUTS = (
    Layout("pool (TRL completions)", _is_trl, _one, by_step=True, in_blocks=True),
    Layout("pool", _is_long, _one),
    Layout("pool (verl rollouts)", _is_verl, _one_of_verl, by_step=True),
    Layout(
        "pool (RewardBench results)", _is_results_of_pairs, _unfold_results_of_pairs, is_list=True, holds_results=True
    ),
    Layout("pool (RewardBench 2 results)", _is_results_of_lists, _unfold_results_of_lists, is_list=True),
    Layout("pool (lists of responses)", _is_lists, _unfold_lists, is_list=True),
)
"""In the order in which they are tried."""
