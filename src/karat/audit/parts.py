"""Parts of an audit: each is one function that returns a `Result`; a verb runs those that its inputs allow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from karat.errors import DataError, InputError, ResourceError
from karat.types import Finding, Result

Progress = Callable[..., None]


def chosen_parts(asked: str, known: Sequence[str]) -> tuple[str, ...]:
    """The parts named in a comma-separated list, in the order of `known`; all of them when it is empty.

    Raises: InputError: one is not known.
    """
    names = names_of(asked)
    for name in names:
        if name not in known:
            raise InputError(f"parts: there is no part {name!r}; there are: {', '.join(known)}.")
    return tuple(name for name in known if name in names) if names else tuple(known)


def names_of(text: str) -> tuple[str, ...]:
    """The entries of a comma-separated option."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def merge(command: str, results: Sequence[Result], *, provenance: dict[str, Any], lead: str = "") -> Result:
    """One result of several, in their order; a value's name may not come twice."""
    values: dict[str, Any] = {}
    for result in results:
        twice = sorted(values.keys() & result.values.keys())
        assert not twice, f"two parts give the values {twice}"
        values |= result.values
    return Result(
        command=command,
        findings=tuple(finding for result in results for finding in result.findings),
        tables=tuple(table for result in results for table in result.tables),
        values=values,
        files=tuple(dict.fromkeys(path for result in results for path in result.files)),
        provenance=provenance | {name: value for result in results for name, value in result.provenance.items()},
        lead=lead,
    )


def attempt(command: str, code: str, title: str, part: Callable[[], Result]) -> Result:
    """What a part gives; where its input does not allow it, a finding "not checked" with the reason.

    Only errors that speak of the input are taken so (and a missing optional library); all others are faults.
    """
    try:
        return part()
    except (InputError, DataError, ResourceError) as error:
        reason = str(error)
    except ModuleNotFoundError as error:
        reason = f"needs the library {error.name}; pip install 'karat[train]' brings it"
    return Result(command, findings=(Finding(code, title, "not checked", action=reason),))
