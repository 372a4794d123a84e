"""Options of `karat grade`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from karat.options import option, require_least

Backend = Literal["auto", "namespaces", "bubblewrap", "container", "subprocess"]
Policy = Literal["auto", "strict", "standard", "any"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GradeConfig:
    """How candidates are run and judged. Times in seconds, sizes in megabytes."""

    workers: int = option(0, "Candidates graded at once; 0: one for each processor.")
    ray: bool = option(False, "Grade on a Ray cluster: RAY_ADDRESS names it, else one is started on this machine.")
    backend: Backend = option("auto", "What isolates the code; auto: the strongest that works here.")
    policy: Policy = option(
        "auto",
        "Walls without which nothing is graded. standard: no host files, network or survivors; strict: all; any: none; "
        "auto: standard, or any for a back end that is named.",
    )
    packages: str = option("", "Folders of Python packages that candidates may import, separated by ':'. Read-only.")
    wall_s: float = option(0.0, "Seconds by the clock for all tests of one run; 0: the task's own limit.")
    cpu_s: float = option(0.0, "Seconds of processor time for one run; 0: the task's own limit.")
    memory_mb: int = option(0, "Megabytes for one candidate; 0: the task's own limit.")
    reruns: int = option(2, "Runs again after an error or a time-out; a failed test is never tried again.")
    check_tasks: bool = option(True, "Run each task's reference on its own tests first.")
    held_out: int = option(
        10, "Generated inputs for candidates that pass, where a task has a reference and no hidden tests; 0: none."
    )
    watch: bool = option(True, "Record what candidates do, and report attempts at tampering.")
    isolated: bool = option(
        False, "Let tests that cannot run outside run in the candidate's process; such passes can be forged."
    )
    tasks_format: str = option("", "Format of the tasks; empty: seen from their content.")
    seed: int = option(0, "Seed of baits, of the order of tests and of generated inputs.")
    overwrite: bool = option(False, "Start again instead of resuming an unfinished --out.")
    key_file: str = option("", "File with a secret key for the verdict log; without it the chain is not signed.")

    def __post_init__(self) -> None:
        require_least(self, {"workers": 0, "wall_s": 0, "cpu_s": 0, "memory_mb": 0, "reruns": 0, "held_out": 0})
