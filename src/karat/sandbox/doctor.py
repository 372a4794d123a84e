"""What this machine offers to run untrusted code in: each back end, each wall, by trying; and what gets through."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from karat.errors import InputError
from karat.sandbox import AUTO, MODULES, available, open_sandbox
from karat.sandbox.policy import NEEDED, POLICIES, WHAT_GETS_THROUGH, missing_walls
from karat.sandbox.types import Wall
from karat.types import Finding, Result, Table

EXPLANATIONS: dict[str, tuple[str, str, str, str]] = {
    "GR101": (
        "The sandbox that is used",
        "Which back end `auto` takes here, the strongest that works, and how many of its walls stand. Each wall was "
        "tried by a program that was sent against it.",
        "ok: all walls of the policy 'standard' stand. problem: one does not, and nothing is graded unless the policy "
        "is 'any'.",
        "Allow unprivileged user namespaces, install bubblewrap, or grade in the container image.",
    ),
    "GR102": (
        "A wall that does not stand",
        "Something that the back end in use does not stop, with the reason. One finding for each such wall.",
        "unclear: the policy 'standard' does without it. problem: it does not.",
        "Weigh what gets through against who wrote the candidates; the policy 'strict' refuses to grade then.",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendReport:
    """One back end on this machine."""

    name: str
    why_not: str = ""
    """Why it does not work here; empty where it does."""
    walls: tuple[Wall, ...] = ()
    """All walls of the policy table, in its order; those of a back end that does not work are not tried."""

    @property
    def works(self) -> bool:
        return not self.why_not


def examine() -> tuple[BackendReport, ...]:
    """Try every back end and its walls; about a second in all. Strongest first."""
    return tuple(_examine(name) for name in MODULES)


def _examine(name: str) -> BackendReport:
    if why_not := available(name):
        return BackendReport(name=name, why_not=why_not)
    sandbox = open_sandbox(name)
    try:
        return BackendReport(name=name, walls=sandbox.walls())
    finally:
        sandbox.close()


def machine() -> dict[str, str]:
    """What of the system decides which walls can stand; `not known` where it does not say."""
    found = {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "user": "root" if os.geteuid() == 0 else f"uid {os.geteuid()}",
    }
    if sys.platform != "linux":
        return found
    from karat.sandbox.inside import kernel, landlock

    found["landlock"] = f"version {landlock.abi()}" if kernel.TABLE and landlock.abi() else "none"
    found["user namespaces"] = _user_namespaces()
    found["seccomp"] = first_line("/proc/sys/kernel/seccomp/actions_avail") or "none"
    found["cgroup"] = _cgroup()
    found["ptrace scope (Yama)"] = first_line("/proc/sys/kernel/yama/ptrace_scope") or "not set"
    found["bubblewrap"] = _version("bwrap")
    found["container engine"] = ", ".join(name for name in ("docker", "podman") if shutil.which(name)) or "none"
    return found


def first_line(path: str) -> str:
    with contextlib.suppress(OSError, UnicodeDecodeError, IndexError):
        return Path(path).read_text(encoding="utf-8").splitlines()[0]
    return ""


def _user_namespaces() -> str:
    settings = [f"at most {first_line('/proc/sys/user/max_user_namespaces') or 'not known'}"]
    for name in ("unprivileged_userns_clone", "apparmor_restrict_unprivileged_userns"):
        if value := first_line(f"/proc/sys/kernel/{name}"):
            settings.append(f"{name} {value}")
    return ", ".join(settings)


def _cgroup() -> str:
    version = "2" if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else "1"
    place = "/sys/fs/cgroup" if version == "2" else "/sys/fs/cgroup/memory"
    if not os.path.isdir(place):
        return "none"
    return f"version {version}, {'writable' if os.access(place, os.W_OK) else 'not writable'}"


def _version(program: str) -> str:
    place = shutil.which(program)
    if place is None:
        return "not installed"
    try:
        told = subprocess.run([place, "--version"], capture_output=True, timeout=5, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return "cannot be run"
    return told.decode("utf-8", "replace").strip()[:80]


# ---------------------------------------------------------------------------------------------------------- the result
def doctor_result(reports: Sequence[BackendReport] | None = None) -> Result:
    """The findings, two tables and values of `karat grade --doctor`.

    Args:
        reports: of `examine`; None examines now.
    Raises: InputError: no back end works here; with each one's reason.
    """
    reports = examine() if reports is None else tuple(reports)
    by_name = {report.name: report for report in reports}
    used = next((by_name[name] for name in AUTO if by_name[name].works), None)
    if used is None:
        reasons = "; ".join(f"{report.name}: {report.why_not}" for report in reports)
        raise InputError(f"No sandbox works here: {reasons}.")
    lacking = missing_walls(used.walls, "standard")
    findings = [_used(used, lacking), *(_wall(used.name, item) for item in used.walls if not item.stands)]
    offered = machine()
    values = {
        "backend": used.name,
        "walls": {item.name: item.stands for item in used.walls},
        "policies": {policy: not missing_walls(used.walls, policy) for policy in POLICIES},
        "available": {report.name: report.works for report in reports},
        "machine": offered,
    }
    standing = sum(item.stands for item in used.walls)
    lead = f"Candidates run in {used.name}: {standing} of {len(used.walls)} walls stand."
    if lacking:
        lead = f"No sandbox here has the walls of the policy 'standard'; the strongest, {used.name}, is refused."
    return Result(
        command="grade --doctor",
        findings=tuple(findings),
        tables=(_walls_table(reports), _machine_table(offered)),
        values=values,
        lead=lead,
    )


def wall_lines(result: Result) -> list[str]:
    """The table of walls as lines of text: marks first, then the reason of each wall that does not stand."""
    table = next(table for table in result.tables if table.name == "walls")
    marks = [[str(cell).split(":")[0] for cell in row] for row in table.rows]
    widths = [max(len(cell) for cell in column) for column in zip(table.columns, *marks, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (table.columns, *marks)
    ]
    reasons = [
        f"{column}, {row[0]}: {cell.removeprefix('no: ')}"
        for row in table.rows
        for column, cell in zip(table.columns[1:], row[1:], strict=True)
        if cell.startswith("no: ")
    ]
    return [line.rstrip() for line in lines] + ["", *reasons, *([table.note] if table.note else [])]


def _used(used: BackendReport, lacking: Sequence[Wall]) -> Finding:
    title, _, _, action = EXPLANATIONS["GR101"]
    return Finding(
        code="GR101",
        title=f"{title}: {used.name}",
        verdict="problem" if lacking else "ok",
        effect=sum(item.stands for item in used.walls),
        unit=f"of {len(used.walls)} walls",
        n_used=len(used.walls),
        witnesses=tuple(f"{item.name}: {item.why_not}" for item in lacking[:3]),
        action=action if lacking else "",
    )


def _wall(backend: str, item: Wall) -> Finding:
    title, _, _, action = EXPLANATIONS["GR102"]
    return Finding(
        code="GR102",
        title=f"{title}: {item.name}",
        verdict="problem" if item.name in NEEDED["standard"] else "unclear",
        n_used=1,
        witnesses=(f"{backend}: {item.why_not}", f"what gets through: {item.stops}"),
        action=action,
    )


def _walls_table(reports: Sequence[BackendReport]) -> Table:
    rows = []
    for name in (*WHAT_GETS_THROUGH, *_further(reports)):
        cells: list[str] = [name]
        for report in reports:
            found = next((item for item in report.walls if item.name == name), None)
            cells.append("-" if found is None else "stands" if found.stands else f"no: {found.why_not}")
        rows.append(tuple(cells))
    absent = [
        f"{report.name} does not work here: {report.why_not.rstrip('.? ')}." for report in reports if not report.works
    ]
    return Table(
        name="walls",
        title="Which walls stand, by back end",
        columns=("wall", *(report.name for report in reports)),
        rows=tuple(rows),
        note=" ".join(absent),
    )


def _further(reports: Sequence[BackendReport]) -> list[str]:
    named = [item.name for report in reports for item in report.walls if item.name not in WHAT_GETS_THROUGH]
    return list(dict.fromkeys(named))


def _machine_table(found: dict[str, str]) -> Table:
    return Table(
        name="machine", title="What this machine offers", columns=("what", "here"), rows=tuple(sorted(found.items()))
    )
