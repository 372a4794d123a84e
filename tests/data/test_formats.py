"""The contract of all formats: recognised as itself, the same records from every kind of file, counts that add up."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import zstandard

from data.samples import EXPECTED, HH_PROMPT, ROWS, chat, reply, turns
from karat.data import list_formats, read_pairs, stream_pairs
from karat.data.recognise import recognise
from karat.types import NAN, Message, PreferencePair, TokenIds

NAMES = [name for name, _, _ in list_formats()]


def essence(pair: PreferencePair) -> tuple[Any, ...]:
    strength = None if pair.strength != pair.strength else pair.strength
    return (pair.prompt, pair.chosen, pair.rejected, pair.label, strength)


def expected(name: str) -> list[tuple[Any, ...]]:
    return [(*item[:4], None if item[4] != item[4] else item[4]) for item in EXPECTED[name]]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path)
        return
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    content = (json.dumps(rows) if ".json" in path.suffixes else lines).encode()
    pack = {".gz": gzip.compress, ".zst": zstandard.compress}.get(path.suffix, bytes)
    path.write_bytes(pack(content))


def test_every_format_has_a_sample() -> None:
    assert sorted(ROWS) == sorted(EXPECTED) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_records(name: str) -> None:
    data = read_pairs(ROWS[name])
    assert data.account.format == name
    assert [essence(pair) for pair in data.pairs] == expected(name)
    assert all(pair.prompt_id for pair in data.pairs)
    assert data.account.records == len(data.pairs)
    assert data.account.rows_dropped == 0


@pytest.mark.parametrize("name", NAMES)
def test_named_format_reads_as_recognised(name: str) -> None:
    assert read_pairs(ROWS[name], format=name) == read_pairs(ROWS[name])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson", ".jsonl.gz", ".jsonl.zst", ".json", ".json.gz", ".parquet"])
def test_same_records_from_every_kind_of_file(name: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"pairs{suffix}"
    write(path, ROWS[name])
    data = read_pairs(path)
    in_memory = read_pairs(ROWS[name])
    assert data.account.format == name
    assert [replace(pair, extra={}) for pair in data.pairs] == [replace(pair, extra={}) for pair in in_memory.pairs]
    assert data.account.fingerprint == in_memory.account.fingerprint


@pytest.mark.parametrize("name", NAMES)
def test_every_row_passes_the_stream(name: str) -> None:
    stream = stream_pairs(ROWS[name])
    rows = list(stream)
    assert [row.raw for row in rows] == ROWS[name]
    assert [row.row for row in rows] == list(range(len(ROWS[name])))
    assert stream.format == name
    assert list(stream) == rows  # a list can be read again
    assert stream.account().rows_read == len(rows)


@pytest.mark.parametrize(("name", "other"), [pair for pair in product(NAMES, NAMES) if pair[0] != pair[1]])
def test_the_majority_of_rows_decides(name: str, other: str) -> None:
    """One row of another format in front does not decide."""
    assert recognise([ROWS[other][0], *ROWS[name] * 4], "here").name == name


# ------------------------------------------------------------------------------------------------- columns, one by one
def test_attributes_of_ultrafeedback_follow_their_side() -> None:
    first, _, tie = read_pairs(ROWS["ultrafeedback"]).pairs
    assert first.chosen_attributes["helpfulness"] == 5.0  # "4", rated 5, was second in the data
    assert first.rejected_attributes["helpfulness"] != first.rejected_attributes["helpfulness"]  # "N/A" is NaN
    assert tie.rejected_attributes["honesty"] == 4.0
    assert first.source == "flan"


def test_ultrafeedback_spells_an_aspect_with_a_hyphen_too() -> None:
    row = json.loads(json.dumps(ROWS["ultrafeedback"][0]).replace("instruction_following", "instruction-following"))
    assert read_pairs([row]).pairs == read_pairs(ROWS["ultrafeedback"]).pairs


def test_attributes_of_helpsteer2_follow_their_side() -> None:
    pair = read_pairs(ROWS["helpsteer2"]).pairs[0]
    assert (pair.chosen_attributes["helpfulness"], pair.rejected_attributes["helpfulness"]) == (4.0, 1.0)
    assert pair.row == 1


def test_helpsteer2_row_without_partner_is_dropped() -> None:
    rows = [ROWS["helpsteer2"][2], *ROWS["helpsteer2"][:2], ROWS["helpsteer2"][3]]
    data = read_pairs(rows)
    (entry,) = [entry for entry in data.account if entry.action == "dropped"]
    assert (len(data.pairs), entry.count, entry.first_rows) == (1, 2, (0, 3))
    assert entry.reason == "no second response to the same prompt beside it"


def test_helpsteer2_rows_of_a_pair_without_use_are_both_dropped() -> None:
    same = [{**row, "response": "4"} for row in ROWS["helpsteer2"][:2]]
    account = read_pairs([*same, *ROWS["helpsteer2"]]).account
    (entry,) = account
    assert (entry.reason, entry.count, entry.first_rows) == ("chosen equals rejected", 2, (0, 1))


def test_hh_rlhf_as_messages() -> None:
    pair = read_pairs(ROWS["hh-rlhf"], hh_as="messages").pairs[0]
    assert (pair.prompt, pair.chosen, pair.rejected) == (turns("Hi", "Hello", "What is 2+2?"), reply("4"), reply("5"))
    assert read_pairs(ROWS["hh-rlhf"]).pairs[0].prompt == HH_PROMPT


def test_prompt_with_completions_and_full_chats_with_prompt_are_the_same() -> None:
    full = [{"prompt": chat("Q"), "chosen": chat("Q", "a"), "rejected": chat("Q", "b")}]
    completions = [
        {"prompt": chat("Q"), "chosen": chat("a", first="assistant"), "rejected": chat("b", first="assistant")}
    ]
    implicit = [{"chosen": chat("Q", "a"), "rejected": chat("Q", "b")}]
    pairs = [read_pairs(rows).pairs for rows in (full, completions, implicit)]
    assert pairs[0] == pairs[1] == pairs[2]
    assert pairs[0][0].prompt == turns("Q")


def test_ultrafeedback_mix_with_completions_only_gets_the_prompt_as_users_turn() -> None:
    rows = [{"prompt": "Q", "chosen": chat("a", first="assistant"), "rejected": chat("b", first="assistant")}]
    pair = read_pairs(rows).pairs[0]
    assert (pair.prompt, pair.chosen) == (turns("Q"), reply("a"))


def test_old_names_of_token_ids() -> None:
    pair = read_pairs([{"chosen_input_ids": [1, 2], "rejected_input_ids": [1, 3]}]).pairs[0]
    assert (pair.chosen, pair.rejected) == (TokenIds((1, 2)), TokenIds((1, 3)))


def test_standard_without_prompt_splits_at_a_line_break() -> None:
    pair = read_pairs([{"chosen": "Q: 2+2\nA: 4", "rejected": "Q: 2+2\nA: 5"}]).pairs[0]
    assert (pair.prompt, pair.chosen, pair.rejected) == ("Q: 2+2\n", "A: 4", "A: 5")


def test_unknown_prompts_are_not_one_prompt() -> None:
    pairs = read_pairs([{"chosen": "a", "rejected": "b"}, {"chosen": "c", "rejected": "d"}]).pairs
    assert [pair.prompt for pair in pairs] == ["", ""]
    assert pairs[0].prompt_id != pairs[1].prompt_id


def test_openrlhf_keys_rename_columns() -> None:
    rows = [{"question": "2+2=", "good": "4", "bad": "5", "prompt": "not this"}]
    data = read_pairs(rows, prompt_key="question", chosen_key="good", rejected_key="bad")
    assert essence(data.pairs[0])[:3] == ("2+2=", "4", "5")
    assert data.account.format == "trl-standard"


def test_swift_rejected_messages_and_list() -> None:
    whole = [{"messages": chat("Q", "a"), "rejected_messages": chat("Q", "b")}]
    tail = [{"messages": chat("Q", "a"), "rejected_response": chat("b", first="assistant")}]
    assert read_pairs(whole).pairs == read_pairs(tail).pairs


def test_chats_that_part_at_a_tools_answer_keep_the_call_in_the_completion() -> None:
    call, one, two = (
        {"role": "assistant", "content": "add(2,2)"},
        {"role": "tool", "content": "4"},
        {"role": "tool", "content": "5"},
    )
    pair = read_pairs([{"chosen": [*chat("Q"), call, one], "rejected": [*chat("Q"), call, two]}]).pairs[0]
    assert pair.prompt == turns("Q")
    assert pair.chosen == (Message("assistant", "add(2,2)"), Message("tool", "4"))


def test_fields_of_turns_that_are_left_out_are_said() -> None:
    said = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": None, "tool_calls": [{"name": "f"}]}]
    account = read_pairs([{"chosen": said, "rejected": chat("Q", "b")}]).account
    assert "fields of turns other than role and content are left out: tool_calls" in [e.reason for e in account]


def test_columns_not_read_are_kept_as_extra() -> None:
    pair = read_pairs(
        [{"prompt": "Q", "chosen": "a", "rejected": "b", "lang": "en", "source": "s", "none": None}]
    ).pairs[0]
    assert pair.extra == {"lang": "en"}
    assert pair.source == "s"


def test_tools_become_json_text() -> None:
    tools = [{"name": "f"}]
    pair = read_pairs([{"chosen": chat("Q", "a"), "rejected": chat("Q", "b"), "tools": tools}]).pairs[0]
    assert json.loads(pair.tools) == tools


@pytest.mark.parametrize(("value", "label", "chosen"), [("1", 1.0, "x"), (2, 1.0, "y"), ("both_bad", 0.5, "x")])
def test_winner_of_numbered_responses(value: Any, label: float, chosen: str) -> None:
    pair = read_pairs([{"prompt": "Q", "response_1": "x", "response_2": "y", "winner": value}]).pairs[0]
    assert (pair.label, pair.chosen) == (label, reply(chosen))


def test_strength_of_scores_the_wrong_way_round_is_noted() -> None:
    rows = [{"chosen": chat("Q", "a"), "rejected": chat("Q", "b"), "score_chosen": 1, "score_rejected": 3}]
    data = read_pairs(rows)
    assert data.pairs[0].strength == -2.0
    assert [entry.reason for entry in data.account] == [
        "score_chosen is below score_rejected: chosen stays chosen, strength is negative"
    ]


def test_missing_strength_is_the_nan_of_types() -> None:
    """Equal records must compare equal, and NaN is equal only to itself as an object."""
    assert read_pairs(ROWS["nemo-binary"]).pairs[0].strength is NAN
