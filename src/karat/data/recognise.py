"""Which format a source has, by the columns and types of a sample of rows; never by the first row alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from karat.data.formats import FORMATS, Format
from karat.data.formats.base import Options
from karat.data.pool_layouts import MIN_SHARE, find_layout
from karat.data.records import kind_of
from karat.errors import DataError, InputError

SAMPLE_ROWS = 1000
_DEFAULT = Options()
_CANDIDATES = 3
_USUAL = ("trl-standard", "trl-conversational")
_MAX_COLUMNS = 12


class FormatInfo(NamedTuple):
    """What a user may know about a format; `name` is what `format=` takes."""

    name: str
    description: str
    columns: str


class Recognisable(Protocol):
    """What recognition needs to know of a format, whatever its rows become."""

    @property
    def name(self) -> str: ...
    @property
    def columns(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def matches(self) -> Callable[[Mapping[str, Any]], bool]: ...


_AnyFormat = TypeVar("_AnyFormat", bound=Recognisable)


def describe(formats: Sequence[Recognisable]) -> tuple[FormatInfo, ...]:
    """The formats as a user may know them."""
    return tuple(FormatInfo(item.name, item.description, item.columns) for item in formats)


def by_name(formats: Sequence[_AnyFormat], name: str) -> _AnyFormat:
    """A format by name. Raises InputError naming the ones there are."""
    for item in formats:
        if item.name == name:
            return item
    raise InputError(f"--format {name!r} is not known. Known: {', '.join(item.name for item in formats)}.")


def first_fit(formats: Sequence[_AnyFormat], sample: Sequence[Mapping[str, Any]]) -> _AnyFormat | None:
    """The first format that fits at least half of the sample; None when there is none."""
    counts = _counts(formats, sample)
    fitting = (item for item in formats if sample and counts[item.name] >= MIN_SHARE * len(sample))
    return next(fitting, None)


def list_formats() -> tuple[FormatInfo, ...]:
    """Every format of pairs, in the order in which they are tried."""
    return describe(FORMATS)


def find_format(name: str, *, options: Options = _DEFAULT) -> Format:
    """A format by name. Raises InputError naming the ones there are."""
    return _configured(by_name(FORMATS, name), options)


def recognise(sample: Sequence[Mapping[str, Any]], where: str, *, options: Options = _DEFAULT) -> Format:
    """The first format that fits at least half of the sample.

    Args:
        sample: readable rows.
        where: name of the source, for the message.
    Raises: DataError with the columns seen, the nearest formats, and what to do.
    """
    found = first_fit(FORMATS, sample)
    if found:
        return _configured(found, options)
    layout, steps = find_layout(sample), _step_format(sample)
    if steps and (not layout or steps == "trl-stepwise"):  # a list of completions with labels looks like a pool as well
        raise DataError(
            f"{where}: rows hold steps with labels ({steps}), not pairs: {describe_columns(sample)}. "
            "Train a process reward from them with `karat train --process`, or give preference pairs."
        )
    if layout:
        what = "the responses to a prompt" if layout.is_list else "one response each"
        raise DataError(
            f"{where}: rows hold {what} (a pool), not pairs: {describe_columns(sample)}. "
            "Give preference pairs, or score the pool with `karat score`."
        )
    raise DataError(
        f"{where}: no format of preference pairs fits at least half of {len(sample)} rows. "
        f"Columns seen: {describe_columns(sample)}. {nearest(FORMATS, sample, usual=_USUAL)} "
        "Name the format with --format, or the columns with --prompt-key, --chosen-key and --rejected-key."
    )


def _step_format(sample: Sequence[Mapping[str, Any]]) -> str:
    """Name of the format of step labels that fits the sample; empty when none does."""
    from karat.data.steps.formats import FORMATS as STEP_FORMATS  # late: its readers import this module

    found = first_fit(STEP_FORMATS, sample)
    return found.name if found else ""


def _configured(item: Format, options: Options) -> Format:
    """Raises InputError for weights of attributes that the format does not rate."""
    unknown = sorted(set(options.attribute_weights) - set(item.attributes))
    if unknown and not item.attributes:
        rated = ", ".join(other.name for other in FORMATS if other.attributes)
        raise InputError(f"attribute_weights: format {item.name} has no ratings to weigh; these have: {rated}.")
    if unknown:
        raise InputError(
            f"attribute_weights: {unknown[0]!r} is not rated; {item.name} rates {', '.join(item.attributes)}."
        )
    return item.configure(options) if item.configure else item


def _counts(formats: Sequence[Recognisable], sample: Sequence[Mapping[str, Any]]) -> Counter[str]:
    return Counter(item.name for item in formats for row in sample if item.matches(row))


def nearest(formats: Sequence[Recognisable], sample: Sequence[Mapping[str, Any]], *, usual: Sequence[str]) -> str:
    """Formats that fit some rows, else those that share most column names with the rows, else the usual ones."""
    counts = _counts(formats, sample)
    if counts:
        fits = ", ".join(f"{name} ({count} of {len(sample)})" for name, count in counts.most_common(_CANDIDATES))
        return f"Formats that fit some rows: {fits}."
    columns = {name for row in sample for name in row}
    shared = [(len(columns & _words(item.columns)), item) for item in formats]
    best = sorted((pair for pair in shared if pair[0]), key=lambda pair: -pair[0])[:_CANDIDATES]
    shown = best or [(0, item) for item in formats if item.name in usual]
    return "Nearest formats: " + "; ".join(f"{item.name} ({item.columns})" for _, item in shown) + "."


def _words(columns: str) -> set[str]:
    return {word.strip("[](){}:;,") for word in columns.split()}


def describe_columns(sample: Sequence[Mapping[str, Any]]) -> str:
    """Column names with the kinds of values in them, the most frequent first."""
    kinds: dict[str, Counter[str]] = {}
    for row in sample:
        for name, value in row.items():
            kinds.setdefault(str(name), Counter())[kind_of(value)] += 1
    ordered = sorted(kinds, key=lambda name: -kinds[name].total())
    shown = [f"{name} ({' or '.join(kind for kind, _ in kinds[name].most_common(2))})" for name in ordered]
    more = len(shown) - _MAX_COLUMNS
    return ", ".join(shown[:_MAX_COLUMNS]) + (f" and {more} more" if more > 0 else "") or "none"
