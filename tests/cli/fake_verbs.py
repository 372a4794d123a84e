"""Stand-ins for the verbs: the command line is tested without training anything.

`python fake_verbs.py ARGUMENTS` is the karat command with them, for tests that need a process of its own. FAKE_MODE in
the environment says how the verbs behave.
"""

from __future__ import annotations

import errno
import math
import os
import sys
import time
import types
from pathlib import Path
from typing import Any

from karat.errors import DataError
from karat.types import Finding, Result

EXPLANATIONS = {
    "RM101": ("Held-out accuracy", "How often it is right.", "By its interval.", "Train on more pairs."),
    "RM102": ("Length", "How far length explains it.", "By its slope.", "Match lengths."),
}


def fake_result(command: str, verdict: str = "ok") -> Result:
    finding = Finding("RM101", "Held-out accuracy", verdict, 0.7, 0.6, 0.8, "accuracy", n_used=99)  # type: ignore[arg-type]
    return Result(command, (finding,), values={"accuracy": 0.7, "undefined": math.nan, "losses": [1.0, 0.5]})


def act(command: str, progress: Any) -> Result:
    mode = os.environ.get("FAKE_MODE", "ok")
    if progress is not None:
        for done in range(1, 4):
            progress("reading", done, 3, "note")
    if mode == "noise":
        print("stray print")
        os.write(1, b"native print\n")
        os.system("echo child print")
        import warnings

        warnings.warn("a library warns", FutureWarning, stacklevel=1)
    if mode == "data error":
        raise DataError("prefs.jsonl row 17: chosen is empty \x1b[31m.\nwhere: line 18\ndrop it\nor not\nor so")
    if mode == "bug":
        raise ZeroDivisionError("division\nby zero")
    if mode == "full disk":
        raise OSError(errno.ENOSPC, "No space left on device", "out/model.safetensors")
    if mode == "no file":
        Path("/nowhere/prefs.jsonl").read_text()
    if mode == "interrupt":
        raise KeyboardInterrupt
    if mode == "sleep":
        print("ready", file=sys.stderr, flush=True)
        time.sleep(60)
    return fake_result(command, mode if mode in ("ok", "problem", "unclear", "not checked") else "ok")


CALLS: list[tuple[Any, ...]] = []


def train(source: str, *, out: Path, config: Any, progress: Any) -> Result:
    CALLS.append(("train", source, out, config))
    return act("train", progress)


def score_file(reward: str, source: str, *, out: Path, config: Any, progress: Any) -> Result:
    CALLS.append(("score", reward, source, out, config))
    return act("score", progress)


def check(*, out: Path | None, config: Any, progress: Any) -> Result:
    CALLS.append(("check", out, config))
    return act("check", progress)


def modules() -> dict[str, types.ModuleType]:
    """Modules that take the place of the verbs. They stay packages, so that their config modules are found."""

    found = {}
    for name, members in (
        ("karat.train", {"train": train}),
        ("karat.score", {"score_file": score_file}),
        ("karat.check", {"check": check}),
    ):
        module = types.ModuleType(name)
        module.__dict__.update(members)
        found[name] = module
    return found


if __name__ == "__main__":
    from karat.cli.main import run

    sys.modules.update(modules())
    run()
