"""Solutions by problem: groups, and splits that keep a problem on one side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from karat.data.records import prompt_hash
from karat.data.split import is_held_out
from karat.errors import InputError
from karat.types import StepSolution


def problems_of(solutions: Iterable[StepSolution]) -> tuple[tuple[StepSolution, ...], ...]:
    """The solutions of each problem, in order of first appearance.

    A problem is a prompt with its prompt_id: what has another text cannot share its tokens.
    """
    groups: dict[object, list[StepSolution]] = {}
    for solution in solutions:
        groups.setdefault((solution.prompt_id, solution.prompt), []).append(solution)
    return tuple(map(tuple, groups.values()))


def split_steps(
    solutions: Sequence[StepSolution], *, test_fraction: float, seed: int
) -> tuple[tuple[StepSolution, ...], tuple[StepSolution, ...]]:
    """Solutions for fitting and solutions held out, by prompt_id.

    Each prompt_id is hashed with the seed and held out when its hash lies below test_fraction, so the side of a problem
    depends neither on the order of the solutions nor on which others are there.

    Args:
        solutions: any order; both results keep it. Without a prompt_id, the prompt's hash takes its place.
        test_fraction: expected share of problems held out, in [0, 1].
        seed: another seed gives an independent split.
    Returns: (fit, held out).
    Raises: InputError: test_fraction is out of range.
    """
    if not 0.0 <= test_fraction <= 1.0:
        raise InputError(f"test_fraction is {test_fraction}; it must lie in [0, 1].")
    keys = [solution.prompt_id or prompt_hash(solution.prompt) for solution in solutions]
    held = {key for key in set(keys) if is_held_out(f"problem {key}", test_fraction, seed)}
    both = list(zip(solutions, keys, strict=True))
    return tuple(s for s, key in both if key not in held), tuple(s for s, key in both if key in held)
