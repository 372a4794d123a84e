"""A labelled solution, as a record, as a row of labels.jsonl, and as training data.

Axes: S steps of one solution.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from karat.data.records import plain
from karat.numerics.step_values import value_intervals
from karat.train.labelling.types import Found
from karat.types import NAN, Message, StepSolution, Text

EXTRA = "labelling"
"""Key of `extra` in the training data: what the labels rest on."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A solution as it came, what labelling found of it, and what the judge said.

    Attributes:
        judged: first wrong step by the judge, or NO_ERROR; None where it was not asked or gave no answer.
        judge_failed: why the judge gave none; empty where it did, or where none was asked.
    """

    solution: StepSolution
    found: Found
    judged: int | None = None
    judge_failed: str = ""

    @property
    def is_labelled(self) -> bool:
        return not self.found.why

    @property
    def is_agreed(self) -> bool:
        """The judge was asked and names the same first wrong step."""
        return self.judged is not None and self.judged == self.found.first_error

    def to_row(self) -> dict[str, Any]:
        return {
            **asdict(replace(self.solution, prompt="", extra={})),
            "prompt": plain(self.solution.prompt),
            "extra": dict(self.solution.extra),
            "found": asdict(self.found),
            "judged": self.judged,
            "judge_failed": self.judge_failed,
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Labelled:
        found = {name: _tuple(value) for name, value in row["found"].items()}
        found |= {"label_S": _numbers(found["label_S"])}
        found |= {name: _number(found[name]) for name in ("doubt", "final")}
        solution = {name: row[name] for name in StepSolution.__dataclass_fields__}
        solution |= {"prompt": _text(row["prompt"]), "steps": tuple(row["steps"])}
        solution |= {"labels": _numbers(row["labels"]), "final_right": _number(row["final_right"])}
        return cls(StepSolution(**solution), Found(**found), row["judged"], row["judge_failed"])

    def training(self, method: str) -> StepSolution:
        """The solution with the labels that were made; `extra` says what they rest on."""
        found = self.found
        about: dict[str, Any] = {
            "method": method,
            "hits": list(found.hits_S),
            "counted": list(found.counted_S),
            "missing": list(found.missing_S),
            "rollouts": found.rollouts,
        }
        if method == "mc":
            ends = value_intervals([hits or 0 for hits in found.hits_S], [n or 0 for n in found.counted_S])
            about |= {"low": _plain(ends[:, 0]), "high": _plain(ends[:, 1])}
        if not math.isnan(found.doubt):
            about["doubt"] = found.doubt
        return replace(
            self.solution,
            labels=found.label_S,
            first_error=found.first_error,
            final_right=found.final,
            extra={**self.solution.extra, EXTRA: about},
        )


def _plain(value_S: np.ndarray) -> list[float | None]:
    return [None if math.isnan(value) else float(value) for value in value_S]


def _number(value: Any) -> float:
    return NAN if value is None else float(value)


def _numbers(values: Any) -> tuple[float, ...]:
    return tuple(map(_number, values))


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _text(value: Any) -> Text:
    return value if isinstance(value, str) else tuple(Message(turn["role"], turn["content"]) for turn in value)
