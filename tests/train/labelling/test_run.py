"""Labels from completions: what is found, what it costs, what is missing, and that a killed run resumes."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from karat.data.part_files import PartFiles
from karat.data.steps import read_steps
from karat.errors import DataError, InputError
from karat.train.labelling import LabelConfig, label_steps
from karat.types import NO_ERROR, Finding, Result, StepSolution
from train.labelling.toy import ToyCompleter, toy_solution, toy_solutions


def finding(result: Result, code: str) -> Finding:
    return next(found for found in result.findings if found.code == code)


def labels_of(out: Path) -> list[StepSolution]:
    return list(read_steps(out / "steps.jsonl", after_error="keep").solutions)


def rows_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "labels.jsonl").read_text().splitlines()]


# -------------------------------------------------------------------------------------------------------------- labels
@pytest.mark.parametrize("method", ["mc", "binary"])
def test_a_sure_completer_finds_every_first_error(tmp_path: Path, method: str) -> None:
    made = toy_solutions(24, 6)
    completer = ToyCompleter(value=1.0)
    result = label_steps([solution for solution, _ in made], out=tmp_path, completer=completer, label=method)
    found = labels_of(tmp_path)
    assert [solution.first_error for solution in found] == [first for _, first in made]
    for solution, (_, first) in zip(found, made, strict=True):
        end = 6 if first == NO_ERROR else first + 1
        expected = [1.0] * (end if first == NO_ERROR else first) + ([] if first == NO_ERROR else [0.0])
        assert list(solution.labels[:end]) == expected
        assert solution.final_right == float(first == NO_ERROR)
    assert result.values["rollouts"] == completer.rollouts
    assert result.values["full_rollouts"] == 24 * 5 * 8


def test_soft_labels_are_shares_and_hard_ones_whether_any(tmp_path: Path) -> None:
    solution = toy_solution("p", 4, 2)
    for kind in ("soft", "hard"):
        label_steps([solution], out=tmp_path / kind, completer=ToyCompleter(), label="mc", rollouts=16, label_as=kind)
    (soft,), (hard,) = labels_of(tmp_path / "soft"), labels_of(tmp_path / "hard")
    about = soft.extra["labelling"]
    assert soft.labels[0] == about["hits"][0] / 16
    assert 0 < soft.labels[0] < 1
    assert about["low"][0] < soft.labels[0] < about["high"][0]
    assert list(hard.labels) == [1.0, 1.0, 0.0, 0.0]
    assert about["hits"][3] is None  # the last step: its answer is read, not completed


def test_the_search_takes_few_completions_and_says_how_many(tmp_path: Path) -> None:
    made = [pair for pair in toy_solutions(60, 8) if pair[1] != NO_ERROR]
    solutions = [solution for solution, _ in made]
    found = label_steps(solutions, out=tmp_path, completer=ToyCompleter(value=0.9), label="binary", check_share=0.0)
    assert found.values["rollout_share"] < 0.4
    (table,) = [table for table in found.tables if table.name == "cost"]
    assert table.rows[0][0] == 8
    assert table.rows[0][2] == found.values["rollouts"]
    right = [row["found"]["first_error"] == first for row, (_, first) in zip(rows_of(tmp_path), made, strict=True)]
    assert np.mean(right) > 0.95


def test_a_right_final_answer_takes_no_search(tmp_path: Path) -> None:
    completer = ToyCompleter()
    label_steps([toy_solution("p", 5, NO_ERROR)], out=tmp_path, completer=completer, label="binary")
    assert completer.rollouts == 0
    assert labels_of(tmp_path)[0].labels == (1.0,) * 5


def test_problems_that_no_completion_solves_have_no_labels(tmp_path: Path) -> None:
    solutions = [toy_solution("hard", 4, 3), toy_solution("easy", 4, 2)]
    for method in ("mc", "binary"):
        completer = ToyCompleter(value=1.0, unsolved=("hard",))
        result = label_steps(solutions, out=tmp_path / method, completer=completer, label=method)
        assert [row["found"]["why"] for row in rows_of(tmp_path / method)] == [
            "no completion of the problem itself reaches the answer",
            "",
        ]
        assert (result.values["labelled"], result.values["kept"]) == (1, 1)
        assert finding(result, "RM401").n_missing == 1


def test_repairs_behind_a_wrong_step_are_seen(tmp_path: Path) -> None:
    solutions = [solution for solution, first in toy_solutions(80, 8) if first in (0, 1, 2)]
    result = label_steps(
        solutions, out=tmp_path, completer=ToyCompleter(value=1.0, recovery=0.1), label="binary", check_share=1.0
    )
    assert finding(result, "RM406").verdict == "problem"
    clean = label_steps(
        solutions, out=tmp_path / "clean", completer=ToyCompleter(value=1.0), label="binary", check_share=1.0
    )
    assert finding(clean, "RM406").effect == 0.0


def test_the_sequential_probe_spends_more_where_values_are_low(tmp_path: Path) -> None:
    solutions = [solution for solution, first in toy_solutions(40, 6) if first not in (0, NO_ERROR)]
    firsts = [first for _, first in toy_solutions(40, 6) if first not in (0, NO_ERROR)]
    options = {"label": "binary", "check_share": 0.0, "rollouts": 4}
    found = {}
    for error in (0.0, 0.05):
        out = tmp_path / str(error)
        label_steps(solutions, out=out, completer=ToyCompleter(value=0.3), probe_error=error, **options)
        found[error] = rows_of(out)

    def share_right(rows: Sequence[dict[str, Any]]) -> float:
        named = [(row["found"]["first_error"], first) for row, first in zip(rows, firsts, strict=True)]
        return float(np.mean([made == first for made, first in named if made is not None]))

    assert share_right(found[0.05]) > share_right(found[0.0])
    assert sum(row["found"]["rollouts"] for row in found[0.05]) > sum(row["found"]["rollouts"] for row in found[0.0])


# ------------------------------------------------------------------------------------------------------------- missing
def test_failed_completions_are_missing_not_wrong(tmp_path: Path) -> None:
    sure = ToyCompleter(value=1.0)

    def completer(prompt: str, steps: list[str], n: int, seed: int) -> list[str | None]:
        if len(steps) == 2:
            raise RuntimeError("out of memory")
        return [*sure(prompt, steps, n - 1, seed), None]

    result = label_steps([toy_solution("p", 4, 3)], out=tmp_path, completer=completer, label="mc", rollouts=4)
    (row,) = rows_of(tmp_path)
    assert row["found"]["label_S"] == [1.0, None, 1.0, 0.0]
    assert row["found"]["first_error"] is None  # step 1 could be the wrong one
    missing = finding(result, "RM404")
    assert (missing.n_used, missing.n_missing) == (6, 6)
    assert missing.verdict == "problem"
    assert "the completer raised RuntimeError: out of memory (4)" in missing.witnesses


def test_a_search_without_completions_has_no_result(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of 1 solutions has labels .* no completion of a step counts \(1\)"):
        label_steps([toy_solution("p", 4, 3)], out=tmp_path, completer=lambda *_: [], label="binary")


# --------------------------------------------------------------------------------------------------- given and judged
def test_given_labels_are_compared(tmp_path: Path) -> None:
    made = toy_solutions(40, 5)
    solutions = [
        toy_solution(
            solution.prompt, 5, first, first_error=first,
            labels=tuple(float(first == NO_ERROR or index < first) for index in range(5)),
        )
        for solution, first in made
    ]  # fmt: skip
    # soft labels well below 1, and right all the same
    result = label_steps(solutions, out=tmp_path, completer=ToyCompleter(value=0.6), label="mc", rollouts=16)
    agreement = finding(result, "RM402")
    assert (agreement.effect, agreement.verdict, agreement.gold) == (1.0, "ok", "the labels of the rows")
    assert "the same first wrong step in 100.0%" in agreement.baseline


def test_only_solutions_on_which_the_judge_agrees_are_kept(tmp_path: Path) -> None:
    made = toy_solutions(30, 5)
    truth = {solution.steps: first for solution, first in made}

    def judge(prompt: str, steps: list[str]) -> int | None:
        number = int(prompt[1:])
        if number == 0:
            raise ValueError("busy")
        if number == 1:
            return None
        return truth[tuple(steps)] if number % 2 else 99 if number == 2 else 4

    result = label_steps([s for s, _ in made], out=tmp_path, completer=ToyCompleter(value=1.0), judge=judge)
    agreement = finding(result, "RM403")
    assert agreement.n_failed == 3
    assert agreement.n_used == 27
    assert result.values["kept"] == len(labels_of(tmp_path)) == round(27 * agreement.effect)
    assert all(solution.first_error == truth[solution.steps] for solution in labels_of(tmp_path))
    with pytest.raises(InputError, match="the judge returned True"):
        label_steps([made[0][0]], out=tmp_path / "bad", completer=ToyCompleter(), judge=lambda *_: True)


# ------------------------------------------------------------------------------------------------ resuming, determinism
class Killed(BaseException):
    """What no handler of errors may catch."""


@pytest.mark.parametrize("method", ["mc", "binary"])
def test_a_killed_run_resumes_with_the_same_labels_and_makes_nothing_twice(tmp_path: Path, method: str) -> None:
    made = toy_solutions(12, 5)
    solutions = [solution for solution, _ in made]
    deadly = next(solution.prompt for solution, first in made[6:] if first != NO_ERROR)
    options: dict[str, Any] = {"label": method, "problems_per_part": 3}
    whole = ToyCompleter()
    label_steps(solutions, out=tmp_path / "whole", completer=whole, **options)

    class Dying(ToyCompleter):
        def __call__(self, prompt: Any, steps: Sequence[str], n: int, seed: int) -> list[str]:
            if prompt == deadly:
                raise Killed
            return super().__call__(prompt, steps, n, seed)

    with pytest.raises(Killed):
        label_steps(solutions, out=tmp_path / "killed", completer=Dying(), **options)
    second = ToyCompleter()
    second.__class__.__name__ = "ToyCompleter"
    with pytest.raises(InputError, match="holds an unfinished run that differs in completer"):
        label_steps(solutions, out=tmp_path / "killed", completer=second, **options)

    class Again(ToyCompleter):
        pass

    Again.__name__ = "Dying"
    again = Again()
    label_steps(solutions, out=tmp_path / "killed", completer=again, **options)
    assert not {prompt for prompt, _, _ in again.calls} & {"p0", "p1", "p2", "p3", "p4", "p5"}
    assert rows_of(tmp_path / "killed") == rows_of(tmp_path / "whole")
    idle = Again()
    label_steps(solutions, out=tmp_path / "killed", completer=idle, **options)  # finished: read, not made
    assert not idle.calls


def test_labels_of_a_solution_do_not_depend_on_the_others(tmp_path: Path) -> None:
    solutions = [solution for solution, _ in toy_solutions(10, 6)]
    for method in ("mc", "binary"):
        label_steps(solutions, out=tmp_path / method, completer=ToyCompleter(), label=method)
        label_steps(solutions[4:5], out=tmp_path / f"{method} alone", completer=ToyCompleter(), label=method)
        assert rows_of(tmp_path / f"{method} alone") == rows_of(tmp_path / method)[4:5]


def test_solutions_that_begin_alike_share_completions(tmp_path: Path) -> None:
    one = toy_solution("p", 4, 3)
    other = StepSolution("p", (*one.steps[:3], "no. The answer is 7"), (math.nan,) * 4, prompt_id="id p", answer="42")
    completer = ToyCompleter()
    result = label_steps([one, other], out=tmp_path, completer=completer, label="mc", rollouts=8)
    assert completer.rollouts == result.values["rollouts"] == 3 * 8
    assert [row["found"]["rollouts"] for row in rows_of(tmp_path)] == [24, 0]


# ------------------------------------------------------------------------------------------------- sampling, bad input
def test_solutions_of_problems_are_sampled_and_labelled(tmp_path: Path) -> None:
    rows = tmp_path / "problems.jsonl"
    rows.write_text(
        "".join(json.dumps({"question": f"p{n}", "answer": "6 * 7 = 42\n#### 42"}) + "\n" for n in range(6))
    )
    result = label_steps(rows, out=tmp_path / "out", completer=ToyCompleter(), samples=3, label="mc", rollouts=4)
    assert (result.values["solutions"], result.values["problems"]) == (18, 6)
    found = labels_of(tmp_path / "out")
    assert {solution.steps[0] for solution in found} == {"ok so."}
    assert {solution.final_right for solution in found} == {0.0, 1.0}


def test_answers_come_from_another_file(tmp_path: Path) -> None:
    solutions = [toy_solution("p", 4, 2, answer="")]
    with pytest.raises(DataError, match="no solution has the right answer of its problem"):
        label_steps(solutions, out=tmp_path / "a", completer=ToyCompleter(), label="mc")
    answers = tmp_path / "answers.jsonl"
    answers.write_text(json.dumps({"prompt": "p", "answer": 42}) + "\n")
    label_steps(solutions, out=tmp_path / "b", completer=ToyCompleter(value=1.0), answers=str(answers), label="mc")
    assert labels_of(tmp_path / "b")[0].first_error == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rollouts": 0}, "rollouts = 0 is out of range"),
        ({"recovery": 0.1}, "give probe_error too"),
        ({"label": "mc", "probe_error": 0.1}, "is for label = binary"),
        ({"label": "tree"}, "label = 'tree' is out of range: it must be mc or binary"),
        ({"temperature": 0.0}, "equal completions are one completion"),
        ({"separator": ""}, "separator is empty"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LabelConfig(**options)


def test_too_many_completions_and_things_that_do_not_complete(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="returned 9 completions where 8 were asked for"):
        label_steps([toy_solution("p", 3, 1)], out=tmp_path / "a", completer=lambda *_: ["x"] * 9, label="mc")
    with pytest.raises(InputError, match="the completer is a int"):
        label_steps([toy_solution("p", 3, 1)], out=tmp_path / "b", completer=3, label="mc")  # type: ignore[arg-type]


@pytest.mark.parametrize("returned", ["ab", {"a": 1, "b": 2}, 7])
def test_one_text_in_place_of_several_is_refused_not_taken_apart(tmp_path: Path, returned: object) -> None:
    with pytest.raises(InputError, match=f"returned a {type(returned).__name__}; it must return a list of 2 texts"):
        label_steps([toy_solution("p", 3, 1)], out=tmp_path, completer=lambda *_: returned, label="mc", rollouts=2)


@pytest.mark.parametrize("made", [[], [[]]])
def test_a_completer_that_makes_another_number_is_named(tmp_path: Path, made: list[Any]) -> None:
    completer = ToyCompleter()
    completer.name, completer.complete = "toy", lambda asks: made
    with pytest.raises(InputError, match=r"toy made .*asked for"):
        label_steps([toy_solution("p", 3, 1)], out=tmp_path, completer=completer, label="binary")


def test_a_run_killed_as_its_labels_appear_is_answered_from_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = PartFiles.finish

    def killed(self: PartFiles) -> None:
        finish(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(PartFiles, "finish", killed)
    completer = ToyCompleter()
    with pytest.raises(KeyboardInterrupt):
        label_steps([toy_solution("p", 3, 1)], out=tmp_path, completer=completer, label="mc")
    made = completer.rollouts
    label_steps([toy_solution("p", 3, 1)], out=tmp_path, completer=completer, label="mc")
    assert completer.rollouts == made > 0
