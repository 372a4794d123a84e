"""Policies, the doctor's findings, and what a refused sandbox says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from karat import sandbox
from karat.errors import InputError
from karat.sandbox import AUTO, MODULES, available, doctor, open_sandbox, policy
from karat.sandbox.types import Call, Limits, Program, Run, Session, Wall


@dataclass
class Stub:
    """A sandbox of which only the walls matter."""

    broken: tuple[str, ...] = ()
    more: tuple[Wall, ...] = ()
    name: str = "stub"

    def walls(self) -> tuple[Wall, ...]:
        known = [policy.wall(name, "torn down" if name in self.broken else "") for name in policy.WHAT_GETS_THROUGH]
        return (*known, *self.more)

    def open(self, program: Program, *, limits: Limits) -> Session:
        raise NotImplementedError

    def run(self, program: Program, calls: Sequence[Call] = (), *, limits: Limits) -> Run:
        raise NotImplementedError

    def close(self) -> None: ...

    def __enter__(self) -> Stub:
        return self

    def __exit__(self, *_: object) -> None: ...


def reports(**walls: tuple[str, ...] | None) -> list[doctor.BackendReport]:
    """One report of each back end; None: it does not work here."""
    found = []
    for name in MODULES:
        broken = walls.get(name)
        if broken is None:
            found.append(doctor.BackendReport(name=name, why_not="not on this machine"))
        else:
            found.append(doctor.BackendReport(name=name, walls=Stub(broken).walls()))
    return found


# -------------------------------------------------------------------------------------------------------------- policy
def test_each_policy_asks_for_no_less_than_the_weaker_one() -> None:
    assert set(policy.NEEDED["any"]) < set(policy.NEEDED["standard"]) < set(policy.NEEDED["strict"])
    assert set(policy.NEEDED["strict"]) == set(policy.WHAT_GETS_THROUGH)


@pytest.mark.parametrize("name", policy.WHAT_GETS_THROUGH)
def test_a_missing_wall_is_named_with_its_reason_where_the_policy_asks_for_it(name: str) -> None:
    for asked in policy.POLICIES:
        if name in policy.NEEDED[asked]:
            with pytest.raises(InputError, match=rf"'stub' lacks .*'{asked}'.*: {name} \(torn down\).*--doctor"):
                policy.require_walls(Stub((name,)), asked)
        else:
            policy.require_walls(Stub((name,)), asked)


def test_a_wall_that_is_not_named_does_not_stand() -> None:
    missing = policy.missing_walls((policy.wall(policy.ANSWERS),), "standard")
    assert [wall.name for wall in missing] == [policy.HOST_FILES, policy.NETWORK, policy.SURVIVORS]


def test_strict_asks_for_walls_that_only_one_back_end_has() -> None:
    more = (Wall("moat", False, "swimmers", "dry"),)
    policy.require_walls(Stub(more=more), "standard")
    with pytest.raises(InputError, match=r"moat \(dry\)"):
        policy.require_walls(Stub(more=more), "strict")


def test_an_unknown_policy_and_an_unknown_back_end_name_those_there_are() -> None:
    with pytest.raises(InputError, match=r"'lax' is unknown[.] It is one of: strict, standard, any"):
        policy.require_walls(Stub(), "lax")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"'gvisor' is unknown[.] It is one of: auto, namespaces"):
        open_sandbox("gvisor")
    with pytest.raises(InputError, match="no-such-folder is not a folder"):
        open_sandbox("subprocess", packages=["no-such-folder"])


def test_where_no_sandbox_works_each_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "available", lambda name: f"{name} is missing")
    with pytest.raises(InputError, match=r"No sandbox works here: namespaces: namespaces is missing; .*; subprocess: "):
        open_sandbox()
    with pytest.raises(InputError, match=r"No sandbox works here: namespaces: not on this machine; bubblewrap: "):
        doctor.doctor_result(reports())
    monkeypatch.undo()
    with monkeypatch.context() as patched:
        patched.setattr(os, "name", "nt")
        found = {available(name) for name in MODULES}
    assert found == {"it needs a POSIX system; run all of karat in the image of containers/Containerfile"}


# -------------------------------------------------------------------------------------------------------------- doctor
def test_the_strongest_that_works_is_used() -> None:
    result = doctor.doctor_result(
        reports(bubblewrap=(policy.MEMORY, policy.KERNEL_RECORD), subprocess=(policy.NETWORK,))
    )
    assert result.verdict == "unclear"
    assert result.values["backend"] == "bubblewrap"
    assert result.values["policies"] == {"strict": False, "standard": True, "any": True}
    assert result.values["available"] == {
        "namespaces": False,
        "bubblewrap": True,
        "subprocess": True,
        "container": False,
    }
    first, *walls = result.findings
    assert (first.code, first.verdict, first.effect, first.n_used) == ("GR101", "ok", 6, 8)
    assert [(finding.code, finding.verdict) for finding in walls] == [("GR102", "unclear")] * 2
    assert "leaves no record" in walls[1].witnesses[1]


def test_a_wall_of_the_standard_that_does_not_stand_is_a_problem() -> None:
    result = doctor.doctor_result(reports(subprocess=(policy.NETWORK, policy.MEMORY)))
    assert result.verdict == "problem"
    assert result.findings[0].verdict == "problem"
    assert result.findings[0].witnesses == ("network: torn down",)
    assert {finding.title.split(": ")[1]: finding.verdict for finding in result.findings[1:]} == {
        "network": "problem",
        "memory": "unclear",
    }
    assert "is refused" in result.lead


def test_the_table_has_a_row_for_each_wall_and_a_column_for_each_back_end() -> None:
    table = doctor.doctor_result(reports(namespaces=(), subprocess=(policy.NETWORK,))).tables[0]
    assert table.columns == ("wall", *MODULES)
    assert {row[0]: row[1:] for row in table.rows}[policy.NETWORK] == ("stands", "-", "no: torn down", "-")
    assert "bubblewrap does not work here: not on this machine." in table.note
    text = "\n".join(doctor.wall_lines(doctor.doctor_result(reports(namespaces=(), subprocess=(policy.NETWORK,)))))
    assert "subprocess, network: torn down" in text


def test_every_code_is_explained() -> None:
    result = doctor.doctor_result(reports(subprocess=(policy.NETWORK,)))
    assert {finding.code for finding in result.findings} == set(doctor.EXPLANATIONS)


def test_this_machine_is_examined_by_trying() -> None:
    found = {report.name: report for report in doctor.examine()}
    assert list(found) == list(MODULES)
    assert found["subprocess"].works
    assert all(report.works == (not available(name)) for name, report in found.items())
    assert all(
        {wall.name for wall in report.walls} >= set(policy.WHAT_GETS_THROUGH)
        for report in found.values()
        if report.works
    )
    used = next(name for name in AUTO if found[name].works)
    if not policy.missing_walls(found[used].walls, "standard"):
        with open_sandbox() as opened:
            assert opened.name == used


def test_the_command_prints_the_table_and_then_the_verdict() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "karat", "grade", "--doctor"], capture_output=True, text=True, check=False, timeout=60
    )
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["wall", *MODULES]
    assert any(line.startswith("network ") for line in lines)
    assert any("GR101" in line for line in lines)
    assert done.returncode in (0, 1)
