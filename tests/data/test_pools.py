"""Pools in long form, and telling them from pairs."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.samples import ROWS, chat, entries, turns
from karat.data import detect_kind, stream_pool
from karat.errors import DataError
from karat.stress.config import StressConfig
from karat.stress.pool import read_stress_pool
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


def completion(step: int, prompt: str, text: str, **columns: Any) -> dict[str, Any]:
    """A row of TRL's completions; columns as GRPOTrainer.log writes them."""
    turns_of = {"prompt": chat(prompt), "completion": chat(text, first="assistant")}
    return {"step": step, **turns_of, "reward": float(len(text)), "advantage": 0.0, **columns}


def trl(step: int, *groups: str) -> list[dict[str, Any]]:
    """A generation batch: for each prompt (its first letter) a block with one completion per further letter."""
    return [completion(step, group[0], f"{group}{i}{step}") for group in groups for i in range(len(group) - 1)]


def groups(rows: Any) -> list[int]:
    """Sizes of the groups, in the order in which they begin."""
    return list(Counter(read.record.prompt_id for read in stream_pool(rows) if read.record).values())


def told(rows: Any) -> list[tuple[str, str, int, tuple[int, ...]]]:
    stream = stream_pool(rows)
    list(stream)
    return [item for item in entries(stream.account()) if not item[1].startswith("no ")]


def test_trl_groups_are_blocks_of_a_prompt_at_a_step() -> None:
    rows = trl(1, "pxxx", "qxxx") + trl(2, "rxxx", "pxxx")
    assert groups(rows) == [3, 3, 3, 3]
    assert told(rows) == []
    stream = stream_pool(rows)
    list(stream)
    assert stream.account().format == "pool (TRL completions)"
    assert ("noted", "no prompt_id: made from the prompt and its step", 12, (0, 1, 2, 3, 4)) in entries(
        stream.account()
    )


def test_the_same_prompt_at_the_next_step_is_another_group_although_the_rows_touch() -> None:
    assert groups(trl(1, "pxxx") + trl(2, "pxxx")) == [3, 3]


def test_an_interrupted_block_is_one_group_and_noted() -> None:
    rows = trl(1, "pxxx", "qxxx")
    rows = [rows[0], rows[1], rows[3], rows[2], *rows[4:]]  # p p q p q q
    assert groups(rows) == [3, 3]
    note = "the prompt comes again in its step after another one: counted to its group"
    assert told(rows) == [("noted", note, 2, (3, 4))]


def test_groups_of_unequal_size_are_kept_and_noted() -> None:
    rows = trl(1, "pxxxx", "qxxxx", "rx", "sxx")
    assert groups(rows) == [4, 4, 1, 2]
    assert told(rows) == [("noted", "2 groups (a prompt at a step) have not 4 responses, as most have", 1, ())]


def test_a_batch_that_is_logged_at_two_steps_counts_once() -> None:
    again = [{**row, "step": 2} for row in trl(1, "pxx", "qxx")]
    rows = trl(1, "pxx", "qxx") + again + trl(3, "pxx", "qxx")
    assert groups(rows) == [2, 2, 2, 2]
    what = "the step's completions are those of the step before, logged again: left out"
    assert told(rows) == [("dropped", what, 4, (4, 5, 6, 7))]
    again[3]["advantage"] = 0.5
    assert groups(trl(1, "pxx", "qxx") + again) == [2, 2, 2, 2]  # one row differs: the batch is another


def test_rewards_added_to_a_dump_change_no_group() -> None:
    rows = trl(1, "pxx", "qxx")
    rows += [{**row, "step": 2} for row in rows]
    scored = [{**row, "score": float(i) if i < 4 else None} for i, row in enumerate(rows)]
    assert groups(rows) == groups(scored) == [2, 2]


def test_trl_folder_of_parquet_files(tmp_path: Path) -> None:
    for step in (9, 10, 2):
        table = pa.Table.from_pylist(trl(step, "pxx", "qxx"))
        pq.write_table(table, tmp_path / f"completions_{step:05d}.parquet")
    reads = list(stream_pool(tmp_path))
    ids = [read.record.prompt_id.split("@")[1] for read in reads if read.record]
    assert ids == ["2"] * 4 + ["9"] * 4 + ["10"] * 4


