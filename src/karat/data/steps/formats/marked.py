"""Formats with a mark after each step and the problem before the first one: Math-Shepherd, OpenRLHF, RLHFlow.

Nothing but the text parts the problem from the first step: "Step 1:" mostly. Where that would part them elsewhere,
karat writes, and heeds, a column with the problem.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from karat.data.records import DropRowError, Row, is_chat, is_list, is_text
from karat.data.steps.formats.base import StepFormat, StepOptions, label_of, labels, sign, solution
from karat.types import NAN, StepSolution

MARK = "ки"
"""Math-Shepherd's mark: a word of Russian that no problem holds, and one token for Mistral."""
_STEP_1 = re.compile(r"\bstep 1\s*:", re.IGNORECASE)
_PARAGRAPH = "\n\n"
_PROBLEM = "problem"
"""Column that repeats the problem, where there is one."""


def _parted(text: str, row: Row) -> tuple[str, str]:
    """The problem and the first step. Raises DropRowError where nothing tells them apart."""
    found = _STEP_1.search(text)
    if found:
        return text[: found.start()].strip(), text[found.start() :].strip()
    head, _, tail = text.strip().rpartition(_PARAGRAPH)
    if head and tail:
        row.note("no 'Step 1:': the last blank line parts the problem from the first step")
        return head.strip(), tail.strip()
    head, sign_found, tail = text.strip().partition("?")
    if sign_found and tail.strip() and "?" not in tail:
        row.note("no 'Step 1:': the question mark parts the problem from the first step")
        return head.strip() + "?", tail.strip()
    raise DropRowError("the problem and the first step cannot be told apart (no 'Step 1:', blank line or one '?')")


def _of_pieces(row: Row, pieces: Sequence[str], label_S: Sequence[float]) -> StepSolution:
    """A solution of the texts before each mark, the first of which begins with the problem.

    Some rows of Math-Shepherd have marks inside the problem: "Step 1:" then stands in a later piece, and the labels
    before it are of no step.
    """
    begin, known = pieces[0].strip(), row.text_or(_PROBLEM).strip()
    if known and begin.startswith(known):
        steps = (begin.removeprefix(known).strip(), *(piece.strip() for piece in pieces[1:]))
        return solution(row, known, steps, labels=tuple(label_S))
    first = next((index for index, piece in enumerate(pieces) if _STEP_1.search(piece)), 0)
    problem, step = _parted(pieces[first], row)
    if first:
        row.change("labels inside the problem left out")
        problem = " ".join(filter(None, (*(piece.strip() for piece in pieces[:first]), problem)))
    steps = (step, *(piece.strip() for piece in pieces[first + 1 :]))
    return solution(row, problem, steps, labels=tuple(label_S[first:]))


def _cut_up(row: Row, mark: str) -> tuple[list[str], str]:
    """The texts before each mark, and what stands after the last one."""
    *pieces, rest = row.text("input").split(mark)
    if not pieces:
        raise DropRowError(f"column 'input' holds no {mark!r}")
    return pieces, rest


def _said(item: StepSolution) -> list[str]:
    """The steps, the first behind the problem."""
    assert isinstance(item.prompt, str)
    first, *others = (step.strip() for step in item.steps)
    gap = " " if _STEP_1.match(first) else _PARAGRAPH
    return [f"{item.prompt.strip()}{gap}{first}", *others]


def _joined(item: StepSolution, marks: Sequence[str]) -> str:
    return "\n".join(f"{step} {mark}" for step, mark in zip(_said(item), marks, strict=True))


def _problem_column(item: StepSolution) -> dict[str, Any]:
    """The problem as a column, where the text alone would be parted elsewhere."""
    assert isinstance(item.prompt, str)
    problem = item.prompt.strip()
    try:
        back = _of_pieces(Row({}), _said(item), item.labels)
    except DropRowError:
        return {_PROBLEM: problem}
    same = back.prompt == problem and back.steps == tuple(step.strip() for step in item.steps)
    return {} if same else {_PROBLEM: problem}


