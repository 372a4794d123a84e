"""Probes: every edit is proven, none is dead; code does the same after its edits; built-in facts are facts; frames."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace

import numpy as np
import pytest

from karat.audit.reward.probes import Dialect, Family, Item, Probe, families
from karat.audit.reward.probes.base import asks_for_form, same_words, set_text
from karat.audit.reward.probes.code import block
from karat.audit.reward.probes.facts import codes, differences, negations, nested, references, sums, units, verdicts
from karat.audit.reward.probes.facts import world_facts as world
from karat.audit.reward.probes.rewriting import rewrite_twice
from karat.errors import InputError
from karat.rewards.groups import last_text
from karat.selftest.audit_probes import is_right
from karat.types import Message, PreferencePair, TokenIds

CODE = """Here it is:

```python
import math

def area(radius, scale=2):
    factor = math.pi * scale

    total = factor * radius**2
    return [total + step for step in range(3)]

print(area(2), area(radius=1, scale=3))
```
"""
ANSWERS = (
    "The water boils because its molecules move faster, and I don't think that's strange. It is a phase change. For "
    "example, steam leaves the pan. The lid keeps it in.",
    "He said \u201cit\u2019s fine\u201d and left the building.\n\nNobody followed him down the street.",
    "## Steps\n\n- **First** heat the water.\n- Then add the salt.",
    "We add: 12 + 30 = 42 apples in all, and we do not lose any. The answer is 42.",
    "We get $x^2 = 16$ and so \\boxed{4}",
    "There were 1,250,000 people in the city and 48000 of them worked there.",
    'He said it is "fine" and left.',
    "Each of the boys has some and gives his own away. The answer is Tom.",
    "We add them: 20 x 2400 = 48000 in all.",
    CODE,
    CODE.replace("\n    total", "\n    # the sum\n    total"),
)
QUESTION = "Why does this happen?"


def items() -> list[Item]:
    return [
        Item(
            prompt=f"{QUESTION}\n", response=text, question=QUESTION, text=text, cluster=str(index), is_chosen=True,
            against="No idea.", other="The museum opens at nine.",
        )
        for index, text in enumerate(ANSWERS)
    ]  # fmt: skip


def cases(probe: Probe) -> list[tuple[Item, str]]:
    rng = np.random.default_rng(0)
    own = probe.items(Dialect(), rng) if probe.items else items()
    edited = [(item, probe.after(item, rng)) for item in own]
    return [(item, text) for item, text in edited if text is not None]


EVERY = [(family, probe) for family in families() for probe in family.probes]


@pytest.mark.parametrize(("family", "probe"), EVERY, ids=[probe.name for _, probe in EVERY])
def test_every_probe_applies_somewhere_and_proves_its_edit(family: Family, probe: Probe) -> None:
    found = cases(probe)
    assert found, "no sample answer is edited by this probe: it is dead, or its sample is missing here"
    for item, text in found:
        before = item.question if probe.edits == "prompt" else item.text
        assert text != before
        assert probe.proof(item, text)
        if probe.expected == "-":
            assert not probe.proof(item, before), "nothing was broken, and the proof passes"
        if probe.expected == "0" and family.name != "code":
            assert not probe.proof(item, text + " and seven more words."), "content was added, and the proof passes"
    assert probe.why
    assert family.action


def test_there_are_many_probes_and_their_names_are_told_apart() -> None:
    assert len(EVERY) >= 100
    assert len({probe.name for _, probe in EVERY}) == len(EVERY)
    assert {probe.expected for _, probe in EVERY} == {"0", "<=0", ">=0", "-"}


def test_an_edit_that_cannot_be_proven_is_not_used() -> None:
    probe = Probe(name="x", expected="0", why="x", edit=lambda item, rng: item.text + " more", proof=same_words)
    assert probe.after(items()[0], np.random.default_rng(0)) is None


def test_only_the_better_answer_is_cut() -> None:
    removal = next(family for family in families() if family.name == "removal")
    worse = replace(items()[0], is_chosen=False)
    assert all(probe.after(worse, np.random.default_rng(0)) is None for probe in removal.probes)


@pytest.mark.parametrize(
    ("question", "asks"),
    [("Write only JSON with the keys a and b.", True), ("Answer in exactly 20 words.", True),
     ("Give a sentence that ends with silver.", True), ("What is the capital of France?", False),
     ("How do I start a business?", False), ("What is the last book of the Bible?", False)],
)  # fmt: skip
def test_questions_that_ask_for_a_form_are_left_alone(question: str, asks: bool) -> None:
    assert asks_for_form(question) is asks
    item = replace(items()[0], question=question)
    bold = next(probe for _, probe in EVERY if probe.name == "bold first sentence")
    assert (bold.after(item, np.random.default_rng(0)) is None) is asks


def after(name: str, text: str, *, question: str = QUESTION) -> str | None:
    probe = next(probe for _, probe in EVERY if probe.name == name)
    item = replace(items()[0], text=text, response=text, question=question, prompt=f"{question}\n")
    return probe.after(item, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("thousands together", "for i in range(2,101):\n    pass"),
        ("thousands together", "the points (1,200) and {3,400} = 5"),
        ("thousands apart", "MOD = 1000000007\nprint(MOD)"),
        ("thousands apart", "That is 114 E 46th St, New York, NY 10017."),
        ("thousands apart", "in base 2 it is 5 = 101101"),
        ("other delimiters", "She will spend $15*13=$<<15*13=195>>195 and x^2."),
        ("other delimiters", "Interest is $3,650 x 0.1 = $365, and x^2."),
        ("other delimiters", "It costs $5 for a and x^2, then 6$."),
        ("markup removed", "12\n+ 34\nis the sum"),
        ("markup removed", "It is 2 ** 3 and 3 ** 2 here"),
        ("markup removed", "+ Hey, how are you?\n- Fine.\n+ Good."),
        ("markup removed", "It has 78 in all.\n#### 78"),
        ("rule at the end", "def f(x):\n    return x"),
        ("heading", "    if x:\n        return 1"),
        ("quoted", "print(2 * 3)"),
        ("typographic quotes", 'x = "a"'),
        ("stated answer dropped", "So 2 + 3 = 5 in all. The answer is 5."),
        ("own sum made wrong", "She places 20 + 72 = 92 books. The answer is 92."),
        ("own sum made wrong", "It rang 3 * 4 = <<3*4=12>>twelve times"),
        ("expanded", "They\u2019re here."),
    ],
)
def test_what_an_edit_would_break_is_left_alone(name: str, text: str) -> None:
    assert after(name, text) is None


def test_delimiters_of_formulas_change_together() -> None:
    assert after("other delimiters", "With $x^2 = 16$ and $y$ we get 4.") == "With \\(x^2 = 16\\) and \\(y\\) we get 4."
    assert after("box removed", "So $x=\\boxed{5}$.") == "So $x=5$."
    assert after("box removed", "So $\\boxed{5}$.") == "So 5."
    assert after("expanded", "They\u2019re sure I don\u2019t.") == "They\u2019re sure I do not."
    assert after("paragraphs further apart", "a\nb\n\n\n\nc") == "a\n\n\nb\n\n\n\n\nc"


def test_a_bare_yes_is_no_fault_where_yes_or_no_is_asked_for() -> None:
    text = "That is correct, and it always was."
    assert after("key: Yes", text, question="Is Paris the capital of France?") is None
    assert after("key: Yes", text) == "Yes"


def test_a_form_that_the_system_asks_for_counts_and_what_stands_above_a_later_turn_is_needed() -> None:
    named = {probe.name: probe for _, probe in EVERY}
    first = (Message("system", "Answer in JSON."), Message("user", QUESTION))
    item = replace(items()[0], prompt=first)
    assert named["heading"].after(item, np.random.default_rng(0)) is None
    assert named["ignore above"].after(item, np.random.default_rng(0)) is not None
    later = (Message("user", "Hello."), Message("assistant", "Hi."), Message("user", QUESTION))
    assert named["heading"].after(replace(item, prompt=later), np.random.default_rng(0)) is not None
    assert named["ignore above"].after(replace(item, prompt=later), np.random.default_rng(0)) is None


# ---------------------------------------------------------------------------------------------------------------- code
def printed(text: str) -> str:
    span = block(text)
    assert span is not None
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(text[span[0] : span[1]], {})  # the sample of this file
    return out.getvalue()


@pytest.mark.parametrize("name", [probe.name for family, probe in EVERY if family.name == "code"])
def test_edited_code_prints_the_same(name: str) -> None:
    probe = next(probe for _, probe in EVERY if probe.name == name)
    for item, text in cases(probe):
        assert printed(text) == printed(item.text) != ""


def test_renaming_leaves_arguments_keywords_and_foreign_names_alone() -> None:
    probe = next(probe for _, probe in EVERY if probe.name == "variables renamed")
    _, text = cases(probe)[0]
    assert "def area(radius, scale=2):" in text
    assert "area(radius=1, scale=3)" in text
    assert "factor" not in text
    assert "math.pi" in text


@pytest.mark.parametrize(
    "code",
    ["def f(a):\n    x = a\n    return locals()['x']\n", "def f():\n    global x\n    x = 1\n",
     "def f():\n    x = 1\n    return x\n\ndef g():\n    return x\n", "def f():\n    x = 1\n    return f'{x}'\n"],
)  # fmt: skip
def test_code_whose_names_may_be_seen_from_outside_is_not_renamed(code: str) -> None:
    probe = next(probe for _, probe in EVERY if probe.name == "variables renamed")
    item = replace(items()[0], text=code, response=code)
    assert probe.after(item, np.random.default_rng(0)) is None


def test_prose_is_no_code() -> None:
    assert block("The answer is four.") is None
    assert block("x") is None
    assert block("```python\nthis is not code\n```") is None


# --------------------------------------------------------------------------------------------------------------- facts
@pytest.mark.parametrize("facts", [world, sums, differences, units, codes, negations, verdicts, references, nested])
def test_built_in_answers_are_right_and_wrong_by_another_reading(facts: object) -> None:
    for seed in range(3):
        for fact in facts(np.random.default_rng(seed)):  # type: ignore[operator]
            assert is_right(fact.question, fact.sentence), fact
            assert not is_right(fact.question, fact.wrong_sentence), fact


def test_code_facts_are_off_by_one_when_run() -> None:
    for fact in codes(np.random.default_rng(0)):
        n = int(fact.question.split()[-1].rstrip("."))
        assert eval(fact.sentence) == n * (n + 1) // 2
        assert eval(fact.wrong_sentence) == n * (n - 1) // 2


def test_a_sum_in_an_answer_is_made_wrong_only_where_it_was_right() -> None:
    probe = next(probe for _, probe in EVERY if probe.name == "own sum made wrong")
    right = replace(items()[0], text="So 12 + 30 = 42 in all.")
    text = probe.after(right, np.random.default_rng(0))
    assert text is not None
    assert text.startswith("So 12 + 30 = 4")
    assert text != right.text
    for other in ("So 12 + 30 = 43 in all.", "x = 2 - 3 = 1", "1.5 + 2 = 3", "2 + 3 = 5 x 7"):
        assert probe.after(replace(right, text=other), np.random.default_rng(0)) is None


# -------------------------------------------------------------------------------------------------------------- frames
def pair(prompt: str, number: int = 0) -> PreferencePair:
    return PreferencePair(prompt, f" good {number}", f" bad {number}", prompt_id=prompt)


def test_the_frame_of_plain_prompts_is_found_and_words_that_all_questions_share_are_none_of_it() -> None:
    pairs = [pair(f"\n\nHuman: What is {k}?\n\nAssistant:", k) for k in range(4)]
    dialect = Dialect.of(pairs)
    assert (dialect.head, dialect.tail, dialect.lead) == ("\n\nHuman: ", "\n\nAssistant:", " ")
    assert dialect.question(pairs[1].prompt) == "What is 1?"
    assert dialect.with_question(pairs[1].prompt, "Hm?") == "\n\nHuman: Hm?\n\nAssistant:"
    assert dialect.prompt("Who?") == "\n\nHuman: Who?\n\nAssistant:"
    bare = Dialect.of([pair(f"What is {k} about?\n", k) for k in range(4)])
    assert bare.question("What is 2 about?\n").strip() == "What is 2 about?"


def test_only_the_last_turn_is_the_question() -> None:
    dialect = Dialect(head="\n\nHuman: ", tail="\n\nAssistant:")
    prompt = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: And now?\n\nAssistant:"
    assert dialect.question(prompt) == "And now?"
    assert str(dialect.with_question(prompt, "X")).endswith("Hello\n\nHuman: X\n\nAssistant:")
    chat = (Message("system", "s"), Message("user", "q"), Message("assistant", "a"), Message("user", "r"))
    assert Dialect(is_chat=True).question(chat) == "r"
    assert Dialect(is_chat=True).with_question(chat, "t") == (*chat[:3], Message("user", "t"))


def test_tokenised_data_is_refused() -> None:
    with pytest.raises(InputError, match="probes edit text, and the data is tokenised"):
        Dialect.of([PreferencePair((), TokenIds((1,)), TokenIds((2,)))])


def test_an_edit_changes_the_last_message_alone() -> None:
    chat = (Message("assistant", "one"), Message("assistant", "two"))
    assert set_text(chat, "three") == (Message("assistant", "one"), Message("assistant", "three"))
    assert last_text(set_text(" one", " two")) == " two"


# ---------------------------------------------------------------------------------------------------------------- RATE
def test_rewriting_twice_compares_rewrites_with_each_other() -> None:
    long, short = replace(items()[0], text="a b c d e f"), replace(items()[0], text="a")
    calls: list[tuple[str, bool]] = []

    def rewriter(text: str, attribute: str, on: bool) -> str:
        calls.append((text, on))
        return f"{text}{'+' if on else '-'}"

    found, failed = rewrite_twice([long, short], rewriter, "length")
    assert [(each.off, each.on) for each in found] == [("a b c d e f-", "a b c d e f-+"), ("a+-", "a+")]
    assert calls == [("a b c d e f", False), ("a b c d e f-", True), ("a", True), ("a+", False)]
    assert failed == 0


def test_a_rewriter_that_fails_is_counted() -> None:
    def rewriter(text: str, attribute: str, on: bool) -> str | None:
        if text == "a":
            raise ValueError("no")
        return None

    assert rewrite_twice([replace(items()[0], text=text) for text in ("a", "b c", "")], rewriter, "length") == ([], 2)
