"""The chained verdict log: whatever is done to it shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from karat.errors import DataError, InputError
from karat.grade.log import VerdictLog, link, read_key, read_log

KEY = b"sixteen bytes or more"


def written(path: Path, key: bytes = b"", count: int = 4) -> Path:
    log = VerdictLog(path, key)
    for number in range(count):
        log.append({"kind": "verdict", "task_id": f"t{number}", "verdict": "fail"})
    log.close()
    return path


def test_round_trip(tmp_path: Path) -> None:
    records = [line.record["task_id"] for line in read_log(written(tmp_path / "log"))]
    assert records == ["t0", "t1", "t2", "t3"]


def test_known_hash() -> None:
    """SHA-256 of 64 zeros followed by {"str:'a'":1}, by hand with sha256sum."""
    assert link("0" * 64, {"a": 1}, b"") == "80f7fab39aedfa7c964ea993b825be00bf3b351e13826172f08d29654bbb2049"


def change(lines: list[str]) -> list[str]:
    row = json.loads(lines[1])
    row["record"]["verdict"] = "pass"
    return [lines[0], json.dumps(row) + "\n", *lines[2:]]


EDITS: dict[str, Callable[[list[str]], list[str]]] = {
    "a verdict changed": change,
    "a line removed": lambda lines: lines[:1] + lines[2:],
    "two lines exchanged": lambda lines: [lines[0], lines[2], lines[1], lines[3]],
    "a line doubled": lambda lines: [lines[0], lines[1], lines[1], *lines[2:]],
    "the first removed": lambda lines: lines[1:],
    "a number changed": lambda lines: [lines[0], lines[1].replace('"number": 1', '"number": 7'), *lines[2:]],
    "a line cut": lambda lines: [*lines[:3], lines[3][:20]],
    "the last line's end cut": lambda lines: [*lines[:3], lines[3][:-1]],
    "a hash that is no hash": lambda lines: [*lines[:3], lines[3].replace('"hash": "', '"hash": "\\u00e9')],
    "a record that is a list": lambda lines: [*lines[:3], '{"number":3,"previous":"","hash":"","record":[1]}\n'],
    "nested without end": lambda lines: [*lines[:3], "[" * 100_000 + "\n"],
}


@pytest.mark.parametrize("name", EDITS)
def test_every_edit_shows(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / "log")
    edited = EDITS[name](path.read_text().splitlines(keepends=True))
    path.write_text("".join(edited))
    with pytest.raises(DataError, match=r"line [1-4]: "):
        list(read_log(path))


def test_a_rewritten_chain_needs_the_key(tmp_path: Path) -> None:
    """Without a key anybody can write a new chain; with one, a chain made without it does not fit."""
    forged = written(tmp_path / "log", b"")
    list(read_log(forged))
    with pytest.raises(DataError, match="hash does not fit"):
        list(read_log(forged, KEY))


def test_goes_on_behind_the_records_that_are_kept(tmp_path: Path) -> None:
    path = written(tmp_path / "log")
    log = VerdictLog(path, after=2)
    log.append({"task_id": "new"})
    log.close()
    assert [line.record["task_id"] for line in read_log(path)] == ["t0", "t1", "new"]


def test_bytes_that_are_no_text_show(tmp_path: Path) -> None:
    path = written(tmp_path / "log")
    path.write_bytes(path.read_bytes().replace(b"t3", b"\xff3"))
    with pytest.raises(DataError, match="line 4: "):
        list(read_log(path))


def test_what_is_kept_is_never_written_anew(tmp_path: Path) -> None:
    """A run that is killed right after it was resumed loses nothing: the kept lines never leave the file."""
    path = written(tmp_path / "log")
    log = VerdictLog(path, after=3)
    assert len(list(read_log(path))) == 3
    log.close()


def test_two_runs_do_not_write_one_log(tmp_path: Path) -> None:
    path = written(tmp_path / "log")
    log = VerdictLog(path, after=4)
    with pytest.raises(InputError, match="another run is writing it"):
        VerdictLog(path, after=4)
    log.close()
    assert len(list(read_log(path))) == 4


def test_a_short_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(InputError, match="holds 5 bytes; a key needs at least 16"):
        read_key(str(tmp_path / "key"))
