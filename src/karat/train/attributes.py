"""Attribute heads: which ratings get a head, and how the heads sum to the reward."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from karat.data.reading import parse_weights
from karat.errors import DataError, InputError
from karat.numerics.attributes import fit_rating_scale
from karat.train.units import UnitSet
from karat.types import PreferencePair


@dataclass(frozen=True, slots=True)
class AttributeHeads:
    """Names and weights of the attribute heads; no names: no attribute heads."""

    names: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()


def choose_attributes(option: str, pairs: Sequence[PreferencePair]) -> AttributeHeads:
    """Read the `attributes` option against the data.

    Args:
        option: "" none; "auto" every attribute that the pairs carry, equal weights; else "name=weight,name" (weight 1).
    Raises: InputError: an entry cannot be read. DataError: the pairs carry no rating of a named attribute.
    """
    if not option:
        return AttributeHeads()
    counts: Counter[str] = Counter()
    for pair in pairs:
        for ratings in (pair.chosen_attributes, pair.rejected_attributes):
            counts.update(name for name, value in ratings.items() if not math.isnan(value))
    carried = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items())) or "none"
    if option == "auto":
        if not counts:
            raise DataError("attributes = auto, but the pairs carry no attribute ratings. Drop the option.")
        names = tuple(sorted(counts))
        return AttributeHeads(names, (1.0 / len(names),) * len(names))
    stated = parse_weights("attributes", option)
    for name in stated:
        if name not in counts:
            raise DataError(f"attributes: the pairs carry no rating of {name!r}; they carry: {carried}.")
    if not any(stated.values()):
        raise InputError("attributes: all weights are 0, so the reward would be 0 everywhere.")
    return AttributeHeads(tuple(stated), tuple(stated.values()))


def standardise_ratings(units: UnitSet, names: Sequence[str]) -> tuple[UnitSet, dict[str, dict[str, float]] | None]:
    """Ratings in units of their own spread, as the heads predict them; and the scale, for the manifest.

    Raises: InputError: an attribute has no two different ratings.
    """
    if not names:
        return units, None
    ratings = [unit.ratings_RA for unit in units.units if unit.ratings_RA is not None]
    scale = fit_rating_scale(np.concatenate(ratings), tuple(names))
    scaled = tuple(
        unit if unit.ratings_RA is None else replace(unit, ratings_RA=scale.standardise(unit.ratings_RA))
        for unit in units.units
    )
    stated = {
        name: {"mean": float(mean), "std": float(spread)}
        for name, mean, spread in zip(names, scale.mean_A, scale.spread_A, strict=True)
    }
    return replace(units, units=scaled), stated
