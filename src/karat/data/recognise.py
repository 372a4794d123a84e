"""Which format a source has, by the columns and types of a sample of rows; never by the first row alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from karat.data.formats import FORMATS, Format
from karat.data.formats.base import Options
from karat.data.pool_layouts import MIN_SHARE, find_layout
from karat.data.records import kind_of
from karat.errors import DataError, InputError

SAMPLE_ROWS = 1000
_DEFAULT = Options()
_CANDIDATES = 3
_MAX_COLUMNS = 12


class FormatInfo(NamedTuple):
    """What a user may know about a format; `name` is what `format=` takes."""

    name: str
    description: str
    columns: str


def list_formats() -> tuple[FormatInfo, ...]:
    """Every format of pairs, in the order in which they are tried."""
    return tuple(FormatInfo(item.name, item.description, item.columns) for item in FORMATS)


def find_format(name: str, *, options: Options = _DEFAULT) -> Format:
    """A format by name. Raises InputError naming the ones there are."""
    for item in FORMATS:
        if item.name == name:
            return _configured(item, options)
    raise InputError(f"--format {name!r} is not known. Known: {', '.join(item.name for item in FORMATS)}.")


def recognise(sample: Sequence[Mapping[str, Any]], where: str, *, options: Options = _DEFAULT) -> Format:
    """The first format that fits at least half of the sample.

    Args:
        sample: readable rows.
        where: name of the source, for the message.
    Raises: DataError with the columns seen, the nearest formats, and what to do.
    """
    counts = _counts(sample)
    for item in FORMATS:
        if sample and counts[item.name] >= MIN_SHARE * len(sample):
            return _configured(item, options)
    layout = find_layout(sample)
    if layout:
        what = "the responses to a prompt" if layout.is_list else "one response each"
        raise DataError(
            f"{where}: rows hold {what} (a pool), not pairs: {describe_columns(sample)}. "
            "Give preference pairs, or score the pool with `karat score`."
        )
    raise DataError(
        f"{where}: no format of preference pairs fits at least half of {len(sample)} rows. "
        f"Columns seen: {describe_columns(sample)}. {_nearest(sample, counts)} "
        "Name the format with --format, or the columns with --prompt-key, --chosen-key and --rejected-key."
    )


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


def _counts(sample: Sequence[Mapping[str, Any]]) -> Counter[str]:
    return Counter(item.name for item in FORMATS for row in sample if item.matches(row))


def _nearest(sample: Sequence[Mapping[str, Any]], counts: Counter[str]) -> str:
    """Formats that fit some rows, else those that share most column names with the rows."""
    if counts:
        fits = ", ".join(f"{name} ({count} of {len(sample)})" for name, count in counts.most_common(_CANDIDATES))
        return f"Formats that fit some rows: {fits}."
    columns = {name for row in sample for name in row}
    shared = [(len(columns & _words(item.columns)), item) for item in FORMATS]
    best = sorted((pair for pair in shared if pair[0]), key=lambda pair: -pair[0])[:_CANDIDATES]
    nearest = best or [(0, item) for item in FORMATS if item.name in ("trl-standard", "trl-conversational")]
    return "Nearest formats: " + "; ".join(f"{item.name} ({item.columns})" for _, item in nearest) + "."


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
