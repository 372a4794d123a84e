"""Which run a folder holds, and from where it resumes.

DIR/run.json               what was asked for; another request in the same folder is refused
DIR/checkpoints/checkpoint-N/complete   written after everything else of a checkpoint: without it, it does not count
DIR/karat.json             the finished model's manifest
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from karat.errors import InputError
from karat.rewards.model import MANIFEST
from karat.train.labelling.config import FILES

RUN = "run.json"
CHECKPOINTS = "checkpoints"
COMPLETE = "complete"
# Options that may differ between a run and its resumption: they do not change the weights.
FREE = frozenset({"save_steps", "log_steps", "report_to", "tokens_per_pack", "overwrite", "gradient_checkpointing"})


class MarkComplete(TrainerCallback):
    """Writes the marker of a checkpoint once the trainer has written all of it."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero:
            assert args.output_dir is not None
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            with (folder / COMPLETE).open("w") as file:
                file.flush()
                os.fsync(file.fileno())


def open_run(out: Path, request: Mapping[str, Any], *, overwrite: bool) -> Path | None:
    """Claim a folder for a run and say from which checkpoint to resume (None: from the start).

    Raises: InputError: the folder holds a finished model, another run, or something else altogether.
    """
    is_ours = (out / RUN).exists() or (out / MANIFEST).exists()
    if (out / CHECKPOINTS).exists() and not is_ours:
        raise InputError(
            f"{out / CHECKPOINTS} is not karat's, and a run would write there and remove it. Name another --out."
        )
    asked = {name: value for name, value in request.items() if name not in FREE}
    file = out / RUN
    held = _request_in(file)
    # --overwrite that was given before, and whose run was killed: the same command resumes it.
    is_going_on = held == asked and not (out / MANIFEST).exists()
    if overwrite and is_ours and not is_going_on:
        for name in (RUN, MANIFEST):
            (out / name).unlink(missing_ok=True)
        shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
    if (out / MANIFEST).exists():
        raise InputError(
            f"{out} already holds a finished reward model. Name another --out, or replace it with --overwrite."
        )
    if file.exists():
        differs = sorted(name for name in asked.keys() | held.keys() if asked.get(name) != held.get(name))
        started = last_complete(out / CHECKPOINTS)
        if differs and started:
            name = differs[0]
            raise InputError(
                f"{out} holds an unfinished run that differs in {', '.join(differs)}"
                f" ({name}: {held.get(name)!r} there, "
                f"{asked.get(name)!r} now). Repeat the same request to resume it, or use --overwrite or another --out."
            )
        if not differs:
            return started
        file.unlink()  # nothing was trained for the other request: a mistyped option must not block the folder
    elif out.exists() and any(item.name not in FILES for item in out.iterdir()) and not overwrite:
        raise InputError(
            f"{out} is not empty and holds no karat run. Name another --out, or use --overwrite to write into it."
        )
    out.mkdir(parents=True, exist_ok=True)
    staged = out / f"{RUN}.tmp"
    staged.write_text(json.dumps(asked, indent=1), encoding="utf-8")
    os.replace(staged, file)
    return None


def is_finished(out: Path, request: Mapping[str, Any]) -> bool:
    """Whether a folder holds the finished model of this request."""
    asked = {name: value for name, value in request.items() if name not in FREE}
    return (out / MANIFEST).exists() and _request_in(out / RUN) == asked


def _request_in(file: Path) -> dict[str, Any]:
    """What the folder's run was asked for; empty where there is none, or where it cannot be read."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def last_complete(folder: Path) -> Path | None:
    """The newest checkpoint with its marker; unfinished ones are removed, since the trainer would trust them."""
    if not folder.is_dir():
        return None
    found: list[tuple[int, Path]] = []
    for checkpoint in folder.glob("checkpoint-*"):
        if (checkpoint / COMPLETE).exists():
            found.append((int(checkpoint.name.split("-")[1]), checkpoint))
        else:
            shutil.rmtree(checkpoint, ignore_errors=True)
    return max(found)[1] if found else None


def close_run(out: Path) -> None:
    """Remove what only an unfinished run needs."""
    shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
