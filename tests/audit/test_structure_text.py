"""Languages, leftovers of templates and encodings, and cuts: by hand, and on planted sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from karat.audit.data import truncation
from karat.audit.data.languages import find_languages, language_of
from karat.audit.data.oddities import KINDS, find_oddities, kinds_of
from karat.audit.data.table import PairTable, codes_of, names_in, read_table, take_texts
from karat.audit.data.text_findings import cut_findings, language_findings, leftover_findings
from karat.audit.data.truncation import find_truncation

ENGLISH = (
    "The harbour was quiet in the early morning, and the boats moved slowly between the wooden piers while a man "
    "carried baskets of fish to the market on the other side of the square."
)
GERMAN = (
    "Der Hafen war am frühen Morgen ruhig, und die Boote bewegten sich langsam zwischen den hölzernen Stegen, während "
    "ein Mann Körbe voller Fische zum Markt auf der anderen Seite des Platzes trug."
)


def table_of(rows: list[dict[str, Any]]) -> PairTable:
    return read_table((rows,), {}, sample_pairs=0)[0]


def pairs(chosen: list[str], rejected: list[str]) -> PairTable:
    both = enumerate(zip(chosen, rejected, strict=True))
    return table_of([{"prompt": f"question {n}", "chosen": one, "rejected": other} for n, (one, other) in both])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("chat markup", "Hello <|im_start|>user"),
        ("chat markup", "[INST] Hello"),
        ("chat markup", "<start_of_turn>model"),
        ("chat markup", "<</SYS>> be kind"),
        ("end-of-text token", "That is all.</s>\n"),
        ("end-of-text token", "That is all.<|endoftext|>"),
        ("turn label", "Sure.\n\nHuman: and then?"),
        ("turn label", "Assistant: sure"),
        ("turn label", "Yes.\n\n### Response: no"),
        ("mojibake", "the cafÃ© is open"),
        ("mojibake", "itâ€™s open"),
        ("mojibake", "half of it \ufffd is lost"),
        ("control character", "a bell \x07 rings"),
        ("HTML entity", "salt &amp; pepper"),
        ("invisible character", "zero\u200bwidth"),
        ("open code fence", "```python\nprint(1)\n"),
        ("unfinished ending", "word " * 30 + "and then the"),
    ],
)
def test_each_kind_of_leftover(name: str, text: str) -> None:
    found = [
        kind.name for kind, has in zip(KINDS, kinds_of(pa.array([text], pa.large_string()))[0], strict=True) if has
    ]
    assert name in found
    assert len(found) == 1 + (text.endswith("<|endoftext|>"))  # which is chat markup too


def test_ordinary_text_has_no_leftovers() -> None:
    texts = [
        ENGLISH,
        "Use <s>old</s> for deleted text, and `a < b && c > d` in code.\n```py\nx = 1\n```",
        "He said: the human: a study. Ã la carte? No; à la carte. A family 👨\u200d👩\u200d👧 smiled.",
        "Short and without an end",
        "",
        "word " * 40 + "done.",
    ]
    assert not kinds_of(pa.array(texts, pa.large_string())).any()


def test_leftovers_count_pairs_and_name_one_of_each_kind() -> None:
    chosen, rejected = [f"fine {n}." for n in range(50)], [f"good {n}." for n in range(50)]
    chosen[3] += "<|im_end|>"
    rejected[3] += "[/INST]"
    rejected[9] += " &amp;"  # not severe
    (leftovers, sided), listed = leftover_findings(table := pairs(chosen, rejected), find_oddities(table))
    assert (leftovers.verdict, leftovers.effect) == ("problem", pytest.approx(1 / 50))
    assert leftovers.witnesses[0].startswith("chat markup in the chosen response of row 3: ...fine 3.<|im_end|>")
    assert sided.verdict == "unclear"  # one of 50 pairs, on one side: nothing can be told of it
    assert listed.rows[0][:4] == ("chat markup", 1, 0.02, 0.02)


def test_a_leftover_on_one_side_tells_the_sides_apart() -> None:
    chosen = [f"fine {n}.{' &amp;' if n < 20 else ''}" for n in range(200)]
    table = pairs(chosen, [f"good {n}." for n in range(200)])
    _, sided = leftover_findings(table, find_oddities(table))[0]
    assert (sided.verdict, sided.effect) == ("problem", pytest.approx(0.1))
    assert sided.low == pytest.approx(0.1 - 1.972 * np.sqrt(200 / 199 * 0.09 / 200), abs=1e-3)  # t with 199
    assert sided.baseline.startswith("HTML entity: 10.0% of chosen, 0.0% of rejected")
    assert sided.witnesses[0] == "row 0, chosen: fine 0. &amp;"
    even = pairs(chosen, chosen[20:] + chosen[:20])
    assert leftover_findings(even, find_oddities(even))[0][1].verdict == "ok"


def test_one_prompt_with_many_pairs_is_one_vote_on_sides() -> None:
    rows = [{"prompt": "q", "chosen": f"a{n} &amp;", "rejected": f"b{n}."} for n in range(100)]
    rows += [{"prompt": f"q{n}", "chosen": f"a{n}.", "rejected": f"b{n}."} for n in range(20)]
    table = table_of(rows)
    sided = leftover_findings(table, find_oddities(table))[0][1]
    assert (sided.verdict, "p = 1" in sided.baseline) == ("unclear", True)


def test_a_leftover_that_a_test_could_tell_and_does_not_is_ok() -> None:
    # 8 against 6 of 100 prompts: 2 % more of the chosen, which chance does
    chosen = [f"fine {n}.{' &amp;' if n < 8 else ''}" for n in range(100)]
    rejected = [f"good {n}.{' &amp;' if n >= 94 else ''}" for n in range(100)]
    table = pairs(chosen, rejected)
    sided = leftover_findings(table, find_oddities(table))[0][1]
    assert (sided.verdict, sided.effect) == ("ok", pytest.approx(0.02))


def test_languages_of_long_prose_only() -> None:
    assert language_of(ENGLISH) == "en"
    assert language_of(GERMAN) == "de"
    assert language_of("Yes, of course.") == ""
    assert language_of("```\n" + GERMAN + "\n```\n" + ENGLISH) == "en"


def test_pairs_in_two_languages_are_found() -> None:
    chosen = [GERMAN if n < 4 else f"{ENGLISH} Number {n}." for n in range(40)]
    table = pairs([*chosen, "too short"], [f"{ENGLISH} It is {n} again." for n in range(41)])
    found, listed = language_findings(table, find_languages(table, np.random.default_rng(0)))
    assert (found.verdict, found.effect, found.n_used, found.n_missing) == ("problem", pytest.approx(0.1), 40, 1)
    assert found.witnesses[0].startswith("row 0, de over en: Der Hafen")
    assert listed is not None
    assert listed.rows[0][0] == "en"


def test_a_sample_of_languages_may_leave_it_unclear() -> None:
    chosen = [GERMAN if n < 1 else f"{ENGLISH} Number {n}." for n in range(60)]
    table = pairs(chosen, [ENGLISH] * 60)
    sampled = find_languages(table, np.random.default_rng(0), sampled=50)
    assert not sampled.is_census
    assert language_findings(table, sampled)[0].verdict == "unclear"


def words_as_tokens(model: str) -> tuple[truncation.Tokenise, str]:
    return lambda texts: [text.split() for text in texts], model


def test_cut_pairs_and_pairs_that_differ_only_beyond_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(truncation, "tokenizer_of", words_as_tokens)
    same = "w " * 8
    table = pairs(
        [*["short"] * 17, same + "one", "w " * 5 + "x y z", "a b c d e f"],
        [*["brief"] * 17, same + "two", "w " * 9, "a b c d e g"],
    )  # a prompt has two words: 8 are kept
    found = find_truncation(table, max_length=8, model="words", rng=np.random.default_rng(0))
    cut, same_after = cut_findings(table, found, max_length=8)
    assert (cut.verdict, cut.effect) == ("problem", pytest.approx(2 / 20))
    assert (same_after.verdict, same_after.effect) == ("problem", pytest.approx(1 / 20))
    assert same_after.witnesses == ("row 17: question 17",)


def test_pairs_with_no_more_bytes_than_tokens_need_no_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(truncation, "tokenizer_of", None)
    table = pairs(["a" * 90] * 20, ["b" * 80] * 20)
    cut, _ = cut_findings(
        table, find_truncation(table, max_length=100 + 8, model="m", rng=np.random.default_rng(0)), max_length=108
    )
    assert (cut.verdict, cut.effect) == ("ok", 0)
    assert cut.high > 0


def test_a_sample_scales_to_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(truncation, "tokenizer_of", words_as_tokens)
    chosen = ["w " * 30 if n < 100 else "w" * 60 if n < 200 else "w" for n in range(400)]
    table = pairs(chosen, ["x"] * 400)
    found = find_truncation(table, max_length=20, model="words", rng=np.random.default_rng(0), sampled=80)
    assert (found.n_long, found.pair_N.size) == (200, 80)
    cut, _ = cut_findings(table, found, max_length=20)
    assert cut.low < 0.25 < cut.high
    assert cut.effect == pytest.approx(found.is_cut_N.mean() / 2)


def test_without_a_tokenizer_tokens_are_estimated_and_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(truncation, "tokenizer_of", lambda model: (list, ""))
    table = pairs(["w" * 300] * 20, ["x"] * 20)
    found = find_truncation(table, max_length=64, model="words", rng=np.random.default_rng(0))
    cut, same = cut_findings(table, found, max_length=64)
    assert (cut.verdict, cut.effect, same.verdict) == ("problem", 1.0, "ok")
    assert "estimated at 4 characters a token" in cut.baseline


def test_columns_of_the_table_by_chunk() -> None:
    column = pa.chunked_array([pa.array(["a", "b"], pa.large_string()), pa.array(["c"], pa.large_string())])
    assert take_texts(column, np.array([0, 2])).to_pylist() == ["a", "c"]
    assert take_texts(column, np.array([], np.int64)).to_pylist() == []
    coded = pa.chunked_array([pa.array(["x", "y"]).dictionary_encode(), pa.array(["y", "z"]).dictionary_encode()])
    assert [names_in(coded)[code] for code in codes_of(coded)] == ["x", "y", "y", "z"]


def test_tokenised_data_is_counted_in_its_own_tokens() -> None:
    table = table_of([{"chosen_ids": [n, *range(100, 140)], "rejected_ids": [n, 7]} for n in range(20)])
    found = find_truncation(table, max_length=41, model="words", rng=np.random.default_rng(0))
    assert (found.n_long, found.is_cut_N.any(), found.tokenizer) == (20, False, "the data itself")
    assert find_truncation(table, max_length=40, model="words", rng=np.random.default_rng(0)).is_cut_N.all()
