"""What `karat audit data` says of four sets of people's preferences, finding by finding.

Vectors come from the cache (python benchmarks/audit_sets.py computes those of hh, pandalm and ukp). Labels and prompts
are judged on all of hh and pandalm, on 2,000 pairs of ukp and 1,000 of qa, which are embedded here on the first run.

    python benchmarks/audit_real.py [hh pandalm ukp qa]
"""

from __future__ import annotations

import sys
from typing import Any

import karat
from audit_sets import read_set
from common import write_results
from karat.data.formats.own import to_row
from karat.types import Finding

SETS = ("hh", "pandalm", "ukp", "qa")
EMBED_PAIRS = {"hh": 3000, "pandalm": 1000, "ukp": 2000, "qa": 1000}


def cell(finding: Finding) -> str:
    """The verdict, with the effect and its interval where there is one."""
    if finding.verdict == "not checked":
        return "not checked"
    low_high = f" [{finding.low:.3g}, {finding.high:.3g}]" if finding.low == finding.low else ""
    return f"{finding.verdict} {finding.effect:.3g}{low_high}"


def main() -> None:
    rows: dict[str, dict[str, Any]] = {}
    leads = {}
    for name in sys.argv[1:] or SETS:
        pairs = [to_row(pair) for pair in read_set(name)]
        result = karat.audit_data(pairs, embed_pairs=EMBED_PAIRS[name])
        leads[f"{name}, {len(pairs)} pairs"] = result.lead
        for finding in result.findings:
            row = rows.setdefault(finding.code, {"code": finding.code, "finding": finding.title})
            row[name] = cell(finding)
    write_results("audit_real", leads, [rows[code] for code in sorted(rows)])


if __name__ == "__main__":
    main()
