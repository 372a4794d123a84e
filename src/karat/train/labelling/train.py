"""`karat train STEPS --process --label`: labels made from completions, then a process reward trained on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from karat.rewards.model import MANIFEST
from karat.train.fitting import Progress
from karat.train.labelling.config import STEPS, LabelConfig, LabelOptions
from karat.train.labelling.run import label_steps
from karat.train.process import ProcessConfig, train_process
from karat.types import Result, StepSolution


def train_labelled(
    source: str | Path | Sequence[StepSolution],
    *,
    out: str | Path,
    labels: LabelOptions,
    config: ProcessConfig,
    progress: Progress | None = None,
) -> Result:
    """Label steps into OUT/steps.jsonl, and train a process reward on them in OUT.

    Args:
        labels: with a method; without a completer of its own, config.model completes.
        config: of the training. With labels that are shares (mc, soft) they are trained on as values: label_source
            "monte-carlo".
    Returns: what the training found, behind what labelling did; values of labelling begin with `label_`.
    """
    out = Path(out)
    # A run with --overwrite that was killed while it trained goes on when it is repeated: its labels stay.
    is_over = (out / MANIFEST).exists() or not (out / STEPS).exists()
    made = label_steps(
        source,
        out=out,
        config=LabelConfig(
            **asdict(labels),
            format=config.format,
            split=config.split,
            neutral=config.neutral,
            after_error=config.after_error,
            separator=config.separator_text,
            seed=config.seed,
            dtype=config.dtype,
            overwrite=config.overwrite and is_over,
        ),
        completer=labels.completer or config.model,
        progress=progress,
    )
    is_value = labels.label == "mc" and labels.label_as == "soft"
    config = replace(config, format="karat", split="", label_source="monte-carlo" if is_value else config.label_source)
    trained = train_process(out / STEPS, out=out, config=config, progress=progress)
    return replace(
        trained,
        findings=(*made.findings, *trained.findings),
        tables=(*made.tables, *trained.tables),
        values={**{f"label_{name}": value for name, value in made.values.items()}, **trained.values},
        files=(*made.files, *trained.files),
        provenance={**trained.provenance, "labelling": made.provenance},
        lead=f"{made.lead} {trained.lead}",
    )
