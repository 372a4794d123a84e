"""Promises about cheats: what is drawn, and that a grader which breaks one is seen to break it."""

from __future__ import annotations

from typing import Any

import pytest

from karat.grade.types import Attempt, Graded
from karat.selftest.grade_cheats import PROMISED, SLOW_KINDS, TITLES, WAITING, Drawn, groups_of, rows_of
from karat.worlds.cheats import TASKS, KnownProgram

N = 40
WHOLE = groups_of(full=True, weak=False)


def drawn(program: KnownProgram, **graded: Any) -> Drawn:
    found = graded.pop("found", ())
    attempts = tuple(
        Attempt(technique="x", family=family, line=1, confidence=confidence, layer="source", evidence="", benign="")
        for family, confidence in found
    )
    fields = {"verdict": "fail", "passed": False, "reason": "", "tests": (), "tamper": attempts, **graded}
    return Drawn(program, Graded(task_id=program.task, candidate_id=program.name, **fields))


def rows(**changed: Any) -> dict[str, bool]:
    """Code of each row to whether it is kept, by a grader that is right but for what is changed."""
    cheat, special, good = (WHOLE[group][0][0] for group in ("cheat", "special", "honest"))
    cheats = {"found": [(cheat.family, "strong")], **changed.get("cheats", {})}
    specials = {"special_cased": True, **changed.get("specials", {})}
    honest = {"verdict": "pass", "passed": True, **changed.get("honest", {})}
    found = rows_of(
        [drawn(cheat, **dict(cheats)) for _ in range(N)],
        [drawn(special, **dict(specials)) for _ in range(N)],
        [drawn(good, **dict(honest)) for _ in range(N)],
        "namespaces",
    )
    return {row.code: row.is_kept for row in found}


def test_a_right_grader_keeps_every_promise() -> None:
    assert rows() == dict.fromkeys(TITLES, True)
    assert set(PROMISED) == set(TITLES)
    assert PROMISED["SE603"] == (0.95, 1.0)  # what is asked of the grader, not what was measured


@pytest.mark.parametrize(
    ("broken", "changed"),
    [
        ({"SE601"}, {"cheats": {"passed": True}}),
        ({"SE602"}, {"cheats": {"found": [(WHOLE["cheat"][0][0].family, "weak")]}}),
        ({"SE602", "SE603", "SE604"}, {"cheats": {"found": []}}),
        ({"SE604"}, {"cheats": {"found": [("another", "strong")]}}),
        ({"SE605"}, {"specials": {"passed": True}}),
        ({"SE606"}, {"specials": {"special_cased": None}}),
        ({"SE607"}, {"honest": {"passed": False}}),
        ({"SE608"}, {"honest": {"verdict": "tampered"}}),
    ],
)
def test_a_wrong_grader_breaks_its_promise(broken: set[str], changed: dict[str, Any]) -> None:
    assert {code for code, kept in rows(**changed).items() if not kept} == broken


def test_what_is_drawn() -> None:
    def programs(**options: bool) -> dict[str, list[KnownProgram]]:
        return {group: [p for family in found for p in family] for group, found in groups_of(**options).items()}

    whole, quick, weak = (
        programs(full=True, weak=False),
        programs(full=False, weak=False),
        programs(full=True, weak=True),
    )
    assert all(program.cheats == (group != "honest") for group, found in whole.items() for program in found)
    assert {program.aim for program in whole["special"]} == {"special-case"}
    assert "special-case" not in {program.aim for program in whole["cheat"]}
    assert {len({program.family for program in family}) for family in WHOLE["cheat"]} == {1}
    assert "escape" in {program.aim for program in whole["cheat"]}
    assert "escape" not in {program.aim for program in weak["cheat"]}
    left = [program for found in quick.values() for program in found]
    assert not {program.technique for program in left} & set(WAITING)
    assert not {TASKS[program.task].kind for program in left} & set(SLOW_KINDS)
