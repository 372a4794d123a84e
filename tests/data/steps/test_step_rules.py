"""What every solution is held to: masks, empty steps, labels that mean nothing; and the same for those from memory."""

from __future__ import annotations

from typing import Any

import pytest

from data.samples import entries
from data.steps.step_samples import PROBLEM, essence, shown, trl
from karat.data.steps import StepReadingConfig, one_id_each, read_steps, split_steps, take_steps
from karat.errors import DataError, InputError
from karat.types import NAN, NO_ERROR, StepSolution

GOOD = trl([True, True])


# ------------------------------------------------------------------------------------------------------- masks, indices
@pytest.mark.parametrize(
    ("labels", "masked", "first_error"),
    [
        ([True, True], (1.0, 1.0), NO_ERROR),
        ([True, False, True], (1.0, 0.0, None), 1),
        ([0.6, 0.4, 0.9], (0.6, 0.4, None), 1),
        ([0.5, 0.6], (0.5, 0.6), NO_ERROR),  # an even chance is not wrong
        ([None, False, True], (None, 0.0, None), None),  # the first may be wrong too
        ([True, None, True], (1.0, None, 1.0), None),
        ([False, False], (0.0, None), 0),
    ],
)
def test_labels_after_the_first_error_are_undefined(labels: Any, masked: Any, first_error: int | None) -> None:
    item = read_steps([trl(labels)]).solutions[0]
    assert (shown(item.labels), item.first_error) == (masked, first_error)
    kept = read_steps([trl(labels)], after_error="keep").solutions[0]
    assert shown(kept.labels) == tuple(None if label is None else float(label) for label in labels)
    assert kept.first_error == first_error


def test_masks_are_counted() -> None:
    data = read_steps([trl([True, False, True]), trl([True, False, None], ["x", "y", "z"]), GOOD])
    assert entries(data.account) == [("changed", "labels after the first wrong step: undefined", 1, (0,))]


def test_a_first_error_that_is_given_stands_beside_soft_labels() -> None:
    row = {"prompt": PROBLEM, "steps": ["a", "b", "c"], "labels": [0.75, 0.25, 0.125], "first_error": 2}
    data = read_steps([row])
    assert essence(data.solutions[0])[2:4] == ((0.75, 0.25, 0.125), 2)
    assert entries(data.account) == [
        ("noted", "the first wrong step is not the first label below 0.5: both kept", 1, (0,))
    ]


# ---------------------------------------------------------------------------------------------------------- what is bad
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (trl([True], ["a", "b"]), "steps and labels differ in number"),
        (trl([]), "there are no steps"),
        (trl([1.5]), "a label is outside [0, 1]"),
        (trl([-1, 1]), "a label is outside [0, 1]"),
        (trl([float("inf")]), "a label is outside [0, 1]"),
        (trl(["good"]), "a label is text that is neither right, wrong nor a number"),
        (trl([[1]]), "a label is a list that is neither right, wrong nor a number"),
        (trl([True, True], ["a", 3]), "column 'completions' has a number in place of a step's text"),
        (trl([True, True], ["a", None]), "column 'completions' has null in place of a step's text"),
        (trl([True], ["\ud83d"]), "text is not Unicode (half of a surrogate pair)"),
        (trl([True, True], ["a", " \n"]), "a step is empty"),
        ({**GOOD, "prompt": " "}, "the problem is empty"),
        ({**GOOD, "labels": None}, "column 'labels' is null"),
    ],
)
def test_rows_that_mean_nothing_are_dropped_and_counted(bad: dict[str, Any], reason: str) -> None:
    data = read_steps([GOOD, bad, trl([True]), bad, trl([0.75, 0.5, 0.5])])
    assert entries(data.account) == [("dropped", reason, 2, (1, 3))]
    assert [item.row for item in data.solutions] == [0, 2, 4]


