"""Pools with a list of responses a row, and RewardBench's results."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.samples import ROWS, chat, entries, turns
from karat.data import detect_kind, stream_pool
from karat.errors import DataError
from karat.types import Message, PoolRow

NAN = math.nan
LISTS: list[dict[str, Any]] = [
    {"prompt": "p", "responses": ["a", "b", "c"], "scores": [0.5, 1, 2.5], "gold": [True, False, True], "level": 3},
    {"prompt": "q", "responses": ["d"], "scores": [7.0], "gold": [False], "level": 1},
]


def records(rows: Any) -> list[PoolRow]:
    return [read.record for read in stream_pool(rows) if read.record is not None]


def same(left: float, right: float) -> bool:
    return left == right or (math.isnan(left) and math.isnan(right))


def test_records() -> None:
    found = records(LISTS)
    assert [(r.prompt, r.response, r.response_id, r.row) for r in found] == [
        ("p", "a", "0.0", 0), ("p", "b", "0.1", 0), ("p", "c", "0.2", 0), ("q", "d", "1.0", 1),
    ]  # fmt: skip
    assert [dict(r.scores) for r in found] == [
        {"scores": 0.5, "gold": 1.0}, {"scores": 1.0, "gold": 0.0}, {"scores": 2.5, "gold": 1.0},
        {"scores": 7.0, "gold": 0.0},
    ]  # fmt: skip
    assert [r.prompt_id for r in found[:3]] == [found[0].prompt_id] * 3 != [found[3].prompt_id] * 3


def test_a_number_of_the_row_is_the_prompts_and_no_score() -> None:
    assert all("level" not in record.scores for record in records(LISTS))
    assert [record.extra["level"] for record in records(LISTS)] == [3, 3, 3, 1]


def test_account() -> None:
    stream = stream_pool(LISTS)
    reads = list(stream)
    account = stream.account()
    assert (account.format, account.rows_read, account.records) == ("pool (lists of responses)", 2, 4)
    assert [(read.row, read.place) for read in reads] == [(0, 0), (0, 1), (0, 2), (1, 0)]
    assert all(read.raw == LISTS[read.row] for read in reads)


@pytest.mark.parametrize("name", ["responses", "samples", "completions", "outputs", "generations"])
@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (["a", "b"], ["a", "b"]),
        ([{"text": "a"}, {"content": "b"}], ["a", "b"]),
        ([chat("a", first="assistant"), chat("b", first="assistant")], [(Message("assistant", t),) for t in "ab"]),
        (chat("a", first="assistant") + chat("b", first="assistant"), [(Message("assistant", t),) for t in "ab"]),
        ([{"index": 0, "message": {"role": "assistant", "content": "a"}}], [(Message("assistant", "a"),)]),
    ],
    ids=["texts", "objects", "conversations", "messages", "choices"],
)
def test_every_shape_of_response(name: str, items: list[Any], expected: list[Any]) -> None:
    rows = [{"prompt": "Q", name: items}]
    found = records(rows)
    assert [record.response for record in found] == expected
    assert {record.prompt for record in found} == ({"Q"} if isinstance(expected[0], str) else {turns("Q")})
    assert detect_kind(rows) == "pool"


def test_numbers_of_objects_are_scores_and_their_ids_are_kept() -> None:
    items = [{"text": "a", "reward": 0.5, "response_id": "x", "by": "m"}, {"text": "b", "reward": None}]
    first, second = records([{"prompt_id": 7, "samples": items}])
    assert (first.prompt_id, first.response_id, first.scores, first.extra) == ("7", "x", {"reward": 0.5}, {"by": "m"})
    assert second.response_id == "0.1"
    assert math.isnan(second.scores["reward"])


def test_a_field_that_is_called_like_a_column_hides_nothing() -> None:
    rows = [{"prompt": "Q", "samples": [{"text": "a", "score": 1.0}, {"text": "b", "score": 2.0}], "score": [3.0, 4.0]}]
    stream = stream_pool(rows)
    found = [read.record.scores for read in stream if read.record]
    assert found == [{"score": 3.0, "samples.score": 1.0}, {"score": 4.0, "samples.score": 2.0}]
    what = "'score' is a column and a field of the responses: the field is read as 'samples.score'"
    assert ("changed", what, 1, (0,)) in entries(stream.account())


@pytest.mark.parametrize(
    ("bad", "expected", "entry"),
    [
        ({"scores": [1.0]}, [NAN, NAN], ("changed", "'scores' has not one value per response: its values are missing")),
        ({"scores": []}, [NAN, NAN], ("changed", "'scores' has not one value per response: its values are missing")),
        ({"scores": 1.0}, [NAN, NAN], ("changed", "'scores' has not one value per response: its values are missing")),
        ({"scores": [None, 2.0]}, [NAN, 2.0], ("noted", "'scores' holds null: missing there")),
        ({"scores": ["bad", 2.0]}, [NAN, 2.0], ("changed", "scores is no number: score set to NaN")),
        ({"scores": [NAN, 2.0]}, [NAN, 2.0], None),
        ({"scores": None}, [NAN, NAN], None),
    ],
)
def test_scores_that_do_not_fit_are_missing_and_counted(bad: Any, expected: list[float], entry: Any) -> None:
    stream = stream_pool([*LISTS * 500, {"prompt": "r", "responses": ["x", "y"], **bad}])  # behind the sample
    found = [read.record.scores["scores"] for read in stream if read.row == 1000 and read.record]
    assert all(map(same, found, expected))
    assert len(found) == 2
    told = [
        item for item in entries(stream.account()) if "no prompt_id" not in item[1] and "response_id" not in item[1]
    ]
    assert told == ([] if entry is None else [(*entry, 1, (1000,))])


@pytest.mark.parametrize(
    ("responses", "kept", "entry"),
    [
        ([], [], ("dropped", "column 'responses' is an empty list")),
        (None, [], ("dropped", "no list of responses (columns responses, samples, completions, outputs, generations)")),
        ("abc", [], ("dropped", "column 'responses' holds text, not a list")),
        ([None], [], ("dropped", "a response in 'responses' is null: left out")),
        (chat("Q", "A"), [], ("dropped", "column 'responses' holds one conversation, not a list of responses")),
        (["a", None, "c"], ["a", "c"], ("changed", "a response in 'responses' is null: left out")),
        (["a", 5, "c"], ["a", "c"], ("changed", "a response in 'responses' is a number: left out")),
        (["a", "\ud83d", "c"], ["a", "c"], ("changed", "text is not Unicode (half of a surrogate pair)")),
    ],
)
def test_responses_that_do_not_fit_are_left_out_and_counted(responses: Any, kept: list[str], entry: Any) -> None:
    stream = stream_pool([*LISTS, {"prompt": "r", "responses": responses, "scores": [1.0, 2.0, 3.0]}])
    reads = [read for read in stream if read.row == 2]
    found = [(read.record.response, read.record.scores["scores"]) for read in reads if read.record]
    assert found == [(text, {"a": 1.0, "c": 3.0}[text]) for text in kept]  # the others keep their own scores
    assert (*entry, 1, (2,)) in entries(stream.account())
    assert [read.dropped for read in reads if not read.record] == [entry[1]]
    assert stream.account().rows_read == 3


@given(
    st.lists(st.lists(st.one_of(st.none(), st.text("ab", max_size=2), st.integers()), max_size=4), min_size=1),
    st.integers(1, 3),
)
def test_every_row_is_used_or_dropped_once(lists: list[list[Any]], good: int) -> None:
    rows = [*LISTS * (len(lists) + good), *({"prompt": "r", "responses": items} for items in lists)]
    stream = stream_pool(rows)
    used = {read.row for read in stream if read.record}
    account = stream.account()
    assert account.rows_read == len(rows) == len(used) + account.rows_dropped
    assert account.records == sum(len(r["responses"]) for r in rows[: -len(lists)]) + sum(
        isinstance(item, str) for items in lists for item in items
    )


def test_lists_and_the_long_form_give_the_same_records() -> None:
    long = [
        {"prompt": row["prompt"], "response": text, "scores": row["scores"][i], "gold": row["gold"][i],
         "response_id": f"{at}.{i}"}
        for at, row in enumerate(LISTS) for i, text in enumerate(row["responses"])
    ]  # fmt: skip
    left, right = stream_pool(LISTS), stream_pool(long)
    assert [(r.record.prompt_id, r.record.scores) for r in left if r.record] == [
        (r.record.prompt_id, r.record.scores) for r in right if r.record
    ]
    assert left.account().fingerprint == right.account().fingerprint


def test_a_list_of_another_kind_stays_whole() -> None:
    rows = [{**row, "prompt_tokens": [1, 2, 3, 4, 5]} for row in LISTS]
    assert all(record.extra["prompt_tokens"] == [1, 2, 3, 4, 5] for record in records(rows))
    assert all("prompt_tokens" not in record.scores for record in records(rows))


def test_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(LISTS), tmp_path / "pool.parquet")
    assert records(tmp_path / "pool.parquet") == records(LISTS)


def test_step_labels_are_no_pool() -> None:
    rows = [{"prompt": "Q", "completions": ["step 1", "step 2"], "labels": [True, False]}]
    with pytest.raises(DataError, match=r"not a pool\. Rows with completions and labels .*call the column 'responses'"):
        stream_pool(rows)


def test_a_conversation_is_no_list_of_responses() -> None:
    with pytest.raises(DataError, match="not a pool"):
        stream_pool([{"prompt": "Q", "samples": chat("Q", "A")}])


# ---------------------------------------------------------------------------------------------------------- RewardBench
TEMPLATED = {
    "prompt": "<u>Q\n", "text_chosen": "<u>Q\n<a>good", "text_rejected": "<u>Q\n<a>bad", "results": 1,
    "scores_chosen": 1.5, "scores_rejected": -0.5, "subset": "s", "id": 4,
}  # fmt: skip
"""A row of the runner's MODEL_outputs.jsonl."""


