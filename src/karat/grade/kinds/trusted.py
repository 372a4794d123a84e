"""Running trusted test code: a fresh process of the trusted sandbox for each suite, which never loads the candidate."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from karat.sandbox.types import Call, Limits, Program, Reply, Sandbox

PRELOADED = ("karat.sandbox.inside.suite", "karat.sandbox.inside.proxy", "karat.sandbox.inside.suite_seal", "pytest")
"""What a fork server loads once, so that no suite pays for it."""
MEMORY_MB = 4096

Answer = Callable[[Call], Reply]


def run_trusted(
    sandbox: Sandbox, config: Mapping[str, Any], *, files: Mapping[str, bytes], timeout_s: float, answer: Answer
) -> dict[str, Any]:
    """One suite. `{"broken": why}` where the process of the tests did not bring a result."""
    limits = replace(Limits(), wall_s=timeout_s, cpu_s=timeout_s, memory_mb=MEMORY_MB, files_mb=64, reply_kb=65_536)
    session = sandbox.open(Program(files=files, watch=False), limits=limits)
    try:
        return result_of(session.call(Call("@trusted suite", (dict(config),)), answer=answer))
    finally:
        session.close()


def result_of(reply: Reply) -> dict[str, Any]:
    """What a suite's process answered; `broken` where it is no result."""
    if reply.status != "value" or type(reply.value) is not str:
        why = f"{reply.type_name}: {reply.message}" if reply.status == "raised" else reply.message
        return {"broken": why or reply.status}
    try:
        told = json.loads(reply.value)
    except (ValueError, RecursionError) as error:
        return {"broken": f"no result: {error}"}
    return told if isinstance(told, dict) else {"broken": "no result"}


def package_folders() -> list[str]:
    """Where pytest and what it imports are installed here."""
    found = importlib.util.find_spec("pytest")
    return [] if found is None or found.origin is None else [str(Path(found.origin).parents[1])]
