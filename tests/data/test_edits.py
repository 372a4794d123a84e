"""Edits keep what is said, leave code alone, and do the same each time."""

from __future__ import annotations

import pytest

from karat.data.edits import (
    FILLERS,
    FORMATTINGS,
    PADDINGS,
    REWORDINGS,
    as_list,
    edited,
    reworded,
    with_bold,
    with_repeat,
)
from karat.types import Message, TokenIds

PLAIN = 'It is late. You should not go, for example. He said "wait" and didn\'t move.'


def test_hand_values() -> None:
    assert as_list(" One thing. Two things.") == " - One thing.\n- Two things."
    assert with_bold("One thing. Two things.") == "**One thing.** Two things."
    assert with_repeat("One thing. Two things.") == "One thing. Two things. Two things."
    assert REWORDINGS["contracted"]("Do not go; I cannot.") == "Don't go; I can't."
    assert REWORDINGS["expanded"]("Don't go, we can't.") == "Do not go, we cannot."
    assert REWORDINGS["rephrased"]("For example, maybe a lot of it.") == "For instance, maybe lots of it."
    assert REWORDINGS["respaced"]("Two by Dr. Who.") is None
    assert REWORDINGS["respaced"]("One end. Two by Dr. Who.") == "One end.  Two by Dr. Who."


def test_a_question_is_not_expanded() -> None:
    assert REWORDINGS["expanded"]("Why don't you go?") is None


@pytest.mark.parametrize("name", REWORDINGS)
def test_a_rewording_undoes_or_repeats_nothing(name: str) -> None:
    """Words beside the edit stay: the letters of the rest are those of the text."""
    other = REWORDINGS[name](PLAIN)
    if other is not None:
        assert other != PLAIN
        assert {"late", "said", "move", "wait"} <= set("".join(c if c.isalpha() else " " for c in other).split())


@pytest.mark.parametrize("text", ["", "`x = 1`. It does not.", "See $a$. It does not.", "| a | b |\n| c | d |"])
def test_code_maths_and_nothing_are_left_alone(text: str) -> None:
    assert reworded(text) is None
    assert all(edit(text) is None for name, edit in FORMATTINGS.items() if name != "heading" or not text)


def test_the_same_text_is_edited_alike() -> None:
    assert reworded(PLAIN) == reworded(PLAIN) != PLAIN
    padded = PADDINGS["filler"](PLAIN)
    assert padded is not None
    assert any(padded == f"{PLAIN} {filler}" for filler in FILLERS)
    assert PADDINGS["filler"](padded) != padded


def test_of_a_conversation_the_last_message_is_edited() -> None:
    talk = (Message("user", "Go. Do not."), Message("assistant", "I do not."))
    assert edited(talk, REWORDINGS["contracted"]) == (talk[0], Message("assistant", "I don't."))
    assert edited(TokenIds((1, 2)), reworded) is None
    assert edited("", reworded) is None


def test_filler_leaves_blocks_closed() -> None:
    for text in ("```python\nx = 1\n```", "Two things:\n- one\n- two"):
        padded = PADDINGS["filler"](text)
        assert padded is not None
        assert padded.startswith(f"{text}\n\n")
