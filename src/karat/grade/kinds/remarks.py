"""Evidence that a kind of task finds by itself, carried in `Run.anomalies` as `technique@confidence: detail`.

Other anomalies are plain words of the channel (`no farewell`); those here have a key of the technique table.
"""

from __future__ import annotations

import re
from typing import cast

from karat.grade.types import Confidence

FORM = re.compile(r"([a-z_]+)@(weak|moderate|strong|proven): (.*)", re.S)


def remark(technique: str, confidence: Confidence, detail: str) -> str:
    return f"{technique}@{confidence}: {detail}"


def parse_remark(anomaly: str) -> tuple[str, Confidence, str] | None:
    """Technique, confidence and detail; None for an anomaly of another form."""
    found = FORM.fullmatch(anomaly)
    return None if found is None else (found[1], cast("Confidence", found[2]), found[3])
