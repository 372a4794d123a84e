"""What a training from steps rests on: solutions to fit, to tune thresholds on, and held out, with their accounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from karat.data.account import account_table
from karat.data.steps import StepData, one_id_each, read_steps, split_steps, take_steps
from karat.errors import DataError
from karat.train.process.config import ProcessConfig
from karat.types import Account, AccountEntry, StepSolution, Table

TUNE_SEED = 1_000_003
"""Added to the seed: the part that thresholds are tuned on is drawn apart from the part that is held out."""


@dataclass(frozen=True, slots=True)
class TrainingSteps:
    """Solutions to fit, to tune thresholds on and held out, no problem in two of them; and what reading dropped."""

    fit: tuple[StepSolution, ...]
    tune: tuple[StepSolution, ...]
    held_out: tuple[StepSolution, ...]
    account: Account
    test_account: Account | None = None
    """Of a source of its own of the held-out solutions; None where they are a share of the others."""

    def fingerprint(self) -> str:
        """The same for the same data; the parts follow from it and the configuration."""
        other = f" {self.test_account.fingerprint}" if self.test_account else ""
        return f"{self.account.fingerprint}{other}"

    def facts(self) -> dict[str, Any]:
        """For the provenance and the manifest."""
        parts = {"train": self.fit, "tune": self.tune, "test": self.held_out}
        return {
            "source": self.account.source,
            "format": self.account.format,
            "fingerprint": self.account.fingerprint,
            "test_source": self.test_account.source if self.test_account else "",
            "test_fingerprint": self.test_account.fingerprint if self.test_account else "",
            "rows_read": self.account.rows_read,
            "dropped": self.account.rows_dropped,
            "split_by": "problem",
            **{f"{name}_solutions": len(part) for name, part in parts.items()},
            **{f"{name}_problems": len({one.prompt_id for one in part}) for name, part in parts.items()},
        }

    def tables(self, entries: Sequence[AccountEntry]) -> tuple[Table, ...]:
        """The accounts; `entries`: what making units of the solutions dropped or cut."""
        tables = [account_table(replace(self.account, entries=(*self.account.entries, *entries)))]
        if self.test_account is not None:
            title = "What happened to the rows of the held-out solutions"
            tables.append(replace(account_table(self.test_account), name="account_test", title=title))
        return tuple(tables)


def gather_steps(
    source: str | Path | Sequence[StepSolution],
    config: ProcessConfig,
    *,
    test_solutions: Sequence[StepSolution] | None = None,
) -> TrainingSteps:
    """Read the solutions and part them by problem.

    Where others are held out (`test_solutions`, else config.test_data), their problems are taken out of the training
    data and counted. Solutions to one problem get one prompt_id, which the parts and the intervals go by.

    Raises: DataError: nothing to read, no solution of use, or the parts leave none to fit.
    """
    data = _read(source, config) if isinstance(source, str | Path) else _take(source, config)
    held: StepData | None = None
    if test_solutions:
        held = _take(test_solutions, config)
    elif test_solutions is None and config.test_data:
        held = _read(config.test_data, config, split=config.test_split)
    n_own = len(data.solutions)
    joined = one_id_each((*data.solutions, *(held.solutions if held else ())))
    rest, held_out, account = joined[:n_own], joined[n_own:], data.account
    if held is not None:
        rest, account = _without_problems_of(held_out, rest, account)
    elif test_solutions is None and config.test_fraction:
        rest, held_out = split_steps(rest, test_fraction=config.test_fraction, seed=config.seed)
    if not rest and held is not None:
        raise DataError(
            f"all {n_own} solutions to train on share a prompt or a prompt_id with held-out ones, whose problems are "
            "not trained on. Give other test data, or none: a share of the problems is then held out."
        )
    fit, tune = split_steps(rest, test_fraction=config.tune_fraction, seed=config.seed + TUNE_SEED)
    if not fit:
        raise DataError(
            f"holding out {config.test_fraction:g} and tuning on {config.tune_fraction:g} of the problems leaves no "
            f"solution to train on ({n_own} solutions). Lower --test-fraction and --tune-fraction, or give --test-data."
        )
    return TrainingSteps(fit, tune, held_out, account, held.account if held else None)


def _read(source: str | Path, config: ProcessConfig, **other: Any) -> StepData:
    return read_steps(str(source), **{**config.reading(), **other})


def _take(solutions: Sequence[StepSolution], config: ProcessConfig) -> StepData:
    return take_steps(
        solutions,
        after_error=config.reading()["after_error"],
        empty_steps=config.empty_steps,
        separator=config.separator_text,
    )


def _without_problems_of(
    held_out: Sequence[StepSolution], solutions: Sequence[StepSolution], account: Account
) -> tuple[tuple[StepSolution, ...], Account]:
    """The solutions to other problems than the held-out ones, and the account with those that were taken out."""
    known = {solution.prompt_id for solution in held_out}
    kept = tuple(solution for solution in solutions if solution.prompt_id not in known)
    rows = [solution.row for solution in solutions if solution.prompt_id in known]
    if not rows:
        return kept, account
    entry = AccountEntry("noted", "the problem is held out: not trained on", len(rows), tuple(rows[:5]))
    return kept, replace(account, entries=(*account.entries, entry))
