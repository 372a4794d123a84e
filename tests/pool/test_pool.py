"""`karat pool`: distinct prompts in, a pool out that the other verbs read; a stopped run goes on to the same rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import karat
from karat.data import stream_pool
from karat.data.prompts import read_prompts
from karat.errors import DataError, InputError
from karat.types import Message
from rewards.tiny import byte_tokenizer, save_tiny

ROWS: list[dict[str, Any]] = [
    {"prompt_id": "a", "prompt": "first"},
    {"prompt": "second", "chosen": "x", "rejected": "y"},
    {"prompt": "first"},
    {"messages": [{"role": "user", "content": "third"}, {"role": "assistant", "content": "its answer"}]},
    {"prompt": "  "},
    {"text": "no prompt"},
    {"prompt": "other", "prompt_id": "a"},
]
SMALL = {"samples": 3, "max_new_tokens": 5, "prompts_per_part": 1}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny(tmp_path_factory.mktemp("policy")))


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_prompts_are_distinct_and_every_row_is_accounted_for() -> None:
    data = read_prompts(ROWS)
    assert [(item.prompt, item.row) for item in data.prompts] == [
        ("first", 0), ("second", 1), ((Message("user", "third"),), 3),
    ]  # fmt: skip
    assert data.prompts[0].prompt_id == "a"
    reasons = {entry.reason: entry.count for entry in data.account if entry.action == "dropped"}
    assert reasons == {
        "the prompt of an earlier row again": 1,
        "the prompt is empty": 1,
        "no column with a prompt": 1,
        "prompt_id of an earlier row with another prompt": 1,
    }
    assert [entry.reason for entry in data.account if entry.action == "changed"] == [
        "the answer at the end of the conversation is left out"
    ]


def test_no_prompt_at_all_names_the_columns() -> None:
    with pytest.raises(DataError, match=r"no prompt in 1 rows.*columns seen: text"):
        read_prompts([{"text": "x"}])


def test_the_pool_is_one_that_the_readers_take(model: str, tmp_path: Path) -> None:
    out = tmp_path / "pool.jsonl"
    result = karat.pool(model, ROWS[:4], out=out, **SMALL)
    rows = rows_of(out)
    assert len(rows) == 9
    assert rows[0]["prompt"] == [{"role": "user", "content": "first"}]  # the model has a template
    assert rows[0]["response"][0]["role"] == "assistant"
    records = [read.record for read in stream_pool(str(out))]
    assert all(record is not None for record in records)
    assert {record.prompt_id for record in records if record} == {item.prompt_id for item in read_prompts(ROWS).prompts}
    assert result.values["responses"] == 9
    assert result.values["prompts"] == 3
    assert result.values["tokens"] == sum(row["n_tokens"] for row in rows)
    cut = result.findings[0]
    assert cut.effect == sum(not row["is_finished"] for row in rows) / 9
    assert cut.low <= cut.effect <= cut.high


def test_plain_text_stays_plain_where_asked(model: str, tmp_path: Path) -> None:
    karat.pool(model, ROWS[:1], out=tmp_path / "pool.jsonl", chat=False, **SMALL)
    assert rows_of(tmp_path / "pool.jsonl")[0]["prompt"] == "first"
    assert isinstance(rows_of(tmp_path / "pool.jsonl")[0]["response"], str)


def test_a_stopped_run_goes_on_to_the_same_rows(model: str, tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole.jsonl", tmp_path / "torn.jsonl"
    karat.pool(model, ROWS[:4], out=whole, **SMALL)

    def stop(stage: str, done: int, total: int, note: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        karat.pool(model, ROWS[:4], out=torn, progress=stop, **SMALL)
    assert not torn.exists()
    with pytest.raises(InputError, match="differs in seed"):
        karat.pool(model, ROWS[:4], out=torn, seed=1, **SMALL)
    result = karat.pool(model, ROWS[:4], out=torn, **SMALL)
    assert torn.read_bytes() == whole.read_bytes()
    assert result.values["responses"] == 9  # those of the first run count too


def test_prompts_that_cannot_be_sampled_from_are_named(model: str, tmp_path: Path) -> None:
    rows = [{"prompt_id": "long", "prompt": "x" * 5000}, {"prompt_id": "fits", "prompt": "x"}]
    result = karat.pool(model, rows, out=tmp_path / "pool.parquet", **SMALL)
    refused = result.findings[1]
    assert (refused.verdict, refused.n_failed, refused.n_used) == ("problem", 1, 1)
    assert "long: the prompt has 50" in refused.witnesses[0]
    stream = stream_pool(str(tmp_path / "pool.parquet"))
    assert sum(read.record is not None for read in stream) == 3
    with pytest.raises(DataError, match=r"no prompt of .* could be sampled from: long"):
        karat.pool(model, rows[:1], out=tmp_path / "none.jsonl", **SMALL)


def test_a_model_without_template_takes_text_as_it_is(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model", tokenizer=byte_tokenizer(chat_template=""))
    karat.pool(str(folder), ROWS[:1], out=tmp_path / "pool.jsonl", **SMALL)
    assert rows_of(tmp_path / "pool.jsonl")[0]["prompt"] == "first"


@pytest.mark.parametrize(("field", "value"), [("samples", 0), ("seed", -1), ("dtype", "int8"), ("prompts_per_part", 0)])
def test_options_out_of_range(field: str, value: Any) -> None:
    with pytest.raises(InputError, match=field):
        karat.pool("default", ROWS, out="x.jsonl", **{field: value})