def test_nothing_usable_is_an_error_with_the_reasons() -> None:
    with pytest.raises(DataError, match=r"none of 2 rows gives a usable solution \(read as trl-stepwise\): a label"):
        read_steps([trl([2.0]), trl([3.0])])


def test_empty_steps_can_be_left_out_unless_they_are_wrong() -> None:
    row = trl([True, True, False, True], ["a", "", "b", " "])
    data = read_steps([row, trl([True, False], ["a", ""])], empty_steps="drop-step")
    assert essence(data.solutions[0])[1:4] == (("a", "b"), (1.0, 0.0), 1)
    assert entries(data.account) == [
        ("dropped", "an empty step is labelled wrong", 1, (1,)),
        ("changed", "empty steps left out, with their labels", 1, (0,)),
    ]


def test_the_index_of_the_first_error_moves_with_the_steps() -> None:
    row = {"problem": PROBLEM, "steps": ["", "a", "b"], "label": 2}
    assert essence(read_steps([row], empty_steps="drop-step").solutions[0])[1:4] == (("a", "b"), (1.0, 0.0), 1)


def test_a_separator_in_a_step_is_noted() -> None:
    row = trl([True], ["a\n\nb"])
    assert entries(read_steps([row]).account) == [
        ("noted", r"a step holds the separator '\n\n': read as one step", 1, (0,))
    ]
    assert not entries(read_steps([row], separator="\n\n\n").account)


def test_repeats_and_problems_of_two_names_are_noted() -> None:
    same = trl([True, True], prompt_id="p")
    data = read_steps([same, same, trl([True, False], prompt_id="p"), trl([True], prompt_id="q")])
    assert entries(data.account) == [
        ("noted", "repeats an earlier solution, with other labels", 1, (2,)),
        ("noted", "repeats an earlier solution, with the same labels", 1, (1,)),
        ("noted", "the problem of an earlier solution under another prompt_id", 1, (3,)),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neutral": "bad"}, "neutral is 'bad'; it is one of undefined, right, wrong, half"),
        ({"after_error": "mask"}, "after_error is 'mask'; it is one of undefined, keep"),
        ({"empty_steps": "keep"}, "empty_steps is 'keep'; it is one of drop-row, drop-step"),
        ({"placeholder": " "}, "placeholder is empty"),
    ],
)
def test_options_that_cannot_be_followed(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_steps([GOOD], **options)
    with pytest.raises(InputError, match=message):
        StepReadingConfig(**options)


def test_the_configuration_passes_every_option_on() -> None:
    config = StepReadingConfig(neutral="half", after_error="keep", empty_steps="drop-step", placeholder="<s>")
    assert config.reading() == {
        "format": "", "split": "", "neutral": "half", "after_error": "keep", "empty_steps": "drop-step",
        "placeholder": "<s>",
    }  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- from memory
def test_solutions_from_memory_are_completed() -> None:
    data = take_steps(
        [
            StepSolution("P", ("a", "b"), (1.0, 0.0)),
            StepSolution("P", ("a", "c"), first_error=NO_ERROR),
            StepSolution("P", ("d", " ")),
            StepSolution("Q", ("e",), prompt_id="q"),
        ]
    )
    assert [essence(item)[1:4] for item in data.solutions] == [
        (("a", "b"), (1.0, 0.0), 1),
        (("a", "c"), (1.0, 1.0), NO_ERROR),
        (("e",), (None,), None),
    ]
    assert [bool(item.prompt_id) for item in data.solutions] == [True] * 3
    assert entries(data.account) == [
        ("dropped", "a step is empty", 1, (2,)),
        ("changed", "no prompt_id: made from the prompt", 2, (0, 1)),
        ("noted", "no step is labelled", 1, (3,)),
    ]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            StepSolution("P", ("a", "b"), (1.0,)),
            r"solution 1: steps and labels differ in number \(2 steps, labels \(1\)",
        ),
        (StepSolution("P", ("a",), (1.25,)), r"solution 1: a label is outside \[0, 1\] \(1 steps, labels \(1.25\)"),
        (
            StepSolution("P", ("a",), (NAN,), first_error=1),
            "solution 1: the index of the first wrong step names no step",
        ),
    ],
)
def test_labels_from_memory_that_mean_nothing_are_an_error(bad: StepSolution, message: str) -> None:
    with pytest.raises(DataError, match=message):
        take_steps([StepSolution("P", ("a",)), bad])


