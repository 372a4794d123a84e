"""Solutions in steps as training units: one token tree a problem, a target and a weight for each step that is read.

Weights.  Each problem of an optimiser step weighs the same, whatever it holds. Within a problem the labelled steps
share its weight evenly (hard, soft), or its solutions do (first-error, outcome): there a solution's steps add up, since
its likelihood is a product over them.

Axes: R reads (steps) of a tree, S steps of one solution, U units of a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from karat.errors import DataError
from karat.numerics.process_likelihood import first_error_labels, hard_labels
from karat.rewards.process import EncodedSteps, StepEncoder, StepProblem
from karat.rewards.tree import TokenTree
from karat.train.process.config import Likelihood
from karat.train.process.losses import StepBatch
from karat.types import AccountEntry, StepSolution

PROBLEMS_PER_CALL = 256
NO_TARGET = {
    "hard": "no step has a label",
    "soft": "no step has a label",
    "first-error": "the first wrong step is not known",
    "outcome": "it is not known whether the final answer is right",
}


@dataclass(frozen=True, slots=True)
class StepUnit:
    """A problem's tree, and the target and weight of each step that is read."""

    tree: TokenTree
    target_R: np.ndarray
    """Probability that the step is right; NaN: not known."""
    weight_R: np.ndarray
    """0 where the target is not known; sums to 1 (soft, hard), or 1 for each step of a solution on average."""
    prompt_id: str

    @property
    def n_labels(self) -> int:
        return int(np.isfinite(self.target_R).sum())


@dataclass(frozen=True, slots=True)
class StepUnitSet:
    """Units, and what making them dropped, cut or noted."""

    units: tuple[StepUnit, ...]
    entries: tuple[AccountEntry, ...]

    @property
    def n_labels(self) -> int:
        return sum(unit.n_labels for unit in self.units)

    @property
    def n_solutions(self) -> int:
        return sum(len(unit.tree.branches) for unit in self.units)

    @property
    def n_tokens(self) -> int:
        return sum(unit.tree.n_tokens for unit in self.units)

    @property
    def n_unshared_tokens(self) -> int:
        """Tokens of all solutions as separate sequences, without padding."""
        return sum(
            len(unit.tree.root) * len(unit.tree.branches) + sum(map(len, unit.tree.branches)) for unit in self.units
        )


def step_targets(solution: StepSolution, likelihood: Likelihood) -> np.ndarray:
    """What the likelihood asks of each step, shape (S,); NaN: nothing. All NaN where the solution has no such label."""
    if likelihood == "soft":
        return np.asarray(solution.labels, dtype=np.float64)
    if likelihood == "hard":
        return hard_labels(solution.labels)
    if likelihood == "first-error":
        if solution.first_error is None:
            return np.full(len(solution.steps), np.nan)
        return first_error_labels(len(solution.steps), solution.first_error)
    target_S = np.full(len(solution.steps), np.nan)
    target_S[-1] = solution.final_right
    return target_S


def build_step_units(solutions: Sequence[StepSolution], encoder: StepEncoder, likelihood: Likelihood) -> StepUnitSet:
    """Solutions by problem, one tree each, read at every step up to the last that has a target.

    What comes after that step enters no loss and is not computed.

    Raises: DataError: not one solution has a target and can be encoded.
    """
    notes = _Notes(encoder.policy.max_length)
    by_prompt: dict[object, list[tuple[StepSolution, np.ndarray]]] = {}
    for solution in solutions:
        target_S = step_targets(solution, likelihood)
        known = np.flatnonzero(np.isfinite(target_S))
        if not known.size:
            notes.add("dropped", NO_TARGET[likelihood], solution.row)
            continue
        by_prompt.setdefault(solution.prompt, []).append((solution, target_S[: known[-1] + 1]))
    problems = list(by_prompt.values())
    units: list[StepUnit] = []
    for start in range(0, len(problems), PROBLEMS_PER_CALL):
        part = problems[start : start + PROBLEMS_PER_CALL]
        asked = [
            StepProblem(members[0][0].prompt, tuple(one.steps[: len(target)] for one, target in members))
            for members in part
        ]
        for members, encoded in zip(part, encoder.encode_each(asked), strict=True):
            if isinstance(encoded, DataError):
                for solution, _ in members:
                    notes.add("dropped", str(encoded), solution.row)
                continue
            notes.encoded(members, encoded)
            units.append(_unit(members, encoded, likelihood))
    if not units:
        reason = next(iter(notes.entries()), None)
        raise DataError(
            f"none of {len(solutions)} solutions can be trained on: "
            f"{reason.reason.removesuffix('.') if reason else 'there are no solutions'}."
        )
    return StepUnitSet(tuple(units), notes.entries())


def _unit(
    members: Sequence[tuple[StepSolution, np.ndarray]], encoded: EncodedSteps, likelihood: Likelihood
) -> StepUnit:
    target = [target_S[list(kept)] for (_, target_S), kept in zip(members, encoded.kept, strict=True) if kept]
    target_R = np.concatenate(target)
    is_known_R = np.isfinite(target_R)
    shares = len(target) if likelihood in ("first-error", "outcome") else int(is_known_R.sum())
    return StepUnit(encoded.tree, target_R, is_known_R / shares, members[0][0].prompt_id)


def step_batch(units: Sequence[StepUnit], n_units: int) -> StepBatch:
    """The steps of some of an optimiser step's units; each of its `n_units` units weighs the same."""
    target_R = np.concatenate([unit.target_R for unit in units])
    weight_R = np.concatenate([unit.weight_R for unit in units]) / n_units
    return StepBatch(torch.from_numpy(target_R).float(), torch.from_numpy(weight_R).float())


class _Notes:
    """What becomes of solutions, counted by reason."""

    def __init__(self, max_length: int) -> None:
        self.max_length = max_length
        self._rows: dict[tuple[str, str], list[int]] = {}

    def add(self, action: str, reason: str, row: int) -> None:
        self._rows.setdefault((action, reason), []).append(row)

    def encoded(self, members: Sequence[tuple[StepSolution, np.ndarray]], encoded: EncodedSteps) -> None:
        """Solutions that were refused, or lost their oldest steps."""
        for index, ((solution, _), kept) in enumerate(zip(members, encoded.kept, strict=True)):
            if not kept:
                self.add("dropped", encoded.refused.get(index, "it cannot be encoded"), solution.row)
            elif kept[0] > 0:
                self.add("changed", f"longer than {self.max_length} tokens: oldest steps cut", solution.row)

    def entries(self) -> tuple[AccountEntry, ...]:
        return tuple(
            AccountEntry(action, reason, len(rows), tuple(rows[:5]))  # type: ignore[arg-type]
            for (action, reason), rows in self._rows.items()
        )
