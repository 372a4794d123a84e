"""Problems with their right answers: what solutions are sampled for, and where answers come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from karat.data.files import open_source
from karat.data.recognise import describe_columns
from karat.data.records import NOT_UNICODE, DropRowError, Row, is_empty, is_text, is_unicode, prompt_hash
from karat.data.streams import RowStream
from karat.errors import DataError
from karat.train.labelling.answers import final_answer
from karat.types import Account, StepSolution, Text

PROMPT_COLUMNS = ("prompt", "messages", "question", "problem", "instruction", "input")
ANSWER_COLUMNS = ("answer", "final_answer", "ground_truth", "target", "solution")


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem and its right answer, as text."""

    prompt_id: str
    prompt: Text
    answer: str
    row: int = -1


@dataclass(frozen=True, slots=True)
class ProblemData:
    """Distinct problems in order of first appearance, and what happened to the rows."""

    problems: tuple[Problem, ...]
    account: Account


class _ProblemStream(RowStream):
    """Numbered rows with the account that the reader below writes into."""

    def __init__(self, source: Any) -> None:
        super().__init__(source)
        self._account.format = "problems"
        self.columns = describe_columns([item.raw for item in self.sample if not item.problem])
        self.rows = self._numbered

    def drop(self, reason: str, row: int) -> None:
        self._account.drop(reason, row)


def read_problems(source: Any, *, split: str = "") -> ProblemData:
    """Problems of rows that have a prompt (one of PROMPT_COLUMNS) and an answer (one of ANSWER_COLUMNS).

    An answer that is a worked solution (GSM8K's `answer` ends in "#### 18") is cut to the answer that it states. A
    problem that occurs again is dropped.

    Raises: DataError: nothing to read, or no problem with an answer in it.
    """
    stream = _ProblemStream(open_source(source, split=split))
    seen: dict[str, Problem] = {}
    for number, item in stream.rows():
        try:
            if item.problem:
                raise DropRowError(item.problem)
            found = _problem(item.raw, number)
            if found.prompt_id in seen:
                raise DropRowError("the problem of an earlier row again")
        except DropRowError as error:
            stream.drop(str(error), number)
            continue
        seen[found.prompt_id] = found
    account = stream.account()
    if not seen:
        reasons = "; ".join(f"{entry.reason} ({entry.count})" for entry in account.entries[:3])
        raise DataError(
            f"{account.source}: no problem with an answer in {account.rows_read} rows: {reasons}. A row needs a prompt "
            f"({', '.join(PROMPT_COLUMNS)}) and an answer ({', '.join(ANSWER_COLUMNS)}); seen: {stream.columns}."
        )
    return ProblemData(tuple(seen.values()), replace(account, records=len(seen)))


def with_answers(solutions: Sequence[StepSolution], problems: Sequence[Problem]) -> tuple[StepSolution, ...]:
    """Solutions with the answers of their problems, found by prompt or by prompt_id; one that is there stays."""
    by_prompt = {prompt_hash(problem.prompt): problem.answer for problem in problems}
    by_id = {problem.prompt_id: problem.answer for problem in problems}
    return tuple(
        solution
        if solution.answer
        else replace(solution, answer=by_prompt.get(prompt_hash(solution.prompt)) or by_id.get(solution.prompt_id, ""))
        for solution in solutions
    )


def _problem(raw: dict[str, Any], number: int) -> Problem:
    row = Row(raw, number)
    name = next((name for name in PROMPT_COLUMNS if row.has(name)), "")
    if not name:
        raise DropRowError("no column with a prompt")
    prompt: Text = row.text(name) if is_text(raw[name]) else row.messages(name)
    if is_empty(prompt):
        raise DropRowError("the prompt is empty")
    column = next((name for name in ANSWER_COLUMNS if row.has(name)), "")
    if not column:
        raise DropRowError("no column with an answer")
    value = raw[column]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DropRowError(f"column {column!r} holds an answer that is neither text nor a number")
    answer = str(value).strip()
    if "\n" in answer or "####" in answer or "\\boxed" in answer:
        answer = final_answer(answer, any_number=False) or answer
    if not answer:
        raise DropRowError("the answer is empty")
    if not is_unicode(prompt) or not is_unicode(answer):
        raise DropRowError(NOT_UNICODE)
    return Problem(row.identifier("prompt_id") or prompt_hash(prompt), prompt, answer, number)