def test_rewardbench_results_of_pairs() -> None:
    found = records([{**TEMPLATED, "chosen": "good", "rejected": "bad", "chosen_model": "m", "rejected_model": "n"}])
    assert [(r.prompt, r.response, r.scores) for r in found] == [
        ("<u>Q\n", "<a>good", {"scores": 1.5, "is_chosen": 1.0}),
        ("<u>Q\n", "<a>bad", {"scores": -0.5, "is_chosen": 0.0}),
    ]
    assert found[0].prompt_id == found[1].prompt_id
    assert found[0].extra["results"] == 1


def test_rewardbench_results_are_a_pool_although_they_hold_the_pairs() -> None:
    assert detect_kind(ROWS["rewardbench"]) == "pairs"
    assert detect_kind([{**row, "scores_chosen": 1.0, "scores_rejected": 0.0} for row in ROWS["rewardbench"]]) == "pool"


def test_rewardbench_text_that_does_not_begin_with_the_prompt_stays_whole() -> None:
    stream = stream_pool([{**TEMPLATED, "prompt": "other"}])
    assert [read.record.response for read in stream if read.record] == ["<u>Q\n<a>good", "<u>Q\n<a>bad"]
    note = "a text does not begin with the prompt: the whole text counts as the response"
    assert ("noted", note, 1, (0,)) in entries(stream.account())


