"""Formats with a list of steps and a list of labels: TRL and Axolotl, PaddleNLP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from karat.data.records import DropRowError, Row, after_system, assistant, is_chat, is_list, is_text, plain, user
from karat.data.steps.formats.base import StepFormat, StepOptions, labels, sign, solution, texts
from karat.types import Message, StepSolution, Text, TokenIds


# --------------------------------------------------------------------------------------------------------- TRL, Axolotl
def _is_stepwise(row: Mapping[str, Any]) -> bool:
    if not (is_text(row.get("prompt")) or is_chat(row.get("prompt"))):
        return False
    return is_list(row.get("completions")) and is_list(row.get("labels"))


def _read_stepwise(row: Row, _: StepOptions) -> list[StepSolution]:
    prompt = row.text("prompt") if is_text(row.raw.get("prompt")) else row.messages("prompt")
    return [solution(row, prompt, texts(row, "completions"), labels=labels(row, "labels"))]


def _write_stepwise(item: StepSolution, _: StepOptions) -> dict[str, Any]:
    return {"prompt": plain(item.prompt), "completions": list(item.steps), "labels": list(item.labels)}


# ------------------------------------------------------------------------------------------------------------ PaddleNLP
def _is_paddle(row: Mapping[str, Any]) -> bool:
    return (is_text(row.get("src")) or is_list(row.get("src"))) and all(
        is_list(row.get(name)) for name in ("responses", "labels")
    )


def _said(row: Row, name: str) -> tuple[str, ...]:
    """What one side of the dialogue said: a text, or a list of texts."""
    if not row.has(name):
        return ()
    return (row.text(name),) if is_text(row.raw[name]) else texts(row, name)


def _read_paddle(row: Row, _: StepOptions) -> list[StepSolution]:
    questions, answers = _said(row, "src"), tuple(filter(None, _said(row, "tgt")))
    if len(answers) != len(questions) - 1:
        raise DropRowError("tgt must have one entry fewer than src")
    prompt: Text = questions[0]
    if answers or row.has("system"):
        both = zip(questions, answers, strict=False)
        turns = tuple(turn for question, answer in both for turn in (*user(question), *assistant(answer)))
        prompt = after_system(row, (*turns, *user(questions[-1])))
    return [solution(row, prompt, texts(row, "responses"), labels=labels(row, "labels"))]


def _write_paddle(item: StepSolution, _: StepOptions) -> dict[str, Any]:
    row: dict[str, Any] = {"src": [], "tgt": [], "responses": list(item.steps), "labels": list(map(sign, item.labels))}
    assert not isinstance(item.prompt, TokenIds)
    for turn in (Message("user", item.prompt),) if isinstance(item.prompt, str) else item.prompt:
        if turn.role == "system":
            row["system"] = turn.content
        else:
            row["src" if turn.role == "user" else "tgt"].append(turn.content)
    return row


FORMATS = (
    StepFormat(
        name="paddlenlp",
        columns="src: text or list of texts; responses: list of texts; labels: list of + and -; [tgt: list of texts, "
        "system]",
        description="PaddleNLP PRM: the dialogue so far in src and tgt, one response a step",
        matches=_is_paddle,
        read=_read_paddle,
        write=_write_paddle,
        prompts=(str, tuple),
    ),
    StepFormat(
        name="trl-stepwise",
        columns="prompt: text; completions: list of texts; labels: list of true and false, or of numbers in [0, 1]",
        description="TRL stepwise supervision, Axolotl stepwise_supervised: labels that are numbers stay numbers",
        matches=_is_stepwise,
        read=_read_stepwise,
        write=_write_stepwise,
        holds="shares",
        prompts=(str, tuple),
        words=("labels", False, True),
    ),
)
