"""The reading options that verbs share, and pairs from memory."""

from __future__ import annotations

import inspect
from dataclasses import fields

import pytest

from karat.data import ReadingConfig, read_pairs, stream_pairs, take_pairs
from karat.data.reading import parse_weights
from karat.errors import DataError, InputError
from karat.types import PreferencePair


def test_every_option_of_the_reader_is_an_option_of_the_verbs() -> None:
    """A new way to read must reach the command line: the names are held equal."""
    accepted = {name for name in inspect.signature(stream_pairs).parameters if name != "source"}
    assert {field.name for field in fields(ReadingConfig)} == accepted == set(ReadingConfig().reading())


def test_options_arrive_at_the_reader() -> None:
    rows = [{"q": "Q", "win": "a", "lose": "b"}]
    config = ReadingConfig(prompt_key="q", chosen_key="win", rejected_key="lose")
    assert config.names_pairs
    (pair,) = read_pairs(rows, **config.reading()).pairs
    assert (pair.prompt, pair.chosen, pair.rejected) == ("Q", "a", "b")
    dialogue = [{"chosen": "\n\nHuman: q\n\nAssistant: a", "rejected": "\n\nHuman: q\n\nAssistant: b"}]
    (pair,) = read_pairs(dialogue, **ReadingConfig(hh_as="messages").reading()).pairs
    assert pair.prompt[0].role == "user"  # type: ignore[union-attr]
    assert not ReadingConfig(hh_as="messages").names_pairs


@pytest.mark.parametrize(
    ("text", "weights"),
    [("", {}), ("a", {"a": 1.0}), (" a=2, b = -0.5 ,", {"a": 2.0, "b": -0.5})],
)
def test_weights(text: str, weights: dict[str, float]) -> None:
    assert parse_weights("attribute_weights", text) == weights


@pytest.mark.parametrize("text", ["a=x", "a=nan", "a=1e999"])
def test_weights_that_are_no_numbers(text: str) -> None:
    with pytest.raises(InputError, match=f"attribute_weights: '{text}' is not name or name=weight"):
        ReadingConfig(attribute_weights=text)


def test_other_words_for_hh_as() -> None:
    with pytest.raises(InputError, match="hh-rlhf is read as 'text' or as 'messages'"):
        ReadingConfig(hh_as="turns")  # type: ignore[arg-type]


def test_pairs_from_memory_are_as_a_reader_gives_them() -> None:
    """Only what no reader would give is dropped, each counted; everything else is taken as it is."""
    read = read_pairs([{"prompt": "p", "chosen": "a", "rejected": "b"}, {"prompt": "q", "chosen": "", "rejected": "b"}])
    taken = take_pairs(read.pairs)
    assert taken.pairs == read.pairs
    assert taken.account.fingerprint == read.account.fingerprint
    empty = PreferencePair("p", " ", "", prompt_id="p")
    tie = PreferencePair("p", "a", "a", label=0.5, prompt_id="p")
    data = take_pairs([*read.pairs, empty, tie])
    assert data.pairs == (*read.pairs, tie)
    assert [(e.action, e.reason, e.first_rows) for e in data.account] == [("dropped", "both responses are empty", (2,))]
    assert data.account.rows_read == 4
    with pytest.raises(DataError, match="in memory that can be used: there are none"):
        take_pairs([])