# -------------------------------------------------------------------------------------------------------- Math-Shepherd
def _read_shepherd(row: Row, _: StepOptions) -> list[StepSolution]:
    """The label text is the input with "+" or "-" in place of each mark, sign by sign."""
    pieces, rest = _cut_up(row, MARK)
    marked, at, label_S = row.text("label"), 0, []
    for piece in pieces:
        end = at + len(piece)
        if marked[at:end] != piece or marked[end : end + 1] not in ("+", "-"):
            raise DropRowError("the texts of input and label do not align")
        label_S.append(label_of(marked[end]))
        at = end + 1
    if marked[at:].strip() != rest.strip():
        raise DropRowError("the texts of input and label do not align")
    return [_with_rest(row, pieces, label_S, rest)]


def _with_rest(row: Row, pieces: list[str], label_S: list[float], rest: str) -> StepSolution:
    if rest.strip():
        row.note("text after the last mark: a step without a label")
        pieces, label_S = [*pieces, rest], [*label_S, NAN]
    return _of_pieces(row, pieces, label_S)


def _write_shepherd(item: StepSolution, _: StepOptions) -> dict[str, Any]:
    signs = list(map(sign, item.labels))
    row = {"input": _joined(item, [MARK] * len(signs)), "label": _joined(item, signs)}
    return row | _problem_column(item) | ({"task": item.extra["task"]} if "task" in item.extra else {})


# ------------------------------------------------------------------------------------------------------------- OpenRLHF
def _label_column(row: Mapping[str, Any]) -> str:
    return "label" if is_list(row.get("label")) else "value"


def _read_placeholder(row: Row, options: StepOptions) -> list[StepSolution]:
    pieces, rest = _cut_up(row, options.placeholder)
    label_S = list(labels(row, _label_column(row.raw)))
    if len(label_S) != len(pieces):
        raise DropRowError("placeholders and labels differ in number")
    return [_with_rest(row, pieces, label_S, rest)]


def _write_placeholder(item: StepSolution, options: StepOptions) -> dict[str, Any]:
    text = _joined(item, [options.placeholder] * len(item.steps))
    return {"input": text, "label": list(item.labels)} | _problem_column(item)


# -------------------------------------------------------------------------------------------------------------- RLHFlow
def _is_rlhflow(row: Mapping[str, Any]) -> bool:
    turns: Any = row.get("conversations")
    if not is_chat(turns):
        return False
    return any(str(turn.get("content", turn.get("value"))).strip() in ("+", "-") for turn in turns)


def _read_rlhflow(row: Row, _: StepOptions) -> list[StepSolution]:
    """User and assistant in turn: a step, its label."""
    turns = row.messages("conversations")
    said, judged = turns[::2], turns[1::2]
    if any(turn.role != "user" for turn in said) or any(turn.role != "assistant" for turn in judged):
        raise DropRowError("conversations are not a user's step and the assistant's label in turn")
    label_S = [label_of(turn.content) for turn in judged]
    if len(said) > len(judged):
        row.note("the last step has no label")
        label_S.append(NAN)
    if not said:
        raise DropRowError("conversations are empty")
    return [_of_pieces(row, [turn.content for turn in said], label_S)]


def _write_rlhflow(item: StepSolution, _: StepOptions) -> dict[str, Any]:
    turns = []
    for step, label in zip(_said(item), item.labels, strict=True):
        turns += [{"role": "user", "content": step}, {"role": "assistant", "content": sign(label)}]
    return {"conversations": turns} | _problem_column(item)


FORMATS = (
    StepFormat(
        name="math-shepherd",
        columns="input: text with ки after each step; label: the same text with + or - in that place; [task, problem]",
        description="Math-Shepherd: the problem ends where `Step 1:` begins, or with the column problem",
        matches=lambda row: is_text(row.get("input")) and is_text(row.get("label")),
        read=_read_shepherd,
        write=_write_shepherd,
    ),
    StepFormat(
        name="openrlhf",
        columns="input: text with a placeholder after each step; label (or value): list of + and -, or of numbers in "
        "[0, 1]; [problem]",
        description="OpenRLHF: the token is the option `placeholder`, ки unless named",
        matches=lambda row: is_text(row.get("input")) and is_list(row.get(_label_column(row))),
        read=_read_placeholder,
        write=_write_placeholder,
        holds="shares",
        words=("label", "-", "+"),
    ),
    StepFormat(
        name="rlhflow",
        columns="conversations: list of messages, a step of the user's (the problem before the first) and + or - of "
        "the assistant's in turn; [problem]",
        description="RLHFlow PRM data",
        matches=_is_rlhflow,
        read=_read_rlhflow,
        write=_write_rlhflow,
    ),
)
