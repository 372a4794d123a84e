"""The JSON document: the contract's keys, strict JSON, whatever types a verb puts in."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from karat import __version__
from karat.report.json import render_json, to_plain
from karat.types import Result
from report.sample_results import HOSTILE, full_result


def refuse(token: str) -> None:
    raise AssertionError(f"{token} is not JSON")


def test_the_document_has_the_keys_of_the_contract_and_no_others() -> None:
    document = json.loads(render_json(full_result()), parse_constant=refuse)
    assert list(document) == ["karat", "command", "verdict", "findings", "values", "files"]
    assert (document["karat"], document["command"], document["verdict"]) == (__version__, "check", "problem")
    wanted = "code title verdict effect low high unit n_used n_failed n_missing gold witnesses action"
    assert {tuple(entry) for entry in document["findings"]} == {tuple(wanted.split())}
    assert document["files"] == ["out/report.html", "out/result.json"]


def test_undefined_is_null_and_infinite_is_named() -> None:
    document = json.loads(render_json(full_result()), parse_constant=refuse)
    unchecked = [entry for entry in document["findings"] if entry["verdict"] == "not checked"]
    assert unchecked[0]["effect"] is None
    assert document["values"]["losses"] == [1.0, 0.9, None, 0.7, 0.6]
    assert document["values"]["top"] == "Infinity"
    assert float(document["values"]["top"]) == math.inf


def test_what_the_fixed_keys_have_no_place_for_is_kept_in_values() -> None:
    report = json.loads(render_json(full_result()))["values"]["report"]
    assert report["lead"] == "The reward pays for length"
    assert report["baselines"]["RM101"] == "0 (identity)"
    assert report["tables"]["dropped"]["rows"][1] == ["tie", None]
    assert report["provenance"]["versions"] == {"karat": "0.1.0"}


def test_the_text_is_ascii_and_gives_the_witness_back_unchanged() -> None:
    text = render_json(full_result())
    assert text.isascii()
    assert "\x1b" not in text
    witnesses = next(entry["witnesses"] for entry in json.loads(text)["findings"] if entry["verdict"] == "problem")
    assert witnesses[0] == HOSTILE


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float32(0.5), 0.5),
        (np.float64("nan"), None),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([1.0, np.nan, -np.inf]), [1.0, None, "-Infinity"]),
        (Path("a/b"), "a/b"),
        ({1: (2, {3})}, {"1": [2, [3]]}),
        ({"b", "a"}, ["a", "b"]),
        (None, None),
        (True, True),
        (10**30, 10**30),
    ],
)
def test_values_of_other_types(value: object, plain: object) -> None:
    assert to_plain(value) == plain
    json.dumps(to_plain(value), allow_nan=False)


def test_a_verb_that_takes_the_reserved_name_is_stopped() -> None:
    with pytest.raises(AssertionError, match="report"):
        render_json(replace(Result("x"), values={"report": 1}))
