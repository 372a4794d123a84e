"""`karat score`: the same rows out, a reason for each missing score, flat memory, and resuming."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import karat
from karat.data import stream_pool
from karat.errors import InputError
from karat.rewards import Group, load_reward
from karat.types import NAN, Score

PAIRS = [
    {"prompt": "p", "chosen": "long answer", "rejected": "short", "note": "kept"},
    {"prompt": "p", "chosen": "same", "rejected": "same", "note": "dropped by the reader"},
    {"prompt": "q", "chosen": "a", "rejected": "bb", "note": "kept"},
]
POOL = [
    {"prompt_id": "1", "response_id": "a", "prompt": "p", "response": "xx", "gold": 1.0},
    {"prompt_id": "1", "response_id": "b", "prompt": "p", "response": "xxxx", "gold": 0.0},
    {"prompt_id": "2", "response_id": "a", "prompt": "q", "response": "", "gold": None},
]


def write(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def read(path: Path) -> list[dict[str, Any]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt") as file:  # type: ignore[operator]
        return [json.loads(line) for line in file]


def test_pairs_keep_their_rows_and_gain_columns(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    result = karat.score("builtin:longer", write(tmp_path / "pairs.jsonl", PAIRS), out=out)
    rows = read(out)
    assert [row["note"] for row in rows] == [row["note"] for row in PAIRS]
    assert (rows[0]["score_chosen"], rows[0]["score_rejected"], rows[0]["score_margin"]) == (11, 5, 6)
    assert rows[0]["score_missing"] is None
    assert rows[2]["score_margin"] == -1
    assert result.values["rows"] == 3


def test_columns_that_are_named_make_pairs_of_rows(tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text('{"q": "p", "win": "long answer", "lose": "no"}\n')
    out = tmp_path / "out.jsonl"
    options = {"prompt_key": "q", "chosen_key": "win", "rejected_key": "lose"}
    result = karat.score("builtin:longer", str(file), out=out, **options)
    assert result.values["kind"] == "pairs"
    assert json.loads(out.read_text())["score_margin"] == 9


def test_responses_that_are_cut_are_counted(tmp_path: Path) -> None:
    class Cutting:
        name, head_names, n_cut = "cutting", ("reward",), 0

        def score(self, groups: Sequence[Group]) -> list[list[Score]]:
            self.n_cut += sum(len(group.responses) for group in groups)
            return [[Score(0.0)] * len(group.responses) for group in groups]

    result = karat.score(Cutting(), write(tmp_path / "pairs.jsonl", PAIRS[:1]), out=tmp_path / "out.jsonl")
    account = next(table for table in result.tables if table.name == "account")
    assert ("changed", "longer than the reward's --max-length: scored on what was left", 2) in account.rows


def test_the_split_that_is_named_is_scored(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name, text in (("train", "a"), ("test", "four")):
        row = {"prompt_id": "p", "prompt": "p", "response": text, "response_id": "r"}
        (tmp_path / "data" / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    karat.score("builtin:longer", str(tmp_path / "data"), out=tmp_path / "out.jsonl", split="test")
    assert json.loads((tmp_path / "out.jsonl").read_text())["score"] == 4


def test_a_row_the_reader_drops_stays_with_its_reason(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    result = karat.score("builtin:longer", write(tmp_path / "pairs.jsonl", PAIRS), out=out)
    dropped = read(out)[1]
    assert dropped["score_chosen"] is None
    assert dropped["score_missing"]
    finding = result.findings[0]
    assert (finding.n_missing, finding.verdict) == (1, "problem")


def test_pool_keeps_its_rows_and_gains_a_column(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl.gz"
    karat.score("builtin:shorter", write(tmp_path / "pool.jsonl", POOL), out=out, name="proxy")
    rows = read(out)
    assert [row["proxy"] for row in rows] == [-2, -4, 0]
    assert [row["gold"] for row in rows] == [1.0, 0.0, None]


def test_heads_and_spread_are_columns(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    karat.score("ensemble:builtin:longer,builtin:shorter", write(tmp_path / "pool.jsonl", POOL), out=out)
    row = read(out)[1]
    assert (row["score"], row["score_member_0"], row["score_member_1"]) == (0, 4, -4)
    assert row["score_spread"] == pytest.approx(32**0.5)


def test_parquet_with_a_column_that_is_null_in_one_part(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    karat.score("builtin:longer", write(tmp_path / "pool.jsonl", POOL[::-1]), out=out, rows_per_chunk=1)
    table = pq.read_table(out)
    assert table["score"].to_pylist() == [0, 4, 2]
    assert table["gold"].to_pylist() == [None, 0.0, 1.0]


class Failing:
    """A reward that fails after a number of calls, as a machine does."""

    name = "failing"
    head_names = ("reward",)

    def __init__(self, good_calls: int) -> None:
        self.good_calls = good_calls
        self.scored = 0

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        if self.good_calls == 0:
            raise MemoryError
        self.good_calls -= 1
        self.scored += sum(len(group.responses) for group in groups)
        return load_reward("builtin:longer").score(groups)


def test_stopped_run_resumes_where_it_was(tmp_path: Path) -> None:
    source = write(tmp_path / "pool.jsonl", POOL)
    with pytest.raises(MemoryError):
        karat.score(Failing(2), source, out=tmp_path / "out.jsonl", rows_per_chunk=1)
    assert not (tmp_path / "out.jsonl").exists()
    rest = Failing(9)
    karat.score(rest, source, out=tmp_path / "out.jsonl", rows_per_chunk=1)
    assert rest.scored == 1
    assert [row["score"] for row in read(tmp_path / "out.jsonl")] == [2, 4, 0]
    assert not (tmp_path / "out.jsonl.parts").exists()


def test_half_written_part_is_not_taken(tmp_path: Path) -> None:
    source = write(tmp_path / "pool.jsonl", POOL)
    with pytest.raises(MemoryError):
        karat.score(Failing(1), source, out=tmp_path / "out.jsonl", rows_per_chunk=1)
    (tmp_path / "out.jsonl.parts" / "staged").write_text('{"torn":')
    karat.score(Failing(9), source, out=tmp_path / "out.jsonl", rows_per_chunk=1)
    assert len(read(tmp_path / "out.jsonl")) == 3


def test_other_request_does_not_continue_it(tmp_path: Path) -> None:
    source = write(tmp_path / "pool.jsonl", POOL)
    with pytest.raises(MemoryError):
        karat.score(Failing(1), source, out=tmp_path / "out.jsonl", rows_per_chunk=1)
    with pytest.raises(InputError, match=r"differs in name.*--overwrite"):
        karat.score(Failing(9), source, out=tmp_path / "out.jsonl", rows_per_chunk=1, name="other")
    karat.score(Failing(9), source, out=tmp_path / "out.jsonl", rows_per_chunk=1, name="other", overwrite=True)


def test_existing_output_is_kept(tmp_path: Path) -> None:
    source = write(tmp_path / "pool.jsonl", POOL)
    (tmp_path / "out.jsonl").write_text("mine")
    with pytest.raises(InputError, match="exists"):
        karat.score("builtin:longer", source, out=tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_text() == "mine"


def test_unknown_output_kind_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.jsonl, \.jsonl\.gz, \.jsonl\.zst, \.parquet"):
        karat.score("builtin:longer", write(tmp_path / "pool.jsonl", POOL), out=tmp_path / "out.xlsx")


def test_missing_is_null_never_zero(tmp_path: Path) -> None:
    class Missing:
        name = "missing"
        head_names = ("reward",)

        def score(self, groups: Sequence[Group]) -> list[list[Score]]:
            return [[Score(NAN, missing="judge is down")] * len(group.responses) for group in groups]

    result = karat.score(Missing(), write(tmp_path / "pool.jsonl", POOL), out=tmp_path / "out.jsonl")
    assert {row["score"] for row in read(tmp_path / "out.jsonl")} == {None}
    assert result.findings[0].witnesses == ("3 times: judge is down",)


def test_nan_in_the_rows_is_written_as_null(tmp_path: Path) -> None:
    (tmp_path / "pool.jsonl").write_text('{"prompt_id": "1", "response_id": "a", "response": "x", "gold": NaN}\n')
    karat.score("builtin:longer", str(tmp_path / "pool.jsonl"), out=tmp_path / "out.jsonl")
    assert read(tmp_path / "out.jsonl")[0]["gold"] is None


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    import tracemalloc

    def peak(n: int) -> int:
        rows = ({"prompt_id": str(i), "response_id": "a", "response": "x" * 200} for i in range(n))
        with (tmp_path / f"{n}.jsonl").open("w") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        tracemalloc.start()
        karat.score("builtin:longer", str(tmp_path / f"{n}.jsonl"), out=tmp_path / f"{n}.out.jsonl", rows_per_chunk=50)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(2000)  # what is imported and sampled once; read buffers are full by 12,000 rows
    assert peak(30_000) < 1.2 * peak(12_000)


LISTS = [
    {"prompt": "p", "responses": ["xx", "xxxx", None], "gold": [1.0, 0.0, 1.0], "level": 3},
    {"prompt": "q", "responses": [], "gold": [], "level": 1},
    {"prompt": "r", "responses": [{"text": "x", "by": "m"}], "gold": [0.5], "level": 2},
]


@pytest.mark.parametrize("rows_per_chunk", [1, 2, 512])
def test_lists_of_responses_stay_lists_and_gain_one(rows_per_chunk: int, tmp_path: Path) -> None:
    out, source = tmp_path / "out.jsonl", write(tmp_path / "pool.jsonl", LISTS)
    result = karat.score("builtin:longer", source, out=out, rows_per_chunk=rows_per_chunk)
    rows = read(out)
    assert [{key: row[key] for key in old} for row, old in zip(rows, LISTS, strict=True)] == LISTS
    assert [row["score"] for row in rows] == [[2, 4, None], [None], [1]]
    assert [row["score_missing"] for row in rows] == [
        [None, None, "a response in 'responses' is null: left out"], ["column 'responses' is an empty list"], [None],
    ]  # fmt: skip
    assert (result.values["rows"], result.values["responses"], result.values["missing"]) == (3, 5, 2)


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
def test_scored_lists_are_read_back_with_the_score(name: str, tmp_path: Path) -> None:
    source = write(tmp_path / "pool.jsonl", [*LISTS[:2], {**LISTS[2], "responses": ["x"]}])
    karat.score("builtin:longer", source, out=tmp_path / name, name="proxy", rows_per_chunk=1)
    before = [item.record for item in stream_pool(source) if item.record]
    after = [item.record for item in stream_pool(tmp_path / name) if item.record]
    longer = [2.0, 4.0, 1.0]
    assert [r.scores for r in after] == [{**r.scores, "proxy": n} for r, n in zip(before, longer, strict=True)]
    for old, new in zip(before, after, strict=True):
        assert (old.prompt_id, old.response_id, old.prompt, old.response, old.row) == (
            new.prompt_id, new.response_id, new.prompt, new.response, new.row,
        )  # fmt: skip


def test_rows_that_no_parquet_column_can_hold_are_an_error(tmp_path: Path) -> None:
    source = write(tmp_path / "pool.jsonl", LISTS)
    with pytest.raises(InputError, match=r"out\.parquet: .*responses has incompatible types.* Write \.jsonl instead"):
        karat.score("builtin:longer", source, out=tmp_path / "out.parquet", rows_per_chunk=1)


def test_rewardbench_results_are_scored_and_read_back(tmp_path: Path) -> None:
    row = {"prompt": "<u>Q\n", "text_chosen": "<u>Q\nlong one", "text_rejected": "<u>Q\nshort", "scores_chosen": 1.0,
           "scores_rejected": 2.0}  # fmt: skip
    out = tmp_path / "out.jsonl"
    karat.score("builtin:longer", write(tmp_path / "outputs.jsonl", [row]), out=out, name="proxy")
    found = [item.record.scores for item in stream_pool(out) if item.record]
    assert found == [{"scores": 1.0, "is_chosen": 1.0, "proxy": 8.0}, {"scores": 2.0, "is_chosen": 0.0, "proxy": 5.0}]


def test_completions_that_were_logged_again_are_not_missing(tmp_path: Path) -> None:
    rows = [
        {"step": step, "prompt": "p", "completion": "x" * i, "reward": 1.0, "advantage": 0.0}
        for step in (1, 2) for i in range(1, 4)
    ]  # fmt: skip
    out = tmp_path / "out.jsonl"
    result = karat.score("builtin:longer", write(tmp_path / "in.jsonl", rows), out=out, name="proxy")
    assert [row["proxy"] for row in read(out)] == [1, 2, 3, None, None, None]
    assert (result.values["rows"], result.values["responses"], result.values["missing"]) == (6, 3, 0)
    again = [item.record.scores["proxy"] for item in stream_pool(out) if item.record]
    assert again == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("rows", [POOL, PAIRS], ids=["pool", "pairs"])
def test_a_column_that_is_there_is_not_replaced(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    taken = [{**row, "proxy": 0.5, "proxy_margin": 0.5} for row in rows]
    source = write(tmp_path / "in.jsonl", taken)
    with pytest.raises(InputError, match=r"row 0: there is a column 'proxy(_margin)?' already.*--name"):
        karat.score("builtin:longer", source, out=tmp_path / "out.jsonl", name="proxy")


def test_stress_reads_lists_as_it_reads_the_long_form(tmp_path: Path) -> None:
    texts = ["x" * n for n in range(1, 9)]
    lists = [{"prompt": f"p{i}", "responses": texts, "gold": [float(n == i % 8) for n in range(8)]} for i in range(40)]
    long = [
        {"prompt": row["prompt"], "response": text, "gold": gold}
        for row in lists for text, gold in zip(row["responses"], row["gold"], strict=True)
    ]  # fmt: skip
    found = []
    for name, rows in (("lists", lists), ("long", long)):
        out = tmp_path / f"{name}.jsonl"
        karat.score("builtin:longer", write(tmp_path / f"{name}-in.jsonl", rows), out=out, name="proxy")
        found.append(karat.stress(str(out), proxy="proxy", gold="gold", resamples=100).values)
    assert found[0] == found[1]
    assert found[0]["gold"][-1] == pytest.approx(5 / 40)  # the longest of all eight: gold for the prompts i = 7 mod 8
