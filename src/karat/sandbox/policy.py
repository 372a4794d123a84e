"""Which walls must stand before untrusted code is run: a policy by name, and the refusal that says what is missing."""

from __future__ import annotations

from typing import Literal, get_args

from karat.errors import InputError
from karat.sandbox.types import Sandbox, Wall

Policy = Literal["strict", "standard", "any"]
POLICIES: tuple[Policy, ...] = get_args(Policy)

ANSWERS = "answers outside"
HOST_FILES = "host files"
NETWORK = "network"
SURVIVORS = "survivors"
OTHER_PROCESSES = "other processes"
MEMORY = "memory"
PRIVATE_FILES = "private files"
KERNEL_RECORD = "kernel record"

WHAT_GETS_THROUGH = {
    ANSWERS: "a program that reads the grader's memory or changes its files finds the answers or writes the verdict",
    HOST_FILES: "a program reads files of this machine (data sets, keys, other answers) and writes where its user may",
    NETWORK: "a program fetches answers, sends data away, or talks to local services",
    SURVIVORS: "a process that a program leaves behind meets the next program, or the files of the next",
    OTHER_PROCESSES: "a program signals, traces or reads the processes of its user, the grader among them",
    MEMORY: "a program takes the memory or the process table of the machine",
    PRIVATE_FILES: "a program fills the disk, or finds what an earlier one left in a shared temporary folder",
    KERNEL_RECORD: "an attempt that the kernel refused leaves no record, so that an attack may go unreported",
}
"""Each wall with what gets through where it does not stand."""

NEEDED: dict[Policy, tuple[str, ...]] = {
    "strict": tuple(WHAT_GETS_THROUGH),
    "standard": (ANSWERS, HOST_FILES, NETWORK, SURVIVORS),
    "any": (),
}


def wall(name: str, why_not: str = "") -> Wall:
    """A wall of the table above: it stands unless there is a reason why not."""
    return Wall(name, not why_not, WHAT_GETS_THROUGH[name], why_not)


def missing_walls(walls: tuple[Wall, ...], policy: Policy) -> tuple[Wall, ...]:
    """The walls that the policy asks for and that do not stand; one that a back end does not name does not stand."""
    named = {item.name: item for item in walls}
    needed = [
        named.get(name) or Wall(name, False, WHAT_GETS_THROUGH[name], "this back end does not name it")
        for name in NEEDED[policy]
    ]
    if policy == "strict":
        needed += [item for item in walls if item.name not in NEEDED[policy]]
    return tuple(item for item in needed if not item.stands)


def require_walls(sandbox: Sandbox, policy: Policy) -> None:
    """Refuse a sandbox that lacks a wall that the policy asks for.

    Raises: InputError: names each missing wall, why it does not stand, and what to do.
    """
    if policy not in POLICIES:
        raise InputError(f"policy {policy!r} is unknown. It is one of: {', '.join(POLICIES)}.")
    if policy == "any":
        return
    missing = missing_walls(sandbox.walls(), policy)
    if missing:
        reasons = "; ".join(f"{item.name} ({item.why_not})" for item in missing)
        raise InputError(
            f"The sandbox {sandbox.name!r} lacks what the policy {policy!r} asks for: {reasons}. "
            "See `karat grade --doctor` for what this machine offers, or name the policy 'any' to run without."
        )