def test_rewardbench_conversations_without_a_prompt() -> None:
    rows = [{"text_chosen": chat("Q", "good"), "text_rejected": chat("Q", "bad"), "scores_chosen": [1.5],
             "scores_rejected": [0.5], "id": 4}]  # fmt: skip
    found = records(rows)
    assert [(r.prompt_id, r.prompt, r.response, r.scores["scores"]) for r in found] == [
        ("4", turns("Q"), turns("good", first="assistant"), 1.5),
        ("4", turns("Q"), turns("bad", first="assistant"), 0.5),
    ]  # fmt: skip


TWO = {
    "id": "tied:3", "subset": "Ties", "num_correct": 2, "results": None, "scores": [[2.0], [1.0], [3.0]],
    "text": ["<u>Q\n<a>red", "<u>Q\n<a>blue", "<u>Q\n<a>seven"],
}  # fmt: skip


def test_rewardbench_2_results() -> None:
    found = records([TWO])
    assert [(r.prompt_id, r.prompt, r.response, r.scores) for r in found] == [
        ("tied:3", "<u>Q\n", "<a>red", {"is_chosen": 1.0, "scores": 2.0}),
        ("tied:3", "<u>Q\n", "<a>blue", {"is_chosen": 1.0, "scores": 1.0}),
        ("tied:3", "<u>Q\n", "<a>seven", {"is_chosen": 0.0, "scores": 3.0}),
    ]


@pytest.mark.parametrize("count", [None, 4, -1, 1.5, "two"])
def test_rewardbench_2_without_a_count_of_correct_ones_has_no_gold(count: Any) -> None:
    stream = stream_pool([TWO, TWO, TWO, {**TWO, "num_correct": count}])
    last = [read for read in stream if read.row == 3]
    assert [math.isnan(read.record.scores["is_chosen"]) for read in last if read.record] == [True] * 3
    what = "num_correct is no number of responses: is_chosen is missing"
    assert ("changed", what, 1, (3,)) in entries(stream.account())


def test_rewardbench_2_scores_of_another_length_are_missing() -> None:
    stream = stream_pool([TWO, {**TWO, "scores": [1.0]}])
    last = [read.record for read in stream if read.row == 1]
    assert all(record is not None and math.isnan(record.scores["scores"]) for record in last)
    assert [record.scores["is_chosen"] for record in last if record] == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("rows", [[TWO, {**TWO, "id": "ref:3"}], [TEMPLATED, {**TEMPLATED, "prompt": "<u>Q"}]])
def test_rewardbench_file_of_columns(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """run_rm.py and run_v2.py save Dataset.to_dict() with the model's name beside the columns."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    path = tmp_path / "model.json"
    path.write_text(json.dumps({**columns, "model": "m", "chat_template": None}, indent=4, sort_keys=True))
    found = records(path)
    assert [(r.response, r.scores, r.row) for r in found] == [(r.response, r.scores, r.row) for r in records(rows)]
    assert found[0].extra["model"] == "m"
