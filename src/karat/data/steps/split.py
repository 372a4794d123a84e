"""Splits of solutions that keep a problem on one side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from karat.data.records import prompt_hash
from karat.data.split import is_held_out
from karat.errors import InputError
from karat.types import StepSolution


def one_id_each(solutions: Sequence[StepSolution]) -> tuple[StepSolution, ...]:
    """The solutions with one prompt_id for each problem: the least of those that its solutions have.

    A problem is what shares a prompt_id or a prompt (white space apart), by itself or through others: data from two
    places has other ids for one text. Without a prompt_id, the prompt's hash takes its place.
    """
    keys = [solution.prompt_id or prompt_hash(solution.prompt) for solution in solutions]
    root = {key: key for key in keys}

    def root_of(key: str) -> str:
        while root[key] != key:
            root[key] = key = root[root[key]]
        return key

    first: dict[object, str] = {}
    for solution, key in zip(solutions, keys, strict=True):
        text = " ".join(solution.prompt.split()) if isinstance(solution.prompt, str) else solution.prompt
        ends = sorted((root_of(first.setdefault(text, key)), root_of(key)))
        root[ends[1]] = ends[0]
    return tuple(replace(solution, prompt_id=root_of(key)) for solution, key in zip(solutions, keys, strict=True))


def split_steps(
    solutions: Sequence[StepSolution], *, test_fraction: float, seed: int
) -> tuple[tuple[StepSolution, ...], tuple[StepSolution, ...]]:
    """Solutions for fitting and solutions held out, by problem.

    The prompt_id of each problem (`one_id_each`) is hashed with the seed and held out when its hash lies below
    test_fraction, so the side of a problem depends neither on the order of the solutions nor on the other problems.

    Args:
        solutions: any order; both results keep it.
        test_fraction: expected share of problems held out, in [0, 1].
        seed: another seed gives an independent split.
    Returns: (fit, held out).
    Raises: InputError: test_fraction is out of range.
    """
    if not 0.0 <= test_fraction <= 1.0:
        raise InputError(f"test_fraction is {test_fraction}; it must lie in [0, 1].")
    keys = [joined.prompt_id for joined in one_id_each(solutions)]
    held = {key for key in set(keys) if is_held_out(f"problem {key}", test_fraction, seed)}
    both = list(zip(solutions, keys, strict=True))
    return tuple(s for s, key in both if key not in held), tuple(s for s, key in both if key in held)
