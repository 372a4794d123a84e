"""Bad files, folders and names: each has one outcome, a count or an error that says what, where and what to do."""

from __future__ import annotations

import gzip
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

from data.samples import GOOD, chat, entries, jsonl, numbered, only
from karat.data import read_pairs
from karat.errors import DataError, ResourceError


# --------------------------------------------------------------------------------------------------------------- files
@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet", ".jsonl.gz"])
def test_empty_file(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"pairs{suffix}"
    path.touch()
    with pytest.raises(DataError, match=rf"pairs{suffix}: the file is empty\. Check"):
        read_pairs(path)


def test_lines_that_are_not_json_or_not_utf8_are_dropped_with_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(
        jsonl(numbered(2)) + b'{"prompt": "Q\n' + b'\xff\xfe{"a": 1}\n\n' + b"[1]\n" + jsonl(numbered(4)[2:])
    )
    data = read_pairs(path)
    assert entries(data.account) == [
        ("dropped", "line is not JSON", 1, (2,)),
        ("dropped", "line is not UTF-8", 1, (3,)),
        ("dropped", "row is a list, not an object with columns", 1, (4,)),
    ]
    assert [pair.row for pair in data.pairs] == [0, 1, 5, 6]


@pytest.mark.parametrize("size", [1, 3, 64])
def test_lines_that_are_longer_than_a_chunk(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + jsonl(numbered(3)).rstrip(b"\n"))
    monkeypatch.setattr("karat.data.text_files.CHUNK_BYTES", size)
    data = read_pairs(path)
    assert data.pairs == read_pairs(numbered(3)).pairs
    assert not data.account.entries


def test_mostly_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(jsonl(numbered(2)) + b"oops\n" * 3)
    with pytest.raises(DataError, match=r"3 of 5 rows cannot be read \(line is not JSON\)\. Check the file's kind"):
        read_pairs(path)


def test_a_file_that_turns_bad_behind_the_sample_is_refused_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(jsonl(numbered(1200)) + b"oops\n" * 1300)
    with pytest.raises(DataError, match="1300 of 2500 rows cannot be read"):
        read_pairs(path)


PACKERS = {".gz": gzip.compress, ".zst": zstandard.compress}


@pytest.mark.parametrize("suffix", sorted(PACKERS))
def test_truncated_archive_gives_what_is_there(suffix: str, tmp_path: Path) -> None:
    chance = random.Random(0)
    rows = [
        {**row, "chosen": f"{chance.random()}" * 9} for row in numbered(20_000)
    ]  # several blocks, so that a cut shows
    path = tmp_path / f"pairs.jsonl{suffix}"
    packed = PACKERS[suffix](jsonl(rows))
    path.write_bytes(packed[: len(packed) // 2])
    data = read_pairs(path)
    assert 5_000 < len(data.pairs) < 15_000
    noted = [entry.reason for entry in data.account if entry.action == "noted"]
    why = f"pairs.jsonl{suffix}: it ends before its compressed stream does"
    assert noted == [f"file ends early: the rows up to there were read ({why})"]
    assert data.account.rows_dropped <= 1  # the line that was cut


@pytest.mark.parametrize("suffix", sorted(PACKERS))
@pytest.mark.parametrize("content", [b"no archive at all", b""], ids=["other bytes", "header only"])
def test_archive_without_anything_readable(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"pairs.jsonl{suffix}"
    path.write_bytes(content or PACKERS[suffix](jsonl(numbered(9)))[:9])
    with pytest.raises(DataError, match=r"nothing of this compressed file can be read: .*Copy or download it again"):
        read_pairs(path)


@pytest.mark.parametrize("suffix", sorted(PACKERS))
def test_archive_of_several_members(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"pairs.jsonl{suffix}"
    path.write_bytes(PACKERS[suffix](jsonl(numbered(3)[:1])) + PACKERS[suffix](jsonl(numbered(3)[1:])))
    data = read_pairs(path)
    assert [pair.prompt for pair in data.pairs] == ["Q0", "Q1", "Q2"]
    assert not data.account.entries


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text('\ufeffprompt,chosen,rejected,margin\n"Q, with\na break",a,b,1.5\nR,a\nS,,b,\n', encoding="utf-8")
    data = read_pairs(path)
    first, second = data.pairs
    assert (first.prompt, first.strength, second.chosen) == ("Q, with\na break", 1.5, "")
    assert ("dropped", "wrong number of csv fields", 1, (1,)) in entries(data.account)
    assert ("noted", "chosen is empty: pair kept", 1, (2,)) in entries(data.account)


def test_csv_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_bytes(b"prompt,chosen,rejected\nQ,a,b\nR,\xe4,b\n")
    assert entries(read_pairs(path).account) == [("dropped", "line is not UTF-8", 1, (1,))]


def test_csv_with_an_open_quote_does_not_swallow_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text('prompt,chosen,rejected\nQ,a,b\nR,"a,b\nS,a,b\n')
    with pytest.raises(DataError, match=r"not CSV at line 4: unexpected end of data\. Mend the quotes there"):
        read_pairs(path)


@pytest.mark.parametrize("suffix", sorted(PACKERS))
def test_csv_in_a_truncated_archive(suffix: str, tmp_path: Path) -> None:
    chance = random.Random(0)
    lines = "".join(f'"Q{i}","{chance.random()}","b"\n' for i in range(40_000))
    path = tmp_path / f"pairs.csv{suffix}"
    packed = PACKERS[suffix](f"prompt,chosen,rejected\n{lines}".encode())
    path.write_bytes(packed[: len(packed) // 2])
    data = read_pairs(path)
    assert 10_000 < len(data.pairs) < 30_000
    assert any(entry.reason.startswith("file ends early") for entry in data.account)


def test_json_nested_too_deeply(tmp_path: Path) -> None:
    path = tmp_path / "pairs.json"
    path.write_text("[" * 100_000)
    with pytest.raises(DataError, match="nested too deeply"):
        read_pairs(path)


def test_csv_header(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("chosen,chosen\na,b\n")
    with pytest.raises(DataError, match="the first line must name each column once, but is 'chosen,chosen'"):
        read_pairs(path)


def test_json_object_with_data(tmp_path: Path) -> None:
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps({"version": 1, "data": [GOOD]}))
    assert len(read_pairs(path).pairs) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"prompt": "Q"}, oops]', r"not JSON at line 1, column 19: Expecting value"),
        ('[{"a": 1} {"a": 2}]', r"not JSON at line 1, column 11: Expecting ',' or '\]'"),
        ('{"data": 3}', r'"data" holds a number, not a list of rows'),
        ("hello", r"not JSON: it begins with 'hello'"),
        ('{"a": 1, }', r"not JSON at line 1, column"),
    ],
)
def test_json_that_is_none(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_pairs(path)


@pytest.mark.parametrize("cut", [1, 5, 12])
def test_json_list_that_is_cut_off(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps(numbered(3))[:-cut])
    data = read_pairs(path)
    assert only(data.account).reason.startswith("file ends early: the rows up to there were read (pairs.json: the list")
    assert len(data.pairs) == (3 if cut == 1 else 2)


def test_json_lines_named_json(tmp_path: Path) -> None:
    path = tmp_path / "pairs.json"
    path.write_bytes(jsonl(numbered(3)))
    data = read_pairs(path)
    assert (len(data.pairs), only(data.account).reason) == (3, "pairs.json holds JSON lines, not one JSON value")


def test_json_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "pairs.json"
    path.write_bytes(b'[{"prompt": "\xe4"}]')
    with pytest.raises(DataError, match="not UTF-8 at byte 13"):
        read_pairs(path)


def test_parquet_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "pairs.parquet"
    path.write_bytes(b"this is no parquet file")
    with pytest.raises(
        DataError, match=r"pairs\.parquet: not a readable parquet file: .*Check that it was copied whole"
    ):
        read_pairs(path)


def test_unknown_kind_of_file(tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text("a")
    with pytest.raises(DataError, match=r"files of this kind are not read\. Known kinds: \.jsonl"):
        read_pairs(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_file_without_rights(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(jsonl([GOOD]))
    path.chmod(0)
    with pytest.raises(ResourceError, match="cannot be read: Permission denied"):
        read_pairs(path)


# ------------------------------------------------------------------------------------------------------------- folders
def test_folder_of_files(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_bytes(jsonl(numbered(3)[2:]))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(jsonl(numbered(2))))
    (tmp_path / "c.jsonl").touch()
    (tmp_path / "README.md").write_text("read me")
    data = read_pairs(tmp_path)
    assert [(pair.prompt, pair.row) for pair in data.pairs] == [("Q0", 0), ("Q1", 1), ("Q2", 2)]
    assert {entry.reason for entry in data.account} == {
        "1 files of other kinds in the folder were not read",
        "c.jsonl is empty",
    }


def test_held_out_files_of_a_folder_are_left_aside(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    for name, row in zip(("my_train.jsonl", "more.jsonl", "test/part.jsonl"), numbered(3), strict=True):
        (tmp_path / name).write_bytes(jsonl([row]))
    data = read_pairs(tmp_path)
    assert [pair.prompt for pair in data.pairs] == ["Q1", "Q0"]
    assert only(data.account).reason == "split 'train' was read; also there: test"
    assert [pair.prompt for pair in read_pairs(tmp_path, split="train").pairs] == ["Q0"]
    assert [pair.prompt for pair in read_pairs(tmp_path / "test").pairs] == ["Q2"]


def test_a_split_with_an_underscore_is_one_name(tmp_path: Path) -> None:
    for name, row in zip(("train-0.jsonl", "train_prefs-0.jsonl"), numbered(2), strict=True):
        (tmp_path / name).write_bytes(jsonl([row]))
    assert [pair.prompt for pair in read_pairs(tmp_path, split="train_prefs").pairs] == ["Q1"]
    assert [pair.prompt for pair in read_pairs(tmp_path, split="train").pairs] == ["Q0"]
    assert len(read_pairs(tmp_path).pairs) == 2


def test_split_of_a_folder(tmp_path: Path) -> None:
    for name, row in zip(("train-00000-of-00001.jsonl", "test-00000-of-00001.jsonl"), numbered(2), strict=True):
        (tmp_path / name).write_bytes(jsonl([row]))
    assert [pair.prompt for pair in read_pairs(tmp_path, split="test").pairs] == ["Q1"]
    with pytest.raises(DataError, match=r"no file of split 'dev' .*Found: test-00000"):
        read_pairs(tmp_path, split="dev")
    with pytest.raises(DataError, match="a single file has no splits, but split 'test' was asked for"):
        read_pairs(tmp_path / "test-00000-of-00001.jsonl", split="test")


@pytest.mark.parametrize("names", [[], ["notes.txt"]])
def test_folder_with_nothing_readable(names: list[str], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).write_text("x")
    with pytest.raises(
        DataError, match=rf"no file of a kind that is read .*Found: {', '.join(names) or 'nothing'}\. Name"
    ):
        read_pairs(tmp_path)


def test_arrow_folder_and_data_sets(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    held = datasets.Dataset.from_list(numbered(3))
    held.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": held, "test": held.select([2])}).save_to_disk(tmp_path / "two")
    assert len(read_pairs(tmp_path / "one").pairs) == len(read_pairs(held).pairs) == 3
    both = read_pairs(tmp_path / "two")
    assert only(both.account).reason == "split 'train' was read; also there: test"
    assert [pair.prompt for pair in read_pairs(tmp_path / "two", split="test").pairs] == ["Q2"]
    with pytest.raises(DataError, match=r"there is no split 'dev'; it has train, test\. Name one with --split"):
        read_pairs(tmp_path / "two", split="dev")
    with pytest.raises(DataError, match="holds one data set without splits"):
        read_pairs(tmp_path / "one", split="test")
    (tmp_path / "one" / "state.json").write_text("{}")
    with pytest.raises(DataError, match=r"looks like a folder of Dataset\.save_to_disk but cannot be read"):
        read_pairs(tmp_path / "one")


# --------------------------------------------------------------------------------------------- names that are no path
@pytest.mark.parametrize("name", ["nowhere/pairs.jsonl", "./nowhere", "/no/such/folder", "pairs.csv", "a/b/c"])
def test_no_such_path(name: str) -> None:
    with pytest.raises(DataError, match=r"no such file or folder \(seen from .*a hub data set is named OWNER/NAME"):
        read_pairs(name)


@pytest.mark.parametrize(
    ("raised", "expected", "message"),
    [
        (ConnectionError("no route to host"), ResourceError, "the hub cannot be reached .*no route to host"),
        (TimeoutError("too slow"), ResourceError, "the hub cannot be reached"),
        ("not found", DataError, "no such file or folder here .* and no data set of that name on the hub"),
        (
            ValueError("Config name is missing."),
            DataError,
            "the hub's data set cannot be opened: Config name is missing",
        ),
    ],
)
def test_hub_trouble(raised: Any, expected: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    from datasets.exceptions import DatasetNotFoundError

    def load_dataset(*_: Any, **__: Any) -> Any:
        raise DatasetNotFoundError(raised) if isinstance(raised, str) else raised

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(expected, match=message):
        read_pairs("nobody/nothing")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A hub with one set: configuration "plain" or none, folder "preference". Gives the list of what was asked."""
    datasets = pytest.importorskip("datasets")
    asked: list[dict[str, Any]] = []

    def load_dataset(path: str, name: str | None = None, **options: Any) -> Any:
        asked.append({"path": path, "name": name, **options})
        if name not in (None, "plain"):
            raise ValueError(f"BuilderConfig '{name}' not found.")
        if options.get("data_dir") not in (None, "preference"):
            raise datasets.exceptions.DataFilesNotFoundError("No (supported) data files found")
        return datasets.IterableDatasetDict({"train": datasets.Dataset.from_list(numbered(2)).to_iterable_dataset()})

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return asked


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("owner/name", {"name": None}),
        ("owner/name:plain", {"name": "plain"}),
        ("owner/name:preference", {"name": None, "data_dir": "preference"}),
    ],
)
def test_hub_name_streams_its_split(name: str, last: dict[str, Any], hub: list[dict[str, Any]]) -> None:
    data = read_pairs(name)
    assert (len(data.pairs), data.account.source) == (2, f"hub {name} [train]")
    assert hub[-1] == {"path": "owner/name", "streaming": True, **last}


def test_hub_configuration_that_is_not_there(hub: list[dict[str, Any]]) -> None:
    with pytest.raises(DataError, match=r"owner/name:other: no such file or folder here .* on the hub"):
        read_pairs("owner/name:other")


def test_a_name_without_an_owner_is_not_looked_up(hub: list[dict[str, Any]]) -> None:
    with pytest.raises(DataError, match=r"pears: no such file or folder .* named OWNER/NAME or OWNER/NAME:CONFIG"):
        read_pairs("pears")
    assert not hub


class CastError(Exception):
    """As datasets raises when files differ in their columns."""


@pytest.mark.parametrize(
    ("raised", "cause", "expected", "message"),
    [
        (ConnectionError("reset"), None, ResourceError, "the hub stopped answering after 3 rows: reset. Check the net"),
        (CastError("failed"), TimeoutError("slow"), ResourceError, "the hub stopped answering after 3 rows: failed"),
        (
            CastError("columns differ."),
            None,
            DataError,
            "cannot be read after 3 rows: columns differ. If its files differ",
        ),
    ],
)
def test_hub_that_breaks_on_the_way(
    raised: Exception,
    cause: Exception | None,
    expected: type[Exception],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    datasets = pytest.importorskip("datasets")

    class Rows:
        def __iter__(self) -> Iterator[dict[str, Any]]:
            yield from numbered(3)
            raise raised from cause

    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: {"train": Rows()})
    with pytest.raises(expected, match=message):
        read_pairs("owner/name")


# ------------------------------------------------------------------------------------------------------ rows in memory
def test_arrays_of_pandas_and_numpy_are_rows(tmp_path: Path) -> None:
    turns = {"chosen": np.array(chat("Q", "a"), dtype=object), "rejected": chat("Q", "b"), "margin": np.float32(0.5)}
    data = read_pairs([turns])
    assert data.pairs == read_pairs([{"chosen": chat("Q", "a"), "rejected": chat("Q", "b"), "margin": 0.5}]).pairs
