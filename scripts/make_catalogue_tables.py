"""Put the numbers of benchmarks/results/grade_catalogue*.json into docs/tampering-catalogue.md."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "tampering-catalogue.md"
BACK_ENDS = {"namespaces": "", "bubblewrap": "_bubblewrap", "subprocess": "_subprocess"}
"""Back end -> ending of its results."""
FAMILY = {
    "family": "family",
    "cheats": "cheats",
    "forged passes": "forged passes",
    "proven or strong": "proven or strong",
    "any evidence": "any",
    "honest": "honest",
    "passed": "honest passed",
    "called tampered": "honest called tampered",
}
"""Column of the page -> column of the results."""
BACK_END = {name: FAMILY[name] for name in ("cheats", "forged passes", "proven or strong", "any evidence")} | {
    "honest passed": "honest passed",
    "called tampered": "honest called tampered",
}


def results(ending: str) -> dict[str, Any]:
    path = ROOT / "benchmarks" / "results" / f"grade_catalogue{ending}.json"
    loaded: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return loaded


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def taken(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    return table(list(columns), [[row[source] for source in columns.values()] for row in rows])


def tables() -> tuple[str, ...]:
    """By family, layer, technique and back end."""
    main = results("")
    totals = {name: results(ending)["rows"][-1] for name, ending in BACK_ENDS.items()}
    return (
        taken(main["rows"], FAMILY),
        taken(main["layers"], {name: name for name in main["layers"][0]}),
        taken(main["techniques"], {name: name for name in main["techniques"][0]}),
        table(
            ["back end", *BACK_END],
            [[name, *(total[source] for source in BACK_END.values())] for name, total in totals.items()],
        ),
    )


def with_tables(page: str) -> str:
    """The page with each of its tables that begins with the same columns as one of ours replaced by it."""
    for made in tables():
        head = made.splitlines(keepends=True)[0]
        found = re.findall(rf"^{re.escape(head)}(?:\|.*\n)+", page, flags=re.MULTILINE)
        assert len(found) == 1, f"{PAGE.name} has {len(found)} tables that begin {head}"
        page = page.replace(found[0], made)
    seen = results("")["cheats seen without the static scan, at least"]
    return re.sub(r"at all, \d+ of (\d+) cheats", rf"at all, {seen} of \1 cheats", page)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text("utf-8")), encoding="utf-8")
