"""The JSON document of a result: the contract of `--json`, and the `result.json` beside every report.

JSON has no NaN and no infinity, and most parsers refuse Python's tokens for them. NaN (undefined, or missing) becomes
null; an infinity becomes the text "Infinity" or "-Infinity", which float() reads back, because an unbounded interval
is a statement and null would be another one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from karat import __version__
from karat.types import Result

RESERVED_VALUE = "report"
"""The one name in `values` that the report owns: lead, baselines, tables and provenance, which the fixed keys of the
document have no place for."""

_FINDING_KEYS = (
    "code",
    "title",
    "verdict",
    "effect",
    "low",
    "high",
    "unit",
    "n_used",
    "n_failed",
    "n_missing",
    "gold",
    "witnesses",
    "action",
)


def to_document(result: Result) -> dict[str, Any]:
    """The document as plain Python values that JSON can hold."""
    assert RESERVED_VALUE not in result.values, f"values[{RESERVED_VALUE!r}] belongs to the report"
    extra = {
        "lead": result.lead,
        "baselines": {finding.code: finding.baseline for finding in result.findings if finding.baseline},
        "tables": {
            table.name: {"title": table.title, "columns": table.columns, "rows": table.rows, "note": table.note}
            for table in result.tables
        },
        "provenance": result.provenance,
    }
    document = {
        "karat": __version__,
        "command": result.command,
        "verdict": result.verdict,
        "findings": [{key: getattr(finding, key) for key in _FINDING_KEYS} for finding in result.findings],
        "values": {**result.values, RESERVED_VALUE: extra},
        "files": result.files,
    }
    plain = to_plain(document)
    assert isinstance(plain, dict)
    return plain


def render_json(result: Result) -> str:
    """The document as text, ending in a newline.

    It is pure ASCII: whatever a model wrote, no byte of it can steer a terminal, and no encoding can break it.
    """
    return json.dumps(to_document(result), indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def to_plain(value: Any) -> Any:
    """`value` in the types of JSON. What JSON cannot say becomes its text, so that a long run never ends in a crash."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _plain_float(float(value))
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return [to_plain(item) for item in sorted(value, key=repr)]  # a set's own order changes from run to run
    if hasattr(value, "tolist"):  # numpy scalars and arrays, tensors
        return to_plain(value.tolist())
    if is_dataclass(value) and not isinstance(value, type):
        return to_plain(asdict(value))
    return str(value)


def _plain_float(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value
