"""The contract of all formats: recognised as itself, the same records from every kind of file, counts that add up."""

from __future__ import annotations

import csv
import gzip
import io
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
    if path.suffix == ".arrow":  # a folder
        import datasets

        datasets.Dataset.from_list(rows).save_to_disk(path)
        return
    if ".csv" in path.suffixes:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        path.write_bytes(gzip.compress(text.getvalue().encode()) if path.suffix == ".gz" else text.getvalue().encode())
        return
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


FLAT = [name for name in NAMES if all(isinstance(v, str | int | float) for row in ROWS[name] for v in row.values())]
SUFFIXES = [".jsonl", ".ndjson", ".jsonl.gz", ".jsonl.zst", ".json", ".json.gz", ".parquet", ".arrow"]


def test_formats_that_fit_in_a_table_of_text() -> None:
    assert set(FLAT) > {"trl-standard", "hh-rlhf", "helpsteer2", "arena-55k", "two-responses", "karat"}


@pytest.mark.parametrize(("name", "suffix"), [*product(NAMES, SUFFIXES), *product(FLAT, [".csv", ".csv.gz"])])
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
    entry = next(iter(account))
    assert (entry.reason, entry.count, entry.first_rows) == ("chosen equals rejected", 2, (0, 1))


def test_helpsteer2_by_a_weighted_sum() -> None:
    """0.5 * 1 + 0.25 * 4 = 1.5 against 0.5 * 4 + 0.25 * 0 = 2: the second by 0.5. With weights 1 and 2: 9 against 4."""
    one, two = ROWS["helpsteer2"][:2]
    rows = [one | {"verbosity": 4}, two | {"verbosity": 0}]
    (pair,) = read_pairs(rows, attribute_weights={"helpfulness": 0.5, "verbosity": 0.25}).pairs
    assert (pair.chosen, pair.strength) == (reply("4"), 0.5)
    (pair,) = read_pairs(rows, attribute_weights={"helpfulness": 1, "verbosity": 2}).pairs
    assert (pair.chosen, pair.strength, pair.chosen_attributes["verbosity"]) == (reply("5"), 5.0, 4.0)


def test_sums_that_differ_by_rounding_alone_are_ties() -> None:
    """0.1 * 3 + 0.2 * 3 is not 0.3 * 3 in floats (0.9000000000000001 against 0.8999999999999999)."""
    one, two = ({**row, "helpfulness": 3, "correctness": 3, "coherence": 0} for row in ROWS["helpsteer2"][:2])
    two |= {"helpfulness": 0, "correctness": 0, "coherence": 3}
    weights = {"helpfulness": 0.1, "correctness": 0.2, "coherence": 0.3}
    assert [pair.label for pair in read_pairs([one, two], attribute_weights=weights).pairs] == [0.5]


def test_ultrafeedback_by_a_weighted_sum() -> None:
    """Rated N/A, 5 and 4 in every aspect: the first has no sum, the others differ by 2 * 5 - 2 * 4."""
    data = read_pairs(ROWS["ultrafeedback"], attribute_weights={"honesty": 2.0})
    assert [essence(pair) for pair in data.pairs] == [(turns("What is 2+2?"), reply("4"), reply("four"), 1.0, 2.0)]
    assert [entry.reason for entry in data.account] == ["a completion without a response or rating left out"]


def test_helpsteer3_keeps_the_spread_of_the_annotators() -> None:
    """Scores -3, -2, -1: standard deviation 1 (ddof=1). One score, or none that is a number, has no spread."""
    votes = [{"score": score, "reasoning": "so"} for score in (-3, -2, -1)]
    rows = [row | {"individual_preference": votes[:n]} for row, n in zip(ROWS["helpsteer3"], (3, 1, 0), strict=True)]
    found = [pair.extra for pair in read_pairs(rows).pairs]
    assert found[0]["annotator_spread"] == 1.0
    assert found[0]["individual_preference"] == votes
    assert not any("annotator_spread" in extra for extra in found[1:])


def test_only_the_ties_of_rewardbench2_hold_ties() -> None:
    row = ROWS["rewardbench2"][0]
    assert [pair.label for pair in read_pairs([row]).pairs] == [1.0, 1.0, 0.5]
    assert [pair.label for pair in read_pairs([row | {"subset": "Math"}]).pairs] == [1.0, 1.0]


def test_extra_says_which_response_was_chosen_in_the_data() -> None:
    pairs = read_pairs(ROWS["arena-140k"]).pairs
    assert [pair.extra["chosen_position"] for pair in pairs] == ["first", "second", "first"]


def test_ties_are_noted() -> None:
    entry = next(iter(read_pairs(ROWS["paddlenlp"]).account))
    assert (entry.action, entry.reason, entry.count, entry.first_rows) == ("noted", "tie: kept with label 0.5", 1, (1,))


