"""Options of verbs: fields of frozen dataclasses with the help that the command line shows, and their ranges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any

from karat.errors import InputError


def option(default: Any, help_text: str, *, flag: str = "") -> Any:
    """A dataclass field with its help text and, where it differs from the name, its flag."""
    return field(default=default, metadata={"help": help_text, "flag": flag})


def require_ranges(config: object, checks: Iterable[tuple[str, bool, str]]) -> None:
    """Each check: an option's name, whether its value is in range, and the range in words.

    Raises: InputError: the first that is not, with its value.
    """
    for name, is_good, wanted in checks:
        if not is_good:
            raise InputError(f"{name} = {getattr(config, name)!r} is out of range: it must be {wanted}.")


def require_least(config: object, least_of: Mapping[str, float]) -> None:
    """Raises InputError for the first option that lies below its least value."""
    require_ranges(
        config, ((name, getattr(config, name) >= least, f"at least {least}") for name, least in least_of.items())
    )
