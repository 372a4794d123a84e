"""The answer that a text states, and what a completion is that does not state it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karat.errors import InputError
from karat.train.labelling.answers import AnswerCheck, final_answer
from karat.train.labelling.types import Completion


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("So 3 + 4 = 7.\n\nThe answer is 7.", "7"),
        (r"Thus $x = \boxed{\frac{1}{2}}$.", r"\frac{1}{2}"),
        ("6 * 7 = 42\n#### 42", "42"),
        ("The answer is 3. No, the final answer is: **12** dollars.", "12 dollars"),
        ("Answer: (B)", "(B)"),
        ("The answer is 5.25.", "5.25"),
        (r"The final answer is $\boxed{18}$. I hope it is correct.", "18"),
        ("She pays $1,250 in all.", "$1,250"),
        ("nothing here", ""),
        (r"\boxed{1{2", "1{2"),
    ],
)
def test_what_is_stated_last_is_the_answer(text: str, answer: str) -> None:
    assert final_answer(text) == answer


def test_only_stated_answers_count_where_numbers_do_not() -> None:
    assert final_answer("so 3 + 4 = 7", any_number=False) == ""
    assert final_answer("so 3 + 4 = 7. Answer: 7", any_number=False) == "7"


@given(st.text(alphabet="answer is: 0123{}\\boxed$#.\n", max_size=300))
def test_any_text_has_an_answer_or_none(text: str) -> None:
    assert isinstance(final_answer(text), str)


def test_a_very_long_text_is_searched_at_its_end() -> None:
    assert final_answer("answer is " * 200_000 + "the answer is 5") == "5"


def test_a_cut_completion_is_missing_wrong_or_read() -> None:
    cut = Completion("The answer is 42 because", 5, is_finished=False)
    outcomes = {how: AnswerCheck(unfinished=how).outcome("p", "", cut, "42 because").value for how in ("wrong", "read")}
    assert outcomes == {"wrong": 0.0, "read": 1.0}
    missing = AnswerCheck().outcome("p", "", cut, "42")
    assert math.isnan(missing.value)
    assert missing.why == "cut before its end"
    silent = Completion("so far we have 42", 5, is_finished=False)
    assert math.isnan(AnswerCheck(unfinished="read").outcome("p", "", silent, "42").value)


def test_a_completion_that_ends_without_an_answer_is_wrong_and_one_that_failed_is_missing() -> None:
    check = AnswerCheck()
    assert check.outcome("p", "no numbers", Completion("I give up"), "42").value == 0.0
    failed = check.outcome("p", "", Completion(None, why="it raised"), "42")
    assert math.isnan(failed.value)
    assert failed.why == "it raised"


def test_a_checker_decides_cannot_tell_or_raises() -> None:
    def checker(prompt: str, response: str, answer: str) -> bool | None:
        if "?" in response:
            raise RuntimeError("no")
        return None if "maybe" in response else answer in response

    check = AnswerCheck(checker)
    assert check.reaches("p", "it is 42", "42") == (1.0, "")
    assert check.reaches("p", "maybe", "42")[1] == "the checker cannot tell"
    assert check.reaches("p", "?", "42")[1] == "the checker raised RuntimeError: no"
    with pytest.raises(InputError, match=r"the checker returned 'yes'; it must return True, False or None"):
        AnswerCheck(lambda *_: "yes").reaches("p", "r", "a")  # type: ignore[arg-type,return-value]