def test_hh_rlhf_response_that_holds_a_turn_is_kept_whole() -> None:
    start = "\n\nHuman: Q\n\nAssistant:"
    row = {"chosen": f"{start} Say:\n\nHuman: hello", "rejected": f"{start} b"}
    data = read_pairs([row])
    assert (data.pairs[0].prompt, data.pairs[0].chosen) == (start, " Say:\n\nHuman: hello")
    assert [entry.reason for entry in data.account] == [r"a response holds '\n\nHuman:': kept as part of the response"]
    assert read_pairs([row], hh_as="messages").pairs[0].chosen == reply("Say:\n\nHuman: hello")


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
    assert not read_pairs(full).account.entries


def test_the_prompt_column_decides_where_the_responses_begin() -> None:
    """The chats share an answer behind the prompt; it belongs to the responses, because the data says so."""
    row = {"prompt": chat("Q"), "chosen": chat("Q", "a", "R", "b"), "rejected": chat("Q", "a", "R", "c")}
    pair = read_pairs([row]).pairs[0]
    assert (pair.prompt, pair.chosen) == (turns("Q"), turns("a", "R", "b", first="assistant"))
    assert read_pairs([row | {"prompt": None}]).pairs[0].prompt == turns("Q", "a", "R")


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


@pytest.mark.parametrize(
    ("row", "note"),
    [
        (
            {"chosen": "Q\na", "rejected": "Q\nb"},
            "no prompt column: the shared beginning of both texts up to its last line break is the prompt",
        ),
        (
            {"prompt": "Q", "chosen": "Qa", "rejected": "Qb"},
            "both responses begin with the prompt: joined as they are, it stands there twice",
        ),
        (
            {"prompt": chat("R"), "chosen": chat("Q", "a"), "rejected": chat("Q", "b")},
            "the prompt column is not the beginning of the chats: the chats' own prompt was taken",
        ),
        (
            {"prompt": "R", "chosen": chat("Q", "a"), "rejected": chat("Q", "b")},
            "the prompt column is not the beginning of the chats: the chats' own prompt was taken",
        ),
    ],
)
def test_what_is_odd_about_a_prompt_is_noted(row: dict[str, Any], note: str) -> None:
    data = read_pairs([row])
    assert [(entry.action, entry.reason) for entry in data.account] == [("noted", note)]
    assert data.pairs[0].prompt != turns("R")


def test_a_chat_that_goes_on_behind_the_others_end_leaves_both_a_turn() -> None:
    pair = read_pairs([{"chosen": chat("Q", "a"), "rejected": chat("Q", "a", "R", "b")}]).pairs[0]
    assert (pair.prompt, pair.chosen) == (turns("Q"), reply("a"))
    assert pair.rejected == turns("a", "R", "b", first="assistant")


def test_a_chat_without_an_answer_has_an_empty_response() -> None:
    data = read_pairs([{"chosen": chat("Q", "a"), "rejected": chat("Q")}])
    assert (data.pairs[0].prompt, data.pairs[0].rejected) == (turns("Q"), ())
    assert [entry.reason for entry in data.account] == ["rejected is empty: pair kept"]


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


def test_calls_that_alone_differ_are_not_said_to_be_equal() -> None:
    sides = [
        [*chat("Q"), {"role": "assistant", "content": "", "tool_calls": [{"name": name}]}, *chat("Thanks", "Yes")]
        for name in ("f", "g")
    ]
    good = {"chosen": chat("Q", "a"), "rejected": chat("Q", "b")}
    account = read_pairs([good, {"chosen": sides[0], "rejected": sides[1]}]).account
    assert [entry.reason for entry in account] == [
        "chosen equals rejected (fields of turns other than role and content are left out: tool_calls)"
    ]


def test_annotators_may_be_numbers() -> None:
    row = {"prompt": "Q", "chosen": "a", "rejected": "b"}
    assert [read_pairs([row | {"annotator_id": n}]).pairs[0].annotator for n in (7, "w7")] == ["7", "w7"]


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


@pytest.mark.parametrize(
    ("names", "column", "value", "label", "chosen"),
    [
        (("response_1", "response_2"), "winner", "1", 1.0, "x"),
        (("response_1", "response_2"), "winner", 2, 1.0, "y"),
        (("response1", "response2"), "winner", "both_bad", 0.5, "x"),
        (("response_0", "response_1"), "better_response_id", 0, 1.0, "x"),
        (("response_0", "response_1"), "better_response_id", 1, 1.0, "y"),
        (("response_A", "response_B"), "label", "B>A", 1.0, "y"),
        (("response_A", "response_B"), "label", "response_A", 1.0, "x"),
        (("response_a", "response_b"), "winner", "response_b", 1.0, "y"),
    ],
)
def test_winner(names: tuple[str, str], column: str, value: Any, label: float, chosen: str) -> None:
    pair = read_pairs([{"prompt": "Q", names[0]: "x", names[1]: "y", column: value}]).pairs[0]
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
