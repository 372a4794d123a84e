"""Laws: what is written is read back equal, in every format that can hold it; every row is used or dropped."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.samples import entries
from data.steps.step_samples import ADD, OTHER, PROBLEM, ROWS, STEPS, shown
from karat.data import fingerprint
from karat.data.steps import list_step_formats, read_steps, stream_steps, take_steps, write_steps
from karat.errors import DataError, InputError, ResourceError
from karat.types import NAN, NO_ERROR, Message, StepSolution, TokenIds

READ_ONLY = ("gsm8k-samples", "gsm8k")
WRITTEN = [name for name, _, _ in list_step_formats() if name not in READ_ONLY]
FIRST_ERROR = ("processbench", "bigbench-mistake", "mr-gsm8k")
MARKED = ("math-shepherd", "openrlhf", "rlhflow")
SHARES = ("karat", "trl-stepwise", "openrlhf")

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LINES = WORDS.filter(lambda text: bool(text.strip()))
SENTENCES = st.sampled_from(["Step 1: a", "step 1:b", "Why? So.", "a\n\nb", "+", "ок", " x ", "Step 2: c"]) | LINES
CHATS = st.lists(st.builds(Message, st.sampled_from(["user", "assistant"]), LINES), min_size=1, max_size=3).map(tuple)


@st.composite
def solutions(draw: Callable[..., Any], labels: str) -> StepSolution:
    """`labels`: "any", "shares", "signs", or "first error" (with what follows the first error undefined)."""
    steps = tuple(draw(st.lists(SENTENCES, min_size=1, max_size=4)))
    of = {"any": st.floats(0, 1) | st.just(NAN), "shares": st.floats(0, 1), "signs": st.sampled_from([0.0, 1.0])}
    first_error: int | None = None
    label_S: tuple[float, ...] = ()
    if labels == "first error":
        first_error = draw(st.integers(NO_ERROR, len(steps) - 1))
    else:
        label_S = tuple(draw(of[labels]) for _ in steps)
    item = StepSolution(
        draw(SENTENCES),
        steps,
        label_S,
        first_error,
        prompt_id=draw(LINES),
        solution_id=draw(LINES),
        source=draw(WORDS),
        answer=draw(WORDS) if labels == "any" else "",
        final_right=draw(st.sampled_from([0.0, 1.0, NAN])) if labels == "any" else NAN,
        extra=draw(st.dictionaries(st.sampled_from(["lang", "n"]), st.integers() | WORDS)) if labels == "any" else {},
    )
    return take_steps([item], after_error="keep").solutions[0]


def written_and_read(items: list[StepSolution], name: str, **options: Any) -> tuple[StepSolution, ...]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "steps.jsonl"
        account = write_steps(items, path, format=name)
        data = read_steps(path, format=name, after_error="keep", **options)
    assert data.account.rows_read == data.account.records == account.records
    assert data.account.fingerprint == account.fingerprint == fingerprint(data.solutions)
    return data.solutions


def stripped(item: StepSolution) -> StepSolution:
    assert isinstance(item.prompt, str)
    return replace(item, prompt=item.prompt.strip(), steps=tuple(step.strip() for step in item.steps))


# ---------------------------------------------------------------------------------------------------------- round trips
@given(st.lists(solutions("any"), min_size=1, max_size=4), CHATS)
@settings(max_examples=40, deadline=None)
def test_own_rows_come_back_equal(items: list[StepSolution], chat: tuple[Message, ...]) -> None:
    items = [*items[:-1], replace(items[-1], prompt=chat)]
    assert written_and_read(items, "karat") == tuple(replace(item, row=row) for row, item in enumerate(items))


@pytest.mark.parametrize("name", [name for name in WRITTEN if name not in FIRST_ERROR])
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_labels_come_back_equal(name: str, data: st.DataObject) -> None:
    kind = "shares" if name in SHARES else "signs"
    items = data.draw(st.lists(solutions(kind), min_size=1, max_size=4))
    back = [replace(item, extra={}) for item in written_and_read(items, name)]
    wanted = [stripped(item) for item in items] if name in MARKED else items
    assert back == [replace(item, row=row) for row, item in enumerate(wanted)]


@pytest.mark.parametrize("name", FIRST_ERROR)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_first_errors_come_back_equal(name: str, data: st.DataObject) -> None:
    items = data.draw(st.lists(solutions("first error"), min_size=1, max_size=4))
    back = [replace(item, extra={}) for item in written_and_read(items, name)]
    assert back == [replace(item, row=row) for row, item in enumerate(items)]


@pytest.mark.parametrize("name", sorted(ROWS))
def test_solutions_of_every_format_are_written_and_read_back_equal(name: str, tmp_path: Path) -> None:
    items = read_steps(ROWS[name]).solutions
    account = write_steps(items, tmp_path / "steps.jsonl.zst")
    assert not entries(account)
    assert read_steps(tmp_path / "steps.jsonl.zst").solutions == tuple(
        replace(s, row=row) for row, s in enumerate(items)
    )


@pytest.mark.parametrize("name", WRITTEN)
def test_rows_are_written_as_the_tool_has_them(name: str, tmp_path: Path) -> None:
    """A sample read and written again has the columns and values that the sample had, of those that are held."""
    items = read_steps(ROWS[name][-1:]).solutions
    write_steps(items, tmp_path / "steps.jsonl", format=name)
    row = json.loads((tmp_path / "steps.jsonl").read_text().splitlines()[0])
    sample = ROWS[name][-1]
    if name in ("prm800k", "openrlhf"):  # several paths of a line become lines; what follows the first error is cut
        return
    assert {key: row[key] for key in row if key in sample} == {
        key: value for key, value in sample.items() if key in row
    } | ({"ground_truth_answer": "5"} if name == "mr-gsm8k" else {}) | (
        {"model_output_solution_first_error_step": None} if name == "mr-gsm8k" else {}
    )


# -------------------------------------------------------------------------------------------------- what cannot be held
PARTLY = StepSolution(PROBLEM, STEPS, (1.0, 0.0, NAN), 1, answer="20", final_right=0.0)


def test_undefined_labels_are_cut_off_where_there_is_no_word_for_them(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    account = write_steps([PARTLY, StepSolution(OTHER, ("5",))], path, format="trl-stepwise")
    assert entries(account) == [
        ("dropped", "the label of the first step is undefined: nothing is left", 1, (1,)),
        ("changed", "no place for answer: left out", 1, (0,)),
        ("changed", "no place for final_right: left out", 1, (0,)),
        ("changed", "steps from the first undefined label on cut off", 1, (0,)),
    ]
    assert json.loads(path.read_text()) == {"prompt": PROBLEM, "completions": list(STEPS[:2]), "labels": [True, False]}
    with pytest.raises(DataError, match=r"solution 0: the label of step 2 is undefined, and trl-stepwise has no word"):
        write_steps([PARTLY], path, format="trl-stepwise", undefined="refuse")
    assert not entries(write_steps([replace(PARTLY, answer="", final_right=NAN)], path, format="processbench"))


def test_a_neutral_step_cuts_a_first_error_that_is_not_known(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    write_steps([StepSolution(PROBLEM, ADD, (1.0, NAN, 0.0))], path, format="processbench")
    assert [(item.steps, shown(item.labels)) for item in read_steps(path).solutions] == [(ADD[:1], (1.0,))]


@pytest.mark.parametrize(
    ("item", "name", "message"),
    [
        (
            replace(PARTLY, labels=(1.0, 0.25, NAN)),
            "processbench",
            r"solution 0: the label of step 1 is 0\.25; processb",
        ),
        (StepSolution(PROBLEM, ADD, (1.0, 0.0, 1.0)), "processbench", "its labels would be read as others"),
        (
            StepSolution(PROBLEM, ("a ки b",), (1.0,)),
            "math-shepherd",
            "math-shepherd cannot hold it: the texts of input",
        ),
        (StepSolution((Message("user", "P"),), ("a",), (1.0,)), "processbench", "its prompt is no plain text"),
        (
            StepSolution((Message("user", "P"),), ("a",), (1.0,)),
            "paddlenlp",
            "the problem would be read as another text",
        ),
        (StepSolution(TokenIds((1, 2)), ("a",), (1.0,)), "karat", "its prompt is no plain text"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(item: StepSolution, name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        write_steps([item], tmp_path / "steps.jsonl", format=name)
    assert not list(tmp_path.iterdir())


def test_labels_have_one_type_through_the_file(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    items = [StepSolution(PROBLEM, ("a",), (1.0,)), StepSolution(OTHER, ("b",), (0.75,))]
    for name, hard, soft in (("trl-stepwise", [True], [1.0]), ("openrlhf", ["+"], [1.0])):
        column = "labels" if name == "trl-stepwise" else "label"
        write_steps(items[:1], path, format=name)
        assert json.loads(path.read_text())[column] == hard
        write_steps(items, path, format=name)
        assert json.loads(path.read_text().splitlines()[0])[column] == soft


def test_other_refusals(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    with pytest.raises(InputError, match=r"'gsm8k' is only read\. These are written too: karat, prm800k"):
        write_steps([PARTLY], path, format="gsm8k")
    with pytest.raises(InputError, match="undefined is 'drop'; it is one of cut, refuse"):
        write_steps([PARTLY], path, undefined="drop")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"solutions are written as \.jsonl"):
        write_steps([PARTLY], tmp_path / "steps.csv")
    with pytest.raises(DataError, match=r"no solution is left to be written as karat: a step is empty \(1\)"):
        write_steps([StepSolution("P", (" ",))], path)
    with pytest.raises(ResourceError, match="cannot be written: No such file or directory"):
        write_steps([PARTLY], tmp_path / "none" / "steps.jsonl")


# ------------------------------------------------------------------------------------------------------------- accounts
@given(solutions("any"))
def test_fingerprint_sees_every_field_but_row_and_extra(item: StepSolution) -> None:
    assert fingerprint([item]) == fingerprint([replace(item, row=7, extra={"x": 1})])
    other = [
        replace(item, prompt="another prompt"),
        replace(item, steps=(*item.steps, "z")),
        replace(item, labels=(*item.labels, 0.5)),
        replace(item, first_error=99),
        replace(item, prompt_id=item.prompt_id + "x"),
        replace(item, solution_id=item.solution_id + "x"),
        replace(item, answer=item.answer + "x"),
        replace(item, final_right=0.5),
        replace(item, source=item.source + "x"),
    ]
    assert len({fingerprint([one]) for one in (item, *other)}) == 10


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**400), 10**400) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "text", "rating", "steps", "problem", "completions"]), inner
        )
    ),
    max_leaves=6,
)


@given(st.sampled_from(sorted(ROWS)), st.data())
@settings(max_examples=120, deadline=None)
def test_junk_in_a_column_drops_the_row_and_never_breaks_the_reading(name: str, data: st.DataObject) -> None:
    good = ROWS[name]
    bad = json.loads(json.dumps(data.draw(st.sampled_from(good))))
    for column in data.draw(st.sets(st.sampled_from(sorted(bad)), min_size=1)):
        inner = bad[column]
        if isinstance(inner, dict) and inner and data.draw(st.booleans()):
            inner[data.draw(st.sampled_from(sorted(inner)))] = data.draw(JUNK)
        elif isinstance(inner, list) and inner and data.draw(st.booleans()):
            inner[data.draw(st.integers(0, len(inner) - 1))] = data.draw(JUNK)
        else:
            bad[column] = data.draw(JUNK)
    stream = stream_steps([bad, bad, *good], format=name)
    rows = list(stream)
    account = stream.account()
    assert account.rows_read == len(rows) == len(good) + 2
    assert account.rows_read == sum(bool(row.solutions) for row in rows) + account.rows_dropped
    assert account.records == sum(len(row.solutions) for row in rows)
    assert not any(row.solutions and row.dropped for row in rows)
    for item in (item for row in rows for item in row.solutions):
        assert len(item.labels) == len(item.steps) > 0
        assert all(label is NAN or 0.0 <= label <= 1.0 for label in item.labels)
        assert item.first_error is None or NO_ERROR <= item.first_error < len(item.steps)
        assert item.prompt_id
        assert math.isnan(item.final_right) or item.final_right in (0.0, 1.0)