def test_verl_prompt_at_another_step_is_another_group() -> None:
    """verl reorders the rows of a step, so that they need not stand together."""
    rows = [{"input": p, "output": f"{p}{i}", "score": 1.0, "step": s} for s in (1, 2) for i in range(2) for p in "pq"]
    assert groups(rows) == [2, 2, 2, 2]
    assert told(rows) == []


def test_long_form_with_ids_keeps_them_whatever_the_step() -> None:
    rows = [{"step": s, "prompt_id": "p", "prompt": "Q", "completion": f"a{s}", "gold": 1.0} for s in (1, 2)]
    assert groups(rows) == [2]


# --------------------------------------------------------------------------------------------------- through the reader
def proxied(*values: float | None, prompt: str = "p") -> list[dict[str, Any]]:
    return [{"prompt_id": prompt, "response": f"{prompt}{i}", "proxy": v, "gold": 1.0} for i, v in enumerate(values)]


def test_groups_of_one_and_of_unequal_size_reach_the_consumer_as_they_are() -> None:
    rows = proxied(1.0, prompt="p") + proxied(1.0, 2.0, 3.0, prompt="q") + proxied(2.0, 1.0, prompt="r")
    pool = read_stress_pool(rows, StressConfig(proxy="proxy", gold="gold", max_n=2))
    assert sorted(pool.matrix.size_P) == [2, 3]
    assert (pool.n_small_prompts, pool.n_small_responses) == (1, 1)
    with pytest.raises(DataError, match="2 prompts have at most 1 responses with a proxy; best of 2 needs as many"):
        read_stress_pool(proxied(1.0) + proxied(1.0, prompt="q"), StressConfig(proxy="proxy", gold="gold"))


def test_missing_scores_and_repeated_responses_reach_the_consumer_as_they_are() -> None:
    rows = proxied(1.0, None, float("nan"), 2.0, 2.0)
    rows[4]["response"] = rows[3]["response"]
    pool = read_stress_pool(rows, StressConfig(proxy="proxy", gold="gold"))
    assert (pool.n_missing_proxy, pool.n_used, pool.n_repeated) == (2, 3, 1)


# ---------------------------------------------------------------------------------------------- two columns of one name
TWICE = '{"prompt": "p", "response": "a", "proxy": 1.0, "proxy": 2.0}'


def test_parquet_with_two_columns_of_one_name(tmp_path: Path) -> None:
    arrays = [pa.array(["p"]), pa.array(["a"]), pa.array([1.0]), pa.array([2.0])]
    pq.write_table(pa.Table.from_arrays(arrays, ["prompt", "response", "proxy", "proxy"]), tmp_path / "pool.parquet")
    with pytest.raises(DataError, match=r"pool\.parquet: more than one column is named 'proxy'\. Rename or remove"):
        stream_pool(tmp_path / "pool.parquet")


def test_csv_with_two_columns_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "pool.csv").write_text("prompt,response,proxy,proxy\np,a,1,2\n")
    with pytest.raises(DataError, match=r"must name each column once, but is 'prompt,response,proxy,proxy'"):
        stream_pool(tmp_path / "pool.csv")


@pytest.mark.parametrize("name", ["pool.jsonl", "pool.json", "lines.json"])
@pytest.mark.parametrize("bad", [TWICE, '{"prompt": "p", "response": "a", "meta": {"proxy": 1, "proxy": 2}}'])
def test_json_row_that_names_a_key_twice_is_dropped(name: str, bad: str, tmp_path: Path) -> None:
    good = json.dumps({"prompt": "p", "response": "b", "proxy": 3.0})
    lines = [good, bad, good]
    (tmp_path / name).write_text("[" + ",\n".join(lines) + "]" if name == "pool.json" else "\n".join(lines))
    stream = stream_pool(tmp_path / name)
    assert [read.record.scores if read.record else read.dropped for read in stream] == [
        {"proxy": 3.0}, "an object of the row has 'proxy' twice", {"proxy": 3.0},
    ]  # fmt: skip


def test_json_object_of_rows_that_names_a_key_twice(tmp_path: Path) -> None:
    (tmp_path / "pool.json").write_text(f'{{"data": [{TWICE}]}}')
    with pytest.raises(DataError, match=r"has 'proxy' twice, so it is not clear which is meant\. Rename"):
        stream_pool(tmp_path / "pool.json")
