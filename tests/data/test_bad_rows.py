"""Bad rows: each kind has one outcome, a count or an error that says what, where and what to do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from data.samples import GOOD, ROWS, chat, entries, numbered, only
from karat.data import list_formats, read_pairs, stream_pairs
from karat.errors import DataError, InputError


# ---------------------------------------------------------------------------------------------------------------- rows
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"prompt": "Q", "chosen": "same", "rejected": "same"}, "chosen equals rejected"),
        ({"prompt": "Q", "chosen": "", "rejected": " "}, "both responses are empty"),
        ({"prompt": "Q", "chosen": "a"}, "column 'rejected' is missing"),
        ({"prompt": "Q", "chosen": "a", "rejected": None}, "column 'rejected' is null"),
        ({"prompt": "Q", "chosen": 3, "rejected": "b"}, "column 'chosen' holds a number, not text"),
        ({"prompt": chat("Q"), "chosen": "a", "rejected": "b"}, "column 'prompt' holds a list, not text"),
        ({}, "column 'chosen' is missing"),
        ({"prompt": "Q", "chosen": "a \ud83d", "rejected": "b"}, "text is not Unicode (half of a surrogate pair)"),
    ],
)
def test_rows_that_do_not_fit_are_dropped_and_counted(bad: dict[str, Any], reason: str) -> None:
    data = read_pairs([GOOD, bad, {**GOOD, "prompt": "R"}, bad, {**GOOD, "prompt": "S"}])
    assert entries(data.account) == [("dropped", reason, 2, (1, 3))]
    assert [pair.row for pair in data.pairs] == [0, 2, 4]
    assert (data.account.rows_read, data.account.rows_dropped) == (5, 2)


def test_mixed_schemas_the_minority_is_dropped() -> None:
    turns = {"chosen": chat("Q", "a"), "rejected": chat("Q", "b")}
    data = read_pairs([turns, *numbered(2)])
    assert data.account.format == "trl-standard"
    assert entries(data.account) == [("dropped", "column 'chosen' holds a list, not text", 1, (0,))]


@pytest.mark.parametrize("side", ["chosen", "rejected"])
def test_one_empty_response_is_kept_and_noted(side: str) -> None:
    data = read_pairs([GOOD | {side: ""}])
    assert entries(data.account) == [("noted", f"{side} is empty: pair kept", 1, (0,))]
    assert len(data.pairs) == 1


def test_prompts_that_differ_are_dropped() -> None:
    bad = {"chosen": chat("Q", "a"), "rejected": chat("another", "b")}
    data = read_pairs([{"chosen": chat("Q", "a"), "rejected": chat("Q", "b")}, bad])
    assert entries(data.account) == [("dropped", "prompts differ", 1, (1,))]


def test_hh_prompts_that_differ_are_dropped() -> None:
    start = "\n\nHuman: Q\n\nAssistant:"
    good = {"chosen": f"{start} a", "rejected": f"{start} b"}
    data = read_pairs([good, {"chosen": f"{start} a", "rejected": f"{start} b\n\nHuman: R\n\nAssistant: c"}])
    assert entries(data.account) == [("dropped", "prompts differ", 1, (1,))]


@pytest.mark.parametrize("margin", [float("nan"), float("inf"), "much"])
def test_margin_that_is_no_number_is_changed_to_nan(margin: Any) -> None:
    data = read_pairs([{**GOOD, "margin": margin}, {**GOOD, "prompt": "R", "margin": 1}])
    assert entries(data.account) == [("changed", "margin is not a finite number: strength set to NaN", 1, (0,))]
    assert data.pairs[0].strength != data.pairs[0].strength
    assert data.pairs[1].strength == 1.0


def test_empty_margin_is_noted() -> None:
    account = read_pairs([{**GOOD, "margin": None}]).account
    assert entries(account) == [("noted", "margin is empty: strength left NaN", 1, (0,))]


def test_duplicates_are_kept_and_noted() -> None:
    other_way = {"prompt": "Q", "chosen": "b", "rejected": "a"}
    data = read_pairs([GOOD, GOOD, other_way, GOOD])
    assert len(data.pairs) == 4
    assert entries(data.account) == [
        ("noted", "contradicts an earlier pair (same responses, the other preferred)", 2, (2, 3)),
        ("noted", "repeats an earlier pair (same prompt, same responses)", 1, (1,)),
    ]


def test_a_tie_the_other_way_round_repeats_and_does_not_contradict() -> None:
    tie = {"prompt": "Q", "response_a": "x", "response_b": "y", "winner": "tie"}
    account = read_pairs([tie, {**tie, "response_a": "y", "response_b": "x"}]).account
    assert entries(account) == [
        ("noted", "tie: kept with label 0.5", 2, (0, 1)),
        ("noted", "repeats an earlier pair (same prompt, same responses)", 1, (1,)),
    ]


def test_a_tie_of_equal_responses_is_kept() -> None:
    data = read_pairs([{"prompt": "Q", "response_a": "x", "response_b": "x", "winner": "tie"}])
    assert [pair.label for pair in data.pairs] == [0.5]


def test_a_pair_of_several_is_left_out_and_said() -> None:
    data = read_pairs([{"prompt": "Q", "chosen": ["a", "c"], "rejected": ["c"]}])
    assert len(data.pairs) == 1
    assert only(data.account).reason == "a pair of several in the row left out: chosen equals rejected"
    assert only(data.account).action == "changed"


@pytest.mark.parametrize("winner", [0, "nobody", 1, ""])
def test_a_winner_that_names_nobody_is_dropped(winner: Any) -> None:
    good = {"prompt": "Q", "response_a": "x", "response_b": "y", "winner": "a"}
    account = read_pairs([good, {**good, "winner": winner}]).account
    assert only(account).reason == f"winner is {winner!r}, which names neither response nor a tie"


def test_reasons_without_end_are_counted_together() -> None:
    row = {"prompt": "Q", "response_a": "x", "response_b": "y"}
    account = read_pairs([row | {"winner": f"nobody {i}" if i else "a"} for i in range(150)]).account
    assert ("dropped", "other reasons, too many to list", 49, (101, 102, 103, 104, 105)) in entries(account)
    assert account.rows_dropped == 149


def test_images_drop_the_row() -> None:
    picture = [
        {"role": "user", "content": [{"type": "image_url", "image_url": "x"}]},
        {"role": "assistant", "content": "a"},
    ]
    rows = [{"chosen": chat("Q", "a"), "rejected": chat("Q", "b")}, {"chosen": picture, "rejected": picture}]
    assert "whose content is not text (images are not read)" in only(read_pairs(rows).account).reason


def test_label_out_of_range_is_dropped() -> None:
    rows = [{**GOOD, "label": label, "prompt_id": "p"} for label in (1.0, 1.5)]
    assert entries(read_pairs(rows).account) == [("dropped", "label is no probability in [0, 1]", 1, (1,))]


# ------------------------------------------------------------------------------------------------- nothing can be used
def test_no_valid_pair_lists_reasons_with_counts() -> None:
    same = {**GOOD, "rejected": "a"}
    with pytest.raises(DataError) as caught:
        read_pairs([same, same, {**GOOD, "chosen": "", "rejected": ""}])
    message = str(caught.value)
    assert "none of 3 rows gives a usable pair (read as trl-standard)" in message
    assert "chosen equals rejected (2); both responses are empty (1)" in message
    assert "--format" in message


def test_a_margin_below_0_is_said() -> None:
    data = read_pairs([{**GOOD, "margin": -1.5}, {**GOOD, "prompt": "other", "margin": 2.0}])
    assert [pair.strength for pair in data.pairs] == [-1.5, 2.0]
    notes = [(entry.reason, entry.first_rows) for entry in data.account if entry.action == "noted"]
    assert notes == [("margin is below 0: chosen stays chosen, strength is negative", (0,))]


def test_no_format_lists_columns_and_candidates() -> None:
    with pytest.raises(DataError) as caught:
        read_pairs([{"question": "Q", "good": "a", "bad": 3}])
    message = str(caught.value)
    assert "no format of preference pairs fits at least half of 1 rows" in message
    assert "Columns seen: question (text), good (text), bad (a number)" in message
    assert "two-responses" in message
    assert "--format" in message
    assert "--chosen-key" in message


def test_no_format_reaches_half_of_a_mixture() -> None:
    rows = [{"prompt": "Q", "chosen": "a", "rejected": "b"}, {"x": 1}, {"x": 2}]
    with pytest.raises(DataError, match=r"Formats that fit some rows: trl-standard \(1 of 3\)"):
        read_pairs(rows)


def test_a_pool_is_no_set_of_pairs() -> None:
    with pytest.raises(DataError, match="rows hold one response each"):
        read_pairs([{"prompt": "Q", "response": "a", "score": 1.0}])


def test_unknown_format_lists_the_known() -> None:
    with pytest.raises(InputError, match=r"--format 'trl' is not known\. Known: karat, .*trl-standard"):
        read_pairs([GOOD], format="trl")


def test_named_key_that_is_no_column() -> None:
    with pytest.raises(DataError, match=r"no column 'good', named as a key\. Columns: prompt \(text\)"):
        read_pairs([GOOD], chosen_key="good")


def test_bad_hh_as() -> None:
    with pytest.raises(InputError, match="hh_as is 'chat'"):
        read_pairs([GOOD], hh_as="chat")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([GOOD], "format trl-standard has no ratings to weigh; these have: ultrafeedback, helpsteer2"),
        (ROWS["helpsteer2"], "'wit' is not rated; helpsteer2 rates helpfulness, correctness"),
    ],
)
def test_weights_of_what_is_not_rated(rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_pairs(rows, attribute_weights={"wit": 1.0})


def test_a_missing_rating_that_is_weighed_drops_the_row() -> None:
    rows = [*ROWS["helpsteer2"], *({**row, "coherence": None} for row in ROWS["helpsteer2"][:2])]
    account = read_pairs(rows, attribute_weights={"helpfulness": 1.0, "coherence": 1.0}).account
    assert ("dropped", "coherence is no finite number", 2, (4, 5)) in entries(account)
    assert len(read_pairs(rows).pairs) == 3  # by helpfulness alone they are of use


@pytest.mark.parametrize("rows", [[], iter(())])
def test_no_rows(rows: Any) -> None:
    with pytest.raises(DataError, match=r"there are no rows in it\. Check"):
        read_pairs(rows)


def test_no_source_at_all() -> None:
    with pytest.raises(DataError, match="cannot read rows from a number"):
        read_pairs(3)


def test_an_iterator_is_read_once_and_says_so() -> None:
    stream = stream_pairs(iter([GOOD]))
    assert len(list(stream)) == 1
    with pytest.raises(DataError, match="can be read only once, and was"):
        list(stream)


# ------------------------------------------------------------------------------------------------------------ real data
def real(folder: str, pattern: str) -> Path:
    """The file of real data, or a skip that says what is missing."""
    root = Path(os.environ.get("KARAT_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
    files = sorted((root / folder).glob(pattern))
    if not files:
        pytest.skip(f"no {folder}/{pattern} in {root}; name the folder with KARAT_DATA")
    return files[0]


def test_real_pandalm() -> None:
    """999 rows of which 6 have a response that YAML made true or false; 426 of 999 have three votes for the second."""
    data = read_pairs(real("pandalm", "data__testset-v1.json*"))
    assert (data.account.format, data.account.rows_read) == ("annotator-votes", 999)
    dropped = [(entry.reason, entry.count) for entry in data.account if entry.action == "dropped"]
    assert sum(count for reason, count in dropped if "not text" in reason) == 6
    assert {round(pair.label, 3) for pair in data.pairs} == {0.5, 0.667, 0.833, 1.0}


def test_real_judgebench() -> None:
    """350 rows: 193 say A>B and 157 say B>A."""
    data = read_pairs(real("judgebench", "data__*gpt-4o*"))
    assert (data.account.format, len(data.pairs), data.account.entries) == ("two-responses", 350, ())
    assert sum(pair.extra["chosen_position"] == "first" for pair in data.pairs) == 193


def test_real_hh_rlhf() -> None:
    """Published counts of the set (see its PROVENANCE.md): 2,312 rows, 5 whose prompts differ, none identical."""
    data = read_pairs(real("hh_rlhf_harmless_test", "*.gz"))
    assert (data.account.format, data.account.rows_read, data.account.records) == ("hh-rlhf", 2312, 2307)
    assert [(e.reason, e.count) for e in data.account if e.action == "dropped"] == [("prompts differ", 5)]
    assert all(str(pair.prompt).endswith("\n\nAssistant:") for pair in data.pairs)


# ---------------------------------------------------------------------------------------------------------------- docs
def test_the_table_in_the_docs_is_the_list_of_formats() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    section = page.split("\n## Formats of pairs\n")[1].split("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("| `")]
    assert table == [f"| `{name}` | {columns} | {description} |" for name, description, columns in list_formats()]
