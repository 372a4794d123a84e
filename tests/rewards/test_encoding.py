"""Text to tokens: one policy for training and scoring, an exact shared prefix, and counted truncation."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karat.errors import DataError, ModelError
from karat.rewards.encoding import Encoder, EncodingPolicy
from karat.rewards.groups import Group
from karat.types import Message, TokenIds
from rewards.tiny import byte_tokenizer

TOKENIZER = byte_tokenizer()
EOS = TOKENIZER.eos_token_id


def encoder(max_length: int = 512, *, append_eos: bool = True) -> Encoder:
    return Encoder(TOKENIZER, EncodingPolicy(max_length=max_length, append_eos=append_eos))


def chat(*turns: str) -> tuple[Message, ...]:
    return tuple(Message("user" if i % 2 == 0 else "assistant", turn) for i, turn in enumerate(turns))


def sequences(group: Group, **options: int) -> list[list[int]]:
    tree = encoder(**options).encode(group).tree
    return [list(tree.root + branch) for branch in tree.branches]


@settings(max_examples=50)
@given(st.text(max_size=20), st.lists(st.text(max_size=20), min_size=1, max_size=4))
def test_plain_text_is_the_tokenizers_own_ids_and_one_eos(prompt: str, responses: list[str]) -> None:
    expected = [[*TOKENIZER(prompt + response)["input_ids"], EOS] for response in responses]
    assert sequences(Group(prompt, tuple(responses))) == expected


def test_eos_in_the_text_is_not_doubled() -> None:
    assert sequences(Group("a", ("b</s>",)))[0].count(EOS) == 1


def test_without_eos_where_the_policy_says_so() -> None:
    tree = encoder(append_eos=False).encode(Group("a", ("b", "c"))).tree
    assert EOS not in tree.root + tree.branches[0]


def test_conversation_is_the_chat_template_and_nothing_else() -> None:
    prompt, response = chat("hi"), (Message("assistant", "yo"),)
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]
    text = TOKENIZER.apply_chat_template(messages, tokenize=False)
    assert sequences(Group(prompt, (response,)))[0] == TOKENIZER(text, add_special_tokens=False)["input_ids"]


def test_token_ids_pass_as_they_came() -> None:
    assert sequences(Group(TokenIds(()), (TokenIds((5, 6, 7)), TokenIds((5, 8))))) == [[5, 6, 7], [5, 8]]


def test_conversation_without_template_names_the_remedy() -> None:
    bare = Encoder(byte_tokenizer(chat_template=""), EncodingPolicy())
    with pytest.raises(ModelError, match=r"no chat template.*chat_template\.jinja"):
        bare.encode(Group(chat("hi"), ((Message("assistant", "yo"),),)))
    assert bare.encode(Group("hi", ("yo",))).tree.n_tokens == 5  # plain text needs none


def test_mixed_kinds_are_refused() -> None:
    with pytest.raises(DataError, match="prompt is a conversation but a response is plain text"):
        encoder().encode(Group(chat("hi"), ("yo",)))


def test_a_prompt_of_text_before_token_ids_is_refused_not_dropped() -> None:
    with pytest.raises(DataError, match="prompt is plain text but a response is token ids"):
        encoder().encode(Group("a prompt", (TokenIds((5, 6)),)))
    assert sequences(Group("", (TokenIds((5, 6)),))) == [[5, 6]]


def test_template_that_refuses_roles_names_them() -> None:
    strict = byte_tokenizer(chat_template="{{ raise_exception('roles must alternate') }}")
    with pytest.raises(DataError, match="roles user, assistant: roles must alternate"):
        Encoder(strict, EncodingPolicy()).encode(Group(chat("hi"), ((Message("assistant", "yo"),),)))


# ----------------------------------------------------------------------------------------------------------- truncation
def test_oldest_turns_go_first_and_the_system_message_stays() -> None:
    prompt = (Message("system", "S"), *chat("first" * 10, "second" * 10, "third"))
    group = Group(prompt, ((Message("assistant", "yes"),), (Message("assistant", "no"),)))
    whole = encoder().encode(group)
    short = encoder(max_length=70).encode(group)
    assert not whole.is_truncated
    assert short.turns_dropped == 2
    assert short.prompt_tokens_cut == short.response_tokens_cut == 0
    text = TOKENIZER.decode(short.tree.root)
    assert "S" in text
    assert "third" in text
    assert "first" not in text


def test_long_prompt_loses_its_oldest_tokens() -> None:
    encoded = encoder(max_length=10).encode(Group("abcdefghijklmnop", ("xy", "z")))
    assert encoded.prompt_tokens_cut == 16 + 3 - 10
    assert TOKENIZER.decode(encoded.tree.root) == "jklmnop"
    assert encoded.tree.longest == 10


def test_long_response_keeps_its_start_and_its_last_token() -> None:
    encoded = encoder(max_length=8).encode(Group("p", ("abcdefghijkl", "z")))
    branch = encoded.tree.branches[0]
    assert encoded.tree.longest == 8
    assert branch[-1] == EOS
    assert TOKENIZER.decode(branch[:-1]) == "abcdef"
    assert encoded.response_tokens_cut == 6


@settings(max_examples=60)
@given(st.integers(8, 40), st.text(max_size=60), st.lists(st.text(max_size=60), min_size=1, max_size=3))
def test_no_sequence_exceeds_the_limit_and_the_last_token_stays(limit: int, prompt: str, responses: list[str]) -> None:
    encoded = encoder(max_length=limit).encode(Group(prompt, tuple(responses)))
    assert encoded.tree.longest <= limit
    assert all(branch[-1] == EOS for branch in encoded.tree.branches)
    whole = sequences(Group(prompt, tuple(responses)), max_length=10_000)
    fitted = sequences(Group(prompt, tuple(responses)), max_length=limit)
    lost = sum(map(len, whole)) - sum(map(len, fitted))
    assert lost == len(responses) * encoded.prompt_tokens_cut + encoded.response_tokens_cut


@pytest.mark.parametrize("prompt", ["p", "a longer prompt of thirty tokens"])
def test_a_long_response_is_cut_alike_alone_and_in_company(prompt: str) -> None:
    """Alone, a tree's root is all but the last token: the cut must still fall on the prompt first, then on the end."""
    long = "abcdefghijklmnopqrstuvwxyz" * 2
    alone = sequences(Group(prompt, (long,)), max_length=20)
    assert alone[0] == sequences(Group(prompt, (long, "z")), max_length=20)[0]
    assert TOKENIZER.decode(alone[0]).startswith(prompt[-1] + "abcdef")


def test_turns_are_dropped_to_the_next_question() -> None:
    strict = TOKENIZER.chat_template.replace(
        "{% for",
        "{% if messages[0]['role'] != 'user' %}{{ raise_exception('must begin with user') }}{% endif %}{% for",
        1,
    )
    encoded = Encoder(byte_tokenizer(chat_template=strict), EncodingPolicy(max_length=70)).encode(
        Group(chat("first question " * 3, "first answer", "second question"), ((Message("assistant", "yes"),),))
    )
    assert encoded.turns_dropped == 2
    assert "second question" in TOKENIZER.decode(encoded.tree.root)


def test_hash_follows_what_decides_the_tokens() -> None:
    other_template = Encoder(byte_tokenizer(chat_template="{{ messages }}"), EncodingPolicy(max_length=512))
    assert encoder().hash() == encoder().hash()
    assert len({encoder().hash(), encoder(append_eos=False).hash(), encoder(64).hash(), other_template.hash()}) == 4