def test_nothing_from_memory_is_an_error() -> None:
    with pytest.raises(DataError, match=r"no solutions in memory that can be used: there are no steps \(1\)"):
        take_steps([StepSolution("P", ())])
    with pytest.raises(DataError, match="there are none"):
        take_steps([])


# ----------------------------------------------------------------------------------------------------- problems, splits
def of_problems(n: int) -> list[StepSolution]:
    return [StepSolution(f"P{i}", (str(k),), prompt_id=f"p{i}") for k in range(2) for i in range(n)]


def test_a_problem_has_one_id_however_its_solutions_are_tied() -> None:
    """By text, by id, and through a third: "p b" and "q" are one problem, since "p  b" has the id of the one."""
    tied = [("p b", "z"), ("q", "y"), ("p  b\n", "y"), ("r", ""), ("r", ""), ("s", "x")]
    joined = one_id_each([StepSolution(prompt, ("a",), prompt_id=key) for prompt, key in tied])
    assert [item.prompt_id for item in joined[:3]] == ["y", "y", "y"]
    assert joined[3].prompt_id == joined[4].prompt_id not in ("", "y")
    assert joined[5].prompt_id == "x"
    assert [item.prompt for item in joined] == [prompt for prompt, _ in tied]
    assert sorted(item.prompt_id for item in one_id_each(joined[::-1])) == sorted(item.prompt_id for item in joined)


def test_split_keeps_a_problem_on_one_side() -> None:
    """2,000 problems at 0.25: 500 expected, standard deviation sqrt(2000 * .25 * .75) = 19.4; five of them are 97."""
    fit, held = split_steps(of_problems(2000), test_fraction=0.25, seed=1)
    assert not {item.prompt_id for item in fit} & {item.prompt_id for item in held}
    assert len(fit) + len(held) == 4000
    assert abs(len(held) / 2 - 500) < 97
    again = split_steps(of_problems(2000)[::-1], test_fraction=0.25, seed=1)[1]
    assert again == held[::-1]
    assert split_steps(of_problems(2000), test_fraction=0.25, seed=2)[1] != held


def test_split_without_ids_goes_by_the_prompt() -> None:
    items = [StepSolution(f"P{i % 20}", (str(i),)) for i in range(40)]
    fit, held = split_steps(items, test_fraction=0.5, seed=0)
    assert fit
    assert held
    assert not {item.prompt for item in fit} & {item.prompt for item in held}


def test_a_text_under_two_ids_stays_on_one_side() -> None:
    items = [StepSolution(f"P{i // 2}", (str(i),), prompt_id=f"p{i}") for i in range(200)]
    fit, held = split_steps(items, test_fraction=0.5, seed=0)
    assert len(fit) + len(held) == 200
    assert fit
    assert held
    assert not {item.prompt for item in fit} & {item.prompt for item in held}


def test_split_stays_the_same_from_version_to_version() -> None:
    """Golden: a changed split would let a model of an older version meet its problems in the new test set.

    Recipe: `split_steps(of_problems(8), test_fraction=0.5, seed=3)` at version 0.1.0.
    """
    held = split_steps(of_problems(8), test_fraction=0.5, seed=3)[1]
    assert [item.prompt_id for item in held[:5]] == ["p1", "p2", "p3", "p4", "p7"]


def test_split_refuses_a_share_out_of_range() -> None:
    with pytest.raises(InputError, match=r"test_fraction is 1\.5; it must lie in \[0, 1\]"):
        split_steps(of_problems(3), test_fraction=1.5, seed=0)
