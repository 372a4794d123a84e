"""Solutions in steps, with a label for each step where one is known: readers and writers of every format.

`read_steps` gives all solutions of a source with an account of every row; formats are recognised by their columns
(`list_step_formats`). A label is the probability that a step is right, NaN where that is undefined.
"""

from __future__ import annotations

from karat.data.steps.config import StepReadingConfig
from karat.data.steps.read import (
    StepData,
    StepReading,
    StepRow,
    StepStream,
    list_step_formats,
    read_steps,
    stream_steps,
    take_steps,
)
from karat.data.steps.split import one_id_each, split_steps
from karat.data.steps.write import write_steps

__all__ = [
    "StepData",
    "StepReading",
    "StepReadingConfig",
    "StepRow",
    "StepStream",
    "list_step_formats",
    "one_id_each",
    "read_steps",
    "split_steps",
    "stream_steps",
    "take_steps",
    "write_steps",
]
