"""Judged responses as a matrix: hacks by setting trained in, setting evaluated in, training run and prompt.

Axes: S training runs of one setting, P prompts of all settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WITNESS_CHARS = 120


@dataclass(frozen=True, slots=True)
class Judged:
    """One response: who gave it, to what, and whether it hacks (None: not judged)."""

    trained: str
    evaluated: str
    run: str
    prompt_id: str
    is_hack: bool | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class CellTotals:
    """One cell: hacks and judged responses by run and prompt.

    Attributes:
        n_missing: responses without a judgement, in neither.
        example: the first hack's text; empty without one.
    """

    hack_SP: np.ndarray
    total_SP: np.ndarray
    n_missing: int
    example: str


@dataclass(frozen=True, slots=True)
class HackMatrix:
    """All cells over the same prompts.

    Attributes:
        trained: settings trained in, without the base; evaluated: settings evaluated in.
        base: name of the base policy; empty without one.
        cells: by trained (the base among them) and evaluated; a pair that nobody evaluated is not there.
        n_runs: training runs by setting trained in.
    """

    trained: tuple[str, ...]
    evaluated: tuple[str, ...]
    base: str
    cells: dict[tuple[str, str], CellTotals]
    n_runs: dict[str, int]

    @property
    def shared(self) -> tuple[str, ...]:
        """Settings that are both trained and evaluated in."""
        return tuple(name for name in self.trained if name in self.evaluated)


def matrix_of(rows: Sequence[Judged], base: str) -> HackMatrix:
    """Count; settings in order of their first row.

    Args:
        base: name of the base policy among `trained`; empty for none.
    """
    prompts = {name: at for at, name in enumerate(dict.fromkeys(row.prompt_id for row in rows))}
    settings = dict.fromkeys(row.trained for row in rows)
    runs: dict[str, dict[str, int]] = {name: {} for name in settings}
    by_cell: dict[tuple[str, str], list[Judged]] = {}
    for row in rows:
        runs[row.trained].setdefault(row.run, len(runs[row.trained]))
        by_cell.setdefault((row.trained, row.evaluated), []).append(row)
    return HackMatrix(
        trained=tuple(name for name in settings if name != base),
        evaluated=tuple(dict.fromkeys(row.evaluated for row in rows)),
        base=base if base in settings else "",
        cells={key: _totals(members, runs[key[0]], prompts) for key, members in by_cell.items()},
        n_runs={name: len(found) for name, found in runs.items()},
    )


def _totals(rows: Sequence[Judged], runs: dict[str, int], prompts: dict[str, int]) -> CellTotals:
    hack_SP, total_SP = np.zeros((len(runs), len(prompts))), np.zeros((len(runs), len(prompts)))
    for row in rows:
        if row.is_hack is not None:
            place = runs[row.run], prompts[row.prompt_id]
            hack_SP[place] += row.is_hack
            total_SP[place] += 1
    example = next((row.text for row in rows if row.is_hack and row.text), "")
    n_missing = sum(row.is_hack is None for row in rows)
    return CellTotals(hack_SP, total_SP, n_missing, example[:WITNESS_CHARS])
