"""Steps to token trees: each step is read where its separator ends, whatever the tokenizer does with it."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from karat.errors import DataError, InputError, ModelError
from karat.rewards.process import EncodedSteps, StepEncoder, StepPolicy, StepProblem, split_steps_of
from karat.rewards.process.encoding import read_positions
from karat.types import Message, TokenIds
from rewards.tiny import byte_tokenizer

CORPUS = [
    "The sum of 3 and 4 is 7.\n\nThen we double it.\n\nIt is 14.\n\n",
    "Step 1: add the numbers.\nStep 2: check the sum. ки\nThe answer: 14.\n\n\n",
    "  Then the number is doubled, and then it is checked.\n\n1. The sum\n\n2. The double",
]
KINDS = ("bytes", "merges", "trimmed", "pieces")
SEPARATORS = ("\n\n", "\n", " ки\n", "<step>", ". ", "##")
WORDS = st.sampled_from(["The sum", "is 14", "x", "3 + 4 = 7.", "número", "∑ 🙂", "it  is", "Step 2:"])


@cache
def tokenizer_of(kind: str) -> PreTrainedTokenizerFast:
    """Byte-level BPE without merges, with merges, with trimmed offsets; pieces with a leading space, as Llama 2's."""
    if kind == "bytes":
        return byte_tokenizer()
    raw = Tokenizer(models.BPE(unk_token="<unk>" if kind == "pieces" else None))
    if kind == "pieces":
        raw.pre_tokenizer = pre_tokenizers.Metaspace()
        raw.decoder = decoders.Metaspace()
        alphabet = sorted({char for text in CORPUS for char in text} | set("xAñúmer∑🙂<>#+=:."))
    else:
        raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        raw.decoder = decoders.ByteLevel()
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        if kind == "trimmed":
            raw.post_processor = processors.ByteLevel(trim_offsets=True)
    trainer = trainers.BpeTrainer(
        vocab_size=500, initial_alphabet=alphabet, special_tokens=["<s>", "<unk>"], show_progress=False
    )
    raw.train_from_iterator(CORPUS * 20, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", unk_token="<unk>")


def encoder(kind: str = "merges", **policy: object) -> StepEncoder:
    return StepEncoder(tokenizer_of(kind), StepPolicy(**{"max_length": 4096, **policy}))  # type: ignore[arg-type]


def sequence(encoded: EncodedSteps, branch: int = 0) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Whole token ids of a branch, and the positions in them that are read."""
    n_root = len(encoded.tree.root)
    return encoded.tree.root + encoded.tree.branches[branch], tuple(n_root + at for at in encoded.tree.read[branch])


@settings(max_examples=60)
@given(st.sampled_from(KINDS), st.sampled_from(SEPARATORS), st.lists(WORDS, min_size=1, max_size=5), WORDS)
def test_what_is_read_ends_where_the_step_ends(kind: str, separator: str, steps: list[str], prompt: str) -> None:
    """Tokens up to a read decode to the text up to the step's end; or they hold the next step's first character."""
    made = encoder(kind, separator=separator)
    encoded = made.encode(StepProblem(prompt, (tuple(steps),)))
    ids, reads = sequence(encoded)
    assert encoded.kept == (tuple(range(len(steps))),)
    assert reads[-1] == len(ids) - 1
    text, straddling = prompt + "\n", 0
    for index, (step, at) in enumerate(zip(steps, reads, strict=True)):
        text += step + separator
        decoded = made.tokenizer.decode(list(ids[: at + 1]))
        if kind == "trimmed" and separator.endswith(" "):  # its offsets hide whether the next token holds the space
            assert decoded in (text, text[:-1])
            continue
        straddling += decoded != text
        assert decoded.removeprefix(text) in [(*steps, "")[index + 1][:size] for size in range(8)]
    assert straddling == encoded.straddling
    if not separator.endswith(" ") and kind != "pieces":  # whose merges reach over any border but a space
        assert not straddling


@settings(max_examples=60)
@given(st.sampled_from(KINDS), st.sampled_from(SEPARATORS), st.lists(WORDS, min_size=2, max_size=5))
def test_the_last_step_is_read_as_it_is_before_another(kind: str, separator: str, steps: list[str]) -> None:
    """Where steps begin with a letter, the tokens of the first steps are those that they have by themselves."""
    steps = ["A" + step for step in steps]
    made = encoder(kind, separator=separator)
    whole, reads = sequence(made.encode(StepProblem("The sum", (tuple(steps),))))
    part, part_reads = sequence(made.encode(StepProblem("The sum", (tuple(steps[:-1]),))))
    assert part_reads == reads[:-1]
    if not separator.endswith(" "):
        assert part == whole[: reads[-2] + 1]


@settings(max_examples=60)
@given(st.sampled_from(KINDS), st.lists(st.lists(WORDS, min_size=1, max_size=4), min_size=1, max_size=4))
def test_a_tree_holds_the_tokens_of_separate_encodings(kind: str, solutions: list[list[str]]) -> None:
    made = encoder(kind)
    problem = StepProblem("The sum", tuple(map(tuple, solutions)))
    together = made.encode(problem)
    for branch, steps in enumerate(problem.solutions):
        assert sequence(together, branch) == sequence(made.encode(StepProblem("The sum", (steps,))))
    assert together.n_reads == together.tree.n_reads(range(len(solutions))) == sum(map(len, solutions))
    assert together.branch_of == tuple(range(len(solutions)))


def test_hand_positions() -> None:
    """ab|\\n\\n|c with the border before c; a character in two tokens; trimmed white space; a token over the border."""
    assert read_positions([(0, 2), (2, 4), (4, 5)], [4]) == ((1,), (False,))
    assert read_positions([(0, 0), (0, 1), (1, 2), (1, 2), (2, 3)], [2, 3]) == ((3, 4), (False, False))
    # the first of a character's two tokens holds the white space before it as well
    assert read_positions([(0, 1), (1, 3), (2, 3), (3, 4)], [3, 4]) == ((2, 3), (False, False))
    assert read_positions([(0, 2), (3, 3), (4, 4), (4, 5)], [4]) == ((2,), (False,))
    assert read_positions([(0, 2), (2, 5)], [4]) == ((1,), (True,))
    assert read_positions([(0, 2), (4, 5), (0, 0)], [4, 5]) == ((0, 1), (False, False))  # what lay between is not there


def test_the_joiner_stands_only_where_there_is_no_white_space() -> None:
    made = encoder("bytes", separator="|")
    for prompt, step, text in [
        ("Q:", "a", "Q:\na|"),
        ("Q: ", "a", "Q: a|"),
        ("Q:", " a", "Q: a|"),
        ("", "a", "a|"),
    ]:
        assert made.tokenizer.decode(sequence(made.encode(StepProblem(prompt, ((step,),))))[0]) == text


def test_a_tag_is_read_before_the_border_ends() -> None:
    """Math-Shepherd reads the tag, not the line break behind it."""
    made = encoder("bytes", separator=" ки", between="\n", joiner=" ")
    ids, reads = sequence(made.encode(StepProblem("Q", (("a", "b"),))))
    assert made.tokenizer.decode(ids) == "Q a ки\nb ки"
    assert [made.tokenizer.decode(ids[: at + 1]) for at in reads] == ["Q a ки", "Q a ки\nb ки"]


def test_chat_stops_before_the_end_of_the_turn() -> None:
    made = encoder("bytes", chat=True, separator="\n")
    chat = (Message("system", "be brief"), Message("user", "2+2?"))
    ids, reads = sequence(made.encode(StepProblem(chat, (("4", "so 4"),))))
    head = "<|start|>system\nbe brief<|end|><|start|>user\n2+2?<|end|><|start|>assistant\n"
    assert made.tokenizer.decode(ids) == head + "4\nso 4\n"
    assert made.tokenizer.decode(ids[: reads[0] + 1]) == head + "4\n"
    plain = made.encode(StepProblem("2+2?", (("4",),)))
    assert made.tokenizer.decode(sequence(plain)[0]) == "<|start|>user\n2+2?<|end|><|start|>assistant\n4\n"
    flat = encoder("bytes", separator="\n").encode(StepProblem(chat, (("4",),)))
    assert made.tokenizer.decode(sequence(flat)[0]) == "be brief\n\n2+2?\n4\n"


def test_templates_that_cannot_serve_are_refused() -> None:
    def with_template(template: str) -> StepEncoder:
        return StepEncoder(byte_tokenizer(chat_template=template), StepPolicy(chat=True))

    problem = StepProblem("hi", (("a",),))
    with pytest.raises(ModelError, match="no chat template"):
        with_template("").encode_each([problem])
    with pytest.raises(ModelError, match="does not write the assistant's words as they are"):
        with_template("{% for m in messages %}{{ m['content'] | lower }}{% endfor %}").encode_each([problem])
    refusing = with_template("{% for m in messages %}{{ raise_exception('no ' + m['role']) }}{% endfor %}")
    assert "no user" in str(refusing.encode_each([problem])[0])


def test_oldest_steps_go_first_and_are_counted() -> None:
    """Bytes: prompt 'pp' and joiner 3, steps 'aaaa|' 5, 'bbb|' 4, 'cc|' 3; and no more goes than has to."""
    problem = StepProblem("pp", (("aaaa", "bbb", "cc"), ("d",)))
    for limit, kept in [(15, (0, 1, 2)), (14, (1, 2)), (10, (1, 2)), (9, (2,)), (6, (2,))]:
        encoded = encoder("bytes", separator="|", max_length=limit).encode(problem)
        assert encoded.kept == (kept, (0,))
        assert (encoded.steps_cut, encoded.solutions_cut) == (3 - len(kept), int(len(kept) < 3))
        text = encoder("bytes").tokenizer.decode(sequence(encoded)[0])
        assert text == "pp\n" + "".join(("aaaa|", "bbb|", "cc|")[index] for index in kept)
    encoded = encoder("bytes", separator="|", max_length=5).encode(problem)
    assert encoded.kept == ((), (0,))
    assert encoded.branch_of == (1,)
    assert "prompt and the last step alone have more than max_length = 5" in encoded.refused[0]
    refusing = encoder("bytes", separator="|", max_length=14, too_long="refuse")
    assert "15 tokens, more than max_length = 14" in refusing.encode(problem).refused[0]
    with pytest.raises(DataError, match="15 tokens"):
        refusing.encode(StepProblem("pp", (("aaaa", "bbb", "cc"),)))


def test_a_problem_that_cannot_be_encoded_does_not_take_others_with_it() -> None:
    made = encoder()
    good = StepProblem("p", (("a",),))
    found = made.encode_each([good, StepProblem(TokenIds((3,)), (("a",),)), StepProblem("p", ()), good])
    assert found[0] == found[3]
    assert "tokenised" in str(found[1])
    assert "no solutions" in str(found[2])
    small = StepEncoder(tokenizer_of("merges"), StepPolicy(), vocabulary=10)
    assert "vocabulary of 10" in str(small.encode_each([good])[0])


def test_the_letter_behind_the_last_step_never_gets_into_a_token() -> None:
    """A vocabulary with "|A" as one token: the last step is then tokenised without that letter."""
    raw = Tokenizer(models.BPE({"a": 0, "|": 1, "A": 2, "p": 3, "\n": 4, "|A": 5}, merges=[("|", "A")]))
    made = StepEncoder(PreTrainedTokenizerFast(tokenizer_object=raw), StepPolicy(separator="|"))
    encoded = made.encode(StepProblem("p", (("a", "Aa"),)))
    assert sequence(encoded) == ((3, 4, 0, 5, 0, 1), (3, 5))  # p \n a |A a |
    assert encoded.straddling == 1


def test_odd_steps_are_counted() -> None:
    encoded = encoder("bytes", separator="|").encode(StepProblem("p", (("", "a|b", " "), ("c",))))
    assert (encoded.empty_steps, encoded.inner_separators) == (2, 1)
    assert sequence(encoded)[1] == (2, 6, 8)  # p \n | a | b | space |


def test_tokenizers_that_cannot_serve_are_refused() -> None:
    words = Tokenizer(models.WordLevel({"<unk>": 0, "x": 1, "A": 2, "a": 3, "ки": 4}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit()])
    fast = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>")
    with pytest.raises(ModelError, match=r"no token for the separator ' @ ': it writes it as its unknown token"):
        StepEncoder(fast, StepPolicy(separator=" @ "))
    words.normalizer = normalizers.Replace("\n", "")
    with pytest.raises(ModelError, match="it drops it"):
        StepEncoder(PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>"), StepPolicy())
    assert StepEncoder(fast, StepPolicy(separator=" ки ")).separator_tokens == 1

    class Slow:
        is_fast, name_or_path = False, "old"

    with pytest.raises(ModelError, match=r"'old' is a slow one.*Save it as a fast tokenizer"):
        StepEncoder(Slow(), StepPolicy())  # type: ignore[arg-type]


def test_a_separator_of_its_own_token_is_one_token() -> None:
    tokenizer = byte_tokenizer()
    assert StepEncoder(tokenizer, StepPolicy(separator="<step>")).separator_tokens == 6
    tokenizer.add_tokens([AddedToken("<step>", special=True)])
    made = StepEncoder(tokenizer, StepPolicy(separator="<step>"))
    assert made.separator_tokens == 1
    ids, reads = sequence(made.encode(StepProblem("p", (("a", "b"),))))
    assert [ids[at] for at in reads] == [tokenizer.convert_tokens_to_ids("<step>")] * 2


def test_policies_that_cannot_be_are_refused() -> None:
    for options, message in [
        ({"separator": ""}, "separator is empty"),
        ({"max_length": 0}, "max_length = 0"),
        ({"too_long": "cut"}, "too_long = 'cut' is not one of"),
    ]:
        with pytest.raises(InputError, match=message):
            StepPolicy(**options)  # type: ignore[arg-type]


def test_steps_of_a_response() -> None:
    assert split_steps_of("a\n\n\n\n b \n\nc\n\n", "\n\n") == ("a", "b", "c")
    assert split_steps_of(" \n\n \n", "\n\n") == ("",)
    assert split_steps_of("", "|") == ("",)
    with pytest.raises(InputError, match="separator of steps is empty"):
        split_steps_of("a", "")
