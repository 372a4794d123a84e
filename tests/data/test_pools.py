"""Pools in long form, and telling them from pairs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data.samples import ROWS, chat, entries, turns
from karat.data import detect_kind, stream_pool
from karat.errors import DataError
from karat.types import Message, PoolRow

POOL: list[dict[str, Any]] = [
    {"prompt_id": "p", "response_id": "0", "prompt": "2+2=", "response": "4", "gold": 1, "proxy": 0.5, "model": "m"},
    {"prompt_id": "p", "response_id": "1", "prompt": "2+2=", "response": "5", "gold": 0, "proxy": float("nan")},
]


def test_records() -> None:
    stream = stream_pool(POOL)
    first, second = (row.record for row in stream)
    assert first == PoolRow("p", "0", "2+2=", "4", {"gold": 1.0, "proxy": 0.5}, row=0, extra={"model": "m"})
    assert second is not None
    assert second.scores["proxy"] != second.scores["proxy"]  # a missing score is NaN, never 0
    account = stream.account()
    assert (account.format, account.rows_read, account.records, len(account.fingerprint)) == ("pool", 2, 2, 16)


def test_a_missing_score_is_nan_and_a_verdict_is_a_number() -> None:
    rows = [{"prompt_id": "p", "response": f"{n}", "gold": gold} for n, gold in enumerate([True, None, False, "bad"])]
    stream = stream_pool(rows[:3] * 400 + rows[3:])
    records = [row.record for row in stream]
    found = [record.scores["gold"] for record in records if record is not None]
    assert (found[0], found[2]) == (1.0, 0.0)
    assert found[1] != found[1]
    assert found[1200] != found[1200]
    assert ("changed", "gold is no number: score set to NaN", 1, (1200,)) in entries(stream.account())


@pytest.mark.parametrize("folder", [False, True])
def test_csv(folder: bool, tmp_path: Path) -> None:
    path = tmp_path / "pool.csv"
    path.write_text("prompt_id,response_id,response,gold,proxy,model\n1,a,4,1,0.5,m\n1,b,5,,nan,7\n")
    first, second = (row.record for row in stream_pool(tmp_path if folder else path))
    assert first == PoolRow("1", "a", "", "4", {"gold": 1.0, "proxy": 0.5}, row=0, extra={"model": "m"})
    assert second is not None
    assert sorted(second.scores) == ["gold", "proxy"]
    assert all(value != value for value in second.scores.values())
    assert second.extra == {"model": "7"}


def test_ids_that_pandas_made_floats() -> None:
    (row,) = stream_pool([{"prompt_id": 3.0, "response_id": 0.0, "response": "a", "gold": 1.0}])
    assert row.record == PoolRow("3", "0", "", "a", {"gold": 1.0}, row=0)


def test_ids_are_made_where_there_are_none() -> None:
    stream = stream_pool([{"prompt": "Q", "completion": "a"}, {"prompt": "Q", "completion": "b"}])
    rows = list(stream)
    assert entries(stream.account()) == [
        ("noted", "no prompt_id: made from the prompt", 2, (0, 1)),
        ("noted", "no response_id: the row's number was taken", 2, (0, 1)),
    ]
    first, second = (row.record for row in rows)
    assert first is not None
    assert second is not None
    assert (first.response_id, second.response_id) == ("0", "1")
    assert len(first.prompt_id) == 16
    assert first.prompt_id == second.prompt_id


def test_prompt_and_response_are_of_one_kind() -> None:
    rows = [
        {"prompt": chat("Q"), "response": "a"},
        {"prompt": "Q", "response": chat("a", first="assistant")},
        {"prompt_id": 3, "response": chat("a", first="assistant")},
    ]
    records = [row.record for row in stream_pool(rows)]
    found = [(record.prompt, record.response) for record in records if record is not None]
    reply = (Message("assistant", "a"),)
    assert found == [(turns("Q"), reply), (turns("Q"), reply), ((), reply)]
    assert records[2] is not None
    assert records[2].prompt_id == "3"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"prompt": "Q"}, "column 'response' is missing"),
        ({"prompt": "Q", "response": None}, "column 'response' is null"),
        ({"prompt": "Q", "response": 4}, "column 'response' holds a number, not a list of messages"),
        ({"response": "a"}, "neither prompt nor prompt_id"),
        ({"prompt": "Q", "response": "\ud83d"}, "text is not Unicode (half of a surrogate pair)"),
        ("text", "row is text, not an object with columns"),
    ],
)
def test_rows_that_do_not_fit_are_dropped_and_counted(bad: Any, reason: str) -> None:
    stream = stream_pool([*POOL, bad])
    rows = list(stream)
    assert (rows[2].record, rows[2].dropped) == (None, reason)
    assert entries(stream.account()) == [("dropped", reason, 1, (2,))]
    assert stream.account().rows_read == stream.account().records + stream.account().rows_dropped


def test_empty_response_is_kept_and_noted() -> None:
    stream = stream_pool([*POOL, {"prompt_id": "q", "response_id": "0", "prompt": "Q", "response": ""}])
    assert list(stream)[2].record is not None
    assert entries(stream.account()) == [("noted", "response is empty: row kept", 1, (2,))]


def test_raw_row_and_bad_line_pass(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in POOL[:1]) + "oops\n")
    rows = list(stream_pool(path))
    assert [(row.row, row.raw, row.dropped) for row in rows] == [(0, POOL[0], ""), (1, {}, "line is not JSON")]


def test_pairs_are_no_pool() -> None:
    with pytest.raises(DataError, match=r"not a pool\. A row of a pool has a response .*columns seen: chosen \(text\)"):
        stream_pool(ROWS["hh-rlhf"])


@pytest.mark.parametrize("name", sorted(set(ROWS) - {"helpsteer2"}))
def test_pairs_are_detected(name: str) -> None:
    assert detect_kind(ROWS[name]) == "pairs"


@pytest.mark.parametrize("rows", [POOL, ROWS["helpsteer2"], [{"prompt_id": "p", "response": "a"}]])
def test_pools_are_detected(rows: list[dict[str, Any]]) -> None:
    assert detect_kind(rows) == "pool"


def test_neither_is_an_error() -> None:
    with pytest.raises(DataError, match=r"no format of preference pairs fits .*Columns seen: text \(text\)"):
        detect_kind([{"text": "a"}])


def test_an_iterator_cannot_be_looked_at() -> None:
    with pytest.raises(DataError, match="can be read only once, so it cannot be looked at first"):
        detect_kind(iter(POOL))


def test_verl_rollouts_and_trl_completions_are_pools_grouped_by_prompt() -> None:
    verl = [
        {"input": f"q{i // 2}", "output": f"a{i}", "gts": "4", "score": 0.5 * i, "step": 10, "acc": True}
        for i in range(4)
    ]
    records = [read.record for read in stream_pool(verl)]
    assert [(r.prompt, r.response, r.scores["score"]) for r in records if r] == [
        ("q0", "a0", 0.0), ("q0", "a1", 0.5), ("q1", "a2", 1.0), ("q1", "a3", 1.5),
    ]  # fmt: skip
    assert len({r.prompt_id for r in records if r}) == 2
    assert records[0] is not None
    assert records[0].extra == {"gts": "4"}
    trl = [
        {"step": 1, "prompt": [{"role": "user", "content": "q"}], "completion": [{"role": "assistant", "content": t}],
         "gold_reward": 1.0, "len_reward": None, "advantage": 0.1}
        for t in "ab"
    ]  # fmt: skip
    rows = [read.record for read in stream_pool(trl)]
    assert len({r.prompt_id for r in rows if r}) == 1
    assert rows[0] is not None
    assert rows[0].scores["gold_reward"] == 1.0
