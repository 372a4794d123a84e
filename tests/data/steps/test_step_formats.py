"""The contract of all step formats: recognised as itself, the same records from every kind of file, what each means."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from data.samples import entries
from data.steps.step_samples import (
    ADD,
    EXPECTED,
    FIRST,
    OTHER,
    PROBLEM,
    ROWS,
    STEPS,
    USER,
    essence,
    line,
    shown,
    step,
    told,
    trl,
    turns,
)
from karat.data import read_pairs
from karat.data.steps import list_step_formats, read_steps, stream_steps
from karat.errors import DataError, InputError
from karat.types import Message

NAMES = [name for name, _, _ in list_step_formats()]


def reasons(rows: list[dict[str, Any]], **options: Any) -> list[tuple[str, str]]:
    """(action, reason) pairs of a reading."""
    return [(action, reason) for action, reason, _, _ in entries(read_steps(rows, **options).account)]


def labels_of(row: dict[str, Any], **options: Any) -> list[tuple[float | None, ...]]:
    return [shown(item.labels) for item in read_steps([row], **options).solutions]


# ---------------------------------------------------------------------------------------------------------- all of them
def test_every_format_has_a_sample() -> None:
    assert sorted(ROWS) == sorted(EXPECTED) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_records(name: str) -> None:
    data = read_steps(ROWS[name])
    assert data.account.format == name
    assert [essence(item) for item in data.solutions] == EXPECTED[name]
    assert all(item.prompt_id and item.solution_id for item in data.solutions)
    assert len({item.solution_id for item in data.solutions}) == data.account.records == len(data.solutions)
    assert data.account.rows_dropped == 0
    assert read_steps(ROWS[name], format=name) == data


@pytest.mark.parametrize(("name", "suffix"), [*product(NAMES, [".jsonl", ".parquet"])])
def test_same_records_from_every_kind_of_file(name: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"steps{suffix}"
    if suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(ROWS[name]), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS[name]), encoding="utf-8")
    data, in_memory = read_steps(path), read_steps(ROWS[name])
    assert data.account.format == name
    assert [replace(item, extra={}) for item in data.solutions] == [
        replace(item, extra={}) for item in in_memory.solutions
    ]
    assert data.account.fingerprint == in_memory.account.fingerprint


@pytest.mark.parametrize(("name", "other"), [pair for pair in product(NAMES, NAMES) if pair[0] != pair[1]])
def test_the_majority_of_rows_decides(name: str, other: str) -> None:
    """One row of another format in front does not decide."""
    stream = stream_steps([ROWS[other][0], *ROWS[name] * 3])
    assert stream.format == name


def test_the_table_in_the_docs_is_the_list_of_formats() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "steps-data.md").read_text(encoding="utf-8")
    for name, description, columns in list_step_formats():
        assert f"| `{name}` | {columns} | {description} |" in page


def test_rows_of_no_format_are_named_with_what_is_near() -> None:
    with pytest.raises(DataError) as error:
        read_steps([{"prompt": PROBLEM, "completions": "2 + 3", "labels": "good"}])
    assert "Columns seen: prompt (text), completions (text), labels (text). Nearest formats: trl-stepwise" in str(
        error.value
    )
    with pytest.raises(InputError, match=r"--format 'trl' is not known\. Known: karat, prm800k"):
        read_steps(ROWS["karat"], format="trl")


@pytest.mark.parametrize("name", ["trl-stepwise", "processbench", "prm800k"])
def test_readers_of_pairs_say_that_steps_are_steps(name: str) -> None:
    with pytest.raises(DataError, match=rf"rows hold steps with labels \({name}\), not pairs.*karat train --process"):
        read_pairs(ROWS[name])


# ------------------------------------------------------------------------------------------------------------- TRL, own
def test_labels_that_are_numbers_stay_numbers() -> None:
    assert labels_of(trl([0.9, 0.55, 1, True])) == [(0.9, 0.55, 1.0, 1.0)]


def test_prompts_may_be_conversations() -> None:
    row = {**trl([True]), "prompt": [{"role": "user", "content": PROBLEM}]}
    assert read_steps([row]).solutions[0].prompt == USER


def test_own_rows_need_no_labels() -> None:
    data = read_steps([{"prompt": PROBLEM, "steps": list(ADD)}])
    assert shown(data.solutions[0].labels) == (None, None, None)
    assert entries(data.account) == [("noted", "no step is labelled", 1, (0,))]


def test_own_rows_with_the_first_error_alone_get_the_labels_that_follow_from_it() -> None:
    assert labels_of({"prompt": PROBLEM, "steps": list(ADD), "first_error": 1}) == [(1.0, 0.0, None)]


def test_what_karat_does_not_interpret_is_kept() -> None:
    item = read_steps([trl([True], lang="en", source="s", id=7)]).solutions[0]
    assert (item.extra, item.source, item.solution_id) == ({"lang": "en"}, "s", "7")


# -------------------------------------------------------------------------------------------------------------- PRM800K
NEUTRAL = line(step(0, told(1, "a")), step(0, told(0, "b")), step(0, told(-1, "c")), reason="found_error")


@pytest.mark.parametrize(
    ("neutral", "labels", "first_error"),
    [
        ("undefined", (1.0, None, 0.0), None),
        ("right", (1.0, 1.0, 0.0), 2),
        ("wrong", (1.0, 0.0, None), 1),
        ("half", (1.0, 0.5, 0.0), 2),
    ],
)
def test_the_user_says_what_neutral_means(neutral: Any, labels: tuple[Any, ...], first_error: int | None) -> None:
    data = read_steps([NEUTRAL], neutral=neutral)
    assert (shown(data.solutions[0].labels), data.solutions[0].first_error) == (labels, first_error)
    assert ("changed", f"a neutral rating (0) read as {neutral}", 1, (0,)) in entries(data.account)
    assert ("noted", "finish_reason is found_error", 1, (0,)) in entries(data.account)


def test_a_finished_path_and_each_rated_step_beside_it() -> None:
    row = line(
        step(1, told(-1, "a'"), told(1, "a"), told(None, "a''")),
        step(0, told(1, "b"), told(-1, "b'")),
    )
    found = [(item.steps, shown(item.labels), item.solution_id) for item in read_steps([row]).solutions]
    assert found == [(("a'",), (0.0,), "0.0"), (("a", "b'"), (1.0, 0.0), "0.1"), (("a", "b"), (1.0, 1.0), "0.2")]
    assert ("changed", "an alternative without a rating left out") in reasons([row])


def test_a_path_without_an_end_lives_on_in_its_alternatives() -> None:
    given_up = line(step(0, told(1, "a")), step(None, told(-1, "b"), told(-1, "c")), reason="found_error")
    assert [item.steps for item in read_steps([given_up]).solutions] == [("a", "b"), ("a", "c")]
    unrated = line(step(0, told(1, "a")), step(None, told(None, "b")), reason="give_up")
    assert [item.steps for item in read_steps([unrated]).solutions] == [("a",)]


@pytest.mark.parametrize("human", ["b", {"text": "b", "rating": None}])
def test_a_step_written_by_the_labeller_is_right(human: Any) -> None:
    row = line(step(0, told(1, "a")), step(None, told(-1, "x"), human=human))
    data = read_steps([row])
    assert essence(data.solutions[1])[1:4] == (("a", "b"), (1.0, 1.0), -1)
    assert ("noted", "a step written by the labeller: right", 1, (0,)) in entries(data.account)


def test_circumstances_of_the_labelling_are_noted_and_kept() -> None:
    row = line(step(0, told(1, "a", flagged=True)), reason="bad_problem", is_quality_control_question=True)
    data = read_steps([row])
    assert [reason for _, reason, _, _ in entries(data.account)] == [
        "a question of quality control: kept",
        "a step is flagged by the labeller: kept",
        "finish_reason is bad_problem",
    ]
    assert data.solutions[0].extra["finish_reason"] == "bad_problem"
    assert data.solutions[0].extra["labeler"] == "w1"


# ------------------------------------------------------------------------------------------------ marks after each step
def shepherd(text: str) -> dict[str, Any]:
    """A row from a text with its signs in place: "[+]" and "[-]" stand for a mark with its label."""
    return {
        "input": text.replace("[+]", "ки").replace("[-]", "ки"),
        "label": text.replace("[+]", "+").replace("[-]", "-"),
    }


def test_a_label_inside_the_problem_is_of_no_step() -> None:
    data = read_steps([shepherd(f"Mr. Rocky has 3 hens. [-]\nHow many? {STEPS[0]} [+]\n{STEPS[1]} [-]")])
    assert essence(data.solutions[0])[:4] == ("Mr. Rocky has 3 hens. How many?", STEPS[:2], (1.0, 0.0), 1)
    assert entries(data.account) == [("changed", "labels inside the problem left out", 1, (0,))]


@pytest.mark.parametrize(
    ("text", "problem", "first"),
    [
        ("How many? It is 2. [+]", "How many?", "It is 2."),
        ("Find x.\n\nIt is 2. [+]", "Find x.", "It is 2."),
        ("Find x? Or y?\n\nx is 2. [+]", "Find x? Or y?", "x is 2."),
        ("Find x. step 1: it is 2. [+]", "Find x.", "step 1: it is 2."),
    ],
)
def test_where_the_first_step_begins(text: str, problem: str, first: str) -> None:
    item = read_steps([shepherd(text)]).solutions[0]
    assert (item.prompt, item.steps) == (problem, (first,))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (shepherd("Find x. It is 2. [+]"), "the problem and the first step cannot be told apart"),
        (shepherd("Find x? Is it 2? [+]"), "the problem and the first step cannot be told apart"),
        (shepherd("Find x. Step 1: it is 2."), "column 'input' holds no 'ки'"),
        (shepherd("Step 1: it is 2. [+]"), "the problem is empty"),
        ({"input": f"{FIRST} ки", "label": f"{FIRST}! +"}, "the texts of input and label do not align"),
        ({"input": f"{FIRST} ки", "label": f"{FIRST.upper()} +"}, "the texts of input and label do not align"),
        ({"input": f"{FIRST} ки", "label": f"{FIRST} ?"}, "the texts of input and label do not align"),
        ({"input": f"{FIRST} ки\nb ки", "label": f"{FIRST} +"}, "the texts of input and label do not align"),
        ({"input": f"{FIRST} ки", "label": f"{FIRST} + and more"}, "the texts of input and label do not align"),
    ],
)
def test_malformed_rows_of_math_shepherd_are_dropped(row: dict[str, Any], reason: str) -> None:
    data = read_steps([row, ROWS["math-shepherd"][0]], format="math-shepherd")
    (entry,) = [entry for entry in data.account if entry.action == "dropped"]
    assert entry.reason.startswith(reason)


def test_text_after_the_last_mark_is_a_step_without_a_label() -> None:
    data = read_steps([shepherd(f"{FIRST} [+]\nSo 20.")])
    assert essence(data.solutions[0])[1:4] == ((STEPS[0], "So 20."), (1.0, None), None)
    assert entries(data.account) == [("noted", "text after the last mark: a step without a label", 1, (0,))]


def test_the_placeholder_is_an_option_and_labels_may_be_shares() -> None:
    row = {"input": f"{FIRST} <step>{STEPS[1]} <step>", "value": [0.875, 0.625]}
    assert labels_of(row, placeholder="<step>") == [(0.875, 0.625)]
    with pytest.raises(DataError, match=r"column 'input' holds no 'ки' \(1\)"):
        read_steps([row])
    data = read_steps([row, {**row, "value": [1.0]}], placeholder="<step>")
    assert entries(data.account) == [("dropped", "placeholders and labels differ in number", 1, (1,))]


def test_a_conversation_without_its_last_label() -> None:
    data = read_steps([{"conversations": turns(FIRST, "+", STEPS[1])}])
    assert shown(data.solutions[0].labels) == (1.0, None)
    assert entries(data.account) == [("noted", "the last step has no label", 1, (0,))]


def test_conversations_that_do_not_alternate_are_dropped() -> None:
    good = {"conversations": turns(FIRST, "+")}
    bad = {"conversations": [*turns(FIRST), *turns(STEPS[1], "+")]}
    assert reasons([good, bad, good])[0] == (
        "dropped",
        "conversations are not a user's step and the assistant's label in turn",
    )


def test_a_column_with_the_problem_parts_it_from_the_first_step() -> None:
    row = {"conversations": turns(f"{OTHER} Well. 5.", "+"), "problem": f"{OTHER} Well."}
    assert essence(read_steps([row]).solutions[0])[:2] == (f"{OTHER} Well.", ("5.",))


# ----------------------------------------------------------------------------------------------- first error, PaddleNLP
def test_steps_of_mr_gsm8k_count_from_1() -> None:
    row = {**ROWS["mr-gsm8k"][0], "model_output_solution_first_error_step": 0}
    assert reasons([row, *ROWS["mr-gsm8k"]])[0][1].startswith("the solution is wrong, and model_output_solution_first")
    row = {**ROWS["mr-gsm8k"][0], "model_output_solution_first_error_step": 4}
    assert reasons([row, *ROWS["mr-gsm8k"]])[0] == ("dropped", "the index of the first wrong step names no step")


def test_no_mistake_and_a_wrong_answer_is_noted() -> None:
    assert reasons(ROWS["bigbench-mistake"]) == [("noted", "no step is wrong, yet the final answer is: kept")]


def test_a_dialogue_of_paddlenlp_becomes_turns() -> None:
    row = {"src": ["Hi", PROBLEM], "tgt": ["Hello"], "responses": ["20"], "labels": ["+"]}
    prompt = (Message("user", "Hi"), Message("assistant", "Hello"), Message("user", PROBLEM))
    assert read_steps([row]).solutions[0].prompt == prompt
    assert read_steps([{**row, "src": PROBLEM, "tgt": [""]}]).solutions[0].prompt == PROBLEM
    assert reasons([row, {**row, "tgt": []}])[0] == ("dropped", "tgt must have one entry fewer than src")
